"""§8: activation functions and their derivatives; and those operations that the paper leaves out."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from micrograd_mlp import (
    Value,
    cos,
    equal,
    exp,
    expm1,
    grad,
    leaky_relu,
    log,
    log1p,
    logsumexp,
    maximum,
    minimum,
    relu,
    sigmoid,
    sin,
    softplus,
    sqrt,
    tanh,
    xlog1py,
    xlogy,
)

# Where 1 - σ(z) and 1 - tanh² keep enough digits to be compared.
moderate = st.floats(-15.0, 15.0)
positive = st.floats(1e-3, 1e3)
numbers = st.floats(-10.0, 10.0)


def slope(f, z):
    """f'(z), by the engine."""
    z = Value(z)
    return grad(f(z), [z])[0]


def slopes(f, *inputs):
    inputs = [Value(x) for x in inputs]
    return grad(f(*inputs), inputs)


def near(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-13)


@given(st.floats(-700.0, 700.0))
def test_8_1_eq_1_sigmoid(z):
    r"""§8.1 (1): \sigma(z) = \frac{1}{1 + e^{-z}}"""
    assert sigmoid(Value(z)).data == pytest.approx(1.0 / (1.0 + math.exp(-z)), rel=1e-12)
    assert (1.0 / (1.0 + exp(-Value(z)))).data == pytest.approx(1.0 / (1.0 + math.exp(-z)), rel=1e-12)


@given(st.floats(-300.0, 300.0))
def test_8_1_eq_2_sigmoid_as_a_power(z):
    r"""§8.1 (2): \sigma(z) = (1 + e^{-z})^{-1}"""
    assert ((1.0 + exp(-Value(z))) ** -1).data == pytest.approx(sigmoid(z), rel=1e-12)
    assert sigmoid(Value(z)).data == pytest.approx((1.0 + math.exp(-z)) ** -1, rel=1e-12)


@given(moderate)
def test_8_1_eq_3_derivative_by_chain_and_power_rule(z):
    r"""§8.1 (3): \sigma'(z) = -1 \cdot (1 + e^{-z})^{-2} \cdot \frac{d}{dz}(1 + e^{-z}) = -(1 +
    e^{-z})^{-2} \cdot (-e^{-z}) = \frac{e^{-z}}{(1 + e^{-z})^2}
    """
    forms = [
        -1.0 * (1.0 + math.exp(-z)) ** -2 * -math.exp(-z),
        -((1.0 + math.exp(-z)) ** -2) * -math.exp(-z),
        math.exp(-z) / (1.0 + math.exp(-z)) ** 2,
    ]
    inner = slope(lambda v: 1.0 + exp(-v), z)  # d/dz (1 + e⁻ᶻ)
    assert inner == near(-math.exp(-z))
    assert slope(lambda u: u**-1, 1.0 + math.exp(-z)) * inner == near(forms[0])
    for form in forms:
        assert slope(sigmoid, z) == near(form)
        assert slope(lambda v: (1.0 + exp(-v)) ** -1, z) == near(form)


@given(moderate)
def test_8_1_eq_4_is_a_slip(z):
    r"""§8.1 (4): \sigma'(z) = \frac{1}{(e^z + 1)^2}

    This equation of the paper is wrong: e⁻ᶻ/(1 + e⁻ᶻ)² times eᶻ/eᶻ twice, once for each factor of the
    denominator, is eᶻ/(eᶻ + 1)². The displayed 1/(eᶻ + 1)² lacks the factor eᶻ, and is right at z = 0
    alone. Nothing that follows in §8.1 uses it, and its conclusion, equation (7), stands.
    """
    displayed = 1.0 / (math.exp(z) + 1.0) ** 2
    corrected = math.exp(z) / (math.exp(z) + 1.0) ** 2
    assert slope(sigmoid, z) == near(corrected)
    assert slope(sigmoid, z) == near(math.exp(z) * displayed)
    assert slope(sigmoid, 0.0) == 0.25 == 1.0 / (math.exp(0.0) + 1.0) ** 2
    assume(abs(z) > 1e-3)
    assert slope(sigmoid, z) != pytest.approx(displayed, rel=1e-4)


@given(moderate)
def test_8_1_eq_5_sigmoid_and_its_complement(z):
    r"""§8.1 (5): \sigma(z) = \frac{1}{1 + e^{-z}}, \quad 1 - \sigma(z) = \frac{e^{-z}}{1 + e^{-z}}"""
    assert sigmoid(Value(z)).data == near(1.0 / (1.0 + math.exp(-z)))
    assert (1.0 - sigmoid(Value(z))).data == near(math.exp(-z) / (1.0 + math.exp(-z)))


