"""`explore(output).widget()`: which numbers go to the page, which come back, and when."""

import gc
import math
import struct
import sys
import weakref

import pytest

from micrograd_mlp import MLP, SGD, Op, Value, explore, fit, no_grad, squared_error, step_through
from micrograd_mlp.engine.value import watchers


def numbers_of(widget):
    """What the page was told last: the numbers of the leaves, then those that it can't compute."""
    return list(struct.unpack(f"<{len(widget.numbers) // 8}d", widget.numbers))


class Page:
    """What the page in the browser says to the widget, and hears from it."""

    def __init__(self, output, mode=explore):
        self.widget = mode(output).widget()
        self.order = output.topological_order()
        self.heard = []
        self.widget.send = self.heard.append
        self.told = 0
        self.widget.observe(self.count, "numbers")
        self.say("open")

    def count(self, _):
        self.told += 1

    def say(self, kind, **message):
        self.widget._handle_custom_msg({"kind": kind, "view": "a view"} | message, [])

    def set(self, **numbers):
        nodes = [next(i for i, node in enumerate(self.order) if node.label == name) for name in numbers]
        buffers = [struct.pack(f"<{len(nodes)}d", *numbers.values())]
        self.widget._handle_custom_msg({"kind": "set", "view": "a view", "nodes": nodes}, buffers)


@pytest.fixture
def open_page():
    pytest.importorskip("anywidget", reason='needs anywidget: pip install "micrograd_mlp[widget]"')
    pages = []

    def open_(*arguments):
        pages.append(Page(*arguments))
        return pages[-1]

    yield open_
    for page in pages:
        page.widget.close()
    assert watchers == []


def product():
    x, w = Value(2.0, "x"), Value(3.0, "w")
    y = w * x
    return w, x, y  # in topological order x, w, y


# From the page to Python


def test_a_number_of_the_page_is_assigned_and_the_graph_computed_with_its_gradients(open_page):
    w, x, y = product()
    w.grad = 100.0
    page = open_page(y)
    assert w.grad == 100.0  # to look changes nothing
    page.set(w=5.0)
    assert (w.data, y.data) == (5.0, 10.0)
    assert (w.grad, x.grad, y.grad) == (2.0, 5.0, 1.0)
    page.set(w=4.0, x=7.0)
    assert (w.grad, x.grad, y.grad) == (7.0, 4.0, 1.0)
    assert page.heard == [{"view": "a view", "problem": None}] * 2


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, -0.0, 5e-324])
def test_every_float_arrives_to_the_last_bit(open_page, number):
    w, _, y = product()
    page = open_page(y)
    page.set(w=number)
    assert struct.pack("<d", w.data) == struct.pack("<d", number)
    assert page.widget.numbers[8:] == struct.pack("<d", number)


def test_what_python_cannot_compute_is_said_and_the_number_stays(open_page):
    table = Op("table", forward=lambda x: {1.0: 5.0}[x], partials=lambda out, x: (1.0,))
    x = Value(1.0, "x")
    y = table(x)
    page = open_page(y)
    page.set(x=2.0)
    assert (x.data, y.data) == (2.0, 5.0)
    assert page.heard == [{"view": "a view", "problem": "KeyError: 2.0"}]
    page.set(x=1.0)
    assert page.heard[1]["problem"] is None


def test_a_graph_that_was_recorded_under_no_grad_says_so(open_page):
    with no_grad():
        y = Value(2.0, "x") * 3.0
    y.label = "y"
    page = open_page(y)
    page.set(y=1.0)
    assert "no_grad" in page.heard[0]["problem"]


# From Python to the page


def test_the_page_starts_with_the_leaves_in_topological_order(open_page):
    assert numbers_of(open_page(product()[2]).widget) == [2.0, 3.0]


def test_forward_and_every_step_of_an_optimizer_move_the_page(open_page):
    w, x, y = product()
    page = open_page(y)
    w.data = 4.0
    assert page.told == 0  # an assignment may be one of many
    y.forward()
    assert (page.told, numbers_of(page.widget)) == (1, [2.0, 4.0])
    y.backward()
    optimizer = SGD([w, x], lr=0.5)
    optimizer.step()
    assert (page.told, numbers_of(page.widget)) == (2, [0.0, 3.0])
    assert y.data == 8.0  # the graph waits for its forward(), as it does without a page
    optimizer.zero_grad()
    optimizer.step()
    assert page.told == 2  # nothing moved


