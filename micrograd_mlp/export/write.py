"""The emitter: walks a plan forward, and backward where the code has its own backward pass (§7).

What the code says at each step is up to a `Writer`: `languages.arrays` has one for languages that compute a
whole batch at once, `languages.loops` one for languages that go through it example by example.
"""

from __future__ import annotations

from collections.abc import Sequence

from micrograd_mlp.engine.language import ATOM, PRODUCT, UNARY, Expression, Language
from micrograd_mlp.engine.translate import Translation
from micrograd_mlp.export.plan import Affine, Elementwise, Plan, Reduction, Ref, Step, Sums, Vector


class Writer:
    """The text of one program in one language.

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
            if isinstance(step, Affine):
                self.affine(step)
            elif isinstance(step, Elementwise):
                self.elementwise(step)
            elif isinstance(step, Sums):
                self.sums(step)
            else:
                self.reduction(step)

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
        if isinstance(step, Affine):
            self.affine_backward(step)
        elif isinstance(step, Elementwise):
            self.elementwise_backward(step)
        elif isinstance(step, Sums):
            self.sums_backward(step)
        else:
            self.reduction_backward(step)

    def affine(self, step: Affine) -> None:
        """z = Wx + b."""
        raise NotImplementedError

    def elementwise(self, step: Elementwise) -> None:
        """One operation on every element."""
        raise NotImplementedError

    def sums(self, step: Sums) -> None:
        """Sums of products and terms."""
        raise NotImplementedError

    def reduction(self, step: Reduction) -> None:
        """An operation of many inputs for every element."""
        raise NotImplementedError

    def begin_adjoint(self, vector: Vector) -> None:
        """All that depends on a vector has handed its adjoint on."""

    def end_parameter(self, vector: Vector) -> None:
        """All that uses a parameter has handed its adjoint on."""

    def affine_backward(self, step: Affine) -> None:
        """∂W = δ xᵀ, ∂b = δ, ∂x = Wᵀ δ."""
        raise NotImplementedError

    def elementwise_backward(self, step: Elementwise) -> None:
        """∂xᵢ = ∂out · ∂out/∂xᵢ."""
        raise NotImplementedError

    def sums_backward(self, step: Sums) -> None:
        """∂aₖ = bₖ ∂out, ∂bₖ = aₖ ∂out, ∂cₖ = ∂out."""
        raise NotImplementedError

    def reduction_backward(self, step: Reduction) -> None:
        """∂xᵢ = ∂out · ∂out/∂xᵢ for all inputs."""
        raise NotImplementedError


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
