"""Matrix products of a layer, z = Wx + b, for a block of examples (§2.3, §6.3).

A row is a neuron or an input, a lane an example. The loops run over lanes innermost, which lie side by
side; two neurons and four inputs share a pass, so that a number that was loaded is used more than once.
Arrays are flat; a name such as x_at says where the rows begin.
"""

from __future__ import annotations

from micrograd_mlp.compiled.native import compiled, separately
from micrograd_mlp.compiled.tape import ACTIVE, ARITY, BIASES, COUNT, FIRST, INPUTS, START, WEIGHTS

K_BLOCK = 32  # as many rows of inputs as stay in the first-level cache


@separately("aiiiiiaiaii")
def accumulate_product(w, w_at, row_step, column_step, m, n, x, x_at, z, z_at, lanes):
    """z += W x, with W[j, k] at w[w_at + j · row_step + k · column_step]."""
    for k_first in range(0, n, K_BLOCK):
        k_end = min(k_first + K_BLOCK, n)
        k_even = k_first + (k_end - k_first) // 4 * 4
        for j in range(0, m, 2):
            i = min(j + 1, m - 1)  # the second neuron; an odd last one stands alone
            alone = i == j
            p, q = w_at + j * row_step, w_at + i * row_step
            zp, zq = z_at + j * lanes, z_at + i * lanes
            for k in range(k_first, k_even, 4):
                c = k * column_step
                p0, p1 = w[p + c], w[p + c + column_step]
                p2, p3 = w[p + c + 2 * column_step], w[p + c + 3 * column_step]
                x0, x1 = x_at + k * lanes, x_at + (k + 1) * lanes
                x2, x3 = x_at + (k + 2) * lanes, x_at + (k + 3) * lanes
                if alone:
                    for lane in range(lanes):
                        z[zp + lane] += (
                            p0 * x[x0 + lane] + p1 * x[x1 + lane] + p2 * x[x2 + lane] + p3 * x[x3 + lane]
                        )
                    continue
                q0, q1 = w[q + c], w[q + c + column_step]
                q2, q3 = w[q + c + 2 * column_step], w[q + c + 3 * column_step]
                for lane in range(lanes):
                    a0, a1, a2, a3 = x[x0 + lane], x[x1 + lane], x[x2 + lane], x[x3 + lane]
                    z[zp + lane] += p0 * a0 + p1 * a1 + p2 * a2 + p3 * a3
                    z[zq + lane] += q0 * a0 + q1 * a1 + q2 * a2 + q3 * a3
            for k in range(k_even, k_end):
                p0, q0 = w[p + k * column_step], w[q + k * column_step]
                x0 = x_at + k * lanes
                for lane in range(lanes):
                    z[zp + lane] += p0 * x[x0 + lane]
                if not alone:
                    for lane in range(lanes):
                        z[zq + lane] += q0 * x[x0 + lane]


@separately("aiaiiiaii", error_model="numpy", fastmath={"contract", "reassoc"})
def accumulate_outer(g, g_at, x, x_at, m, n, dw, dw_at, lanes):
    """dW += g xᵀ, summed over the lanes; dW[j, k] is at dw[dw_at + j · n + k]."""
    for k_first in range(0, n, K_BLOCK):
        k_end = min(k_first + K_BLOCK, n)
        k_even = k_first + (k_end - k_first) // 4 * 4
        for j in range(0, m, 2):
            i = min(j + 1, m - 1)
            gp, gq = g_at + j * lanes, g_at + i * lanes
            for k in range(k_first, k_even, 4):
                x0, x1 = x_at + k * lanes, x_at + (k + 1) * lanes
                x2, x3 = x_at + (k + 2) * lanes, x_at + (k + 3) * lanes
                p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = 0.0
                for lane in range(lanes):
                    a, b = g[gp + lane], g[gq + lane]
                    p0 += a * x[x0 + lane]
                    p1 += a * x[x1 + lane]
                    p2 += a * x[x2 + lane]
                    p3 += a * x[x3 + lane]
                    q0 += b * x[x0 + lane]
                    q1 += b * x[x1 + lane]
                    q2 += b * x[x2 + lane]
                    q3 += b * x[x3 + lane]
                at = dw_at + j * n + k
                dw[at] += p0
                dw[at + 1] += p1
                dw[at + 2] += p2
                dw[at + 3] += p3
                if i > j:
                    at += n
                    dw[at] += q0
                    dw[at + 1] += q1
                    dw[at + 2] += q2
                    dw[at + 3] += q3
            for k in range(k_even, k_end):
                x0 = x_at + k * lanes
                p0 = q0 = 0.0
                for lane in range(lanes):
                    p0 += g[gp + lane] * x[x0 + lane]
                    q0 += g[gq + lane] * x[x0 + lane]
                dw[dw_at + j * n + k] += p0
                if i > j:
                    dw[dw_at + i * n + k] += q0


