"""§7: backpropagation through any number of layers, in vector form, computed with plain loops."""

import math
import random
from types import SimpleNamespace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from micrograd_mlp import MLP, squared_error

SIGMA = {
    "linear": lambda z: z,
    "sigmoid": lambda z: 1.0 / (1.0 + math.exp(-z)),
    "tanh": lambda z: (math.exp(z) - math.exp(-z)) / (math.exp(z) + math.exp(-z)),
    "relu": lambda z: max(0.0, z),
    "leaky_relu": lambda z: z if z > 0.0 else 0.01 * z,
    "softplus": lambda z: math.log(1.0 + math.exp(z)),
}
SIGMA_PRIME = {
    "linear": lambda z: 1.0,
    "sigmoid": lambda z: math.exp(-z) / (1.0 + math.exp(-z)) ** 2,
    "tanh": lambda z: 4.0 / (math.exp(z) + math.exp(-z)) ** 2,
    "relu": lambda z: 1.0 if z > 0.0 else 0.0,
    "leaky_relu": lambda z: 1.0 if z > 0.0 else 0.01,
    "softplus": lambda z: 1.0 / (1.0 + math.exp(-z)),
}


@st.composite
def networks(draw):
    """A network of L layers with the loss ½‖a⁽ᴸ⁾ - y‖², in floats and by the engine.

    In floats, with the layer ℓ as index (0 is the input): `W b z a sigma y`. By the engine, after the
    backward pass: `nodes` by name, so that nodes["z2[1]"].grad is the engine's δ⁽²⁾₁.
    """
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=8))
    L = len(sizes) - 1
    seed = draw(st.integers(0, 10**6))
    rng = random.Random(seed)
    f = SimpleNamespace(
        L=L,
        layers=range(1, L + 1),
        sigma=[None, *(draw(st.sampled_from(sorted(SIGMA))) for _ in range(L))],
        y=[rng.uniform(-2.0, 2.0) for _ in range(sizes[-1])],
    )
    model = MLP(sizes[0], sizes[1:], activation=f.sigma[1:-1], output_activation=f.sigma[-1], seed=seed)
    for layer in model.layers:
        for neuron in layer.neurons:
            neuron.b.data = rng.uniform(-1.0, 1.0)
    f.W = [None, *([[w.data for w in neuron.w] for neuron in layer.neurons] for layer in model.layers)]
    f.b = [None, *([neuron.b.data for neuron in layer.neurons] for layer in model.layers)]
    f.z, f.a = [None], [[rng.uniform(-2.0, 2.0) for _ in range(sizes[0])]]
    for level in f.layers:
        f.z.append(plus(times(f.W[level], f.a[-1]), f.b[level]))
        f.a.append([SIGMA[f.sigma[level]](z_j) for z_j in f.z[-1]])

    outputs = model(f.a[0])
    loss = squared_error(outputs if isinstance(outputs, list) else [outputs], f.y)
    loss.backward()
    f.nodes = {node.label: node for node in loss.topological_order() if node.label}
    return f


def times(W, v):
    """W v."""
    return [sum(w_jk * v_k for w_jk, v_k in zip(row, v)) for row in W]


def transposed(W):
    return [list(column) for column in zip(*W)]


def plus(u, v):
    return [u_j + v_j for u_j, v_j in zip(u, v)]


def elementwise(u, v):
    """u ⊙ v."""
    return [u_j * v_j for u_j, v_j in zip(u, v)]


def sigma_prime(net, level):
    """σ⁽ˡ⁾'(z⁽ˡ⁾)."""
    return [SIGMA_PRIME[net.sigma[level]](z_j) for z_j in net.z[level]]


def closed_form_deltas(net):
    """δ⁽¹⁾ … δ⁽ᴸ⁾ from equations (2) and (4), the last one first."""
    delta = [None] * (net.L + 1)
    by_output = [a_j - y_j for a_j, y_j in zip(net.a[net.L], net.y)]
    delta[net.L] = elementwise(by_output, sigma_prime(net, net.L))
    for level in range(net.L - 1, 0, -1):
        backwards = times(transposed(net.W[level + 1]), delta[level + 1])
        delta[level] = elementwise(backwards, sigma_prime(net, level))
    return delta


