"""gradcheck on arrays of NumPy: right gradients pass, wrong ones do not, rows have names."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes

from micrograd_mlp import Value, gradcheck, primitive, relu, squared_error
from micrograd_mlp.checks.testing import arrays, assert_gradients_match
from micrograd_mlp.nn import MLP

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 2))
PARAMETERS = {
    "W1": RNG.normal(size=(3, 5)),
    "b1": RNG.normal(size=5),
    "W2": RNG.normal(size=(5, 2)),
    "b2": RNG.normal(size=2),
}


def loss(W1, b1, W2, b2):
    return ((np.tanh(X @ W1 + b1) @ W2 + b2 - Y) ** 2).sum() / len(X)


def gradients(W1, b1, W2, b2):
    a = np.tanh(X @ W1 + b1)
    delta = 2 * (a @ W2 + b2 - Y) / len(X)
    delta1 = (delta @ W2.T) * (1 - a * a)
    return {"W1": X.T @ delta1, "b1": delta1.sum(0), "W2": a.T @ delta, "b2": delta.sum(0)}


def wrong_at(name, index, factor):
    def wrong(**parameters):
        result = gradients(**parameters)
        result[name][index] *= factor
        return result

    return wrong


def verdicts(*arguments, **options):
    report = gradcheck(*arguments, raise_exception=False, **options)
    return {row.label: row.verdict.split(",")[0] for row in report.rows}


def rosenbrock(x):
    return float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))


def rosenbrock_gradient(x):
    g = np.zeros_like(x)
    g[:-1] = -400.0 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2.0 * (1.0 - x[:-1])
    g[1:] += 200.0 * (x[1:] - x[:-1] ** 2)
    return g


class TestNumPy:
    def test_a_dict_by_keyword_or_as_it_is_and_a_list(self):
        assert gradcheck(loss, PARAMETERS, gradients)
        assert gradcheck(lambda p: loss(**p), PARAMETERS, lambda p: gradients(**p))
        assert gradcheck(loss, list(PARAMETERS.values()), lambda *p: list(gradients(*p).values()))
        assert gradcheck(loss, PARAMETERS, gradients(**PARAMETERS))
        assert gradcheck(lambda p: (loss(**p), gradients(**p)), PARAMETERS, True)

    def test_the_inputs_come_back_as_they_were(self):
        before = {name: array.copy() for name, array in PARAMETERS.items()}

        def spoils_its_inputs(W1, b1, W2, b2):
            value = loss(W1, b1, W2, b2)
            W1 *= 0.0
            return value

        assert gradcheck(spoils_its_inputs, PARAMETERS, gradients)
        assert all(np.array_equal(before[name], array) for name, array in PARAMETERS.items())

    def test_a_wrong_entry_is_found_and_named_as_numpy_counts(self):
        found = verdicts(loss, PARAMETERS, wrong_at("W2", (3, 1), 1.001))
        assert [label for label, verdict in found.items() if verdict != "ok"] == ["W2[3,1]"]
        assert found["W2[3,1]"] == "wrong"
        assert {"b1[0]", "b1[4]", "W1[2,4]"} <= found.keys()

    def test_scipys_fun_and_jac(self):
        assert gradcheck(rosenbrock, np.array([1.3, 0.7, 0.8]), rosenbrock_gradient)
        both = gradcheck(lambda x: (rosenbrock(x), rosenbrock_gradient(x)), np.array([1.3, 0.7, 0.8]), True)
        assert {row.label for row in both.rows} == {"x[0]", "x[1]", "x[2]"}
        found = verdicts(rosenbrock, np.array([1.3, 0.7]), lambda x: rosenbrock_gradient(x) * [1.0, 1.1])
        assert found == {"x[0]": "ok", "x[1]": "wrong"}

    def test_plain_numbers_with_a_gradient(self):
        assert verdicts(lambda x, y: x * y * y, [2.0, 3], lambda x, y: (y * y, 2 * x * y)) == {
            "x": "ok",
            "y": "ok",
        }
        assert verdicts(lambda x: x**3, [2.0], lambda x: 2 * x**2) == {"x": "wrong"}

    def test_whole_numbers_beside_arrays_are_constants(self):
        labels = np.array([0, 1, 1])
        report = gradcheck(
            lambda w, y: float(w[y].sum()), [np.ones(2), labels], lambda w, y: [np.bincount(y).astype(float)]
        )
        assert {row.label for row in report.rows} == {"w[0]", "w[1]"}

    def test_several_outputs_with_a_jacobian_or_a_function_of_the_cotangent(self):
        A = RNG.normal(size=(4, 3))
        x = RNG.normal(size=3)
        report = gradcheck(lambda x: np.sin(A @ x), x, lambda x: np.cos(A @ x)[:, None] * A)
        assert report.notes == ("f has 4 outputs: their sum with random weights was checked",)
        assert gradcheck(lambda x: np.sin(A @ x), x, lambda x, cotangent: A.T @ (cotangent * np.cos(A @ x)))
        wrong = A.copy()
        wrong[2, 1] += 1e-6
        turned = gradcheck(lambda x: A @ x, x, A.T, raise_exception=False)
        assert turned.failures[0].verdict == "wrong, its shape is (3, 4) and not (3,)"
        assert verdicts(lambda x: A @ x, x, wrong) == {"x[0]": "ok", "x[1]": "wrong", "x[2]": "ok"}
        hessian = np.array([[-400 * (0.7 - 3 * 1.3**2) + 2, -400 * 1.3], [-400 * 1.3, 200.0]])
        assert gradcheck(rosenbrock_gradient, np.array([1.3, 0.7]), hessian)

    def test_many_inputs_along_directions(self):
        x = np.linspace(0.1, 3.0, 3000)
        calls = []

        def f(x):
            calls.append(1)
            return float((np.sin(x) ** 2).sum())

        report = gradcheck(f, x, lambda x: np.sin(2.0 * x))
        assert report.count == 3000
        assert len(report.rows) < 10
        assert len(calls) < 150
        assert "missed with probability 0" in report.notes[0]

    @pytest.mark.parametrize(("position", "factor"), [(0, 1.001), (1234, 0.0), (2999, -1.0)])
    def test_a_single_wrong_entry_among_many_is_found(self, position, factor):
        def gradient(x):
            g = np.sin(2.0 * x)
            g[position] *= factor
            return g

        report = gradcheck(
            lambda x: float((np.sin(x) ** 2).sum()),
            np.linspace(0.1, 3.0, 3000),
            gradient,
            raise_exception=False,
        )
        wrong = [row.label for row in report.failures if row.label.startswith("x[")]
        assert wrong == [f"x[{position}]"]

    def test_a_small_derivative_among_many_is_checked_on_its_own(self):
        scales = np.ones(100)
        scales[17] = 1e-7
        report = gradcheck(
            lambda x: float(scales @ np.sin(x)),
            np.linspace(0.1, 1.0, 100),
            lambda x: scales * np.cos(x) * np.where(np.arange(100) == 17, 1.5, 1.0),
            raise_exception=False,
        )
        assert [row.label for row in report.failures if "[" in row.label] == ["x[17]"]

    def test_errors_that_only_a_direction_through_all_of_them_sees_do_not_pass(self):
        scales = np.full(1000, 1e-7)  # one by one, these are lost in the rounding of the large term
        x = np.linspace(0.1, 1.0, 1001)

        def f(x):
            return float(1e3 * np.sin(x[0]) + scales @ np.sin(x[1:]))

        right = np.concatenate([[1e3 * np.cos(x[0])], scales * np.cos(x[1:])])
        assert gradcheck(f, x, right)
        assert not gradcheck(f, x, np.concatenate([right[:1], 1.5 * right[1:]]), raise_exception=False)

    def test_kinks_among_many_derivatives(self):
        rng = np.random.default_rng(0)
        A = rng.normal(size=(6, 8))

        def f(W, b):  # the first example is zero, and so are the biases: eight kinks
            a = np.maximum(INPUTS @ W + b, 0.0)
            return float((a * A).sum())

        def gradient(W, b):
            d = A * (INPUTS @ W + b > 0.0)
            return INPUTS.T @ d, d.sum(0)

        INPUTS = rng.normal(size=(6, 5))
        INPUTS[0] = 0.0
        inputs = [rng.normal(size=(5, 8)), np.zeros(8)]
        report = gradcheck(f, inputs, gradient)
        assert {row.label for row in report.rows if row.verdict.startswith("kink")} == {
            f"b[{k}]" for k in range(8)
        }
        wrong = gradient(*inputs)
        wrong[0][2, 3] += 1e-3
        report = gradcheck(f, inputs, wrong, raise_exception=False)
        assert [row.label for row in report.failures if "[" in row.label] == ["W[2,3]"]
        assert not gradcheck(f, inputs, gradient, strict=True, raise_exception=False)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ((loss, PARAMETERS), TypeError, "give gradient="),
            ((loss, PARAMETERS, {"W1": 0.0}), ValueError, "gradient has no b1, W2, b2: its keys are W1"),
            ((loss, list(PARAMETERS.values()), [0.0]), ValueError, "1 arrays for 4 inputs"),
            ((lambda x: "text", np.ones(2), np.ones(2)), TypeError, "f returns numbers or arrays of them"),
            ((lambda x: x.sum(), np.ones(2) * 1j, np.ones(2)), TypeError, "real arrays"),
            ((lambda n: n.sum(), np.arange(3), np.ones(3)), ValueError, "none of the inputs"),
            ((lambda x: RNG.normal(), np.ones(2), np.ones(2)), ValueError, "fix the seed"),
            ((Value(1.0) * 2.0, [1.0]), TypeError, "gradcheck takes a function and its inputs"),
        ],
    )
    def test_mistakes_get_words(self, arguments, error, message):
        with pytest.raises(error, match=message):
            gradcheck(*arguments)

    def test_options_that_do_not_fit(self):
        with pytest.raises(ValueError, match="NumPy does not give"):
            gradcheck(rosenbrock, np.ones(2), rosenbrock_gradient, order=2)
        with pytest.raises(ValueError, match="complex step needs a graph of Values"):
            gradcheck(rosenbrock, np.ones(2), rosenbrock_gradient, method="complex-step")

    def test_a_gradient_of_another_shape_is_wrong(self):
        def per_example(**parameters):
            return {**gradients(**parameters), "b2": 2 * (loss(**parameters) + Y)}

        report = gradcheck(loss, PARAMETERS, per_example, raise_exception=False)
        [row] = report.failures
        assert (row.label, row.verdict) == ("b2", "wrong, its shape is (7, 2) and not (2,)")


def one(f, x, g, dtype=np.float64, **options):
    """The verdict on one derivative of a function that is only called."""
    found = verdicts(f, np.array([x], dtype=dtype), np.array([g], dtype=dtype), **options)
    return found["x[0]"]


class TestFunctionsThatAreOnlyCalled:
    def test_steps_lead_from_one_float32_number_to_another(self):
        """So the slope of a straight line, which is computed in double precision, is exact."""
        x = np.array([0.3, 1.7], dtype=np.float32)
        report = gradcheck(lambda x: float(x[0]) + 3.0 * float(x[1]), [x], [np.array([1.0, 3.0])])
        assert [row.numerical for row in report.rows] == [row.analytic for row in report.rows]

    @pytest.mark.parametrize("x", np.linspace(-3.0, 3.0, 41))
    def test_sine_in_float32(self, x):
        x = np.float32(x)
        right = np.cos(x)
        assert one(lambda x: np.sin(x[0]), x, right, np.float32) == "ok"
        for wrong in (0.5 * right, 0.0, -right, 1.001 * right):
            assert one(lambda x: np.sin(x[0]), x, wrong, np.float32) == "wrong"

    @pytest.mark.parametrize(
        "f",
        [
            lambda x: float(np.sin(np.float32(x[0]))),
            lambda x: round(float(np.sin(x[0])), 7),
            lambda x: (1e7 + np.sin(x[0])) - 1e7,
        ],
        ids=["float32 inside", "rounded", "cancelled"],
    )
    def test_functions_of_about_seven_digits(self, f):
        assert one(f, 0.7, np.cos(0.7)) == "ok"
        for wrong in (0.5, 0.0, 0.5 * np.cos(0.7), 1.001 * np.cos(0.7)):
            assert one(f, 0.7, wrong) == "wrong"

    def test_stairs_that_are_not_level(self):
        def f(x):
            return float(np.float32(np.sin(x[0]))) + 1e-3 * x[0]

        assert one(f, 0.7, np.cos(0.7) + 1e-3) == "ok"
        assert one(f, 0.7, 1e-3) == "wrong"

    def test_says_to_how_many_digits_f_is_computed(self):
        report = gradcheck(
            lambda x: round(1.0 + 1e-4 * np.sin(x[0]), 7),
            np.array([0.7]),
            np.array([1e-4 * np.cos(0.7)]),
            raise_exception=False,
        )
        assert "inconclusive, f is computed to about 7 digits, which hides slopes below" in str(report)

    def test_the_user_may_know_the_noise(self):
        rng = np.random.default_rng(3)

        def noisy(x):
            return float(np.sin(x[0])) + 1e-9 * rng.normal()

        assert one(noisy, 0.7, np.cos(0.7), noise=1e-9) == "ok"
        assert one(noisy, 0.7, 1.001 * np.cos(0.7), noise=1e-9) == "wrong"
        assert one(lambda x: np.sin(x[0]), 0.7, np.cos(0.7), noise=1.0) == "inconclusive"

    def test_a_kink_is_one_only_if_the_slopes_stay_apart(self):
        def sharp(x):
            return float(np.logaddexp(0.0, 1e9 * x[0])) / 1e9

        assert one(lambda x: abs(x[0]), 0.0, 0.0) == "kink"
        assert one(lambda x: max(x[0], 0.0) + 3.0, 0.0, 0.0) == "kink"
        assert one(lambda x: max(x[0], 0.0) + 3.0, 0.0, 0.3) == "inconclusive"
        assert one(lambda x: max(x[0], 0.0) + 3.0, 0.0, 1.3) == "wrong"
        assert one(lambda x: max(x[0], 0.0) + 3.0, 1e-6, 0.5) == "wrong"
        assert one(sharp, 0.0, 0.0) != "kink"
        assert one(sharp, 1e-9, 0.5) != "kink"

    def test_a_smooth_sharp_bend_of_a_graph_with_a_wrong_gradient_is_no_kink(self):
        def partial(out, x):
            return (0.3,)

        op = primitive(partials=partial, name="sharp")(lambda x: float(np.logaddexp(0.0, 1e9 * x)) / 1e9)
        [row] = gradcheck(op, [0.0], raise_exception=False).rows
        assert not row.passed
        undeclared = primitive(partials=lambda out, x: (0.5,), name="bent")(lambda x: max(x, 0.0))
        [row] = gradcheck(undeclared, [0.0], raise_exception=False).rows
        assert row.verdict == "inconclusive, slopes 0 and 1, but no kink that is known of"
        [row] = gradcheck(lambda x: undeclared(x) + relu(x + 5.0), [0.0], raise_exception=False).rows
        assert row.verdict == "inconclusive, slopes 1 and 2, but no kink that is known of"

    @pytest.mark.parametrize("distance", [0.0, 1e-12, -1e-9, 1e-6, -1e-3, 0.1])
    def test_seams_pass_when_right(self, distance):
        huber = (lambda z: z * z / 2 if abs(z) < 1 else abs(z) - 0.5), (lambda z: np.clip(z, -1.0, 1.0)), 1.0
        elu = (lambda z: z if z > 0 else np.expm1(z)), (lambda z: np.exp(min(z, 0.0))), 0.0
        softsign = (lambda z: z / (1 + abs(z))), (lambda z: 1 / (1 + abs(z)) ** 2), 0.0
        square = (lambda z: z * abs(z)), (lambda z: 2 * abs(z)), 0.0
        for f, slope, seam in (huber, elu, softsign, square):
            x = seam + distance
            assert one(lambda x, f=f: 3.0 * f(x[0]), x, 3.0 * slope(x)) == "ok"
            if slope(x):
                assert one(lambda x, f=f: 3.0 * f(x[0]), x, 3.003 * slope(x)) == "wrong"

    @pytest.mark.parametrize("frequency", [1e3, 2.0 * np.pi * 64.0, 2.0**20 * np.pi, 1e7])
    def test_oscillation_does_not_alias_with_the_steps(self, frequency):
        def f(x):
            return float(x[0] + np.sin(frequency * x[0]) / frequency)

        right = 1.0 + np.cos(frequency * 0.3)
        assert one(f, 0.3, right) == "ok"
        assert one(f, 0.3, 1.0) == "wrong"

    def test_a_dead_input_passes_and_a_swallowed_one_does_not(self):
        assert one(lambda x: 1.3 + max(x[0] - 5.0, 0.0), 0.7, 0.0) == "ok"
        assert one(lambda x: 1.3, 0.7, 0.0) == "ok"
        assert one(lambda x: float(x[0] > 0.0), 0.7, 0.0) == "ok"
        assert one(lambda x: 1e16 + x[0], 0.7, 0.0) == "inconclusive"
        assert one(lambda x: 1e16 + x[0], 0.7, 1.0) == "inconclusive"

    def test_a_step_that_leaves_the_domain_is_dropped(self):
        def edge(x):
            if x[0] < 0.0:
                raise ValueError("outside")
            return float(np.log(x[0]))

        assert one(edge, 1e-3, 1e3) == "ok"
        assert one(lambda x: np.sqrt(x[0]), 1e-3, 0.5e1**0.5 * 10**0.5 * 10**0.5) != "ok"
        power = primitive(partials=lambda out, x: (1.5 * x**0.5,), name="power")(lambda x: x**1.5)
        assert gradcheck(power, [1e-3])  # x**0.5 is complex where x is negative, and so is x**1.5


class TestManyValues:
    def test_thousands_of_parameters_go_along_directions(self):
        model = MLP(30, [70, 10, 1], activation="tanh", seed=0)
        x = [0.1 * i for i in range(30)]
        before = [(p.data, p.grad) for p in model.parameters()]
        report = gradcheck(lambda *_: squared_error(model(x), 1.0), model.parameters())
        assert report.count == len(model.parameters()) == 2891
        assert len(report.rows) < 400
        assert [(p.data, p.grad) for p in model.parameters()] == before

    def test_a_single_wrong_one_is_found(self):
        bad = primitive(partials=lambda out, x: (1.001 * 2.0 * x,), name="bad")(lambda x: x * x)
        report = gradcheck(
            lambda *x: sum(bad(v) if i == 321 else v * v for i, v in enumerate(x)),
            [Value(0.1 + 0.01 * i, f"w[{i}]") for i in range(500)],
            raise_exception=False,
        )
        assert [row.label for row in report.failures if "[" in row.label] == ["w[321]"]

    def test_second_derivatives_go_along_directions_too(self):
        op = primitive(partials=lambda out, x: (3.0 * getattr(x, "data", x) ** 2,), name="cube")(
            lambda x: x**3
        )
        inputs = [0.1 + 0.01 * i for i in range(150)]
        assert gradcheck(lambda *x: sum(v**3 for v in x), inputs, order=2).count == 300
        report = gradcheck(lambda *x: sum(op(v) for v in x), inputs, order=2, raise_exception=False)
        assert all(row.label.startswith("∇f·u by ") for row in report.failures)
        assert report.failures


def test_values_import_no_numpy():
    program = (
        "import sys; from micrograd_mlp import gradcheck; gradcheck(lambda x: x * x, [2.0]); "
        "sys.exit(bool({'numpy', 'torch', 'jax'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class TestTheStrategyArrays:
    @settings(max_examples=20)
    @given(arrays((2, 3), min_value=-1.0, max_value=0.5, dtype="float32"))
    def test_have_the_shape_the_bounds_and_the_precision(self, x):
        assert (x.shape, x.dtype) == ((2, 3), np.float32)
        assert ((x >= -1.0) & (x <= 0.5)).all()

    @settings(max_examples=20)
    @given(arrays(array_shapes(max_dims=2, max_side=3)))
    def test_right_gradients_match(self, x):
        assert_gradients_match(lambda x: float(np.sin(x).sum()), x, np.cos, atol=1e-12)

    def test_wrong_ones_are_found(self):
        with pytest.raises(AssertionError, match="did not pass"):
            assert_gradients_match(
                lambda x: float((x**3).sum()), [np.array([1.0, 2.0])], lambda x: 2.0 * x**2
            )
