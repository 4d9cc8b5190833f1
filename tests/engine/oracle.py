"""What each op of the table ought to give: mpmath at high precision, written down apart from the table.

One `Spec` an op: the function, its first and second derivatives, where to try it, and how many units in the
last place (ulps) the package may be off. The correctly rounded result is 0.5 ulps off. The bounds count in
ulps of the exact result, or of `scale` where a formula is known to cancel.

An op that mpmath has under the same name needs no spec: mpmath computes it, and differentiates it with
hundreds of digits. One that mpmath lacks is checked by `gradcheck` alone until it has a spec.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import mpmath
from mpmath import mpf

from micrograd_mlp import Value, grad, hessian
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE

PRECISION = 1200  # bits: 1 + e⁻⁷⁰⁰ is not yet 1
LARGEST, SMALLEST = 1.7976931348623157e308, 2.2250738585072014e-308  # of the normal floats
mp = mpmath.mp.clone()
mp.prec = PRECISION


@dataclass(frozen=True)
class Spec:
    """The truth about one op, and the bounds that it keeps.

    Attributes:
        value: f on mpmath numbers.
        first: every ∂f/∂xᵢ, as a function of the inputs.
        second: every ∂²f/∂xᵢ∂xⱼ, row by row, as a function of the inputs.
        ulps: the bounds on value, first and second derivatives.
        scale: what the errors of the derivatives are relative to, where that is not the derivative.
        largest_exponent: inputs are tried from 10 to minus this power up to 10 to this power; less than the
            whole range where the derivative's factors would overflow or underflow one by one.
        reason: why the bound is wider than usual.
    """

    value: Callable[..., Any]
    first: Callable[..., tuple[Any, ...]]
    second: Callable[..., tuple[tuple[Any, ...], ...]]
    ulps: tuple[float, float, float] = (1.0, 4.0, 8.0)
    value_scale: Callable[..., Any] | None = None
    first_scale: Callable[..., tuple[Any, ...]] | None = None
    second_scale: Callable[..., Any] | None = None
    largest_exponent: float = 300.0
    reason: str = ""


def exp(x):
    """eˣ. Far beyond where floats overflow or underflow, any number that also does is as good."""
    return mp.exp(max(min(x, mpf(800)), mpf(-800)))


def bell(x):
    """e^(-x²). Where it underflows even times x², any number that also does is as good, and comes sooner."""
    return mp.exp(-min(x * x, mpf(100_000)))


def power(x, y):
    return exp(y * mp.log(x))


def unary(value, first, second, **bounds) -> Spec:
    return Spec(value, lambda x: (first(x),), lambda x: ((second(x),),), **bounds)


def flat(*_):
    return mpf(0)


def flat2(*_):
    return ((0, 0), (0, 0))


def sigma(z):
    return 1 / (1 + exp(-z))


def sech2(z):
    return 4 / (exp(z) + exp(-z)) ** 2


def phi(z):
    """The density of the standard normal distribution."""
    return exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


def Phi(z):
    return mp.erfc(-max(min(z, mpf(60)), mpf(-60)) / mp.sqrt(2)) / 2


def magnified(x, y):
    """How far a rounded exponent y - 1 shows in x^(y-1); from y = 1/2 it is exact."""
    return 1 + abs(mp.log(x)) * (max(1, abs(y)) if y < 0.5 else 1)


def pow_second_scale(x, y):
    log = mp.log(x)
    xx = y * (y - 1) * (power(x, y - 2) * magnified(x, y) + SMALLEST)
    xy = (power(x, y - 1) * magnified(x, y) + SMALLEST) * (1 + abs(y * log))
    yy = (power(x, y) + SMALLEST) * log**2
    return (xx, xy), (xy, yy)


def sign(x):
    return mp.sign(x)


def winner(x, y):
    """The share of x in max(x, y)."""
    return mpf(1) if x > y else mpf(0) if x < y else mpf(1) / 2


def softmax(z):
    largest = max(z)
    powers = [exp(z_k - largest) for z_k in z]
    return [power / mp.fsum(powers) for power in powers]


def softmax_slopes(*z):
    p = softmax(z)
    return tuple([tuple([p_i * ((i == j) - p_j) for j, p_j in enumerate(p)]) for i, p_i in enumerate(p)])


def logsumexp(*z):
    largest = max(z)
    return largest + mp.log(mp.fsum([exp(z_k - largest) for z_k in z]))


def sum_of_exponents(z):
    return mp.fsum([p_k * (1 + abs(z_k)) for p_k, z_k in zip(softmax(z), z)])


def halves(factors):
    n = len(factors) // 2
    return factors[:n], factors[n:]


def dot_second(*factors):
    n = len(factors) // 2
    return tuple([tuple([mpf(abs(i - j) == n) for j in range(2 * n)]) for i in range(2 * n)])


def without(factors, *left_out):
    return mp.fprod([factor for k, factor in enumerate(factors) if k not in left_out])


def norm_second(*x):
    r = mp.norm(x)
    return tuple(
        [tuple([((i == j) * r * r - v * w) / r**3 for j, w in enumerate(x)]) for i, v in enumerate(x)]
    )


def of_mpmath(name: str) -> Spec:
    """The truth about an op that mpmath has under the same name; its derivatives are mpmath's too."""
    f, n = getattr(mp, name), TABLE[name].arity

    def derivative(x, *wrt):
        orders = tuple([wrt.count(k) for k in range(n)])
        return mp.diff(f, x, orders) if n > 1 else mp.diff(f, x[0], len(wrt))

    return Spec(
        f,
        lambda *x: tuple([derivative(x, i) for i in range(n)]),
        lambda *x: tuple([tuple([derivative(x, i, j) for j in range(n)]) for i in range(n)]),
        ulps=(2.0, 4.0, 8.0),
        reason="the C library's functions are good to 2 ulps",
    )


