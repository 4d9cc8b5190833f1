"""Derivatives of graphs of Values, checked one input at a time: the graph tells how it is rounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from micrograd_mlp.checks.complex_step import slope_in_graph
from micrograd_mlp.checks.extrapolation import Line, Slopes, slopes_of
from micrograd_mlp.checks.judgement import Tolerance, judge, judge_again
from micrograd_mlp.checks.report import Row
from micrograd_mlp.checks.rounding import contributions, has_kink_within, rounded_away, rounding
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.value import Value

STEPS = 48  # in a ladder: from about a third of 1 or |x| down to 1e-15 of it
RESOLUTION = (
    5000.0  # slopes at a kink differ by so many times their noise; below, an operation's kink decides
)


class GraphView:
    """What the graph of an output says about its derivative by x."""

    def __init__(self, output: Value, x: Value, scale: float) -> None:
        self.output, self.x, self.scale = output, x, scale

    def allows_kink(self, g: float, slopes: Slopes) -> bool:
        """Is an operation of the graph within reach of its own kink?"""
        return has_kink_within(self.output, self.x, slopes.closest)

    def hides_slope(self, step: float) -> bool:
        """Does an intermediate result round the change of x away?"""
        return rounded_away(self.output, self.x, step)

    def excuse(self, slopes: Slopes, uncertainty: float) -> str:
        """The size of the output is the reason."""
        return f"at {self.output.data:.4g} rounding hides slopes below {uncertainty:.1g}"


def rows_of_graphs(
    outputs: Sequence[Value],
    recompute: Callable[[], Sequence[float]],
    inputs: Sequence[Value],
    labels: Sequence[str],
    method: str,
    tolerance: Tolerance,
    which: Sequence[int],
) -> list[Row]:
    """Check every output's derivative by the inputs at the positions `which`.

    Args:
        outputs: the graphs.
        recompute: gives the outputs' numbers anew, from the present data of the inputs.
        inputs: all inputs.
        labels: one for every output and input, row by row.
        method: "richardson" or "complex-step".
        tolerance: errors that pass in any case.
        which: positions in `inputs`.
    """
    rows = []
    noises = [rounding(output) for output in outputs]
    gradients = [grad(output, inputs) for output in outputs]
    scales = [contributions(output) for output in outputs]
    for column in which:
        x = inputs[column]
        at = _function_of(x, recompute)
        for row, output in enumerate(outputs):
            label, g = labels[row * len(inputs) + column], gradients[row][column]
            if not (math.isfinite(output.data) and math.isfinite(g)):
                rows.append(Row(label, g, math.nan, math.nan, "not finite"))
                continue
            slopes = slopes_of(_line_along(x, at, row), noises[row], RESOLUTION)
            view = GraphView(output, x, scales[row].get(x, 0.0))
            judged = judge(label, g, slopes, tolerance, view)
            if method == "complex-step":
                judged = judge_again(judged, *slope_in_graph(output, x), tolerance)
            rows.append(judged)
    return rows


def _line_along(x: Value, at: Callable[[float], Sequence[float]], row: int) -> Line:
    here = x.data

    def nearest(h: float) -> float:
        return (here + h) - here

    longest = math.frexp(max(1.0, abs(here)))[1] - 1
    shortest = min(0, math.frexp(here)[1]) - STEPS
    return Line(lambda h: at(here + h)[row], longest, shortest, nearest)


def _function_of(x: Value, recompute: Callable[[], Sequence[float]]) -> Callable[[float], Sequence[float]]:
    """The outputs' numbers as a function of one input, each point computed once; empty outside the domain."""
    seen: dict[float, Sequence[float]] = {}
    here = x.data

    def at(number: float) -> Sequence[float]:
        if number not in seen:
            x.data = number
            try:
                seen[number] = recompute()
            finally:
                x.data = here
        return seen[number]

    return at
