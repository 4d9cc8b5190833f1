"""Matrix products of a layer, z = Wx + b, for a block of examples (§2.3, §6.3).

A row is a neuron or an input, a lane an example; lanes lie side by side. All three products, of z, of
∂ℓ/∂W and of ∂ℓ/∂x, are C += A B for different A, B and C, put together from the tiles of `tiles`.
Arrays are flat; a name such as x_at says where the rows begin.
"""

from __future__ import annotations

from micrograd_mlp.compiled.native import Function, compiled, inlined, separately
from micrograd_mlp.compiled.tape import ACTIVE, ARITY, BIASES, COUNT, FIRST, INPUTS, START, WEIGHTS
from micrograd_mlp.compiled.tiles import VECTOR, product_tile, transpose_tile

DEPTH = 256  # rows of B, of which a tile's columns stay in the first-level cache


def _strip(columns: int) -> Function:
    """C += A B for some columns of C, all rows of them."""
    high, half, one = [product_tile(rows, columns) for rows in (VECTOR, VECTOR // 2, 1)]

    def strip(a, a_at, row_step, column_step, m, n, b, b_at, c, c_at, step):
        j = 0
        while m - j >= VECTOR:
            high(a, a_at + j * row_step, row_step, column_step, n, b, b_at, c, c_at + j * step, step)
            j += VECTOR
        if m - j >= VECTOR // 2:
            half(a, a_at + j * row_step, row_step, column_step, n, b, b_at, c, c_at + j * step, step)
            j += VECTOR // 2
        while j < m:
            one(a, a_at + j * row_step, row_step, column_step, n, b, b_at, c, c_at + j * step, step)
            j += 1

    return inlined(strip)


_two_vectors, _vector, _half_vector, _column = [_strip(n) for n in (2 * VECTOR, VECTOR, VECTOR // 2, 1)]


@separately("aiiiiiaiaii")
def accumulate_product(a, a_at, row_step, column_step, m, n, b, b_at, c, c_at, width):
    """C += A B: A[j, k] is at a[a_at + j · row_step + k · column_step], rows of B and C are `width` long."""
    for k in range(0, n, DEPTH):
        depth, a_k, b_k = min(DEPTH, n - k), a_at + k * column_step, b_at + k * width
        i = 0
        while width - i >= 2 * VECTOR:
            _two_vectors(a, a_k, row_step, column_step, m, depth, b, b_k + i, c, c_at + i, width)
            i += 2 * VECTOR
        if width - i >= VECTOR:
            _vector(a, a_k, row_step, column_step, m, depth, b, b_k + i, c, c_at + i, width)
            i += VECTOR
        if width - i >= VECTOR // 2:
            _half_vector(a, a_k, row_step, column_step, m, depth, b, b_k + i, c, c_at + i, width)
            i += VECTOR // 2
        while i < width:
            _column(a, a_k, row_step, column_step, m, depth, b, b_k + i, c, c_at + i, width)
            i += 1


_square = transpose_tile()


@separately("aiiiiaii")
def transpose(a, a_at, a_step, m, n, b, b_at, b_step):
    """B = Aᵀ, A having m rows and n columns."""
    for j in range(0, m - VECTOR + 1, VECTOR):
        for k in range(0, n - VECTOR + 1, VECTOR):
            _square(a, a_at + j * a_step + k, a_step, b, b_at + k * b_step + j, b_step)
        for k in range(n // VECTOR * VECTOR, n):
            for i in range(j, j + VECTOR):
                b[b_at + k * b_step + i] = a[a_at + i * a_step + k]
    for j in range(m // VECTOR * VECTOR, m):
        for k in range(n):
            b[b_at + k * b_step + j] = a[a_at + j * a_step + k]


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
        transpose(v, x_place * lanes, lanes, n, lanes, scratch, 0, n)
    else:
        for k in range(n):
            row = args[runs[run + START] + k] * lanes
            for lane in range(lanes):
                scratch[lane * n + k] = v[row + lane]
    accumulate_product(d, g_at, lanes, 1, m, lanes, scratch, 0, du, weights - u_base, n)
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
