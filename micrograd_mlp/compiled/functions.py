"""exp, log, tanh and others as machine code, of one number or of a vector of them, in either precision (§8).

The C library's functions take one number a call. These are straight lines of arithmetic without a branch: the
argument is reduced to a small interval, a polynomial is evaluated there, and a power of two goes back
through the bits of the exponent. They agree with the table's forward functions to a few units in the last
place, and exactly on 0, ±inf, nan, overflow and underflow. What is not written here comes from the C
library, number by number.

In single precision, exp, log and their relatives have shorter polynomials. The others are computed in double
precision and rounded.

The reductions and the polynomials of log, log1p, sin and cos are fdlibm's.
"""

from __future__ import annotations

import functools
import math
import operator
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from micrograd_mlp.compiled.code import Code, Number, Operand
from micrograd_mlp.engine.table import TABLE

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
        exp: the coefficients of (eʳ - 1 - r) / r² in r, which interpolate at Chebyshev's points.
        log: the coefficients of log((1 + s) / (1 - s)) - 2s in s².
    """

    digits: int
    bias: int
    ln2: tuple[float, float]
    exponents: tuple[float, float]
    flat: float
    exp: tuple[float, ...]
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
    exp=(
        *(0.5000000000000001, 0.16666666666666669, 0.041666666666623824, 0.008333333333330039),
        *(0.0013888888917367081, 0.00019841269863171557, 2.4801521057868204e-05, 2.7557268276905696e-06),
        *(2.7620201591031547e-07, 2.5100472505694996e-08),
    ),
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
    exp=(0.5, 0.16666576266288757, 0.04166655242443085, 0.00836323294788599, 0.0013926250394433737),
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


def _fma(a: Number, b: Operand, c: Operand) -> Number:
    """a b + c, rounded once."""
    code = a.code
    return code.intrinsic("fma", a, code.number(b, a.type), code.number(c, a.type))


@contextmanager
def _unfused(code: Code) -> Iterator[None]:
    """Each operation rounds, so that what one has rounded off can be computed."""
    before, code.fused = code.fused, False
    yield
    code.fused = before


# Exponentials. `minimum` and `maximum` have the variable on their right, where nan stays nan.


def _reduced(x: Number) -> tuple[Number, Number]:
    """k and r with x = k ln 2 + r, |r| ≤ ½ ln 2."""
    p = _precision(x)
    k = (x * LOG2_E + p.shift) - p.shift
    return k, (x - k * p.ln2[0]) - k * p.ln2[1]


def _expm1_small(r: Number) -> Number:
    """eʳ - 1 for |r| ≤ ½ ln 2."""
    return r + (r * r) * _polynomial(r, _precision(r).exp)


def _power_of_two(k: Number) -> Number:
    """2ᵏ for a whole k, where that is neither 0, subnormal nor infinite."""
    return _shifted_power_of_two(k + _precision(k).shift)


def _shifted_power_of_two(k: Number) -> Number:
    """The same for a k to which `shift` is added already."""
    p = _precision(k)
    return ((k.bits() << p.digits) + (p.bias << p.digits)).from_bits()


def _times_power_of_two(x: Number, k: Number) -> Number:
    """x 2ᵏ, in two steps, so that the smallest and the largest results are in range."""
    scaled = x.code.scaled(x, k)
    if scaled is not None:
        return scaled
    shift = _precision(k).shift
    half = k * 0.5 + shift
    return x * _shifted_power_of_two(half) * _power_of_two(k - (half - shift))


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


# sigmoid, tanh and their slopes share an exponential and a division, which LLVM computes once for both.


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


def _tanh_parts(z: Number) -> tuple[Number, Number, Number]:
    """e = e⁻ˢ, 1 - e and 2 / (1 + e) with s = 2|z|. The second has all digits where s is small."""
    k, r = _reduced_minus(2.0 * abs(z))
    one, rest = [_times_power_of_two(x, k) for x in (z.code.number(1.0, z.type), _expm1_small(r))]
    e = one + rest
    return e, (1.0 - one) - rest, 2.0 / (1.0 + e)


def tanh(z: Number) -> Number:
    """(1 - e⁻ˢ) / (1 + e⁻ˢ) with s = 2|z|."""
    _, difference, quotient = _tanh_parts(z)
    return copysign(0.5 * difference * quotient, z)


def tanh_slope(_tanh: Number, z: Number) -> list[Number]:
    """4 e⁻ˢ / (1 + e⁻ˢ)² with s = 2|z|: 1 - tanh² would lose its digits where tanh is nearly 1."""
    e, _, quotient = _tanh_parts(z)
    return [e * quotient * quotient]


def silu(z: Number) -> Number:
    """z / (1 + e⁻ᶻ)."""
    return z * sigmoid(z)


def gaussian(x: Number) -> Number:
    """exp(-x²). The exponential magnifies what x² rounds off, so that is taken into account."""
    x = x.code.minimum(64.0, abs(x))
    square = x * x
    rest = _fma(x, x, -square)
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


# The error function.

ERF = (
    *(0.1283791670955126, -0.3761263890318375, 0.11283791670954775, -0.02686617064503848),
    *(0.005223977624171083, -0.0008548326920588401, 0.00012055327697362146, -1.4925471268019038e-05),
    *(1.6458051806890862e-06, -1.63046150641907e-07, 1.4215069808219508e-08, -8.905151131672966e-10),
)  # interpolates at Chebyshev's points, in x²
ERFC = (
    *(1.0521419579135713, 0.6350570275535073, 0.34334463887981326, 0.16523510711556946),
    *(0.07006800164716886, 0.025755905936248002, 0.007981303406030885, 0.001975738331880317),
    *(0.0003410645924671077, 1.8912664799203766e-05, -1.0246006449177897e-05, -3.367894752805117e-06),
    *(-1.9285967869974127e-07, 1.4892551263509196e-07, 3.6549535436915834e-08, -3.6774456465522945e-09),
    *(-2.7327828652513785e-09, -5.4480063449885195e-11, 1.3804289894324416e-10, 1.151443673009478e-11),
)  # interpolates erfc(x) exp(x²) (x + 4) at Chebyshev's points, for 0.84 ≤ x ≤ 27.5


def _erf_small(x: Number) -> Number:
    """erf(x) / x - 1 for |x| ≤ 0.84."""
    return _polynomial(x * x, ERF)


def _erfc_large(x: Number) -> Number:
    """erfc(x) for x ≥ 0.84: a polynomial in a fraction that goes from 1 to -1, and exp(-x²)."""
    x = x.code.minimum(30.0, x)
    inverse = 1.0 / (x + 4.0)
    series = _polynomial((5.984996249062266 - 1.3630907726931734 * x) * inverse, ERFC)
    return gaussian(x) * (series * inverse)


def erf(x: Number) -> Number:
    """The error function."""
    if x.element == "float":
        return erf(x.converted("double")).converted("float")
    far = copysign(1.0 - _erfc_large(abs(x)), x)
    return x.code.select(abs(x) < 0.84, x + x * _erf_small(x), far)


def erfc(x: Number) -> Number:
    """1 - erf(x)."""
    if x.element == "float":
        return erfc(x.converted("double")).converted("float")
    code, rest, far = x.code, x * _erf_small(x), _erfc_large(abs(x))
    near = code.select(x < 0.25, 1.0 - (x + rest), 0.5 - ((x - 0.5) + rest))
    return code.select(abs(x) < 0.84, near, code.select(x < 0.0, 2.0 - far, far))


def gelu(z: Number) -> Number:
    """½ z erfc(-√½ z), with the argument in double precision: erfc magnifies what it rounds off."""
    inside = z.converted("double") * -0.7071067811865476
    return 0.5 * z * erfc(inside).converted(z.element)


# Angles: x = k ½π + r with |r| ≤ ¼π, and fdlibm's polynomials in r.

FAR = 1e6  # beyond, the C library reduces x
HALF_PI = (
    *(1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624871116645580e-21),
    8.47842766036889956997e-32,
)  # ½π is their sum; all but the last have so few digits that k times them is exact
SINE = (
    *(-1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04),
    *(2.75573137070700676789e-06, -2.50507602534068634195e-08, 1.58969099521155010221e-10),
)
COSINE = (
    *(4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05),
    *(-2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11),
)


def _of_angle(name: str, x: Number) -> Number:
    """sin, cos or tan, computed with a double's digits."""
    code, wide, shift = x.code, x.converted("double"), _DOUBLE.shift
    shifted = wide * (2.0 / math.pi) + shift
    k, r = shifted - shift, wide
    for part in HALF_PI:
        r = r - k * part
    z = r * r
    sine = code.select(z.equals(0.0), r, r + (r * z) * _polynomial(z, SINE))  # -0.0 too
    cosine = 1.0 + z * (z * _polynomial(z, COSINE) - 0.5)
    is_odd = (shifted.bits() & 1).equals(1)
    near_sine, near_cosine = code.select(is_odd, cosine, sine), code.select(is_odd, -sine, cosine)
    sign_bit = (shifted.bits() & 2) << 62  # in the second half of a turn both are negative
    if name == "tan":
        value = near_sine / near_cosine
    else:
        value = ((near_sine if name == "sin" else near_cosine).bits() + sign_bit).from_bits()
    result = code.variable(value)
    is_far = ~(abs(wide) < FAR)
    with code.if_(is_far.any()):
        result.set(code.select(is_far, code.library(name, wide), result.now))
    return result.now.converted(x.element)


