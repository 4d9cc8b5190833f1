"""Numerical checks of derivatives: is what backpropagation computed (§6, §7) the slope of the function?

The Taylor expansion of §5 gives the check: f(x + h) - f(x - h) ≈ 2h·f'(x). A difference with one fixed
step is right to six digits or so. Here every input gets a ladder of steps, each half of the last, and
Richardson's extrapolation to h = 0, which also tells how far its own answer can be trusted:

- the slope over a step h is f'(x) + c₁h² + c₂h⁴ + …, so that 4/3 of one slope minus 1/3 of the slope
  before it has no h² left, and so on along the ladder; what still changes is the estimate of the error;
- f itself is rounded, which no step can undo: that uncertainty, summed over the graph, is part of it;
- a step that leaves the domain of f is dropped, so that the steps shrink until they fit.

The slopes to the left and to the right are extrapolated too. Where they differ, x is at a kink.

Where all operations are analytic, the complex step has a sharper number to compare with. Differences still
have to agree with it, since they see what the graph does not: a gradient lost through `.data`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from micrograd_mlp._require import require_choice, require_count, require_number
from micrograd_mlp.checks.complex_step import CONTINUATIONS, imaginary_slope
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Value

STEPS = 48  # in a ladder: from about a third of 1 or |x| down to 1e-15 of it
CERTAINTY = 10.0  # an error of more than ten estimates is a wrong derivative
WIDEST = 1e-3  # an estimate above this part of the derivative confirms nothing …
WIDEST_AT_ZERO = 1e-8  # … unless it is below this part of the slopes nearby, or of terms that cancelled
FAR_SHORTER = 4096.0  # the step that a settled slope is compared with, as a part of the last one
LEAST_KINK = 1e-4  # slopes that differ by less than this part of themselves are one slope
RTOL = {"richardson": 1e-9, "complex-step": 1e-12}


class Row(NamedTuple):
    """One derivative: what the graph says, what differences say, and how far apart they are.

    Attributes:
        label: the input, or both inputs of a second derivative.
        analytic: the derivative from the graph.
        numerical: the derivative from differences; at a kink the mean of the slopes on either side.
        estimate: how far `numerical` may be off, by its own account.
        verdict: "ok"; "kink" (the slopes on either side differ and the analytic value is between them,
            which is right: the verdict shows both); "wrong"; "inconclusive" (a zero could not be told
            from the right derivative: the verdict says why); "not finite" (f or its derivative is inf
            or nan); "undefined" (f does not exist on both sides of the input).
    """

    label: str
    analytic: float
    numerical: float
    estimate: float
    verdict: str

    @property
    def error(self) -> float:
        """|analytic - numerical|."""
        return abs(self.analytic - self.numerical)

    @property
    def ulps(self) -> float:
        """The error in units of the analytic value's last place."""
        return self.error / math.ulp(self.analytic) if math.isfinite(self.error) else self.error

    @property
    def passed(self) -> bool:
        """Is the derivative right, or between the slopes of a kink?"""
        return self.verdict == "ok" or self.verdict.startswith("kink")


class GradCheckReport:
    """What `gradcheck` found: a table that prints itself, worst row first. True if all rows passed.

    >>> gradcheck(lambda x: abs(x), [0.0])  # doctest: +ELLIPSIS
      label  analytic  numerical  error  ulps  estimate  verdict
      x             0          0      0     0       ...  kink, slopes -1 and 1
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(sorted(rows, key=_badness, reverse=True))

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows that did not pass."""
        return tuple([row for row in self.rows if not row.passed])

    @property
    def passed(self) -> bool:
        """Did every row pass?"""
        return not self.failures

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return _table(self.rows)


class GradCheckError(AssertionError):
    """Some derivatives did not pass. The message is their part of the table, `.report` all of it."""

    def __init__(self, report: GradCheckReport) -> None:
        failures = report.failures
        super().__init__(
            f"{len(failures)} of {len(report.rows)} derivatives did not pass:\n{_table(failures)}"
        )
        self.report = report


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
    micrograd_mlp.checks.gradcheck.GradCheckError: 1 of 1 derivatives did not pass:
      label  analytic  numerical  error     ulps  estimate  verdict
      x             6         27     21  2.4e+16       ...  wrong
    >>> gradcheck(lambda x: 1e16 + x, [1.0], raise_exception=False)  # doctest: +ELLIPSIS
      label  analytic  ...  verdict
      x             1  ...  inconclusive, at 1e+16 rounding hides slopes below 3e+02
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
        rows = _rows([output()], lambda: [output().data], leaves, labels, method, atol, rtol)
        if order == 2:
            slopes = grad(output(), leaves, create_graph=True)
            pairs = [f"{x}, {y}" for x in labels for y in labels]
            rows += _rows(slopes, gradient, leaves, pairs, method, atol, rtol)
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


