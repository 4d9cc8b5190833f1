"""ONNX as a language: an expression is the name of a result, and writing one adds a node to the graph.

Runtimes have fewer functions in double precision than ONNX has. The others are computed from those that
they have, by identities that keep the digits; a function for which that is not possible is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import helper

from micrograd_mlp.engine.language import BOOLEAN, NUMBER, Expression, Kind, Language
from micrograd_mlp.engine.translate import Translation, UntranslatableError
from micrograd_mlp.export.languages.onnx_functions import FUNCTIONS
from micrograd_mlp.export.plan import Affine, Elementwise, Plan, Reduction, Ref, Sums, Vector
from micrograd_mlp.export.write import Writer

NODES = {
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "tanh": "Tanh", "fabs": "Abs",
    "floor": "Floor", "ceil": "Ceil", "round": "Round", "pow": "Pow", "power": "Pow", "isnan": "IsNaN",
    "isinf": "IsInf",
}  # fmt: skip
SIGNS = {
    "+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "<": "Less", "<=": "LessOrEqual", ">": "Greater",
    ">=": "GreaterOrEqual", "==": "Equal",
}  # fmt: skip
DOUBLE = onnx.TensorProto.DOUBLE


class Graph:
    """The nodes and the constants so far."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[Any, Any] = {}

    def add(self, node: str, *inputs: Expression, kind: Kind = NUMBER, **attributes: Any) -> Expression:
        """The result of a new node."""
        name = f"v{len(self.nodes) + 1}"
        self.nodes.append(helper.make_node(node, [x.text for x in inputs], [name], **attributes))
        return Expression(name, kind)

    def constant(self, values: Any, shape: Sequence[int] = (), kind: int = DOUBLE) -> Expression:
        """Numbers; each constant is in the file once."""
        key = (repr(values), tuple(shape), kind)
        if key not in self.constants:
            flat = values if isinstance(values, list) else [values]
            self.constants[key] = helper.make_tensor(f"c{len(self.constants) + 1}", kind, list(shape), flat)
        return Expression(self.constants[key].name, BOOLEAN if kind == onnx.TensorProto.BOOL else NUMBER)

    def integers(self, values: Sequence[int]) -> Expression:
        """A list of positions or of axes."""
        return self.constant(list(values), [len(values)], onnx.TensorProto.INT64)


class Onnx(Language):
    """The operators of ONNX, as far as runtimes have them in double precision."""

    name = "ONNX"
    inlines_all = True

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def number(self, value: float) -> Expression:
        if isinstance(value, bool):
            return self.graph.constant(value, kind=onnx.TensorProto.BOOL)
        return self.graph.constant(float(value))

    def negated(self, x: Expression) -> Expression:
        return self.graph.add("Neg", x)

    def compare(self, sign: str, left: Expression, right: Expression) -> Expression:
        if sign == "!=":
            return self.negation(self.compare("==", left, right))
        return self.graph.add(SIGNS[sign], left, right, kind=BOOLEAN)

    def arithmetic(self, sign: str, left: Expression, right: Expression) -> Expression:
        return self.graph.add(SIGNS[sign], left, right)

    def logical(self, word: str, conditions: Sequence[Expression]) -> Expression:
        result = conditions[0]
        for condition in conditions[1:]:
            result = self.graph.add(word.capitalize(), result, condition, kind=BOOLEAN)
        return result

    def negation(self, condition: Expression) -> Expression:
        return self.graph.add("Not", condition, kind=BOOLEAN)

    def select(self, condition: Expression, yes: Expression, no: Expression) -> Expression:
        return self.graph.add("Where", condition, yes, no, kind=yes.kind)


class OnnxTranslation(Translation):
    """Words become nodes, and functions that no node computes become several."""

    language: Onnx

    def word(self, name: str, arguments: Sequence[Expression], node: Any, kind: Kind = NUMBER) -> Expression:
        if name in NODES:
            return self.language.graph.add(NODES[name], *arguments, kind=kind)
        if name == "fmod":
            return self.language.graph.add("Mod", *arguments, fmod=1)
        if name not in FUNCTIONS:
            raise UntranslatableError(node, f"{self.language.name} has no {name} in double precision")
        return self.expanded(FUNCTIONS[name], arguments)


