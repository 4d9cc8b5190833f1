"""Derivatives of graphs of Values: the graph itself tells how it is rounded and where it has kinks."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from micrograd_mlp.checks.complex_step import slope_in_graph
from micrograd_mlp.checks.directions import DIRECTION_STEP, Group, Subject, random_weights
from micrograd_mlp.checks.extrapolation import Line, slopes_of
from micrograd_mlp.checks.judgement import LEAST_SLOPE, Settings, View, judge, judge_again
from micrograd_mlp.checks.report import Row, not_finite
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.value import Value

Result = TypeVar("Result")
STEPS = 48  # in a ladder: from about a third of 1 or |x| down to 1e-15 of it
RESOLUTION = 5000.0  # slopes at a kink differ by so many times their noise, else an operation's kink decides


class GraphSubject(Subject):
    """A graph and its gradient by the inputs; `recompute` gives its number at their present data."""

    def __init__(
        self,
        output: Value,
        recompute: Callable[[], float],
        inputs: Sequence[Value],
        labels: Sequence[str],
        settings: Settings,
    ) -> None:
        self.output, self.recompute, self.inputs, self.labels = output, recompute, inputs, labels
        self.settings, self.gradient = settings, grad(output, inputs)
        typical = math.hypot(*[x.data for x in inputs]) / math.sqrt(len(inputs))
        self.sizes = [max(abs(x.data), typical) or 1.0 for x in inputs]
        self.groups = [Group("all inputs", 0, len(inputs))]
        self._rounding, self._scales = rounding(output), contributions(output)

    def single(self, position: int, function: Callable[[float], float] | None = None) -> Row:
        """Check one derivative. The function of a step of this input is made unless it is given."""
        x = self.inputs[position]
        here, label, g = x.data, self.labels[position], self.gradient[position]
        longest = math.frexp(max(1.0, abs(here)))[1] - 1
        shortest = min(0, math.frexp(here)[1]) - STEPS
        function = function or moved(self.recompute, {x: 1.0})
        line = Line(function, longest, shortest, nearest=lambda h: (here + h) - here)
        row = self._judged(label, g, line, self._rounding, {x: 1.0}, self._scales.get(x, 0.0))
        if self.settings.method == "complex-step" and row.verdict != "not finite":
            row = judge_again(row, *slope_in_graph(self.output, x), self.settings)
        return row

    def along(self, label: str, positions: Sequence[int], rng: random.Random) -> Row:
        """Check the slope along a random direction of these inputs, which move all at once."""
        weights = random_weights(len(positions), rng)
        moves = {self.inputs[i]: weight * self.sizes[i] for i, weight in zip(positions, weights)}
        g = math.fsum([self.gradient[i] * moves[self.inputs[i]] for i in positions])
        landing = [self.gradient[i] * math.ulp(self.inputs[i].data) for i in positions]
        scale = math.fsum([abs(move) * self._scales.get(x, 0.0) for x, move in moves.items()])
        line = Line(moved(self.recompute, moves), DIRECTION_STEP, DIRECTION_STEP - STEPS)
        return self._judged(label, g, line, math.hypot(self._rounding, *landing), moves, scale)

    def _judged(
        self, label: str, g: float, line: Line, noise: float, moves: Mapping[Value, float], scale: float
    ) -> Row:
        if not (math.isfinite(self.output.data) and math.isfinite(g)):
            return not_finite(label, g)

        def times(step: float) -> dict[Value, float]:
            return {x: step * move for x, move in moves.items()}

        view = View(
            scale,
            allows_kink=lambda g, slopes: has_kink_within(self.output, times(slopes.closest)),
            hides_slope=lambda step: rounded_away(self.output, times(step)),
            excuse=f"at {self.output.data:.4g} rounding hides slopes below",
        )
        return judge(label, g, slopes_of(line, noise, RESOLUTION), self.settings, view)


def moved(compute: Callable[[], Result], moves: Mapping[Value, float]) -> Callable[[float], Result]:
    """What is computed, as a function of a step, where the inputs move by `moves` for each unit of it."""
    start = [(x, x.data, move) for x, move in moves.items()]

    def function(h: float) -> Result:
        try:
            for x, data, move in start:
                x.data = data + h * move
            return compute()
        finally:
            for x, data, _ in start:
                x.data = data

    return function


def rounding(output: Value) -> float:
    """How uncertain the output is because every node of its graph was rounded, to first order."""
    nodes = output.topological_order()
    shares = [adjoint * math.ulp(node.data) for node, adjoint in zip(nodes, grad(output, nodes))]
    return math.hypot(*[share for share in shares if math.isfinite(share)])


def contributions(output: Value) -> dict[Value, float]:
    """For every node, Σ over its paths to the output of Π|local derivatives|: what may have cancelled."""
    sums = {output: 1.0}
    for node in reversed(output.topological_order()):
        for parent, local_grad in zip(node.parents, node.local_grads):
            sums[parent] = sums.get(parent, 0.0) + abs(local_grad) * sums[node]
    return sums


def rounded_away(output: Value, moves: Mapping[Value, float]) -> bool:
    """Where f is level to the last bit, may that be rounding, as in 1e16 + x, and not f, as in relu(x - 5)?

    The graph is computed again with the inputs moved one step up and one step down. A node that is the same
    on both sides though its operands are not has rounded the difference away if, by its local derivatives, it
    should differ, or if it is so large that it could not. Then it may be off by one unit in its last
    place: would that show in f?
    """
    longest = max(map(abs, moves.values()))
    up, down = _both_sides(moves)
    for node in _moving(output, up, down):
        if up[node] == down[node]:
            differing = [d for p, d in zip(node.parents, node.local_grads) if p in up and up[p] != down[p]]
            if any(differing) or (differing and math.ulp(up[node]) > LEAST_SLOPE * longest):
                up[node] = math.nextafter(up[node], math.inf)
    return output in up and up[output] != down[output]


def has_kink_within(output: Value, moves: Mapping[Value, float]) -> bool:
    """Does an operation reach its own kink when inputs move by these steps to either side?"""
    up, down = _both_sides(moves)
    for node in _moving(output, up, down):
        if node.op is not None and node.op.kink is not None:
            signs = [node.op.kink(*_operands(node, side)) for side in (up, {}, down)]
            if min(signs) <= 0.0 <= max(signs):
                return True
    return False


def _both_sides(moves: Mapping[Value, float]) -> tuple[dict[Value, float], dict[Value, float]]:
    up = {x: x.data + step for x, step in moves.items()}
    return up, {x: x.data - step for x, step in moves.items()}


def _moving(output: Value, up: dict[Value, float], down: dict[Value, float]) -> Iterator[Value]:
    """Every node that moves with the nodes in `up` and `down`, once its number on either side is there."""
    for node in output.topological_order():
        if node.op is not None and not up.keys().isdisjoint(node.parents):
            up[node] = node.op.forward(*_operands(node, up))
            down[node] = node.op.forward(*_operands(node, down))
            yield node


def _operands(node: Value, side: Mapping[Value, float]) -> list[float]:
    return [side.get(parent, parent.data) for parent in node.parents]
