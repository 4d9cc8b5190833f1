"""The scene as the scripts of the page read it: plain lists, and the operations' functions in JavaScript.

A node is given by its position in topological order, an operation or a rule by its position in a list. A rule
is a local derivative as a formula, such as cos(x); the page writes the chain rule with it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from micrograd_mlp.engine import table
from micrograd_mlp.engine.javascript import JAVASCRIPT
from micrograd_mlp.engine.micrograd import GIVEN
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.translate import Translation, TranslationError
from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.render.explanation import partials_as_graph
from micrograd_mlp.render.notation import infix, symbol_of
from micrograd_mlp.render.scene import PALETTE, Group, Scene, kind, symbol
from micrograd_mlp.render.text import printable

_DEEPEST_RULE = 6  # operations within operations; the page shows a deeper rule as its number


def describe(scene: Scene) -> tuple[dict[str, Any], str]:
    """Nodes, operations, rules and groups as data for JSON, and JavaScript for the operations."""
    description = _Description(scene)
    nodes = [description.node(node) for node in scene.order]
    functions, problems = _translate(description.counts)
    for node, described in zip(scene.order, nodes):
        if described["op"] is not None and problems[described["op"]]:
            described["locals"] = node.local_grads  # the page can't compute them
    data = {
        "title": scene.name(scene.output),
        "palette": {what: colours._asdict() for what, colours in PALETTE.items()},
        "nodes": nodes,
        "partials": list(map(json.loads, description.rules)),
        "ops": [_describe_op(op) | {"problem": problem} for op, problem in zip(description.ops, problems)],
        "groups": description.groups(),
    }
    return data, functions


class _Description:
    """The parts of a description.

    Attributes:
        ops: the operations, and the position of each.
        counts: the numbers of inputs with which each operation occurs.
        rules: the rules as JSON, and the position of each.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.index = {node: i for i, node in enumerate(scene.order)}
        self.ops: dict[Op, int] = {}
        self.counts: dict[Op, set[int]] = {}
        self.rules: dict[str, int] = {}

    def node(self, node: Value) -> dict[str, Any]:
        name = self.scene.names[node]
        plain_number = isinstance(node, Constant) and not node.label  # its name is its number
        described = {
            "name": None if plain_number else str(name),
            "label": node.label or None,
            "symbol": None if plain_number else symbol_of(name.label, name.occurrence),
            "kind": kind(node),
            "data": node.data,
            "op": None,
            "parents": self.positions(node.parents),
            "partials": None,
        }
        if node.op is not None:
            described["op"] = self.position_of(node.op, len(node.parents))
            described["partials"] = self.rules.setdefault(json.dumps(self.rules_of(node)), len(self.rules))
        return described

    def positions(self, nodes: Iterable[Value]) -> list[int]:
        return [self.index[node] for node in nodes]

    def position_of(self, op: Op, n_inputs: int) -> int:
        self.counts.setdefault(op, set()).add(n_inputs)
        return self.ops.setdefault(op, len(self.ops))

    def rules_of(self, node: Value) -> list[Any]:
        """For each operand the local derivative as a formula; None where the rule gives a plain number."""
        rules: list[Any] = []
        for partial in partials_as_graph(node):
            if not isinstance(partial, Value):
                rules.append(None)
            elif len(node.parents) == 1 and partial is not node and partial is not node.parents[0]:
                rules.append(["prime"])
            else:
                rules.append(self.rule(partial, node, _DEEPEST_RULE))
        return rules

    def rule(self, partial: Value, node: Value, room: int) -> Any:
        if partial is node:
            return ["out"]
        for operand, parent in enumerate(node.parents):
            if partial is parent:
                return ["operand", operand]
        if partial.op is None:
            return ["number", partial.data]
        if not room:
            return None
        inner = [self.rule(parent, node, room - 1) for parent in partial.parents]
        return None if None in inner else ["op", self.position_of(partial.op, len(inner)), *inner]

    def groups(self) -> list[dict[str, Any]]:
        """Layers, and the neurons in them. A layer of one neuron is not shown beside its neuron."""
        layers = self.scene.groups("layer")
        layer_of = {node: layer for layer in layers for node in layer.nodes}
        found = [neuron for neuron in self.scene.groups("neuron") if neuron.nodes]
        neurons = {neuron: layer_of.get(neuron.nodes[0]) for neuron in found}
        sizes = Counter(neurons.values())
        outer = [layer for layer in layers if sizes[layer] > 1]
        positions: dict[Group | None, int] = {layer: i for i, layer in enumerate(outer)}
        return [
            *[self.group(layer, None) for layer in outer],
            *[self.group(neuron, positions.get(layer)) for neuron, layer in neurons.items()],
        ]

    def group(self, group: Group, parent: int | None) -> dict[str, Any]:
        return {
            "level": group.level,
            "title": group.title,
            "formula": group.formula(),
            "parent": parent,
            "nodes": self.positions(group.nodes),
            "parameters": self.positions(group.parameters),
            "quantities": [
                {"name": name, "symbol": symbol_of(name), "what": attribute, "nodes": self.positions(nodes)}
                for name, attribute, nodes in group.quantities()
            ],
        }


def _describe_op(op: Op) -> dict[str, Any]:
    """How an operation is written: in a box, in a formula, and in a program."""
    built_in = table.TABLE.get(op.name) is op
    template, precedence = infix(op)
    function = next((name for name, f in vars(table).items() if getattr(f, "op", None) is op), None)
    return {
        "name": op.name,
        "sign": symbol(op),
        "symbol": printable(op.symbol),
        "role": op.name if built_in else None,
        "infix": template,
        "precedence": precedence,
        "function": op.name if built_in and op.arity is None else function,
        "sequence": op.arity is None,  # whether that function takes a list
    }


def _translate(counts: dict[Op, set[int]]) -> tuple[str, list[str | None]]:
    """A JavaScript list of the operations' functions, and for each why it has none.

    Args:
        counts: the operations, and the numbers of inputs with which each occurs.
    """
    translation = Translation(JAVASCRIPT)
    entries: list[str] = []
    problems: list[str | None] = []
    for op, several in counts.items():
        try:
            if op is GIVEN:
                raise TranslationError("its local derivatives were given as numbers")
            forward = _by_count({n: translation.forward(op, n) for n in sorted(several)})
            partials = _by_count({n + 1: translation.partials(op, n) for n in sorted(several)})
            entries.append(f"{{ forward: {forward}, partials: {partials} }}")
            problems.append(None)
        except TranslationError as error:
            entries.append("null")
            problems.append(printable(str(error)))
    return f"(() => {{\n{translation.source()}\nreturn [{', '.join(entries)}];\n}})()", problems


def _by_count(functions: dict[int, str]) -> str:
    """One JavaScript function of functions for different numbers of arguments."""
    if len(functions) == 1:
        return next(iter(functions.values()))
    listed = ", ".join([f"{n}: {function}" for n, function in functions.items()])
    return f"((functions) => (...x) => functions[x.length](...x))({{ {listed} }})"
