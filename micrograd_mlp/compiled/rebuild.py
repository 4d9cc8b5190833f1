"""Rebuild Python functions of floats in such a way that Numba can compile them.

The `forward` and `partials` of an operation are ordinary Python. Numba compiles their code, but it cannot
look into everything that they call: an operation of this package, such as the cos in the derivative of
sin, or a function of the user's program. So a function is rebuilt with the same code, in which these names
mean compiled functions. Numba also knows no tuple of unknown length: the inputs of an operation that
takes any number of them come as one list, and `tuple`, `sum`, `math.prod` and others have versions for lists.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import operator
import sys
import types
from typing import Any

import numba
from numba.extending import overload

from micrograd_mlp.compiled.functions import NATIVE, exp, log1p
from micrograd_mlp.compiled.native import Function, inlined
from micrograd_mlp.engine import table
from micrograd_mlp.engine.op import Op

KNOWN_TO_NUMBA = ("numpy", "numba")  # packages whose functions Numba compiles by itself


class Rebuilder:
    """Compiled versions of Python functions, for one compilation.

    A later compilation needs a Rebuilder of its own, since the globals and the closure of a user's function
    may have changed until then.
    """

    def __init__(self) -> None:
        self._compiled: dict[Function, Function] = {}

    def forward(self, op: Op) -> Function:
        """The op's value as a compiled function of floats."""
        if table.TABLE.get(op.name) is op and op.name in NATIVE:
            native: Function = NATIVE[op.name]
            return native
        return self.compiled(op.forward, op.arity or 1)

    def partials(self, op: Op) -> Function:
        """The op's local derivatives as a compiled function of (output, *inputs)."""
        return self.compiled(op.partials, 1 + (op.arity or 1))

    def compiled(self, function: Function, n_arguments: int) -> Function:
        """The function, compiled; `n_arguments` matters only to a function that is not written in Python."""
        if function not in self._compiled:
            if isinstance(function, types.FunctionType):
                self._rebuild(function)
            else:  # operator.add, math.cos: Numba compiles a call of it
                names = ", ".join([f"x{k}" for k in range(n_arguments)])
                call = eval(f"lambda {names}: function({names})", {"function": function})
                self._compiled[function] = inlined(call)
        return self._compiled[function]

    def _rebuild(self, function: types.FunctionType) -> None:
        names = _names(function.__code__)
        known, closure = {**vars(builtins), **function.__globals__}, function.__closure__ or ()
        inside: dict[str, Any] = {"__builtins__": builtins}
        cells = tuple([types.CellType() for _ in closure])
        rebuilt = types.FunctionType(
            _with_list(function.__code__), inside, function.__name__, function.__defaults__, cells
        )
        rebuilt.__kwdefaults__ = function.__kwdefaults__
        self._compiled[function] = inlined(
            rebuilt
        )  # known before its names are, in case that it calls itself
        inside |= {name: self._stand_in(known[name], names) for name in names & known.keys()}
        for cell, original in zip(cells, closure):
            cell.cell_contents = self._stand_in(original.cell_contents, names)

    def _stand_in(self, thing: Any, names: set[str]) -> Any:
        """What a name of this thing means in a rebuilt function, which uses these names in all."""
        for original, version in VERSIONS_FOR_LISTS:
            if thing is original:
                return version
        op = thing if isinstance(thing, Op) else getattr(thing, "op", None)
        if isinstance(op, Op):
            return self.forward(op)
        package = str(getattr(thing, "__module__", None) or getattr(thing, "__name__", "")).partition(".")[0]
        if package in KNOWN_TO_NUMBA:
            return thing
        if isinstance(thing, types.FunctionType):
            return self.compiled(thing, 0)
        if isinstance(thing, types.ModuleType):  # for math.prod(x) or ops.cos(x)
            module = types.ModuleType(thing.__name__)
            used = {name: getattr(thing, name) for name in names if hasattr(thing, name)}
            vars(module).update({name: self._stand_in(attribute, names) for name, attribute in used.items()})
            return module
        return thing


