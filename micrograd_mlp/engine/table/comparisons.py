"""What compares numbers: it has kinks and steps.

At a kink the conventions are PyTorch's: abs'(0) = 0, and a tie in `maximum` or `minimum` shares the
gradient half and half. What has steps, such as `sign`, is flat between them: its derivative is 0.
"""

from __future__ import annotations

import math
from typing import Any

from micrograd_mlp.engine.op import nan, operation


def _sign_of(x: Any) -> float:
    return 1.0 if x > 0.0 else -1.0 if x < 0.0 else 0.0


@operation(name="abs", latex=r"\left|{0}\right|", partials=lambda out, x: (_sign_of(x),), kink=lambda x: x)
def absolute(x: float) -> float:
    """|x|, which is what abs() of a Value records. Its slope at 0 is 0.

    >>> absolute(-2.0)
    2.0
    """
    return math.fabs(x)


@operation(latex=r"\mathrm{{sign}}\left({0}\right)", partials=lambda out, x: (0.0,), kink=lambda x: x)
def sign(x: float) -> float:
    """1 for a positive x, -1 for a negative one, 0 for 0, nan for nan. Its derivative is 0 everywhere.

    >>> sign(-3.0), sign(0.0)
    (-1.0, 0.0)
    """
    return nan if x != x else _sign_of(x)


def _zero_at_integers(x: float) -> float:
    phase = x - 2.0 * math.floor(0.5 * x)  # in [0, 2)
    return phase * (1.0 - phase) * (2.0 - phase)


@operation(latex=r"\left\lfloor {0} \right\rfloor", partials=lambda out, x: (0.0,), kink=_zero_at_integers)
def floor(x: float) -> float:
    """The largest whole number of at most x, as a float. Its derivative is 0 everywhere.

    >>> floor(2.7), floor(-2.7)
    (2.0, -3.0)
    """
    if abs(x) < 4503599627370496.0:  # 2⁵², from where on every float is whole
        return math.copysign(float(math.floor(x)), x)  # -0.0 stays -0.0
    return x


def _share(loses: bool, ties: bool) -> float:
    return 0.0 if loses else 0.5 if ties else 1.0


@operation(
    arity=2,
    symbol="max",
    latex=r"\max\left({0}, {1}\right)",
    partials=lambda out, x, y: (_share(x < y, x == y), _share(y < x, x == y)),
    kink=lambda x, y: x - y,
)
def maximum(x: float, y: float) -> float:
    """The larger of two; nan if either is. A tie shares the gradient half and half.

    >>> maximum(2.0, 3.0)
    3.0
    """
    return x if x >= y or x != x else y


@operation(
    arity=2,
    symbol="min",
    latex=r"\min\left({0}, {1}\right)",
    partials=lambda out, x, y: (_share(x > y, x == y), _share(y > x, x == y)),
    kink=lambda x, y: x - y,
)
def minimum(x: float, y: float) -> float:
    """The smaller of two; nan if either is. A tie shares the gradient half and half.

    >>> minimum(2.0, 3.0)
    2.0
    """
    return x if x <= y or x != x else y


def _clip_partials(out: Any, x: Any, low: Any, high: Any) -> tuple[float, float, float]:
    if x > high or low > high:
        return 0.0, 0.0, 1.0
    return (0.0, 1.0, 0.0) if x < low else (1.0, 0.0, 0.0)


@operation(
    arity=3,
    latex=r"\mathrm{{clip}}\left({0}, {1}, {2}\right)",
    partials=_clip_partials,
    kink=lambda x, low, high: (x - low) * (high - x),
)
def clip(x: float, low: float, high: float) -> float:
    """x, but at least `low` and at most `high`; `high` if the bounds are crossed; nan if any of them is.

    The gradient goes to x if low ≤ x ≤ high, and to the bound otherwise.

    >>> clip(2.7, 0.0, 1.0), clip(-2.7, 0.0, 1.0), clip(0.5, 0.0, 1.0)
    (1.0, 0.0, 0.5)
    """
    if x != x or low != low or high != high:
        return nan
    return high if x > high or low > high else low if x < low else x


@operation(
    arity=3,
    method=False,
    latex=r"\mathrm{{where}}\left({0}, {1}, {2}\right)",
    partials=lambda out, condition, x, y: (0.0, 1.0, 0.0) if condition != 0.0 else (0.0, 0.0, 1.0),
    kink=lambda condition, x, y: condition,
)
def where(condition: float, x: float, y: float) -> float:
    """x where the condition is true, which any number but 0 is, and y where it is 0.

    The gradient goes to the one that is chosen; that of the condition is 0.

    >>> where(True, 2.0, 3.0), where(0.0, 2.0, 3.0)
    (2.0, 3.0)
    """
    return x if condition != 0.0 else y


@operation(
    arity=2,
    method=False,
    symbol="=",
    latex=r"\left[{0} = {1}\right]",
    partials=lambda out, x, y: (0.0, 0.0),
    kink=lambda x, y: x - y,
)
def equal(x: float, y: float) -> float:
    """1 if x = y, else 0: Iverson's bracket, for a class index that is itself a Value. Its derivative is 0.

    >>> equal(2.0, 2.0), equal(2.0, 3.0)
    (1.0, 0.0)
    """
    return 1.0 if x == y else 0.0
