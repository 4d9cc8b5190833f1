"""How functions become machine code: the only file that knows about Numba's and LLVM's inner workings.

Numba optimises a function anew inside every function that calls it, which takes minutes for the large loops
of this package. `separately` makes a function that is compiled alone, kept on disk and called through its
symbol; nothing is compiled before `load` is called. With NUMBA_DISABLE_JIT=1 everything runs as Python, for
tests that step through it; each helper below then has a Python version.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import extending, njit, types
from numba.core import cgutils, sigutils
from numba.core.caching import IndexDataCacheFile
from numba.core.ccallback import CFunc
from numpy.typing import NDArray

from micrograd_mlp.engine import op, table

Function = Callable[..., Any]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

IS_NATIVE = not numba.config.DISABLE_JIT
# error_model="numpy" divides as IEEE does; "contract" lets a * b + c be one fused instruction.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}
compiled = njit(**OPTIONS)
inlined: Callable[[Function], Function] = njit(**OPTIONS, forceinline=True)
unfused: Callable[[Function], Function] = njit(error_model="numpy", fastmath=False, forceinline=True)
uncounted: Callable[[Function], Function] = njit(**OPTIONS, forceinline=True, _nrt=False)


def _fingerprint() -> str:
    files = [
        Path(op.__file__),
        *Path(table.__file__).parent.glob("*.py"),
        *Path(__file__).parent.glob("*.py"),
    ]
    return hashlib.sha256(b"".join([file.read_bytes() for file in sorted(files)])).hexdigest()[:16]


FINGERPRINT = _fingerprint()
"""Part of the names of cached functions: when the table or these files change, the names change too.
Numba's cache itself looks only at the file that a function is in."""


def named(function: Function) -> Function:
    """The function under a name that Numba's cache finds only as long as nothing has changed."""
    function.__qualname__ = f"{function.__name__}_{FINGERPRINT}"
    return function


def cached(function: Function) -> Function:
    """Compile a function that Python calls; it runs without Python's global lock and is kept on disk.

    All calls have to pass arguments of the same types: Numba's own dispatch takes 10 µs to find that out.
    """
    if not IS_NATIVE:
        return function
    dispatcher: Any = njit(**OPTIONS, nogil=True, _nrt=False)(named(function))
    machine: list[Function] = []

    def call(*arguments: Any) -> None:
        if not machine:
            _keep_on_disk(dispatcher)
            dispatcher.compile(tuple([numba.typeof(argument) for argument in arguments]))
            machine.extend([result.entry_point for result in dispatcher.overloads.values()])
        machine[0](*arguments)

    return call


def _keep_on_disk(machine: Any) -> None:
    """Let Numba keep the code on disk, unless no folder for that can be written."""
    try:
        machine.enable_caching()
    except RuntimeError:  # "no locator available": a read-only installation without a HOME
        return
    machine._cache._cache_file.__class__ = _CheckedFile


class _CheckedFile(IndexDataCacheFile):  # type: ignore[misc]  # Numba has no types
    """Numba's file of machine code with a checksum: what is damaged is compiled again, and not executed."""

    def save(self, key: Any, data: Any) -> None:
        with contextlib.suppress(OSError):  # a full disk: the next process compiles again
            super().save(key, data)

    def _load_index(self) -> Any:
        try:
            return super()._load_index()
        except Exception:  # a damaged pickle may raise anything
            return {}

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            raise OSError(f"{name} is damaged")  # Numba takes it for missing
        return pickle.loads(content[32:])

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(content).digest() + content)


def _compiled_alone(function: Function, kinds: list[Any], options: dict[str, Any], keep: bool) -> Any:
    """What Numba's decorator `cfunc` makes."""
    machine = CFunc(function, sigutils.normalize_signature(types.void(*kinds)), locals={}, options=options)
    if keep:
        _keep_on_disk(machine)
    machine.compile()
    return machine


