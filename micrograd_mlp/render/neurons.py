"""The neurons and layers of a graph, found by the paper's names (§2.1, §3.1).

The networks of `nn` label their nodes: W1[2,1] and b1[2] are parameters of neuron 2 in layer 1, z1[2] is its
pre-activation, and a1[2] is its activation. A graph over a batch has different nodes with the same labels,
one for each example, so labels alone do not tell neurons apart. Here a neuron consists of the nodes between
its z and its parameters, and between its a and its z. So each example has neurons of its own, and a
parameter that several examples share belongs to no neuron. A layer consists of the neurons that read the
same inputs. Nodes without these labels belong to no neuron.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from micrograd_mlp.engine.value import Constant, Parameter, Value

_LABEL = re.compile(r"([Wbza])(\d{1,9})\[(\d{1,9})(?:,\d{1,9})?\]")

_Name = tuple[int, int]  # layer ℓ and index j, as in z1[2]


@dataclass(eq=False)
class Neuron:
    """The nodes of one neuron, for one example.

    Attributes:
        layer: ℓ in its labels.
        index: j in its labels.
        z: the pre-activation.
        a: the activation, or z itself where the activation is linear.
        nodes: the nodes that belong to this neuron alone, with z and a.
        parameters: its W and b, with those that it shares with other examples.
        inputs: the other nodes from which its z is computed.
    """

    layer: int
    index: int
    z: Value
    a: Value
    nodes: list[Value] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)


@dataclass(eq=False)
class Layer:
    """The neurons of one layer, for one example.

    Attributes:
        number: ℓ in the labels.
        example: 1, 2, … for each example that the network was applied to.
        neurons: the neurons by their indices.
    """

    number: int
    example: int = 0
    neurons: dict[int, Neuron] = field(default_factory=dict)


def find_layers(order: Sequence[Value]) -> list[Layer]:
    """Find the layers of all networks in a graph, given its nodes in topological order.

    >>> from micrograd_mlp.nn.modules import MLP
    >>> output = MLP(2, [3, 1], seed=0)([0.5, -1.0])
    >>> [len(layer.neurons) for layer in find_layers(output.topological_order())]
    [3, 1]
    """
    neurons = _find_neurons(order)
    _claim_nodes(neurons)
    layers: dict[tuple[int, frozenset[Value | float]], list[Layer]] = defaultdict(list)
    for neuron in neurons:
        # A plain number becomes a different Constant for each neuron that reads it, with the same data.
        inputs = frozenset(x.data if isinstance(x, Constant) else x for x in neuron.inputs)
        passes = layers[neuron.layer, inputs]
        layer = next((layer for layer in passes if neuron.index not in layer.neurons), None)
        if layer is None:  # no neuron of it is known, or the network was called again on the same inputs
            layer = Layer(neuron.layer)
            passes.append(layer)
        layer.neurons[neuron.index] = neuron
    found = [layer for passes in layers.values() for layer in passes]
    _number_examples(found, neurons)
    for layer in found:
        layer.neurons = dict(sorted(layer.neurons.items()))
    return sorted(found, key=lambda layer: (layer.example, layer.number))


def _find_neurons(order: Sequence[Value]) -> list[Neuron]:
    """Make a neuron of every z that is computed from parameters with its layer and index."""
    neurons: list[Neuron] = []
    # The neuron that a node belongs to. Until its z is found, the name stands for it.
    owner: dict[Value, _Name | Neuron] = {}
    for node in order:
        match = _LABEL.fullmatch(node.label or "")
        letter = match[1] if match else ""
        name = (int(match[2]), int(match[3])) if match else None
        if name and letter in ("W", "b") and isinstance(node, Parameter):
            owner[node] = name
            continue
        if not node.parents:
            continue
        owners = {owner[parent] for parent in node.parents if parent in owner}
        # A weight and its input have different owners where the input is the z of a linear neuron.
        owners = {name for name in owners if isinstance(name, tuple)} or owners
        if len(owners) != 1:
            continue
        [sole] = owners
        if name and letter == "z" and sole == name:
            neuron = Neuron(*name, z=node, a=node)
            neurons.append(neuron)
            owner[node] = neuron
        elif letter == "a" and isinstance(sole, Neuron) and (sole.layer, sole.index) == name:
            sole.a = node
        elif node.label is None:
            owner[node] = sole
    for neuron in neurons:
        _collect(neuron, owner)
    return neurons


def _collect(neuron: Neuron, owner: dict[Value, _Name | Neuron]) -> None:
    """Walk from a through the nodes of this neuron to its parameters and inputs."""
    name = (neuron.layer, neuron.index)
    seen = {neuron.a}
    stack = [neuron.a]
    while stack:
        node = stack.pop()
        neuron.nodes.append(node)
        if isinstance(node, Parameter):
            neuron.parameters.append(node)
        before_z = node is neuron.z or owner.get(node) == name
        for parent in node.parents:
            if parent in seen:
                continue
            seen.add(parent)
            if owner.get(parent) in (name, neuron):
                stack.append(parent)
            elif before_z:
                neuron.inputs.append(parent)
            elif isinstance(parent, Constant):  # the 0.2 of an activation such as max(z, 0.2 z)
                stack.append(parent)


def _claim_nodes(neurons: Iterable[Neuron]) -> None:
    """Leave to each neuron the nodes that no other neuron uses."""
    users = Counter(node for neuron in neurons for node in neuron.nodes)
    for neuron in neurons:
        neuron.nodes = [node for node in neuron.nodes if users[node] == 1]


def _number_examples(layers: Iterable[Layer], neurons: Sequence[Neuron]) -> None:
    """Number the examples; a layer and the layers that feed it belong to the same one."""
    layer_of = {neuron: layer for layer in layers for neuron in layer.neurons.values()}
    neuron_of = {neuron.a: neuron for neuron in neurons}
    examples = 0
    for neuron in reversed(neurons):  # a neuron comes before its inputs
        layer = layer_of[neuron]
        if not layer.example:
            examples += 1
            layer.example = examples
        for x in neuron.inputs:
            if x in neuron_of and not layer_of[neuron_of[x]].example:
                layer_of[neuron_of[x]].example = layer.example
