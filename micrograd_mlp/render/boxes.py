"""Which nodes of a graph share a box or a frame of a drawing, and which boxes are shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from micrograd_mlp.engine.value import Parameter, Value
from micrograd_mlp.render.neurons import Neuron, find_layers
from micrograd_mlp.render.text import printable

Level = Literal["neuron", "layer"]


class Group:
    """Nodes that are framed together, or folded into one box.

    Attributes:
        level: "neuron", "layer", or "parameters" for those that several neurons or layers share.
        name: "neuron 2 of layer 1", "layer 1", "parameters of layer 1".
        title: the name, and which example it is of where there are several.
        nodes: what it holds.
        neurons: the neurons in it.
    """

    def __init__(
        self,
        level: str,
        name: str,
        nodes: list[Value],
        neurons: Sequence[Neuron] = (),
        example: int | None = None,
    ) -> None:
        self.level = level
        self.name = name
        self.title = name if example is None else f"{name}, example {example}"
        self.nodes = nodes
        self.neurons = neurons


Box = Value | Group
Edge = tuple[Value, Value, float]  # parent, child, ∂child/∂parent


class FoldedGraph:
    """A graph whose nodes are boxes: single nodes, and groups that are folded into one."""

    def __init__(self, folded: Iterable[Group]) -> None:
        self._group_of = {node: group for group in folded for node in group.nodes}

    def box(self, node: Value) -> Box:
        """The box that the node is in."""
        return self._group_of.get(node, node)

    def edges_into(self, box: Box) -> Iterator[tuple[Box, Edge]]:
        """Every edge from another box, with that box."""
        for node in nodes_of(box):
            for parent, local_grad in zip(node.parents, node.local_grads):
                source = self.box(parent)
                if source is not box:
                    yield source, (parent, node, local_grad)


def nodes_of(box: Box) -> list[Value]:
    """The nodes in a box."""
    return box.nodes if isinstance(box, Group) else [box]


def find_groups(order: Sequence[Value], level: Level | None) -> list[Group]:
    """The neurons or the layers of a graph, and the parameters that several of them share.

    Args:
        order: the graph in topological order.
        level: what makes a group; None finds none.
    """
    if level is None:
        return []
    layers = find_layers(order)
    several = any(layer.example > 1 for layer in layers)
    groups = []
    users: dict[Parameter, list[Group]] = defaultdict(list)
    for layer in layers:
        neurons = list(layer.neurons.values())
        for part in [neurons] if level == "layer" else [[neuron] for neuron in neurons]:
            name = f"layer {layer.number}"
            if level == "neuron":
                name = f"neuron {part[0].index} of {name}"
            nodes = [node for neuron in part for node in neuron.nodes]
            group = Group(level, name, nodes, part, example=layer.example if several else None)
            groups.append(group)
            for neuron in part:
                for parameter in neuron.parameters:
                    users[parameter].append(group)
    shared: dict[tuple[Group, ...], list[Value]] = defaultdict(list)
    for parameter, sharing in users.items():
        if len(sharing) > 1:
            shared[tuple(sharing)].append(parameter)
    for members, parameters in shared.items():
        groups.append(Group("parameters", f"parameters of {members[0].name}", parameters))
    return groups


def paths_from(start: Value, order: Sequence[Value]) -> set[Value]:
    """The nodes on all paths from `start` to the last node of the order.

    Raises:
        ValueError: there is no such path.
    """
    on_path = {start}
    for node in order:
        if not on_path.isdisjoint(node.parents):
            on_path.add(node)
    if order[-1] not in on_path:
        name = printable(start.label or repr(start), 40)
        raise ValueError(f"highlight: {name} is not in this graph, so no path leads from it to the output")
    return on_path


def nearest(
    graph: FoldedGraph, output: Value, first: set[Value], max_boxes: int, depth: int | None
) -> dict[Box, None]:
    """At most `max_boxes` boxes by their distance from the output, in that order.

    Args:
        graph: the graph after folding.
        output: where the walk begins.
        first: nodes whose boxes come before all others.
        max_boxes: how many boxes are taken.
        depth: the largest distance, or None.
    """
    taken: dict[Box, None] = {}  # a set that keeps the order
    for allowed in (first, None) if first else (None,):
        frontier = [graph.box(output)]
        reached = set(frontier)
        distance = 0
        while frontier and len(taken) < max_boxes and (depth is None or distance <= depth):
            taken.update(dict.fromkeys(frontier[: max_boxes - len(taken)]))
            following: list[Box] = []
            for box in frontier:
                for source, (parent, _, _) in graph.edges_into(box):
                    if source not in reached and (allowed is None or parent in allowed):
                        reached.add(source)
                        following.append(source)
            frontier = following
            distance += 1
    return taken
