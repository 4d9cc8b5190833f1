"""Execute a tape: forward in the order of computing, backward in the reverse (§6, §7).

A tape is data: see `tape` for the columns of a run. The same two functions serve the varying tape,
with a row of lanes in a place, and the uniform one, with one. v and d are the flat arrays of values and
adjoints, in which place p begins at p · lanes. From `spare` on there are free places (0: there are none).
user holds the addresses of the operations without machine code of their own, from 1 on; user[0] becomes the
number of the one that raised an error.
"""

from __future__ import annotations

import math

from micrograd_mlp.compiled.elementwise import op_backward, op_forward
from micrograd_mlp.compiled.functions import exp, log1p
from micrograd_mlp.compiled.layers import layer_backward, layer_forward
from micrograd_mlp.compiled.native import call_operation, compiled, separately
from micrograd_mlp.compiled.tape import (
    ARITY,
    CODE,
    COPY,
    COUNT,
    FIRST,
    FIRST_USER,
    INPUTS,
    LAYER,
    LOGSUMEXP,
    N_COLUMNS,
    PAIRS,
    SOFTMAX,
    START,
    SUM,
)  # fmt: skip

INF = math.inf


@compiled
def _sum_forward(v, place, args, first_pair, first_term, end, lanes):
    """Σ aₖbₖ + Σ cₖ."""
    if lanes == 1:
        x = 0.0
        for k in range(first_pair, first_term, 2):
            x += v[args[k]] * v[args[k + 1]]
        for k in range(first_term, end):
            x += v[args[k]]
        v[place] = x
        return
    o = place * lanes
    for lane in range(lanes):
        v[o + lane] = 0.0
    for k in range(first_pair, first_term, 2):
        a, b = args[k] * lanes, args[k + 1] * lanes
        for lane in range(lanes):
            v[o + lane] += v[a + lane] * v[b + lane]
    for k in range(first_term, end):
        c = args[k] * lanes
        for lane in range(lanes):
            v[o + lane] += v[c + lane]


@compiled
def _sum_backward(v, d, base, place, args, first_pair, first_term, end, lanes):
    g = (place - base) * lanes
    if lanes == 1:
        x = d[g]
        for k in range(first_pair, first_term, 2):
            a, b = args[k], args[k + 1]
            d[max(a - base, 0)] += v[b] * x
            d[max(b - base, 0)] += v[a] * x
        for k in range(first_term, end):
            d[max(args[k] - base, 0)] += x
        return
    for k in range(first_pair, first_term, 2):
        a, b = args[k] * lanes, args[k + 1] * lanes
        da, db = max(args[k] - base, 0) * lanes, max(args[k + 1] - base, 0) * lanes
        for lane in range(lanes):
            d[da + lane] += v[b + lane] * d[g + lane]
            d[db + lane] += v[a + lane] * d[g + lane]
    for k in range(first_term, end):
        dc = max(args[k] - base, 0) * lanes
        for lane in range(lanes):
            d[dc + lane] += d[g + lane]


@compiled
def _logsumexp_forward(v, args, first, end, lanes, out, o, scratch):
    """m + log(1 + Σ exp(zₖ - m)), m being the largest and the sum over all others; m itself if inf or nan."""
    if lanes == 1:
        largest, where = v[args[first]], first
        for k in range(first + 1, end):
            z = v[args[k]]
            if z > largest or z != z:
                largest, where = z, k
        rest = 0.0
        for k in range(first, end):
            if k != where:
                rest += exp(v[args[k]] - largest)
        out[o] = largest + log1p(rest) if abs(largest) < INF else largest
        return
    a = args[first] * lanes
    for lane in range(lanes):
        out[o + lane] = v[a + lane]
        scratch[lane] = 0.0  # the sum
        scratch[lanes + lane] = 1.0  # until the largest was met
    for k in range(first + 1, end):
        a = args[k] * lanes
        for lane in range(lanes):
            z = v[a + lane]
            out[o + lane] = z if z > out[o + lane] or z != z else out[o + lane]
    for k in range(first, end):
        a = args[k] * lanes
        for lane in range(lanes):
            distance = v[a + lane] - out[o + lane]
            is_largest = scratch[lanes + lane] if distance == 0.0 else 0.0
            scratch[lane] += exp(distance) - is_largest
            scratch[lanes + lane] -= is_largest
    for lane in range(lanes):
        largest = out[o + lane]
        out[o + lane] = largest + log1p(scratch[lane]) if abs(largest) < INF else largest


