"""The record of an operation: its value, its local derivatives, and how it is shown (§6).

An operation is one `Op` record: how to compute it on floats (`forward`) and its partial derivatives
(`partials`). Everything else in the package reads these records: the functions and the methods of
`Value`, recording a graph, differentiating it once or twice, drawing it, explaining it, compiling it,
formulas on the command line, and testing all of that. To add an operation, write one function with
`@primitive` in your own program, or with `@operation` in a file of `engine/table`:

>>> from micrograd_mlp import Value, cos, primitive
>>> @primitive(partials=lambda out, x: (cos(x),))
... def my_sin(x):
...     return math.sin(x)
>>> x = Value(0.5)
>>> my_sin(x).backward()
>>> x.grad == math.cos(0.5)
True

Two rules keep one record good for every use. `forward` is written for floats and follows IEEE
arithmetic (an overflow is inf, 1/0 is inf, log(-1) is nan) instead of raising. `partials` is written
with ordinary operators and the functions of the table, so that the same lines give a float during
the forward pass and a new graph when derivatives are differentiated again. A helper of either one is a
plain function, so that it can be compiled too.
"""

from __future__ import annotations

import functools
import importlib
import math
import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, overload

from micrograd_mlp._require import as_float

if TYPE_CHECKING:
    from micrograd_mlp.engine.value import Value

