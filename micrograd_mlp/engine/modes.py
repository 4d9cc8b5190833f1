"""How results are recorded: `no_grad`, `detect_anomaly`, and recording a graph for `compile`.

Each thread (and each asyncio task) has modes of its own, and none is on unless a `with` block says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from micrograd_mlp.engine.value import Value


class Modes(NamedTuple):
    """What is on in this thread."""

    recording: bool = True
    tracing: bool = False  # compile() is watching: comparing Values would freeze a branch
    anomalies: dict[Value, str] | None = None  # detect_anomaly: the source line that made each node


_NO_MODES = Modes()
modes: ContextVar[Modes] = ContextVar("micrograd_mlp modes", default=_NO_MODES)
# One entry for each open block of any thread: while this is empty, an operator need not ask for its modes.
modes_in_use: list[None] = []


@contextmanager
def mode(**changes: Any) -> Iterator[None]:
    """Change some modes of this thread inside a `with` block."""
    modes_in_use.append(None)
    token = modes.set(modes.get()._replace(**changes))
    try:
        yield
    finally:
        modes.reset(token)
        modes_in_use.pop()


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording a graph, as for a prediction: results have data, no parents.

    Holds for this thread alone; also usable as a decorator.

    >>> from micrograd_mlp import Value
    >>> w = Value(2.0)
    >>> with no_grad():
    ...     y = w * 3
    >>> y
    Constant(data=6.0)
    """
    with mode(recording=False):
        yield


@contextmanager
def detect_anomaly() -> Iterator[None]:
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
    with mode(anomalies={}):
        yield


def refuse_while_tracing(what: str) -> None:
    """Raise if `compile` is recording: what the user's program does here cannot be part of a graph."""
    if modes_in_use and modes.get().tracing:
        raise TypeError(
            f"{what} on a Value while compile() records the graph: the branch taken for one example "
            "would be replayed for all. Use maximum, minimum, relu, abs or equal instead, "
            "which are part of the graph"
        )
