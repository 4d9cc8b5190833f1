"""A sample of `random_programs`, which is run on demand."""

import pytest

pytest.importorskip("llvmlite")
from tests.compiled.random_programs import compare


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 121, 357, 776])  # the last ones had numbers from infinity
@pytest.mark.filterwarnings("ignore:.*this is rounding, not a branch:RuntimeWarning")
def test_eager_and_compiled_differ_by_rounding_at_most(seed, dtype):
    assert compare(seed, dtype) in ("equal", "rounding")
