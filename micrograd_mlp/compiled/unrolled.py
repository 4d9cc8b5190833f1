"""Training a small network: its whole step in one piece of machine code, operation after operation (§6, §7,
§10).

The kernels of a tape are the same for all graphs, and between two of them there is a call. Where a run takes
some nanoseconds, that call is what costs. So a long training of a small graph gets machine code of its own:
numbers stay in registers, and the examples of a vector go forward and backward through all operations before
the next ones come. What it takes to compile, a fraction of a second, is why short trainings do without.

The function reads the same job as `steps.execute`, and takes the steps of one thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from micrograd_mlp.compiled import records
from micrograd_mlp.compiled.affine import sums
from micrograd_mlp.compiled.code import Number, Target
from micrograd_mlp.compiled.passes import analyse, fuse_sums
from micrograd_mlp.compiled.steps import Execute, move
from micrograd_mlp.compiled.trace import Graph

FEWEST_LANES = 8
LARGEST = 250  # operands of a graph that is worth it
ROUNDED = {"add", "sub", "mul", "pow"}  # as in eager execution: a variance that is 0 must not become negative
WORTH_IT = 1_000  # vectors of examples in a training from which on it is


def lanes_for(batch: int, target: Target) -> int:
    """How many examples go through the code at a time: two registers of them take less time than one."""
    return min(max(1 << (batch - 1).bit_length(), FEWEST_LANES), 2 * target.width)


def unrolled(graph: Graph, n_x: int, offsets: Mapping[int, int], lanes: int, target: Target) -> Execute:
    """The code of training steps; it takes the place of `steps.execute`.

    Args:
        graph: the graph of one example's loss, as it was recorded.
        n_x: how many of its inputs are x; the others are y.
        offsets: where parameters and captured Values are on the uniform tape.
        lanes: how many examples it takes at a time, a power of two.
        target: the precision.

    Raises:
        TranslationError: an operation can't be turned into machine code.
    """
    graph = replace(graph, operators=list(graph.operators), operands=list(graph.operands), n_pairs={})
    return _Writer(graph, n_x, offsets, lanes, target).written()


class _Writer:
    """The code while it is written.

    Attributes:
        e: the code.
        values: for each number of the graph the register that holds it.
        slots: for each number that is the same for all examples and has an adjoint: the index of that.
        is_in_examples: whether what is written belongs to a vector of examples.
        sums: for each slot a vector, to which each example adds its share.
        totals: for each slot the sum over all examples.
    """

    def __init__(
        self, graph: Graph, n_x: int, offsets: Mapping[int, int], lanes: int, target: Target
    ) -> None:
        self.n_x, self.is_in_examples = n_x, False
        self.graph, self.facts, self.offsets, self.lanes = graph, analyse(graph), offsets, lanes
        fuse_sums(graph, self.facts)
        self.e, self.target = Execute(target), target
        self.kind = f"<{lanes} x {target.real}>"
        self.values: dict[int, Number] = {}
        first = graph.n_inputs
        parameters = range(first, first + len(graph.parameters))
        self.first_parameter = min([offsets[i] for i in parameters], default=0)
        self.slots = {i: offsets[i] - self.first_parameter for i in parameters}
        used, varying, active = self.facts.used, self.facts.varying, self.facts.active
        operations = range(parameters.stop, len(graph.operators))
        self.uniform = [i for i in operations if graph.operators[i] and used[i] and not varying[i]]
        self.varying = [i for i in operations if graph.operators[i] and used[i] and varying[i]]
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
        with e.loop(e.word("n_steps")) as s:
            e.t.set((e.word("t") + s).to_real("double"))
            start, stop = e.load(bounds, s * 2, "i64"), e.load(bounds, s * 2 + 1, "i64")
            for i in self.uniform:
                self.values[i] = self._computed(i)
            with e.loop(len(self.slots) * self.lanes, step=self.lanes) as k:
                e.store(e.number(0.0, self.kind), self.sums, k)
            loss = e.variable(0.0, self.kind)
            scale = (1.0 / (stop - start).to_real("double")).converted(self.target.real)
            with e.loop(stop, start=start, step=self.lanes) as first:
                loss.set(loss.now + self._examples(first, stop, scale))
            self._add_up()
            for i in reversed(self.uniform):
                if self.facts.active[i]:
                    self._give(i, e.load(self.totals, self.slots[i]))
            e.store(loss.now.sum().converted("double") * scale.converted("double"), e.pointer("results"), s)
            move(e, s, theta, e.at(self.totals, -1))
        return e

    # One vector of examples.

    def _examples(self, first: Number, stop: Number, scale: Number) -> Number:
        """Take some examples forward and backward; returns their losses."""
        e, [output] = self.e, self.graph.outputs
        self.is_in_examples = True
        self._load(first, stop)
        for i in self.varying:
            self.values[i] = self._computed(i)
        is_example = e.lanes_below(stop - first, self.lanes)
        # Lanes without an example repeat the last one, and give nothing.
        self.adjoints: dict[int, Number] = {}
        if self.facts.active[output]:  # which may be the same for all examples
            self._add(output, e.select(is_example, scale, 0.0))
        for i in reversed(self.varying):
            if self.facts.active[i] and i in self.adjoints:
                self._give(i, self.adjoints.pop(i))
        self.is_in_examples = False
        return e.select(is_example, self._vector(output), 0.0)

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
                self.values[i] = e.vector(numbers)

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

    def _computed(self, i: int) -> Number:
        n_pairs, x = self._pairs(i), self._inputs(i)
        if n_pairs is None:
            op = self.graph.operators[i]
            assert op is not None
            self.e.fused = op.name not in ROUNDED
            result = records.forward(op, self.e, x)
            self.e.fused = True
            return result
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
            op = self.graph.operators[i]
            assert op is not None
            slopes = records.partials(op, self.e, self._vector(i), x)
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
        elif self.is_in_examples:
            self.e.add_to(self.sums, self.slots[operand] * self.lanes, share)
        else:
            self.e.add_to(self.totals, self.slots[operand], share)

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
