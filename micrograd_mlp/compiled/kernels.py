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
from micrograd_mlp.compiled.native import OPTIONS, call_rule, compiled, give_way, named, publish, published
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

    u and du are the values and adjoints of the uniform tape, v, d and scratch hold one block.
    """

    u: Floats
    du: Floats
    v: Floats
    d: Floats
    scratch: Floats


class Team(NamedTuple):
    """Threads that share the rows of a step, each with a Memory of its own.

    Number 0 leads: it owns the parameters, adds up what the others found, and applies the rule.

    Attributes:
        number: of this thread.
        size: how many there are.
        progress: for each the steps that it has begun (the leader) or finished (the others); or `STOPPED`.
        theta: the leader's parameters.
        losses, gradients: for each what it found, the gradient as the whole `du`.
    """

    number: int
    size: int
    progress: Integers
    theta: Floats
    losses: Floats
    gradients: Floats


PREDICT, GRADIENT, TRAIN = range(3)  # what `run` is called for
STOPPED = -1
PATIENCE = 10_000  # looks at another thread's progress, some microseconds in all


@compiled
def _load(v, x, y, order, start, lanes, scratch):
    """One block of examples, as columns."""
    n = x.shape[1]
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
        for lane in range(lanes):
            v[code.spread_rows[i] * lanes + lane] = u[code.spread_places[i]]


@compiled
def _gather_spread(code, d, du, lanes):
    """Back from the rows: what reached each lane belongs to the one uniform number."""
    for i in range(len(code.spread_rows)):
        row, place = code.spread_rows[i] - code.varying_base, code.spread_places[i] - code.uniform_base
        if row > 0:
            for lane in range(lanes):
                du[place] += d[row * lanes + lane]


@compiled
def _batch(code, memory, user, x, y, order, start, stop, scale, max_lanes, mode, results):
    """Loss and gradient of the rows order[start:stop], or their outputs if mode is PREDICT."""
    u, du = memory.u, memory.du
    n_runs = len(code.uniform_runs) // N_COLUMNS
    tape_forward(
        code.uniform_runs, n_runs, code.uniform_args, u, code.uniform_size, 1, u, memory.scratch, user
    )
    du[:] = 0.0
    loss = 0.0
    if code.n_inputs == 0:
        for k in range(len(code.outputs)):
            results[0, k] = u[code.outputs[k]]
        loss = u[code.outputs[0]]
        if mode != PREDICT:
            du[max(code.outputs[0] - code.uniform_base, 0)] = 1.0
    else:
        n_blocks = max((stop - start + max_lanes - 1) // max_lanes, 1)  # a thread may have no rows
        width = max((stop - start + n_blocks - 1) // n_blocks + 7, 8) // 8 * 8  # equal blocks, whole vectors
        for block in range(start, stop, width):
            lanes = min(width, stop - block)
            v = memory.v[: code.varying_size * lanes]
            _load(v, x, y, order, block, lanes, memory.scratch)
            _spread(code, u, v, lanes)
            n_runs = len(code.varying_runs) // N_COLUMNS
            tape_forward(code.varying_runs, n_runs, code.varying_args, v, 0, lanes, u, memory.scratch, user)
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
                v, d, code.varying_base, 0, lanes, u, du, code.uniform_base, memory.scratch, user,
            )  # fmt: skip
            _gather_spread(code, d, du, lanes)
        loss *= scale
    if mode != PREDICT:
        n_runs = len(code.uniform_runs) // N_COLUMNS
        tape_backward(
            code.uniform_runs, n_runs, code.uniform_first_active, code.uniform_args,
            u, du, code.uniform_base, code.uniform_size, 1, u, du, code.uniform_base, memory.scratch, user,
        )  # fmt: skip
    return loss


@compiled
def _share(start, stop, lanes, team):
    """The rows of this thread: whole blocks."""
    n_blocks = (stop - start + lanes - 1) // lanes
    first = start + n_blocks * team.number // team.size * lanes
    return min(first, stop), min(start + n_blocks * (team.number + 1) // team.size * lanes, stop)


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
    first = code.first_parameter
    theta = memory.u[first : first + code.n_parameters]
    gradient = memory.du[first - code.uniform_base : first - code.uniform_base + code.n_parameters]
    for s in range(len(bounds)):
        if team.number > 0:
            if not _await(team, 0, s + 1):
                return
            theta[:] = team.theta
        elif team.size > 1:
            publish(team.progress, 0, s + 1)
        start, stop = _share(bounds[s, 0], bounds[s, 1], lanes, team)
        scale = 1.0 / (bounds[s, 1] - bounds[s, 0])
        loss = _batch(code, memory, user, x, y, order, start, stop, scale, lanes, mode, results)
        if team.number > 0:
            team.losses[team.number] = loss
            team.gradients[team.number] = memory.du
            publish(team.progress, team.number, s + 1)
            continue
        for other in range(1, team.size):
            if not _await(team, other, s + 1):
                return
            loss += team.losses[other]
            memory.du[:] += team.gradients[other]
        if mode != PREDICT:
            results[s, 0] = loss
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
