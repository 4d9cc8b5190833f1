"""Python functions of records in other languages: the same numbers, or an error that says why not."""

import itertools
import math
import operator
import random

import numpy as np
import pytest

from micrograd_mlp import Op, Value, dot, exp, logsumexp, primitive, sigmoid, total
from micrograd_mlp.engine.javascript import JAVASCRIPT
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.translate import Translation, TranslationError
from tests.engine import node

SPECIAL = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324),
    *(2.2250738585072014e-308, 1e-310, 1e308, -1e308, 709.0, -745.0, 1e-8, 1e16, 40.0, -40.0),
]


def points(arity, n, seed=0):
    """Inputs of every size and all combinations of special ones."""
    rng = random.Random(seed)

    def number():
        kind = rng.randrange(4)
        if kind == 0:
            return rng.choice(SPECIAL)
        if kind == 1:
            return float(rng.randint(-5, 5))
        return rng.gauss(0.0, 3.0) if kind == 2 else rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-20, 20)

    pairs = itertools.product(SPECIAL, repeat=arity) if arity in (1, 2) else ()
    return [*pairs, *[tuple([number() for _ in range(arity or 2 * rng.randint(1, 4))]) for _ in range(n)]]


def assert_same(function, name_for, translation, inputs, tolerance=1e-13):
    """What the Python function returns, the function of the name for so many inputs returns in JavaScript,
    within a relative tolerance: nan for nan, -0.0 for -0.0."""
    names = {n: name_for(n) for n in {len(x) for x in inputs}}
    results = node.call(translation.source(), [(names[len(x)], x) for x in inputs])
    for x, result in zip(inputs, results, strict=True):
        expected = function(*x)
        pairs = zip(expected, result, strict=True) if isinstance(result, list) else [(expected, result)]
        assert not any(node.differs(a, b, tolerance) for a, b in pairs), (x, expected, result)


@pytest.mark.parametrize("name", TABLE)
def test_every_operation_has_pythons_values_and_derivatives_in_javascript(name):
    op, translation = TABLE[name], Translation(JAVASCRIPT)
    inputs = points(op.arity, 300)
    assert_same(op.forward, lambda n: translation.forward(op, n), translation, inputs)
    inputs = [(op.forward(*x), *x) for x in inputs]
    assert_same(op.partials, lambda n: translation.partials(op, n - 1), translation, inputs)


HALF, TABLE_OF_WEIGHTS, SCALE = 0.5, (0.25, 0.5, 0.75), np.float64(1.5)


def helper(x, slope=2.0, *, _=None):  # pragma: no cover - has a keyword parameter, which can't be turned
    return slope * x


def shifted(x, by=1.0, times=2.0):
    """A helper with defaults."""
    return times * (x + by)


def clipped(x):
    if x < -1.0:
        y = -1.0
    elif x > 1.0:
        y = 1.0
    else:
        y = x
        y *= HALF
    return y + shifted(x, times=3.0)


def safe_ratio(x, y):
    try:
        return x / y
    except ZeroDivisionError:
        return 0.0 if x == 0.0 else math.inf


def safe_exp(x):
    try:
        result = math.exp(x)
    except OverflowError:
        result = -1.0
    return result


def safe_log(x):
    try:
        return math.log(x)
    except ValueError:
        return -2.0
    except OverflowError:
        return -3.0


def told_apart(x, y):
    try:
        return math.pow(x, y)
    except ValueError:
        return 10.0
    except OverflowError:
        return 20.0


def any_error(x):
    try:
        return math.sqrt(x) + 1.0 / x
    except Exception:
        return 0.5


def integer_parts(x, y):
    if y == 0.0 or not math.isfinite(x) or not math.isfinite(y):
        return math.nan
    return x // y + x % y + math.fmod(x, y) + math.remainder(x, y)


def rounded(x):
    if math.isnan(x) or math.isinf(x):
        return x
    return 1.0 * round(x) + 10.0 * int(x) + 100.0 * math.floor(x) + 1000.0 * math.ceil(x)


def bits(x, y):
    """Conditions as numbers, numbers as conditions, `and` and `or` of both."""
    both = (x > 0.0) + (y > 0.0) * 2.0
    either = x or y
    neither = not x and not y
    return both + (either and 4.0) + (8.0 if neither else 16.0 * (0.0 < x < y != 3.0)) - (x > y)


def powers(x, y):
    if not 1e-100 < x < 1e100 or not abs(y) < 3.0:
        return 0.0
    return x**y + x**2 + 2.0**-3 + x**0.5


