"""gradcheck: right derivatives pass, wrong ones do not, and the report says which and by how much."""

import math
import random

import pytest

from micrograd_mlp import (
    MLP,
    GradCheckError,
    Value,
    cos,
    equal,
    exp,
    grad,
    gradcheck,
    log,
    logsumexp,
    maximum,
    primitive,
    relu,
    sigmoid,
    sin,
    softplus,
    sqrt,
    squared_error,
    tanh,
    total,
)
from micrograd_mlp.engine.table import TABLE


def wrong(partial, forward=math.sin):
    """An op with the given derivative, right or not."""
    return primitive(partials=lambda out, x: (partial(x),), name="op")(forward)


# As the paper writes their derivatives (§8.1, §8.2): these cancel where the function is near 1.
plain_sigmoid = primitive(
    partials=lambda out, z: (out * (1.0 - out),), complex_form=TABLE["sigmoid"].complex_form
)(TABLE["sigmoid"].forward)
plain_tanh = primitive(partials=lambda out, z: (1.0 - out * out,), complex_form=TABLE["tanh"].complex_form)(
    TABLE["tanh"].forward
)


def verdict(f, *inputs, **options):
    [row] = gradcheck(f, inputs, raise_exception=False, **options).rows
    return row.verdict.split(",")[0]


class TestRightGradientsPass:
    def test_a_formula_of_numbers(self):
        assert gradcheck(lambda w, x, b: (w * x + b).tanh(), [0.5, 2.0, -1.0], order=2).passed

    @pytest.mark.parametrize(
        ("f", "x"),
        [
            (lambda x: log(x), 1e-300),
            (lambda x: log(x), 1e-5),
            (lambda x: log(x), 1e300),
            (lambda x: exp(x), 709.0),
            (lambda x: 1 / x, 1e-8),
            (lambda x: x**20, 0.01),
            (lambda x: 1e-20 * x, 1.0),
            (lambda x: (x + 1e8) - 1e8, 1.0),
            (lambda x: sin(x), 1e6),
            (lambda x: sin(1e6 * x), 0.3),
            (lambda x: sin(8.0 * math.pi * x), 0.3),
            (lambda x: sin(1e12 * x), 1e-12),
            (lambda x: softplus(1e6 * x) / 1e6, 1e-7),
            (lambda x: tanh(x), 1e-200),
            (lambda x: relu(x), 1e-8),
            (lambda x: x * abs(x), 0.0),
        ],
    )
    def test_at_every_scale(self, f, x):
        assert verdict(f, x) == "ok"

    def test_beside_a_pole(self):
        assert gradcheck(lambda x, y: x / y, [-0.017975993449870855, 1.8601990922847435e-08], order=2).passed
        assert gradcheck(lambda x: x.log1p(), [-0.9999999829322266], order=2).passed

    def test_where_the_derivative_is_zero_although_rounding_is_not(self):
        assert verdict(cos, math.pi) == "ok"
        assert verdict(lambda x: relu(x - 5.0) + 1.3, 1.0) == "ok"
        assert verdict(lambda x: (x + (x + x)) / x, 0.75) == "ok"  # terms of 4 cancel

    def test_where_it_agrees_as_well_as_the_user_asks_although_the_estimate_is_wide(self):
        report = gradcheck(lambda x: plain_sigmoid(x), [35.9], order=2, rtol=0.2, raise_exception=False)
        [second] = [row for row in report.rows if row.label == "x, x"]
        assert second.verdict == "ok"
        assert second.error <= 0.2 * abs(second.analytic) < second.estimate

    def test_a_step_never_leaves_the_domain(self):
        # Beyond p = 1 the function raises, as the losses do for a probability outside (0, 1).
        def loss(p):
            if not 0.0 < p.data < 1.0:
                raise ValueError("not a probability")
            return -log(p) - log(1.0 - p)

        assert gradcheck(loss, [1.0 - 1e-7], order=2).passed

    def test_a_function_that_differentiates(self):
        assert gradcheck(lambda x, y: grad(x**3 * y, [x], create_graph=True)[0], [2.0, 0.5], order=2).passed

    def test_a_whole_model(self):
        model = MLP(2, [4, 1], activation="tanh", seed=1)
        parameters = model.parameters()
        before = [(p.data, p.grad) for p in parameters]
        report = gradcheck(lambda *_: (model([0.3, -0.8]) - 0.5) ** 2, parameters)
        assert {row.label for row in report.rows} == {p.label for p in parameters}
        assert [(p.data, p.grad) for p in parameters] == before


