"""The saved page in a real browser: quiet, offline, driven by keys, buttons and slider, and exact."""

import json

import pytest

from micrograd_mlp import Constant, Value, step_through
from micrograd_mlp.render.text import number
from tests.browser.chromium import chromium, missing, network, prefer

pytest.importorskip("selenium", reason='needs selenium: pip install "micrograd_mlp[browser]"')
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

HOSTILE = "</script><img src=x onerror=alert(1)>"


class Page:
    """What a person does with the page, and sees on it."""

    def __init__(self, driver, file):
        self.driver = driver
        driver.get("about:blank")
        self.requests(), self.complaints()  # reading a log empties it: what came before is not this page's
        driver.get(file.as_uri())
        prefer(driver, reduced_motion="reduce")
        self.root = driver.find_element("css selector", "main > div").shadow_root

    def find(self, selector):
        return self.root.find_element("css selector", selector)

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def slide(self, step):
        self.driver.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
            self.find("input"),
            step,
        )

    @property
    def step(self):
        return int(self.find("input").get_property("value"))

    @property
    def arithmetic(self):
        return [line.text for line in self.root.find_elements("css selector", ".arithmetic > div")]

    def numbers(self):
        """What every box shows: data, gradient, and the gradient's full digits in the tooltip."""
        return self.driver.execute_script(
            "return [...arguments[0].querySelectorAll('[data-node]')].map((box) => ["
            "box.querySelector('.data').textContent, box.querySelector('.grad')?.textContent ?? null,"
            "box.querySelector('title').textContent, box.getAttribute('aria-label')])",
            self.root,
        )

    def requests(self):
        """The addresses of all requests so far."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self):
        return self.driver.get_log("browser")


@pytest.fixture(scope="module")
def driver():
    with chromium() as driver:
        yield driver


@pytest.fixture
def shown(driver, tmp_path):
    """§6's network, its page, and the steps that it should show."""
    loss = network()
    steps = step_through(loss)
    steps.save(tmp_path / "steps.html")
    return loss, Page(driver, tmp_path / "steps.html"), steps.steps


def assert_shows_the_engines_numbers(page, loss):
    order = loss.topological_order()
    for node in order:
        node.grad = 0.0
    loss.backward()
    numbers = page.numbers()
    assert len(numbers) == len(order)
    for node, (data, grad, title, label) in zip(order, numbers, strict=True):
        assert data == number(node.data)
        assert title == label
        assert f"data {node.data!r}" in title
        if isinstance(node, Constant):
            assert grad is None
        else:
            assert grad == number(node.grad)
            assert f"gradient {node.grad!r}, " in title


def test_loads_without_a_complaint_or_a_request(shown):
    _, page, _ = shown
    page.press("\ue014")  # right arrow
    assert page.complaints() == []
    addresses = [url.partition(",")[0] for url in page.requests()]
    assert set(addresses) == {page.driver.current_url, "data:image/svg+xml;base64"}
    assert page.driver.current_url.startswith("file:///")


def test_to_the_end_by_keyboard(shown):
    loss, page, steps = shown
    assert page.step == 0
    for step in steps:
        page.press("\ue014")
        assert page.arithmetic == [step.text, step.total]
    assert page.step == len(steps)
    assert_shows_the_engines_numbers(page, loss)
    page.press("\ue014")
    assert page.step == len(steps)
    page.press("\ue012", "\ue012")  # left arrow
    assert page.step == len(steps) - 2
    page.press("\ue011")  # home
    assert page.step == 0
    assert {tuple(row[:2]) for row in page.numbers()} == {("", ""), ("", None)}
    page.press("\ue010")  # end
    assert_shows_the_engines_numbers(page, loss)
    assert page.complaints() == []


def test_to_the_end_by_slider(shown):
    loss, page, steps = shown
    page.slide(len(steps))
    assert page.arithmetic == [steps[-1].text, steps[-1].total]
    assert_shows_the_engines_numbers(page, loss)


def test_keys_on_the_slider_move_one_step(shown):
    _, page, _ = shown
    page.find("input").send_keys("\ue014", "\ue014")
    assert page.step == 2


