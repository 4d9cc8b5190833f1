"""Execute a tape: forward in the order of computing, backward in the reverse order (§6, §7).

A tape is data; `plan` describes it. The same two functions serve the varying tape, with a lane for each
example of a block, and the uniform one, with a single lane. The backward pass adds to the adjoints of the
operands of each operation: that is where the gradients of a number that is used several times are summed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from micrograd_mlp.compiled.affine import affine_backward, affine_forward, gather
from micrograd_mlp.compiled.elementwise import Row, op_backward, op_forward
from micrograd_mlp.compiled.functions import exp, log1p
from micrograd_mlp.compiled.native import Floats, Integers, inlined, separately, unfused
from micrograd_mlp.compiled.operations import call_operation
from micrograd_mlp.compiled.plan import (
    AFFINE,
    COPY,
    FIRST_ON_DEMAND,
    LOGSUMEXP,
    SOFTMAX,
    SUM,
    Run,
    Tape,
)

INF = math.inf
N_FIELDS = len(Run._fields)


class Buffers(NamedTuple):
    """The memory that a tape is executed in. The lanes of the number at offset p begin at p · lanes.

    Attributes:
        values, adjoints: of the numbers of this tape.
        lanes: how many examples the block has; 1 on the uniform tape.
        spare, spare_adjoints: offsets of unused room behind the tape; 0 if there is none.
        weights, weight_adjoints: values and adjoints of the uniform tape, for affine maps.
        scratch: room for intermediate results.
        operations: the addresses of the operations on demand, from 1 on. operations[0] is 0, and becomes
            the number of the operation that raised an error: then the rest of the tape is not executed.
    """

    values: Floats
    adjoints: Floats
    lanes: int
    spare: int
    spare_adjoints: int
    weights: Floats
    weight_adjoints: Floats
    scratch: Floats
    operations: Integers


@inlined
def _decoded(tape, number):
    """The run with this number."""
    r, k = tape.runs, number * N_FIELDS
    return Run(
        r[k], r[k + 1], r[k + 2], r[k + 3], r[k + 4], r[k + 5], r[k + 6],
        r[k + 7], r[k + 8], r[k + 9], r[k + 10], r[k + 11], r[k + 12],
    )  # fmt: skip


@separately
def tape_forward(tape: Tape, buffers: Buffers) -> None:
    """Compute all numbers of the tape from its leaves."""
    for r in range(tape.n_runs):
        run = _decoded(tape, r)
        if run.code == AFFINE:
            affine_forward(run, tape, buffers)
        elif run.code == SUM:
            _sums_forward(run, tape, buffers)
        elif run.code == LOGSUMEXP:
            for i in range(run.n_results):
                start, output = run.start + i * run.arity, (run.first + i) * buffers.lanes
                _logsumexp_forward(start, run.arity, tape, buffers, buffers.values, output)
        elif run.code == SOFTMAX:
            _softmaxes_forward(run, tape, buffers)
        elif run.code == COPY:
            for i in range(run.n_results):
                buffers.values[run.first + i] = buffers.values[tape.operands[run.start + i]]
        elif run.code < FIRST_ON_DEMAND:
            _elementwise_forward(run, tape, buffers)
        else:
            _on_demand_forward(run, tape, buffers)
            if buffers.operations[0]:
                return


@separately
def tape_backward(tape: Tape, buffers: Buffers) -> None:
    """Compute all adjoints of the tape from those of the outputs, and add up those of the weights."""
    for r in range(tape.n_runs - 1, tape.first_active - 1, -1):
        run = _decoded(tape, r)
        if run.code == AFFINE:
            affine_backward(run, tape, buffers)
        elif run.code == SUM:
            _sums_backward(run, tape, buffers)
        elif run.code == LOGSUMEXP:
            _logsumexps_backward(run, tape, buffers)
        elif run.code == SOFTMAX:
            for i in range(0, run.n_results, run.arity):
                _softmax_backward(run, i, tape, buffers)
        elif run.code == COPY:
            for i in range(run.n_results):
                adjoint = buffers.adjoints[run.first_adjoint + i]
                buffers.adjoints[tape.operand_adjoints[run.start + i]] += adjoint
        elif run.code < FIRST_ON_DEMAND:
            _elementwise_backward(run, tape, buffers)
        else:
            _on_demand_backward(run, tape, buffers)
            if buffers.operations[0]:
                return


# Σ aₖbₖ + Σ cₖ. With one lane the sum stays in a register. Products are rounded before they are added, as in
# eager execution: the rounding of a fused instruction would make a number below 0 of a variance that is 0.


@unfused
def _sums_forward(run, tape, buffers):
    v, operands, lanes = buffers.values, tape.operands, buffers.lanes
    for i in range(run.n_results):
        first = run.start + i * run.arity
        first_term, end = first + 2 * run.n_pairs, first + run.arity
        if lanes == 1:
            total = 0.0
            for k in range(first, first_term, 2):
                total += v[operands[k]] * v[operands[k + 1]]
            for k in range(first_term, end):
                total += v[operands[k]]
            v[run.first + i] = total
            continue
        output = (run.first + i) * lanes
        for lane in range(lanes):
            v[output + lane] = 0.0
        for k in range(first, first_term, 2):
            a, b = operands[k] * lanes, operands[k + 1] * lanes
            for lane in range(lanes):
                v[output + lane] += v[a + lane] * v[b + lane]
        for k in range(first_term, end):
            c = operands[k] * lanes
            for lane in range(lanes):
                v[output + lane] += v[c + lane]


@inlined
def _sums_backward(run, tape, buffers):
    v, d, operands, adjoints = buffers.values, buffers.adjoints, tape.operands, tape.operand_adjoints
    lanes = buffers.lanes
    for i in range(run.n_results):
        first = run.start + i * run.arity
        first_term, end = first + 2 * run.n_pairs, first + run.arity
        if lanes == 1:
            adjoint = d[run.first_adjoint + i]
            for k in range(first, first_term, 2):
                d[adjoints[k]] += v[operands[k + 1]] * adjoint
                d[adjoints[k + 1]] += v[operands[k]] * adjoint
            for k in range(first_term, end):
                d[adjoints[k]] += adjoint
            continue
        output = (run.first_adjoint + i) * lanes
        for k in range(first, first_term, 2):
            a, b = operands[k] * lanes, operands[k + 1] * lanes
            da, db = adjoints[k] * lanes, adjoints[k + 1] * lanes
            for lane in range(lanes):
                d[da + lane] += v[b + lane] * d[output + lane]
                d[db + lane] += v[a + lane] * d[output + lane]
        for k in range(first_term, end):
            dc = adjoints[k] * lanes
            for lane in range(lanes):
                d[dc + lane] += d[output + lane]


# log Σ exp(zₖ)


@inlined
def _logsumexp_forward(start, n, tape, buffers, result, output):
    """m + log(1 + Σ exp(zₖ - m)): m is the largest zₖ, and the sum is over all others. If m is inf or nan, m.

    The result goes to result[output], result[output + 1], ... for each lane.
    """
    v, operands, lanes, scratch = buffers.values, tape.operands, buffers.lanes, buffers.scratch
    if lanes == 1:
        largest, where = v[operands[start]], start
        for k in range(start + 1, start + n):
            z = v[operands[k]]
            if z > largest or z != z:
                largest, where = z, k
        rest = 0.0
        for k in range(start, start + n):
            if k != where:
                rest += exp(v[operands[k]] - largest)
        result[output] = largest + log1p(rest) if abs(largest) < INF else largest
        return
    a = operands[start] * lanes
    for lane in range(lanes):
        result[output + lane] = v[a + lane]
        scratch[lane] = 0.0  # the sum
        scratch[lanes + lane] = 1.0  # until the largest one was met
    for k in range(start + 1, start + n):
        a = operands[k] * lanes
        for lane in range(lanes):
            z = v[a + lane]
            result[output + lane] = z if z > result[output + lane] or z != z else result[output + lane]
    for k in range(start, start + n):
        a = operands[k] * lanes
        for lane in range(lanes):
            distance = v[a + lane] - result[output + lane]
            is_largest = scratch[lanes + lane] if distance == 0.0 else 0.0
            scratch[lane] += exp(distance) - is_largest
            scratch[lanes + lane] -= is_largest
    for lane in range(lanes):
        largest = result[output + lane]
        result[output + lane] = largest + log1p(scratch[lane]) if abs(largest) < INF else largest


@inlined
def _logsumexps_backward(run, tape, buffers):
    v, d, lanes = buffers.values, buffers.adjoints, buffers.lanes
    for i in range(run.n_results):
        output, adjoint = (run.first + i) * lanes, (run.first_adjoint + i) * lanes
        for k in range(run.start + i * run.arity, run.start + (i + 1) * run.arity):
            a, da = tape.operands[k] * lanes, tape.operand_adjoints[k] * lanes
            for lane in range(lanes):
                d[da + lane] += exp(v[a + lane] - v[output + lane]) * d[adjoint + lane]


# sₖ = exp(zₖ - L) for all k, with L = logsumexp(z)


@inlined
def _softmaxes_forward(run, tape, buffers):
    v, lanes, n = buffers.values, buffers.lanes, run.arity
    if lanes == 1 and buffers.spare:
        _softmaxes_of_one_lane(run, tape, buffers)
        return
    normalizer = 2 * lanes  # in scratch
    for i in range(0, run.n_results, n):
        _logsumexp_forward(run.start + i, n, tape, buffers, buffers.scratch, normalizer)
        for k in range(i, i + n):
            output, a = (run.first + k) * lanes, tape.operands[run.start + k] * lanes
            for lane in range(lanes):
                v[output + lane] = exp(v[a + lane] - buffers.scratch[normalizer + lane])


@inlined
def _softmaxes_of_one_lane(run, tape, buffers):
    """The exponentials of all softmaxes of the run, side by side in spare room, so that they are vectors."""
    v, first, count, n = buffers.values, run.first, run.n_results, run.arity
    z, e = buffers.spare, buffers.spare + count + 8
    for i in range(0, count, n):
        largest = v[tape.operands[run.start + i]]
        for k in range(i, i + n):
            v[z + k] = v[tape.operands[run.start + k]]
            largest = v[z + k] if v[z + k] > largest or v[z + k] != v[z + k] else largest
        for k in range(i, i + n):
            v[e + k] = v[z + k] - largest
        v[first + i] = largest
    _exponentials(v, e, count)
    for i in range(0, count, n):
        rest, is_missing = 0.0, 1.0  # the largest one, whose exponential is 1
        for k in range(e + i, e + i + n):
            is_largest = is_missing if v[k] == 1.0 else 0.0
            rest += v[k] - is_largest
            is_missing -= is_largest
        largest = v[first + i]
        normalizer = largest + log1p(rest) if abs(largest) < INF else largest
        for k in range(i, i + n):
            v[z + k] -= normalizer
    _exponentials(v, z, count)
    for k in range(count):
        v[first + k] = v[z + k]


@inlined
def _exponentials(v, first, count):
    """In place. Up to seven more numbers are overwritten: whole vectors cost no more than single numbers."""
    for i in range(first, first + (count + 7) // 8 * 8):
        v[i] = exp(v[i])


@inlined
def _softmax_backward(run, i, tape, buffers):
    """∂ℓ/∂zₖ += sₖ (gₖ - Σⱼ gⱼ sⱼ), for the softmax whose first result is number i of the run."""
    v, d, lanes, average = buffers.values, buffers.adjoints, buffers.lanes, buffers.scratch
    if lanes == 1:
        total, s, g = 0.0, run.first + i, run.first_adjoint + i
        for k in range(run.arity):
            total += v[s + k] * d[g + k]
        for k in range(run.arity):
            d[tape.operand_adjoints[run.start + i + k]] += v[s + k] * (d[g + k] - total)
        return
    for lane in range(lanes):
        average[lane] = 0.0
    for k in range(i, i + run.arity):
        s, g = (run.first + k) * lanes, (run.first_adjoint + k) * lanes
        for lane in range(lanes):
            average[lane] += v[s + lane] * d[g + lane]
    for k in range(i, i + run.arity):
        s, g = (run.first + k) * lanes, (run.first_adjoint + k) * lanes
        dz = tape.operand_adjoints[run.start + k] * lanes
        for lane in range(lanes):
            d[dz + lane] += v[s + lane] * (d[g + lane] - average[lane])


# Operations of one or two inputs. Adjacent operands are one long row, and with one lane others are copied
# side by side, since a loop over a row is a loop over vectors.


@inlined
def _elementwise_forward(run, tape, buffers):
    v, lanes, operands, count = buffers.values, buffers.lanes, tape.operands, run.n_results
    last = run.arity - 1  # the right operand; of one input the only operand
    if run.are_adjacent:
        a, b = operands[run.start], operands[run.start + last]
        row = Row(run.first * lanes, a * lanes, b * lanes, 0, 0, 0, count * lanes)
        op_forward(run.code, v, row)
    elif lanes == 1 and count > 2 and buffers.spare:
        a, b = buffers.spare, buffers.spare + count
        for i in range(count):
            k = run.start + i * run.arity
            v[a + i], v[b + i] = v[operands[k]], v[operands[k + last]]
        op_forward(run.code, v, Row(run.first, a, b, 0, 0, 0, count))
    else:
        for i in range(count):
            k = run.start + i * run.arity
            a, b = operands[k] * lanes, operands[k + last] * lanes
            op_forward(run.code, v, Row((run.first + i) * lanes, a, b, 0, 0, 0, lanes))


@inlined
def _elementwise_backward(run, tape, buffers):
    v, d, lanes, count = buffers.values, buffers.adjoints, buffers.lanes, run.n_results
    operands, adjoints = tape.operands, tape.operand_adjoints
    last = run.arity - 1
    if run.are_adjacent:
        k = run.start
        row = Row(
            run.first * lanes, operands[k] * lanes, operands[k + last] * lanes,
            run.first_adjoint * lanes, adjoints[k] * lanes, adjoints[k + last] * lanes, count * lanes,
        )  # fmt: skip
        op_backward(run.code, v, d, row)
    elif lanes == 1 and count > 2 and buffers.spare:
        a, b = buffers.spare, buffers.spare + count
        da, db = buffers.spare_adjoints, buffers.spare_adjoints + count
        for i in range(count):
            k = run.start + i * run.arity
            v[a + i], v[b + i] = v[operands[k]], v[operands[k + last]]
            d[da + i] = d[db + i] = 0.0
        op_backward(run.code, v, d, Row(run.first, a, b, run.first_adjoint, da, db, count))
        for i in range(count):
            k = run.start + i * run.arity
            d[adjoints[k]] += d[da + i]
            d[adjoints[k + last]] += d[db + i]
    else:
        for i in range(count):
            k = run.start + i * run.arity
            row = Row(
                (run.first + i) * lanes, operands[k] * lanes, operands[k + last] * lanes,
                (run.first_adjoint + i) * lanes, adjoints[k] * lanes, adjoints[k + last] * lanes, lanes,
            )  # fmt: skip
            op_backward(run.code, v, d, row)


# Operations that are compiled on demand, see `operations`: their lanes are copied to scratch and back.


@inlined
def _on_demand_forward(run, tape, buffers):
    operation, lanes, n = 1 + run.code - FIRST_ON_DEMAND, buffers.lanes, run.arity
    for i in range(run.n_results):
        gather(run.start + i * n, n, tape, buffers)
        call_operation(buffers.operations[operation], buffers.operations, 0, lanes, buffers.scratch)
        if buffers.operations[0]:
            buffers.operations[0] = operation
            return
        output = (run.first + i) * lanes
        for lane in range(lanes):
            buffers.values[output + lane] = buffers.scratch[n * lanes + lane]


@inlined
def _on_demand_backward(run, tape, buffers):
    operation, lanes, n, scratch = 1 + run.code - FIRST_ON_DEMAND, buffers.lanes, run.arity, buffers.scratch
    for i in range(run.n_results):
        gather(run.start + i * n, n, tape, buffers)
        output, adjoint = (run.first + i) * lanes, (run.first_adjoint + i) * lanes
        for lane in range(lanes):
            scratch[n * lanes + lane] = buffers.values[output + lane]
            scratch[(n + 1) * lanes + lane] = buffers.adjoints[adjoint + lane]
        call_operation(buffers.operations[operation], buffers.operations, 1, lanes, scratch)
        if buffers.operations[0]:
            buffers.operations[0] = operation
            return
        for k in range(n):
            operand = tape.operand_adjoints[run.start + i * n + k] * lanes
            for lane in range(lanes):
                buffers.adjoints[operand + lane] += scratch[(n + 2 + k) * lanes + lane]
