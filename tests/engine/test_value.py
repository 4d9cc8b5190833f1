"""The graph: what Values record, how they are differentiated, and what is refused (design decisions 1-6)."""

import contextlib
import gc
import itertools
import math
import operator
import sys
import threading
import weakref
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import (
    Constant,
    Op,
    Parameter,
    Value,
    detect_anomaly,
    dot,
    exp,
    grad,
    hessian,
    log,
    maximum,
    no_grad,
    relu,
    sqrt,
    tanh,
    total,
)
from micrograd_mlp.engine.modes import mode as _mode
from tests.optional import from_numpy, np

numbers = st.floats(-5, 5).filter(lambda x: abs(x) > 0.01)


class TestAValueIsANumber:
    @pytest.mark.parametrize(
        "x",
        [
            2,
            2.0,
            True,
            Fraction(1, 2),
            *from_numpy(lambda np: [np.float64(2), np.float32(2), np.int8(2), np.bool_(True)]),
        ],
    )
    def test_real_and_kept_as_a_float(self, x):
        v = Value(x)
        assert type(v.data) is float
        assert v.data == float(x)

    @pytest.mark.parametrize(
        "x",
        [
            "2",
            b"2",
            None,
            2j,
            [2.0],
            10**400,
            *from_numpy(lambda np: [np.complex64(2), np.array([2.0]), np.array([[2.0]])]),
        ],
    )
    def test_and_nothing_else(self, x):
        with pytest.raises(TypeError, match="real number"):
            Value(x)
        v = Value(1.0)
        with pytest.raises(TypeError, match="real number"):
            v.data = x
        assert v.data == 1.0

    def test_not_another_value(self):
        with pytest.raises(TypeError, match=r"use its \.data"):
            Value(Value(1.0))

    @pytest.mark.parametrize("x", [math.inf, -math.inf, math.nan])
    def test_infinities_and_nan_are_numbers_too(self, x):
        assert repr(Value(x).data) == repr(x)

    @pytest.mark.parametrize("label", [3, b"x", Value(1.0)])
    def test_with_a_label_that_is_text(self, label):
        assert Value(1.0, "w").label == "w"
        with pytest.raises(TypeError, match="label is text"):
            Value(1.0, label)

    def test_that_prints_itself(self):
        assert repr(Value(2.0, "x")) == "Value(data=2.0, grad=0.0, label='x')"
        assert repr(Parameter(2.0)) == "Parameter(data=2.0, grad=0.0)"
        assert repr(Constant(2.0, "c")) == "Constant(data=2.0, label='c')"
        assert repr(Constant(2.0)) == "Constant(data=2.0)"
        assert f"{Value(2.0):.3f} {Value(2.0)}" == "2.000 Value(data=2.0, grad=0.0)"

    def test_has_no_other_attributes(self):
        with pytest.raises(AttributeError):
            Value(1.0).gradient = 2.0

    @pytest.mark.parametrize("convert", [float, int, complex, math.exp, range, math.floor])
    def test_does_not_turn_into_a_float_in_silence(self, convert):
        with pytest.raises(TypeError):
            convert(Value(1.0))

    def test_and_says_what_to_write_instead(self):
        with pytest.raises(TypeError, match=r"write \.data for the number, or exp\(v\)"):
            float(Value(1.0))


class TestComparisons:
    def test_look_at_the_data(self):
        two, three = Value(2.0), Value(3.0)
        assert two < three
        assert three > 2
        assert two >= 2
        assert two >= np.float64(2)
        assert two == 2.0
        assert two != three
        assert not two > three
        assert not two > 2.0
        assert not two < 2.0
        assert two <= 2.0
        assert two >= 2.0
        assert not three <= 2.0
        assert not two >= 3.0
        assert (two == three) is False
        assert two == Value(2.0)

    def test_give_what_they_give_on_floats(self):
        numbers = [-2.0, 0.0, 0.5, 0.1 + 0.2, 0.3, math.inf, math.nan]
        for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
            for x, y in itertools.product(numbers, repeat=2):
                expected = compare(x, y)
                assert compare(Value(x), Value(y)) is compare(Value(x), y) is compare(x, Value(y)) is expected

    def test_but_sets_and_dicts_hold_nodes(self):
        a, b = Value(2.0), Value(2.0)
        assert len({a, b}) == 2
        assert {a: "a", b: "b"}[b] == "b"

    @pytest.mark.parametrize("mode", [no_grad, detect_anomaly])
    def test_are_refused_in_no_mode_but_tracing(self, mode):
        with mode():
            assert Value(1.0) < 2.0

    def test_truth_is_not_zero(self):
        assert Value(2.0)
        assert Value(-2.0)
        assert not Value(0.0)

    @pytest.mark.parametrize("other", ["a", None])
    def test_with_something_else(self, other):
        assert Value(1.0) != other
        with pytest.raises(TypeError):
            _ = Value(1.0) < other

    def test_branches_are_refused_while_compile_watches(self):
        with _mode(tracing=True):
            with pytest.raises(TypeError, match="Use maximum, minimum, relu, abs or equal"):
                _ = Value(1.0) < 2.0
            with pytest.raises(TypeError, match="branch"):
                bool(Value(1.0))