class Specs(dict[str, Spec]):
    """The specs below, and mpmath's own functions."""

    def __missing__(self, name: str) -> Spec:
        self[name] = of_mpmath(name)
        return self[name]


SPECS = Specs({
    "add": Spec(lambda x, y: x + y, lambda x, y: (1, 1), flat2),
    "sub": Spec(lambda x, y: x - y, lambda x, y: (1, -1), flat2),
    "mul": Spec(lambda x, y: x * y, lambda x, y: (y, x), lambda x, y: ((0, 1), (1, 0))),
    "div": Spec(
        lambda x, y: x / y,
        lambda x, y: (1 / y, -x / y**2),
        lambda x, y: ((0, -1 / y**2), (-1 / y**2, 2 * x / y**3)),
        largest_exponent=75,
    ),
    "neg": unary(lambda x: -x, lambda x: -1, flat),
    "pow": Spec(
        power,
        lambda x, y: (y * power(x, y - 1), power(x, y) * mp.log(x)),
        lambda x, y: (
            (y * (y - 1) * power(x, y - 2), power(x, y - 1) * (1 + y * mp.log(x))),
            (power(x, y - 1) * (1 + y * mp.log(x)), power(x, y) * mp.log(x) ** 2),
        ),
        first_scale=lambda x, y: (
            y * (power(x, y - 1) * magnified(x, y) + SMALLEST),
            (power(x, y) + SMALLEST) * mp.log(x),
        ),
        second_scale=pow_second_scale,
        largest_exponent=100,
        reason="y - 1 is rounded when y < 1/2, which x^(y-1) magnifies by y log x; and a factor that "
        "underflows or overflows (x^(y-2) beyond 1e±200) does so before it is multiplied",
    ),
    "exp": unary(exp, exp, exp),
    "log": unary(mp.log, lambda x: 1 / x, lambda x: -1 / x**2),
    "log1p": unary(mp.log1p, lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2),
    "expm1": unary(lambda x: mp.expm1(x) if x < 800 else exp(x), exp, exp),
    "xlogy": Spec(
        lambda x, y: x * mp.log(y),
        lambda x, y: (mp.log(y), x / y),
        lambda x, y: ((0, 1 / y), (1 / y, -x / y**2)),
        largest_exponent=100,
        ulps=(2.0, 4.0, 8.0),
        reason="the logarithm and the product are both rounded",
    ),
    "xlog1py": Spec(
        lambda x, y: x * mp.log1p(y),
        lambda x, y: (mp.log1p(y), x / (1 + y)),
        lambda x, y: ((0, 1 / (1 + y)), (1 / (1 + y), -x / (1 + y) ** 2)),
        largest_exponent=100,
        ulps=(2.0, 4.0, 8.0),
        reason="the logarithm and the product are both rounded",
    ),
    "sqrt": unary(mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x)), lambda x: -1 / (4 * x * mp.sqrt(x))),
    "sin": unary(mp.sin, mp.cos, lambda x: -mp.sin(x)),
    "cos": unary(mp.cos, lambda x: -mp.sin(x), lambda x: -mp.cos(x)),
    "sigmoid": unary(
        sigma,
        lambda z: sigma(z) * sigma(-z),
        lambda z: sigma(z) * sigma(-z) * (sigma(-z) - sigma(z)),
        ulps=(2.0, 4.0, 8.0),
        reason="the exponential, the sum and the quotient are all rounded",
    ),
    "tanh": unary(
        mp.tanh,
        sech2,
        lambda z: -2 * mp.tanh(z) * sech2(z),
        ulps=(2.0, 4.0, 8.0),
        reason="the C library's tanh is good to 2 ulps",
    ),
    "relu": unary(lambda z: max(z, mpf(0)), lambda z: mpf(z > 0), flat),
    "leaky_relu": unary(
        lambda z: z if z > 0 else mpf(0.01) * z, lambda z: mpf(1) if z > 0 else mpf(0.01), flat
    ),
    "softplus": unary(
        lambda z: mp.log1p(exp(z)) if z < 800 else z, sigma, lambda z: sigma(z) * sigma(-z),
        ulps=(2.0, 4.0, 8.0),
        reason="the exponential and the logarithm are both rounded",
    ),
    "abs": unary(abs, sign, flat),
    "maximum": Spec(max, lambda x, y: (winner(x, y), winner(y, x)), flat2),
    "minimum": Spec(min, lambda x, y: (winner(y, x), winner(x, y)), flat2),
    "equal": Spec(lambda x, y: mpf(x == y), lambda x, y: (0, 0), flat2),
    "total": Spec(
        lambda *x: mp.fsum(x),
        lambda *x: (1,) * len(x),
        lambda *x: ((0,) * len(x),) * len(x),
        ulps=(4.0, 4.0, 8.0),
        value_scale=lambda *x: mp.fsum(x, absolute=True),
        reason="a sum is good to ulps of Σ|terms|, one or so for every two terms",
    ),
    "dot": Spec(
        lambda *x: mp.fdot(*halves(x)),
        lambda *x: halves(x)[1] + halves(x)[0],
        dot_second,
        largest_exponent=150,
        ulps=(4.0, 4.0, 8.0),
        value_scale=lambda *x: mp.fsum([w * v for w, v in zip(*halves(x), strict=True)], absolute=True),
        reason="a sum is good to ulps of Σ|terms|, one or so for every two terms",
    ),
    "logsumexp": Spec(
        logsumexp,
        lambda *z: tuple(softmax(z)),
        softmax_slopes,
        ulps=(2.0, 4.0, 8.0),
        value_scale=lambda *z: abs(max(z)) + sum_of_exponents(z),
        first_scale=lambda *z: tuple([p_k * (1 + max(z) - min(z)) for p_k in softmax(z)]),
        second_scale=lambda *z: tuple([(p_k * (1 + max(z) - min(z)),) * len(z) for p_k in softmax(z)]),
        reason="differences of the zₖ are rounded, which exp magnifies by their size",
    ),
    "prod": Spec(
        lambda *x: mp.fprod(x),
        lambda *x: tuple([without(x, i) for i in range(len(x))]),
        lambda *x: tuple([
            tuple([0 if i == j else without(x, i, j) for j in range(len(x))]) for i in range(len(x))
        ]),
        ulps=(4.0, 4.0, 8.0),
        largest_exponent=40,
        reason="every multiplication is rounded",
    ),
    "norm": Spec(
        lambda *x: mp.norm(x),
        lambda *x: tuple([v / mp.norm(x) for v in x]),
        norm_second,
        ulps=(4.0, 4.0, 8.0),
        second_scale=lambda *x: ((1 / mp.norm(x),) * len(x),) * len(x),
        largest_exponent=100,
        reason="a sum is good to an ulp or so for every two terms; and 1/r - x²/r³ cancels",
    ),
    "cbrt": unary(
        lambda x: mp.sign(x) * mp.cbrt(abs(x)),
        lambda x: 1 / (3 * mp.cbrt(abs(x)) ** 2),
        lambda x: -2 * mp.sign(x) / (9 * mp.cbrt(abs(x)) ** 5),
    ),
    "hypot": Spec(
        mp.hypot,
        lambda x, y: (x / mp.hypot(x, y), y / mp.hypot(x, y)),
        lambda x, y: tuple([
            tuple([part / mp.hypot(x, y) ** 3 for part in row])
            for row in ((y * y, -x * y), (-x * y, x * x))
        ]),
        second_scale=lambda x, y: ((1 / mp.hypot(x, y),) * 2,) * 2,
        largest_exponent=100,
        reason="its second derivative 1/r - x²/r³ cancels where |x| is much larger than |y|",
    ),
    "one_minus_square": unary(lambda x: 1 - x * x, lambda x: -2 * x, lambda x: -2,
        ulps=(2.0, 4.0, 8.0),
        largest_exponent=150,
        reason="both factors are rounded where x is beyond 2",
    ),
    "log2": unary(
        lambda x: mp.log(x) / mp.log(2), lambda x: 1 / (x * mp.log(2)), lambda x: -1 / (x * x * mp.log(2))
    ),
    "gaussian": unary(
        lambda x: bell(x),
        lambda x: -2 * x * bell(x),
        lambda x: (4 * x * x - 2) * bell(x),
        ulps=(2.0, 4.0, 8.0),
        second_scale=lambda x: ((4 * x * x * bell(x),),),
        reason="it is a product of two exponentials; and 4x² - 2 cancels where x² is near 1/2",
    ),
    "erf": unary(
        lambda x: mp.erf(max(min(x, mpf(60)), mpf(-60))),
        lambda x: 2 / mp.sqrt(mp.pi) * bell(x),
        lambda x: -4 / mp.sqrt(mp.pi) * x * bell(x),
        ulps=(2.0, 4.0, 8.0),
        reason="the C library's functions are good to 2 ulps",
    ),
    "erfc": unary(
        lambda x: mp.erfc(max(min(x, mpf(60)), mpf(-60))),
        lambda x: -2 / mp.sqrt(mp.pi) * bell(x),
        lambda x: 4 / mp.sqrt(mp.pi) * x * bell(x),
        ulps=(2.0, 4.0, 8.0),
        reason="the C library's functions are good to 2 ulps",
    ),
    "sigmoid_slope": unary(
        lambda z: sigma(z) * sigma(-z),
        lambda z: sigma(z) * sigma(-z) * (sigma(-z) - sigma(z)),
        lambda z: sigma(z) * sigma(-z) * (1 - 6 * sigma(z) * sigma(-z)),
        ulps=(4.0, 8.0, 8.0),
        second_scale=lambda z: ((sigma(z) * sigma(-z),),),
        reason="the exponential, the sum, the square and the quotient are all rounded; and 1 - 6σ' cancels",
    ),
    "atan2": Spec(
        mp.atan2,
        lambda y, x: (x / (x * x + y * y), -y / (x * x + y * y)),
        lambda y, x: tuple([
            tuple([part / (x * x + y * y) ** 2 for part in row])
            for row in ((-2 * x * y, y * y - x * x), (y * y - x * x, 2 * x * y))
        ]),
        second_scale=lambda y, x: ((1 / (x * x + y * y),) * 2,) * 2,
        largest_exponent=75,
        reason="its second derivative 1/r² - 2x²/r⁴ cancels where |x| and |y| are alike",
    ),
    "sign": unary(mp.sign, flat, flat),
    "floor": unary(mp.floor, flat, flat),
    "clip": Spec(
        lambda x, low, high: min(max(x, low), high),
        lambda x, low, high: (0, 0, 1) if x > high or low > high else (0, 1, 0) if x < low else (1, 0, 0),
        lambda *x: ((0, 0, 0),) * 3,
    ),
    "where": Spec(
        lambda c, x, y: x if c else y,
        lambda c, x, y: (0, 1, 0) if c else (0, 0, 1),
        lambda *x: ((0, 0, 0),) * 3,
    ),
    "silu": unary(
        lambda z: z / (1 + mp.exp(-z)),
        lambda z: (1 + z / (1 + mp.exp(z))) / (1 + mp.exp(-z)),
        lambda z: (2 - z * mp.tanh(z / 2)) / (4 * mp.cosh(z / 2) ** 2),
        ulps=(2.0, 4.0, 8.0),
        first_scale=lambda z: (1 / (1 + mp.exp(-z)),),
        second_scale=lambda z: (((1 + abs(z)) * (1 / (4 * mp.cosh(z / 2) ** 2) + SMALLEST),),),
        reason="its slopes are sums that cancel near their zeros",
    ),
    "gelu": unary(
        lambda z: z * Phi(z),
        lambda z: Phi(z) + z * phi(z),
        lambda z: (2 - z * z) * phi(z),
        ulps=(2.0, 4.0, 8.0),
        value_scale=lambda z: z * Phi(z) * (1 + (z * z if z < 0 else 0)),
        first_scale=lambda z: (Phi(z) + abs(z) * phi(z) * (1 + z * z),),
        second_scale=lambda z: (((2 + z * z) * (1 + z * z) * phi(z),),),
        reason="z/√2 is rounded, which the tail of the normal distribution magnifies by z²; slopes are sums",
    ),
})  # fmt: skip

