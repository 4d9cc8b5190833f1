"""How a step is cut into shards for several threads; `compiled.steps` does the same in machine code."""

from micrograd_mlp.compiled.steps import MAX_FREE_SHARDS


def n_assigned_blocks(n_blocks, size):
    """Number of blocks that are assigned to each thread in advance: together three quarters of all."""
    return n_blocks if size == 1 else min((3 * n_blocks + 4 * size - 1) // (4 * size), n_blocks // size)


def n_shards(n_blocks, size):
    """Number of shards of a step: one for each thread, and the free ones."""
    return size + min(n_blocks - size * n_assigned_blocks(n_blocks, size), size * MAX_FREE_SHARDS)


def first_block(shard, n_blocks, size):
    """The block with which a shard begins; the shard before it ends there."""
    assigned = n_assigned_blocks(n_blocks, size)
    if shard <= size:
        return shard * assigned
    n_free = n_shards(n_blocks, size) - size
    return size * assigned + (n_blocks - size * assigned) * (shard - size) // n_free
