"""Compiled execution gives what eager execution gives: values and gradients, to 1e-12 relative in float64.

In float32 they differ by no more than a bound of the rounding error: see `answers`.
"""

import ctypes
import decimal
import itertools
import math
import random

import pytest

from micrograd_mlp import (
    MLP,
    SGD,
    Adam,
    Momentum,
    RMSProp,
    Value,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    grad,
    hessian,
    hinge,
    l2,
    mean,
    ops,
    squared_error,
)

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
from micrograd_mlp import compile as compile_program  # noqa: E402  (needs the extra)
from micrograd_mlp.compiled.check import PRECISIONS  # noqa: E402
from micrograd_mlp.compiled.machine import Machine  # noqa: E402
from micrograd_mlp.compiled.steps import TRAIN  # noqa: E402
from tests.compiled.answers import assert_same, eager, is_within, mean_with_bounds  # noqa: E402
from tests.compiled.shards import n_shards  # noqa: E402

FLOAT32 = PRECISIONS["float32"]

SPECIAL = {  # among them subnormal and large numbers, and numbers whose exponential is hardly a number
    "float64": [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        math.inf,
        -math.inf,
        math.nan,
        1e-310,
        1e300,
        -1e300,
        710.0,
        -746.0,
        20.0,
    ],
    "float32": [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        math.inf,
        -math.inf,
        math.nan,
        1e-40,
        1e37,
        -1e37,
        88.0,
        -104.0,
        20.0,
    ],
}


def domain(op):
    n = op.arity or 4
    return op.domain if op.arity else op.domain * n


@pytest.mark.parametrize("op", ops.TABLE.values(), ids=lambda op: op.name)
def test_every_operation_on_its_domain(compile, op):
    rng = random.Random(op.name)
    spans = [(max(low, -3.0), min(high, 3.0)) for low, high in domain(op)]
    rows = [[rng.uniform(*span) for span in spans] for _ in range(21)]
    shifts = [Value(0.0) for _ in spans]
    # Every operand is varying and leads to a parameter, so every local derivative is seen.
    assert_same(compile(lambda x: op(*[x_k + p for x_k, p in zip(x, shifts)]), shifts), rows, atol=1e-15)


@pytest.mark.parametrize("op", ops.TABLE.values(), ids=lambda op: op.name)
def test_every_operation_on_parameters_alone(compile, op):
    rng = random.Random(op.name)
    parameters = [Value(rng.uniform(max(low, -3.0), min(high, 3.0))) for low, high in domain(op)]
    assert_same(compile(lambda: op(*parameters), parameters))


@pytest.mark.parametrize("op", ops.TABLE.values(), ids=lambda op: op.name)
def test_every_operation_on_special_values(compile, dtype, op):
    """One row at a time: in a mean of all, one nan would hide the rest."""
    n = op.arity or 2
    rows = list(itertools.product(SPECIAL[dtype], repeat=n))
    rows = random.Random(op.name).sample(rows, min(len(rows), 200))
    scales = [Value(1.0) for _ in range(n)]
    program = compile(lambda x: op(*[x_k * s for x_k, s in zip(x, scales)]), scales)
    n_certain = 0
    for row in rows:
        loss, gradient = program.loss_and_grad([row])
        if dtype == "float64":
            expected_loss, expected = eager(program.f, scales, [row])
            np.testing.assert_allclose(loss, expected_loss, rtol=1e-12, err_msg=f"{op.name}{row}")
            np.testing.assert_allclose(gradient, expected, rtol=1e-12, err_msg=f"gradient of {op.name}{row}")
            continue
        found = [loss, *gradient.tolist()]
        expected, bounds = mean_with_bounds(program.f, scales, [row], None, FLOAT32)
        assert all(map(is_within, found, expected, bounds)), f"{op.name}{row}: {found}, {expected}, {bounds}"
        n_certain += sum([bound < math.inf for bound in bounds])
    assert dtype == "float64" or n_certain >= 0.25 * len(rows) * (n + 1)


