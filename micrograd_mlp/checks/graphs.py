"""Derivatives of graphs of Values: the graph itself tells how it is rounded and where it has kinks."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

from micrograd_mlp.checks.complex_step import slope_in_graph
from micrograd_mlp.checks.directions import DIRECTION_STEP, Group, Subject, random_weights
from micrograd_mlp.checks.extrapolation import Line, Slopes, slopes_of
from micrograd_mlp.checks.judgement import Tolerance, View, judge, judge_again
from micrograd_mlp.checks.report import Row, not_finite
from micrograd_mlp.checks.rounding import contributions, has_kink_within, rounded_away, rounding
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.value import Value

STEPS = 48  # in a ladder: from about a third of 1 or |x| down to 1e-15 of it
RESOLUTION = 5000.0  # slopes at a kink differ by so many times their noise, else an operation's kink decides


class GraphView(View):
    """What a graph says about its slope where its inputs move by `moves` for each unit of a step."""

    def __init__(self, output: Value, moves: Mapping[Value, float], scale: float) -> None:
        self.output, self.moves, self.scale = output, moves, scale

    def allows_kink(self, g: float, slopes: Slopes) -> bool:
        """Is an operation of the graph within reach of its own kink?"""
        return has_kink_within(self.output, self._moved(slopes.closest))

    def hides_slope(self, step: float) -> bool:
        """Does an intermediate result round the change of the inputs away?"""
        return rounded_away(self.output, self._moved(step))

    def excuse(self, slopes: Slopes, uncertainty: float) -> str:
        """The size of the output is the reason."""
        return f"at {self.output.data:.4g} rounding hides slopes below {uncertainty:.1g}"

    def _moved(self, step: float) -> dict[Value, float]:
        return {x: step * move for x, move in self.moves.items()}


class GraphSubject(Subject):
    """A graph and its gradient by the inputs.

    Args:
        output: the graph at the present data of the inputs.
        recompute: gives the output's number anew, from the present data of the inputs.
        inputs: Values.
        labels: one for each input.
        tolerance: errors that pass in any case.
    """

    def __init__(
        self,
        output: Value,
        recompute: Callable[[], float],
        inputs: Sequence[Value],
        labels: Sequence[str],
        tolerance: Tolerance,
    ) -> None:
        self.output, self.recompute, self.inputs, self.labels = output, recompute, inputs, labels
        self.tolerance, self.gradient = tolerance, grad(output, inputs)
        typical = math.hypot(*[x.data for x in inputs]) / math.sqrt(len(inputs))
        self.sizes = [max(abs(x.data), typical) or 1.0 for x in inputs]
        self.groups = [Group("all inputs", 0, len(inputs))]
        self._rounding, self._scales = rounding(output), contributions(output)

    def single(self, position: int, method: str = "richardson") -> Row:
        """Check one derivative."""
        x = self.inputs[position]
        here, label, g = x.data, self.labels[position], self.gradient[position]
        longest = math.frexp(max(1.0, abs(here)))[1] - 1
        shortest = min(0, math.frexp(here)[1]) - STEPS
        line = Line(lambda h: self._at({x: here + h}), longest, shortest, lambda h: (here + h) - here)
        row = self._judged(label, g, line, self._rounding, {x: 1.0}, self._scales.get(x, 0.0))
        if method == "complex-step" and row.verdict != "not finite":
            row = judge_again(row, *slope_in_graph(self.output, x), self.tolerance)
        return row

    def along(self, label: str, positions: Sequence[int], rng: random.Random) -> Row:
        """Check the slope along a random direction of these inputs, which move all at once."""
        weights = random_weights(len(positions), rng)
        moves = {self.inputs[i]: weight * self.sizes[i] for i, weight in zip(positions, weights)}
        start = {x: x.data for x in moves}
        g = math.fsum([self.gradient[i] * moves[self.inputs[i]] for i in positions])
        landing = [self.gradient[i] * math.ulp(self.inputs[i].data) for i in positions]
        scale = math.fsum([abs(move) * self._scales.get(x, 0.0) for x, move in moves.items()])

        def function(h: float) -> float:
            return self._at({x: data + h * moves[x] for x, data in start.items()})

        line = Line(function, DIRECTION_STEP, DIRECTION_STEP - STEPS)
        return self._judged(label, g, line, math.hypot(self._rounding, *landing), moves, scale)

    def _judged(
        self, label: str, g: float, line: Line, noise: float, moves: Mapping[Value, float], scale: float
    ) -> Row:
        if not (math.isfinite(self.output.data) and math.isfinite(g)):
            return not_finite(label, g)
        slopes = slopes_of(line, noise, RESOLUTION)
        return judge(label, g, slopes, self.tolerance, GraphView(self.output, moves, scale))

    def _at(self, data: Mapping[Value, float]) -> float:
        """The output's number where some inputs have other data."""
        before = {x: x.data for x in data}
        try:
            for x, number in data.items():
                x.data = number
            return self.recompute()
        finally:
            for x, number in before.items():
                x.data = number
