"""A step that is written out gives what kernels give: of several examples, or of one, which has no lanes."""

import pytest

from micrograd_mlp import SGD, Value, cross_entropy, l2, ops, squared_error

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
from micrograd_mlp.compiled import machine  # noqa: E402  (needs the extra)

NUMBERS = (0.3, 0.45, 0.6, 0.75, 0.9)


@pytest.fixture
def both(compile, monkeypatch, approx):
    """both(f, n_parameters, X, Y, batch): train with code that is written out, and with kernels."""

    def both(f, n_parameters, X, Y=None, batch=1):
        found = []
        for worth_it in (0, 1 << 60):
            monkeypatch.setattr(machine, "WORTH_IT", worth_it)
            p = [Value(0.3 + 0.4 * k / n_parameters) for k in range(n_parameters)]
            one, two = lambda x: f(p, x), lambda x, y: f(p, x, y)  # noqa: B023
            program = compile(one if Y is None else two, p)
            losses = program.train(SGD(p, lr=1e-3), X, Y, epochs=2, batch_size=batch, seed=0)
            [compiled] = program._machines.values()
            assert (compiled._step is not compiled._execute_code) == (worth_it == 0)
            found.append([*losses, *[p_k.data for p_k in p]])
        assert found[0] == approx(found[1], rel=1e-12, abs=1e-15, size=1.0)

    return both


SAMPLE = {"add", "div", "pow", "tanh", "norm", "clip"}  # half of them are collected into vectors
OPERATIONS = [
    pytest.param(op, id=name, marks=[] if name in SAMPLE else pytest.mark.exhaustive)
    for name, op in ops.TABLE.items()
]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("op", OPERATIONS)
def test_several_results_of_an_operation(both, op, batch):
    """Nineteen of them: whole vectors and some more, in either precision. One leads to no parameter."""
    n = op.arity or 3
    spans = [(max(low, -2.0), min(high, 2.0)) for low, high in (op.domain if op.arity else op.domain * n)]

    def inside(number, span):
        """A number between 0 and 1 as one of the operation's domain."""
        return number * (0.9 * (span[1] - span[0])) + (span[0] + 0.05 * (span[1] - span[0]))

    def f(p, x):
        rows = [[x * p[(j + k) % len(p)] for j in range(n)] for k in range(len(p))]
        results = [op(*map(inside, row, spans)) for row in [*rows, [x] * n]]
        return ops.total([(k + 1) * 0.1 * result for k, result in enumerate(results)])

    both(f, 18, NUMBERS, batch=batch)


def test_layers_of_units(both):
    def f(p, x, y):
        h = [ops.tanh(ops.dot(p[3 * k : 3 * k + 2], x) + p[3 * k + 2]) for k in range(6)]
        g = [ops.sigmoid(ops.dot(p[18 + 3 * k : 21 + 3 * k], h[k : k + 3])) for k in range(3)]
        return squared_error(ops.total(g), y) + 0.01 * l2(p)

    X = [[0.1, 0.5], [-0.3, 0.2], [1.5, -0.4]]
    both(f, 27, X, [0.5, 1.0, 0.0])


@pytest.mark.parametrize("n", [3, 5, 9, 17])
def test_one_result_more_than_whole_vectors(both, n):
    """It is a vector of one, next to single numbers for which the same functions are called."""

    def f(p, x):
        return ops.total([ops.tanh(p_k * x) for p_k in p[:n]]) + 0.1 * abs(ops.tanh(p[n]))

    both(f, n + 1, NUMBERS)


def test_classes(both):
    def f(p, x, y):
        return cross_entropy([p[k] * x[0] + p[3 + k] * x[1] for k in range(3)], y)

    both(f, 6, [[0.1, 0.5], [-0.3, 0.2], [1.5, -0.4]], [0, 2, 1])


def test_operations_of_parameters_alone_and_parameters_without_a_use(both):
    def f(p, x):
        scales = [ops.exp(p_k) for p_k in p[:5]]
        return ops.total([ops.log(scale + x) * scales[0] for scale in scales[1:]])

    both(f, 7, NUMBERS)


def test_a_loss_that_is_the_same_for_all_examples(both):
    both(lambda p, x: ops.total([ops.tanh(p_k) for p_k in p]), 4, NUMBERS)
