"""Functions that ONNX runtimes lack in double precision, from those that they have.

Runtimes have exp, log, sqrt, sin, cos, tanh and rounding. These are Python functions like those of a record,
and are turned into nodes in the same way.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

_HALF_PI, _LN2, _LN10 = math.pi / 2.0, math.log(2.0), math.log(10.0)
_ERFC = (
    *(0.9739949793186762, -0.48202889723521325, 0.07834316039603868, -0.005640402632517939),
    *(-0.000638005176028597, 0.00015524916589267537, 7.809517806133497e-06, -4.21300201076712e-06),
    *(-2.3438312290585963e-07, 1.2917225955374607e-07, 1.3095856237953062e-08, -4.035294124615645e-09),
    *(-7.964802351746034e-10, 9.952287242058099e-11, 4.427889678319774e-11, 3.4717247056227854e-13),
    *(-2.052419575258776e-12, -2.8897982368264737e-13, 6.317960107286004e-14, 2.4857919943788025e-14),
    *(6.059166186014999e-16, -1.2844428695819705e-15, -2.6588485349271105e-16, 2.5593811585654563e-17),
)
"""Chebyshev coefficients of erfc(x) exp(x²) (x + 2) in t = 1 - 5 / (x + 2), for x ≥ 0.5."""


def log1p(x: float) -> float:
    """log(1 + x): the logarithm of the rounded sum, and what rounding took away."""
    u = 1.0 + x
    return x if u == math.inf or u == 1.0 else math.log(u) + (x - (u - 1.0)) / u


def expm1(x: float) -> float:
    """eˣ - 1: near 0 from tanh(x / 2)."""
    t = math.tanh(0.5 * x)
    return 2.0 * t / (1.0 - t) if -1.0 < x < 1.0 else math.exp(x) - 1.0


def sinh(x: float) -> float:
    """(eˣ - e⁻ˣ) / 2: near 0 from tanh(x / 2)."""
    t = math.tanh(0.5 * x)
    e = math.exp(0.5 * math.fabs(x))
    far = (0.5 * e) * e - 0.5 / (e * e)
    return 2.0 * t / (1.0 - t * t) if -1.0 < x < 1.0 else far if x > 0.0 else -far


def cosh(x: float) -> float:
    """(eˣ + e⁻ˣ) / 2."""
    e = math.exp(0.5 * math.fabs(x))
    return (0.5 * e) * e + 0.5 / (e * e)


def atan(x: float) -> float:
    """A rough angle, and the small angle between it and the right one."""
    size = math.fabs(x)
    inside = 1.0 / size if size > 1.0 else size
    rough = inside / (1.0 + 0.28 * inside * inside)
    s, c = math.sin(rough), math.cos(rough)
    t = (inside * c - s) / (c + inside * s)
    u = t * t
    angle = rough + t * (1.0 - u * (1.0 / 3.0 - u * (0.2 - u / 7.0)))
    result = _HALF_PI - angle if size > 1.0 else angle
    return result if x >= 0.0 else -result


def atan2(y: float, x: float) -> float:
    """The angle of the point (x, y), in its quadrant."""
    if x == 0.0 and y == 0.0:
        return 0.0 * y
    if x > 0.0:
        return math.atan(y / x)
    if x < 0.0:
        return math.atan(y / x) + (math.pi if y >= 0.0 else -math.pi)
    return _HALF_PI if y > 0.0 else -_HALF_PI


def asinh(x: float) -> float:
    """log(|x| + √(x² + 1)) with the sign of x."""
    size = math.fabs(x)
    near = math.log1p(size + size * size / (1.0 + math.sqrt(size * size + 1.0)))
    result = math.log(size) + _LN2 if size > 1e8 else near
    return result if x >= 0.0 else -result


def acosh(x: float) -> float:
    """log(x + √(x² - 1))."""
    t = x - 1.0
    return math.log(x) + _LN2 if x > 1e8 else math.log1p(t + math.sqrt(t * (x + 1.0)))


def atanh(x: float) -> float:
    """½ log((1 + x) / (1 - x)) with the sign of x."""
    size = math.fabs(x)
    result = 0.5 * math.log1p(2.0 * size / (1.0 - size))
    return result if x >= 0.0 else -result


def cbrt(x: float) -> float:
    """The cube root: a good guess and one step of Newton's method."""
    size = math.fabs(x)
    guess = math.exp(math.log(size) / 3.0)
    result = guess - (guess - size / (guess * guess)) / 3.0
    return x if x == 0.0 or size == math.inf else result if x > 0.0 else -result


