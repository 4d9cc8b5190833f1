"""Derivatives of graphs of Values: the graph itself tells how it is rounded and where it has kinks."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Mapping, Sequence

from micrograd_mlp.checks.complex_step import slope_in_graph
from micrograd_mlp.checks.directions import DIRECTION_STEP, Group
from micrograd_mlp.checks.extrapolation import Line, Slopes, slopes_of
from micrograd_mlp.checks.judgement import Tolerance, judge, judge_again
from micrograd_mlp.checks.report import Row
from micrograd_mlp.checks.rounding import contributions, has_kink_within, rounded_away, rounding
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.value import Value

STEPS = 48  # in a ladder: from about a third of 1 or |x| down to 1e-15 of it
RESOLUTION = 5000.0  # slopes at a kink differ by so many times their noise, else an operation's kink decides


class GraphView:
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


class GraphSubject:
    """A graph with many inputs, for checks along directions.

    Args:
        make_output: computes the graph from the present data of the inputs.
        inputs: Values.
        labels: one for each input.
        tolerance: errors that pass in any case.
    """

    def __init__(
        self,
        make_output: Callable[[], Value],
        inputs: Sequence[Value],
        labels: Sequence[str],
        tolerance: Tolerance,
    ) -> None:
        self.make_output, self.inputs, self.labels = make_output, inputs, labels
        self.tolerance, self.output = tolerance, make_output()
        self.gradient = grad(self.output, inputs)
        typical = math.hypot(*[x.data for x in inputs]) / math.sqrt(len(inputs))
        self.sizes = [max(abs(x.data), typical) or 1.0 for x in inputs]
        self.groups = [Group("all inputs", 0, len(inputs))]
        self._scales = contributions(self.output)
        self._needs_graph = False
        try:
            self._needs_graph = self._value() != self.output.data
        except RuntimeError:  # f differentiates
            self._needs_graph = True

    def _value(self) -> float:
        """The output's number, without a graph where f needs none."""
        if self._needs_graph:
            return self.make_output().data
        with no_grad():
            return self.make_output().data

    def single(self, position: int) -> Row:
        """Check one derivative."""
        graphs = Graphs([self.output], lambda: [self.make_output().data], self.inputs, self.labels)
        [row] = graphs.rows("richardson", self.tolerance, [position])
        return row

    def along(self, label: str, positions: Sequence[int], rng: random.Random) -> Row:
        """Check the slope along a random direction of these inputs, which move all at once."""
        moves = {
            self.inputs[i]: rng.choice((-1.0, 1.0)) * rng.uniform(0.5, 1.0) * self.sizes[i] for i in positions
        }
        start = [(x, x.data, move) for x, move in moves.items()]
        terms = [self.gradient[i] * moves[self.inputs[i]] for i in positions]
        g = math.fsum(terms)
        if not (math.isfinite(self.output.data) and math.isfinite(g)):
            return Row(label, g, math.nan, math.nan, "not finite")

        def function(h: float) -> float:
            try:
                for x, data, move in start:
                    x.data = data + h * move
                return self._value()
            finally:
                for x, data, _ in start:
                    x.data = data

        landing = [self.gradient[i] * math.ulp(self.inputs[i].data) for i in positions]
        noise = math.hypot(rounding(self.output), *landing)
        slopes = slopes_of(Line(function, DIRECTION_STEP, DIRECTION_STEP - STEPS), noise, RESOLUTION)
        scale = math.fsum([abs(move) * self._scales.get(x, 0.0) for x, move in moves.items()])
        return judge(label, g, slopes, self.tolerance, GraphView(self.output, moves, scale))


class Graphs:
    """One or several graphs, whose derivatives are checked one by one.

    Args:
        outputs: the graphs.
        recompute: gives the outputs' numbers anew, from the present data of the inputs.
        inputs: Values.
        labels: one for every output and input, row by row.
    """

    def __init__(
        self,
        outputs: Sequence[Value],
        recompute: Callable[[], Sequence[float]],
        inputs: Sequence[Value],
        labels: Sequence[str],
    ) -> None:
        self.outputs, self.recompute, self.inputs, self.labels = outputs, recompute, inputs, labels

    def rows(self, method: str, tolerance: Tolerance, which: Sequence[int]) -> list[Row]:
        """Check every output's derivative by the inputs at the positions `which`."""
        rows = []
        noises = [rounding(output) for output in self.outputs]
        gradients = [grad(output, self.inputs) for output in self.outputs]
        scales = [contributions(output) for output in self.outputs]
        for column in which:
            x = self.inputs[column]
            at = self._function_of(x)
            for row, output in enumerate(self.outputs):
                label, g = self.labels[row * len(self.inputs) + column], gradients[row][column]
                if not (math.isfinite(output.data) and math.isfinite(g)):
                    rows.append(Row(label, g, math.nan, math.nan, "not finite"))
                    continue
                slopes = slopes_of(_line_along(x, at, row), noises[row], RESOLUTION)
                view = GraphView(output, {x: 1.0}, scales[row].get(x, 0.0))
                judged = judge(label, g, slopes, tolerance, view)
                if method == "complex-step":
                    judged = judge_again(judged, *slope_in_graph(output, x), tolerance)
                rows.append(judged)
        return rows

    def _function_of(self, x: Value) -> Callable[[float], Sequence[float]]:
        """The outputs' numbers as a function of one input; each point is computed once."""
        here = x.data

        @functools.cache
        def at(number: float) -> Sequence[float]:
            x.data = number
            try:
                return self.recompute()
            finally:
                x.data = here

        return at


def _line_along(x: Value, at: Callable[[float], Sequence[float]], row: int) -> Line:
    here = x.data
    longest = math.frexp(max(1.0, abs(here)))[1] - 1
    shortest = min(0, math.frexp(here)[1]) - STEPS
    return Line(lambda h: at(here + h)[row], longest, shortest, nearest=lambda h: (here + h) - here)
