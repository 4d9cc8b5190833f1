"""A recorded graph, laid out, with the memory and the cores to run it."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from micrograd_mlp.compiled.kernels import (
    FREE_PARTS,
    GRADIENT,
    PREDICT,
    STOPPED,
    TRAIN,
    Code,
    Memory,
    Team,
    run,
)
from micrograd_mlp.compiled.native import pointer_to
from micrograd_mlp.compiled.operations import Operation
from micrograd_mlp.compiled.tape import COUNT, lay_out
from micrograd_mlp.compiled.trace import call, placeholders, trace
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.value import Value

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CACHE = 1 << 20  # bytes that a block's values and adjoints should stay below, about a second-level cache
MOST_LANES, FEWEST_LANES = 64, 8
WORTH_A_THREAD = 4_000_000  # operands in a step from which on a second core pays for its start
OPERANDS_A_SECOND = 100_000_000  # at least; most graphs reach ten times as many
CHECKED_OPERATIONS = 20_000  # how much eager computing the first call may do to compare itself with
NOTHING = np.zeros(0)

# Measured on 100,000 parameters: a loop over them takes three times as long. `vars` finds the slot itself.
_get_data, _set_data = attrgetter("_data"), vars(Value)["_data"].__set__


class Machine:
    """The graph of `f` for arguments of one shape.

    Attributes:
        layout: see `tape`.
        several: f returns a list of outputs.
        n_recorded: how many operations f recorded.
        theta: the parameters, in the machine's own order, which `order` says for the user's.
    """

    def __init__(self, f: Callable[..., Any], parameters: Sequence[Value], example: Sequence[Any]) -> None:
        arguments = [placeholders(row, label) for row, label in zip(example, "xy")]
        with _no_garbage_collection():
            graph, self.several = trace(f, arguments, parameters)
            self.layout = layout = lay_out(graph)
        self.f, self.parameters = f, parameters
        self.shapes = [len(argument) if isinstance(argument, list) else None for argument in arguments]
        self.n_inputs, self.n_recorded = graph.n_inputs, graph.n_recorded
        uniform, varying = layout.uniform, layout.varying
        row_bytes = 8 * (2 * varying.size - varying.base)
        self.lanes = max(min(MOST_LANES, CACHE // max(row_bytes, 1) // 8 * 8), FEWEST_LANES)
        n = len(parameters)
        first = int(layout.parameter_places.min()) if n else uniform.base + 1
        self.order: Integers = layout.parameter_places - first
        self.code = Code(
            uniform.runs.ravel(), uniform.args, uniform.size, uniform.base, uniform.first_active,
            varying.runs.ravel(), varying.args, varying.size, varying.base, varying.first_active,
            layout.spread_rows, layout.spread_places, layout.outputs, first, n, graph.n_inputs,
        )  # fmt: skip
        self.operations = [Operation(op, n) for op, n in layout.user_ops]
        self._spare = 2 * (int(uniform.runs[:, COUNT].max(initial=0)) + 8)  # see `interpreter`
        self._memories: list[Memory] = []
        self._make_room(1)
        self.theta = self._memories[0].u[first : first + n]
        self.finished = np.zeros(1, dtype=np.int64)  # steps of training, counted by the machine code

    def _make_room(self, size: int) -> None:
        """Memory for so many threads, and for the result of each part of a step."""
        if len(self._memories) >= size:
            return
        uniform, varying = self.layout.uniform, self.layout.varying
        rows = varying.size, varying.size - varying.base, self.layout.scratch_rows
        while len(self._memories) < size:
            u = _zeros(uniform.size + self._spare)
            u[: len(self.layout.leaves)] = self.layout.leaves
            self._memories.append(Memory(u, *[_zeros(n * self.lanes) for n in rows]))
        n_parts = 1 if size == 1 else size + size * FREE_PARTS
        width = -(-(uniform.size - uniform.base + self._spare) // 8) * 8
        self._gradients = _zeros(n_parts * width).reshape(n_parts, width)

    @property
    def gradient(self) -> Floats:
        """What the last call of `loss` found, in the order of `theta`."""
        first = self.code.first_parameter - self.code.uniform_base
        return self._gradients[0, first : first + self.code.n_parameters]

    def read(self) -> None:
        """Take over the numbers that the parameters, and other Values that f uses, have now."""
        n = len(self.parameters)
        self.theta[self.order] = np.fromiter(map(_get_data, self.parameters), np.float64, n)
        for place, value in self.layout.captured.items():
            self._memories[0].u[place] = value.data

    def write(self) -> None:
        """Give the parameters the numbers that they have here."""
        deque(map(_set_data, self.parameters, self.theta[self.order].tolist()), maxlen=0)

    # Running

    def _run(
        self, x: Floats, y: Floats, order: Integers, bounds: Integers, mode: int, results: Floats,
        rule: Any = 0, t: int = 0, state: Floats = NOTHING, settings: Floats = NOTHING,
    ) -> None:  # fmt: skip
        """`kernels.run`, on as many cores as the largest step is worth."""
        finished = self.finished if mode == TRAIN else np.zeros(1, dtype=np.int64)
        size = 1 if mode == PREDICT else self.cores(int((bounds[:, 1] - bounds[:, 0]).max(initial=0)))
        self._make_room(size)
        for memory in self._memories[1:size]:
            memory.u[:] = self._memories[0].u
        progress = np.zeros(size + 1, dtype=np.int64)
        losses = np.zeros(len(self._gradients))

        def part(number: int) -> None:
            operations: Any = [0, *[pointer_to(operation.entry) for operation in self.operations]]
            if not numba.config.DISABLE_JIT:
                operations = np.array(operations, dtype=np.int64)
            team = Team(number, size, progress, self.theta, losses, self._gradients)
            arguments = (
                self.code, self._memories[number], operations, rule, x, y, order, bounds, self.lanes,
                mode, t, state, settings, results, finished, team,
            )  # fmt: skip
            if numba.config.DISABLE_JIT:  # then NumPy would warn of inf and nan
                with np.errstate(all="ignore"):
                    run(*arguments)
            else:
                run(*arguments)
            if operations[0]:
                k = operations[0] - 1
                self.operations[k].raise_error(
                    self._memories[number].scratch[: self.operations[k].n].tolist()
                )

        if size == 1:
            part(0)
        else:
            _together(part, progress[:size])

    def predict(self, x: Floats, y: Floats) -> Floats:
        """A row of outputs for each row."""
        outputs = np.zeros((len(x), len(self.layout.outputs)))
        self._run(x, y, np.arange(len(x)), np.array([[0, len(x)]]), PREDICT, outputs)
        return outputs

    def loss(self, x: Floats, y: Floats, order: Integers) -> float:
        """The mean loss of these rows; its gradient is in `gradient`."""
        result = np.empty((1, 1))
        self._run(x, y, order, np.array([[0, len(order)]]), GRADIENT, result)
        return float(result[0, 0])

    def train(
        self, x: Floats, y: Floats, order: Integers, bounds: Integers,
        rule: Any, t: int, state: Floats, settings: Floats,
    ) -> Floats:  # fmt: skip
        """Steps of an optimizer, in place; `finished` says how many, which are fewer after inf or nan."""
        losses = np.full((len(bounds), 1), np.nan)
        self.finished[0] = 0
        self._run(x, y, order, bounds, TRAIN, losses, pointer_to(rule), t, state, settings)
        return losses[:, 0]

    def cores(self, n_rows: int) -> int:
        """How many cores share the rows: a choice by size alone, so that results can be had again."""
        if n_rows * self.layout.work < WORTH_A_THREAD:
            return 1
        return int(min(numba.get_num_threads(), -(-n_rows // self.lanes)))

    def steps_in(self, seconds: float, n_rows: int) -> int:
        """A number of steps that surely takes no longer, if it is not one."""
        return max(int(seconds * OPERANDS_A_SECOND / max(n_rows * self.layout.work, 1)), 1)

    # Checking and showing

    def check(self, x: Floats, y: Floats, rows_of: Callable[[int], Sequence[Any]]) -> None:
        """Compare some rows, none of them the recorded one, with eager execution.

        A branch on `.data`, or a number taken out of a Value, is not in the graph: then the graph is
        right for the row that it was recorded from, and wrong for others.

        `rows_of` gives the arguments of f, as numbers, for a row's index.

        Raises:
            RuntimeError: they differ.
        """
        n = max(2, CHECKED_OPERATIONS // max(self.n_recorded, 1))
        rows = _telling_rows(x, y, n)
        if not rows:
            return
        self.read()
        for row, ours in zip(rows, self.predict(x[rows], y[rows]).tolist()):
            with no_grad():
                result = call(
                    self.f, [placeholders(numbers, label) for numbers, label in zip(rows_of(row), "xy")]
                )
            eager = [v.data for v in result] if isinstance(result, list) else [result.data]
            if not np.allclose(ours, eager, rtol=1e-6, atol=1e-9, equal_nan=True):
                raise RuntimeError(
                    f"f gives {_shown(eager)} for row {row}, its recorded graph {_shown(ours)}: the result "
                    "depends on something that the graph does not hold, such as a branch on `.data`, a "
                    "number taken out of a Value, or a random choice. Use maximum, minimum, relu, abs or "
                    "equal, which are part of the graph"
                )

    def describe(self) -> str:
        """What was found, for people."""
        layout = self.layout
        arguments = [
            f"{label}: {'one number' if n is None else f'{n} numbers'}" for label, n in zip("xy", self.shapes)
        ]
        arrays: list[NDArray[Any]] = [array for memory in self._memories for array in memory]
        arrays += [
            self._gradients,
            layout.uniform.runs,
            layout.uniform.args,
            layout.varying.runs,
            layout.varying.args,
        ]
        left = f"{layout.n_varying:,} for each example, {layout.n_uniform:,} once a batch"
        lines = [
            ("inputs", ", ".join(arguments) or "none"),
            ("parameters", f"{len(self.parameters):,}"),
            ("operations", f"{self.n_recorded:,} recorded; {left}"),
            *[("layer", text) for text in layout.layer_texts],
            *[("softmax", f"{times:,} of {n:,} numbers") for n, times in layout.softmaxes.items()],
            *[
                ("in Python", f"{k.op.name} of {k.n} numbers: {k.in_python}")
                for k in self.operations
                if k.in_python
            ],
            ("block", f"{self.lanes} examples"),
            ("memory", f"{sum([array.nbytes for array in arrays]) / 1e6:.2f} MB"),
        ]
        return "\n".join([f"{name:<12}{text}" for name, text in lines])


def _zeros(n: int) -> Floats:
    """From the beginning of a cache line on: a vector that lies in two of them is slow to read."""
    numbers = np.zeros(n + 7)
    first = -(numbers.ctypes.data // 8) % 8
    return numbers[first : first + n]


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


def _together(part: Callable[[int], None], progress: Integers) -> None:
    """Call part(0) here, and part(1), part(2), ... each in a thread of its own."""
    errors: list[BaseException] = []

    def follow(number: int) -> None:
        try:
            part(number)
        except BaseException as error:
            errors.append(error)
            progress[number] = STOPPED

    others = [threading.Thread(target=follow, args=(number,)) for number in range(1, len(progress))]
    try:
        for other in others:
            other.start()
        part(0)
    finally:  # also after Ctrl-C: nobody may wait for the leader, or write when the next call begins
        progress[0] = STOPPED
        for other in others:
            if other.is_alive():
                other.join()
    if errors:
        raise errors[0]


def _telling_rows(x: Floats, y: Floats, n: int) -> list[int]:
    """Up to n rows besides row 0: those with the smallest and largest numbers, and some in between."""
    if len(x) < 2:
        return []
    columns = np.concatenate([y, x], axis=1)
    extreme = np.stack([columns[1:].argmin(axis=0), columns[1:].argmax(axis=0)], axis=1).ravel() + 1
    spaced = np.linspace(len(x) - 1, 1, min(n, len(x) - 1)).round().astype(np.int64)
    mixed = [*extreme[: max(n // 2, 2)].tolist(), *spaced.tolist()]
    return list(dict.fromkeys(mixed))[:n]


def _shown(numbers: list[float]) -> str:
    return repr(numbers[0]) if len(numbers) == 1 else f"{numbers!r:.60}"
