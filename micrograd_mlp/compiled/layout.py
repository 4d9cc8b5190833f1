"""A tape as machine code reads it: for each run the addresses of its two kernels, and the run itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from micrograd_mlp.compiled import kernels
from micrograd_mlp.compiled.affine import FEW_EXAMPLES, affine, most_examples
from micrograd_mlp.compiled.code import Target
from micrograd_mlp.compiled.kernels import FEW, MORE, UNROLLED, WORDS, written
from micrograd_mlp.compiled.native import Integers, MachineCode, compiled
from micrograd_mlp.compiled.operations import PythonOperation
from micrograd_mlp.compiled.plan import (
    AFFINE,
    COPY,
    FIRST_OPERATION,
    LOGSUMEXP,
    LONG,
    RUN,
    SOFTMAX,
    SUM,
    Tape,
)
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE

WORD = {name: k for k, name in enumerate(WORDS)}
OTHER_WORD = {name: k for k, name in enumerate(MORE)}
LONG_SUM = -1  # the kind of a run of long sums


class _Kept(NamedTuple):
    """The addresses of the kernels of a kind of run, and what holds them."""

    holds: MachineCode | PythonOperation
    forward: int
    backward: int

    @classmethod
    def of(cls, code: MachineCode) -> _Kept:
        """The two kernels in some machine code; one for what has no adjoints."""
        return cls(code, code.address("forward"), code.address("backward") if "backward" in code else 0)


@dataclass
class Runs:
    """The runs of a tape, for blocks of examples or for a single example.

    Args:
        tape: the tape.
        operations: the graph's numbered operations; those that cannot become machine code are computed by
            `in_python`, which is filled in here.
        target: the precision.
        single: for one example at a time.
        n_x: how many numbers x has; they come first on the varying tape.
        seeded: adjoints that are given something from outside of the tape.
        shared: for each adjoint of the uniform tape whether anything but an affine map's run gives to it.
        n_parameters: how many parameters there are.

    Attributes:
        words, more: see `kernels.WORDS` and `kernels.MORE`.
        first, last: the addresses of the first and the last run.
        cleared: the adjoints that have to be 0 before the backward pass: where a range begins, and how many.
        gradient_cleared: the same for the adjoints of the uniform tape, before the first block.
        n_own: how many parameters lie in matrices that nothing else gives adjoints to.
        moved: the other parameters, in ranges: the first one, and how many.
    """

    tape: Tape
    operations: list[tuple[Op, int]]
    in_python: dict[tuple[Op, int], PythonOperation]
    target: Target
    single: bool
    n_x: int
    seeded: Any
    shared: NDArray[np.bool_]
    n_parameters: int

    def __post_init__(self) -> None:
        tape, n_runs = self.tape, len(self.tape.runs)
        self._kept: dict[Any, _Kept] = {}  # what holds the addresses of the kernels of a kind
        self._n_shares = np.bincount(tape.operand_adjoints, minlength=tape.n_adjoints)
        self._n_shares[self.seeded] += 2
        self._is_overwritten = np.zeros(tape.n_adjoints, dtype=bool)
        self._n_maps = self._count_maps()
        is_written, is_own = np.zeros((2, len(self.shared)), dtype=bool)
        # In front of the runs and behind them stands one that ends the tape.
        self._stop = _stop(self.target)
        n_words = (n_runs + 2) * len(WORDS)
        numbers = np.zeros(n_words + 8, dtype=np.int64)
        first = -(numbers.ctypes.data // 8) % 8  # where a cache line begins
        self.words: Integers = numbers[first : first + n_words].reshape(-1, len(WORDS))
        self.words[:, :2] = self._stop.address("stop")
        inside, self.more = self.words[1:-1], np.zeros((n_runs, len(MORE)), dtype=np.int64)
        self._enter_fields(inside)
        for k, run in enumerate(tape.runs.tolist()):
            if run[RUN.code] == AFFINE:
                matrix = _matrix(run)
                is_written[matrix] |= self._writes_first(run)
                is_own[matrix] |= self._enter_map(self.more[k], run)
            kept = self._kernels(run)
            inside[k, 0] = kept.forward
            if k >= tape.first_active:
                inside[k, 1] = kept.backward
            if isinstance(kept.holds, PythonOperation):
                self.more[k, OTHER_WORD["python_forward"]] = kept.holds.forward_address
                self.more[k, OTHER_WORD["python_backward"]] = kept.holds.backward_address
        bytes_of_run = 8 * len(WORDS)
        self.first = self.words.ctypes.data + bytes_of_run
        self.last = self.words.ctypes.data + bytes_of_run * n_runs
        self.cleared = _ranges(~self._is_overwritten)
        self.gradient_cleared = _ranges(~is_written)
        is_own_parameter = is_own[1 : 1 + self.n_parameters]
        self.n_own, self.moved = int(is_own_parameter.sum()), _ranges(~is_own_parameter)

    def _count_maps(self) -> Integers:
        """For each adjoint of the uniform tape the number of affine maps that give to it."""
        runs, n_maps = self.tape.runs, np.zeros(len(self.shared), dtype=np.int64)
        for run in runs[runs[:, RUN.code] == AFFINE]:
            n_maps[_matrix(run)] += 1
            if run[RUN.biases] >= 0:
                n_maps[run[RUN.bias_adjoints] :][: run[RUN.n_results]] += 1
        return n_maps

    def _enter_fields(self, inside: Integers) -> None:
        """The words of all runs that say where their numbers are."""
        tape, runs = self.tape, self.tape.runs
        for name, column in zip(RUN._fields, RUN):
            if name in WORD:
                inside[:, WORD[name]] = runs[:, column]
            elif name in OTHER_WORD:
                self.more[:, OTHER_WORD[name]] = runs[:, column]
        inside[:, WORD["more"]] = self.more.ctypes.data + self.more.strides[0] * np.arange(len(runs))
        starts = runs[:, RUN.start]
        inside[:, WORD["operands"]] = tape.operands.ctypes.data + 8 * starts
        inside[:, WORD["operand_adjoints"]] = tape.operand_adjoints.ctypes.data + 8 * starts
        if len(tape.operands):
            for j in range(2):
                place = np.minimum(starts + j, len(tape.operands) - 1)
                inside[:, WORD[f"operand_{j}"]] = tape.operands[place]
                inside[:, WORD[f"adjoint_{j}"]] = tape.operand_adjoints[place]

    def _enter_map(self, more: Integers, run: list[int]) -> bool:
        """How an affine map is computed; returns whether its weights are moved at once."""
        matrix, target = _matrix(run), self.target
        for name, transposes in (("worth_a_product", False), ("worth_transposing", True)):
            more[OTHER_WORD[name]] = most_examples(run[RUN.n_results], run[RUN.arity], target, transposes)
        is_free = self._writes_first(run) and not self.shared[matrix].any()
        is_product = self.single or more[OTHER_WORD["worth_transposing"]] >= FEW_EXAMPLES
        is_wide = run[RUN.arity] >= 2 * target.width  # a masked vector takes as long as whole ones
        is_own = bool(is_free and is_product and is_wide and matrix.stop <= 1 + self.n_parameters)
        more[OTHER_WORD["is_own"]] = is_own
        return is_own

    def _kernels(self, run: list[int]) -> _Kept:
        key = self._kind(run)
        if key not in self._kept:
            self._kept[key] = self._compiled(key)
        return self._kept[key]

    def _kind(self, run: list[int]) -> tuple[Any, ...]:
        """What the kernels of a run depend on."""
        code, n, n_pairs = run[RUN.code], run[RUN.arity], run[RUN.n_pairs]
        is_row = bool(run[RUN.are_adjacent])
        if code == SUM and self.single and n >= LONG and (rows := self._rows_of_sums(run)):
            return LONG_SUM, rows == "squares"
        if code == SUM:
            is_short = self.single and n <= UNROLLED
            return SUM, (n_pairs if is_short else None), (n - 2 * n_pairs if is_short else None)
        if code == AFFINE:
            given = self._adjoints(run, 1, n)[0]
            adjoints = "none" if not run[RUN.are_active] else "others"
            if is_row and given.all():
                adjoints = "own row" if self._is_own(given) else "row"
            is_x = is_row and self.tape.operands[run[RUN.start]] == 0 and n == self.n_x
            return AFFINE, is_row, adjoints, bool(is_x), self._writes_first(run)
        if code < FIRST_OPERATION:
            return (code,)
        if run[RUN.n_results] == 1 and self.single:  # measured: irregular graphs have few other runs
            given = self.tape.operand_adjoints[run[RUN.start] : run[RUN.start] + n].tolist()
            return code, "one", False, tuple([adjoint > 0 for adjoint in given]), run[RUN.slopes] >= 0
        adjoints = self._adjoints(run, run[RUN.n_results], n)
        active = (adjoints > 0).any(axis=0)
        is_row = is_row and bool((active == (adjoints > 0).all(axis=0)).all())
        is_native = self._why_in_python(code) is None
        is_own = is_native and is_row and not self.single and self._is_own(adjoints[:, active])
        count = run[RUN.n_results]
        shape = "row" if is_row else "few" if count <= FEW else "many"
        return code, shape, is_own, tuple(active.tolist()), run[RUN.slopes] >= 0

    def _writes_first(self, run: Sequence[int]) -> bool:
        """Whether the first block's adjoints of an affine map's weights need not be added to anything."""
        return bool((self._n_maps[_matrix(run)] == 1).all())

    def _is_own(self, adjoints: Any) -> bool:
        """Whether nothing else is added to these adjoints: then they are overwritten."""
        is_own = bool((self._n_shares[adjoints] == 1).all())
        self._is_overwritten[adjoints] |= is_own
        return is_own

    def _rows_of_sums(self, run: list[int]) -> str:
        """Whether the operands of long sums have consecutive offsets, "rows", and are "squares"; or ""."""
        start, n, count, pairs = (run[f] for f in (RUN.start, RUN.arity, RUN.n_results, RUN.n_pairs))
        operands = self.tape.operands[start : start + count * n].reshape(count, n)
        adjoints = self._adjoints(run, count, n)
        for table in (operands, adjoints):
            left, right, terms = table[:, : 2 * pairs : 2], table[:, 1 : 2 * pairs : 2], table[:, 2 * pairs :]
            if any((np.diff(columns, axis=1) != 1).any() for columns in (left, right, terms)):
                return ""
        are_squares = (operands[:, : 2 * pairs : 2] == operands[:, 1 : 2 * pairs : 2]).all()
        return "squares" if are_squares else "rows"

    def _adjoints(self, run: list[int], count: int, n: int) -> Any:
        start = run[RUN.start]
        return self.tape.operand_adjoints[start : start + count * n].reshape(count, n)

    def _compiled(self, key: tuple[Any, ...]) -> _Kept:
        if key[0] < FIRST_OPERATION:
            return _Kept.of(_compiled_of_table(key, None, 0, self.target, self.single))
        op, n = self.operations[key[0] - FIRST_OPERATION]
        reason = self._why_in_python(key[0])
        if reason:
            number = len(self.in_python) + 1
            new = PythonOperation(op, n, number, reason, self.target)
            calls = _Kept.of(_python_calls(self.target))
            return calls._replace(holds=self.in_python.setdefault((op, n), new))
        function = _compiled_of_table if TABLE.get(op.name) is op else _compiled_operation
        return _Kept.of(function((FIRST_OPERATION, *key[1:]), op, n, self.target, self.single))

    def _why_in_python(self, code: int) -> str | None:
        return kernels.why_in_python(*self.operations[code - FIRST_OPERATION], self.target)


def _matrix(run: Sequence[int]) -> slice:
    """The adjoints of an affine map's weights."""
    first = run[RUN.weight_adjoints]
    return slice(first, first + run[RUN.n_results] * run[RUN.arity])


