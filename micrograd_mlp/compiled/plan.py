"""Lay a graph out for the machine: an offset for every number, and runs of equal operations.

There are two tapes. The *uniform* one holds what is the same for every example: parameters, constants
and what is computed from them alone. It is computed once a batch. The *varying* one holds what differs
from example to example. It is computed once a block, with a lane for each example of the block: the lanes
of the number at offset p begin at p · lanes in the buffer. A uniform number that the varying tape needs
outside of an affine map is broadcast to all lanes.

On both tapes the numbers that no parameter influences come first. They need no adjoints: the buffer of
adjoints begins with one that nobody reads, to which all of theirs are added, and goes on with the others.
Operations are sorted by depth and kind; neighbours of one kind form a *run*, which the interpreter
decodes once. The weights of an affine map get consecutive offsets, so that they are a matrix where they lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from micrograd_mlp.compiled.passes import Affine, Facts, analyse, find_affine_maps, find_softmaxes, fuse_sums
from micrograd_mlp.compiled.trace import Graph
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Value

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# What a run computes. Sums of products, logsumexp, softmax and affine maps have kernels that are written by
# hand. Other operations are numbered after them, in the order in which a graph uses them.
COPY, SUM, LOGSUMEXP, SOFTMAX, AFFINE, FIRST_OPERATION = range(6)
LONG = 64  # operands of a sum that is added up by vectors
WORTH_GATHERING = 0.8  # of the runs that are left
SHORTEST_RUNS, FEW_RUNS = 0.25, 32  # runs for each operation, and runs, from which on a tape is irregular
CODES: dict[Op, int] = {TABLE["total"]: SUM, TABLE["logsumexp"]: LOGSUMEXP}


class Run(NamedTuple):
    """Consecutive results of one kind of operation.

    Attributes:
        code: what to compute.
        first, first_adjoint: the offset of the first result, and that of its adjoint.
        n_results: how many results there are.
        start: where the operands begin in `Tape.operands`.
        arity: the number of operands of each result.
        n_pairs: how many pairs of factors are among these operands; terms follow them.
        are_adjacent: 1 if the operands have consecutive offsets. For operations of one or two inputs this
            holds for all first inputs, for all second inputs, and so on.
        are_active: 1 if a parameter influences an input of the affine map.
        weights, weight_adjoints: where W begins on the uniform tape, and its adjoints.
        biases, bias_adjoints: the same for b; -1 if there is none.
        slopes: where the forward pass keeps the derivatives of the results; -1 if it keeps none.
    """

    code: int
    first: int
    first_adjoint: int
    n_results: int
    start: int
    arity: int
    n_pairs: int
    are_adjacent: int
    are_active: int
    weights: int
    weight_adjoints: int
    biases: int
    bias_adjoints: int
    slopes: int


RUN = Run(*range(len(Run._fields)))
"""The column of each field in `Tape.runs`."""


class Tape(NamedTuple):
    """One of the two tapes, as arrays for the machine.

    Attributes:
        runs: the fields of each run, one row a run, in the order of computing.
        first_active: the first run that has adjoints.
        operands, operand_adjoints: the offsets of all operands, and those of their adjoints.
        size: how many numbers the tape has, kept derivatives included.
        n_adjoints: how many adjoints, the one that nobody reads included.
    """

    runs: Integers
    first_active: int
    operands: Integers
    operand_adjoints: Integers
    size: int
    n_adjoints: int


@dataclass
class Plan:
    """A graph, laid out.

    Attributes:
        uniform, varying: the two tapes.
        leaves: the constants, which stand at the front of the uniform tape.
        captured: the captured Values by their offsets on the uniform tape.
        leaves_at: for each number of the graph that is a parameter or a captured Value, its offset there.
        parameters: for each parameter, in the user's order, its offset on the uniform tape.
        first_parameter: where the parameters begin; their adjoints begin at 1.
        broadcast_to, broadcast_from: offsets on the varying tape, and on the uniform one.
        broadcast_to_adjoint, broadcast_from_adjoint: the same for the adjoints.
        outputs: offsets of the outputs; on the uniform tape if there are no inputs.
        output_adjoint: the offset of the first output's adjoint.
        operations: the operations that are numbered, with their numbers of inputs, in the order of their
        codes.
        descriptions: lines for people, about affine maps and softmaxes.
        n_uniform, n_varying: how many operations are left on each tape.
        work: how many operands an example has, as a measure of time.
        scratch: how many numbers of scratch space each lane needs.
    """

    uniform: Tape
    varying: Tape
    leaves: Floats
    captured: dict[int, Value]
    leaves_at: dict[int, int]
    parameters: Integers
    first_parameter: int
    broadcast_to: Integers
    broadcast_from: Integers
    broadcast_to_adjoint: Integers
    broadcast_from_adjoint: Integers
    outputs: Integers
    output_adjoint: int
    operations: list[tuple[Op, int]]
    descriptions: list[tuple[str, str]]
    n_uniform: int
    n_varying: int
    work: int
    scratch: int


def plan(graph: Graph, keeps_slope: Callable[[Op, int], bool]) -> Plan:
    """Apply all passes to a recorded graph, and lay it out.

    `keeps_slope` tells whether the forward pass should keep the derivatives of an operation with so many
    inputs.
    """
    facts = analyse(graph)
    fuse_sums(graph, facts)
    softmaxes = find_softmaxes(graph, facts)
    maps = find_affine_maps(graph, facts)
    kinds = _classify(graph, facts, softmaxes, maps)
    for member in (~kinds.varying, kinds.varying):
        _gather_kinds(kinds, kinds.operations_of(member))
    keys = _sort_keys(kinds)
    uniform_order = kinds.sorted(~kinds.varying, keys)
    varying_order = kinds.sorted(kinds.varying, keys)
    _sort_maps(kinds, varying_order)

    uniform = _uniform_offsets(kinds, uniform_order)
    matrices = _weight_offsets(kinds, uniform)
    uniform_tape = _tape(kinds, uniform, uniform_order, matrices, keeps_slope)
    broadcast = _to_broadcast(kinds, varying_order)
    varying = _varying_offsets(kinds, broadcast, varying_order)
    varying_tape = _tape(kinds, varying, varying_order, matrices, keeps_slope)

    result = varying if graph.n_inputs else uniform
    outputs = result.of[graph.outputs]
    variables = [*graph.parameter_numbers, *graph.captured]
    return Plan(
        uniform=uniform_tape,
        varying=varying_tape,
        leaves=np.array([graph.constants[i] for i in graph.constants if facts.used[i]], dtype=np.float64),
        captured={int(uniform.of[i]): value for i, value in graph.captured.items() if facts.used[i]},
        leaves_at=dict(zip(variables, uniform.of[variables].tolist())),
        parameters=uniform.of[graph.parameter_numbers],
        first_parameter=uniform.n_inactive,
        broadcast_to=varying.of[broadcast],
        broadcast_from=uniform.of[broadcast],
        broadcast_to_adjoint=varying.adjoint(varying.of[broadcast]),
        broadcast_from_adjoint=uniform.adjoint(uniform.of[broadcast]),
        outputs=outputs,
        output_adjoint=int(result.adjoint(outputs[0])),
        operations=kinds.numbered,
        descriptions=_descriptions(kinds),
        n_uniform=len(uniform_order),
        n_varying=len(varying_order),
        work=len(varying_tape.operands) + sum([len(a.inputs) * len(a.outputs) for a in maps]),
        scratch=2 * max([len(a.inputs) for a in maps], default=0),
    )


# The kind of each operation, and the order of operations on a tape.


@dataclass
class _Kinds:
    """What is known about the graph and, as arrays, about each of its numbers; -1 where nothing is.

    Attributes:
        graph, softmaxes, maps: what the passes have found.
        used, varying, active: see `passes.Facts`.
        code: what computes it.
        arity: the number of operands.
        n_pairs: how many pairs of factors are among them.
        map_of: the affine map whose result it is.
        level: the depth among the operations of its tape.
        numbered: the operations that are numbered, with their numbers of inputs.
    """

    graph: Graph
    softmaxes: list[list[int]]
    maps: list[Affine]
    used: NDArray[np.bool_]
    varying: NDArray[np.bool_]
    active: NDArray[np.bool_]
    code: Integers
    arity: Integers
    n_pairs: Integers
    map_of: Integers
    level: Integers
    numbered: list[tuple[Op, int]]

    def operations_of(self, member: NDArray[np.bool_]) -> Integers:
        """The operations in use that are members."""
        return np.flatnonzero(self.used & member & (self.code >= 0))

    def sorted(self, member: NDArray[np.bool_], keys: tuple[NDArray[Any], ...]) -> Integers:
        """The same, sorted by these keys; the last key is the most important one."""
        numbers = self.operations_of(member)
        return numbers[np.lexsort([key[numbers] for key in keys])]


def _classify(graph: Graph, facts: Facts, softmaxes: list[list[int]], maps: list[Affine]) -> _Kinds:
    arities = list(map(len, graph.operands))
    numbered: dict[tuple[Op, int], int] = {}
    codes = [-1] * len(arities)
    for i, (op, n_operands) in enumerate(zip(graph.operators, arities)):
        if op in CODES:
            codes[i] = CODES[op]
        elif op is not None and facts.used[i]:
            codes[i] = numbered.setdefault((op, n_operands), FIRST_OPERATION + len(numbered))
    used, varying, active = (np.array(fact, dtype=bool) for fact in (facts.used, facts.varying, facts.active))
    n = len(graph.operators)
    map_of, n_pairs = np.full(n, -1), np.zeros(n, dtype=np.int64)
    code, arity = np.array(codes, dtype=np.int64), np.array(arities, dtype=np.int64)
    n_pairs[list(graph.n_pairs)] = list(graph.n_pairs.values())
    for k, affine in enumerate(maps):
        map_of[affine.outputs], code[affine.outputs] = k, AFFINE
    for softmax in softmaxes:
        code[softmax], arity[softmax] = SOFTMAX, len(softmax)
    return _Kinds(
        graph, softmaxes, maps, used, varying, active, code, arity, n_pairs, map_of,
        level=_levels(graph, facts, softmaxes), numbered=list(numbered),
    )  # fmt: skip


def _levels(graph: Graph, facts: Facts, softmaxes: list[list[int]]) -> Integers:
    """One more than the highest level of the operands on the same tape; a softmax has one level."""
    varying = facts.varying
    level = [0] * len(graph.operators)
    first_of = {i: first for first, *others in softmaxes for i in others}
    for i, operands in enumerate(graph.operands):
        if operands and facts.used[i]:
            deepest, own = 0, varying[i]
            for operand in operands:
                if level[operand] > deepest and varying[operand] == own:
                    deepest = level[operand]
            level[i] = deepest + 1
        elif i in first_of:
            level[i] = level[first_of[i]]
    return np.array(level)


def _gather_kinds(kinds: _Kinds, numbers: Integers) -> None:
    """Give the operations of an irregular tape other levels, so that more of one kind stand together.

    Sorted by depth, neighbours in such a graph differ in kind, and each run has one result. What can be
    computed at a moment is more than one depth: of that, the kind with the most operations comes first.
    """
    n_codes = FIRST_OPERATION + len(kinds.numbered)
    n_runs = len(np.unique(kinds.level[numbers] * n_codes + kinds.code[numbers]))
    if n_runs < SHORTEST_RUNS * len(numbers) or n_runs < FEW_RUNS or (kinds.map_of[numbers] >= 0).any():
        return
    members = set(numbers.tolist())
    leader = {i: softmax[0] for softmax in kinds.softmaxes for i in softmax}
    kind_of = list(zip(*[a.tolist() for a in (kinds.active, kinds.code, kinds.arity, kinds.n_pairs)]))
    consumers: dict[int, list[int]] = {}
    missing: dict[int, int] = {}
    for i in members:
        if leader.get(i, i) == i:
            needed = {leader.get(k, k) for k in kinds.graph.operands[i] if k in members}
            missing[i] = len(needed)
            for k in needed:
                consumers.setdefault(k, []).append(i)
    ready: dict[Any, list[int]] = {}
    for i, n in missing.items():
        if n == 0:
            ready.setdefault(kind_of[i], []).append(i)
    levels: dict[int, int] = {}
    step = 0
    while ready:  # what is not active has to be computed first
        kind = max(ready, key=lambda kind: (not kind[0], len(ready[kind])))
        step += 1
        for i in ready.pop(kind):
            levels[i] = step
            for consumer in consumers.get(i, ()):
                missing[consumer] -= 1
                if missing[consumer] == 0:
                    ready.setdefault(kind_of[consumer], []).append(consumer)
    if step > WORTH_GATHERING * n_runs:
        return
    for i in members:
        kinds.level[i] = levels[leader.get(i, i)]


def _sort_keys(kinds: _Kinds) -> tuple[NDArray[Any], ...]:
    """By activity, level and kind; inside a run in the order in which the results are used.

    An affine map wants its inputs side by side, so they are computed side by side, and so is what they are
    computed from.
    """
    n = len(kinds.used)
    consumer, position = [0] * n, [0] * n
    inputs_of = {affine.outputs[0]: affine.inputs for affine in kinds.maps}
    map_of = kinds.map_of.tolist()
    for i in np.flatnonzero(kinds.used)[::-1].tolist():
        in_map = map_of[i] >= 0
        operands = inputs_of.get(i, ()) if in_map else kinds.graph.operands[i]
        for k, operand in enumerate(operands):
            if consumer[operand]:
                continue
            if in_map or len(operands) > 2:
                consumer[operand], position[operand] = i, k
            else:  # stay beside what is used together with the result
                consumer[operand], position[operand] = consumer[i] or i, position[i]
    for softmax in kinds.softmaxes:  # its results stay together
        for k, i in enumerate(softmax):
            consumer[i], position[i] = softmax[0], k
    by_use = np.array(position), np.array(consumer)
    return *by_use, kinds.map_of, kinds.n_pairs, kinds.arity, kinds.code, kinds.level, kinds.active


def _sort_maps(kinds: _Kinds, order: Integers) -> None:
    """Bring the affine maps, and the results of each, into the order of the tape."""
    rank = np.empty(len(kinds.used), dtype=np.int64)
    rank[order] = np.arange(len(order))
    maps = []
    for affine in kinds.maps:
        by_rank = np.argsort(rank[affine.outputs]).tolist()
        outputs, weights, biases = [
            [numbers[j] for j in by_rank] if numbers else []
            for numbers in (affine.outputs, affine.weights, affine.biases)
        ]
        maps.append(Affine(outputs, affine.inputs, weights, biases))
    kinds.maps = sorted(maps, key=lambda affine: rank[affine.outputs[0]])
    for k, affine in enumerate(kinds.maps):
        kinds.map_of[affine.outputs] = k


# Offsets


@dataclass
class _Offsets:
    """Where numbers are on one tape.

    Attributes:
        of: the offset of each number of the graph, -1 if it is not there.
        n_inactive: how many numbers in front have no adjoints.
        size: how many numbers there are.
        copied: numbers that are copied to the end of the tape, since they have to lie in a matrix.
        are_uniform: it is the uniform tape.
    """

    of: Integers
    n_inactive: int
    size: int
    copied: list[int]
    are_uniform: bool

    def adjoint(self, offset: Any) -> Any:
        """The offset of the adjoint: 0, which nobody reads, for all inactive numbers."""
        return np.maximum(offset - self.n_inactive + 1, 0)


def _uniform_offsets(kinds: _Kinds, order: Integers) -> _Offsets:
    """Leaves and inactive operations, then room for the parameters, then active operations."""
    graph, of = kinds.graph, np.full(len(kinds.used), -1)
    leaves = [i for i in (*graph.constants, *graph.captured) if kinds.used[i]]
    inactive, active = order[~kinds.active[order]], order[kinds.active[order]]
    front = np.array([*leaves, *inactive], dtype=np.int64)
    of[front] = np.arange(len(front))
    first_active = len(front) + len(graph.parameters)
    of[active] = first_active + np.arange(len(active))
    return _Offsets(of, len(front), first_active + len(active), [], are_uniform=True)


def _weight_offsets(kinds: _Kinds, uniform: _Offsets) -> list[list[int]]:
    """Give the parameters their offsets, so that the weights of an affine map lie in a matrix.

    A number that cannot be placed, since it is no parameter or lies in another matrix, is copied.

    Returns:
        For each map the last four fields of `Run`.
    """
    parameters, next_free = kinds.graph.parameter_numbers, uniform.n_inactive
    placed: dict[tuple[int, ...], int] = {}  # a matrix that several maps use is placed once

    def place(numbers: list[int]) -> list[int]:
        nonlocal next_free
        first = placed.get(tuple(numbers), -1)
        if numbers and first < 0:
            are_free = all(i in parameters for i in numbers) and (uniform.of[numbers] < 0).all()
            if are_free and len(set(numbers)) == len(numbers):
                first = next_free
                uniform.of[numbers] = first + np.arange(len(numbers))
                next_free += len(numbers)
            else:
                first = uniform.size + len(uniform.copied)
                uniform.copied += numbers
            placed[tuple(numbers)] = first
        return [first, int(uniform.adjoint(first))]

    # All matrices come first: vectors of them begin with a cache line where rows are as long as those.
    weights = [place(list(chain.from_iterable(affine.weights))) for affine in kinds.maps]
    matrices = [first + place(affine.biases) for first, affine in zip(weights, kinds.maps)]
    rest = parameters.start + np.flatnonzero(uniform.of[parameters] < 0)
    uniform.of[rest] = next_free + np.arange(len(rest))
    return matrices


def _to_broadcast(kinds: _Kinds, order: Integers) -> Integers:
    """The uniform numbers that the varying tape needs, inactive ones first."""
    graph, outside = kinds.graph, order[kinds.code[order] != AFFINE].tolist()
    needed = set(chain.from_iterable([graph.operands[i] for i in outside]))
    if graph.n_inputs:
        needed.update(graph.outputs)
    numbers = np.array(sorted(needed), dtype=np.int64)
    numbers = numbers[~kinds.varying[numbers]]
    inactive_first: Integers = numbers[np.argsort(kinds.active[numbers], kind="stable")]
    return inactive_first


def _varying_offsets(kinds: _Kinds, broadcast: Integers, order: Integers) -> _Offsets:
    """Inputs, then what is inactive, then what is active; each time what is broadcast comes first."""
    both = np.concatenate([broadcast, order])
    is_active = kinds.active[both]
    everything = np.concatenate([np.arange(kinds.graph.n_inputs), both[~is_active], both[is_active]])
    of = np.full(len(kinds.used), -1)
    of[everything] = np.arange(len(everything))
    return _Offsets(of, len(everything) - int(is_active.sum()), len(everything), [], are_uniform=False)


# Tapes


def _tape(
    kinds: _Kinds,
    offsets: _Offsets,
    order: Integers,
    matrices: list[list[int]],
    keeps_slope: Callable[[Op, int], bool],
) -> Tape:
    """Cut an order of operations into runs of one kind."""
    first = _first_of_runs(kinds, order)
    operands = _operands(kinds, offsets, order, first)
    starts = np.cumsum([0, *map(len, operands)])
    listed = offsets.of[np.fromiter(chain.from_iterable(operands), dtype=np.int64)]
    runs = np.zeros((len(first), len(RUN)), dtype=np.int64)
    numbers = order[first]
    runs[:, RUN.code] = kinds.code[numbers]
    runs[:, RUN.first] = offsets.of[numbers]
    runs[:, RUN.n_results] = np.diff(np.append(first, len(order)))
    runs[:, RUN.start] = starts[first]
    runs[:, RUN.arity] = kinds.arity[numbers]
    runs[:, RUN.n_pairs] = kinds.n_pairs[numbers]
    for k in np.flatnonzero(runs[:, RUN.code] == AFFINE):
        run, number = runs[k], kinds.map_of[numbers[k]]
        inputs = kinds.maps[number].inputs
        run[RUN.arity], run[RUN.n_pairs] = len(inputs), 0
        run[RUN.weights : RUN.bias_adjoints + 1] = matrices[number]
        run[RUN.are_active] = kinds.active[list(inputs)].any()
    if offsets.copied:
        copies = np.zeros((1, len(RUN)), dtype=np.int64)
        copies[0, : RUN.arity + 1] = COPY, offsets.size, 0, len(offsets.copied), len(listed), 1
        runs = np.concatenate([runs, copies])
        listed = np.concatenate([listed, offsets.of[offsets.copied]])
    runs[:, RUN.first_adjoint] = offsets.adjoint(runs[:, RUN.first])
    runs[:, RUN.are_adjacent] = _are_adjacent(runs, listed)
    n_numbers = offsets.size + len(offsets.copied)
    first_active = int(np.searchsorted(runs[:, RUN.first], offsets.n_inactive))
    n_slopes = _n_slopes(runs, first_active, kinds, keeps_slope)
    runs[:, RUN.slopes] = np.where(n_slopes, n_numbers + np.cumsum(n_slopes) - n_slopes, -1)
    return Tape(
        runs=runs,
        first_active=first_active,
        operands=listed,
        operand_adjoints=offsets.adjoint(listed),
        size=n_numbers + int(n_slopes.sum()),
        n_adjoints=n_numbers - offsets.n_inactive + 1,
    )


def _operands(kinds: _Kinds, offsets: _Offsets, order: Integers, first: Integers) -> list[tuple[int, ...]]:
    """The operands of each operation. An affine map lists its inputs once, at its first result."""
    map_of = kinds.map_of[order].tolist()
    operands = [kinds.graph.operands[i] if k < 0 else () for i, k in zip(order.tolist(), map_of)]
    for j in first.tolist():
        if map_of[j] >= 0:
            operands[j] = kinds.maps[map_of[j]].inputs
    if offsets.are_uniform:
        is_long = (kinds.code[order] == SUM) & (kinds.arity[order] >= LONG)
        for j in np.flatnonzero(is_long).tolist():
            operands[j] = _by_offset(operands[j], kinds.n_pairs[order[j]], offsets.of)
    return operands


def _by_offset(operands: tuple[int, ...], n_pairs: int, of: Integers) -> tuple[int, ...]:
    """The operands of a long sum in the order of their offsets, so that they are read side by side."""
    pairs = zip(operands[: 2 * n_pairs : 2], operands[1 : 2 * n_pairs : 2])
    sorted_pairs = sorted(pairs, key=lambda pair: of[pair[0]])
    return *chain.from_iterable(sorted_pairs), *sorted(operands[2 * n_pairs :], key=lambda i: of[i])


def _first_of_runs(kinds: _Kinds, order: Integers) -> Integers:
    """Where in the order the kind differs from the one before."""
    if not len(order):
        return order
    facts = [kinds.code, kinds.arity, kinds.n_pairs, kinds.map_of, kinds.level, kinds.active]
    kind = np.stack([fact[order] for fact in facts])
    changes = np.any(kind[:, 1:] != kind[:, :-1], axis=0)
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def _are_adjacent(runs: Integers, operands: Integers) -> NDArray[np.bool_]:
    """For each run, whether its operands have consecutive offsets.

    Every operand is compared with the one before it: of an affine map with the last input, of other
    operations with that of the same input of the result before.
    """
    code, start = runs[:, RUN.code], runs[:, RUN.start]
    run_of = np.repeat(np.arange(len(runs)), np.diff(np.append(start, len(operands))))
    distance = np.where(code == AFFINE, 1, runs[:, RUN.arity])[run_of]
    place = np.arange(len(operands))
    has_one_before = place - start[run_of] >= distance
    is_jump = has_one_before & (operands != operands[place - distance] + 1)
    are_adjacent: NDArray[np.bool_] = code >= AFFINE
    are_adjacent[run_of[is_jump]] = False
    return are_adjacent


def _n_slopes(
    runs: Integers, first_active: int, kinds: _Kinds, keeps_slope: Callable[[Op, int], bool]
) -> Integers:
    """For each run, how many derivatives the forward pass keeps: of a logsumexp one for each operand."""
    is_kept = np.array([False] * FIRST_OPERATION + [keeps_slope(*operation) for operation in kinds.numbered])
    per_result = is_kept[runs[:, RUN.code]] & (np.arange(len(runs)) >= first_active)
    is_logsumexp = runs[:, RUN.code] == LOGSUMEXP
    return runs[:, RUN.n_results] * np.where(is_logsumexp, runs[:, RUN.arity], per_result)


def _descriptions(kinds: _Kinds) -> list[tuple[str, str]]:
    """z = Wx + b with the shape of W for each affine map, and how many softmaxes there are of each size."""
    lines = []
    for number, affine in enumerate(kinds.maps, start=1):
        bias = " + b" if affine.biases else ""
        shape = f"{len(affine.outputs)} × {len(affine.inputs)}"
        lines.append(("layer", f"z{number} = W{number} x{bias}, W{number}: {shape}"))
    sizes = Counter(sorted([len(softmax) for softmax in kinds.softmaxes]))
    return lines + [("softmax", f"{times:,} of {n:,} numbers") for n, times in sizes.items()]
