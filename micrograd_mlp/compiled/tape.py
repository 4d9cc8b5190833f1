"""Lay a graph out for the machine: a place for every number, and runs of equal operations.

There are two tapes. The *uniform* one holds what is the same for every example: parameters, constants
and what is computed from them alone. It has one number in a place and is computed once a batch. The
*varying* one has a row in a place, with a lane for each example of a block. A uniform number that the
varying tape needs outside of a layer is repeated over a row ("spread").

On both, what no parameter influences comes first, so that adjoints are kept for the rest only: the
adjoint of place p is at max(p - base, 0), and 0 is where the adjoints of inactive operands are dropped.
Operations are sorted by depth and kind; neighbours of one kind form a *run*, which the interpreter
decodes once. A layer's weights get consecutive places, so that a layer is a matrix product in place.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograd_mlp.compiled.passes import Facts, Layer, analyse, find_layers, find_softmaxes, fuse_sums
from micrograd_mlp.compiled.trace import Graph
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

# What a run computes. Sums of products, logsumexp, softmax and layers have code of their own; the other
# operations of the table are numbered after them, and a user's own operations from FIRST_USER on.
COPY, SUM, LOGSUMEXP, SOFTMAX, LAYER = range(5)
ELEMENTWISE = [op for op in TABLE.values() if op.arity in (1, 2)]
CODES: dict[Op, int] = {op: code for code, op in enumerate(ELEMENTWISE, start=LAYER + 1)}
CODES |= {TABLE["total"]: SUM, TABLE["logsumexp"]: LOGSUMEXP}
FIRST_USER = 1000

# The columns of a run: what to compute; the first place of the results and how many; where its
# operands begin in `args`, how many each result has, and how many of those are pairs of factors.
# A layer also says where W and b are on the uniform tape (b: -1 if there is none), whether its inputs
# lie side by side from some place on (-1 if not), and whether they are active.
CODE, FIRST, COUNT, START, ARITY, PAIRS, WEIGHTS, BIASES, INPUTS, ACTIVE = range(10)
N_COLUMNS = 10


@dataclass
class Tape:
    """One of the two tapes.

    Attributes:
        runs: a row for each run, with the columns above, in the order of computing.
        args: the places of all operands.
        size: how many places there are.
        base: the adjoint of place p is at max(p - base, 0).
        first_active: the first run that has adjoints.
    """

    runs: Integers
    args: Integers
    size: int
    base: int
    first_active: int


@dataclass
class Layout:
    """A graph, laid out.

    Attributes:
        uniform, varying: the two tapes.
        leaves: the uniform numbers that are constants, in front of the uniform tape; captured ones
            are filled in before each call.
        captured: places of captured Values, and the Values.
        parameter_places: for each parameter of the graph, in the user's order, its place.
        spread_rows, spread_places: row of the varying tape and the uniform place that it repeats.
        outputs: rows of the outputs; places on the uniform tape if there are no inputs.
        user_ops: operations that are not in the table, with their numbers of operands, in the order of codes.
        layer_texts: for people, the first layer first.
        softmaxes: how many there are of how many numbers.
        n_uniform, n_varying: how many operations are left on each tape.
        work: how many operands an example has, as a measure of time.
        scratch_rows: how many rows of scratch space the tapes need.
    """

    uniform: Tape
    varying: Tape
    leaves: Floats
    captured: dict[int, Any]
    parameter_places: Integers
    spread_rows: Integers
    spread_places: Integers
    outputs: Integers
    user_ops: list[tuple[Op, int]]
    layer_texts: list[str]
    softmaxes: dict[int, int]
    n_uniform: int
    n_varying: int
    work: int
    scratch_rows: int


def lay_out(graph: Graph) -> Layout:
    """All passes over a traced graph, and the tapes that come out."""
    facts = analyse(graph)
    fuse_sums(graph, facts)
    softmaxes = find_softmaxes(graph, facts)
    layers = find_layers(graph, facts)
    return _Builder(graph, facts, softmaxes, layers).build()


class _Builder:
    """The steps of `lay_out`, which share the graph's facts."""

    def __init__(self, graph: Graph, facts: Facts, softmaxes: list[list[int]], layers: list[Layer]) -> None:
        self.graph, self.softmaxes, self.layers = graph, softmaxes, layers
        self.used = np.array(facts.used, dtype=bool)
        self.varying = np.array(facts.varying, dtype=bool)
        self.active = np.array(facts.active, dtype=bool)
        n = len(graph.operators)
        self.layer_of = np.full(n, -1, dtype=np.int64)
        for k, layer in enumerate(layers):
            self.layer_of[layer.outputs] = k
        self.user_ops: list[tuple[Op, int]] = []
        self.code = np.full(n, -1, dtype=np.int64)
        self.arity = np.zeros(n, dtype=np.int64)
        self.pairs = np.zeros(n, dtype=np.int64)
        self.place = np.full(n, -1, dtype=np.int64)  # on the varying tape, for uniform ones where spread
        self.slot = np.full(n, -1, dtype=np.int64)  # on the uniform tape

    def build(self) -> Layout:
        graph = self.graph
        self._classify()
        keys = self._sort_keys()
        varying_order = self._order(self.varying, keys)
        uniform_order = self._order(~self.varying, keys)
        self._sort_layers(varying_order)
        leaves, captured = self._place_uniform(uniform_order)
        copies = self._place_weights()
        uniform = self._uniform_tape(uniform_order, copies)
        spread = self._spread(varying_order)
        varying = self._varying_tape(varying_order, spread)
        n_inputs = graph.n_inputs
        outputs = (self.place if n_inputs else self.slot)[graph.outputs]
        first_parameter = n_inputs
        parameters = slice(first_parameter, first_parameter + len(graph.parameters))
        widest = int(self.arity[self.code >= FIRST_USER].max(initial=0))
        layers = varying.runs[varying.runs[:, CODE] == LAYER]
        return Layout(
            uniform=uniform,
            varying=varying,
            leaves=leaves,
            captured=captured,
            parameter_places=self.slot[parameters].copy(),
            spread_rows=self.place[spread],
            spread_places=self.slot[spread],
            outputs=outputs,
            user_ops=self.user_ops,
            layer_texts=self._layer_texts(),
            softmaxes=Counter(sorted([len(softmax) for softmax in self.softmaxes])),
            n_uniform=len(uniform_order),
            n_varying=len(varying_order),
            work=len(varying.args) + sum([len(k.inputs) * len(k.outputs) for k in self.layers]),
            scratch_rows=max(2 * widest + 2, int(layers[:, ARITY].max(initial=0)), n_inputs, 3),
        )

    def _classify(self) -> None:
        """The code, the number of operands and of pairs of each operation in use."""
        graph = self.graph
        user_codes: dict[tuple[Op, int], int] = {}
        for i in np.flatnonzero(self.used).tolist():
            op = graph.operators[i]
            if op is None:
                continue
            code = CODES.get(op)
            if code is None:
                key = (op, len(graph.operands[i]))
                if key not in user_codes:
                    user_codes[key] = FIRST_USER + len(user_codes)
                    self.user_ops.append(key)
                code = user_codes[key]
            self.code[i] = code
            self.arity[i] = len(graph.operands[i])
        for i, n_pairs in graph.n_pairs.items():
            self.pairs[i] = n_pairs
        self.code[self.layer_of >= 0] = LAYER
        for softmax in self.softmaxes:
            self.code[softmax], self.arity[softmax] = SOFTMAX, len(softmax)

    def _sort_keys(self) -> tuple[NDArray[Any], ...]:
        """What the order on a tape is made of; the last key is the most important one.

        Inside a run the order is the one in which the results are used: a layer wants its inputs
        side by side, so they are computed side by side, and so is what they are computed from.
        """
        graph, n = self.graph, len(self.graph.operators)
        operators, operands = graph.operators, graph.operands
        used, varying = self.used.tolist(), self.varying.tolist()
        level, consumer, position = [0] * n, [0] * n, [0] * n
        first_of = {i: first for first, *others in self.softmaxes for i in others}
        for i, mine in enumerate(operands):
            if i in first_of:
                level[i] = level[first_of[i]]
            elif used[i] and mine:
                own = varying[i]
                level[i] = 1 + max([level[operand] for operand in mine if varying[operand] == own], default=0)
        inputs_of = {layer.outputs[0]: layer.inputs for layer in self.layers}
        layer_of = self.layer_of.tolist()
        for i in range(n - 1, -1, -1):
            if not used[i] or operators[i] is None:
                continue
            mine = inputs_of.get(i, ()) if layer_of[i] >= 0 else operands[i]
            several = len(mine) > 2 or layer_of[i] >= 0
            for k, operand in enumerate(mine):
                if not consumer[operand]:
                    consumer[operand], position[operand] = (
                        (i, k) if several else (consumer[i] or i, position[i])
                    )
        for softmax in self.softmaxes:  # its results stay together
            for k, i in enumerate(softmax):
                consumer[i], position[i] = softmax[0], k
        self.level = np.array(level)
        return (
            np.array(position),
            np.array(consumer),
            self.layer_of,
            self.pairs,
            self.arity,
            self.code,
            self.level,
            self.active,
        )

    def _order(self, member: NDArray[np.bool_], keys: tuple[NDArray[Any], ...]) -> Integers:
        numbers = np.flatnonzero(self.used & member & (self.code >= 0))
        return numbers[np.lexsort([key[numbers] for key in keys])]

    def _sort_layers(self, order: Integers) -> None:
        """List a layer's neurons in the order of the tape."""
        rank = np.empty(len(self.graph.operators), dtype=np.int64)
        rank[order] = np.arange(len(order))
        for k, layer in enumerate(self.layers):
            by_rank = np.argsort(rank[layer.outputs]).tolist()
            self.layers[k] = Layer(
                [layer.outputs[j] for j in by_rank],
                layer.inputs,
                [layer.weights[j] for j in by_rank],
                [layer.biases[j] for j in by_rank] if layer.biases else [],
            )
        # The first layer first, for people and for the order of parameters.
        self.layer_order = sorted(range(len(self.layers)), key=lambda k: rank[self.layers[k].outputs[0]])

    def _place_uniform(self, order: Integers) -> tuple[Floats, dict[int, Any]]:
        """Places for leaves and inactive operations, then parameters, then active operations."""
        graph = self.graph
        constants = [i for i in graph.constants if self.used[i]]
        captured = [i for i in graph.captured if self.used[i]]
        inactive, active = order[~self.active[order]], order[self.active[order]]
        ahead = np.array([*constants, *captured, *inactive], dtype=np.int64)
        self.slot[ahead] = np.arange(len(ahead))
        self.n_ahead = len(ahead)
        first_active = self.n_ahead + len(graph.parameters)
        self.slot[active] = first_active + np.arange(len(active))
        self.uniform_size = first_active + len(active)
        leaves = np.array([graph.constants[i] for i in constants], dtype=np.float64)
        return leaves, {int(self.slot[i]): graph.captured[i] for i in captured}

    def _place_weights(self) -> list[int]:
        """Places for the parameters, layer by layer; and what has to be copied to lie in a matrix."""
        graph = self.graph
        parameters = range(graph.n_inputs, graph.n_inputs + len(graph.parameters))
        following = self.n_ahead
        copies: list[int] = []
        self.matrix_place: dict[tuple[int, bool], int] = {}
        for k in self.layer_order:
            layer = self.layers[k]
            for is_bias, numbers in ((False, list(chain.from_iterable(layer.weights))), (True, layer.biases)):
                free = len(set(numbers)) == len(numbers) and all(
                    i in parameters and self.slot[i] < 0 for i in numbers
                )
                if not numbers:
                    self.matrix_place[k, is_bias] = -1
                elif free:
                    self.matrix_place[k, is_bias] = following
                    self.slot[numbers] = following + np.arange(len(numbers))
                    following += len(numbers)
                else:
                    self.matrix_place[k, is_bias] = self.uniform_size + len(copies)
                    copies += numbers
        rest = [i for i in parameters if self.slot[i] < 0]
        self.slot[rest] = following + np.arange(len(rest))
        return copies

    def _uniform_tape(self, order: Integers, copies: list[int]) -> Tape:
        runs, args = self._runs(order, self.slot)
        if copies:
            run = np.zeros((1, runs.shape[1]), dtype=np.int64)
            run[0, [CODE, FIRST, COUNT, START, ARITY]] = COPY, self.uniform_size, len(copies), len(args), 1
            runs = np.concatenate([runs, run])
            args = np.concatenate([args, self.slot[copies]])
        first_active = int(np.searchsorted(runs[:, FIRST], self.n_ahead))
        self._find_long_rows(runs, args, self.n_ahead - 1)
        return Tape(runs, args, self.uniform_size + len(copies), self.n_ahead - 1, first_active)

    def _spread(self, order: Integers) -> Integers:
        """The uniform numbers that need a row, inactive ones first."""
        graph = self.graph
        apart = order[self.code[order] != LAYER].tolist()
        needed = set(chain.from_iterable([graph.operands[i] for i in apart]))
        if graph.n_inputs:
            needed.update(graph.outputs)
        numbers = np.array(sorted(needed), dtype=np.int64)
        numbers = numbers[~self.varying[numbers]]
        inactive_first: Integers = numbers[np.argsort(self.active[numbers], kind="stable")]
        return inactive_first

    def _varying_tape(self, order: Integers, spread: Integers) -> Tape:
        n_inputs = self.graph.n_inputs
        inactive = np.concatenate([spread[~self.active[spread]], order[~self.active[order]]])
        active = np.concatenate([spread[self.active[spread]], order[self.active[order]]])
        everything = np.concatenate([np.arange(n_inputs), inactive, active])
        self.place[everything] = np.arange(len(everything))
        base = n_inputs + len(inactive) - 1
        runs, args = self._runs(order, self.place)
        self._find_long_rows(runs, args, base)
        return Tape(runs, args, len(everything), base, int(np.searchsorted(runs[:, FIRST], base + 1)))

    def _runs(self, order: Integers, place: Integers) -> tuple[Integers, Integers]:
        """Cut an order into runs of one kind."""
        operands = self.graph.operands
        if not len(order):
            return np.zeros((0, N_COLUMNS), dtype=np.int64), np.zeros(0, dtype=np.int64)
        kinds = [self.code, self.arity, self.pairs, self.layer_of, self.level, self.active]
        kind = np.stack([key[order] for key in kinds])
        changes = np.any(kind[:, 1:] != kind[:, :-1], axis=0)
        first = np.concatenate([[0], np.flatnonzero(changes) + 1])
        runs = np.zeros((len(first), N_COLUMNS), dtype=np.int64)
        runs[:, CODE] = self.code[order[first]]
        runs[:, FIRST] = place[order[first]]
        runs[:, COUNT] = np.diff(np.append(first, len(order)))
        runs[:, ARITY] = self.arity[order[first]]
        runs[:, PAIRS] = self.pairs[order[first]]
        listed = [operands[i] for i in order.tolist()]  # a layer lists its inputs once, at its first neuron
        for j in np.flatnonzero(self.code[order] == LAYER).tolist():
            listed[j] = ()
        of_layers = first[runs[:, CODE] == LAYER]
        for j in of_layers.tolist():
            listed[j] = self.layers[self.layer_of[order[j]]].inputs
        starts = np.cumsum([0, *map(len, listed)])
        runs[:, START] = starts[first]
        args = place[np.fromiter(chain.from_iterable(listed), dtype=np.int64)]
        for r, j in zip(np.flatnonzero(runs[:, CODE] == LAYER).tolist(), of_layers.tolist()):
            self._describe_layer(runs[r], int(self.layer_of[order[j]]))
        return runs, args

    def _find_long_rows(self, runs: Integers, args: Integers, base: int) -> None:
        """Mark runs of elementwise operations whose operands lie side by side, as one long row."""
        for run in runs:
            if LAYER < run[CODE] < FIRST_USER:
                operands = args[run[START] : run[START] + run[COUNT] * run[ARITY]].reshape(
                    run[COUNT], run[ARITY]
                )
                side_by_side = bool((operands == operands[0] + np.arange(run[COUNT])[:, np.newaxis]).all())
                all_active = bool((operands > base).all())
                run[INPUTS] = 0 if side_by_side and (run[FIRST] <= base or all_active) else -1

    def _layer_texts(self) -> list[str]:
        """z = Wx + b with the shape of W, and what becomes of z."""
        texts = []
        for number, k in enumerate(self.layer_order, start=1):
            layer = self.layers[k]
            bias = " + b" if layer.biases else ""
            texts.append(
                f"z{number} = W{number} x{bias}, W{number}: {len(layer.outputs)} × {len(layer.inputs)}"
            )
        return texts

    def _describe_layer(self, run: Integers, k: int) -> None:
        numbers = list(self.layers[k].inputs)
        rows = self.place[numbers]
        side_by_side = np.array_equal(rows, rows[0] + np.arange(len(rows)))
        run[ARITY], run[PAIRS] = len(rows), 0
        run[WEIGHTS], run[BIASES] = self.matrix_place[k, False], self.matrix_place[k, True]
        run[INPUTS] = rows[0] if side_by_side else -1
        run[ACTIVE] = bool(self.active[numbers].any())
