"""A gradient of a graph is wrong: which operation's partial derivatives are, and in which way?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from micrograd_mlp.checks.extrapolation import CERTAINTY, Line, slopes_of
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Value

WITH_THE_OUTPUT: dict[str, Callable[[float], float]] = {  # derivatives that are often written with it
    "sigmoid, a(1 - a)": lambda a: a * (1.0 - a),
    "tanh, 1 - a²": lambda a: 1.0 - a * a,
    "exp, a": lambda a: a,
}
# An operation is looked at near its operands too, so that chance explains nothing.
RATIOS = (1.0, 0.83, 1.21, -0.9)


def explain_graph(output: Value) -> list[str]:
    """Sentences on the operations of one's own whose partial derivatives are wrong."""
    operands: dict[Op, list[list[float]]] = {}
    for node in output.topological_order():
        if node.op is not None and TABLE.get(node.op.name) is not node.op:
            operands.setdefault(node.op, []).append([parent.data for parent in node.parents])
    return [sentence for op, examples in operands.items() for sentence in _sentences(op, examples[:8])]


def _sentences(op: Op, examples: Sequence[Sequence[float]]) -> Iterable[str]:
    """One sentence for every input by which the derivative of this operation is wrong."""
    for k in range(min(map(len, examples))):
        points = [[ratio * x for x in numbers] for numbers in examples for ratio in RATIOS]
        known = [(numbers, *both) for numbers in points if (both := _both(op, numbers, k))]
        wrong = [entry for entry in known if not math.isclose(entry[1], entry[2], rel_tol=1e-7)]
        for numbers, g, slope in wrong[:1]:
            where = ", ".join([f"{x:.4g}" for x in numbers])
            seen = f"at {where} it is {g:.6g} where its function has {slope:.6g}"
            which = f" by its input {k + 1}" if len(numbers) > 1 else ""
            yield f"The derivative of the operation {op.name}{which} is wrong: {seen}{_name(op, known)}."


def _both(op: Op, numbers: Sequence[float], k: int) -> tuple[float, float] | None:
    """What an operation says its derivative by input k is, and its function's slope, if that is sure."""

    def at(h: float) -> float:
        return op.forward(*[x + h if i == k else x for i, x in enumerate(numbers)])

    try:
        line = Line(at, math.frexp(max(1.0, abs(numbers[k])))[1] - 1, -48)
        stated = float(op.partials(line.middle, *numbers)[k])
    except (ArithmeticError, ValueError, TypeError):
        return None
    slope, estimate = slopes_of(line, math.ulp(line.middle)).best()
    sure = CERTAINTY * estimate <= 1e-7 * max(abs(slope), abs(stated)) and math.isfinite(stated)
    return (stated, slope) if sure else None


def _name(op: Op, known: Sequence[tuple[Sequence[float], float, float]]) -> str:
    """What the stated derivatives have in common, as the end of a sentence; empty if it is nothing."""

    def same(a: float, b: float) -> bool:
        return math.isclose(a, b, rel_tol=1e-6)

    factors = [g / slope for _, g, slope in known if slope]
    if factors and len(known) > 1 and factors[0] and all(same(factor, factors[0]) for factor in factors):
        return f", right times {factors[0]:.6g}"
    if any(len(numbers) != 1 for numbers, *_ in known) or len(known) < 2:
        return ""
    for other in TABLE.values():
        if other.arity == 1 and all(same(g, _partial(other, x)) for (x,), g, _ in known):
            return f", as that of {other.name}"
    for name, slope_at_output in WITH_THE_OUTPUT.items():
        if all(same(g, slope_at_output(op.forward(x))) for (x,), g, _ in known):
            return f", as that of {name}"
    return ""


def _partial(op: Op, x: float) -> float:
    try:
        found: Any = op.partials(op.forward(x), x)[0]
        return float(found)
    except (ArithmeticError, ValueError, TypeError):
        return math.nan
