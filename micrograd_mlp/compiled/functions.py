"""exp, log, tanh and others as machine code, of one number or of a vector of them, in either precision (§8).

The C library's functions take one number a call. These are straight lines of arithmetic without a branch: the
argument is reduced to a small interval, a polynomial is evaluated there, and the power of two goes back
through the bits of the exponent. They agree with the table's forward functions to a few units in the last
place, and exactly on 0, ±inf, nan, overflow and underflow. What is not written here comes from the C
library, in double precision and number by number.

The reductions of log and log1p follow fdlibm's; the polynomials of exp and expm1 are Taylor's.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from micrograd_mlp.compiled.code import Number, Operand

INF, NAN = math.inf, math.nan
LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class _Precision:
    """What depends on how many bits a number has.

    Attributes:
        digits: the bits of the fraction.
        bias: what is added to the exponent.
        ln2: ln 2 as a sum; the first part ends in so many zero bits that whole multiples of it are exact.
        exponents: below the first eˣ is 0, above the second it is inf.
        flat: from there on tanh is 1.
        n_terms: how many terms of the exponential series are needed up to ½ ln 2.
        log: the coefficients of log((1 + s) / (1 - s)) - 2s in s².
    """

    digits: int
    bias: int
    ln2: tuple[float, float]
    exponents: tuple[float, float]
    flat: float
    n_terms: int
    log: tuple[float, ...]

    @property
    def shift(self) -> float:
        """Adding and subtracting it rounds to a whole number, which is in the last bits in between."""
        return 1.5 * 2.0**self.digits

    @property
    def least_normal(self) -> float:
        """Below, numbers have fewer digits."""
        return 2.0 ** (1 - self.bias)

    @property
    def root_half(self) -> int:
        """The bits of √½."""
        code, integer = ("d", "q") if self.digits == 52 else ("f", "i")
        (bits,) = struct.unpack(integer, struct.pack(code, math.sqrt(0.5)))
        return int(bits)


_DOUBLE = _Precision(
    digits=52,
    bias=1023,
    ln2=(6.93147180369123816490e-01, 1.90821492927058770002e-10),
    exponents=(-746.0, 710.0),
    flat=22.0,
    n_terms=14,
    log=(
        *(6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01),
        *(2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01),
        1.479819860511658591e-01,
    ),
)
_FLOAT = _Precision(
    digits=23,
    bias=127,
    ln2=(6.9313812256e-01, 9.0580006145e-06),
    exponents=(-105.0, 89.0),
    flat=10.0,
    n_terms=7,
    log=(0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841),
)


def _precision(x: Number) -> _Precision:
    return _DOUBLE if x.element == "double" else _FLOAT


def _polynomial(x: Number, coefficients: Sequence[float]) -> Number:
    """Σ cₖ xᵏ: of pairs, and pairs of those (Estrin), so that no step waits for all others."""
    terms: list[Operand] = list(coefficients)
    while len(terms) > 1:
        pairs = [x * terms[i + 1] + terms[i] for i in range(0, len(terms) - 1, 2)]
        terms = [*pairs, *terms[2 * len(pairs) :]]
        x = x * x
    assert isinstance(terms[0], Number)
    return terms[0]


# Exponentials. `minimum` and `maximum` have the variable on their right, where nan stays nan.


def _reduced(x: Number) -> tuple[Number, Number]:
    """k and r with x = k ln 2 + r, |r| ≤ ½ ln 2."""
    p = _precision(x)
    k = (x * LOG2_E + p.shift) - p.shift
    return k, (x - k * p.ln2[0]) - k * p.ln2[1]


def _expm1_small(r: Number) -> Number:
    """eʳ - 1 for |r| ≤ ½ ln 2."""
    terms = [1.0 / math.factorial(n) for n in range(2, _precision(r).n_terms + 1)]
    return r + (r * r) * _polynomial(r, terms)


def _power_of_two(k: Number) -> Number:
    """2ᵏ for a whole k, where that is neither 0, subnormal nor infinite."""
    p = _precision(k)
    return (((k + p.shift).bits() << p.digits) + (p.bias << p.digits)).from_bits()


def _times_power_of_two(x: Number, k: Number) -> Number:
    """x 2ᵏ, in two steps, so that the smallest and the largest results are in range."""
    scaled = x.code.scaled(x, k)
    if scaled is not None:
        return scaled
    p = _precision(k)
    half = (k * 0.5 + p.shift) - p.shift
    return x * _power_of_two(half) * _power_of_two(k - half)


def exp(x: Number) -> Number:
    """eˣ."""
    least, most = _precision(x).exponents
    k, r = _reduced(x.code.minimum(most, x.code.maximum(least, x)))
    return _times_power_of_two(1.0 + _expm1_small(r), k)


def _reduced_minus(x: Number) -> tuple[Number, Number]:
    """k and r with -x = k ln 2 + r, for x ≥ 0."""
    return _reduced(x.code.maximum(_precision(x).exponents[0], -x))


def _exp_of_minus(x: Number) -> Number:
    """e⁻ˣ for x ≥ 0."""
    k, r = _reduced_minus(x)
    return _times_power_of_two(1.0 + _expm1_small(r), k)


def expm1(x: Number) -> Number:
    """eˣ - 1."""
    p = _precision(x)
    k, r = _reduced(x.code.minimum(p.exponents[1], x.code.maximum(-2.0 * p.flat, x)))
    half = _power_of_two(k - 1.0)  # 2ᵏ itself may be out of range where the result is not
    result = 2.0 * (half * _expm1_small(r) + (half - 0.5))
    return x.code.select(abs(x) < p.least_normal * 4.0, x, result)  # -0.0 too


def exp2(x: Number) -> Number:
    """2ˣ."""
    p = _precision(x)
    x = x.code.minimum(p.bias + 1.0, x.code.maximum(-p.bias - p.digits - 1.0, x))
    k = (x + p.shift) - p.shift
    return _times_power_of_two(1.0 + _expm1_small((x - k) * math.log(2.0)), k)


# sigmoid, tanh and their slopes share an exponential and a division, which LLVM computes once where both
# are wanted.


def _exponential_and_quotient(size: Number) -> tuple[Number, Number]:
    """e⁻ˢ and 1 / (1 + e⁻ˢ) for s ≥ 0."""
    e = _exp_of_minus(size)
    return e, 1.0 / (1.0 + e)


def sigmoid(z: Number) -> Number:
    """1 / (1 + e⁻ᶻ)."""
    e, quotient = _exponential_and_quotient(abs(z))
    return z.code.select(z < 0.0, e * quotient, quotient)


def sigmoid_slope(z: Number) -> Number:
    """e⁻ᶻ / (1 + e⁻ᶻ)²."""
    e, quotient = _exponential_and_quotient(abs(z))
    return (e * quotient) * quotient


def tanh(z: Number) -> Number:
    """(1 - e⁻ˢ) / (1 + e⁻ˢ) with s = 2|z|."""
    size = abs(2.0 * z)
    _, quotient = _exponential_and_quotient(size)
    k, r = _reduced_minus(size)
    power = _power_of_two(z.code.maximum(-4.0 * _precision(z).flat, k))
    t = power * _expm1_small(r) + (power - 1.0)  # e⁻ˢ - 1, with all digits where s is small
    return copysign(-t * quotient, z)


def silu(z: Number) -> Number:
    """z / (1 + e⁻ᶻ)."""
    return z * sigmoid(z)


def sinh(x: Number) -> Number:
    """½ (t + t / (t + 1)) with t = eˣ - 1, for |x|; ½ eˣ where e⁻ˣ is below the last place."""
    p = _precision(x)
    size = abs(x)
    k, r = _reduced(x.code.minimum(p.exponents[1] + 1.0, size))
    small = _expm1_small(r)
    far = _times_power_of_two(1.0 + small, k - 1.0)
    power = _power_of_two(x.code.minimum(4.0 * p.flat, k))
    t = power * small + (power - 1.0)
    result = x.code.select(size > p.flat, far, 0.5 * (t + t / (t + 1.0)))
    return copysign(x.code.select(size < p.least_normal * 4.0, size, result), x)


def cosh(x: Number) -> Number:
    """½ (eˣ + e⁻ˣ)."""
    p = _precision(x)
    k, r = _reduced(x.code.minimum(p.exponents[1] + 1.0, abs(x)))
    half = _times_power_of_two(1.0 + _expm1_small(r), k - 1.0)
    return half + 0.25 / half


def gaussian(x: Number) -> Number:
    """exp(-x²). The exponential magnifies what x² rounds off, so that is taken into account."""
    x = x.code.minimum(64.0, abs(x))
    square = x * x
    rest = x.code.intrinsic("fma", x, x, -square)
    e = _exp_of_minus(square)
    return e - e * rest


# Logarithms.


def _log_parts(x: Number, may_be_subnormal: bool) -> tuple[Number, Number]:
    """k and f with x = 2ᵏ(1 + f) and √½ ≤ 1 + f < √2, for 0 < x < inf."""
    p, code = _precision(x), x.code
    offset: Operand = 2.0**p.digits + p.bias
    if may_be_subnormal:
        is_subnormal, scale = x < p.least_normal, p.digits + 2
        x = code.select(is_subnormal, x * 2.0**scale, x)
        offset = code.select(is_subnormal, code.number(2.0**p.digits + p.bias + scale, x.type), offset)
    bits = x.bits() + ((p.bias << p.digits) - p.root_half)
    exponent = code.emit(bits.type, f"lshr {bits.type} {bits.text}, {code.constant(p.digits, bits.type)}")
    # The integer's bits in those of 2⁵² are 2⁵² + k; this is less than a conversion.
    k = (exponent | ((p.digits + p.bias) << p.digits)).from_bits() - offset
    return k, ((bits & ((1 << p.digits) - 1)) + p.root_half).from_bits() - 1.0


def _log1p_small(f: Number, k: Number | None = None) -> Number:
    """k ln 2 + log(1 + f) for √½ ≤ 1 + f < √2: the series of log((1 + s) / (1 - s))."""
    p = _precision(f)
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    rest = s * (half_square + z * _polynomial(z, p.log))
    if k is None:
        return f - (half_square - rest)
    return k * p.ln2[0] - ((half_square - (rest + k * p.ln2[1])) - f)


def _log_inside(x: Number, result: Number) -> Number:
    """The result for 0 < x < inf, and what a logarithm is elsewhere."""
    code = x.code
    outside = code.select(x.equals(0.0), code.number(-INF, x.type), code.select(x > 0.0, x, NAN))
    return code.select((x > 0.0) & (x < INF), result, outside)


def log(x: Number) -> Number:
    """The natural logarithm."""
    k, f = _log_parts(x, may_be_subnormal=True)
    return _log_inside(x, _log1p_small(f, k))


def log2(x: Number) -> Number:
    """The logarithm to base 2, exact for powers of 2."""
    k, f = _log_parts(x, may_be_subnormal=True)
    return _log_inside(x, k + LOG2_E * _log1p_small(f))


def log1p(x: Number) -> Number:
    """log(1 + x)."""
    u = 1.0 + x
    k, f = _log_parts(u, may_be_subnormal=False)
    result = _log1p_small(f, k) + (x - (u - 1.0)) / u  # the second term is what 1 + x rounded off
    return x.code.select(x.equals(0.0), x, _log_inside(u, result))


def softplus(z: Number) -> Number:
    """log(1 + eᶻ) = max(z, 0) + log(1 + e⁻ᶻ) with |z| in the exponent."""
    code = z.code
    e = _exp_of_minus(abs(z))
    is_large = e > 0.414
    f = code.select(is_large, 0.5 * (e - 1.0), e)
    k = code.select(is_large, code.number(1.0, z.type), 0.0)
    return code.maximum(0.0, z) + _log1p_small(f, k)


# Powers and roots.


def pow(x: Number, y: Number) -> Number:
    """xʸ, as C has it."""
    return x.code.library("pow", x, y)


def whole_power(x: Number, n: int) -> Number:
    """xⁿ by multiplications, for a small n."""
    if n < 0:
        return whole_power(1.0 / x, -n)
    if n == 0:
        return x.code.number(1.0, x.type)
    half = whole_power(x, n // 2) if n > 1 else None
    square = half * half if half is not None else None
    return x if square is None else square * x if n % 2 else square


# sin and cos: x = k π/2 + r with |r| ≤ π/4, and fdlibm's polynomials in r. Beyond `FAR` the C library
# reduces x.

FAR = 1e5
HALF_PI = (
    1.57079632673412561417e00,
    6.07710050630396597660e-11,
    2.02226624871116645580e-21,
    8.47842766036889956997e-32,
)
SIN = (
    -1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04,
    2.75573137070700676789e-06, -2.50507602534068634195e-08, 1.58969099521155010221e-10,
)  # fmt: skip
COS = (
    4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05,
    -2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11,
)  # fmt: skip


def sin(x: Number) -> Number:
    """sin x."""
    return _sine(x, 0.0, "sin")


def cos(x: Number) -> Number:
    """cos x = sin(x + π/2)."""
    return _sine(x, 1.0, "cos")


def _sine(x: Number, quarters: float, name: str) -> Number:
    """sin(x + quarters · π/2), computed with a double's digits."""
    code, wide = x.code, x.converted("double")
    shift = _DOUBLE.shift
    k = (wide * (2.0 / math.pi) + shift) - shift
    r = wide
    for part in HALF_PI:
        r = r - k * part
    quadrant = ((k + quarters) + shift).bits()
    z = r * r
    sine = r + (r * z) * _polynomial(z, SIN)
    cosine = 1.0 + z * (z * _polynomial(z, COS) - 0.5)
    is_odd, is_low = (quadrant & 1).equals(1), (quadrant & 2).equals(2)
    value = code.select(is_odd, cosine, sine)
    value = code.select(is_low, -value, value)
    result = code.variable(code.select(wide.equals(0.0), wide if name == "sin" else 1.0, value))
    is_far = ~(abs(wide) < FAR)
    with code.if_(is_far.any()):
        result.set(code.select(is_far, code.library(name, wide), result.now))
    return result.now.converted(x.element)


