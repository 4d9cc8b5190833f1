"""The complex step of every analytic op: within 4 ulps of the exact derivative, over its whole domain."""

import math
import random

import pytest

from micrograd_mlp.checks.complex_step import imaginary_slope
from micrograd_mlp.engine.table import TABLE
from tests.engine.oracle import KNOWN, SPECS, error_in_ulps, mp, sample

POINTS = 150
BOUND, ASINHS = 4.0, 8.0  # ulps; of a softmax and a power by the scale that stands in tests/engine/oracle.py
SCALED = {"pow", "logsumexp", "silu"}
CONTINUATIONS = {
    name: op.complex_form for name, op in TABLE.items() if op.complex_form is not None and name in KNOWN
}


def test_what_has_no_derivative_somewhere_and_a_value_there_has_no_complex_form():
    for name in (
        "relu",
        "leaky_relu",
        "abs",
        "maximum",
        "minimum",
        "equal",
        "sign",
        "floor",
        "clip",
        "where",
    ):
        assert TABLE[name].complex_form is None


def derivatives(name, numbers):
    units = [[float(i == k) for i in range(len(numbers))] for k in range(len(numbers))]
    return [imaginary_slope(CONTINUATIONS[name], numbers, unit) for unit in units]


@pytest.mark.parametrize("name", CONTINUATIONS)
def test_the_derivative_is_exact_to_a_few_units_in_the_last_place(name):
    rng, spec, compared = random.Random(f"continuation of {name}"), SPECS[name], 0
    for _ in range(POINTS):
        numbers = sample(TABLE[name], rng)
        if not math.isfinite(TABLE[name](*numbers)):
            continue
        exact = spec.first(*map(mp.mpf, numbers))
        scales = spec.first_scale(*map(mp.mpf, numbers)) if name in SCALED else [0] * len(exact)
        bound = ASINHS if name == "asinh" else BOUND  # Python's own, of complex numbers, is less exact
        for (got, lost), wanted, scale in zip(derivatives(name, numbers), exact, scales, strict=True):
            if lost < 1e-20 * abs(wanted) or wanted == 0:
                assert error_in_ulps(got, wanted, scale) <= bound, (numbers, got, wanted)
                compared += 1
            else:
                assert abs(got - wanted) <= lost + bound * 2.0**-52 * abs(wanted), (numbers, got, wanted)
    assert compared > POINTS / 3


@pytest.mark.parametrize(
    ("numbers", "exact"),
    [((-3.0, 2.0), -6.0), ((-3.0, 3.0), 27.0), ((-2.0, -1.0), -0.25), ((0.0, 1.0), 1.0), ((0.0, 2.0), 0.0)],
)
def test_a_power_of_a_number_that_is_not_positive(numbers, exact):
    assert imaginary_slope(CONTINUATIONS["pow"], numbers, (1.0, 0.0))[0] == pytest.approx(exact, rel=1e-15)
    by_exponent = imaginary_slope(CONTINUATIONS["pow"], numbers, (0.0, 1.0))[0]
    assert by_exponent == 0.0 if numbers[0] == 0.0 else math.isnan(by_exponent)


@pytest.mark.parametrize(
    ("name", "numbers", "exact"),
    [
        ("log1p", (1e-20,), 1.0),
        ("log1p", (math.nextafter(-1.0, 0.0),), 2.0**53),
        ("expm1", (-1e-20,), 1.0),
        ("log", (1e-300,), 1e300),
        ("sigmoid", (0.0,), 0.25),
        ("sigmoid", (40.0,), 4.248354255291589e-18),
        ("tanh", (25.0,), 7.714994927105803e-22),
        ("softplus", (-400.0,), math.exp(-400.0)),
    ],
)
def test_where_the_textbook_formula_cancels_or_overflows(name, numbers, exact):
    [(slope, _)] = derivatives(name, numbers)
    assert slope == pytest.approx(exact, rel=1e-15)


def test_zero_times_a_logarithm_of_zero_is_zero_in_every_direction_of_the_other():
    assert imaginary_slope(CONTINUATIONS["xlogy"], (0.0, 0.0), (0.0, 1.0))[0] == 0.0
    assert imaginary_slope(CONTINUATIONS["xlog1py"], (0.0, -1.0), (0.0, 1.0))[0] == 0.0


def test_in_a_direction_it_is_the_sum_of_the_derivatives():
    slope, _ = imaginary_slope(CONTINUATIONS["div"], (3.0, 2.0), (5.0, -7.0))
    assert slope == pytest.approx(5.0 / 2.0 + 7.0 * 3.0 / 4.0, rel=1e-15)


def test_what_underflow_and_the_next_terms_may_take_is_told():
    slope, lost = imaginary_slope(CONTINUATIONS["exp"], (-700.0,), (1.0,))
    assert abs(slope - math.exp(-700.0)) <= lost < 1e-130
    slope, lost = imaginary_slope(lambda z: (z - 1.0) ** 3, (1.0,), (1.0,))
    assert 0.0 < abs(slope) <= lost < 1e-100


def test_an_overflow_or_a_pole_is_nan():
    assert math.isnan(imaginary_slope(CONTINUATIONS["xlogy"], (1.0, 0.0), (1.0, 0.0))[0])
    assert math.isnan(imaginary_slope(CONTINUATIONS["exp"], (1000.0,), (1.0,))[0])
    assert math.isnan(imaginary_slope(CONTINUATIONS["div"], (1.0, 0.0), (1.0, 0.0))[0])
