"""What rounding does to the value of a graph: how uncertain it is, and what it may have swallowed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from micrograd_mlp.checks.judgement import LEAST_SLOPE
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.value import Value


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
    for node in _moved(output, up, down):
        if up[node] == down[node]:
            differing = [d for p, d in zip(node.parents, node.local_grads) if p in up and up[p] != down[p]]
            if any(differing) or (differing and math.ulp(up[node]) > LEAST_SLOPE * longest):
                up[node] = math.nextafter(up[node], math.inf)
    return output in up and up[output] != down[output]


def has_kink_within(output: Value, moves: Mapping[Value, float]) -> bool:
    """Does an operation reach its own kink when inputs move by these steps to either side?"""
    up, down = _both_sides(moves)
    for node in _moved(output, up, down):
        if node.op is not None and node.op.kink is not None:
            signs = [node.op.kink(*_operands(node, side)) for side in (up, {}, down)]
            if min(signs) <= 0.0 <= max(signs):
                return True
    return False


def _both_sides(moves: Mapping[Value, float]) -> tuple[dict[Value, float], dict[Value, float]]:
    up = {x: x.data + step for x, step in moves.items()}
    return up, {x: x.data - step for x, step in moves.items()}


def _moved(output: Value, up: dict[Value, float], down: dict[Value, float]) -> Iterator[Value]:
    """Every node that moves with the nodes in `up` and `down`, once its number on either side is there."""
    for node in output.topological_order():
        if node.op is not None and not up.keys().isdisjoint(node.parents):
            up[node] = node.op.forward(*_operands(node, up))
            down[node] = node.op.forward(*_operands(node, down))
            yield node


def _operands(node: Value, side: Mapping[Value, float]) -> list[float]:
    return [side.get(parent, parent.data) for parent in node.parents]
