"""Reads inputs of a target and counts what came out; anything else than its one error is raised."""

import re
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.targets import Target

SECONDS = 20  # more than this for one input is a hang

WRITES = {
    *"os.remove os.rename os.mkdir os.rmdir os.truncate os.symlink os.link os.chmod os.system".split(),
    *"os.exec os.fork os.posix_spawn subprocess.Popen socket.connect".split(),
}

touched: list[str] = []
watching = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not watching:
        return
    if event in WRITES or (
        event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    ):
        touched.append(f"{event}{arguments!r:.200}")


_installed: list[bool] = []  # an audit hook can't be taken out again, so there is one


@dataclass
class Counts:
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    slowest: float = 0.0
    kinds: set[str] = field(default_factory=set)


def _hang(*_: Any) -> None:
    raise TimeoutError(f"one input took more than {SECONDS} s")


def check(target: Target, content: Any, counts: Counts) -> None:
    """Read one input, and count what came of it.

    Raises:
        whatever the target raises besides its error; AssertionError if a file was touched or an error
        has no message; TimeoutError if the input hangs.
    """
    global watching
    if not _installed:
        sys.addaudithook(_audit)
        _installed.append(True)
    prepared = target.prepare(content)
    before = signal.signal(signal.SIGALRM, _hang)
    signal.alarm(SECONDS)
    start = time.perf_counter()
    watching = True
    try:
        target.read(prepared)
        counts.accepted += 1
    except target.error as error:
        counts.refused += 1
        # What is quoted from the input does not make a message another one.
        counts.kinds.add(re.sub(r"'.*'|\".*\"|[0-9]+|\n.*", "…", str(error), flags=re.DOTALL))
    finally:
        watching = False
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    counts.inputs += 1
    counts.slowest = max(counts.slowest, time.perf_counter() - start)
    assert touched == [], touched
    assert "" not in counts.kinds, "an error without a message"


def fuzz(target: Target, inputs: int) -> Counts:
    """Read that many inputs, drawn by Hypothesis; raises as `check`."""
    counts = Counts()

    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs)
    def run(content: Any) -> None:
        check(target, content, counts)

    run()
    return counts
