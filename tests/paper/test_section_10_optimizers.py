"""§10: optimization algorithms, step by step."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import SGD, Adam, Momentum, RMSProp, Value, dot, grad, mean, squared_error

numbers = st.floats(-5.0, 5.0)
away_from_zero = st.one_of(st.floats(0.1, 5.0), st.floats(-5.0, -0.1))
gradient_lists = st.lists(numbers, min_size=1, max_size=20)
rates = st.floats(0.001, 0.5)
factors = st.floats(0.0, 0.999)


def run(optimizer, gradients):
    """Feed the gradients g₀, g₁, … one a step, and tell θ and the state after each."""
    [theta] = optimizer.params
    history = []
    for g in gradients:
        theta.grad = g
        optimizer.step()
        history.append((theta.data, *(numbers[0] for numbers in optimizer.state.values())))
    return history


def near(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-11)


@given(numbers, gradient_lists, rates)
def test_10_1_eq_1_stochastic_gradient_descent(theta, gradients, eta):
    r"""§10.1 (1): \theta_{t+1} = \theta_t - \eta g_t"""
    history = run(SGD([Value(theta)], lr=eta), gradients)
    for g, (after,) in zip(gradients, history, strict=True):
        theta = theta - eta * g
        assert after == near(theta)


@given(
    st.lists(st.tuples(st.floats(-2.0, 2.0), numbers), min_size=1, max_size=8),
    st.lists(numbers, min_size=2, max_size=2),
)
def test_further_10_1_the_gradient_of_a_minibatch(examples, weights):
    """§10.1, in its words: the gradient estimate g of a minibatch is the mean of its examples' gradients."""
    w = [Value(weight) for weight in weights]
    losses = [squared_error(dot(w, [x, 1.0]), y) for x, y in examples]
    errors = [weights[0] * x + weights[1] - y for x, y in examples]
    expected = [
        sum(e * x for e, (x, _) in zip(errors, examples)) / len(examples),
        sum(errors) / len(examples),
    ]
    assert grad(mean(losses), w) == near(expected)


@given(gradient_lists, rates, factors)
def test_10_2_eq_1_velocity(gradients, eta, mu):
    r"""§10.2 (1): v_{t+1} = \mu v_t - \eta g_t"""
    history = run(Momentum([Value(0.0)], lr=eta, momentum=mu), gradients)
    v = 0.0
    for g, (_, v_after) in zip(gradients, history, strict=True):
        v = mu * v - eta * g
        assert v_after == near(v)


@given(numbers, gradient_lists, rates, factors)
def test_10_2_eq_2_step_by_the_velocity(theta, gradients, eta, mu):
    r"""§10.2 (2): \theta_{t+1} = \theta_t + v_{t+1}"""
    history = run(Momentum([Value(theta)], lr=eta, momentum=mu), gradients)
    v = 0.0
    for g, (after, _) in zip(gradients, history, strict=True):
        v = mu * v - eta * g
        theta = theta + v
        assert after == near(theta)


@given(away_from_zero, rates, factors)
def test_10_2_eq_3_first_velocity(g_0, eta, mu):
    r"""§10.2 (3): v_1 = \mu v_0 - \eta g_0 = -\eta g_0"""
    [(_, v_1)] = run(Momentum([Value(1.0)], lr=eta, momentum=mu), [g_0])
    assert v_1 == near(mu * 0.0 - eta * g_0)
    assert v_1 == near(-eta * g_0)


@given(away_from_zero, away_from_zero, rates, factors)
def test_10_2_eq_4_second_velocity(g_0, g_1, eta, mu):
    r"""§10.2 (4): v_2 = \mu v_1 - \eta g_1 = -\eta(\mu g_0 + g_1)"""
    [(_, v_1), (_, v_2)] = run(Momentum([Value(1.0)], lr=eta, momentum=mu), [g_0, g_1])
    assert v_2 == near(mu * v_1 - eta * g_1)
    assert v_2 == near(-eta * (mu * g_0 + g_1))


@given(gradient_lists, rates, factors)
def test_10_2_eq_5_unrolled_velocity(gradients, eta, mu):
    r"""§10.2 (5): v_t \approx -\eta(g_{t-1} + \mu g_{t-2} + \mu^2 g_{t-3} + \dots)

    With v₀ = 0 the sum ends at g₀, and the two sides are equal.
    """
    history = run(Momentum([Value(0.0)], lr=eta, momentum=mu), gradients)
    for t, (_, v_t) in enumerate(history, start=1):
        weighted_sum = 0.0
        for k in range(t):
            weighted_sum += mu**k * gradients[t - 1 - k]
        assert v_t == near(-eta * weighted_sum)


@given(gradient_lists, rates, factors)
def test_10_3_eq_1_running_average_of_squares(gradients, eta, rho):
    r"""§10.3 (1): s_{t+1} = \rho s_t + (1 - \rho)g_t^2"""
    history = run(RMSProp([Value(0.0)], lr=eta, rho=rho), gradients)
    s = 0.0
    for g, (_, s_after) in zip(gradients, history, strict=True):
        s = rho * s + (1.0 - rho) * g**2
        assert s_after == near(s)


