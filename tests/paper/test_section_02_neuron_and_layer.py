"""§2: from a single neuron to a layer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import MLP, Layer, Neuron, Value, dot, grad, total

numbers = st.floats(-4.0, 4.0)
sigmas = st.sampled_from(["linear", "sigmoid", "tanh", "relu"])

SIGMA = {
    "linear": lambda z: z,
    "sigmoid": lambda z: 1.0 / (1.0 + math.exp(-z)),
    "tanh": lambda z: (math.exp(z) - math.exp(-z)) / (math.exp(z) + math.exp(-z)),
    "relu": lambda z: max(0.0, z),
}


def vectors(size):
    return st.lists(numbers, min_size=size, max_size=size)


@st.composite
def neurons(draw):
    """w, x and b of one neuron."""
    d = draw(st.integers(1, 6))
    return draw(vectors(d)), draw(vectors(d)), draw(numbers)


@st.composite
def layers(draw):
    """W, x and b of n neurons."""
    n, d = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return [draw(vectors(d)) for _ in range(n)], draw(vectors(d)), draw(vectors(n))


def set_neuron(neuron, w, b):
    for parameter, number in zip([*neuron.w, neuron.b], [*w, b], strict=True):
        parameter.data = number


def neuron_of(w, b, sigma="linear"):
    neuron = Neuron(len(w), activation=sigma, seed=0)
    set_neuron(neuron, w, b)
    return neuron


def layer_of(W, b, sigma="linear"):
    layer = Layer(len(W[0]), len(W), activation=sigma, seed=0)
    for neuron, w_j, b_j in zip(layer.neurons, W, b, strict=True):
        set_neuron(neuron, w_j, b_j)
    return layer


def node(output, label):
    """The node of that name in the graph."""
    return next(v for v in output.topological_order() if v.label == label)


def data(values):
    return [v.data for v in values]


def near(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(neurons())
def test_2_1_eq_1_weighted_sum(parts):
    r"""§2.1 (1): z = w_1x_1 + w_2x_2 + \dots + w_dx_d + b"""
    w, x, b = parts
    expected = 0.0
    for k in range(len(w)):
        expected += w[k] * x[k]
    expected += b

    term_by_term = Value(b)
    for w_k, x_k in zip(w, x):
        term_by_term = Value(w_k) * Value(x_k) + term_by_term
    as_one_sum = total([Value(w_k) * x_k for w_k, x_k in zip(w, x)]) + b
    assert neuron_of(w, b)(x).data == near(expected)
    assert term_by_term.data == near(expected)
    assert as_one_sum.data == near(expected)


@given(neurons(), sigmas)
def test_2_1_eq_2_activation(parts, sigma):
    r"""§2.1 (2): a = \sigma(z)"""
    w, x, b = parts
    a = neuron_of(w, b, sigma)(x)
    z = sum(w_k * x_k for w_k, x_k in zip(w, x)) + b
    assert a.data == near(SIGMA[sigma](z))


@given(neurons())
def test_2_2_eq_1_vectors(parts):
    r"""§2.2 (1): x = \begin{bmatrix} x_1 \\ x_2 \\ \vdots \\ x_d \end{bmatrix}, \quad w = \begin{bmatrix}
    w_1 \\ w_2 \\ \vdots \\ w_d \end{bmatrix}
    """
    w, x, b = parts
    model = MLP(len(w), [1], seed=0)
    set_neuron(model.layers[0].neurons[0], w, b)
    y_hat = model(x)
    for k in range(1, len(w) + 1):  # the paper counts from 1
        assert node(y_hat, f"x[{k}]").data == x[k - 1]
        assert node(y_hat, f"W1[1,{k}]").data == w[k - 1]


@given(neurons())
def test_2_2_eq_2_dot_product(parts):
    r"""§2.2 (2): z = w_1x_1 + \dots + w_dx_d = w^T x"""
    w, x, _ = parts
    w_values, x_values = [Value(w_k) for w_k in w], [Value(x_k) for x_k in x]
    z = dot(w_values, x_values)
    assert z.data == near(sum(w_k * x_k for w_k, x_k in zip(w, x)))
    # One node is the same function as the written-out sum: same derivatives in every w_k and x_k.
    assert grad(z, w_values) == x
    assert grad(z, x_values) == w


@given(neurons(), sigmas)
def test_2_2_eq_3_neuron_in_vector_form(parts, sigma):
    r"""§2.2 (3): z = w^T x + b, \quad a = \sigma(z)"""
    w, x, b = parts
    a = neuron_of(w, b, sigma)(x)
    z = node(a, "z1[1]")
    assert z.data == near(sum(w_k * x_k for w_k, x_k in zip(w, x)) + b)
    assert a.data == near(SIGMA[sigma](z.data))


@given(layers())
def test_2_3_eq_1_pre_activation_of_neuron_j(parts):
    r"""§2.3 (1): z_j = \sum_{k=1}^d w_k^{(j)} x_k + b_j"""
    W, x, b = parts
    a = layer_of(W, b, "tanh")(x)
    for j in range(1, len(W) + 1):
        z_j = sum(W[j - 1][k] * x[k] for k in range(len(x))) + b[j - 1]
        assert node(a[j - 1], f"z1[{j}]").data == near(z_j)


@given(layers(), sigmas)
def test_2_3_eq_2_activation_of_neuron_j(parts, sigma):
    r"""§2.3 (2): a_j = \sigma(z_j)"""
    W, x, b = parts
    a = layer_of(W, b, sigma)(x)
    for j in range(1, len(W) + 1):
        assert a[j - 1].data == near(SIGMA[sigma](node(a[j - 1], f"z1[{j}]").data))


@given(layers())
def test_2_3_eq_3_weight_vector_of_neuron_j(parts):
    r"""§2.3 (3): w_j = \begin{bmatrix} w_1^{(j)} \\ w_2^{(j)} \\ \vdots \\ w_d^{(j)} \end{bmatrix}"""
    W, _, b = parts
    layer = layer_of(W, b)
    for w_j, neuron in zip(W, layer.neurons):
        assert data(neuron.w) == w_j


@given(layers())
def test_2_3_eq_4_weight_matrix_is_the_rows(parts):
    r"""§2.3 (4): W = \begin{bmatrix} w_1^T \\ w_2^T \\ \vdots \\ w_n^T \end{bmatrix}"""
    W, x, b = parts
    stored = layer_of(W, b).state_dict()
    n, d = len(W), len(x)
    by_row_and_column = [[stored[f"W1[{j},{k}]"] for k in range(1, d + 1)] for j in range(1, n + 1)]
    assert by_row_and_column == W


@given(layers())
def test_2_3_eq_5_bias_vector(parts):
    r"""§2.3 (5): b = \begin{bmatrix} b_1 \\ b_2 \\ \vdots \\ b_n \end{bmatrix}"""
    W, _, b = parts
    stored = layer_of(W, b).state_dict()
    assert [stored[f"b1[{j}]"] for j in range(1, len(W) + 1)] == b


@given(layers())
def test_2_3_eq_6_matrix_times_vector(parts):
    r"""§2.3 (6): Wx = \begin{bmatrix} w_1^T x \\ w_2^T x \\ \vdots \\ w_n^T x \end{bmatrix} =
    \begin{bmatrix} \sum_k w_k^{(1)} x_k \\ \sum_k w_k^{(2)} x_k \\ \vdots \\ \sum_k w_k^{(n)} x_k
    \end{bmatrix}
    """
    W, x, _ = parts
    without_bias = layer_of(W, [0.0] * len(W))(x)
    row_by_row = [dot([Value(w) for w in w_j], x) for w_j in W]
    written_out = [sum(W[j][k] * x[k] for k in range(len(x))) for j in range(len(W))]
    assert data(without_bias) == near(written_out)
    assert data(row_by_row) == near(written_out)


@given(layers())
def test_2_3_eq_7_adding_the_bias(parts):
    r"""§2.3 (7): Wx + b = \begin{bmatrix} \sum_k w_k^{(1)} x_k + b_1 \\ \sum_k w_k^{(2)} x_k + b_2 \\
    \vdots \\ \sum_k w_k^{(n)} x_k + b_n \end{bmatrix} = \begin{bmatrix} z_1 \\ z_2 \\ \vdots \\ z_n
    \end{bmatrix}
    """
    W, x, b = parts
    z = layer_of(W, b)(x)
    assert [z_j.label for z_j in z] == [f"z1[{j}]" for j in range(1, len(W) + 1)]
    assert data(z) == near([sum(W[j][k] * x[k] for k in range(len(x))) + b[j] for j in range(len(W))])


@given(layers(), st.sampled_from(["sigmoid", "tanh", "relu"]))
def test_2_3_eq_8_activation_is_elementwise(parts, sigma):
    r"""§2.3 (8): a = \sigma(z)"""
    W, x, b = parts
    a = layer_of(W, b, sigma)(x)
    z = [node(a_j, f"z1[{j}]") for j, a_j in enumerate(a, start=1)]
    assert data(a) == near([SIGMA[sigma](z_j.data) for z_j in z])
    for i, z_i in enumerate(z):  # a_j hangs on z_j alone
        assert all(grad(a_j, [z_i]) == [0.0] for j, a_j in enumerate(a) if j != i)


@given(layers(), sigmas)
def test_2_3_eq_9_layer(parts, sigma):
    r"""§2.3 (9): z = Wx + b, \quad a = \sigma(z)"""
    W, x, b = parts
    z = [sum(W[j][k] * x[k] for k in range(len(x))) + b[j] for j in range(len(W))]
    assert data(layer_of(W, b, sigma)(x)) == near([SIGMA[sigma](z_j) for z_j in z])
