"""§4: loss functions and their derivatives."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from micrograd_mlp import (
    Value,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    grad,
    hinge,
    l2,
    mean,
    softmax,
    squared_error,
)

numbers = st.floats(-10.0, 10.0)
probabilities = st.floats(1e-6, 1.0 - 1e-6)
targets = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0))
moderate_logits = st.floats(-15.0, 15.0)
all_logits = st.one_of(st.floats(-1e4, 1e4), st.sampled_from([-1e4, 0.0, 1e4]))


def near(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-12)


def sigma(z):
    """1 / (1 + e⁻ᶻ); for z < 0 with both sides times eᶻ, which keeps it finite."""
    return 1.0 / (1.0 + math.exp(-z)) if z >= 0.0 else math.exp(z) / (1.0 + math.exp(z))


@given(numbers, numbers)
def test_4_1_eq_1_squared_error(y_hat, y):
    r"""§4.1 (1): \ell = \frac{1}{2}(\hat{y} - y)^2"""
    assert squared_error(Value(y_hat), y).data == near(0.5 * (y_hat - y) * (y_hat - y))


@given(numbers, numbers)
def test_4_1_eq_2_its_derivative(y_hat, y):
    r"""§4.1 (2): \frac{\partial \ell}{\partial \hat{y}} = \frac{1}{2} \cdot 2(\hat{y} - y) = \hat{y} - y"""
    prediction, target = Value(y_hat), Value(y)
    slope, slope_in_y = grad(squared_error(prediction, target), [prediction, target])
    assert slope == near(0.5 * 2.0 * (y_hat - y))
    assert slope == near(y_hat - y)
    assert slope_in_y == near(y - y_hat)


@given(probabilities, targets)
def test_4_2_eq_1_binary_cross_entropy(y_hat, y):
    r"""§4.2 (1): \ell = -[y \log \hat{y} + (1 - y) \log(1 - \hat{y})]"""
    expected = -(y * math.log(y_hat) + (1.0 - y) * math.log(1.0 - y_hat))
    p = Value(y_hat)
    assert binary_cross_entropy(p, y).data == near(expected)
    assert (-(y * p.log() + (1.0 - y) * (1.0 - p).log())).data == near(expected)


@given(probabilities, targets)
def test_4_2_eq_2_its_derivative(y_hat, y):
    r"""§4.2 (2): \frac{\partial \ell}{\partial \hat{y}} = - \left[ y \cdot \frac{1}{\hat{y}} + (1 - y)
    \cdot \frac{-1}{1 - \hat{y}} \right] = - \left[ \frac{y}{\hat{y}} - \frac{1 - y}{1 - \hat{y}}
    \right] = \frac{\hat{y} - y}{\hat{y}(1 - \hat{y})}
    """
    p = Value(y_hat)
    as_displayed = -(y * p.log() + (1.0 - y) * (1.0 - p).log())
    forms = [
        -(y * (1.0 / y_hat) + (1.0 - y) * (-1.0 / (1.0 - y_hat))),
        -(y / y_hat - (1.0 - y) / (1.0 - y_hat)),
        (y_hat - y) / (y_hat * (1.0 - y_hat)),
    ]
    for loss in (binary_cross_entropy(p, y), as_displayed):
        [slope] = grad(loss, [p])
        for form in forms:
            assert slope == pytest.approx(form, rel=1e-9, abs=1e-9)  # the forms cancel near ŷ = y


@given(st.floats(-700.0, 700.0))
def test_4_2_eq_3_sigmoid(z):
    r"""§4.2 (3): \sigma(z) = \frac{1}{1 + e^{-z}}"""
    logit = Value(z)
    expected = 1.0 / (1.0 + math.exp(-z))
    assert logit.sigmoid().data == pytest.approx(expected, rel=1e-12)
    assert (1.0 / (1.0 + (-logit).exp())).data == pytest.approx(expected, rel=1e-12)


@given(moderate_logits)
def test_4_2_eq_4_its_derivative(z):
    r"""§4.2 (4): \sigma'(z) = \sigma(z)(1 - \sigma(z)) = \hat{y}(1 - \hat{y})"""
    logit = Value(z)
    y_hat = 1.0 / (1.0 + math.exp(-z))
    assert grad(logit.sigmoid(), [logit])[0] == near(y_hat * (1.0 - y_hat))


@given(moderate_logits, targets)
def test_4_2_eq_5_chain_rule(z, y):
    r"""§4.2 (5): \frac{\partial \ell}{\partial z} = \frac{\partial \ell}{\partial \hat{y}} \cdot
    \frac{\partial \hat{y}}{\partial z} = \frac{\hat{y} - y}{\hat{y}(1 - \hat{y})} \cdot \hat{y}(1 -
    \hat{y}) = \hat{y} - y
    """
    logit = Value(z)
    prediction = logit.sigmoid()
    loss = binary_cross_entropy(prediction, y)
    [by_the_engine] = grad(loss, [logit])
    [outer], [inner] = grad(loss, [prediction]), grad(prediction, [logit])
    y_hat = 1.0 / (1.0 + math.exp(-z))
    assert outer == pytest.approx((y_hat - y) / (y_hat * (1.0 - y_hat)), rel=1e-6, abs=1e-6)
    assert inner == near(y_hat * (1.0 - y_hat))
    assert by_the_engine == near(outer * inner)
    assert by_the_engine == near(y_hat - y)


@given(all_logits, targets)
def test_4_2_eq_5_holds_for_logits_of_any_size(z, y):
    r"""§4.2 (5): \partial \ell / \partial z = \hat{y} - y, from the logit itself, at logits up to ±10⁴."""
    logit, target = Value(z), Value(y)
    loss = binary_cross_entropy_with_logits(logit, y)
    # log(1 + eᶻ) - yz, with the z of a large eᶻ taken out of the logarithm
    assert loss.data == near(max(z, 0.0) + math.log1p(math.exp(-abs(z))) - y * z)
    assert grad(loss, [logit])[0] == near(sigma(z) - y)
    assert grad(binary_cross_entropy_with_logits(logit, target), [target])[0] == near(-z)