@given(numbers, st.lists(away_from_zero, min_size=1, max_size=10), rates, factors, st.floats(1e-8, 1.0))
def test_10_3_eq_2_rmsprop_step(theta, gradients, eta, rho, eps):
    r"""§10.3 (2): \theta_{t+1} = \theta_t - \frac{\eta}{\sqrt{s_{t+1}} + \epsilon} g_t"""
    history = run(RMSProp([Value(theta)], lr=eta, rho=rho, eps=eps), gradients)
    s = 0.0
    for g, (after, _) in zip(gradients, history, strict=True):
        s = rho * s + (1.0 - rho) * g**2
        theta = theta - eta / (math.sqrt(s) + eps) * g
        assert after == near(theta)


@given(gradient_lists, factors)
def test_10_4_eq_1_moving_average_of_gradients(gradients, beta1):
    r"""§10.4 (1): m_{t+1} = \beta_1 m_t + (1 - \beta_1)g_t"""
    history = run(Adam([Value(0.0)], betas=(beta1, 0.999)), gradients)
    m = 0.0
    for g, (_, m_after, _) in zip(gradients, history, strict=True):
        m = beta1 * m + (1.0 - beta1) * g
        assert m_after == near(m)


@given(gradient_lists, factors)
def test_10_4_eq_2_moving_average_of_squares(gradients, beta2):
    r"""§10.4 (2): v_{t+1} = \beta_2 v_t + (1 - \beta_2)g_t^2"""
    history = run(Adam([Value(0.0)], betas=(0.9, beta2)), gradients)
    v = 0.0
    for g, (_, _, v_after) in zip(gradients, history, strict=True):
        v = beta2 * v + (1.0 - beta2) * g**2
        assert v_after == near(v)


@given(st.lists(away_from_zero, min_size=1, max_size=20), factors)
def test_10_4_eq_3_bias_corrected_average(gradients, beta1):
    r"""§10.4 (3): \hat{m}_{t+1} = \frac{m_{t+1}}{1 - \beta_1^{t+1}}

    With β₂ = 0 and η = 1, v̂ is g², so that a step of θ shows m̂: it is (|g| + ε) times as long.
    """
    eps = 0.5
    history = run(Adam([Value(0.0)], lr=1.0, betas=(beta1, 0.0), eps=eps), gradients)
    theta = 0.0
    for t, (g, (after, m, _)) in enumerate(zip(gradients, history, strict=True)):
        m_hat = (theta - after) * (abs(g) + eps)
        assert m_hat == pytest.approx(m / (1.0 - beta1 ** (t + 1)), rel=1e-9, abs=1e-9)
        theta = after


@given(st.lists(away_from_zero, min_size=1, max_size=20), factors)
def test_10_4_eq_4_bias_corrected_average_of_squares(gradients, beta2):
    r"""§10.4 (4): \hat{v}_{t+1} = \frac{v_{t+1}}{1 - \beta_2^{t+1}}

    With β₁ = 0 and η = 1, m̂ is g, so that a step of θ shows v̂: it is g / (√v̂ + ε) long.
    """
    eps = 0.5
    history = run(Adam([Value(0.0)], lr=1.0, betas=(0.0, beta2), eps=eps), gradients)
    theta = 0.0
    for t, (g, (after, _, v)) in enumerate(zip(gradients, history, strict=True)):
        v_hat = (g / (theta - after) - eps) ** 2
        assert v_hat == pytest.approx(v / (1.0 - beta2 ** (t + 1)), rel=1e-9, abs=1e-9)
        theta = after


@given(
    numbers,
    st.lists(away_from_zero, min_size=1, max_size=20),
    rates,
    factors,
    factors,
    st.floats(1e-8, 1.0),
)
def test_10_4_eq_5_adam_step(theta, gradients, eta, beta1, beta2, eps):
    r"""§10.4 (5): \theta_{t+1} = \theta_t - \eta \frac{\hat{m}_{t+1}}{\sqrt{\hat{v}_{t+1}} + \epsilon}"""
    history = run(Adam([Value(theta)], lr=eta, betas=(beta1, beta2), eps=eps), gradients)
    m = v = 0.0
    for t, (g, (after, _, _)) in enumerate(zip(gradients, history, strict=True)):
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g**2
        m_hat, v_hat = m / (1.0 - beta1 ** (t + 1)), v / (1.0 - beta2 ** (t + 1))
        theta = theta - eta * m_hat / (math.sqrt(v_hat) + eps)
        assert after == near(theta)


@given(away_from_zero, rates, factors, factors, st.integers(1, 30))
def test_further_10_4_constant_gradients_need_no_correction_but_the_zero_start(g, eta, beta1, beta2, steps):
    """§10.4, in its words: corrected, m̂ and v̂ are free of the zeros they start from, so every step is η."""
    history = run(Adam([Value(0.0)], lr=eta, betas=(beta1, beta2), eps=1e-12), [g] * steps)
    for t, (theta, _, _) in enumerate(history, start=1):
        assert theta == pytest.approx(-math.copysign(eta * t, g), rel=1e-6)
