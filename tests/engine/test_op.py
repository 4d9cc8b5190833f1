"""The record of an operation that a user brings: what it gives is checked, since nobody else has."""

from fractions import Fraction

import pytest

from micrograd_mlp import (
    Op,
    Value,
    grad,
)
from tests.optional import from_numpy


class TestAnOpOfTheUsers:
    @pytest.mark.parametrize("name", ["mine", "exp"])
    @pytest.mark.parametrize("n_partials", [0, 1, 3, 4])
    def test_has_a_derivative_for_each_input(self, name, n_partials):
        op = Op(name, lambda x, y: x, lambda out, x, y: (1.0,) * n_partials, arity=2)
        with pytest.raises(TypeError, match=f"{n_partials} partials for 2 inputs"):
            op(Value(1.0), Value(2.0))

    def test_may_have_hundreds_of_inputs(self):
        x = [Value(1.0) for _ in range(300)]
        op = Op("mine", lambda *x: x[-1], lambda out, *x: (0.0,) * 299 + (1.0,), arity=None)
        assert grad(op(*x), x) == [0.0] * 299 + [1.0]

    @pytest.mark.parametrize("result", [None, 1j, "1.0"])
    def test_gives_numbers(self, result):
        for op in (
            Op("mine", lambda x: result, lambda out, x: (1.0,)),
            Op("mine", lambda x: 1.0, lambda out, x: (result,)),
        ):
            with pytest.raises(TypeError, match="op 'mine': forward and partials must give numbers"):
                op(Value(1.0))

    @pytest.mark.parametrize(
        "number", [Fraction(1, 2), *from_numpy(lambda np: [np.float32(0.5), np.float64(0.5)])]
    )
    def test_may_give_any_kind_of_number(self, number):
        x = Value(1.0)
        node = Op("mine", lambda x: number, lambda out, x: (number,))(x)
        assert (type(node.data), type(node.local_grads[0])) == (float, float)
        assert (node.data, grad(node, [x])) == (0.5, [0.5])