def engine(net, letter, level):
    """∂L/∂z⁽ˡ⁾ or ∂L/∂a⁽ˡ⁾ as the engine's backward pass left it; a linear layer's a is its z."""
    if letter == "a" and net.sigma[level] == "linear":
        letter = "z"
    return [net.nodes[f"{letter}{level}[{j}]"].grad for j in range(1, len(net.z[level]) + 1)]


def near(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(networks(), st.data())
def test_7_eq_1_error_signal(net, data):
    r"""§7 (1): \delta^{(\ell)} = \frac{\partial \mathcal{L}}{\partial z^{(\ell)}}

    Held against the definition of a derivative: move one z⁽ˡ⁾ⱼ a little, and look at the loss.
    """
    level = data.draw(st.sampled_from(net.layers))
    j = data.draw(st.integers(0, len(net.z[level]) - 1))

    def loss_with(shift):
        z = [z_i + (shift if i == j else 0.0) for i, z_i in enumerate(net.z[level])]
        for following in range(level, net.L):
            a = [SIGMA[net.sigma[following]](z_i) for z_i in z]
            z = plus(times(net.W[following + 1], a), net.b[following + 1])
        a = [SIGMA[net.sigma[net.L]](z_i) for z_i in z]
        return 0.5 * sum((a_i - y_i) ** 2 for a_i, y_i in zip(a, net.y))

    h = 1e-5
    left, right = loss_with(0.0) - loss_with(-h), loss_with(h) - loss_with(0.0)
    delta = engine(net, "z", level)[j]
    assume(abs(right - left) < 1e-3 * h)  # no kink of a ReLU in between
    assert delta == pytest.approx((left + right) / (2.0 * h), rel=1e-6, abs=1e-6)


@given(networks())
def test_7_eq_2_output_layer(net):
    r"""§7 (2): \delta^{(L)} = \frac{\partial \mathcal{L}}{\partial a^{(L)}} \odot \sigma^{(L)'}(z^{(L)})"""
    by_output = [a_j - y_j for a_j, y_j in zip(net.a[net.L], net.y)]  # §4.1
    if net.sigma[net.L] != "linear":
        assert engine(net, "a", net.L) == near(by_output)
    assert engine(net, "z", net.L) == near(elementwise(by_output, sigma_prime(net, net.L)))


@given(networks())
def test_7_eq_3_back_through_the_weights(net):
    r"""§7 (3): \frac{\partial \mathcal{L}}{\partial a^{(\ell)}} = (W^{(\ell+1)})^T \delta^{(\ell+1)}"""
    delta = closed_form_deltas(net)
    for level in range(1, net.L):
        if net.sigma[level] != "linear":
            assert engine(net, "a", level) == near(times(transposed(net.W[level + 1]), delta[level + 1]))


@given(networks())
def test_7_eq_4_hidden_layer(net):
    r"""§7 (4): \delta^{(\ell)} = \frac{\partial \mathcal{L}}{\partial z^{(\ell)}} = \frac{\partial
    \mathcal{L}}{\partial a^{(\ell)}} \odot \sigma^{(\ell)'}(z^{(\ell)}) = \left( (W^{(\ell+1)})^T
    \delta^{(\ell+1)} \right) \odot \sigma^{(\ell)'}(z^{(\ell)})
    """
    delta = closed_form_deltas(net)
    for level in range(1, net.L):
        one_step = elementwise(
            times(transposed(net.W[level + 1]), engine(net, "z", level + 1)), sigma_prime(net, level)
        )
        assert engine(net, "z", level) == near(one_step)
        assert engine(net, "z", level) == near(delta[level])


@given(networks())
def test_7_eq_5_parameters(net):
    r"""§7 (5): \begin{aligned} \frac{\partial \mathcal{L}}{\partial W^{(\ell)}} &= \delta^{(\ell)}
    (a^{(\ell-1)})^T \\ \frac{\partial \mathcal{L}}{\partial b^{(\ell)}} &= \delta^{(\ell)}
    \end{aligned}
    """
    delta = closed_form_deltas(net)
    for level in net.layers:
        for j in range(len(net.z[level])):
            for k in range(len(net.a[level - 1])):
                weight = net.nodes[f"W{level}[{j + 1},{k + 1}]"]
                assert weight.grad == near(delta[level][j] * net.a[level - 1][k])
            assert net.nodes[f"b{level}[{j + 1}]"].grad == near(delta[level][j])
