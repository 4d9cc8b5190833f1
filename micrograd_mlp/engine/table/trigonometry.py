"""Sine, cosine, tangent, and their inverses. Angles are in radians."""

from __future__ import annotations

import cmath
import math
from typing import Any

from micrograd_mlp.engine.op import nan, operation
from micrograd_mlp.engine.table.arithmetic import div
from micrograd_mlp.engine.table.powers import hypot, one_minus_square, sqrt


def _sin_partials(out: Any, x: Any) -> tuple[Any]:
    return (cos(x),)


@operation(latex=r"\sin {0}", partials=_sin_partials, complex_form=cmath.sin)
def sin(x: float) -> float:
    """The sine of x radians.

    >>> sin(0.0)
    0.0
    """
    return math.sin(x) if math.isfinite(x) else nan


@operation(latex=r"\cos {0}", partials=lambda out, x: (-sin(x),), complex_form=cmath.cos)
def cos(x: float) -> float:
    """The cosine of x radians.

    >>> cos(0.0)
    1.0
    """
    return math.cos(x) if math.isfinite(x) else nan


@operation(
    latex=r"\tan {0}",
    partials=lambda out, x: (1.0 + out * out,),
    kink=lambda x: math.cos(x),
    complex_form=cmath.tan,
)
def tan(x: float) -> float:
    """The tangent of x radians.

    >>> tan(0.0)
    0.0
    """
    return math.tan(x) if math.isfinite(x) else nan


@operation(
    latex=r"\arcsin {0}",
    partials=lambda out, x: (div(1.0, sqrt(one_minus_square(x))),),
    domain=((-1.0, 1.0),),
    complex_form=cmath.asin,
)
def asin(x: float) -> float:
    """The angle in [-π/2, π/2] whose sine is x; nan beyond ±1.

    >>> asin(0.0), asin(2.0)
    (0.0, nan)
    """
    return math.asin(x) if -1.0 <= x <= 1.0 else nan


@operation(
    latex=r"\arccos {0}",
    partials=lambda out, x: (div(-1.0, sqrt(one_minus_square(x))),),
    domain=((-1.0, 1.0),),
    complex_form=cmath.acos,
)
def acos(x: float) -> float:
    """The angle in [0, π] whose cosine is x; nan beyond ±1.

    >>> acos(1.0), acos(2.0)
    (0.0, nan)
    """
    return math.acos(x) if -1.0 <= x <= 1.0 else nan


def _atan_partials(out: Any, x: Any) -> tuple[Any]:
    cosine = div(1.0, hypot(1.0, x))  # of the angle; 1 + x² would overflow
    return (cosine * cosine,)


@operation(latex=r"\arctan {0}", partials=_atan_partials, complex_form=cmath.atan)
def atan(x: float) -> float:
    """The angle in [-π/2, π/2] whose tangent is x.

    >>> atan(0.0)
    0.0
    """
    return math.atan(x)


def _atan2_partials(out: Any, y: Any, x: Any) -> tuple[Any, Any]:
    radius = hypot(y, x)
    return div(div(x, radius), radius), -div(div(y, radius), radius)


@operation(
    arity=2,
    latex=r"\mathrm{{atan2}}\left({0}, {1}\right)",
    partials=_atan2_partials,
    kink=lambda y, x: y if x < 0.0 else hypot(y, x),
)
def atan2(y: float, x: float) -> float:
    """The angle of the point (x, y), in [-π, π]: the arguments are those of `math.atan2`.

    It jumps from π to -π where the point crosses the negative half of the x axis.

    >>> atan2(0.0, 1.0), atan2(1.0, 0.0) == math.pi / 2
    (0.0, True)
    """
    return math.atan2(y, x)
