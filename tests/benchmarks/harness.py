"""Measure several programs for one piece of work in turns, check that they agree, and print a table."""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

TOLERANCES = {
    "loss": 1e-12,
    "gradient": 1e-12,
    "parameters after three steps": 1e-10,
    "loss in float32": 1e-5,
    "gradient in float32": 1e-5,
    "parameters after three steps in float32": 1e-4,
}
"""How far two answers may be apart, of the largest number in them. Adam divides by |g|, so that its steps
magnify the last bits of a small gradient."""


class DisagreementError(AssertionError):
    """Two programs gave different answers: their times are not worth comparing."""


class NotRunError(Exception):
    """A row can't be measured here, and says why."""


@dataclass(frozen=True)
class Effort:
    """How many rounds are measured, about how long each program runs in a round, and beside whom.

    `only` is a part of the names of the peers that take part, in any case; "" stands for all. `clock` is
    `time.process_time` on a machine that others use too: it stands still while they run.
    """

    rounds: int
    seconds: float
    quick: bool
    only: str = ""
    clock: Callable[[], float] = time.perf_counter


FULL = Effort(rounds=15, seconds=0.1, quick=False)
QUICK = Effort(rounds=3, seconds=0.002, quick=True)


@dataclass(frozen=True)
class Running:
    """A program that is ready to be timed.

    Attributes:
        run: does the work, `units` times over.
        units: steps, operations, ... in one call; times are given for one of them.
        answer: what it computes, by the names of `TOLERANCES`.
        flops: floating-point operations of one unit; 0 leaves the share of the peak out.
    """

    run: Callable[[], object]
    units: int = 1
    answer: dict[str, np.ndarray] = field(default_factory=dict)
    flops: float = 0.0


class Contender(NamedTuple):
    """A program, how it is written, and how many times our time it has to take at least."""

    name: str
    build: Callable[[], Running]
    required: float | None = None


class Line(NamedTuple):
    """One line of the table."""

    program: str
    figure: str
    ratio: str = ""
    required: str = ""
    holds: bool | None = None
    share_of_peak: str = ""


class Ratio(NamedTuple):
    """How many times as long one program takes as another, and half the distance between the quartiles."""

    median: float
    spread: float

    def __str__(self) -> str:
        return f"{self.median:,.3g}× ±{self.spread:.0%}"


def ratio(theirs: list[float], ours: list[float]) -> Ratio:
    """Of two programs measured in turns: the median over the rounds, each of which is a pair."""
    pairs = np.array(theirs) / np.array(ours)
    low, median, high = np.quantile(pairs, [0.25, 0.5, 0.75])
    return Ratio(float(median), float((high - low) / 2 / median))


class Times(NamedTuple):
    """What was measured of several programs.

    Attributes:
        seconds: of each program that ran, for one unit, one number a round.
        flops: of each, for one unit.
        absent: why each of the others did not run.
    """

    seconds: dict[str, list[float]]
    flops: dict[str, float]
    absent: dict[str, str]


def measure(contenders: list[Contender], effort: Effort) -> Times:
    """Build all contenders, see that they agree, and time them in turns.

    One that can't be built, since a package is missing, is among the absent.

    Raises:
        DisagreementError: their answers differ.
    """
    running: dict[str, Running] = {}
    absent: dict[str, str] = {}
    for contender in contenders:
        try:
            running[contender.name] = contender.build()
        except (ImportError, NotRunError) as error:
            absent[contender.name] = not_run(error)
    _require_agreement(running)
    flops = {name: program.flops for name, program in running.items()}
    return Times(_measure_in_turns(running, effort), flops, absent)


def race(contenders: list[Contender], effort: Effort, dtype: str = "float64") -> list[Line]:
    """Time all contenders in turns: a line for each. Ratios are to the first one, which is ours.

    `dtype` is the precision whose peak the shares are of.
    """
    contenders = [contenders[0], *[c for c in contenders[1:] if effort.only in c.name.lower()]]
    times = measure(contenders, effort)
    lines = []
    first = contenders[0].name
    for name, _, required in contenders:
        need = "" if required is None else f"≥ {required:,g}×"
        if name in times.absent:
            lines.append(Line(name, times.absent[name], required=need))
            continue
        seconds = times.seconds[name]
        figure = f"{duration(float(np.median(seconds)))} ±{spread(seconds):.0%}"
        share = share_of_peak(times.flops[name], seconds, dtype)
        if name == first or first in times.absent:
            lines.append(Line(name, figure, required=need, share_of_peak=share))
            continue
        to_ours = ratio(seconds, times.seconds[first])
        holds = None if required is None else to_ours.median >= required
        lines.append(Line(name, figure, str(to_ours), need, holds, share))
    return lines


