"""The stepping mode in a real browser: both passes line by line, with the engine's numbers."""

import pytest

from micrograd_mlp import Constant, Value, step_through
from micrograd_mlp.render.text import number
from tests.browser.chromium import Page, chromium, missing, network, prefer

pytest.importorskip("selenium", reason='needs selenium: pip install "micrograd_mlp[browser]"')
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

RIGHT, LEFT, HOME, END = "\ue014", "\ue012", "\ue011", "\ue010"


class Steps(Page):
    """The stepping bar below the graph."""

    @property
    def step(self):
        return int(self.find(".stepping-bar input").get_property("value"))

    @property
    def arithmetic(self):
        return [line.text for line in self.all(".arithmetic > div")]

    def slide(self, step):
        self.run(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
            self.find(".stepping-bar input"),
            step,
        )
        self.wait_for_frame()


@pytest.fixture(scope="module")
def driver():
    with chromium(width=1300, height=900) as driver:
        yield driver


@pytest.fixture
def opened(driver, tmp_path):
    def open_page(output):
        step_through(output).save(tmp_path / "steps.html")
        return Steps(driver, tmp_path / "steps.html")

    return open_page


def neuron():
    """tanh(w·x + w): w is used twice, so that its gradient arrives in two parts."""
    w, x = Value(0.5, "w"), Value(2.0, "x")
    a = (w * x + w).tanh()
    a.label = "a"
    return a


def expected_lines(output):
    """What the engine computes, value by value and edge by edge, as the page should say it."""
    order = output.topological_order()
    edges = [
        (child, parent, local)
        for child in reversed(order)
        for parent, local in zip(child.parents, child.local_grads, strict=True)
        if not isinstance(parent, Constant)
    ]
    return order, edges


def test_the_lines_of_arithmetic(opened):
    page = opened(neuron())
    lines = []
    for _ in range(11):
        page.press(RIGHT)
        lines.append(page.arithmetic)
    a = Value(1.5).tanh().data
    slope = 1.0 - a * a
    s = number(slope, 6)
    assert lines == [
        ["w = 0.5, an input", ""],
        ["x = 2, an input", ""],
        ["v1 = w · x = 0.5 · 2 = 1", ""],
        ["v2 = v1 + w = 1 + 0.5 = 1.5", ""],
        [f"a = tanh(v2) = tanh(1.5) = {number(a, 6)}", ""],
        ["a.grad = ∂a/∂a = 1", ""],
        [f"v2.grad += ∂a/∂v2 · a.grad = {s} · 1 = {s}", f"v2.grad = 0 + {s} = {s}"],
        [f"v1.grad += ∂v2/∂v1 · v2.grad = 1 · {s} = {s}", f"v1.grad = 0 + {s} = {s}"],
        [f"w.grad += ∂v2/∂w · v2.grad = 1 · {s} = {s}", f"w.grad = 0 + {s} = {s}"],
        [
            f"w.grad += ∂v1/∂w · v1.grad = 2 · {s} = {number(2 * slope, 6)}",
            f"w.grad = {s} + {number(2 * slope, 6)} = {number(3 * slope, 6)}",
        ],
        [
            f"x.grad += ∂v1/∂x · v1.grad = 0.5 · {s} = {number(slope / 2, 6)}",
            f"x.grad = 0 + {number(slope / 2, 6)} = {number(slope / 2, 6)}",
        ],
    ]
    assert page.complaints() == []


def test_first_every_value_then_every_edge_and_nothing_more(opened):
    loss = network()
    order, edges = expected_lines(loss)
    page = opened(loss)
    assert page.step == 0
    page.press(END)
    assert page.step == len(order) + 1 + len(edges)
    page.press(RIGHT)
    assert page.step == len(order) + 1 + len(edges)
    page.press(LEFT, LEFT)
    assert page.step == len(order) + len(edges) - 1
    page.press(HOME)
    assert page.step == 0


def test_what_arrives_in_the_end_is_what_backward_gives(opened):
    loss = network()
    page = opened(loss)
    page.press(END)
    drawn = page.drawn()
    loss.backward()
    for node in loss.topological_order():
        assert number(node.data).replace("-", "−") in drawn
        if not isinstance(node, Constant):
            assert number(node.grad).replace("-", "−") in drawn