@pytest.mark.parametrize("compiled", [False, True])
def test_fit_moves_the_page_in_every_epoch(open_page, compiled):
    if compiled:
        pytest.importorskip("llvmlite", reason='needs llvmlite: pip install "micrograd_mlp[compile]"')
    model = MLP(1, [1], seed=0)
    page = open_page(squared_error(model([Value(1.0, "x")]), 3.0))
    optimizer = SGD(model.parameters(), lr=0.1)
    fit(model, squared_error, [[1.0]], [3.0], optimizer, epochs=4, compiled=compiled)
    assert page.told == 4
    assert {p.data for p in model.parameters()} <= set(numbers_of(page.widget))


def test_a_page_that_nobody_sees_costs_nothing_until_it_is_seen_again(open_page):
    w, _, y = product()
    page = open_page(y)
    page.say("close")
    w.data = 4.0
    y.forward()
    assert page.told == 0
    page.say("open")
    assert (page.told, numbers_of(page.widget)) == (1, [2.0, 4.0])


def test_two_pages_follow_each_other(open_page):
    w, _, y = product()
    z = w + 1.0
    first, second = open_page(y), open_page(z)
    first.set(w=9.0)
    assert numbers_of(second.widget) == [1.0, 9.0]
    second.set(w=-1.0)
    assert numbers_of(first.widget) == [2.0, -1.0]


def test_python_computes_what_the_page_cannot_and_leaves_the_graph_alone(open_page):
    names = {1.0: 5.0, 2.0: 6.0}
    table = Op("table", forward=lambda x: names[x], partials=lambda out, x: (10.0 * x,))
    x = Value(0.5, "x")
    inner = table(x + 0.5)
    y = inner * 3.0
    page = open_page(y)
    assert numbers_of(page.widget) == [3.0, 0.5, 0.5, 5.0, 10.0]
    x.data = 1.5
    page.widget.update()
    assert numbers_of(page.widget) == [3.0, 0.5, 1.5, 6.0, 20.0]
    assert (inner.data, y.data) == (5.0, 15.0)
    x.data = 7.0
    page.widget.update()
    assert all(map(math.isnan, numbers_of(page.widget)[3:]))


def test_a_node_with_given_derivatives_holds_where_it_was_recorded(open_page):
    x = Value(2.0, "x")
    page = open_page(Value(7.0, (x,), (3.5,)) + 1.0)
    assert numbers_of(page.widget) == [1.0, 2.0, 7.0, 3.5]
    page.set(x=3.0)
    assert "cannot be computed again" in page.heard[0]["problem"]
    assert all(map(math.isnan, numbers_of(page.widget)[2:]))
    page.set(x=2.0)
    assert numbers_of(page.widget) == [1.0, 2.0, 7.0, 3.5]


# The widget itself


def test_a_picture_stands_where_no_widget_can_be_shown(open_page):
    w, _, y = product()
    widget = open_page(y).widget
    bundle, _ = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert '<img alt="Graph of f, 3 nodes"' in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    w.data = 1.0
    bundle, _ = widget._repr_mimebundle_()
    assert "<img" not in bundle["text/html"]  # a picture would show another graph
    assert numbers_of(widget) == [2.0, 1.0]


def test_step_through_has_a_widget_too(open_page):
    assert '"mode": "step"' in open_page(product()[2], step_through).widget._esm


class Watched(Value):
    """A Value that can be watched by a weak reference."""


def test_closing_lets_go_of_the_graph_at_once():
    pytest.importorskip("anywidget", reason='needs anywidget: pip install "micrograd_mlp[widget]"')
    w = Watched(2.0, "w")
    watched = weakref.ref(w)
    widget = explore(w * 3.0).widget()
    del w
    gc.collect()
    assert watched() is not None
    gc.disable()  # the graph is in no cycle
    try:
        widget.close()
        assert watched() is None
    finally:
        gc.enable()
    widget.close()  # which does no harm
    assert repr(widget) == "<ExplorerWidget: closed>"


def test_without_anywidget_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "micrograd_mlp.render.widget", raising=False)
    with pytest.raises(ImportError, match=r'pip install "micrograd_mlp\[widget\]"'):
        explore(product()[2]).widget()
