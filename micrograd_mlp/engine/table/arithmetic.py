"""Arithmetic: what the operators + - * / of a Value record."""

from __future__ import annotations

import math
import operator
from typing import Any

from micrograd_mlp.engine.op import inf, nan, operation

# Where Python's own operator never raises on floats it is the forward function itself, which is faster
# than a function around it.

add = operation(
    name="add",
    arity=2,
    symbol="+",
    latex="{0} + {1}",
    partials=lambda out, x, y: (1.0, 1.0),
    complex_form=operator.add,
)(operator.add)

sub = operation(
    name="sub",
    arity=2,
    symbol="-",
    latex="{0} - {1}",
    partials=lambda out, x, y: (1.0, -1.0),
    complex_form=operator.sub,
)(operator.sub)

mul = operation(
    name="mul",
    arity=2,
    symbol="*",
    latex=r"{0} \cdot {1}",
    partials=lambda out, x, y: (y, x),
    complex_form=operator.mul,
)(operator.mul)


def _div_partials(out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return div(1.0, y), -div(out, y)


@operation(
    arity=2,
    symbol="/",
    latex=r"\frac{{{0}}}{{{1}}}",
    partials=_div_partials,
    kink=lambda x, y: y,
    complex_form=operator.truediv,
)
def div(x: float, y: float) -> float:
    """x / y, with x/0 = ±inf and 0/0 = nan as IEEE has it.

    >>> div(1.0, 0.0), div(-1.0, 0.0)
    (inf, -inf)
    """
    if y:
        return x / y
    if x:
        return x * math.copysign(inf, y)  # nan stays nan
    return nan


neg = operation(name="neg", latex="-{0}", partials=lambda out, x: (-1.0,), complex_form=operator.neg)(
    operator.neg
)
