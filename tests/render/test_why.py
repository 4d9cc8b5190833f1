"""`why`: the reason of a gradient that is zero, tiny, huge or nan."""

import math

import pytest

from micrograd_mlp import (
    MLP,
    Value,
    exp,
    grad,
    log,
    maximum,
    no_grad,
    primitive,
    sqrt,
    squared_error,
    total,
    why,
)


def labelled(label, value):
    value.label = label
    return value


# Zero


def test_a_dead_neuron_passes_nothing_on():
    z = Value(-0.8, "z")
    a = labelled("a1[3]", z.relu())
    loss = a * 2.0 + a
    assert why(loss, z) == "z: 0, since a1[3] = ReLU(-0.8) passes nothing on any of its 2 paths"
    assert grad(loss, [z]) == [0.0]


def test_in_a_network_the_neuron_is_named():
    model = MLP(2, [3, 1], activation="relu", seed=0)
    neuron = model.layers[0].neurons[2]
    neuron.b.data = -100.0
    loss = squared_error(model([0.5, -0.25]), 1.0)
    text = why(loss, neuron.w[0])
    assert text.startswith("W1[3,1]: 0, since a1[3] = ReLU(-100.")
    assert text.endswith("passes nothing on its one path")


def test_several_operations_can_share_the_blame():
    x = Value(-1.0, "x")
    left, right = labelled("left", x.relu()), labelled("right", maximum(x, 0.5))
    assert why(left + right + left, x).splitlines() == [
        "x: 0, since a factor of 0 stands on each of its 3 paths:",
        "  left = ReLU(-1) passes nothing, ∂left/∂x = 0 (2 of them)",
        "  right = max(-1, 0.5) passes nothing, ∂right/∂x = 0 (1 of them)",
    ]


def test_a_factor_of_zero_in_a_product():
    w, x = Value(0.5, "w"), Value(0.0, "x")
    assert why(labelled("y", w * x), w) == "w: 0, since y = 0.5 · 0 passes nothing on its one path"


def test_no_path():
    x, other = Value(1.0, "x"), Value(2.0, "other")
    y = labelled("y", x * 2.0)
    assert why(y, other) == "other: 0, since y does not depend on it: there is no path"


def test_paths_that_cancel_to_zero():
    x = Value(3.0, "x")
    y = labelled("y", x * 4.0 - x * 4.0)
    assert why(y, x) == "x: 0, since its 2 paths cancel: their products are 4, -4"


def test_a_product_too_small_for_a_float():
    y = x = Value(1.0, "x")
    for _ in range(5):
        y = y * 1e-80
    assert grad(y, [x]) == [0.0]
    assert why(y, x) == (
        "x: 0, since products are too small for a float: even the largest, of 5 factors, is about 10^-400"
    )


def test_a_zero_behind_the_blockade_is_not_blamed():
    """Only operations that x reaches through slopes other than 0 end its paths."""
    x = Value(-1.0, "x")
    first = labelled("first", x.relu())
    second = labelled("second", (first - 5.0).relu())
    assert why(second, x) == "x: 0, since first = ReLU(-1) passes nothing on its one path"


# Tiny and huge


def test_saturation_names_the_factor_that_did_it():
    z, w = Value(12.0, "z"), Value(0.5, "w")
    a = labelled("a", z.sigmoid())
    text = why(a * w, z)
    slope = grad(a, [z])[0]
    assert text.splitlines() == [
        f"z: {slope / 2:.4g} is tiny: on its one path, {slope / 2:.4g}, the factors are",
        f"  ∂a/∂z = {slope:.4g}, at a = σ(12): saturated; without this factor it would be 0.5",
    ]


@primitive(partials=lambda out, x: (1.0 / (1.0 + abs(x)) ** 2,))
def softsign(x):
    return x / (1.0 + abs(x))


@primitive(partials=lambda out, x: (math.cos(x),))
def within_a_range(x):
    if abs(x) > 2.0:
        raise ValueError("too far")
    return math.sin(x)