def hypot(*z: float) -> float:
    """The length √(Σ zₖ²), scaled by the largest so that nothing overflows."""
    largest = max([math.fabs(x) for x in z])
    scale = largest if largest > 0.0 else 1.0
    return scale * math.sqrt(sum([(x / scale) * (x / scale) for x in z]))


def copysign(x: float, y: float) -> float:
    """|x| with the sign of y; 1 / -0 is what tells the sign of a zero."""
    size = math.fabs(x)
    return -size if y < 0.0 or (y == 0.0 and 1.0 / y < 0.0) else size


def erf(x: float) -> float:
    """The series near 0, and 1 - erfc(x) beyond."""
    far = 1.0 - math.erfc(math.fabs(x))
    return _erf_near_0(x) if -0.5 < x < 0.5 else far if x > 0.0 else -far


def _erf_near_0(x: float) -> float:
    square = x * x
    term, series = 1.0, 0.0
    for k in range(1, 16):
        term *= -square / k
        series += term / (2 * k + 1)
    return 2.0 / math.sqrt(math.pi) * (x + x * series)


def erfc(x: float) -> float:
    """1 - erf(x): from 0.5 a Chebyshev series times exp(-x²)."""
    size = min(max(math.fabs(x), 0.5), 28.0)
    t = 1.0 - 5.0 / (size + 2.0)
    following, previous = 0.0, 0.0
    for coefficient in reversed(_ERFC[1:]):
        following, previous = coefficient + 2.0 * t * following - previous, following
    series = _ERFC[0] + t * following - previous
    high = math.floor(size * 1048576.0) / 1048576.0  # its square is exact
    far = series / (size + 2.0) * math.exp((high - size) * (high + size)) * math.exp(-high * high)
    return 1.0 - _erf_near_0(x) if -0.5 < x < 0.5 else far if x > 0.0 else 2.0 - far


def fsum(*z: float) -> float:
    """The sum with the rounding errors of its steps added at the end."""
    result, lost = 0.0, 0.0
    for x in z:
        following = result + x
        larger = math.fabs(result) >= math.fabs(x)
        lost += (result - following) + x if larger else (x - following) + result
        result = following
    return result + lost if math.isfinite(lost) else result


def prod(*z: float) -> float:
    """The product of all."""
    result = 1.0
    for x in z:
        result *= x
    return result


def largest(*z: float) -> float:
    """The first of the largest, as Python's max."""
    best = z[0]
    for x in z[1:]:
        best = x if x > best else best
    return best


def smallest(*z: float) -> float:
    """The first of the smallest, as Python's min."""
    best = z[0]
    for x in z[1:]:
        best = x if x < best else best
    return best


FUNCTIONS: dict[str, Any] = {
    name: function for name, function in list(globals().items()) if inspect.isfunction(function)
} | {
    "sum": fsum,
    "tan": lambda x: math.sin(x) / math.cos(x),
    "asin": lambda x: math.atan(x / math.sqrt((1.0 - x) * (1.0 + x))),
    "acos": lambda x: 2.0 * math.atan(math.sqrt((1.0 - x) / (1.0 + x))),
    "log2": lambda x: math.log(x) / _LN2,
    "log10": lambda x: math.log(x) / _LN10,
    "exp2": lambda x: math.pow(2.0, x),
    "trunc": lambda x: math.floor(x) if x > 0.0 else math.ceil(x),
    "isfinite": lambda x: x - x == 0.0,
    "is_undefined": lambda result, *z: math.isnan(result) and not any(math.isnan(x) for x in z),
    "is_overflow": lambda result, *z: math.isinf(result) and all(math.isfinite(x) for x in z),
}
