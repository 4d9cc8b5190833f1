"""How a step is cut into shards; matrices that are moved at once; numbers that count as 0."""

import itertools
import math

import pytest

from micrograd_mlp import MLP, SGD, Value, dot, exp, ops, primitive, squared_error, tanh
from micrograd_mlp.optim import Adam, Optimizer, RMSProp

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
from micrograd_mlp.compiled import machine, native  # noqa: E402  (needs the extra)
from micrograd_mlp.compiled.machine import Machine  # noqa: E402  (needs the extra)
from micrograd_mlp.compiled.steps import GRADIENT, MAX_FREE_SHARDS  # noqa: E402
from tests.compiled.shards import first_block, n_shards  # noqa: E402

MANY = (0, 1, 2, 3, 5, 8, 16, 64, 1000)


def lengths_of_shards(n_blocks, size):
    starts = [first_block(shard, n_blocks, size) for shard in range(n_shards(n_blocks, size) + 1)]
    assert starts[0] == 0
    assert starts[-1] == n_blocks
    return [stop - start for start, stop in itertools.pairwise(starts)]


@pytest.mark.parametrize("n_blocks", MANY)
def test_one_thread_takes_all(n_blocks):
    assert lengths_of_shards(n_blocks, 1) == [n_blocks]


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("n_blocks", MANY)
def test_each_thread_has_one_and_some_are_free(n_blocks, size):
    lengths = lengths_of_shards(n_blocks, size)
    own, free = lengths[:size], lengths[size:]
    assert own == [own[0]] * size
    assert all(1 <= length <= max(own[0], 1) for length in free)
    assert len(free) <= size * MAX_FREE_SHARDS


@pytest.mark.parametrize("size", [2, 3, 8])
def test_of_many_a_quarter_is_free(size):
    assert sum(lengths_of_shards(1000, size)[size:]) == pytest.approx(250, abs=size)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_machine_code_cuts_a_step_in_the_same_way(compile, monkeypatch, size):
    """The loss of each shard is kept apart; here it counts the examples in it."""
    monkeypatch.setattr(Machine, "cores", lambda self, n_examples: size)
    w = Value(1.0)
    program = compile(lambda x: w * x, [w])
    program(np.ones(1000))
    [machine] = program._machines.values()
    lanes = machine.lanes
    for n_blocks in (1, 2, 3, 5, 8, 16, 64):
        for n in (lanes * (n_blocks - 1) + 1, lanes * n_blocks):
            program(np.ones(n))
            if n == 1:
                continue  # which is computed without blocks
            lengths = [n * loss for loss in machine._losses[: n_shards(n_blocks, size)].tolist()]
            expected = [lanes * length for length in lengths_of_shards(n_blocks, size)]
            last = max([k for k, length in enumerate(expected) if length])
            expected[last] -= lanes * n_blocks - n
            assert lengths == pytest.approx(expected, rel=1e-12), (n_blocks, n)


# Where a step has few examples, the rule of an optimizer without state moves a matrix in the backward pass.
# The numbers are the same to the last bit.


class Decaying(Optimizer):
    """A step that shrinks, and needs the step's number."""

    @staticmethod
    def rule(theta, g, t, lr):
        return (theta - lr / (1.0 + 0.1 * t) * g,)


def of_a_model(sizes):
    def loss():
        model = MLP(sizes[0], [*sizes[1:], 1], activation="tanh", seed=3)
        return model.parameters(), lambda x, y: squared_error(model(x), y)

    return loss


def weights(m, n):
    rng = np.random.default_rng(m)
    return [[Value(a) for a in row] for row in rng.uniform(-0.3, 0.3, (m, n)).tolist()]


def with_weights_used_elsewhere():
    """A weight of the first layer has a second use; one of the second has a penalty."""
    w, v, u = weights(40, 40), weights(40, 40), weights(48, 40)

    def f(x, y):
        h = [tanh(dot(row, x)) for row in w]
        h = [tanh(dot(row, h)) for row in v]
        output = ops.total([tanh(dot(row, h)) for row in u])
        return squared_error(output, y) + w[3][4] * x[0] + 0.1 * v[2][1] ** 2

    return [p for row in (*w, *v, *u) for p in row], f


def with_one_matrix_twice():
    w = weights(40, 40)

    def f(x, y):
        h = [tanh(dot(row, x)) for row in w]
        return squared_error(ops.total([tanh(dot(row, h)) for row in w]), y)

    return [p for row in w for p in row], f


def with_inputs_in_another_order():
    w, v = weights(48, 40), weights(32, 48)

    def f(x, y):
        h = [tanh(dot(row, x[::-1])) for row in w]
        return squared_error(ops.total([tanh(dot(row, h[::-1])) for row in v]), y)

    return [p for row in (*w, *v) for p in row], f


