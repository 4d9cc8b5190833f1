"""Every path from an output back to an input: how many, what they sum to, and which weigh most (§6, §7).

The chain rule, multiplied out, says that a gradient is a sum over paths: ∂(output)/∂(input) is the sum,
over every path through the graph, of the product of the local derivatives along it. A graph of n nodes
can have 2ⁿ paths, so they are never all written down. One pass from the input upwards finds for each
node what its paths amount to, whole (`_Suffixes`); the search then opens only the largest of them.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from micrograd_mlp.engine.value import Value


class Path(NamedTuple):
    """One way from the output to the input, and what it adds to the gradient.

    Attributes:
        nodes: from the output to the input, both included.
        operands: for each step, which operand (0, 1, …) of the node is the next one; x·x has two
            paths to x, by operand 0 and by operand 1.
        contribution: the product of the local derivatives, multiplied from the output on, as
            `backward()` does.
    """

    nodes: tuple[Value, ...]
    operands: tuple[int, ...]
    contribution: float

    @property
    def local_grads(self) -> tuple[float, ...]:
        """∂(node)/∂(next node) for each step."""
        return tuple([node.local_grads[i] for node, i in zip(self.nodes, self.operands)])


@dataclass(frozen=True)
class Paths:
    """The largest paths and the sum of all others.

    Attributes:
        listed: the paths with the largest |contribution|, in that order.
        count: how many paths there are, exactly.
        remainder: the sum of the contributions of the paths that are not listed.
    """

    listed: tuple[Path, ...]
    count: int
    remainder: float


class _Suffixes(NamedTuple):
    """All paths from one node down to the input."""

    operands: tuple[int, ...]  # those that lead to the input
    best: int  # the operand with which the largest path begins
    size: float  # of the largest path: log |product|
    paths: int  # how many
    total: float  # the sum of all products: ∂(node)/∂(input)


def largest_paths(output: Value, wrt: Value, limit: int) -> Paths:
    """The `limit` largest paths from `output` to `wrt`, without enumerating the others.

    A branch is the set of all paths that begin in one given way. The heap holds branches that together
    contain each path once, with the size of the largest path of each. Taking the largest branch gives
    the next path; what else was in that branch falls into smaller branches, one for each operand
    at which another path may leave. What remains in the heap at the end is the remainder.

    >>> x = Value(3.0)
    >>> y = x * x + x
    >>> paths = largest_paths(y, x, 2)
    >>> [path.contribution for path in paths.listed], paths.count, paths.remainder
    ([3.0, 3.0], 3, 1.0)
    """
    suffixes = _suffixes(output, wrt)
    if output not in suffixes:
        return Paths((), 0, 0.0)
    order = itertools.count()  # among equals, first come, first served
    # Each step that some branch takes: which step came before, the node that it leaves, by which operand.
    # A list, since tuples within tuples would be freed by a call inside a call, which a browser cannot do.
    steps: list[tuple[int, Value, int]] = []
    # (-size of the branch's largest path, order, its last step, node, product so far, its size)
    heap: list[Any] = [(-suffixes[output].size, next(order), -1, output, 1.0, 0.0)]
    listed: list[Path] = []
    while heap and len(listed) < limit:
        _, _, last, node, product, size = heapq.heappop(heap)
        while node is not wrt:
            rest = suffixes[node]
            for operand in rest.operands:
                local_grad, parent = node.local_grads[operand], node.parents[operand]
                steps.append((last, node, operand))
                branch = len(steps) - 1, parent, product * local_grad, size + _size(local_grad)
                if operand == rest.best:
                    follow = branch
                else:
                    heapq.heappush(heap, (-(branch[3] + suffixes[parent].size), next(order), *branch))
            last, node, product, size = follow
        listed.append(_unwind(steps, last, wrt, product))
    listed.sort(
        key=lambda path: -abs(path.contribution) if path.contribution == path.contribution else -math.inf
    )
    remainder = exact_sum(product * suffixes[node].total for _, _, _, node, product, _ in heap)
    return Paths(tuple(listed), suffixes[output].paths, remainder)


def exact_sum(numbers: Iterable[float]) -> float:
    """The sum, rounded once; inf or nan where floats have no number for it.

    >>> exact_sum([1e16, 1.0, -1e16]), exact_sum([math.inf, 1.0])
    (1.0, inf)
    """
    numbers = list(numbers)
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):  # beyond the largest float on the way, or inf - inf
        return sum(numbers)


def _suffixes(output: Value, wrt: Value) -> dict[Value, _Suffixes]:
    """For every node between `wrt` and `output`, what its paths to `wrt` amount to."""
    suffixes: dict[Value, _Suffixes] = {}
    for node in output.topological_order():
        if node is wrt:
            suffixes[node] = _Suffixes((), 0, 0.0, 1, 1.0)
            continue
        operands = tuple([i for i, parent in enumerate(node.parents) if parent in suffixes])
        if not operands:
            continue
        below = [suffixes[node.parents[i]] for i in operands]
        local_grads = [node.local_grads[i] for i in operands]
        sizes = [_size(d) + rest.size for d, rest in zip(local_grads, below)]
        largest = max(sizes)
        suffixes[node] = _Suffixes(
            operands,
            best=operands[sizes.index(largest)],
            size=largest,
            paths=sum([rest.paths for rest in below]),
            total=sum([d * rest.total for d, rest in zip(local_grads, below)]),
        )
    return suffixes


_LOG_OF_ZERO = -1e300  # not -inf, which would make nan of a zero and an infinity on one path


def _size(local_grad: float) -> float:
    """log |local derivative|: sums of it neither overflow nor underflow. inf and nan come first of all."""
    if not math.isfinite(local_grad):
        return math.inf
    return math.log(abs(local_grad)) if local_grad else _LOG_OF_ZERO


def _unwind(steps: list[tuple[int, Value, int]], last: int, wrt: Value, product: float) -> Path:
    nodes, operands = [wrt], []
    while last >= 0:
        last, node, operand = steps[last]
        nodes.append(node)
        operands.append(operand)
    return Path(tuple(reversed(nodes)), tuple(reversed(operands)), product)
