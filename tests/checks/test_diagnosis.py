"""Wrong in which way? Mistakes in a hand-written network are found and named, and nothing else is."""

import math

import numpy as np
import pytest

from micrograd_mlp import gradcheck, primitive

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(7, 4)), RNG.normal(size=(7, 2))
PENALTY = 0.02
PARAMETERS = {
    "W1": RNG.normal(size=(4, 4)),
    "b1": RNG.normal(size=4),
    "W2": RNG.normal(size=(4, 2)),
    "b2": RNG.normal(size=2),
}


def loss(W1, b1, W2, b2):
    a = np.tanh(X @ W1 + b1)
    out = (a * a + a) @ W2 + b2
    return ((out - Y) ** 2).sum() / len(X) + PENALTY / 2 * (W1**2).sum()


def backward(mistake=None):
    """The backward pass of the loss by hand, with one mistake."""

    def gradients(W1, b1, W2, b2):
        z = X @ W1 + b1
        a = np.tanh(z)
        s = a * a + a
        d_out = 2 * (s @ W2 + b2 - Y) / len(X)
        d_out *= {"a mean": len(X), "a half": 0.5, "a sign": -1.0}.get(mistake, 1.0)
        d_s = d_out @ W2.T
        d_a = d_s if mistake == "overwritten" else 2 * a * d_s + d_s
        d_z = d_a * {
            "derivative of sigmoid": a * (1 - a),
            "z for a": 1 - z * z,
            "no activation": 1.0,
            "relu": z > 0,
        }.get(mistake, 1 - a * a)
        dW1 = X.T @ d_z + (0.0 if mistake == "penalty" else PENALTY * W1)
        db1 = {"no sum": d_z, "first example": d_z[0]}.get(mistake, d_z.sum(0))
        dW2 = s.T @ d_out
        dW2 = {
            "transposed": dW2.T,
            "rows": dW2[::-1],
            "columns": dW2[:, ::-1],
            "shifted": dW2[[1, 2, 3, 0]],
            "column order": dW2.ravel(order="F").reshape(dW2.shape),
            "times n": dW2 * len(X),
        }.get(mistake, dW2)
        dW1 = dW1.T if mistake == "transposed, square" else dW1
        return {"W1": dW1, "b1": db1, "W2": dW2, "b2": d_out.sum(0)}

    return gradients


def sentences(mistake):
    report = gradcheck(loss, PARAMETERS, backward(mistake), raise_exception=False)
    assert not report, "the mistake was not found"
    return report.notes


def test_without_a_mistake_it_passes_and_nothing_is_said():
    report = gradcheck(loss, PARAMETERS, backward())
    assert report.notes == ()


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("a mean", "passes through the result of add is right times 7, the batch size: a mean is missing."),
        ("a half", "What the gradient passes through the result of add is right times 1/2."),
        ("a sign", "What the gradient passes through the result of add is right times -1: a sign is wrong."),
        ("times n", "The gradient of W2 is right times 7, the batch size: a mean is missing."),
        ("overwritten", "contributes is missing: a gradient was overwritten where it has to be added."),
        ("derivative of sigmoid", "The derivative of tanh is written as that of sigmoid, a(1 - a)."),
        ("z for a", "written as that of tanh with its input in the place of its output, 1 - z²."),
        ("no activation", "The derivative of tanh is written as that of the identity: it is missing."),
        ("relu", "The derivative of tanh is written as that of relu."),
        ("penalty", "W1 a term is missing: 0.02 times W1 itself, the gradient of a penalty on its squares."),
        ("no sum", "one part for each of 7 examples: a sum over the batch, .sum(0), is missing."),
        ("first example", "Only the first example of the batch counts: a sum over the batch is missing."),
        ("transposed", "The gradient of W2 is transposed."),
        ("transposed, square", "The gradient of W1 is transposed."),
        ("rows", "The rows of the gradient of W2 are in reverse order."),
        ("columns", "The columns of the gradient of W2 are in reverse order."),
        ("shifted", "The rows of the gradient of W2 are in the order 1, 2, 3, 0."),
        ("column order", "the gradient of W2 are in column order (order='F') and not in row order."),
    ],
)  # fmt: skip
def test_a_mistake_is_found_and_named(mistake, sentence):
    [found] = sentences(mistake)
    assert found.endswith(sentence)


