"""Breaking any one op, loss or optimizer turns at least one named equation test red.

Each rule is broken here in turn, in its value and in every derivative, by a percent, and the tests that
stand guard over it are run again: one of them must fail. So does a new loss or optimizer without a guard.
An ordinary run breaks each op and optimizer in one way; `pytest -m exhaustive` breaks them in the others.
"""

import contextlib
import importlib.util
import inspect
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from micrograd_mlp import losses, ops, optim
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Value
from tests.sampling import one_of_each

GUARDS = {
    # operations
    "add": "further_8_arithmetic",
    "sub": "further_8_arithmetic",
    "mul": "further_8_arithmetic",
    "div": "further_8_arithmetic",
    "neg": "further_8_arithmetic",
    "pow": "further_8_power",
    "exp": "further_8_exp_and_expm1",
    "expm1": "further_8_exp_and_expm1",
    "log": "further_8_log_and_log1p",
    "log1p": "further_8_log_and_log1p",
    "xlogy": "further_8_xlogy_and_xlog1py",
    "xlog1py": "further_8_xlogy_and_xlog1py",
    "sqrt": "further_8_square_root",
    "sin": "further_8_sine_and_cosine",
    "cos": "further_8_sine_and_cosine",
    "sigmoid": "8_1_eq_1_sigmoid 8_1_eq_7_derivative_of_sigmoid",
    "tanh": "8_2_eq_1_hyperbolic_tangent 8_2_eq_2_derivative_of_tanh",
    "relu": "8_3_eq_1_relu 8_3_eq_2_derivative_of_relu",
    "leaky_relu": "further_8_leaky_relu",
    "softplus": "further_8_softplus",
    "abs": "further_8_absolute_value",
    "maximum": "further_8_maximum_and_minimum",
    "minimum": "further_8_maximum_and_minimum",
    "equal": "further_8_equality",
    "total": "2_1_eq_1_weighted_sum further_4_loss_of_several_examples_and_outputs",
    "dot": "2_2_eq_2_dot_product",
    "logsumexp": "further_8_logsumexp",
    # losses
    "squared_error": "4_1_eq_1_squared_error 4_1_eq_2_its_derivative",
    "binary_cross_entropy": "4_2_eq_1_binary_cross_entropy 4_2_eq_2_its_derivative",
    "binary_cross_entropy_with_logits": "4_2_eq_5_holds_for_logits_of_any_size",
    "cross_entropy": "further_4_2_cross_entropy_of_several_classes",
    "hinge": "further_4_hinge",
    "mean": "further_4_loss_of_several_examples_and_outputs further_10_1_the_gradient_of_a_minibatch",
    "l2": "further_4_squared_length_of_the_parameters",
    # optimizers
    "SGD": "10_1_eq_1_stochastic_gradient_descent",
    "Momentum": "10_2_eq_1_velocity 10_2_eq_2_step_by_the_velocity",
    "RMSProp": "10_3_eq_1_running_average_of_squares 10_3_eq_2_rmsprop_step",
    "Adam": (
        "10_4_eq_1_moving_average_of_gradients 10_4_eq_2_moving_average_of_squares "
        "10_4_eq_3_bias_corrected_average 10_4_eq_4_bias_corrected_average_of_squares 10_4_eq_5_adam_step"
    ),
    "clip_grad_norm": "further_9_clipping_bounds_the_norm_and_keeps_the_direction",
}

LOSSES = [
    name
    for name, function in inspect.getmembers(losses, inspect.isfunction)
    if function.__module__ == losses.__name__ and not name.startswith("_")
]
OPTIMIZERS = [
    name
    for name, kind in inspect.getmembers(optim, inspect.isclass)
    if issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
]