def test_every_moment_shows_what_has_been_computed_by_then(opened):
    """Also when it is reached by jumping back and forth."""
    w, x = Value(0.3125, "w"), Value(7.0, "x")
    page = opened((w * x).exp())
    data = {"w": "0.3125", "x": "7", "v1": "2.188", "f": "8.913"}
    for count, shown, gradients in [
        (4, 4, []),
        (1, 1, []),
        (3, 3, []),
        (6, 4, ["8.913"]),
        (0, 0, []),
        (2, 2, []),
    ]:
        page.slide(count)
        drawn = page.drawn()
        seen = [name for name, text in data.items() if text in drawn]
        assert len(seen) == shown, (count, drawn)
        for gradient in gradients:
            assert drawn.count(gradient) == 2  # f itself and ∂f/∂v1, which is f too


def test_stepping_follows_a_changed_number(opened):
    page = opened(neuron())
    page.run("explorer.set('w', -0.25)")
    page.slide(4)
    assert page.arithmetic[0] == "v2 = v1 + w = -0.5 + (-0.25) = -0.75"


def test_buttons(opened):
    page = opened(network())
    start, back, play, following, end = page.all(".stepping-bar button")
    assert not start.is_enabled()
    following.click()
    following.click()
    back.click()
    assert page.step == 1
    end.click()
    last = page.step
    assert not following.is_enabled()
    start.click()
    assert page.step == 0
    page.find(".stepping-bar select option:last-child").click()  # four times as fast
    play.click()
    assert play.text == "Pause"
    assert page.step >= 1
    page.wait_until(lambda: page.step >= 3)
    play.click()
    assert play.text == "Play"
    assert page.step < last


def test_space_plays_and_pauses(opened):
    page = opened(network())
    page.press(" ")
    assert page.find(".play").text == "Pause"
    assert page.find(".arithmetic").get_attribute("aria-live") == "off"
    page.press(" ")
    assert page.find(".play").text == "Play"
    assert page.find(".arithmetic").get_attribute("aria-live") == "polite"


def test_keys_on_the_slider_move_one_step(opened):
    page = opened(network())
    page.find(".stepping-bar input").send_keys(RIGHT, RIGHT)
    assert page.step == 2


def test_both_modes_are_doors_of_one_page(opened):
    page = opened(network())
    explore, step = page.all(".toolbar .modes button")[:2]
    assert (step.get_attribute("aria-pressed"), explore.get_attribute("aria-pressed")) == ("true", "false")
    assert not page.find(".inspector").is_displayed()
    explore.click()
    page.wait_for_frame()
    assert not page.find(".stepping-bar").is_displayed()
    assert page.find(".inspector").is_displayed()
    page.run("explorer.step(7)")
    assert page.find(".stepping-bar").is_displayed()
    assert page.step == 7


def test_moves_only_for_those_who_do_not_mind(opened):
    page = opened(network())
    watch = """
        const [button, done] = arguments;
        let moved = false;
        const original = CanvasRenderingContext2D.prototype.arc;
        CanvasRenderingContext2D.prototype.arc = function (...circle) {
          moved ||= circle[2] === 5.5; // the dot that travels
          return original.apply(this, circle);
        };
        button.click();
        let frames = 0;
        const wait = () => {
          if (frames++ < 6) return requestAnimationFrame(wait);
          CanvasRenderingContext2D.prototype.arc = original;
          done(moved);
        };
        requestAnimationFrame(wait);
    """
    page.slide(30)
    button = page.find('[aria-label^="one step on"]')
    assert page.driver.execute_async_script(watch, button) is False
    prefer(page.driver, reduced_motion="no-preference")
    assert page.driver.execute_async_script(watch, button) is True


def test_what_a_screen_reader_is_told(opened):
    page = opened(neuron())
    page.press(RIGHT)
    line = page.find(".arithmetic")
    assert (line.get_attribute("role"), line.get_attribute("aria-live")) == ("status", "polite")
    spoken = page.find(".stepping-bar input").get_attribute("aria-valuetext")
    assert spoken == "Forward pass, step 1 of 11: w = 0.5, an input"


def test_focus_can_be_seen(opened):
    page = opened(network())
    page.press("\ue004", "\ue004")  # tab
    style = page.run(
        "const at = arguments[0].shadowRoot.activeElement;"
        "return [at.matches(':focus-visible'), getComputedStyle(at).outlineWidth]",
        page.host,
    )
    assert style == [True, "3px"]