OPERATORS = {
    "+": (lambda x, y: x + y, lambda x, y: (1.0, 1.0)),
    "-": (lambda x, y: x - y, lambda x, y: (1.0, -1.0)),
    "*": (lambda x, y: x * y, lambda x, y: (y, x)),
    "/": (lambda x, y: x / y, lambda x, y: (1 / y, -x / y**2)),
    "**": (lambda x, y: abs(x) ** y, None),
}
KINDS = [int, float, Fraction, bool, *from_numpy(lambda np: [np.float64, np.float32, np.int64])]


class TestOperators:
    @pytest.mark.parametrize("symbol", ["+", "-", "*", "/"])
    @given(x=numbers, y=numbers)
    def test_data_and_gradients(self, symbol, x, y):
        f, slopes = OPERATORS[symbol]
        a, b = Value(x), Value(y)
        c = f(a, b)
        c.backward()
        assert c.data == f(x, y)
        assert (a.grad, b.grad) == pytest.approx(slopes(x, y), rel=1e-14)

    @pytest.mark.parametrize("symbol", OPERATORS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_with_any_number_on_either_side(self, symbol, kind):
        f, number, v = OPERATORS[symbol][0], kind(3), Value(2.0)
        for left, right in ((v, number), (number, v)):
            result = f(left, right)
            assert type(result) is Value
            assert result.data == f(*[x.data if x is v else float(x) for x in (left, right)])
            assert sum(type(p) is Constant for p in result.topological_order()) == 1

    @pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**"])
    @pytest.mark.parametrize("other", ["1", None, 1j, [1.0], {}])
    def test_with_something_else_are_a_type_error(self, symbol, other):
        f = OPERATORS[symbol][0]
        with pytest.raises(TypeError):
            f(Value(1.0), other)
        if not isinstance(other, complex):
            with pytest.raises(TypeError):
                f(other, Value(1.0))

    def test_signs(self):
        v = Value(2.0)
        assert (+v) is v
        assert grad(-v, [v]) == [-1.0]
        assert grad(abs(Value(-3.0) * v), [v]) == [3.0]

    def test_a_value_to_the_power_of_a_value(self):
        x, y = Value(2.0), Value(3.0)
        dx, dy = grad(x**y, [x, y])
        assert (dx, dy) == pytest.approx((12.0, 8.0 * math.log(2.0)), rel=1e-15)
        assert grad(2**y, [y]) == [dy]

    def test_powers_at_the_edges(self):
        x = Value(0.0)
        assert grad(x**0, [x]) == [0.0]
        assert grad(x**1, [x]) == [1.0]
        assert grad(x**2, [x]) == [0.0]
        assert grad((x - 2.0) ** 3, [x]) == [12.0]
        assert hessian((x - 2.0) ** 3, [x]) == [[-12.0]]
        assert hessian(x**2, [x]) == [[2.0]]

    def test_in_place_makes_a_new_node(self):
        x = Value(3.0)
        y = x
        y += 1
        y *= 2
        assert (x.data, y.data, grad(y, [x])) == (3.0, 8.0, [2.0])

    def test_builtin_sum_works(self):
        x = Value(3.0)
        assert grad(sum([x, x, x]), [x]) == [3.0]


class TestNumPy:
    """Scalars, and object arrays of Values."""

    def test_scalars_on_the_left(self):
        v = Value(3.0)
        y = np.float64(2) * v
        assert type(y) is Value
        assert grad(y, [v]) == [2.0]
        assert grad(np.float32(6) / v, [v]) == [pytest.approx(-6 / 9)]
        assert grad(np.int64(2) ** v, [v]) == [pytest.approx(8 * math.log(2))]

    def test_dot_products(self):
        v, w = Value(3.0), Value(4.0)
        y = np.array([v, w]) @ np.array([1.0, 2.0])
        assert type(y) is Value
        assert (y.data, grad(y, [v, w])) == (11.0, [1.0, 2.0])

    def test_functions_of_object_arrays(self):
        v, w = Value(0.5), Value(-0.5)
        a, b = np.tanh(np.array([v, w]))
        assert (a.data, b.data) == (math.tanh(0.5), math.tanh(-0.5))
        assert grad(a, [v]) == grad(tanh(v), [v])
        assert [y.data for y in np.exp(np.array([v]))] == [math.exp(0.5)]

    def test_arrays_beside_a_value(self):
        v = Value(2.0)
        for result in (v * np.array([1.0, 3.0]), np.array([1.0, 3.0]) * v):
            assert [y.data for y in result] == [2.0, 6.0]
            assert grad(result[1], [v]) == [3.0]

    def test_comparison_element_by_element(self):
        assert (np.array([Value(1.0), Value(3.0)]) > 2.0).tolist() == [False, True]


class TestBackward:
    def test_nobody_has_a_gradient_before(self):
        v = Value(2.0)
        nodes = [
            v,
            -v,
            v + 1,
            1 + v,
            v * v,
            v.exp(),
            exp(v),
            maximum(v, 1),
            total([v, v, 1.0]),
            Parameter(1.0),
        ]
        assert {node.grad for y in nodes for node in y.topological_order()} == {0.0}

    def test_fills_every_node(self):
        a, b = Value(2.0), Value(-3.0)
        c = a * b
        d = c + a
        d.backward()
        assert (d.grad, c.grad, b.grad, a.grad) == (1.0, 1.0, 2.0, -2.0)

    @pytest.mark.parametrize("n", [1, 2, 3, 4])
    def test_multiplies_along_an_edge_whatever_the_number_of_parents(self, n):
        x = [Value(k + 2.0) for k in range(n)]
        op = Op("op", lambda *x: 0.0, lambda out, *x: tuple([10.0 * x_k for x_k in x]), arity=n)
        node = op(*x)
        (node * 3.0).backward(0.5)
        assert node.grad == 1.5
        assert [x_k.grad for x_k in x] == [15.0 * x_k.data for x_k in x]

    def test_leaves_accumulate_interior_nodes_do_not(self):
        a = Value(1.1)
        c = a.tanh()
        d = c * c * a
        d.backward()
        once = (a.grad, c.grad)
        d.backward()
        assert (a.grad, c.grad) == (2 * once[0], once[1])
        a.grad = 0.0
        d.backward()
        assert (a.grad, c.grad) == once

    def test_of_two_outputs_that_share_nodes_adds_up(self):
        a = Value(1.5)
        shared = a * a
        (shared * 2).backward()
        (shared * 3).backward()
        assert a.grad == 2 * 2 * 1.5 + 3 * 2 * 1.5

    def test_of_a_leaf(self):
        a = Value(1.0)
        a.backward()
        a.backward()
        assert a.grad == 2.0

    @pytest.mark.parametrize("seed", [0.5, 2, *from_numpy(lambda np: [np.float64(-1)])])
    def test_from_a_seed(self, seed):
        a = Value(3.0)
        (a * a).backward(seed)
        assert a.grad == 6.0 * float(seed)

    def test_a_seed_is_a_number(self):
        a = Value(3.0)
        for seed in ("1", None, Value(1.0)):
            with pytest.raises(TypeError):
                (a * a).backward(seed)
        assert a.grad == 0.0

    def test_changing_data_afterwards_changes_no_gradient(self):
        # Decision 2: the local derivatives are those of the forward pass.
        x, w = Value(3.0), Value(2.0)
        y = (x * w).exp()
        x.data, w.data = 100.0, -5.0
        y.backward()
        assert (x.grad, w.grad) == (2.0 * math.exp(6.0), 3.0 * math.exp(6.0))
        assert y.data == math.exp(6.0)

    def test_a_node_used_many_times(self):
        x = Value(2.0)
        y = x * x + x * x + x + dot([x, x], [x, 1.0])
        y.backward()
        assert x.grad == 6 * 2.0 + 1.0 + 1.0

    def test_under_no_grad_is_an_error(self):
        x = Value(2.0)
        y = x * x
        with no_grad(), pytest.raises(RuntimeError, match="leave the block first"):
            y.backward()
        with no_grad():
            z = x * x
        with pytest.raises(RuntimeError, match="no graph"):
            z.backward()
        assert x.grad == 0.0

    def test_the_order_has_parents_first_and_every_node_once(self):
        x = Value(2.0)
        a, b = x + 1, x * 2
        y = a * b
        order = y.topological_order()
        place = {node: i for i, node in enumerate(order)}
        assert len(place) == len(order) == 6
        assert all(place[p] < place[node] for node in order for p in node.parents)
        assert order[-1] is y


class TestLargeGraphs:
    """Decision 3: nothing is recursive. Decision 2: nothing waits for the garbage collector."""

    DEPTH = 100_000

    def test_a_long_chain_builds_backpropagates_and_is_freed(self):
        assert sys.getrecursionlimit() <= 1000
        x = Value(1.0)
        y = x
        for _ in range(self.DEPTH):
            y = y + x
        y.backward()
        assert (y.data, x.grad) == (self.DEPTH + 1.0, self.DEPTH + 1.0)
        assert grad(y, [x]) == [self.DEPTH + 1.0]
        assert len(y.topological_order()) == self.DEPTH + 1
        assert "100001.0" in repr(y)
        del y

    def test_a_long_chain_is_differentiated_twice(self):
        x = Value(1.0)
        y = x * 1.0
        for _ in range(5_000):
            y = y * 1.0
        assert hessian(y * x, [x]) == [[2.0]]

    def test_a_chain_in_a_thread_of_default_stack_size(self):
        def work():
            y = x = Value(1.0)
            for _ in range(self.DEPTH):
                y = y * 1.0
            y.backward()
            done.append(x.grad)

        done = []
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert done == [1.0]

    @pytest.mark.parametrize("use", ["forward", "backward", "grad", "hessian", "no_grad", "detect_anomaly"])
    def test_no_reference_cycles(self, use):
        class Watched(Value):
            """A Value with a weak reference, which slots leave out."""

            __slots__ = ("__weakref__",)

        gc.disable()
        try:
            x = Watched(0.5)
            modes = {"no_grad": no_grad, "detect_anomaly": detect_anomaly}
            with modes.get(use, contextlib.nullcontext)():
                y = maximum(total([x.tanh() * x, dot([x], [x]), x / 3]), 0.0).sqrt()
            if use == "backward":
                y.backward()
            if use == "grad":
                slopes = grad(y, [x], create_graph=True)
                del slopes
            if use == "hessian":
                hessian(y, [x])
            alive = weakref.ref(x)
            del x, y
            assert alive() is None
        finally:
            gc.enable()


class TestIEEE:
    """Decision 5: nothing raises, everything follows IEEE arithmetic."""

    @pytest.mark.parametrize(
        ("f", "x", "data", "slope"),
        [
            (exp, 1000.0, math.inf, math.inf),
            (log, 0.0, -math.inf, math.inf),
            (log, -1.0, math.nan, -1.0),
            (lambda x: 1 / x, 0.0, math.inf, -math.inf),
            (lambda x: 0 / x, 0.0, math.nan, math.nan),
            (sqrt, 0.0, 0.0, math.inf),
            (sqrt, -1.0, math.nan, math.nan),
            (lambda x: x * 1e308, 10.0, math.inf, 1e308),
            (lambda x: x**-1, 0.0, math.inf, -math.inf),
            (lambda x: (-x) ** 0.5, 2.0, math.nan, math.nan),
            (relu, math.nan, math.nan, 1.0),
        ],
    )
    def test_special_values(self, f, x, data, slope):
        v = Value(x)
        y = f(v)
        y.backward()
        assert repr(y.data) == repr(data)
        assert repr(v.grad) == repr(slope)


class TestMistakes:
    """Each error says what to write instead."""

    @pytest.mark.parametrize(
        "step", [lambda p: p.__isub__(0.1 * p.grad), lambda p: p.__iadd__(-0.1 * p.grad)]
    )
    def test_a_step_that_is_written_without_data(self, step):
        p = Parameter(2.0, "w")
        with pytest.raises(TypeError, match=r"leaves the parameter w=2\.0 as it is: write p\.data [+-]= "):
            step(p)
        assert p.data == 2.0

    def test_but_a_sum_that_begins_with_a_parameter_is_one(self):
        b, w = Parameter(2.0), Parameter(3.0)
        act = b
        act += w * 2.0
        act -= w
        assert (act.data, act.grad, b.data) == (5.0, 0.0, 2.0)
        act -= 1.0
        assert act.data == 4.0

    def test_an_index(self):
        with pytest.raises(TypeError, match=r"write table\[int\(v\.data\)\]"):
            [1.0, 2.0][Value(1.0)]

    @pytest.mark.parametrize("function", [math.erf, math.exp, math.floor, int, float, complex])
    def test_a_function_of_floats(self, function):
        with pytest.raises(TypeError, match=r"\.data for the number, or exp\(v\)"):
            function(Value(1.0))
