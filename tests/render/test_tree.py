"""`tree`: a graph as text."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_mlp import Constant, Parameter, Value, total, tree
from micrograd_mlp.render.text import columns


def neuron():
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(-1.0, "b")
    a = (w * x + b).tanh()
    a.label = "a"
    a.backward()
    return a


def test_every_node_stands_below_what_is_computed_from_it():
    assert tree(neuron()).splitlines() == [
        "a = tanh  data=0  grad=1",
        "└── v2 = +  data=0  grad=1",
        "    ├── v1 = ×  data=1  grad=1",
        "    │   ├── w  data=0.5  grad=2",
        "    │   └── x  data=2  grad=0.5",
        "    └── b  data=-1  grad=1",
    ]


def test_a_node_without_a_label_has_a_name_all_the_same():
    leaves = [Value(1.0), Parameter(2.0), Constant(3.0), Constant(4.0, "c")]
    assert tree(total(leaves)).splitlines() == [
        "f = Σ  data=10",
        "├── v2  data=1",
        "├── v1  data=2",
        "├── 3",
        "└── c = 4",
    ]


def test_a_shared_operation_is_opened_once_and_referred_to_after_that():
    x = Value(3.0, "x")
    y = x * x
    assert tree(y + y).splitlines() == [
        "f = +  data=18",
        "├── v1 = ×  data=9",
        "│   ├── x  data=3",
        "│   └── x  data=3",
        "└── v1  (see above)",
    ]


def test_gradients_are_shown_once_backward_has_filled_them():
    x = Value(3.0, "x")
    y = x * x
    assert tree(y, depth=0) == "f = ×  data=9  … 2 parents"
    y.backward()
    assert tree(y, depth=0) == "f = ×  data=9  grad=1  … 2 parents"
    y.grad = x.grad = 0.0  # what zero_grad() leaves
    assert "grad" not in tree(y)


def test_a_shared_graph_does_not_grow_with_its_number_of_paths():
    x = Value(1.0, "x")
    for _ in range(50):  # 2⁵⁰ paths
        x = x + x
    assert len(tree(x).splitlines()) == 101


def test_digits_are_four_unless_said_otherwise():
    assert tree(Value(1 / 3, "x")) == "x  data=0.3333"
    assert tree(Value(1 / 3, "x"), digits=2) == "x  data=0.33"


# Large graphs


def test_depth_cuts_and_says_what_is_kept_back():
    assert tree(neuron(), depth=1).splitlines() == [
        "a = tanh  data=0  grad=1",
        "└── v2 = +  data=0  grad=1  … 2 parents",
    ]
    assert tree(neuron(), depth=0) == "a = tanh  data=0  grad=1  … 1 parent"
    assert tree(neuron(), depth=3) == tree(neuron())


def test_what_depth_cut_in_one_place_is_opened_in_another():
    x = Value(2.0, "x")
    y = x.tanh()
    y.label = "y"
    assert tree(y.sin() + y, depth=2).splitlines()[1:] == [
        "├── v1 = sin  data=0.8215",
        "│   └── y = tanh  data=0.964  … 1 parent",
        "└── y = tanh  data=0.964",
        "    └── x  data=2",
    ]


def test_a_deep_graph_keeps_its_lines_short():
    y = Value(1.0, "x")
    for _ in range(20_000):
        y = y.tanh()
    lines = tree(y, width=60).splitlines()
    assert len(lines) == 20_001
    assert max(map(len, lines)) <= 60
    assert re.fullmatch(r" *⋯ 20000: x  data=1", lines[-1])


# Terminals


def test_lines_keep_to_the_width_and_the_numbers_stay():
    y = Value(1.0, "a very long label that goes on and on") * 2.0
    assert tree(y, width=40).splitlines() == [
        "f = ×  data=2",
        "├── a very long label that goes…  data=1",
        "└── 2",
    ]


def test_the_width_is_the_terminal_s(monkeypatch):
    y = Value(1.0, "w" * 200)
    monkeypatch.setenv("COLUMNS", "50")
    assert len(tree(y)) == 50
    monkeypatch.setenv("COLUMNS", "5")
    assert len(tree(y)) == 20


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5), st.integers(20, 100), st.booleans())
@settings(max_examples=100)
def test_any_label_keeps_to_one_line_of_the_width(labels, width, in_ascii):
    output = total([Value(1.0, label) for label in labels])
    lines = tree(output, width=width, ascii=in_ascii).splitlines()
    assert len(lines) == len(labels) + 1
    for line in lines:
        assert columns(line) <= width
        assert line.isprintable()
        assert line.isascii() or not in_ascii


def test_a_label_can_not_command_the_terminal():
    shown = tree(Value(1.0, "\x1b[2J\x07\n\r‮x"))
    assert shown == r"\x1b[2J\x07\n\r\u202ex  data=1"


def test_wide_letters_count_twice_and_accents_not_at_all():
    assert tree(Value(1.0, "层" * 20), width=30) == "层层层层层层层层层层…  data=1"
    assert tree(Value(1.0, "e\u0301" * 14), width=30) == "e\u0301" * 14 + "  data=1"


def test_ascii_on_request():
    x = Value(2.0, "σ")
    assert tree((x.sigmoid() + x).tanh(), depth=2, ascii=True).splitlines() == [
        r"f = tanh  data=0.9937",
        r"`-- v2 = add  data=2.881",
        r"    |-- v1 = sigmoid  data=0.8808  ... 1 parent",
        r"    `-- \u03c3  data=2",
    ]


# Bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"depth": -1}, ValueError, "depth must be 0 or more, got -1"),
        ({"depth": "4"}, TypeError, "depth must be an int, got '4'"),
        ({"depth": True}, TypeError, "depth must be an int, got True"),
        ({"width": 19}, ValueError, "width must be 20 or more, got 19"),
        ({"digits": 0}, ValueError, "digits must be 1 or more, got 0"),
    ],
)
def test_a_wrong_option_is_an_error(options, error, message):
    with pytest.raises(error, match=message):
        tree(Value(1.0), **options)


def test_only_a_value_has_a_tree():
    with pytest.raises(TypeError, match=r"value must be a Value, got 1\.0"):
        tree(1.0)
