"""What would the gradient be, if one step of the chain rule were done wrongly?

A function of NumPy's arrays is run with arrays that note every operation. Then it is run again near the
point, with one change: an array keeps its old numbers where it is used a second time, as if the gradient of
that use had been overwritten; or an activation follows the slope of another one. The differences of the
changed function are the gradient that such a mistake gives.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from micrograd_mlp.checks.structure import leaves_of, with_leaves

Change = Callable[[Sequence[Any], Any], Any]  # the values so far, the present result -> another result


class Wrong(NamedTuple):
    """One wrong step: what becomes of the result at a position, or of some uses of it."""

    position: int = -1
    change: Change | None = None
    frozen: Sequence[int] = ()  # the numbers of the uses that see the old values


CORRECT = Wrong()


class Run:
    """One run of the function. Results and views have positions in the order in which they appear."""

    def __init__(self, first: Run | None = None, wrong: Wrong = CORRECT) -> None:
        self.first, self.wrong = first, wrong
        self.values: list[Any] = []
        self.operands: list[list[int]] = []  # the positions from which each was computed; none for an input
        self.names: list[str] = []  # of the operations
        self.alone: list[bool] = []  # is it computed entry by entry from its operands and constants?
        self.uses: Counter[int] = Counter()

    def noted(self, value: Any, name: str, operands: Sequence[int], alone: bool = False) -> Any:
        """The result as an array that notes what becomes of it."""
        position, array = len(self.values), np.array(value)
        if self.wrong.change is not None and position == self.wrong.position:
            array = np.asarray(self.wrong.change(self.values, array))
        self.values.append(array)
        self.operands.append(list(operands))
        self.names.append(name)
        self.alone.append(alone)
        noting = array.view(Noting)
        noting.run, noting.position = self, position
        return noting

    def used(self, position: int, view: int | None = None) -> Any:
        """The plain array at a position, or at that of a view of it, for one use of it."""
        self.uses[position] += 1
        frozen = position == self.wrong.position and self.uses[position] in self.wrong.frozen
        run = self.first if self.first is not None and frozen else self
        return run.values[position if view is None else view]


class Noting(np.ndarray):
    """An array that notes every operation in which it takes part."""

    run: Run | None = None
    position = -1

    def __array_finalize__(self, parent: Any) -> None:
        self.run = None  # a view that no operation made, such as x.T, is noted when it is used
        self.parent = parent if isinstance(parent, Noting) else None

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        options.pop("out", None)  # x += y keeps the result, which is a new array here
        options.pop("subok", None)
        run, operands, plain = _plain(inputs)
        alone = method == "__call__" and ufunc.signature is None
        result = getattr(ufunc, method)(*plain, **options)
        if isinstance(result, tuple):
            return tuple([run.noted(part, ufunc.__name__, operands) for part in result])
        return run.noted(result, ufunc.__name__, operands, alone)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        run, operands, (arguments, options) = _plain((arguments, options))
        result = function(*arguments, **options)
        is_array = isinstance(result, (np.ndarray, np.generic))
        return run.noted(result, function.__name__, operands) if is_array else result


def _plain(things: Any) -> tuple[Run, list[int], Any]:
    """The run, the positions of all noting arrays in there, and the same things with plain arrays."""
    leaves = [leaf for _, leaf in leaves_of(things)]
    runs = [_noted(leaf).run for leaf in leaves if isinstance(leaf, Noting)]
    run = next(run for run in runs if run is not None)
    positions = []
    for k, leaf in enumerate(leaves):
        if isinstance(leaf, Noting):
            origin, position = _noted(leaf).position, leaf.position
            if leaf.run is None:  # a view: its numbers are the parent's, so that it counts as a use of it
                position = run.noted(np.asarray(leaf), "view", [origin]).position
            positions.append(position)
            leaves[k] = run.used(origin, position)
    return run, positions, with_leaves(things, iter(leaves))


def _noted(array: Noting) -> Noting:
    """The array itself, or the one that a view is a view of."""
    while array.run is None and array.parent is not None:
        array = array.parent
    return array


def slope_at_zero(at: Callable[[float], float], step: float) -> float:
    """The slope of a function of one number, by differences over two steps."""
    long, short = [(at(h) - at(-h)) / (2.0 * h) for h in (step, step / 2.0)]
    return short + (short - long) / 3.0


class WhatIf:
    """A function of arrays at a point, and runs of it with one wrong step.

    Args:
        call: takes the arrays of all inputs and returns the weighed sum of f's outputs.
        points: the arrays at which f is checked.
    """

    def __init__(self, call: Callable[[list[Any]], Any], points: Sequence[Any]) -> None:
        self.call, self.points, self.first = call, points, Run()
        self._run(self.first, points)

    def _run(self, run: Run, arrays: Sequence[Any]) -> float:
        return float(self.call([run.noted(array, f"input {k}", []) for k, array in enumerate(arrays)]))

    def slope(self, direction: Sequence[Any], wrong: Wrong = CORRECT) -> float:
        """The changed function's slope along a direction."""

        def at(h: float) -> float:
            return self._run(Run(self.first, wrong), [x + h * d for x, d in zip(self.points, direction)])

        return slope_at_zero(at, 2e-3)

    def used_again(self) -> list[tuple[int, list[int], int]]:
        """For every position that several operations use: itself, its uses by one of them, and that one."""
        uses: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        count: Counter[int] = Counter()
        for user, operands in enumerate(self.first.operands):
            for position in operands:
                count[position] += 1
                uses[position][user].append(count[position])
        several = [(position, users) for position, users in sorted(uses.items()) if len(users) > 1]
        return [(position, numbers, user) for position, users in several for user, numbers in users.items()]

    def batch_sizes(self) -> list[int]:
        """The lengths of the first axis of all results, longest first."""
        sizes = {len(value) for value in self.first.values if value.ndim and len(value) > 1}
        return sorted(sizes, reverse=True)

    def activations(self) -> list[tuple[int, int]]:
        """Pairs z, a of positions where a is computed from z alone, entry by entry, and is used elsewhere."""
        first, pairs = self.first, []
        for z, value in enumerate(first.values):
            if value.dtype.kind != "f" or value.ndim == 0:
                continue
            family = {z}
            for a in range(z + 1, len(first.values)):
                same = first.values[a].shape == value.shape and first.values[a].dtype.kind == "f"
                if first.alone[a] and same and first.operands[a] and family.issuperset(first.operands[a]):
                    family.add(a)
                    pairs.append((z, a))
        return pairs
