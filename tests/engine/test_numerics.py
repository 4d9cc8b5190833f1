"""Numerics: every op within its bound of the exact result, and IEEE's special values as PyTorch has them.

The bounds stand in tests/engine/oracle.py, one entry an op, with the reason of each that is wider than usual.
`python -m tests.engine.test_numerics` asks PyTorch for its special values again and rewrites
special_values.json, which holds enough ops for a machine without PyTorch.
"""

import itertools
import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import settings

from micrograd_mlp import Value, grad, hessian
from micrograd_mlp.engine.table import TABLE
from tests.engine.oracle import (
    KNOWN,
    LARGEST,
    SMALLEST,
    SPECS,
    error_in_ulps,
    errors_in_ulps,
    magnified,
    mp,
    sample,
)

POINTS = settings.default.max_examples  # more in CI
SPECIAL = [0.0, -0.0, 5e-324, -5e-324, SMALLEST, 1.0, -1.0, 0.5, 2.0, -2.5, LARGEST, -LARGEST]
SPECIAL += [math.inf, -math.inf, math.nan]
STORED = Path(__file__).with_name("special_values.json")

STORED_NAMES = list(json.loads(STORED.read_text()))
# The table holds local derivatives. What arrives from above is multiplied by them, inf and nan too, where
# PyTorch's relu, maximum and minimum mask it: tests/engine/test_oracle_torch.py compares that.

# What PyTorch has under another name than the table, or not as a function of tensors.
PYTORCHS = {
    "leaky_relu": lambda torch: torch.nn.functional.leaky_relu,
    "softplus": lambda torch: torch.nn.functional.softplus,
    "silu": lambda torch: torch.nn.functional.silu,
    "gelu": lambda torch: torch.nn.functional.gelu,
    "clip": lambda torch: torch.clamp,
    "total": lambda torch: lambda *x: torch.stack(x).sum(),
    "dot": lambda torch: lambda w, x: torch.stack([w]) @ torch.stack([x]),
    "logsumexp": lambda torch: lambda *x: torch.logsumexp(torch.stack(x), 0),
}
# Where the two differ on purpose: a function of the inputs.
NOT_AS_PYTORCH = {
    "equal": lambda *x: True,  # PyTorch's has no gradient,
    "where": lambda *x: True,  # and its condition is no number
    # PyTorch gives nan for ∂(0 log y)/∂y at y = 0 and 0 for ∂(x log y)/∂x at x = y = 0: they are 0 and log 0.
    "xlogy": lambda *x: True,
    "xlog1py": lambda *x: True,
    "norm": lambda *x: True,  # PyTorch's is a function of one tensor: test_table.py has the edges
    "prod": lambda *x: True,
    # PyTorch's x^(y-1) overflows before it is multiplied by y.
    "pow": lambda x, y: 0.0 < x < SMALLEST and 0.0 < abs(y) <= SMALLEST,
    "sign": math.isnan,  # PyTorch says 0, NumPy and JAX say nan
    "acosh": lambda x: x < 1.0 or x == LARGEST,  # PyTorch has slopes outside of the domain, and x² overflows
    "asinh": lambda x: abs(x) == LARGEST,  # x² overflows in PyTorch,
    "log10": lambda x: abs(x) == LARGEST,  # and so does x log 10
    "logsumexp": lambda *z: z == (LARGEST, LARGEST) or z == (-LARGEST, -LARGEST),  # PyTorch's slopes sum to 2
    "atan2": lambda y, x: (x == y == 0.0) or max(abs(x), abs(y)) > 1e154 or max(abs(x), abs(y)) < 1e-150,
    "clip": lambda x, low, high: math.isnan(x + low + high) or low >= high or math.isinf(low),
}


@pytest.mark.parametrize("name", KNOWN)
def test_value_and_derivatives_are_within_their_bounds_of_the_exact_ones(name):
    op, rng, bounds = TABLE[name], random.Random(f"numerics of {name}"), SPECS[name].ulps
    for _ in range(POINTS):
        numbers = sample(op, rng)
        errors = errors_in_ulps(op, numbers)
        assert all(e <= bound for e, bound in zip(errors, bounds, strict=True)), (numbers, errors, bounds)


@pytest.mark.parametrize("name", ["exp", "expm1"])
def test_exp_is_finite_up_to_the_last_float_where_it_is(name):
    last = 709.782712893384
    assert errors_in_ulps(TABLE[name], [last])[0] <= 1.0
    assert TABLE[name].forward(last) < math.inf == TABLE[name].forward(math.nextafter(last, math.inf))