def sqrt(x: Number) -> Number:
    """The square root; nan below zero."""
    return x.code.intrinsic("sqrt", x)


def power_of_half(x: Number) -> Number:
    """x to the power ½, which is 0 for -0 and inf for -inf."""
    code = x.code
    return code.select(x.equals(-INF), code.number(INF, x.type), sqrt(x + 0.0))


def hypot(*numbers: Number) -> Number:
    """√(Σ xₖ²)."""
    result = abs(numbers[0])
    for x in numbers[1:]:
        result = x.code.library("hypot", result, x)
    return result


def div(x: Number, y: Number) -> Number:
    """x / y."""
    return x / y


def gelu(z: Number) -> Number:
    """½ z erfc(-√½ z), with the argument in double precision: erfc magnifies what it rounds off."""
    inside = z.converted("double") * -0.7071067811865476
    return 0.5 * z * z.code.library("erfc", inside).converted(z.element)


# Signs, rounding and remainders.


def copysign(x: Number, y: Number) -> Number:
    """|x| with the sign of y."""
    return x.code.intrinsic("copysign", x, y)


def is_infinite(x: Number) -> Number:
    """Whether it is inf or -inf."""
    return abs(x).equals(INF)


def is_finite(x: Number) -> Number:
    """Neither nan nor infinite."""
    return abs(x) < INF


