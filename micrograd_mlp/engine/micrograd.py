"""The names of karpathy's micrograd, for programs that change the import line alone.

https://github.com/karpathy/micrograd calls the sizes of a network `nin`, `nout` and `nouts`. A notebook's
`trace` and `draw_dot` read `_prev` and `_op`, lectures call `_backward()` node by node, and short GPTs make
nodes by `Value(data, children, local_grads)`. micrograd's own `Value(data, children, op)` gets its derivative
from a closure that is assigned later; here the derivative belongs to the record of an operation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from micrograd_mlp._require import as_float
from micrograd_mlp.engine.op import Op

if TYPE_CHECKING:
    from micrograd_mlp.engine.value import Value

Arguments = ParamSpec("Arguments")

_AS_AN_OPERATION = """write it as an operation, which is one function:

    from micrograd_mlp import primitive

    @primitive(partials=lambda out, x: (1.0 - out**2,))  # for two inputs arity=2 and two derivatives
    def my_tanh(x):  # on floats
        return math.tanh(x)

and call my_tanh(v)"""


def _refuse(*numbers: float) -> Any:
    raise RuntimeError(
        "this graph has a node that was made by Value(data, children, local_grads). Its derivatives are "
        f"numbers, so it cannot be computed again, compiled or differentiated twice: {_AS_AN_OPERATION}"
    )


GIVEN = Op("given", forward=_refuse, partials=_refuse, arity=None)
"""The operation of nodes whose local derivatives were given as numbers."""


class MicrogradNames:
    """The attributes of micrograd's Value, in the engine's words."""

    __slots__ = ()

    if TYPE_CHECKING:
        _data: float
        grad: float
        op: Op | None
        parents: tuple[Value, ...]
        local_grads: tuple[float, ...]

    @property
    def _prev(self) -> set[Value]:
        """The Values that this one was computed from."""
        return set(self.parents)

    @property
    def _children(self) -> tuple[Value, ...]:
        return self.parents

    @property
    def _local_grads(self) -> tuple[float, ...]:
        return self.local_grads

    @property
    def _op(self) -> str:
        """The sign of the operation; nothing for a leaf."""
        return "" if self.op is None else self.op.symbol

    @property
    def _backward(self) -> Callable[[], None]:
        """A function that hands this node's gradient on to its parents (§6), without those behind them."""

        def hand_on() -> None:
            for parent, local_grad in zip(self.parents, self.local_grads):
                parent.grad += local_grad * self.grad

        return hand_on

    @_backward.setter
    def _backward(self, _: object) -> None:
        raise AttributeError(f"an assigned _backward is not called here. Instead, {_AS_AN_OPERATION}")

    # What NumPy asks of a real number in mean, var and std.

    def conjugate(self) -> Any:
        """This Value itself, since it is a real number."""
        return self

    @property
    def real(self) -> Any:
        """This Value itself, since it is a real number."""
        return self


def children_and_slopes(
    data: Any, label: Any, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Value, ...], tuple[float, ...]]:
    """What the arguments of micrograd's constructor mean: `(data, children, local_grads or op)`.

    Raises:
        TypeError: they are none, or they would make a node without a derivative.
    """
    children, third = _in_order(label, arguments, named)
    if isinstance(third, str):
        if not children:  # a leaf, where micrograd's sign says nothing
            return (), ()
        raise TypeError(
            f"Value({data!r:.40}, children, {third!r:.20}) would have no derivative, because a _backward "
            f"function that is assigned later is not called here. Instead, {_AS_AN_OPERATION}. "
            "Or give the derivatives as numbers: Value(data, children, local_grads)"
        )
    slopes = tuple([as_float(slope) for slope in third])
    if len(children) != len(slopes):
        raise TypeError(
            f"Value(data, children, local_grads) takes a derivative for each child, got {len(children)} "
            f"children and {len(slopes)} derivatives. For another operation, {_AS_AN_OPERATION}"
        )
    for child in children:
        if not isinstance(child, MicrogradNames):
            raise TypeError(f"the children of a Value are Values, got {child!r:.60}")
    return children, slopes


def _in_order(label: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
    """The children, and what follows them: local derivatives or the sign of an operation."""
    children, third = label, arguments[0] if arguments else ()
    for name, value in named.items():
        if name in ("children", "_children") and label is None:
            children = value
        elif name in ("local_grads", "_local_grads", "_op") and not arguments:
            third = value
        else:
            raise TypeError(f"Value() got an unexpected argument {name!r}")
    if len(arguments) > 1:
        raise TypeError(f"Value() takes data, children and local_grads, got {len(arguments) - 1} more")
    if children is not None and not isinstance(children, list | tuple | set):
        raise TypeError(f"a label is text or None, and children are a tuple of Values, got {children!r:.60}")
    return tuple(children or ()), third


def also_named(**names: str) -> Callable[[Callable[Arguments, None]], Callable[Arguments, None]]:
    """Let a constructor take arguments by micrograd's names too; `nonlin` stands for an activation.

    Args:
        **names: for each name in micrograd the name here.

    >>> @also_named(nin="n_inputs")
    ... def show(n_inputs, activation="tanh"):
    ...     print(n_inputs, activation)
    >>> show(nin=3, nonlin=False)
    3 linear
    """

    def decorate(constructor: Callable[Arguments, None]) -> Callable[Arguments, None]:
        @functools.wraps(constructor)
        def wrapper(*args: Any, **kwargs: Any) -> None:
            for name in names.keys() & kwargs.keys():
                if names[name] in kwargs:
                    raise TypeError(f"{name} and {names[name]} are the same argument: give one of them")
                kwargs[names[name]] = kwargs.pop(name)
            if "nonlin" in kwargs:
                kwargs.setdefault("activation", "relu" if kwargs.pop("nonlin") else "linear")
            constructor(*args, **kwargs)

        return wrapper

    return decorate
