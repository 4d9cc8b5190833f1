"""The accuracy of a model, whatever its outputs mean."""

import math

import pytest

from micrograd_mlp import (
    MLP,
    Adam,
    Value,
    accuracy,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    datasets,
    fit,
    hinge,
)
from tests.optional import np

X = [[2.0], [-1.0], [0.5], [-0.1]]
Y = [1, 0, 0, 0]


def trained(output_activation, loss, targets):
    features, y = datasets.moons(40, noise=0.05, seed=0)
    model = MLP(2, [8, 1], activation="tanh", output_activation=output_activation, seed=0)
    fit(model, loss, features, [targets[k] for k in y], Adam(model.parameters(), 0.3), 40)
    return model, features, [targets[k] for k in y]


@pytest.mark.parametrize(
    ("output_activation", "loss", "targets"),
    [
        ("sigmoid", binary_cross_entropy, (0, 1)),
        (None, binary_cross_entropy_with_logits, (0, 1)),
        (None, hinge, (-1, 1)),
        ("tanh", hinge, (-1, 1)),
    ],
)
def test_a_model_that_has_learned_is_right_whatever_it_ends_in(output_activation, loss, targets):
    assert accuracy(*trained(output_activation, loss, targets)) > 0.97


def test_the_largest_of_several_outputs_is_the_class():
    outputs = [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]
    assert accuracy(lambda x: x, outputs, [1, 0, 0]) == pytest.approx(2 / 3)
    assert accuracy(lambda x: x, outputs, [[0, 1], [1, 0], [1, 0]]) == pytest.approx(2 / 3), "one-hot targets"
    assert accuracy(lambda x: x, np.array(outputs), np.array([1, 0, 0])) == pytest.approx(2 / 3)


def test_a_single_output_above_the_threshold_is_class_1():
    assert accuracy(lambda x: x[0], X, Y) == 0.75
    assert accuracy(lambda x: Value(x[0]), X, [1, -1, -1, -1]) == 0.75, "hinge's targets too"
    assert accuracy(lambda x: x[0], X, Y, threshold=0.5) == 1.0
    assert accuracy(lambda x: x[0], X, Y, threshold=-0.2) == 0.5


def test_a_function_that_returns_a_value_shows_its_activation():
    assert accuracy(lambda x: Value(x[0]).sigmoid(), X, Y) == 0.75
    assert accuracy(lambda x: 2.0 * Value(x[0]).sigmoid() - 1.0, X, Y) == 0.75


def test_the_users_own_activation_is_asked_for_its_value_at_0():
    model = MLP(1, [1], output_activation=lambda z: z.sigmoid() + 3.0, seed=0)
    model.layers[0].neurons[0].w[0].data = 1.0
    assert accuracy(model, X, Y) == 0.75


def test_the_activation_that_the_last_neuron_has_now_decides():
    model = MLP(1, [1], output_activation="sigmoid", seed=0)
    model.layers[0].neurons[0].w[0].data = 0.1
    assert accuracy(model, X, [1, 0, 1, 0]) == 1.0
    model.layers[0].neurons[0].activation = "linear"
    assert accuracy(model, X, [1, 0, 1, 0]) == 1.0


def test_outputs_from_0_to_1_of_an_unknown_function_are_not_guessed():
    probabilities = [[0.9], [0.2], [0.4]]
    with pytest.raises(ValueError, match=r"give threshold=0\.5 if they are probabilities"):
        accuracy(lambda x: x[0], probabilities, [1, 0, 0])
    assert accuracy(lambda x: x[0], probabilities, [1, 0, 0], threshold=0.5) == 1.0
    assert accuracy(lambda x: x[0], [[1.0], [0.0], [0.9]], [1, 0, 1]) == 1.0, "either threshold says the same"


@pytest.mark.parametrize(
    ("outputs", "targets", "message"),
    [
        ([[1.0, 2.0, 3.0]], [3], r"Y\[0\] must be a class from 0 to 2, got 3"),
        ([[1.0, 2.0, 3.0]], [0.5], r"Y\[0\] must be a class from 0 to 2, got 0.5"),
        ([[1.0, 2.0, 3.0]], [[0, 1]], r"Y\[0\] must be a class from 0 to 2, got \[0.0, 1.0\]"),
        ([1.0, -1.0], [1, 2], r"Y\[1\] must be 0 or 1, or -1 or 1, for a single output, got 2"),
        ([1.0, -1.0], [[1], [0]], r"Y\[0\] must be 0 or 1, .* got \[1.0\]"),
        ([1.0, math.nan], [1, 0], r"the output for X\[1\] is nan"),
        ([[1.0, math.nan]], [1], r"the output for X\[0\] is nan"),
    ],
)
def test_what_has_no_accuracy(outputs, targets, message):
    with pytest.raises(ValueError, match=message):
        accuracy(lambda x: outputs[int(x[0])], [[float(i)] for i in range(len(outputs))], targets)


def test_a_threshold_is_a_number():
    with pytest.raises(TypeError, match=r"threshold: expected a real number, got '0.5'"):
        accuracy(lambda x: x[0], X, Y, threshold="0.5")
