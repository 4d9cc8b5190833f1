"""The computation graph: `Value`, reverse-mode differentiation, and its modes (§6, §7).

A `Value` is one number that remembers where it came from: the operation, the parents it was computed
from, and the local derivative ∂(value)/∂(parent) for each of them, recorded while the value is
computed. `backward()` visits the graph in reverse topological order and applies the chain rule at
every edge:

    parent.grad += local_grad · node.grad          (§6.2: ∂ℓ/∂a = ∂ℓ/∂z · ∂z/∂a, summed over uses)

Nothing here is recursive, so a chain of a million nodes is fine; and no node refers to its children,
so there are no reference cycles and a graph is freed as soon as it is dropped.
"""

from __future__ import annotations

import math
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from micrograd_mlp._require import as_float
from micrograd_mlp.engine import table as ops
from micrograd_mlp.engine.micrograd import GIVEN, MicrogradNames, children_and_slopes
from micrograd_mlp.engine.modes import modes, modes_in_use, note_read, refuse_while_tracing
from micrograd_mlp.engine.op import FUNCTIONS, TABLE, Function, Op
from micrograd_mlp.engine.release import release

_Unary = Callable[["Value"], "Value"]
_Binary = Callable[["Value", "Value | float"], "Value"]


# How the operators of a Value record a node. One and two inputs are `Value._record` with its loops
# and calls written out: measured, that is a third of the time, and these are most nodes of a graph.


def _unary(function: Function) -> _Unary:
    op = function.op
    forward, slopes = op.forward, op.slopes

    def method(self: Value) -> Value:
        x = self._data
        if modes_in_use:
            active = modes.get()
            if not active.recording:
                return constant(forward(x))
            if active.anomalies is not None:
                return Value._record(op, (self,))
        data = forward(x)
        node: Value = _new(Value)
        node._data = data
        node.grad = 0.0
        node.label = None
        node.op = op
        node.parents = (self,)
        node.local_grads = slopes(data, x)
        return node

    method.__name__, method.__doc__ = op.name, f"The function `{op.name}` of this Value."
    return method


def _binary(function: Function) -> _Binary:
    op = function.op
    forward, slopes = op.forward, op.slopes

    def operator(self: Value, other: Value | float) -> Value:
        if not isinstance(other, Value):
            number = _constant_or_none(other)
            if number is None:
                return NotImplemented  # type: ignore[no-any-return]  # mypy knows it in methods like __add__ alone
            other = number
        x, y = self._data, other._data
        if modes_in_use:
            active = modes.get()
            if not active.recording:
                return constant(forward(x, y))
            if active.anomalies is not None:
                return Value._record(op, (self, other))
        data = forward(x, y)
        node: Value = _new(Value)
        node._data = data
        node.grad = 0.0
        node.label = None
        node.op = op
        node.parents = (self, other)
        node.local_grads = slopes(data, x, y)
        return node

    return operator


def _reflected(operator: _Binary) -> _Binary:
    """`2 * v`: Python calls v.__rmul__(2) when the left operand is not a Value."""

    def reflected(self: Value, other: Value | float) -> Value:
        left = _constant_or_none(other)
        if left is None:
            return NotImplemented  # type: ignore[no-any-return]  # mypy knows it in methods like __add__ alone
        return operator(left, self)

    return reflected


def _comparison(symbol: str, compare: Callable[[float, Any], bool]) -> Callable[[Value, Any], bool]:
    def operator(self: Value, other: Any) -> bool:
        refuse_while_tracing(symbol)
        if isinstance(other, Value):
            return compare(self._data, other._data)
        # An array is left to NumPy, which compares element by element.
        return NotImplemented if hasattr(other, "__len__") else compare(self._data, other)

    return operator


