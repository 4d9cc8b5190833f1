"""The table of primitives: every op and its first and second derivatives against an independent oracle."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import micrograd_mlp
from micrograd_mlp import (
    Op,
    Value,
    clip,
    cos,
    dot,
    equal,
    exp,
    floor,
    grad,
    gradcheck,
    hessian,
    log,
    log1p,
    logsumexp,
    maximum,
    minimum,
    no_grad,
    norm,
    primitive,
    prod,
    relu,
    sigmoid,
    sign,
    softmax,
    softplus,
    total,
    where,
)
from micrograd_mlp._require import as_float
from micrograd_mlp.engine.op import FUNCTIONS
from micrograd_mlp.engine.table import TABLE, power, xlog1py, xlogy
from tests.engine.oracle import KNOWN, SPECS, errors_in_ulps, ordinary_numbers
from tests.optional import from_numpy, np

DEFINED_AT_KINKS = {
    "relu",
    "leaky_relu",
    "abs",
    "sign",
    "floor",
    "maximum",
    "minimum",
    "equal",
    "clip",
    "where",
}


def inside(low, high, widest):
    """Floats of every size inside an open interval, simple ones first."""
    size = st.floats(10.0**-widest, 10.0**widest)
    if math.isinf(low):
        return st.floats(-20.0, 20.0, width=16) | size | size.map(lambda x: -x)
    near = st.floats(0.0, 20.0, exclude_min=True, width=16)
    first, last = math.nextafter(low, high), math.nextafter(high, low)
    return (near | size).map(lambda x: min(max(low + x, first), last))


def points(op):
    widest = SPECS[op.name].largest_exponent
    if op.arity:
        return st.tuples(*[inside(low, high, widest) for low, high in op.domain]).map(list)
    one = inside(*op.domain[0], widest)
    return st.lists(st.tuples(one, one), min_size=1, max_size=4).map(
        lambda pairs: [x for p in pairs for x in p]
    )


@pytest.mark.exhaustive  # test_numerics.py compares the same at random points
@pytest.mark.parametrize("name", KNOWN)
@given(data=st.data())
def test_value_first_and_second_derivatives_over_the_whole_domain(name, data):
    op = TABLE[name]
    numbers = data.draw(points(op))
    assume(name in DEFINED_AT_KINKS or op.kink is None or op.kink(*numbers) != 0.0)
    errors, bounds = errors_in_ulps(op, numbers), SPECS[name].ulps
    assert all(e <= bound for e, bound in zip(errors, bounds, strict=True)), (errors, bounds)


@pytest.mark.parametrize("name", TABLE)
def test_every_op_passes_gradcheck_twice(name):
    op = TABLE[name]
    numbers = [x + shift for x, shift in zip(ordinary_numbers(op, 4), (0.2, -0.1, 0.4, -0.4))]
    assert gradcheck(op, numbers, order=2).passed


@pytest.mark.parametrize("name", TABLE)
def test_numbers_in_a_float_out_and_a_value_in_a_node_out(name):
    op = TABLE[name]
    numbers = ordinary_numbers(op)
    assert type(op(*numbers)) is float
    node = op(*[Value(x) for x in numbers])
    assert node.data == op(*numbers)
    assert node.op is op
    assert (node.grad, node.label) == (0.0, None)


@pytest.mark.parametrize("name", TABLE)
def test_slopes_are_the_partials_of_floats_and_ask_for_no_values(name):
    op = TABLE[name]
    numbers = ordinary_numbers(op)
    out = op.forward(*numbers)
    assert [x.hex() for x in op.slopes(out, *numbers)] == [x.hex() for x in op.partials(out, *numbers)]
    used = [op.slopes.__globals__.get(word) for word in op.slopes.__code__.co_names]
    assert not [f for f in used if getattr(getattr(f, "op", None), "arity", None)]


def test_tanh_and_sigmoid_have_slopes_where_they_are_flat_but_for_rounding():
    def exactly(*numbers):
        return pytest.approx(list(numbers), rel=2e-15, abs=0.0)

    x, y = Value(22.5), Value(40.0)
    a, b = x.tanh(), y.sigmoid()
    assert (a.data, b.data) == (1.0, 1.0)
    assert grad(a, [x]) == exactly(4 * math.exp(-45))
    assert grad(b, [y]) == exactly(math.exp(-40))
    [slope] = grad(a, [x], create_graph=True)
    x.data = -20.0
    slope.forward()
    assert [slope.data, *grad(slope, [x])] == exactly(4 * math.exp(-40), 8 * math.exp(-40))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_op_is_a_public_function_and_a_method(name):
    function, op = getattr(micrograd_mlp, name.removeprefix("_")), FUNCTIONS[name].op
    numbers = ordinary_numbers(op)
    assert name.removeprefix("_") in micrograd_mlp.__all__
    if op is not TABLE["dot"]:
        assert function(Value(numbers[0]), *numbers[1:]).op is op
        assert function(*numbers) == function(*map(np.float64, numbers)) == op(*numbers)
    if op.method:
        node = getattr(Value(numbers[0]), op.name)(*numbers[1:])
        assert (node.op, node.data) == (op, op(*numbers))


@pytest.mark.parametrize("function", [total, logsumexp, prod, norm])
def test_any_number_of_inputs_may_come_as_arguments_or_as_one_iterable(function):
    numbers = [1.0, 2.0, 3.0]
    assert function(numbers) == function(*numbers) == function(iter(numbers)) == function(np.array(numbers))


@pytest.mark.parametrize(
    ("call", "message"),
    [(lambda: exp(1.0, 2.0), "exp takes 1"), (lambda: clip(1.0), "clip takes 3")],
)
def test_a_wrong_number_of_inputs_is_an_error(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("function", [maximum, minimum, equal])
def test_functions_of_two_take_numbers_on_either_side(function):
    assert function(2, Value(3.0)).data == function(Value(2.0), 3).data == function(2.0, 3.0)


class TestKinks:
    """Design decision 6: the paper's conventions and PyTorch's."""

    def test_relu_and_abs_have_slope_zero_at_zero(self):
        x = Value(0.0)
        assert grad(relu(x), [x]) == [0.0]
        assert grad(abs(x), [x]) == [0.0]

    @pytest.mark.parametrize("function", [maximum, minimum])
    def test_a_tie_shares_the_gradient(self, function):
        x, y = Value(1.0), Value(1.0)
        assert grad(function(x, y), [x, y]) == [0.5, 0.5]

    @pytest.mark.parametrize(
        ("name", "below", "at", "above"),
        [
            *[
                (name, [-0.5], [0.0], [0.5])
                for name in ("relu", "leaky_relu", "abs", "sign", "floor", "cbrt")
            ],
            *[(name, [0.5, 1.0], [1.0, 1.0], [1.5, 1.0]) for name in ("maximum", "minimum", "equal")],
            ("div", [1.0, -0.5], [1.0, 0.0], [1.0, 0.5]),
            ("floor", [1.5], [2.0], [2.5]),
            ("atan2", [-0.5, -1.0], [0.0, -1.0], [0.5, -1.0]),
            ("clip", [-0.5, 0.0, 1.0], [0.0, 0.0, 1.0], [0.5, 0.0, 1.0]),
            ("where", [-0.5, 1.0, 2.0], [0.0, 1.0, 2.0], [0.5, 1.0, 2.0]),
        ],
    )
    def test_the_record_says_where_its_kinks_are(self, name, below, at, above):
        kink = TABLE[name].kink
        assert kink(*below) < 0.0 == kink(*at) < kink(*above)

    def test_steps_are_flat(self):
        x = Value(0.3)
        for step in (sign(x), floor(x), equal(x, 0.3), where(x, 1.0, 2.0)):
            assert grad(step, [x]) == [0.0]

    def test_clip_hands_the_gradient_to_what_it_chooses(self):
        for number, slopes in [
            (-1.0, [0, 1, 0]),
            (0.0, [1, 0, 0]),
            (0.5, [1, 0, 0]),
            (1.0, [1, 0, 0]),
            (2.0, [0, 0, 1]),
        ]:
            inputs = [Value(number), Value(0.0), Value(1.0)]
            assert grad(clip(*inputs), inputs) == slopes

    def test_where_takes_the_condition_first_as_numpy_does(self):
        assert [where(c, 2.0, 3.0) for c in (True, False, 0.5, math.nan)] == [2.0, 3.0, 2.0, 2.0]
        x, y = Value(2.0), Value(3.0)
        assert grad(where(x < y, x, y), [x, y]) == [1.0, 0.0]


class TestAtTheEdges:
    """Design decision 5: where a function stops, it gives IEEE's infinity or nan, with the right sign."""

    @pytest.mark.parametrize(
        ("x", "y", "value"),
        [
            (-10.0, 400.0, math.inf),
            (-10.0, 401.0, -math.inf),
            (10.0, 400.5, math.inf),
            (-10.0, 0.5, math.nan),
            (-0.5, 0.5, math.nan),
            (-10.0, 400.5, math.nan),
            (0.0, -3.0, math.inf),
            (-0.0, -3.0, -math.inf),
            (-0.0, -2.0, math.inf),
            (-0.0, -0.5, math.inf),
        ],
    )
    def test_an_infinite_power_is_negative_for_a_negative_number_and_an_odd_exponent(self, x, y, value):
        assert repr(power(x, y)) == repr(value)

    @pytest.mark.parametrize(
        ("x", "y", "slopes"),
        [
            (0.0, 2.0, [0.0, 0.0]),
            (0.0, 1.0, [1.0, 0.0]),
            (0.0, 0.5, [math.inf, 0.0]),
            (0.0, 0.0, [0.0, 0.0]),
            (-0.0, 0.0, [0.0, 0.0]),
            (0.0, -1.0, [-math.inf, -math.inf]),
            (-2.0, 2.0, [-4.0, math.nan]),
            (-2.0, 0.0, [-0.0, math.nan]),
        ],
    )
    def test_slopes_of_a_power(self, x, y, slopes):
        inputs = [Value(x), Value(y)]
        assert list(map(repr, grad(inputs[0] ** inputs[1], inputs))) == list(map(repr, slopes))

    @pytest.mark.parametrize("name", TABLE)
    def test_the_record_says_where_a_function_stops(self, name):
        op = TABLE[name]
        for k, (low, high) in enumerate(op.domain):
            for beyond in [low - 0.25] * math.isfinite(low) + [high + 0.25] * math.isfinite(high):
                numbers = ordinary_numbers(op)
                assert math.isfinite(op(*numbers))
                numbers[k] = beyond
                assert math.isnan(op(*numbers)), numbers

    def test_sigmoid_and_softplus_take_the_exponential_of_a_number_below_zero(self):
        # The other form is the same to the last bit but one, and overflows further out.
        differ = {sigmoid: 0, softplus: 0}
        for z in [k / 64 for k in range(1, 128)]:
            e = math.exp(-z)
            assert (sigmoid(z), sigmoid(-z)) == (1.0 / (1.0 + e), e / (1.0 + e))
            assert (softplus(z), softplus(-z)) == (z + math.log1p(e), math.log1p(e))
            differ[sigmoid] += sigmoid(z) != math.exp(z) / (1.0 + math.exp(z))
            differ[softplus] += softplus(z) != math.log1p(math.exp(z))
        assert min(differ.values()) > 0

    @pytest.mark.parametrize(("function", "edge"), [(log, 0.0), (log1p, -1.0)])
    def test_a_logarithm_is_minus_infinity_at_its_edge_and_nan_below(self, function, edge):
        assert function(edge) == -math.inf
        for x in (edge - 0.5, -math.inf, math.nan):
            assert math.isnan(function(x))


