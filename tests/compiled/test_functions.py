"""exp, log, tanh and others in machine code: the last digits against mpmath, and special values."""

import math

import mpmath
import numpy as np
import pytest

pytest.importorskip("llvmlite")
from micrograd_mlp.compiled.functions import FUNCTIONS, OPERATIONS
from micrograd_mlp.engine.table import TABLE
from tests.compiled.lanes import DTYPES, run

mp = mpmath.mp.clone()
mp.prec = 1200  # 1 + x and 1 - x keep all digits of the smallest x

EXACT = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
    "silu": lambda z: z / (1 + mp.exp(-z)),
    "softplus": lambda z: mp.log1p(mp.exp(z)),
    "sigmoid_slope": lambda z: mp.exp(-abs(z)) / (1 + mp.exp(-abs(z))) ** 2,
    "tanh": mp.tanh,
    "gaussian": lambda x: mp.exp(-x * x),
    "log": mp.log,
    "log2": lambda x: mp.log(x, 2),
    "log1p": mp.log1p,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
}
ULPS = {"silu": 3.5, "sigmoid_slope": 4.0, "erfc": 5.0, "tan": 3.0}
REALS = ("double", "float")
SPECIAL = [
    *(0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0),
    *(5e-324, -5e-324, 1e-310, -1e-310, 2.0**-1022, 1.4e-45, -1.4e-45, 2.0**-126, 1e-40, -1e-40),
    *(1e-20, -1e-20, 1e20, -1e20, 3e38, -3e38, 1.7e308, -1.7e308),
]


def at(name, *rows, real):
    """The function of rows of numbers. Vectors and single numbers have the same results, to the last bit."""
    written = OPERATIONS.get(name) or FUNCTIONS[name]
    [in_vectors], [one_by_one] = run(lambda code, numbers: [written(*numbers)], rows, real)
    np.testing.assert_array_equal(in_vectors, one_by_one)
    assert (np.signbit(in_vectors) == np.signbit(one_by_one))[in_vectors == 0.0].all()
    return in_vectors


def sample(name, real):
    """Numbers of all sizes, those where the function bends in greater number."""
    rng = np.random.default_rng(list(name.encode()))
    largest = 708.0 if real == "double" else 87.0
    sizes = 10.0 ** rng.uniform(-largest / 2.4, 1.0, 200)
    if name.startswith("log"):
        near_one = 1.0 + rng.choice([-1.0, 1.0], 200) * 10.0 ** rng.uniform(-12.0, -0.5, 200)
        x = np.concatenate(
            [np.exp(rng.uniform(-largest, largest, 200)), near_one, rng.uniform(0.5, 2.0, 200)]
        )
        return np.concatenate([x - 1.0, sizes, -sizes[sizes < 0.9]]) if name == "log1p" else x
    bends = 28.0 if real == "double" else 11.0
    x = [rng.uniform(-largest, largest, 200), rng.normal(0.0, 2.0, 200), rng.uniform(-bends, bends, 200)]
    return np.concatenate([*x, sizes, -sizes])


def angles(real):
    """Angles of all sizes, and those nearest to multiples of ¼π, where a sine or a cosine vanishes."""
    rng = np.random.default_rng(0)
    k = np.concatenate([np.arange(300), rng.integers(0, 2**28, 200)])
    sizes = 10.0 ** rng.uniform(
        -300.0 if real == "double" else -37.0, 300.0 if real == "double" else 37.0, 300
    )
    return np.concatenate(
        [k * (0.25 * np.pi), -sizes, rng.uniform(-10.0, 10.0, 300), rng.uniform(0.9e6, 1.1e6, 100)]
    )


def ulps(result, exact, dtype):
    """How far a result is off, in units of the exact number's last place."""
    limits = np.finfo(dtype)
    if abs(exact) > float(limits.max):
        return 0.0 if math.isinf(result) and (result > 0.0) == (exact > 0) else math.inf
    spacing = np.spacing(dtype(abs(float(exact))))
    return float(abs(mp.mpf(result) - exact) / float(max(spacing, limits.smallest_subnormal)))


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", EXACT)
def test_last_digits(name, real):
    dtype = DTYPES[real]
    x = (angles(real) if name in ("sin", "cos", "tan") else sample(name, real)).astype(dtype)
    errors = [
        ulps(y, EXACT[name](mp.mpf(float(x_k))), dtype) for x_k, y in zip(x, at(name, x, real=real).tolist())
    ]
    worst = int(np.argmax(errors))
    assert errors[worst] <= ULPS.get(name, 2.5), (x[worst], errors[worst])


