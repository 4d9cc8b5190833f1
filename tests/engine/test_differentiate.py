"""`grad` and `hessian`: derivatives of a graph that leave `.grad` alone, of any order (§7)."""

import math

import pytest

from micrograd_mlp import (
    Value,
    grad,
    hessian,
    no_grad,
)


class TestGradAndHessian:
    def test_leave_grad_alone(self):
        x, y = Value(2.0), Value(5.0)
        z = x * y
        x.grad, z.grad = 7.0, 8.0
        assert grad(z, [x, y]) == [5.0, 2.0]
        assert hessian(z, [x, y]) == [[0.0, 1.0], [1.0, 0.0]]
        assert (x.grad, y.grad, z.grad) == (7.0, 0.0, 8.0)

    def test_by_interior_nodes_and_by_strangers(self):
        x, stranger = Value(2.0), Value(1.0)
        a = x * x
        y = a * 3 + x
        assert grad(y, [a, y, stranger, x]) == [3.0, 1.0, 0.0, 13.0]
        assert [g.data for g in grad(y, [stranger, x], create_graph=True)] == [0.0, 13.0]

    def test_derivatives_of_every_order(self):
        x = Value(0.5)
        y = x.sin()
        for expected in (math.cos, lambda x: -math.sin(x), lambda x: -math.cos(x), math.sin, math.cos):
            [y] = grad(y, [x], create_graph=True)
            assert y.data == pytest.approx(expected(0.5), rel=1e-15)

    def test_a_hessian_is_symmetric(self):
        x = [Value(v) for v in (0.3, -0.7, 1.1)]
        h = hessian((x[0] * x[1]).tanh() * x[2].exp() + x[0] ** 3 / x[2], x)
        assert all(h[i][j] == pytest.approx(h[j][i], rel=1e-13) for i in range(3) for j in range(3))

    def test_second_derivatives_need_the_numbers_of_the_forward_pass(self):
        x = Value(2.0, "x")
        y = x**3
        x.data = 5.0
        assert grad(y, [x]) == [12.0]
        with pytest.raises(RuntimeError, match=r"∂\(pow\)/∂\(x=5.0\) was 12.0 .* is 75.0 now"):
            hessian(y, [x])

    @pytest.mark.parametrize("changed", [5.0, 1.0, -1.0, 2.00000001])
    def test_whichever_way_they_changed(self, changed):
        x = Value(2.0)
        y = x**3
        x.data = changed
        with pytest.raises(RuntimeError, match=r"some \.data was changed in between"):
            grad(y, [x], create_graph=True)

    @pytest.mark.parametrize(("output", "inputs"), [(1.0, []), (Value(1.0), Value(1.0)), (Value(1.0), [1.0])])
    def test_bad_arguments(self, output, inputs):
        with pytest.raises(TypeError, match=r"must be a (list of )?Value"):
            grad(output, inputs)

    def test_under_no_grad(self):
        x = Value(2.0)
        y = x * x
        with no_grad(), pytest.raises(RuntimeError, match="no_grad"):
            grad(y, [x])


def test_the_inputs_may_come_from_a_generator():
    x, y = Value(2.0), Value(5.0)
    output = x**2 * y
    assert grad(output, (v for v in (x, y))) == [20.0, 4.0]
    assert hessian(output, (v for v in (x, y))) == [[10.0, 4.0], [4.0, 0.0]]
    assert grad(output, []) == []


def test_several_outputs_are_to_be_added_up():
    x = Value(2.0)
    with pytest.raises(TypeError, match=r"one Value, got \[.*: add them up first, total\(outputs\)"):
        grad([x * 2.0, x * 3.0], [x])
