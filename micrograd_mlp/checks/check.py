"""`gradcheck`: is what backpropagation computed (§6, §7) the slope of the function (§5)?

Every input is moved a little to either side, and the slope of f is extrapolated to a step of zero. Many
inputs are moved all at once, along random directions. A graph of Values tells how it is rounded, and where it
has kinks; any other function is only called, and its noise is measured.

Where all operations of a graph are analytic, the complex step has a sharper number to compare with.
Differences still have to agree with it, since they see what the graph does not: a gradient lost through
`.data`.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal

from micrograd_mlp._require import require_choice, require_count, require_number
from micrograd_mlp.checks.directions import random_weights, rows_by_directions
from micrograd_mlp.checks.graphs import GraphSubject, moved
from micrograd_mlp.checks.judgement import Settings
from micrograd_mlp.checks.operations import explain_graph
from micrograd_mlp.checks.report import GradCheckError, GradCheckReport, Row
from micrograd_mlp.checks.structure import argument_names, leaves_of
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.table import dot
from micrograd_mlp.engine.value import Value

RTOL = {"richardson": 1e-9, "complex-step": 1e-12}
MANY = 100  # more inputs than these are checked along directions first


def gradcheck(
    f: Callable[..., Any],
    inputs: Any,
    gradient: Any = None,
    *,
    order: int = 1,
    method: Literal["richardson", "complex-step"] = "richardson",
    atol: float = 0.0,
    rtol: float | None = None,
    noise: float | None = None,
    strict: bool | None = None,
    raise_exception: bool = True,
) -> GradCheckReport:
    """Compare a gradient with numerical slopes that know their own error.

    f may be written with Values, which are asked for its gradient, or with NumPy, PyTorch or JAX:

    - **NumPy**: `gradient` is a function of the same arguments, or its values: arrays of the inputs' shapes,
      in the same list or dict. SciPy's `fun`, `x0` and `jac` are f, inputs and gradient; `gradient=True` says
      that f returns its value and its gradient. Where f returns several numbers, `gradient` returns the
      Jacobian, with f's axes first; or it takes `cotangent=`, of the shape of f's result, and returns
      Σ cotangent·∂f/∂x.
    - **PyTorch**: tensors that require a gradient are checked, or all where none does. f may be a module,
      whose parameters are checked with the inputs. A module in the place of the inputs stands for its
      parameters, and is given to an f that takes an argument.
    - **JAX**: the arrays are checked with `jax.vjp`.

    A derivative g passes if it is within max(atol, rtol·|g|, 5·estimate) of the numerical one, and
    the estimate is narrow enough to tell g from zero: 5·estimate is below atol, a thousandth of g, or
    1e-8 of the slopes nearby or of the terms that cancelled in g. A zero where f is level to the last bit
    passes unless rounding may be the reason: f has to stay level if every intermediate result that
    rounded a change of the input away is moved by one unit in its last place. All else is "inconclusive",
    which does not pass.

    Args:
        f: takes the inputs as its arguments and returns one Value, or numbers of its framework. A dict of
            inputs is given by keyword where f has such arguments, else as it is.
        inputs: Values, such as `model.parameters()`, which are perturbed in place and get back their
            `.data` and `.grad` even when f raises; numbers, which are wrapped; arrays or tensors, in lists
            and dicts; or a PyTorch module.
        gradient: what is to be checked, where f's framework does not say it: a function, values, or True.
        order: 2 checks the second derivatives as well, against differences of the gradient.
        method: "complex-step" compares with Im f(x + ih) / h as well, which subtracts nothing and is
            good to a few units in the last place: it rejects a g that is off by 1e-11 of itself and
            resolves slopes that rounding hides from differences. For graphs of analytic operations, and
            operations of your own whose function takes complex numbers.
        atol: an absolute error that passes, where 5·estimate is no larger.
        rtol: an error, relative to a g that is not zero, that passes in any case; 1e-9 unless given, and
            1e-12 with the complex step.
        noise: the standard deviation of the error in f's values, if you know it; it is measured otherwise.
            For a graph of Values it is computed, and this has no effect.
        strict: check every derivative on its own, however many they are, and let no kink pass. Unless given,
            the pytest plugin decides.
        raise_exception: False only returns the report.

    Raises:
        GradCheckError: an AssertionError that shows the derivatives which did not pass.
        TypeError: f does not return a Value or numbers, an input is not a number, or the gradient of a
            function of NumPy's arrays is missing.
        ValueError: f gives two answers at one point, there are no inputs, an option is out of range, or
            an operation on the way from an input is not analytic and the method is the complex step.

    >>> bool(gradcheck(lambda w, x: (w * x).tanh(), [0.5, 2.0], order=2))
    True
    >>> from micrograd_mlp import primitive
    >>> @primitive(partials=lambda out, x: (2.0 * x,))
    ... def cube(x):
    ...     return x**3
    >>> gradcheck(cube, [3.0])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    micrograd_mlp.checks.report.GradCheckError: 1 of 1 derivatives did not pass:
      label  analytic  numerical  error     ulps  estimate  verdict
      x             6         27     21  2.4e+16       ...  wrong
    The derivative of the operation cube is wrong: at 3 it is 6 where its function has 27.
    >>> gradcheck(lambda x: 1e16 + x, [1.0], raise_exception=False)  # doctest: +ELLIPSIS
      label  analytic  ...  verdict
      x             1  ...  inconclusive, at 1e+16 rounding hides slopes below 2e+02
    where rounding hides slopes: check f without its large constant part, or elsewhere
    >>> gradcheck(lambda x: 1e16 + x, [1.0], method="complex-step")
      label  analytic  numerical  error  ulps  estimate  verdict
      x             1          1      0     0     2e-16  ok
    """
    __tracebackhide__ = True  # pytest shows the line of the test instead
    order = require_count("order", order, least=1, most=2)
    require_choice("method", method, RTOL)
    atol = require_number("atol", atol, least=0)
    rtol = RTOL[method] if rtol is None else require_number("rtol", rtol, least=0)
    noise = None if noise is None else require_number("noise", noise, least=0)
    if isinstance(f, Value) or not callable(f):
        raise TypeError(
            f"gradcheck takes a function and its inputs, got {f!r:.60}: write "
            "gradcheck(lambda w, x: (w * x).tanh(), [w, x]) rather than gradcheck((w * x).tanh(), ...)"
        )
    strict = session.strict if strict is None else strict
    settings = Settings(atol, rtol, order, method, noise, strict)
    if is_foreign(inputs, gradient):
        from micrograd_mlp.checks.foreign import check_foreign  # imports NumPy

        if method != "richardson":
            raise ValueError("the complex step needs a graph of Values: use method='richardson', the default")
        rows, notes, count = check_foreign(f, inputs, gradient, settings)
    else:
        rows, notes, count = _check_values(f, inputs, settings)
    if strict:
        rows = [row._replace(verdict=f"at a {row.verdict}") if row.is_kink else row for row in rows]
    report = GradCheckReport(rows, notes, count)
    for listener in session.listeners:
        listener(report)
    if raise_exception and not report:
        raise GradCheckError(report)
    return report


# What the pytest plugin sets for the time of a run; each listener is given every report.
session = SimpleNamespace(strict=False, listeners=[])


def is_foreign(inputs: Any, gradient: Any) -> bool:
    """Is this a check of arrays, and not of Values and plain numbers?"""
    if gradient is not None or isinstance(inputs, Mapping) or hasattr(inputs, "register_parameter"):
        return True
    return any(_is_array(leaf) for _, leaf in leaves_of(inputs))


def _is_array(leaf: Any) -> bool:
    """NumPy's scalars are numbers; arrays and tensors have a shape and can be indexed."""
    return hasattr(leaf, "shape") and hasattr(leaf, "__getitem__") and not hasattr(leaf, "is_integer")