def test_all_gradients_by_one_factor_are_one_sentence():
    def f(W, b):
        return float(np.sin(X @ W + b).sum() / 7)

    def gradient(W, b):
        d = np.cos(X @ W + b)
        return X.T @ d, d.sum()

    report = gradcheck(f, [np.ones(4), 0.3], gradient, raise_exception=False)
    assert report.notes == ("The gradients of W, b are right times 7, the batch size: a mean is missing.",)


def test_two_mistakes_at_once_are_two_sentences_and_half_an_explanation_is_none():
    def two(**parameters):
        g = backward("transposed, square")(**parameters)
        return {**g, "b2": 3 * g["b2"]}

    def half(**parameters):
        g = backward("transposed, square")(**parameters)
        return {**g, "b2": g["b2"] + np.array([0.3, 0.7])}

    both = gradcheck(loss, PARAMETERS, two, raise_exception=False).notes
    assert both == ("The gradient of W1 is transposed.", "The gradient of b2 is right times 3.")
    assert gradcheck(loss, PARAMETERS, half, raise_exception=False).notes == ()


@pytest.mark.parametrize(
    "seed", [0, 1, *[pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(2, 10)]]
)
def test_an_error_without_a_pattern_gets_no_name(seed):
    rng = np.random.default_rng(seed)

    def noisy(**parameters):
        return {name: g + 0.1 * rng.normal(size=g.shape) for name, g in backward()(**parameters).items()}

    assert gradcheck(loss, PARAMETERS, noisy(**PARAMETERS), raise_exception=False).notes == ()


def test_sigmoid_written_out_is_an_activation_too():
    def f(w):
        a = 1 / (1 + np.exp(-(X @ w)))
        return ((a - Y[:, 0]) ** 2).sum()

    def gradient(w):
        a = 1 / (1 + np.exp(-(X @ w)))
        return X.T @ (2 * (a - Y[:, 0]) * (1 - a * a))

    [sentence] = gradcheck(f, np.ones(4), gradient, raise_exception=False).notes
    assert sentence.endswith("is written as that of tanh, 1 - a².")


def test_an_array_that_is_used_twice():
    def f(W):  # tied weights
        return (((X @ W) @ W.T - X) ** 2).sum()

    def second_use_alone(W):
        return 2 * ((X @ W) @ W.T - X).T @ (X @ W)

    [sentence] = gradcheck(f, RNG.normal(size=(4, 2)), second_use_alone, raise_exception=False).notes
    assert sentence.startswith("The result of input 0 is used more than once")


def test_a_function_that_compares_and_chooses_is_followed():
    def leaky(w):
        z = X @ w
        return np.where(z > 0.0, z, 0.1 * z).sum()

    assert not gradcheck(leaky, np.ones(4), lambda w: X.sum(0) + 0.1, raise_exception=False)


def test_a_function_that_takes_no_other_arrays_is_checked_all_the_same():
    def f(w):
        if type(w) is not np.ndarray:
            raise KeyError("an array of another type")
        return float((w**3).sum())

    report = gradcheck(f, np.ones(2), lambda w: w**2 + np.array([0.1, 0.3]), raise_exception=False)
    assert not report
    assert report.notes == ()


class TestGraphs:
    def notes(self, op, *inputs):
        return gradcheck(lambda *x: op(*x) + x[0], list(inputs), raise_exception=False).notes

    def test_the_operation_is_named_with_its_factor(self):
        op = primitive(partials=lambda out, x, y: (2.0 * y, x), arity=2, name="times")(lambda x, y: x * y)
        [sentence] = self.notes(op, 0.3, 0.7)
        assert sentence == (
            "The derivative of the operation times by its input 1 is wrong: at 0.3, 0.7 it is 1.4 where its "
            "function has 0.7, right times 2."
        )

    @pytest.mark.parametrize(
        ("partial", "name"),
        [
            (lambda out, x: (1.0 - out * out,), "tanh, 1 - a²"),
            (lambda out, x: (out * (1.0 - out),), None),
            (lambda out, x: (out + 0.1 * x,), ""),
        ],
    )
    def test_the_derivative_of_another_operation_is_named(self, partial, name):
        op = primitive(partials=partial, name="op")(lambda x: 1.0 / (1.0 + math.exp(-x)))
        found = self.notes(op, 0.3)
        if name is None:
            assert found == ()  # it is right
        else:
            assert found[0].startswith("The derivative of the operation op is wrong: at 0.3 it is ")
            assert found[0].endswith(f"as that of {name}." if name else ".")

    def test_right_operations_are_not_named(self):
        assert gradcheck(lambda x: x * 0.0 + math.sin(x.data), [0.7], raise_exception=False).notes == ()
