"""Training a small network: its whole step in one piece of machine code, operation after operation (§6, §7,
§10).

The kernels of a tape are the same for all graphs, and between two of them there is a call. Where a run takes
some nanoseconds, that call is what costs. So a long training of a small graph gets machine code of its own:
numbers stay in registers, and the examples of a vector go forward and backward through all operations before
the next ones come. With one example in a step there are single numbers instead of vectors; only operations
that take long, such as the tanh of a layer's units, are collected into vectors. What it takes to compile, a
fraction of a second, is why short trainings do without.

The function reads the same job as `steps.execute`, and takes the steps of one thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from micrograd_mlp.compiled import records
from micrograd_mlp.compiled.affine import sums
from micrograd_mlp.compiled.code import Number, Target
from micrograd_mlp.compiled.kernels import is_worth_collecting
from micrograd_mlp.compiled.passes import analyse, fuse_sums
from micrograd_mlp.compiled.steps import Execute, move
from micrograd_mlp.compiled.trace import Graph
from micrograd_mlp.engine.op import Op

FEWEST_LANES = 8
LARGEST = 250  # operands of a graph that is worth it; of one example in a step twice as many
ROUNDED = {"add", "sub", "mul", "pow"}  # as in eager execution: a variance that is 0 must not become negative
WORTH_IT = 1_000  # vectors of examples in a training from which on it is


def lanes_for(batch: int, target: Target) -> int:
    """How many examples go through the code at a time: two registers of them take less time than one."""
    if batch == 1:
        return 1
    return min(max(1 << (batch - 1).bit_length(), FEWEST_LANES), 2 * target.width)


def unrolled(graph: Graph, n_x: int, offsets: Mapping[int, int], lanes: int, target: Target) -> Execute:
    """The code of training steps; it takes the place of `steps.execute`.

    Args:
        graph: the graph of one example's loss, as it was recorded.
        n_x: how many of its inputs are x; the others are y.
        offsets: where parameters and captured Values are on the uniform tape.
        lanes: how many examples it takes at a time, a power of two; 1 if each step has one example.
        target: the precision.

    Raises:
        TranslationError: an operation can't be turned into machine code.
    """
    graph = replace(graph, operators=list(graph.operators), operands=list(graph.operands), n_pairs={})
    return _Writer(graph, n_x, offsets, lanes, target).written()


class _Collected(NamedTuple):
    """Operations that are computed as one vector: which, their inputs, and their results."""

    members: list[int]
    x: list[Number]
    result: Number


class _Writer:
    """The code while it is written.

    Attributes:
        e: the code.
        values: for each number of the graph the register that holds it.
        slots: for each number that is the same for all examples and has an adjoint: the index of that.
        is_in_examples: whether what is written belongs to a vector of examples.
        sums: for each slot a vector, to which each example adds its share.
        totals: for each slot the sum over all examples.
        written_totals: the slots of `totals` that have a number of this step.
        uniform: operations on parameters alone, in the order in which they are computed.
        varying: the other ones, in groups of one kind whose operands are known at the same time.
        collected: for each group that is computed as vectors: the members of each vector, inputs and results.
    """

    def __init__(
        self, graph: Graph, n_x: int, offsets: Mapping[int, int], lanes: int, target: Target
    ) -> None:
        self.n_x, self.is_in_examples = n_x, False
        self.graph, self.facts, self.offsets, self.lanes = graph, analyse(graph), offsets, lanes
        fuse_sums(graph, self.facts)
        self.e, self.target = Execute(target), target
        self.e.has_single_numbers = lanes == 1
        self.kind = f"<{lanes} x {target.real}>" if lanes > 1 else target.real
        self.values: dict[int, Number] = {}
        first = graph.n_inputs
        parameters = range(first, first + len(graph.parameters))
        self.first_parameter = min([offsets[i] for i in parameters], default=0)
        self.slots = {i: offsets[i] - self.first_parameter for i in parameters}
        used, varying, active = self.facts.used, self.facts.varying, self.facts.active
        operations = range(parameters.stop, len(graph.operators))
        computed = [i for i in operations if graph.operators[i] and used[i]]
        self.uniform = [i for i in computed if not varying[i]]
        self.varying = self._groups([i for i in computed if varying[i]])
        self.collected: dict[int, list[_Collected]] = {}
        self.written_totals: set[int] = set()
        for i in self.uniform:
            if active[i]:
                self.slots[i] = len(self.slots)
        room = -(-len(self.slots) // target.width) * target.width
        self.sums = Number(self.e, self.e.in_front(f"alloca {self.kind}, i64 {room}, align 64"), "ptr")
        self.totals = Number(self.e, self.e.in_front(f"alloca {target.real}, i64 {room}, align 64"), "ptr")

    def written(self) -> Execute:
        """The steps, one after the other."""
        e = self.e
        theta = e.at(e.pointer("uniform"), self.first_parameter)
        bounds = e.pointer("bounds")
        e.each(len(self.slots), lambda k, kind: e.store(e.number(0.0, kind), self.totals, k))
        with e.flushing(), e.loop(e.word("n_steps")) as s:
            e.t.set((e.word("t") + s).to_real("double"))
            start, stop = e.load(bounds, s * 2, "i64"), e.load(bounds, s * 2 + 1, "i64")
            for i in self.uniform:
                self.values[i] = self._computed(i)
            scale = (1.0 / (stop - start).to_real("double")).converted(self.target.real)
            if self.lanes == 1:
                loss = self._examples(start, stop, e.real(1.0))
            else:
                loss = self._all_examples(start, stop, scale)
            for i in reversed(self.uniform):
                if self.facts.active[i]:
                    self._give(i, e.load(self.totals, self.slots[i]))
            e.store(loss.converted("double") * scale.converted("double"), e.pointer("results"), s)
            move(e, s, theta, e.at(self.totals, -1))
        return e

    def _all_examples(self, start: Number, stop: Number, scale: Number) -> Number:
        """Take the examples a vector at a time, and add up what they give; returns the sum of losses."""
        e = self.e
        with e.loop(len(self.slots) * self.lanes, step=self.lanes) as k:
            e.store(e.number(0.0, self.kind), self.sums, k)
        loss = e.variable(0.0, self.kind)
        with e.loop(stop, start=start, step=self.lanes) as first:
            loss.set(loss.now + self._examples(first, stop, scale))
        self._add_up()
        return loss.now.sum()

    # One vector of examples, or one example.

    def _examples(self, first: Number, stop: Number, scale: Number) -> Number:
        """Take some examples forward and backward; returns their losses."""
        e, [output] = self.e, self.graph.outputs
        self.is_in_examples = True
        self._load(first, stop)
        for group in self.varying:
            self._compute(group)

        def of_examples(number: Number) -> Number:
            """Lanes without an example repeat the last one, and give nothing."""
            if self.lanes == 1:
                return number
            return e.select(e.lanes_below(stop - first, self.lanes), number, 0.0)

        self.adjoints: dict[int, Number] = {}
        if self.facts.active[output]:  # which may be the same for all examples
            self._add(output, of_examples(scale))
        for group in reversed(self.varying):
            self._give_all(group)
        self.is_in_examples = False
        return of_examples(self._vector(output))

    def _load(self, first: Number, stop: Number) -> None:
        """The inputs, with a lane for each example."""
        e, order = self.e, self.e.pointer("order")
        n_x = e.word("n_x")
        examples = [e.load(order, e.minimum(first + lane, stop - 1), "i64") for lane in range(self.lanes)]
        x, y = e.pointer("x"), e.pointer("y")
        rows = [e.at(x, example * n_x) for example in examples]
        targets = [e.at(y, example * e.word("n_y")) for example in examples]
        for i in range(self.graph.n_inputs):
            if self.facts.used[i]:
                source, k = (rows, i) if i < self.n_x else (targets, i - self.n_x)
                numbers = [e.load(row, k) for row in source]
                self.values[i] = e.vector(numbers) if self.lanes > 1 else numbers[0]

    # Groups of operations

    def _groups(self, operations: list[int]) -> list[list[int]]:
        """Operations in an order in which they can be computed; those of a vector are together."""
        if self.lanes > 1:
            return [[i] for i in operations]
        level = dict.fromkeys(range(len(self.graph.operators)), 0)
        groups: dict[tuple[Any, ...], list[int]] = {}
        for i in operations:
            operands, op = self.graph.operands[i], self.graph.operators[i]
            level[i] = 1 + max([level[operand] for operand in operands], default=0)
            is_costly = self._pairs(i) is None and is_worth_collecting(op, len(operands), self.target)
            groups.setdefault((level[i], op, len(operands)) if is_costly else (level[i], i), []).append(i)
        return [groups[key] for key in sorted(groups, key=lambda key: key[0])]

    def _compute(self, group: list[int]) -> None:
        if len(group) == 1:
            self.values[group[0]] = self._computed(group[0])
            return
        self.collected[group[0]] = []
        for first in range(0, len(group), self.target.width):
            members = group[first : first + self.target.width]
            operands = zip(*[self._inputs(i) for i in members])
            x = [self._collect(list(numbers)) for numbers in operands]
            result = self._result(members[0], x)
            self.collected[group[0]].append(_Collected(members, x, result))
            for k, i in enumerate(members):
                self.values[i] = result[k]

    def _give_all(self, group: list[int]) -> None:
        """Hand on the adjoints of a group."""
        if len(group) == 1:
            [i] = group
            if self.facts.active[i] and i in self.adjoints:
                self._give(i, self.adjoints.pop(i))
            return
        for members, x, result in self.collected[group[0]]:
            op = self._op(members[0])
            adjoints = [self.adjoints.pop(i, self.e.real(0.0)) for i in members]
            shares = [slope * self._collect(adjoints) for slope in records.partials(op, self.e, result, x)]
            for k, i in enumerate(members):
                for operand, share in zip(self.graph.operands[i], shares):
                    if self.facts.active[operand]:
                        self._add(operand, share[k])

    def _collect(self, numbers: list[Number]) -> Number:
        """A vector of these numbers, whose length is a power of two; the last one fills it up."""
        width = 1 << (len(numbers) - 1).bit_length()
        return self.e.vector([*numbers, *[numbers[-1]] * (width - len(numbers))])

    # Operations

    def _value(self, i: int) -> Number:
        """A number of the graph: a register, or what has to be loaded or is a literal."""
        if i in self.graph.constants:
            return self.e.real(self.graph.constants[i])
        if i in self.offsets:
            return self.e.load(self.e.pointer("uniform"), self.offsets[i])
        return self.values[i]

    def _vector(self, i: int) -> Number:
        return self.e.number(self._value(i), self.kind if self.facts.varying[i] else self.target.real)

    def _inputs(self, i: int) -> list[Number]:
        """The operands of an operation, all in one type."""
        kind = self.kind if self.facts.varying[i] else self.target.real
        return [self.e.number(self._value(operand), kind) for operand in self.graph.operands[i]]

    def _pairs(self, i: int) -> int | None:
        """How many products a sum has; None for another operation."""
        return self.graph.n_pairs.get(i)

    def _op(self, i: int) -> Op:
        op = self.graph.operators[i]
        assert op is not None
        return op

    def _result(self, i: int, x: list[Number]) -> Number:
        op = self._op(i)
        self.e.fused = op.name not in ROUNDED
        result = records.forward(op, self.e, x)
        self.e.fused = True
        return result

    def _computed(self, i: int) -> Number:
        n_pairs, x = self._pairs(i), self._inputs(i)
        if n_pairs is None:
            return self._result(i, x)
        total: Number | None = None
        for k in range(n_pairs):
            a, b = self.graph.operands[i][2 * k : 2 * k + 2]
            # A weight times an input may be fused with the sum; a variance must not, see `kernels`.
            self.e.fused = self.facts.varying[a] != self.facts.varying[b]
            product = x[2 * k] * x[2 * k + 1]
            total = product if total is None else total + product
        self.e.fused = False  # a term may be the product of another operation
        for term in x[2 * n_pairs :]:
            total = term if total is None else total + term
        self.e.fused = True
        assert total is not None
        return total

    def _give(self, i: int, adjoint: Number) -> None:
        """Hand the adjoint of an operation on to its operands."""
        n_pairs, x = self._pairs(i), self._inputs(i)
        operands = self.graph.operands[i]
        if n_pairs is None:
            slopes = records.partials(self._op(i), self.e, self._vector(i), x)
            for operand, slope in zip(operands, slopes):
                if self.facts.active[operand]:
                    self._add(operand, slope * adjoint)
            return
        for k in range(n_pairs):
            for mine, other in ((2 * k, 2 * k + 1), (2 * k + 1, 2 * k)):
                if self.facts.active[operands[mine]]:
                    self._add(operands[mine], x[other] * adjoint)
        for operand in operands[2 * n_pairs :]:
            if self.facts.active[operand]:
                self._add(operand, adjoint)

    def _add(self, operand: int, share: Number) -> None:
        """Add to the adjoint of a number."""
        if self.facts.varying[operand]:
            before = self.adjoints.get(operand)
            self.adjoints[operand] = share if before is None else before + share
        elif self.is_in_examples and self.lanes > 1:
            self.e.add_to(self.sums, self.slots[operand] * self.lanes, share)
        elif self.lanes > 1 or operand in self.written_totals:
            self.e.add_to(self.totals, self.slots[operand], share)
        else:
            self.written_totals.add(operand)
            self.e.store(share, self.totals, self.slots[operand])

    def _add_up(self) -> None:
        """The sum of each slot's lanes."""
        e, width = self.e, min(self.lanes, self.target.width)
        vector = f"<{width} x {self.target.real}>"
        with e.loop(len(self.slots), step=width) as k:
            rows = []
            for j in range(width):
                row = e.load(self.sums, (k + j) * self.lanes, vector)
                for second in range(width, self.lanes, width):
                    row = row + e.load(self.sums, (k + j) * self.lanes + second, vector)
                rows.append(row)
            e.store(sums(e, rows), self.totals, k)
