"""Graphs without layers: what they compute, one scalar operation after the other.

A recipe is drawn once, from a seed. It says which operation takes which nodes, so that every package can
follow it on its own numbers. What it draws stays within ±4, so that nothing overflows, and away from the
kinks. The output is a sum of some nodes.

- layered: softplus of one node, the sum of four, the product of two, or the softmax of four, of nodes that
  lie 10 to 30 back. Many operations of one kind can run side by side.
- chains: eight long chains, where every operation takes the one before it, and is never of its kind.
- partial: softmaxes of three to six nodes, of which one or two outputs are used, among sums and products.
- mixed: some twenty kinds of operations, of nodes that lie anywhere.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from micrograd_mlp import (
    cos,
    dot,
    exp,
    log,
    logsumexp,
    maximum,
    minimum,
    relu,
    sigmoid,
    sin,
    softmax,
    softplus,
    sqrt,
    tanh,
    total,
)

LARGEST = 4.0


class Operation(NamedTuple):
    """One operation: its operands are positions of nodes, and the inputs come first.

    A softmax gives several nodes: `used` says which of its outputs. Any other kind gives one.
    """

    kind: str
    operands: tuple[int, ...]
    used: tuple[int, ...] = ()


class Recipe(NamedTuple):
    inputs: list[float]
    operations: list[Operation]
    outputs: list[int]


Kinds = dict[str, Callable[..., Any]]  # a softmax gives a list of numbers, any other kind one

OURS: Kinds = {
    "sum": lambda *terms: total(terms),
    "difference": lambda x, y: x - y,
    "product": lambda x, y: x * y,
    "quotient": lambda x, y: x / y,
    "dot": lambda *pairs: dot(pairs[::2], pairs[1::2]),
    "square": lambda x: x**2,
    "sqrt": sqrt,
    "exp": exp,
    "log": log,
    "sin": sin,
    "cos": cos,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "relu": relu,
    "abs": abs,
    "maximum": maximum,
    "minimum": minimum,
    "logsumexp": lambda *z: logsumexp(z),
    "softmax": lambda *z: softmax(z),
}


def follow(recipe: Recipe, inputs: list[Any], kinds: Kinds) -> list[Any]:
    """The nodes that the output sums up, computed with whatever the inputs are."""
    values = list(inputs)
    for kind, operands, used in recipe.operations:
        result = kinds[kind](*[values[k] for k in operands])
        if kind == "softmax":
            values += [result[k] for k in used]
        else:
            values.append(result)
    return [values[k] for k in recipe.outputs]


class _Draft:
    """A recipe while it is drawn, with the number of every node."""

    def __init__(self, inputs: list[float]) -> None:
        self.inputs, self.numbers = inputs, list(inputs)
        self.operations: list[Operation] = []
        self.recorded = 0  # as many operations as micrograd_mlp records
        self.unused = list(range(len(inputs)))

    def result(self, kind: str, operands: list[int]) -> Any:
        return OURS[kind](*[self.numbers[k] for k in operands])

    def add(self, kind: str, operands: list[int], used: list[int] | None = None) -> int:
        """The position of the last node that this gives."""
        result = self.result(kind, operands)
        n_before = len(self.numbers)
        if kind == "softmax":
            used = list(range(len(operands))) if used is None else used
            self.numbers += [result[k] for k in used]
            self.recorded += 2 * len(used) + 1  # an exp and a sub of each, and a logsumexp
        else:
            self.numbers.append(result)
            self.recorded += 1
        self.operations.append(Operation(kind, tuple(operands), tuple(used or ())))
        self.unused = [k for k in self.unused if k not in operands]
        self.unused += range(n_before, len(self.numbers))
        return len(self.numbers) - 1

    def recipe(self, outputs: list[int] | None = None) -> Recipe:
        last = len(self.numbers) - 1
        return Recipe(self.inputs, self.operations, outputs or [*range(0, last, 100), last])


def layered(n_operations: int = 10_000, n_inputs: int = 100, seed: int = 0) -> Recipe:
    """Softmaxes are whole; every node is used."""
    return _nearby(n_operations, n_inputs, random.Random(seed), partial=False)


def partial(n_operations: int = 10_000, n_inputs: int = 100, seed: int = 1) -> Recipe:
    """Of a softmax of three to six, one or two outputs are used."""
    return _nearby(n_operations, n_inputs, random.Random(seed), partial=True)


def _nearby(n_operations: int, n_inputs: int, rng: random.Random, partial: bool) -> Recipe:
    draft = _Draft([rng.gauss(0.0, 1.0) for _ in range(n_inputs)])
    while draft.recorded < n_operations:
        position = len(draft.numbers)
        reach = range(max(0, position - 30), position - 9)
        width = rng.randint(3, 6) if partial else 4
        due = [k for k in draft.unused[:width] if k < position - 25]  # so that no node is for nothing
        several = due + rng.sample([k for k in reach if k not in due], width - len(due))
        kind = rng.choice(["softplus", "sum", "sum", "product", "product", "softmax"])
        operands = several[: {"softplus": 1, "product": 2}.get(kind, width)]
        if kind != "softmax" and abs(draft.result(kind, operands)) > LARGEST:
            kind, operands = "softmax", several
        used = rng.sample(range(width), rng.randint(1, 2)) if partial and kind == "softmax" else None
        draft.add(kind, operands, used)
    return draft.recipe()


LINKS = ("sum", "difference", "product", "quotient", "sin", "cos", "tanh", "sigmoid", "softplus", "square")
OF_TWO = ("sum", "difference", "product", "quotient", "maximum", "minimum")


def chains(n_operations: int = 10_000, n_inputs: int = 100, seed: int = 2, n_chains: int = 8) -> Recipe:
    """A link takes the one before it, and an input if it takes two."""
    rng = random.Random(seed)
    draft = _Draft([rng.choice([-1.0, 1.0]) * rng.uniform(0.8, 1.25) for _ in range(n_inputs)])
    ends = []
    for chain in range(n_chains):
        node, before = chain, ""
        for _ in range(n_operations // n_chains):
            others = [kind for kind in LINKS if kind != before]
            while True:
                kind = rng.choice(others)
                operands = [node, rng.randrange(n_inputs)] if kind in OF_TWO else [node]
                if abs(draft.result(kind, operands)) <= LARGEST:
                    break
            node, before = draft.add(kind, operands), kind
        ends.append(node)
    return draft.recipe(ends)


WIDTHS = {"sum": (2, 6), "logsumexp": (2, 5), "softmax": (2, 5)}
KINK = 1e-3


def mixed(n_operations: int = 10_000, n_inputs: int = 100, seed: int = 3) -> Recipe:
    """Of nodes up to 400 back, and of the inputs; half of the operands are those that nobody has used yet."""
    rng = random.Random(seed)
    draft = _Draft([rng.gauss(0.0, 1.0) for _ in range(n_inputs)])
    while draft.recorded < n_operations:
        position = len(draft.numbers)
        kind = rng.choice(list(OURS))
        width = rng.randint(*WIDTHS[kind]) if kind in WIDTHS else 6 if kind == "dot" else 1 + (kind in OF_TWO)
        reach = [*rng.sample(range(n_inputs), 6), *range(max(n_inputs, position - 400), position)]
        operands = rng.sample(reach, width)
        operands[: (width + 1) // 2] = draft.unused[: (width + 1) // 2]
        if len(set(operands)) < width or not _is_allowed(draft, kind, operands):
            continue
        draft.add(kind, operands)
    return draft.recipe()


def _is_allowed(draft: _Draft, kind: str, operands: list[int]) -> bool:
    x = [draft.numbers[k] for k in operands]
    if kind == "quotient":
        return abs(x[1]) > 0.25 and abs(x[0] / x[1]) <= LARGEST
    if kind in ("sqrt", "log"):
        return x[0] > 0.1
    if kind in ("relu", "abs"):
        return abs(x[0]) > KINK
    if kind in ("maximum", "minimum"):
        return abs(x[0] - x[1]) > KINK
    result = draft.result(kind, operands)
    return kind == "softmax" or (math.isfinite(result) and abs(result) <= LARGEST)