class Value(MicrogradNames):
    """One number in a computation graph.

    Args:
        data: a real number: int, float, NumPy scalar, …; kept as a float.
        label: a name for drawings, explanations and error messages.
        arguments: of micrograd's constructor `Value(data, children, local_grads)`, see `micrograd.py`.
        named: the same by name.

    Attributes:
        data: the number. May be assigned, as optimizers do: the change shows the next time that
            an expression is computed.
        grad: ∂(output)/∂(this), filled by `output.backward()`. Leaves accumulate over calls.
        label: the name, or None.
        op: the operation's record, or None for a leaf.
        parents: the Values that this one was computed from.
        local_grads: ∂(this)/∂(parent) for each parent, as they were in the forward pass.

    Raises:
        TypeError: `data` is not a real number.

    >>> w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(-1.0, "b")
    >>> z = w * x + b
    >>> z.backward()
    >>> z.data, w.grad, x.grad, b.grad
    (0.0, 2.0, 0.5, 1.0)
    """

    __slots__ = ("_data", "grad", "label", "local_grads", "op", "parents")

    _data: float
    grad: float
    label: str | None
    op: Op | None
    parents: tuple[Value, ...]
    local_grads: tuple[float, ...]

    def __init__(self, data: Any, label: Any = None, *arguments: Any, **named: Any) -> None:
        self.data = data
        self.grad = 0.0
        self.op = None
        self.parents = ()
        self.local_grads = ()
        is_label = label is None or isinstance(label, str)
        self.label = label if is_label else named.pop("label", None)
        if arguments or named or not is_label:
            first = None if is_label and not arguments else label
            children, slopes = children_and_slopes(data, first, arguments, named)
            if children:
                self.op, self.parents, self.local_grads = GIVEN, children, slopes

    @property
    def data(self) -> float:
        """The number, a float."""
        if modes_in_use:
            note_read(self)
        return self._data

    @data.setter
    def data(self, number: Any) -> None:
        if isinstance(number, Value):
            raise TypeError(f"data is a number, got {number!r}: use its .data")
        self._data = as_float(number)
        _unmoved[0] = 0

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label={self.label!r}"
        return f"{type(self).__name__}(data={self._data!r}, grad={self.grad!r}{label})"

    def __format__(self, spec: str) -> str:
        return format(self._data, spec) if spec else str(self)

    # The forward pass

    @staticmethod
    def _record(op: Op, inputs: Iterable[Value | float]) -> Value:
        """A new node: what `op` gives on the inputs' data, and its local derivatives there."""
        parents: tuple[Any, ...] = tuple(inputs)
        if not _KINDS.issuperset(map(type, parents)):  # measured, faster than to look at each of many nodes
            parents = tuple([x if isinstance(x, Value) else constant(as_float(x)) for x in parents])
        numbers = [x._data for x in parents]
        data = op.forward(*numbers)
        active = modes.get()
        if not active.recording:
            return constant(as_float(data))
        local_grads = op.slopes(data, *numbers)
        if TABLE.get(op.name) is not op:
            data, local_grads = _checked(op, data, local_grads, len(parents))
        node: Value = _new(Value)
        node._data = data
        node.grad = 0.0
        node.label = None
        node.op = op
        node.parents = parents
        node.local_grads = local_grads
        if active.anomalies is not None:
            active.anomalies[node] = _users_line()
            _check_forward(node)
        return node

    __add__ = _binary(ops.add)
    __sub__ = _binary(ops.sub)
    __mul__ = _binary(ops.mul)
    __truediv__ = _binary(ops.div)
    __pow__ = _binary(ops.power)
    __radd__, __rsub__, __rmul__ = _reflected(__add__), _reflected(__sub__), _reflected(__mul__)
    __rtruediv__, __rpow__ = _reflected(__truediv__), _reflected(__pow__)
    __neg__, __abs__ = _unary(ops.neg), _unary(ops.absolute)

    def __pos__(self) -> Value:
        return self

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Value]:
            """The methods that the table adds below, such as `x.exp()`."""

    def forward(self) -> None:
        """Compute the recorded graph again, in place, from the present `.data` of its leaves.

        Afterwards every node holds what recording the same operations anew would give, to the last bit: its
        number and its local derivatives. Gradients of interior nodes belonged to the old numbers and become
        0; those of leaves stay, since they accumulate. Which operations there are does not change: a branch
        of your program (`if x > 0`) was taken when the graph was recorded.

        Raises:
            RuntimeError: a node has local derivatives that were given as numbers, see `Value`; or this is the
                graph of a gradient, from `grad(..., create_graph=True)`, with kinks in it.
            Exception: what an operation of your own raises; the graph is then as it was.

        >>> w = Value(3.0)
        >>> loss = w * w
        >>> w.data = 4.0
        >>> loss.forward()
        >>> loss.backward()
        >>> loss.data, w.grad
        (16.0, 8.0)
        """
        order = self.topological_order()
        if any(isinstance(node, Chosen) for node in order):
            raise RuntimeError(
                "forward() on the graph of a gradient in which a derivative was chosen by a comparison, as "
                "that of relu, abs or maximum is: the choice is no part of the graph. Call grad() again"
            )
        interior = [node for node in order if node.parents]
        before = [(node._data, node.local_grads) for node in interior]
        active = modes.get()
        try:
            for node in interior:
                assert node.op is not None, "it has parents"
                node._data, node.local_grads = _computed(node.op, [x._data for x in node.parents])
                if active.anomalies is not None:
                    _check_forward(node)
        except BaseException:
            for node, (data, local_grads) in zip(interior, before):
                node._data, node.local_grads = data, local_grads
            raise
        for node in interior:
            node.grad = 0.0
        numbers_moved()
        if interior:
            _run_again[:] = id(self), interior[0]
            _unmoved[:] = id(self), id(interior[0])

    # The backward pass

    def backward(self, seed: float = 1.0) -> None:
        """Fill `.grad` of every node that this one depends on, by the chain rule (§6, §7).

        Interior nodes start from zero each time, leaves accumulate: calling it twice doubles the
        leaves' gradients. `zero_grad()` of a model or an optimizer clears them.

        Args:
            seed: the gradient of this node itself, 1 unless it is part of something larger.

        Raises:
            RuntimeError: under `no_grad()`, or on a number computed there, which has no graph.

        Warns:
            RuntimeWarning: it is not the first time, for this graph or for a part of it, and a leaf has moved
                since it was recorded, as in a training loop that does not compute its prediction again; or
                `forward()` of another output has computed a part again.

        >>> x = Value(3.0)
        >>> y = x * x + x
        >>> y.backward()
        >>> x.grad
        7.0
        """
        active = modes.get()
        if not active.recording:
            raise RuntimeError("backward() under no_grad(): leave the block first, it records no graph")
        if isinstance(self, Constant):
            raise RuntimeError(
                f"backward() on the constant {self._data!r}: it was computed under no_grad() or from "
                "numbers alone, so it has no graph. Compute it from Values, outside no_grad()"
            )
        seed = as_float(seed)
        order = self.topological_order()
        interior = [node for node in order if node.parents]
        first = interior[0] if interior else self
        # Only nodes that have been through a backward pass have a gradient, so a new graph pays nothing.
        if (self.grad != 0.0 or first.grad != 0.0 or first is _run_again[1]) and _may_be_old(self, first):
            _warn_of_an_old_graph(order)
        for node in interior:
            node.grad = 0.0
        self.grad += seed
        anomalies = active.anomalies
        for node in reversed(interior):
            adjoint, parents = node.grad, node.parents
            if len(parents) == 2:  # the loop below, written out: measured, three times as fast
                x, y = parents
                dx, dy = node.local_grads
                x.grad += dx * adjoint
                y.grad += dy * adjoint
            else:
                for parent, local_grad in zip(parents, node.local_grads):
                    parent.grad += local_grad * adjoint
            if anomalies is not None:
                _check_backward(node, anomalies)
        _unmoved[0], _unmoved[1] = id(self), id(first)

    def topological_order(self) -> list[Value]:
        """Every node that this one depends on, parents before children, this one last.

        >>> x = Value(3.0, "x")
        >>> y = x * x
        >>> [node.data for node in y.topological_order()]
        [3.0, 9.0]
        """
        order: list[Value] = []
        visited: set[Value] = set()
        stack: list[Value | None] = [self]
        while stack:
            node = stack.pop()
            if node is None:  # all parents of the node below this mark are in the order
                order.append(stack.pop())  # type: ignore[arg-type]  # below a mark is a node
            elif node not in visited:
                visited.add(node)
                if node.parents:
                    stack += (node, None)
                    stack += node.parents
                else:
                    order.append(node)
        return order

    # Comparisons look at the data and give a bool, as PyTorch's do. A hash is the node's identity, so
    # that sets and dicts of nodes hold nodes, not numbers.

    __lt__ = _comparison("<", lambda x, y: x < y)
    __le__ = _comparison("<=", lambda x, y: x <= y)
    __gt__ = _comparison(">", lambda x, y: x > y)
    __ge__ = _comparison(">=", lambda x, y: x >= y)
    __eq__ = _comparison("==", lambda x, y: x == y)
    __ne__ = _comparison("!=", lambda x, y: x != y)
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        refuse_while_tracing("a branch")
        return self._data != 0.0

    def __float__(self) -> float:
        raise TypeError(
            f"{self!r} does not turn into a float by itself, since its gradient would be lost: write "
            ".data for the number, or exp(v) and the other functions of micrograd_mlp instead of math's"
        )

    __int__ = __complex__ = __float__

    def __index__(self) -> int:
        raise TypeError(
            f"{self!r} is no index by itself, since its gradient would be lost: write table[int(v.data)]"
        )

    # Copies and pickles. Nothing here is recursive either: a node that is pickled lists its graph, parents
    # before children, so that each node finds its parents among those that have been pickled already.

    def __copy__(self) -> Value:
        return _restored(type(self), self._state())

    def __reduce__(self) -> tuple[Any, ...]:
        graph: list[Value] = []
        inside = _being_pickled.get(None)
        if inside is None:
            _being_pickled.set(inside := set())
        if id(self) in inside:
            inside.remove(id(self))
        else:
            graph = self.topological_order()[:-1]
            inside.update(map(id, graph))
        return _restored, (type(self),), (graph, self._state())

    def _state(self) -> tuple[Any, ...]:
        return self._data, self.grad, self.label, self.op, self.parents, self.local_grads

    def __setstate__(self, state: tuple[Any, tuple[Any, ...]]) -> None:
        _, (self._data, self.grad, self.label, self.op, self.parents, self.local_grads) = state