def polynomial(x, weights=TABLE_OF_WEIGHTS):
    result, power = 0.0, 1.0
    for k, weight in enumerate(weights, start=1):
        result += k * weight * power
        power *= x
    return float(SCALE) * result


def spread_out(*z):
    """Loops, slices, unpacking and calls with any number of arguments."""
    n = len(z)
    first, last, reverse = z[0], z[-1], z[::-1]
    pairs = [a * b for k, (a, b) in enumerate(zip(z, reverse)) if k % 2 == 0]
    odd = [x for x in z[1::2]]
    triangle = [float(i * j) for i in range(n) for j in range(i)]
    longest = max(n, *[k if x > 0.0 else -1 for k, x in enumerate(z)], 0)
    lists = [0.5] * 2 + list(map(operator.mul, z, odd)) + [*pairs]
    return [*lists, first, last, sum(triangle), 1.0 * longest, total(z), dot(z, reverse), logsumexp(z)]


def found(*z):
    for k, x in enumerate(z):
        if x > 2.0:
            return 1.0 * k
    if any(z) and all(x < 1.0 for x in z):
        return -2.0
    return -1.0


def ordered(*z):
    finite = [x if abs(x) < 1e100 else 0.5 for x in z]
    if not finite[1:]:
        return 0.0
    low, high = min(finite), max(finite)
    a = sorted(finite)
    return math.fsum(finite) + low - high + a[len(a) // 2] + math.prod(a[:2]) + sum(finite, 1.0)


def distance(*z):
    return math.hypot(*z) + math.hypot(1.0, *z[:2])


def of_numpy(x, y):
    return float(np.tanh(x)) + np.arctan2(x, y)


USERS = [
    clipped, safe_ratio, safe_exp, safe_log, told_apart, any_error, integer_parts, rounded,
    bits, powers, polynomial, spread_out, found, ordered, distance, of_numpy,
]  # fmt: skip


@pytest.mark.parametrize("function", USERS, ids=lambda function: function.__name__)
def test_functions_of_users_have_pythons_values(function):
    n_ary = function.__code__.co_flags & 4
    arity = None if n_ary else function.__code__.co_argcount - len(function.__defaults__ or ())
    translation = Translation(JAVASCRIPT)
    op = Op(function.__name__, function, lambda *x: (), arity)
    assert_same(function, lambda n: translation.forward(op, n), translation, points(arity, 500), 1e-12)


MATH = {
    name: getattr(math, name)
    for name in (
        "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees erf erfc exp exp2 expm1 "
        "fabs floor fmod hypot log log10 log1p log2 pow radians remainder sin sinh sqrt tan tanh trunc"
    ).split()
}


@pytest.mark.parametrize("name", MATH)
def test_functions_of_math_have_pythons_values(name):
    function, arity = (
        MATH[name],
        2 if name in ("atan2", "copysign", "fmod", "hypot", "pow", "remainder") else 1,
    )
    inputs = []
    for x in points(arity, 1000):
        try:
            function(*x)
        except (ValueError, OverflowError):
            continue
        inputs.append(x)
    assert len(inputs) > 300
    translation = Translation(JAVASCRIPT)
    op = Op(name, function, lambda *x: (), arity)
    assert_same(function, lambda _: translation.forward(op), translation, inputs, 2e-15)


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda *z: max(z), [(0.0, -0.0), (-0.0, 0.0), (math.nan, 1.0), (1.0, math.nan)]),
        (lambda *z: min(z), [(0.0, -0.0), (-0.0, 0.0), (math.nan, 1.0), (1.0, math.nan)]),
        (
            lambda *z: math.fsum(z),
            [(1.0, 2.0**-53, 2.0**-1074), (1.0, 2.0**-53, -(2.0**-1074)), (1.0, 2.0**-53)],
        ),
        (lambda *z: math.fsum(z), [(1e100, 1.0, -1e100, 1e-100), (0.1,) * 10, (math.inf, 1.0), (math.nan,)]),
    ],
    ids=["max", "min", "fsum of a tie", "fsum"],
)
def test_the_last_bit_is_pythons(function, inputs):
    translation = Translation(JAVASCRIPT)
    op = Op("f", function, str, None)
    assert_same(function, lambda n: translation.forward(op, n), translation, inputs, 0.0)