def mod(x: Number, y: Number) -> Number:
    """Python's x % y, which has the sign of y."""
    code = x.code
    rest = code.library("fmod", x, y)
    return code.select(rest.equals(0.0), copysign(rest, y), code.select(_differ(rest, y), rest + y, rest))


def floordiv(x: Number, y: Number) -> Number:
    """Python's x // y, as CPython computes it."""
    code = x.code
    rest = code.library("fmod", x, y)
    quotient = (x - rest) / y
    quotient = code.select(rest.differs(0.0) & _differ(rest, y), quotient - 1.0, quotient)
    whole = code.intrinsic("floor", quotient)
    whole = code.select(quotient - whole > 0.5, whole + 1.0, whole)
    return code.select(quotient.equals(0.0), copysign(code.number(0.0, x.type), x / y), whole)


def _differ(x: Number, y: Number) -> Number:
    """Whether one of them is negative and the other is not."""
    return ((x < 0.0) & (y >= 0.0)) | ((x >= 0.0) & (y < 0.0))


# Of several numbers.


def logsumexp(*z: Number) -> Number:
    """log Σ exp zₖ, with the largest taken out, so that nothing overflows and no small rest is lost."""
    code, largest = z[0].code, z[0]
    for z_k in z[1:]:
        largest = code.select((z_k > largest) | z_k.is_nan(), z_k, largest)
    reference = code.select(is_finite(largest), largest, 0.0)
    rest: Operand = 0.0  # of all but one of the largest, whose term is 1
    is_left_out: Number | None = None
    for z_k in z:
        leave_out = z_k.equals(reference)
        if is_left_out is not None:
            leave_out = leave_out & ~is_left_out
        is_left_out = leave_out if is_left_out is None else is_left_out | leave_out
        rest = code.select(leave_out, 0.0, exp(z_k - reference)) + rest
    assert isinstance(rest, Number)
    return code.select(is_finite(largest), reference + log1p(rest), largest)


