"""What NumPy, JAX and PyTorch have in common: a whole batch is one array of shape (batch, elements).

What is the same for all examples is an array of shape (elements,), which broadcasts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from micrograd_mlp.engine.language import (
    ATOM,
    BOOLEAN,
    Expression,
    Language,
    definitions,
)
from micrograd_mlp.engine.op import Op
from micrograd_mlp.export.plan import Affine, Elementwise, Plan, Reduction, Ref, Sums, Vector
from micrograd_mlp.export.write import Writer, spans

PYTHON_WORDS = frozenset(
    "False None True and as assert async await break class continue def del elif else except finally "
    "for from functools global if import in is lambda math nonlocal not or pass raise return try while "
    "with theta X Y n gradient loss_and_grad predict abs all any bool float int len list map max min "
    "range sum tuple zip".split()
)
FUNCTIONS_OF_ARRAYS = {
    "is_undefined": "is_undefined({args})", "is_overflow": "is_overflow({args})",
    "largest": "largest({args})", "smallest": "smallest({args})", "hypot": "length({args})",
    "prod": "product({args})", "sum": "compensated_sum({args})", "fsum": "compensated_sum({args})",
}  # fmt: skip
"""The functions of `runtime_arrays`, by the names that they have in Python."""
RUNTIME = {
    name: re.sub(r"(: | -> )Any", "", text)
    for name, text in definitions(Path(__file__).with_name("runtime_arrays.py"), r"^def (\w+)").items()
}


def constants(module: str) -> dict[str, str]:
    """The constants that a library has under its own name."""
    return {"inf": f"{module}.inf", "nan": f"{module}.nan", "True": "True", "False": "False"}


class Arrays(Language):
    """A library of arrays for Python.

    Attributes:
        module: the name under which the library is imported.
        imports: the lines that import it.
        array, as_array: templates for a constant array, and for an array of numbers that are given.
        batch: the number of examples.
        axis, keep: what the library calls an axis, and whether it stays.
        reductions: for operations of any number of inputs, a template that takes them along the last axis
            and keeps that axis.
        joined: the function that joins arrays along an axis.
    """

    module: str
    imports: Sequence[str]
    array: str
    as_array: str
    batch = "len(X)"
    axis = "axis"
    keep = "keepdims"
    reductions: Mapping[str, str]
    joined: str
    indent = "    "
    between = "\n\n\n"

    def negation(self, condition: Expression) -> Expression:
        return Expression(f"{self.module}.logical_not({condition})", BOOLEAN)

    def logical(self, word: str, conditions: Sequence[Expression]) -> Expression:
        text = conditions[0].text
        for condition in conditions[1:]:
            text = f"{self.module}.logical_{word}({text}, {condition})"
        return Expression(text, BOOLEAN)

    def select(self, condition: Expression, yes: Expression, no: Expression) -> Expression:
        return Expression(f"{self.module}.where({condition}, {yes}, {no})", yes.kind)

    def assignment(self, target: str, value: str) -> str:
        return f"{target} = {value}"

    def returned(self, value: Expression) -> str:
        if value.items is None:
            return f"return {value}"
        return f"return [{', '.join(item.text for item in value.items)}]"

    def function(self, name: str, parameters: Sequence[str], body: Sequence[str]) -> str:
        return "\n".join([f"def {name}({', '.join(parameters)}):", *[self.indent + line for line in body]])

    # Arrays.

    def literal(self, numbers: Sequence[float]) -> str:
        """A constant array."""
        return self.array.format(f"[{', '.join(self.number(x).text for x in numbers)}]")

    def repeated(self, array: str, n: int) -> str:
        """An array of n elements, the same for every example of the batch."""
        return f"{self.module}.broadcast_to({array}, ({self.batch}, {n}))"

    def split(self, array: str, n: int) -> str:
        """A list of the n elements along the last axis, each of which keeps that axis."""
        return f"{self.module}.split({array}, {n}, axis=-1)"


class ArrayWriter(Writer):
    """Code for a whole batch at once."""

    language: Arrays

    def __init__(self, plan: Plan, language: Arrays) -> None:
        for vector, name in zip(plan.inputs, "XY"):
            vector.name = name
        super().__init__(plan, language)
        for vector, name in zip(plan.inputs, "XY"):
            vector.name = name
        vectors = [*plan.inputs, *plan.parameters, *[step.out for step in plan.steps]]
        self.local = {vector.name for vector in vectors} | {vector.adjoint for vector in vectors}
        self.known: dict[Ref, Expression] = {}

    # Operands.

    def at(self, ref: Ref) -> Expression:
        """The text of an operand."""
        constants = ref.constants
        if constants is not None:
            one = len(constants) == 1
            return self.language.number(constants[0]) if one else Expression(self.language.literal(constants))
        if len(ref.pieces) == 1:
            return Expression(self._taken(*ref.pieces[0]))
        parts = []
        for vector, positions in ref.pieces:
            part = self._taken(vector, positions)
            parts.append(
                self.language.repeated(part, len(positions)) if ref.varying and not vector.varying else part
            )
        return Expression(f"{self.language.joined}([{', '.join(parts)}], {self.language.axis}=-1)")

    def _taken(self, vector: Vector, positions: tuple[int, ...]) -> str:
        if vector.role == "constant":
            return self.language.literal([vector.values[p] for p in positions])
        name = f"{vector.name}.ravel()" if len(vector.shape) == 2 else vector.name
        if positions == tuple(range(len(vector))):
            return name
        return f"{name}[{':, ' * vector.varying}{self.index(positions)}]"

    def index(self, positions: Sequence[int]) -> str:
        """Positions as a slice or as a list."""
        span = spans(positions)
        if span is None:
            return self.language.literal(positions) if self.language.module == "jnp" else str(list(positions))
        first, last, step = span
        return f"{first}:{last + 1}" + (f":{step}" if step > 1 else "")

    def matrix(self, ref: Ref, rows: int, columns: int) -> str:
        """An operand as a matrix."""
        whole = ref.whole
        if whole is not None and whole.shape == (rows, columns):
            return whole.name
        constants = ref.constants
        array = self.language.literal(constants) if constants else f"{self.at(ref):atom}"
        return f"{array}.reshape({rows}, {columns})"

    def view(self, vector: Vector, of: str) -> str:
        """A parameter's elements in a flat array; a slice where its rows are evenly apart."""
        if self.is_slice(vector):
            (rows, columns), stride, start = vector.shape, vector.stride or 0, vector.at[0]
            text = f"{of}[{start}:{start + rows * stride}].reshape({rows}, {stride})"
            return text if stride == columns else f"{text}[:, :{columns}]"
        taken = f"{of}[{self.index(vector.at)}]"
        return f"{taken}.reshape{vector.shape}" if len(vector.shape) == 2 else taken

    def is_slice(self, vector: Vector) -> bool:
        """Whether a matrix has its columns in a slice of theta that can be reshaped."""
        stride = vector.stride
        if stride is None:
            return False
        rows, columns = vector.shape
        return stride >= columns and vector.at[0] + rows * stride <= len(self.plan.theta)

    def operand(self, ref: Ref) -> Expression:
        """An operand that may be written several times: a long one gets a name."""
        text = self.at(ref)
        if len(ref.pieces) == 1 and len(text.text) < 30:
            return text
        if ref not in self.known:
            self.known[ref] = self.held(text, "g")
        return self.known[ref]

    def held(self, value: Expression, wish: str) -> Expression:
        """A value under a name of its own."""
        name, count = self.translation.variable(wish), 1
        while name in self.local:
            count += 1
            name = self.translation.variable(f"{wish}{count}")
        self.local.add(name)
        self.lines.append(f"{name} = {value}")
        return Expression(name)

    # Steps.

    def assign(self, vector: Vector, value: str) -> None:
        """A line that gives a vector its value."""
        self.lines.append(f"{vector.name} = {value}")

    def affine(self, step: Affine) -> None:
        W = self.matrix(step.weights, len(step.out), len(step.inputs))
        bias = f" + {self.at(step.biases):atom}" if step.biases else ""
        self.assign(step.out, f"{self.operand(step.inputs):atom} @ {W}.T{bias}")

    def elementwise(self, step: Elementwise) -> None:
        operands = [self.operand(ref) for ref in step.operands]
        self.assign(step.out, self.operation(step, operands).text)

    def operation(self, step: Elementwise, operands: Sequence[Expression]) -> Expression:
        """An operation of arrays."""
        return self.translation.value(step.op, operands)

    def _grouped(self, ref: Ref, count: int) -> Expression:
        """An operand with a row of inputs for each of `count` results."""
        text = self.operand(ref)
        if count == 1:
            return text
        batch = "-1, " if ref.varying else ""
        return Expression(f"{text:atom}.reshape({batch}{count}, {len(ref) // count})")

    def _summed(self, text: Expression, count: int) -> str:
        keep = f", {self.language.keep}=True" if count == 1 else ""
        return f"{text:atom}.sum({self.language.axis}=-1{keep})"

    def sums(self, step: Sums) -> None:
        count = len(step.out)
        parts = []
        if step.left and step.right:
            left, right = self._grouped(step.left, count), self._grouped(step.right, count)
            product = Expression(f"{left:atom} * {right:atom}", level=ATOM - 1)
            parts.append(product.text if len(step.left) == count else self._summed(product, count))
        if step.terms and len(step.terms) == count:
            parts.append(self.at(step.terms).text)
        elif step.terms:
            parts.append(self._summed(self._grouped(step.terms, count), count))
        self.assign(step.out, " + ".join(parts))

    def reduction(self, step: Reduction) -> None:
        count = len(step.out)
        inputs = self._grouped(step.operands, count)
        template = self.language.reductions.get(step.op.name)
        if template is not None and self.translation.is_of_table(step.op):
            text = self.translation.written(template, [inputs]).text
        else:
            text = self.reduction_call(step, self.language.split(inputs.text, step.arity))
        self.assign(step.out, text if count == 1 else f"{text}[..., 0]")

    def reduction_call(self, step: Reduction, inputs: str) -> str:
        """A call of the operation's function."""
        return f"{self.translation.forward(step.op, step.arity)}(*{inputs})"

    # The function.

    def signature(self) -> str:
        """The parameters: X and Y are there, needed or not."""
        given = len(self.plan.inputs)
        return "theta, " + ", ".join([name if k < given else f"{name}=None" for k, name in enumerate("XY")])

    def arguments(self) -> list[str]:
        """The lines that make arrays of the arguments."""
        given = [f"{v.name} = {self.language.as_array.format(v.name)}" for v in self.plan.inputs]
        shaped = [f"{line}.reshape(-1, {len(v)})" for line, v in zip(given, self.plan.inputs)]
        return [f"theta = {self.language.as_array.format('theta')}", *shaped]

    def file(self, functions: Sequence[str], head: Sequence[str], does: str, body: Sequence[str]) -> str:
        """The whole file: what it imports, the functions that it needs, and the program's own function."""
        parts = [part for part in functions if part]
        code = "\n".join([*parts, *body])
        standard = [f"import {name}" for name in ("functools", "math") if f"{name}." in code]
        return "\n".join(
            [
                *standard,
                *([""] if standard else []),
                *self.language.imports,
                *[line for part in parts for line in ("", "", part)],
                "",
                "",
                *head,
                f'    """{does}"""',
                *["    " + line for line in body],
                "",
            ]
        )

    def views(self) -> list[str]:
        """The lines that give parameters their names; a matrix and the bias behind it share one."""
        code = "\n".join(self.lines)
        used = [v for v in self.plan.parameters if re.search(rf"\b{v.name}\b", code)]
        lines, position = [], 0
        while position < len(used):
            pair = used[position : position + 2]
            if len(pair) < 2 or [len(vector.shape) for vector in pair] != [2, 1]:
                pair = pair[:1]
            position += len(pair)
            names, views = zip(*[(vector.name, self.view(vector, "theta")) for vector in pair])
            lines.append(f"{', '.join(names)} = {', '.join(views)}")
        return lines