@compiled
def _logsumexp_backward(v, d, base, place, args, first, end, lanes):
    o, g = place * lanes, (place - base) * lanes
    if lanes == 1:
        for k in range(first, end):
            d[max(args[k] - base, 0)] += exp(v[args[k]] - v[o]) * d[g]
        return
    for k in range(first, end):
        a, da = args[k] * lanes, max(args[k] - base, 0) * lanes
        for lane in range(lanes):
            d[da + lane] += exp(v[a + lane] - v[o + lane]) * d[g + lane]


@compiled
def _softmax_forward(v, place, args, first, n, lanes, scratch):
    """sₖ = exp(zₖ - L) for all k, with L = logsumexp(z)."""
    normalizer = 2 * lanes
    _logsumexp_forward(v, args, first, first + n, lanes, scratch, normalizer, scratch)
    for k in range(n):
        o, a = (place + k) * lanes, args[first + k] * lanes
        for lane in range(lanes):
            v[o + lane] = exp(v[a + lane] - scratch[normalizer + lane])


@compiled
def _softmaxes_of_one(v, place, count, args, first, n, spare):
    """The same for a run with one lane: the exponentials of all `count` results in spare places."""
    e = spare + count + 8
    i = 0
    while i < count:
        largest = v[args[first + i]]
        for k in range(i, i + n):
            z = v[args[first + k]]
            v[spare + k] = z
            largest = z if z > largest or z != z else largest
        for k in range(i, i + n):
            v[e + k] = v[spare + k] - largest
        v[place + i] = largest
        i += n
    _exponentials(v, e, count)
    i = 0
    while i < count:
        rest, is_missing = 0.0, 1.0  # the largest one, whose exponential is 1
        for k in range(e + i, e + i + n):
            is_largest = is_missing if v[k] == 1.0 else 0.0
            rest += v[k] - is_largest
            is_missing -= is_largest
        largest = v[place + i]
        normalizer = largest + log1p(rest) if abs(largest) < INF else largest
        for k in range(i, i + n):
            v[spare + k] -= normalizer
        i += n
    _exponentials(v, spare, count)
    for k in range(count):
        v[place + k] = v[spare + k]