LOSSES = {
    "three layers": of_a_model([40, 33, 64, 16]),
    "weights used elsewhere": with_weights_used_elsewhere,
    "one matrix twice": with_one_matrix_twice,
    "another order": with_inputs_in_another_order,
}


@pytest.fixture
def trained(compile, monkeypatch):
    """trained(loss, Optimizer, batch, at_once): the losses, the parameters, and how many moved at once."""

    def trained(loss, optimizer, batch, at_once, lr=0.001, callback=None):
        monkeypatch.setattr(machine, "WORTH_MOVING_AT_ONCE", 1 if at_once else 1 << 60)
        monkeypatch.setattr(machine, "WORTH_IT", 1 << 60)  # no unrolled code
        rng = np.random.default_rng(0)
        X, Y = rng.uniform(-1.0, 1.0, (3 * batch + 1, 40)), rng.uniform(-1.0, 1.0, 3 * batch + 1)
        parameters, f = loss()
        program = compile(f, parameters)
        choices = {"epochs": 2, "batch_size": batch, "seed": 0, "callback": callback}
        losses = program.train(optimizer(parameters, lr=lr), X, Y, **choices)
        [compiled] = program._machines.values()
        runs = compiled._runs_of("varying", compiled._is_single(batch))
        return losses, [p.data for p in parameters], runs.n_own

    return trained


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 9, 16])
@pytest.mark.parametrize("optimizer", [SGD, Decaying])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_matrix_that_is_moved_at_once_becomes_the_same(trained, dtype, loss, optimizer, batch):
    *numbers, n_own = trained(LOSSES[loss], optimizer, batch, at_once=True)
    *expected, _ = trained(LOSSES[loss], optimizer, batch, at_once=False)
    assert numbers == expected
    last_layer = 16 if batch == 1 and dtype == "float64" else 0  # it has a single row, of two vectors
    assert (
        n_own
        == {
            "three layers": 33 * 40 + 64 * 33 + 16 * 64 + last_layer,
            "weights used elsewhere": 48 * 40,
            "one matrix twice": 0,
            "another order": 48 * 40 + 32 * 48,
        }[loss]
    )


@pytest.mark.parametrize("what", ["the loss became inf", "a parameter became inf"])
def test_after_inf_a_matrix_that_is_moved_at_once_is_what_it_was(trained, dtype, what):
    parameters, f = with_inputs_in_another_order()
    start, found = [p.data for p in parameters], []
    loss = {
        "the loss became inf": lambda x, y: exp(10.0 * f(x, y)),
        "a parameter became inf": lambda x, y: 100.0 * f(x, y),
    }
    lr = {"the loss became inf": 10.0, "a parameter became inf": float(np.finfo(dtype).max)}
    for at_once in (True, False):
        for p, number in zip(parameters, start):
            p.data = number
        with pytest.raises(FloatingPointError, match=what) as error:
            trained(lambda: (parameters, loss[what]), SGD, 5, at_once, lr=lr[what])
        found.append((str(error.value), [p.data for p in parameters]))
    assert found[0] == found[1]
    assert all(map(math.isfinite, found[0][1]))


@pytest.mark.parametrize("at_once", [True, False])
def test_the_step_in_which_a_matrix_becomes_inf_is_the_last(compile, monkeypatch, dtype, at_once):
    """tanh of inf is 1: the loss is finite in all steps."""
    monkeypatch.setattr(machine, "WORTH_MOVING_AT_ONCE", 1 if at_once else 1 << 60)
    monkeypatch.setattr(machine, "WORTH_IT", 1 << 60)
    w, X = weights(32, 40), np.eye(1, 40)
    parameters = [p for row in w for p in row]
    program = compile(lambda x: ops.total([100.0 * tanh(dot(row, x)) for row in w]), parameters)
    with pytest.raises(FloatingPointError, match="a parameter became inf or nan in step 1,"):
        program.train(SGD(parameters, lr=float(np.finfo(dtype).max)), X, steps=5)


@pytest.mark.parametrize(("optimizer", "name"), [(Adam, "v"), (RMSProp, "s")])
@pytest.mark.parametrize("n", [1, 40], ids=["single numbers", "vectors"])
@pytest.mark.parametrize("steps", [1, 3, 3000], ids=["last", "kernels", "written out"])
def test_a_moment_that_overflows_is_named(compile, dtype, optimizer, name, n, steps):
    """The square of the gradient is infinite: the parameter would never move again, and nobody would know."""
    w, large = [Value(1.0) for _ in range(n)], {"float32": 3e19, "float64": 3e154}[dtype]
    program = compile(lambda x: ops.total([p * x for p in w[:-1]]) + w[-1] * x * large, w)
    rule = optimizer(w, lr=0.1)
    told = f"{name}, which the optimizer keeps .* inf or nan in step 1, .*too large for {dtype}"
    with pytest.raises(FloatingPointError, match=told) as error:
        program.train(rule, [1.0], steps=steps)
    assert ("float64" in str(error.value).partition("for float32")[2]) == (dtype == "float32")
    assert ([p.data for p in w], rule.t, rule.state[name]) == ([1.0] * n, 0, [0.0] * n)


