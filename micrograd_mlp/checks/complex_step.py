"""The table's operations on complex numbers, for the complex step: a derivative without a difference.

An analytic function goes on from the real line into the plane, where its Taylor series (§5) gives

    f(x + ih) = f(x) + ih·f'(x) - h²·f''(x)/2 - …        so that        f'(x) ≈ Im f(x + ih) / h

Nothing is subtracted, so h can be 1e-70 and the derivative is right to the last bits. Only the imaginary
part counts here, next to the real line: each function is written so that this part does not cancel.
ReLU, abs, maximum, minimum and equal have no such continuation and are missing.
"""

from __future__ import annotations

import cmath
import math
import sys
from collections.abc import Callable, Sequence

from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Value


def _power(z: complex, w: complex) -> complex:
    if z == 0.0 or (z.real == 0.0 and w.imag == 0.0):
        return z**w.real
    if z.real < 0.0 and w.imag != 0.0:
        return complex(math.nan, math.nan)  # a negative number has no real power but for whole exponents
    # |z|ʷ from the real numbers, exact for whole exponents; what is left is the angle.
    angle = (w * cmath.log(z if z.real > 0.0 else -z)).imag
    return math.pow(z.real, w.real) * cmath.exp(1j * angle)


def _log1p(z: complex) -> complex:
    return cmath.log(1.0 + z)


def _sigmoid(z: complex) -> complex:
    if z.real >= 0.0:
        return 1.0 / (1.0 + cmath.exp(-z))
    e = cmath.exp(z)
    return e / (1.0 + e)


def _softplus(z: complex) -> complex:
    return z + _log1p(cmath.exp(-z)) if z.real > 0.0 else _log1p(cmath.exp(z))


def _dot(*factors: complex) -> complex:
    n = len(factors) // 2
    return sum(map(complex.__mul__, factors[:n], factors[n:]))


def _logsumexp(*z: complex) -> complex:
    largest = max(z_k.real for z_k in z)
    return largest + cmath.log(sum(cmath.exp(z_k - largest) for z_k in z))


CONTINUATIONS: dict[str, Callable[..., complex]] = {
    "add": complex.__add__,
    "sub": complex.__sub__,
    "mul": complex.__mul__,
    "div": complex.__truediv__,
    "neg": complex.__neg__,
    "pow": _power,
    "exp": cmath.exp,
    "log": cmath.log,
    "log1p": _log1p,
    "expm1": lambda z: cmath.exp(z) - 1.0,
    "xlogy": lambda z, w: z * cmath.log(w),
    "xlog1py": lambda z, w: z * _log1p(w),
    "sqrt": cmath.sqrt,
    "sin": cmath.sin,
    "cos": cmath.cos,
    "sigmoid": _sigmoid,
    "tanh": cmath.tanh,
    "softplus": _softplus,
    "total": lambda *z: sum(z),
    "dot": _dot,
    "logsumexp": _logsumexp,
}


def _step(size: float) -> float:
    return min(max(1e-70 * size, min(1e-9 * size, 1e-300), 5e-324), 1e-20)


def imaginary_slope(
    f: Callable[..., complex], numbers: Sequence[float], direction: Sequence[float]
) -> tuple[float, float]:
    """Σₖ ∂f/∂xₖ·tₖ as Im f(x + iht) / h, and how far underflow and the terms beyond h may put it off.

    Every h·tₖ is far below xₖ, so far that its square vanishes even one rounding away from a pole, and far
    below 1, for functions that oscillate.

    >>> imaginary_slope(CONTINUATIONS["mul"], (3.0, 5.0), (1.0, 10.0))[0]
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
    f: Callable[..., complex] = op.forward
    if op.name in TABLE and f is TABLE[op.name].forward:
        if op.name not in CONTINUATIONS:
            raise ValueError(
                f"the complex step needs analytic operations, and {op.name} is not one: "
                "use method='richardson', the default"
            )
        f = CONTINUATIONS[op.name]
    try:
        return imaginary_slope(f, numbers, direction)
    except TypeError as error:
        raise ValueError(
            f"the complex step needs operations on complex numbers, and {op.name} takes none ({error}): "
            "use method='richardson', the default"
        ) from None
