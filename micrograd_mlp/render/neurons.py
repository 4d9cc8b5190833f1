"""Which nodes of a graph are one neuron, found by the paper's names (§2.1, §3.1).

The networks of `nn` label their nodes: W1[2,1] and b1[2] are the parameters of neuron 2 in layer 1,
z1[2] is its pre-activation, a1[2] its activation. A graph over a batch holds the same labels once for
each example, on other nodes, so labels alone do not tell neurons apart. Here a neuron is what lies
between its z and its own parameters, and between its a and its z: each example has its own, and a
parameter that several examples share belongs to none of them. A layer is the neurons that read
the same inputs. Nodes without these labels are left alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from micrograd_mlp.engine.value import Constant, Parameter, Value

_LABEL = re.compile(r"([Wbza])(\d{1,9})\[(\d{1,9})(?:,\d{1,9})?\]")

_Name = tuple[int, int]  # layer ℓ and index j, as in z1[2]


class Neuron:
    """The nodes of one neuron, for one example.

    Attributes:
        layer, index: ℓ and j of its labels.
        z: the pre-activation.
        a: the activation, or z itself where the activation is linear.
        nodes: everything that belongs to this neuron alone, z and a included.
        parameters: its W and b, those that it shares with other examples included.
        inputs: the nodes outside that its z is computed from, its own parameters aside.
    """

    def __init__(self, name: _Name, z: Value) -> None:
        self.layer, self.index = name
        self.z = self.a = z
        self.nodes: list[Value] = []
        self.parameters: list[Parameter] = []
        self.inputs: list[Value] = []


class Layer:
    """The neurons of one layer, for one example.

    Attributes:
        number: ℓ of the labels.
        example: 1, 2, … where the graph holds the network several times.
        neurons: by index.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.example = 0
        self.neurons: dict[int, Neuron] = {}


def find_layers(order: Sequence[Value]) -> list[Layer]:
    """The layers of all networks in a graph, given its nodes in topological order.

    >>> from micrograd_mlp.nn.modules import MLP
    >>> output = MLP(2, [3, 1], seed=0)([0.5, -1.0])
    >>> [len(layer.neurons) for layer in find_layers(output.topological_order())]
    [3, 1]
    """
    neurons = _find_neurons(order)
    _claim_nodes(neurons)
    layers: dict[tuple[int, frozenset[Value | float]], list[Layer]] = defaultdict(list)
    for neuron in neurons:
        # Plain numbers become a Constant for each neuron that reads them: only their data is the same.
        inputs = frozenset(x.data if isinstance(x, Constant) else x for x in neuron.inputs)
        passes = layers[neuron.layer, inputs]
        layer = next((layer for layer in passes if neuron.index not in layer.neurons), None)
        if layer is None:  # the first time, or the network was called again on the same inputs
            layer = Layer(neuron.layer)
            passes.append(layer)
        layer.neurons[neuron.index] = neuron
    found = [layer for passes in layers.values() for layer in passes]
    _number_examples(found, neurons)
    for layer in found:
        layer.neurons = dict(sorted(layer.neurons.items()))
    return sorted(found, key=lambda layer: (layer.example, layer.number))


def _find_neurons(order: Sequence[Value]) -> list[Neuron]:
    """A neuron for every z that is computed from parameters of its own name."""
    neurons: list[Neuron] = []
    # Whose each node is so far: a name, before z; the neuron, from z on; absent, of no single neuron.
    owner: dict[Value, _Name | Neuron] = {}
    for node in order:
        letter, name = _parse(node.label)
        if letter in ("W", "b") and isinstance(node, Parameter):
            owner[node] = name
            continue
        if not node.parents:
            continue
        owners = {owner[parent] for parent in node.parents if parent in owner}
        # A weight decides over its input, which is the z of another neuron where that one is linear.
        owners = {name for name in owners if isinstance(name, tuple)} or owners
        if len(owners) != 1:
            continue
        [sole] = owners
        if letter == "z" and sole == name:
            neuron = Neuron(name, node)
            neurons.append(neuron)
            owner[node] = neuron
        elif letter == "a" and isinstance(sole, Neuron) and (sole.layer, sole.index) == name:
            sole.a = node
        elif node.label is None:
            owner[node] = sole
    for neuron in neurons:
        _collect(neuron, owner)
    return neurons


def _parse(label: str | None) -> tuple[str, _Name]:
    match = _LABEL.fullmatch(label) if label else None
    return (match[1], (int(match[2]), int(match[3]))) if match else ("", (0, 0))


def _collect(neuron: Neuron, owner: dict[Value, _Name | Neuron]) -> None:
    """Walk back from a through the nodes of this neuron, down to its parameters and inputs."""
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
    users: dict[Value, int] = defaultdict(int)
    for neuron in neurons:
        for node in neuron.nodes:
            users[node] += 1
    for neuron in neurons:
        neuron.nodes = [node for node in neuron.nodes if users[node] == 1]


def _number_examples(layers: Iterable[Layer], neurons: Sequence[Neuron]) -> None:
    """Count how often the network was applied; a layer and what feeds it are of one example."""
    layer_of = {neuron: layer for layer in layers for neuron in layer.neurons.values()}
    neuron_of = {neuron.a: neuron for neuron in neurons}
    examples = 0
    for neuron in reversed(neurons):  # outputs before what they are computed from
        layer = layer_of[neuron]
        if not layer.example:
            examples += 1
            layer.example = examples
        for x in neuron.inputs:
            if x in neuron_of and not layer_of[neuron_of[x]].example:
                layer_of[neuron_of[x]].example = layer.example
