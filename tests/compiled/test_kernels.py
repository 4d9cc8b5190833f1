"""How the examples of a step are cut into shards for several threads."""

import pytest

pytest.importorskip("numba")
import itertools

from micrograd_mlp.compiled.kernels import MAX_FREE_SHARDS, first_block, n_shards

MANY = (0, 1, 2, 3, 5, 8, 16, 64, 1000)


def lengths_of_shards(n_blocks, size):
    starts = [first_block(shard, n_blocks, size) for shard in range(n_shards(n_blocks, size) + 1)]
    assert starts[0] == 0
    assert starts[-1] == n_blocks
    return [stop - start for start, stop in itertools.pairwise(starts)]


@pytest.mark.parametrize("n_blocks", MANY)
def test_one_thread_takes_all(n_blocks):
    assert lengths_of_shards(n_blocks, 1) == [n_blocks]


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("n_blocks", MANY)
def test_each_thread_has_one_and_some_are_free(n_blocks, size):
    lengths = lengths_of_shards(n_blocks, size)
    own, free = lengths[:size], lengths[size:]
    assert own == [own[0]] * size
    assert all(1 <= length <= max(own[0], 1) for length in free)
    assert len(free) <= size * MAX_FREE_SHARDS


@pytest.mark.parametrize("size", [2, 3, 8])
def test_of_many_a_quarter_is_free(size):
    assert sum(lengths_of_shards(1000, size)[size:]) == pytest.approx(250, abs=size)