def _of_intrinsic(name: str) -> Callable[..., Number]:
    return lambda *x: x[0].code.intrinsic(name, *x)


def _of_library(name: str) -> Callable[..., Number]:
    return lambda *x: x[0].code.library(name, *x)


FUNCTIONS: dict[str, Callable[..., Number]] = {
    "exp": exp, "expm1": expm1, "exp2": exp2, "log": log, "log1p": log1p, "log2": log2,
    "sin": sin, "cos": cos, "tanh": tanh, "sinh": sinh, "cosh": cosh, "sqrt": sqrt, "pow": pow, "hypot":
    hypot, "copysign": copysign, "isinf": is_infinite, "isfinite": is_finite, "isnan": Number.is_nan, "mod":
    mod, "floordiv": floordiv, "gamma": _of_library("tgamma"), "degrees": lambda x: x * (180.0 / math.pi),
    "radians": lambda x: x * (math.pi / 180.0), **{name: _of_intrinsic(name) for name in ("fabs", "floor",
    "ceil", "trunc")}, "round": _of_intrinsic("rint"), **{name: _of_library(name) for name in (
        "tan", "asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh", "erf", "erfc",
        "log10", "cbrt", "lgamma", "fmod", "remainder",
    )},
}  # fmt: skip
"""The functions of Python's `math` by name, and Python's own operators % and //."""

OPERATIONS: dict[str, Callable[..., Number]] = {
    "sigmoid": sigmoid, "sigmoid_slope": sigmoid_slope, "silu": silu, "softplus": softplus, "gaussian":
    gaussian, "gelu": gelu, "div": div, "logsumexp": logsumexp, "abs": abs, **{name: FUNCTIONS[name] for name
    in (
        "exp", "expm1", "log", "log1p", "log2", "log10", "tanh", "sinh", "cosh", "sqrt", "cbrt", "pow",
        "hypot", "floor", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh",
        "erf", "erfc",
    )},
}  # fmt: skip
"""By an operation's name, what runs instead of the table's `forward`, which is written for reading."""
