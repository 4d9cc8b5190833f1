"""§5: gradient descent from the Taylor expansion."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from micrograd_mlp import MLP, SGD, Value, grad, squared_error
from micrograd_mlp.engine.table import TABLE

unit = st.floats(-1.0, 1.0)
N_PARAMETERS = 9  # two inputs, two hidden neurons, one output


def L(theta, x, y):
    """½(ŷ - y)² of a 2-2-1 network with tanh, in floats: the parameters stand neuron by neuron."""
    hidden = [math.tanh(theta[3 * j] * x[0] + theta[3 * j + 1] * x[1] + theta[3 * j + 2]) for j in (0, 1)]
    y_hat = theta[6] * hidden[0] + theta[7] * hidden[1] + theta[8]
    return 0.5 * (y_hat - y) ** 2


def model_at(theta):
    model = MLP(2, [2, 1], activation="tanh", seed=0)
    for parameter, number in zip(model.parameters(), theta, strict=True):
        parameter.data = number
    return model


def gradient(theta, x, y):
    """∇L(θ) by the engine."""
    model = model_at(theta)
    return grad(squared_error(model(x), y), model.parameters())


def plus(theta, delta):
    return [t + d for t, d in zip(theta, delta)]


def scaled(factor, vector):
    return [factor * v for v in vector]


def dot(u, v):
    return math.fsum(a * b for a, b in zip(u, v))


def vectors(size):
    return st.lists(unit, min_size=size, max_size=size)


thetas, examples = vectors(N_PARAMETERS), st.tuples(vectors(2), st.floats(1.0, 2.0))


def assert_halving_quarters(remainder, h):
    """An error of second order, r(h) = c h² + …, is four times r(h/2)."""
    whole, half = remainder(h), remainder(h / 2.0)
    assume(abs(whole) > 0.1 * h * h)  # where c is about 0, the next order shows instead
    assert whole / half == pytest.approx(4.0, rel=0.05)


@given(thetas, examples, vectors(N_PARAMETERS))
def test_5_eq_1_first_order_expansion(theta, example, direction):
    r"""§5 (1): \mathcal{L}(\theta + \Delta\theta) \approx \mathcal{L}(\theta) + \nabla
    \mathcal{L}(\theta)^T \Delta\theta

    Halving Δθ quarters the error, so that the expansion is right to first order.
    """
    slope = dot(gradient(theta, *example), direction)

    def remainder(h):
        return L(plus(theta, scaled(h, direction)), *example) - (L(theta, *example) + h * slope)

    assert_halving_quarters(remainder, h=1e-3)


@given(thetas, examples, vectors(N_PARAMETERS))
def test_5_eq_2_the_step_against_the_gradient(theta, example, direction):
    r"""§5 (2): \Delta\theta = -\eta \nabla \mathcal{L}(\theta)

    Of all steps of that length it is the one that the expansion promises the most of.
    """
    model = model_at(theta)
    optimizer = SGD(model.parameters(), lr=0.125)
    squared_error(model(example[0]), example[1]).backward()
    optimizer.step()
    step = [p.data - t for p, t in zip(model.parameters(), theta)]

    slope = gradient(theta, *example)
    assert step == pytest.approx(scaled(-0.125, slope), abs=1e-15)
    assume(math.hypot(*direction) > 0.0)
    same_length = scaled(math.hypot(*step) / math.hypot(*direction), direction)
    assert dot(slope, step) <= dot(slope, same_length) + 1e-15


@given(thetas, examples)
def test_5_eq_3_what_a_step_gains(theta, example):
    r"""§5 (3): \mathcal{L}(\theta + \Delta\theta) \approx \mathcal{L}(\theta) - \eta \|\nabla
    \mathcal{L}(\theta)\|^2

    Halving η quarters the error; and a small enough η does decrease the loss.
    """
    slope = gradient(theta, *example)

    def remainder(eta):
        after = L(plus(theta, scaled(-eta, slope)), *example)
        return after - (L(theta, *example) - eta * dot(slope, slope))

    assume(dot(slope, slope) > 1e-3)
    assert L(plus(theta, scaled(-1e-3, slope)), *example) < L(theta, *example)
    assert_halving_quarters(remainder, h=1e-3)


@given(st.floats(-5.0, 5.0), st.floats(-5.0, 5.0), st.floats(0.001, 0.3), st.integers(1, 20))
def test_5_eq_4_gradient_descent(u, v, eta, steps):
    r"""§5 (4): \theta_{t+1} = \theta_t - \eta \nabla \mathcal{L}(\theta_t)

    On L(u, v) = ½(u - 1)² + (u + v)², whose gradient is (u - 1 + 2(u + v), 2(u + v)).
    """
    theta = [Value(u), Value(v)]
    optimizer = SGD(theta, lr=eta)
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * (theta[0] - 1.0) ** 2 + (theta[0] + theta[1]) ** 2).backward()
        optimizer.step()
        u, v = u - eta * (u - 1.0 + 2.0 * (u + v)), v - eta * 2.0 * (u + v)
    assert [t.data for t in theta] == pytest.approx([u, v], rel=1e-9, abs=1e-12)


def interval(low, high):
    """A place well inside an op's domain."""
    return st.floats(max(low + 0.5, -2.0), min(high - 0.5, 2.0))


@given(st.sampled_from(sorted(TABLE)), st.data())
def test_further_5_first_order_expansion_of_every_op(name, data):
    """Beyond the paper, (1) for one operation: f(x + Δx) ≈ f(x) + Σᵢ ∂f/∂xᵢ Δxᵢ, to first order."""
    op = TABLE[name]
    n = op.arity or 4  # dot takes two vectors of one length
    domain = op.domain if op.arity else op.domain * n
    x = [data.draw(interval(*each)) for each in domain]
    direction = data.draw(vectors(n))
    h = 1e-3
    assume(op.kink is None or abs(op.kink(*x)) > 0.5)  # the expansion needs a derivative
    inputs = [Value(x_i) for x_i in x]
    slope = dot(grad(op(*inputs), inputs), direction)

    def remainder(h):
        return op(*plus(x, scaled(h, direction))) - (op(*x) + h * slope)

    # Where f is straight the remainder is 0; elsewhere it is c h² with a c below 100 in these places.
    assert abs(remainder(h) - 4.0 * remainder(h / 2.0)) <= 1e3 * h**3 + 1e-13
    assert abs(remainder(h)) <= 100.0 * h**2
