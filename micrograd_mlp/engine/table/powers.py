"""Powers and roots."""

from __future__ import annotations

import cmath
import math
from typing import Any

from micrograd_mlp.engine.op import POSITIVE, REALS, inf, nan, operation
from micrograd_mlp.engine.table.arithmetic import div
from micrograd_mlp.engine.table.exponentials import log, xlogy


def _power_partials(out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    # At the edges x^(y-1) or log x is infinite where the derivative is not: x^0 is flat, and so is 0^y in y.
    slope = power(x, y - 1.0)
    if _is_out_of_range(slope, x):
        half = power(x, 0.5 * (y - 1.0))
        by_base = half * y * half
    else:
        by_base = y * slope if y != 0 or -inf < slope < inf else 0.0
    if _is_out_of_range(out, x):
        half = power(x, 0.5 * y)
        by_exponent = half * xlogy(half, x)
    else:
        by_exponent = 0.0 if x == 0 and y >= 0 else out * log(x)
    return by_base, by_exponent


def _is_out_of_range(power_of_x: Any, x: Any) -> bool:
    """Whether a power of x has overflowed or lost digits, while a product with it may be in range."""
    return 0.0 < x < inf and not _LEAST_NORMAL <= power_of_x < inf


_LEAST_NORMAL = 2.2250738585072014e-308  # below, floats have fewer digits


def _complex_power(z: complex, w: complex) -> complex:
    if z == 0.0 or (z.real == 0.0 and w.imag == 0.0):
        return z**w.real
    if z.real < 0.0 and w.imag != 0.0:
        return complex(nan, nan)  # a negative number has no real power but for whole exponents
    # |z|ʷ from the real numbers, exact for whole exponents; what is left is the angle.
    angle = (w * cmath.log(z if z.real > 0.0 else -z)).imag
    return math.pow(z.real, w.real) * cmath.exp(1j * angle)


@operation(
    name="pow",
    arity=2,
    symbol="**",
    latex="{{{0}}}^{{{1}}}",
    partials=_power_partials,
    domain=(POSITIVE, REALS),
    complex_form=_complex_power,
)
def power(x: float, y: float) -> float:
    """x to the power y; a negative x with a fractional y is nan.

    >>> power(2.0, 3.0), power(0.0, -1.0), power(-8.0, 0.5)
    (8.0, inf, nan)
    """
    try:
        return math.pow(x, y)
    except (OverflowError, ValueError):
        if x < 0 and y != math.floor(y):
            return nan
        odd = y == math.floor(y) and math.fmod(y, 2.0) != 0.0
        return math.copysign(inf, x) if odd else inf


@operation(
    latex=r"\sqrt{{{0}}}",
    partials=lambda out, x: (div(0.5, out),),
    domain=(POSITIVE,),
    complex_form=cmath.sqrt,
)
def sqrt(x: float) -> float:
    """The square root; nan below zero.

    >>> sqrt(9.0), sqrt(-1.0)
    (3.0, nan)
    """
    return math.sqrt(x) if x >= 0.0 else nan


def _complex_cbrt(z: complex) -> complex:
    angle = cmath.log(z if z.real > 0.0 else -z).imag
    return cbrt(z.real) * cmath.exp(1j * angle / 3.0)


@operation(
    latex=r"\sqrt[3]{{{0}}}",
    partials=lambda out, x: (div(1.0, 3.0 * out * out),),
    kink=lambda x: x,
    complex_form=_complex_cbrt,
)
def cbrt(x: float) -> float:
    """The cube root, of negative numbers too. Its slope at 0 is inf.

    >>> cbrt(27.0), cbrt(-8.0)
    (3.0, -2.0)
    """
    if x == 0.0 or not math.isfinite(x):
        return x
    size = abs(x)
    root = math.pow(size, 0.3333333333333333)
    root -= (root - size / (root * root)) / 3.0  # one step of Newton's method, for the last digits
    return math.copysign(root, x)


def _complex_hypot(z: complex, w: complex) -> complex:
    size = math.hypot(z.real, w.real)
    scale = 1.0 if 1e-150 < size < 1e150 else size  # squares overflow or underflow beyond
    return scale * cmath.sqrt((z / scale) ** 2 + (w / scale) ** 2)


@operation(
    arity=2,
    latex=r"\sqrt{{{{{0}}}^{{2}} + {{{1}}}^{{2}}}}",
    partials=lambda out, x, y: (div(x, out), div(y, out)),
    kink=lambda x, y: math.hypot(x, y),
    complex_form=_complex_hypot,
)
def hypot(x: float, y: float) -> float:
    """√(x² + y²), without overflow on the way. It has no derivative at (0, 0), where it gives nan.

    >>> hypot(3.0, 4.0), hypot(1e200, 0.0)
    (5.0, 1e+200)
    """
    return math.hypot(x, y)


@operation(
    latex="1 - {{{0}}}^{{2}}",
    partials=lambda out, x: (-2.0 * x,),
    complex_form=lambda z: complex(1.0 - z.real * z.real, -2.0 * z.real * z.imag),
)
def one_minus_square(x: float) -> float:
    """1 - x², with all digits where x is near 1 or -1: what the slopes of asin, acos and atanh divide by.

    >>> one_minus_square(1.0), one_minus_square(0.5)
    (0.0, 0.75)
    """
    return 1.0 - x * x if abs(x) < 0.5 else (1.0 - x) * (1.0 + x)