@given(moderate)
def test_8_1_eq_6_their_product(z):
    r"""§8.1 (6): \sigma(z)(1 - \sigma(z)) = \frac{1}{1 + e^{-z}} \cdot \frac{e^{-z}}{1 + e^{-z}} =
    \frac{e^{-z}}{(1 + e^{-z})^2}
    """
    s = sigmoid(Value(z))
    product = 1.0 / (1.0 + math.exp(-z)) * (math.exp(-z) / (1.0 + math.exp(-z)))
    assert (s * (1.0 - s)).data == near(product)
    assert (s * (1.0 - s)).data == near(math.exp(-z) / (1.0 + math.exp(-z)) ** 2)


@given(moderate)
def test_8_1_eq_7_derivative_of_sigmoid(z):
    r"""§8.1 (7): \sigma'(z) = \sigma(z)(1 - \sigma(z))"""
    s = 1.0 / (1.0 + math.exp(-z))
    assert slope(sigmoid, z) == near(s * (1.0 - s))


@given(st.floats(-300.0, 300.0))
def test_8_2_eq_1_hyperbolic_tangent(z):
    r"""§8.2 (1): \tanh(z) = \frac{e^z - e^{-z}}{e^z + e^{-z}}"""
    expected = (math.exp(z) - math.exp(-z)) / (math.exp(z) + math.exp(-z))
    v = Value(z)
    assert tanh(v).data == near(expected)
    assert ((exp(v) - exp(-v)) / (exp(v) + exp(-v))).data == near(expected)


@given(moderate)
def test_8_2_eq_2_derivative_of_tanh(z):
    r"""§8.2 (2): \tanh'(z) = 1 - \tanh(z)^2"""
    t = (math.exp(z) - math.exp(-z)) / (math.exp(z) + math.exp(-z))
    assert slope(tanh, z) == near(1.0 - t * t)
    assert slope(lambda v: (exp(v) - exp(-v)) / (exp(v) + exp(-v)), z) == pytest.approx(1.0 - t * t, abs=1e-9)


@given(st.one_of(numbers, st.just(0.0)))
def test_8_3_eq_1_relu(z):
    r"""§8.3 (1): \text{ReLU}(z) = \max(0, z)"""
    assert relu(Value(z)).data == max(0.0, z)
    assert maximum(0.0, Value(z)).data == max(0.0, z)


@given(st.one_of(numbers, st.just(0.0)))
def test_8_3_eq_2_derivative_of_relu(z):
    r"""§8.3 (2): \text{ReLU}'(z) = \begin{cases} 1 & \text{if } z > 0 \\ 0 & \text{if } z \leq 0
    \end{cases}
    """
    assert slope(relu, z) == (1.0 if z > 0.0 else 0.0)


def test_8_3_eq_2_at_zero():
    r"""§8.3 (2): \text{ReLU}'(0) = 0, where a derivative does not exist and the paper chooses."""
    assert slope(relu, 0.0) == 0.0


# Beyond the paper: every other operation of the table, by the same comparison.


@given(moderate, st.floats(-15.0, 15.0))
def test_further_8_exp_and_expm1(z, shift):
    """Beyond the paper: d/dz eᶻ = eᶻ, d/dz (eᶻ - 1) = eᶻ."""
    assert exp(Value(z)).data == near(math.e**z)
    assert slope(exp, z) == near(math.e**z)
    assert expm1(Value(z)).data == pytest.approx(2.0 * math.exp(z / 2.0) * math.sinh(z / 2.0), rel=1e-12)
    assert slope(expm1, z) == near(math.e**z)


@given(positive)
def test_further_8_log_and_log1p(x):
    """Beyond the paper: d/dx log x = 1/x, d/dx log(1 + x) = 1/(1 + x)."""
    assert log(Value(x)).data == near(-math.log(1.0 / x))
    assert slope(log, x) == near(1.0 / x)
    assert log1p(Value(x)).data == near(math.log(1.0 + x))
    assert slope(log1p, x) == near(1.0 / (1.0 + x))
    assert slope(log1p, -x / (1.0 + x)) == near(1.0 + x)  # 1 + x' = 1/(1 + x), below zero too


@given(st.one_of(numbers, st.just(0.0)), positive)
def test_further_8_xlogy_and_xlog1py(x, y):
    """Beyond the paper: x log y has the derivatives log y and x/y; with 1 + y in place of y alike."""
    assert xlogy(Value(x), y).data == near(x * math.log(y))
    assert slopes(xlogy, x, y) == near([math.log(y), x / y])
    assert xlog1py(Value(x), y).data == near(x * math.log(1.0 + y))
    assert slopes(xlog1py, x, y) == near([math.log(1.0 + y), x / (1.0 + y)])


