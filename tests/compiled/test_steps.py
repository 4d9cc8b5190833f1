"""How the examples of a step are cut into shards for several threads."""

import itertools

import pytest

from micrograd_mlp import Value

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
from micrograd_mlp.compiled.machine import Machine  # noqa: E402  (needs the extra)
from micrograd_mlp.compiled.steps import MAX_FREE_SHARDS, first_block, n_shards  # noqa: E402

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


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_machine_code_cuts_a_step_in_the_same_way(compile, monkeypatch, size):
    """The loss of each shard is kept apart; here it counts the examples in it."""
    monkeypatch.setattr(Machine, "cores", lambda self, n_examples: size)
    w = Value(1.0)
    program = compile(lambda x: w * x, [w])
    program(np.ones(1000))
    [machine] = program._machines.values()
    lanes = machine.lanes
    for n_blocks in (1, 2, 3, 5, 8, 16, 64):
        for n in (lanes * (n_blocks - 1) + 1, lanes * n_blocks):
            program(np.ones(n))
            if n == 1:
                continue  # which is computed without blocks
            lengths = [n * loss for loss in machine._losses[: n_shards(n_blocks, size)].tolist()]
            expected = [lanes * length for length in lengths_of_shards(n_blocks, size)]
            last = max([k for k, length in enumerate(expected) if length])
            expected[last] -= lanes * n_blocks - n
            assert lengths == pytest.approx(expected, rel=1e-12), (n_blocks, n)
