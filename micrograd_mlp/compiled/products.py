"""Matrix products, transposes and sums over the lanes of a block, put together from tiles (§6.3)."""

from __future__ import annotations

import functools

from micrograd_mlp.compiled.native import Floats, Function, inlined, separately
from micrograd_mlp.compiled.tiles import VECTOR, Matrix, product_tile, transpose_tile

DEPTH = 256  # rows of B of which a tile's columns stay in the first-level cache


@inlined
def from_element(matrix, j, k):
    """The part of a matrix that begins with element (j, k)."""
    first = matrix.first + j * matrix.row_step + k * matrix.column_step
    return Matrix(matrix.numbers, first, matrix.row_step, matrix.column_step)


def _strip(columns: int) -> Function:
    """strip(a, b, c, m, depth): C += A B for so many columns of C and for all its m rows."""
    high, half, one = [product_tile(rows, columns) for rows in (VECTOR, VECTOR // 2, 1)]

    def strip(a, b, c, m, depth):
        j = 0
        while m - j >= VECTOR:
            high(from_element(a, j, 0), b, from_element(c, j, 0), depth)
            j += VECTOR
        if m - j >= VECTOR // 2:
            half(from_element(a, j, 0), b, from_element(c, j, 0), depth)
            j += VECTOR // 2
        while j < m:
            one(from_element(a, j, 0), b, from_element(c, j, 0), depth)
            j += 1

    return inlined(strip)


_two_vectors, _vector, _half_vector, _column = [_strip(n) for n in (2 * VECTOR, VECTOR, VECTOR // 2, 1)]


@separately
def accumulate_product(a: Matrix, b: Matrix, c: Matrix, m: int, n: int, width: int) -> None:
    """C += A B: A has m rows and n columns, B and C have `width` columns, whose elements are adjacent."""
    for k in range(0, n, DEPTH):
        depth = min(DEPTH, n - k)
        a_k, b_k = from_element(a, 0, k), from_element(b, k, 0)
        i = 0
        while width - i >= 2 * VECTOR:
            _two_vectors(a_k, from_element(b_k, 0, i), from_element(c, 0, i), m, depth)
            i += 2 * VECTOR
        if width - i >= VECTOR:
            _vector(a_k, from_element(b_k, 0, i), from_element(c, 0, i), m, depth)
            i += VECTOR
        if width - i >= VECTOR // 2:
            _half_vector(a_k, from_element(b_k, 0, i), from_element(c, 0, i), m, depth)
            i += VECTOR // 2
        while i < width:
            _column(a_k, from_element(b_k, 0, i), from_element(c, 0, i), m, depth)
            i += 1


_square = transpose_tile()


@separately
def transpose(a: Matrix, b: Matrix, m: int, n: int) -> None:
    """B = Aᵀ: A has m rows and n columns; the elements of a row are adjacent in both."""
    for j in range(0, m - VECTOR + 1, VECTOR):
        for k in range(0, n - VECTOR + 1, VECTOR):
            _square(from_element(a, j, k), from_element(b, k, j))
        for k in range(n // VECTOR * VECTOR, n):
            for i in range(j, j + VECTOR):
                b.numbers[b.first + k * b.row_step + i] = a.numbers[a.first + i * a.row_step + k]
    for j in range(m // VECTOR * VECTOR, m):
        for k in range(n):
            b.numbers[b.first + k * b.row_step + j] = a.numbers[a.first + j * a.row_step + k]


@functools.partial(separately, error_model="numpy", fastmath={"contract", "reassoc"})
def accumulate_sums(of: Matrix, sums: Floats, first: int, m: int, n: int) -> None:
    """Add the sum of each of the m rows, of n adjacent elements, to `sums` from `first` on."""
    for j in range(m):
        row, total = of.first + j * of.row_step, 0.0
        for k in range(row, row + n):
            total += of.numbers[k]
        sums[first + j] += total
