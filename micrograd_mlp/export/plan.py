"""What a compiled program computes, as a short list of steps on vectors (§2.3, §7).

The compiler finds the layers in a graph of single numbers. Here the rest of the graph is gathered in the
same way: operations of one kind whose operands lie in the same vectors become one step, so that a layer's
activations are `a1 = tanh(z1)` and not sixteen lines. Vectors have the names that the program gave to
their numbers: W1, b1, z1, a1.

A number is *varying* if it differs from example to example; else it is *uniform* and computed once. It is
*active* if it depends on a parameter, so that the backward pass gives it an adjoint.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import groupby
from typing import Any

from micrograd_mlp.compiled.passes import Affine as AffineMap
from micrograd_mlp.compiled.passes import Facts, analyse, find_affine_maps, fuse_sums
from micrograd_mlp.compiled.trace import ADD, TOTAL, Graph
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.value import Value


@dataclass(eq=False)
class Vector:
    """Some numbers of the graph under one name.

    Attributes:
        name: what the code calls it.
        numbers: the graph's numbers of its elements.
        role: "input", "parameter", "constant" or "computed".
        varying, active: of all elements.
        shape: rows and columns of a matrix of parameters; else the length.
        at: where a parameter's elements are in theta.
        values: a constant's elements.
        is_pre_activation: it is z of a layer, so that its adjoint is the paper's δ.
    """

    name: str
    numbers: list[int]
    role: str = "computed"
    varying: bool = False
    active: bool = False
    shape: tuple[int, ...] = ()
    at: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    is_pre_activation: bool = False

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def stride(self) -> int | None:
        """How far the rows of a matrix of parameters are apart in theta; None if they are not so evenly."""
        if len(self.shape) != 2:
            return None
        rows, columns = self.shape
        stride = self.at[columns] - self.at[0] if rows > 1 else columns
        is_even = self.at == [self.at[0] + j * stride + k for j in range(rows) for k in range(columns)]
        return stride if is_even else None

    @property
    def adjoint(self) -> str:
        """The name of ∂loss/∂vector: δ for pre-activations (§7)."""
        if self.is_pre_activation and re.fullmatch(r"z\d+", self.name):
            return "delta" + self.name[1:]
        return "d_" + self.name


@dataclass(frozen=True)
class Ref:
    """Elements of vectors, one after another: an operand of a step.

    Attributes:
        pieces: a vector with the positions of the elements that are taken from it.
    """

    pieces: tuple[tuple[Vector, tuple[int, ...]], ...]

    def __len__(self) -> int:
        return sum(len(positions) for _, positions in self.pieces)

    @property
    def varying(self) -> bool:
        """Whether any element is."""
        return any(vector.varying for vector, _ in self.pieces)

    @property
    def active(self) -> bool:
        """Whether any element is."""
        return any(vector.active for vector, _ in self.pieces)

    @property
    def constants(self) -> list[float] | None:
        """The numbers, if all of them are constants."""
        if all(vector.role == "constant" for vector, _ in self.pieces):
            return [vector.values[p] for vector, positions in self.pieces for p in positions]
        return None

    @property
    def whole(self) -> Vector | None:
        """The vector of which these are all elements in their order."""
        [(vector, positions), *others] = self.pieces
        return vector if not others and positions == tuple(range(len(vector))) else None


@dataclass(frozen=True)
class Affine:
    """z = W x + b (§2.3); `weights` go row by row."""

    out: Vector
    weights: Ref
    inputs: Ref
    biases: Ref | None


@dataclass(frozen=True)
class Elementwise:
    """One operation on every element; an operand of one element is used for all."""

    out: Vector
    op: Op
    operands: tuple[Ref, ...]


@dataclass(frozen=True)
class Sums:
    """For every element a sum of products and of terms: Σ left · right + Σ terms."""

    out: Vector
    left: Ref | None
    right: Ref | None
    terms: Ref | None

    @property
    def factors(self) -> list[list[Ref]]:
        """What is added up: products of left and right, and single terms."""
        found = [[self.left, self.right], [self.terms]]
        return [[ref for ref in refs if ref is not None] for refs in found if refs[0] is not None]


@dataclass(frozen=True)
class Reduction:
    """For every element an operation of `arity` numbers."""

    out: Vector
    op: Op
    operands: Ref
    arity: int


Step = Affine | Elementwise | Sums | Reduction


@dataclass
class Plan:
    """The steps of a program.

    Attributes:
        shapes: the shapes of one example's arguments: () for a number, (d,) for a row.
        parameters: views of theta by name.
        theta: all parameters as one vector.
        inputs: "x" and "y", as far as the program has them.
        uniform, varying: the steps that are done once, and those that are done for every example.
        outputs: what the function returned.
        values: the parameters themselves.
    """

    shapes: tuple[tuple[int, ...], ...]
    theta: Vector
    parameters: list[Vector]
    inputs: list[Vector]
    uniform: list[Step]
    varying: list[Step]
    outputs: Ref
    values: list[Value]

    @property
    def steps(self) -> list[Step]:
        """All steps in the order of computing."""
        return self.uniform + self.varying


def make_plan(graph: Graph, shapes: tuple[tuple[int, ...], ...]) -> Plan:
    """The steps of a traced graph; the graph is changed."""
    facts = analyse(graph)
    fuse_sums(graph, facts)
    _part_layers(graph, facts)
    return _Planner(graph, facts, find_affine_maps(graph, facts), shapes).plan()


def _part_layers(graph: Graph, facts: Facts) -> None:
    """Split Wx + b + h, which is no layer, into the layer and the rest of the sum."""
    for i, n_pairs in list(graph.n_pairs.items()):
        if not (facts.used[i] and facts.varying[i] and n_pairs):
            continue
        mine = graph.operands[i]
        pairs = list(zip(mine[0 : 2 * n_pairs : 2], mine[1 : 2 * n_pairs : 2]))
        terms = mine[2 * n_pairs :]
        weighted = [pair for pair in pairs if facts.varying[pair[0]] != facts.varying[pair[1]]]
        rest = [pair for pair in pairs if pair not in weighted]
        biases = [term for term in terms if not facts.varying[term]][:1]
        others = [term for term in terms if term not in biases]
        if not weighted or not (rest or others):
            continue
        layer = len(graph.operators)
        graph.operators.append(TOTAL)
        graph.operands.append((*[factor for pair in weighted for factor in pair], *biases))
        graph.n_pairs[layer] = len(weighted)
        facts.used.append(1)
        facts.varying.append(True)
        facts.active.append(any(facts.active[operand] for operand in graph.operands[layer]))
        graph.operands[i] = (*[factor for pair in rest for factor in pair], layer, *others)
        graph.n_pairs[i] = len(rest)
        if not rest and len(others) == 1:
            del graph.n_pairs[i]
            graph.operators[i] = ADD


class _Planner:
    """The making of a plan: every number gets its place in a vector."""

    def __init__(
        self, graph: Graph, facts: Facts, layers: list[AffineMap], shapes: tuple[tuple[int, ...], ...]
    ) -> None:
        self.graph, self.facts, self.layers, self.shapes = graph, facts, layers, shapes
        self.home: dict[int, tuple[Vector, int]] = {}
        self.names: set[str] = set()
        self.layer_of = {i: layer for layer in layers for i in layer.outputs}

    def plan(self) -> Plan:
        graph, facts = self.graph, self.facts
        inputs, parameters = self._inputs(), self._parameters()
        at = list(range(len(graph.parameters)))
        theta = [graph.n_inputs + k for k in at]
        self.theta = Vector("theta", theta, "parameter", active=True, shape=(len(at),), at=at)
        constants = graph.constants | {i: value.data for i, value in graph.captured.items()}
        self._settle(Vector("", list(constants), "constant", values=list(constants.values())))
        steps = {}
        for varying in (False, True):
            members = [
                i
                for i, op in enumerate(graph.operators)
                if op is not None and facts.used[i] and facts.varying[i] == varying
            ]
            steps[varying] = [step for group in self._groups(members) for step in self._steps(group)]
        outputs, values = self.ref(graph.outputs), graph.parameters
        return Plan(self.shapes, self.theta, parameters, inputs, steps[False], steps[True], outputs, values)

    # Names and leaves.

    def _name(self, wish: str) -> str:
        name, count = identifier(wish), 1
        while name in self.names:
            count += 1
            name = f"{identifier(wish)}_{count}"
        self.names.add(name)
        return name

    def _inputs(self) -> list[Vector]:
        vectors, first = [], 0
        for name, shape in zip("xy", self.shapes):
            numbers = list(range(first, first + (shape[0] if shape else 1)))
            vectors.append(self._settle(Vector(self._name(name), numbers, "input", varying=True)))
            first += len(numbers)
        return vectors

    def _parameters(self) -> list[Vector]:
        """Groups of parameters by their labels: W1[1,1], W1[1,2], ... are the matrix W1."""
        groups: list[tuple[str, dict[tuple[int, ...], int]]] = []
        latest: dict[str, dict[tuple[int, ...], int]] = {}
        for k, value in enumerate(self.graph.parameters):
            name, index = _split_label(value.label or f"p[{len(latest.get('p', ())) + 1}]")
            group = latest.get(name)
            if group is None or index in group or len(next(iter(group))) != len(index):
                group = latest[name] = {}
                groups.append((name, group))
            group[index] = k
        vectors = []
        for name, group in groups:
            indices = sorted(group)
            extents = tuple(map(max, zip(*indices))) if indices[0] else ()
            counted_from_1 = all(min(i) > 0 for i in indices if i)
            is_full = len(extents) < 3 and len(indices) == math.prod(extents) and counted_from_1
            at = [group[index] for index in (indices if is_full else group)]
            shape = extents if is_full and extents else (len(at),)
            numbers = [self.graph.n_inputs + k for k in at]
            vector = Vector(self._name(name), numbers, "parameter", active=True, shape=shape, at=at)
            vectors.append(self._settle(vector))
        return vectors

    def _settle(self, vector: Vector) -> Vector:
        for position, number in enumerate(vector.numbers):
            self.home[number] = vector, position
        return vector

    # Groups: what is computed in one step.

    def _groups(self, members: Sequence[int]) -> list[list[int]]:
        """Operations of one kind, as early as their operands allow; a layer's neurons together."""
        graph, facts = self.graph, self.facts
        member = set(members)
        sources = {i: [o for o in graph.operands[i] if o in member] for i in members}
        level: dict[int, int] = {}
        for i in TopologicalSorter(sources).static_order():
            level[i] = 1 + max([level[o] for o in sources[i]], default=0)

        def kind(i: int) -> tuple[Any, ...]:
            op = graph.operators[i]
            layer = self.layer_of.get(i)
            if layer is not None:
                return level[i], 0, layer.outputs[0], (), False
            name = op.name if op else ""  # comes first, so that the order is the same in every process
            n_pairs = graph.n_pairs.get(i, -1)
            return level[i], 1, (name, id(op)), (n_pairs, len(graph.operands[i])), facts.active[i]

        ordered = sorted(members, key=lambda i: (*kind(i), i))
        return [list(group) for _, group in groupby(ordered, key=kind)]

    def _steps(self, group: list[int]) -> list[Step]:
        """One step for each choice of vectors that a group's operands are in."""
        layer = self.layer_of.get(group[0])
        if layer is not None:
            out = self._computed(layer.outputs, is_pre_activation=True)
            weights = self.ref([w for row in layer.weights for w in row])
            biases = self.ref(layer.biases) if layer.biases else None
            return [Affine(out, weights, self.ref(layer.inputs), biases)]
        operands = self.graph.operands
        by_homes: dict[tuple[Any, ...], list[int]] = {}
        for i in group:
            by_homes.setdefault(tuple([self._home_id(o) for o in operands[i]]), []).append(i)
        steps = []
        for members in by_homes.values():
            members.sort(key=lambda i: [self.home[o][1] for o in operands[i] if self._home_id(o)])
            steps.append(self._step(members))
        return steps

    def _home_id(self, number: int) -> int:
        vector, _ = self.home[number]
        return 0 if vector.role == "constant" else id(vector)

    def _step(self, members: list[int]) -> Step:
        op = self.graph.operators[members[0]]
        assert op is not None
        listed = [self.graph.operands[i] for i in members]
        n_pairs = self.graph.n_pairs.get(members[0])
        if n_pairs is not None:
            parts = slice(0, 2 * n_pairs, 2), slice(1, 2 * n_pairs, 2), slice(2 * n_pairs, None)
            numbers = [[o for mine in listed for o in mine[part]] for part in parts]
            return Sums(self._computed(members), *[self.ref(n) if n else None for n in numbers])
        out = self._computed(members)
        if op.arity is None or op.arity > 4:
            return Reduction(out, op, self.ref([o for mine in listed for o in mine]), len(listed[0]))
        columns = [list(column) for column in zip(*listed)]
        return Elementwise(out, op, tuple([self._broadcast(column) for column in columns]))

    def _broadcast(self, numbers: list[int]) -> Ref:
        ref = self.ref(numbers)
        values = ref.constants
        same = len(set(map(repr, values))) == 1 if values else len(set(numbers)) == 1
        return self.ref(numbers[:1]) if same else ref

    def _computed(self, numbers: list[int], is_pre_activation: bool = False) -> Vector:
        facts = self.facts
        bases = {_split_label(self.graph.labels.get(i) or "")[0] for i in numbers}
        if numbers == self.graph.outputs and len(numbers) == 1:
            wish = "loss"
        elif len(bases) == 1 and "" not in bases:
            wish = bases.pop()
        else:
            wish = "z" if is_pre_activation else "v"
            wish += str(1 + sum(re.fullmatch(rf"{wish}\d+", name) is not None for name in self.names))
        first = numbers[0]
        vector = Vector(self._name(wish), numbers, varying=facts.varying[first])
        vector.active, vector.is_pre_activation = facts.active[first], is_pre_activation
        return self._settle(vector)

    def ref(self, numbers: Sequence[int]) -> Ref:
        """Where these numbers are."""
        pieces: list[tuple[Vector, list[int]]] = []
        for number in numbers:
            vector, position = self.home[number]
            if pieces and pieces[-1][0] is vector:
                pieces[-1][1].append(position)
            else:
                pieces.append((vector, [position]))
        several = len(pieces) > 1 and all(vector.role == "parameter" for vector, _ in pieces)
        if several:  # parameters of several names are elements of theta
            pieces = [(self.theta, [number - self.graph.n_inputs for number in numbers])]
        return Ref(tuple([(vector, tuple(positions)) for vector, positions in pieces]))


def _split_label(label: str) -> tuple[str, tuple[int, ...]]:
    """The name in a label and its indices: W1[2,3] is W1 with (2, 3)."""
    match = re.fullmatch(r"(.+?)\[(\d+(?:,\d+)*)\]", label)
    if match is None:
        return label, ()
    return match[1], tuple(map(int, match[2].split(",")))


def identifier(text: str) -> str:
    """The text as a name that every language takes."""
    name = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in text).strip("_") or "v"
    return "v" + name if name[0].isdigit() else name
