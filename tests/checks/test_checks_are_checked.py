"""The checks are checked: a wrong rule for any op of the table is rejected, in first and second derivatives.

For every op and every input, the right rule is broken in each of the ways in which rules are broken by
hand. `gradcheck` has to say so, and so has the oracle that the tests of the table compare with. An ordinary
run tries one way of breaking for each op and input, in turn; `pytest -m exhaustive` tries the others.
"""

import math
import random

import pytest

from micrograd_mlp import Value, gradcheck, hessian
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from tests.engine.oracle import KNOWN, SPECS, errors_in_ulps
from tests.sampling import one_of_each

POINTS = 3

FIRST = {  # what becomes of the derivative d by the input x
    "sign": lambda d, x: -d,
    "zero": lambda d, x: 0.0 * d,
    "factor 2": lambda d, x: 2.0 * d,
    "factor x": lambda d, x: x * d,
    "a term missing": lambda d, x: d - 0.25 * x,
    "a term too many": lambda d, x: d + 0.001,
    "1e-6 relative too large": lambda d, x: d * (1.0 + 1e-6),
    "1e-6 relative too small": lambda d, x: d * (1.0 - 1e-6),
    "1e-6 too large": lambda d, x: d + 1e-6,
}

SECOND = {  # what becomes of the slope of the derivative, while its value stays: a factor and a term
    "sign": (-1.0, 0.0),
    "zero": (0.0, 0.0),
    "factor 2": (2.0, 0.0),
    "a term missing": (1.0, -0.25),
    "1e-6 relative too large": (1.0 + 1e-6, 0.0),
    "1e-6 relative too small": (1.0 - 1e-6, 0.0),
    "1e-6 too large": (1.0, 1e-6),
}

TINY = {"1e-10 relative too large": 1.0 + 1e-10, "1e-10 relative too small": 1.0 - 1e-10}


def wrong_rules(ways, ops):
    """For every op and input the ways of breaking its rule."""
    return one_of_each(
        [(f"{op.name}, input {k}, {how}", op, k, how) for how in ways]
        for op in ops
        for k in range(op.arity or 4)
    )


def with_rule(op, k, change):
    """The same op, with its derivative by input k changed."""

    def partials(out, *x):
        rule = list(op.partials(out, *x))
        rule[k] = change(rule[k], x[k])
        return tuple(rule)

    return Op(op.name, op.forward, partials, op.arity, domain=op.domain, kink=op.kink)


def with_slope(factor, term):
    """Keep the derivative's value; what it says about its own derivative becomes factor·slope + term."""

    def change(d, x):
        if not isinstance(x, Value):
            return d
        if isinstance(d, Value):
            d = d + (factor - 1.0) * (d - d.data)
        return d + term * (x - x.data)

    return change


def ordinary_points(op, seed):
    """Inputs of ordinary size, away from poles and kinks: no excuse for anyone."""
    rng = random.Random(seed)
    domain = op.domain if op.arity else op.domain * 4
    for _ in range(POINTS):
        sizes = [rng.uniform(0.3, 1.7) for _ in domain]
        yield [_coordinate(x, low, high, rng) for x, (low, high) in zip(sizes, domain, strict=True)]


def _coordinate(size, low, high, rng):
    if math.isfinite(low) and math.isinf(high):
        return low + size
    middle, half = (0.0, 1.0) if math.isinf(low) else (0.5 * (low + high), 0.25 * (high - low))
    return middle + half * rng.choice([-1, 1]) * size


@pytest.mark.parametrize(("op", "k", "how"), wrong_rules(FIRST, TABLE.values()))
def test_a_wrong_first_derivative_is_rejected(op, k, how):
    wrong_op = with_rule(op, k, FIRST[how])
    for numbers in ordinary_points(op, f"{op.name} {k} {how}"):
        right, wrong = [o.partials(op.forward(*numbers), *numbers)[k] for o in (op, wrong_op)]
        if wrong == right:
            assert right == 0.0, "only zero stays the same when it is multiplied"
            continue
        report = gradcheck(wrong_op, numbers, raise_exception=False)
        assert [(row.label, row.verdict) for row in report.failures] == [(f"x{k + 1}", "wrong")], report
        if op.name in KNOWN:
            assert errors_in_ulps(wrong_op, numbers)[1] > SPECS[op.name].ulps[1], "the oracle let it pass"


@pytest.mark.parametrize(("op", "k", "how"), wrong_rules(SECOND, TABLE.values()))
def test_a_wrong_second_derivative_is_rejected(op, k, how):
    wrong_op = with_rule(op, k, with_slope(*SECOND[how]))
    for numbers in ordinary_points(op, f"{op.name} {k} {how}"):
        inputs = [Value(x) for x in numbers]
        right, wrong = hessian(op(*inputs), inputs), hessian(wrong_op(*inputs), inputs)
        different = {f"x{k + 1}, x{j + 1}" for j in range(len(inputs)) if right[k][j] != wrong[k][j]}
        if not different:
            assert not any(right[k]), "only a slope of zero stays the same when it is multiplied"
            continue
        report = gradcheck(wrong_op, numbers, order=2, raise_exception=False)
        assert {row.label for row in report.failures if row.verdict == "wrong"} == different, report
        assert gradcheck(wrong_op, numbers), "the first derivatives are right"
        if op.name in KNOWN:
            assert errors_in_ulps(wrong_op, numbers)[2] > SPECS[op.name].ulps[2], "the oracle let it pass"


@pytest.mark.parametrize(
    ("op", "k", "how"), wrong_rules(TINY, [op for op in TABLE.values() if op.complex_form])
)
def test_the_complex_step_rejects_a_derivative_that_is_off_by_1e_10(op, k, how):
    wrong_op = with_rule(op, k, lambda d, x: d * TINY[how])
    wrong_slope = with_rule(op, k, with_slope(TINY[how], 0.0))
    for numbers in ordinary_points(op, f"{op.name} {k} {how}"):
        if op.partials(op.forward(*numbers), *numbers)[k] == 0.0:
            continue
        report = gradcheck(wrong_op, numbers, method="complex-step", raise_exception=False)
        assert [(row.label, row.verdict) for row in report.failures] == [(f"x{k + 1}", "wrong")], report
        inputs = [Value(x) for x in numbers]
        right, wrong = hessian(op(*inputs), inputs)[k], hessian(wrong_slope(*inputs), inputs)[k]
        different = {f"x{k + 1}, x{j + 1}" for j in range(len(inputs)) if right[j] != wrong[j]}
        report = gradcheck(wrong_slope, numbers, order=2, method="complex-step", raise_exception=False)
        assert different <= {row.label for row in report.failures}, report


@pytest.mark.parametrize("op", TABLE.values(), ids=TABLE)
def test_the_right_rules_pass_at_the_same_points(op):
    for k in range(op.arity or 4):
        for numbers in ordinary_points(op, f"{op.name} {k} sign"):
            assert gradcheck(op, numbers, order=2)
            if op.complex_form:
                assert gradcheck(op, numbers, order=2, method="complex-step")