SQUARES = {"**": lambda x: x**2, "*": lambda x: x * x, "power": lambda x: x ** Value(2.0)}


@pytest.mark.parametrize("square", SQUARES)
def test_squares_near_the_limits_of_floats(square):
    """x² overflows or underflows long before its slope 2x does; compiled x**2 is x·x."""
    f, w, scale = SQUARES[square], Value(0.0), Value(1.0)
    alone, of_rows = [
        compile_program(g, [p]) for g, p in ((lambda: f(w), w), (lambda x: f(x) * scale, scale))
    ]
    slope = compile_program(lambda: grad(w * w, [w], create_graph=True)[0], [w])
    sizes = [
        0.0,
        5e-324,
        1e-200,
        1e-163,
        1e-162,
        1e-160,
        1e-154,
        1.0,
        1e154,
        1.3e154,
        1.4e154,
        1e155,
        1e200,
        8e307,
    ]
    numbers = [sign * size for size in sizes for sign in (1.0, -1.0)]
    for x in [*numbers, math.inf, -math.inf]:
        w.data = x
        node = f(w)
        expected = (x * x, 2.0 * x)
        assert (node.data, grad(node, [w])[0]) == expected
        assert hessian(node, [w]) == [[2.0]]
        loss, gradient = alone.loss_and_grad()
        assert (loss, gradient[0]) == expected
        loss, gradient = slope.loss_and_grad()
        assert (loss, gradient[0]) == (2.0 * x, 2.0)
    assert of_rows.predict(numbers).tolist() == [x * x for x in numbers]


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "softplus"])
def test_networks_of_every_activation(compile, activation):
    model = MLP(3, [5, 4, 2], activation=activation, output_activation=activation, seed=1)
    rng = np.random.default_rng(0)
    program = compile(lambda x, y: squared_error(model(x), y), model.parameters())
    assert_same(program, rng.normal(size=(70, 3)), rng.normal(size=(70, 2)))