class TestWrongGradientsDoNot:
    @pytest.mark.parametrize("x", [0.7, -3.0, 1e-6, 40.0])
    @pytest.mark.parametrize(
        "partial",
        [
            lambda x: -cos(x),
            lambda x: 0.0 * x,
            lambda x: 2.0 * cos(x),
            lambda x: cos(x) * (1.0 + 1e-6),
            lambda x: cos(x) + 1e-6,
        ],
        ids=["sign", "zero", "factor", "relative 1e-6", "absolute 1e-6"],
    )
    def test_first_order(self, partial, x):
        assert verdict(wrong(partial), x) == "wrong"

    @pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e9])
    def test_a_zero_gradient_at_any_scale(self, scale):
        op = wrong(lambda x: 0.0 * x, forward=lambda x: scale * math.sin(x))
        assert verdict(op, 0.5) == "wrong"

    def test_second_order_wrong_although_the_first_is_right(self):
        # The derivative is computed from a number that the graph cannot see: right once, zero after that.
        op = primitive(partials=lambda out, x: (math.cos(getattr(x, "data", x)),), name="op")(math.sin)
        assert gradcheck(op, [0.7]).passed
        report = gradcheck(op, [0.7], order=2, raise_exception=False)
        assert [row.verdict for row in report.rows] == ["wrong", "ok"]

    def test_a_gradient_lost_through_data(self):
        assert verdict(lambda x: x * 0.0 + math.sin(x.data), 0.7) == "wrong"

    def test_hidden_in_a_sum_with_a_right_one(self):
        report = gradcheck(lambda right, bad: sin(right) + wrong(sin)(bad), [0.3, 0.4], raise_exception=False)
        assert [(row.label, row.verdict) for row in report.rows] == [("bad", "wrong"), ("right", "ok")]

    def test_across_two_hundred_random_formulas(self):
        rng = random.Random(5)
        for _ in range(200):
            w, x = rng.uniform(-3, 3), rng.uniform(0.1, 3)
            off = 1.0 + rng.choice([-1, 1]) * 10 ** rng.uniform(-6, 0)
            op = wrong(lambda z, off=off: off * (1.0 - tanh(z) ** 2), forward=math.tanh)
            assert not gradcheck(lambda w, x, op=op: op(w * x) + x, [w, x], raise_exception=False)


class TestKinks:
    @pytest.mark.parametrize(
        ("f", "inputs"),
        [(relu, [0.0]), (abs, [0.0]), (maximum, [1.0, 1.0]), (lambda x: relu(x - 1.0), [1.0 + 1e-12])],
        ids=["relu", "abs", "tie", "closer than rounding"],
    )
    def test_a_kink_is_not_a_wrong_gradient(self, f, inputs):
        report = gradcheck(f, inputs)
        assert all(row.verdict.startswith("kink, slopes") for row in report.rows)

    @pytest.mark.parametrize("slope", [-0.5, 1.5, 1.0 + 1e-6])
    def test_a_gradient_beyond_both_slopes_is_wrong(self, slope):
        op = wrong(lambda x: slope + 0.0 * x, forward=lambda x: max(x, 0.0))
        assert verdict(op, 0.0) == "wrong"

    def test_beside_a_kink_there_is_no_excuse(self):
        assert verdict(wrong(lambda x: 0.5 + 0.0 * x, forward=lambda x: max(x, 0.0)), 1e-4) == "wrong"

    def test_a_jump_is_no_kink(self):
        assert verdict(lambda x: x + 1.0 if x > 0 else x * 1.0, 0.0) == "inconclusive"


class TestNothingDoubtfulPasses:
    @pytest.mark.parametrize(
        ("f", "x"), [(sqrt, 0.0), (log, -1.0), (exp, 1000.0), (lambda x: log(x) * 0.0, 0.0)]
    )
    def test_inf_and_nan(self, f, x):
        assert verdict(f, x) == "not finite"

    def test_an_edge_of_the_domain(self):
        assert verdict(lambda x: x**1.5, 0.0) == "undefined"

    def test_a_derivative_below_the_rounding_of_the_function(self):
        assert verdict(lambda x: 1e16 + x, 1.0) == "inconclusive"
        assert verdict(lambda x: 1.0 + sigmoid(x - 60.0), 1.0) == "inconclusive"

    def test_and_the_users_own_tolerance_decides(self):
        off = wrong(lambda x: cos(x) + 1e-4)
        assert verdict(off, 0.5) == "wrong"
        assert verdict(off, 0.5, atol=1e-3) == "ok"
        assert verdict(off, 0.5, rtol=1e-3) == "ok"
        assert verdict(lambda x: 1e16 + x, 1.0, atol=1e3) == "ok"


