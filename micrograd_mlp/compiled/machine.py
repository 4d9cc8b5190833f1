"""A planned graph with the memory and the threads to execute it."""

from __future__ import annotations

import ctypes
import math
import os
import threading
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

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
from micrograd_mlp.engine.value import _DATA, Value, defer, is_deferred, numbers_moved

CACHE = 1 << 20  # bytes that a block's values and adjoints should stay below, about a second-level cache
MOST_LANES = 128
LANES_WASTED = 5  # lanes for each example from which on one example after the other is faster
WORTH_MOVING_AT_ONCE = 1 << 24  # parameters times steps, from which on it is worth the time to compile it
WORTH_DEFERRING = 500  # parameters: reading and writing takes longer than remembering that nobody looked
WORTH_A_THREAD = 4_000_000  # operands in a step from which on a second core pays for its start
OPERANDS_A_SECOND = 1_000_000_000  # a lower bound: most graphs reach more
REAL = {"float64": "double", "float32": "float"}

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


class Batches:
    """Which examples some steps take: step s takes `order[bounds[s, 0] : bounds[s, 1]]`.

    Nothing changes the two arrays, so that their addresses are asked for once.
    """

    def __init__(self, order: Integers, bounds: Integers) -> None:
        self.order, self.bounds = order, bounds
        self.addresses = order.ctypes.data, bounds.ctypes.data

    def first(self, n_steps: int) -> Batches:
        """The first ones of these steps."""
        return Batches(self.order, self.bounds[:n_steps])


class Job(ctypes.Structure):
    """What machine code reads, see `steps.JOB`."""

    __slots__ = ()  # a field that does not exist is an error
    _fields_ = tuple([(name, ctypes.c_int64) for name in JOB])


