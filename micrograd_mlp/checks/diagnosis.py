"""A gradient is wrong: in which way? A sentence is given only when it explains every derivative of an input.

Some mistakes leave the right gradient in sight: a factor, a transposed or reversed array, a missing sum over
the batch, a missing term. Others are one wrong step of the chain rule. Each of those steps is done wrongly on
purpose, and the sentence is given if that results in the gradient that was claimed (see `whatif.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from micrograd_mlp.checks.arrays import Input, random_weights
from micrograd_mlp.checks.whatif import CORRECT, Change, WhatIf, Wrong, slope_at_zero

CLOSE = 1e-5  # two gradients are the same if their largest difference is this part of the largest entry
LARGEST = 1000  # entries of inputs: for more, the right gradient would take too long
TRIALS = 1500  # wrong steps that are tried
POSITIONS = 60  # of results that are followed


class Claim(NamedTuple):
    """What is claimed to be the gradient of an input, and the right one.

    They are the same if they differ by less than the part `close` of their largest entry.
    """

    x: Input
    claimed: Any
    right: Any
    close: float

    def same(self, a: Any, b: Any) -> bool:
        """Are these two arrays the same?"""
        if np.shape(a) != np.shape(b):
            return False
        largest = max(float(np.max(np.abs(b), initial=0.0)), float(np.max(np.abs(a), initial=0.0)))
        return bool(np.max(np.abs(a - b), initial=0.0) <= self.close * largest)

    def holds(self) -> bool:
        """Is the claimed gradient the right one?"""
        return self.same(self.claimed, self.right)

    def factor(self) -> float:
        """What the right gradient is multiplied by, if it is one number, else 0."""
        if self.claimed.shape != self.right.shape or not np.any(self.right):
            return 0.0
        factor = float((self.claimed * self.right).sum() / (self.right * self.right).sum())
        return factor if self.same(self.claimed, factor * self.right) else 0.0


def explain_arrays(
    evaluate: Callable[[list[Any]], float],
    inputs: Sequence[Input],
    claimed: Sequence[Any],
    call: Callable[..., Any],
) -> list[str]:
    """Sentences on what is wrong, or none; also where f does not take the numbers that are tried.

    Args:
        evaluate: takes the arrays of all inputs and returns the function's value.
        inputs: the arrays.
        claimed: their gradients, which may have other shapes.
        call: the same function, which takes NumPy's arrays as they are.
    """
    if sum(x.values.size for x in inputs) > LARGEST:
        return []
    points = [x.values for x in inputs]
    exact = max(x.epsilon for x in inputs) < 1e-10
    close, step = (CLOSE, 1e-3) if exact else (3e-3, 3e-2)
    what_if = None
    # An error comes from the user's f, far from its inputs: the table of the check matters more.
    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        with contextlib.suppress(Exception):  # f may not take the arrays that follow it
            what_if = WhatIf(call, points)
        return _explained(
            [
                Claim(x, g, _gradient(evaluate, points, k, step), close)
                for k, (x, g) in enumerate(zip(inputs, claimed))
            ],
            what_if,
        )
    return []


def _explained(claims: Sequence[Claim], what_if: WhatIf | None) -> list[str]:
    wrong = [claim for claim in claims if not claim.holds()]
    batch = next(iter(what_if.batch_sizes()), 0) if what_if is not None else 0
    sentences = _one_factor(wrong, batch)
    if not sentences:
        sentences = [found for claim in wrong if (found := _seen_in_array(claim, batch))]
        if len(sentences) < len(wrong):
            shapes_fit = all(claim.claimed.shape == claim.right.shape for claim in claims)
            sentences = _what_if(what_if, claims) if what_if is not None and shapes_fit else []
    return sentences


def _gradient(evaluate: Callable[[list[Any]], float], points: Sequence[Any], k: int, step: float) -> Any:
    """The right gradient of one input, by differences."""

    def slope(index: tuple[int, ...]) -> float:
        def at(h: float) -> float:
            moved = [p.copy() for p in points]
            moved[k][index] += h
            return evaluate(moved)

        return slope_at_zero(at, step * max(1.0, abs(float(points[k][index]))))

    return np.array([slope(index) for index in np.ndindex(points[k].shape)]).reshape(points[k].shape)


# What is seen in the array itself


def _one_factor(wrong: Sequence[Claim], batch: int) -> list[str]:
    """One sentence for all inputs, if their gradients are wrong by one factor."""
    factors = [claim.factor() for claim in wrong]
    if not factors or not all(factors) or max(factors) - min(factors) > 1e-3 * abs(max(factors, key=abs)):
        return []
    names = ", ".join(claim.x.name for claim in wrong)
    subject = f"The gradient of {names} is" if len(wrong) == 1 else f"The gradients of {names} are"
    return [f"{subject} right times {_in_words(factors[0], batch)}."]


def _in_words(factor: float, batch: int) -> str:
    for n in range(2, 4097):
        if abs(factor - n) < 1e-3:
            return f"{n}{', the batch size: a mean is missing' if n == batch else ''}"
        if abs(factor * n - 1.0) < 1e-3:
            return f"1/{n}{', one over the batch size: a mean is taken twice' if n == batch else ''}"
    return "-1: a sign is wrong" if abs(factor + 1.0) < 1e-3 else f"{factor:.6g}"


def _seen_in_array(claim: Claim, batch: int) -> str:
    """The sentence on one gradient; empty if nothing is seen."""
    return next((text for a, b, text in _comparisons(claim, batch) if claim.same(a, b)), "")


def _comparisons(claim: Claim, batch: int) -> Iterator[tuple[Any, Any, str]]:
    """Pairs of arrays that are the same if one mistake was made, each with the sentence on it."""
    x, claimed, right = claim.x.values, claim.claimed, claim.right
    name, of = claim.x.name, f"the gradient of {claim.x.name}"
    for axis in range(claimed.ndim if claimed.ndim > right.ndim else 0):
        missing_sum = (
            f"The gradient of {name} has one part for each of {claimed.shape[axis]} examples: "
            f"a sum over the batch, .sum({axis}), is missing."
        )
        yield claimed.sum(axis).ravel(), right.ravel(), missing_sum
    if claimed.ndim == 2:
        yield claimed.T, right, f"The gradient of {name} is transposed."
    if claimed.size == right.size:
        column_order = f"The entries of {of} are in column order (order='F') and not in row order."
        yield claimed.ravel().reshape(right.shape, order="F"), right, column_order
        yield claimed.ravel(order="F").reshape(right.shape), right, column_order
    if claimed.shape != right.shape:
        return
    if factor := claim.factor():
        yield claimed, factor * right, f"The gradient of {name} is right times {_in_words(factor, batch)}."
    for axis, kind in enumerate(("rows", "columns")[: right.ndim] if right.ndim > 1 else ["entries"]):
        yield np.flip(claimed, axis), right, f"The {kind} of {of} are in reverse order."
        parts = np.moveaxis(right, axis, 0)
        order = [
            int(np.argmin([np.max(np.abs(part - other)) for other in parts]))
            for part in np.moveaxis(claimed, axis, 0)
        ]
        if sorted(order) == list(range(len(parts))):
            in_order = f"The {kind} of {of} are in the order {', '.join(map(str, order))}."
            yield claimed, np.take(right, order, axis), in_order
    missing = right - claimed
    for term, what in (
        (x, "{:.4g} times {} itself, the gradient of a penalty on its squares"),
        (np.sign(x), "{:.4g} times the sign of {}, the gradient of a penalty on its size"),
        (np.ones_like(x), "{:.4g} everywhere in {}"),
    ):
        if size := float((missing * term).sum() / max(float((term * term).sum()), 1e-300)):
            yield missing, size * term, f"In {of} a term is missing: {what.format(size, name)}."


# What a wrong step of the chain rule would give


def _what_if(what_if: WhatIf, claims: Sequence[Claim]) -> list[str]:
    """The first wrong step that gives the claimed gradient of every input, or else of every wrong one."""
    claimed, right = [claim.claimed for claim in claims], [claim.right for claim in claims]
    directions = _directions(what_if.points)
    if not _agrees(what_if, directions, right):
        return []  # f does something that is not followed
    in_wrong_ones = [d for claim, d in zip(claims, directions[1:]) if not claim.holds()]
    for chosen in (directions, in_wrong_ones):
        for sentence, step in islice(_steps(what_if), TRIALS):
            if _agrees(what_if, chosen, claimed, step):
                return [sentence]
    return []


def _directions(points: Sequence[Any]) -> list[list[Any]]:
    """A random direction in all inputs, one in each input, and another one in all of them."""
    generator = np.random.default_rng(1)
    d = [random_weights(generator, p.shape) for p in points]
    alone = [[d[k] if j == k else np.zeros_like(d[j]) for j in range(len(d))] for k in range(len(d))]
    return [d, *alone, [part[..., ::-1] if part.ndim else part for part in d]]


def _agrees(
    what_if: WhatIf, directions: Sequence[Sequence[Any]], gradient: Sequence[Any], step: Wrong = CORRECT
) -> bool:
    for direction in directions:
        terms = np.concatenate([(g * d).ravel() for g, d in zip(gradient, direction)])
        if not abs(what_if.slope(direction, step) - terms.sum()) <= CLOSE * np.abs(terms).sum():
            return False
    return True


def _steps(what_if: WhatIf) -> Iterator[tuple[str, Wrong]]:
    """All steps that can go wrong, each with its sentence."""
    names, values = what_if.first.names, what_if.first.values
    for position, numbers, user in what_if.used_again()[:POSITIONS]:
        sentence = (
            f"The result of {names[position]} is used more than once, and what its use by {names[user]} "
            "contributes is missing: a gradient was overwritten where it has to be added."
        )
        yield sentence, Wrong(position, frozen=numbers)
    for z, a in what_if.activations()[:POSITIONS]:
        for what, slope in _slopes(values[z], values[a]):
            sentence = f"The derivative of {_between(what_if, z, a)} is written as that of {what}."
            yield sentence, Wrong(a, _with_slope(values, z, a, slope))
    for position, value in enumerate(values[: 2 * POSITIONS]):
        if value.ndim > 1 and len(value) > 1:
            for row, which in ((0, "first"), (-1, "last")):
                sentence = f"Only the {which} example of the batch counts: a sum over the batch is missing."
                yield sentence, Wrong(position, _with_row(value, row))
    sizes = what_if.batch_sizes()
    factors = {-1.0, 2.0, 0.5, *map(float, sizes), *[1.0 / n for n in sizes]}
    for position, name in enumerate(names[: 2 * POSITIONS]):
        if values[position].dtype.kind != "f":
            continue
        for factor in sorted(factors):
            words = _in_words(factor, sizes[0] if sizes else 0)
            sentence = f"What the gradient passes through the result of {name} is right times {words}."
            yield sentence, Wrong(position, _with_slope(values, position, position, factor))


def _between(what_if: WhatIf, z: int, a: int) -> str:
    """The operations by which a is computed from z."""
    first = what_if.first
    names = [first.names[p] for p in range(z + 1, a + 1) if first.alone[p]]
    return ", ".join(names[-4:])


def _slopes(z: Any, a: Any) -> Iterator[tuple[str, Any]]:
    """Derivatives that are written for one another, at the input z and the output a of an activation."""
    with np.errstate(all="ignore"):
        sigmoid = 1.0 / (1.0 + np.exp(-z))
        yield "the identity: it is missing", np.ones_like(z)
        yield "tanh, 1 - a²", 1.0 - a * a
        yield "tanh with its input in the place of its output, 1 - z²", 1.0 - z * z
        yield "tanh", 1.0 - np.tanh(z) ** 2
        yield "sigmoid, a(1 - a)", a * (1.0 - a)
        yield "sigmoid with its input in the place of its output, z(1 - z)", z * (1.0 - z)
        yield "sigmoid", sigmoid * (1.0 - sigmoid)
        twice = 1.0 / (1.0 + np.exp(-sigmoid))
        yield "sigmoid of the sigmoid", twice * (1.0 - twice)
        yield "softplus, which is sigmoid", sigmoid
        yield "relu", (z > 0.0) * 1.0
        for leak in (0.01, 0.1, 0.2, 0.3):
            yield f"leaky relu with slope {leak}", np.where(z > 0.0, 1.0, leak)
        yield "elu", np.where(z > 0.0, 1.0, np.exp(z))
        yield "softsign", 1.0 / (1.0 + np.abs(z)) ** 2
        yield "exp", np.exp(z)
        yield "sin", np.cos(z)
        yield "cos", -np.sin(z)
        yield "the square", 2.0 * z
        yield "its own value, which is right for exp alone", a
        yield "tanh without its square, 1 - a", 1.0 - a


def _with_slope(values: Sequence[Any], z: int, a: int, slope: Any) -> Change:
    """The result at `a` follows what is at `z` with this slope."""
    return lambda now, result: values[a] + slope * ((result if z == a else now[z]) - values[z])


def _with_row(value: Any, row: int) -> Change:
    """Only one row of the result changes."""

    def change(now: Sequence[Any], result: Any) -> Any:
        changed = value.copy()
        changed[row] = result[row]
        return changed

    return change
