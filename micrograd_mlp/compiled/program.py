"""`compile` and `Program`: the scalar graph of one example, run for a whole batch in machine code.

>>> from micrograd_mlp import MLP, SGD, compile, squared_error
>>> model = MLP(2, [3, 1], activation="tanh", seed=0)
>>> program = compile(lambda x, y: squared_error(model(x), y), model.parameters())
>>> X, Y = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [1.0, -1.0, 0.0]
>>> before = program(X, Y)
>>> losses = program.train(SGD(model.parameters(), lr=0.1), X, Y, steps=50)
>>> losses[0] == before, program(X, Y) < 0.1 * before
(True, True)
"""

from __future__ import annotations

import copy
import gc
import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograd_mlp._require import random_generator, require_count
from micrograd_mlp.compiled.check import check, check_again, check_changes
from micrograd_mlp.compiled.loop import Loop
from micrograd_mlp.compiled.machine import REAL, Machine
from micrograd_mlp.compiled.native import Floats, Lock
from micrograd_mlp.engine.value import Value

if TYPE_CHECKING:
    import random

    from micrograd_mlp.optim import Optimizer

NOTHING = np.zeros((1, 0))  # one example without inputs: f() of the parameters alone


def compile(f: Callable[..., Any], parameters: Iterable[Value], dtype: str = "float64") -> Program:
    """Make a function of Values run at native speed, over whole batches.

    Args:
        f: the loss of one example, `f(x, y)`, written with Values; or `f(x)`, also for several outputs
            (see `Program.predict`); or `f()` of the parameters alone. x is a list of Values for a row of
            X, or one Value if X is a flat list of numbers; the same for y and Y.
        parameters: the Values that gradients are for, such as `model.parameters()`.
        dtype: the precision of the machine's numbers: "float64", as Values have it, or "float32", in which
            a vector holds twice as many. Parameters stay Values with float64 numbers in either case. While
            it trains, a number of float32 below 1.2e-38 counts as 0: Intel's processors are slow with those.

    Returns:
        The Program. f is recorded when the shapes are known, in the first call; f() at once. Values that f
        uses are read anew in every call. What else f reads stays as it was recorded. When a number has
        changed that f finds in its closure, in a global or in an attribute, a call compares f with its graph
        again, and raises RuntimeError if they differ: give f such a number as an input, make it a Value, or
        compile f again. Beyond the 20 names nearest to f, and in lists and arrays of more than 50 numbers,
        a change is not looked for.

    Raises:
        TypeError: f is no function, or parameters are no Values.
        ValueError: a parameter is listed twice, or was computed from others; or there is no such dtype.
        ImportError: llvmlite or NumPy is missing, which the extra "compile" installs.

    >>> w = Value(3.0)
    >>> program = compile(lambda x: w * x, [w])
    >>> program([1.0, 2.0]), w.grad
    (4.5, 1.5)
    """
    return Program(f, parameters, dtype)