LOSSES = {
    "squared_error": (squared_error, 1, [0.3, -2.0, 1.5]),
    "hinge": (hinge, 1, [1.0, -1.0, 1.0]),
    "binary_cross_entropy": (lambda z, y: binary_cross_entropy(z.sigmoid(), y), 1, [0.0, 1.0, 0.25]),
    "binary_cross_entropy_with_logits": (binary_cross_entropy_with_logits, 1, [0.0, 1.0, 0.25]),
    "cross_entropy": (cross_entropy, 3, [0, 2, 1]),
    "cross_entropy of probabilities": (cross_entropy, 3, [[1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.0, 1.0, 0.0]]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_with_a_penalty(compile, name):
    loss, n_outputs, targets = LOSSES[name]
    model = MLP(2, [4, n_outputs], activation="tanh", seed=2)
    parameters = model.parameters()
    X = np.random.default_rng(1).normal(size=(30, 2)).tolist()
    program = compile(lambda x, y: loss(model(x), y) + 1e-3 * l2(parameters), parameters)
    assert_same(program, X, targets * 10)


@pytest.mark.parametrize("optimizer", [SGD, Momentum, RMSProp, Adam])
def test_every_optimizer_step_by_step(compile, approx, optimizer):
    X = np.random.default_rng(2).normal(size=(12, 2))
    Y = np.sign(X[:, 0])
    models = [MLP(2, [3, 1], activation="tanh", seed=3) for _ in range(2)]
    optimizers = [optimizer(model.parameters(), lr=0.05) for model in models]
    program = compile(lambda x, y: hinge(models[0](x), y), models[0].parameters())
    losses = program.train(optimizers[0], X, Y, steps=5)
    for loss in losses:
        optimizers[1].zero_grad()
        expected = mean([hinge(models[1](x.tolist()), float(y)) for x, y in zip(X, Y)])
        expected.backward()
        optimizers[1].step()
        assert loss == approx(expected.data, rel=1e-12)
    for p, q in zip(models[0].parameters(), models[1].parameters()):
        assert p.data == approx(q.data, rel=1e-10, size=1.0)
    state, expected_state = optimizers[0].state_dict(), optimizers[1].state_dict()
    assert state["t"] == expected_state["t"] == 5
    for key, numbers in expected_state["state"].items():
        assert state["state"][key] == approx(numbers, rel=1e-9, abs=1e-15, size=1.0)


@pytest.mark.parametrize("seed", range(12))
def test_irregular_graphs(compile, seed):
    """Random graphs over inputs, parameters and constants, which reach back to any earlier node."""
    rng = random.Random(seed)
    parameters = [Value(rng.uniform(-1.0, 1.0)) for _ in range(5)]
    smooth = [ops.tanh, ops.sigmoid, ops.softplus, ops.sin, ops.exp, ops.relu, ops.leaky_relu, abs]

    def f(x, y):
        choose = random.Random(seed)
        nodes = [*x, y, *parameters, Value(0.5)]
        for _ in range(60):
            kind = choose.randrange(6)
            a, b, c = (choose.choice(nodes) for _ in range(3))
            if kind == 0:
                node = choose.choice(smooth)(ops.tanh(a))
            elif kind == 1:
                node = a * b + c
            elif kind == 2:
                node = a - b
            elif kind == 3:
                node = ops.dot([a, b, c], [b, c, a])
            elif kind == 4:
                node = ops.softmax([a, b, c])[0]
            else:
                node = ops.maximum(a, 0.3) / (1.0 + b * b) + choose.choice([0.0, 2.0]) * c
            nodes.append(ops.tanh(node))
        return ops.total(nodes[-20:])

    X = [[rng.gauss(0.0, 1.0) for _ in range(4)] for _ in range(9)]
    Y = [rng.gauss(0.0, 1.0) for _ in range(9)]
    assert_same(compile(f, parameters), X, Y, atol=1e-13)


def test_a_neuron_in_any_notation_is_a_layer(compile):
    """The same four neurons, written in four ways."""
    w = [[Value(0.1 * (3 * j + k + 1)) for k in range(3)] for j in range(4)]
    b = [Value(-0.1 * j) for j in range(4)]
    parameters = [p for row in w for p in row] + b
    notations = {
        "dot": lambda j, x: ops.dot(w[j], x) + b[j],
        "sum": lambda j, x: sum((w_k * x_k for w_k, x_k in zip(w[j], x)), b[j]),
        "plus": lambda j, x: w[j][0] * x[0] + x[1] * w[j][1] + w[j][2] * x[2] + b[j],
        "total": lambda j, x: ops.total([*[x_k * w_k for w_k, x_k in zip(w[j], x)], b[j]]),
    }
    X = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]
    for neuron in notations.values():

        def f(x, neuron=neuron):
            return ops.total([ops.tanh(neuron(j, x)) for j in range(4)])

        program = compile(f, parameters)
        assert_same(program, X)
        assert "W1: 4 × 3" in str(program)


def weighted(results):
    """A number that every result counts in, differently."""
    return ops.dot(results, [0.5 + k for k in range(len(results))])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8, 11])
def test_a_softmax_is_found(compile, n):
    """Alone, of inputs and of parameters, several of one size side by side, and in front of a layer."""
    rng = random.Random(n)
    p = [Value(rng.uniform(-2.0, 2.0)) for _ in range(n)]
    X = [[rng.uniform(-3.0, 3.0) for _ in range(n)] for _ in range(13)]

    def f(x):
        return weighted(ops.softmax([x_k * p_k for x_k, p_k in zip(x, p)])) + weighted(ops.softmax(x))

    def of_parameters():
        logits = [[p_k * (j + 1.0) for p_k in p] for j in range(3)]
        return ops.total([weighted(ops.softmax(z)) ** 2 for z in logits])

    program, alone = compile(f, p), compile(of_parameters, p)
    assert_same(program, X, atol=1e-15)
    assert_same(compile(lambda x: of_parameters() * x, p), [1.0, 2.0], atol=1e-15)
    assert f"softmax     2 of {n} numbers" in str(program)
    assert f"softmax     3 of {n} numbers" in str(alone)