# The methods: one for each operation of the table that has a fixed number of inputs.
for _function in FUNCTIONS.values():
    if _function.op.method:
        setattr(Value, _function.op.name, _unary(_function) if _function.op.arity == 1 else _function)

if sys.platform == "emscripten":  # only there, since a `__del__` makes every node slower to free
    Value.__del__ = release  # type: ignore[attr-defined]  # mypy reads the class, which has none


class Parameter(Value):
    """A leaf that training adjusts: a weight or a bias.

    >>> Parameter(0.5, "W1[1,1]")
    Parameter(data=0.5, grad=0.0, label='W1[1,1]')
    """

    __slots__ = ()

    def __iadd__(self, other: Value | float) -> Value:
        self._refuse_a_step(other, "+=")
        return self + other

    def __isub__(self, other: Value | float) -> Value:
        self._refuse_a_step(other, "-=")
        return self - other

    def _refuse_a_step(self, other: Any, sign: str) -> None:
        # `total += w * x` is a sum that is being written down; with a number it is a step that is lost.
        if not isinstance(other, Value):
            raise TypeError(
                f"p {sign} {other!r:.40} makes a new node and leaves the parameter {describe(self)} "
                f"as it is: write p.data {sign} ... to change it, as in p.data -= lr * p.grad"
            )


