"""Numerics: every op within its bound of the exact result, and IEEE's special values as PyTorch has them.

The bounds stand in tests/engine/oracle.py, one entry an op, with the reason of each that is wider than usual.
`python -m tests.engine.test_numerics` asks PyTorch for its special values again and rewrites
special_values.json.
"""

import itertools
import json
import math
import random
from pathlib import Path

import pytest

from micrograd_mlp import Value, grad
from micrograd_mlp.engine.table import TABLE
from tests.engine.oracle import LARGEST, SMALLEST, SPECS, error_in_ulps, errors_in_ulps, sample

POINTS = 150
SPECIAL = [0.0, -0.0, 5e-324, -5e-324, SMALLEST, 1.0, -1.0, 0.5, 2.0, -2.5, LARGEST, -LARGEST]
SPECIAL += [math.inf, -math.inf, math.nan]
STORED = Path(__file__).with_name("special_values.json")

# PyTorch has no equal with a gradient and no xlog1py. Its xlogy gives nan for ∂(0 log y)/∂y at y = 0 and
# 0 for ∂(x log y)/∂x at x = y = 0, where the derivatives are 0 and log 0.
NOT_AS_PYTORCH = {"equal", "xlogy", "xlog1py"}
# The table holds local derivatives. What arrives from above is multiplied by them, inf and nan too, where
# PyTorch's relu, maximum and minimum mask it: tests/test_oracle_torch.py compares that.
COMPARED = [name for name in TABLE if name not in NOT_AS_PYTORCH]


@pytest.mark.parametrize("name", TABLE)
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
    functions = {
        "pow": torch.pow,
        "leaky_relu": torch.nn.functional.leaky_relu,
        "softplus": torch.nn.functional.softplus,
        "neg": torch.neg,
        "total": lambda *x: torch.stack(x).sum(),
        "dot": lambda w, x: torch.stack([w]) @ torch.stack([x]),
        "logsumexp": lambda *x: torch.logsumexp(torch.stack(x), 0),
    }
    inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in numbers]
    output = (functions[name] if name in functions else getattr(torch, name))(*inputs)
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
    return abs(a - b) <= 16 * math.ulp(b)


@pytest.mark.parametrize("name", COMPARED)
def test_special_values_are_pytorchs(name):
    stored = json.loads(STORED.read_text())[name]
    for numbers, expected in zip(points(name), stored, strict=True):
        got = ours(name, numbers)
        assert all(map(same, got, map(float, expected))), (numbers, got, expected)
        assert got[0] != 0.0 or math.copysign(1.0, got[0]) == math.copysign(1.0, float(expected[0])), numbers


@pytest.mark.parametrize("name", COMPARED)
def test_and_the_stored_ones_are_what_pytorch_says_today(name):
    torch = pytest.importorskip("torch", exc_type=ImportError)
    stored = json.loads(STORED.read_text())[name]
    for numbers, expected in zip(points(name), stored, strict=True):
        assert all(map(same, pytorchs(torch, name, numbers), map(float, expected))), numbers


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

    table = {name: [list(map(repr, pytorchs(torch, name, x))) for x in points(name)] for name in COMPARED}
    STORED.write_text(json.dumps(table, separators=(",", ":")).replace("]],", "]],\n") + "\n")