@pytest.mark.parametrize("real", REALS)
def test_last_digits_of_powers(real):
    dtype, rng = DTYPES[real], np.random.default_rng(0)
    x = np.concatenate([np.exp(rng.uniform(-80.0, 80.0, 500)), rng.uniform(0.7, 1.42, 500)]).astype(dtype)
    exponents = rng.uniform(-1.0, 1.0, 1000) * (740.0 if real == "double" else 103.0)
    y = np.where(rng.random(1000) < 0.5, rng.normal(0.0, 2.0, 1000), exponents / np.log(x)).astype(dtype)
    results = at("pow", x, y, real=real).tolist()
    for x_k, y_k, result in zip(x.tolist(), y.tolist(), results, strict=True):
        assert ulps(result, mp.power(mp.mpf(x_k), mp.mpf(y_k)), dtype) <= 1.5, (x_k, y_k)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", [name for name in OPERATIONS if TABLE[name].arity == 1])
def test_special_values_are_those_of_the_table(name, real):
    dtype = DTYPES[real]
    with np.errstate(over="ignore", under="ignore"):
        x = np.array(SPECIAL).astype(dtype)
        expected = np.array([TABLE[name].forward(x_k) for x_k in x.tolist()]).astype(dtype)
    result = at(name, x, real=real)
    np.testing.assert_allclose(result, expected, rtol=4.0 * np.finfo(dtype).eps, atol=0.0)
    signs = np.signbit(result) == np.signbit(expected)
    assert signs[~np.isnan(expected)].all()


@pytest.mark.parametrize(
    ("real", "name", "last", "smallest"),
    [
        *[("double", "exp", 709.782712893384, -745.1332191019411), ("float", "exp", 88.72283, -103.972076)],
        *[("double", "expm1", 709.782712893384, None), ("float", "expm1", 88.72283, None)],
    ],
)
def test_overflow_and_underflow_begin_where_they_have_to(name, real, last, smallest):
    dtype = DTYPES[real]
    last = dtype(last)
    finite, infinite = at(name, [last, np.nextafter(last, dtype(np.inf))], real=real)
    assert np.isfinite(finite)
    assert np.isinf(infinite)
    if smallest is not None:
        smallest = dtype(smallest)
        least, zero = at(name, [smallest, np.nextafter(smallest, dtype(-np.inf))], real=real)
        assert least == np.finfo(dtype).smallest_subnormal
        assert zero == 0.0


def test_powers_of_two_have_exact_logarithms():
    k = np.arange(-1074, 1024)
    assert at("log2", 2.0**k, real="double").tolist() == k.tolist()


@pytest.mark.parametrize("real", REALS)
def test_the_logarithm_of_a_sum_keeps_its_small_terms(real):
    small = -30.0 if real == "double" else -12.0
    z = [small, 0.0, 1.0, -math.inf], [0.0, small, 1.0, -math.inf]
    tiny = math.log1p(math.exp(small))
    expected = [tiny, tiny, 1.0 + math.log(2.0), -math.inf]
    np.testing.assert_allclose(
        at("logsumexp", *z, real=real), expected, rtol=4.0 * np.finfo(DTYPES[real]).eps
    )


PAIRS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -3.0,
    7.25,
    1e300,
    -1e-300,
    5e-324,
    math.inf,
    -math.inf,
    math.nan,
]


def in_python(function, x, y):
    try:
        return function(x, y)
    except OverflowError:
        return None  # whether inf or -inf is the function's own business
    except (ValueError, ZeroDivisionError):
        return None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pow", TABLE["pow"].forward),
        ("atan2", math.atan2),
        ("copysign", math.copysign),
        ("fmod", math.fmod),
        ("remainder", math.remainder),
        ("hypot", math.hypot),
        ("mod", lambda x, y: x % y),
        ("floordiv", lambda x, y: x // y),
        ("div", TABLE["div"].forward),
    ],
)
def test_functions_of_two_numbers_have_pythons_values(name, expected):
    rng = np.random.default_rng(1)
    x = [x for x in PAIRS for _ in PAIRS] + rng.normal(0.0, 3.0, 200).tolist()
    y = PAIRS * len(PAIRS) + rng.normal(0.0, 3.0, 200).tolist()
    for x_k, y_k, result in zip(x, y, at(name, x, y, real="double").tolist(), strict=True):
        value = in_python(expected, x_k, y_k)
        if value is not None:
            assert result == pytest.approx(value, rel=4e-16, abs=0.0, nan_ok=True), (x_k, y_k)
            assert math.isnan(value) or math.copysign(1.0, result) == math.copysign(1.0, value), (x_k, y_k)
