"""A short run of each fuzz target, and proof that the harness sees what it is there to see."""

import pytest
from hypothesis import strategies as st

from tests.fuzz.harness import fuzz, touched
from tests.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("name", TARGETS)
def test_only_clear_errors_come_out(name):
    counts = fuzz(TARGETS[name], 150)
    assert counts.inputs >= 150
    assert counts.accepted > 0
    assert counts.refused > 0


def test_another_error_is_seen():
    with pytest.raises(ZeroDivisionError):
        fuzz(Target(st.integers(0, 3), lambda x: 1 / x and None, ValueError), 50)


def test_a_touched_file_is_seen(tmp_path):
    def careless(x):
        (tmp_path / "touched").write_text("x")

    with pytest.raises(AssertionError, match="touched"):
        fuzz(Target(st.integers(), careless, ValueError), 5)
    touched.clear()
