"""Compare a recorded graph with the function that it was recorded from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from micrograd_mlp.compiled.machine import Machine
from micrograd_mlp.compiled.native import Floats
from micrograd_mlp.compiled.trace import call, placeholders
from micrograd_mlp.engine.modes import no_grad

CHECKED_OPERATIONS = 20_000  # how many eager operations the first call may spend on the comparison


def check(
    machine: Machine, f: Callable[..., Any], x: Floats, y: Floats, example: Callable[[int], Sequence[Any]]
) -> None:
    """Compare some examples, none of them the recorded one, with eager execution.

    A branch on `.data`, or a number taken out of a Value, is not in the graph: then the graph is
    right for the example that it was recorded from, and wrong for others.

    `example` gives the arguments of f, as numbers, for an index.

    Raises:
        RuntimeError: they differ.
    """
    n = max(2, CHECKED_OPERATIONS // max(machine.n_recorded, 1))
    chosen = _telling_examples(x, y, n)
    if not chosen:
        return
    machine.read()
    for row, ours in zip(chosen, machine.predict(x[chosen], y[chosen]).tolist()):
        with no_grad():
            result = call(f, [placeholders(numbers, label) for numbers, label in zip(example(row), "xy")])
        eager = [v.data for v in result] if isinstance(result, list) else [result.data]
        if not np.allclose(ours, eager, rtol=1e-6, atol=1e-9, equal_nan=True):
            raise RuntimeError(
                f"f gives {_shown(eager)} for row {row}, its recorded graph {_shown(ours)}: the result "
                "depends on something that the graph does not hold, such as a branch on `.data`, a "
                "number taken out of a Value, or a random choice. Use maximum, minimum, relu, abs or "
                "equal, which are part of the graph"
            )


def _telling_examples(x: Floats, y: Floats, n: int) -> list[int]:
    """Up to n examples besides the first: those with extreme numbers, and some in between."""
    if len(x) < 2:
        return []
    columns = np.concatenate([y, x], axis=1)
    extreme = np.stack([columns[1:].argmin(axis=0), columns[1:].argmax(axis=0)], axis=1).ravel() + 1
    spaced = np.linspace(len(x) - 1, 1, min(n, len(x) - 1)).round().astype(np.int64)
    mixed = [*extreme[: max(n // 2, 2)].tolist(), *spaced.tolist()]
    return list(dict.fromkeys(mixed))[:n]


def _shown(numbers: list[float]) -> str:
    return repr(numbers[0]) if len(numbers) == 1 else f"{numbers!r:.60}"
