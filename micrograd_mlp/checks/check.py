"""`gradcheck`: is what backpropagation computed (§6, §7) the slope of the function (§5)?

Every input is moved a little to either side, and the slope of f is extrapolated to a step of zero. Where the
slopes to the left and to the right differ, the input is at a kink.

Where all operations are analytic, the complex step has a sharper number to compare with. Differences still
have to agree with it, since they see what the graph does not: a gradient lost through `.data`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from micrograd_mlp._require import require_choice, require_count, require_number
from micrograd_mlp.checks.graphs import rows_of_graphs
from micrograd_mlp.checks.judgement import Tolerance
from micrograd_mlp.checks.report import GradCheckError, GradCheckReport
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.value import Value

RTOL = {"richardson": 1e-9, "complex-step": 1e-12}


def gradcheck(
    f: Callable[..., Value],
    inputs: Sequence[Value | float],
    *,
    order: int = 1,
    method: Literal["richardson", "complex-step"] = "richardson",
    atol: float = 0.0,
    rtol: float | None = None,
    raise_exception: bool = True,
) -> GradCheckReport:
    """Compare f's derivatives from the graph with numerical ones that know their own error.

    A derivative g passes if it is within max(atol, rtol·|g|, 10·estimate) of the numerical one, and
    the estimate is narrow enough to tell g from zero: 10·estimate is below atol, a thousandth of g, or
    1e-8 of the slopes nearby or of the terms that cancelled in g. A zero where f is level to the last bit
    passes unless rounding may be the reason: f has to stay level if every intermediate result that
    rounded a change of the input away is moved by one unit in its last place. All else is "inconclusive",
    which does not pass.

    Args:
        f: takes the inputs as its arguments and returns one Value. Called some 15 times an input.
        inputs: Values, such as `model.parameters()`, which are perturbed in place and get back their
            `.data` and `.grad` even when f raises; or numbers, which are wrapped.
        order: 2 checks the second derivatives as well, against differences of the gradient.
        method: "complex-step" compares with Im f(x + ih) / h as well, which subtracts nothing and is
            good to a few units in the last place: it rejects a g that is off by 1e-11 of itself and
            resolves slopes that rounding hides from differences. For graphs of analytic operations, and
            operations of your own whose function takes complex numbers.
        atol: an absolute error that passes, where 10·estimate is no larger.
        rtol: an error, relative to a g that is not zero, that passes in any case; 1e-9 unless given, and
            1e-12 with the complex step.
        raise_exception: False only returns the report.

    Raises:
        GradCheckError: an AssertionError that shows the derivatives which did not pass.
        TypeError: f does not return a Value, or an input is not a number.
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
    >>> gradcheck(lambda x: 1e16 + x, [1.0], raise_exception=False)  # doctest: +ELLIPSIS
      label  analytic  ...  verdict
      x             1  ...  inconclusive, at 1e+16 rounding hides slopes below 2e+02
    where rounding hides slopes: check f without its large constant part, or elsewhere
    >>> gradcheck(lambda x: 1e16 + x, [1.0], method="complex-step")
      label  analytic  numerical  error  ulps  estimate  verdict
      x             1          1      0     0     2e-16  ok
    """
    order = require_count("order", order, least=1, most=2)
    require_choice("method", method, RTOL)
    atol = require_number("atol", atol, least=0)
    rtol = RTOL[method] if rtol is None else require_number("rtol", rtol, least=0)
    if not isinstance(inputs, Sequence) or isinstance(inputs, str) or not inputs:
        raise ValueError(f"inputs is a list of at least one Value or number, got {inputs!r:.60}")
    leaves = [x if isinstance(x, Value) else Value(x) for x in inputs]
    labels = _labels(f, leaves)
    before = [(x, x.data, x.grad) for x in leaves]

    def output() -> Value:
        result = f(*leaves)
        if not isinstance(result, Value):
            raise TypeError(f"f returns one Value, got {result!r:.60}")
        return result

    def gradient() -> list[float]:
        result = output()
        if not math.isfinite(result.data):
            raise ArithmeticError("outside the domain of f")  # where its partials may exist all the same
        return grad(result, leaves)

    try:
        _require_determinism(output)
        tolerance, everything = Tolerance(atol, rtol), range(len(leaves))
        rows = rows_of_graphs(
            [output()], lambda: [output().data], leaves, labels, method, tolerance, everything
        )
        if order == 2:
            slopes = grad(output(), leaves, create_graph=True)
            pairs = [f"{x}, {y}" for x in labels for y in labels]
            rows += rows_of_graphs(slopes, gradient, leaves, pairs, method, tolerance, everything)
    finally:
        for x, data, its_grad in before:
            x.data, x.grad = data, its_grad
    report = GradCheckReport(rows)
    if raise_exception and not report:
        raise GradCheckError(report)
    return report


def _labels(f: Callable[..., Value], inputs: list[Value]) -> list[str]:
    """The inputs' own labels, or else what f calls them, or else their number."""
    import inspect  # slow to import, and this module is imported with the package

    names = [f"x{i + 1}" for i in range(len(inputs))]
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        parameters = []
    for i, parameter in enumerate(parameters[: len(inputs)]):
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names[i] = parameter.name
    return [name if x.label is None else x.label for x, name in zip(inputs, names)]


def _require_determinism(output: Callable[[], Value]) -> None:
    first, second = output().data, output().data
    if first != second and not (math.isnan(first) and math.isnan(second)):
        raise ValueError(f"f gave {first!r} and then {second!r} at one point: fix the seed inside f")
