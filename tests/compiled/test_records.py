"""The records' own Python functions as machine code: Python's results, in either precision."""

import functools
import itertools
import math
import operator

import numpy as np
import pytest

pytest.importorskip("llvmlite")
from micrograd_mlp import (
    SGD,
    Adam,
    Momentum,
    RMSProp,
    dot,
    logsumexp,
    maximum,
    ops,
    softmax,
    total,
)
from micrograd_mlp.compiled import records
from micrograd_mlp.compiled.code import Code
from micrograd_mlp.compiled.native import target
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.translate import TranslationError
from tests.compiled.lanes import DTYPES, run

REALS = ("double", "float")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, -40.0, 100.0, math.inf, -math.inf, math.nan]
EXTREME = [5e-324, -5e-324, 1e-310, 2.0**-1022, 1e-160, 1e160, 1.7e308, -1e308, 709.0, -745.0, 1e16]


def value_and_slopes(op):
    def write(code, inputs):
        value = records.forward(op, code, inputs)
        return [value, *records.partials(op, code, value, inputs)]

    return write


def eagerly(op, inputs):
    value = float(op.forward(*inputs))
    return [value, *map(float, op.partials(value, *inputs))]


def points(op, n, real):
    """Rows of inputs: ordinary ones, all pairs of special ones, in double precision of all sizes."""
    rng = np.random.default_rng(n)
    domains = [op.domain[0 if op.arity is None else k] for k in range(n)]
    rows = [
        rng.uniform(max(low, -3.0), min(high, max(low, -3.0) + 6.0), 300).tolist() for low, high in domains
    ]
    # In fused instructions a product below the smallest number may leave its sign in a sum's zero, and
    # which factors come first decides whether a product overflows on the way.
    special = SPECIAL + (EXTREME if real == "double" and op.name not in ("dot", "prod") else [])
    for pair in itertools.product(special, repeat=min(n, 2)):
        for k, row in enumerate(rows):
            row.append(pair[k % len(pair)])
    return rows


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(
    ("name", "n"),
    [(name, n) for name, op in TABLE.items() for n in ([op.arity] if op.arity else [2, 4])],
)
def test_every_operation_of_the_table(name, n, real):
    op, dtype = TABLE[name], DTYPES[real]
    rows = [np.array(row).astype(dtype) for row in points(op, n, real)]
    for results in run(value_and_slopes(op), rows, real):
        for lane in zip(*[row.tolist() for row in [*rows, *results]], strict=True):
            inputs, result = lane[:n], lane[n:]
            expected = eagerly(op, inputs)
            for a, b, tolerance in zip(expected, result, tolerances(op, inputs, expected, real), strict=True):
                assert is_close(a, b, tolerance, dtype), (inputs, expected, result)


def tolerances(op, inputs, expected, real):
    """Some units in the last place, and what rounding the inputs does to the results."""
    eps = float(np.finfo(DTYPES[real]).eps)
    result = [8.0 * eps * abs(a) for a in expected]
    for k in range(len(inputs)):
        moved = list(inputs)
        moved[k] *= 1.0 + 4.0 * eps
        changes = [abs(a - b) for a, b in zip(eagerly(op, moved), expected)]
        result = [r + change if math.isfinite(change) else r for r, change in zip(result, changes)]
    return result


def is_close(a, b, tolerance, dtype):
    with np.errstate(over="ignore", under="ignore"):
        a = float(dtype(a))
    if not math.isfinite(a) or not math.isfinite(b) or a == b == 0.0:
        return (math.isnan(a) and math.isnan(b)) or (
            a == b and math.copysign(1.0, a) == math.copysign(1.0, b)
        )
    return abs(a - b) <= tolerance + 2.0 * float(np.finfo(dtype).smallest_subnormal)


# Operations and rules of a user.

OFFSET = 0.25


def helper(x):
    return sum(x)


def without(x, k):
    return x[:k] + x[k + 1 :]


def recursive_product(x):
    return x[0] * recursive_product(x[1:]) if len(x) > 1 else x[0]


def leave_one_out(out, *x):
    return tuple([math.prod(without(x, k)) for k in range(len(x))])


def clipped(factor, low=-1.0):
    """A function with a closure, branches and a default."""

    def forward(x):
        scaled = factor * x + OFFSET
        if scaled < low:
            return low
        if scaled > 1.0:
            scaled = 1.0
        return scaled

    return forward


def safe_ratio(x, y):
    try:
        return math.exp(x) / y
    except (ZeroDivisionError, OverflowError):
        return 7.0


def horner(x, coefficients=(1.0, -0.5, 0.125)):
    result = 0.0
    for k, c in enumerate(reversed(coefficients), 1):
        result = result * x + c / k
    return result


