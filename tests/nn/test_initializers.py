"""Initial weights have the variance that their names promise (§9)."""

import math
import random
import statistics

import pytest

from micrograd_mlp import MLP
from micrograd_mlp.nn.initializers import INITIALIZERS, initializer

VARIANCE = {
    "xavier": lambda n_in, n_out: 2 / (n_in + n_out),
    "he": lambda n_in, n_out: 2 / n_in,
    "lecun": lambda n_in, n_out: 1 / n_in,
}


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize(("n_in", "n_out"), [(4, 9), (30, 2)])
def test_mean_and_variance(name, n_in, n_out):
    family, shape = name.split("_")
    rng = random.Random(0)
    n = 20_000
    weights = [INITIALIZERS[name](n_in, n_out, rng) for _ in range(n)]
    variance = VARIANCE[family](n_in, n_out)
    assert abs(statistics.fmean(weights)) < 5 * math.sqrt(variance / n)
    assert statistics.pvariance(weights) == pytest.approx(variance, rel=0.05)
    bound = math.sqrt(3 * variance)
    beyond = sum(abs(w) > bound for w in weights) / n
    assert beyond == 0 if shape == "uniform" else 0.05 < beyond < 0.12  # a normal has 8.3% there


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        ("relu", "he_normal"),
        ("leaky_relu", "he_normal"),
        ("silu", "he_normal"),
        ("gelu", "he_normal"),
        ("tanh", "xavier_normal"),
        ("sigmoid", "xavier_normal"),
        ("linear", "xavier_normal"),
        (abs, "xavier_normal"),
    ],
)
def test_auto_is_he_for_the_relu_family_and_xavier_otherwise(activation, name):
    assert initializer("auto", activation) is INITIALIZERS[name]


def test_a_function_of_your_own():
    model = MLP(3, [2, 1], init=lambda n_inputs, n_outputs, rng: n_inputs + 0.1 * n_outputs)
    assert model.layers[0].neurons[1].w[2].data == 3.2
    assert model.layers[1].neurons[0].w[0].data == 2.1


def test_the_layer_sizes_reach_the_initializer():
    model = MLP(200, [50, 1], init="he_uniform", seed=0)
    weights = [w.data for neuron in model.layers[0].neurons for w in neuron.w]
    assert statistics.pvariance(weights) == pytest.approx(2 / 200, rel=0.05)


@pytest.mark.parametrize("name", ["kaiming", "Auto"])
def test_an_unknown_name_says_which_exist(name):
    with pytest.raises(ValueError, match=rf"init must be 'auto', 'xavier_uniform', .* got '{name}'"):
        initializer(name, "relu")
