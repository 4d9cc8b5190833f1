"""The pytest plugin: a fixture `gradcheck`, a line in the summary, and a stricter run for CI.

    def test_loss(gradcheck):
        gradcheck(loss, parameters, gradients)

pytest finds it when the package is installed. NumPy is imported by the first check that needs it. With
`--gradcheck-strict`, or `gradcheck_strict = true` among pytest's settings, every derivative is checked on its
own, however many there are, and a kink does not pass: at a kink, a test says too little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from micrograd_mlp.checks import check
from micrograd_mlp.checks.report import GradCheckReport

KEY = "micrograd_mlp_gradcheck"  # of what a worker of pytest-xdist tells the main process
STRICT = "check every derivative on its own, and let no kink pass (micrograd_mlp)"


class Tally:
    """Counts the derivatives that tests check."""

    def __init__(self) -> None:
        self.count, self.test = 0, ""  # the test is the one that is running
        # The largest error of a derivative that passed, relative to it and in its last place, and its test.
        self.worst = (0.0, 0.0, "")

    def add(self, report: GradCheckReport) -> None:
        """Count the derivatives of one check."""
        sure = [row for row in report.rows if row.verdict == "ok" and row.analytic]
        errors = [(row.error / abs(row.analytic), row.ulps, self.test) for row in sure]
        self.merge(report.count, max(errors, default=self.worst))

    def merge(self, count: int, worst: tuple[float, float, str]) -> None:
        """Add what was counted elsewhere."""
        self.count += count
        self.worst = max(self.worst, worst)

    def __str__(self) -> str:
        line = f"{self.count:,} derivative{'s' * (self.count != 1)} checked"
        relative, ulps, test = self.worst
        if test:
            size = f"{ulps:.0f} ulp" if ulps < 1000.0 else f"{relative:.1g} of the derivative"
            line += f", worst error {size} in {test}"
        return line


tallies = pytest.StashKey[Tally]()


@pytest.fixture
def gradcheck() -> Callable[..., GradCheckReport]:
    """`micrograd_mlp.gradcheck`: the test fails with the part of the table that did not pass."""
    return check.gradcheck


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option, and the setting of the same name."""
    parser.getgroup("micrograd_mlp").addoption("--gradcheck-strict", action="store_true", help=STRICT)
    parser.addini("gradcheck_strict", STRICT, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    tally = config.stash[tallies] = Tally()
    check.session.listeners.append(tally.add)
    if config.getoption("gradcheck_strict") or config.getini("gradcheck_strict"):
        check.session.strict = True
        config.add_cleanup(lambda: setattr(check.session, "strict", False))
    config.add_cleanup(lambda: check.session.listeners.remove(tally.add))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Note which test is running."""
    item.config.stash[tallies].test = item.name
    return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist: tell the main process."""
    if hasattr(session.config, "workeroutput"):
        tally = session.config.stash[tallies]
        session.config.workeroutput[KEY] = (tally.count, tally.worst)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """In the main process of pytest-xdist: add what a worker counted."""
    if KEY in getattr(node, "workeroutput", {}):
        node.config.stash[tallies].merge(*node.workeroutput[KEY])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the line, if anything was checked."""
    tally = config.stash[tallies]
    if tally.count:
        terminalreporter.write_line(str(tally))