class TestZeroTimesLogZero:
    """§4.2: 0 log 0 is 0 in the cross entropy, and so it is flat there; everything else is IEEE's."""

    @pytest.mark.parametrize(
        ("x", "y", "value", "slopes"),
        [
            (0.0, 0.0, 0.0, [-math.inf, 0.0]),
            (-0.0, 0.0, 0.0, [-math.inf, 0.0]),
            (0.0, 2.0, 0.0, [math.log(2.0), 0.0]),
            (2.0, 0.0, -math.inf, [-math.inf, math.inf]),
            (-2.0, 0.0, math.inf, [-math.inf, -math.inf]),
            (0.5, 0.0, -math.inf, [-math.inf, math.inf]),
            (math.nan, 0.0, math.nan, [-math.inf, math.nan]),
            (2.0, -0.5, math.nan, [math.nan, -4.0]),
            (0.0, -0.5, 0.0, [math.nan, -0.0]),
            (0.0, math.nan, math.nan, [math.nan, math.nan]),
            (-0.5, -0.5, math.nan, [math.nan, 1.0]),
            (2.0, 1.0, 0.0, [0.0, 2.0]),
        ],
    )
    def test_values_and_slopes(self, x, y, value, slopes):
        for function, shift in [(xlogy, 0.0), (xlog1py, -1.0)]:
            inputs = [Value(x), Value(y + shift)]
            node = function(*inputs)
            assert repr(node.data) == repr(value)
            assert list(map(repr, grad(node, inputs))) == list(map(repr, slopes))


