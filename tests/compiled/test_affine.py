"""Products are matrix products, for every size, and touch nothing else; layers may have any inputs."""

import ctypes
import itertools
import random

import pytest

from micrograd_mlp import Value, dot, ops, relu, tanh

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
from micrograd_mlp.compiled import affine, native  # noqa: E402  (needs the extra)
from micrograd_mlp.compiled.affine import ADD, DEPTH, FROM_BIASES, FROM_ZERO  # noqa: E402
from micrograd_mlp.compiled.code import Code  # noqa: E402
from micrograd_mlp.compiled.machine import REAL  # noqa: E402
from tests.compiled.answers import assert_same  # noqa: E402


@pytest.fixture
def call(dtype):
    """call(code, array, 3, (array, 2), ...): call a function with numbers and addresses, here of array[2]."""
    kept = {}

    def call(write, *arguments):
        if write not in kept:
            code = write(native.target(REAL[dtype]))
            types = [ctypes.c_void_p if a.type == "ptr" else ctypes.c_int64 for a in code.arguments]
            machine_code = native.compiled(code)
            kept[write] = machine_code, ctypes.CFUNCTYPE(None, *types)(machine_code.address(code.name))
        kept[write][1](*[address(a) if isinstance(a, (np.ndarray, tuple)) else a for a in arguments])

    return call


def address(argument):
    array, offset = argument if isinstance(argument, tuple) else (argument, 0)
    return array.ctypes.data + offset * array.itemsize


SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 24, 31, 33)
SHAPES = [
    *itertools.product((1, 2, 3, 4, 5, 8, 11, 16, 23), (1, 2, 7), SIZES),
    *itertools.product((1, 2, 3, 4, 9), (3,), (63, 64, 65, 130)),  # strips of 8 vectors, in either precision
    (3, DEPTH, 5),
    (9, DEPTH + 1, 20),
    (5, 2 * DEPTH + 3, 33),
]
GUARDS = [111.0, 222.0]


@pytest.fixture
def whole_numbers(dtype):
    """Numbers whose sums of products are exact in any order."""

    def whole_numbers(seed, *shape):
        return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)

    return whole_numbers


def between_guards(matrix, gap=0):
    """The rows of a matrix in a flat array, among numbers that must not change: around all, behind each."""
    rows = np.concatenate([matrix, np.full((len(matrix), gap), 333.0)], axis=1)
    return np.concatenate([GUARDS, rows.ravel(), GUARDS]).astype(matrix.dtype)


@pytest.mark.parametrize("start", [ADD, FROM_ZERO, FROM_BIASES], ids=["is added", "is stored", "with biases"])
@pytest.mark.parametrize("gap", [0, 3], ids=["adjacent rows", "rows with gaps"])
@pytest.mark.parametrize("is_transposed", [False, True], ids=["A by rows", "A by columns"])
def test_a_product(call, whole_numbers, is_transposed, gap, start):
    for m, n, width in SHAPES:
        A, B, C = (whole_numbers(k, *shape) for k, shape in enumerate([(m, n), (n, width), (m, width)]))
        a, b, c = (between_guards(M, gap) for M in (A.T if is_transposed else A, B, C))
        steps, biases = (1, m + gap) if is_transposed else (n + gap, 1), whole_numbers(3, m)
        matrices = (a, 2), *steps, (b, 2), width + gap, (c, 2), width + gap
        call(affine.product, *matrices, m, n, width, start, biases)
        before = {ADD: C, FROM_ZERO: np.zeros_like(C), FROM_BIASES: biases[:, None]}[start]
        assert np.array_equal(c, between_guards(before + A @ B, gap)), (m, n, width)


def test_what_is_not_in_the_product_is_not_read(call, whole_numbers):
    """Numbers behind a row are nan: a vector that is read across its end would spread it."""
    for m, n, width in SHAPES:
        A, B = whole_numbers(1, m, n), whole_numbers(2, n, width)
        b, c = np.append(B, np.full((n, 40), np.nan, B.dtype), axis=1), np.full((m, width), np.nan, B.dtype)
        call(affine.product, A, n, 1, b, width + 40, c, width, m, n, width, FROM_ZERO, c)
        assert np.array_equal(c, A @ B), (m, n, width)


@pytest.mark.parametrize("gap", [0, 3], ids=["adjacent rows", "rows with gaps"])
def test_dot_products_of_rows_are_added(call, whole_numbers, gap):
    for m, n, length in itertools.product(SIZES, SIZES, (0, *SIZES, 64)):
        A, B, C = (whole_numbers(k, *shape) for k, shape in enumerate([(m, length), (n, length), (m, n)]))
        a, b = (np.append(M, np.full((len(M), gap), np.nan, M.dtype), axis=1) for M in (A, B))
        c = between_guards(C, gap)
        call(affine.dots, a, length + gap, b, length + gap, (c, 2), n + gap, m, n, length)
        assert np.array_equal(c, between_guards(C + A @ B.T, gap)), (m, n, length)