# Powers and roots.


def pow(x: Number, y: Number) -> Number:
    """xʸ as C has it: exp(y log |x|) with a sign, and what is special about 0, 1, inf and nan."""
    if x.element == "float":
        return pow(x.converted("double"), y.converted("double")).converted("float")
    code, size = x.code, abs(x)
    with _unfused(code):
        high, low = _log_in_two_parts(size)
        high = code.select(size.equals(0.0), code.number(-INF, x.type), code.select(size < INF, high, size))
        product = y * high
        rest = code.select(abs(product) < 1e3, _fma(y, high, -product) + y * low, 0.0)
        product = code.minimum(1e3, code.maximum(-1e3, product))
        k = (product * LOG2_E + _DOUBLE.shift) - _DOUBLE.shift
        r = _fma(k, -_DOUBLE.ln2[0], product) + (rest - k * _DOUBLE.ln2[1])
    result = _times_power_of_two(1.0 + _expm1_small(r), k)
    is_whole, half = code.intrinsic("floor", y).equals(y), 0.5 * y
    is_odd = is_whole & code.intrinsic("floor", half).differs(half)
    result = code.select(is_odd, copysign(result, x), result)
    result = code.select((x < 0.0) & ~is_whole & (x > -INF), NAN, result)
    is_one = y.equals(0.0) | x.equals(1.0) | (x.equals(-1.0) & abs(y).equals(INF))
    return code.select(is_one, 1.0, result)


