"""The one function that Python calls: a prediction, a gradient, or many steps of training (§6, §7, §10).

`execute` is compiled once for all graphs and kept on disk: everything about a graph is data. Functions that
are not known beforehand - an optimizer's rule, a user's operations - come in as addresses.

A step goes over its examples like this. The uniform tape is executed forward. The examples are cut into
shards, a shard into blocks; for each block the varying tape is executed forward and backward (`_shard`). The
gradients of the shards are added up, and the uniform tape is executed backward (`_finish`). Then the
optimizer's rule moves the parameters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from micrograd_mlp.compiled.interpreter import Buffers, tape_backward, tape_forward
from micrograd_mlp.compiled.native import (
    Floats,
    Integers,
    cached,
    give_way,
    pointer,
    publish,
    published,
    ticket,
    uncounted,
)
from micrograd_mlp.compiled.plan import Tape
from micrograd_mlp.compiled.products import transpose
from micrograd_mlp.compiled.rules import call_rule
from micrograd_mlp.compiled.tiles import Matrix

PREDICT, GRADIENT, TRAIN = range(3)  # what `execute` is called for
STOPPED = -1
MAX_FREE_SHARDS = 8  # for each thread
PATIENCE = 10_000  # how often to look at another thread's progress before giving way, some microseconds


class Code(NamedTuple):
    """A graph as `execute` reads it: fields of `plan.Plan`, and

    Attributes:
        n_parameters, n_inputs: how many parameters and inputs there are.
        lanes: the largest number of examples in a block.
    """

    uniform: Tape
    varying: Tape
    broadcast_to: Integers
    broadcast_from: Integers
    broadcast_to_adjoint: Integers
    broadcast_from_adjoint: Integers
    outputs: Integers
    output_adjoint: int
    first_parameter: int
    n_parameters: int
    n_inputs: int
    lanes: int


class Memory(NamedTuple):
    """The memory that a thread writes to.

    Attributes:
        uniform: the values of the uniform tape.
        values, adjoints, scratch: of one block.
        operations: see `interpreter.Buffers`.
    """

    uniform: Floats
    values: Floats
    adjoints: Floats
    scratch: Floats
    operations: Integers


class Examples(NamedTuple):
    """The rows of x and y, and an order in which steps take them."""

    x: Floats
    y: Floats
    order: Integers


class Steps(NamedTuple):
    """What to do.

    Attributes:
        mode: PREDICT, GRADIENT or TRAIN.
        bounds: step s takes the examples order[bounds[s, 0] : bounds[s, 1]].
        results: receives the mean loss of step s in results[s, 0]; with PREDICT a row of outputs an example.
        rule: the address of the optimizer's rule.
        t: the number of the first step for the rule, from 1.
        state, settings: the optimizer's.
        finished: counts the applications of the rule, for a Python that is interrupted.
    """

    mode: int
    bounds: Integers
    results: Floats
    rule: int
    t: int
    state: Floats
    settings: Floats
    finished: Integers


class Team(NamedTuple):
    """Threads that share the examples of a step.

    Thread 0 leads: it owns the parameters, adds up what all found, and applies the rule. The examples
    are cut into shards: first one for each thread, then smaller ones that go to whichever thread is free,
    since cores are not equally fast. The result of each shard is kept apart and added in the order of the
    shards, so that the sum does not depend on which thread computed it.

    Attributes:
        number: of this thread.
        size: how many threads there are.
        progress: for each thread the steps that it has begun (the leader) or finished (the others), or
            `STOPPED`; and last the number of the next free shard.
        theta: the leader's parameters.
        losses, gradients: for each shard; a gradient is all adjoints of the uniform tape.
    """

    number: int
    size: int
    progress: Integers
    theta: Floats
    losses: Floats
    gradients: Floats


# Shards


@uncounted
def _n_assigned_blocks(n_blocks, size):
    """Number of blocks that are assigned to each thread in advance: together three quarters of all."""
    if size == 1:
        return n_blocks
    return min((3 * n_blocks + 4 * size - 1) // (4 * size), n_blocks // size)


@uncounted
def n_shards(n_blocks, size):
    """Number of shards of a step: one for each thread, and the free ones."""
    return size + min(n_blocks - size * _n_assigned_blocks(n_blocks, size), size * MAX_FREE_SHARDS)


@uncounted
def first_block(shard, n_blocks, size):
    """The block with which a shard begins; the shard before it ends there."""
    assigned = _n_assigned_blocks(n_blocks, size)
    if shard <= size:
        return shard * assigned
    n_free = n_shards(n_blocks, size) - size
    return size * assigned + (n_blocks - size * assigned) * (shard - size) // n_free


# Blocks


@uncounted
def _pointers(tape):
    return Tape(
        pointer(tape.runs), tape.n_runs, tape.first_active,
        pointer(tape.operands), pointer(tape.operand_adjoints), tape.size, tape.n_adjoints,
    )  # fmt: skip


@uncounted
def _uniform_buffers(code, memory, gradient):
    u, du, spare = pointer(memory.uniform), pointer(gradient), code.uniform.size
    n_adjoints, scratch, operations = code.uniform.n_adjoints, memory.scratch, memory.operations
    return Buffers(u, du, 1, spare, n_adjoints, u, du, pointer(scratch), pointer(operations))


@uncounted
def _block_buffers(memory, gradient, lanes):
    v, d, scratch = pointer(memory.values), pointer(memory.adjoints), pointer(memory.scratch)
    u, du = pointer(memory.uniform), pointer(gradient)
    return Buffers(v, d, lanes, 0, 0, u, du, scratch, pointer(memory.operations))


@uncounted
def _load(memory, examples, start, lanes):
    """Copy the inputs of one block, with a lane for each example."""
    x, y, order = examples.x, examples.y, examples.order
    n, v, scratch = x.shape[1], pointer(memory.values), memory.scratch
    n_in_order = 0
    for lane in range(lanes):
        n_in_order += order[start + lane] == order[start] + lane
    if n_in_order == lanes:
        transpose(Matrix(pointer(x), order[start] * n, n, 1), Matrix(v, 0, lanes, 1), lanes, n)
    else:
        for first in range(0, lanes, 8):  # collect some examples side by side, wherever they come from
            count = min(8, lanes - first)
            for lane in range(count):
                row = order[start + first + lane]
                for k in range(n):
                    scratch[lane * n + k] = x[row, k]
            transpose(Matrix(pointer(scratch), 0, n, 1), Matrix(v, first, lanes, 1), count, n)
    for lane in range(lanes):
        row = order[start + lane]
        for k in range(y.shape[1]):
            v[(n + k) * lanes + lane] = y[row, k]


@uncounted
def _clear(numbers, n):
    """Set the first n numbers to 0; a loop, since a slice takes Numba a second to compile."""
    for k in range(n):
        numbers[k] = 0.0


@uncounted
def _broadcast(code, memory, lanes):
    """Repeat the uniform numbers that the varying tape needs in all lanes."""
    for i in range(len(code.broadcast_to)):
        first, number = code.broadcast_to[i] * lanes, memory.uniform[code.broadcast_from[i]]
        for lane in range(first, first + lanes):
            memory.values[lane] = number


@uncounted
def _broadcast_backward(code, memory, gradient, lanes):
    """The adjoint of a uniform number is the sum of those of its lanes."""
    for i in range(len(code.broadcast_to)):
        adjoint = code.broadcast_to_adjoint[i]
        if adjoint > 0:
            for lane in range(lanes):
                gradient[code.broadcast_from_adjoint[i]] += memory.adjoints[adjoint * lanes + lane]


@uncounted
def _shard(code, memory, gradient, examples, start, stop, scale, steps):
    """The loss of the examples order[start:stop] and its gradient, times `scale`; or their outputs."""
    loss = 0.0
    _clear(gradient, len(gradient))
    n_blocks = max((stop - start + code.lanes - 1) // code.lanes, 1)  # a shard may have no examples
    width = max((stop - start + n_blocks - 1) // n_blocks + 7, 8) // 8 * 8  # equal blocks, whole vectors
    tape = _pointers(code.varying)
    for block in range(start, stop, width):
        lanes = min(width, stop - block)
        buffers = _block_buffers(memory, gradient, lanes)
        _load(memory, examples, block, lanes)
        _broadcast(code, memory, lanes)
        tape_forward(tape, buffers)
        if memory.operations[0]:
            break
        if steps.mode == PREDICT:
            for k in range(len(code.outputs)):
                for lane in range(lanes):
                    steps.results[block + lane, k] = memory.values[code.outputs[k] * lanes + lane]
            continue
        _clear(memory.adjoints, code.varying.n_adjoints * lanes)
        for lane in range(lanes):
            loss += memory.values[code.outputs[0] * lanes + lane]
            memory.adjoints[code.output_adjoint * lanes + lane] = scale
        tape_backward(tape, buffers)
        if memory.operations[0]:
            break
        _broadcast_backward(code, memory, gradient, lanes)
    return loss * scale


# Steps


@uncounted
def _await(team, number, step):
    """Wait until that thread has come to this step; False if it has stopped instead."""
    tries = 0
    now = published(team.progress, number)
    while STOPPED < now < step:
        tries += 1
        if tries > PATIENCE:  # that thread may be waiting for this very core
            give_way()
        now = published(team.progress, number)
    return now != STOPPED


@uncounted
def _begin(team, step, theta):
    """The leader lets the others begin a step; the others wait for that and take over its parameters."""
    if team.number == 0:
        publish(team.progress, team.size, team.size)
        publish(team.progress, 0, step)
        return True
    if not _await(team, 0, step):
        return False
    for k in range(len(theta)):
        theta[k] = team.theta[k]
    return True


@uncounted
def _work(code, memory, team, examples, steps, start, stop):
    """Compute the assigned shard, then free ones until there are none; returns the number of all shards."""
    n_blocks = (stop - start + code.lanes - 1) // code.lanes
    n = n_shards(n_blocks, team.size)
    shard = team.number
    while shard < n and not memory.operations[0]:
        shard_start = start + first_block(shard, n_blocks, team.size) * code.lanes
        shard_stop = min(start + first_block(shard + 1, n_blocks, team.size) * code.lanes, stop)
        team.losses[shard] = _shard(
            code,
            memory,
            team.gradients[shard],
            examples,
            shard_start,
            shard_stop,
            1.0 / (stop - start),
            steps,
        )
        shard = ticket(team.progress, team.size)
    return n


@uncounted
def _without_examples(code, memory, team, steps):
    """For a graph of parameters alone: its outputs, or its loss and where the backward pass begins."""
    if steps.mode == PREDICT:
        for k in range(len(code.outputs)):
            steps.results[0, k] = memory.uniform[code.outputs[k]]
    else:
        _clear(team.gradients[0], team.gradients.shape[1])
        team.gradients[0, code.output_adjoint] = 1.0
    team.losses[0] = memory.uniform[code.outputs[0]]


@uncounted
def _finish(code, memory, team, steps, s, n):
    """Add up the results of n shards and go backward to the parameters; False if an operation failed."""
    loss = 0.0
    for shard in range(n):
        loss += team.losses[shard]
    for shard in range(1, n):
        for k in range(team.gradients.shape[1]):
            team.gradients[0, k] += team.gradients[shard, k]
    if steps.mode != PREDICT:
        steps.results[s, 0] = loss
        tape_backward(_pointers(code.uniform), _uniform_buffers(code, memory, team.gradients[0]))
    return memory.operations[0] == 0


@uncounted
def _move(code, theta, gradient, steps, s):
    """Apply the optimizer's rule; False after inf or nan, when no further step makes sense."""
    if not abs(steps.results[s, 0]) < np.inf:
        return False
    call_rule(steps.rule, code.n_parameters, theta, gradient, steps.t + s, steps.state, steps.settings)
    steps.finished[0] += 1
    n_finite = 0  # counted without a branch, so that it is done for a vector at a time
    for k in range(code.n_parameters):
        n_finite += abs(theta[k]) < np.inf
    return n_finite == code.n_parameters


