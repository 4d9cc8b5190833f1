"""Record the graph of one example as a list of numbered operations.

`f` is called once with placeholder Values. The graph that it records is copied into a `Graph`, in
topological order, so that the number of an operand is below that of its node. Three things happen on the way:
operations on constants alone are folded into one constant, the same operation on the same operands
is recorded once, and operations that do nothing (x + 0, x · 1) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from micrograd_mlp._require import is_sequence
from micrograd_mlp.engine import table as ops
from micrograd_mlp.engine.micrograd import GIVEN
from micrograd_mlp.engine.modes import mode
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.value import Constant, Value

ADD, SUB, MUL, DIV, POW, EXP, TOTAL, DOT, LOGSUMEXP = [
    ops.TABLE[name] for name in ("add", "sub", "mul", "div", "pow", "exp", "total", "dot", "logsumexp")
]


@dataclass
class Graph:
    """The operations that lead from inputs and parameters to the outputs, numbered from 0.

    The first numbers are the inputs (of x, then of y), then the parameters; they have no operands.

    Attributes:
        operators: for each number its Op, or None for a leaf.
        operands: for each number the numbers that it is computed from.
        n_inputs: how many inputs an example has.
        parameters: the Values that gradients are wanted for.
        captured: other leaves, by number: Values that `f` uses and that are no parameters.
        constants: plain numbers in the graph, by number.
        outputs: the numbers of what `f` returned.
        others: leaves that `f` uses or reads and that are neither inputs nor parameters.
        recorded: what was returned then, as plain numbers.
        n_recorded: how many operations `f` recorded, before anything was shared or folded.
        n_pairs: for each node that `passes` made a sum of products, how many products it has.
        labels: what `f` called the results of operations.
    """

    n_inputs: int
    parameters: list[Value]
    operators: list[Op | None]
    operands: list[tuple[int, ...]]
    outputs: list[int] = field(default_factory=list)
    recorded: list[float] = field(default_factory=list)
    captured: dict[int, Value] = field(default_factory=dict)
    constants: dict[int, float] = field(default_factory=dict)
    others: list[Value] = field(default_factory=list)
    n_recorded: int = 0
    n_pairs: dict[int, int] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)

    @property
    def parameter_numbers(self) -> range:
        """The numbers of the parameters."""
        return range(self.n_inputs, self.n_inputs + len(self.parameters))

    def enter(self, op: Op | None, operands: tuple[int, ...]) -> int:
        """Add an operation, or a leaf, at the end; returns its number."""
        self.operators.append(op)
        self.operands.append(operands)
        return len(self.operators) - 1

    def uses_parameters(self) -> bool:
        """Whether a parameter is in the graph at all."""
        return not set(chain(self.outputs, *self.operands)).isdisjoint(self.parameter_numbers)


def placeholders(row: Any, label: str) -> Value | list[Value]:
    """Values with the numbers of one example: a list for a row of numbers, one Value for a single number."""
    if is_sequence(row):
        return [Value(number, f"{label}[{k}]") for k, number in enumerate(row, start=1)]
    return Value(row, label)


def call(f: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """What `f` returns: one Value or a list of them."""
    result = f(*arguments)
    if isinstance(result, Value):
        return result
    if isinstance(result, (list, tuple)) and result and all(isinstance(v, Value) for v in result):
        return list(result)
    raise TypeError(
        f"f returned {result!r:.60} of type {type(result).__name__}, expected a Value or a list of Values: "
        "write it with Values and the functions of micrograd_mlp"
    )


def trace(
    f: Callable[..., Any], arguments: Sequence[Value | list[Value]], parameters: Sequence[Value]
) -> tuple[Graph, bool]:
    """The graph that `f` records for these arguments, and whether it returns a list.

    Raises:
        TypeError: `f` compares or branches on a Value, or does not return Values.
        RuntimeError: a node was made by Value(data, children, local_grads).
    """
    inputs = [v for argument in arguments for v in (argument if isinstance(argument, list) else [argument])]
    leaves = [*inputs, *parameters]
    reads: list[Value] = []
    with mode(tracing=True, recording=True, anomalies=None, reads=reads):
        result = call(f, arguments)
    outputs = result if isinstance(result, list) else [result]
    graph = Graph(len(inputs), list(parameters), [None] * len(leaves), [()] * len(leaves))
    number = dict(zip(leaves, range(len(leaves))))
    _copy(_topological_order(outputs), number, graph)
    graph.outputs = [number[output] for output in outputs]
    graph.recorded = [output._data for output in outputs]
    graph.others = _other_leaves([*graph.captured.values(), *reads], leaves)
    return graph, isinstance(result, list)


def _other_leaves(nodes: list[Value], known: list[Value]) -> list[Value]:
    """What these nodes were computed from, besides plain numbers and what is known."""
    left_out = set(known)
    order = _topological_order(list(dict.fromkeys(nodes)))
    return [x for x in order if not (x.parents or isinstance(x, Constant) or x in left_out)]


def _topological_order(outputs: list[Value]) -> list[Value]:
    with mode(recording=True, anomalies=None):
        return Value._record(TOTAL, outputs).topological_order()[:-1]


def _copy(order: list[Value], number: dict[Value, int], graph: Graph) -> None:
    """Enter the nodes in the graph, and their numbers in `number`."""
    constants = graph.constants
    are_constants = constants.keys()
    seen: dict[Any, int] = {}  # an operation with its operands, or a constant -> its number
    for node in order:
        op = node.op
        if op is None:
            if node not in number:
                number[node] = _leaf(node, graph, seen)
            continue
        if op is GIVEN:
            GIVEN.forward()  # raises: such a node cannot be computed from other numbers
        graph.n_recorded += 1
        operands = tuple([number[parent] for parent in node.parents])
        key = op, operands
        known = seen.get(key)
        if known is None and not are_constants.isdisjoint(operands):
            if are_constants >= set(operands):
                known = _constant(node._data, graph, seen)
            elif op is POW and constants.get(operands[1]) == 2.0:
                op, operands = MUL, (operands[0], operands[0])
            else:
                known = _same_as_operand(op, operands, constants)
        if known is None:
            known = seen[key] = graph.enter(op, operands)
            if node.label is not None:
                graph.labels[known] = node.label
        number[node] = known


def _leaf(node: Value, graph: Graph, seen: dict[Any, int]) -> int:
    """The number of a constant, or of a Value that is neither an input nor a parameter."""
    if isinstance(node, Constant):
        return _constant(node._data, graph, seen)
    number = graph.enter(None, ())
    graph.captured[number] = node
    return number


def _constant(data: float, graph: Graph, seen: dict[Any, int]) -> int:
    """The number of a constant, which is in the graph once."""
    key = data, str(data)  # 0.0 and -0.0 are equal but differ
    if key not in seen:
        seen[key] = graph.enter(None, ())
        graph.constants[seen[key]] = data
    return seen[key]


def _same_as_operand(op: Op, operands: tuple[int, ...], constants: dict[int, float]) -> int | None:
    """x for x - 0, x · 1, 1 · x, x / 1 and x¹. Not for x + 0, which is 0 where x is -0.0."""
    if len(operands) != 2:
        return None
    left, right = operands
    if op is SUB and str(constants.get(right)) == "0.0":
        return left
    if op in (MUL, DIV, POW) and constants.get(right) == 1.0:
        return left
    return right if op is MUL and constants.get(left) == 1.0 else None
