"""The one function that the machine runs: a block, a batch, many steps of training (§6, §7, §10).

`run` is compiled once for all graphs and kept on disk: everything about a graph is data. What is not
known beforehand - an optimizer's rule, a user's operations - comes in as a pointer to a function.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from micrograd_mlp.compiled.interpreter import tape_backward, tape_forward
from micrograd_mlp.compiled.layers import transpose
from micrograd_mlp.compiled.native import (
    OPTIONS,
    call_rule,
    compiled,
    give_way,
    named,
    publish,
    published,
    ticket,
)
from micrograd_mlp.compiled.tape import N_COLUMNS

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class Code(NamedTuple):
    """A graph as `run` reads it; see `tape` for what each array means."""

    uniform_runs: Integers
    uniform_args: Integers
    uniform_size: int
    uniform_base: int
    uniform_first_active: int
    varying_runs: Integers
    varying_args: Integers
    varying_size: int
    varying_base: int
    varying_first_active: int
    spread_rows: Integers
    spread_places: Integers
    outputs: Integers
    first_parameter: int
    n_parameters: int
    n_inputs: int


class Memory(NamedTuple):
    """What `run` writes to; each thread has its own.

    u are the values of the uniform tape; v, d and scratch hold one block.
    """

    u: Floats
    v: Floats
    d: Floats
    scratch: Floats


class Team(NamedTuple):
    """Threads that share the rows of a step, each with a Memory of its own.

    Number 0 leads: it owns the parameters, adds up what all found, and applies the rule. The rows are cut
    into parts: first one for each thread, then smaller ones, which go to whoever is free, since cores are
    not equally fast. Each part has a place for its result, so that the sum does not depend on who did it.

    Attributes:
        number: of this thread.
        size: how many there are.
        progress: for each the steps that it has begun (the leader) or finished (the others), or `STOPPED`;
            and last the next part that is free.
        theta: the leader's parameters.
        losses, gradients: for each part what was found, the gradient as all adjoints of the uniform tape.
    """

    number: int
    size: int
    progress: Integers
    theta: Floats
    losses: Floats
    gradients: Floats


PREDICT, GRADIENT, TRAIN = range(3)  # what `run` is called for
STOPPED = -1
FREE_PARTS = 8  # at most, for each thread
PATIENCE = 10_000  # looks at another thread's progress, some microseconds in all


@compiled
def _load(v, x, y, order, start, lanes, scratch):
    """One block of examples, as columns."""
    n = x.shape[1]
    n_in_order = 0
    for lane in range(lanes):
        n_in_order += order[start + lane] == order[start] + lane
    if n_in_order == lanes:
        transpose(x.ravel(), order[start] * n, n, lanes, n, v, 0, lanes)
    else:
        for first in range(0, lanes, 8):  # some rows side by side, wherever they come from
            count = min(8, lanes - first)
            for lane in range(count):
                row = order[start + first + lane]
                for k in range(n):
                    scratch[lane * n + k] = x[row, k]
            transpose(scratch, 0, n, count, n, v, first, lanes)
    for lane in range(lanes):
        row = order[start + lane]
        for k in range(y.shape[1]):
            v[(n + k) * lanes + lane] = y[row, k]


@compiled
def _spread(code, u, v, lanes):
    for i in range(len(code.spread_rows)):
        first, number = code.spread_rows[i] * lanes, u[code.spread_places[i]]
        for lane in range(first, first + lanes):
            v[lane] = number


@compiled
def _gather_spread(code, d, du, lanes):
    """Back from the rows: what reached each lane belongs to the one uniform number."""
    for i in range(len(code.spread_rows)):
        row, place = code.spread_rows[i] - code.varying_base, code.spread_places[i] - code.uniform_base
        if row > 0:
            for lane in range(lanes):
                du[place] += d[row * lanes + lane]


@compiled
def _part(code, memory, du, user, x, y, order, start, stop, scale, max_lanes, mode, results):
    """Loss and gradient of the rows order[start:stop], or their outputs if mode is PREDICT."""
    loss = 0.0
    du[:] = 0.0
    n_blocks = max((stop - start + max_lanes - 1) // max_lanes, 1)  # there may be no rows
    width = max((stop - start + n_blocks - 1) // n_blocks + 7, 8) // 8 * 8  # equal blocks, whole vectors
    n_runs = len(code.varying_runs) // N_COLUMNS
    for block in range(start, stop, width):
        lanes = min(width, stop - block)
        v = memory.v[: code.varying_size * lanes]
        _load(v, x, y, order, block, lanes, memory.scratch)
        _spread(code, memory.u, v, lanes)
        tape_forward(
            code.varying_runs, n_runs, code.varying_args, v, 0, lanes, memory.u, memory.scratch, user
        )
        if user[0]:
            return 0.0
        if mode == PREDICT:
            for k in range(len(code.outputs)):
                for lane in range(lanes):
                    results[block + lane, k] = v[code.outputs[k] * lanes + lane]
            continue
        d = memory.d[: (code.varying_size - code.varying_base) * lanes]
        d[:] = 0.0
        output = code.outputs[0]
        for lane in range(lanes):
            loss += v[output * lanes + lane]
            d[max(output - code.varying_base, 0) * lanes + lane] = scale
        tape_backward(
            code.varying_runs, n_runs, code.varying_first_active, code.varying_args,
            v, d, code.varying_base, 0, lanes, memory.u, du, code.uniform_base, memory.scratch, user,
        )  # fmt: skip
        if user[0]:
            return 0.0
        _gather_spread(code, d, du, lanes)
    return loss * scale


@compiled
def _without_examples(code, u, du, mode, results):
    """A graph of parameters alone: its outputs, or its loss and where the backward pass begins."""
    for k in range(len(code.outputs)):
        results[0, k] = u[code.outputs[k]]
    if mode != PREDICT:
        du[:] = 0.0
        du[max(code.outputs[0] - code.uniform_base, 0)] = 1.0
    return u[code.outputs[0]]


@compiled
def _n_own_blocks(n_blocks, size):
    """Of those that each thread takes in any case."""
    if size == 1:
        return n_blocks
    return min((3 * n_blocks + 4 * size - 1) // (4 * size), n_blocks // size)


@compiled
def _n_parts(n_blocks, size):
    return size + min(n_blocks - size * _n_own_blocks(n_blocks, size), size * FREE_PARTS)


@compiled
def _first_block(part, n_blocks, size):
    """Where a part begins, and the one before it ends."""
    own = _n_own_blocks(n_blocks, size)
    if part <= size:
        return part * own
    n_free = _n_parts(n_blocks, size) - size
    return size * own + (n_blocks - size * own) * (part - size) // n_free


@compiled
def _add_up(gradients, n_parts):
    """Into the first."""
    for part in range(1, n_parts):
        for k in range(gradients.shape[1]):
            gradients[0, k] += gradients[part, k]


@compiled
def _await(team, number, step):
    """Until that thread has come to this step. False if it has stopped instead."""
    tries = 0
    now = published(team.progress, number)
    while STOPPED < now < step:
        tries += 1
        if tries > PATIENCE:  # it may be waiting for this very core
            give_way()
        now = published(team.progress, number)
    return now != STOPPED


def _run(
    code, memory, user, rule, x, y, order, bounds, lanes, mode, t, state, settings, results, finished, team
):
    """Some steps: loss, gradient and, if mode is TRAIN, the optimizer's rule.

    Step s takes the rows order[bounds[s, 0] : bounds[s, 1]], in blocks of at most `lanes`; its loss, the mean
    over them, goes to results[s, 0]. PREDICT writes the outputs there, one row an example. A step that gives
    inf or nan is the last one; `finished` counts the rule's applications. Of several threads each calls
    this, with its own `memory` and `team`.
    """
    u, du = memory.u, team.gradients[0]
    first = code.first_parameter
    theta = u[first : first + code.n_parameters]
    gradient = du[first - code.uniform_base : first - code.uniform_base + code.n_parameters]
    n_runs = len(code.uniform_runs) // N_COLUMNS
    for s in range(len(bounds)):
        if team.number > 0:
            if not _await(team, 0, s + 1):
                return
            theta[:] = team.theta
        else:
            publish(team.progress, team.size, team.size)
            publish(team.progress, 0, s + 1)
        tape_forward(
            code.uniform_runs, n_runs, code.uniform_args, u, code.uniform_size, 1, u, memory.scratch, user
        )
        start, stop = bounds[s, 0], bounds[s, 1]
        n_blocks = (stop - start + lanes - 1) // lanes
        n_parts = _n_parts(n_blocks, team.size)
        if user[0]:
            return
        loss = 0.0
        if code.n_inputs == 0:
            loss = _without_examples(code, u, du, mode, results)
            n_parts = 0
        part = team.number
        while part < n_parts:
            part_start = start + _first_block(part, n_blocks, team.size) * lanes
            part_stop = min(start + _first_block(part + 1, n_blocks, team.size) * lanes, stop)
            team.losses[part] = _part(
                code, memory, team.gradients[part], user,
                x, y, order, part_start, part_stop, 1.0 / (stop - start), lanes, mode, results,
            )  # fmt: skip
            if user[0]:
                return
            part = ticket(team.progress, team.size)
        if team.number > 0:
            publish(team.progress, team.number, s + 1)
            continue
        for other in range(1, team.size):
            if not _await(team, other, s + 1):
                return
        for part in range(n_parts):
            loss += team.losses[part]
        _add_up(team.gradients, n_parts)
        if mode != PREDICT:
            results[s, 0] = loss
            tape_backward(
                code.uniform_runs, n_runs, code.uniform_first_active, code.uniform_args,
                u, du, code.uniform_base, code.uniform_size, 1, u, du, code.uniform_base,
                memory.scratch, user,
            )  # fmt: skip
        if user[0]:
            return
        if mode == TRAIN:
            if not np.isfinite(loss):
                return
            call_rule(rule, code.n_parameters, theta, gradient, t + s, state, settings)
            finished[0] += 1
            n_finite = 0  # counted without a branch, so that it is done for a vector at a time
            for k in range(code.n_parameters):
                n_finite += abs(theta[k]) < np.inf
            if n_finite < code.n_parameters:
                return


run: Any = njit(**OPTIONS, nogil=True, cache=True)(named(_run))
