"""What would the gradient be, if one step of the chain rule were done wrongly?

A function of NumPy's arrays is run with arrays that note every operation. Then it is run again near the
point, with one change: an array keeps its old numbers where it is used a second time, as if the gradient of
that use had been overwritten; or an activation follows the slope of another one. The differences of the
changed function are the gradient that such a mistake gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Frozen = tuple[int, Sequence[int]]  # a position, and the numbers of the uses in which it keeps its old value
Change = Callable[["Run", int, Any], Any]  # (the run, the position of a result, the result) -> another result


class Run:
    """One run of the function. Results and views have positions in the order in which they appear.

    Attributes:
        values: what each position held.
        operands: for each position the positions from which it was computed; none for an input.
        names: for each position the name of the operation.
        alone: for each position, is it computed entry by entry from its operands and constants?
    """

    def __init__(
        self, first: Run | None = None, frozen: Frozen = (-1, ()), change: Change | None = None
    ) -> None:
        self.first, self.frozen, self.change = first, frozen, change
        self.values: list[Any] = []
        self.operands: list[list[int]] = []
        self.names: list[str] = []
        self.alone: list[bool] = []
        self.uses: Counter[int] = Counter()

    def noted(self, value: Any, name: str, operands: Sequence[int], alone: bool = False) -> Any:
        """The result as an array that notes what becomes of it."""
        position = len(self.values)
        array = np.array(value)
        if self.change is not None and self.first is not None:
            array = np.asarray(self.change(self, position, array))
        self.values.append(array)
        self.operands.append(list(operands))
        self.names.append(name)
        self.alone.append(alone)
        noting = array.view(Noting)
        noting.run, noting.position = self, position
        return noting

    def used(self, position: int) -> Any:
        """The plain array at a position, for one use of it."""
        self.uses[position] += 1
        if self.first is not None and self.is_frozen(position):
            return self.first.values[position]
        return self.values[position]

    def is_frozen(self, position: int) -> bool:
        """Does the present use of a position see the old value?"""
        return self.frozen[0] == position and self.uses[position] in self.frozen[1]


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
        run = _run_of(inputs)
        operands, plain = _plain(inputs, run)
        alone = method == "__call__" and ufunc.signature is None
        result = getattr(ufunc, method)(*plain, **options)
        if isinstance(result, tuple):
            return tuple([run.noted(part, ufunc.__name__, operands) for part in result])
        return run.noted(result, ufunc.__name__, operands, alone)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        run = _run_of([arguments, list(options.values())])
        operands, (arguments, options) = _plain((arguments, options), run)
        result = function(*arguments, **options)
        is_array = isinstance(result, (np.ndarray, np.generic))
        return run.noted(result, function.__name__, operands) if is_array else result


def _run_of(things: Any) -> Run:
    for thing in things:
        if isinstance(thing, Noting):
            return thing.run or _run_of([thing.parent])
        if isinstance(thing, (list, tuple)):
            try:
                return _run_of(thing)
            except LookupError:
                continue
    raise LookupError


def _plain(thing: Any, run: Run) -> tuple[list[int], Any]:
    """The positions of all noting arrays in there, and the same thing with plain arrays in their place."""
    if isinstance(thing, Noting):
        if thing.run is None:  # a view: its numbers are the parent's, so that it counts as a use of it
            parent = _noted_parent(thing).position
            view = run.noted(np.asarray(thing), "view", [parent])
            run.uses[parent] += 1
            if run.first is not None and run.is_frozen(parent):
                return [view.position], run.first.values[view.position]
            return [view.position], run.used(view.position)
        return [thing.position], run.used(thing.position)
    if isinstance(thing, (list, tuple)):
        parts = [_plain(part, run) for part in thing]
        return [p for positions, _ in parts for p in positions], type(thing)([part for _, part in parts])
    if isinstance(thing, dict):
        parts = [_plain(part, run) for part in thing.values()]
        return [p for positions, _ in parts for p in positions], dict(zip(thing, [part for _, part in parts]))
    return [], thing


def _noted_parent(view: Noting) -> Noting:
    while view.run is None and view.parent is not None:
        view = view.parent
    return view


class WhatIf:
    """A function of arrays at a point, and runs of it with one change.

    Args:
        call: takes the arrays of all inputs and returns the weighed sum of f's outputs.
        points: the arrays at which f is checked.
    """

    def __init__(self, call: Callable[[list[Any]], Any], points: Sequence[Any]) -> None:
        self.call, self.points = call, points
        self.first = Run()
        self.value = self._run(self.first, points)

    def _run(self, run: Run, arrays: Sequence[Any]) -> float:
        return float(self.call([run.noted(array, f"input {k}", []) for k, array in enumerate(arrays)]))

    def slope(
        self, direction: Sequence[Any], frozen: Frozen = (-1, ()), change: Change | None = None
    ) -> float:
        """The changed function's slope along a direction, by differences over two steps."""

        def at(h: float) -> float:
            run = Run(self.first, frozen, change)
            return self._run(run, [x + h * d for x, d in zip(self.points, direction)])

        long, short = [(at(h) - at(-h)) / (2.0 * h) for h in (2e-3, 1e-3)]
        return short + (short - long) / 3.0

    def used_again(self) -> list[tuple[int, list[int], int]]:
        """For every position that several operations use: itself, its uses by one of them, and that one."""
        uses: dict[int, dict[int, list[int]]] = {}
        count: Counter[int] = Counter()
        for user, operands in enumerate(self.first.operands):
            for position in operands:
                count[position] += 1
                uses.setdefault(position, {}).setdefault(user, []).append(count[position])
        return [
            (position, numbers, user)
            for position, users in sorted(uses.items())
            if len(users) > 1
            for user, numbers in users.items()
        ]

    def batch_sizes(self) -> list[int]:
        """The lengths of the first axis of all results, longest first."""
        return sorted(
            {len(value) for value in self.first.values if value.ndim and len(value) > 1}, reverse=True
        )

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