@given(positive)
def test_further_8_square_root(x):
    """Beyond the paper: d/dx √x = 1/(2√x)."""
    assert sqrt(Value(x)).data == near(math.exp(0.5 * math.log(x)))
    assert slope(sqrt, x) == near(0.5 / math.sqrt(x))


@given(numbers)
def test_further_8_sine_and_cosine(x):
    """Beyond the paper: sin' = cos, cos' = -sin."""
    half = math.tan(x / 2.0)
    assume(abs(half) < 1e6)
    sine, cosine = 2.0 * half / (1.0 + half * half), (1.0 - half * half) / (1.0 + half * half)
    assert [sin(Value(x)).data, cos(Value(x)).data] == near([sine, cosine])
    assert [slope(sin, x), slope(cos, x)] == near([cosine, -sine])


@given(numbers, numbers)
def test_further_8_arithmetic(x, y):
    """Beyond the paper: the sum, difference, product and quotient rule."""
    assume(abs(y) > 1e-3)
    v, w = Value(x), Value(y)
    results = [v + w, v - w, v * w, v / w, -v]
    assert [r.data for r in results] == near([x + y, x - y, x * y, x / y, -x])
    by_hand = [[1.0, 1.0], [1.0, -1.0], [y, x], [1.0 / y, -x / y**2], [-1.0, 0.0]]
    assert [grad(r, [v, w]) for r in results] == [near(row) for row in by_hand]


@given(st.floats(0.1, 5.0), st.floats(-4.0, 4.0))
def test_further_8_power(x, y):
    """Beyond the paper: x^y has the derivatives y x^(y-1) and x^y log x."""
    v, w = Value(x), Value(y)
    power = math.exp(y * math.log(x))
    assert (v**w).data == near(power)
    assert grad(v**w, [v, w]) == near([y * power / x, power * math.log(x)])


@given(st.floats(-30.0, 30.0))
def test_further_8_softplus(z):
    """Beyond the paper: softplus(z) = log(1 + eᶻ), softplus' = σ."""
    assert softplus(Value(z)).data == pytest.approx(math.log1p(math.exp(z)), rel=1e-12)
    assert slope(softplus, z) == pytest.approx(1.0 / (1.0 + math.exp(-z)), rel=1e-12)


@given(st.one_of(numbers, st.just(0.0)))
def test_further_8_leaky_relu(z):
    """Beyond the paper: z if z > 0, else 0.01 z, with the derivative 1 or 0.01."""
    assert leaky_relu(Value(z)).data == (z if z > 0.0 else 0.01 * z)
    assert slope(leaky_relu, z) == (1.0 if z > 0.0 else 0.01)


@given(st.one_of(numbers, st.just(0.0)))
def test_further_8_absolute_value(x):
    """Beyond the paper: |x| has the derivative 1 above, -1 below, and by convention 0 at zero."""
    assert abs(Value(x)).data == (x if x >= 0.0 else -x)
    assert slope(abs, x) == (1.0 if x > 0.0 else -1.0 if x < 0.0 else 0.0)


@given(numbers, numbers, st.booleans())
def test_further_8_maximum_and_minimum(x, y, tie):
    """Beyond the paper: the derivative is 1 in the number that is chosen; a tie shares it by half."""
    y = x if tie else y
    x_is_larger = 0.5 if x == y else 1.0 if x > y else 0.0
    assert maximum(Value(x), Value(y)).data == (x if x > y else y)
    assert minimum(Value(x), Value(y)).data == (y if x > y else x)
    assert slopes(maximum, x, y) == [x_is_larger, 1.0 - x_is_larger]
    assert slopes(minimum, x, y) == [1.0 - x_is_larger, x_is_larger]


@given(numbers, numbers, st.booleans())
def test_further_8_equality(x, y, same):
    """Beyond the paper: Iverson's bracket [x = y] is 1 or 0, and flat."""
    y = x if same else y
    assert equal(Value(x), Value(y)).data == (1.0 if x == y else 0.0)
    assert slopes(equal, x, y) == [0.0, 0.0]


@given(st.lists(st.floats(-100.0, 100.0), min_size=1, max_size=6))
def test_further_8_logsumexp(z):
    """Beyond the paper: log Σₖ exp(zₖ) has the derivatives exp(zₖ) / Σⱼ exp(zⱼ)."""
    logits = [Value(z_k) for z_k in z]
    result = logsumexp(logits)
    assert result.data == near(math.log(math.fsum(math.exp(z_k) for z_k in z)))
    whole = math.fsum(math.exp(z_k) for z_k in z)
    assert grad(result, logits) == near([math.exp(z_k) / whole for z_k in z])
