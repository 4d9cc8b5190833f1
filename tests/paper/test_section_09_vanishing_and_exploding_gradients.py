"""§9: exploding and vanishing gradients, the paper's estimates against what the engine measures."""

import itertools
import math
import random
from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from micrograd_mlp import MLP, Value, clip_grad_norm, layer_gradient_norms, squared_error

SIGMA = {
    "sigmoid": lambda z: 1.0 / (1.0 + math.exp(-z)),
    "tanh": lambda z: (math.exp(z) - math.exp(-z)) / (math.exp(z) + math.exp(-z)),
    "relu": lambda z: max(0.0, z),
}
SIGMA_PRIME = {
    "sigmoid": lambda z: math.exp(-z) / (1.0 + math.exp(-z)) ** 2,
    "tanh": lambda z: 4.0 / (math.exp(z) + math.exp(-z)) ** 2,
    "relu": lambda z: 1.0 if z > 0.0 else 0.0,
}


def network(sigma, width, depth, gain, seed):
    """A network of equal widths, linear at the end, its weights `gain` times the usual ones.

    The layer ℓ is index ℓ. In floats: `W`, and σ' at each z⁽ˡ⁾. By the engine: `delta` and its `norm`.
    """
    model = MLP(width, [width] * depth, activation=sigma, seed=seed)
    rng = random.Random(seed)
    for parameter in model.parameters():
        parameter.data *= gain
    x = [rng.gauss(0.0, 1.0) for _ in range(width)]
    loss = squared_error(model(x), [rng.gauss(0.0, 1.0) for _ in range(width)])
    loss.backward()
    nodes = {node.label: node for node in loss.topological_order() if node.label}
    net = SimpleNamespace(L=depth)
    net.W = [None, *([[w.data for w in neuron.w] for neuron in layer.neurons] for layer in model.layers)]
    net.sigma_prime = [None]
    a = x
    for W in net.W[1:]:
        z = [sum(w * a_k for w, a_k in zip(row, a)) for row in W]
        a = [SIGMA[sigma](z_j) for z_j in z]
        net.sigma_prime.append([SIGMA_PRIME[sigma](z_j) for z_j in z])
    net.delta = [
        None,
        *([nodes[f"z{level}[{j + 1}]"].grad for j in range(width)] for level in range(1, depth + 1)),
    ]
    net.norm = [None, *(layer.dz for layer in layer_gradient_norms(loss, model))]
    return net


def frobenius(W):
    """√(Σ w²): ‖Wᵀδ‖ is never more than that times ‖δ‖."""
    return math.sqrt(sum(w * w for row in W for w in row))


def typical_stretch(W):
    """How much Wᵀ stretches a vector δ on average over its directions: √(Σ w² / rows)."""
    return frobenius(W) / math.sqrt(len(W))


def root_mean_square(numbers):
    return math.sqrt(sum(number * number for number in numbers) / len(numbers))


networks = st.builds(
    network,
    sigma=st.sampled_from(sorted(SIGMA)),
    width=st.integers(1, 6),
    depth=st.integers(2, 6),
    gain=st.floats(0.5, 2.0),
    seed=st.integers(0, 10**6),
)
wide_networks = st.builds(
    network,
    sigma=st.sampled_from(["sigmoid", "tanh"]),
    width=st.just(12),
    depth=st.just(20),
    gain=st.floats(0.5, 2.0),
    seed=st.integers(0, 10**6),
)


def network_of_rotations(angles, stretch, c, y):
    """Layers W = stretch · (a rotation of the plane), with σ(z) = cz: each factor is exactly stretch · c."""
    model = MLP(2, [2] * len(angles), activation=lambda z: c * z, seed=0)
    for layer, angle in zip(model.layers, angles):
        cos, sin = stretch * math.cos(angle), stretch * math.sin(angle)
        for neuron, w in zip(layer.neurons, [(cos, -sin), (sin, cos)]):
            neuron.w[0].data, neuron.w[1].data = w
    return layer_gradient_norms(squared_error(model([0.0, 0.0]), y), model)


@st.composite
def angle_lists(draw, min_layers=2):
    """One angle for each of up to 30 layers."""
    rng = random.Random(draw(st.integers(0, 10**6)))
    return [rng.uniform(0.0, 6.3) for _ in range(draw(st.integers(min_layers, 30)))]


targets = st.tuples(st.floats(0.1, 1.0), st.floats(-1.0, 1.0))


@given(networks)
def test_9_eq_1_error_signals_layer_by_layer(net):
    r"""§9 (1): \delta^{(\ell)} = \left(W^{(\ell+1)}\right)^T \delta^{(\ell+1)} \odot
    \sigma^{(\ell)'}(z^{(\ell)})
    """
    for level in range(1, net.L):
        W, following = net.W[level + 1], net.delta[level + 1]
        for j, slope in enumerate(net.sigma_prime[level]):
            backwards = sum(W[i][j] * following[i] for i in range(len(W)))
            assert net.delta[level][j] == pytest.approx(backwards * slope, rel=1e-9, abs=1e-12)


