"""What a graph looks like, decided once for every view: names, symbols, kinds, groups and colours.

`draw`, `tree`, `explain`, `explore` and `step_through` show the same scene, so that a node that one of them
calls v3 is v3 in all of them. Groups follow the paper's neurons (§2.1) and layers (§3.1).
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Literal, NamedTuple

from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.value import Constant, Parameter, Value, changed_leaves
from micrograd_mlp.render.neurons import Neuron, find_layers
from micrograd_mlp.render.text import number, printable

Level = Literal["neuron", "layer"]


class Colours(NamedTuple):
    """The fill and the border of one kind of box, and its fill on a dark page."""

    fill: str
    border: str
    dark_fill: str


# Every fill is light and every text dark, so that a picture without a background can be read on a light
# page and on a dark one; a view that knows that the page is dark takes the dark fills.
PALETTE = {
    "input": Colours("#d6e8fd", "#2f7de0", "#17365c"),
    "parameter": Colours("#fdebb8", "#c98500", "#4c3a0b"),
    "constant": Colours("#e4e6eb", "#7a8190", "#343a45"),
    "op": Colours("#dcf3e1", "#2e9e57", "#173f28"),
    "group": Colours("#ebe2fc", "#8257d8", "#37285a"),
}

# What is typed in a program is hard to see when it stands alone in a box.
_SYMBOLS = {"*": "×", "-": "−", "**": "^"}


def symbol(op: Op) -> str:
    """The sign that stands for an operation in a picture.

    >>> from micrograd_mlp.engine.table import TABLE
    >>> symbol(TABLE["mul"]), symbol(TABLE["sigmoid"])
    ('×', 'σ')
    """
    return _SYMBOLS.get(op.symbol) or printable(op.symbol) or "op"


def kind(box: Value | Group) -> str:
    """What a box is: "op", "parameter", "constant", a plain leaf, "input", or a folded "group"."""
    if isinstance(box, Group):
        return "group"
    if box.parents:
        return "op"
    if isinstance(box, Parameter):
        return "parameter"
    return "constant" if isinstance(box, Constant) else "input"


class Name(NamedTuple):
    """The name of a node: a label, and which of the nodes with this label it is."""

    label: str
    occurrence: int = 1

    def __str__(self) -> str:
        """The name on one line: W1[2,1], or x#2."""
        label = printable(self.label)
        return label if self.occurrence == 1 else f"{label}#{self.occurrence}"


def require_current(output: Value) -> None:
    """Check that a graph was computed from its leaves' present numbers; views show no other graph.

    Raises:
        ValueError: some leaf has changed since the output was computed.

    >>> w = Value(3.0, "w")
    >>> y = w * 2.0
    >>> w.data = 4.0
    >>> require_current(y)
    Traceback (most recent call last):
    ValueError: w = 4.0 has changed since this graph was computed: output.forward() computes it again
    """
    changed = [f"{node.label or 'a value'} = {node.data!r}" for node in changed_leaves(output)]
    if changed:
        names = ", ".join([printable(name, 60) for name in changed[:3]])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        verb = "has" if len(changed) == 1 else "have"
        raise ValueError(
            f"{names}{more} {verb} changed since this graph was computed: output.forward() computes it again"
        )


class Scene:
    """A graph as every view shows it.

    Attributes:
        output: the end of the graph.
        order: all nodes, parents before children.
        names: the one name of every node.
        has_gradients: whether `backward()` has filled any gradient; before that, views show none.
    """

    def __init__(self, output: Value) -> None:
        self.output = output
        self.order = output.topological_order()
        self.names = _name_nodes(self.order)
        self.has_gradients = any(node.grad for node in self.order)

    def name(self, node: Value) -> str:
        """The name of a node, as text."""
        return str(self.names[node])

    def shows_gradient(self, node: Value) -> bool:
        """Whether a view shows the node's gradient; the gradient of a constant means nothing."""
        return self.has_gradients and not isinstance(node, Constant)

    def groups(self, level: Level | None) -> list[Group]:
        """The neurons or the layers of the graph, and the parameters that several of them share."""
        groups = _find_groups(self.order, level) if level else []
        while groups and (cycle := _find_cycle(self.order, groups)):
            groups = [group for group in groups if group not in cycle]
        return groups


def _name_nodes(order: Sequence[Value]) -> dict[Value, Name]:
    """Name each node by its label, a constant by its number, the output f, and others v1, v2, … in order."""
    labels = {node.label for node in order if node.label}
    free = (name for name in map("v{}".format, itertools.count(1)) if name not in labels)
    names: dict[Value, Name] = {}
    for node in order:
        if node.label:
            continue
        if isinstance(node, Constant):
            names[node] = Name(number(node.data, 6))
        elif node is order[-1] and "f" not in labels:
            names[node] = Name("f")
        else:
            names[node] = Name(next(free))
    occurrences: Counter[str] = Counter()
    for node in reversed(order):  # in which first operands come first, and so example 1 before example 2
        if node.label:
            occurrences[node.label] += 1
            names[node] = Name(node.label, occurrences[node.label])
    return names


