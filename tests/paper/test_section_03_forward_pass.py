"""§3: the forward pass of a multilayer perceptron."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import MLP

SIGMA = {
    "linear": lambda z: z,
    "sigmoid": lambda z: 1.0 / (1.0 + math.exp(-z)),
    "tanh": lambda z: (math.exp(z) - math.exp(-z)) / (math.exp(z) + math.exp(-z)),
    "relu": lambda z: max(0.0, z),
}


@st.composite
def networks(draw):
    """An MLP of any depth with a σ of its own in each layer, and an input."""
    n_inputs, *sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=7))
    sigmas = [draw(st.sampled_from(sorted(SIGMA))) for _ in sizes]
    seed = draw(st.integers(0, 10**6))
    model = MLP(n_inputs, sizes, activation=sigmas[:-1], output_activation=sigmas[-1], seed=seed)
    rng = random.Random(seed)
    for layer in model.layers:
        for neuron in layer.neurons:
            neuron.b.data = rng.uniform(-1.0, 1.0)
    return model, draw(st.lists(st.floats(-2.0, 2.0), min_size=n_inputs, max_size=n_inputs))


def outputs_of(model, x):
    y_hat = model(x)
    return y_hat if isinstance(y_hat, list) else [y_hat]


def forward(model, x):
    """z⁽ˡ⁾ and a⁽ˡ⁾ of every layer, from the numbers in the state dict, with plain loops."""
    stored = model.state_dict()
    z, a = [], [x]
    for level, (layer, sigma) in enumerate(zip(model.layers, model.activations), start=1):
        z.append([])
        for j in range(1, len(layer.neurons) + 1):
            z_j = stored[f"b{level}[{j}]"]
            for k, a_k in enumerate(a[-1], start=1):
                z_j += stored[f"W{level}[{j},{k}]"] * a_k
            z[-1].append(z_j)
        a.append([SIGMA[sigma](z_j) for z_j in z[-1]])
    return z, a[1:]


def near(expected):
    return pytest.approx(expected, rel=1e-10, abs=1e-12)


@given(networks())
def test_3_1_eq_1_layer_after_layer(network):
    r"""§3.1 (1): \begin{aligned} z^{(\ell)} &= W^{(\ell)} a^{(\ell-1)} + b^{(\ell)} \\ a^{(\ell)} &=
    \sigma^{(\ell)}(z^{(\ell)}) \end{aligned}
    """
    model, x = network
    recorded = {}
    for y_hat in outputs_of(model, x):
        recorded |= {node.label: node.data for node in y_hat.topological_order() if node.label}
    z, a = forward(model, x)
    for level, sigma in enumerate(model.activations, start=1):
        for j in range(1, len(z[level - 1]) + 1):
            if f"z{level}[{j}]" in recorded:  # the last layer of one output needs every neuron before it
                assert recorded[f"z{level}[{j}]"] == near(z[level - 1][j - 1])
            a_label = f"z{level}[{j}]" if sigma == "linear" else f"a{level}[{j}]"
            assert recorded[a_label] == near(a[level - 1][j - 1])


@given(networks())
def test_3_1_eq_2_output(network):
    r"""§3.1 (2): \hat{y} = a^{(L)}"""
    model, x = network
    _, a = forward(model, x)
    assert [y.data for y in outputs_of(model, x)] == near(a[-1])
