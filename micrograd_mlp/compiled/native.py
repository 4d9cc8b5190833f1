"""How functions become machine code here: compiled once, kept on disk, not compiled again in callers.

Numba optimises a function anew inside of every function that calls it, which for the large loops of this
package takes minutes. `separately` makes one that is compiled alone and called through its symbol.
"""

from __future__ import annotations

import hashlib
import operator
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import cfunc, extending, njit, types

from micrograd_mlp.engine import table as ops

Function = Callable[..., Any]

# error_model="numpy" divides as IEEE does; "contract" lets a * b + c be one fused instruction.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}
compiled = njit(**OPTIONS)
inlined: Callable[[Function], Function] = njit(**OPTIONS, forceinline=True)
intrinsic: Callable[[Function], Function] = extending.intrinsic


def _fingerprint() -> str:
    names = "elementwise functions interpreter kernels layers native rebuild tape tiles"
    files = [Path(ops.__file__), *[Path(__file__).with_name(f"{name}.py") for name in names.split()]]
    return hashlib.sha256(b"".join([file.read_bytes() for file in files])).hexdigest()[:16]


FINGERPRINT = _fingerprint()
"""Stands in the names of cached functions: when the table or these files change, they are others.
Numba itself looks only at the file that a function is in."""


def named(function: Function) -> Function:
    """The function under a name that Numba's cache finds only as long as nothing has changed."""
    function.__qualname__ = f"{function.__name__}_{FINGERPRINT}"
    return function


_BY_ADDRESS = {"a": types.CPointer(types.float64), "n": types.CPointer(types.int64)}


def separately(kinds: str, **options: Any) -> Callable[[Function], Function]:
    """A function without a result, compiled alone, for callers that are compiled as well.

    Args:
        kinds: for each argument "a", a flat array of floats, "n", one of integers, "i", an integer, or "f",
            a function, as `pointer_to` gives it.
        options: for Numba, instead of `OPTIONS`.
    """

    def decorate(function: Function) -> Function:
        if numba.config.DISABLE_JIT:
            return function
        own = types.void(*[_BY_ADDRESS.get(kind, types.int64) for kind in kinds])
        machine = cfunc(own, cache=True, **(options or OPTIONS))(named(function))
        symbol = f"micrograd_mlp_{function.__qualname__}"
        llvmlite.binding.add_symbol(symbol, machine.address)
        _keep_alive.append(machine)
        callers = types.void(*[types.uintp if kind in _BY_ADDRESS else types.int64 for kind in kinds])
        names = [f"x{k}" for k in range(len(kinds))]
        # A caller may itself have an array (whose address is passed) or an address.
        scope: dict[str, Any] = {"external": types.ExternalFunction(symbol, callers), "address": address}
        passed = [f"address({name})" if kind in _BY_ADDRESS else name for name, kind in zip(names, kinds)]
        exec(f"def call({', '.join(names)}): external({', '.join(passed)})", scope)
        return inlined(scope["call"])

    return decorate


_keep_alive: list[Any] = []


@intrinsic
def address(_context: Any, array: Any) -> Any:
    """Where an array's numbers are, or where a pointer points to, as an integer."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = values[0]
        if isinstance(array, types.Array):
            pointer = context.make_array(array)(context, builder, pointer).data
        return builder.ptrtoint(pointer, context.get_value_type(types.uintp))

    return types.uintp(array), generate


# How threads tell each other how far they are. What was written before `publish` is there after `published`.


def _place(context: Any, builder: Any, array: Any, values: Any) -> Any:
    """Of values[0][values[1]], the first being an array."""
    return builder.gep(context.make_array(array)(context, builder, values[0]).data, [values[1]])


@intrinsic
def _published(_context: Any, array: Any, i: Any) -> Any:
    """array[i], from whatever thread it comes."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load_atomic(_place(context, builder, array, values), "acquire", 8)

    return types.int64(array, types.int64), generate


@intrinsic
def _publish(_context: Any, array: Any, i: Any, number: Any) -> Any:
    """array[i] = number, for all threads."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store_atomic(values[2], _place(context, builder, array, values), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate


@intrinsic
def _ticket(_context: Any, array: Any, i: Any) -> Any:
    """array[i], which then is one more: no two threads get the same."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", _place(context, builder, array, values), one, "acq_rel")

    return types.int64(array, types.int64), generate


_sched_yield = types.ExternalFunction("sched_yield", types.int32())


def _give_way() -> None:
    """Let another thread have this core."""
    _sched_yield()


def _published_in_python(array: Any, i: int) -> int:
    time.sleep(0)
    return int(array[i])


def _ticket_in_python(array: Any, i: int) -> int:
    with _ticket_lock:
        array[i] += 1
        return int(array[i]) - 1


_ticket_lock = threading.Lock()


def _nothing() -> None:
    pass


if numba.config.DISABLE_JIT:
    published: Function = _published_in_python
    publish: Function = operator.setitem
    ticket: Function = _ticket_in_python
    give_way: Function = _nothing
else:
    published, publish, ticket = _published, _publish, _ticket
    give_way = inlined(_nothing if sys.platform == "win32" else _give_way)


# What is not known beforehand, a user's operations and an optimizer's rule, is called by its address.


def pointer_to(machine: Any) -> Any:
    """What stands for a function made by `cfunc` in a call of compiled code."""
    return machine if numba.config.DISABLE_JIT else machine.address


def _caller(kinds: str) -> Function:
    """call(pointer, *arguments), for arguments of these kinds."""

    @intrinsic
    def by_address(_context: Any, pointer: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            i64 = context.get_value_type(types.int64)
            numbers = [builder.extract_value(values[1], k) for k in range(len(kinds))]
            kind = ir.FunctionType(ir.VoidType(), [i64] * len(kinds))
            builder.call(builder.inttoptr(values[0], kind.as_pointer()), numbers)
            return context.get_dummy_value()

        return types.void(types.int64, arguments), generate

    names = [f"x{k}" for k in range(len(kinds))]
    passed = [
        f"int64(address({name}))" if kind in _BY_ADDRESS else f"int64({name})"
        for name, kind in zip(names, kinds)
    ]
    scope = {"by_address": by_address, "address": address, "int64": np.int64}
    exec(f"def call(pointer, {', '.join(names)}): by_address(pointer, ({', '.join(passed)},))", scope)
    if numba.config.DISABLE_JIT:
        return lambda function, *arguments: function(*arguments)
    return inlined(scope["call"])


# operation(status, backward, lanes, rows): see `operations.Operation`.
OPERATION_KINDS = "niia"
OPERATION_SIGNATURE = types.void(
    types.CPointer(types.int64), types.int64, types.int64, types.CPointer(types.float64)
)
call_operation = _caller(OPERATION_KINDS)

# rule(n, theta, gradient, t, state, settings): one step for n parameters, in place.
RULE_SIGNATURE = types.void(
    types.int64, *[types.CPointer(types.float64)] * 2, types.int64, *[types.CPointer(types.float64)] * 2
)
call_rule = _caller("iaaiaa")


def first_line(error: Exception) -> str:
    """What Numba says about a function that it cannot compile, without the long rest."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Failed in")]
    return lines[0].strip() if lines else type(error).__name__
