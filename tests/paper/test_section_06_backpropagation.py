"""§6: backpropagation through a two-layer MLP, derivative by derivative."""

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import MLP, Value, grad, squared_error

numbers = st.floats(-2.0, 2.0)

SIGMA = {
    "sigmoid": lambda z: 1.0 / (1.0 + math.exp(-z)),
    "tanh": lambda z: (math.exp(z) - math.exp(-z)) / (math.exp(z) + math.exp(-z)),
    "relu": lambda z: max(0.0, z),
    "softplus": lambda z: math.log(1.0 + math.exp(z)),
}
SIGMA_PRIME = {
    "sigmoid": lambda z: math.exp(-z) / (1.0 + math.exp(-z)) ** 2,
    "tanh": lambda z: 4.0 / (math.exp(z) + math.exp(-z)) ** 2,
    "relu": lambda z: 1.0 if z > 0.0 else 0.0,
    "softplus": lambda z: 1.0 / (1.0 + math.exp(-z)),
}


def vectors(size):
    return st.lists(numbers, min_size=size, max_size=size)


@st.composite
def two_layer_networks(draw):
    """The network of §6, twice.

    In floats and plain loops, by the paper's closed forms: `W1 b1 W2 b2 x y z1 a1 z2 y_hat delta2
    delta1 sigma_prime`. And by the engine: `loss`, and `nodes` by their names in the graph.
    """
    d, n = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    sigma = draw(st.sampled_from(sorted(SIGMA)))
    f = SimpleNamespace(
        x=draw(vectors(d)),
        y=draw(numbers),
        W1=[draw(vectors(d)) for _ in range(n)],
        b1=draw(vectors(n)),
        W2=draw(vectors(n)),
        b2=draw(numbers),
        neurons=range(n),
        inputs=range(d),
    )
    f.z1 = [sum(f.W1[j][k] * f.x[k] for k in f.inputs) + f.b1[j] for j in f.neurons]
    f.a1 = [SIGMA[sigma](z_j) for z_j in f.z1]
    f.z2 = sum(f.W2[j] * f.a1[j] for j in f.neurons) + f.b2
    f.y_hat = f.z2
    f.sigma_prime = [SIGMA_PRIME[sigma](z_j) for z_j in f.z1]
    f.delta2 = f.y_hat - f.y
    f.delta1 = [f.delta2 * f.W2[j] * f.sigma_prime[j] for j in f.neurons]

    model = MLP(d, [n, 1], activation=sigma, seed=0)
    flat = [number for w_j, b_j in zip(f.W1, f.b1) for number in (*w_j, b_j)] + [*f.W2, f.b2]
    for parameter, number in zip(model.parameters(), flat, strict=True):
        parameter.data = number
    f.prediction = model(f.x)
    f.loss = squared_error(f.prediction, Value(f.y, "y"))
    f.nodes = {node.label: node for node in f.loss.topological_order() if node.label}
    return f


def d(output, *names, of):
    """∂(output)/∂(node of that name), by the engine, for each name."""
    slopes = grad(of.nodes[output] if isinstance(output, str) else output, [of.nodes[name] for name in names])
    return slopes if len(slopes) > 1 else slopes[0]


def each(pattern, indices):
    """The names of a vector's entries; the paper counts from 1."""
    return [pattern.format(k + 1) for k in indices]


