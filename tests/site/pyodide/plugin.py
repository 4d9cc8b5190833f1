"""A plugin of pytest for the run in Pyodide: it holds what happens there against `cannot_run.toml`.

A test that fails there has to be listed, under a reason whose `sign` the failure shows; a listed test has
to fail. The same holds for files of which no test runs. A single test that is skipped has to show a sign too.
"""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

LIST = Path(__file__).with_name("cannot_run.toml")


class Reason:
    """Why some tests cannot run, and which."""

    def __init__(self, why, sign, files=(), tests=(), ends_python=False):
        self.why, self.sign, self.ends_python = why, re.compile(sign), ends_python
        self.files, self.tests = set(files), set(tests)
        self.met = set()  # of both, those that were seen not to run
        self.skipped = Counter()  # how many single tests of each file were skipped for this reason


def reasons():
    return [Reason(**entry) for entry in tomllib.loads(LIST.read_text(encoding="utf-8"))["reason"]]


def shown(report):
    """All text of a report in which a sign may stand."""
    return "\n".join([str(report.longrepr), *(content for _, content in report.sections)])


class Held:
    def __init__(self):
        self.reasons = reasons()
        self.wrong = []  # what the list says otherwise

    def with_sign(self, text):
        return [reason for reason in self.reasons if reason.sign.search(text)]

    def listed(self, item):
        """The entries of a test: its whole name, or its name for all parameters."""
        names = {item.nodeid, item.nodeid.partition("[")[0]}
        return [(reason, name) for reason in self.reasons for name in names & reason.tests]

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector):
        report = yield
        if isinstance(collector, pytest.File):
            file, text = collector.nodeid, shown(report)
            places = {file, *(str(folder) for folder in Path(file).parents)}
            reason = next((reason for reason in self.reasons if places & reason.files), None)
            if reason and not report.passed and reason.sign.search(text):
                reason.met |= places & reason.files
                report.outcome, report.longrepr = "skipped", (str(collector.path), 0, reason.why)
            elif reason or report.skipped:
                what = (
                    f"is listed under “{reason.why}”, and can run" if reason else "is skipped, and not listed"
                )
                report.outcome, report.longrepr = "failed", f"{file} {what}\n{text}"
        return report

    def pytest_collection_modifyitems(self, config, items):
        ending = [item for item in items if any(reason.ends_python for reason, _ in self.listed(item))]
        for item in ending:
            for reason, name in self.listed(item):
                reason.met.add(name)
            items.remove(item)
        config.hook.pytest_deselected(items=ending)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item):
        report = yield
        text = shown(report)
        listed = self.listed(item)
        if report.failed:
            for reason, name in listed:
                if reason.sign.search(text):
                    reason.met.add(name)
                    report.outcome, report.wasxfail = "skipped", reason.why
        elif report.skipped:
            for reason in self.with_sign(text):
                reason.skipped[item.location[0]] += 1
                break
            else:
                report.outcome, report.longrepr = "failed", f"skipped, and no reason has this sign: {text}"
        elif report.when == "call" and any(name == item.nodeid for _, name in listed):
            report.outcome, report.longrepr = "failed", "is listed as one that cannot run, and does"
        return report

    def pytest_sessionfinish(self, session, exitstatus):
        if exitstatus == pytest.ExitCode.INTERRUPTED:
            return  # before any test ran
        for reason in self.reasons:
            self.wrong += sorted((reason.files | reason.tests) - reason.met)
            if not (reason.met or reason.skipped):
                self.wrong.append(f"nothing shows the sign of “{reason.why}”")
        if self.wrong:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("what cannot run in Pyodide")
        for reason in self.reasons:
            files, tests = len(reason.files), len(reason.tests)
            numbers = [f"{files} files", f"{tests} listed tests", f"{reason.skipped.total()} skipped tests"]
            terminalreporter.line(f"{', '.join(n for n in numbers if n[0] != '0')}: {reason.why}")
        for entry in self.wrong:
            terminalreporter.line(f"WRONG in {LIST.name}: {entry} can run, or does not exist")


def pytest_configure(config):
    config.pluginmanager.register(Held())
