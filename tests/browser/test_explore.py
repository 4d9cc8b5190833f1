"""The page of `explore` in a real browser: the engine's numbers, by hand and keys, quiet and offline."""

import json
import math
import random

import pytest

from micrograd_mlp import (
    MLP,
    Constant,
    Op,
    Parameter,
    Value,
    binary_cross_entropy_with_logits,
    cross_entropy,
    explain,
    explore,
    hinge,
    l2,
    squared_error,
    total,
)
from micrograd_mlp.engine.table import TABLE
from tests.browser.chromium import Page, chromium, missing, network, prefer

pytest.importorskip("selenium", reason='needs selenium: pip install "micrograd_mlp[browser]"')
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

HOSTILE = "</script><img src=x onerror=alert(1)>"
SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e308, -1e308, 5e-324, 1e-300, 710.0, -750.0, 1.0, -1.0]


@pytest.fixture(scope="module")
def driver():
    with chromium(width=1300, height=820) as driver:
        yield driver


@pytest.fixture
def opened(driver, tmp_path):
    """Opens the explorer of a graph."""

    def open_page(output, fragment=""):
        explore(output).save(tmp_path / "explore.html")
        return Page(driver, tmp_path / "explore.html", fragment=fragment)

    return open_page


# The numbers are the engine's


def single_loss(activation, loss, outputs, seed):
    model = MLP(3, [5, outputs], activation=activation, seed=seed)
    y_hat = model([Value(0.5, "x[1]"), Value(-1.0, "x[2]"), Value(2.0, "x[3]")])
    return loss(y_hat) + l2(model.parameters()) * 0.01


def inside(domain, k):
    """A number in an open interval, another one for each k."""
    low, high = domain
    part = 0.3 + 0.1 * k
    if math.isinf(low) or math.isinf(high):
        return part if math.isinf(low) else low + part
    return low + part * (high - low)


def every_operation():
    """A graph in which each operation of the table stands once, on leaves of its own."""
    results = []
    for op in TABLE.values():
        domains = op.domain if op.arity else op.domain * 4
        leaves = [Value(inside(d, k), f"{op.name}[{k + 1}]") for k, d in enumerate(domains)]
        results.append(op(*leaves))
        results[-1].label = f"of {op.name}"
    return total(results)


def a_users_operations():
    cube = Op("cube", forward=lambda x: x**3, partials=lambda out, x: (3.0 * x**2,))
    swish = Op(
        "swish",
        forward=lambda x, beta: x / (1.0 + math.exp(-beta * x)) if beta * x > -700.0 else 0.0,
        partials=lambda out, x, beta: (out / x * (1 + beta * (x - out)), (x - out) * out),
        arity=2,
    )
    x, y = Value(1.5, "x"), Value(0.7, "y")
    return cube(x) * swish(x, y) + cube(swish(y, x))


GRAPHS = {
    "tanh, squared error": lambda: single_loss("tanh", lambda y: squared_error(y, 1.0), 1, 0),
    "relu, binary cross entropy": lambda: single_loss(
        "relu", lambda z: binary_cross_entropy_with_logits(z, 1.0), 1, 1
    ),
    "sigmoid, cross entropy": lambda: single_loss("sigmoid", lambda z: cross_entropy(z, 2), 4, 2),
    "leaky_relu, hinge": lambda: single_loss("leaky_relu", lambda s: hinge(s, -1.0), 1, 3),
    "every operation": every_operation,
    "operations of the user's own": a_users_operations,
}


def compute_again(order):
    """The engine's numbers for the leaves' present data."""
    for node in order:
        node.grad = 0.0
        if node.op is not None:
            inputs = [parent.data for parent in node.parents]
            node.data = node.op.forward(*inputs)
            node.local_grads = tuple(node.op.partials(node.data, *inputs))
    order[-1].backward()


def agree(shown, wanted):
    if shown == "nan" or math.isnan(wanted):
        return shown == "nan" and math.isnan(wanted)
    return math.isclose(float(shown), wanted, rel_tol=1e-12, abs_tol=1e-300)


READ = """
    const text = (x) => String(x).replace("NaN", "nan").replace("Infinity", "inf");
    const nodes = Array.from({ length: arguments[0] }, (_, i) => explorer.get(i));
    return nodes.map(({ data, grad }) => [text(data), text(grad)]);
"""