def exact_softmax(z):
    """Σₖ (k + ½) sₖ and its derivatives for each zₖ, with 50 digits; nan for z that are not finite."""
    if not all(map(math.isfinite, z)):
        return [math.nan] * (1 + len(z))
    with decimal.localcontext() as context:
        context.prec = 50
        z = [decimal.Decimal(z_k) for z_k in z]
        exponentials = [(z_k - max(z)).exp() for z_k in z]
        s = [e / sum(exponentials) for e in exponentials]
        g = [decimal.Decimal(k) + decimal.Decimal("0.5") for k in range(len(z))]
        loss = sum([g_k * s_k for g_k, s_k in zip(g, s)])
        return [float(loss), *[float(s_k * (g_k - loss)) for g_k, s_k in zip(g, s)]]


def test_a_softmax_of_special_values(compile, dtype):
    """Each case is computed for an input (a row of lanes) and for a parameter (one lane)."""
    p = [Value(0.0) for _ in range(3)]
    rows = [[a, b, 1.0] for a in SPECIAL[dtype] for b in SPECIAL[dtype]]
    program = compile(lambda x: weighted(ops.softmax([x_k + p_k for x_k, p_k in zip(x, p)])), p)
    alone = compile(lambda: weighted(ops.softmax([p_k * 1.5 for p_k in p])), p)

    def compare(found, z, slope, eager_result):
        found, exact = [found[0], *found[1].tolist()], exact_softmax(z)
        expected = [eager_result[0], *eager_result[1]]
        rtol, atol = {"float64": (1e-12, 1e-15), "float32": (1e-6, 1e-6)}[dtype]
        if all(map(math.isfinite, z)):
            exact = [exact[0], *[slope * number for number in exact[1:]]]
            if dtype == "float64":  # an input of eager execution is not rounded to float32
                np.testing.assert_allclose(expected, exact, rtol=rtol, atol=1e-14, err_msg=f"{z}")
            expected = exact
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=f"{z}")

    for row in rows:
        for p_k in p:
            p_k.data = 0.0
        in_precision = [float(number) for number in np.array(row, dtype=dtype)]
        compare(program.loss_and_grad([row]), in_precision, 1.0, eager(program.f, p, [row]))
        for p_k, number in zip(p, row):
            p_k.data = number
        scaled = [1.5 * number for number in in_precision]
        compare(alone.loss_and_grad(), scaled, 1.5, eager(alone.f, p))


def test_an_infinite_number_whose_probability_nobody_uses_spoils_no_other_gradient(compile):
    w = [Value(0.5), Value(-1.0), Value(math.inf)]
    program = compile(lambda x: ops.softmax([w_k * x for w_k in w])[1] + w[0], w)
    _, gradient = program.loss_and_grad([1.0, 2.0, 3.0])
    assert gradient.tolist() == pytest.approx([1.0, 0.0, math.nan], nan_ok=True)
    assert gradient.tolist() == pytest.approx(eager(program.f, w, [1.0, 2.0, 3.0])[1], nan_ok=True)


NO_SOFTMAX = {
    "the normalizer is used": lambda z: weighted(ops.softmax(z)) + ops.logsumexp(z),
    "a log-probability is used": lambda z: weighted(ops.softmax(z)) + (z[0] - ops.logsumexp(z)),
    "another number is shifted": lambda z: weighted(
        [ops.exp(z_k - ops.logsumexp(z)) for z_k in (z[0], z[1], -z[2])]
    ),
    "the other way around": lambda z: weighted([ops.exp(ops.logsumexp(z) - z_k) for z_k in z]),
}


@pytest.mark.parametrize("f", NO_SOFTMAX.values(), ids=NO_SOFTMAX.keys())
def test_what_only_looks_like_a_softmax(compile, f):
    p = [Value(0.3), Value(-1.2), Value(0.8)]
    X = [[1.0, 2.0, -0.5], [0.1, -2.0, 1.0]]
    assert_same(compile(lambda x: f([x_k * p_k for x_k, p_k in zip(x, p)]), p), X)
    program = compile(lambda: f([p_k * 2.0 for p_k in p]), p)
    assert "softmax" not in str(program)