def test_slopes_of_a_power_that_overflows_or_is_subnormal():
    """xʸ alone is out of range, where y·x^(y-1) and xʸ log x may be ordinary numbers."""
    rng, finite = random.Random("powers near the limits"), 0
    for _ in range(POINTS):
        x = 10.0 ** rng.uniform(-300, 300) if rng.random() < 0.5 else 1.0 + 10.0 ** rng.uniform(-6, -0.5)
        y = rng.choice([rng.uniform(-745, -706), rng.uniform(705, 713)]) / math.log(x)
        inputs, X, Y = [Value(x), Value(y)], mp.mpf(x), mp.mpf(y)
        output, log = TABLE["pow"](*inputs), mp.log(X)
        exact = (Y * mp.power(X, Y - 1), mp.power(X, Y) * log)
        second = (Y * (Y - 1) * mp.power(X, Y - 2), mp.power(X, Y) * log**2)
        rounding = magnified(X, Y)
        got, curvatures = grad(output, inputs), hessian(output, inputs)
        finite += math.isfinite(sum(got))
        assert error_in_ulps(got[0], exact[0], exact[0] * rounding) <= 4.0, (x, y)
        assert error_in_ulps(got[1], exact[1]) <= 4.0, (x, y)
        assert error_in_ulps(curvatures[0][0], second[0], second[0] * rounding) <= 8.0, (x, y)
        assert error_in_ulps(curvatures[1][1], second[1]) <= 8.0, (x, y)
    assert finite > POINTS / 3


def test_a_bound_is_wider_than_usual_only_with_a_reason():
    usual = (1.0, 4.0, 8.0)
    for name, spec in SPECS.items():
        scaled = spec.value_scale or spec.first_scale or spec.second_scale
        assert bool(spec.reason) == bool(spec.ulps > usual or scaled), name
        assert all(bound <= 8.0 for bound in spec.ulps), name


def test_the_measure_of_errors_can_tell():
    assert error_in_ulps(1.0, 1.0) == 0.0
    assert error_in_ulps(math.nextafter(1.0, 2.0), 1.0) == 1.0
    assert error_in_ulps(0.0, 1e-300) > 1e15
    assert error_in_ulps(math.inf, 1e300) == math.inf
    assert error_in_ulps(math.nan, 1.0) == math.inf
    assert error_in_ulps(-math.inf, SPECS["exp"].value(800)) == math.inf


# Special values


def ours(name, numbers):
    inputs = [Value(x) for x in numbers]
    output = TABLE[name](*inputs)
    return [output.data, *grad(output, inputs)]


def pytorchs(torch, name, numbers):
    function = PYTORCHS[name](torch) if name in PYTORCHS else getattr(torch, name)
    inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in numbers]
    output = function(*inputs)
    return [output.item(), *[g.item() for g in torch.autograd.grad(output, inputs)]]


def points(name):
    return itertools.product(SPECIAL, repeat=TABLE[name].arity or 2)


def same(a, b):
    """The same special value; ordinary numbers to the last few bits."""
    if 0.0 < abs(a - b) <= 5e-324:  # PyTorch's vectorised log1p and expm1 lose the smallest subnormal
        return True
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if a == 0.0 or b == 0.0 or math.isinf(a) or math.isinf(b):
        return a == b
    return abs(a - b) <= 128 * math.ulp(b)  # PyTorch's 1 - tanh² loses some at 2.5


@pytest.mark.parametrize("name", STORED_NAMES)
def test_special_values_are_pytorchs(name):
    stored = json.loads(STORED.read_text())[name]
    differs = NOT_AS_PYTORCH.get(name, lambda *x: False)
    for numbers, expected in zip(points(name), stored, strict=True):
        if differs(*numbers):
            continue
        got = ours(name, numbers)
        assert all(map(same, got, map(float, expected))), (numbers, got, expected)
        assert got[0] != 0.0 or math.copysign(1.0, got[0]) == math.copysign(1.0, float(expected[0])), numbers


@pytest.mark.parametrize("name", TABLE)
def test_special_values_are_what_pytorch_says_today(name):
    torch = pytest.importorskip("torch", exc_type=ImportError)
    differs = NOT_AS_PYTORCH.get(name, lambda *x: False)
    if name not in PYTORCHS and not hasattr(torch, name):
        return
    for numbers in itertools.product(SPECIAL, repeat=TABLE[name].arity or 2):
        if not differs(*numbers):
            theirs = pytorchs(torch, name, numbers)
            assert all(map(same, ours(name, numbers), theirs)), (numbers, ours(name, numbers), theirs)


@pytest.mark.parametrize(
    ("name", "numbers", "expected"),
    [
        ("equal", (math.nan, math.nan), 0.0),
        ("equal", (0.0, -0.0), 1.0),
        ("xlogy", (0.0, 0.0), 0.0),
        ("xlogy", (0.0, math.nan), math.nan),
        ("xlogy", (1.0, 0.0), -math.inf),
        ("xlogy", (1.0, -1.0), math.nan),
        ("xlog1py", (0.0, -1.0), 0.0),
        ("xlog1py", (2.0, -1.0), -math.inf),
        ("xlog1py", (1.0, -2.0), math.nan),
    ],
)
def test_special_values_of_the_ops_that_pytorch_lacks(name, numbers, expected):
    assert same(ours(name, numbers)[0], expected)


if __name__ == "__main__":
    import torch

    table = {name: [list(map(repr, pytorchs(torch, name, x))) for x in points(name)] for name in STORED_NAMES}
    STORED.write_text(json.dumps(table, separators=(",", ":")).replace("]],", "]],\n") + "\n")