class Constant(Value):
    """A leaf that is a plain number in an expression, such as the 2 in `2 * v`.

    Recorded so that drawings show it. What lands in its `.grad` is of no use to anyone.

    >>> (2 * Value(3.0)).parents[0]
    Constant(data=2.0)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label={self.label!r}"
        return f"Constant(data={self._data!r}{label})"


class Chosen(Constant):
    """A derivative that a branch has chosen, in the graph of a gradient: the 0 or 1 of ReLU'."""

    __slots__ = ()


_KINDS = {Value, Parameter, Constant, Chosen}


def number_of(x: Any) -> float:
    """The number of a Value, or a plain number as a float.

    Raises:
        TypeError: it is neither.

    >>> number_of(Value(3.0)), number_of(3)
    (3.0, 3.0)
    """
    return x._data if isinstance(x, Value) else as_float(x)


def constant(number: float) -> Constant:
    """A Constant, without the checks of `Value()`: `number` is a float already."""
    node: Constant = _new(Constant)
    node._data = number
    node.grad = 0.0
    node.label = None
    node.op = None
    node.parents = node.local_grads = ()
    return node


def _checked(op: Op, data: Any, local_grads: Any, n: int) -> tuple[float, tuple[float, ...]]:
    """What a user's own op gave, as floats: one result, and a derivative for each input."""
    try:
        data, local_grads = as_float(data), tuple([as_float(local_grad) for local_grad in local_grads])
    except TypeError as error:
        raise TypeError(f"op {op.name!r}: forward and partials must give numbers: {error}") from None
    if len(local_grads) != n:
        raise TypeError(f"op {op.name!r}: {len(local_grads)} partials for {n} inputs: {local_grads!r:.60}")
    return data, local_grads