def spread(seconds: list[float]) -> float:
    """Half the distance between the quartiles, of the median."""
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return float((high - low) / 2 / median)


def share_of_peak(flops: float, seconds: list[float], dtype: str = "float64") -> str:
    return f"{flops / float(np.median(seconds)) / peak_flops(dtype):.1%}" if flops else ""


def not_run(why: Exception) -> str:
    """What stands in the place of a time; without the path that an ImportError ends with."""
    return f"not run: {str(why).split(' (/')[0]}"


def _measure_in_turns(running: dict[str, Running], effort: Effort) -> dict[str, list[float]]:
    """Seconds for one unit of each, one number a round. What disturbs the machine disturbs all."""
    calls = {}
    for name, program in running.items():
        program.run()  # the first call loads and compiles
        once = _seconds(program.run, effort.clock)
        calls[name] = max(1, round(effort.seconds / max(once, 1e-7)))
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(effort.rounds):
        for name, program in running.items():
            gc.collect()  # nobody pays for what another left: micrograd's graphs are cycles
            start = effort.clock()
            for _ in range(calls[name]):
                program.run()
            seconds[name].append((effort.clock() - start) / calls[name] / program.units)
    return seconds


def _seconds(run: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    start = clock()
    run()
    return clock() - start


def _require_agreement(running: dict[str, Running]) -> None:
    with_answer = [(name, program.answer) for name, program in running.items() if program.answer]
    for name, answer in with_answer[1:]:
        reference_name, reference = with_answer[0]
        for what in answer.keys() & reference.keys():
            require_close(what, reference_name, reference[what], name, answer[what])


def require_close(what: str, name: str, expected: object, other: str, seen: object) -> None:
    """Two answers are the same numbers, to the tolerance of what they are."""
    expected, seen = np.asarray(expected, dtype=float), np.asarray(seen, dtype=float)
    if expected.shape != seen.shape:
        raise DisagreementError(f"{what}: {name} has shape {expected.shape}, {other} has {seen.shape}")
    scale = np.abs(expected).max()
    off = np.abs(expected - seen).max() / scale if scale > 0 else np.inf
    if not off <= TOLERANCES[what]:
        raise DisagreementError(f"{what}: {other} differs from {name} by {off:.1e} of the largest number")


def duration(seconds: float) -> str:
    """Seconds for people: 3 significant digits and a unit.

    >>> duration(0.00003204)
    '32.0 µs'
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{_three_digits(seconds / 1e-9)} ns"


def _three_digits(number: float) -> str:
    return f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f}"


@functools.cache
def peak_flops(dtype: str = "float64") -> float:
    """Operations a second of this machine's best matrix product on one thread, measured once."""
    n = 512
    a, b, out = np.random.default_rng(0).normal(size=(3, n, n)).astype(dtype)
    np.matmul(a, b, out=out)
    return 2 * n**3 / min(_seconds(lambda: np.matmul(a, b, out=out)) for _ in range(60))


def use_threads(n: int) -> None:
    """For compiled programs, if llvmlite is there to compile any."""
    with contextlib.suppress(ImportError):
        from micrograd_mlp.compiled import set_num_threads

        set_num_threads(n)


def single_threaded_torch():
    """PyTorch, on one core."""
    import torch

    torch.set_num_threads(1)
    return torch


HEADER = ("work", "program", "median", "ratio to ours", "required", "holds", "of peak")


def print_table(results: list[tuple[str, list[Line]]], markdown: bool) -> None:
    """All lines, aligned for a terminal or as Markdown."""
    rows = []
    for title, lines in results:
        for number, line in enumerate(lines):
            holds = "" if line.holds is None else "yes" if line.holds else "NO"
            cells = (line.program, line.figure, line.ratio, line.required, holds, line.share_of_peak)
            rows.append((title if number == 0 else "", *cells))
    if markdown:
        for row in [HEADER, ("---",) * len(HEADER), *rows]:
            print("| " + " | ".join(row) + " |")
        return
    for title, lines in results:
        print(f"\n{title}")
        own = [row[1:] for row in rows[: len(lines)]]
        del rows[: len(lines)]
        widths = [max(map(len, column)) for column in zip(HEADER[1:], *own)]
        for row in [HEADER[1:], *own]:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def tell(text: str) -> None:
    """What is going on, beside the table."""
    print(text, file=sys.stderr, flush=True)