def _log_in_two_parts(x: Number) -> tuple[Number, Number]:
    """log x for 0 < x < inf with some ten digits more, as a sum; nothing may be fused."""
    k, f = _log_parts(x, may_be_subnormal=True)
    # s = f / (2 + f), and its square z
    u = 2.0 + f
    inverse = 1.0 / u
    s = f * inverse
    s_low = _fma(-s, f - (u - 2.0), _fma(-s, u, f)) * inverse
    z = s * s
    z_low = _fma(s, s, -z) + 2.0 * s * s_low
    # log(1 + f) = 2s (1 + z a) with a = 1/3 + z/5 + z²/7 + ...; the first term needs two parts.
    following = z * _polynomial(z, [1.0 / n for n in range(5, 26, 2)])
    a = following + 1.0 / 3.0
    a_low = ((1.0 / 3.0 - a) + following) + 1.850371707708594e-17  # 1/3 is this larger than the float
    w = z * a
    w_low = _fma(z, a, -w) + (z * a_low + z_low * a)
    v = s * w
    v_low = _fma(s, w, -v) + (s * w_low + s_low * w)
    log1p, whole = s + v, k * _DOUBLE.ln2[0]
    log1p_low = ((s - log1p) + v) + (s_low + v_low)
    log = whole + 2.0 * log1p
    return log, ((whole - log) + 2.0 * log1p) + (2.0 * log1p_low + k * _DOUBLE.ln2[1])


