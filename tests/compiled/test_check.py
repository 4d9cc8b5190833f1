"""What a recorded graph cannot hold is refused, and what only looks like it passes."""

import math
import random

import pytest

from micrograd_mlp import (
    MLP,
    SGD,
    Value,
    cross_entropy,
    exp,
    fit,
    floor,
    hinge,
    log,
    logsumexp,
    no_grad,
    ops,
    prod,
    relu,
    softmax,
    squared_error,
    total,
    where,
)

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
from micrograd_mlp import compile  # noqa: E402
from micrograd_mlp.compiled import check  # noqa: E402

random.seed(0)  # dropout draws from the module's own generator
HERE = r"test_check\.py:\d+"


def detached(w, x):
    return w * Value(w.data) * x


def without_graph(w, x):
    with no_grad():
        scale = w * w
    return w * scale * x


def branch_on_a_parameter(w, x):
    return w * x if w.data > 0.5 else 3.0 * w * x


def branch_on_an_input(w, x):
    return w * x if x.data > 0.0 else 3.0 * w * x


def as_an_index(w, x):
    return w * [1.0, 2.0, 3.0][int(x.data) % 3] * x


def dropout(w, x):
    return w * x * (1.0 if random.random() < 0.5 else 2.0) * (1.0 if random.random() < 0.5 else 3.0)


READS = r"reads `\.data` at .*" + HERE
FROZEN = {
    detached: READS,
    without_graph: r"enters no_grad\(\) at .*" + HERE,
    branch_on_a_parameter: READS,
    branch_on_an_input: READS,
    as_an_index: READS,
    dropout: "draws a random number at .*" + HERE,
}


@pytest.mark.parametrize("f", FROZEN, ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [1, 4])
def test_what_would_be_frozen_is_refused_with_the_line(compile, f, n):
    w = Value(1.0)
    with pytest.raises(RuntimeError, match=FROZEN[f]):
        compile(lambda x: f(w, x), [w])([1.0, 1.5, 2.0, 2.5][:n])
    assert w.data == 1.0


@pytest.mark.parametrize(
    "f", [detached, without_graph, branch_on_a_parameter, dropout], ids=lambda f: f.__name__
)
def test_also_without_examples(compile, f):
    w = Value(1.0)
    with pytest.raises(RuntimeError, match=FROZEN[f]):
        compile(lambda: f(w, 2.0), [w])()


@pytest.mark.parametrize("f", [detached, without_graph, branch_on_a_parameter], ids=lambda f: f.__name__)
def test_also_through_fit(f):
    w = Value(1.0)
    with pytest.raises(RuntimeError, match=FROZEN[f]):
        fit(
            lambda x: f(w, x[0]),
            squared_error,
            [[1.0], [2.0]],
            [1.0, 2.0],
            SGD([w], lr=0.1),
            epochs=1,
            compiled=True,
        )


def test_a_branch_that_training_reaches_is_found_when_it_ends(compile):
    w = Value(1.0)

    def f(x):
        return (w - x) ** 2 if w.data < 30.0 else 5.0 * (w - x) ** 2

    program = compile(f, [w])
    with pytest.raises(RuntimeError, match="the parameters after this training"):
        program.train(SGD([w], lr=0.25), [60.0, 60.0], steps=10)


SHIFTS = {
    "logsumexp": lambda z, m: log(total([exp(z_k - m) for z_k in z])) + m,
    "softmax": lambda z, m: exp(z[0] - m) / total([exp(z_k - m) for z_k in z]),
}


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_by_a_maximum_that_cancels_is_right(compile, name):
    w = [Value(0.3), Value(-40.0), Value(25.0)]

    def f(x):
        z = [w_k * x for w_k in w]
        return SHIFTS[name](z, max([z_k.data for z_k in z]))

    program = compile(f, w)
    assert program([1.0, 2.0]) == pytest.approx(sum(f(Value(x)).data for x in (1.0, 2.0)) / 2, rel=1e-12)


@pytest.mark.parametrize(
    "f",
    [
        lambda w, x: exp(30.0 * w * x) - exp(30.0 * w * x + 1e-9),  # cancels to a few digits
        lambda w, x: (1e16 + w * x) - 1e16,
        lambda w, x: floor(0.1 * x + 0.2 * x) + w,  # 0.3 x is a whole number, but for rounding
        lambda w, x: (w * x - w * x) * 1e30,
        lambda w, x: log(relu(w * x)),
    ],
)
def test_rounding_is_not_called_a_branch(compile, f):
    w = Value(0.7)
    program = compile(lambda x: f(w, x), [w])
    program.predict([10.0, 3.0, -1.0, 20.0, 1.0 / 3.0])


@pytest.mark.parametrize("loss", [hinge, squared_error, cross_entropy])
def test_losses_that_check_their_targets(compile, loss):
    model = MLP(2, [3, 3 if loss is cross_entropy else 1], seed=0)
    program = compile(lambda x, y: loss(model(x), y), model.parameters())
    assert math.isfinite(program([[1.0, 2.0]], [1.0]))


def test_softmax_and_logsumexp_pass_at_far_parameters(compile):
    w = [Value(300.0), Value(-200.0), Value(1.0)]
    program = compile(lambda x: logsumexp([w_k * x for w_k in w]) + softmax([w_k * x for w_k in w])[1], w)
    assert program([2.0]) == pytest.approx(600.0)


def test_parameters_are_as_before(compile):
    model = MLP(3, [4, 1], seed=0)
    before = [p.data for p in model.parameters()]
    compile(lambda x, y: squared_error(model(x), y), model.parameters())([[1.0, 2.0, 3.0]], [1.0])
    assert [p.data for p in model.parameters()] == before


def test_no_digit_is_certain_of_what_comes_from_infinity():
    """The function of a kink, here the cosine, raises an error at inf."""
    assert check._passed_on(ops.TABLE["tan"], [math.inf], [1.0], math.nan) == math.inf
    assert check._passed_on(ops.TABLE["tan"], [0.0], [0.5], 0.0) == pytest.approx(math.tan(0.5))


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: where(x * 1e-30, 1.0, 2.0), 1e-30),  # the condition is 0 in float32
        (lambda x: prod([x, x, 1e-30]), 1e20),  # x² is infinite in float32
        (lambda x: total([x, x, -x]), 2e38),
    ],
    ids=["underflow", "overflow of a product", "overflow of a sum"],
)
def test_the_range_of_float32_is_not_called_a_branch(f, x):
    w = Value(1.0)
    compile(lambda x: f(x) + w, [w], dtype="float32").predict([1.0, x])
