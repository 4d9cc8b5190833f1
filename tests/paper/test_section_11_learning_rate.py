"""§11: the learning rate and convergence on J(θ) = ½aθ²."""

import itertools

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from micrograd_mlp import SGD, Value, dot, grad, max_stable_learning_rate

curvatures = st.floats(0.1, 10.0)
starts = st.one_of(st.floats(0.5, 5.0), st.floats(-5.0, -0.5))
rates_times_curvature = st.floats(0.01, 3.0)  # ηa, on both sides of 2


def J(theta, a):
    return 0.5 * a * theta**2


def descend(theta_0, a, eta, steps):
    """θ₀, θ₁, …: gradient descent by the engine and its optimizer."""
    theta = Value(theta_0)
    optimizer = SGD([theta], lr=eta)
    path = [theta.data]
    for _ in range(steps):
        optimizer.zero_grad()
        J(theta, a).backward()
        optimizer.step()
        path.append(theta.data)
    return path


@given(starts, curvatures)
def test_11_eq_1_quadratic_loss(theta, a):
    r"""§11 (1): J(\theta) = \frac{1}{2}a\theta^2"""
    assert J(Value(theta), a).data == pytest.approx(a * theta * theta / 2.0, rel=1e-12)


@given(starts, curvatures)
def test_11_eq_2_its_derivative(theta, a):
    r"""§11 (2): \frac{dJ}{d\theta} = a\theta"""
    value = Value(theta)
    assert grad(J(value, a), [value])[0] == pytest.approx(a * theta, rel=1e-12)


@given(starts, curvatures, rates_times_curvature)
def test_11_eq_3_one_step(theta, a, eta_a):
    r"""§11 (3): \theta_{t+1} = \theta_t - \eta a \theta_t = (1 - \eta a) \theta_t"""
    eta = eta_a / a
    _, after = descend(theta, a, eta, steps=1)
    assert after == pytest.approx(theta - eta * a * theta, rel=1e-9, abs=1e-12)
    assert after == pytest.approx((1.0 - eta * a) * theta, rel=1e-9, abs=1e-12)


@given(starts, curvatures, rates_times_curvature, st.integers(0, 60))
def test_11_eq_4_solved_recurrence(theta_0, a, eta_a, t):
    r"""§11 (4): \theta_t = (1 - \eta a)^t \theta_0"""
    eta = eta_a / a
    assume(abs(1.0 - eta * a) > 0.01)  # beside η = 1/a the factor itself is mostly rounding
    assert descend(theta_0, a, eta, steps=t)[t] == pytest.approx((1.0 - eta * a) ** t * theta_0, rel=1e-9)


@given(starts, curvatures, rates_times_curvature)
def test_11_eq_5_convergence(theta_0, a, eta_a):
    r"""§11 (5): -1 < 1 - \eta a < 1

    Exactly then every step comes closer to zero.
    """
    eta = eta_a / a
    factor = 1.0 - eta * a
    assume(abs(factor) > 1e-6 and abs(abs(factor) - 1.0) > 1e-6)
    path = descend(theta_0, a, eta, steps=10)
    comes_closer = [abs(after) < abs(before) for before, after in itertools.pairwise(path)]
    assert comes_closer == [abs(factor) < 1.0] * 10


@given(starts, curvatures, st.floats(0.05, 0.95), st.floats(1.05, 1.5))
def test_11_eq_6_three_regimes_around_two_over_a(theta_0, a, below, above):
    r"""§11 (6): 0 < \eta a < 2 \quad \Rightarrow \quad 0 < \eta < \frac{2}{a}

    Below 2/a gradient descent converges, above it diverges, and at 2/a it jumps to and fro for ever.
    """
    converging = descend(theta_0, a, below * 2.0 / a, steps=100)
    assert abs(converging[-1]) < 1e-4 * abs(theta_0)
    diverging = descend(theta_0, a, above * 2.0 / a, steps=100)
    assert abs(diverging[-1]) > 1e4 * abs(theta_0)
    swinging = descend(theta_0, a, 2.0 / a, steps=20)
    assert swinging == pytest.approx([theta_0, -theta_0] * 10 + [theta_0], rel=1e-12)


@given(starts, curvatures, st.floats(0.05, 0.95))
def test_further_11_too_small_is_slow_and_beyond_one_over_a_swings(theta_0, a, fraction):
    """§11, in its words: below 1/a, θ creeps towards zero on its side; between 1/a and 2/a it swings over."""
    creeping = descend(theta_0, a, fraction / a, steps=8)
    swinging = descend(theta_0, a, (1.0 + fraction) / a, steps=8)
    assert all(before * after > 0.0 for before, after in itertools.pairwise(creeping))
    assert all(before * after < 0.0 for before, after in itertools.pairwise(swinging))


@given(st.lists(curvatures, min_size=1, max_size=5), st.floats(0.5, 0.95), st.floats(1.05, 1.5))
@example([10.0, 0.1, 1.0], 0.95, 1.05)
def test_further_11_higher_dimensions(eigenvalues, below, above):
    """§11, in its words: in higher dimensions a is the largest eigenvalue of the Hessian, here ½ Σ aᵢ θᵢ²."""
    theta = [Value(1.0) for _ in eigenvalues]

    def loss():
        return 0.5 * dot([a * t for a, t in zip(eigenvalues, theta)], theta)

    limit = max_stable_learning_rate(loss(), theta)
    assert limit == pytest.approx(2.0 / max(eigenvalues), rel=1e-6)
    for factor, converges in ((below, True), (above, False)):
        for t in theta:
            t.data = 1.0
        optimizer = SGD(theta, lr=factor * limit)
        for _ in range(30):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        sharpest = theta[eigenvalues.index(max(eigenvalues))]
        assert (abs(sharpest.data) < 1.0) is converges