class Lock:
    """A lock that a thread may take again, and that is free in a process forked while it was held."""

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():
            self._renew()
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings about inf and nan, which NumPy gives where Python runs instead of machine code."""
    with contextlib.nullcontext() if IS_NATIVE else np.errstate(all="ignore"):
        yield


# Types of arguments are read from annotations. An array arrives as the address of its numbers; a NamedTuple
# of arrays and integers is passed by value.


def _machine_type(annotation: Any) -> Any:
    if hasattr(annotation, "_fields"):
        fields = get_type_hints(annotation)
        return types.NamedTuple([_machine_type(fields[name]) for name in annotation._fields], annotation)
    return _MACHINE_TYPES[annotation]


_MACHINE_TYPES = {
    Floats: types.CPointer(types.float64), Integers: types.CPointer(types.int64),
    int: types.int64, float: types.float64,
}  # fmt: skip


def _machine_types(function: Function) -> list[Any]:
    hints = get_type_hints(function)
    return [_machine_type(hints[name]) for name in function.__code__.co_varnames[: len(hints) - 1]]


def separately(function: Function, **options: Any) -> Function:
    """Compile a function without a result alone, for callers that are compiled as well.

    Args:
        function: all of its arguments are annotated, and so is the result None.
        options: for Numba, instead of `OPTIONS`.
    """
    if not IS_NATIVE:
        return function
    kinds = _machine_types(function)
    symbol = f"micrograd_mlp_{named(function).__qualname__}"
    _to_load.append((symbol, function, kinds, options or OPTIONS))

    def callee(builder: Any, kind: Any) -> Any:
        return cgutils.get_or_insert_function(builder.module, kind, symbol)

    return _calling(kinds, callee)


def load() -> None:
    """Compile the functions of `separately`, or take them from the disk, unless that is done."""
    with _load_lock:
        while _to_load:
            symbol, function, kinds, options = _to_load[0]
            machine = _compiled_alone(function, kinds, options, keep=True)
            llvmlite.binding.add_symbol(symbol, machine.address)
            _keep_alive.append(machine)
            del _to_load[0]


_to_load: list[tuple[str, Function, list[Any], dict[str, Any]]] = []
_load_lock = Lock()
_keep_alive: list[Any] = []


def _calling(kinds: list[Any], callee: Callable[..., Any], n_first: int = 0) -> Function:
    """A compiled function that calls another; `callee` finds it, from the first `n_first` arguments."""

    @intrinsic(in_python=callee)
    def call(_context: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            given = zip(arguments, cgutils.unpack_tuple(builder, values[0]))
            first = [value for _, value in itertools.islice(given, n_first)]
            passed = [
                _cast(context, builder, value, kind, wanted) for (kind, value), wanted in zip(given, kinds)
            ]
            kind = ir.FunctionType(ir.VoidType(), [context.get_value_type(wanted) for wanted in kinds])
            builder.call(callee(builder, kind, *first), passed)
            return context.get_dummy_value()

        return types.void(arguments), generate

    names = [f"x{k}" for k in range(n_first + len(kinds))]
    passed = [
        f"pointer({name})"
        if isinstance(kind, types.CPointer)
        else f"int64({name})"
        if kind == types.int64
        else name
        for name, kind in zip(names, [types.int64] * n_first + kinds)
    ]
    scope: dict[str, Any] = {"call": call, "pointer": pointer, "int64": np.int64}
    exec(f"def caller({', '.join(names)}): call(({', '.join(passed)},))", scope)
    return inlined(scope["caller"])


def intrinsic(in_python: Function) -> Callable[[Function], Function]:
    """Decorator: a function that writes LLVM instructions, or the Python function that stands for it."""

    def decorate(function: Function) -> Function:
        machine: Function = extending.intrinsic(function) if IS_NATIVE else in_python
        return machine

    return decorate


def _cast(context: Any, builder: Any, value: Any, kind: Any, wanted: Any) -> Any:
    """A number as the wanted type; of a NamedTuple, each field."""
    if not isinstance(wanted, types.BaseTuple):
        return context.cast(builder, value, kind, wanted)
    fields = zip(cgutils.unpack_tuple(builder, value), kind, wanted)
    return context.make_tuple(builder, wanted, [_cast(context, builder, *field) for field in fields])


@intrinsic(in_python=lambda array: array.ravel() if isinstance(array, np.ndarray) else array)
def pointer(_context: Any, array: Any) -> Any:
    """The address of an array's numbers; an address stays what it is."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if isinstance(array, types.Array):
            return context.make_array(array)(context, builder, values[0]).data
        return values[0]

    return types.CPointer(array.dtype)(array), generate


# Calls of functions that become known when a program is compiled: operations of a user, rules of optimizers.


def entry(function: Function, signature: Function, cache: bool = False) -> Any:
    """Compile a function with the arguments of `signature`.

    Returns:
        A handle with the attribute `address`, which is for `address_of`; it keeps the machine code alive.
    """
    return _compiled_alone(function, _machine_types(signature), OPTIONS, cache) if IS_NATIVE else function


def address_of(handle: Any) -> Any:
    """What stands for the function of such a handle in machine code."""
    return handle.address if IS_NATIVE else handle


def by_address(signature: Function) -> Function:
    """call(address, *arguments), for functions with the arguments of this one."""
    if not IS_NATIVE:
        return lambda function, *arguments: function(*arguments)

    def callee(builder: Any, kind: Any, address: Any) -> Any:
        return builder.inttoptr(address, kind.as_pointer())

    return _calling(_machine_types(signature), callee, n_first=1)


def first_line(error: Exception) -> str:
    """What Numba says about a function that it cannot compile, without the long rest."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Failed in")]
    return lines[0].strip() if lines else type(error).__name__


# How threads tell each other how far they are. What a thread wrote before `publish` is visible to another one
# after `published`.


def _element(context: Any, builder: Any, array: Any, values: Any) -> Any:
    """The address of values[0][values[1]], the first being an array."""
    return builder.gep(context.make_array(array)(context, builder, values[0]).data, [values[1]])


def _published_in_python(array: Any, i: int) -> int:
    time.sleep(0)
    return int(array[i])


@intrinsic(_published_in_python)
def published(_context: Any, array: Any, i: Any) -> Any:
    """array[i], whichever thread wrote it."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load_atomic(_element(context, builder, array, values), "acquire", 8)

    return types.int64(array, types.int64), generate


def _publish_in_python(array: Any, i: int, number: int) -> None:
    array[i] = number


@intrinsic(_publish_in_python)
def publish(_context: Any, array: Any, i: Any, number: Any) -> Any:
    """array[i] = number, for all threads."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store_atomic(values[2], _element(context, builder, array, values), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate


def _ticket_in_python(array: Any, i: int) -> int:
    with _ticket_lock:
        array[i] += 1
        return int(array[i]) - 1


_ticket_lock = threading.Lock()


@intrinsic(_ticket_in_python)
def ticket(_context: Any, array: Any, i: Any) -> Any:
    """array[i], which is then increased by 1: no two threads get the same number."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", _element(context, builder, array, values), one, "acq_rel")

    return types.int64(array, types.int64), generate


_sched_yield = types.ExternalFunction("sched_yield", types.int32())


@inlined
def give_way() -> None:
    """Let another thread have this core, where the operating system offers that."""
    if IS_NATIVE and sys.platform != "win32":
        _sched_yield()