@functools.cache
def _stop(target: Target) -> MachineCode:
    return compiled(kernels.stop(target))


@functools.cache
def _python_calls(target: Target) -> MachineCode:
    return compiled(kernels.python_call(target, "forward"), kernels.python_call(target, "backward"))


def _compiled_operation(
    key: tuple[Any, ...], op: Op | None, n: int, target: Target, single: bool
) -> MachineCode:
    code, *details = key
    if code == AFFINE:
        return compiled(*affine(target, single, *details))
    if code == FIRST_OPERATION:
        assert op is not None
        shape, is_own, active, keeps_slope = details
        operation = kernels.Operation(op, n, active, keeps_slope, is_own)
        return compiled(*kernels.elementwise(operation, shape, target, single))
    forward, backward = _WRITERS[code]
    return compiled(
        written("forward", target, single, lambda k: forward(k, *details)),
        written("backward", target, single, lambda k: backward(k, *details)),
    )


_WRITERS: dict[int, tuple[Callable[..., None], Callable[..., None]]] = {
    COPY: (kernels.copy_forward, kernels.copy_backward),
    SUM: (kernels.sums_forward, kernels.sums_backward),
    LONG_SUM: (lambda k, are_squares: kernels.long_sums_forward(k), kernels.long_sums_backward),
    LOGSUMEXP: (kernels.logsumexp_forward, kernels.logsumexp_backward),
    SOFTMAX: (kernels.softmax_forward, kernels.softmax_backward),
}
"""The two functions that write the kernels of a kind of run, from what its key says besides."""

_compiled_of_table: Callable[..., MachineCode] = functools.cache(_compiled_operation)
"""The same for what the package ships, which is written once in a process."""


def _ranges(chosen: Any) -> Integers:
    """Where each range of chosen numbers begins, and how many there are."""
    changes = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]])))
    starts, stops = changes[::2], changes[1::2]
    return np.stack([starts, stops - starts], axis=1).astype(np.int64)