@pytest.mark.parametrize("name", GRAPHS)
def test_200_changes_give_the_engines_values_and_gradients(opened, name):
    output = GRAPHS[name]()
    page = opened(output)
    order = output.topological_order()
    leaves = [i for i, node in enumerate(order) if node.op is None and not isinstance(node, Constant)]
    assert page.run(READ, len(order))
    rng = random.Random(name)
    for change in range(200):
        i = rng.choice(leaves)
        x = rng.choice(SPECIAL) if change % 5 == 4 else rng.gauss(0.0, 1.5)
        order[i].data = x
        as_text = repr(x).replace("inf", "Infinity")
        page.run("explorer.set(arguments[0], Number(arguments[1]))", i, as_text)
        try:
            compute_again(order)
        except (OverflowError, ZeroDivisionError):  # a user's rule that floats can't follow
            order[i].data = 1.0
            page.run("explorer.set(arguments[0], 1)", i)
            compute_again(order)
        for node, (data, grad) in zip(order, page.run(READ, len(order)), strict=True):
            assert agree(data, node.data), f"{node}: {data} after change {change} of {order[i]}"
            if not isinstance(node, Constant):
                assert agree(grad, node.grad), f"{node}: gradient {grad} after change {change} of {order[i]}"
        if change % 5 == 4:  # the next ordinary change is to be seen
            order[i].data = 0.25
            page.run("explorer.set(arguments[0], 0.25)", i)
    assert page.complaints() == []


def test_the_explanation_is_that_of_explain(opened):
    output = network()
    page = opened(output)
    order = output.topological_order()
    rng = random.Random(0)
    for _ in range(3):
        for i, node in enumerate(order):
            if node.op is None and not isinstance(node, Constant):
                node.data = rng.gauss(0.0, 1.0)
                page.run("explorer.set(arguments[0], arguments[1])", i, node.data)
        compute_again(order)
        for i, node in enumerate(order):
            assert page.run("return explorer.explain(arguments[0])", i) == str(explain(output, node))


def test_descend_takes_the_steps_of_gradient_descent(opened):
    model = MLP(2, [4, 1], activation="tanh", seed=1)
    loss = squared_error(model([Value(1.0, "x[1]"), Value(-2.0, "x[2]")]), 1.0)
    page = opened(loss)
    order = loss.topological_order()
    page.run("explorer.descend(0.05, 100)")
    compute_again(order)
    for _ in range(100):
        for node in order:
            if isinstance(node, Parameter):
                node.data -= 0.05 * node.grad
        compute_again(order)
    for node, (data, grad) in zip(order, page.run(READ, len(order)), strict=True):
        assert float(data) == pytest.approx(node.data, rel=1e-10, abs=1e-300)
        if not isinstance(node, Constant):
            assert float(grad) == pytest.approx(node.grad, rel=1e-8, abs=1e-14)
    assert "after 100 steps on 17 parameters" in page.find(".descent").text


def test_undo_takes_back_descent_and_changes_one_by_one(opened):
    page = opened(network())
    before = page.run("return explorer.get('W1[1,1]')")
    page.run("explorer.set('W1[1,1]', 2)")
    moved = page.run("return explorer.get('W1[1,1]')")
    page.run("explorer.descend(0.5, 10)")
    assert page.run("return explorer.get('W1[1,1]')") != moved
    undo = next(button for button in page.all(".descent button") if button.text == "Undo")
    undo.click()
    assert page.run("return explorer.get('W1[1,1]')") == moved
    undo.click()
    assert page.run("return explorer.get('W1[1,1]')") == before
    assert "after 0 steps" in page.find(".descent").text


def test_the_difference_quotient_stands_beside_the_gradient(opened):
    page = opened(network())
    page.run("explorer.select('W1[1,1]')")
    page.wait_for_frame()
    gradient = page.run("return explorer.get('W1[1,1]').grad")
    difference = page.find(".difference b").text.replace("−", "-")
    assert float(difference) == pytest.approx(gradient, rel=1e-5)
    assert "agrees to" in page.find(".difference").text


def test_a_kink_is_seen_in_the_difference(opened):
    x = Value(0.0, "x")
    page = opened(x.relu() * 2.0)
    page.run("explorer.select('x')")
    page.wait_for_frame()
    assert page.find(".derivative b").text == "0"
    assert page.find(".difference b").text == "1"
    assert "differs" in page.find(".difference").text


# Python code


