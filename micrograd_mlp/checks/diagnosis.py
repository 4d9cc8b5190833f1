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
from micrograd_mlp.checks.whatif import Frozen, Run, WhatIf

CLOSE = 1e-5  # two gradients are the same if their largest difference is this part of the largest entry
LARGEST = 1000  # entries of inputs: for more, the right gradient would take too long
NOTHING: Frozen = (-1, ())
TRIALS = 1500  # wrong steps that are tried
POSITIONS = 60  # of results that are followed


class Wrong(NamedTuple):
    """An input whose gradient is wrong: what is claimed, and the right one."""

    x: Input
    claimed: Any
    right: Any


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
    # An error comes from the user's f, far from its inputs: the table of the check matters more.
    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        right = [_gradient(evaluate, points, k, exact) for k in range(len(inputs))]
        return _explained(inputs, claimed, right, _followed(call, points), exact)
    return []


def _explained(
    inputs: Sequence[Input],
    claimed: Sequence[Any],
    right: Sequence[Any],
    what_if: WhatIf | None,
    exact: bool,
) -> list[str]:
    bad = [k for k, (g, r) in enumerate(zip(claimed, right)) if not _same(g, r, exact)]
    wrong = [Wrong(inputs[k], claimed[k], right[k]) for k in bad]
    batch = what_if.batch_sizes()[0] if what_if is not None and what_if.batch_sizes() else 0
    sentences = _one_factor(wrong, batch, exact)
    if not sentences:
        sentences = [found for w in wrong if (found := next(_sentences(w, batch, exact), ""))]
        if len(sentences) < len(wrong):
            shapes_fit = all(g.shape == r.shape for g, r in zip(claimed, right))
            sentences = _what_if(what_if, claimed, right, bad) if what_if is not None and shapes_fit else []
    return sentences


def _followed(call: Callable[..., Any], points: Sequence[Any]) -> WhatIf | None:
    with contextlib.suppress(Exception):  # f is the user's, and may not take the arrays that follow it
        return WhatIf(call, points)
    return None


def _gradient(evaluate: Callable[[list[Any]], float], points: Sequence[Any], k: int, exact: bool) -> Any:
    """The right gradient of one input, by differences over two steps."""
    gradient = np.zeros(points[k].shape)
    size = 1e-3 if exact else 3e-2
    for index in np.ndindex(points[k].shape):
        step = size * max(1.0, abs(float(points[k][index])))
        slopes = []
        for h in (step, step / 2.0):
            ends = []
            for side in (h, -h):
                moved = [p.copy() for p in points]
                moved[k][index] += side
                ends.append(evaluate(moved))
            slopes.append((ends[0] - ends[1]) / (2.0 * h))
        gradient[index] = slopes[1] + (slopes[1] - slopes[0]) / 3.0
    return gradient


def _same(a: Any, b: Any, exact: bool = True) -> bool:
    if np.shape(a) != np.shape(b):
        return False
    largest = max(float(np.max(np.abs(b), initial=0.0)), float(np.max(np.abs(a), initial=0.0)))
    return bool(np.max(np.abs(a - b), initial=0.0) <= (CLOSE if exact else 3e-3) * largest)


# What is seen in the array itself


def _one_factor(wrong: Sequence[Wrong], batch: int, exact: bool) -> list[str]:
    """One sentence for all inputs, if their gradients are wrong by one factor."""
    factors = [_factor(w, exact) for w in wrong]
    known = [factor for factor in factors if factor is not None]
    if not known or len(known) < len(wrong) or max(known) - min(known) > 1e-3 * abs(max(known, key=abs)):
        return []
    names = ", ".join(w.x.name for w in wrong)
    subject = f"The gradient of {names} is" if len(wrong) == 1 else f"The gradients of {names} are"
    return [f"{subject} right times {_in_words(known[0], batch)}."]


def _factor(w: Wrong, exact: bool) -> float | None:
    if w.claimed.shape != w.right.shape or not np.any(w.right):
        return None
    factor = float((w.claimed * w.right).sum() / (w.right * w.right).sum())
    return factor if factor and _same(w.claimed, factor * w.right, exact) else None


def _in_words(factor: float, batch: int) -> str:
    for n in range(2, 4097):
        if abs(factor - n) < 1e-3:
            return f"{n}{', the batch size: a mean is missing' if n == batch else ''}"
        if abs(factor * n - 1.0) < 1e-3:
            return f"1/{n}{', one over the batch size: a mean is taken twice' if n == batch else ''}"
    return "-1: a sign is wrong" if abs(factor + 1.0) < 1e-3 else f"{factor:.6g}"


def _sentences(w: Wrong, batch: int, exact: bool) -> Iterator[str]:
    name, claimed, right, x = w.x.name, w.claimed, w.right, w.x.values
    for axis in range(claimed.ndim):
        if claimed.ndim > right.ndim and _same(claimed.sum(axis).reshape(-1), right.reshape(-1), exact):
            yield (
                f"The gradient of {name} has one part for each of {claimed.shape[axis]} examples: "
                f"a sum over the batch, .sum({axis}), is missing."
            )
    if claimed.ndim == 2 and _same(claimed.T, right, exact):
        yield f"The gradient of {name} is transposed."
    if claimed.size != right.size:
        return
    if _same(np.ravel(claimed).reshape(right.shape, order="F"), right, exact) or _same(
        np.ravel(claimed, order="F").reshape(right.shape), right, exact
    ):
        yield f"The entries of the gradient of {name} are in column order (order='F') and not in row order."
    if claimed.shape != right.shape:
        return
    factor = _factor(w, exact)
    if factor is not None:
        yield f"The gradient of {name} is right times {_in_words(factor, batch)}."
    yield from _orders(w, exact)
    missing = right - claimed
    for term, what in ((x, "{:.4g} times {} itself, the gradient of a penalty on its squares"),
                       (np.sign(x), "{:.4g} times the sign of {}, the gradient of a penalty on its size"),
                       (np.ones_like(x), "{:.4g} everywhere in {}")):  # fmt: skip
        size = float((missing * term).sum() / max(float((term * term).sum()), 1e-300))
        if size and _same(missing, size * term, exact):
            yield f"In the gradient of {name} a term is missing: {what.format(size, name)}."


