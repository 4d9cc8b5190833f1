"""Operations without machine code of their own: a user's, and those of the table with more than two inputs.

Each is compiled on demand as a loop over the lanes of a block and is called through its address. Any
Python function of floats is allowed: what Numba cannot compile is called back in Python, lane by lane.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from micrograd_mlp.compiled.native import (
    IS_NATIVE,
    Floats,
    Function,
    Integers,
    Lock,
    by_address,
    entry,
    first_line,
)
from micrograd_mlp.compiled.rebuild import Rebuilder, source_key, takes_list
from micrograd_mlp.engine.modes import mode
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.value import Value

FAILED = 1  # the status of an operation that raised an error

_CALLBACK = ctypes.CFUNCTYPE(
    None,
    ctypes.POINTER(ctypes.c_int64),
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.POINTER(ctypes.c_double),
)


def _signature(status: Integers, backward: int, lanes: int, rows: Floats) -> None: ...


call_operation = by_address(_signature)


class Operation:
    """An operation with so many inputs, as a function that machine code can call.

    The function is `operation(status, backward, lanes, rows)`. Its rows of lanes are the n inputs and then
    the output, which the forward pass fills in. In the backward pass the adjoint of the output follows, and
    then n rows that are filled with what each input receives. If the op raises an error, status[0]
    becomes FAILED and the inputs of that lane are copied to the front of `rows`.

    Attributes:
        op: the record.
        n: the number of inputs.
        in_python: why the operation is called back in Python; None if it is compiled.
        entry: for `native.address_of`.
        errors: what was raised in Python and not passed on yet.
    """

    def __init__(self, op: Op, n: int) -> None:
        self.op, self.n = op, n
        self.in_python: str | None = None
        self.errors: list[BaseException] = []
        self.entry: Any = self._in_python
        if IS_NATIVE:
            machine, self.in_python = _compiled(op, n)
            self.entry = machine or _Callback(self._in_python)

    def raise_error(self, inputs: list[float]) -> None:
        """Raise the error that the op raised, or else raises for these inputs when it is computed eagerly."""
        if self.errors:
            raise self.errors.pop()
        _eagerly(self.op, inputs, recording=True)
        raise RuntimeError(f"op {self.op.name!r} failed in machine code for the inputs {inputs!r:.60}")

    def _in_python(self, status: Any, backward: int, lanes: int, rows: Any) -> None:
        """The operation as a loop over lanes in Python."""
        n = self.n
        size = lanes * (2 * n + 2)
        if not isinstance(rows, np.ndarray):  # an address, which machine code passes
            rows = np.ctypeslib.as_array(rows, (size,))
        table = rows[:size].reshape(2 * n + 2, lanes)
        for lane in range(lanes):
            inputs = table[:n, lane].tolist()
            try:
                node = _eagerly(self.op, inputs, recording=bool(backward))
                if backward:
                    table[n + 2 :, lane] = table[n + 1, lane] * np.array(node.local_grads)
                else:
                    table[n, lane] = node.data
            except BaseException as error:  # Ctrl-C too: machine code would ignore it
                self.errors.append(error)
                status[0] = FAILED
                return


def _eagerly(op: Op, inputs: list[float], recording: bool) -> Value:
    with mode(recording=recording, tracing=False, anomalies=None):
        node: Value = op(*[Value(x) for x in inputs])
        return node


class _Callback:
    """A Python function that machine code can call, with the attribute that `cfunc` gives."""

    def __init__(self, operation: Function) -> None:
        self._callback = _CALLBACK(operation)
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value


def _compiled(op: Op, n: int) -> tuple[Any, str | None]:
    """The operation in machine code, shared by operations of equal source; or why there is none."""
    key = n, source_key(op.forward), source_key(op.partials)
    with _lock:
        if key not in _known:
            try:
                _known[key] = entry(_loop(op, n), _signature), None
            except Exception as error:  # Numba has no common class for what it cannot compile
                _known[key] = None, first_line(error)
        return _known[key]


_known: dict[Any, tuple[Any, str | None]] = {}
_lock = Lock()


def _loop(op: Op, n: int) -> Function:
    """The operation as a loop over lanes, for Numba."""
    rebuilder = Rebuilder()
    inputs = [f"rows[{j} * lanes + lane]" for j in range(n)]
    forward = _call("forward", op.forward, inputs)
    partials = _call("partials", op.partials, [f"rows[{n} * lanes + lane]", *inputs])
    # The elements of a tuple may differ in type, so that they have to be spelled out.
    shares = "; ".join([f"rows[{n + 2 + j} * lanes + lane] = p[{j}] * g" for j in range(n)])
    if takes_list(op.partials):
        shares = "for j in range(n): rows[(n + 2 + j) * lanes + lane] = p[j] * g"
    text = f"""
def operation(status, backward, lanes, rows):
    n, failed = {n}, 0
    try:
        for lane in range(lanes):
            failed = lane
            if backward:
                p, g = {partials}, rows[(n + 1) * lanes + lane]
                if len(p) != n:
                    raise ValueError
                {shares}
            else:
                rows[n * lanes + lane] = {forward}
    except Exception:
        status[0] = {FAILED}
        for j in range(n):
            rows[j] = rows[j * lanes + failed]
"""
    scope: dict[str, Any] = {"forward": rebuilder.forward(op), "partials": rebuilder.partials(op)}
    exec(text, scope)
    operation: Function = scope["operation"]
    return operation


def _call(name: str, function: Function, arguments: list[str]) -> str:
    """The text of a call: what `*args` would take is passed as one list."""
    if takes_list(function):
        n_apart = function.__code__.co_argcount
        apart, n_listed = arguments[:n_apart], len(arguments) - n_apart
        first = 1 if name == "partials" else 0  # the output, which is no input
        arguments = [*apart, f"[rows[(j + {n_apart - first}) * lanes + lane] for j in range({n_listed})]"]
    return f"{name}({', '.join(arguments)})"