@pytest.mark.parametrize("gap", [0, 3], ids=["adjacent rows", "rows with gaps"])
def test_a_transpose_is_written(call, whole_numbers, gap):
    for m, n in itertools.product(SIZES, SIZES):
        A = whole_numbers(m, m, n)
        a, b = between_guards(A, gap), between_guards(np.zeros((n, m), dtype=A.dtype), gap)
        call(affine.transpose, (a, 2), n + gap, (b, 2), m + gap, m, n)
        assert np.array_equal(b, between_guards(A.T, gap)), (m, n)


def sum_into(target):
    code = Code("sum_into", [("row", "ptr"), ("n", "i64"), ("result", "ptr")], target)
    row, n, result = code.arguments
    code.store(affine.sum_of_row(code, row, n), result)
    return code


def test_a_row_is_summed(call, whole_numbers):
    for n in (0, *SIZES, 100):
        row, result = np.append(whole_numbers(n, n), np.nan), between_guards(whole_numbers(0, 1, 1))
        call(sum_into, row.astype(result.dtype), n, (result, 2))
        assert np.array_equal(result, between_guards(row[:n].sum().astype(result.dtype).reshape(1, 1))), n


# Affine maps in programs. Whole numbers are exact, and so are means of 2, 4, 8, ... of them.