@dataclass(eq=False)
class Group:
    """Nodes that are framed together, or folded into one box.

    Attributes:
        level: "neuron", "layer", or "parameters" for those that several neurons or layers share.
        name: "neuron 2 of layer 1", "layer 1", "parameters of layer 1".
        nodes: what it holds.
        neurons: the neurons in it.
        example: the number of the example that it belongs to, where there are several.
    """

    level: str
    name: str
    nodes: list[Value]
    neurons: Sequence[Neuron] = ()
    example: int | None = None

    @property
    def title(self) -> str:
        """The name, and which example it belongs to where there are several."""
        return self.name if self.example is None else f"{self.name}, example {self.example}"

    @property
    def parameters(self) -> list[Value]:
        """The parameters that it holds."""
        return [node for node in self.nodes if isinstance(node, Parameter)]

    def quantities(self) -> list[tuple[str, str, list[Value]]]:
        """The rows of a folded box: z, a and δ = ∂(output)/∂z by the paper's names (§6.2).

        Each row is a name, which attribute it shows ("data" or "grad"), and of which nodes.
        """
        if not self.neurons:
            return []
        first = self.neurons[0]
        where = f"{first.layer}" + (f"[{first.index}]" if self.level == "neuron" else "")
        z, a = [neuron.z for neuron in self.neurons], [neuron.a for neuron in self.neurons]
        activation = [] if a == z else [(f"a{where}", "data", a)]
        return [(f"z{where}", "data", z), *activation, (f"δ{where}", "grad", z)]

    def formula(self) -> str:
        """What a neuron (§2.1) or a layer (§3.1) computes; nothing for shared parameters."""
        if not self.neurons:
            return ""
        neuron = self.neurons[0]
        layer, j = neuron.layer, neuron.index
        letters = {(x.label or "").partition("[")[0] for x in neuron.inputs}
        x = printable(letters.pop(), 32) if len(letters) == 1 else ""
        x = x or ("x" if layer == 1 else f"a{layer - 1}")
        if self.level == "layer":
            z, a, weighted_sum = f"z{layer}", f"a{layer}", f"W{layer} {x} + b{layer}"
        else:
            z, a = f"z{layer}[{j}]", f"a{layer}[{j}]"
            weighted_sum = f"Σ W{layer}[{j},k] {x}[k] + b{layer}[{j}]"
        if neuron.a is neuron.z:
            return f"{z} = {weighted_sum}"
        sigma = symbol(neuron.a.op) if neuron.a.op and neuron.z in neuron.a.parents else "σ"
        return f"{z} = {weighted_sum}, {a} = {sigma}({z})"


def _find_groups(order: Sequence[Value], level: Level) -> list[Group]:
    layers = find_layers(order)
    several = any(layer.example > 1 for layer in layers)
    groups = []
    for layer in layers:
        neurons = list(layer.neurons.values())
        for members in [neurons] if level == "layer" else [[neuron] for neuron in neurons]:
            name = f"layer {layer.number}"
            if level == "neuron":
                name = f"neuron {members[0].index} of {name}"
            nodes = [node for neuron in members for node in neuron.nodes]
            groups.append(Group(level, name, nodes, members, layer.example if several else None))
    return groups + _shared_parameters(groups)


def _shared_parameters(groups: Iterable[Group]) -> list[Group]:
    """A group for the parameters that the same examples of one neuron or layer share."""
    users: dict[Parameter, list[Group]] = defaultdict(list)
    for group in groups:
        for neuron in group.neurons:
            for parameter in neuron.parameters:
                users[parameter].append(group)
    shared: dict[tuple[Group, ...], list[Value]] = defaultdict(list)
    for parameter, sharing in users.items():
        if len(sharing) > 1:
            shared[tuple(sharing)].append(parameter)
    return [
        Group("parameters", f"parameters of {members[0].name}", parameters)
        for members, parameters in shared.items()
    ]


def _find_cycle(order: Sequence[Value], groups: Iterable[Group]) -> list[Group]:
    """The groups on a cycle, if there is one when each group is folded into one box.

    That happens where a user's own node is computed from a neuron and used in it again.
    """
    group_of: dict[Value, Group] = {node: group for group in groups for node in group.nodes}
    sources: dict[Value | Group, set[Value | Group]] = defaultdict(set)
    for node in order:
        box = group_of.get(node, node)
        sources[box].update(source for p in node.parents if (source := group_of.get(p, p)) is not box)
    try:
        TopologicalSorter(sources).prepare()
    except CycleError as error:
        return [box for box in error.args[1] if isinstance(box, Group)]
    return []
