"""Exponentials, logarithms, and the error function, which is an integral of one."""

from __future__ import annotations

import cmath
import math
from typing import Any

from micrograd_mlp.engine.op import POSITIVE, REALS, inf, nan, operation
from micrograd_mlp.engine.table.arithmetic import div

_LARGEST_EXPONENT = 709.782712893384  # the last float whose exponential is finite


@operation(latex="e^{{{0}}}", partials=lambda out, x: (out,), complex_form=cmath.exp)
def exp(x: float) -> float:
    """eˣ; inf above 709.78.

    >>> exp(0.0), exp(1000.0)
    (1.0, inf)
    """
    return math.exp(x) if x <= _LARGEST_EXPONENT else x * inf


@operation(
    latex="e^{{{0}}} - 1", partials=lambda out, x: (exp(x),), complex_form=lambda z: cmath.exp(z) - 1.0
)
def expm1(x: float) -> float:
    """eˣ - 1, exact for small x too.

    >>> expm1(1e-20)
    1e-20
    """
    return math.expm1(x) if x <= _LARGEST_EXPONENT else x * inf


@operation(
    latex=r"\log {0}",
    partials=lambda out, x: (div(1.0, x),),
    domain=(POSITIVE,),
    complex_form=cmath.log,
)
def log(x: float) -> float:
    """The natural logarithm; log 0 is -inf and the log of a negative number is nan.

    >>> log(1.0), log(0.0), log(-1.0)
    (0.0, -inf, nan)
    """
    if x > 0.0:
        return math.log(x)
    return -inf if x == 0.0 else nan


_LOG2_E, _LOG10_E = 1.4426950408889634, 0.4342944819032518  # 1 / log 2 and 1 / log 10


@operation(
    latex=r"\log_{{2}} {0}",
    partials=lambda out, x: (div(_LOG2_E, x),),
    domain=(POSITIVE,),
    complex_form=lambda z: _LOG2_E * cmath.log(z),
)
def log2(x: float) -> float:
    """The logarithm to base 2, exact for powers of 2.

    >>> log2(1024.0), log2(0.0), log2(-1.0)
    (10.0, -inf, nan)
    """
    if x > 0.0:
        return math.log2(x)
    return -inf if x == 0.0 else nan


@operation(
    latex=r"\log_{{10}} {0}",
    partials=lambda out, x: (div(_LOG10_E, x),),
    domain=(POSITIVE,),
    complex_form=lambda z: _LOG10_E * cmath.log(z),
)
def log10(x: float) -> float:
    """The logarithm to base 10, exact for powers of 10.

    >>> log10(1000.0), log10(0.0), log10(-1.0)
    (3.0, -inf, nan)
    """
    if x > 0.0:
        return math.log10(x)
    return -inf if x == 0.0 else nan


@operation(
    latex=r"\log\left(1 + {0}\right)",
    partials=lambda out, x: (div(1.0, 1.0 + x),),
    domain=((-1.0, inf),),
    complex_form=lambda z: cmath.log(1.0 + z),
)
def log1p(x: float) -> float:
    """log(1 + x), exact for small x too.

    >>> log1p(1e-20)
    1e-20
    """
    if x > -1.0:
        return math.log1p(x)
    return -inf if x == -1.0 else nan


def _xlogy_partials(out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return log(y), 0.0 if x == y == 0.0 else div(x, y)


@operation(
    arity=2,
    latex=r"{0} \log {1}",
    partials=_xlogy_partials,
    domain=(REALS, POSITIVE),
    complex_form=lambda z, w: z * cmath.log(w),
)
def xlogy(x: float, y: float) -> float:
    """x log y, and 0 where x is 0 whatever y: what cross entropy means by 0 log 0 (§4.2).

    >>> xlogy(0.0, 0.0), xlogy(2.0, 1.0)
    (0.0, 0.0)
    """
    if x == 0.0 and y == y:
        return 0.0
    if y > 0.0:
        return x * math.log(y)
    return x * -inf if y == 0.0 else nan


def _xlog1py_partials(out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return log1p(y), 0.0 if x == 1.0 + y == 0.0 else div(x, 1.0 + y)


@operation(
    arity=2,
    latex=r"{0} \log\left(1 + {1}\right)",
    partials=_xlog1py_partials,
    domain=(REALS, (-1.0, inf)),
    complex_form=lambda z, w: z * cmath.log(1.0 + w),
)
def xlog1py(x: float, y: float) -> float:
    """x log(1 + y), exact for small y too, and 0 where x is 0 whatever y.

    >>> xlog1py(0.0, -1.0), xlog1py(2.0, 0.0)
    (0.0, 0.0)
    """
    if x == 0.0 and y == y:
        return 0.0
    if y > -1.0:
        return x * math.log1p(y)
    return x * -inf if y == -1.0 else nan


@operation(latex=r"e^{{-{{{0}}}^{{2}}}}", partials=lambda out, x: (-2.0 * x * out,))
def gaussian(x: float) -> float:
    """e^(-x²), the derivative of erf but for a factor; its digits are right in the tails too.

    >>> gaussian(0.0), gaussian(1000.0)
    (1.0, 0.0)
    """
    if x != x or abs(x) > 28.0:  # x² > 746, where the exponential underflows
        return x * 0.0 if x != x else 0.0
    # x² is rounded, which the exponential magnifies by x². So take out a part with a square that is exact.
    coarse = math.floor(x * 1048576.0) / 1048576.0
    most = math.exp(-coarse * coarse)
    return most + most * math.expm1((coarse - x) * (coarse + x))


_TWO_OVER_SQRT_PI = 1.1283791670955126


@operation(
    latex=r"\mathrm{{erf}}\left({0}\right)", partials=lambda out, x: (_TWO_OVER_SQRT_PI * gaussian(x),)
)
def erf(x: float) -> float:
    """The error function, 2/√π times the integral of e^(-t²) from 0 to x.

    >>> erf(0.0), erf(10.0)
    (0.0, 1.0)
    """
    return math.erf(x)


@operation(
    latex=r"\mathrm{{erfc}}\left({0}\right)", partials=lambda out, x: (-_TWO_OVER_SQRT_PI * gaussian(x),)
)
def erfc(x: float) -> float:
    """1 - erf(x), with all digits where erf(x) is near 1.

    >>> erfc(0.0), 0.0 < erfc(20.0) < 1e-175
    (1.0, True)
    """
    return math.erfc(x)
