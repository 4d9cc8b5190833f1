"""What each op of the table ought to give: mpmath at high precision, written down apart from the table.

One `Spec` an op: the function, its first and second derivatives in closed form, where to try it, and how
many units in the last place (ulps) the package may be off. The correctly rounded result is 0.5 ulps off.
The bounds count in ulps of the exact result, or of `scale` where a formula is known to cancel.
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


SPECS: dict[str, Spec] = {
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
        first_scale=lambda z: (sigma(z),),
        second_scale=lambda z: ((sigma(z),),),
        reason="σ(1 - σ) (§8.1) cancels where σ is near 1: good to ulps of σ itself",
    ),
    "tanh": unary(
        mp.tanh,
        sech2,
        lambda z: -2 * mp.tanh(z) * sech2(z),
        ulps=(2.0, 4.0, 8.0),
        first_scale=lambda z: (mpf(1),),
        second_scale=lambda z: ((2 * mp.tanh(z),),),
        reason="the C library's tanh is good to 2 ulps; and 1 - tanh² (§8.2) cancels where tanh is near 1: "
        "good to ulps of 1",
    ),
    "relu": unary(lambda z: max(z, mpf(0)), lambda z: mpf(z > 0), flat),
    "leaky_relu": unary(
        lambda z: z if z > 0 else mpf(0.01) * z, lambda z: mpf(1) if z > 0 else mpf(0.01), flat
    ),
    "softplus": unary(
        lambda z: mp.log1p(exp(z)) if z < 800 else z, sigma, lambda z: sigma(z) * sigma(-z),
        ulps=(2.0, 4.0, 8.0),
        second_scale=lambda z: ((sigma(z),),),
        reason="its second derivative is σ(1 - σ)",
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
        first_scale=lambda *z: tuple([p_k * (1 + 2 * max(map(abs, z))) for p_k in softmax(z)]),
        second_scale=lambda *z: tuple([(p_k * (1 + 4 * max(map(abs, z))),) * len(z) for p_k in softmax(z)]),
        reason="the exponent zₖ - logsumexp is rounded, which exp magnifies by its size",
    ),
}  # fmt: skip


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
    return x if low < x < high else math.nextafter(low, high)


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


assert list(SPECS) == list(TABLE), set(SPECS) ^ set(TABLE)