@pytest.fixture(scope="module")
def sections():
    """The section files, loaded once more: few examples, no shrinking, and the same every time."""
    before = settings.default
    quick = settings(
        max_examples=30,
        phases=[Phase.explicit, Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    settings.register_profile("broken rules", quick)
    settings.register_profile("before broken rules", before)
    settings.load_profile("broken rules")
    try:
        modules = []
        for path in sorted(Path(__file__).parent.glob("test_section_*.py")):
            spec = importlib.util.spec_from_file_location(f"broken_{path.stem}", path)
            modules.append(importlib.util.module_from_spec(spec))
            spec.loader.exec_module(modules[-1])
        return modules
    finally:
        settings.load_profile("before broken rules")


def guards_of(name, sections):
    names = [f"test_{guard}" for guard in GUARDS[name].split()]
    found = {each: getattr(module, each) for module in sections for each in names if hasattr(module, each)}
    assert list(found) == names
    return found


def red(tests):
    """The first test that fails, or None."""
    for name, test in tests.items():
        try:
            test()
        except Exception:  # an assertion, or an overflow where the rule no longer avoids it
            return name
    return None


def a_bit_off(number):
    return 1.01 * number + 0.003


@contextlib.contextmanager
def broken_op(op, **rules):
    """Put other rules into an op's record, and where the operators and methods of Value hold them ready."""
    if "partials" in rules:
        rules["slopes"] = rules["partials"]
    before = {field: getattr(op, field) for field in rules}
    cells = [
        (cell, field)
        for method in vars(Value).values()
        for cell in getattr(method, "__closure__", None) or ()
        for field in rules
        if cell.cell_contents is before[field]
    ]

    def put(rules):
        for field, rule in rules.items():
            object.__setattr__(op, field, rule)
        for cell, field in cells:
            cell.cell_contents = rules[field]

    put(rules)
    try:
        yield
    finally:
        put(before)


def by_name(broken_rules):
    """The broken rules in groups, one for each name."""
    groups = {}
    for name, what, rule in broken_rules:
        groups.setdefault(name, []).append((f"{name}, {what}", name, rule))
    return groups.values()


def broken_rules_of_ops():
    """(op, what is broken, its new rules), for the ops that a test of the paper's equations guards.

    The others have tests/engine and tests/checks/test_checks_are_checked.py, which see every broken rule.
    """
    for name, op in TABLE.items():
        if name not in GUARDS:
            continue

        def forward(*inputs, whole=op.forward):
            return a_bit_off(whole(*inputs))

        yield name, "value", {"forward": forward}
        for which in range(op.arity) if op.arity else (0, -1):

            def partials(out, *inputs, whole=op.partials, which=which):
                derivatives = list(whole(out, *inputs))
                derivatives[which] = a_bit_off(derivatives[which])
                return tuple(derivatives)

            yield name, f"derivative {which}", {"partials": partials}
    # What a percent everywhere does not show: the conventions at kinks, and numbers of any size.
    yield "relu", "at zero", {"partials": lambda out, z: (1.0 if z >= 0.0 else 0.0,)}
    yield "leaky_relu", "at zero", {"partials": lambda out, z: (1.0 if z >= 0.0 else 0.01,)}
    yield "abs", "at zero", {"partials": lambda out, x: (1.0 if x >= 0.0 else -1.0,)}
    yield "maximum", "at a tie", {"partials": lambda out, x, y: (1.0 * (x >= y), 1.0 * (x < y))}
    yield "minimum", "at a tie", {"partials": lambda out, x, y: (1.0 * (x <= y), 1.0 * (x > y))}


@pytest.mark.parametrize(("name", "rules"), one_of_each(by_name(broken_rules_of_ops())))
def test_a_broken_op_is_seen(name, rules, sections):
    with broken_op(TABLE[name], **rules):
        seen_by = red(guards_of(name, sections))
    assert seen_by


def test_logits_of_any_size_need_the_stable_forms(sections):
    """log(1 + eᶻ) and log Σ eᶻ written plainly overflow, and the tests at ±10⁴ see it."""
    plain_softplus = {"forward": lambda z: ops.log(1.0 + ops.exp(z))}
    with broken_op(TABLE["softplus"], **plain_softplus):
        assert red(guards_of("binary_cross_entropy_with_logits", sections))
    plain_logsumexp = {"forward": lambda *z: ops.log(math.fsum(map(ops.exp, z)))}
    with broken_op(TABLE["logsumexp"], **plain_logsumexp):
        assert red(guards_of("cross_entropy", sections))


BREAK_LOSS = {
    "value": lambda loss: lambda *args: a_bit_off(loss(*args)),
    "no gradient": lambda loss: lambda *args: Value(loss(*args).data),
}


@pytest.mark.parametrize("how", BREAK_LOSS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_broken_loss_is_seen(name, how, sections, monkeypatch):
    broken = BREAK_LOSS[how](getattr(losses, name))
    for module in sections:
        if hasattr(module, name):
            monkeypatch.setattr(module, name, broken)
    assert red(guards_of(name, sections))


def broken_optimizer_rules():
    """(optimizer, what is broken, its new rule): each result, the time, and each hyperparameter."""
    for name in OPTIMIZERS:
        kind = getattr(optim, name)
        whole = kind.rule

        for which, result in enumerate(("theta", *kind.state_names)):

            def rule(*args, whole=whole, which=which):
                results = list(whole(*args))
                results[which] = a_bit_off(results[which])
                return tuple(results)

            yield name, result, rule
        n_before = 3 + len(kind.state_names)  # theta, g, t and the state
        for which, setting in enumerate(kind.hyperparameter_names, start=n_before):

            def rule(*args, whole=whole, which=which):
                args = list(args)
                args[which] = 0.99 * args[which]
                return whole(*args)

            yield name, setting, rule
    adam = optim.Adam.rule
    yield "Adam", "t", lambda theta, g, t, *rest: adam(theta, g, t + 1, *rest)


@pytest.mark.parametrize(("name", "rule"), one_of_each(by_name(broken_optimizer_rules())))
def test_a_broken_optimizer_is_seen(name, rule, sections, monkeypatch):
    monkeypatch.setattr(getattr(optim, name), "rule", staticmethod(rule))
    assert red(guards_of(name, sections))


def test_a_broken_clipping_is_seen(sections, monkeypatch):
    def broken(params, max_norm):
        return optim.clip_grad_norm(params, 1.01 * max_norm)

    for module in sections:
        if hasattr(module, "clip_grad_norm"):
            monkeypatch.setattr(module, "clip_grad_norm", broken)
    assert red(guards_of("clip_grad_norm", sections))


@pytest.mark.parametrize("name", GUARDS)
def test_guards_are_green_while_nothing_is_broken(name, sections):
    assert red(guards_of(name, sections)) is None


def test_everything_has_a_guard():
    assert set(GUARDS) - set(TABLE) == {*LOSSES, *OPTIMIZERS, "clip_grad_norm"}
