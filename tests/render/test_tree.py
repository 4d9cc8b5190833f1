"""`tree`: a graph as text."""

from micrograd_mlp import Value, tree


def neuron():
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(-1.0, "b")
    a = (w * x + b).tanh()
    a.label = "a"
    a.backward()
    return a


def test_every_node_stands_below_what_is_computed_from_it():
    assert tree(neuron()).splitlines() == [
        "a = tanh  data=0  grad=1",
        "└── +  data=0  grad=1",
        "    ├── *  data=1  grad=1",
        "    │   ├── w  data=0.5  grad=2",
        "    │   └── x  data=2  grad=0.5",
        "    └── b  data=-1  grad=1",
    ]


def test_a_shared_node_is_opened_once_and_referred_to_after_that():
    x = Value(3.0, "x")
    y = x * x
    assert tree(y + y).splitlines() == [
        "+  data=18  grad=0",
        "├── *  data=9  grad=0  #1",
        "│   ├── x  data=3  grad=0  #2",
        "│   └── x  (see #2)",
        "└── *  (see #1)",
    ]