@pytest.mark.parametrize("optimizer", [Adam, RMSProp])
def test_moments_below_that_are_as_they_were(compile, dtype, optimizer):
    """A step has the size of the learning rate, however large the gradient is."""
    w, large = Value(1.0), {"float32": 1e19, "float64": 1e154}[dtype]
    compile(lambda x: w * x, [w]).train(optimizer([w], lr=0.1), [large], steps=1)
    assert w.data == pytest.approx(1.0 - 0.1 * {Adam: 1.0, RMSProp: 0.1**-0.5}[optimizer], rel=1e-6)


def test_an_operation_in_python_moves_no_matrix_at_once(trained):
    """The derivative raises behind the second layer: parameters are those of the step before."""
    found, calls = [], [0]

    def partials(out, z):
        calls[0] += 1
        if len(found) % 2 and calls[0] > 2:  # in the second step of the second epoch
            raise ArithmeticError("no derivative")
        return [1.0]

    @primitive(partials=partials, arity=1)
    def same(z):
        return float(f"{z}")

    def loss():
        w, v = weights(32, 40), weights(31, 32)

        def f(x, y):
            first, *others = [tanh(dot(row, x)) for row in w]
            return squared_error(ops.total([tanh(dot(row, [same(first), *others])) for row in v]), y)

        parameters[:] = [p for row in (*w, *v) for p in row]
        return parameters, f

    def note(*_):
        found.append([p.data for p in parameters])
        calls[0] = 0

    parameters = []
    for at_once in (True, False):
        with pytest.raises(ArithmeticError, match="no derivative"):
            trained(loss, SGD, 2, at_once, callback=note)
        note()
    assert found[:2] == found[2:]
    assert found[0] != found[1]


def test_a_gradient_after_a_training_moves_nothing(compile, monkeypatch):
    monkeypatch.setattr(machine, "WORTH_MOVING_AT_ONCE", 1)
    monkeypatch.setattr(machine, "WORTH_IT", 1 << 60)
    parameters, f = of_a_model([40, 33, 16])()
    program, X, Y = compile(f, parameters), np.ones((4, 40)), np.ones(4)
    program(X, Y)
    job = program._machines[(40,), ()]._job(GRADIENT, 4)
    words = []
    look = lambda *_: words.append(job.step_of_matrix)
    program.train(SGD(parameters, lr=0.01), X, Y, steps=2, callback=look)
    program(X, Y)
    look()
    assert [word != 0 for word in words] == [True, True, False]


# Numbers below the smallest normal one


def is_exact_in_python():
    """Whether this thread still computes with such numbers."""
    return math.prod([2.0**-1060, 0.5]) > 0.0 and float(np.float32(2.0**-140) * np.float32(0.5)) > 0.0


@pytest.mark.parametrize("worth_it", [0, 1 << 60], ids=["written out", "kernels"])
def test_in_a_training_of_float32_they_count_as_zero(compile, monkeypatch, dtype, worth_it):
    """The square is 1e-40, or 1e-310."""
    monkeypatch.setattr(machine, "WORTH_IT", worth_it)
    w, x, scale = Value(1.0), *{"float64": (1e-155, 1e300), "float32": (1e-20, 1e35)}[dtype]
    program = compile(lambda x: w * (x * x * scale), [w])
    loss = program([x])
    assert loss > 0.0
    losses = program.train(SGD([w], lr=0.0), [x], steps=1)
    assert losses == [0.0 if dtype == "float32" and native.target("float").is_x86 else loss]
    assert is_exact_in_python()


@pytest.mark.parametrize("worth_it", [0, 1 << 60], ids=["written out", "kernels"])
def test_after_a_training_that_ends_early_they_count_again(compile, monkeypatch, worth_it):
    monkeypatch.setattr(machine, "WORTH_IT", worth_it)
    w = Value(1.0)
    program = compile(lambda x: (w * x) ** 2, [w])
    with pytest.raises(FloatingPointError):
        program.train(SGD([w], lr=1e3), [1.0, 2.0], steps=100)
    assert is_exact_in_python()


def test_an_operation_in_python_sees_them(compile, dtype):
    """All of a training that calls Python is exact."""

    @primitive(partials=lambda out, z: [1.0], arity=1)
    def same(z):
        seen.append(is_exact_in_python())
        return float(f"{z}")

    seen, w = [], Value(0.5)
    compile(lambda x: same(w * x), [w]).train(SGD([w], lr=0.1), [1.0, 2.0], steps=2)
    assert all(seen)