class Program:
    """What `compile` returns.

    Every call uses the numbers that the parameters have at that moment. `print(program)` shows what was
    found in the graph: operations before and after, and the layers.

    Attributes:
        f: the function.
        parameters: the Values that gradients are for, in a tuple.
        dtype: the precision of the machine's numbers.
    """

    def __init__(self, f: Callable[..., Any], parameters: Iterable[Value], dtype: str = "float64") -> None:
        if not callable(f):
            raise TypeError(f"f must be a function that returns a Value, got {f!r:.60}")
        if isinstance(parameters, Value) or not hasattr(parameters, "__iter__"):
            raise TypeError(f"parameters must be a list of Values, got {parameters!r:.60}")
        self.f, self.parameters = f, tuple(parameters)
        for p in self.parameters:
            if not isinstance(p, Value):
                raise TypeError(f"parameters must be Values, got {p!r:.60}")
            if p.parents:
                raise ValueError(
                    f"{p!r:.60} was computed from other Values: list those, it has no number of its own"
                )
        if len({id(p) for p in self.parameters}) != len(self.parameters):
            raise ValueError("a parameter is in the list twice")
        self.dtype = _dtype(dtype)
        self._machines: dict[tuple[Any, ...], Machine] = {}
        self._is_unpickled = False
        self._lock = Lock()  # a machine has one memory to work in
        if _takes(f, 0):
            self._machine([])

    def __call__(self, X: Any = None, Y: Any = None) -> float:
        """The mean loss over the rows; every parameter's `.grad` becomes the gradient of that mean.

        Unlike `backward()`, which adds to what is there, this replaces `.grad`.

        Args:
            X: one row of numbers for each example, or one number.
            Y: a number for each example, such as a class, or a row of them.

        Raises:
            TypeError: X or Y hold something else than numbers; or f compares Values, or returns
                something else than one Value.
            ValueError: X and Y do not fit together or have no rows, or there is nan in Y.
            RuntimeError: f depends on something that its graph does not hold, such as a branch on `.data`.
        """
        loss, gradient = self.loss_and_grad(X, Y)
        for p, number in zip(self.parameters, gradient.tolist()):
            p.grad = number
        return loss

    def loss_and_grad(self, X: Any = None, Y: Any = None) -> tuple[float, Floats]:
        """The mean loss, and its gradient as an array in the order of the parameters; `.grad` stays as it is.

        Arguments and errors are those of a call.

        >>> v, w = Value(2.0), Value(3.0)
        >>> compile(lambda: v * v * w, [v, w]).loss_and_grad()
        (12.0, array([12.,  4.]))
        """
        with self._lock:
            machine, x, y = self._prepare(X, Y)
            self._require_loss(machine)
            machine.read()
            loss = machine.loss(x, y)
            return loss, machine.gradient[machine.order]

    def predict(self, X: Any = None) -> Floats:
        """f(x) for every row of X.

        Returns:
            One number for each row, or a row of numbers if f returns a list.

        Raises:
            TypeError, ValueError, RuntimeError: as in a call.

        >>> from micrograd_mlp import MLP
        >>> model = MLP(2, [4, 3], seed=0)
        >>> compile(model, model.parameters()).predict([[0.5, 1.0], [2.0, 0.0]]).shape
        (2, 3)
        """
        with self._lock:
            machine, x, y = self._prepare(X, None)
            machine.read()
            outputs = machine.predict(x, y)
            return outputs if machine.is_list else outputs[:, 0]

    def train(
        self,
        optimizer: Optimizer,
        X: Any = None,
        Y: Any = None,
        *,
        steps: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        seed: int | random.Random | None = None,
        callback: Callable[[int, float], object] | None = None,
    ) -> list[float]:
        """Train in machine code: gradient and the optimizer's step, over and over (§10).

        Args:
            optimizer: adjusts exactly the program's parameters; it may be used eagerly before and after.
            X: as in a call.
            Y: as in a call.
            steps: how many steps to take, or
            epochs: how often to go through all rows; one of the two.
            batch_size: rows in a step, in a new random order in each epoch; None takes all rows each time.
            seed: a number or a `random.Random`, for the order of the rows; `fit` has the same order.
            callback: called as `callback(number, loss)` after every step, or every epoch if `epochs` is
                given, from 1; returning True ends the training. If it has a method `finish`, as `LivePlot`
                has, that is called when the training ends, however it ends.

        Returns:
            For each step the mean loss of its rows before the step; with `epochs`, the mean of each epoch.

        Raises:
            FloatingPointError: the loss, a parameter or a number that the optimizer keeps for it became inf
                or nan. Parameters and optimizer are as they were when all were finite for the last time.
            TypeError, ValueError, RuntimeError: as in a call, or the optimizer has other parameters.

        Ctrl-C, and an error in the callback, leave Values and optimizer at the last finished step.
        """
        if (steps is None) == (epochs is None):
            raise ValueError("give either steps or epochs")
        count = require_count("steps", steps) if epochs is None else require_count("epochs", epochs)
        batch_size = None if batch_size is None else require_count("batch_size", batch_size, least=1)
        with self._lock:
            machine, x, y = self._prepare(X, Y)
            self._require_loss(machine)
            rng = None if batch_size is None else random_generator(seed)
            loop = Loop(machine, optimizer, x, y, batch_size or len(x), rng)
            in_epoch = 1 if epochs is None else loop.steps_in_epoch
            try:
                losses = loop.go(count * in_epoch, in_epoch, callback)
            finally:
                if callback is not None and hasattr(callback, "finish"):
                    callback.finish()
            check_again(machine, self.f, len(losses) * in_epoch, loop.batch_size)
            return losses

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...] | None:
        """The shapes of one example's X and Y in the latest new call; None if there was no call yet."""
        return list(self._machines)[-1] if self._machines else None

    # A copy records anew. What f reads has to be what the copy trains: of a plain function nothing is copied.

    def __copy__(self) -> Program:
        return Program(self.f, self.parameters, self.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        f, parameters = copy.deepcopy((self.f, self.parameters), memo)
        return Program(f, self.parameters if f is self.f else parameters, self.dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.f, self.parameters, self.dtype)

    def __str__(self) -> str:
        if not self._machines:
            return f"{self!r}, not recorded yet: it will be in its first call"
        return "\n\n".join([machine.describe() for machine in self._machines.values()])

    def __repr__(self) -> str:
        return f"<Program: {getattr(self.f, '__name__', repr(self.f))}, {len(self.parameters)} parameters>"

    # Preparing a call: everything that can be wrong is found before anything runs.

    def _prepare(self, X: Any, Y: Any) -> tuple[Machine, Floats, Floats]:
        if X is None:
            if Y is not None:
                raise TypeError("Y was given without X")
            return self._machine([]), NOTHING, NOTHING
        given = [(name, data) for name, data in (("X", X), ("Y", Y)) if data is not None]
        arrays = [_as_array(name, data, self.dtype) for name, data in given]
        if arrays and not len(arrays[0]):
            raise ValueError("X has no rows: a mean needs at least one example")
        if len(arrays) == 2:
            if len(arrays[0]) != len(arrays[1]):
                raise ValueError(f"X has {len(arrays[0])} rows, but Y has {len(arrays[1])}")
            if math.isnan(np.vdot(arrays[1], arrays[1])):  # a sum of squares: inf - inf is not among them
                row = int(np.isnan(arrays[1]).nonzero()[0][0])
                raise ValueError(f"Y is nan in row {row}: without a target there is no loss")
        return self._machine(arrays), *_matrices(arrays)

    def _machine(self, arrays: list[Floats]) -> Machine:
        """The machine for arguments of these shapes; recorded and checked when they are new."""
        shapes = tuple([array.shape[1:] for array in arrays])
        if shapes not in self._machines:
            if not _takes(self.f, len(arrays)):
                given = ["nothing", "X alone", "X and Y"][len(arrays)]
                raise TypeError(f"{self!r} can't be called with {given}: f takes {inspect.signature(self.f)}")

            def example(row: int) -> list[Any]:
                return [array[row].tolist() for array in arrays]

            with _no_garbage_collection():
                machine = Machine(self.f, self.parameters, example(0), self.dtype)
                if self._is_unpickled and machine.graph.captured and not machine.graph.uses_parameters():
                    raise RuntimeError(
                        f"{self!r} was pickled, and its f uses none of the parameters that came with it, but "
                        "other Values: compile f again, or pickle a program whose f is the model itself"
                    )
                check(machine, self.f, *_matrices(arrays), example)
            self._machines[shapes] = machine
        elif self._machines[shapes].has_changed():
            check_changes(self._machines[shapes], self.f, is_single=len(arrays[0]) == 1 if arrays else True)
        return self._machines[shapes]

    def _require_loss(self, machine: Machine) -> None:
        if machine.is_list:
            raise TypeError(
                f"f returned a list of {len(machine.plan.outputs)} Values, but a loss is one: "
                "use predict(), or let f return one Value"
            )


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A graph has no reference cycles; looking for them takes a third of the time of building one."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _dtype(dtype: Any) -> str:
    """The name of a precision, which NumPy's types have too."""
    try:
        name = str(np.dtype(dtype).name)
    except TypeError:
        name = ""
    if name not in REAL:
        raise ValueError(f'dtype must be "float64" or "float32", got {dtype!r:.60}')
    return name


def _unpickled(f: Callable[..., Any], parameters: list[Value], dtype: str = "float64") -> Program:
    program = Program(f, parameters, dtype)
    program._is_unpickled = True
    program._machines.clear()
    return program


def _as_array(name: str, data: Any, dtype: str) -> Floats:
    """Rows of numbers, or numbers, in this precision."""
    try:
        array = np.asarray(data)
    except ValueError:
        raise ValueError(f"{name} must have rows of one length") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got {array.dtype} from {data!r:.60}")
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must have one or two dimensions, rows of numbers, got shape {array.shape}")
    return array.astype(dtype, order="C", copy=False)


def _matrices(arrays: list[Floats]) -> tuple[Floats, Floats]:
    """X and Y as the machine wants them: two-dimensional, and without columns if not given."""
    n = len(arrays[0]) if arrays else 1
    matrices = [array.reshape(n, -1) for array in arrays]
    while len(matrices) < 2:
        matrices.append(np.zeros((n, 0)))
    x, y = matrices
    return x, y


def _takes(f: Callable[..., Any], n_arguments: int) -> bool:
    try:
        inspect.signature(f).bind(*[None] * n_arguments)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return n_arguments > 0
    return True
