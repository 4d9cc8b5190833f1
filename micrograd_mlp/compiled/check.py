"""Compare a recorded graph with the function that it was recorded from.

The graph is right for the numbers that it was recorded with. What `f` computes outside of it - a branch on
`.data`, `Value(w.data)`, a number from `no_grad()`, a random choice - is frozen there, and shows when
the numbers change. So f and the graph are compared on other examples, on moved inputs, with moved parameters,
and again with the parameters that a training leaves behind.

They may differ by rounding, since machine code adds up in another order. How much that can be follows from
the graph: `_rounding_bounds` carries an error of half a unit in the last place through each operation. A
difference below that is no error; where it takes half of the digits of a result, a warning says why.
"""

from __future__ import annotations

import math
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from micrograd_mlp.compiled.machine import Machine
from micrograd_mlp.compiled.native import Floats
from micrograd_mlp.compiled.trace import Graph, call, placeholders, trace
from micrograd_mlp.engine import modes
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.op import TABLE, Op
from micrograd_mlp.engine.value import Value

CHECKED_OPERATIONS = 20_000  # how many eager operations the first call may spend on the comparison
MOST_EXAMPLES = 100
CHECKED_AGAIN = 1_000_000  # a training is checked after so many operands for each one that the check takes
PER_OPERATION = 8  # roundings: exp, tanh and others differ by a few units in the last place
NOT_ROUNDED = {"abs", "clip", "equal", "floor", "maximum", "minimum", "neg", "relu", "sign", "where"}
DRAWS = "draws a random number"
PACKAGE = str(Path(__file__).parents[1])


class Precision(NamedTuple):
    """How exact the machine's numbers are.

    Attributes:
        unit: the relative error of one rounding.
        smallest: results below the normal numbers have this absolute error.
        largest: beyond it is infinity.
        tolerance: a relative difference below which nobody asks for the rounding bound.
    """

    unit: float
    smallest: float
    largest: float
    tolerance: float


PRECISIONS = {
    "float64": Precision(2.0**-53, 5e-324, sys.float_info.max, 1e-10),
    "float32": Precision(2.0**-24, 1.5e-45, 3.4028234e38, 2e-5),
}

Function = Callable[..., Any]
Example = Sequence[Any]
Move = Callable[[Floats], Floats]


class Point(NamedTuple):
    """Where f and its graph are compared.

    Attributes:
        what: how an error message calls it.
        example: the arguments of f, as numbers.
        parameters: the numbers of the parameters, if they are moved.
        others: the numbers of other Values, if they are moved.
        may_fail: a function of the user may refuse moved numbers: then they say nothing.
        outputs: those of f, where they are known.
    """

    what: str
    example: Example
    parameters: Floats | None = None
    others: Mapping[Value, float] = {}
    may_fail: bool = False
    outputs: list[float] | None = None


def check(machine: Machine, f: Function, x: Floats, y: Floats, example: Callable[[int], Example]) -> None:
    """Compare f and its graph on some examples, on moved inputs, and with moved parameters and other Values.

    `example` gives the arguments of f, as numbers, for an index.

    Raises:
        RuntimeError: they differ by more than rounding.
    """
    name = "row 0" if example(0) else "the present parameters"
    points = [Point(name, example(0), outputs=machine.graph.recorded)]
    points += [Point(f"row {row}", example(row)) for row in _telling_examples(x, y, _most_points(machine))]
    points += _moved_points(machine)
    points += _points_of_others(machine, f)
    generators = _state_of_generators()
    _compare(machine, f, points, is_single=len(x) == 1)
    if _state_of_generators() != generators:  # by f, or by another thread
        _require_no_draw(f, example(0))
    machine.reached.remember()  # calling f may have changed what it reaches


def check_changes(machine: Machine, f: Function, is_single: bool) -> None:
    """What f can reach has changed: compare f and its graph again, and remember it if it makes no difference.

    Raises:
        RuntimeError: they differ by more than rounding, or the derivative of an operation has changed.
    """
    for op, of_derivative in machine.derivatives.items():
        changed = of_derivative.changes()
        if changed and not machine.is_in_python(op):
            what = f"{changed[0][1]}, which the derivative of {op.name} reads"
            raise RuntimeError(f"since f was recorded, {what}: compile f again")
        of_derivative.accept()
    points = [Point("the example that it was recorded with", machine.example), *_moved_points(machine)]
    changes = [what for _, what in machine.reached.changes()]
    _compare(machine, f, points, is_single, changes)
    machine.reached.accept()


