"""What a gradient check found: one row for each derivative, and the table that shows them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One derivative: what the graph says, what differences say, and how far apart they are.

    Attributes:
        label: the input, or both inputs of a second derivative.
        analytic: the derivative from the graph.
        numerical: the derivative from differences; at a kink the mean of the slopes on either side.
        estimate: how far `numerical` may be off, by its own account.
        verdict: "ok"; "kink" (the slopes on either side differ and the analytic value is between them,
            which is right: the verdict shows both); "wrong"; "inconclusive" (a zero could not be told
            from the right derivative: the verdict says why); "not finite" (f or its derivative is inf
            or nan); "undefined" (f does not exist on both sides of the input).
    """

    label: str
    analytic: float
    numerical: float
    estimate: float
    verdict: str

    @property
    def error(self) -> float:
        """|analytic - numerical|."""
        return abs(self.analytic - self.numerical)

    @property
    def ulps(self) -> float:
        """The error in units of the analytic value's last place."""
        return self.error / math.ulp(self.analytic) if math.isfinite(self.error) else self.error

    @property
    def is_kink(self) -> bool:
        """Is the derivative between the slopes of a kink?"""
        return self.verdict.startswith("kink")

    @property
    def passed(self) -> bool:
        """Is the derivative right, or between the slopes of a kink?"""
        return self.verdict == "ok" or self.is_kink


def not_finite(label: str, g: float) -> Row:
    """The row of a derivative that is not finite, or whose function is not."""
    return Row(label, g, math.nan, math.nan, "not finite")


class GradCheckReport:
    """What `gradcheck` found: a table that prints itself, worst row first. True if all rows passed.

    Attributes:
        rows: one for each derivative, or for each direction along which many were checked.
        notes: sentences on what the table does not show.
        count: the number of derivatives that were checked.

    >>> from micrograd_mlp import gradcheck
    >>> gradcheck(lambda x: abs(x), [0.0])  # doctest: +ELLIPSIS
      label  analytic  numerical  error  ulps  estimate  verdict
      x             0          0      0     0       ...  kink, slopes -1 and 1
    """

    def __init__(self, rows: Iterable[Row], notes: Iterable[str] = (), count: int | None = None) -> None:
        self.rows = tuple(sorted(rows, key=_badness, reverse=True))
        self.notes = tuple(notes)
        self.count = len(self.rows) if count is None else count

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows that did not pass."""
        return tuple([row for row in self.rows if not row.passed])

    @property
    def passed(self) -> bool:
        """Did every row pass?"""
        return not self.failures

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return "\n".join([_table(self.rows), *self.notes])


class GradCheckError(AssertionError):
    """Some derivatives did not pass. The message is their part of the table, `.report` all of it."""

    def __init__(self, report: GradCheckReport) -> None:
        failures = report.failures
        super().__init__("\n".join([f"{_how_many(report)} did not pass:", _table(failures), *report.notes]))
        self.report = report


def _how_many(report: GradCheckReport) -> str:
    failures = len(report.failures)
    if report.count == len(report.rows):
        return f"{failures} of {report.count} derivatives"
    return f"{failures} checks of {report.count:,} derivatives"


def _badness(row: Row) -> tuple[bool, float]:
    """Failing rows first, each part by relative error."""
    if math.isnan(row.error):
        return not row.passed, math.inf
    return not row.passed, row.error / max(abs(row.analytic), abs(row.numerical)) if row.error else 0.0


def _table(rows: Sequence[Row]) -> str:
    table = [("label", "analytic", "numerical", "error", "ulps", "estimate", "verdict")]
    for row in rows:
        numbers = (f"{row.analytic:.10g}", f"{row.numerical:.10g}", f"{row.error:.2g}")
        table.append((row.label, *numbers, f"{row.ulps:.2g}", f"{row.estimate:.1g}", row.verdict))
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = []
    for cells in table:
        aligned = [f"{cell:>{width}}" for cell, width in zip(cells, widths)]
        aligned[0], aligned[-1] = f"{cells[0]:<{widths[0]}}", cells[-1]  # text is flush left
        lines.append("  ".join(["", *aligned]))
    if any("rounding hides" in row.verdict for row in rows):
        lines.append("where rounding hides slopes: check f without its large constant part, or elsewhere")
    return "\n".join(lines)
