"""A planned graph with the memory and the threads to execute it."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from micrograd_mlp._require import require_count
from micrograd_mlp.compiled import affine
from micrograd_mlp.compiled.kernels import is_worth_keeping
from micrograd_mlp.compiled.layout import Runs
from micrograd_mlp.compiled.native import Floats, Integers, MachineCode, compiled, target
from micrograd_mlp.compiled.operations import PythonOperation
from micrograd_mlp.compiled.plan import plan
from micrograd_mlp.compiled.reached import Reached
from micrograd_mlp.compiled.steps import (
    GRADIENT,
    JOB,
    MAX_FREE_SHARDS,
    PREDICT,
    STOPPED,
    TRAIN,
    execute,
)
from micrograd_mlp.compiled.trace import placeholders, trace
from micrograd_mlp.compiled.unrolled import LARGEST, WORTH_IT, lanes_for, unrolled
from micrograd_mlp.engine.op import TABLE, Op
from micrograd_mlp.engine.translate import TranslationError
from micrograd_mlp.engine.value import _DATA, Value, defer, is_deferred, numbers_moved, settle

CACHE = 1 << 20  # bytes that a block's values and adjoints should stay below, about a second-level cache
MOST_LANES = 128
LANES_WASTED = 5  # lanes for each example from which on one example after the other is faster
WORTH_MOVING_AT_ONCE = 1 << 24  # parameters times steps, from which on it is worth the time to compile it
WORTH_DEFERRING = 500  # parameters: reading and writing takes longer than remembering that nobody looked
WORTH_A_THREAD = 4_000_000  # operands in a step from which on a second core pays for its start
OPERANDS_A_SECOND = 1_000_000_000  # a lower bound: most graphs reach more
REAL = {"float64": "double", "float32": "float"}

_get_data = attrgetter("_data")  # measured on 100,000 parameters: a loop over them takes three times as long


_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_n_threads: list[int] = []


def set_num_threads(n: int) -> None:
    """Let all programs use so many cores at most. Beside other busy processes, fewer are often faster.

    How examples are shared among cores changes the rounding of sums: with the same number of cores a run
    gives the same bits again.

    Args:
        n: how many cores, at least 1.

    Raises:
        TypeError: n is no whole number.
        ValueError: n is below 1.

    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)
    """
    _n_threads[:] = [require_count("n", n, least=1)]


def get_num_threads() -> int:
    """How many cores programs use at most: by default all that this process may use."""
    if _n_threads:
        return _n_threads[0]
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Examples(NamedTuple):
    """The rows of x and y, and an order in which steps take them."""

    x: Floats
    y: Floats
    order: Integers


class _Memory:
    """The memory that a thread writes to, and its job."""

    def __init__(self, sizes: Sequence[int], first_parameter: int, dtype: str) -> None:
        n_uniform, *others = sizes
        self.uniform = _zeros(n_uniform, dtype, aligned=first_parameter)
        self.values, self.adjoints, self.scratch = [_zeros(n, dtype) for n in others]
        self.failed = np.zeros(1, dtype=np.int64)
        self.job: Integers = np.zeros(len(JOB), dtype=np.int64)
        self.address = self.job.ctypes.data
        for name in ("uniform", "values", "adjoints", "scratch", "failed"):
            self.set(name, getattr(self, name).ctypes.data)

    def set(self, name: str, word: int) -> None:
        """Enter a number or an address in the job."""
        self.job[_WORD[name]] = word

    def get(self, name: str) -> int:
        """A number or an address of the job."""
        return int(self.job[_WORD[name]])

    @property
    def nbytes(self) -> int:
        return sum([array.nbytes for array in (self.uniform, self.values, self.adjoints, self.scratch)])


_WORD = {name: k for k, name in enumerate(JOB)}


class Machine:
    """The graph of `f` for arguments of one shape.

    Attributes:
        example: the arguments that f was recorded with.
        reached: what else f can reach.
        derivatives: what the derivatives of the user's operations can reach.
        graph: the graph as it was recorded.
        plan: the graph, laid out.
        dtype: "float64" or "float32".
        is_list: f returns a list of outputs.
        n_recorded: how many operations f recorded.
        theta: the parameters, in the machine's own order.
        order: for each parameter, in the user's order, its index in `theta`.
        finished: the number of finished steps of training, counted by the machine code.
        unchecked, is_checked_again: for `check.check_again`: operations of training since the last check, and
            whether there was one.
        is_rounding_known: `check` has warned that rounding takes many digits of f's results.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        parameters: Sequence[Value],
        example: Sequence[Any],
        dtype: str = "float64",
    ) -> None:
        arguments = [placeholders(row, label) for row, label in zip(example, "xy")]
        self.graph, self.is_list = trace(f, arguments, parameters)
        graph = replace(self.graph, operators=list(self.graph.operators), operands=list(self.graph.operands))
        self.parameters, self.dtype, self.target = parameters, dtype, target(REAL[dtype])
        self.plan = plan(graph, lambda op, n: is_worth_keeping(op, n, self.target))
        self.example, self.n_recorded = example, graph.n_recorded
        self.reached = Reached(f)
        users = [op for op in dict.fromkeys(graph.operators) if op and TABLE.get(op.name) is not op]
        self.derivatives = {op: Reached(op.partials) for op in users}
        self._reached = [self.reached, *self.derivatives.values()]
        self.unchecked, self.is_checked_again, self.is_rounding_known = 0, False, False
        self._shapes = [len(argument) if isinstance(argument, list) else None for argument in arguments]
        n_x, *n_y = [1 if n is None else n for n in self._shapes] or [0]
        p, n, first = self.plan, len(parameters), self.plan.first_parameter
        self.order: Integers = p.parameters - first
        item = np.dtype(dtype).itemsize
        width = self.target.width
        block_bytes = item * (p.varying.size + p.varying.n_adjoints)  # for one example
        self.lanes = max(min(MOST_LANES, CACHE // max(block_bytes, 1) // width * width), width)
        self._python_operations: dict[tuple[Op, int], PythonOperation] = {}
        self._execute_code = compiled(execute(self.target))
        self._step = self._execute_code
        self._unrolled: dict[int, MachineCode] = {}
        self._runs: dict[str, Runs] = {}
        line = 64 // item
        self._width = -(-p.uniform.n_adjoints // line) * line
        self._fixed = {
            "broadcast_to": p.broadcast_to.ctypes.data, "broadcast_from": p.broadcast_from.ctypes.data,
            "broadcast_to_adjoint": p.broadcast_to_adjoint.ctypes.data,
            "broadcast_from_adjoint": p.broadcast_from_adjoint.ctypes.data,
            "n_broadcast": len(p.broadcast_to), "outputs": p.outputs.ctypes.data, "n_outputs": len(p.outputs),
            "output_adjoint": p.output_adjoint, "first_parameter": first, "n_parameters": n,
            "n_x": n_x, "n_y": sum(n_y), "width": self._width,
        }  # fmt: skip
        if any(kind == "layer" for kind, _ in p.descriptions):
            self._functions = {name: compiled(write(self.target)) for name, write in affine.FUNCTIONS.items()}
            self._fixed |= {name: code.address(name) for name, code in self._functions.items()}
        self._memories: list[_Memory] = []
        self._make_room(1)
        self.theta = self._memories[0].uniform[first : first + n]
        self.finished = np.zeros(1, dtype=np.int64)
        self._n_moved = 0  # parameters times steps that `moves_at_once` was asked about so far

    def _runs_of(self, tape: str, single: bool) -> Runs:
        key = f"{tape} {single}"
        if key not in self._runs:
            # The uniform tape's adjoints also get what the examples give to weights and to what was
            # broadcast.
            p = self.plan
            seeded: Any = slice(None)
            if tape == "varying":
                seeded = [p.output_adjoint] if self.graph.n_inputs else []
            shared = np.zeros(p.uniform.n_adjoints, dtype=bool)
            shared[p.uniform.operand_adjoints] = shared[p.broadcast_from_adjoint] = True
            self._runs[key] = Runs(
                getattr(p, tape), p.operations, self._python_operations, self.target, single,
                self._fixed["n_x"], seeded, shared, len(self.parameters),
            )  # fmt: skip
        return self._runs[key]

    def _make_room(self, n_threads: int) -> None:
        """Make memory for so many threads, and for the result of each shard of a step."""
        if len(self._memories) >= n_threads:
            return
        uniform, varying = self.plan.uniform, self.plan.varying
        sizes = uniform.size, *[n * self.lanes for n in (varying.size, varying.n_adjoints, self.plan.scratch)]
        while len(self._memories) < n_threads:
            memory = _Memory(sizes, self.plan.first_parameter, self.dtype)
            memory.uniform[: len(self.plan.leaves)] = self.plan.leaves
            for name, word in self._fixed.items():
                memory.set(name, word)
            self._memories.append(memory)
        n_shards = 1 if n_threads == 1 else n_threads + n_threads * MAX_FREE_SHARDS
        self._gradients = _zeros(n_shards * self._width, self.dtype, aligned=1).reshape(n_shards, self._width)
        self._losses = np.zeros(n_shards)

    @property
    def gradient(self) -> Floats:
        """The gradient of the last call of `loss`, in the order of `theta`."""
        return self._gradients[0, 1 : 1 + len(self.theta)]

    def has_changed(self) -> bool:
        """Whether there are other numbers than before where f finds them."""
        return any(map(Reached.has_changed, self._reached))

    def is_in_python(self, op: Op) -> bool:
        """Whether machine code calls the operation in Python."""
        return any(op is other for other, _ in self._python_operations)

    def read(self) -> None:
        """Take over the numbers that the parameters, and other Values that f uses, have now."""
        if is_deferred(self):  # nobody has looked at them since they were written
            return
        n = len(self.parameters)
        with np.errstate(over="ignore"):
            self.theta[self.order] = np.fromiter(map(_get_data, self.parameters), np.float64, n)
            for offset, value in self.plan.captured.items():
                self._memories[0].uniform[offset] = value.data
        if n >= WORTH_DEFERRING:  # `theta` has the numbers of the Values until somebody looks at one
            defer(self, _nothing)

    def write(self) -> None:
        """Give the parameters the numbers of `theta`, when somebody looks at a Value."""
        parameters, order, theta = self.parameters, self.order, self.theta.copy()

        def write_now() -> None:
            for _ in map(_DATA.__set__, parameters, theta[order].tolist()):
                pass

        if len(parameters) >= WORTH_DEFERRING:
            defer(self, write_now)
        else:
            settle()
            write_now()
        numbers_moved()

    def predict(self, x: Floats, y: Floats, one_by_one: bool = False) -> Floats:
        """The outputs of each example, one row an example."""
        outputs = np.zeros((len(x), len(self.plan.outputs)), dtype=self.dtype)
        bounds = np.array([[k, k + 1] for k in range(len(x))] if one_by_one else [[0, len(x)]])
        largest = 1 if one_by_one else len(x)
        self._execute(Examples(x, y, np.arange(len(x))), bounds, largest, outputs, mode=PREDICT)
        return outputs

    def loss(self, x: Floats, y: Floats, order: Integers) -> float:
        """The mean loss of the examples in `order`; its gradient is in `gradient`."""
        result = np.empty(1)
        self._execute(Examples(x, y, order), np.array([[0, len(order)]]), len(order), result, mode=GRADIENT)
        return float(result[0])

    def take_steps(
        self,
        examples: Examples,
        bounds: Integers,
        batch: int,
        rule: MachineCode,
        t: int,
        state: Floats,
        settings: Floats,
    ) -> Floats:
        """Steps of an optimizer, in place; `finished` says how many, which are fewer after inf or nan.

        `batch` is the number of examples in a step of this training, also if these steps have fewer: the
        last batch of an epoch gives the same bits wherever a chunk of steps begins.

        Returns:
            The losses, nan for steps that were not taken.
        """
        losses = np.full(len(bounds), np.nan)
        self.finished[0] = 0
        self._execute(
            examples, bounds, batch, losses, mode=TRAIN, rule=rule.address("step"), t=t,
            state=state.ctypes.data, settings=settings.ctypes.data, finished=self.finished.ctypes.data,
            step_of_matrix=rule.address("step_of_matrix") if "step_of_matrix" in rule else 0,
        )  # fmt: skip
        return losses

    def moves_at_once(self, n_steps: int, batch: int) -> bool:
        """Whether so many more steps should move matrices in the backward pass (see `steps`).

        The numbers are the same either way. It is faster for a gradient of few examples.
        """
        varying = self._runs_of("varying", self._is_single(batch))
        if batch > affine.FEW_EXAMPLES or self._step is not self._execute_code or self._python_operations:
            return False  # an error of an operation in Python may come when some matrices have moved
        self._n_moved += n_steps * varying.n_own
        return self._n_moved >= WORTH_MOVING_AT_ONCE

    def prepare_training(self, n_steps: int, batch: int) -> None:
        """Write the whole step as one piece of code, if it is small and so many steps are worth that."""
        lanes = lanes_for(batch, self.target)
        self._step = self._execute_code
        is_small = self.plan.work <= (2 * LARGEST if lanes == 1 else LARGEST)
        is_worth_it = n_steps * -(-batch // lanes) >= WORTH_IT and is_small
        if not is_worth_it or not self.graph.n_inputs or self.cores(batch) > 1:
            return
        if lanes not in self._unrolled:
            self._unrolled[lanes] = self._execute_code
            with suppress(TranslationError):
                self._unrolled[lanes] = compiled(
                    unrolled(self.graph, self._fixed["n_x"], self.plan.leaves_at, lanes, self.target)
                )
        self._step = self._unrolled[lanes]

    def _is_single(self, n_examples: int) -> bool:
        return n_examples <= max(self.target.width // LANES_WASTED, 1)

    def cores(self, n_examples: int) -> int:
        """How many cores share the examples: chosen by the size alone, so that results are reproducible."""
        if n_examples * self.plan.work < WORTH_A_THREAD:
            return 1
        return int(min(get_num_threads(), -(-n_examples // self.lanes)))

    def steps_in(self, seconds: float, n_examples: int) -> int:
        """Lower bound of the steps that fit into the time; at least 1."""
        speed = OPERANDS_A_SECOND // 1000 if self._python_operations else OPERANDS_A_SECOND
        return max(int(seconds * speed / max(n_examples * self.plan.work, 1)), 1)

    def _execute(
        self, examples: Examples, bounds: Integers, largest: int, results: Floats, **words: int
    ) -> None:
        """`steps.execute`, on as many cores as a step of the largest number of examples is worth."""
        size = self.cores(largest) if words["mode"] != PREDICT else 1
        self._make_room(size)
        for memory in self._memories[1:size]:
            memory.uniform[:] = self._memories[0].uniform
        code = self._step if words["mode"] == TRAIN else self._execute_code
        progress = np.zeros(size + 1, dtype=np.int64)
        is_single = self._is_single(largest)
        varying, uniform = self._runs_of("varying", is_single), self._runs_of("uniform", True)
        at_once = words.get("step_of_matrix", 0) if size == 1 else 0
        words["step_of_matrix"] = at_once
        # In float32 the probabilities and gradients of a good model soon become so small, and then slow.
        is_training = words["mode"] == TRAIN and not self._python_operations
        words["flushes"] = int(is_training and self.dtype == "float32")
        moved = varying.moved if at_once else np.array([[0, len(self.parameters)]])
        arrays = {
            "x": examples.x, "y": examples.y, "order": examples.order, "bounds": bounds, "results": results,
            "progress": progress, "theta": self.theta, "losses": self._losses, "gradients": self._gradients,
            "cleared": varying.cleared, "gradient_cleared": varying.gradient_cleared,
            "moved": moved, "check": np.zeros(1, dtype=self.dtype),
        }  # fmt: skip
        words |= {name: array.ctypes.data for name, array in arrays.items()}
        words |= {
            "n_steps": len(bounds), "size": size, "n_moved": len(moved), "is_single": int(is_single),
            "lanes": 1 if is_single else self.lanes,
            "first_varying": varying.first, "last_varying": varying.last,
            "first_uniform": uniform.first, "last_uniform": uniform.last,
            "n_cleared": len(varying.cleared), "n_gradient_cleared": len(varying.gradient_cleared),
        }  # fmt: skip

        def member(number: int) -> None:
            memory = self._memories[number]
            memory.failed[0] = 0
            for name, word in words.items():
                memory.set(name, word)
            memory.set("number", number)
            self._enter(memory, code)
            if memory.failed[0]:
                failed = list(self._python_operations.values())[memory.failed[0] - 1]
                raise failed.errors.pop()

        if size == 1:
            member(0)
        else:
            _together(member, progress[:size])

    def _enter(self, memory: _Memory, code: MachineCode) -> None:
        """Leave Python, until the thread's job is done."""
        _ENTRY(code.address("execute"))(memory.address)

    def describe(self) -> str:
        """The text of `print(program)`."""
        arguments = [
            f"{label}: {'one number' if n is None else f'{n} numbers'}"
            for label, n in zip("xy", self._shapes)
        ]
        p = self.plan
        tapes = [array.nbytes for tape in (p.uniform, p.varying) for array in (tape.runs, tape.operands)]
        n_bytes = self._gradients.nbytes + sum([memory.nbytes for memory in self._memories]) + sum(tapes)
        left = f"{p.n_varying:,} for each example, {p.n_uniform:,} once a batch"
        self._runs_of("uniform", True)
        if not any(key.startswith("varying") for key in self._runs):
            self._runs_of("varying", False)
        in_python = [(k.op.name, k.n, k.reason) for k in self._python_operations.values()]
        lines = [
            ("inputs", ", ".join(arguments) or "none"),
            ("parameters", f"{len(self.parameters):,}"),
            ("operations", f"{self.n_recorded:,} recorded; {left}"),
            *p.descriptions,
            *[("in Python", f"{name} of {n} numbers: {reason}") for name, n, reason in in_python],
            ("block", f"{self.lanes} examples"),
            ("memory", f"{n_bytes / 1e6:.2f} MB"),
        ]
        return "\n".join([f"{name:<12}{text}" for name, text in lines])


def _nothing() -> None:
    """What there is to write after reading."""


LINE, PAGE = 64, 1 << 21  # bytes of a cache line, and of a large page of memory
WORTH_LARGE_PAGES = 1 << 19


def _zeros(n: int, dtype: str, aligned: int = 0) -> Floats:
    """An array of which this element begins a cache line: a vector that lies in two lines is slow to read.

    A large array begins with a large page, where NumPy asks the operating system for those: memory that is
    scattered over small pages does not fit into a cache that would hold it.
    """
    item = np.dtype(dtype).itemsize
    boundary, room = LINE // item, n
    if n * item > WORTH_LARGE_PAGES:
        boundary = PAGE // item
        room = max(-(-n // boundary), 2) * boundary  # NumPy asks from 4 MB on
    numbers = np.zeros(room + boundary + LINE // item, dtype=dtype)
    first = -(numbers.ctypes.data // item) % boundary
    first += -aligned % (LINE // item)
    return numbers[first : first + n]


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
