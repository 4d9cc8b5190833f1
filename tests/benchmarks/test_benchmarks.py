"""The benchmark's own rules: programs that disagree are never compared, and what can't run says why.

Nothing here depends on how long anything takes.
"""

import subprocess
import sys

import numpy as np
import pytest

from tests.benchmarks import harness
from tests.benchmarks.harness import Contender, DisagreementError, Running, race


def running(*gradient, loss=1.0):
    return Running(lambda: None, answer={"loss": np.array([loss]), "gradient": np.array(gradient)})


def test_programs_that_agree_get_a_median_and_a_ratio_to_the_first():
    ours, peer = race(
        [Contender("ours", lambda: running(1.0)), Contender("peer", lambda: running(1.0), 1e-9)],
        harness.QUICK,
    )
    assert ours.ratio == ""
    assert ours.holds is None
    assert peer.ratio.endswith("×")
    assert peer.holds is True


def test_a_required_ratio_that_is_not_reached_says_no():
    _, peer = race(
        [Contender("ours", lambda: running(1.0)), Contender("peer", lambda: running(1.0), 1e9)], harness.QUICK
    )
    assert peer.holds is False


@pytest.mark.parametrize(
    "peer",
    [
        running(1.0, 2.0 + 1e-11),
        running(1.0, float("nan")),
        running(0.0, 0.0),
        running(1.0),
        running(1.0, 2.0, loss=1.1),
    ],
)
def test_programs_that_disagree_are_not_compared(peer):
    with pytest.raises(DisagreementError, match="peer"):
        race([Contender("ours", lambda: running(1.0, 2.0)), Contender("peer", lambda: peer)], harness.QUICK)


def test_gradients_that_are_all_zero_are_no_agreement():
    with pytest.raises(DisagreementError):
        race(
            [Contender("ours", lambda: running(0.0)), Contender("peer", lambda: running(0.0))], harness.QUICK
        )


def test_a_missing_package_leaves_a_line_that_says_so():
    def build():
        raise ImportError("No module named 'xad'")

    _, peer = race([Contender("ours", lambda: running(1.0)), Contender("XAD", build, 50)], harness.QUICK)
    assert peer.figure == "not run: No module named 'xad'"
    assert peer.holds is None


def run_benchmarks(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *arguments], capture_output=True, text=True, timeout=120
    )


def test_the_command_prints_a_row_chosen_by_name_as_markdown():
    done = run_benchmarks("import", "--quick", "--markdown")
    assert done.returncode == 0, done.stderr
    header, _, first, *_ = done.stdout.splitlines()
    assert header == "| work | program | median | ratio to ours | required | holds | of peak |"
    assert first.startswith("| import [import] | import micrograd_mlp, over a bare start | ")


def test_an_unknown_row_is_an_error_that_lists_the_rows():
    done = run_benchmarks("moon")
    assert done.returncode == 2
    assert "there is no row 'moon'; there are demo, scalars" in done.stderr