def test_one_of_several_lambdas_in_a_line_is_found():
    two, three = Op("two", lambda x: 2.0 * x, lambda out, x: (2.0,)), Op("three", lambda x: 3.0 * x, str)
    translation = Translation(JAVASCRIPT)
    names = [translation.forward(two), translation.forward(three)]
    assert node.call(translation.source(), [(name, [5.0]) for name in names]) == [10.0, 15.0]
    slopes = translation.partials(two)
    assert node.call(translation.source(), [(slopes, [10.0, 5.0])]) == [[2.0]]


def test_numbers_from_closures_are_constants_and_names_stay_apart():
    def scaled(factor):
        return Op("scaled", lambda new: factor * new, lambda out, x: (factor,))

    translation = Translation(JAVASCRIPT)
    names = [translation.forward(scaled(factor)) for factor in (2.0, math.inf, -0.0)]
    assert len(set(names)) == 3
    assert node.call(translation.source(), [(name, [3.0]) for name in names]) == [6.0, math.inf, -0.0]


def test_a_function_is_written_once_below_those_it_calls():
    translation = Translation(JAVASCRIPT)
    swish = primitive(name="swish", partials=lambda out, x: (sigmoid(x) + out * (1.0 - sigmoid(x)),))(
        lambda x: x * sigmoid(x)
    ).op
    assert translation.forward(swish) == translation.forward(swish) == "swish"
    translation.partials(swish)
    source = translation.source()
    assert source.count("function sigmoid(") == 1
    assert (
        source.index("function sigmoid(") < source.index("function swish(") < source.index("swish_partials(")
    )


def test_words_of_the_language_are_not_taken_for_names():
    def forward(let, function, NaN):
        new = let + function
        return new * NaN

    translation = Translation(JAVASCRIPT)
    name = translation.forward(Op("delete", forward, lambda *x: (), 3))
    assert node.call(translation.source(), [(name, [1.0, 2.0, 4.0])]) == [12.0]


def halved_until_small(x):
    while abs(x) > 1.0:
        x = x / 2.0
    return x


def first_above_one(x):
    for k in range(10):
        if x > 1.0:
            break
        x = x + k
    return x


class TestWhatCannotBeTurned:
    @pytest.mark.parametrize(
        ("forward", "message"),
        [
            (lambda x: input(x), "input"),
            (lambda x: x.real, "real"),
            (lambda x: sorted([x, 1.0], reverse=True)[0], "the order of the numbers themselves"),
            (lambda x: np.interp(x, [0.0], [1.0]), "interp"),
            (lambda x: "a" if x else 1.0, "'a'"),
            (lambda x: {1: x}[1], "1: x"),
            (lambda x: helper(x), "keyword parameters"),
            (lambda x: shifted(x, wrong=1.0), "the argument wrong"),
            (lambda x: math.frexp(x)[0], "frexp"),
            (lambda x: x if x in (1.0, 2.0) else 0.0, "compared"),
            (halved_until_small, "straight-line code"),
            (first_above_one, "break, continue and else need branches"),
            (lambda x: sum([y for y in (x, 1.0) if y > 0.0]), "its length depends on numbers"),
            (float.hex, "not a function that is written in Python"),
            (eval("lambda x: x"), "source can't be found"),
        ],
    )
    def test_names_the_operation_and_the_expression(self, forward, message):
        with pytest.raises(
            TranslationError, match=r"op 'mine': its forward can't be turned into JavaScript"
        ) as error:
            Translation(JAVASCRIPT).forward(Op("mine", forward, lambda out, x: (1.0,)))
        assert message in str(error.value)

    def test_names_the_function_whose_partials_it_is(self):
        op = Op("mine", lambda x: x, lambda out, x: (x.grad,))
        with pytest.raises(
            TranslationError, match=r"its partials can't be turned into JavaScript, at `x.grad`"
        ):
            Translation(JAVASCRIPT).partials(op)

    def test_a_function_that_calls_itself(self):
        def forward(x):
            return x if x < 1.0 else forward(x - 1.0)

        with pytest.raises(TranslationError, match="calls itself"):
            Translation(JAVASCRIPT).forward(Op("mine", forward, lambda out, x: (1.0,)))

    def test_what_failed_leaves_nothing_behind(self):
        translation = Translation(JAVASCRIPT)
        bad = Op("bad", lambda x: sigmoid(x) + Value(x), lambda out, x: (1.0,))
        with pytest.raises(TranslationError):
            translation.forward(bad)
        name = translation.forward(Op("bad", lambda x: exp(x), lambda out, x: (1.0,)))
        assert node.call(translation.source(), [(name, [0.0])]) == [1.0]
