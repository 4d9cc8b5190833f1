"""The words of NumPy, and the backward pass in it (§7)."""

from __future__ import annotations

from collections.abc import Sequence

from micrograd_mlp.engine.language import PRODUCT, Expression
from micrograd_mlp.export.languages.arrays import (
    FUNCTIONS_OF_ARRAYS,
    PYTHON_WORDS,
    RUNTIME,
    Arrays,
    ArrayWriter,
    constants,
)
from micrograd_mlp.export.plan import Affine, Elementwise, Plan, Reduction, Ref, Sums, Vector
from micrograd_mlp.export.write import OWN_FUNCTIONS, times

UNARY = (
    "acos acosh asin asinh atan atanh cbrt ceil cos cosh degrees exp exp2 expm1 fabs floor log log10 log1p "
    "log2 radians sin sinh sqrt tan tanh trunc isfinite isinf isnan"
).split()
ITS_NAMES = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
    "atanh": "arctanh", "fabs": "abs",
}  # fmt: skip
FUNCTIONS = FUNCTIONS_OF_ARRAYS | {name: f"np.{ITS_NAMES.get(name, name)}({{0}})" for name in UNARY} | {
    "atan2": "np.arctan2({0}, {1})", "copysign": "np.copysign({0}, {1})", "fmod": "np.fmod({0}, {1})",
    "pow": "np.power({0}, {1})", "power": "np.power({0}, {1})", "round": "np.rint({0})",
    "floordiv": "np.floor_divide({0}, {1})", "mod": "np.mod({0}, {1})", "fsum": "exact_sum({args})",
    **{name: f"each(math.{name}, {{args}})" for name in ("erf", "erfc", "gamma", "lgamma", "remainder")},
}  # fmt: skip
OPERATIONS = {name: FUNCTIONS[name] for name in (*OWN_FUNCTIONS, "atan2")} | {
    "div": "{0:atom} / {1:atom}", "abs": "np.abs({0})", "pow": "{0:atom} ** {1:atom}",
}  # fmt: skip


class NumPy(Arrays):
    """NumPy, imported as np."""

    name = "NumPy"
    module = "np"
    imports = ("import numpy as np",)
    array, as_array = "np.array({})", "np.asarray({}, dtype=float)"
    joined = "np.concatenate"
    batch = "n"
    functions = FUNCTIONS
    operations = OPERATIONS
    reductions = {"logsumexp": "logsumexp({0})", "prod": "np.prod({0}, axis=-1, keepdims=True)"}  # noqa: RUF012
    runtime = RUNTIME
    reserved = PYTHON_WORDS | {"np"}
    constants = constants("np")


