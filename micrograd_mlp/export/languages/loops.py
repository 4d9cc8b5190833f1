"""What C and JavaScript have in common: the batch is gone through example by example, vectors by loops."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from micrograd_mlp.engine.language import Expression, Language
from micrograd_mlp.export.plan import Affine, Elementwise, Plan, Reduction, Ref, Step, Sums, Vector
from micrograd_mlp.export.write import Writer, operands_of, spans, times


class LoopWriter(Writer):
    """Code with loops; a subclass has the words of one language.

    Attributes:
        integer, constant: how an index and a number that stays as it is are declared.
        comment: a template.
        head: lines that stand in front of all others.
    """

    integer: str
    constant: str
    comment: str

    def __init__(self, plan: Plan, language: Language) -> None:
        super().__init__(plan, language)
        self.depth = 1
        self.head: list[str] = []
        self.tables: dict[tuple[float, ...], tuple[str, bool]] = {}
        self.gathers: dict[int, dict[Ref, Ref]] = {}  # by step
        self.gathered: dict[Ref, Ref] = {}  # of the present step
        self.count = 0

    # Words.

    def declare(self, name: str, size: int) -> None:
        """Declare an array, or a number."""
        raise NotImplementedError

    def declare_zeros(self, name: str, size: int) -> None:
        """Declare an array of zeros, or a zero."""
        raise NotImplementedError

    def table_line(self, name: str, numbers: Sequence[str], whole: bool) -> str:
        """The declaration of an array of constants, which are integers if `whole`."""
        raise NotImplementedError

    def example(self, vector: Vector, name: str) -> str:
        """The line that takes the elements of one example out of X or Y."""
        raise NotImplementedError

    # Lines and elements.

    def line(self, text: str) -> None:
        """Write a line at the present depth."""
        self.lines.append(self.language.indent * self.depth + text)

    @contextmanager
    def loop(self, index: str, count: int | str) -> Iterator[str]:
        """Write a loop around what `with` holds, and give its index; a single turn needs no loop."""
        if count == 1:
            yield "0"
            return
        self.line(f"for ({self.integer} {index} = 0; {index} < {count}; {index}++) {{")
        self.depth += 1
        yield index
        self.depth -= 1
        self.line("}")

    def new(self, wish: str) -> str:
        """A name that was not used before."""
        self.count += 1
        return self.translation.variable(f"{wish}{self.count}")

    def table(self, numbers: Sequence[float], whole: bool = False) -> str:
        """The name of an array of constants, which is written once."""
        key = (*map(float, numbers), whole)
        if key not in self.tables:
            self.tables[key] = self.new("at" if whole else "constants"), whole
        return self.tables[key][0]

    def element(self, vector: Vector, position: str, adjoint: bool = False) -> str:
        """One element of a vector or of its adjoint."""
        if vector.role == "parameter":
            array = "gradient" if adjoint else "theta"
            if vector is self.plan.theta:
                return f"{array}[{position}]"
            if position.isdecimal():
                shift = vector.at[int(position)] - vector.at[0]
                return f"{array}[{vector.name}{f' + {shift}' if shift else ''}]"
            if spans(vector.at) is None:
                return f"{array}[{self.table(vector.at, whole=True)}[{position}]]"
            shifted = progression([p - vector.at[0] for p in vector.at], position)
            return f"{array}[{vector.name} + {shifted}]"
        name = vector.adjoint if adjoint else vector.name
        return f"{name}[{position}]" if len(vector) > 1 or vector.role == "input" else name

    def at(self, ref: Ref, index: str, adjoint: bool = False) -> Expression:
        """The element of an operand with this index; an operand of one element has it for every index."""
        constants = ref.constants
        if constants is not None:
            if len(constants) == 1:
                return self.language.number(constants[0])
            if index.isdecimal():
                return self.language.number(constants[int(index)])
            return Expression(f"{self.table(constants)}[{index}]")
        [(vector, positions)] = self.gathered.get(ref, ref).pieces
        if len(positions) == 1:
            return Expression(self.element(vector, str(positions[0]), adjoint))
        if spans(positions) is None and not index.isdecimal():
            return Expression(self.element(vector, f"{self.table(positions, whole=True)}[{index}]", adjoint))
        return Expression(self.element(vector, progression(positions, index), adjoint))

    def weight(self, ref: Ref, j: str, k: str, columns: int, adjoint: bool = False) -> str:
        """W[j, k]."""
        whole = ref.whole
        stride = whole.stride if whole is not None else None
        if whole is not None and stride is not None and whole.shape[1] == columns:
            inner = combined(j, stride, k)
            array = "gradient" if adjoint else "theta"
            return f"{array}[{whole.name}{'' if inner == '0' else f' + {inner}'}]"
        return self.at(ref, combined(j, columns, k), adjoint).text

    # Elements of several vectors are copied into one for a step, and their adjoints handed back after it.

    def _gather(self, step: Step) -> None:
        self.gathered = self.gathers.setdefault(id(step), {})
        for ref in operands_of(step):
            if len(ref.pieces) == 1 or ref.constants is not None or ref in self.gathered:
                continue
            vector = Vector(self.new("g"), [0] * len(ref), active=ref.active)
            self.translation.variable(vector.adjoint)
            self.declare(vector.name, len(vector))
            for piece, positions in _pieces(ref):
                with self.loop("k", len(piece)) as k:
                    self.line(f"{self.element(vector, progression(positions, k))} = {self.at(piece, k)};")
            self.gathered[ref] = Ref(((vector, tuple(range(len(ref)))),))

    def _hand_back(self) -> None:
        for ref, gathered in self.gathered.items():
            vector = gathered.pieces[0][0]
            for piece, positions in _pieces(ref):
                if piece.active:
                    with self.loop("k", len(piece)) as k:
                        source = self.element(vector, progression(positions, k), adjoint=True)
                        self.line(f"{self.at(piece, k, adjoint=True)} += {source};")

    def step_backward(self, step: Step) -> None:
        self.gathered = self.gathers[id(step)]
        for gathered in self.gathered.values():
            vector = gathered.pieces[0][0]
            if vector.active:
                self.declare_zeros(vector.adjoint, len(vector))
        super().step_backward(step)
        self._hand_back()

    # Steps forward.

    def affine(self, step: Affine) -> None:
        self._gather(step)
        self.declare(step.out.name, len(step.out))
        with self.loop("j", len(step.out)) as j:
            z = self.element(step.out, j)
            self.line(f"{z} = {self.at(step.biases, j) if step.biases else '0.0'};")
            with self.loop("k", len(step.inputs)) as k:
                weight = self.weight(step.weights, j, k, len(step.inputs))
                self.line(f"{z} += {weight} * {self.at(step.inputs, k)};")

    def elementwise(self, step: Elementwise) -> None:
        self._gather(step)
        if len(step.out) == 1:
            value = self.translation.value(step.op, [self.at(ref, "0") for ref in step.operands])
            self.line(f"{self.constant} {step.out.name} = {value};")
            return
        self.declare(step.out.name, len(step.out))
        with self.loop("k", len(step.out)) as k:
            value = self.translation.value(step.op, [self.at(ref, k) for ref in step.operands])
            self.line(f"{self.element(step.out, k)} = {value};")

    def sums(self, step: Sums) -> None:
        self._gather(step)
        count = len(step.out)
        self.declare(step.out.name, count)
        with self.loop("j", count) as j:
            out = self.element(step.out, j)
            self.line(f"{out} = 0.0;")
            for refs in step.factors:
                n = len(refs[0]) // count
                with self.loop("k", n) as k:
                    factors = [self.at(ref, combined(j, n, k)).text for ref in refs]
                    self.line(f"{out} += {' * '.join(factors)};")

    def reduction(self, step: Reduction) -> None:
        self._gather(step)
        self.declare(step.out.name, len(step.out))
        with self.loop("j", len(step.out)) as j:
            call = self.language.call(self.translation.forward(step.op, step.arity), self._inputs(step, j))
            self.line(f"{self.element(step.out, j)} = {call};")

    def _inputs(self, step: Reduction, j: str) -> list[Expression]:
        """All inputs of one result."""
        return [self.at(step.operands, combined(j, step.arity, str(k))) for k in range(step.arity)]

    # Steps backward.

    def affine_backward(self, step: Affine) -> None:
        columns = len(step.inputs)
        with self.loop("j", len(step.out)) as j:
            delta = self.element(step.out, j, adjoint=True)
            if step.biases is not None and step.biases.active:
                self.line(f"{self.at(step.biases, j, adjoint=True)} += {delta};")
            with self.loop("k", columns) as k:
                if step.weights.active:
                    dW = self.weight(step.weights, j, k, columns, adjoint=True)
                    self.line(f"{dW} += {delta} * {self.at(step.inputs, k)};")
                if step.inputs.active:
                    W = self.weight(step.weights, j, k, columns)
                    self.line(f"{self.at(step.inputs, k, adjoint=True)} += {W} * {delta};")

    def elementwise_backward(self, step: Elementwise) -> None:
        with self.loop("k", len(step.out)) as k:
            out = Expression(self.element(step.out, k))
            adjoint = Expression(self.element(step.out, k, adjoint=True))
            operands = [self.at(ref, k) for ref in step.operands]
            slopes = self.translation.slopes(step.op, out, operands)
            if isinstance(slopes, str):
                target = self._slopes(slopes, [out, *operands])
                slopes = [Expression(f"{target}[{i}]") for i in range(len(operands))]
            for ref, slope in zip(step.operands, slopes):
                if ref.active:
                    self.line(f"{self.at(ref, k, adjoint=True)} += {times(adjoint, slope, self.language)};")

    def sums_backward(self, step: Sums) -> None:
        count = len(step.out)
        with self.loop("j", count) as j:
            adjoint = self.element(step.out, j, adjoint=True)
            for refs in step.factors:
                if not any(ref.active for ref in refs):
                    continue
                n = len(refs[0]) // count
                with self.loop("k", n) as k:
                    index = combined(j, n, k)
                    for ref, others in zip(refs, (refs[1:], refs[:-1])):
                        if ref.active:
                            factors = [self.at(other, index).text for other in others]
                            target = self.at(ref, index, adjoint=True)
                            self.line(f"{target} += {' * '.join([*factors, adjoint])};")

    def reduction_backward(self, step: Reduction) -> None:
        with self.loop("j", len(step.out)) as j:
            out = Expression(self.element(step.out, j))
            adjoint = Expression(self.element(step.out, j, adjoint=True))
            target = ""
            if self.translation.slope_of_each(step.op, out, Expression("z")) is None:
                function = self.translation.partials(step.op, step.arity)
                target = self._slopes(function, [out, *self._inputs(step, j)])
            with self.loop("k", step.arity) as k:
                index = combined(j, step.arity, k)
                slope = self.translation.slope_of_each(step.op, out, self.at(step.operands, index))
                value = times(adjoint, slope or Expression(f"{target}[{k}]"), self.language)
                self.line(f"{self.at(step.operands, index, adjoint=True)} += {value};")

    def _slopes(self, function: str, arguments: Sequence[Expression]) -> str:
        """The name of a new array with the derivatives that a function gives."""
        target = self.new("slopes")
        text, _ = self.language.call_for_several(target, function, arguments, len(arguments) - 1)
        for line in text.splitlines():
            self.line(line)
        return target

    # The parts of the function.

    def write_both(self) -> str:
        """Write the forward and the backward pass (§7), and return the text of the mean loss."""
        plan = self.plan
        self.forward(plan.uniform)
        self._declare_adjoints(plan.uniform)  # to which every example adds
        if plan.outputs.varying:
            with self.loop("i", "n"):
                for vector, name in zip(plan.inputs, "XY"):
                    self.line(self.example(vector, name))
                self.forward(plan.varying)
                backward = "d_v is the derivative of the mean loss by v; for a pre-activation, delta."
                self.line(self.comment.format(f"Backward: {backward}"))
                self._declare_adjoints(plan.varying[::-1])
                self.line(f"total_loss += {self.at(plan.outputs, '0')};")
                self._seed("1.0 / n")
                self.backward(plan.varying)
        else:
            self._seed("1.0")
        self.backward(plan.uniform)
        return "total_loss / n" if plan.outputs.varying else self.at(plan.outputs, "0").text

    def _declare_adjoints(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.out.active:
                self.declare_zeros(step.out.adjoint, len(step.out))

    def _seed(self, value: str) -> None:
        """The derivative of the mean loss by this loss."""
        if self.plan.outputs.active:
            self.line(f"{self.at(self.plan.outputs, '0', adjoint=True)} += {value};")

    def table_lines(self) -> list[str]:
        """The constant arrays that the code uses."""
        used = set(re.findall(r"\w+", " ".join(self.lines)))
        return [
            self.table_line(
                name, [str(int(x)) if whole else self.language.number(x).text for x in numbers], whole
            )
            for (*numbers, _), (name, whole) in self.tables.items()
            if name in used
        ]

    def offsets(self) -> list[str]:
        """Where in theta each named parameter begins, as far as the code uses it."""
        text = " ".join(self.lines)
        return [f"{v.name} = {v.at[0]}" for v in self.plan.parameters if re.search(rf"\[{v.name}\b", text)]


def combined(outer: str, n: int, inner: str) -> str:
    """outer · n + inner, for two indices."""
    if outer.isdecimal():
        base = int(outer) * n
        if inner.isdecimal():
            return str(base + int(inner))
        return f"{base} + {inner}" if base else inner
    scaled = f"{n} * {outer}" if n > 1 else outer
    return scaled if inner == "0" else f"{scaled} + {inner}"


def progression(positions: Sequence[int], index: str) -> str:
    """The position with an index, where positions are in arithmetic progression or the index is known."""
    if index.isdecimal():
        return str(positions[int(index)])
    span = spans(positions)
    assert span is not None, "irregular positions need a table"
    first, _, step = span
    factor = index if index.isidentifier() or step == 1 else f"({index})"
    scaled = factor if step == 1 else f"{step} * {factor}"
    return f"{scaled} + {first}" if first else scaled


def _pieces(ref: Ref) -> Iterator[tuple[Ref, range]]:
    """An operand's pieces, each with the positions of its elements among those of the operand."""
    first = 0
    for piece in ref.pieces:
        last = first + len(piece[1])
        yield Ref((piece,)), range(first, last)
        first = last
