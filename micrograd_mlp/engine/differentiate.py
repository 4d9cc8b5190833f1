"""Derivatives as results: `grad`, which can be differentiated again, and `hessian` (§6, §7, §11)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, overload

from micrograd_mlp.engine.modes import mode, modes
from micrograd_mlp.engine.op import TABLE, Op
from micrograd_mlp.engine.value import Chosen, Value, constant, describe


@overload
def grad(output: Value, inputs: Iterable[Value], create_graph: Literal[False] = ...) -> list[float]: ...
@overload
def grad(output: Value, inputs: Iterable[Value], create_graph: bool) -> list[Any]: ...
def grad(output: Value, inputs: Iterable[Value], create_graph: bool = False) -> list[Any]:
    """∂(output)/∂(input) for every input, leaving all `.grad` alone.

    Args:
        output: what is differentiated.
        inputs: Values, leaves or interior ones. One that the output does not depend on gives 0.
        create_graph: return Values instead of floats, which can be differentiated again.

    Raises:
        RuntimeError: under `no_grad()`; or with `create_graph`, when a `.data` was changed after the
            output was computed, so that the graph no longer says where its numbers came from.
        TypeError: output or inputs are not Values.

    >>> x = Value(3.0)
    >>> [slope] = grad(x**3, [x], create_graph=True)
    >>> slope.data, grad(slope, [x])
    (27.0, [18.0])
    """
    inputs = _required_values(output, inputs)
    if not modes.get().recording:
        raise RuntimeError("grad() under no_grad(): leave the block first, it records no graph")
    order = output.topological_order()
    relevant = set(inputs)
    for node in order:
        if not relevant.isdisjoint(node.parents):
            relevant.add(node)
    adjoints: dict[Value, Any] = {output: constant(1.0) if create_graph else 1.0}
    for node in reversed(order):
        if node not in relevant:
            continue
        adjoint = adjoints[node]
        local_grads = _local_grads_as_graph(node) if create_graph else node.local_grads
        for parent, local_grad in zip(node.parents, local_grads):
            if parent in relevant:
                contribution = local_grad * adjoint
                adjoints[parent] = adjoints[parent] + contribution if parent in adjoints else contribution
    nothing = constant(0.0) if create_graph else 0.0
    return [adjoints.get(x, nothing) for x in inputs]


def hessian(output: Value, inputs: Iterable[Value]) -> list[list[float]]:
    """∂²(output)/∂(input i)∂(input j), row i and column j: the gradient of the gradient.

    Raises:
        RuntimeError, TypeError: as `grad`.

    >>> x, y = Value(2.0), Value(5.0)
    >>> hessian(x**2 * y, [x, y])
    [[10.0, 4.0], [4.0, 0.0]]
    """
    inputs = _required_values(output, inputs)
    return [grad(slope, inputs) for slope in grad(output, inputs, create_graph=True)]


def _required_values(output: Any, inputs: Any) -> list[Value]:
    """The inputs as a list, which a generator gives only once."""
    if isinstance(output, list | tuple):
        raise TypeError(f"output must be one Value, got {output!r:.60}: add them up first, total(outputs)")
    if not isinstance(output, Value):
        raise TypeError(f"output must be a Value, got {output!r:.60}")
    several: list[Any] = list(inputs) if hasattr(inputs, "__iter__") else [None]
    if not all(isinstance(x, Value) for x in several):
        raise TypeError(f"inputs must be a list of Values, got {inputs!r:.60}")
    return several


def _local_grads_as_graph(node: Value) -> Sequence[Value | float]:
    """The local derivatives again, this time as expressions in the parents."""
    if node.op is None:
        return ()
    expressions: tuple[Value | float, ...] = node.op.partials(node, *node.parents)
    if _chooses(node):  # such a number, as in ReLU', belongs to where the leaves are now
        expressions = tuple([x if isinstance(x, Value) else Chosen(x) for x in expressions])
    for parent, expression, recorded in zip(node.parents, expressions, node.local_grads):
        number = expression._data if isinstance(expression, Value) else expression
        unchanged = number == recorded or number != number or math.isclose(number, recorded, rel_tol=1e-9)
        if not unchanged:
            raise RuntimeError(
                f"∂({node.op.name})/∂({describe(parent)}) was {recorded!r} in the forward pass and is "
                f"{number!r} now: some .data was changed in between. Compute the output again first"
            )
    return expressions


_CHOOSES: dict[Op, bool] = {}


def _chooses(node: Value) -> bool:
    """Whether the derivatives of its operation compare Values, and so depend on a branch."""
    op = node.op
    assert op is not None
    known = _CHOOSES.get(op)
    if known is None:
        branches: list[str] = []
        with mode(branches=branches, tracing=False):
            op.partials(node, *node.parents)
        known = bool(branches)
        if TABLE.get(op.name) is op:
            _CHOOSES[op] = known
    return known