def source_key(thing: Any, above: tuple[Any, ...] = ()) -> Any:
    """Equal for functions that compute the same: equal code, and equal globals and closures.

    LLVM never frees machine code that Numba has made. So what is written anew again and again, such as an
    operation inside a function, is compiled once and shared.
    """
    for k, outer in enumerate(above):
        if thing is outer and isinstance(thing, types.FunctionType):
            return "calls itself", k
    above = (*above, thing)
    if isinstance(thing, types.FunctionType):
        known = {**vars(builtins), **thing.__globals__}
        names = sorted(_names(thing.__code__) & known.keys())
        parts = [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).items()]
        parts += [cell.cell_contents for cell in thing.__closure__ or ()] + [known[name] for name in names]
        return _code_key(thing.__code__), *[source_key(part, above) for part in parts]
    if isinstance(thing, (tuple, list)):
        return type(thing), *[source_key(part, above) for part in thing]
    op = thing if isinstance(thing, Op) else getattr(thing, "op", None)
    if isinstance(op, Op) and table.TABLE.get(op.name) is not op:
        return source_key(op.forward, above), source_key(op.partials, above)
    if isinstance(thing, (int, float, complex, str, type(None))):
        return type(thing), repr(thing)  # 0.0 and -0.0 are equal but differ, and so do 1 and True
    return _Same(thing)


class _Same:
    """Equal for the same object only, whatever its own __eq__ and __hash__ say."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


def _code_key(code: types.CodeType) -> tuple[Any, ...]:
    constants = [_code_key(c) if isinstance(c, types.CodeType) else source_key(c) for c in code.co_consts]
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return code.co_code, code.co_argcount, code.co_kwonlyargcount, code.co_flags, names, *constants


def takes_list(function: Function) -> bool:
    """Whether the rebuilt function takes its last arguments as one list: the original has `*args`."""
    if not isinstance(function, types.FunctionType):
        return False
    code = function.__code__
    return bool(code.co_flags & inspect.CO_VARARGS) and not code.co_kwonlyargcount


def _with_list(code: types.CodeType) -> types.CodeType:
    """Code in which `*args` is an ordinary argument: the variable stands where it stood."""
    if not code.co_flags & inspect.CO_VARARGS or code.co_kwonlyargcount:
        return code
    return code.replace(co_argcount=code.co_argcount + 1, co_flags=code.co_flags & ~inspect.CO_VARARGS)


def _names(code: types.CodeType) -> set[str]:
    """All names of globals and attributes in the code, comprehensions and inner functions included."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)


# Versions for lists of what Numba has for tuples of known length, for arrays, or not at all.


@inlined
def _as_list(values):
    return [value for value in values]  # noqa: C416  (Numba has no list() of a tuple)


@inlined
def _sum(values, start=0.0):
    """As Python adds floats: from 3.12 on, what each addition rounds off is carried (Neumaier)."""
    total, carried = float(start), 0.0
    for value in values:
        before = total
        total += value
        if COMPENSATED:
            carried += (before - total) + value if abs(before) >= abs(value) else (value - total) + before
    return total + carried if math.isfinite(carried) else total


COMPENSATED = sys.version_info >= (3, 12)


@inlined
def _total(values):
    total = 0.0
    for value in values:
        total += value
    return total


@inlined
def _dot(w, x):
    total = 0.0
    for k in range(len(w)):
        total += w[k] * x[k]
    return total


@inlined
def _logsumexp(values):
    largest = values[0]
    for z in values:
        largest = z if z > largest or z != z else largest
    if not abs(largest) < math.inf:
        return largest
    rest = -1.0  # the largest term is 1 and is left out of the sum
    for z in values:
        rest += exp(z - largest)
    return largest + log1p(rest)


@inlined
def _softmax(values):
    normalizer = _logsumexp(values)
    return [exp(z - normalizer) for z in values]


@inlined
def _product(values, start=1.0):
    product = float(start)
    for value in values:
        product *= value
    return product


@inlined
def _reduce(function, values):
    result = values[0]
    for k in range(1, len(values)):
        result = function(result, values[k])
    return result


@inlined
def _any(values):
    for value in values:  # noqa: SIM110  (this is what any() means)
        if value:
            return True
    return False


@inlined
def _all(values):
    for value in values:  # noqa: SIM110  (this is what all() means)
        if not value:
            return False
    return True


VERSIONS_FOR_LISTS: list[tuple[Any, Function]] = [
    (tuple, _as_list), (sum, _sum), (any, _any), (all, _all),
    (math.prod, _product), (functools.reduce, _reduce),
    (table.total, _total), (table.dot, _dot), (table.logsumexp, _logsumexp), (table.softmax, _softmax),
]  # fmt: skip


@overload(operator.mul)
def _repeat(values, n):
    """(1.0,) * len(x), which Numba does not know for a tuple: a list."""
    if isinstance(values, numba.types.UniTuple) and isinstance(n, numba.types.Integer):
        return lambda values, n: [value for _ in range(n) for value in values]
    return None