def test_copy_as_python_is_a_program_with_the_present_numbers(opened):
    loss = network()
    page = opened(loss)
    page.run("explorer.set('W1[1,2]', -1.25)")
    program = page.run("return explorer.python()")
    names = {}
    exec(program.replace("print(", "(lambda _: None)("), names)  # the page's own output
    values = {value.label: value for value in names.values() if isinstance(value, Value) and value.label}
    for label in ("W1[1,2]", "z1[1]", "a1[2]", "ℓ"):
        state = page.run("return explorer.get(arguments[0])", label)
        assert (values[label].data, values[label].grad) == pytest.approx(
            (state["data"], state["grad"]), rel=1e-12
        )


@pytest.mark.parametrize("name", ["every operation", "sigmoid, cross entropy"])
def test_copy_as_python_writes_every_operation(opened, name):
    page = opened(GRAPHS[name]())
    names = {}
    exec(page.run("return explorer.python()").replace("print(", "(lambda _: None)("), names)
    wanted = page.run("return explorer.get(arguments[0] - 1)", len(GRAPHS[name]().topological_order()))
    output = names["f"]
    assert math.isfinite(output.data)
    assert output.data == pytest.approx(wanted["data"], rel=1e-12)


# An operation that has no JavaScript


def test_what_the_page_cannot_compute_it_says(opened):
    table = {1.0: 5.0}
    op = Op("look_up", forward=lambda x: table[x], partials=lambda out, x: (7.0,))
    page = opened(op(Value(1.0, "x")) * Value(2.0, "y"))
    assert "The page can't compute look_up" in page.find(".problems").text
    assert page.run("return explorer.get('x')") == {"data": 1, "grad": 14}
    page.run("explorer.set('y', 3)")
    assert page.run("return explorer.get('f').data") == 15
    page.run("explorer.set('x', 2)")
    assert page.run("return Number.isNaN(explorer.get('f').data)")
    assert "?" in page.drawn()
    page.run("explorer.set('x', 1)")
    assert page.run("return explorer.get('f').data") == 15
    assert page.complaints() == []


# What one sees and does


def test_loads_without_a_complaint_or_a_request(opened):
    page = opened(network())
    page.press("\ue014", "f", "+")
    assert page.complaints() == []
    assert {url.partition("#")[0] for url in page.requests()} == {page.driver.current_url.partition("#")[0]}
    assert page.driver.current_url.startswith("file:///")


@pytest.mark.parametrize("sizes", [(2, [8, 8, 1]), (4, [16, 16, 3])])
def test_ordinary_networks_open_folded_and_readable(opened, sizes):
    n_inputs, layers = sizes
    y_hat = MLP(n_inputs, layers, activation="tanh", seed=0)([0.5] * n_inputs)
    page = opened(cross_entropy(y_hat, 0) if isinstance(y_hat, list) else squared_error(y_hat, 1.0))
    drawn = page.drawn()
    assert "▸" in drawn
    assert "a" in drawn  # the symbols of activations, at a size at which text is drawn
    assert page.run("return explorer.view().scale") >= 0.55
    inside, boxes = page.run("const { seen, boxes } = explorer.view(); return [seen, boxes]")
    assert inside == boxes


def click(page, label, double=False):
    """Click on the node's box on the canvas."""
    from selenium.webdriver.common.action_chains import ActionChains

    x, y = page.run("return explorer.placeOf(arguments[0])", label)
    canvas = page.find("canvas")
    size = canvas.size
    action = ActionChains(page.driver).move_to_element_with_offset(
        canvas, round(x - size["width"] / 2), round(y - size["height"] / 2)
    )
    (action.double_click() if double else action.click()).perform()
    page.wait_for_frame()
    return action