_being_pickled: ContextVar[set[int]] = ContextVar("nodes whose turn in a pickle comes")


def _restored(kind: type[Value], state: tuple[Any, ...] | None = None) -> Value:
    """A node without its numbers, which follow, or with them."""
    node: Value = _new(kind)
    if state is not None:
        node.__setstate__((None, state))
    return node


_new: Callable[..., Any] = object.__new__  # these two skip the checks of Value(), which is for users


def _constant_or_none(number: Any) -> Constant | None:
    """What stands beside an operator, if it is a number; None lets Python ask the other operand."""
    if type(number) is float:
        return constant(number)
    try:
        return constant(as_float(number))
    except TypeError:
        return None


# Graphs and the numbers that moved since


# A graph is known by its output and by its first interior node, which graphs of one origin share.
_unmoved = [0, 0]  # the ids of both for the last backward(); the first one is 0 once any number is assigned
_run_again: list[Any] = [0, None]  # the id of the output and the first interior node of the last forward()


watchers: list[Callable[[], object]] = []  # what shows numbers while they move, such as a widget


def numbers_moved() -> None:
    """Whoever has assigned numbers to Values says so here, once for all of them, as an optimizer's step does.

    A graph may be older than its leaves from now on, and whoever watches shows the new numbers.
    """
    _unmoved[0] = 0
    for watcher in watchers:
        watcher()


# Numbers that are written when somebody looks: a compiled training moves a hundred thousand Values in no
# time, and writing each of them takes longer than a step. Until then `_data`, of all Values, is a property.

_DATA: Any = vars(Value)["_data"]
_deferred: dict[Any, Callable[[], None]] = {}
_deferred_lock = threading.RLock()
_n_settled = 0
MOST_SETTLED = 400 if sys.version_info >= (3, 13) else math.inf
"""From 3.13 on, Python caches what it finds in a class only until that has changed 1,000 times."""


def defer(owner: Any, write: Callable[[], None]) -> None:
    """Call `write`, which gives Values their numbers by `_DATA.__set__`, before the number of any Value is
    read or set.

    Args:
        owner: whose numbers these are. What it wanted to write before is left out.
        write: is called once; what it needs should not change until then.
    """
    with _deferred_lock:
        if _n_settled >= MOST_SETTLED:
            write()
            return
        if not _deferred:
            setattr(Value, "_data", property(_settled, _settle_and_set))  # noqa: B010  (mypy knows it as a float)
        _deferred.pop(owner, None)
        _deferred[owner] = write


def is_deferred(owner: Any) -> bool:
    """Whether nobody has looked at any number since this owner called `defer`."""
    return owner in _deferred


def settle() -> None:
    """Write all numbers that were deferred."""
    global _n_settled
    with _deferred_lock:
        if not _deferred:
            return
        _n_settled += 1
        while _deferred:
            owner = next(iter(_deferred))
            _deferred[owner]()
            del _deferred[owner]
        setattr(Value, "_data", _DATA)  # noqa: B010


def _settled(node: Value) -> float:
    settle()
    number: float = _DATA.__get__(node)
    return number


def _settle_and_set(node: Value, number: float) -> None:
    settle()
    _DATA.__set__(node, number)


def changed_leaves(output: Value) -> list[Value]:
    """The leaves whose present data no longer give what the graph recorded; none if the graph is up to date.

    Every node is computed again, and compared bit by bit with what it holds. Where it differs, those of its
    leaves are named that can have changed. If both factors of one product are possible, both are named. An
    interior node is named if its own `.data` was assigned. Nodes with local derivatives that were given as
    numbers can't be computed again and are left out.

    >>> w, x = Value(3.0, "w"), Value(2.0, "x")
    >>> y = w * x
    >>> w.data = 4.0
    >>> changed_leaves(y)
    [Value(data=4.0, grad=0.0, label='w')]
    """
    suspects: dict[Value, None] = {}
    cleared: set[Value] = set()
    for node in output.topological_order():
        if node.op is None or node.op is GIVEN:
            continue
        present = _results(node.op, [x._data for x in node.parents])
        recorded = (node._data, *node.local_grads)
        changed = [not same for same in map(_same_bits, present, recorded)] or [True]
        leaves = [x for x in dict.fromkeys(node.parents) if not x.parents and not isinstance(x, Constant)]
        if any(changed):
            blamed = [x for x in leaves if _can_explain(x, node, changed)] if len(leaves) <= 64 else leaves
            suspects.update(dict.fromkeys(blamed or [node]))
        else:
            cleared.update([x for x, slope in zip(node.parents, node.local_grads) if slope != 0.0])
    return [x for x in suspects if x not in cleared] or list(suspects)


