"""exp, log, tanh and others, written so that the machine computes four or eight of them at once (§8).

The C library's functions take one number a call. These are straight lines of arithmetic without a branch: the
argument is reduced to a small interval, a polynomial is evaluated there, and the power of two goes back
through the bits of the exponent. So the compiler turns a loop over a row into vector instructions. They agree
with the table's forward functions to a few units in the last place, and exactly on 0, ±inf, nan, overflow
and underflow; measured, they take a third of the time or less.

The reductions of log and log1p follow fdlibm's; the polynomials of exp and expm1 are Taylor's.
"""

from __future__ import annotations

import math

import numpy as np

from micrograd_mlp.compiled.native import IS_NATIVE, inlined

INF = math.inf
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = (
    6.93147180369123816490e-01,
    1.90821492927058770002e-10,
)  # ln 2; LN2_HIGH ends in 20 zero bits
SHIFT = 6755399441055744.0  # 1.5·2⁵²: adding and subtracting it rounds to an integer
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
E2, E3, E4, E5, E6, E7, E8, E9, E10, E11, E12, E13, E14 = [1.0 / math.factorial(n) for n in range(2, 15)]
L1, L2, L3, L4 = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
)
L5, L6, L7 = 1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01


@inlined
def _reduced(x):
    """k and r with x = k ln 2 + r, |r| ≤ ½ ln 2."""
    k = (x * LOG2_E + SHIFT) - SHIFT
    return np.int64(np.int32(k)), (x - k * LN2_HIGH) - k * LN2_LOW


@inlined
def _expm1_small(r):
    """eʳ - 1 for |r| ≤ ½ ln 2."""
    # Pairs, then pairs of those (Estrin): a chain of 4 steps instead of 12, which short rows wait for.
    r2 = r * r
    r4 = r2 * r2
    low = (E2 + r * E3) + r2 * (E4 + r * E5) + r4 * ((E6 + r * E7) + r2 * (E8 + r * E9))
    high = (E10 + r * E11) + r2 * (E12 + r * E13) + r4 * E14
    p = low + r4 * r4 * high
    return r + r2 * p


@inlined
def _power_of_two(k):
    """2ᵏ for -1023 < k < 1024."""
    return np.int64((k + 1023) << 52).view(np.float64)


@inlined
def exp(x):
    """eˣ."""
    k, r = _reduced(min(max(x, -746.0), 710.0))
    half = k >> 1  # in two factors, so that the smallest and the largest results are in range
    result = (1.0 + _expm1_small(r)) * _power_of_two(half) * _power_of_two(k - half)
    return x if x != x else result


@inlined
def expm1(x):
    """eˣ - 1."""
    k, r = _reduced(min(max(x, -40.0), 710.0))
    half = k >> 1
    scale = _power_of_two(half)
    small = _expm1_small(r)
    # 2ᵏ(eʳ - 1) + (2ᵏ - 1); from k = 1000 the 1 is far below the last place and 2ᵏ may overflow.
    moderate = min(k, 1000)
    near = _power_of_two(moderate)
    result = near * small + (near - 1.0) if k < 1000 else (1.0 + small) * scale * _power_of_two(k - half)
    return x if x != x or x == 0.0 else result


@inlined
def sigmoid(z):
    """1 / (1 + e⁻ᶻ)."""
    e = exp(-abs(z))
    result = (1.0 if z >= 0.0 else e) / (1.0 + e)
    return z if z != z else result


@inlined
def sech(z):
    """2 / (eᶻ + e⁻ᶻ)."""
    e = exp(-abs(z))
    return 2.0 * e / (1.0 + e * e)


@inlined
def tanh(z):
    """t / (t + 2) with t = e²ᶻ - 1, for |z|."""
    k, r = _reduced(min(2.0 * abs(z), 44.0))  # at 22 tanh is 1 in the last place
    power = _power_of_two(k)
    t = power * _expm1_small(r) + (power - 1.0)  # e²ᶻ - 1
    result = t / (t + 2.0)
    return z if z != z or z == 0.0 else result if z > 0.0 else -result


@inlined
def _log_positive(x):
    """log x for 0 < x < inf: x = 2ᵏ(1 + f) with √½ ≤ 1 + f < √2, and the series of log((1+s)/(1-s))."""
    tiny = x < 2.2250738585072014e-308  # subnormal
    bits = np.float64(x * 18014398509481984.0 if tiny else x).view(np.int64)
    exponent = (bits - SQRT_HALF_BITS) >> 52
    f = np.int64(bits - (exponent << 52)).view(np.float64) - 1.0
    k = np.float64(np.int32(exponent)) - (54.0 if tiny else 0.0)
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    series = z * (L1 + w * (L3 + w * (L5 + w * L7))) + w * (L2 + w * (L4 + w * L6))
    half_square = 0.5 * f * f
    return k * LN2_HIGH - ((half_square - (s * (half_square + series) + k * LN2_LOW)) - f)


@inlined
def log(x):
    """The natural logarithm."""
    inside = 0.0 < x < INF
    result = _log_positive(x if inside else 1.0)
    outside = -INF if x == 0.0 else x if x > 0.0 else math.nan
    return result if inside else outside


@inlined
def log1p(x):
    """log(1 + x)."""
    u = 1.0 + x
    inside = -1.0 < x < INF
    safe = u if inside and u > 0.0 else 1.0
    result = _log_positive(safe) + (x - (safe - 1.0)) / safe  # the second term is what 1 + x rounded off
    outside = -INF if x == -1.0 else x if x > 0.0 else math.nan
    return (x if x == 0.0 else result) if inside else outside


@inlined
def softplus(z):
    """log(1 + eᶻ) = max(z, 0) + log(1 + e⁻ᶻ) with |z| in the exponent."""
    e = exp(-abs(z))
    u = 1.0 + e
    return (z if z > 0.0 else 0.0) + (_log_positive(u) + (e - (u - 1.0)) / u)


@inlined
def power(x, y):
    """xʸ."""
    return np.power(x, y)


@inlined
def div(x, y):
    """x / y."""
    return x / y


NATIVE = {
    "exp": exp, "expm1": expm1, "log": log, "log1p": log1p,
    "sigmoid": sigmoid, "tanh": tanh, "sech": sech, "softplus": softplus,
    "pow": power, "div": div,
}  # fmt: skip
"""By an op's name, what runs instead of the table's `forward`, which is written for reading."""
if not IS_NATIVE:
    del NATIVE["pow"]  # NumPy's own power(-inf, 0.5) is nan, C's is inf