class TestSums:
    def test_a_factor_of_a_product_may_be_zero(self):
        x = [Value(2.0), Value(0.0), Value(3.0)]
        assert prod(x).data == 0.0
        assert grad(prod(x), x) == [0.0, 6.0, 0.0]
        assert prod([]) == 1.0

    def test_the_length_of_nothing_is_flat_and_that_of_anything_does_not_overflow(self):
        x = [Value(0.0), Value(0.0)]
        assert norm(x).data == 0.0 == norm([])
        assert grad(norm(x), x) == [0.0, 0.0]
        assert norm([3e200, 4e200]) == pytest.approx(5e200)
        assert norm([3e-320, 4e-320]) == pytest.approx(5e-320)
        assert norm([1.0, math.inf]) == math.inf
        assert math.isnan(norm([math.inf, math.nan]))
        assert math.isnan(norm([math.nan, math.inf]))

    def test_a_sum_is_one_node(self):
        values = [Value(1.0), Value(2.0), Value(3.0)]
        assert total(values).parents == tuple(values)
        assert dot(values, [1.0, 10.0, 100.0]).data == 321.0
        assert len(dot(values, values).parents) == 6

    def test_the_sum_of_nothing_is_zero_and_other_nothings_are_errors(self):
        assert total([]) == dot([], []) == 0.0
        with pytest.raises(ValueError, match="logsumexp needs at least one value"):
            logsumexp([])
        with pytest.raises(ValueError, match="at least one value"):
            softmax([])

    def test_dot_names_both_lengths(self):
        with pytest.raises(ValueError, match="got 1 and 2 numbers"):
            dot([Value(1.0)], [1.0, 2.0])
        with pytest.raises(ValueError, match="got 3 and 1 numbers"):
            dot([1.0, 2.0, 3.0], [1.0])

    def test_dot_takes_hundreds(self):
        assert dot([2.0] * 300, [0.5] * 300) == 300.0

    def test_generators_will_do(self):
        assert total(Value(x) for x in (1.0, 2.0)).data == 3.0
        assert dot((x for x in (1.0, 2.0)), (x for x in (3.0, 4.0))) == 11.0

    def test_one_value_used_twice_gets_both_contributions(self):
        x = Value(3.0)
        assert grad(total([x, x, 1.0]), [x]) == [2.0]
        assert grad(dot([x, x], [x, 5.0]), [x]) == [11.0]
        assert hessian(dot([x], [x]), [x]) == [[2.0]]

    @given(st.lists(st.floats(-1e300, 1e300) | st.floats(-1e4, 1e4), min_size=1, max_size=5))
    def test_softmax_is_a_distribution(self, z):
        p = softmax(z)
        assert sum(p) == pytest.approx(1.0, abs=2e-12)
        assert all(0.0 <= p_k <= 1.0 + 1e-12 for p_k in p)
        assert [v.data for v in softmax([Value(z_k) for z_k in z])] == p

    def test_the_gradient_of_logsumexp_is_softmax(self):
        z = [Value(x) for x in (1.0, 2.0, -1000.0)]
        assert grad(logsumexp(z), z) == [p_k.data for p_k in softmax(z)]

    @pytest.mark.parametrize("large", [1e300, -1e300, 1e16, -3e5])
    def test_a_shift_of_softmax_changes_nothing_however_large_it_is(self, large):
        """1e300 + log 2 is 1e300: logsumexp alone would give both a probability of 1."""
        z, shifted = [Value(0.0), Value(0.0)], [Value(large), Value(large)]
        for f in (lambda z: softmax(z)[0], lambda z: softmax([*z, -math.inf])[1], logsumexp):
            assert grad(f(shifted), shifted) == pytest.approx(grad(f(z), z), rel=1e-13, abs=0.0)
            assert hessian(f(shifted), shifted) == [pytest.approx(row, rel=1e-13) for row in hessian(f(z), z)]
        assert [p.data for p in softmax(shifted)] == pytest.approx([0.5, 0.5], rel=1e-13)
        assert softmax([large, large, large - 1e301]) == pytest.approx([0.5, 0.5, 0.0], rel=1e-13)


