"""Numbers as readers write them: few digits are enough, but never so few that anything fits."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import Value
from micrograd_mlp.app.answers import numbers_in, read


@pytest.mark.parametrize(
    ("answer", "number", "unit"),
    [
        ("0.46", 0.46, 0.01),
        ("0.460", 0.46, 0.001),
        ("-3", -3.0, 1.0),
        ("\N{MINUS SIGN}3", -3.0, 1.0),
        (" +.5 ", 0.5, 0.1),
        ("2.", 2.0, 1.0),
        ("1.5E2", 150.0, 10.0),
        ("1e-4", 1e-4, 1e-4),
        ("-2/4", -0.5, 0.0),
        (7, 7.0, 1.0),
        (0.25, 0.25, 0.01),
        (Fraction(2, 3), 2 / 3, 0.0),
    ],
)
def test_what_is_read(answer, number, unit):
    written = read(answer)
    assert written.number == number
    assert written.unit == pytest.approx(unit)


def test_numbers_of_numpy():
    numpy = pytest.importorskip("numpy")
    assert read(numpy.float64(0.25)).number == 0.25
    assert read(numpy.float32(0.1)).fits(0.1)
    assert read(numpy.array(3.0)).number == 3.0


@pytest.mark.parametrize(
    "answer", ["", "x", "1,5", "1/0", "1/", "/2", "nan", "inf", "1e999", None, [1.0], 1j, Value(2.0)]
)
def test_what_is_no_number(answer):
    with pytest.raises(ValueError, match=r"is not a number: write a number such as 0\.25"):
        read(answer)


@given(st.floats(1e-6, 1e6), st.integers(3, 12), st.sampled_from([1.0, -1.0]))
def test_a_rounded_number_fits(x, digits, sign):
    assert read(f"{sign * x:.{digits}g}").fits(sign * x)


@given(st.floats(1e-6, 1e6), st.integers(1, 12))
def test_what_is_more_than_two_percent_off_does_not_fit(x, digits):
    written = read(f"{x:.{digits}g}")
    assert not written.fits(1.03 * written.number)
    assert not written.fits(0.97 * written.number)
    assert not written.fits(-x)
    assert not read("0").fits(x)


@given(st.floats(-1e3, 1e3).filter(lambda x: abs(x) > 1e-3))
def test_a_computed_number_fits_only_itself(x):
    written = read(x)
    assert written.fits(x)
    assert not written.fits(x * (1.0 + 1e-6)) or written.unit > 1e-6 * abs(x)


def test_rounding_errors_are_no_difference():
    assert read(0.1 + 0.2).fits(0.3)
    assert read(0).fits(0.1 + 0.2 - 0.3, scale=0.3)
    assert not read(0).fits(1e-12, scale=0.3)


def test_a_number_with_too_few_digits():
    assert read("0.5").is_near(math.tanh(0.5))
    assert read("0.4700").is_near(math.tanh(0.5))
    assert not read("0.4700").fits(math.tanh(0.5))
    assert not read("0.7").is_near(math.tanh(0.5))


def test_the_numbers_of_an_answer():
    assert numbers_in({"a": [1, (2, 3)], "b": "4"}) == [1, 2, 3, "4"]
    assert numbers_in(...) == [...]
