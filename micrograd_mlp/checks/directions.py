"""Many derivatives at once: along random directions first, on their own only where a direction fails.

Along a direction t, the slope of f is ∇f·t. Every number of t has a random sign and a random size between one
half and one, so that a single wrong entry of the gradient shows in full, and several wrong ones cancel by a
rare chance only. Where a direction fails, its halves are tried, and their halves, until the wrong entries are
found.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from micrograd_mlp.checks.extrapolation import CERTAINTY
from micrograd_mlp.checks.judgement import WIDEST
from micrograd_mlp.checks.report import Row

DIRECTIONS = 2
HUGE = 100_000  # one direction is enough for so many entries: its evaluations take long
DIRECTION_STEP = -2  # exponent of the longest step along a direction, as a part of the entries' sizes
SHOWN = 12  # wrong entries that are looked for; more of them tell no more
ALONE = 300  # so many entries that directions do not resolve are checked on their own
TELLING = 1e-6  # a zero is confirmed when slopes above this part of the largest are excluded


class Group(NamedTuple):
    """The entries of one input: its name and the range of their positions."""

    name: str
    first: int
    last: int


class Subject(Protocol):
    """A function at a point, and the gradient that is claimed for it."""

    gradient: Sequence[float]
    sizes: Sequence[float]  # by how much each entry moves along a direction, at most
    groups: Sequence[Group]  # the inputs to which the entries belong

    def single(self, position: int) -> Row:
        """Check one derivative."""

    def along(self, label: str, positions: Sequence[int], rng: random.Random) -> Row:
        """Check the slope along a random direction of these entries."""


def rows_by_directions(subject: Subject) -> tuple[list[Row], list[str]]:
    """Check all entries of a gradient.

    Returns:
        Rows for directions, and for each entry that had to be checked on its own; and sentences that say what
        may have been missed.
    """
    rng = random.Random(0)
    everything = range(len(subject.gradient))
    rows: list[Row] = []
    notes: list[str] = []
    for k in range(1 if len(everything) > HUGE else DIRECTIONS):
        rows.append(subject.along(f"direction {k + 1}", everything, rng))
        if not _is_sure(rows[-1]):
            return _search(subject, rows[-1], rng), notes
    directions = list(rows)
    blind = unresolved(subject, everything, rows)
    if 0 < len(blind) < len(everything) <= HUGE:
        rows.append(subject.along("direction of small derivatives", blind, rng))
        if not _is_sure(rows[-1]):
            return _search(subject, rows[-1], rng), notes
        blind = unresolved(subject, blind, rows[-1:])
    if len(blind) <= ALONE and len(everything) <= HUGE:
        rows += [subject.single(position) for position in blind]
        blind = []
    notes.append(_what_may_be_missed(subject, directions, len(blind)))
    return rows, notes


def random_weights(count: int, rng: random.Random) -> list[float]:
    """Numbers with random signs and sizes between one half and one."""
    return [rng.choice((-1.0, 1.0)) * rng.uniform(0.5, 1.0) for _ in range(count)]


def unresolved(subject: Subject, positions: Sequence[int], rows: Sequence[Row]) -> list[int]:
    """The entries that could be wrong by a thousandth, or not zero, without showing in these rows."""
    doubt = 2.0 * CERTAINTY * min(row.estimate for row in rows)
    largest = max([abs(subject.gradient[i]) for i in positions], default=0.0)
    return [
        i
        for i in positions
        if doubt > subject.sizes[i] * (WIDEST * abs(subject.gradient[i]) or TELLING * largest)
    ]


def _is_sure(row: Row) -> bool:
    """A kink passes an entry, but along a direction it says too little."""
    return row.verdict == "ok"


def _search(subject: Subject, failed: Row, rng: random.Random) -> list[Row]:
    """Every input along a direction of its own, and where that fails, its halves."""
    rows: list[Row] = []
    for name, first, last in subject.groups:
        if last - first > 1:
            row = subject.along(f"{name}, along a direction", range(first, last), rng)
            if "slopes" not in row.verdict:  # where kinks meet, a slope says nothing about conventions
                rows.append(row)
            if _is_sure(row):
                rows += [subject.single(i) for i in unresolved(subject, range(first, last), [row])[:ALONE]]
                continue
            if row.verdict.startswith(("inconclusive, f", "inconclusive, at", "not finite")):
                continue
        rows += _bisect(subject, rng, first, last)
    if failed.verdict == "wrong" and all(row.passed for row in rows):
        rows.append(failed)  # what is wrong was not found, and does not go away by that
    return rows


def _bisect(subject: Subject, rng: random.Random, first: int, last: int) -> list[Row]:
    """The entries of a range that are wrong, some of them if they are many, each checked on its own."""
    found: list[Row] = []
    ranges = [(first, last)]
    while ranges and sum(not row.passed for row in found) < SHOWN:
        first, last = ranges.pop()
        if last - first <= 4:
            found += [subject.single(position) for position in range(first, last)]
            continue
        middle = (first + last) // 2
        halves = [(first, middle), (middle, last)]
        rng.shuffle(halves)  # so that the entries shown are not all from one end
        ranges += [half for half in halves if not _is_sure(subject.along("", range(*half), rng))]
    return found


def _what_may_be_missed(subject: Subject, rows: Sequence[Row], blind: int) -> str:
    count, largest = len(subject.gradient), max(map(abs, subject.gradient))
    limit = 2.0 * CERTAINTY * min(row.estimate for row in rows) / min(subject.sizes)
    directions = "1 random direction" if len(rows) == 1 else f"{len(rows)} random directions"
    sentence = (
        f"{count:,} derivatives, the largest {largest:.2g}, along {directions}: a single one that is wrong "
        f"by {limit:.1g} is missed with probability 0; where several are, one of them by {1e3 * limit:.1g}, "
        f"with probability {1e-3 ** len(rows):.0g} at most"
    )
    if blind:
        sentence += f". {blind:,} derivatives are too small for the directions to show that they are not zero"
    return sentence