@compiled
def _exponentials(v, first, count):
    """In place. Up to seven places more are written: whole vectors cost no more than single numbers."""
    for i in range(first, first + (count + 7) // 8 * 8):
        v[i] = exp(v[i])


@compiled
def _softmax_backward(v, d, base, place, args, first, n, lanes, scratch):
    """∂ℓ/∂zₖ += sₖ (gₖ - Σⱼ gⱼ sⱼ)."""
    if lanes == 1:
        average, g = 0.0, place - base
        for k in range(n):
            average += v[place + k] * d[g + k]
        for k in range(n):
            d[max(args[first + k] - base, 0)] += v[place + k] * (d[g + k] - average)
        return
    for lane in range(lanes):
        scratch[lane] = 0.0
    for k in range(n):
        o, g = (place + k) * lanes, (place + k - base) * lanes
        for lane in range(lanes):
            scratch[lane] += v[o + lane] * d[g + lane]
    for k in range(n):
        o, g, da = (place + k) * lanes, (place + k - base) * lanes, max(args[first + k] - base, 0) * lanes
        for lane in range(lanes):
            d[da + lane] += v[o + lane] * (d[g + lane] - scratch[lane])


@compiled
def _gather(v, args, first, end, lanes, scratch):
    """The operands' rows, one under the other in scratch."""
    for k in range(first, end):
        a = args[k] * lanes
        for lane in range(lanes):
            scratch[(k - first) * lanes + lane] = v[a + lane]


@separately("ninaiiaan")
def tape_forward(runs, n_runs, args, v, spare, lanes, u, scratch, user):
    """Fill v from its leaves."""
    for r in range(n_runs):
        run = r * N_COLUMNS
        code, first, count = runs[run + CODE], runs[run + FIRST], runs[run + COUNT]
        start, arity, pairs = runs[run + START], runs[run + ARITY], runs[run + PAIRS]
        if code == LAYER:
            layer_forward(runs, run, args, v, lanes, u, scratch)
        elif code == SUM:
            for i in range(count):
                s = start + i * arity
                _sum_forward(v, first + i, args, s, s + 2 * pairs, s + arity, lanes)
        elif code == LOGSUMEXP:
            for i in range(count):
                s = start + i * arity
                _logsumexp_forward(v, args, s, s + arity, lanes, v, (first + i) * lanes, scratch)
        elif code == SOFTMAX:
            if lanes == 1 and spare:
                _softmaxes_of_one(v, first, count, args, start, arity, spare)
            else:
                for i in range(count // arity):
                    _softmax_forward(v, first + i * arity, args, start + i * arity, arity, lanes, scratch)
        elif code == COPY:
            for i in range(count):
                v[first + i] = v[args[start + i]]
        elif code >= FIRST_USER:
            for i in range(count):
                s = start + i * arity
                _gather(v, args, s, s + arity, lanes, scratch)
                call_operation(user[1 + code - FIRST_USER], user, 0, lanes, scratch)
                if user[0]:
                    user[0] = 1 + code - FIRST_USER
                    return
                o = (first + i) * lanes
                for lane in range(lanes):
                    v[o + lane] = scratch[arity * lanes + lane]
        elif runs[run + INPUTS] >= 0:  # operands side by side: one long row
            a, b = args[start], args[start + arity - 1]
            op_forward(code, v, first * lanes, a * lanes, b * lanes, count * lanes)
        elif lanes == 1 and count > 2 and spare:  # side by side in spare places: one row again
            for i in range(count):
                s = start + i * arity
                v[spare + i], v[spare + count + i] = v[args[s]], v[args[s + arity - 1]]
            op_forward(code, v, first, spare, spare + count, count)
        else:
            for i in range(count):
                s = start + i * arity
                a, b = args[s], args[s + arity - 1]
                op_forward(code, v, (first + i) * lanes, a * lanes, b * lanes, lanes)


@separately("niinaaiiiaaian")
def tape_backward(runs, n_runs, first_active, args, v, d, base, spare, lanes, u, du, u_base, scratch, user):
    """Fill d, the adjoints, from those of the outputs; and du, those of the layers' weights."""
    for r in range(n_runs - 1, first_active - 1, -1):
        run = r * N_COLUMNS
        code, first, count = runs[run + CODE], runs[run + FIRST], runs[run + COUNT]
        start, arity, pairs = runs[run + START], runs[run + ARITY], runs[run + PAIRS]
        if code == LAYER:
            layer_backward(runs, run, args, v, d, base, lanes, u, du, u_base, scratch)
        elif code == SUM:
            for i in range(count):
                s = start + i * arity
                _sum_backward(v, d, base, first + i, args, s, s + 2 * pairs, s + arity, lanes)
        elif code == LOGSUMEXP:
            for i in range(count):
                s = start + i * arity
                _logsumexp_backward(v, d, base, first + i, args, s, s + arity, lanes)
        elif code == SOFTMAX:
            i = 0
            while i < count:
                _softmax_backward(v, d, base, first + i, args, start + i, arity, lanes, scratch)
                i += arity
        elif code == COPY:
            for i in range(count):
                d[max(args[start + i] - base, 0)] += d[first + i - base]
        elif code >= FIRST_USER:
            for i in range(count):
                s = start + i * arity
                _gather(v, args, s, s + arity, lanes, scratch)
                o, g = (first + i) * lanes, (first + i - base) * lanes
                for lane in range(lanes):
                    scratch[arity * lanes + lane] = v[o + lane]
                    scratch[(arity + 1) * lanes + lane] = d[g + lane]
                call_operation(user[1 + code - FIRST_USER], user, 1, lanes, scratch)
                if user[0]:
                    user[0] = 1 + code - FIRST_USER
                    return
                for k in range(arity):
                    da = max(args[s + k] - base, 0) * lanes
                    for lane in range(lanes):
                        d[da + lane] += scratch[(arity + 2 + k) * lanes + lane]
        elif runs[run + INPUTS] >= 0:
            a, b = args[start], args[start + arity - 1]
            op_backward(
                code, v, d, first * lanes, a * lanes, b * lanes,
                (first - base) * lanes, max(a - base, 0) * lanes, max(b - base, 0) * lanes, count * lanes,
            )  # fmt: skip
        elif lanes == 1 and count > 2 and spare:
            da, db = spare - base, spare - base + count
            for i in range(count):
                s = start + i * arity
                v[spare + i], v[spare + count + i] = v[args[s]], v[args[s + arity - 1]]
                d[da + i] = d[db + i] = 0.0
            op_backward(code, v, d, first, spare, spare + count, first - base, da, db, count)
            for i in range(count):
                s = start + i * arity
                d[max(args[s] - base, 0)] += d[da + i]
                d[max(args[s + arity - 1] - base, 0)] += d[db + i]
        else:
            for i in range(count):
                s, o = start + i * arity, first + i
                a, b = args[s], args[s + arity - 1]
                op_backward(
                    code, v, d, o * lanes, a * lanes, b * lanes,
                    (o - base) * lanes, max(a - base, 0) * lanes, max(b - base, 0) * lanes, lanes,
                )  # fmt: skip