class NumPyWriter(ArrayWriter):
    """`loss_and_grad` with its backward pass."""

    def __init__(self, plan: Plan, language: Arrays) -> None:
        super().__init__(plan, language)
        self.contributions: dict[Vector, list[tuple[tuple[int, ...], str]]] = {}
        self.finished: list[Vector] = []

    def text(self) -> str:
        plan = self.plan
        self.forward(plan.steps)
        loss = self.at(plan.outputs)
        self.lines.append("# Backward (§7): ∂loss/∂v is d_v, and delta where v is a pre-activation.")
        seed = "np.full((n, 1), 1.0 / n)" if plan.outputs.varying else "np.ones(1)"
        self.contribute(plan.outputs, Expression(seed), plan.outputs.varying)
        self.backward(plan.steps)
        self._collect_gradient()
        body = [
            *self.arguments(),
            "n = len(X)" if plan.inputs else "n = 1",
            *self.views(),
            "# Forward",
            *self.lines,
            f"return float({loss:atom}.mean()), gradient",
        ]
        head = ['@np.errstate(all="ignore")', f"def loss_and_grad({self.signature()}):"]
        does = "The mean loss of the examples, and its gradient in the order of theta."
        return self.file([self.translation.source()], head, does, body)

    # Adjoints: every use of a vector contributes to its adjoint.

    def contribute(self, ref: Ref, value: Expression, varying: bool) -> None:
        """Add to the adjoints of an operand's elements; the value has a column for each of them."""
        if not ref.active:
            return
        if len(ref.pieces) > 1:
            value = self.held(value, "parts")
        first = 0
        for vector, positions in ref.pieces:
            last = first + len(positions)
            part = value if len(ref.pieces) == 1 else Expression(f"{value}[..., {first}:{last}]")
            first = last
            if vector.active:
                text = f"{part:atom}.sum(axis=0)" if varying and not vector.varying else part.text
                self.contributions.setdefault(vector, []).append((positions, text))

    def begin_adjoint(self, vector: Vector) -> None:
        found = self.contributions.pop(vector, [])
        name, is_matrix = vector.adjoint, len(vector.shape) == 2
        if found and all(_is_whole(positions, vector) for positions, _ in found):
            texts = [
                f"({text}).reshape{vector.shape}" if positions and is_matrix else text
                for positions, text in found
            ]
            self.lines.append(f"{name} = {' + '.join(texts)}")
            return
        self.lines.append(f"{name} = np.zeros({f'(n, {len(vector)})' if vector.varying else len(vector)})")
        for positions, text in found:
            if positions:
                self._add(name, positions, text, vector.varying)
            else:
                self.lines.append(f"{name} += ({text}).ravel()")
        if is_matrix:
            self.lines.append(f"{name} = {name}.reshape{vector.shape}")

    def _add(self, name: str, positions: Sequence[int], text: str, varying: bool = False) -> None:
        """Add to some elements of an array; an element may get several numbers."""
        index = self.index(positions)
        if len(set(positions)) == len(positions):
            self.lines.append(f"{name}[{':, ' * varying}{index}] += {text}")
        else:
            self.lines.append(f"np.add.at({name}, {f'(slice(None), {index})' if varying else index}, {text})")

    def _collect_gradient(self) -> None:
        """Put the adjoints of the parameters where they are in theta."""
        theta = self.plan.theta
        self.lines.append(f"gradient = np.zeros({len(theta)})")
        for positions, text in self.contributions.pop(theta, []):
            self._add("gradient", positions, text)
        for vector in sorted(self.finished, key=lambda vector: vector.at[0]):
            view = self.view(vector, "gradient")
            if self.is_slice(vector) and view.endswith("]"):
                self.lines.append(f"{view} += {vector.adjoint}")
            else:
                flat = ".ravel()" if len(vector.shape) == 2 else ""
                self._add("gradient", vector.at, vector.adjoint + flat)

    def end_parameter(self, vector: Vector) -> None:
        if vector in self.contributions:
            self.begin_adjoint(vector)
            self.finished.append(vector)

    # Steps.

    def affine_backward(self, step: Affine) -> None:
        delta = Expression(step.out.adjoint)
        rows, columns = len(step.out), len(step.inputs)
        product = f"{delta}.T @ {self.operand(step.inputs):atom}"
        whole = step.weights.whole
        if whole is not None and whole.shape == (rows, columns) and whole.active:
            self.contributions.setdefault(whole, []).append(((), product))
        else:
            self.contribute(step.weights, Expression(f"({product}).ravel()"), varying=False)
        if step.biases is not None:
            self.contribute(step.biases, delta, varying=True)
        if step.inputs.active:
            W = self.matrix(step.weights, rows, columns)
            self.contribute(step.inputs, Expression(f"{delta} @ {W}", level=PRODUCT), varying=True)

    def elementwise_backward(self, step: Elementwise) -> None:
        adjoint, operands = Expression(step.out.adjoint), [self.operand(ref) for ref in step.operands]
        slopes = self.translation.slopes(step.op, Expression(step.out.name), operands)
        if isinstance(slopes, str):
            arguments = ", ".join([step.out.name, *[operand.text for operand in operands]])
            several = Expression(f"{slopes}({arguments})")
            if sum(ref.active for ref in step.operands) > 1:
                several = self.held(several, "slopes")
            slopes = [Expression(f"{several}[{k}]") for k in range(len(operands))]
        for ref, slope in zip(step.operands, slopes):
            value = times(adjoint, slope, self.language)
            if len(ref) < len(step.out):
                axis = "axis=1, " if step.out.varying else ""
                value = Expression(f"{value:atom}.sum({axis}keepdims=True)")
            self.contribute(ref, value, step.out.varying)

    def sums_backward(self, step: Sums) -> None:
        count, varying = len(step.out), step.out.varying
        adjoint = Expression(step.out.adjoint)
        if step.terms is not None:
            several = len(step.terms) // count
            value = adjoint if several == 1 else Expression(f"np.repeat({adjoint}, {several}, axis=-1)")
            self.contribute(step.terms, value, varying)
        if step.left is None or step.right is None:
            return
        for ref, other in ((step.left, step.right), (step.right, step.left)):
            if ref.active:
                slope = self._grouped(other, count)
                self.contribute(ref, self._spread(step, slope), varying)

    def reduction_backward(self, step: Reduction) -> None:
        count = len(step.out)
        inputs = self._grouped(step.operands, count)
        out = Expression(step.out.name if count == 1 else f"{step.out.name}[..., None]")
        slope = self.translation.slope_of_each(step.op, out, inputs)
        if slope is None:
            name = self.translation.partials(step.op, step.arity)
            call = f"{name}({out}, *{self.language.split(inputs.text, step.arity)})"
            slope = Expression(f"np.concatenate(np.broadcast_arrays(*{call}), axis=-1)")
        value = self._spread(step, slope)
        self.contribute(step.operands, value, step.out.varying)

    def _spread(self, step: Sums | Reduction, slope: Expression) -> Expression:
        """The adjoint of each result times the derivatives by its inputs, as one row of inputs."""
        adjoint = Expression(step.out.adjoint)
        if len(step.out) == 1:
            return times(adjoint, slope, self.language)
        product = times(Expression(f"{adjoint}[..., None]"), slope, self.language)
        return Expression(f"{product:atom}.reshape({'n, ' if step.out.varying else ''}-1)")


def _is_whole(positions: Sequence[int], vector: Vector) -> bool:
    """Whether these are all elements in their order; an empty list stands for a whole matrix."""
    return not positions or tuple(positions) == tuple(range(len(vector)))