def test_every_moment_shows_what_has_been_computed_by_then(shown):
    """Also when it is reached by jumping back and forth."""
    loss, page, steps = shown
    order = loss.topological_order()
    for count in (len(steps), 5, 30, 12, len(steps) - 1, 27):
        page.slide(count)
        computed = {step.node for step in steps[:count] if step.phase == "forward"}
        grads = {step.node: step.grad for step in steps[:count] if step.grad is not None}
        for node, (data, grad, *_) in zip(order, page.numbers(), strict=True):
            assert data == (number(node.data) if node in computed else "")
            if grad is not None:
                assert grad == (number(grads[node]) if node in grads else "")


def test_buttons(shown):
    _, page, steps = shown
    start, back, play, following, end = page.root.find_elements("css selector", "button")
    assert not start.is_enabled()
    following.click()
    following.click()
    back.click()
    assert page.step == 1
    end.click()
    assert page.step == len(steps)
    assert not following.is_enabled()
    start.click()
    assert page.step == 0
    page.find("select option:last-child").click()  # four times as fast
    play.click()
    assert play.text == "Pause"
    assert page.step == 1
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(page.driver, 20, poll_frequency=0.05).until(lambda _: page.step >= 3)
    play.click()
    assert play.text == "Play"


def test_space_plays_and_pauses(shown):
    _, page, _ = shown
    page.press(" ")
    assert page.find(".play").text == "Pause"
    assert page.find(".arithmetic").get_attribute("aria-live") == "off"
    page.press(" ")
    assert page.find(".play").text == "Play"
    assert page.find(".arithmetic").get_attribute("aria-live") == "polite"


def test_the_active_edge_carries_the_local_derivative(shown):
    loss, page, steps = shown
    index = {node: i for i, node in enumerate(loss.topological_order())}
    last = steps[-1]
    page.slide(len(steps))
    child, operand = last.edge
    active = page.root.find_elements("css selector", ".edge.active")
    assert [edge.get_attribute("data-edge") for edge in active] == [f"{index[child]}-{operand}"]
    assert page.find(".local text").text == number(child.local_grads[operand], 3)
    [box] = page.root.find_elements("css selector", ".node.active")
    assert box.get_attribute("data-node") == str(index[last.node])


def test_a_hostile_label_stays_text(driver, tmp_path):
    from selenium.webdriver.support.expected_conditions import alert_is_present

    step_through(Value(3.0, "x") * Value(2.0, HOSTILE)).save(tmp_path / "steps.html")
    page = Page(driver, tmp_path / "steps.html")
    page.press("\ue010")  # end
    assert not alert_is_present()(driver)
    assert any(HOSTILE in title for _, _, title, _ in page.numbers())
    assert f"{HOSTILE}.grad" in "".join(page.arithmetic)
    assert driver.find_elements("css selector", "img[src=x]") == []
    assert page.root.find_elements("css selector", "img") == []
    assert page.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_either_background(shown, scheme):
    """WCAG's contrast of at least 4.5, for all text of the picture against the boxes it stands on."""
    _, page, steps = shown
    prefer(page.driver, color_scheme=scheme, reduced_motion="reduce")
    page.slide(len(steps))
    contrasts = page.driver.execute_script(
        """
        const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((x) => x / 255)
          .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
          .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
        const fill = (part) => light(getComputedStyle(part).fill);
        return [...arguments[0].querySelectorAll("[data-node] text")].flatMap((text) => {
          const grounds = [text.parentNode.querySelector(".box"), text.parentNode.querySelector(".fill")];
          return grounds.filter(Boolean).map((ground) => {
            const [low, high] = [fill(text), fill(ground)].sort((a, b) => a - b);
            return (high + 0.05) / (low + 0.05);
          });
        });
        """,
        page.root,
    )
    assert len(contrasts) > 50
    assert min(contrasts) >= 4.5