class TestAnOpOfTheUsers:
    """Decision 1: one record, and it works everywhere."""

    @staticmethod
    def swish():
        def partials(out, x):
            s = micrograd_mlp.sigmoid(x)
            return (s + out * (1.0 - s),)

        return primitive(partials=partials, symbol="swish")(lambda x: x / (1.0 + math.exp(-x)))

    def test_records_differentiates_twice_and_checks(self):
        swish, x = self.swish(), Value(0.7, "x")
        y = swish(x) * 2.0
        assert y.parents[0].op.name == "<lambda>"
        y.backward()
        assert grad(y, [x]) == [x.grad]
        assert gradcheck(lambda x: swish(x) * x, [x], order=2).passed

    def test_with_floats_is_a_float_and_under_no_grad_a_constant(self):
        swish = self.swish()
        assert type(swish(0.7)) is float
        with no_grad():
            assert swish(Value(0.7)).parents == ()

    def test_of_several_inputs(self):
        @primitive(arity=2, partials=lambda out, x, y: (2.0 * x * y, x**2))
        def square_times(x, y):
            return x * x * y

        assert gradcheck(square_times, [1.5, -0.5], order=2).passed
        assert gradcheck(lambda x: square_times(x, 3), [1.5]).passed
        for inputs in ([1.0], [1.0, 2.0, 3.0]):
            message = rf"square_times takes 2 input\(s\), got {len(inputs)}"
            with pytest.raises(TypeError, match=message):
                square_times(*inputs)
            with pytest.raises(TypeError, match=message):
                square_times(*map(Value, inputs))

    def test_of_hundreds_of_inputs(self):
        largest = primitive(arity=300, partials=lambda out, *x: tuple([1.0 * (x_k == out) for x_k in x]))(max)
        inputs = [Value(float(k)) for k in range(300)]
        assert grad(largest(*inputs), inputs) == [0.0] * 299 + [1.0]

    def test_keeps_its_name_and_docstring(self):
        @primitive(partials=lambda out, x: (2.0,))
        def double(x):
            """Twice x."""
            return 2.0 * x

        assert (double.__name__, double.__doc__) == ("double", "Twice x.")

    def test_has_a_formula_made_of_its_name_unless_it_brings_one(self):
        def formula(**record):
            return Op(forward=lambda *x: 0.0, partials=lambda out, *x: (), **record).latex

        assert formula(name="my_op").format("x") == r"\operatorname{my\_op}\left(x\right)"
        assert formula(name="f", arity=2).format("x", "y") == r"\operatorname{f}\left(x, y\right)"
        assert formula(name="f", arity=None).format(args="x, y, z") == r"\operatorname{f}\left(x, y, z\right)"
        assert formula(name="f", latex="f_0 {0}").format("x") == "f_0 x"

    def test_of_any_number_of_inputs(self):
        @primitive(arity=None, partials=lambda out, *x: tuple([2.0 * x_k for x_k in x]))
        def sum_of_squares(*x):
            return sum([x_k * x_k for x_k in x], start=0.0)

        assert gradcheck(sum_of_squares, [1.0, -2.0, 3.0], order=2).passed

    def test_a_record_stands_alone_too(self):
        double = Op("double", forward=lambda x: 2.0 * x, partials=lambda out, x: (2.0,))
        x = Value(3.0)
        assert (double(x).data, grad(double(x), [x])) == (6.0, [2.0])
        assert repr(double) == "<op double>"
        assert (double.symbol, double.domain) == ("double", ((-math.inf, math.inf),))

    @pytest.mark.parametrize("arity", [0, -1])
    def test_an_arity_below_one_is_an_error(self, arity):
        with pytest.raises(TypeError, match=f"arity is {arity}"):
            Op("nothing", forward=lambda: 1.0, partials=lambda out: (), arity=arity)

    def test_a_wrong_number_of_derivatives_is_an_error(self):
        op = Op("bad", forward=lambda x, y: x + y, partials=lambda out, x, y: (1.0,), arity=2)
        with pytest.raises(TypeError, match="1 partials for 2 inputs"):
            op(Value(1.0), Value(2.0))

    @pytest.mark.parametrize("result", [None, 1 + 2j, "1.0"])
    def test_a_forward_that_gives_no_number_is_an_error(self, result):
        op = Op("bad", forward=lambda x: result, partials=lambda out, x: (1.0,))
        with pytest.raises(TypeError, match="'bad'"):
            op(Value(1.0))


class TestNumbers:
    @pytest.mark.parametrize(
        "x", [3, 3.0, True, *from_numpy(lambda np: [np.float64(3), np.float32(3), np.int64(3)])]
    )
    def test_that_are_real(self, x):
        assert type(as_float(x)) is float

    @pytest.mark.parametrize(
        "x",
        [
            "3",
            b"3",
            None,
            3j,
            [3.0],
            Value(3.0),
            10**400,
            *from_numpy(lambda np: [np.complex64(3), np.complex128(3), np.array([3.0])]),
        ],
    )
    def test_that_are_not(self, x):
        with pytest.raises(TypeError):
            as_float(x)


def test_math_functions_refuse_values_instead_of_dropping_the_gradient():
    with pytest.raises(TypeError, match=r"write .data .* or exp\(v\)"):
        math.exp(Value(1.0))


@pytest.mark.parametrize("function", [exp, log, cos, relu])
@pytest.mark.parametrize("x", ["1", None, 1j])
def test_functions_refuse_what_is_no_number(function, x):
    with pytest.raises(TypeError, match="real number"):
        function(x)