def _rows(
    outputs: list[Value],
    recompute: Callable[[], list[float]],
    inputs: list[Value],
    labels: list[str],
    method: str,
    atol: float,
    rtol: float,
) -> list[Row]:
    """Check every output's derivative by every input. `recompute` gives the outputs' numbers anew."""
    rows = []
    noises = [_rounding(output) for output in outputs]
    gradients = [grad(output, inputs) for output in outputs]
    contributions = [_contributions(output) for output in outputs]
    for column, x in enumerate(inputs):
        at = _function_of(x, recompute)
        for row, output in enumerate(outputs):
            label, g = labels[row * len(inputs) + column], gradients[row][column]
            if math.isfinite(output.data) and math.isfinite(g):
                slopes = _slopes(lambda number: at(number)[row], x.data, noises[row])  # noqa: B023 (used at once)
                scale = contributions[row].get(x, 0.0)
                judged = _judge(label, g, slopes, atol, rtol, scale, output, x)
                if method == "complex-step":
                    judged = _judge_again(judged, *_complex_step(output, x), atol, rtol)
                rows.append(judged)
            else:
                rows.append(Row(label, g, math.nan, math.nan, "not finite"))
    return rows


def _function_of(x: Value, recompute: Callable[[], list[float]]) -> Callable[[float], list[float]]:
    """The outputs' numbers as a function of one input, each point computed once; empty outside the domain."""
    seen: dict[float, list[float]] = {}
    here = x.data

    def at(number: float) -> list[float]:
        if number not in seen:
            x.data = number
            try:
                seen[number] = recompute()
            finally:
                x.data = here
        return seen[number]

    return at


def _rounding(output: Value) -> float:
    """How uncertain the output is because every node of its graph was rounded, to first order."""
    nodes = output.topological_order()
    shares = [adjoint * math.ulp(node.data) for node, adjoint in zip(nodes, grad(output, nodes))]
    return math.hypot(*[share for share in shares if math.isfinite(share)])


def _contributions(output: Value) -> dict[Value, float]:
    """For every node, Σ over its paths to the output of Π|local derivatives|: what may have cancelled."""
    sums = {output: 1.0}
    for node in reversed(output.topological_order()):
        for parent, local_grad in zip(node.parents, node.local_grads):
            sums[parent] = sums.get(parent, 0.0) + abs(local_grad) * sums[node]
    return sums


