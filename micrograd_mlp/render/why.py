"""`why`: the reason that a gradient is zero, tiny, huge or nan, read from the graph (§6, §8, §9).

A gradient is a sum over paths of products of local derivatives. So there are few reasons: a factor of 0
stands on every path, the factors of the largest path are small or large, the paths cancel, or a number is
not finite, in the forward or in the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from micrograd_mlp._require import require_kind
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.render.notation import ATOM, Term, Text
from micrograd_mlp.render.paths import Path, largest_paths
from micrograd_mlp.render.scene import Scene, require_current
from micrograd_mlp.render.text import number

_TINY, _HUGE = 1e-4, 1e4  # a gradient below or above this is explained as one
_SMALL, _LARGE = 0.1, 10.0  # a factor below or above this is named
_CANCELLED = 1e-3  # of the sum of all |products|, what is left where paths cancel
_LISTED = 4  # factors, terms or nodes that are listed
_SATURATING = frozenset({"sigmoid", "tanh", "erf", "erfc", "atan", "softplus", "leaky_relu", "gelu", "silu"})


def why(output: Value, x: Value) -> str:
    """Why ∂(output)/∂x is zero, tiny, huge or nan.

    Args:
        output: what is differentiated, such as a loss.
        x: with respect to what: a leaf, or any node in between.

    Returns:
        A few lines of text. They also say when the gradient is an ordinary number, or when the graph does
        not show the reason.

    Raises:
        TypeError: output or x is not a Value.
        ValueError: some leaf has changed since the output was computed.
        RuntimeError: under `no_grad()`.

    >>> w, z = Value(0.5, "w"), Value(-0.8, "z")
    >>> a = z.relu()
    >>> a.label = "a"
    >>> print(why(a * w + a, z))
    z: 0, since a = ReLU(-0.8) passes nothing on any of its 2 paths
    """
    require_kind("output", output, Value)
    require_kind("x", x, Value)
    require_current(output)
    [gradient] = grad(output, [x])
    return "\n".join(_Reasons(Scene(output), x, gradient + 0.0).lines())


class _Block(NamedTuple):
    """An operation that passes nothing on, and how many paths end there."""

    node: Value
    operand: int
    paths: int


class _Reasons:
    """The graph between x and the output, and a method for each reason."""

    def __init__(self, scene: Scene, x: Value, gradient: float) -> None:
        self.scene = scene
        self.x = x
        self.gradient = gradient
        self.write = Text()
        # How many paths lead from x to each node that depends on it.
        self.paths_to: dict[Value, int] = {x: 1} if x in scene.names else {}
        for node in scene.order:
            if node is not x and (count := sum([self.paths_to.get(parent, 0) for parent in node.parents])):
                self.paths_to[node] = count

    def lines(self) -> Iterator[str]:
        output, gradient = self.scene.output, self.gradient
        name = self.scene.name(self.x) if self.x in self.scene.names else self.x.label or "x"
        start = f"{name}: {number(gradient)}"
        if output not in self.paths_to:
            yield f"{start}, since {self.scene.name(output)} does not depend on it: there is no path"
        elif not math.isfinite(gradient):
            yield from self.not_finite(start)
        elif gradient == 0.0:
            yield from self.zero(start)
        else:
            yield from self.ordinary(start)

    # nan and inf

    def not_finite(self, start: str) -> Iterator[str]:
        for node in self.scene.order:
            operands_are_finite = all(math.isfinite(parent.data) for parent in node.parents)
            if node.parents and operands_are_finite and not math.isfinite(node.data):
                result = f"{self.computed(node)} is {number(node.data)}"
                yield f"{start}, since the forward pass is not finite: {result}"
                yield "detect_anomaly() around your program names the line that computes it"
                return
        if leaves := [leaf for leaf in self.scene.order if not leaf.parents and not math.isfinite(leaf.data)]:
            yield f"{start}, since {self.scene.name(leaves[0])} itself is {number(leaves[0].data)}"
            return
        yield from self.not_finite_in_backward(start)

    def not_finite_in_backward(self, start: str) -> Iterator[str]:
        """Walk as `backward()` does, up to the first product or sum that is not finite."""
        adjoints = {self.scene.output: 1.0}
        for child in reversed(self.scene.order):
            adjoint = adjoints.get(child, 0.0)
            for parent, local in zip(child.parents, child.local_grads):
                if parent not in self.paths_to or isinstance(parent, Constant):
                    continue
                adjoints[parent] = adjoints.get(parent, 0.0) + local * adjoint
                if math.isfinite(adjoints[parent]):
                    continue
                derivative = self.derivative(child, parent)
                yield f"{start}, since the backward pass is not finite from {self.computed(child)} on:"
                yield (
                    f"  {derivative} · {self.derivative(self.scene.output, child)} = "
                    + self.product([local, adjoint])
                    + f" = {number(local * adjoint)}"
                )
                return
        yield f"{start}, and the graph does not show why"

    # Zero

    def zero(self, start: str) -> Iterator[str]:
        blocks = self.blocks()
        if blocks:
            yield from self.blocked(start, blocks)
            return
        paths = largest_paths(self.scene.output, self.x, _LISTED)
        if any(path.contribution for path in paths.listed):
            yield from self.cancelled(start, paths.listed, paths.count)
            return
        logs = [math.log10(abs(factor)) for factor in paths.listed[0].local_grads]
        yield (
            f"{start}, since products are too small for a float: even the largest, of {len(logs)} factors, "
            f"is about 10^{sum(logs):.0f}"
        )

    def blocks(self) -> list[_Block]:
        """The operations at which every path from x ends; none if some path has no factor of 0."""
        alive = {self.x: 1}  # how many paths without a 0 lead to each node
        found: list[_Block] = []
        paths_from = self.paths_from()
        for node in self.scene.order:
            for operand, (parent, local) in enumerate(zip(node.parents, node.local_grads)):
                if parent not in alive or node is self.x:
                    continue
                if local == 0.0:
                    found.append(_Block(node, operand, alive[parent] * paths_from[node]))
                else:
                    alive[node] = alive.get(node, 0) + alive[parent]
        return [] if self.scene.output in alive else found

    def paths_from(self) -> dict[Value, int]:
        """How many paths lead from each node to the output."""
        counts = dict.fromkeys(self.scene.order, 0) | {self.scene.output: 1}
        for node in reversed(self.scene.order):
            for parent in node.parents:
                counts[parent] += counts[node]
        return counts

    def blocked(self, start: str, blocks: list[_Block]) -> Iterator[str]:
        total = self.paths_to[self.scene.output]
        if len(blocks) == 1:
            node = blocks[0].node
            on = "its one path" if total == 1 else f"any of its {total:,} paths"
            yield f"{start}, since {self.computed(node)} passes nothing on {on}"
            return
        yield f"{start}, since a factor of 0 stands on each of its {total:,} paths:"
        for node, operand, paths in blocks[:_LISTED]:
            derivative = self.derivative(node, node.parents[operand])
            yield f"  {self.computed(node)} passes nothing, {derivative} = 0 ({paths:,} of them)"
        if len(blocks) > _LISTED:
            yield f"  and {len(blocks) - _LISTED:,} more operations"

    # Cancellation, tiny and huge

    def ordinary(self, start: str) -> Iterator[str]:
        paths = largest_paths(self.scene.output, self.x, _LISTED)
        if abs(self.gradient) < _CANCELLED * self.sum_of_sizes():
            yield from self.cancelled(start, paths.listed, paths.count)
        elif abs(self.gradient) < _TINY:
            yield from self.by_factors(f"{start} is tiny", paths.listed[0], paths.count, tiny=True)
        elif abs(self.gradient) > _HUGE:
            yield from self.by_factors(f"{start} is huge", paths.listed[0], paths.count, tiny=False)
        else:
            yield f"{start} is neither zero, tiny, huge nor nan; explain() writes it out path by path"

    def sum_of_sizes(self) -> float:
        """The sum over all paths of |product|, in one pass."""
        sizes = {self.x: 1.0}
        for node in self.scene.order:
            if node is not self.x and node in self.paths_to:
                terms = zip(node.parents, node.local_grads)
                sizes[node] = sum([abs(local) * sizes[parent] for parent, local in terms if parent in sizes])
        return sizes[self.scene.output]

    def cancelled(self, start: str, listed: tuple[Path, ...], count: int) -> Iterator[str]:
        terms = [number(path.contribution, 6) for path in listed]
        more = f" and {count - len(terms):,} more" if count > len(terms) else ""
        yield f"{start}, since its {count:,} paths cancel: their products are {', '.join(terms)}{more}"

    def by_factors(self, start: str, path: Path, count: int, tiny: bool) -> Iterator[str]:
        factors = [
            (local, node, parent) for local, node, parent in zip(path.local_grads, path.nodes, path.nodes[1:])
        ]
        factors.sort(key=lambda factor: abs(factor[0]), reverse=not tiny)
        named = [f for f in factors if (abs(f[0]) < _SMALL if tiny else abs(f[0]) > _LARGE)][:_LISTED]
        which = "its one path" if count == 1 else f"the largest of its {count:,} paths"
        if named:
            yield f"{start}: on {which}, {number(path.contribution)}, the factors are"
            for local, node, parent in named:
                note = self.note(node, local, tiny)
                yield f"  {self.derivative(node, parent)} = {number(local)}, at {self.computed(node)}{note}"
            return
        if abs(path.contribution) > _HUGE or abs(path.contribution) < _TINY:
            n = len(factors)
            mean = math.exp(sum([math.log(abs(local)) for local, _, _ in factors if local]) / n)
            factors_of = f"{n} factors of {number(mean, 3)} in the mean (§9)"
            yield f"{start}: no factor does it alone; {which} has {factors_of}"
            return
        yield f"{start}, as the sum of {count:,} paths; the largest is {number(path.contribution)}"

    def note(self, node: Value, local: float, tiny: bool) -> str:
        saturated = tiny and abs(local) < 0.02 and node.op is not None and node.op.name in _SATURATING
        without = self.gradient / local if local else math.inf
        return f": saturated; without this factor it would be {number(without)}" if saturated else ""

    # Words

    def computed(self, node: Value) -> str:
        """A node with the numbers that it is computed from: a1[3] = ReLU(-0.8)."""
        op = node.op
        if op is None:
            return f"{self.scene.name(node)} = {number(node.data)}"
        operands = [self.write.number(parent.data) for parent in node.parents]
        if len(operands) > _LISTED and op.name not in ("total", "dot"):
            operands = [*operands[: _LISTED - 1], Term(self.write.gap(len(operands) - _LISTED + 1), ATOM)]
        return f"{self.scene.name(node)} = {self.write.apply(op, operands).text}"

    def derivative(self, of: Value, by: Value) -> str:
        return self.write.derivative(self.scene.name(of), self.scene.name(by))

    def product(self, numbers: list[float]) -> str:
        return self.write.product([self.write.number(x) for x in numbers])
