"""How results are recorded: `no_grad`, `detect_anomaly`, and recording a graph for `compile`.

Each thread (and each asyncio task) has modes of its own, and none is on unless a `with` block says so.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

if TYPE_CHECKING:
    from micrograd_mlp.engine.value import Value


class Modes(NamedTuple):
    """What is on in this thread."""

    recording: bool = True
    tracing: bool = False  # compile() is watching: comparing Values would freeze a branch
    anomalies: dict[Value, str] | None = None  # detect_anomaly: the source line that made each node
    branches: list[str] | None = None  # grad() is watching: comparing Values chooses a derivative
    reads: list[Value] | None = None  # compile() is watching: a number that is taken out would be frozen
    blocks: tuple[tuple[mode, dict[str, Any]], ...] = ()  # the open blocks, and what each of them changes


_NO_MODES = Modes()
modes: ContextVar[Modes] = ContextVar("micrograd_mlp modes", default=_NO_MODES)
# One entry for each open block of any thread: while this is empty, an operator need not ask for its modes.
modes_in_use: list[None] = []


class mode:  # noqa: N801  (it is called as a function)
    """Change some modes of this thread inside a `with` block, or while a decorated function runs.

    Blocks may be left in any order: each takes back its own change. A decorated generator computes in the
    block, and who takes its items does not; the same holds for coroutines and those who wait for them.

    Args:
        changes: fields of `Modes`, or functions that make one for each block.
    """

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __enter__(self) -> None:
        changes = {name: new() if callable(new) else new for name, new in self._changes.items()}
        modes_in_use.append(None)
        _set_blocks((*modes.get().blocks, (self, changes)))

    def __exit__(self, *error: object) -> None:
        blocks = list(modes.get().blocks)
        for k in reversed(range(len(blocks))):  # the latest of its own
            if blocks[k][0] is self:
                del blocks[k]
                break
        _set_blocks(tuple(blocks))
        modes_in_use.pop()

    def __call__(self, function: _Decorated) -> _Decorated:
        """The function, every call of which runs inside of a block."""
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        wrap = next((wrap for flag, wrap in _WRAPPERS if flags & flag), _wrap_function)
        return functools.wraps(function)(wrap(self, function))  # type: ignore[return-value]  # it is called alike


def _set_blocks(blocks: tuple[tuple[mode, dict[str, Any]], ...]) -> None:
    changes: dict[str, Any] = {}
    for _, its_changes in blocks:
        changes |= its_changes
    modes.set(Modes(**changes, blocks=blocks) if blocks else _NO_MODES)


_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def _wrap_function(block: mode, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        with block:
            return function(*args, **named)

    return call


def _wrap_coroutine(block: mode, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **named: Any) -> Any:
        return await _each_step_in(block, function(*args, **named).__await__())

    return call


def _wrap_generator(block: mode, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        return (yield from _each_step_in(block, function(*args, **named)))

    return call


@types.coroutine  # so that it can be awaited too
def _each_step_in(block: mode, generator: Any) -> Any:
    resume, value = generator.send, None
    while True:
        try:
            with block:
                item = resume(value)
        except StopIteration as end:
            return end.value
        try:
            resume, value = generator.send, (yield item)
        except GeneratorExit:
            with block:
                generator.close()
            raise
        except BaseException as error:
            resume, value = generator.throw, error


def _wrap_async_generator(block: mode, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **named: Any) -> Any:
        generator = function(*args, **named)
        try:
            while True:
                try:
                    item = await _each_step_in(block, generator.__anext__().__await__())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            await generator.aclose()

    return call


_WRAPPERS = (  # by the flag of the code: that of inspect.CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR
    (0x20, _wrap_generator),
    (0x80, _wrap_coroutine),
    (0x200, _wrap_async_generator),
)


@overload
def no_grad() -> mode: ...
@overload
def no_grad(function: _Decorated) -> _Decorated: ...
def no_grad(function: Any = None) -> Any:
    """Compute without recording a graph, as for a prediction: results have data, no parents.

    Holds for this thread alone; also usable as a decorator, `@no_grad` or `@no_grad()`, of functions,
    generators and coroutines.

    >>> from micrograd_mlp import Value
    >>> w = Value(2.0)
    >>> with no_grad():
    ...     y = w * 3
    >>> y
    Constant(data=6.0)
    """
    block = mode(recording=False)
    return block if function is None else block(function)


def detect_anomaly() -> mode:
    """Raise at the first non-finite number that comes from finite ones, forward or backward.

    Arithmetic follows IEEE, so log(0) is quietly -inf. Inside this block it is an error that names
    the operation, its operands with their labels, and the line of your program. Holds for this thread.

    Raises:
        FloatingPointError: an operation, or a gradient in `backward()`, overflowed or is undefined.

    >>> from micrograd_mlp import Value, log
    >>> with detect_anomaly():
    ...     log(Value(0.0, "p"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FloatingPointError: log(p=0.0) is -inf, from finite operands, at ...
    """
    return mode(anomalies=dict)


def note_read(value: Value) -> None:
    """Note for `compile`, if it is recording, that the user's program takes the number out of this Value."""
    reads = modes.get().reads
    if reads is not None:
        reads.append(value)


def refuse_while_tracing(what: str) -> None:
    """Raise if `compile` is recording: what the user's program does here cannot be part of a graph."""
    if not modes_in_use:
        return
    active = modes.get()
    if active.branches is not None:
        active.branches.append(what)
    if active.tracing:
        raise TypeError(
            f"{what} on a Value while compile() records the graph: the branch taken for one example "
            "would be replayed for all. Use maximum, minimum, relu, abs or equal instead, "
            "which are part of the graph"
        )
