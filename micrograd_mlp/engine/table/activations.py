"""Activations (§8). The hyperbolic tangent (§8.2) stands in `hyperbolic.py`."""

from __future__ import annotations

import cmath
import math
from typing import Any

from micrograd_mlp.engine.op import operation
from micrograd_mlp.engine.table.exponentials import erfc, gaussian
from micrograd_mlp.engine.table.hyperbolic import sigmoid_slope


def _complex_sigmoid(z: complex) -> complex:
    if z.real >= 0.0:
        return 1.0 / (1.0 + cmath.exp(-z))
    e = cmath.exp(z)
    return e / (1.0 + e)


@operation(
    symbol="σ",
    latex=r"\sigma\left({0}\right)",
    partials=lambda out, z: (sigmoid_slope(z),),
    complex_form=_complex_sigmoid,
)
def sigmoid(z: float) -> float:
    """σ(z) = 1 / (1 + e⁻ᶻ), with σ'(z) = σ(z)(1 - σ(z)) (§8.1).

    The paper's step from e⁻ᶻ/(1+e⁻ᶻ)² to 1/(eᶻ+1)² drops a factor: multiplying by eᶻ/eᶻ gives
    eᶻ/(eᶻ+1)². Its conclusion, which is what stands here, is right.

    >>> sigmoid(0.0), sigmoid(-1000.0)
    (0.5, 0.0)
    """
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)  # the same with both sides times eᶻ: no overflow for z far below zero
    return e / (1.0 + e)


@operation(
    symbol="ReLU",
    latex=r"\mathrm{{ReLU}}\left({0}\right)",
    partials=lambda out, z: (0.0 if z <= 0.0 else 1.0,),
    kink=lambda z: z,
)
def relu(z: float) -> float:
    """ReLU(z) = max(0, z), with ReLU'(z) = 1 if z > 0, else 0 (§8.3).

    Where that 0 meets a gradient of inf or nan, their product is nan (§6); PyTorch masks it to 0. The
    same holds for `maximum` and `minimum`.

    >>> relu(-3.0), relu(3.0)
    (0.0, 3.0)
    """
    return 0.0 if z < 0.0 else z


@operation(partials=lambda out, z: (1.0 if z > 0.0 else 0.01,), kink=lambda z: z)
def leaky_relu(z: float) -> float:
    """z if z > 0, else 0.01·z. For another slope write `lambda z: maximum(z, 0.2 * z)`.

    >>> leaky_relu(-100.0)
    -1.0
    """
    return z if z > 0.0 else 0.01 * z


def _complex_softplus(z: complex) -> complex:
    return z + cmath.log(1.0 + cmath.exp(-z)) if z.real > 0.0 else cmath.log(1.0 + cmath.exp(z))


@operation(partials=lambda out, z: (sigmoid(z),), complex_form=_complex_softplus)
def softplus(z: float) -> float:
    """log(1 + eᶻ), a smooth ReLU; its derivative is σ(z).

    >>> softplus(-1000.0), softplus(1000.0)
    (0.0, 1000.0)
    """
    if z > 0.0:
        return z + math.log1p(math.exp(-z))
    return math.log1p(math.exp(z))


@operation(
    symbol="SiLU",
    latex=r"\mathrm{{SiLU}}\left({0}\right)",
    partials=lambda out, z: (sigmoid(z) * (1.0 + z * sigmoid(-z)),),
    complex_form=lambda z: z * _complex_sigmoid(z),
)
def silu(z: float) -> float:
    """z·σ(z), also called swish: a smooth ReLU.

    >>> silu(0.0), silu(1000.0)
    (0.0, 1000.0)
    """
    return z / (1.0 + math.exp(-z)) if z > -700.0 else z * math.exp(z)  # below, the 1 is rounded away


_SQRT_HALF, _ONE_OVER_SQRT_TWO_PI = 0.7071067811865476, 0.3989422804014327


def _gelu_partials(out: Any, z: Any) -> tuple[Any]:
    u = _SQRT_HALF * z
    return (0.5 * erfc(-u) + z * (_ONE_OVER_SQRT_TWO_PI * gaussian(u)),)


@operation(symbol="GELU", latex=r"\mathrm{{GELU}}\left({0}\right)", partials=_gelu_partials)
def gelu(z: float) -> float:
    """z·Φ(z), where Φ is the distribution function of the standard normal distribution: a smooth ReLU.

    This is the exact form, with erf, which is also PyTorch's default.

    >>> gelu(0.0), gelu(1000.0)
    (0.0, 1000.0)
    """
    return 0.5 * z * math.erfc(-_SQRT_HALF * z)