def _orders(w: Wrong, exact: bool) -> Iterator[str]:
    """Rows or columns that are in another order."""
    for axis, what in ((0, "rows"), (1, "columns")):
        if axis >= w.right.ndim or w.right.shape[axis] < 2:
            continue
        kind = what if w.right.ndim > 1 else "entries"
        if _same(np.flip(w.claimed, axis), w.right, exact):
            yield f"The {kind} of the gradient of {w.x.name} are in reverse order."
        order = _permutation(np.moveaxis(w.claimed, axis, 0), np.moveaxis(w.right, axis, 0), exact)
        if order is not None:
            yield f"The {kind} of the gradient of {w.x.name} are in the order {', '.join(map(str, order))}."


def _permutation(claimed: Any, right: Any, exact: bool) -> list[int] | None:
    """For each part of the claimed gradient the part of the right one that stands there."""
    if not np.any(claimed):
        return None
    order = [int(np.argmin([np.max(np.abs(part - r)) for r in right])) for part in claimed]
    distinct = sorted(order) == list(range(len(order)))
    return order if distinct and _same(claimed, right[order], exact) else None


# What a wrong step of the chain rule would give


def _what_if(what_if: WhatIf, claimed: Sequence[Any], right: Sequence[Any], bad: Sequence[int]) -> list[str]:
    """The first wrong step that gives the claimed gradient of every input, or else of every bad one."""
    directions = _directions(what_if.points)
    if not _agrees(what_if, directions, right):
        return []  # f does something that is not followed
    in_bad_ones = [directions[1 + k] for k in bad]
    for chosen in (directions, in_bad_ones):
        for sentence, frozen, change in islice(_steps(what_if), TRIALS):
            if _agrees(what_if, chosen, claimed, frozen, change):
                return [sentence]
    return []


def _directions(points: Sequence[Any]) -> list[list[Any]]:
    """A random direction in each input, and one in all of them."""
    generator = np.random.default_rng(1)
    d = [random_weights(generator, p.shape) for p in points]
    alone = [[d[k] if j == k else np.zeros_like(d[j]) for j in range(len(d))] for k in range(len(d))]
    return [d, *alone, [part[..., ::-1] if part.ndim else part for part in d]]


def _agrees(
    what_if: WhatIf, directions: Sequence[Sequence[Any]], gradient: Sequence[Any], *change: Any
) -> bool:
    for direction in directions:
        expected = sum(float((g * d).sum()) for g, d in zip(gradient, direction))
        terms = sum(float(np.abs(g * d).sum()) for g, d in zip(gradient, direction))
        if not abs(what_if.slope(direction, *change) - expected) <= CLOSE * terms:
            return False
    return True


def _steps(what_if: WhatIf) -> Iterator[tuple[str, Frozen, Any]]:
    """All steps that can go wrong, each with its sentence."""
    names = what_if.first.names
    for position, numbers, user in what_if.used_again()[:POSITIONS]:
        yield (
            f"The result of {names[position]} is used more than once, and what its use by {names[user]} "
            "contributes is missing: a gradient was overwritten where it has to be added.",
            (position, numbers),
            None,
        )
    for z, a in what_if.activations()[:POSITIONS]:
        values = what_if.first.values
        for what, slope in _slopes(values[z], values[a]):
            sentence = f"The derivative of {_between(what_if, z, a)} is written as that of {what}."
            yield sentence, NOTHING, _with_slope(z, a, slope)
    for position, value in enumerate(what_if.first.values[: 2 * POSITIONS]):
        if value.ndim > 1 and len(value) > 1:
            for row, which in ((0, "first"), (-1, "last")):
                sentence = f"Only the {which} example of the batch counts: a sum over the batch is missing."
                yield sentence, NOTHING, _with_row(position, row)
    sizes = what_if.batch_sizes()
    factors = {-1.0, 2.0, 0.5, *map(float, sizes), *[1.0 / n for n in sizes]}
    for position, name in enumerate(names[: 2 * POSITIONS]):
        if what_if.first.values[position].dtype.kind != "f":
            continue
        for factor in sorted(factors):
            words = _in_words(factor, sizes[0] if sizes else 0)
            sentence = f"What the gradient passes through the result of {name} is right times {words}."
            yield sentence, NOTHING, _with_slope(position, position, factor)


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


def _with_slope(z: int, a: int, slope: Any) -> Any:
    def change(run: Run, position: int, result: Any) -> Any:
        if position != a or run.first is None:
            return result
        moved = result if z == a else run.values[z]
        return run.first.values[a] + slope * (moved - run.first.values[z])

    return change


def _with_row(at: int, row: int) -> Any:
    def change(run: Run, position: int, result: Any) -> Any:
        if position != at or run.first is None:
            return result
        changed = run.first.values[at].copy()
        changed[row] = result[row]
        return changed

    return change