def _check_values(
    f: Callable[..., Value], inputs: Any, settings: Settings
) -> tuple[list[Row], list[str], int]:
    """Check a function of Values, and put their data and gradients back."""
    if not isinstance(inputs, Sequence) or isinstance(inputs, str) or not inputs:
        raise ValueError(f"inputs is a list of at least one Value or number, got {inputs!r:.60}")
    leaves = [x if isinstance(x, Value) else Value(x) for x in inputs]
    names = argument_names(f, len(leaves))
    labels = [name if x.label is None else x.label for x, name in zip(leaves, names)]
    before = [(x, x.data, x.grad) for x in leaves]

    def output() -> Value:
        result = f(*leaves)
        if not isinstance(result, Value):
            raise TypeError(
                f"f returns one Value, got {result!r:.60}: write it with Values, or give gradient="
            )
        return result

    try:
        first, second = output().data, output().data
        if first != second and not (math.isnan(first) and math.isnan(second)):
            raise ValueError(f"f gave {first!r} and then {second!r} at one point: fix the seed inside f")
        if len(leaves) > MANY and settings.method == "richardson" and not settings.strict:
            rows, notes, count = _by_directions(output, leaves, labels, settings)
        else:
            rows, notes = _one_by_one(output, leaves, labels, settings), []
            count = len(rows)
        if any(row.verdict.startswith("wrong") for row in rows):
            notes = [*explain_graph(output()), *notes]
    finally:
        for x, data, its_grad in before:
            x.data, x.grad = data, its_grad
    return rows, notes, count


