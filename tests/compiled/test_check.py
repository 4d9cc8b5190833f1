"""What a recorded graph cannot hold is refused, and what only looks like it passes."""

import math
import random
import re

import pytest

from micrograd_mlp import (
    MLP,
    SGD,
    Value,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    exp,
    fit,
    floor,
    grad,
    hinge,
    log,
    logsumexp,
    no_grad,
    ops,
    primitive,
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
from micrograd_mlp.compiled.machine import Machine  # noqa: E402

random.seed(0)  # dropout draws from the module's own generator
HERE = r"test_check\.py:\d+"


def detached(w, x):
    return w * Value(w.data) * x


def without_graph(w, x):
    with no_grad():
        scale = w * w
    return w * scale * x


def number_alone(w, x):
    return (w * 2.0).data * x


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


@pytest.mark.parametrize("f", [detached, branch_on_a_parameter, number_alone], ids=lambda f: f.__name__)
def test_also_of_values_that_are_no_parameters(compile, f):
    w, c = Value(2.0), Value(1.0)
    with pytest.raises(RuntimeError, match=f"for moved Values that are no parameters,.*{READS}"):
        compile(lambda x: w * f(c, x), [w])([1.0, 2.0])
    assert c.data == 1.0


def test_a_result_that_was_recorded_before_is_old_when_its_leaves_move(compile):
    w, c = Value(2.0), Value(3.0)
    square = c * c
    with pytest.raises(RuntimeError, match="for moved Values that are no parameters,"):
        compile(lambda x: w * x * square, [w])([1.0, 2.0])


def test_values_that_are_no_parameters_may_move_if_the_graph_holds_them(compile):
    w, c = Value(2.0), Value(3.0)
    program = compile(lambda x: w * x * c * Value(2.0), [w])
    assert program([1.0, 2.0]) == 18.0
    c.data = 5.0
    assert program([1.0, 2.0]) == 30.0


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


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("bound", [6.0, -6.0])
def test_a_branch_that_no_example_takes_is_found(compile, n, bound):
    """It would be wrong in a later call, with other examples."""
    w = Value(1.0)
    with pytest.raises(RuntimeError, match=READS):
        compile(lambda x: w * x if (x.data < bound) == (bound > 0.0) else w * bound, [w])([0.5] * n)


@pytest.mark.parametrize("draw", [random.random, np.random.rand], ids=["random", "NumPy"])
def test_a_draw_that_hardly_ever_matters_is_refused(compile, draw):
    w = Value(1.0)
    with pytest.raises(RuntimeError, match=r"f draws a random number.* as an input"):
        compile(lambda x: w * x if draw() < 1.0 else w, [w])([1.0, 2.0])


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
@pytest.mark.filterwarnings("ignore:f gives .*this is rounding, not a branch")
def test_rounding_is_not_called_a_branch(compile, f):
    w = Value(0.7)
    program = compile(lambda x: f(w, x), [w])
    program.predict([10.0, 3.0, -1.0, 20.0, 1.0 / 3.0])


class TestRoundingAsTheCause:
    """Of w·c + w/3 - c·w each order of addition keeps other digits, and none is wrong."""

    @staticmethod
    def cancelling(c, w):
        return total([w * c, w / 3.0, -c * w])

    def test_is_said_once_with_both_numbers_and_the_bound(self, compile):
        w = Value(0.7)
        program = compile(lambda x: self.cancelling(1e16, w * x), [w])
        with pytest.warns(RuntimeWarning) as seen:
            [found, *_] = program.predict([1.5, 2.5, 3.5])
        expected = program.f(Value(1.5)).data
        assert expected != found == pytest.approx(expected, abs=1.0)
        assert len(seen) == 1
        assert f"f gives {expected!r} for row 0, and compiled {float(found)!r}" in str(seen[0].message)
        assert "this is rounding, not a branch" in str(seen[0].message)
        assert float(re.search(r"at most (\S+)\. ", str(seen[0].message))[1]) >= abs(expected - found)
        assert seen[0].filename == __file__

    def test_is_said_without_examples(self, compile):
        w = Value(0.7)
        with pytest.warns(RuntimeWarning, match="for the present parameters, .* this is rounding"):
            compile(lambda: self.cancelling(1e16, w), [w])

    def test_is_said_after_the_training_that_led_there(self, compile):
        w = Value(0.0)
        program = compile(lambda x: (w - x) ** 2 + self.cancelling(exp(40.0 * w), w), [w])
        program([1.0])
        with pytest.warns(RuntimeWarning, match="for the parameters after this training, .* rounding"):
            program.train(SGD([w], lr=0.5), [1.0], steps=1)

    def test_names_the_precision_that_has_more_digits(self):
        w = Value(0.7)
        program = compile(lambda x: w * x + 1e4 - exp(log(w * x + 1e4)), [w], dtype="float32")
        with pytest.warns(RuntimeWarning, match="or use float64"):
            program.predict([1.5, 2.5])

    def test_is_no_news_where_half_of_the_digits_are_left(self):
        w = Value(0.7)
        program = compile(lambda x: self.cancelling(3e7, w * x), [w])
        found, expected = program.predict([1.5])[0], program.f(Value(1.5)).data
        assert 1e-10 < abs(found - expected) < 1e-8

    @pytest.mark.filterwarnings("ignore:f gives .*this is rounding, not a branch")
    def test_is_no_excuse_for_what_is_frozen(self, compile):
        w = Value(0.7)
        program = compile(lambda x: self.cancelling(1e16, w * x) + (0.0 if x.data < 2.0 else 1e14), [w])
        with pytest.raises(RuntimeError, match=READS):
            program.predict([1.5, 2.5, 3.5])


@primitive(partials=lambda out, x: (0.0,))
def undeclared_step(x):
    return 1.0 if x > 0.0 else 0.0


def test_a_step_of_a_users_operation_is_a_step_although_its_record_says_nothing():
    """1e-60 is 0 in float32, where this operation gives another number."""
    w = Value(1.0)
    program = compile(lambda x: undeclared_step(x * 1e-30) + w, [w], dtype="float32")
    with pytest.warns(RuntimeWarning, match="f gives 2.0 for row 1, and compiled 1.0: this is rounding"):
        program.predict([1.0, 1e-30])


@pytest.mark.parametrize("loss", [hinge, squared_error, cross_entropy])
def test_losses_that_check_their_targets(compile, loss):
    model = MLP(2, [3, 3 if loss is cross_entropy else 1], seed=0)
    program = compile(lambda x, y: loss(model(x), y), model.parameters())
    assert math.isfinite(program([[1.0, 2.0]], [1.0]))


def test_softmax_and_logsumexp_pass_at_far_parameters(compile):
    w = [Value(300.0), Value(-200.0), Value(1.0)]
    program = compile(lambda x: logsumexp([w_k * x for w_k in w]) + softmax([w_k * x for w_k in w])[1], w)
    assert program([2.0]) == pytest.approx(600.0)


def test_a_gradient_within_f_is_compared_too(compile):
    """Comparing records nothing, unless f differentiates something itself."""
    w = Value(2.0)
    program = compile(lambda x: grad(w * w * w * x, [w], create_graph=True)[0], [w])
    assert program([1.0, 2.0, 3.0]) == pytest.approx(24.0)
    with pytest.raises(RuntimeError, match=READS):
        compile(lambda x: grad(w * w * x, [w], create_graph=True)[0] * x.data, [w])([1.0, 2.0])


def test_what_a_function_does_not_have_is_not_moved():
    """Each comparison takes a call of f."""

    def moved(f, parameters, example):
        return {point.what for point in check._moved_points(Machine(f, parameters, example))}

    w = Value(1.0)
    assert moved(lambda x: 2.0 * x, [], [1.0]) == {"moved inputs x"}
    assert moved(lambda: w * 2.0, [w], []) == {"moved parameters"}
    assert moved(lambda x, y: w * x - y, [w], [1.0, 2.0]) == {
        "moved parameters", "moved inputs x", "moved inputs y"
    }  # fmt: skip
    assert not check._points_of_others(Machine(lambda x: w * x, [w], [1.0]), lambda x: w * x)


def test_parameters_are_as_before(compile):
    model = MLP(3, [4, 1], seed=0)
    before = [p.data for p in model.parameters()]
    compile(lambda x, y: squared_error(model(x), y), model.parameters())([[1.0, 2.0, 3.0]], [1.0])
    assert [p.data for p in model.parameters()] == before


def test_what_is_never_rounded_has_no_error_of_its_own():
    """Else a step at exactly 0 would make everything after it uncertain."""
    for op, x in [
        ("floor", [0.0]),
        ("minimum", [0.0, 0.5]),
        ("where", [0.0, 1.0, 2.0]),
        ("clip", [0.1, 0.0, 1.0]),
    ]:
        y = ops.TABLE[op](*x)
        assert (
            check._error_of_operation(ops.TABLE[op], x, [0.0] * len(x), y, check.PRECISIONS["float64"]) == 0.0
        )


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "wrong"),
    [
        (hinge, 1, [-1.0, 1.0], 0.0),
        (hinge, 1, [-1.0, 1.0], 0.5),
        (binary_cross_entropy, 1, [0.0, 1.0, 0.3], 1.5),
        (binary_cross_entropy, 1, [0.0, 1.0, 0.3], -0.25),
        (binary_cross_entropy_with_logits, 1, [0.0, 1.0, 0.3], 2.0),
        (cross_entropy, 2, [0.0, 1.0], 0.5),
        (cross_entropy, 3, [[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]], [0.2, 0.3, 0.4]),
        (cross_entropy, 3, [[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]], [0.6, -0.1, 0.5]),
    ],
)
def test_a_target_that_a_loss_refuses_makes_it_nan_in_whichever_row_and_call(
    compile, loss, outputs, targets, wrong
):
    model = MLP(2, [outputs], output_activation="sigmoid" if loss is binary_cross_entropy else None, seed=0)
    program = compile(lambda x, y: loss(model(x), y), model.parameters())
    n = 12
    X, Y = [[0.1 * k, 0.5] for k in range(n)], [targets[k % len(targets)] for k in range(n)]
    assert program(X, Y) == pytest.approx(sum(loss(model(x), y).data for x, y in zip(X, Y)) / n, rel=1e-5)
    for row in (0, 7):
        assert math.isnan(program(X, [wrong if k == row else y for k, y in enumerate(Y)]))


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
        (lambda x: 1e20 * (1e30 * (x * x - 0.49)), 0.7),  # 1e50 times what float32 rounds off
    ],
    ids=["underflow", "overflow of a product", "overflow of a sum", "overflow of an error"],
)
@pytest.mark.filterwarnings("ignore:f gives .*this is rounding, not a branch")
def test_the_range_of_float32_is_not_called_a_branch(f, x):
    w = Value(1.0)
    compile(lambda x: f(x) + w, [w], dtype="float32").predict([1.0, x])


def test_a_function_that_refuses_moved_numbers_is_compiled(compile):
    """They say nothing then: only the numbers that Values have must be computed."""
    w = Value(2.0)

    def square_of_two(x):
        if w.data != 2.0:
            raise ValueError("w is not 2")
        return x * w * w

    assert compile(square_of_two, [w])([3.0, 4.0]) == 14.0
