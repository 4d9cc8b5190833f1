"""Nodes, graphs and records can be copied and pickled, however deep a graph is."""

import copy
import pickle

import pytest

from micrograd_mlp import MLP, Constant, Op, Parameter, Value, add, dot, exp, primitive, squared_error
from micrograd_mlp.engine.table import TABLE

DEPTH = 5_000  # far beyond the recursion limit


@primitive(partials=lambda out, x: (2.0 * x,))
def my_square(x):
    return x * x


def cube(x):
    return x * x * x


my_cube = Op("my_cube", forward=cube, partials=lambda out, x: (3.0 * x * x,))


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


every_copy = pytest.mark.parametrize("again", [pickled, copy.deepcopy])


def numbers(node):
    return [(type(n), n.data, n.grad, n.label, n.op, n.local_grads) for n in node.topological_order()]


@every_copy
class TestAGraph:
    def test_comes_back_whole(self, again):
        w, x = Parameter(2.0, "w"), Value(3.0, "x")
        y = dot([w, x], [x, 2.0]).tanh() * my_square(w) + my_cube(x)
        y.backward()
        z = again(y)
        assert numbers(z) == numbers(y)
        assert not set(z.topological_order()) & set(y.topological_order())
        z.backward()
        assert [n.grad for n in z.topological_order() if n.parents] == [
            n.grad for n in y.topological_order() if n.parents
        ]

    def test_shares_what_was_shared(self, again):
        w = Parameter(2.0)
        h = w * w
        first, second = h + 1.0, h.exp()
        w2, first2, second2, h2 = again([w, first, second, h])
        assert first2.parents[0] is second2.parents[0] is h2
        assert h2.parents == (w2, w2)

    def test_may_be_deep(self, again):
        y = Value(1.0)
        for _ in range(DEPTH):
            y = y + 1.0
        z = again(y)
        assert z.data == 1.0 + DEPTH
        assert len(z.topological_order()) == len(y.topological_order())

    def test_a_model_and_its_loss_stay_together(self, again):
        model = MLP(2, [3, 1], seed=0)
        loss = squared_error(model([1.0, 2.0]), 0.5)
        model2, loss2 = again((model, loss))
        loss2.backward()
        loss.backward()
        assert [p.grad for p in model2.parameters()] == [p.grad for p in model.parameters()]
        assert any(p.grad for p in model2.parameters())

    def test_kinds_of_leaves_stay(self, again):
        for leaf in (Value(1.0, "x"), Parameter(2.0), Constant(3.0)):
            assert numbers(again(leaf)) == numbers(leaf)


def test_a_pickle_that_fails_does_not_disturb_the_next():
    bad = Op("bad", forward=lambda x: x, partials=lambda out, x: (1.0,))
    x = Value(1.0)
    h = x * 2.0
    with pytest.raises(TypeError, match="op 'bad' can't be pickled"):
        pickle.dumps(bad(h) + h)
    assert numbers(pickled(h + x)) == numbers(h + x)
    assert numbers(pickled(h)) == numbers(h)


def test_a_shallow_copy_has_the_same_parents():
    x = Value(2.0, "x")
    y = x * 3.0
    z = copy.copy(y)
    assert z is not y
    assert (z.data, z.parents, z.op) == (6.0, y.parents, y.op)
    assert copy.copy(x).label == "x"


class TestARecord:
    @pytest.mark.parametrize("name", TABLE)
    def test_of_the_table_is_itself_again(self, name):
        assert pickled(TABLE[name]) is copy.deepcopy(TABLE[name]) is copy.copy(TABLE[name]) is TABLE[name]

    def test_of_ones_own_is_found_by_its_name(self):
        assert pickled(my_square.op) is my_square.op
        assert pickled(my_cube) is my_cube

    @pytest.mark.parametrize("function", [exp, add, my_square])
    def test_functions_are_found_by_their_names(self, function):
        assert pickled(function) is function

    def test_without_a_name_is_refused_in_words(self):
        op = Op("nameless", forward=lambda x: x, partials=lambda out, x: (1.0,))
        with pytest.raises(TypeError, match=r"'nameless' can't be pickled.*at the top of a module"):
            pickle.dumps(op)