def test_no_text_overlaps_in_the_picture(shown):
    _, page, steps = shown
    page.slide(len(steps))
    overlaps = page.driver.execute_script(
        """
        const boxes = [...arguments[0].querySelectorAll("text")]
          .filter((text) => text.textContent !== "")
          .map((text) => [text.textContent, text.getBoundingClientRect()]);
        return boxes.flatMap(([a, p], i) => boxes.slice(i + 1)
          .filter(([b, q]) => p.left < q.right && q.left < p.right)
          .filter(([b, q]) => p.top + 3 < q.bottom && q.top + 3 < p.bottom)
          .map(([b]) => [a, b]));
        """,
        page.root,
    )
    assert overlaps == []


# In a notebook: JupyterLab and exported pages put the fragments of several cells into one page


class Cell(Page):
    """One of several step-throughs on a page."""

    def __init__(self, driver, host):
        self.driver = driver
        self.host = host
        self.root = host.shadow_root


@pytest.fixture
def cells(driver, tmp_path):
    loss = network()
    steps = step_through(loss)
    fragments = [steps._repr_mimebundle_()["text/html"] for _ in range(2)]
    file = tmp_path / "exported.html"
    file.write_text(
        f"<!doctype html><meta charset=utf-8><body data-jp-theme-light=true>{''.join(fragments)}",
        encoding="utf-8",
    )
    driver.get(file.as_uri())
    prefer(driver, color_scheme="light", reduced_motion="reduce")
    return [Cell(driver, host) for host in driver.find_elements("css selector", "body > div")]


def test_two_displays_on_one_page_do_not_disturb_each_other(cells):
    one, other = cells
    one.press("\ue014")
    assert (one.step, other.step) == (0, 0)  # a notebook's keys are the notebook's
    one.find("h2").click()
    one.press("\ue014", "\ue014")
    other.slide(7)
    assert (one.step, other.step) == (2, 7)
    assert one.complaints() == []


def test_follows_jupyterlabs_theme(cells):
    page = cells[0]
    assert "dark" not in page.find(".card").get_attribute("class").split()
    page.driver.execute_script("document.body.dataset.jpThemeLight = 'false'")
    assert "dark" in page.find(".card").get_attribute("class").split()


def test_an_untrusted_notebook_shows_the_picture(driver, tmp_path):
    fragment = step_through(network())._repr_mimebundle_()["text/html"]
    file = tmp_path / "untrusted.html"
    file.write_text(
        f"<!doctype html><meta charset=utf-8>{fragment.partition('<script>')[0]}", encoding="utf-8"
    )
    driver.get(file.as_uri())
    image = driver.find_element("css selector", "img")
    assert image.get_property("complete")
    assert image.get_property("naturalWidth") > 1000
    assert "W1[1,1]: 0.02919" in image.get_attribute("alt")


def test_moves_only_for_those_who_do_not_mind(shown):
    _, page, _ = shown
    watch = """
        const [dot, button, done] = [arguments[0], arguments[1], arguments[2]];
        let moved = false;
        const look = () => { moved ||= dot.getAttribute("visibility") === "visible"; };
        const observer = new MutationObserver(look);
        observer.observe(dot, { attributes: true });
        button.click();
const end = () => { observer.disconnect(); done(moved); };
        requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(end)));
    """
    page.slide(20)
    button = page.find('[aria-label^="one step on"]')
    dot = page.find(".traveller")
    assert page.driver.execute_async_script(watch, dot, button) is False
    prefer(page.driver, reduced_motion="no-preference")
    assert page.driver.execute_async_script(watch, dot, button) is True


def test_what_a_screen_reader_is_told(shown):
    _, page, steps = shown
    page.press("\ue014")
    line = page.find(".arithmetic")
    assert (line.get_attribute("role"), line.get_attribute("aria-live")) == ("status", "polite")
    spoken = page.find("input").get_attribute("aria-valuetext")
    assert spoken == f"Forward pass, step 1 of {len(steps)}: {steps[0].text}"
    for control in page.root.find_elements("css selector", "button, input, select"):
        assert control.accessible_name


def test_focus_can_be_seen(shown):
    _, page, _ = shown
    page.press("\ue004", "\ue004")  # tab
    style = page.driver.execute_script(
        "const at = arguments[0].activeElement;"
        "return [at.matches(':focus-visible'), getComputedStyle(at).outlineWidth]",
        page.root,
    )
    assert style == [True, "3px"]