@pytest.mark.filterwarnings("ignore:f gives .*this is rounding, not a branch")
@pytest.mark.parametrize("n", [2, 3, 5, 7, 12])
def test_the_deviation_of_constant_rows(compile, dtype, n):
    """Products are rounded before they are added: a fused instruction gives nan where eager gives 0."""
    w = Value(1.0)
    number = np.dtype(dtype).type
    smallest = {"float64": 1e-300, "float32": 1e-40}[dtype]

    def deviation(x):
        mu = ops.total(x) / n
        return w * ops.sqrt(ops.dot(x, x) / n - mu * mu + smallest)

    def rounded_one_by_one(x):
        x = [number(x_k) for x_k in x]
        mu, squares = sum(x[1:], x[0]) / number(n), [x_k * x_k for x_k in x]
        return np.sqrt(sum(squares[1:], squares[0]) / number(n) - mu * mu + number(smallest))

    X = [[0.1 * k] * n for k in range(1, 40)]
    with np.errstate(invalid="ignore"):
        expected = [rounded_one_by_one(x) for x in X]
    if dtype == "float64":
        np.testing.assert_array_equal(expected, [deviation([Value(x_k) for x_k in x]).data for x in X])
    assert any(number == number for number in expected)
    np.testing.assert_array_equal(compile(deviation, [w]).predict(X), expected)
    v = [Value(0.0) for _ in range(n)]
    alone = compile(lambda: deviation(v), v)
    for x, number in zip(X, expected):
        for v_k, x_k in zip(v, x):
            v_k.data = x_k
        np.testing.assert_array_equal(alone.predict(), [number])


@pytest.mark.filterwarnings("ignore:f gives .*this is rounding, not a branch")
@pytest.mark.parametrize("n", [3, 5, 7, 12])
def test_the_deviation_of_constant_rows_in_a_training(compile, dtype, monkeypatch, n):
    """A long training has code of its own, whose numbers stay in registers. `predict` is checked above."""
    monkeypatch.setattr("micrograd_mlp.compiled.machine.WORTH_IT", 0)
    w, X = Value(1.0), [[0.1 * k] * n for k in range(1, 40)]

    def deviation(x):
        mu = ops.total(x) / n
        return w * ops.sqrt(ops.relu(ops.dot(x, x) / n - mu * mu))

    program = compile(deviation, [w])
    expected = sum(program.predict(X).tolist()) / len(X)
    rel = {"float64": 1e-12, "float32": 1e-5}[dtype]
    losses = program.train(SGD([w], lr=0.0), X, steps=2)
    assert losses == pytest.approx([expected, expected], rel=rel, abs=0.0)


def test_tied_and_frozen_weights(compile):
    """A weight used twice, a Value that is no parameter, and a layer over a layer's own weights."""
    w, frozen = [Value(0.3), Value(-0.2)], Value(0.7)

    def f(x, y):
        h = [ops.tanh(ops.dot(w, x)), ops.tanh(ops.dot([w[1], w[0]], x) + frozen)]
        return squared_error(ops.dot(w, h) + frozen * w[0], y)

    X, Y = [[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]], [1.0, 0.0, -1.0]
    program = compile(f, w)
    assert_same(program, X, Y)
    before = program(X, Y)
    frozen.data = 0.1
    assert program(X, Y) != before
    assert_same(program, X, Y)


def test_many_blocks_and_a_remainder(compile):
    w = Value(0.5)
    X = np.linspace(-2.0, 2.0, 333)
    assert_same(compile(lambda x: ops.tanh(w * x) * x, [w]), X)