def _one_by_one(
    output: Callable[[], Value], leaves: list[Value], labels: list[str], settings: Settings
) -> list[Row]:
    subject = _subject(output, leaves, labels, settings)
    rows = [subject.single(i) for i in range(len(leaves))]
    if settings.order == 1:
        return rows

    def gradient() -> list[float]:
        result = output()
        if not math.isfinite(result.data):
            raise ArithmeticError("outside the domain of f")  # where its partials may exist all the same
        return grad(result, leaves)

    subjects = [
        GraphSubject(slope, _entry(gradient, k), leaves, [f"{labels[k]}, {y}" for y in labels], settings)
        for k, slope in enumerate(grad(output(), leaves, create_graph=True))
    ]
    for i, x in enumerate(leaves):
        gradient_at = functools.cache(moved(gradient, {x: 1.0}))  # each point serves all entries
        rows += [subject.single(i, _entry(gradient_at, k)) for k, subject in enumerate(subjects)]
    return rows


def _entry(function: Callable[..., list[float]], k: int) -> Callable[..., float]:
    return lambda *arguments: function(*arguments)[k]


def _by_directions(
    output: Callable[[], Value], leaves: list[Value], labels: list[str], settings: Settings
) -> tuple[list[Row], list[str], int]:
    """Check along random directions; for second derivatives f's slope along one of them is the function."""
    rows, notes = rows_by_directions(_subject(output, leaves, labels, settings))
    if settings.order == 2:
        weights = random_weights(len(leaves), random.Random(0))

        def slope() -> Value:
            result: Value = dot(weights, grad(output(), leaves, create_graph=True))
            return result

        more, notes_of_slope = rows_by_directions(_subject(slope, leaves, labels, settings))
        rows += [row._replace(label=f"∇f·u by {row.label}") for row in more]
        notes += [f"∇f·u, for a random direction u: {note}" for note in notes_of_slope]
    return rows, notes, settings.order * len(leaves)


def _subject(
    make_output: Callable[[], Value], leaves: list[Value], labels: list[str], settings: Settings
) -> GraphSubject:
    """The graph; its number is computed anew without recording one, where f needs none."""

    def number() -> float:
        return make_output().data

    output, without_graph = make_output(), no_grad()(number)
    try:
        same = without_graph() == output.data
    except RuntimeError:  # f differentiates
        same = False
    return GraphSubject(output, without_graph if same else number, leaves, labels, settings)