inf, nan = math.inf, math.nan
REALS = (-inf, inf)
POSITIVE = (0.0, inf)


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """One primitive operation: y = f(x₁, …, xₙ) with its local derivatives ∂y/∂xᵢ.

    Args:
        name: what it is called, in the table and in error messages.
        forward: f on floats; returns a float and never raises on floats (IEEE arithmetic).
        partials: `(y, x₁, …, xₙ) -> (∂y/∂x₁, …, ∂y/∂xₙ)`, written with operators and the table's functions.
        arity: the number of inputs n, or None for any number.
        symbol: what a graph shows in the operation's node; the name unless given.
        latex: the formula, with `{0}`, `{1}` for the inputs (`{args}` for all of an n-ary operation).
        domain: for each input the open interval on which f is defined (n-ary: one for all inputs).
        kink: a function of the inputs that changes sign exactly where f has no derivative, or None.
        complex_form: f on complex numbers next to the real line, for the complex step of `gradcheck`; None if
            f is not analytic, or if nobody has written it down.
        method: whether an operation of the table is a method of `Value` as well.

    Raises:
        TypeError: the arity is not 1 or more; and, when a graph records the op, `forward` or
            `partials` did not return a float, or one derivative for each input.

    >>> double = Op("double", forward=lambda x: 2.0 * x, partials=lambda out, x: (2.0,))
    >>> double(3.0)
    6.0
    """

    name: str
    forward: Callable[..., float]
    partials: Callable[..., tuple[Any, ...]]
    arity: int | None = 1
    symbol: str = ""
    latex: str = ""
    domain: tuple[tuple[float, float], ...] = (REALS,)
    kink: Callable[..., float] | None = None
    complex_form: Callable[..., complex] | None = None
    method: bool = False
    slopes: Callable[..., tuple[float, ...]] = field(
        init=False
    )  # `partials` for floats alone, see `specialize`

    def __post_init__(self) -> None:
        n = self.arity
        if n is not None and n < 1:
            raise TypeError(f"op {self.name!r}: arity is {n}, expected 1 or more, or None")
        operands = "{args}" if n is None else ", ".join(f"{{{i}}}" for i in range(n))
        latex = rf"\operatorname{{{{{self.name}}}}}\left({operands}\right)".replace("_", r"\_")
        fill = functools.partial(object.__setattr__, self)
        fill("symbol", self.symbol or self.name)
        fill("latex", self.latex or latex)
        fill("domain", self.domain * n if n is not None and len(self.domain) == 1 else self.domain)
        fill("slopes", self.partials)

    def __call__(self, *inputs: Any) -> Any:
        """Numbers in, a float out; with a Value among the inputs, a Value that records this op."""
        for x in inputs:
            if hasattr(x, "local_grads"):
                return x._record(self, inputs)
        return self.forward(*map(as_float, inputs))

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __copy__(self) -> Op:
        return self  # it is frozen

    def __deepcopy__(self, memo: object) -> Op:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name: that of the table, or that of a function or record at the top of a module."""
        if TABLE.get(self.name) is self:
            return _from_table, (self.name,)
        module, name = self.forward.__module__, getattr(self.forward, "__qualname__", "")
        for attribute in (name, self.name):
            found = getattr(sys.modules.get(module), attribute, None)
            if found is self or getattr(found, "op", None) is self:
                return _from_module, (module, attribute)
        raise TypeError(
            f"op {self.name!r} can't be pickled, since it is found by no name: write it with @primitive at "
            "the top of a module"
        )


def _from_table(name: str) -> Op:
    return TABLE[name]


def _from_module(module: str, attribute: str) -> Op:
    found = getattr(importlib.import_module(module), attribute)
    return found if isinstance(found, Op) else found.op


class Function(Protocol):
    """A function of numbers that also takes Values, and carries its record as `.op`."""

    op: Op
    __name__: str

    @overload
    def __call__(self, *inputs: float) -> float: ...
    @overload
    def __call__(self, *inputs: Value | float) -> Value: ...


class FunctionOfMany(Protocol):
    """The same for any number of inputs: they may come as arguments or as one iterable, as in `max`."""

    op: Op
    __name__: str

    @overload
    def __call__(self, *inputs: float | Iterable[float]) -> float: ...
    @overload
    def __call__(self, *inputs: Value | float | Iterable[Value | float]) -> Value: ...


def primitive(
    *,
    partials: Callable[..., tuple[Any, ...]],
    name: str = "",
    arity: int | None = 1,
    symbol: str = "",
    latex: str = "",
    domain: tuple[tuple[float, float], ...] = (REALS,),
    kink: Callable[..., float] | None = None,
    complex_form: Callable[..., complex] | None = None,
) -> Callable[[Callable[..., float]], Function]:
    """Turn a function of floats into an operation: the decorator's arguments are those of `Op`.

    An operation of any number of inputs (`arity=None`) takes them as arguments or as one iterable.

    >>> @primitive(partials=lambda out, x: (3.0 * x**2,))
    ... def cube(x):
    ...     return x**3
    >>> cube(2.0), cube.op
    (8.0, <op cube>)
    """

    def decorate(forward: Callable[..., float]) -> Function:
        record = (arity, symbol, latex, domain, kink, complex_form)
        function: Function = _function_of(Op(name or forward.__name__, forward, partials, *record))
        return function

    return decorate


def _function_of(op: Op) -> Any:
    """What users call: the record behind a check of how many inputs there are."""
    arity = op.arity

    def function(*inputs: Any) -> Any:
        if len(inputs) != arity:
            raise TypeError(f"{op.name} takes {arity} input(s), got {len(inputs)}")
        return op(*inputs)

    def function_of_one(x: Any, *others: Any) -> Any:
        if type(x) is float and not others:  # measured: half the time, inside of a user's `partials`
            return op.forward(x)
        return function(x, *others)

    def function_of_many(*inputs: Any) -> Any:
        several = len(inputs) != 1 or not hasattr(inputs[0], "__iter__")
        return op(*inputs) if several else op(*inputs[0])

    chosen: Callable[..., Any] = {None: function_of_many, 1: function_of_one}.get(arity, function)
    wrapper: Any = functools.wraps(op.forward)(chosen)
    if not isinstance(op.forward, types.FunctionType):  # operator.add: what stands here is another function
        wrapper.__module__ = op.partials.__module__
    wrapper.op = op
    return wrapper


# The table: what the package ships, entered by the files of `engine/table`.


def specialize(op: Op) -> None:
    """Make `op.slopes` of `op.partials`: it calls the table's `forward` functions, which take floats alone.

    Measured, a function that first asks whether its inputs are Values takes twice as long.
    """
    partials: Any = op.partials
    scope = partials.__globals__
    records = {name: getattr(function, "op", None) for name, function in scope.items()}
    on_floats = {name: op.forward for name, op in records.items() if isinstance(op, Op) and op.arity}
    slopes = types.FunctionType(partials.__code__, scope | on_floats, partials.__name__)
    object.__setattr__(op, "slopes", slopes)


TABLE: dict[str, Op] = {}
"""Every operation that the package ships, by name."""

FUNCTIONS: dict[str, Any] = {}
"""The function of each operation, by the name that it has in Python (`power` for pow)."""


@overload
def operation(*, arity: None, **record: Any) -> Callable[[Callable[..., float]], FunctionOfMany]: ...
@overload
def operation(*, arity: int = 1, **record: Any) -> Callable[[Callable[..., float]], Function]: ...
def operation(
    *, arity: int | None = 1, method: bool | None = None, **record: Any
) -> Callable[[Callable[..., float]], Any]:
    """`primitive`, and enter the operation into the table.

    Args:
        arity: the number of inputs, or None for any number.
        method: whether it is a method of `Value`; unless given, it is if it has a fixed number of inputs.
        record: the other fields of `Op`.
    """

    def decorate(forward: Callable[..., float]) -> Any:
        fields = {"name": forward.__name__} | record
        is_method = arity is not None if method is None else method
        function = _function_of(Op(forward=forward, arity=arity, method=is_method, **fields))
        TABLE[function.op.name] = function.op
        FUNCTIONS[function.__name__] = function
        return function

    return decorate