class _Extrapolation:
    """Richardson's: slopes over steps that halve each time, extrapolated to a step of zero.

    `factor` is what the error's leading term shrinks by from step to step: 2² for central slopes, whose
    error has even powers of the step only, and 2 for one-sided ones.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.value, self.estimate = math.nan, math.inf
        self.step, self.rounding, self.scale = 0.0, 0.0, 0.0  # where it was found
        self.last: list[float] = []

    def add(self, slope: float, step: float, rounding: float, scale: float) -> None:
        """Take the slope over the next step, and keep the value that is surest so far."""
        row, power = [slope], 1.0
        value, estimate = slope, math.inf
        for older in self.last[:8]:
            power *= self.factor
            row.append(row[-1] + (row[-1] - older) / (power - 1.0))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - older)) + rounding
            if error < estimate:
                value, estimate = row[-1], error
        self.last = row
        # A shorter step that contradicts a longer one is nearer to the limit.
        contradicted = abs(value - self.value) > CERTAINTY * (estimate + self.estimate)
        if estimate < self.estimate or contradicted:
            self.value, self.estimate = value, estimate
            self.step, self.rounding, self.scale = step, rounding, scale


class _Slopes:
    """The slope of a function at a point, and its slopes to the left and to the right."""

    def __init__(self) -> None:
        self.central, self.left, self.right = _Extrapolation(4.0), _Extrapolation(2.0), _Extrapolation(2.0)
        self.steps = 0

    def best(self) -> tuple[float, float]:
        """The slope and its estimate; from both sides where f is only piecewise smooth, as x·|x| is at 0."""
        sides = (self.left.value + self.right.value) / 2.0, (self.left.estimate + self.right.estimate) / 2.0
        return min((self.central.value, self.central.estimate), sides, key=lambda result: result[1])

    def settled(self, rounding: float) -> bool:
        """Would a smaller step add more rounding error than it takes away?"""
        if self.steps < 4 or rounding < self.best()[1]:
            return False
        return all(
            side.estimate <= max(1e-3 * abs(side.value), CERTAINTY * rounding)
            for side in (self.left, self.right)
        )


def _slopes(at: Callable[[float], float], x: float, noise: float) -> _Slopes:
    """Go down the ladder of steps, until rounding errors grow faster than the rest shrinks."""
    slopes = _Slopes()
    middle = at(x)
    longest = math.frexp(max(1.0, abs(x)))[1] - 1
    shortest = min(0, math.frexp(x)[1]) - STEPS
    for exponent in range(longest, shortest, -1):
        # Few binary digits, so that x ± h is mostly exact, but no power of two, which periods often are.
        h = math.ldexp(27.0 / 64.0, exponent)
        if x + h == x or x - h == x:
            break
        left, central, right = _differences(at, x, middle, h)
        if not (math.isfinite(left) and math.isfinite(right) and math.isfinite(central)):
            slopes = _Slopes()  # the ladder begins below this step
            continue
        rounding, scale = 2.0 * noise / h, max(abs(left), abs(right))
        slopes.central.add(central, h, rounding, scale)
        slopes.left.add(left, h, rounding, scale)
        slopes.right.add(right, h, rounding, scale)
        slopes.steps += 1
        if slopes.settled(rounding):
            # Long steps can agree on something else than the limit, across many periods or a pole: what
            # does a step say that is far shorter, even if it is less exact?
            value, estimate = slopes.best()
            _, closer, _ = _differences(at, x, middle, h / FAR_SHORTER)
            if abs(closer - value) <= CERTAINTY * (estimate + rounding * FAR_SHORTER) + abs(central - value):
                break
    return slopes


def _differences(
    at: Callable[[float], float], x: float, middle: float, h: float
) -> tuple[float, float, float]:
    """The slope from x - h to x, from x - h to x + h, and from x to x + h."""
    above, below = x + h, x - h
    if above == x or below == x:
        return math.nan, math.nan, math.nan
    upper, lower = _or_nan(at, above), _or_nan(at, below)
    return (middle - lower) / (x - below), (upper - lower) / (above - below), (upper - middle) / (above - x)


def _or_nan(at: Callable[[float], float], x: float) -> float:
    """nan where f raises, as it may outside its domain."""
    try:
        return at(x)
    except (ArithmeticError, ValueError):
        return math.nan


def _judge(
    label: str, g: float, slopes: _Slopes, atol: float, rtol: float, scale: float, output: Value, x: Value
) -> Row:
    """The verdict on one derivative. `scale` is the size of the terms that may have cancelled in it."""
    numerical, estimate = slopes.best()
    error, uncertainty = abs(g - numerical), CERTAINTY * estimate
    at_zero = max(slopes.central.scale, scale if math.isfinite(scale) else 0.0)
    widest = max(atol, WIDEST * max(abs(g), abs(numerical)), WIDEST_AT_ZERO * at_zero)
    agrees = g != 0.0 and error <= rtol * abs(g)  # to more digits than chance explains
    level = g == numerical == 0.0
    at_kink = _at_kink(g, slopes)
    if not math.isfinite(estimate):
        verdict = "undefined"
    elif at_kink is not None:
        verdict = at_kink
    elif error > max(atol, rtol * abs(g), uncertainty):
        verdict = "wrong"
    elif agrees or uncertainty <= widest or (level and not _rounded_away(output, x, slopes.central.step)):
        verdict = "ok"
    elif estimate <= CERTAINTY * slopes.central.rounding:
        verdict = f"inconclusive, at {output.data:.4g} rounding hides slopes below {uncertainty:.1g}"
    else:
        verdict = "inconclusive, the slopes do not settle"
    return Row(label, g, numerical, estimate, verdict)


def _rounded_away(output: Value, x: Value, step: float) -> bool:
    """Where f is level to the last bit, may that be rounding, as in 1e16 + x, and not f, as in relu(x - 5)?

    The graph is computed again with x one step up and one step down. A node that is the same on both
    sides though its operands are not has rounded the difference away if, by its local derivatives, it
    should differ, or if it is so large that it could not. Then it may be off by one unit in its last
    place: would that show in f?
    """
    up, down = {x: x.data + step}, {x: x.data - step}
    for node in output.topological_order():
        if node.op is None or up.keys().isdisjoint(node.parents):
            continue
        above, below = [
            node.op.forward(*[side.get(parent, parent.data) for parent in node.parents])
            for side in (up, down)
        ]
        if above == below:
            differing = [d for p, d in zip(node.parents, node.local_grads) if p in up and up[p] != down[p]]
            if any(differing) or (differing and math.ulp(above) > WIDEST_AT_ZERO * step):
                above = math.nextafter(above, math.inf)
        up[node], down[node] = above, below
    return output in up and up[output] != down[output]


def _at_kink(g: float, slopes: _Slopes) -> str | None:
    """The verdict if the slopes on either side clearly differ, or None."""
    left, right = slopes.left.value, slopes.right.value
    uncertainty = CERTAINTY * (slopes.left.estimate + slopes.right.estimate)
    gap = abs(right - left)
    if uncertainty > 0.01 * gap or gap <= LEAST_KINK * max(abs(left), abs(right)):
        return None
    between = min(left, right) - uncertainty <= g <= max(left, right) + uncertainty
    return f"{'kink' if between else 'wrong'}, slopes {left:.4g} and {right:.4g}"


# The complex step


def _complex_step(output: Value, x: Value) -> tuple[float, float]:
    """The derivative of the output by x, and how far it and the graph's may be apart by rounding.

    From x to the output, every node adds up how it moves with its operands: ∂v/∂x = Im F(p + ih·∂p/∂x) / h,
    where F is the operation on complex numbers. The graph's local derivatives have no part in it.
    """
    order = output.topological_order()
    slopes, uncertainty = {x: 1.0}, 0.0
    for node, adjoint in zip(order, grad(output, order)):
        if node.op is None:
            continue
        direction = [slopes.get(parent, 0.0) for parent in node.parents]
        if not any(direction):
            continue
        numbers = [parent.data for parent in node.parents]
        slopes[node], underflow = _slope_of(node.op, numbers, direction)
        # A local derivative is rounded, and so is the node's own value, which it may be written with.
        partials = node.op.partials(math.nextafter(node.data, math.inf), *numbers)
        rounding = [
            abs(t) * (math.ulp(d) + abs(shifted - d))
            for t, d, shifted in zip(direction, node.local_grads, partials)
            if t != 0.0
        ]
        uncertainty += abs(adjoint) * (sum(rounding) + underflow)
    return slopes.get(output, 0.0), uncertainty


def _slope_of(op: Op, numbers: list[float], direction: list[float]) -> tuple[float, float]:
    f: Callable[..., complex] = op.forward
    if op.name in TABLE and f is TABLE[op.name].forward:
        if op.name not in CONTINUATIONS:
            raise ValueError(
                f"the complex step needs analytic operations, and {op.name} is not one: "
                "use method='richardson', the default"
            )
        f = CONTINUATIONS[op.name]
    try:
        return imaginary_slope(f, numbers, direction)
    except TypeError as error:
        raise ValueError(
            f"the complex step needs operations on complex numbers, and {op.name} takes none ({error}): "
            "use method='richardson', the default"
        ) from None


def _judge_again(row: Row, numerical: float, estimate: float, atol: float, rtol: float) -> Row:
    """The verdict by the complex step, where differences passed the derivative or could not tell."""
    if row.verdict != "ok" and "rounding hides" not in row.verdict:
        return row
    g, uncertainty = row.analytic, CERTAINTY * estimate
    tolerance = max(atol, rtol * abs(g))
    difference = abs(numerical - row.numerical)
    if not difference <= max(atol, 1e-9 * abs(numerical), CERTAINTY * row.estimate, uncertainty):
        verdict = f"inconclusive, but {numerical:.10g} by the complex step: is f analytic?"
        return row._replace(verdict=verdict)
    if abs(g - numerical) > max(tolerance, uncertainty):
        verdict = "wrong"
    elif uncertainty <= max(tolerance, WIDEST * abs(g)):
        verdict = "ok"
    else:
        verdict = row.verdict
    return Row(row.label, g, numerical, estimate, verdict)


def _badness(row: Row) -> tuple[bool, float]:
    """Failing rows first, each part by relative error."""
    if math.isnan(row.error):
        return not row.passed, math.inf
    return not row.passed, row.error / max(abs(row.analytic), abs(row.numerical)) if row.error else 0.0


def _table(rows: Sequence[Row]) -> str:
    table = [("label", "analytic", "numerical", "error", "ulps", "estimate", "verdict")]
    for row in rows:
        numbers = (f"{row.analytic:.10g}", f"{row.numerical:.10g}", f"{row.error:.2g}")
        table.append((row.label, *numbers, f"{row.ulps:.2g}", f"{row.estimate:.1g}", row.verdict))
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = []
    for cells in table:
        aligned = [f"{cell:>{width}}" for cell, width in zip(cells, widths)]
        aligned[0], aligned[-1] = f"{cells[0]:<{widths[0]}}", cells[-1]  # text is flush left
        lines.append("  ".join(["", *aligned]))
    if any("rounding hides" in row.verdict for row in rows):
        lines.append("where rounding hides slopes: check f without its large constant part, or elsewhere")
    return "\n".join(lines)