def one_for_each(out, *x):
    return (1.0,) * len(x)


USERS = {
    "product": (lambda *x: math.prod(x), lambda out, *x: tuple([out / x_k for x_k in x])),
    "product by reduce": (lambda *x: functools.reduce(operator.mul, x), leave_one_out),
    "sum by reduce": (lambda *x: functools.reduce(operator.add, x, 0.5), one_for_each),
    "choice of conditions": (
        lambda *x: 1.0 if (x[0] > 0.2 if x[-1] > 0.5 else x[0] < 0.0) else 2.0,
        lambda out, *x: (0.0,) * len(x),
    ),
    "product by a recursive helper": (lambda *x: recursive_product(x), leave_one_out),
    "norm": (lambda *x: math.sqrt(sum([x_k * x_k for x_k in x])), lambda out, *x: [x_k / out for x_k in x]),
    "mean": (lambda *x: sum(x) / len(x), lambda out, *x: (1.0 / len(x),) * len(x)),
    "generalised mean": (
        lambda *x: (sum([abs(x_k) ** 3 for x_k in x]) / len(x)) ** (1 / 3),
        lambda out, *x: tuple([x_k * abs(x_k) / (out**2 * len(x)) for x_k in x]),
    ),
    "maximum": (
        lambda *x: max(x),
        lambda out, *x: tuple([1.0 / x.count(out) if x_k == out else 0.0 for x_k in x]),
    ),
    "median": (
        lambda *x: sorted(x)[len(x) // 2],
        lambda out, *x: tuple([1.0 if x_k == out else 0.0 for x_k in x]),
    ),
    "helper": (lambda *x: helper(x), lambda out, *x: tuple([ops.exp(0.0 * x_k) for x_k in x])),
    "any": (
        lambda *x: 1.0 if any([x_k > 0.5 for x_k in x]) else sum(x),  # noqa: C419
        lambda out, *x: tuple([0.0 if any([x_j > 0.5 for x_j in x]) else 1.0 for _ in x]),  # noqa: C419
    ),
    "total": (lambda *x: total(x), one_for_each),
    "dot": (lambda *x: dot(x, x), lambda out, *x: tuple([2.0 * x_k for x_k in x])),
    "logsumexp": (lambda *x: logsumexp(x), lambda out, *x: tuple(softmax(x))),
    "larger of two": (lambda *x: maximum(x[0], x[-1]), one_for_each),
    "of the mathematics library": (math.hypot, lambda out, *x: tuple([x_k / out for x_k in x])),
    "of NumPy": (lambda *x: float(np.tanh(x[0]) + np.exp(x[-1])), one_for_each),
    "conditions": (
        lambda *x: (x[0] > 0.0) + 2 * (x[-1] < x[0]) + (not x[0]),
        lambda out, *x: (True,) * len(x),
    ),
    "remainders": (lambda *x: x[0] % 0.75 + x[-1] // 0.5 + round(x[0]) + int(3.0 * x[-1]), one_for_each),
    "polynomial": (lambda *x: horner(x[0]) + horner(x[-1], (2.0, 3.0)), one_for_each),
    "try": (lambda *x: safe_ratio(x[0], x[-1]), one_for_each),
}


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("name", USERS)
def test_operations_of_any_number_of_inputs(name, n, real):
    op, dtype = Op(name, *USERS[name], arity=None), DTYPES[real]
    rows = np.random.default_rng(n).normal(0.0, 1.0, (n, 50)).astype(dtype)
    rows[:, ::7] = rows[0, ::7]
    for results in run(value_and_slopes(op), rows, real):
        for lane, result in zip(rows.T.tolist(), results.T.tolist(), strict=True):
            expected = eagerly(op, lane)
            for a, b, tolerance in zip(expected, result, tolerances(op, lane, expected, real), strict=True):
                assert is_close(a, b, tolerance, dtype), (lane, expected, result)


def test_what_a_closure_and_a_global_are_now():
    op = Op("clipped", clipped(3.0), lambda out, x: (3.0,))
    in_vectors, one_by_one = run(value_and_slopes(op), [[-1.0, 0.1, 0.2, 1.0] * 5])
    assert (
        in_vectors.tolist()
        == one_by_one.tolist()
        == [[-1.0, 0.1 * 3.0 + 0.25, 0.2 * 3.0 + 0.25, 1.0] * 5, [3.0] * 20]
    )


def test_errors_that_are_caught():
    op = Op("ratio", safe_ratio, lambda out, x, y: (0.0, 0.0), arity=2)
    in_vectors, _ = run(value_and_slopes(op), [[0.0, 1.0, 800.0], [2.0, 0.0, 1.0]])
    assert in_vectors[0].tolist() == [0.5, 7.0, 7.0]


def raises(x):
    if x > 100.0:
        raise ValueError("too large")
    return x


def countdown(x):
    while x > 1.0:
        x = x - 1.0
    return x


def endless(x):
    return endless(x - 1.0) if x > 0.0 else x


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (raises, "can't raise an error"),
        (lambda x: raises(2.0 * x), "can't raise an error"),
        (countdown, "a statement of this kind"),
        (endless, "calls itself"),
        (lambda x: math.fsum([x, x]), "has no fsum"),
        (lambda x: float(np.prod([x])), "prod"),
        (lambda x: sorted({x: object()})[0], "{x: object()}"),
        (lambda x: sorted([x, 1.0], key=abs)[0], "the order of the numbers themselves"),
        (lambda x: round(x, 2), "no round of 2 numbers"),
        (lambda x: [x, x][2], "index"),
        (lambda x: sum([x * k for k in range(20_000)]), "more than 10000 steps"),
        (eval("lambda x: x"), "source can't be found"),
    ],
)
def test_what_needs_python_says_why(forward, reason):
    code = Code("f", [("x", "double")], target("double"))
    with pytest.raises(
        TranslationError, match="op 'mine': its forward can't be turned into machine code"
    ) as error:
        records.forward(Op("mine", forward, lambda out, x: (1.0,)), code, code.arguments)
    assert reason in str(error.value)


