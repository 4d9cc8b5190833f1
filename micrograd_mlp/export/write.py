"""The emitter: walks a plan forward, and backward where the code has its own backward pass (§7).

What the code says at each step is up to a `Writer`: `languages.arrays` has one for languages that compute a
whole batch at once, `languages.loops` one for languages that go through it example by example.
"""

from __future__ import annotations

from collections.abc import Sequence

from micrograd_mlp.engine.language import ATOM, PRODUCT, UNARY, Expression, Language
from micrograd_mlp.engine.translate import Translation
from micrograd_mlp.export.plan import Affine, Elementwise, Plan, Ref, Step, Sums, Vector

OWN_FUNCTIONS = [
    *("exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "cbrt", "floor"),
]
"""Operations of one number for which languages have functions of their own."""


class Writer:
    """The text of one program in one language.

    For each kind of step a subclass has a method of that name which writes how it is computed: `affine` for
    z = Wx + b, `elementwise`, `sums` and `reduction`. Where the code has its own backward pass, methods such
    as `affine_backward` write how the adjoint of the result is handed on to the operands.

    Args:
        plan: the steps.
        language: its words.
    """

    def __init__(self, plan: Plan, language: Language) -> None:
        self.plan, self.language = plan, language
        self.translation = Translation(language)
        for vector in [*plan.inputs, *plan.parameters, *[step.out for step in plan.steps]]:
            vector.name = self.translation.variable(vector.name)
            self.translation.variable(vector.adjoint)
        self.lines: list[str] = []

    def text(self) -> str:
        """The whole file."""
        raise NotImplementedError

    def forward(self, steps: Sequence[Step]) -> None:
        """Write what computes the steps."""
        for step in steps:
            getattr(self, _kind(step))(step)

    def backward(self, steps: Sequence[Step]) -> None:
        """Write what hands the adjoints of the results on to the operands, the last step first."""
        last_use: dict[Vector, Step] = {}  # in the order of the backward pass
        for step in reversed(self.plan.steps):
            last_use |= {vector: step for vector in _parameters_of(step) if vector is not self.plan.theta}
        for step in reversed(steps):
            if step.out.active:
                self.begin_adjoint(step.out)
                self.step_backward(step)
            for vector in _parameters_of(step):
                if last_use.get(vector) is step:
                    self.end_parameter(vector)

    def step_backward(self, step: Step) -> None:
        """Hand the adjoint of one step's result on to its operands."""
        getattr(self, f"{_kind(step)}_backward")(step)

    def begin_adjoint(self, vector: Vector) -> None:
        """All that depends on a vector has handed its adjoint on."""

    def end_parameter(self, vector: Vector) -> None:
        """All that uses a parameter has handed its adjoint on."""


def _kind(step: Step) -> str:
    return type(step).__name__.lower()


def operands_of(step: Step) -> list[Ref]:
    """What a step takes."""
    if isinstance(step, Affine):
        refs = [step.weights, step.biases, step.inputs]
    elif isinstance(step, Elementwise):
        refs = list(step.operands)
    else:
        refs = [step.left, step.right, step.terms] if isinstance(step, Sums) else [step.operands]
    return [ref for ref in refs if ref is not None]


def _parameters_of(step: Step) -> list[Vector]:
    """The parameters that a step uses."""
    vectors = dict.fromkeys(vector for ref in operands_of(step) for vector, _ in ref.pieces)
    return [vector for vector in vectors if vector.role == "parameter"]


def times(adjoint: Expression, slope: Expression, language: Language) -> Expression:
    """The adjoint times a local derivative; a derivative of 1 or -1 is not written."""
    if slope.text in ("1.0", "1"):
        return adjoint
    if slope.text in ("-1.0", "-1"):
        return Expression("-" + adjoint.within(ATOM), level=UNARY)
    if slope.level == UNARY and slope.text.startswith("-"):
        inner = language.arithmetic("*", adjoint, Expression(slope.text[1:]))
        return Expression("-" + inner.text, level=PRODUCT)
    return language.arithmetic("*", adjoint, slope)


def spans(positions: Sequence[int]) -> tuple[int, int, int] | None:
    """First, last and step of positions in arithmetic progression that go up; None for others."""
    if len(positions) == 1:
        return positions[0], positions[0], 1
    step = positions[1] - positions[0]
    if step > 0 and list(positions) == list(range(positions[0], positions[-1] + 1, step)):
        return positions[0], positions[-1], step
    return None