class OnnxWriter(Writer):
    """The steps of a plan as nodes on arrays of shape (batch, elements)."""

    def __init__(self, plan: Plan) -> None:
        self.graph = Graph()
        self.plan, self.language = plan, Onnx(self.graph)
        self.translation = OnnxTranslation(self.language)
        self.places: dict[Vector, Expression] = {vector: Expression(vector.name) for vector in plan.inputs}

    def at(self, ref: Ref) -> Expression:
        """An operand as an array."""
        constants = ref.constants
        if constants is not None:
            return self.graph.constant(constants, [len(constants)])
        parts = []
        for vector, positions in ref.pieces:
            if vector.role == "constant":
                values = [vector.values[p] for p in positions]
                parts.append(self.graph.constant(values, [len(values)]))
            elif vector.role == "parameter":
                numbers = [self.theta[vector.at[p]] for p in positions]
                parts.append(self.graph.constant(numbers, [len(numbers)]))
            elif positions == tuple(range(len(vector))):
                parts.append(self.places[vector])
            else:
                parts.append(
                    self.graph.add("Gather", self.places[vector], self.graph.integers(positions), axis=-1)
                )
        if len(parts) == 1:
            return parts[0]
        if ref.varying:
            parts = [
                part if vector.varying else self._for_batch(part, len(positions))
                for part, (vector, positions) in zip(parts, ref.pieces)
            ]
        return self.graph.add("Concat", *parts, axis=-1)

    def _for_batch(self, part: Expression, n: int) -> Expression:
        """An array with a copy for every example."""
        shape = self.graph.add("Shape", Expression("x"))
        batch = self.graph.add("Gather", shape, self.graph.integers([0]))
        size = self.graph.add("Concat", batch, self.graph.integers([n]), axis=0)
        return self.graph.add("Expand", part, size)

    def affine(self, step: Affine) -> None:
        rows, columns = len(step.out), len(step.inputs)
        W = self.graph.add("Reshape", self.at(step.weights), self.graph.integers([rows, columns]))
        biases = [self.at(step.biases)] if step.biases else []
        self.places[step.out] = self.graph.add("Gemm", self.at(step.inputs), W, *biases, transB=1)

    def elementwise(self, step: Elementwise) -> None:
        self.places[step.out] = self.translation.value(step.op, [self.at(ref) for ref in step.operands])

    def _rows(self, ref: Ref, count: int) -> Expression:
        """An operand with one row of inputs for each of `count` results."""
        shape = [*([-1] if ref.varying else []), count, len(ref) // count]
        return self.graph.add("Reshape", self.at(ref), self.graph.integers(shape))

    def sums(self, step: Sums) -> None:
        parts = []
        for refs in step.factors:
            rows = [self._rows(ref, len(step.out)) for ref in refs]
            product = rows[0] if len(rows) == 1 else self.graph.add("Mul", *rows)
            parts.append(self.graph.add("ReduceSum", product, self.graph.integers([-1]), keepdims=0))
        self.places[step.out] = parts[0] if len(parts) == 1 else self.graph.add("Add", *parts)

    def reduction(self, step: Reduction) -> None:
        count = len(step.out)
        inputs = []
        for k in range(step.arity):
            places = range(k, count * step.arity, step.arity)
            numbers = [(vector, p) for vector, positions in step.operands.pieces for p in positions]
            inputs.append(self.at(Ref(tuple([(numbers[i][0], (numbers[i][1],)) for i in places]))))
        self.places[step.out] = self.translation.value(step.op, inputs)

    def model(self) -> Any:
        """The whole file as a protocol buffer."""
        plan = self.plan
        self.theta = [value.data for value in plan.values]
        self.forward(plan.steps)
        if not plan.outputs.varying:
            raise ValueError("the program's predictions do not depend on x, so there is nothing to predict")
        self.graph.nodes.append(helper.make_node("Identity", [self.at(plan.outputs).text], ["y"]))
        constants = list(self.graph.constants.values())
        return make_model("program", self.graph.nodes, constants, len(plan.inputs[0]), len(plan.outputs))


def make_model(name: str, nodes: list[Any], constants: list[Any], n_inputs: int, n_outputs: int) -> Any:
    """A file that computes "y" from "x", as a protocol buffer."""
    x = helper.make_tensor_value_info("x", DOUBLE, ["batch", n_inputs])
    y = helper.make_tensor_value_info("y", DOUBLE, ["batch", n_outputs])
    graph = helper.make_graph(nodes, name, [x], [y], constants)
    opsets = [helper.make_opsetid("", 15)]  # of 2021, which runtimes old and new read
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="micrograd_mlp")