KNOWN = [name for name in TABLE if name in SPECS or hasattr(mp, name)]
"""The ops that have a truth here."""


def ordinary_numbers(op: Op, count: int = 2) -> list[float]:
    """Inputs of ordinary size inside the op's domain; `count` of them for an op of any number of inputs."""
    domain = op.domain if op.arity else op.domain * count
    return [1.5 if math.isinf(low) else low + 1.5 if math.isinf(high) else 0.5 for low, high in domain]


def sample(op: Op, rng: random.Random) -> list[float]:
    """A point of the op's domain: of any size, or near the origin, or near an edge."""
    count = op.arity or 2 * rng.randint(1, 3)
    domain = op.domain if op.arity else op.domain * count
    widest = SPECS[op.name].largest_exponent
    return [_coordinate(low, high, widest, rng) for low, high in domain]


def _coordinate(low: float, high: float, widest: float, rng: random.Random) -> float:
    size = 10.0 ** rng.uniform(*rng.choice([(-widest, widest), (-20.0, 20.0), (-3.0, 2.9)]))
    sign = rng.choice([-1.0, 1.0])
    x = low + size if math.isfinite(low) else sign * size
    if math.isfinite(high):  # an interval such as (-1, 1): in the middle, or near one of its edges
        part = min(size, 1.0)
        x = rng.choice([sign * part, low + part, high - part])
    return min(max(x, math.nextafter(low, high)), math.nextafter(high, low))


