"""Where the boxes of a graph go on a page, without any other program: layers from left to right.

The method is Sugiyama's. Every node stands in a column to the right of its parents; an edge across several
columns runs through a narrow slot in each of them; the columns are ordered so that few edges cross;
and each box then moves as close to its neighbours as the order allows.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from micrograd_mlp.engine.value import Value

# (node, column): in the node's own column its box, in later columns the edges that leave it
_Slot = tuple[int, int]
_SWEEPS = 12


@dataclass(frozen=True)
class Layout:
    """Positions in columns of boxes; y is in the unit of the given heights.

    Attributes:
        columns: for each node its column, from 0.
        y: the middle of each node.
        routes: for each node and column, the height at which its outgoing edges pass that column.
        height: the smallest y is 0 plus half a box, the largest this minus half a box.
    """

    columns: list[int]
    y: list[float]
    routes: dict[_Slot, float]
    height: float


def lay_out(order: Sequence[Value], heights: Sequence[float], gap: float, lane: float) -> Layout:
    """Place the nodes of a graph.

    Args:
        order: all nodes, parents before children.
        heights: of their boxes.
        gap: the least space between two boxes of a column.
        lane: the height that an edge takes where it passes a column.

    >>> x = Value(1.0)
    >>> y = x * 2.0
    >>> lay_out(y.topological_order(), [10.0, 10.0, 10.0], gap=2.0, lane=4.0).columns
    [0, 0, 1]
    """
    index = {node: i for i, node in enumerate(order)}
    parents = [[index[parent] for parent in node.parents] for node in order]
    columns = _columns(parents)
    slots, links = _slots(parents, columns)
    _reduce_crossings(slots, links)

    def height(slot: _Slot) -> float:
        return heights[slot[0]] + gap if columns[slot[0]] == slot[1] else lane

    y = _spread(slots, links, height)
    top = min(y[slot] - height(slot) / 2 for column in slots for slot in column)
    y = {slot: position - top - gap / 2 for slot, position in y.items()}
    bottom = max(y[slot] + height(slot) / 2 for column in slots for slot in column)
    return Layout(columns, [y[i, column] for i, column in enumerate(columns)], y, bottom - gap / 2)


def _columns(parents: list[list[int]]) -> list[int]:
    """Operations to the right of all their parents, leaves right before the first use."""
    columns = [0] * len(parents)
    first_use: dict[int, int] = {}
    for node, own in enumerate(parents):
        columns[node] = 1 + max((columns[parent] for parent in own), default=-1)
        for parent in own:
            first_use[parent] = min(columns[node], first_use.get(parent, columns[node]))
    for node, own in enumerate(parents):
        if not own and node in first_use:
            columns[node] = first_use[node] - 1
    return columns


def _slots(parents: list[list[int]], columns: list[int]) -> tuple[list[list[_Slot]], dict[_Slot, set[_Slot]]]:
    """What stands in each column, and what is linked to what in the next; all edges of a node share slots."""
    slots: list[dict[_Slot, None]] = [{} for _ in range(1 + max(columns))]  # sets in order of insertion
    links: dict[_Slot, set[_Slot]] = defaultdict(set)
    for node, own in enumerate(parents):
        slots[columns[node]][node, columns[node]] = None
        for parent in own:
            for column in range(columns[parent], columns[node]):
                here, there = (parent, column), (parent, column + 1)
                if column + 1 == columns[node]:
                    there = (node, column + 1)
                else:
                    slots[column + 1][there] = None
                links[here].add(there)
                links[there].add(here)
    # Depth first comes to the last operand first; the first is to be on top.
    return [list(reversed(column)) for column in slots], links


def _reduce_crossings(slots: list[list[_Slot]], links: dict[_Slot, set[_Slot]]) -> None:
    """Order every column by the middle of its neighbours, to and fro; keep the best order seen."""
    best, fewest = [list(column) for column in slots], _crossings(slots, links)
    for sweep in range(_SWEEPS):
        side = -1 if sweep % 2 == 0 else 1
        there_and_back = range(1, len(slots)) if side < 0 else range(len(slots) - 2, -1, -1)
        for c in there_and_back:
            rank = {slot: i for i, slot in enumerate(slots[c + side])}
            own = {slot: i for i, slot in enumerate(slots[c])}

            def middle(slot: _Slot, rank: dict[_Slot, int] = rank, own: dict[_Slot, int] = own) -> float:
                ranks = [rank[other] for other in links[slot] if other in rank]
                return sum(ranks) / len(ranks) if ranks else own[slot]

            slots[c].sort(key=middle)
        crossings = _crossings(slots, links)
        if crossings < fewest:
            best, fewest = [list(column) for column in slots], crossings
    slots[:] = best


def _crossings(slots: list[list[_Slot]], links: dict[_Slot, set[_Slot]]) -> int:
    """How many pairs of links between neighbouring columns cross."""
    count = 0
    for left, right in itertools.pairwise(slots):
        rank = {slot: i for i, slot in enumerate(right)}
        ends: list[int] = []
        for slot in left:
            own = [rank[other] for other in links[slot] if other in rank]
            count += sum([len(ends) - bisect_left(ends, end + 1) for end in own])
            for end in own:
                insort(ends, end)
    return count


def _spread(
    slots: list[list[_Slot]], links: dict[_Slot, set[_Slot]], height: Callable[[_Slot], float]
) -> dict[_Slot, float]:
    """Heights for all slots: each as near to the mean of its neighbours as order and size allow."""
    y: dict[_Slot, float] = {}
    for column in slots:
        y |= _separated(column, [0.0] * len(column), height)
    for sweep in range(_SWEEPS):
        for column in slots if sweep % 2 else reversed(slots):
            wanted = []
            for slot in column:
                near = [y[other] for other in links[slot]]
                wanted.append(sum(near) / len(near) if near else y[slot])
            y |= _separated(column, wanted, height)
    return y


def _separated(
    column: list[_Slot], wanted: list[float], height: Callable[[_Slot], float]
) -> dict[_Slot, float]:
    """The heights closest to the wanted ones, by least squares, without overlap and in this order.

    Boxes that push each other form a block, which sits at the mean of what its members want.
    """
    offsets = [0.0]
    for upper, lower in itertools.pairwise(column):
        offsets.append(offsets[-1] + (height(upper) + height(lower)) / 2)
    blocks: list[tuple[float, int]] = []  # the sum of the members' wishes, how many members
    for offset, position in zip(offsets, wanted):
        wish, members = position - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > wish / members:
            above, more = blocks.pop()
            wish, members = wish + above, members + more
        blocks.append((wish, members))
    starts = [wish / members for wish, members in blocks for _ in range(members)]
    return {slot: start + offset for slot, start, offset in zip(column, starts, offsets)}
