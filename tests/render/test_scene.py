"""One scene for all views: a node has one name in `draw`, `tree`, `explain` and the page."""

import pytest

from micrograd_mlp import (
    MLP,
    Constant,
    Op,
    Value,
    draw,
    explain,
    explore,
    mean,
    squared_error,
    step_through,
    tree,
)
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.render.description import describe
from micrograd_mlp.render.scene import PALETTE, Scene, kind, require_current, symbol


def unlabelled():
    x = Value(3.0)
    square = x * x
    return square, (square + x).tanh()


def test_labels_numbers_and_short_names():
    x, other = Value(1.0, "x"), Value(2.0, "x")
    output = (x * other) * 3.0 + Value(4.0)
    scene = Scene(output)
    names = {scene.name(node): node for node in scene.order}
    assert names["x"] is x
    assert names["x#2"] is other
    assert isinstance(names["3"], Constant)
    assert names["f"] is output
    assert names.keys() == {"x", "x#2", "3", "f", "v1", "v2", "v3"}


def test_short_names_keep_off_the_labels():
    scene = Scene(Value(1.0, "v1") * Value(2.0, "f") * 3.0)
    assert [scene.name(node) for node in scene.order if not node.label] == ["3", "v2", "v3"]


def test_the_first_example_of_a_batch_has_the_plain_labels():
    model = MLP(1, [1], seed=0)
    loss = mean([squared_error(model([x]), 0.0) for x in (1.0, 2.0, 3.0)])
    scene = Scene(loss)
    assert {scene.name(node): node.data for node in scene.order if node.label == "x[1]"} == {
        "x[1]": 1.0,
        "x[1]#2": 2.0,
        "x[1]#3": 3.0,
    }


def test_every_view_gives_a_node_the_same_name():
    square, output = unlabelled()
    name = Scene(output).name(square)
    assert f"├── {name} = ×" in tree(output)
    assert f"<B>{name}</B>" in draw(output).source
    assert str(explain(output, square)).startswith(f"∂f/∂{name} = ")
    assert name in [node["name"] for node in describe(Scene(output))[0]["nodes"]]


def test_every_view_names_the_target_of_a_loss():
    y_hat = Value(0.5, "ŷ")
    loss = squared_error(y_hat, 0.75)
    assert "── y = 0.75" in tree(loss)
    assert "<y = 0.75>" in draw(loss).source
    assert "ŷ - y" in str(explain(loss, y_hat))
    assert "y" in [node["name"] for node in describe(Scene(loss))[0]["nodes"]]


@pytest.mark.parametrize("op", [op for op in TABLE.values() if op.arity in (1, 2)], ids=lambda op: op.name)
def test_every_view_gives_an_operation_the_same_symbol(op):
    output = op(*[Value(0.5, f"x{i}") for i in range(op.arity)])
    assert f"f = {symbol(op)}  data=" in tree(output, width=80)
    assert f'<FONT POINT-SIZE="16">{symbol(op)}</FONT>' in draw(output).source


def test_a_symbol_is_printable_and_never_empty():
    assert symbol(Op("bell", float, lambda out, x: (1.0,), symbol="\a\u202e")) == r"\x07\u202e"
    assert symbol(Op("", float, lambda out, x: (1.0,))) == "op"


@pytest.mark.parametrize("accented", ["e" + "\u0301" * 5000, ("e" + "\u0301" * 9) * 500, "\u0301"])
def test_a_symbol_of_combining_letters_ends_every_view(accented):
    """They take no columns on a terminal, so that cutting by columns alone would take very long."""
    op = Op("accents", float, lambda out, x: (1.0,), symbol=accented)
    y = op(Value(1.0, "x\u0301" * 500))
    assert len(tree(y, width=30).splitlines()) == 2
    assert "digraph" in draw(y).source
    assert "<script>" in explore(y).html()


def test_a_long_text_is_cut_to_letters_before_its_columns_are_counted():
    """Counting them again for each letter of a megabyte would take a day."""
    op = Op("accents", float, lambda out, x: (1.0,), symbol=("e" + "\u0301" * 9) * 500)
    line = tree(op(Value(1.0, "x")), width=30).splitlines()[0]
    assert len(line) < 60


def test_every_kind_has_its_colours():
    nodes = Scene(MLP(1, [1], seed=0)([1.0]) * 2.0).order
    assert {kind(node) for node in nodes} == {"input", "parameter", "constant", "op"}
    assert PALETTE.keys() == {"input", "parameter", "constant", "op", "group"}
    assert len({colours.fill for colours in PALETTE.values()}) == len(PALETTE)


# A graph whose leaves have changed since: no view shows the old numbers beside the new ones

VIEWS = {
    "draw": draw,
    "tree": tree,
    "explain": lambda output: explain(output, output.topological_order()[0]),
    "explore": explore,
    "step_through": step_through,
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_every_view_names_a_leaf_that_has_changed_and_what_to_do(view):
    w, x = Value(3.0, "w"), Value(2.0, "x")
    y = (w * x).tanh()
    view(y)
    w.data = 0.5
    with pytest.raises(
        ValueError, match=r"^w = 0\.5 has changed since this graph was computed: output\.forward\(\)"
    ):
        view(y)
    y.forward()
    view(y)


@pytest.mark.parametrize("op", TABLE.values(), ids=lambda op: op.name)
@pytest.mark.parametrize("x", [0.3, 1.0, 2.7])
def test_no_leaf_of_any_operation_is_said_to_have_changed(op, x):
    require_current(op(*[Value(x + 0.1 * k) for k in range(op.arity or 4)]))


def test_many_changed_leaves_are_counted():
    leaves = [Value(float(i), f"x{i}") for i in range(6)]
    y = leaves[0]
    for leaf in leaves[1:]:
        y = y + leaf
    for leaf in leaves:
        leaf.data += 1.0
    with pytest.raises(ValueError, match=r"and \d more have changed since"):
        draw(y)


def test_an_explanation_that_is_printed_too_late_says_so():
    w = Value(3.0, "w")
    explanation = explain(w * w, w)
    str(explanation)
    w.data = 1.0
    with pytest.raises(ValueError, match=r"w = 1\.0 has changed"):
        str(explanation)


def test_a_node_whose_derivatives_were_given_is_shown_as_one():
    x = Value(3.0, "x")
    y = Value(9.0, (x,), (6.0,))
    assert tree(y) == "f = given  data=9\n└── x  data=3"
    assert ">given<" in draw(y).source
    assert str(explain(y, x)).startswith("∂f/∂x = 6, along 1 path")
    [op] = describe(Scene(y))[0]["ops"]
    assert (op["name"], op["problem"]) == ("given", "its local derivatives were given as numbers")


# Views show no gradient before `backward()`: a 0 that nobody computed would be a lie


def test_before_backward_no_view_shows_a_gradient():
    model = MLP(2, [2, 1], activation="tanh", seed=0)
    loss = squared_error(model([1.0, 2.0]), 0.0)
    for collapse in (None, "neuron", "layer"):
        for hidden in ("grad", "δ"):
            assert hidden not in draw(loss, collapse=collapse).source
    loss.backward()
    assert ">grad<" in draw(loss).source
    assert ">δ1<" in draw(loss, collapse="layer").source


def test_a_gradient_of_zero_is_shown_where_another_one_is_not_zero():
    x, unused = Value(2.0, "x"), Value(1.0, "unused")
    y = x + unused * 0.0
    y.backward()
    assert "unused  data=1  grad=0" in tree(y)