def check_again(machine: Machine, f: Function, n_steps: int, batch_size: int) -> None:
    """After a training: compare f and its graph on the recorded example, with the parameters that it led to.

    Short calls of `train` are checked together, so that this takes little of their time.

    Raises:
        RuntimeError: they differ by more than rounding.
    """
    machine.unchecked += n_steps * batch_size * machine.plan.work
    due = CHECKED_AGAIN * machine.plan.work if machine.is_checked_again else 0
    if n_steps and machine.unchecked >= due:
        machine.unchecked, machine.is_checked_again = 0, True
        point = Point("the parameters after this training, which they still have", machine.example)
        _compare(machine, f, [point], is_single=batch_size == 1)


def _telling_examples(x: Floats, y: Floats, n: int) -> list[int]:
    """Up to n examples besides the first: those with extreme numbers, and some in between."""
    if len(x) < 2:
        return []
    columns = np.concatenate([y, x], axis=1)
    extreme = np.stack([columns[1:].argmin(axis=0), columns[1:].argmax(axis=0)], axis=1).ravel() + 1
    spaced = np.linspace(len(x) - 1, 1, min(n, len(x) - 1)).round().astype(np.int64)
    mixed = [*extreme[: max(n // 2, 2)].tolist(), *spaced.tolist()]
    return list(dict.fromkeys(mixed))[:n]


def _most_points(machine: Machine) -> int:
    return max(min(CHECKED_OPERATIONS // max(machine.n_recorded, 1), MOST_EXAMPLES), 2)


def _moved_points(machine: Machine) -> list[Point]:
    """The example with moved parameters, and with each of its arguments moved."""
    example, parameters = machine.example, machine.parameters
    rng = np.random.default_rng(0)

    def shift(numbers: Floats) -> Floats:
        return numbers * rng.uniform(0.5, 1.5, numbers.shape) + rng.uniform(-0.1, 0.1, numbers.shape)

    def far(numbers: Floats) -> Floats:
        return numbers * rng.uniform(-3.0, 3.0, numbers.shape) + rng.uniform(-1.0, 1.0, numbers.shape)

    def beyond(numbers: Floats) -> Floats:
        return numbers * rng.uniform(30.0, 300.0, numbers.shape) + rng.uniform(10.0, 30.0, numbers.shape)

    def beyond_on_the_other_side(numbers: Floats) -> Floats:
        return -beyond(numbers)

    theta = np.array([p._data for p in parameters], dtype=np.float64)
    moves: list[Move] = [shift, np.negative, far]
    # Parameters do not move as far: `check_again` looks at where a training brings them.
    moves_of_arguments: list[Move] = [*moves, beyond, beyond_on_the_other_side]
    points = []
    for move in moves_of_arguments:
        with np.errstate(over="ignore", invalid="ignore"):
            if parameters and move in moves:
                points.append(Point("moved parameters", example, move(theta), may_fail=True))
            for k, (label, argument) in enumerate(zip("xy", example)):
                moved = move(np.array(argument, dtype=np.float64)).tolist()
                arguments = [*example[:k], moved, *example[k + 1 :]]
                points.append(Point(f"moved inputs {label}", arguments, may_fail=True))
    return points[: 2 * _most_points(machine)]


def _points_of_others(machine: Machine, f: Function) -> list[Point]:
    """The example with those Values moved that f uses, reads or reaches and that are no inputs or parameters.

    What f computes under `no_grad()` from a Value is no part of the graph, and only shows when it is moved.
    """
    example, known = machine.example, set(machine.parameters)
    others = [v for v in machine.reached.values if v not in known]
    if machine.graph.others:
        arguments = [placeholders(numbers, label) for numbers, label in zip(example, "xy")]
        again = set(trace(f, arguments, machine.parameters)[0].others)
        others += [v for v in machine.graph.others if v in again]  # f makes the rest anew in every call
    moves: list[Callable[[float], float]] = [lambda number: -1.3 * number - 0.1, lambda number: 0.7 * number]
    moved = [{v: move(v._data) for v in others} for move in moves if others]
    what = "moved Values that are no parameters"
    return [Point(what, example, others=numbers, may_fail=True) for numbers in moved]


def _compare(
    machine: Machine, f: Function, points: list[Point], is_single: bool, changes: Sequence[str] = ()
) -> None:
    """Refuse f if it differs from its graph at one of the points.

    `is_single` says whether the program is for single examples or for blocks of them: machine code for the
    other kind is not made for a comparison. `changes` says what f can reach and has changed.
    """
    tolerance = PRECISIONS[machine.dtype].tolerance
    groups: dict[int, list[Point]] = {}  # points that are computed together: those where no Value is moved
    for k, point in enumerate(points):
        groups.setdefault(k if point.others or point.parameters is not None else -1, []).append(point)
    for group in groups.values():
        with _moved(machine, group[0]):
            compared, eager = _results_of_f(f, group)
            if not compared:
                continue
            found = _predicted(machine, compared, is_single)
            for point, mine, its in zip(compared, found.tolist(), eager):
                if not all(_is_near(a, b, tolerance) for a, b in zip(mine, its)):
                    _require_rounding(machine, f, point, mine, its, changes)
    machine.read()


def _is_near(found: float, expected: float, tolerance: float) -> bool:
    """Whether two outputs differ by so little that nobody asks for the rounding bound."""
    return math.isclose(found, expected, rel_tol=tolerance) or (found != found and expected != expected)


def _results_of_f(f: Function, points: list[Point]) -> tuple[list[Point], list[list[float]]]:
    """The points where f does not fail, and its outputs there."""
    compared, outputs = [], []
    for point in points:
        try:
            outputs.append(point.outputs or _eager(f, point.example))
        except Exception:
            if not point.may_fail:
                raise
        else:
            compared.append(point)
    return compared, outputs


@contextmanager
def _moved(machine: Machine, point: Point) -> Iterator[None]:
    """Give Values the numbers of this point for a while."""
    moved = dict(point.others)
    if point.parameters is not None:
        moved |= dict(zip(machine.parameters, point.parameters.tolist()))
    before = {v: v._data for v in moved}
    try:
        for v, number in moved.items():
            v._data = number
        yield
    finally:
        for v, number in before.items():
            v._data = number


def _eager(f: Function, example: Example) -> list[float]:
    """The outputs of f."""

    def result_of_f() -> Any:
        return call(f, [placeholders(numbers, label) for numbers, label in zip(example, "xy")])

    try:
        with no_grad():  # which is faster
            result = result_of_f()
    except RuntimeError:  # f differentiates something itself
        result = result_of_f()
    return [v._data for v in result] if isinstance(result, list) else [result._data]


def _predicted(machine: Machine, points: list[Point], is_single: bool) -> Floats:
    """The outputs of the graph at each of the points, with the numbers that Values have now."""
    with np.errstate(over="ignore"):
        x, y = [
            np.array([point.example[k : k + 1] for point in points], machine.dtype).reshape(len(points), -1)
            for k in range(2)
        ]
    machine.read()
    n = len(points)
    rows = list(range(n)) if is_single else [*range(n), n - 1]  # two examples are a block
    return machine.predict(x[rows], y[rows], is_single)[:n]


def _require_rounding(
    machine: Machine,
    f: Function,
    point: Point,
    found: list[float],
    expected: list[float],
    changes: Sequence[str],
) -> None:
    """Refuse f, with what it does that no graph can hold, if more than rounding is between the outputs."""
    numbers = np.concatenate(
        [*[np.ravel(argument) for argument in point.example], [p._data for p in machine.parameters]]
    )
    precision = PRECISIONS[machine.dtype]
    bounds = _rounding_bounds(machine.graph, numbers.tolist(), precision)
    if all(_is_rounding(a, b, bound) for a, b, bound in zip(found, expected, bounds)):
        if not point.may_fail and not machine.is_rounding_known:
            machine.is_rounding_known = _warn_of_rounding(found, expected, bounds, point.what, precision)
        return
    if changes:
        raise RuntimeError(
            f"since f was recorded, {' and '.join(changes[:3])}: now f gives {_shown(expected)} for "
            f"{point.what}, its recorded graph {_shown(found)}. Give such a number to f as an input, make it "
            "a Value, whose number is read in each call, or compile f again"
        )
    lines = _suspicious_lines(f, point.example)[:3]
    seen = f" f {'; '.join(lines)}." if lines else ""
    raise RuntimeError(
        f"f gives {_shown(expected)} for {point.what}, its recorded graph {_shown(found)}, and rounding "
        f"explains a difference of at most {max(bounds):.1g}: the result depends on something that the graph "
        "does not hold, such as a branch on `.data`, a number taken out of a Value, or a random choice."
        f"{seen} Use maximum, minimum, relu, abs or equal, which are part of the graph"
    )


# Rounding


def _is_rounding(found: float, expected: float, bound: float) -> bool:
    """A bound that is nan or inf says that no digit is certain."""
    return found == expected or (found != found and expected != expected) or not abs(found - expected) > bound


def _warn_of_rounding(
    found: list[float], expected: list[float], bounds: list[float], what: str, precision: Precision
) -> bool:
    """Warn if rounding takes half of the digits of a finite result; returns whether it does."""
    other = "" if precision is PRECISIONS["float64"] else ", or use float64"
    for a, b, bound in zip(found, expected, bounds):
        half = math.sqrt(precision.unit) * max(1.0, abs(b))
        if half < abs(a - b) < math.inf:
            warnings.warn(
                f"f gives {b!r} for {what}, and compiled {a!r}: this is rounding, not a branch. Large "
                f"numbers that cancel, or a step, magnify it to at most {bound:.1g}. Write f so that it "
                f"subtracts before numbers grow, or with functions such as log1p, expm1 and logsumexp{other}",
                RuntimeWarning,
                stacklevel=8,  # in a call of `predict`
            )
            return True
    return False


def _rounding_bounds(graph: Graph, leaves: list[float], precision: Precision) -> list[float]:
    """For each output a bound of the rounding error of the graph with these inputs and parameters.

    Each operation adds its own error to what the errors of its operands become: |∂y/∂x| times that of x, or,
    where the operation has a kink or is a user's, the change of y over the error of x. Twice that bounds the
    difference of two ways to compute the same. Numbers that Values hold are rounded too, if the machine has
    fewer digits.
    """
    data, error = list(leaves), [_error_of_leaf(number, precision) for number in leaves]
    for i in range(len(leaves), len(graph.operators)):
        op = graph.operators[i]
        if op is None:
            number = graph.constants[i] if i in graph.constants else graph.captured[i].data
            data.append(number)
            error.append(_error_of_leaf(number, precision))
            continue
        x = [data[k] for k in graph.operands[i]]
        dx = [error[k] for k in graph.operands[i]]
        data.append(op.forward(*x))
        error.append(_error_of_operation(op, x, dx, data[-1], precision))
    return [2.0 * error[output] for output in graph.outputs]


def _error_of_leaf(number: float, precision: Precision) -> float:
    """How much a number of a Value, or a constant, changes when the machine takes it over."""
    if precision is PRECISIONS["float64"] or not abs(number) < math.inf:
        return 0.0
    with np.errstate(over="ignore"):
        return abs(float(np.float32(number)) - number)


def _error_of_operation(op: Op, x: list[float], dx: list[float], y: float, precision: Precision) -> float:
    """The error of y = op(x): its own, and what the errors dx of the operands become."""
    magnitude = _magnitude(op.name, x, y)
    within = math.prod([max(1.0, abs(a)) for a in x]) if op.name == "prod" else magnitude
    if not (abs(y) <= precision.largest and within <= precision.largest):  # a part of it may be infinite
        return math.inf
    passed_on = _passed_on(op, x, dx, y)
    if op.name in NOT_ROUNDED and TABLE.get(op.name) is op:
        return passed_on
    own = PER_OPERATION * precision.unit * magnitude
    # What underflows within the operation may be multiplied by an operand, as in x · sigmoid(x).
    underflow = precision.smallest * max(1.0, *[abs(a) for a in x if abs(a) < math.inf], 1.0)
    error = own + underflow + passed_on
    return error if error <= precision.largest else math.inf


def _magnitude(name: str, x: list[float], y: float) -> float:
    """What the rounding error of an operation is relative to: of a sum the summands."""
    if name in ("total", "add", "sub"):
        return len(x) * sum(map(abs, x))
    if name == "dot":
        half = len(x) // 2
        return half * sum([abs(a * b) for a, b in zip(x[:half], x[half:])])
    return abs(y) * len(x)


def _passed_on(op: Op, x: list[float], dx: list[float], y: float) -> float:
    """How much y changes if each operand changes by its error."""
    if not any(dx):
        return 0.0
    if not all(map(math.isfinite, (*x, *dx))):
        return math.inf  # and a kink function may raise an error there
    if op.kink is None:
        linear = float(sum([abs(slope) * e for slope, e in zip(op.partials(y, *x), dx) if e]))
        if TABLE.get(op.name) is op:
            return linear
        try:  # an operation of a user may have a step without saying so
            return max(linear, _change(op, x, dx, y))
        except Exception:  # or be undefined there
            return linear
    low, high = [a - e for a, e in zip(x, dx)], [a + e for a, e in zip(x, dx)]
    is_at_kink = op.kink(*low) * op.kink(*high) <= 0.0
    is_step = not any(op.partials(y, *x))
    return math.inf if is_at_kink and is_step else _change(op, x, dx, y)


def _change(op: Op, x: list[float], dx: list[float], y: float) -> float:
    """How far op is from y at the two ends of each operand's error, and at 0 between them."""
    change = 0.0
    for k, (a, e) in enumerate(zip(x, dx)):
        if e:
            near = [a - e, a + e, *([0.0] if a - e <= 0.0 <= a + e else [])]  # 0 decides in `where`
            change += max([abs(op.forward(*x[:k], b, *x[k + 1 :]) - y) for b in near])
    return change


# What f does that no graph can hold


def _suspicious_lines(f: Function, example: Example) -> list[str]:
    """Where in the user's program f reads `.data`, enters no_grad(), or draws a random number."""
    found: dict[str, None] = {}
    data: Any = Value.data

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        caller: FrameType | None = frame
        if event == "call" and frame.f_code is data.fget.__code__:
            what, caller = "reads `.data`", frame.f_back
        elif event == "call" and frame.f_code.co_filename == modes.__file__:
            what, caller = "enters no_grad()", frame.f_back
        elif event == "c_call" and _is_random(argument):
            what = DRAWS
        else:
            return
        while caller is not None and "contextlib" in caller.f_code.co_filename:
            caller = caller.f_back
        if caller is not None and not caller.f_code.co_filename.startswith(PACKAGE):
            found[f"{what} at {caller.f_code.co_filename}:{caller.f_lineno}"] = None

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        f(*[placeholders(numbers, label) for numbers, label in zip(example, "xy")])
    except Exception:  # then what was seen until there has to do
        pass
    finally:
        sys.setprofile(before)
    return list(found)


def _state_of_generators() -> tuple[Any, ...]:
    """What every draw from the generators of the modules `random` and `numpy.random` changes."""
    _, keys, *position = np.random.get_state()  # noqa: NPY002  (what users of it draw from)
    return random.getstate(), int(keys[0]), position


def _require_no_draw(f: Function, example: Example) -> None:
    """Refuse f if it draws, though all that was compared agrees: what it draws may matter only rarely."""
    for _ in range(3):  # another thread that draws would have to do so in each of these moments
        generators = _state_of_generators()
        _eager(f, example)
        if _state_of_generators() == generators:
            return
    lines = [line for line in _suspicious_lines(f, example) if line.startswith(DRAWS)] or [DRAWS]
    raise RuntimeError(
        f"f {lines[0]}, and its recorded graph would keep what was drawn while it was recorded: draw before, "
        "and give f the number as an input"
    )


def _is_random(function: Any) -> bool:
    owner = type(getattr(function, "__self__", None)).__module__ or ""
    return owner in ("random", "_random") or owner.startswith("numpy.random")


def _shown(numbers: list[float]) -> str:
    return repr(numbers[0]) if len(numbers) == 1 else f"{numbers!r:.60}"