@pytest.mark.parametrize("has_biases", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize("order", ["all in order", "others in order", "not in order"])
@pytest.mark.parametrize("n_examples", [2, 16, 256])
def test_a_layer_of_inputs(compile, n_examples, order, has_biases):
    """The inputs are all of x, some of its end, or lie here and there: no parameter influences them."""
    m, n_x = 5, 9
    rng = random.Random(n_examples)
    chosen = {
        "all in order": list(range(n_x)),
        "others in order": list(range(2, n_x)),
        "not in order": [7, 0, 3, 4, 8, 1],
    }[order]
    W = np.array([[rng.randint(-4, 4) for _ in chosen] for _ in range(m)])
    bias, factors = np.array([rng.randint(-4, 4) for _ in range(m)]) * has_biases, [3, -1, 2, 0, 5]
    X = np.array([[rng.randint(-4, 4) for _ in range(n_x)] for _ in range(n_examples)])
    w, b = [[Value(float(a)) for a in row] for row in W], [Value(float(a)) for a in bias]

    def layer(x):
        inputs = [x[k] for k in chosen]
        return [dot(w[j], inputs) + b[j] if has_biases else dot(w[j], inputs) for j in range(m)]

    parameters = [p for row in w for p in row] + (b if has_biases else [])
    outputs = X[:, chosen] @ W.T + bias
    predictor = compile(layer, parameters)
    assert np.array_equal(predictor.predict(X), outputs)
    assert f"W1: {m} × {len(chosen)}" in str(predictor)
    loss, gradient = compile(lambda x: dot(factors, layer(x)), parameters).loss_and_grad(X)
    dw = np.outer(factors, X[:, chosen].mean(axis=0))
    assert loss == (outputs @ factors).mean()
    assert np.array_equal(gradient, [*dw.ravel(), *(factors if has_biases else [])])


HIDDEN = {
    "a row": lambda h, x: h,
    "the other way around": lambda h, x: h[::-1],
    "some of them": lambda h, x: [h[1], h[4], h[2]],
    "one of them twice": lambda h, x: [h[1], h[2], h[1], h[0]],
    "with an input": lambda h, x: [*h, x[0]],
    "with inputs in between": lambda h, x: [h[0], x[1], h[1], x[0], h[2]],
}


@pytest.mark.parametrize("inputs", HIDDEN.values(), ids=HIDDEN.keys())
@pytest.mark.parametrize("weight", [0, 1], ids=["alone", "used elsewhere"])
@pytest.mark.parametrize("n_examples", [3, 4, 9, 18, 130])
def test_a_wide_layer_of_hidden_units(compile, n_examples, weight, inputs):
    """Few examples, some lanes without one: then a vector has inputs instead of examples."""
    rng = np.random.default_rng(n_examples)
    n_hidden, m = 48, 64
    v, shift = rng.integers(-2, 3, n_hidden), rng.integers(-2, 3, n_hidden)
    X, factors = rng.integers(-2, 3, (n_examples, 2)), rng.integers(-2, 3, m)
    n = len(inputs(list(v), list(v)))
    W = rng.integers(-1, 2, (m, n))
    V, w = [Value(float(a)) for a in v], [[Value(float(a)) for a in row] for row in W]

    def f(x):
        h = [relu(v_k * x[0] + float(c) * x[1]) for v_k, c in zip(V, shift)]
        return dot(factors.tolist(), [dot(row, inputs(h, x)) for row in w]) + (h[2] if weight else 0.0)

    program = compile(f, [*V, *[p for row in w for p in row]])
    dv, dw = np.zeros(n_hidden), np.zeros((m, n))
    for x in X.tolist():
        h = [max(v_k * x[0] + c * x[1], 0) for v_k, c in zip(v.tolist(), shift.tolist())]
        dw += np.outer(factors, inputs(h, x))
        dh = dict.fromkeys(range(n_hidden), 0)
        numbers = list(range(n_hidden))
        for k, share in zip(inputs(numbers, [-1, -1]), factors @ W):
            dh[k] = dh.get(k, 0) + share
        dh[2] += weight
        dv += [dh[k] * x[0] if h[k] > 0 else 0.0 for k in range(n_hidden)]
    _, gradient = program.loss_and_grad(X)
    assert np.allclose(gradient, np.concatenate([dv, dw.ravel()]) / n_examples, rtol=1e-6, atol=1e-5)
    assert f": {m} × {n}" in str(program)


@pytest.mark.parametrize("inputs", HIDDEN.values(), ids=HIDDEN.keys())
@pytest.mark.parametrize("has_biases", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize("n_examples", [1, 3, 16, 130])
def test_a_layer_of_hidden_units(compile, n_examples, has_biases, inputs):
    rng = random.Random(n_examples)
    v = [Value(rng.uniform(-1.0, 1.0)) for _ in range(5)]
    n = len(inputs(v, v))
    w = [[Value(rng.uniform(-1.0, 1.0)) for _ in range(n)] for _ in range(3)]
    b = [Value(rng.uniform(-1.0, 1.0)) for _ in range(3)] if has_biases else [0.0] * 3

    def f(x):
        h = [tanh(v_k * x[0] + 0.25 * x[1]) for v_k in v]
        used = inputs(h, x)
        return ops.total([tanh(dot(w_j, used) + b_j) for w_j, b_j in zip(w, b)]) + h[2]

    parameters = [*v, *[p for row in w for p in row], *(b if has_biases else [])]
    X = [[rng.uniform(-2.0, 2.0), rng.uniform(-2.0, 2.0)] for _ in range(n_examples)]
    program = compile(f, parameters)
    assert_same(program, X, atol=1e-15)
    assert "W1: 3 × " in str(program)


@pytest.mark.parametrize("has_biases", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize("chosen", [range(40), range(39, 0, -1)], ids=["all in order", "others"])
@pytest.mark.parametrize("n_examples", [2, 3, 4, 7, 16, 19, 33])
def test_the_results_of_a_wide_layer(compile, n_examples, chosen, has_biases):
    rng = np.random.default_rng(n_examples)
    W, X = rng.integers(-4, 5, (64, len(chosen))), rng.integers(-4, 5, (n_examples, 40))
    bias = rng.integers(1, 5, 64) * has_biases
    w, b = [[Value(float(a)) for a in row] for row in W], [Value(float(a)) for a in bias]

    def layer(x):
        inputs = [x[k] for k in chosen]
        return [dot(row, inputs) + b_j if has_biases else dot(row, inputs) for row, b_j in zip(w, b)]

    program = compile(layer, [*[p for row in w for p in row], *(b if has_biases else [])])
    assert np.array_equal(program.predict(X), X[:, list(chosen)] @ W.T + bias)


# The first block of examples writes the adjoints of weights, and the others add to them.


@pytest.mark.parametrize("n_examples", [1, 2, 40, 300])
def test_a_matrix_that_two_layers_share(compile, n_examples):
    """Both layers give to its adjoints, also in the first block."""
    n = 40
    rng = np.random.default_rng(n_examples)
    W, X = rng.integers(-1, 2, (n, n)), rng.integers(-1, 2, (n_examples, n))
    w = [[Value(float(a)) for a in row] for row in W]

    def f(x):
        hidden = [dot(row, x) for row in w]
        return ops.total([dot(row, hidden) for row in w])

    loss, gradient = compile(f, [p for row in w for p in row]).loss_and_grad(X)
    of_hidden = W.sum(axis=0)
    expected = np.outer(np.ones(n), (X @ W.T).mean(axis=0)) + np.outer(of_hidden, X.mean(axis=0))
    assert loss == pytest.approx((X @ W.T @ of_hidden).mean(), rel=1e-6)
    assert np.allclose(gradient, expected.ravel(), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("sizes", [(9, 30), (40, 30), (40, 3)], ids=["narrow", "wide", "few results"])
@pytest.mark.parametrize("n_examples", [2, 300, 1000])
def test_the_gradient_of_many_blocks(compile, n_examples, sizes):
    """The gradient of Σⱼ cⱼ zⱼ for wⱼ is cⱼ times the mean row of X."""
    n, m = sizes
    X = np.random.default_rng(n_examples).integers(-4, 5, (n_examples, n))
    w = [[Value(0.5) for _ in range(n)] for _ in range(m)]
    factors = [k % 5 - 2.5 for k in range(m)]
    program = compile(lambda x: dot(factors, [dot(row, x) for row in w]), [p for row in w for p in row])
    for order in (X, X[::-1]):
        _, gradient = program.loss_and_grad(order)
        assert np.allclose(gradient, np.outer(factors, X.mean(axis=0)).ravel(), rtol=1e-6, atol=1e-6)
    _, gradient = program.loss_and_grad(X[:1])
    assert np.array_equal(gradient, np.outer(factors, X[0]).ravel())