class TestWhereFIsLevelToTheLastBit:
    """A zero derivative passes where nothing of the input arrives, not where rounding swallows it."""

    @pytest.mark.parametrize("constant", [1e10, 1e16, -1e17, 1e20, 1e300])
    def test_a_zero_gradient_of_a_function_too_large_to_show_its_slope(self, constant):
        op = wrong(lambda x: 0.0 * x, forward=lambda x: constant + 1e-10 * x)
        assert verdict(op, 1.0) == "inconclusive"
        assert verdict(op, 1.0, atol=1e-11) == "inconclusive"  # 0 is as near to 0 as it is meaningless

    @pytest.mark.parametrize("constant", [1.0, 1e3, 1e16])
    @pytest.mark.parametrize("scale", [1e-17, 1e-20, 1e-100])
    def test_a_zero_gradient_of_a_term_that_rounding_swallows(self, constant, scale):
        op = wrong(lambda x: 0.0 * x, forward=lambda x: scale * math.sin(x))
        assert verdict(lambda x: op(x) + constant, 0.5) == "inconclusive"
        assert verdict(lambda x: constant - 3.0 * op(x), 0.5) == "inconclusive"
        assert verdict(lambda x: total([op(x), constant, 1.0]).tanh().log1p(), 0.5) != "wrong"

    def test_a_zero_gradient_after_rounding_has_swallowed_the_input(self):
        op = wrong(lambda x: 0.0 * x, forward=lambda x: x - 1e16)
        assert verdict(lambda x: op(1e16 + x), 1.0) == "inconclusive"

    @pytest.mark.parametrize(
        ("f", "x"),
        [
            (lambda x: 1e16 + relu(x), -1.0),
            (lambda x: 1e6 + relu(x - 5.0), 5.0 - 1e-3),
            (lambda x: (relu(x - 5.0) - 3e5) ** 2, 1.0),
            (lambda x: 1e16 + 0.0 * x, 1.0),
            (lambda x: 1e16 * equal(x, 2.0), 2.0),
            (lambda x: 1e9 * maximum(x, 7.0), 1.0),
            (lambda x: 1e9 * plain_tanh(x), 40.0),
            (lambda x: plain_tanh(30.0 + 1e-20 * x), 1.0),
            (lambda x: 1e16 + x * x, 0.0),
            (lambda x: logsumexp([x * x - 30.0, 3.0]), 0.0),
            (lambda x: Value(1e16), 1.0),
        ],
        ids=["dead", "dead, beside the kink", "dead in a large loss", "times zero", "equal", "maximum",
             "saturated", "swallowed, then saturated", "stationary", "stationary in a sum",
             "unused"],
    )  # fmt: skip
    def test_a_zero_that_is_right_passes_however_large_f_is(self, f, x):
        assert verdict(f, x) == "ok"

    @pytest.mark.parametrize("seed", range(5))
    def test_dead_neurons_of_a_network_with_a_large_loss_pass(self, seed):
        model = MLP(2, [4, 3, 1], activation="relu", seed=seed)
        report = gradcheck(lambda *_: squared_error(model([0.3, -0.8]), 1e6), model.parameters())
        assert sum(row.analytic == 0.0 for row in report.rows) >= 3

    def test_the_table_says_what_was_seen_and_what_to_do(self):
        with pytest.raises(GradCheckError) as caught:
            gradcheck(lambda x: 1e16 + x, [1.0])
        _, _, row, advice = str(caught.value).splitlines()
        assert row.endswith("inconclusive, at 1e+16 rounding hides slopes below 2e+02")
        assert advice == (
            "where rounding hides slopes: check f without its large constant part, or elsewhere"
        )
        jump = gradcheck(lambda x: x + 1.0 if x > 0 else x * 1.0, [0.0], raise_exception=False)
        assert str(jump).endswith("inconclusive, the slopes do not settle")


