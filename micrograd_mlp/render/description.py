"""The scene as the scripts of the page read it: plain lists, and the operations' functions in JavaScript.

Nodes go by their position in topological order, operations and rules by their position in lists. A rule is
a local derivative as a formula, such as cos(x); the page writes the chain rule with it.
"""

from __future__ import annotations

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


def describe(scene: Scene) -> tuple[dict[str, Any], str]:
    """Nodes, operations, rules and groups as data for JSON, and JavaScript for the operations."""
    index = {node: i for i, node in enumerate(scene.order)}
    ops, rules = _Interned(), _Interned()
    nodes = [_describe_node(scene, node, index, ops, rules) for node in scene.order]
    functions, problems = _translate(ops.items)
    for node, described in zip(scene.order, nodes):
        if described["op"] is not None and problems[described["op"]]:
            described["locals"] = node.local_grads  # the page can't compute them
    data = {
        "title": scene.name(scene.output),
        "palette": {what: colours._asdict() for what, colours in PALETTE.items()},
        "nodes": nodes,
        "partials": rules.items,
        "ops": [_describe_op(op) | {"problem": problem} for op, problem in zip(ops.items, problems)],
        "groups": _describe_groups(scene, index),
    }
    return data, functions


def _describe_node(
    scene: Scene, node: Value, index: dict[Value, int], ops: _Interned, rules: _Interned
) -> dict[str, Any]:
    name = scene.names[node]
    op = node.op
    plain_number = isinstance(node, Constant) and not node.label  # whose name is its number
    return {
        "name": None if plain_number else str(name),
        "label": node.label or None,
        "symbol": None if plain_number else symbol_of(name.label, name.occurrence),
        "kind": kind(node),
        "data": node.data,
        "op": None if op is None else ops.add(op),
        "parents": [index[parent] for parent in node.parents],
        "partials": None if op is None else rules.add(_rules(node, ops)),
    }


class _Interned:
    """A list of different things, and the position of each."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._positions: dict[Any, int] = {}

    def add(self, item: Any) -> int:
        key = item if isinstance(item, Op) else repr(item)
        if key not in self._positions:
            self._positions[key] = len(self.items)
            self.items.append(item)
        return self._positions[key]


_DEEPEST_RULE = 6  # operations within operations; the page shows a deeper rule as its number


def _rules(node: Value, ops: _Interned) -> list[Any]:
    """For each operand the local derivative as a formula; None where the rule gives a plain number."""
    rules: list[Any] = []
    for partial in partials_as_graph(node):
        single = len(node.parents) == 1 and partial is not node and partial is not node.parents[0]
        if not isinstance(partial, Value):
            rules.append(None)
        elif single:
            rules.append(["prime"])
        else:
            rules.append(_rule(partial, node, ops, _DEEPEST_RULE))
    return rules


def _rule(partial: Value, node: Value, ops: _Interned, room: int) -> Any:
    if partial is node:
        return ["out"]
    for operand, parent in enumerate(node.parents):
        if partial is parent:
            return ["operand", operand]
    if partial.op is None:
        return ["number", partial.data]
    if not room:
        return None
    inner = [_rule(parent, node, ops, room - 1) for parent in partial.parents]
    return None if None in inner else ["op", ops.add(partial.op), *inner]


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


def _describe_groups(scene: Scene, index: dict[Value, int]) -> list[dict[str, Any]]:
    """Layers, and the neurons in them. A layer of one neuron is no more than its neuron."""
    layers = scene.groups("layer")
    layer_of = {node: layer for layer in layers for node in layer.nodes}
    neurons = [neuron for neuron in scene.groups("neuron") if neuron.nodes]
    sizes = Counter(layer_of.get(neuron.nodes[0]) for neuron in neurons)
    outer = [layer for layer in layers if sizes[layer] > 1]
    positions: dict[Any, int] = {layer: i for i, layer in enumerate(outer)}
    return [_describe_group(layer, index, None) for layer in outer] + [
        _describe_group(neuron, index, positions.get(layer_of.get(neuron.nodes[0]))) for neuron in neurons
    ]


def _describe_group(group: Group, index: dict[Value, int], parent: int | None) -> dict[str, Any]:
    return {
        "level": group.level,
        "title": group.title,
        "formula": group.formula(),
        "parent": parent,
        "nodes": [index[node] for node in group.nodes],
        "parameters": [index[node] for node in group.parameters],
        "quantities": [
            {
                "name": name,
                "symbol": symbol_of(name),
                "what": attribute,
                "nodes": [index[node] for node in nodes],
            }
            for name, attribute, nodes in group.quantities()
        ],
    }


def _translate(ops: Iterable[Op]) -> tuple[str, list[str | None]]:
    """A JavaScript list of the operations' functions, and for each why it has none."""
    translation = Translation(JAVASCRIPT)
    entries: list[str] = []
    problems: list[str | None] = []
    for op in ops:
        try:
            if op is GIVEN:
                raise TranslationError("its local derivatives were given as numbers")
            entries.append(f"{{ forward: {translation.forward(op)}, partials: {translation.partials(op)} }}")
            problems.append(None)
        except TranslationError as error:
            entries.append("null")
            problems.append(printable(str(error)))
    return f"(() => {{\n{translation.source()}\nreturn [{', '.join(entries)}];\n}})()", problems