class _Memory:
    """The memory that a thread writes to.

    Attributes:
        fields: where it is, for the thread's job.
    """

    def __init__(self, sizes: Sequence[int], first_parameter: int, dtype: str) -> None:
        n_uniform, *others = sizes
        self.uniform = _zeros(n_uniform, dtype, aligned=first_parameter)
        self.values, self.adjoints, self.scratch = [_zeros(n, dtype) for n in others]
        self.failed = np.zeros(1, dtype=np.int64)
        names = ("uniform", "values", "adjoints", "scratch", "failed")
        self.fields: dict[str, int] = {name: getattr(self, name).ctypes.data for name in names}

    @property
    def nbytes(self) -> int:
        return sum([numbers.nbytes for numbers in (self.uniform, self.values, self.adjoints, self.scratch)])


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
        synced: a copy of `theta` from when it was last read from the Values or written to them.
        adjusted: the parameters of the last optimizer, and for each of them its index in `theta`.
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
        self._runs: dict[tuple[str, bool], Runs] = {}
        line = 64 // item
        self._width = -(-p.uniform.n_adjoints // line) * line
        self._fixed = self._fields_of_plan()
        if any(kind == "layer" for kind, _ in p.descriptions):
            self._functions = {name: compiled(write(self.target)) for name, write in affine.FUNCTIONS.items()}
            self._fixed |= {name: code.address(name) for name, code in self._functions.items()}
        self._jobs: dict[bool, Job] = {}  # for blocks, and for single examples
        self._memories: list[_Memory] = []
        self._make_room(1)
        self.theta = self._memories[0].uniform[first : first + n]
        self.synced = self.theta.copy()
        self._values = [*parameters, *p.captured.values()]
        self.adjusted: tuple[Sequence[Value], Integers] = parameters, self.order
        self._offsets = np.array([*p.parameters, *p.captured], dtype=np.int64)
        self.finished = np.zeros(1, dtype=np.int64)
        self._batches = Batches(np.arange(1), np.array([[0, 1]]))
        self._check = np.zeros(1, dtype)
        self._all_parameters = np.array([[0, n]])  # as the ranges that a step moves
        self._all_parameters_address = self._all_parameters.ctypes.data
        self._n_moved = 0  # parameters times steps that `moves_at_once` was asked about so far

    def _fields_of_plan(self) -> dict[str, int]:
        """What the graph says in every job."""
        p = self.plan
        n_x, *n_y = [1 if n is None else n for n in self._shapes] or [0]
        return {
            "broadcast_to": p.broadcast_to.ctypes.data, "broadcast_from": p.broadcast_from.ctypes.data,
            "broadcast_to_adjoint": p.broadcast_to_adjoint.ctypes.data,
            "broadcast_from_adjoint": p.broadcast_from_adjoint.ctypes.data,
            "n_broadcast": len(p.broadcast_to), "outputs": p.outputs.ctypes.data, "n_outputs": len(p.outputs),
            "output_adjoint": p.output_adjoint,
            "first_parameter": p.first_parameter, "n_parameters": len(self.parameters),
            "n_x": n_x, "n_y": sum(n_y), "width": self._width,
        }  # fmt: skip

    def _runs_of(self, tape: str, single: bool) -> Runs:
        key = tape, single
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
            self._memories.append(memory)
        n_shards = 1 if n_threads == 1 else n_threads + n_threads * MAX_FREE_SHARDS
        self._gradients = _zeros(n_shards * self._width, self.dtype, aligned=1).reshape(n_shards, self._width)
        self._losses = np.zeros(n_shards)
        self._jobs.clear()

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
        numbers = np.array([v._data for v in self._values], dtype=np.float64)
        if self.dtype == "float32":
            with np.errstate(over="ignore"):
                numbers = numbers.astype(np.float32)
        self._memories[0].uniform[self._offsets] = numbers
        self.synced = self.theta.copy()
        if len(self.parameters) >= WORTH_DEFERRING:
            # `theta` has the numbers of the Values until somebody looks at one.
            defer(self, _nothing)

    def write(self) -> None:
        """Give the parameters the numbers of `theta`, when somebody looks at a Value."""
        parameters, order = self.parameters, self.order
        theta = self.synced = self.theta.copy()

        def write_now() -> None:
            for _ in map(_DATA.__set__, parameters, theta[order].tolist()):
                pass

        if len(parameters) >= WORTH_DEFERRING:
            defer(self, write_now)
        else:
            for p, number in zip(parameters, theta[order].tolist()):
                p._data = number
        numbers_moved()

    def predict(self, x: Floats, y: Floats, one_by_one: bool = False) -> Floats:
        """The outputs of each example, one row an example."""
        n = len(x)
        outputs = np.zeros((n, len(self.plan.outputs)), dtype=self.dtype)
        batches = self.all_examples(n)
        if one_by_one:
            batches = Batches(batches.order, np.array([[k, k + 1] for k in range(n)]))
        job = self._job(PREDICT, 1 if one_by_one else n)
        job.results = outputs.ctypes.data
        self._execute(job, x, y, batches)
        return outputs

    def loss(self, x: Floats, y: Floats) -> float:
        """The mean loss of the examples; its gradient is in `gradient`."""
        job, result = self._job(GRADIENT, len(x)), array("d", [math.nan])
        job.results = _address(result)
        self._execute(job, x, y, self.all_examples(len(x)))
        return result[0]

    def all_examples(self, n_examples: int, n_steps: int = 1) -> Batches:
        """Steps each of which takes all examples. Calls are often alike, so the last ones are kept."""
        bounds = self._batches.bounds
        if len(bounds) != n_steps or bounds[0, 1] != n_examples:
            bounds = np.tile(np.array([0, n_examples]), (n_steps, 1))
            self._batches = Batches(np.arange(n_examples), bounds)
        return self._batches

    def take_steps(
        self,
        x: Floats,
        y: Floats,
        batches: Batches,
        largest: int,
        rule: MachineCode,
        t: int,
        state: Floats,
        settings: array[float],
    ) -> array[float]:
        """Steps of an optimizer, in place; `finished` says how many, which are fewer after inf or nan.

        `largest` is the number of examples in a step of this training, also if these steps have fewer: the
        last batch of an epoch gives the same bits wherever a chunk of steps begins.

        Returns:
            The losses, nan for steps that were not taken.
        """
        losses = array("d", [math.nan]) * len(batches.bounds)
        job = self._job(TRAIN, largest)
        job.rule, job.t = rule.address("step"), t
        job.state = state.ctypes.data if len(state) else 0
        job.settings, job.results = _address(settings), _address(losses)
        if job.size == 1 and "step_of_matrix" in rule:
            moved = self._runs_of("varying", self._is_single(largest)).moved
            job.step_of_matrix = rule.address("step_of_matrix")
            job.moved, job.n_moved = moved.ctypes.data, len(moved)
        # In float32 the probabilities and gradients of a good model soon become so small, and then slow.
        job.flushes = self.dtype == "float32" and not self._python_operations
        self.finished[0] = self._check[0] = 0
        self._execute(job, x, y, batches)
        return losses

    @property
    def is_finite(self) -> bool:
        """Whether the last step of training has left the parameters and their state finite."""
        return bool(self._check[0] == 0.0)

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

    def _job(self, mode: int, largest: int) -> Job:
        """A job of steps with up to so many examples, for as many cores as these are worth.

        What is the same in every call is entered once.
        """
        size = 1 if mode == PREDICT else self.cores(largest)
        self._make_room(size)
        is_single = self._is_single(largest)
        if is_single not in self._jobs:
            self._jobs[is_single] = self._new_job(is_single)
        job = self._jobs[is_single]
        job.mode, job.size, job.flushes = mode, size, False
        job.step_of_matrix, job.moved, job.n_moved = 0, self._all_parameters_address, 1
        return job

    def _new_job(self, is_single: bool) -> Job:
        varying, uniform = self._runs_of("varying", is_single), self._runs_of("uniform", True)
        arrays = {
            "theta": self.theta, "losses": self._losses, "gradients": self._gradients,
            "finished": self.finished, "check": self._check,
            "cleared": varying.cleared, "gradient_cleared": varying.gradient_cleared,
        }  # fmt: skip
        return Job(
            **self._fixed, **self._memories[0].fields,
            **{name: numbers.ctypes.data for name, numbers in arrays.items()},
            is_single=is_single, lanes=1 if is_single else self.lanes,
            first_varying=varying.first, last_varying=varying.last,
            first_uniform=uniform.first, last_uniform=uniform.last,
            n_cleared=len(varying.cleared), n_gradient_cleared=len(varying.gradient_cleared),
        )  # fmt: skip

    def _execute(self, job: Job, x: Floats, y: Floats, batches: Batches) -> None:
        """`steps.execute`, on as many cores as the job says."""
        job.x, job.y = x.ctypes.data, y.ctypes.data
        job.order, job.bounds = batches.addresses
        job.n_steps = len(batches.bounds)
        if job.size == 1:
            self._execute_member(job, self._memories[0])
            return
        team = self._memories[: job.size]
        progress = np.zeros(job.size + 1, dtype=np.int64)
        job.progress = progress.ctypes.data
        for memory in team[1:]:
            memory.uniform[:] = team[0].uniform

        def member(number: int) -> None:
            own = Job.from_buffer_copy(job)
            own.number = number
            for name, begin in team[number].fields.items():
                setattr(own, name, begin)
            self._execute_member(own, team[number])

        _together(member, progress[:-1])

    def _execute_member(self, job: Job, memory: _Memory) -> None:
        memory.failed[0] = 0
        self._enter(job, self._step if job.mode == TRAIN else self._execute_code)
        if memory.failed[0]:
            failed = list(self._python_operations.values())[memory.failed[0] - 1]
            raise failed.errors.pop()

    def _enter(self, job: Job, code: MachineCode) -> None:
        """Leave Python, until the job is done."""
        _ENTRY(code.address("execute"))(ctypes.addressof(job))

    def describe(self) -> str:
        """The text of `print(program)`."""
        arguments = [
            f"{label}: {'one number' if n is None else f'{n} numbers'}"
            for label, n in zip("xy", self._shapes)
        ]
        p = self.plan
        tapes = [numbers.nbytes for tape in (p.uniform, p.varying) for numbers in (tape.runs, tape.operands)]
        n_bytes = self._gradients.nbytes + sum([memory.nbytes for memory in self._memories]) + sum(tapes)
        left = f"{p.n_varying:,} for each example, {p.n_uniform:,} once a batch"
        self._runs_of("uniform", True)
        if not any(tape == "varying" for tape, _ in self._runs):
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


def _address(numbers: array[float]) -> int:
    """Where numbers begin. For a few, this is much faster than an array of NumPy."""
    return numbers.buffer_info()[0]


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
