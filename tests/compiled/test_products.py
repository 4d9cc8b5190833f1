"""Products are matrix products, for every size, and touch nothing else."""

import itertools

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("numba")
from micrograd_mlp.compiled import native, products  # noqa: E402  (needs the extra)
from micrograd_mlp.compiled.products import DEPTH  # noqa: E402
from micrograd_mlp.compiled.tiles import Matrix  # noqa: E402

native.load()


# From Python the kernels are called with arrays, whose addresses they take.


@native.compiled
def accumulate_product(a, steps, b, c, m, n, width):
    A = Matrix(native.pointer(a), 1, steps[0], steps[1])
    B, C = Matrix(native.pointer(b), 2, width, 1), Matrix(native.pointer(c), 2, width, 1)
    products.accumulate_product(A, B, C, m, n, width)


@native.compiled
def transpose(a, b, m, n):
    products.transpose(Matrix(native.pointer(a), 2, n, 1), Matrix(native.pointer(b), 2, m, 1), m, n)


@native.compiled
def accumulate_sums(g, sums, m, lanes):
    products.accumulate_sums(Matrix(native.pointer(g), 0, lanes, 1), sums, 2, m, lanes)


SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 24, 31, 33)
SHAPES = [
    *itertools.product((1, 2, 3, 4, 5, 8, 11, 16, 23), (1, 2, 7), SIZES),
    (3, DEPTH, 5),
    (9, DEPTH + 1, 20),
    (5, 2 * DEPTH + 3, 33),
]


def whole_numbers(seed, *shape):
    """Numbers whose sums of products are exact in any order."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(float)


def between_guards(matrix):
    """The matrix as a flat array, with numbers before and after it that must not change."""
    return np.concatenate([[111.0, 222.0], matrix.ravel(), [333.0]])


@pytest.mark.parametrize("transposed", [False, True], ids=["A by rows", "A by columns"])
def test_a_product_is_added(transposed):
    for m, n, width in SHAPES:
        A, B, C = (whole_numbers(k, *shape) for k, shape in enumerate([(m, n), (n, width), (m, width)]))
        steps = (1, m) if transposed else (n, 1)
        a = np.concatenate([[5.0], (A.T if transposed else A).ravel()])
        b, c = between_guards(B), between_guards(C)
        accumulate_product(a, steps, b, c, m, n, width)
        assert np.array_equal(c, between_guards(C + A @ B)), (m, n, width)


def test_a_transpose_is_written():
    for m, n in itertools.product(SIZES, SIZES):
        A = whole_numbers(m, m, n)
        a, b = between_guards(A), between_guards(np.zeros((n, m)))
        transpose(a, b, m, n)
        assert np.array_equal(b, between_guards(A.T)), (m, n)


def test_rows_are_summed():
    for m, lanes in itertools.product((1, 2, 5), SIZES):
        g, db = whole_numbers(lanes, m, lanes), whole_numbers(0, m)
        into = between_guards(db)
        accumulate_sums(g.ravel(), into, m, lanes)
        assert np.array_equal(into, between_guards(db + g.sum(axis=1))), (m, lanes)