def test_partials_have_to_be_as_many_as_the_inputs():
    code = Code("f", [("x", "double"), ("y", "double")], target("double"))
    op = Op("mine", lambda x, y: x, lambda out, x, y: (1.0,), arity=2)
    with pytest.raises(
        TranslationError, match=r"its partials can't be turned .* one derivative for each of 2"
    ):
        records.partials(op, code, code.arguments[0], code.arguments)


def test_a_literal_among_the_inputs_makes_the_code_simpler():
    def instructions(exponent):
        code = Code("f", [("x", "double"), ("y", "double")], target("double"))
        y = code.arguments[1] if exponent is None else code.real(exponent)
        records.forward(TABLE["pow"], code, [code.arguments[0], y])
        return code.text().count("\n")

    assert instructions(2.0) < instructions(0.5) < 12 < 100 < instructions(None)
    rows = [[1.5, -3.0, 0.0, math.inf]]
    for exponent in (0.0, 0.5, 1.0, 2.0, 3.0, -1.0, -2.0, 8.0):
        op = Op("power", lambda x: ops.power(x, exponent), lambda out, x: (0.0,))  # noqa: B023
        in_vectors, _ = run(value_and_slopes(op), rows)
        np.testing.assert_allclose(in_vectors[0], [op.forward(x) for x in rows[0]], rtol=1e-15, atol=0.0)


SETTINGS = {"lr": 0.1, "momentum": 0.9, "rho": 0.9, "eps": 1e-8, "beta1": 0.9, "beta2": 0.999}


class SignDescent(SGD):
    """A user's optimizer with a helper and a branch."""

    state_names = ("last",)

    @staticmethod
    def rule(theta, g, t, last, lr):
        step = lr * math.tanh(g) if g * last >= 0.0 else 0.0
        return theta - step / (1.0 + t), g


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("optimizer", [SGD, Momentum, RMSProp, Adam, SignDescent])
def test_rules_of_optimizers(optimizer, real):
    n_states, hyperparameters = (
        len(optimizer.state_names),
        [SETTINGS[x] for x in optimizer.hyperparameter_names],
    )
    rng, dtype = np.random.default_rng(0), DTYPES[real]
    rows = np.abs(rng.normal(size=(2 + n_states, 21))).astype(dtype)
    rows[:2] *= rng.choice([-1.0, 1.0], (2, 21)).astype(dtype)

    def write(code, numbers):
        theta, g, *state = numbers
        t, *settings = [code.number(x, "double") + 0.0 for x in (4.0, *hyperparameters)]  # in registers
        return records.rule(optimizer.rule, code, [theta, g, t, *state, *settings])

    for results in run(write, rows, real):
        for (theta, g, *state), result in zip(rows.T.tolist(), results.T.tolist(), strict=True):
            expected = optimizer.rule(theta, g, 4, *state, *hyperparameters)
            np.testing.assert_allclose(result, expected, rtol=8.0 * np.finfo(dtype).eps)


def test_single_precision_goes_on_where_hyperparameters_have_double_precision():
    code = Code("f", [("theta", "float"), ("lr", "double")], target("float"))
    theta, lr = code.arguments
    [result] = records.rule(lambda theta, lr: ((1.0 - lr) * theta,), code, [theta, lr])
    assert result.type == "float"
    assert "fsub double" in code.text().replace(" contract", "")
    assert "fmul float" in code.text().replace(" contract", "")
