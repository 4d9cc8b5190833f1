"""A planned graph with the memory and the threads to execute it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from micrograd_mlp.compiled.kernels import (
    GRADIENT,
    MAX_FREE_SHARDS,
    PREDICT,
    STOPPED,
    TRAIN,
    Code,
    Examples,
    Memory,
    Steps,
    Team,
    execute,
)
from micrograd_mlp.compiled.native import IS_NATIVE, Floats, Integers, address_of, load, quiet
from micrograd_mlp.compiled.operations import Operation
from micrograd_mlp.compiled.plan import RUN, plan
from micrograd_mlp.compiled.trace import placeholders, trace
from micrograd_mlp.engine.value import Value, numbers_moved

CACHE = 1 << 20  # bytes that a block's values and adjoints should stay below, about a second-level cache
MOST_LANES, FEWEST_LANES = 64, 8
WORTH_A_THREAD = 4_000_000  # operands in a step from which on a second core pays for its start
OPERANDS_A_SECOND = 100_000_000  # a lower bound: most graphs reach ten times as many
NO_RULE = 0, 0, np.zeros(0), np.zeros(0)

# Measured on 100,000 parameters: a loop over them takes three times as long. `vars` finds the slot itself.
_get_data, _set_data = attrgetter("_data"), vars(Value)["_data"].__set__


class Machine:
    """The graph of `f` for arguments of one shape.

    Attributes:
        example: the arguments that f was recorded with.
        graph: the graph as it was recorded.
        plan: the graph, laid out.
        is_list: f returns a list of outputs.
        n_recorded: how many operations f recorded.
        theta: the parameters, in the machine's own order.
        order: for each parameter, in the user's order, its index in `theta`.
        finished: the number of finished steps of training, counted by the machine code.
        unchecked, is_checked_again: for `check.check_again`: operations of training since the last check, and
            whether there was one.
    """

    def __init__(self, f: Callable[..., Any], parameters: Sequence[Value], example: Sequence[Any]) -> None:
        arguments = [placeholders(row, label) for row, label in zip(example, "xy")]
        with _no_garbage_collection():
            self.graph, self.is_list = trace(f, arguments, parameters)
            graph = replace(
                self.graph, operators=list(self.graph.operators), operands=list(self.graph.operands)
            )
            self.plan = plan(graph)
        load()
        self.parameters = parameters
        self.example, self.n_recorded = example, graph.n_recorded
        self.unchecked, self.is_checked_again = 0, False
        self._shapes = [len(argument) if isinstance(argument, list) else None for argument in arguments]
        p, n, first = self.plan, len(parameters), self.plan.first_parameter
        self.order: Integers = p.parameters - first
        block_bytes = 8 * (p.varying.size + p.varying.n_adjoints)  # for one example
        self.lanes = max(min(MOST_LANES, CACHE // max(block_bytes, 1) // 8 * 8), FEWEST_LANES)
        self._code = Code(
            p.uniform, p.varying, p.broadcast_to, p.broadcast_from, p.broadcast_to_adjoint,
            p.broadcast_from_adjoint, p.outputs, p.output_adjoint, first, n, graph.n_inputs, self.lanes,
        )  # fmt: skip
        self.operations = [Operation(op, n_inputs) for op, n_inputs in p.on_demand]
        counts = p.uniform.runs.reshape(-1, len(RUN))[:, RUN.n_results]
        self._spare = 2 * (int(counts.max(initial=0)) + 8)  # see `interpreter.Buffers`
        self._memories: list[Memory] = []
        self._make_room(1)
        self.theta = self._memories[0].uniform[first : first + n]
        self.finished = np.zeros(1, dtype=np.int64)

    def _make_room(self, n_threads: int) -> None:
        """Make memory for so many threads, and for the result of each shard of a step."""
        if len(self._memories) >= n_threads:
            return
        uniform, varying = self.plan.uniform, self.plan.varying
        addresses: Any = [0, *[address_of(operation.entry) for operation in self.operations]]
        while len(self._memories) < n_threads:
            values = _zeros(uniform.size + self._spare)
            values[: len(self.plan.leaves)] = self.plan.leaves
            v, d, scratch = [
                _zeros(n * self.lanes) for n in (varying.size, varying.n_adjoints, self.plan.scratch)
            ]
            operations: Any = np.array(addresses, dtype=np.int64) if IS_NATIVE else list(addresses)
            self._memories.append(Memory(values, v, d, scratch, operations))
        n_shards = 1 if n_threads == 1 else n_threads + n_threads * MAX_FREE_SHARDS
        width = -(-(uniform.n_adjoints + self._spare) // 8) * 8
        self._gradients = _zeros(n_shards * width).reshape(n_shards, width)

    @property
    def gradient(self) -> Floats:
        """The gradient of the last call of `loss`, in the order of `theta`."""
        return self._gradients[0, 1 : 1 + len(self.theta)]

    def read(self) -> None:
        """Take over the numbers that the parameters, and other Values that f uses, have now."""
        n = len(self.parameters)
        self.theta[self.order] = np.fromiter(map(_get_data, self.parameters), np.float64, n)
        for offset, value in self.plan.captured.items():
            self._memories[0].uniform[offset] = value.data

    def write(self) -> None:
        """Give the parameters the numbers of `theta`."""
        for _ in map(_set_data, self.parameters, self.theta[self.order].tolist()):
            pass
        numbers_moved()

    def predict(self, x: Floats, y: Floats) -> Floats:
        """The outputs of each example, one row an example."""
        outputs = np.zeros((len(x), len(self.plan.outputs)))
        examples = Examples(x, y, np.arange(len(x)))
        self._execute(examples, Steps(PREDICT, np.array([[0, len(x)]]), outputs, *NO_RULE, self.finished))
        return outputs

    def loss(self, x: Floats, y: Floats, order: Integers) -> float:
        """The mean loss of the examples in `order`; its gradient is in `gradient`."""
        result = np.empty((1, 1))
        bounds = np.array([[0, len(order)]])
        self._execute(Examples(x, y, order), Steps(GRADIENT, bounds, result, *NO_RULE, self.finished))
        return float(result[0, 0])

    def take_steps(
        self, examples: Examples, bounds: Integers, rule: Any, t: int, state: Floats, settings: Floats
    ) -> Floats:
        """Steps of an optimizer, in place; `finished` says how many, which are fewer after inf or nan.

        Returns:
            The losses, nan for steps that were not taken.
        """
        losses = np.full((len(bounds), 1), np.nan)
        self.finished[0] = 0
        steps = Steps(TRAIN, bounds, losses, address_of(rule), t, state, settings, self.finished)
        self._execute(examples, steps)
        return losses[:, 0]

    def cores(self, n_examples: int) -> int:
        """How many cores share the examples: chosen by the size alone, so that results are reproducible."""
        if n_examples * self.plan.work < WORTH_A_THREAD:
            return 1
        return int(min(numba.get_num_threads(), -(-n_examples // self.lanes)))

    def steps_in(self, seconds: float, n_examples: int) -> int:
        """Lower bound of the steps that fit into the time; at least 1."""
        return max(int(seconds * OPERANDS_A_SECOND / max(n_examples * self.plan.work, 1)), 1)

    def _execute(self, examples: Examples, steps: Steps) -> None:
        """`kernels.execute`, on as many cores as the largest step is worth."""
        bounds = steps.bounds
        is_shared = steps.mode != PREDICT
        size = self.cores(int((bounds[:, 1] - bounds[:, 0]).max(initial=0))) if is_shared else 1
        self._make_room(size)
        for memory in self._memories[1:size]:
            memory.uniform[:] = self._memories[0].uniform
        progress = np.zeros(size + 1, dtype=np.int64)
        losses = np.zeros(len(self._gradients))

        def member(number: int) -> None:
            memory = self._memories[number]
            team = Team(number, size, progress, self.theta, losses, self._gradients)
            memory.operations[0] = 0
            with quiet():
                execute(self._code, memory, team, examples, steps)
            if memory.operations[0]:
                failed = self.operations[memory.operations[0] - 1]
                failed.raise_error(memory.scratch[: failed.n].tolist())

        if size == 1:
            member(0)
        else:
            _together(member, progress[:size])

    def describe(self) -> str:
        """The text of `print(program)`."""
        arguments = [
            f"{label}: {'one number' if n is None else f'{n} numbers'}"
            for label, n in zip("xy", self._shapes)
        ]
        p = self.plan
        arrays: list[NDArray[Any]] = [self._gradients]
        arrays += [array for memory in self._memories for array in memory[:4]]
        arrays += [array for tape in (p.uniform, p.varying) for array in (tape.runs, tape.operands)]
        left = f"{p.n_varying:,} for each example, {p.n_uniform:,} once a batch"
        in_python = [(k.op.name, k.n, k.in_python) for k in self.operations if k.in_python]
        lines = [
            ("inputs", ", ".join(arguments) or "none"),
            ("parameters", f"{len(self.parameters):,}"),
            ("operations", f"{self.n_recorded:,} recorded; {left}"),
            *p.descriptions,
            *[("in Python", f"{name} of {n} numbers: {reason}") for name, n, reason in in_python],
            ("block", f"{self.lanes} examples"),
            ("memory", f"{sum([array.nbytes for array in arrays]) / 1e6:.2f} MB"),
        ]
        return "\n".join([f"{name:<12}{text}" for name, text in lines])


def _zeros(n: int) -> Floats:
    """An array that begins with a cache line: a vector that lies in two lines is slow to read."""
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


def _together(member: Callable[[int], None], progress: Integers) -> None:
    """Call member(0) here, and member(1), member(2), ... each in a thread of its own."""
    errors: list[BaseException] = []

    def follow(number: int) -> None:
        try:
            member(number)
        except BaseException as error:
            errors.append(error)
            progress[number] = STOPPED

    others = [threading.Thread(target=follow, args=(number,)) for number in range(1, len(progress))]
    try:
        for other in others:
            other.start()
        member(0)
    finally:  # also after Ctrl-C: no thread may wait for the leader, or write when the next call begins
        progress[0] = STOPPED
        for other in others:
            if other.is_alive():
                other.join()
    if errors:
        raise errors[0]