def _computed(op: Op, numbers: list[float]) -> tuple[float, tuple[float, ...]]:
    """What an operation gives on these numbers, and its local derivatives there."""
    data = op.forward(*numbers)
    local_grads = op.slopes(data, *numbers)
    if TABLE.get(op.name) is not op:
        return _checked(op, data, local_grads, len(numbers))
    return data, local_grads


def _results(op: Op, numbers: list[float]) -> tuple[float, ...]:
    """The number and all local derivatives; nothing where an operation of the user's own raises."""
    try:
        data, local_grads = _computed(op, numbers)
    except Exception:
        return ()
    return data, *local_grads


def _same_bits(a: float, b: float) -> bool:
    if a == b:
        return a != 0.0 or math.copysign(1.0, a) == math.copysign(1.0, b)
    return a != a and b != b


def _can_explain(leaf: Value, node: Value, changed: list[bool]) -> bool:
    """Whether all that depends on this leaf has changed: the number and some of the local derivatives."""
    assert node.op is not None
    here = _results(node.op, [x._data for x in node.parents])
    there = _results(node.op, [1.25 * x._data + 0.75 if x is leaf else x._data for x in node.parents])
    return all(has_changed or _same_bits(a, b) for has_changed, a, b in zip(changed, here, there))


def _may_be_old(output: Value, first: Value) -> bool:
    """Whether a part of this graph has been through a backward pass, and a number was assigned since; or
    forward() of another output has computed a part again.
    """
    if _run_again[1] is first and _run_again[0] != id(output):
        return True
    if output.grad != 0.0:
        return _unmoved[0] != id(output)
    return first.grad != 0.0 and (_unmoved[0] == 0 or _unmoved[1] != id(first))


def _warn_of_an_old_graph(order: list[Value]) -> None:
    moved = [describe(leaf) for leaf in changed_leaves(order[-1])]
    if moved:
        names = ", ".join(moved[:3]) + (f" and {len(moved) - 3} more" if len(moved) > 3 else "")
        warnings.warn(
            f"backward() again through a graph that was recorded before {names} changed: {order[-1]._data!r} "
            "and its gradients belong to the old numbers. Compute all of it again, or call its forward()",
            RuntimeWarning,
            stacklevel=3,
        )


# What detect_anomaly() looks at


def describe(node: Value) -> str:
    """The node's number, with its label if it has one, for an error message."""
    return repr(node._data) if node.label is None else f"{node.label}={node._data!r}"


def _call(node: Value) -> str:
    assert node.op is not None
    shown = [describe(parent) for parent in node.parents[:8]]
    if len(node.parents) > len(shown):
        shown.append(f"… {len(node.parents)} operands")
    return f"{node.op.name}({', '.join(shown)})"


def _check_forward(node: Value) -> None:
    if not math.isfinite(node._data) and all(math.isfinite(x._data) for x in node.parents):
        raise FloatingPointError(f"{_call(node)} is {node._data!r}, from finite operands, at {_users_line()}")


def _check_backward(node: Value, lines: dict[Value, str]) -> None:
    """Called when the node has passed on its gradient: what arrived at its parents?"""
    if not math.isfinite(node.grad):
        return
    for parent, local_grad in zip(node.parents, node.local_grads):
        # ∂(xⁿ)/∂n is nan for x below zero, and of no use where n comes from plain numbers alone.
        if not math.isfinite(parent.grad) and not _is_of_constants(parent):
            raise FloatingPointError(
                f"the gradient of {describe(parent)} became {parent.grad!r} in the backward pass of "
                f"{_call(node)}: local derivative {local_grad!r} times {node.grad!r}, "
                f"computed at {lines.get(node, 'a line outside detect_anomaly()')}"
            )


def _is_of_constants(node: Value) -> bool:
    leaves = [leaf for leaf in node.topological_order() if not leaf.parents]
    return all(isinstance(leaf, Constant) for leaf in leaves)


def _users_line() -> str:
    """File and line of the innermost caller outside this package."""
    package = __file__.removesuffix("engine/value.py")
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