@given(networks)
def test_9_eq_2_one_factor_is_bounded(net):
    r"""§9 (2): \|\delta^{(\ell)}\| \approx \|W^{(\ell+1)}\| \cdot c_\ell \cdot \|\delta^{(\ell+1)}\|

    With ‖W‖ as the root of the sum of squares, and c as the largest σ', it is an upper bound.
    """
    for level in range(1, net.L):
        estimate = frobenius(net.W[level + 1]) * max(net.sigma_prime[level]) * net.norm[level + 1]
        assert net.norm[level] <= estimate * (1.0 + 1e-12)
        assert net.norm[level] == pytest.approx(math.hypot(*net.delta[level]), rel=1e-12)


@given(angle_lists(), st.floats(0.3, 3.0), st.floats(0.1, 1.0), targets)
def test_9_eq_2_one_factor_where_it_is_exact(angles, stretch, c, y):
    r"""§9 (2): \|\delta^{(\ell)}\| = \|W^{(\ell+1)}\| c \|\delta^{(\ell+1)}\|, with rotations."""
    layers = network_of_rotations(angles, stretch, c, y)
    for layer, following in itertools.pairwise(layers):
        assert layer.dz == pytest.approx(stretch * c * following.dz, rel=1e-9)
        assert layer.factor == pytest.approx(stretch * c, rel=1e-9)


@settings(max_examples=5)
@given(wide_networks)
def test_9_eq_3_product_of_the_factors(net):
    r"""§9 (3): \|\delta^{(1)}\| \approx \left(\prod_{\ell=1}^{L-1} \|W^{(\ell+1)}\| c_\ell\right)
    \|\delta^{(L)}\|

    With ‖W‖ as the stretch of a typical direction, and c as the root mean square of σ', the estimate
    over 20 layers is rough but right: 19 factors, and each is met within 1.5 on average.
    """
    product = 1.0
    for level in range(1, net.L):
        product *= typical_stretch(net.W[level + 1]) * root_mean_square(net.sigma_prime[level])
    measured, estimate = net.norm[1] / net.norm[net.L], product
    assert abs(math.log(measured / estimate)) <= (net.L - 1) * math.log(1.5)


@given(angle_lists(), st.floats(0.3, 3.0), st.floats(0.1, 1.0), targets)
def test_9_eq_3_where_it_is_exact(angles, stretch, c, y):
    r"""§9 (3): \|\delta^{(1)}\| = (\|W\| c)^{L-1} \|\delta^{(L)}\|, where every layer has the same factor."""
    first, *_, last = network_of_rotations(angles, stretch, c, y)
    assert first.dz == pytest.approx((stretch * c) ** (len(angles) - 1) * last.dz, rel=1e-9)


@settings(max_examples=20)
@given(angle_lists(min_layers=20), targets)
def test_further_9_factors_below_one_vanish_and_above_one_explode(angles, y):
    """§9, in its words: factors below 1 make the product tend to zero, factors above 1 make it grow."""
    vanishing = network_of_rotations(angles, stretch=0.5, c=1.0, y=y)
    exploding = network_of_rotations(angles, stretch=2.0, c=1.0, y=y)
    assert vanishing[0].dz < 1e-5 * vanishing[-1].dz
    assert exploding[0].dz > 1e5 * exploding[-1].dz


@settings(max_examples=2)
@given(st.integers(0, 1000))
def test_further_9_initialization_matters(seed):
    """§9, in its words: He's and Xavier's weights keep what a tenth of them, or a sigmoid, lets vanish."""

    def kept(**how):
        net = network(width=12, depth=20, seed=seed, **how)
        return net.norm[1] / net.norm[net.L]

    assert kept(sigma="relu", gain=1.0) > 1e-6  # He
    assert kept(sigma="tanh", gain=1.0) > 1e-6  # Xavier
    assert kept(sigma="tanh", gain=0.1) < 1e-12
    assert kept(sigma="sigmoid", gain=1.0) < 1e-8


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6), st.floats(0.1, 100.0))
def test_further_9_clipping_bounds_the_norm_and_keeps_the_direction(gradient, max_norm):
    """Beyond the paper, against explosion: g becomes g · min(1, max_norm / ‖g‖)."""
    parameters = [Value(0.0) for _ in gradient]
    for parameter, g in zip(parameters, gradient):
        parameter.grad = g
    norm = math.sqrt(sum(g * g for g in gradient))
    assume(norm > 1e-100)
    assert clip_grad_norm(parameters, max_norm) == pytest.approx(norm, rel=1e-12)
    scale = min(1.0, max_norm / norm)
    assert [p.grad for p in parameters] == pytest.approx([scale * g for g in gradient], rel=1e-12)
