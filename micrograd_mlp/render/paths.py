"""The paths from an output back to an input: their number, their sum, and the largest of them (§6, §7).

The chain rule, multiplied out, says that a gradient is a sum over paths: ∂(output)/∂(input) is the sum,
over every path through the graph, of the product of the local derivatives along it. A graph of n nodes
can have 2ⁿ paths, so they are never all listed. One pass from the input to the output finds for each node
the number, the sum and the largest of its paths to the input (`_Suffixes`). A search then follows only the
largest paths.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from micrograd_mlp.engine.value import Value


class Path(NamedTuple):
    """A path from the output to the input, and its contribution to the gradient.

    Attributes:
        nodes: the nodes from the output to the input, both included.
        operands: for each node but the last, the index of the operand that is the next node. The product
            x·x has two paths to x, through operand 0 and through operand 1.
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
    """The largest paths, and the sum of all others.

    Attributes:
        listed: the paths with the largest |contribution|, the largest first.
        count: the exact number of all paths.
        remainder: the sum of the contributions of the paths that are not listed.
    """

    listed: tuple[Path, ...]
    count: int
    remainder: float


class _Suffixes(NamedTuple):
    """All paths from one node to the input."""

    operands: tuple[int, ...]  # the operands from which a path leads to the input
    best: int  # the operand with which the largest path begins
    size: float  # log |product| of the largest path
    paths: int  # the number of paths
    total: float  # the sum of all products, which is ∂(node)/∂(input)


def largest_paths(output: Value, wrt: Value, limit: int) -> Paths:
    """Find the `limit` largest paths from `output` to `wrt` without enumerating the others.

    A branch is the set of all paths that begin with the same steps. The heap holds branches, ordered by
    their largest paths, and each path is in exactly one of them. The branch at the top of the heap contains
    the next path of the list. Its other paths are put back as smaller branches, one for each operand at
    which they leave the listed path. The branches that stay in the heap at the end make up the remainder.

    >>> x = Value(3.0)
    >>> y = x * x + x
    >>> paths = largest_paths(y, x, 2)
    >>> [path.contribution for path in paths.listed], paths.count, paths.remainder
    ([3.0, 3.0], 3, 1.0)
    """
    suffixes = _suffixes(output, wrt)
    if output not in suffixes:
        return Paths((), 0, 0.0)
    order = itertools.count()  # of branches with equally large paths the older one comes first
    # The steps of all branches. A step has the index of the step before it, the node that it leaves, and the
    # operand that it takes. Nested tuples would be freed recursively, which overflows the stack in a browser.
    steps: list[tuple[int, Value, int]] = []
    # A branch is (-size of its largest path, order, index of its last step, node, product so far, its size).
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
    listed.sort(key=lambda path: -math.inf if math.isnan(path.contribution) else -abs(path.contribution))
    remainder = exact_sum(product * suffixes[node].total for _, _, _, node, product, _ in heap)
    return Paths(tuple(listed), suffixes[output].paths, remainder)


def exact_sum(numbers: Iterable[float]) -> float:
    """The sum, which is rounded once; inf or nan where it is not finite.

    >>> exact_sum([1e16, 1.0, -1e16]), exact_sum([math.inf, 1.0])
    (1.0, inf)
    """
    numbers = list(numbers)
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):  # an intermediate sum overflows, or is inf - inf
        return sum(numbers)


def _suffixes(output: Value, wrt: Value) -> dict[Value, _Suffixes]:
    """The paths to `wrt` of every node between `wrt` and `output`."""
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


def sums_over_paths(order: Iterable[Value], wrt: Value, factor: Callable[[float], Any]) -> dict[Value, Any]:
    """For each node with a path to `wrt` the sum, over these paths, of the product of their factors.

    A factor is a function of a local derivative. The order is a topological one.

    >>> x = Value(3.0)
    >>> y = x * x + x
    >>> sums_over_paths(y.topological_order(), x, lambda local_grad: 1)[y]
    3
    """
    sums: dict[Value, Any] = {wrt: 1}
    for node in order:
        edges = zip(node.parents, node.local_grads)
        terms = [factor(local_grad) * sums[parent] for parent, local_grad in edges if parent in sums]
        if terms and node is not wrt:
            sums[node] = sum(terms)
    return sums


_LOG_OF_ZERO = -1e300  # -inf would give nan where one path has a factor of 0 and an infinite one


def _size(local_grad: float) -> float:
    """log |local derivative|, whose sums do not overflow; inf for inf and nan, which are listed first."""
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