class LossWriter(ArrayWriter):
    """`loss` for a library that differentiates by itself.

    It knows the derivatives of its own functions, which the language's `operations` are. To every other
    operation the program brings those of its record along.
    """

    def operation(self, step: Elementwise, operands: Sequence[Expression]) -> Expression:
        op = step.op
        if self.translation.is_short(op, operands):
            return self.translation.value(op, operands)
        return Expression(
            f"{self.with_derivatives(op, len(operands))}({', '.join(x.text for x in operands)})"
        )

    def reduction_call(self, step: Reduction, inputs: str) -> str:
        return f"{self.with_derivatives(step.op, step.arity)}(*{inputs})"

    def with_derivatives(self, op: Op, n: int) -> str:
        """The name of an operation with the derivatives of its record."""
        if (op, n) not in self.own:
            forward, partials = self.translation.forward(op, n), self.translation.partials(op, n)
            self.own[op, n] = self.translation.unused(f"{forward}_op"), forward, partials
        return self.own[op, n][0]

    def text(self) -> str:
        plan = self.plan
        self.translation.variable("loss")  # so that no function of an operation has this name
        self.own: dict[tuple[Op, int], tuple[str, str, str]] = {}
        self.forward(plan.steps)
        body = [*self.arguments(), *self.views(), *self.lines, f"return {self.at(plan.outputs):atom}.mean()"]
        own = [f"{name} = operation({forward}, {partials})" for name, forward, partials in self.own.values()]
        self.translation.take_along("\n".join([*body, *own, self.translation.source()]))
        functions = [self.translation.source(), "\n".join(own)]
        head = [f"def loss({self.signature()}):"]
        return self.file(functions, head, "The mean loss of the examples.", body)