def near(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(two_layer_networks())
def test_6_eq_1_hidden_layer(net):
    r"""§6 (1): z_j^{(1)} = \sum_k W_{jk}^{(1)} x_k + b_j^{(1)}, \quad a_j^{(1)} = \sigma(z_j^{(1)})"""
    for j in net.neurons:
        assert net.nodes[f"z1[{j + 1}]"].data == near(net.z1[j])
        assert net.nodes[f"a1[{j + 1}]"].data == near(net.a1[j])


@given(two_layer_networks())
def test_6_eq_2_output_layer(net):
    r"""§6 (2): z^{(2)} = \sum_j W_j^{(2)} a_j^{(1)} + b^{(2)}, \quad \hat{y} = z^{(2)}"""
    assert net.nodes["z2[1]"].data == near(net.z2)
    assert net.prediction is net.nodes["z2[1]"]


@given(two_layer_networks())
def test_6_eq_3_loss(net):
    r"""§6 (3): \ell = \frac{1}{2}(\hat{y} - y)^2"""
    assert net.loss.data == near(0.5 * (net.y_hat - net.y) * (net.y_hat - net.y))


@given(two_layer_networks())
def test_6_1_eq_1_loss_by_output(net):
    r"""§6.1 (1): \frac{\partial \ell}{\partial \hat{y}} = \hat{y} - y"""
    [slope] = grad(net.loss, [net.prediction])
    assert slope == near(net.y_hat - net.y)


@given(two_layer_networks())
def test_6_1_eq_2_loss_by_output_pre_activation(net):
    r"""§6.1 (2): \frac{\partial \ell}{\partial z^{(2)}} = \frac{\partial \ell}{\partial \hat{y}} \cdot
    \frac{\partial \hat{y}}{\partial z^{(2)}} = (\hat{y} - y) \cdot 1 = \hat{y} - y
    """
    [outer], [inner] = grad(net.loss, [net.prediction]), grad(net.prediction, [net.nodes["z2[1]"]])
    assert inner == 1.0
    assert d(net.loss, "z2[1]", of=net) == outer * inner == near(net.y_hat - net.y)


@given(two_layer_networks())
def test_6_1_eq_3_output_error_signal(net):
    r"""§6.1 (3): \delta^{(2)} = \frac{\partial \ell}{\partial z^{(2)}} = \hat{y} - y"""
    net.loss.backward()
    assert net.nodes["z2[1]"].grad == near(net.y_hat - net.y)


@given(two_layer_networks())
def test_6_1_eq_4_output_pre_activation(net):
    r"""§6.1 (4): z^{(2)} = \sum_j W_j^{(2)} a_j^{(1)} + b^{(2)}"""
    a1 = [net.nodes[name].data for name in each("a1[{}]", net.neurons)]
    assert net.nodes["z2[1]"].data == near(sum(net.W2[j] * a1[j] for j in net.neurons) + net.b2)


@given(two_layer_networks())
def test_6_1_eq_5_output_pre_activation_by_its_parameters(net):
    r"""§6.1 (5): \frac{\partial z^{(2)}}{\partial W_j^{(2)}} = a_j^{(1)}, \quad \frac{\partial
    z^{(2)}}{\partial b^{(2)}} = 1
    """
    by_weights = grad(net.nodes["z2[1]"], [net.nodes[name] for name in each("W2[1,{}]", net.neurons)])
    assert by_weights == near(net.a1)
    assert d("z2[1]", "b2[1]", of=net) == 1.0


@given(two_layer_networks())
def test_6_1_eq_6_loss_by_output_weights(net):
    r"""§6.1 (6): \frac{\partial \ell}{\partial W_j^{(2)}} = \frac{\partial \ell}{\partial z^{(2)}} \cdot
    \frac{\partial z^{(2)}}{\partial W_j^{(2)}} = \delta^{(2)} a_j^{(1)}
    """
    net.loss.backward()
    for j in net.neurons:
        weight = f"W2[1,{j + 1}]"
        product = d(net.loss, "z2[1]", of=net) * d("z2[1]", weight, of=net)
        assert net.nodes[weight].grad == near(product)
        assert net.nodes[weight].grad == near(net.delta2 * net.a1[j])


@given(two_layer_networks())
def test_6_1_eq_7_loss_by_output_bias(net):
    r"""§6.1 (7): \frac{\partial \ell}{\partial b^{(2)}} = \frac{\partial \ell}{\partial z^{(2)}} \cdot
    \frac{\partial z^{(2)}}{\partial b^{(2)}} = \delta^{(2)} \cdot 1 = \delta^{(2)}
    """
    net.loss.backward()
    product = d(net.loss, "z2[1]", of=net) * d("z2[1]", "b2[1]", of=net)
    assert net.nodes["b2[1]"].grad == product == near(net.delta2)


@given(two_layer_networks())
def test_6_2_eq_1_chain_rule_through_the_activation(net):
    r"""§6.2 (1): \frac{\partial \ell}{\partial z_j^{(1)}} = \frac{\partial \ell}{\partial a_j^{(1)}} \cdot
    \frac{\partial a_j^{(1)}}{\partial z_j^{(1)}}
    """
    for j in net.neurons:
        a, z = f"a1[{j + 1}]", f"z1[{j + 1}]"
        assert d(net.loss, z, of=net) == near(d(net.loss, a, of=net) * d(a, z, of=net))


@given(two_layer_networks())
def test_6_2_eq_2_output_pre_activation(net):
    r"""§6.2 (2): z^{(2)} = \sum_m W_m^{(2)} a_m^{(1)} + b^{(2)}"""
    assert net.nodes["z2[1]"].data == near(sum(net.W2[m] * net.a1[m] for m in net.neurons) + net.b2)


@given(two_layer_networks())
def test_6_2_eq_3_output_pre_activation_by_hidden_activation(net):
    r"""§6.2 (3): \frac{\partial z^{(2)}}{\partial a_j^{(1)}} = W_j^{(2)}"""
    for j in net.neurons:
        assert d("z2[1]", f"a1[{j + 1}]", of=net) == net.W2[j]


@given(two_layer_networks())
def test_6_2_eq_4_loss_by_hidden_activation(net):
    r"""§6.2 (4): \frac{\partial \ell}{\partial a_j^{(1)}} = \frac{\partial \ell}{\partial z^{(2)}} \cdot
    \frac{\partial z^{(2)}}{\partial a_j^{(1)}} = \delta^{(2)} W_j^{(2)}
    """
    for j in net.neurons:
        a = f"a1[{j + 1}]"
        assert d(net.loss, a, of=net) == near(d(net.loss, "z2[1]", of=net) * d("z2[1]", a, of=net))
        assert d(net.loss, a, of=net) == near(net.delta2 * net.W2[j])


@given(two_layer_networks())
def test_6_2_eq_5_activation_by_pre_activation(net):
    r"""§6.2 (5): \frac{\partial a_j^{(1)}}{\partial z_j^{(1)}} = \sigma'(z_j^{(1)})"""
    for j in net.neurons:
        assert d(f"a1[{j + 1}]", f"z1[{j + 1}]", of=net) == near(net.sigma_prime[j])


@given(two_layer_networks())
def test_6_2_eq_6_hidden_error_signal(net):
    r"""§6.2 (6): \delta_j^{(1)} = \frac{\partial \ell}{\partial z_j^{(1)}} = \delta^{(2)} W_j^{(2)}
    \sigma'(z_j^{(1)})
    """
    net.loss.backward()
    for j in net.neurons:
        assert net.nodes[f"z1[{j + 1}]"].grad == near(net.delta2 * net.W2[j] * net.sigma_prime[j])


@given(two_layer_networks())
def test_6_3_eq_1_hidden_pre_activation(net):
    r"""§6.3 (1): z_j^{(1)} = \sum_k W_{jk}^{(1)} x_k + b_j^{(1)}"""
    z1 = [net.nodes[name].data for name in each("z1[{}]", net.neurons)]
    assert z1 == near([sum(net.W1[j][k] * net.x[k] for k in net.inputs) + net.b1[j] for j in net.neurons])


@given(two_layer_networks())
def test_6_3_eq_2_hidden_pre_activation_by_its_parameters(net):
    r"""§6.3 (2): \frac{\partial z_j^{(1)}}{\partial W_{jk}^{(1)}} = x_k, \quad \frac{\partial
    z_j^{(1)}}{\partial b_j^{(1)}} = 1
    """
    for j in net.neurons:
        for k in net.inputs:
            assert d(f"z1[{j + 1}]", f"W1[{j + 1},{k + 1}]", of=net) == net.x[k]
        assert d(f"z1[{j + 1}]", f"b1[{j + 1}]", of=net) == 1.0


@given(two_layer_networks())
def test_6_3_eq_3_loss_by_hidden_parameters(net):
    r"""§6.3 (3): \begin{aligned} \frac{\partial \ell}{\partial W_{jk}^{(1)}} &= \frac{\partial
    \ell}{\partial z_j^{(1)}} \cdot \frac{\partial z_j^{(1)}}{\partial W_{jk}^{(1)}} = \delta_j^{(1)}
    x_k \\ \frac{\partial \ell}{\partial b_j^{(1)}} &= \frac{\partial \ell}{\partial z_j^{(1)}} \cdot
    \frac{\partial z_j^{(1)}}{\partial b_j^{(1)}} = \delta_j^{(1)} \end{aligned}
    """
    net.loss.backward()
    for j in net.neurons:
        z, b = f"z1[{j + 1}]", f"b1[{j + 1}]"
        for k in net.inputs:
            w = f"W1[{j + 1},{k + 1}]"
            assert net.nodes[w].grad == near(d(net.loss, z, of=net) * d(z, w, of=net))
            assert net.nodes[w].grad == near(net.delta1[j] * net.x[k])
        assert net.nodes[b].grad == near(d(net.loss, z, of=net) * d(z, b, of=net))
        assert net.nodes[b].grad == near(net.delta1[j])