@pytest.mark.parametrize(
    ("function", "z"),
    [
        (softsign, 20.0),
        (Value.sigmoid, 12.0),
        (Value.sigmoid, -12.0),
        (Value.tanh, -5.0),
        (Value.erf, 4.0),
        (Value.erfc, 4.0),
        (Value.atan, -8.0),
        (Value.softplus, -6.0),
        (Value.gelu, -6.0),
        (Value.silu, -9.0),
        (Value.gaussian, 4.0),
        (Value.exp, -9.0),
    ],
)
def test_an_operation_is_saturated_where_it_stays_flat(function, z):
    """It is seen from the numbers, so that it is said of operations of the user too."""
    z, w = Value(z, "z"), Value(1e-4, "w")
    text = why(function(z) * w, z)
    assert f": saturated; without this factor it would be {w.data:g}" in text


@pytest.mark.parametrize(
    ("function", "z"),
    [
        (Value.leaky_relu, -5.0),  # falls on for ever
        (Value.sin, math.pi / 2 + 0.001),  # at its top
        (Value.sqrt, 1e6),
        (Value.log, 1e6),
        (within_a_range, math.pi / 2 - 0.001),
    ],
)
def test_an_operation_that_goes_on_is_not_saturated(function, z):
    z, w = Value(z, "z"), Value(1e-4, "w")
    text = why(function(z) * w, z)
    assert "is tiny" in text
    assert "saturated" not in text


def test_many_middling_factors_make_a_tiny_one():
    y = x = Value(0.1, "x")
    for _ in range(60):
        y = (y * 0.8).sin() + 0.1
    text = why(y, x)
    assert "is tiny: no factor does it alone; its one path has" in text
    assert text.endswith("in the mean (§9)")


def test_a_division_by_a_small_number_is_huge():
    x = Value(1e-5, "x")
    y = labelled("y", 1.0 / x)
    assert why(y, x).splitlines() == [
        "x: -1e+10 is huge: on its one path, -1e+10, the factors are",
        "  ∂y/∂x = -1e+10, at y = 1 / 1e-05",
    ]


def test_many_paths_make_a_huge_one():
    y = x = Value(1.0, "x")
    for _ in range(20):
        y = y + y
    assert why(y, x) == "x: 1048576 is huge, as the sum of 1,048,576 paths; the largest is 1"


def test_terms_that_nearly_cancel_are_given():
    x = Value(1.0, "x")
    y = total([x * 1000.0, x * -999.5])
    assert why(y, x) == "x: 0.5, since its 2 paths cancel: their products are 1000, -999.5"


# nan and inf


def test_the_first_nan_of_the_forward_pass():
    x = Value(-1.0, "x")
    bad = labelled("bad", log(x))
    assert why(exp(bad * 2.0) + x, x).splitlines() == [
        "x: nan, since the forward pass is not finite: bad = log(-1) is nan",
        "detect_anomaly() around your program names the line that computes it",
    ]


def test_a_leaf_that_is_nan_already():
    x, w = Value(2.0, "x"), Value(math.nan, "w")
    assert why(x * w, x) == "x: nan, since w itself is nan"


def test_an_infinite_slope_in_the_backward_pass():
    x = Value(0.0, "x")
    root = labelled("root", sqrt(x))
    y = labelled("y", root * 0.0)
    assert math.isnan(grad(y, [x])[0])
    assert why(y, x).splitlines() == [
        "x: nan, since the backward pass is not finite from root = sqrt(0) on:",
        "  ∂root/∂x · ∂y/∂root = inf · 0 = nan",
    ]


# Otherwise


def test_an_ordinary_gradient_is_called_one():
    x = Value(3.0, "x")
    assert why(x * x, x) == "x: 6 is neither zero, tiny, huge nor nan; explain() writes it out path by path"


def test_wrong_use():
    x = Value(3.0, "x")
    with pytest.raises(TypeError, match=r"output must be a Value, got 3\.0"):
        why(3.0, x)
    with pytest.raises(TypeError, match="x must be a Value, got 'x'"):
        why(x * x, "x")
    y = x * x
    x.data = 1.0
    with pytest.raises(ValueError, match=r"x = 1\.0 has changed"):
        why(y, x)
    with no_grad(), pytest.raises(RuntimeError, match="no_grad"):
        why(Value(2.0), x)