@separately("aiiaii", error_model="numpy", fastmath={"contract", "reassoc"})
def accumulate_sums(g, g_at, m, db, db_at, lanes):
    """db += g, summed over the lanes."""
    for j in range(m):
        row, total = g_at + j * lanes, 0.0
        for lane in range(lanes):
            total += g[row + lane]
        db[db_at + j] += total


@compiled
def layer_forward(runs, run, args, v, lanes, u, scratch):
    """z = Wx + b."""
    m, n, weights, biases = runs[run + COUNT], runs[run + ARITY], runs[run + WEIGHTS], runs[run + BIASES]
    x_place = runs[run + INPUTS]
    z_at = runs[run + FIRST] * lanes
    for j in range(m):
        bias = u[biases + j] if biases >= 0 else 0.0
        for lane in range(z_at + j * lanes, z_at + (j + 1) * lanes):
            v[lane] = bias
    if x_place >= 0:
        accumulate_product(u, weights, n, 1, m, n, v, x_place * lanes, v, z_at, lanes)
    else:
        _gather(runs, run, args, v, lanes, scratch)
        accumulate_product(u, weights, n, 1, m, n, scratch, 0, v, z_at, lanes)


@compiled
def layer_backward(runs, run, args, v, d, base, lanes, u, du, u_base, scratch):
    """∂ℓ/∂W += ∂ℓ/∂z xᵀ, ∂ℓ/∂b += ∂ℓ/∂z, ∂ℓ/∂x += Wᵀ ∂ℓ/∂z, summed over the lanes (§6.3)."""
    m, n, weights, biases = runs[run + COUNT], runs[run + ARITY], runs[run + WEIGHTS], runs[run + BIASES]
    x_place = runs[run + INPUTS]
    g_at = (runs[run + FIRST] - base) * lanes
    if x_place >= 0:
        accumulate_outer(d, g_at, v, x_place * lanes, m, n, du, weights - u_base, lanes)
    else:
        _gather(runs, run, args, v, lanes, scratch)
        accumulate_outer(d, g_at, scratch, 0, m, n, du, weights - u_base, lanes)
    if biases >= 0:
        accumulate_sums(d, g_at, m, du, biases - u_base, lanes)
    if not runs[run + ACTIVE]:
        return
    if x_place > base:
        accumulate_product(u, weights, 1, n, n, m, d, g_at, d, (x_place - base) * lanes, lanes)
        return
    for lane in range(n * lanes):
        scratch[lane] = 0.0
    accumulate_product(u, weights, 1, n, n, m, d, g_at, scratch, 0, lanes)
    for k in range(n):
        row = max(args[runs[run + START] + k] - base, 0) * lanes
        for lane in range(lanes):
            d[row + lane] += scratch[k * lanes + lane]


@compiled
def _gather(runs, run, args, v, lanes, scratch):
    """Copy the rows of x side by side."""
    for k in range(runs[run + ARITY]):
        row = args[runs[run + START] + k] * lanes
        for lane in range(lanes):
            scratch[k * lanes + lane] = v[row + lane]