def error_in_ulps(got: float, exact: Any, scale: Any = 0) -> float:
    """How far a float is from the exact number, in ulps of it, or of `scale` if that is larger."""
    exact = mp.mpf(exact)
    size = max(abs(exact), abs(mp.mpf(scale)))
    if size > LARGEST:  # beyond the largest float: an infinity of the right sign is the rounded result
        if math.isinf(got):
            return 0.0 if abs(exact) < LARGEST or (got > 0) == (exact > 0) else math.inf
        size = mp.mpf(LARGEST)
    if not math.isfinite(got):
        return math.inf
    return float(abs(mp.mpf(got) - exact) / mp.mpf(math.ulp(float(size))))


def errors_in_ulps(op: Op, numbers: list[float]) -> tuple[float, float, float]:
    """The largest error of value, first and second derivatives at one point of the op's domain."""
    spec, exact = SPECS[op.name], [mp.mpf(x) for x in numbers]
    inputs = [Value(x) for x in numbers]
    output = op(*inputs)
    value_scale = spec.value_scale(*exact) if spec.value_scale else 0
    first_scale = spec.first_scale(*exact) if spec.first_scale else repeat(0)
    second_scale = spec.second_scale(*exact) if spec.second_scale else repeat(repeat(0))
    first = map(error_in_ulps, grad(output, inputs), spec.first(*exact), first_scale)
    second = [
        error
        for rows in zip(hessian(output, inputs), spec.second(*exact), second_scale, strict=False)
        for error in map(error_in_ulps, *rows)
    ]
    return error_in_ulps(output.data, spec.value(*exact), value_scale), max(first), max(second)