@given(moderate_logits, targets)
def test_further_4_2_both_forms_of_binary_cross_entropy_agree(z, y):
    """Beyond the paper, from (1) and (3): -[y log σ(z) + (1 - y) log(1 - σ(z))] = log(1 + eᶻ) - yz."""
    p, target = Value(sigma(z)), Value(y)
    loss = binary_cross_entropy(p, target)
    assert loss.data == pytest.approx(binary_cross_entropy_with_logits(z, y), rel=1e-8, abs=1e-9)
    # The loss is linear in y: its slope there is log(1 - ŷ) - log ŷ = -z.
    assert grad(loss, [target])[0] == pytest.approx(-z, rel=1e-8, abs=1e-8)


@given(st.sampled_from([0.0, 1.0]))
def test_further_4_2_a_certain_and_right_prediction_costs_nothing(y):
    """Beyond the paper: 0 log 0 = 0, the limit of x log x."""
    p = Value(y)
    assert binary_cross_entropy(p, y).data == 0.0


@st.composite
def classifications(draw):
    """Logits, and a probability for each class."""
    n = draw(st.integers(1, 5))
    z = draw(st.lists(all_logits, min_size=n, max_size=n))
    weights = draw(st.lists(st.floats(0.01, 1.0), min_size=n, max_size=n))
    return z, [weight / sum(weights) for weight in weights]


def softmax_by_loops(z):
    powers = [math.exp(z_k - max(z)) for z_k in z]
    return [power / sum(powers) for power in powers]


@given(classifications())
def test_further_4_2_cross_entropy_of_several_classes(parts):
    """Beyond the paper, (5) for several classes: ∂ℓ/∂zₖ = ŷₖ - yₖ with ŷ = softmax(z)."""
    z, y = parts
    logits = [Value(z_k) for z_k in z]
    y_hat = softmax_by_loops(z)
    loss = cross_entropy(logits, y)
    log_sum = max(z) + math.log(sum(math.exp(z_k - max(z)) for z_k in z))
    assert loss.data == near(sum(y_k * (log_sum - z_k) for y_k, z_k in zip(y, z)))
    assert grad(loss, logits) == near([p_k - y_k for p_k, y_k in zip(y_hat, y)])


@given(classifications(), st.data())
def test_further_4_2_cross_entropy_of_a_class_index(parts, data):
    """Beyond the paper: with the index c of the right class, ∂ℓ/∂zₖ = ŷₖ - [k = c]."""
    z, _ = parts
    c = data.draw(st.integers(0, len(z) - 1))
    logits = [Value(z_k) for z_k in z]
    one_hot = [1.0 if k == c else 0.0 for k in range(len(z))]
    expected = [p_k - y_k for p_k, y_k in zip(softmax_by_loops(z), one_hot)]
    log_sum = max(z) + math.log(sum(math.exp(z_k - max(z)) for z_k in z))
    for target in (c, Value(float(c))):  # a number, and a node of the graph
        loss = cross_entropy(logits, target)
        assert loss.data == near(log_sum - z[c])
        assert grad(loss, logits) == near(expected)


@given(classifications(), st.data())
def test_further_4_2_softmax(parts, data):
    """Beyond the paper: ŷₖ = exp(zₖ) / Σⱼ exp(zⱼ), ∂ŷₖ/∂zⱼ = ŷₖ([k = j] - ŷⱼ)."""
    z, _ = parts
    logits = [Value(z_k) for z_k in z]
    y_hat, expected = softmax(logits), softmax_by_loops(z)
    assert [p.data for p in y_hat] == near(expected)
    k = data.draw(st.integers(0, len(z) - 1))
    row = [expected[k] * ((1.0 if k == j else 0.0) - expected[j]) for j in range(len(z))]
    assert grad(y_hat[k], logits) == near(row)


@given(numbers, st.sampled_from([-1.0, 1.0]))
def test_further_4_hinge(score, y):
    """Beyond the paper: max(0, 1 - y·score), with the derivative -y below the margin, else 0."""
    assume(y * score != 1.0)
    s = Value(score)
    loss = hinge(s, y)
    assert loss.data == near(max(0.0, 1.0 - y * score))
    assert grad(loss, [s]) == [-y if y * score < 1.0 else 0.0]


@given(st.lists(numbers, min_size=1, max_size=6))
def test_further_4_squared_length_of_the_parameters(theta):
    """Beyond the paper: Σ θ², with the derivatives 2θ."""
    values = [Value(t) for t in theta]
    penalty = l2(values)
    assert penalty.data == near(sum(t * t for t in theta))
    assert grad(penalty, values) == near([2.0 * t for t in theta])


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6))
def test_further_4_loss_of_several_examples_and_outputs(pairs):
    """Beyond the paper: a batch's loss is the mean over examples, that of several outputs their sum."""
    outputs, ys = [Value(y_hat) for y_hat, _ in pairs], [y for _, y in pairs]
    expected = sum(0.5 * (y_hat - y) ** 2 for y_hat, y in pairs)
    summed = squared_error(outputs, ys)
    averaged = mean([squared_error(y_hat, y) for y_hat, y in zip(outputs, ys)])
    assert summed.data == near(expected)
    assert averaged.data == near(expected / len(pairs))
    assert grad(summed, outputs) == near([y_hat - y for y_hat, y in pairs])
    assert grad(averaged, outputs) == near([(y_hat - y) / len(pairs) for y_hat, y in pairs])
