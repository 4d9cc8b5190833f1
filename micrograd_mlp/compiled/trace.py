"""Record the graph of one example as a list of numbered operations.

`f` is called once with placeholder Values; the graph that it records is copied into a `Graph`, in
topological order, so an operand's number is below its node's. Three things happen on the way:
operations on constants alone are folded into one constant, the same operation on the same operands
is recorded once, and what does nothing (x + 0, x · 1) is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from micrograd_mlp._require import is_sequence
from micrograd_mlp.engine import table as ops
from micrograd_mlp.engine.modes import mode as _mode
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
        n_inputs: how many leaves differ from example to example.
        parameters: the Values that gradients are wanted for.
        captured: other leaves by number: Values that `f` uses but was not told to differentiate.
        constants: plain numbers by number.
        outputs: what `f` returned.
        n_recorded: how many operations `f` recorded, before anything was shared or folded.
        n_pairs: for a node that `passes` made a sum of products, how many products.
    """

    n_inputs: int
    parameters: list[Value]
    operators: list[Op | None]
    operands: list[tuple[int, ...]]
    outputs: list[int] = field(default_factory=list)
    captured: dict[int, Value] = field(default_factory=dict)
    constants: dict[int, float] = field(default_factory=dict)
    n_recorded: int = 0
    n_pairs: dict[int, int] = field(default_factory=dict)


def placeholders(row: Any, label: str) -> Value | list[Value]:
    """Values with one example's numbers: a list for a row, one Value for a number."""
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
    """
    inputs = [v for argument in arguments for v in (argument if isinstance(argument, list) else [argument])]
    leaves = [*inputs, *parameters]
    with _mode(tracing=True, recording=True, anomalies=None):
        result = call(f, arguments)
        outputs = result if isinstance(result, list) else [result]
        order = (
            outputs[0].topological_order()
            if len(outputs) == 1
            else Value._record(TOTAL, outputs).topological_order()[:-1]
        )
    graph = Graph(len(inputs), list(parameters), [None] * len(leaves), [()] * len(leaves))
    number = dict(zip(leaves, range(len(leaves))))
    _copy(order, number, graph)
    graph.outputs = [number[output] for output in outputs]
    return graph, isinstance(result, list)


def _copy(order: list[Value], number: dict[Value, int], graph: Graph) -> None:
    operators, operands, constants = graph.operators, graph.operands, graph.constants
    seen: dict[Any, int] = {}  # an operation with its operands, or a constant -> its number

    def constant(data: float) -> int:
        key = (data, str(data))  # 0.0 and -0.0 are equal but differ
        if key not in seen:
            seen[key] = len(operators)
            constants[len(operators)] = data
            operators.append(None)
            operands.append(())
        return seen[key]

    for node in order:
        op = node.op
        if op is None:
            if node in number:
                continue
            if isinstance(node, Constant):
                number[node] = constant(node._data)
            else:
                number[node] = len(operators)
                graph.captured[len(operators)] = node
                operators.append(None)
                operands.append(())
            continue
        graph.n_recorded += 1
        key = (op, tuple([number[parent] for parent in node.parents]))
        known = seen.get(key)
        if known is not None:
            number[node] = known
            continue
        mine = key[1]
        if not constants.keys().isdisjoint(mine):
            if all(operand in constants for operand in mine):
                number[node] = constant(node._data)
                continue
            same = _same_as_operand(op, mine, constants)
            if same is not None:
                number[node] = same
                continue
            if op is POW and constants.get(mine[1]) == 2.0:
                op, mine = MUL, (mine[0], mine[0])
        number[node] = seen[key] = len(operators)
        operators.append(op)
        operands.append(mine)


def _same_as_operand(op: Op, operands: tuple[int, ...], constants: dict[int, float]) -> int | None:
    """x for x + 0, 0 + x, x - 0, x · 1, 1 · x, x / 1 and x¹."""
    if len(operands) != 2:
        return None
    left, right = operands
    neutral = 0.0 if op is ADD or op is SUB else 1.0
    if op in (ADD, SUB, MUL, DIV, POW) and constants.get(right) == neutral:
        return left
    if op in (ADD, MUL) and constants.get(left) == neutral:
        return right
    return None
