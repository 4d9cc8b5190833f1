"""The complex step: a derivative without a difference.

An analytic function goes on from the real line into the plane, where its Taylor series (§5) gives

    f(x + ih) = f(x) + ih·f'(x) - h²·f''(x)/2 - …        so that        f'(x) ≈ Im f(x + ih) / h

Nothing is subtracted, so h can be 1e-70 and the derivative is right to the last bits. Only the imaginary
part counts here, next to the real line: the `complex_form` of each operation's record is written so that
this part does not cancel. What has a kink, such as ReLU, has no such form.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence

from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Value


def _step(size: float) -> float:
    return min(max(1e-70 * size, min(1e-9 * size, 1e-300), 5e-324), 1e-20)


def imaginary_slope(
    f: Callable[..., complex], numbers: Sequence[float], direction: Sequence[float]
) -> tuple[float, float]:
    """Σₖ ∂f/∂xₖ·tₖ as Im f(x + iht) / h, and how far underflow and the terms beyond h may put it off.

    Every h·tₖ is far below xₖ, so far that its square vanishes even one rounding away from a pole, and far
    below 1, for functions that oscillate.

    >>> from micrograd_mlp.engine.table import TABLE
    >>> imaginary_slope(TABLE["mul"].complex_form, (3.0, 5.0), (1.0, 10.0))[0]
    35.0
    """
    h = min(_step(abs(x) or 1.0) / abs(t) for x, t in zip(numbers, direction) if t != 0.0)
    h = math.ldexp(1.0, math.frexp(h)[1])  # a power of two, so that h·t and the division by h are exact
    try:
        slope = complex(f(*[complex(x, h * t) for x, t in zip(numbers, direction)])).imag / h
    except (ArithmeticError, ValueError):  # a pole, or an overflow
        slope = math.nan
    longest = h * max(map(abs, direction))
    return slope, (sys.float_info.min + longest**3) / h


def slope_in_graph(output: Value, x: Value) -> tuple[float, float]:
    """The derivative of the output by x, and how far it and the graph's may be apart by rounding.

    From x to the output, every node adds up how it moves with its operands: ∂v/∂x = Im F(p + ih·∂p/∂x) / h,
    where F is the operation on complex numbers. The graph's local derivatives have no part in it.
    """
    order = output.topological_order()
    slopes, uncertainty = {x: 1.0}, 0.0
    for node, adjoint in zip(order, grad(output, order)):
        if node.op is None:
            continue
        direction = [slopes.get(parent, 0.0) for parent in node.parents]
        if not any(direction):
            continue
        numbers = [parent.data for parent in node.parents]
        slopes[node], underflow = _slope_of(node.op, numbers, direction)
        # A local derivative is rounded, and so is the node's own value, which it may be written with.
        partials = node.op.partials(math.nextafter(node.data, math.inf), *numbers)
        rounding = [
            abs(t) * (math.ulp(d) + abs(shifted - d))
            for t, d, shifted in zip(direction, node.local_grads, partials)
            if t != 0.0
        ]
        uncertainty += abs(adjoint) * (sum(rounding) + underflow)
    return slopes.get(output, 0.0), uncertainty


def _slope_of(op: Op, numbers: list[float], direction: list[float]) -> tuple[float, float]:
    known = TABLE.get(op.name)
    record = known if known is not None and op.forward is known.forward else op
    if record is known and record.complex_form is None:
        lack = "is not one" if op.kink is not None else "has no complex form in its record"
        raise ValueError(
            f"the complex step needs analytic operations, and {op.name} {lack}: "
            "use method='richardson', the default"
        )
    f: Callable[..., complex] = record.complex_form or op.forward
    try:
        return imaginary_slope(f, numbers, direction)
    except TypeError as error:
        raise ValueError(
            f"the complex step needs operations on complex numbers, and {op.name} takes none ({error}): "
            "use method='richardson', the default"
        ) from None
