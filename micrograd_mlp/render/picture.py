"""Which boxes a drawing shows; DOT, TikZ and Mermaid then say what they look like.

A box is a node, or a neuron or a layer that is folded into one.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence

from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.render.scene import Group, Scene, symbol
from micrograd_mlp.render.text import number, printable

Box = Value | Group
Edge = tuple[Value, Value, float]  # parent, child, ∂child/∂parent


class Picture:
    """The boxes of a drawing, and the edges between them.

    Args:
        scene: the graph.
        folded: the groups that are one box each.
        highlighted: the nodes on the paths that stand out.
        max_boxes: the largest number of boxes; highlighted paths come first, then what is near the output.
        depth: show only what is at most so many edges away from the output; None means no limit.
        rankdir: "LR" or "TB".
        digits: significant digits.

    Attributes:
        ids: a name for each box, in the order of their distance from the output.
        sources: for each box the boxes with an edge into it, and these edges.
        hidden: how many nodes are in no box that is shown.
    """

    def __init__(
        self,
        scene: Scene,
        folded: Iterable[Group],
        highlighted: set[Value],
        *,
        max_boxes: int,
        depth: int | None,
        rankdir: str,
        digits: int,
    ) -> None:
        self.scene, self.highlighted, self.rankdir, self.digits = scene, highlighted, rankdir, digits
        self._group_of = {node: group for group in folded for node in group.nodes}
        walks = [self._from_output(depth, highlighted)] if highlighted else []
        boxes = itertools.chain(*walks, self._from_output(depth))
        shown: dict[Box, None] = {}  # a set that keeps the order
        while len(shown) < max_boxes and (box := next(boxes, None)) is not None:
            shown[box] = None
        self.ids = {box: f"n{i}" for i, box in enumerate(shown)}
        self.sources = {box: self._sources(box) for box in self.ids}
        self.hidden = len(scene.order) - sum(len(nodes_of(box)) for box in self.ids)

    def box(self, node: Value) -> Box:
        """The box that the node is in."""
        return self._group_of.get(node, node)

    def _sources(self, box: Box) -> dict[Box, list[Edge]]:
        found: dict[Box, list[Edge]] = defaultdict(list)
        for node in nodes_of(box):
            for parent, local_grad in zip(node.parents, node.local_grads):
                if (source := self.box(parent)) is not box:
                    found[source].append((parent, node, local_grad))
        return found

    def _from_output(self, depth: int | None, among: set[Value] | None = None) -> Iterator[Box]:
        """The boxes up to this distance from the output, the nearest first; the way leads over `among`."""
        output = self.box(self.scene.output)
        distances = {output: 0}
        waiting = deque([output])
        while waiting:
            box = waiting.popleft()
            yield box
            if distances[box] == depth:
                continue
            for source, edges in self._sources(box).items():
                is_allowed = among is None or any(parent in among for parent, _, _ in edges)
                if is_allowed and source not in distances:
                    distances[source] = distances[box] + 1
                    waiting.append(source)

    def arrows(self, box: Box) -> Iterator[tuple[Box, Sequence[Edge]]]:
        """The arrows into a box, each with where it starts and the edges that it stands for.

        There is one arrow for each use of a parent, but one for all uses where something is folded.
        """
        for source, uses in self.sources[box].items():
            if source in self.ids:
                together = isinstance(source, Group) or isinstance(box, Group)
                for edges in [uses] if together else [[use] for use in uses]:
                    yield source, edges

    def has_hidden_sources(self, box: Box) -> bool:
        """Whether an edge leads into the box from a box that is not shown."""
        return not self.sources[box].keys() <= self.ids.keys()

    def number(self, x: float) -> str:
        """A number as the picture shows it."""
        return number(x, self.digits)

    def lines(self, box: Box) -> list[str]:
        """What stands in a box: a node's symbol, name and numbers, or a folded group's title."""
        if isinstance(box, Group):
            return [box.title]
        lines = [printable((f"{symbol(box.op)}  " if box.op else "") + self.scene.name(box), 32)]
        if not isinstance(box, Constant) or box.label:  # else the name is the number
            lines.append(f"data {self.number(box.data)}")
        if self.scene.shows_gradient(box):
            lines.append(f"grad {self.number(box.grad)}")
        return lines


def nodes_of(box: Box) -> list[Value]:
    """The nodes in a box."""
    return box.nodes if isinstance(box, Group) else [box]
