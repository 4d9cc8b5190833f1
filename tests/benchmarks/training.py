"""The training rows as one table: a line for each task, a column for each peer, in both precisions.

A peer's figure is how many times our time it takes for a step, the median over rounds of both in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tests.benchmarks import networks
from tests.benchmarks.harness import Contender, Effort, Times, duration, measure, ratio, share_of_peak, tell
from tests.benchmarks.tasks import TRAINING, Task

DTYPES = ("float64", "float32")
OURS = "ours"
PEERS = {"torch": "PyTorch", "jit": "JAX, jit", "loop": "JAX, loop"}
"""What `--only` calls them, and the heads of their columns."""

REQUIRED = {"float64": {"loop": 1.0}, "float32": {"loop": 0.9}}
"""The least ratios, in every row; `tasks` has those of one row."""


class Cell(NamedTuple):
    """One figure, for a terminal and in Markdown.

    Attributes:
        text: the figure with its spread.
        short: the figure alone; None leaves the column out of Markdown.
        missed: it is a ratio below the required one.
    """

    text: str
    short: str | None
    missed: bool = False


class Columns(NamedTuple):
    """What the table shows of each row."""

    dtypes: Sequence[str]
    peers: Sequence[str]

    def head(self) -> list[Cell]:
        cells = [Cell("row", "a step of training")]
        for dtype in self.dtypes:
            cells += [Cell(dtype, f"here, {dtype}"), Cell("of peak", None)]
            cells += [Cell(PEERS[peer], PEERS[peer]) for peer in self.peers]
        return cells

    def aligned(self, cells: Sequence[Cell]) -> str:
        widths = [16, *([9, 7, *[12] * len(self.peers)] * len(self.dtypes))]
        return "  ".join(cell.text.rjust(width) for cell, width in zip(cells, widths)).rstrip()


def as_markdown(cells: Sequence[Cell]) -> str:
    return "| " + " | ".join(cell.short for cell in cells if cell.short is not None) + " |"


def markdown_rule(cells: Sequence[Cell]) -> str:
    """What stands between the head of a table and its lines."""
    return "|" + " --- |" * sum(cell.short is not None for cell in cells)


def row(name: str, columns: Columns, effort: Effort) -> list[Cell]:
    """The cells of one line."""
    entry = TRAINING[name]
    line = [Cell(name, f"{entry.task.summary()} [{name}]")]
    for dtype in columns.dtypes:
        task = replace(entry.task, dtype=dtype)
        times = measure(contenders(task, 5 if effort.quick else entry.steps, columns.peers), effort)
        promised = entry.promised if dtype == "float64" else {}
        line += cells(times, columns.peers, {**REQUIRED[dtype], **promised}, dtype)
    return line


def contenders(task: Task, steps: int, peers: Sequence[str]) -> list[Contender]:
    """Us, and these peers, each with as many steps a call where a call takes several."""
    builds = {
        OURS: lambda: networks.compiled(task, steps),
        "torch": lambda: networks.pytorch(task),
        "jit": lambda: networks.jax_jit(task),
        "loop": lambda: networks.jax_jit(task, steps),
    }
    return [Contender(who, builds[who]) for who in (OURS, *peers)]


def cells(times: Times, peers: Sequence[str], required: Mapping[str, float], dtype: str) -> list[Cell]:
    """Our time and share of the peak, then the ratio of each peer, or its time where we have none."""
    ours = times.seconds.get(OURS)
    if ours is None:
        why = times.absent[OURS].removeprefix("not run: ")
        line = [Cell(why, why), Cell("", None)]
    else:
        figure = duration(float(np.median(ours)))
        line = [Cell(figure, figure), Cell(share_of_peak(times.flops[OURS], ours, dtype), None)]
    for peer in peers:
        theirs = times.seconds.get(peer)
        if theirs is None:
            tell(f"{PEERS[peer]} {times.absent[peer]}")
            line.append(Cell("-", ""))
        elif ours is None:
            figure = duration(float(np.median(theirs)))
            line.append(Cell(figure, figure))
        else:
            to_ours = ratio(theirs, ours)
            missed = to_ours.median < required.get(peer, 0.0)
            line.append(Cell(f"{to_ours}{' !' if missed else ''}", f"{to_ours.median:,.2g}×", missed))
    return line