def whole_power(x: Number, n: int) -> Number:
    """xⁿ by multiplications, for a small n."""
    if n < 0:
        return whole_power(1.0 / x, -n)
    if n < 2:
        return x if n else x.code.number(1.0, x.type)
    half = whole_power(x, n // 2)
    return half * half * x if n % 2 else half * half


def power_of_half(x: Number) -> Number:
    """x to the power ½, which is 0 for -0 and inf for -inf."""
    code = x.code
    return code.select(x.equals(-INF), code.number(INF, x.type), code.intrinsic("sqrt", x + 0.0))


def hypot(*numbers: Number) -> Number:
    """√(Σ xₖ²)."""
    result = abs(numbers[0])
    for x in numbers[1:]:
        result = x.code.library("hypot", result, x)
    return result


# Signs, rounding and remainders.


def copysign(x: Number, y: Number) -> Number:
    """|x| with the sign of y."""
    return x.code.intrinsic("copysign", x, y)


def is_finite(x: Number) -> Number:
    """Neither nan nor infinite."""
    return abs(x) < INF


def mod(x: Number, y: Number) -> Number:
    """Python's x % y, which has the sign of y."""
    rest = x.code.library("fmod", x, y)
    signed = copysign(rest, y)
    return x.code.select(signed.equals(rest), signed, rest + y)


def floordiv(x: Number, y: Number) -> Number:
    """Python's x // y, as CPython computes it."""
    code = x.code
    rest = code.library("fmod", x, y)
    quotient = (x - rest) / y
    quotient = code.select(copysign(rest, y).equals(rest), quotient, quotient - 1.0)
    whole = code.intrinsic("floor", quotient)
    whole = code.select(quotient - whole > 0.5, whole + 1.0, whole)
    return code.select(quotient.equals(0.0), copysign(code.number(0.0, x.type), x / y), whole)


# Of several numbers.


def logsumexp(*z: Number) -> Number:
    """log Σ exp zₖ, with the largest taken out, so that nothing overflows and no small rest is lost."""
    code, largest = z[0].code, z[0]
    for z_k in z[1:]:
        largest = code.select((z_k > largest) | z_k.is_nan(), z_k, largest)
    reference = code.select(is_finite(largest), largest, 0.0)
    rest = code.number(0.0, largest.type)  # the terms of all but one of the largest, whose term is 1
    is_found = code.number(False, largest.like("i1"))
    for z_k in z:
        is_left_out = z_k.equals(reference) & ~is_found
        is_found = is_found | is_left_out
        rest = rest + code.select(is_left_out, 0.0, exp(z_k - reference))
    return code.select(is_finite(largest), reference + log1p(rest), largest)


def products_of_others(_product: Number, *factors: Number) -> list[Number]:
    """For each factor the product of the others: of those in front of it and of those behind it."""
    one = factors[0].code.number(1.0, factors[0].type)
    in_front, behind = [one], [one]
    for x, y in zip(factors[:-1], factors[:0:-1]):
        in_front.append(in_front[-1] * x)
        behind.append(behind[-1] * y)
    return [a * b for a, b in zip(in_front, reversed(behind))]


def _of_intrinsic(name: str) -> Callable[..., Number]:
    return lambda *x: x[0].code.intrinsic(name, *x)


def _of_library(name: str) -> Callable[..., Number]:
    return lambda *x: x[0].code.library(name, *x)


FUNCTIONS: dict[str, Callable[..., Number]] = {
    "exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "log2": log2, "erf": erf, "erfc": erfc,
    "tanh": tanh, "pow": pow, "hypot": hypot, "mod": mod, "floordiv": floordiv, "copysign": copysign,
    "isinf": lambda x: abs(x).equals(INF), "isfinite": is_finite, "isnan": Number.is_nan,
    "degrees": lambda x: x * (180.0 / math.pi), "radians": lambda x: x * (math.pi / 180.0),
    "round": _of_intrinsic("rint"), "gamma": _of_library("tgamma"),
    **{name: _of_intrinsic(name) for name in ("ceil", "fabs", "floor", "sqrt", "trunc")},
    **{name: functools.partial(_of_angle, name) for name in ("sin", "cos", "tan")},
    **{name: _of_library(name) for name in (
        "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cosh", "exp2", "fmod", "lgamma",
        "log10", "remainder", "sinh",
    )},
}  # fmt: skip
"""The functions of Python's `math` by name, and its operators % and //."""

OPERATIONS: dict[str, Callable[..., Number]] = {
    **{name: function for name, function in FUNCTIONS.items() if name in TABLE},
    "abs": abs, "div": operator.truediv, "gaussian": gaussian, "gelu": gelu, "logsumexp": logsumexp,
    "sigmoid": sigmoid, "sigmoid_slope": sigmoid_slope, "silu": silu, "softplus": softplus,
}  # fmt: skip
"""By an operation's name, what runs instead of the table's `forward`, which is written for reading."""

SLOPES: dict[str, Callable[..., list[Number]]] = {"prod": products_of_others, "tanh": tanh_slope}
"""By an operation's name, what runs instead of the table's `partials`, from the output and the inputs."""
