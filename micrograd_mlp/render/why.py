"""`why`: the reason that a gradient is zero, tiny, huge or nan, read from the graph (§6, §8, §9).

A gradient is a sum over paths of products of local derivatives. So there are few reasons: every path has a
factor of 0, the factors of the largest path are small or large, the paths cancel, or a number is not finite
in the forward or in the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from micrograd_mlp._require import require_kind
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.render.notation import ATOM, Term, Text
from micrograd_mlp.render.paths import Path, Paths, largest_paths, sums_over_paths
from micrograd_mlp.render.scene import Scene, require_current
from micrograd_mlp.render.text import number

_TINY, _HUGE = 1e-4, 1e4  # a gradient below or above this is explained as one
_SMALL, _LARGE = 0.1, 10.0  # a factor below or above this is named
_CANCELLED = 1e-3  # paths cancel if the gradient is a smaller part of the sum of all |products|
_LISTED = 4  # a list has no more factors, terms or nodes
_FLAT = 0.02  # a slope below this may be that of a saturated operation
_CHANGE = 0.2  # which changes by less than this, however far its input goes on
_FAR = (1.0, 10.0, 100.0, 1e4, 1e8)


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
    """An operand to which an operation passes nothing on, and the number of paths that this concerns."""

    node: Value
    operand: int
    paths: int


class _Reasons:
    """The graph between x and the output, with a method for each reason."""

    def __init__(self, scene: Scene, x: Value, gradient: float) -> None:
        self.scene = scene
        self.x = x
        self.gradient = gradient
        self.write = Text()
        name = scene.name(x) if x in scene.names else x.label or "x"
        self.start = f"{name}: {number(gradient)}"
        self.paths_to = sums_over_paths(scene.order, x, lambda local: 1)  # the number of paths to each node

    def lines(self) -> Iterator[str]:
        if self.scene.output not in self.paths_to:
            output = self.scene.name(self.scene.output)
            yield f"{self.start}, since {output} does not depend on it: there is no path"
        elif not math.isfinite(self.gradient):
            yield from self.not_finite()
        elif self.gradient == 0.0 and (blocks := self.blocks()):
            yield from self.blocked(blocks)
        else:
            yield from self.of_paths(largest_paths(self.scene.output, self.x, _LISTED))

    # nan and inf

    def not_finite(self) -> Iterator[str]:
        for node in self.scene.order:
            operands_are_finite = all(math.isfinite(parent.data) for parent in node.parents)
            if node.parents and operands_are_finite and not math.isfinite(node.data):
                result = f"{self.computed(node)} is {number(node.data)}"
                yield f"{self.start}, since the forward pass is not finite: {result}"
                yield "detect_anomaly() around your program names the line that computes it"
                return
        if leaves := [leaf for leaf in self.scene.order if not leaf.parents and not math.isfinite(leaf.data)]:
            yield f"{self.start}, since {self.scene.name(leaves[0])} itself is {number(leaves[0].data)}"
            return
        yield from self.not_finite_in_backward()

    def not_finite_in_backward(self) -> Iterator[str]:
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
                derivatives = (
                    f"{self.derivative(child, parent)} · {self.derivative(self.scene.output, child)}"
                )
                numbers = self.write.product([self.write.number(local), self.write.number(adjoint)])
                yield f"{self.start}, since the backward pass is not finite from {self.computed(child)} on:"
                yield f"  {derivatives} = {numbers} = {number(local * adjoint)}"
                return
        yield f"{self.start}, and the graph does not show why"

    # A factor of 0 on every path

    def blocks(self) -> list[_Block]:
        """The operations at which every path from x ends; none if some path has no factor of 0."""
        alive = sums_over_paths(self.scene.order, self.x, lambda local: int(local != 0.0))
        if alive[self.scene.output]:
            return []
        paths_from = self.paths_from()
        return [
            _Block(node, operand, alive[parent] * paths_from[node])
            for node in self.scene.order
            for operand, (parent, local) in enumerate(zip(node.parents, node.local_grads))
            if local == 0.0 and alive.get(parent)
        ]

    def paths_from(self) -> dict[Value, int]:
        """The number of paths from each node to the output."""
        counts = dict.fromkeys(self.scene.order, 0) | {self.scene.output: 1}
        for node in reversed(self.scene.order):
            for parent in node.parents:
                counts[parent] += counts[node]
        return counts

    def blocked(self, blocks: list[_Block]) -> Iterator[str]:
        total = self.paths_to[self.scene.output]
        if len(blocks) == 1:
            on = "its one path" if total == 1 else f"any of its {total:,} paths"
            yield f"{self.start}, since {self.computed(blocks[0].node)} passes nothing on {on}"
            return
        yield f"{self.start}, since a factor of 0 stands on each of its {total:,} paths:"
        for node, operand, paths in blocks[:_LISTED]:
            derivative = self.derivative(node, node.parents[operand])
            yield f"  {self.computed(node)} passes nothing, {derivative} = 0 ({paths:,} of them)"
        if len(blocks) > _LISTED:
            yield f"  and {len(blocks) - _LISTED:,} more operations"

    # Cancellation, tiny and huge products

    def of_paths(self, paths: Paths) -> Iterator[str]:
        size = abs(self.gradient)
        sum_of_sizes = sums_over_paths(self.scene.order, self.x, abs)[self.scene.output]
        largest = paths.listed[0]
        if size == 0.0 and not largest.contribution:
            logs = [math.log10(abs(factor)) for factor in largest.local_grads]
            yield (
                f"{self.start}, since products are too small for a float: even the largest, of {len(logs)} "
                f"factors, is about 10^{sum(logs):.0f}"
            )
        elif size == 0.0 or size < _CANCELLED * sum_of_sizes:
            terms = [number(path.contribution, 6) for path in paths.listed]
            more = f" and {paths.count - len(terms):,} more" if paths.count > len(terms) else ""
            products = f"their products are {', '.join(terms)}{more}"
            yield f"{self.start}, since its {paths.count:,} paths cancel: {products}"
        elif size < _TINY:
            yield from self.by_factors(f"{self.start} is tiny", largest, paths.count, tiny=True)
        elif size > _HUGE:
            yield from self.by_factors(f"{self.start} is huge", largest, paths.count, tiny=False)
        else:
            yield f"{self.start} is neither zero, tiny, huge nor nan; explain() writes it out path by path"

    def by_factors(self, start: str, path: Path, count: int, tiny: bool) -> Iterator[str]:
        factors = list(zip(path.local_grads, path.nodes, path.nodes[1:]))
        factors.sort(key=lambda factor: abs(factor[0]), reverse=not tiny)
        named = [f for f in factors if (abs(f[0]) < _SMALL if tiny else abs(f[0]) > _LARGE)][:_LISTED]
        which = "its one path" if count == 1 else f"the largest of its {count:,} paths"
        if named:
            yield f"{start}: on {which}, {number(path.contribution)}, the factors are"
            for local, node, parent in named:
                note = self.note(node, local) if tiny else ""
                yield f"  {self.derivative(node, parent)} = {number(local)}, at {self.computed(node)}{note}"
        elif abs(path.contribution) > _HUGE or abs(path.contribution) < _TINY:
            n = len(factors)
            mean = math.exp(sum([math.log(abs(local)) for local, _, _ in factors if local]) / n)
            factors_of = f"{n} factors of {number(mean, 3)} in the mean (§9)"
            yield f"{start}: no factor does it alone; {which} has {factors_of}"
        else:
            yield f"{start}, as the sum of {count:,} paths; the largest is {number(path.contribution)}"

    def note(self, node: Value, local: float) -> str:
        """What the gradient would be without a factor that is small since its operation is saturated."""
        if abs(local) >= _FLAT or not _is_saturated(node):
            return ""
        without = self.gradient / local if local else math.inf
        return f": saturated; without this factor it would be {number(without)}"

    # Words

    def computed(self, node: Value) -> str:
        """A node with the numbers that it is computed from: a1[3] = ReLU(-0.8)."""
        op = node.op
        assert op is not None, "it has parents"
        operands = [self.write.number(parent.data) for parent in node.parents]
        if len(operands) > _LISTED and op.name not in ("total", "dot"):
            operands = [*operands[: _LISTED - 1], Term(self.write.gap(len(operands) - _LISTED + 1), ATOM)]
        return f"{self.scene.name(node)} = {self.write.apply(op, operands).text}"

    def derivative(self, of: Value, by: Value) -> str:
        return self.write.derivative(self.scene.name(of), self.scene.name(by))


def _is_saturated(node: Value) -> bool:
    """Whether an operation on one input stays about as it is, however far the input goes on to one side."""
    if node.op is None or len(node.parents) != 1:
        return False
    f, x = node.op.forward, node.parents[0].data
    try:
        sides = [[f(x + side * step) for step in _FAR] for side in (1.0, -1.0)]
    except Exception:  # an operation of the user may be undefined there
        return False
    return any(all(abs(y - node.data) < _CHANGE for y in side) for side in sides)
