"""The hyperbolic tangent (§8.2) and the other hyperbolic functions."""

from __future__ import annotations

import cmath
import math
from typing import Any

from micrograd_mlp.engine.op import inf, nan, operation
from micrograd_mlp.engine.table.arithmetic import div
from micrograd_mlp.engine.table.powers import hypot, one_minus_square, sqrt

_LARGEST_HYPERBOLIC = 710.4758600739439  # the last float whose hyperbolic sine and cosine are finite


def _sinh_partials(out: Any, x: Any) -> tuple[Any]:
    return (cosh(x),)


@operation(latex=r"\sinh {0}", partials=_sinh_partials, complex_form=cmath.sinh)
def sinh(x: float) -> float:
    """(eˣ - e⁻ˣ) / 2.

    >>> sinh(0.0), sinh(-1000.0)
    (0.0, -inf)
    """
    return math.sinh(x) if abs(x) <= _LARGEST_HYPERBOLIC else x * inf


@operation(latex=r"\cosh {0}", partials=lambda out, x: (sinh(x),), complex_form=cmath.cosh)
def cosh(x: float) -> float:
    """(eˣ + e⁻ˣ) / 2.

    >>> cosh(0.0), cosh(-1000.0)
    (1.0, inf)
    """
    return math.cosh(x) if abs(x) <= _LARGEST_HYPERBOLIC else abs(x) * inf


def _tanh_partials(out: Any, z: Any) -> tuple[Any]:
    return (4.0 * sigmoid_slope(2.0 * z),)  # 1 - tanh² (§8.2), since tanh(z) = 2σ(2z) - 1


@operation(latex=r"\tanh {0}", partials=_tanh_partials, complex_form=cmath.tanh)
def tanh(z: float) -> float:
    """tanh(z) = (eᶻ - e⁻ᶻ) / (eᶻ + e⁻ᶻ), with tanh'(z) = 1 - tanh(z)² = 1/cosh(z)² (§8.2).

    >>> tanh(0.0)
    0.0
    """
    return math.tanh(z)


def _complex_sigmoid_slope(z: complex) -> complex:
    if abs(z.real) > 700.0:
        return cmath.exp(-z if z.real > 0.0 else z)
    c = 2.0 * cmath.cosh(0.5 * z)
    return 1.0 / (c * c)


@operation(
    symbol="σ′",
    latex=r"\sigma'\left({0}\right)",
    partials=lambda out, z: (-out * tanh(0.5 * z),),
    complex_form=_complex_sigmoid_slope,
)
def sigmoid_slope(z: float) -> float:
    """σ'(z) = e⁻ᶻ / (1 + e⁻ᶻ)², the derivative of the sigmoid (§8.1), which is even.

    σ(1 - σ) and 1 - tanh² lose their digits where σ and tanh are 1 but for rounding. This keeps them, and
    takes one exponential, which is that of the sigmoid itself.

    >>> sigmoid_slope(0.0), sigmoid_slope(1000.0)
    (0.25, 0.0)
    """
    e = math.exp(-abs(z))
    return e / ((1.0 + e) * (1.0 + e))


@operation(
    latex=r"\mathrm{{arsinh}}\, {0}",
    partials=lambda out, x: (div(1.0, hypot(1.0, x)),),
    complex_form=cmath.asinh,
)
def asinh(x: float) -> float:
    """The number whose sinh is x.

    >>> asinh(0.0)
    0.0
    """
    return math.asinh(x)


@operation(
    latex=r"\mathrm{{arcosh}}\, {0}",
    partials=lambda out, x: (div(div(1.0, sqrt(x - 1.0)), sqrt(x + 1.0)),),
    domain=((1.0, inf),),
    complex_form=cmath.acosh,
)
def acosh(x: float) -> float:
    """The number of at least 0 whose cosh is x; nan below 1.

    >>> acosh(1.0), acosh(0.5)
    (0.0, nan)
    """
    return math.acosh(x) if x >= 1.0 else nan


@operation(
    latex=r"\mathrm{{artanh}}\, {0}",
    partials=lambda out, x: (div(1.0, one_minus_square(x)),),
    domain=((-1.0, 1.0),),
    complex_form=cmath.atanh,
)
def atanh(x: float) -> float:
    """The number whose tanh is x; ±inf at ±1 and nan beyond.

    >>> atanh(0.0), atanh(1.0), atanh(2.0)
    (0.0, inf, nan)
    """
    if -1.0 < x < 1.0:
        return math.atanh(x)
    return x * inf if abs(x) == 1.0 else nan