def _execute(code, memory, team, examples, steps):
    """Take some steps: loss, gradient and, in the mode TRAIN, the optimizer's rule.

    A step that gives inf or nan is the last one. Each thread of a team calls this with a memory of its own.
    """
    theta = memory.uniform[code.first_parameter : code.first_parameter + code.n_parameters]
    gradient = team.gradients[0, 1 : 1 + code.n_parameters]
    uniform, buffers = _pointers(code.uniform), _uniform_buffers(code, memory, team.gradients[0])
    for s in range(len(steps.bounds)):
        if not _begin(team, s + 1, theta):
            return
        tape_forward(uniform, buffers)
        if memory.operations[0]:
            return
        n = 1
        if code.n_inputs == 0:
            _without_examples(code, memory, team, steps)
        else:
            n = _work(code, memory, team, examples, steps, steps.bounds[s, 0], steps.bounds[s, 1])
        if memory.operations[0]:
            return
        if team.number > 0:
            publish(team.progress, team.number, s + 1)
            continue
        for other in range(1, team.size):
            if not _await(team, other, s + 1):
                return
        if not _finish(code, memory, team, steps, s, n):
            return
        if steps.mode == TRAIN and not _move(code, theta, gradient, steps, s):
            return


execute: Any = cached(_execute)