def test_dragging_a_leaf_changes_its_number_and_everything_that_follows(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    page = opened(network())
    before = page.run("return [explorer.get('x[1]'), explorer.get('ℓ')]")
    x, y = page.run("return explorer.placeOf('x[1]')")
    canvas = page.find("canvas")
    start = (round(x - canvas.size["width"] / 2), round(y - canvas.size["height"] / 2))
    ActionChains(page.driver).move_to_element_with_offset(canvas, *start).click_and_hold().move_by_offset(
        40, 0
    ).release().perform()
    after = page.run("return [explorer.get('x[1]'), explorer.get('ℓ')]")
    assert after[0]["data"] == pytest.approx(before[0]["data"] + 0.4)
    assert after[1]["data"] != before[1]["data"]
    ActionChains(page.driver).key_down("\ue009").send_keys("z").key_up("\ue009").perform()
    assert page.run("return explorer.get('x[1]').data") == before[0]["data"]


def test_a_click_selects_and_a_double_click_unfolds(opened):
    page = opened(network())
    click(page, "x[2]")
    assert page.find(".inspector h3").text == "x\n2"
    folded = page.run("return explorer.view().boxes")
    click(page, "a1[1]", double=True)  # inside the folded neuron
    assert page.run("return explorer.view().boxes") > folded
    assert page.find(".inspector h3").text == "neuron 1 of layer 1"


def test_typing_a_number(opened):
    page = opened(network())
    page.run("explorer.select('W1[1,1]')")
    page.wait_for_frame()
    field = page.find(".control .number")
    field.clear()
    field.send_keys("-1.5e-1\n")
    assert page.run("return explorer.get('W1[1,1]').data") == -0.15
    field.clear()
    field.send_keys("much\n")
    assert field.get_attribute("aria-invalid") == "true"
    assert page.run("return explorer.get('W1[1,1]').data") == -0.15


def test_the_keyboard_alone_reaches_and_changes_everything(opened):
    page = opened(network())
    page.run("arguments[0].focus()", page.find("canvas"))
    seen = set()
    for _ in range(8):
        page.press("\ue00f")  # page down goes through all boxes
        seen.add(page.find(".inspector h3").text)
    assert len(seen) == 8
    page.press("/")
    page.press("W2[1,2]", "\ue007")
    assert page.find(".inspector h3").text == "W\n(2)\n12"
    page.run("arguments[0].focus()", page.find("canvas"))
    before = page.run("return explorer.get('W2[1,2]').data")
    page.press("+")
    assert page.run("return explorer.get('W2[1,2]').data") == pytest.approx(before + 0.01)
    page.press("\ue007")  # enter goes to the number
    page.press("0.5", "\ue007")
    assert page.run("return explorer.get('W2[1,2]').data") == 0.5
    page.press("\ue00c")  # escape comes back
    page.press("\ue014")  # right arrow: what it is used by
    assert page.find(".inspector h3").text != "W\n(2)\n12"


def test_a_screen_reader_hears_what_changed(opened):
    page = opened(network())
    spoken = page.find(".spoken")
    assert (spoken.get_attribute("role"), spoken.get_attribute("aria-live")) == ("status", "polite")
    page.run("explorer.set('W1[1,1]', 0.5)")
    loss = page.run("return explorer.get('ℓ').data")
    says = f"W1[1,1] = 0.5. ℓ = {loss:.4g}, its derivative by it "
    page.wait_until(lambda: spoken.get_attribute("textContent").startswith(says))
    for control in page.all("button, input, select, canvas[tabindex]"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")


def test_find_goes_to_a_node_and_says_when_there_is_none(opened):
    page = opened(network())
    finder = page.find(".find")
    finder.send_keys("z2[1]\n")
    assert page.find(".inspector h3").text == "z\n(2)\n1"
    finder.clear()
    finder.send_keys("nonsense\n")
    assert "wrong" in finder.get_attribute("class")


def test_the_state_is_in_the_address(opened):
    page = opened(network())
    page.run("explorer.set('W1[1,1]', 0.75); explorer.select('z1[2]')")
    selected = page.run("return explorer.labels().indexOf('z1[2]')")
    page.wait_until(lambda: page.driver.current_url.endswith(f"&select={selected}"))
    address = page.driver.current_url.partition("#")[2]
    loss = page.run("return explorer.get('ℓ')")
    again = opened(network(), address)
    assert again.run("return explorer.get('W1[1,1]').data") == 0.75
    assert again.run("return explorer.get('ℓ')") == loss
    assert again.find(".inspector h3").text == "z\n(1)\n2"


def test_a_wrong_address_is_no_harm(opened):
    page = opened(network(), "open=99-x&select=1e9&step=-3&.W1[1,1]=<b>&.nothing=1&:-1=2&:9999=1")
    assert page.complaints() == []
    assert (
        page.run("return explorer.get('W1[1,1]').data")
        == network().topological_order()[page.run("return explorer.labels().indexOf('W1[1,1]')")].data
    )


def test_a_hostile_label_stays_text(driver, opened):
    from selenium.webdriver.support.expected_conditions import alert_is_present

    y = Value(3.0, "x") * Value(2.0, HOSTILE)
    y.label = "<img src=x onerror=alert(2)>"
    page = opened(y)
    page.run("explorer.select(arguments[0])", HOSTILE)
    page.wait_for_frame()
    assert not alert_is_present()(driver)
    assert page.find(".inspector h3").text == HOSTILE
    assert page.all("img") == []
    assert driver.find_elements("css selector", "img") == []
    assert page.complaints() == []


def test_an_unknown_label_is_an_error_in_words(opened):
    page = opened(network())
    message = page.run("try { explorer.get('W9[1,1]') } catch (error) { return error.message }")
    assert message == 'no node is called "W9[1,1]"'
    message = page.run("try { explorer.set('ℓ', 1) } catch (error) { return error.message }")
    assert message == "ℓ is computed: only leaves can be set"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_either_background(opened, scheme):
    """WCAG's contrast of at least 4.5 for the text beside the graph and the colours of the boxes."""
    page = opened(network())
    prefer(page.driver, color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_frame()
    contrasts = page.run(
        """
        const card = arguments[0];
        const probe = document.createElement("canvas").getContext("2d");
        const light = (colour) => {
          probe.fillStyle = colour;
          probe.fillRect(0, 0, 1, 1);
          return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3).map((x) => x / 255)
            .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
            .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
        };
        const style = getComputedStyle(card);
        const colour = (name) => style.getPropertyValue(`--${name}`).trim();
        const contrast = (text, ground) => {
          const [low, high] = [light(text), light(ground)].sort((a, b) => a - b);
          return (high + 0.05) / (low + 0.05);
        };
        const kinds = ["input", "parameter", "constant", "op", "group"];
        const grounds = kinds.map((kind) => colour(`${kind}-fill`));
        return ["ink", "gradient"].flatMap((text) => grounds.map((ground) => contrast(colour(text), ground)))
          .concat(["ink", "quiet", "good", "bad", "forward", "backward", "gradient"].flatMap((text) =>
            [colour("page"), colour("soft")].map((ground) => contrast(colour(text), ground))));
        """,
        page.find(".card"),
    )
    assert len(contrasts) == 24
    assert min(contrasts) >= 4.5


def picture(page):
    page.wait_for_frame()
    return page.run("return arguments[0].toDataURL()", page.find(".stage canvas"))


CHANGES = {
    "a number": lambda page: page.run("explorer.set('W1[1,1]', -1.5)"),
    "the selection": lambda page: page.run("explorer.select('x[2]')"),
    "the camera": lambda page: page.find("button[title='zoom in']").click(),
    "what is unfolded": lambda page: page.find("button[title='unfold everything']").click(),
    "what edges show": lambda page: page.find(".edges select").send_keys("gradient"),
    "the mode": lambda page: page.run("explorer.step(9)"),
    "the step": lambda page: page.run("explorer.step(20)"),
    "the theme": lambda page: prefer(page.driver, color_scheme="dark", reduced_motion="reduce"),
}


def test_what_is_kept_while_numbers_change_is_never_old(opened):
    """After each change the canvas shows what it shows when everything is painted anew."""
    page = opened(network())
    prefer(page.driver, color_scheme="light", reduced_motion="reduce")
    shown = [picture(page)]
    for name, change in CHANGES.items():
        change(page)
        shown.append(picture(page))
        page.run("dispatchEvent(new Event('explorer:draw'))")
        assert picture(page) == shown[-1], name
    prefer(page.driver, color_scheme="light", reduced_motion="reduce")
    assert len(set(shown)) == len(shown)


def test_edges_on_top_of_each_other_are_one_as_far_as_they_are_in_sight(opened):
    """A leaf with 500 uses; all but a few of its edges run out of the window along the same way."""
    page = opened(chain(1500))
    strokes = """
        let count = 0;
        const original = CanvasRenderingContext2D.prototype.stroke;
        CanvasRenderingContext2D.prototype.stroke = function (path) {
          if (path && this.canvas.isConnected) count += 1;
          original.call(this, path);
        };
        explorer.set("w", 0.75);
        requestAnimationFrame(() => requestAnimationFrame(() => {
          CanvasRenderingContext2D.prototype.stroke = original;
          arguments[0](count);
        }));
    """
    page.run("explorer.select('w')")
    page.wait_for_frame()
    assert 10 < page.driver.execute_async_script(strokes) < 120


def test_the_name_of_every_operation_is_drawn_in_full(opened):
    page = opened(every_operation())
    page.find("button[title='fit everything into the window (f)']").click()
    page.run("explorer.select('of logsumexp')")
    assert "logsumexp" in page.drawn()


# Sizes


def chain(n):
    """A chain of `n` operations on a few leaves."""
    w, y = Value(0.5, "w"), Value(1.0, "x")
    while len(y.topological_order()) < n if n < 50 else n > 0:
        y = (y * w).sin() + 0.25
        n -= 3
    return y


def test_a_graph_of_thousands_of_nodes_opens(opened):
    page = opened(chain(6000))
    assert page.complaints() == []
    assert any("more nodes, farther from the output" in text for text in page.drawn())
    page.run("explorer.set('w', 0.75)")
    assert page.run("return explorer.get('w').data") == 0.75


def test_a_large_network_stays_folded_as_far_as_needed(opened):
    model = MLP(30, [40, 40, 1], activation="tanh", seed=0)
    loss = squared_error(model([0.1] * 30), 1.0)
    assert len(loss.topological_order()) > 2900
    page = opened(loss)
    nodes = next(button for button in page.all(".toolbar button") if button.text == "Nodes")
    nodes.click()
    page.wait_for_frame()
    assert 100 < page.run("return explorer.view().boxes") <= 2000
    assert page.complaints() == []


def test_folding_by_keyboard(opened):
    page = opened(network())
    page.run("explorer.select('W1[1,1]')")  # inside a neuron, which unfolds
    page.wait_for_frame()
    unfolded = page.run("return explorer.view().boxes")
    page.run("arguments[0].focus()", page.find(".inspector .link"))
    page.press("\ue007")  # enter selects the neuron
    assert page.find(".inspector h3").text == "neuron 1 of layer 1"
    page.run("arguments[0].focus()", page.find("canvas"))
    page.press("\ue007")  # and folds it
    assert page.run("return explorer.view().boxes") < unfolded
    page.press("\ue007")
    assert page.run("return explorer.view().boxes") == unfolded


# In a notebook: the fragments of several cells stand on one page


@pytest.fixture
def cells(driver, tmp_path):
    fragments = [explore(network())._repr_mimebundle_()["text/html"] for _ in range(2)]
    file = tmp_path / "exported.html"
    file.write_text(
        f"<!doctype html><meta charset=utf-8><body data-jp-theme-light=true>{''.join(fragments)}",
        encoding="utf-8",
    )
    first = Page(driver, file, host="body > div:nth-of-type(1)")
    second = driver.find_element("css selector", "body > div:nth-of-type(2)").shadow_root
    return first, second


def test_two_displays_on_one_page_do_not_disturb_each_other(cells):
    first, second = cells
    headlines = [root.find_element("css selector", ".headline").text for root in (first.root, second)]
    field = first.find(".control .number")
    field.clear()
    field.send_keys("2\n")
    first.wait_for_frame()
    assert first.find(".headline").text != headlines[0]
    assert second.find_element("css selector", ".headline").text == headlines[1]
    assert "#" not in first.driver.current_url  # a notebook's address is the notebook's
    assert first.complaints() == []


def test_follows_jupyterlabs_theme(cells):
    page, _ = cells
    assert "dark" not in page.find(".card").get_attribute("class").split()
    page.driver.execute_script("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_frame()
    assert "dark" in page.find(".card").get_attribute("class").split()


def test_an_untrusted_notebook_shows_the_picture(driver, tmp_path):
    fragment = explore(network())._repr_mimebundle_()["text/html"]
    file = tmp_path / "untrusted.html"
    file.write_text(
        f"<!doctype html><meta charset=utf-8>{fragment.partition('<script>')[0]}", encoding="utf-8"
    )
    driver.get(file.as_uri())
    image = driver.find_element("css selector", "img")
    assert image.get_property("complete")
    assert image.get_property("naturalWidth") > 500
    assert "Run this cell" in driver.find_element("css selector", "body").text


def test_json_of_the_page_is_the_scene(opened):
    """The interface of the page counts the nodes that Python recorded."""
    loss = network()
    page = opened(loss)
    assert len(page.run("return explorer.labels()")) == len(loss.topological_order())
    assert json.dumps(page.run("return explorer.get('W1[1,1]')")).startswith('{"data": 0.0669')
