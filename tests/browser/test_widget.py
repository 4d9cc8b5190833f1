"""`explore(output).widget()` in JupyterLab, in a real browser: both sides show the same numbers."""

import json

import pytest

from tests.browser.chromium import chromium, missing

pytest.importorskip("selenium", reason='needs selenium: pip install "micrograd_mlp[browser]"')
pytest.importorskip("jupyterlab", reason='needs JupyterLab: pip install "micrograd_mlp[browser]"')
pytest.importorskip("anywidget", reason='needs anywidget: pip install "micrograd_mlp[widget]"')
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

PROGRAM = """
import json
from pathlib import Path
from micrograd_mlp import *

def numbers(output):
    nodes = output.topological_order()
    return json.dumps([[node.data, None if isinstance(node, Constant) else node.grad] for node in nodes])

def compute(output):
    output.forward()
    for node in output.topological_order():
        node.grad = 0.0
    output.backward()

model = MLP(2, [2, 1], activation="sigmoid", seed=3)
x = [Value(1.0, "x[1]"), Value(-2.0, "x[2]")]
loss = squared_error(model(x), Value(1.0, "y"))
w = model.parameters()[0]
optimizer = SGD(model.parameters(), lr=0.5)
page = explore(loss).widget()
"""
SEEN = "return explorer.labels().map((_, i) => [explorer.get(i).data, explorer.get(i).grad])"
UNDO = """
const keys = { key: "z", ctrlKey: true, bubbles: true, composed: true };
arguments[0].dispatchEvent(new KeyboardEvent("keydown", keys));
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    from tests.browser.jupyterlab import Lab, server

    with server(tmp_path_factory.mktemp("lab")) as address, chromium(width=1300, height=1000) as driver:
        yield Lab(driver, address)


@pytest.fixture
def page(lab):
    """The page of a new network, alone in the notebook."""
    lab.clear()
    lab.run(PROGRAM)
    return show(lab, "page")


def show(lab, what):
    """The page that a new cell shows, when it is there."""
    before = len(lab.pages())
    lab.run(what)
    lab.until(lambda: len(lab.pages()) == before + 1)
    return lab.pages()[-1]


def seen(lab, label):
    return lab.driver.execute_script("return explorer.get(arguments[0]).data", label)


def type_number(page, text):
    field = page.find_element("css selector", ".control .number")
    field.clear()
    field.send_keys(text, "\n")


def assert_both_sides_agree(lab):
    kernel = json.loads(lab.run("print(numbers(loss))"))
    for (data, grad), (data_here, grad_here) in zip(kernel, lab.driver.execute_script(SEEN), strict=True):
        assert data == pytest.approx(data_here, rel=1e-12, abs=1e-300)
        assert grad is None or grad == pytest.approx(grad_here, rel=1e-12, abs=1e-300)


def test_a_number_typed_on_the_page_is_the_kernels(lab, page):
    assert lab.run("print(w.grad)") == "0.0\n"  # to look changes nothing
    type_number(page, "1.25")
    lab.until(lambda: lab.run("print(w.data)") == "1.25\n")
    assert_both_sides_agree(lab)


def test_a_number_dragged_on_the_page_is_the_kernels(lab, page):
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = page.find_element("css selector", "canvas")
    lab.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    x, y = lab.driver.execute_script("return explorer.placeOf('x[1]')")
    start = (round(x - canvas.size["width"] / 2), round(y - canvas.size["height"] / 2))
    ActionChains(lab.driver).move_to_element_with_offset(canvas, *start).click_and_hold().move_by_offset(
        15, 0
    ).move_by_offset(25, 0).release().perform()
    dragged = seen(lab, "x[1]")
    assert dragged == pytest.approx(1.4)
    lab.until(lambda: lab.run("print(x[0].data)") == f"{dragged}\n")
    assert_both_sides_agree(lab)


def test_descent_and_undo_on_the_page_reach_the_kernel(lab, page):
    before = lab.run("print(w.data)")
    lab.driver.execute_script("explorer.descend(0.3, 20)")
    lab.until(lambda: lab.run("print(w.data)") == f"{seen(lab, 'W1[1,1]')}\n" != before)
    assert_both_sides_agree(lab)
    undo = next(b for b in page.find_elements("css selector", ".descent button") if b.text == "Undo")
    lab.driver.execute_script("arguments[0].click()", undo)
    lab.until(lambda: lab.run("print(w.data)") == before)


@pytest.mark.parametrize(
    "change",
    [
        "optimizer.zero_grad(); loss.backward(); optimizer.step()",
        "w.data = 0.5; loss.forward()",
        "w.data = -3.5",
        "model.load_state_dict(MLP(2, [2, 1], activation='sigmoid', seed=7).state_dict())",
        "fit(model, squared_error, [[1.0, -2.0]], [1.0], optimizer, epochs=3)",
    ],
)
def test_what_python_changes_moves_on_the_page(lab, page, change):
    lab.run(change)
    w = float(lab.run("print(w.data)"))
    lab.until(lambda: seen(lab, "W1[1,1]") == w)
    lab.run("compute(loss)")
    assert_both_sides_agree(lab)


def test_the_page_moves_while_a_cell_runs(lab, page):
    """The cell runs until the page was seen to move twice; two targets for one input never let it rest."""
    before = seen(lab, "W1[1,1]")
    lab.start(
        "def stop(epoch, loss):\n"
        "    return Path('stop').exists()\n"
        "X, Y = [[1.0, -2.0]] * 2, [1.0, 0.0]\n"
        "fit(model, squared_error, X, Y, optimizer, epochs=10**6, batch_size=1, callback=stop)"
    )
    lab.until(lambda: seen(lab, "W1[1,1]") != before)
    first = seen(lab, "W1[1,1]")
    lab.until(lambda: seen(lab, "W1[1,1]") != first)
    (lab.folder / "stop").touch()
    last = float(lab.run("print(w.data)"))
    lab.until(lambda: seen(lab, "W1[1,1]") == last)
    (lab.folder / "stop").unlink()


def test_what_python_changed_can_be_undone_on_the_page(lab, page):
    before = seen(lab, "W1[1,1]")
    lab.run("w.data = 4.0")
    lab.run("w.data = 5.0")
    lab.until(lambda: seen(lab, "W1[1,1]") == 5.0)
    lab.driver.execute_script(UNDO, page.find_element("css selector", "canvas"))
    assert seen(lab, "W1[1,1]") == before
    lab.until(lambda: lab.run("print(w.data)") == f"{before}\n")


def test_python_computes_what_the_page_cannot(lab, page):
    lab.run(
        "steps = {0.5: 2.0, 1.0: 5.0, 2.0: 7.0}\n"
        "look_up = Op('look_up', forward=lambda x: steps[x], partials=lambda out, x: (10.0 * x,))\n"
        "u = Value(1.0, 'u')\n"
        "loss = look_up(u * 1.0).tanh() * 3.0 + u\n"
        "loss.label = 'total'"
    )
    page = show(lab, "explore(loss).widget()")
    problems = page.find_element("css selector", ".problems")
    assert "The page can't compute look_up" in problems.text
    assert "Python computes it" in problems.text
    lab.driver.execute_script("explorer.set('u', 0.5)")
    lab.until(lambda: seen(lab, "total") is not None)  # nan, until Python has answered
    assert_both_sides_agree(lab)
    lab.driver.execute_script("explorer.set('u', 1.5)")
    lab.until(lambda: "KeyError: 1.5" in problems.text)
    assert seen(lab, "total") is None
    assert lab.run("print(u.data)") == "1.5\n"
    lab.run("u.data = 2.0")
    lab.until(lambda: seen(lab, "total") is not None)
    lab.run("compute(loss)")
    assert_both_sides_agree(lab)


def test_several_views_and_several_widgets_show_the_same_numbers(lab, page):
    again = show(lab, "page")
    other = show(lab, "explore(loss).widget()")
    type_number(again, "0.75")
    lab.until(lambda: lab.run("print(w.data)") == "0.75\n")
    headlines = [root.find_element("css selector", ".headline") for root in (page, again, other)]
    lab.until(lambda: len({headline.text for headline in headlines}) == 1)
    assert_both_sides_agree(lab)
    assert headlines[0].text.startswith("f = ")


def test_a_page_that_is_shown_later_has_the_present_numbers(lab, page):
    type_number(page, "-1.5")
    lab.until(lambda: lab.run("print(w.data)") == "-1.5\n")
    show(lab, "page")
    lab.until(lambda: seen(lab, "W1[1,1]") == -1.5)


def test_closing_takes_every_view_away(lab, page):
    show(lab, "page")
    lab.run("page.close()")
    lab.until(lambda: not lab.pages())
    assert lab.run("w.data = 0.25\nprint(page)") == "<ExplorerWidget: closed>\n"


def test_keys_on_the_page_are_not_the_notebooks(lab, page):
    cells = "return jupyterapp.shell.currentWidget.content.widgets.length"
    before = lab.driver.execute_script(cells)
    for selector in (".control .number", "canvas"):
        page.find_element("css selector", selector).send_keys("b", "a", "x")
    assert lab.driver.execute_script(cells) == before


def test_nothing_was_wrong_in_the_console(lab, page):
    severe = [entry for entry in lab.driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
