"""`Program.train`: steps of an optimizer in machine code, some at a time (§10).

Between two chunks of steps Python looks after what machine code cannot: Ctrl-C, the callback, and numbers
that are no longer finite.
"""

from __future__ import annotations

import operator
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from micrograd_mlp.compiled.machine import Machine
from micrograd_mlp.compiled.rules import compiled_rule
from micrograd_mlp.engine.value import Value

if TYPE_CHECKING:
    from micrograd_mlp.optim import Optimizer

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CHUNK_SECONDS = 0.1  # about how long Ctrl-C waits


class _Chunk(NamedTuple):
    """Some steps, and everything that is needed to take them again."""

    order: Integers
    bounds: Integers
    theta: Floats
    state: Floats
    t: int
    settings: Floats


class Loop:
    """One training: a machine, an optimizer, the rows and their order."""

    def __init__(
        self,
        machine: Machine,
        optimizer: Optimizer,
        parameters: Sequence[Value],
        x: Floats,
        y: Floats,
        batch_size: int,
        rng: random.Random | None,
    ) -> None:
        if not hasattr(optimizer, "rule") or not hasattr(optimizer, "params"):
            raise TypeError(f"expected an optimizer, such as SGD(parameters, lr=0.1), got {optimizer!r:.60}")
        place: Integers | None = machine.order
        if not (
            len(optimizer.params) == len(parameters) and all(map(operator.is_, optimizer.params, parameters))
        ):
            place = _in_another_order(optimizer.params, parameters, machine.order)
        if place is None:
            raise ValueError(
                f"the optimizer adjusts {len(optimizer.params)} parameters, which are not the "
                f"{len(parameters)} that the program was compiled for: give both the same list"
            )
        self.machine, self.optimizer, self.x, self.y = machine, optimizer, x, y
        self.place = place  # of the optimizer's k-th parameter in the machine's order
        self.rule = compiled_rule(
            type(optimizer).rule, len(optimizer.state_names), len(optimizer.hyperparameter_names)
        )
        self.batch_size, self.rng = batch_size, rng
        self.steps_in_epoch = -(-len(x) // batch_size)
        self.orders = [] if rng else [np.arange(len(x))]  # of the epoch in which the next step is
        self.batch = 0  # in that epoch
        self.last: _Chunk | None = None

    def go(self, wanted: int, in_report: int, callback: Callable[[int, float], object] | None) -> list[float]:
        """Take `wanted` steps; report the mean loss of each `in_report` of them."""
        reports: list[float] = []
        rows = losses_of_rows = 0.0
        done, at_once = 0, self.machine.steps_in(CHUNK_SECONDS, self.batch_size)
        self._read()
        try:
            while done < wanted:
                until_report = in_report - done % in_report
                n = min(at_once, wanted - done, wanted if callback is None else until_report)
                started = time.perf_counter()
                losses, bounds = self._take(n)
                fitting = int(n * CHUNK_SECONDS / (time.perf_counter() - started))
                at_once = max(min(fitting, 8 * n), 1)
                if in_report == 1:
                    done += n
                    reports += losses.tolist()
                else:
                    for loss, (first, last) in zip(losses.tolist(), bounds.tolist()):
                        done += 1
                        rows += last - first
                        losses_of_rows += loss * (last - first)
                        if done % in_report == 0:
                            reports.append(losses_of_rows / rows)
                            rows = losses_of_rows = 0.0
                if callback is not None and done % in_report == 0:
                    self._write()
                    if callback(len(reports), reports[-1]) is True:
                        break
                    self._read()  # it may have changed numbers
        finally:
            self._write()
        return reports

    def _take(self, n: int) -> tuple[Floats, Integers]:
        """n steps, and their losses."""
        machine = self.machine
        order, bounds = self._rows(n)
        settings = np.array(self.optimizer.hyperparameters())
        now = _Chunk(
            order, bounds,
            machine.theta.copy(), self.state.copy(), self.optimizer.t, settings,
        )  # fmt: skip
        losses = self._run(now, n)
        finished = int(machine.finished[0])
        if finished < n or not np.isfinite(machine.theta).all():
            self._go_back(now, losses, finished)
        self.optimizer.t = now.t + n
        machine.finished[0] = 0
        self.last = now
        return losses, bounds

    def _rows(self, n: int) -> tuple[Integers, Integers]:
        """The order of the rows for n more steps, and where in it each of them begins and ends."""
        epoch, batch = np.divmod(np.arange(self.batch, self.batch + n), self.steps_in_epoch)
        self.batch = int(batch[-1]) + 1
        start = batch * self.batch_size
        bounds = np.stack([start, np.minimum(start + self.batch_size, len(self.x))], axis=1)
        if self.rng is None:
            return self.orders[0], bounds
        while len(self.orders) <= epoch[-1]:
            shuffled = list(range(len(self.x)))
            self.rng.shuffle(shuffled)
            self.orders.append(np.array(shuffled))
        order = np.concatenate(self.orders)
        del self.orders[:-1]
        return order, bounds + len(self.x) * epoch[:, None]

    def _run(self, chunk: _Chunk, n: int) -> Floats:
        return self.machine.train(
            self.x, self.y, chunk.order, chunk.bounds[:n], self.rule, chunk.t, self.state, chunk.settings
        )

    def _go_back(self, chunk: _Chunk, losses: Floats, finished: int) -> None:
        """To the parameters with the last finite loss, by taking the steps up to there again."""
        step = chunk.t + finished + 1
        what = (
            f"the loss became {losses[finished]!r}"
            if finished < len(losses)
            else "a parameter became inf or nan"
        )
        if finished == 0 and self.last is not None:
            chunk, finished = self.last, len(self.last.bounds)
        self.machine.theta[:], self.state[:] = chunk.theta, chunk.state
        good = max(finished - 1, 0)
        self._run(chunk, good)
        self.optimizer.t = chunk.t + good
        self.machine.finished[0] = 0
        raise FloatingPointError(
            f"{what} in step {step}, with learning rate {self.optimizer.lr!r}. The parameters are those "
            f"after {self.optimizer.t} steps again, the last with a finite loss. Try a smaller learning "
            "rate; eager execution within detect_anomaly() names the operation"
        )

    def _read(self) -> None:
        """Take over the numbers of the parameters and of the optimizer."""
        self.machine.read()
        self.machine.finished[0] = 0
        rows = np.zeros((len(self.optimizer.state_names), len(self.place)))
        for row, name in zip(rows, self.optimizer.state_names):
            row[self.place] = self.optimizer.state[name]
        self.state = rows.ravel()

    def _write(self) -> None:
        """Hand them back, as they are after the last finished step."""
        self.machine.write()
        rows = self.state.reshape(-1, len(self.place))
        names = self.optimizer.state_names
        self.optimizer.state = {name: row[self.place].tolist() for name, row in zip(names, rows)}
        self.optimizer.t += int(self.machine.finished[0])  # of a chunk that Ctrl-C has ended
        self.machine.finished[0] = 0


def _in_another_order(
    params: Sequence[Value], parameters: Sequence[Value], place: Integers
) -> Integers | None:
    """The places of `params`, if they are the same Values as `parameters`."""
    places = {id(p): k for p, k in zip(parameters, place.tolist())}
    if len(params) != len(places) or any(id(p) not in places for p in params):
        return None
    return np.array([places[id(p)] for p in params])