class TestTheComplexStep:
    def test_a_model_and_its_second_derivatives(self):
        model = MLP(2, [3, 1], activation="tanh", seed=1)

        def loss(*_):
            return squared_error(model([0.3, -0.8]), 0.5)

        report = gradcheck(loss, model.parameters(), order=2, method="complex-step")
        assert len(report.rows) == 13 + 13**2
        assert max(row.ulps for row in report.rows if abs(row.analytic) > 1e-3) <= 16.0

    @pytest.mark.parametrize("off", [1e-10, -1e-11])
    def test_rejects_what_differences_cannot(self, off):
        op = primitive(
            partials=lambda out, z: (2.0 * (1.0 + off) * z * out,), name="gauss"
        )(lambda z: 2.718281828459045 ** (z * z))  # fmt: skip
        assert gradcheck(op, [0.7])
        assert verdict(op, 0.7, method="complex-step") == "wrong"
        assert verdict(op, 0.7, method="complex-step", rtol=1e-9) == "ok"

    @pytest.mark.parametrize("f", [lambda x: 1e16 + x, lambda x: 1.0 + sigmoid(x - 60.0)])
    def test_sees_a_slope_that_rounding_hides_from_differences(self, f):
        assert verdict(f, 1.0) == "inconclusive"
        assert verdict(f, 1.0, method="complex-step") == "ok"
        op = wrong(lambda x: 0.0 * x, forward=lambda x: 1e16 + x)
        assert verdict(op, 1.0, method="complex-step") == "wrong"

    def test_is_fair_to_a_formula_that_cancels(self):
        assert verdict(plain_tanh, 12.0, method="complex-step") == "ok"  # 1 - tanh² has 6 digits
        assert verdict(plain_sigmoid, 22.0, method="complex-step") == "ok"
        assert verdict(lambda x: (x + (x + x)) / x, 0.75, method="complex-step") == "ok"
        assert verdict(lambda x: x**0.2556, 1e-60, method="complex-step") == "ok"  # y - 1 is rounded
        assert verdict(plain_tanh, 40.0, method="complex-step") == "ok"  # 1 - tanh² is 0
        assert verdict(plain_sigmoid, 30.0, method="complex-step") == "inconclusive"

    def test_is_fair_where_its_own_step_underflows_or_shows(self):
        assert verdict(lambda x: exp(x), -700.0, method="complex-step") == "ok"
        assert verdict(lambda x: x * x.log1p(), 0.0, method="complex-step") == "ok"

    def test_counts_what_rounding_makes_of_a_long_graph(self):
        def f(x):
            for _ in range(300):
                x = (x * 1.1 + 0.1).sin()
            return x

        assert verdict(f, 0.3, method="complex-step", rtol=0.0) == "ok"

    def test_differences_still_see_what_the_graph_does_not(self):
        assert verdict(lambda x: x * 0.0 + math.sin(x.data), 0.7, method="complex-step") == "wrong"
        op = primitive(partials=lambda out, x: (math.cos(getattr(x, "data", x)),), name="op")(lambda x: x)
        assert verdict(op, 0.7, method="complex-step") == "wrong"

    def test_an_operation_that_takes_complex_numbers_and_is_not_analytic_is_found_out(self):
        right = primitive(partials=lambda out, z: ((1.0 + abs(z)) ** -2.0,))(lambda z: z / (1.0 + abs(z)))
        plane = primitive(partials=lambda out, z: (1.0 / (1.0 + abs(z)),))(lambda z: z / (1.0 + abs(z)))
        [row] = gradcheck(right, [0.5], method="complex-step", raise_exception=False).rows
        assert row.verdict == "inconclusive, but 0.6666666667 by the complex step: is f analytic?"
        assert verdict(plane, 0.5, method="complex-step") == "wrong"

    @pytest.mark.parametrize("f", [relu, abs, lambda x: maximum(x, 0.0), lambda x: equal(x, 2.0)])
    def test_says_which_operation_is_not_analytic(self, f):
        with pytest.raises(ValueError, match=f"analytic operations, and {f(Value(1.0)).op.name} is not one"):
            gradcheck(f, [1.0], method="complex-step")

    def test_says_which_operation_of_ones_own_takes_no_complex_numbers(self):
        with pytest.raises(ValueError, match=r"op takes none .*: use method='richardson'"):
            gradcheck(wrong(cos), [1.0], method="complex-step")

    def test_an_operation_of_ones_own_may_have_a_name_of_the_table(self):
        cube = primitive(partials=lambda out, x: (3.0 * x * x,), name="sin")(lambda x: x**3)
        assert verdict(cube, 0.7, method="complex-step") == "ok"

    def test_only_operations_on_the_way_from_an_input_count(self):
        x = Value(3.0)
        assert gradcheck(lambda y: relu(x) * y.sin(), [2.0], method="complex-step")

    def test_leaves_the_verdicts_on_kinks_and_infinities(self):
        assert verdict(sqrt, 0.0, method="complex-step") == "not finite"
        assert verdict(lambda x: x**1.5, 0.0, method="complex-step") == "undefined"