def test_the_bits_do_not_depend_on_how_often_it_is_called(compile):
    model = MLP(4, [8, 1], seed=0)
    program = compile(lambda x, y: squared_error(model(x), y), model.parameters())
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(200, 4)), rng.normal(size=200)
    first = program.loss_and_grad(X, Y)
    again = program.loss_and_grad(X, Y)
    assert first[0] == again[0]
    assert first[1].tolist() == again[1].tolist()


def test_two_cores_give_the_answer_of_one(compile, approx, monkeypatch):
    model = MLP(4, [8, 1], seed=0)
    parameters = model.parameters()
    f = lambda x, y: squared_error(model(x), y) + 1e-2 * l2(parameters)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(150, 4)), rng.normal(size=150)
    expected = compile(f, parameters).loss_and_grad(X, Y)
    monkeypatch.setattr(Machine, "cores", lambda self, n_rows: 2)
    program = compile(f, parameters)
    loss, gradient = program.loss_and_grad(X, Y)
    assert loss == approx(expected[0], rel=1e-13)
    assert gradient == approx(expected[1], rel=1e-12, abs=1e-15, size=1.0)
    optimizer = Adam(parameters, lr=0.01)
    losses = program.train(optimizer, X, Y, steps=20)
    assert optimizer.t == 20
    assert losses[-1] < 0.9 * losses[0]


class TestSeveralCores:
    """Also where a step has fewer blocks than there are cores, as the last one of an epoch here."""

    @pytest.fixture
    def train(self, compile, monkeypatch):
        def train(n_cores, lr=0.01, **options):
            monkeypatch.setattr(Machine, "cores", lambda self, n_examples: n_cores)
            model = MLP(4, [8, 1], seed=0)
            rng = np.random.default_rng(0)
            X, Y = rng.normal(size=(450, 4)), rng.normal(size=450)
            parameters = model.parameters()
            program = compile(lambda x, y: squared_error(model(x), y) + 1e-2 * l2(parameters), parameters)
            optimizer = Adam(parameters, lr=lr)
            losses = program.train(optimizer, X, Y, epochs=7, batch_size=220, seed=1, **options)
            return losses, [p.data for p in parameters], optimizer.t

        return train

    @pytest.mark.parametrize("n_cores", [2, 3, 5])
    def test_training_gives_the_answer_of_one(self, train, approx, n_cores):
        losses, numbers, t = train(n_cores)
        expected_losses, expected, expected_t = train(1)
        assert losses == approx(expected_losses, rel=1e-12)
        assert numbers == approx(expected, rel=1e-10, size=1.0)
        assert t == expected_t == 21

    def test_the_same_run_gives_the_same_bits(self, train):
        assert train(3) == train(3)

    @pytest.mark.parametrize("n_cores", [2, 3])
    def test_each_shard_of_a_step_is_computed_once(self, train, monkeypatch, n_cores):
        """Each core asks for a free shard until there is none: one question for each, and one in vain."""
        enter, questions = Machine._enter, []

        def watched(self, job, code):
            enter(self, job, code)
            if job.number == 0 and job.mode == TRAIN:
                progress = (ctypes.c_int64 * (job.size + 1)).from_address(job.progress)
                questions.append(progress[job.size] - job.size)

        monkeypatch.setattr(Machine, "_enter", watched)
        train(n_cores)
        in_last_step = 1  # block of examples, of 10 rows
        assert set(questions) == {n_shards(in_last_step, n_cores)}

    def test_an_overflow_stops_all(self, train):
        with pytest.raises(FloatingPointError, match="learning rate"):
            train(3, lr=1e200)

    def test_an_error_in_the_callback_stops_all(self, train):
        def callback(epoch, loss):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(2, callback=callback)
        assert len(train(2)[0]) == 7

    def test_an_error_on_another_core_is_raised_here(self, train, monkeypatch):
        enter = Machine._enter

        def fails_on_the_second(self, job, code):
            if job.number == 1:
                raise MemoryError("none left")
            enter(self, job, code)

        monkeypatch.setattr(Machine, "_enter", fails_on_the_second)
        with pytest.raises(MemoryError, match="none left"):
            train(2)