class TestInputsComeBack:
    def test_when_the_check_passes_and_when_f_raises(self):
        x, calls = Value(2.0, "x"), []
        x.grad = 7.0

        def f(x):
            calls.append(x.data)
            if len(calls) > 5:
                raise KeyError("f breaks in the middle of the check")
            return x * x

        with pytest.raises(KeyError):
            gradcheck(f, [x])
        assert calls[-1] != 2.0
        assert (x.data, x.grad) == (2.0, 7.0)
        gradcheck(lambda x: x * x, [x])
        assert (x.data, x.grad) == (2.0, 7.0)

    def test_even_from_a_function_that_runs_backward_itself(self):
        x = Value(2.0)

        def f(x):
            y = x * x
            y.backward()
            return y

        gradcheck(f, [x])
        assert x.grad == 0.0


class TestTheReport:
    def test_is_a_table_worst_first(self):
        a, b = Value(0.5, "a"), Value(0.25, "b")
        report = gradcheck(lambda a, b: wrong(sin)(a) * b, [a, b], raise_exception=False)
        header, first, second, sentence = str(report).splitlines()
        assert header.split() == ["label", "analytic", "numerical", "error", "ulps", "estimate", "verdict"]
        assert first.split()[0] == "a"
        assert first.split()[-1] == "wrong"
        assert second.split()[0] == "b"
        assert sentence.startswith("The derivative of the operation op is wrong")
        assert not report

    def test_counts_in_units_of_the_last_place(self):
        [row] = gradcheck(lambda x: wrong(lambda x: 3.0 + 0 * x, lambda x: 2 * x)(x), [1.0], atol=2.0).rows
        assert (row.analytic, row.numerical, row.error) == (3.0, 2.0, 1.0)
        assert row.ulps == 1.0 / math.ulp(3.0)

    def test_the_error_is_an_assertion_that_shows_the_failing_part_alone(self):
        with pytest.raises(GradCheckError) as caught:
            gradcheck(lambda good, bad: good + wrong(sin)(bad), [0.5, 0.5])
        assert isinstance(caught.value, AssertionError)
        assert "1 of 2 derivatives" in str(caught.value)
        assert "bad" in str(caught.value)
        assert "good" not in str(caught.value)
        assert len(caught.value.report.rows) == 2

    def test_names_inputs_by_label_then_parameter_then_number(self):
        def labels(f, inputs):
            return [row.label for row in gradcheck(f, inputs).rows]

        assert labels(lambda x: x + 0, [Value(1.0, "w₁")]) == ["w₁"]
        assert labels(lambda first: first + 0, [1.0]) == ["first"]
        assert sorted(labels(lambda *x: total(x), [1.0, 2.0])) == ["x1", "x2"]

    def test_names_pairs_for_second_derivatives(self):
        report = gradcheck(lambda x, y: x * x * y, [2.0, 3.0], order=2)
        rows = {row.label: row.analytic for row in report.rows}
        assert rows == {"x": 12.0, "y": 4.0, "x, x": 6.0, "x, y": 4.0, "y, x": 4.0, "y, y": 0.0}


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"order": 3}, "order must be from 1 to 2, got 3"),
            ({"atol": -1.0}, "atol must be 0 or more, got -1.0"),
            ({"rtol": math.nan}, "rtol must be 0 or more, got nan"),
            ({"method": "cs"}, "method must be 'richardson' or 'complex-step', got 'cs'"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            gradcheck(sin, [1.0], **options)

    @pytest.mark.parametrize("inputs", [[], Value(1.0), "12", 3.0])
    def test_inputs_that_are_no_list(self, inputs):
        with pytest.raises(ValueError, match="at least one Value or number"):
            gradcheck(sin, inputs)

    def test_an_input_that_is_no_number(self):
        with pytest.raises(TypeError, match="real number"):
            gradcheck(sin, ["1.0"])

    @pytest.mark.parametrize("result", [1.0, None, [Value(1.0)]])
    def test_a_function_that_returns_no_value(self, result):
        with pytest.raises(TypeError, match="f returns one Value"):
            gradcheck(lambda x: result, [1.0])

    def test_a_function_with_two_answers(self):
        rng = random.Random(0)
        with pytest.raises(ValueError, match="fix the seed"):
            gradcheck(lambda x: x * rng.random(), [1.0])
