"""`Program.train`: steps of an optimizer in machine code, a chunk at a time (§10).

Between two chunks Python looks after what machine code cannot: the callback, numbers that are no longer
finite, and Ctrl-C. Python notices Ctrl-C when a chunk ends. All its steps are finished then, and `Loop.go`
writes them back to the Values and the optimizer before the KeyboardInterrupt goes on to the user.
"""

from __future__ import annotations

import functools
import operator
import random
import time
from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from micrograd_mlp.compiled.code import Target
from micrograd_mlp.compiled.machine import Batches, Machine
from micrograd_mlp.compiled.native import Floats, Integers, MachineCode, compiled
from micrograd_mlp.compiled.steps import step_of, step_of_matrix
from micrograd_mlp.engine.translate import TranslationError

if TYPE_CHECKING:
    from micrograd_mlp.optim import Optimizer

CHUNK_SECONDS = 0.1  # about how long a chunk of steps takes: that is how long Ctrl-C waits
MAX_GROWTH = 8  # from one chunk to the next
SMALLER_STEPS = "Try a smaller learning rate; eager execution within detect_anomaly() names the operation"
SMALLER_GRADIENTS = {
    "float64": "The square of a gradient may be too large for float64: multiply the loss by a small number",
    "float32": "The square of a gradient may be too large for float32, from about 1e19 on: multiply the loss "
    'by a small number, or compile it with dtype="float64"',
}
NO_STATE = np.zeros(0)


class _Chunk(NamedTuple):
    """Some steps, and everything that is needed to take them again."""

    batches: Batches
    theta: Floats
    state: Floats
    t: int
    settings: array[float]


class _Shuffled:
    """The examples in a new random order in each epoch."""

    def __init__(self, n_examples: int, batch_size: int, steps_in_epoch: int, rng: random.Random) -> None:
        self.n, self.batch_size, self.steps_in_epoch, self.rng = n_examples, batch_size, steps_in_epoch, rng
        self._batch = 0  # of the next step, in the first epoch of `_epochs`
        self._epochs: list[Integers] = []

    def take(self, n: int) -> Batches:
        """The examples of n more steps."""
        epoch, batch = np.divmod(np.arange(self._batch, self._batch + n), self.steps_in_epoch)
        self._batch = int(batch[-1]) + 1
        start = batch * self.batch_size
        bounds = np.stack([start, np.minimum(start + self.batch_size, self.n)], axis=1)
        while len(self._epochs) <= epoch[-1]:
            shuffled = list(range(self.n))
            self.rng.shuffle(shuffled)
            self._epochs.append(np.array(shuffled))
        order = np.concatenate(self._epochs)
        del self._epochs[:-1]
        return Batches(order, bounds + self.n * epoch[:, None])


class _Report:
    """The mean losses that `Program.train` returns: of every step, or of every so many steps."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.losses: list[float] = []
        self._n, self._n_examples, self._sum = 0, 0, 0.0

    def add(self, losses: array[float], bounds: Integers) -> None:
        """Take in the losses of some steps, each of which is a mean over its batch."""
        if self.n_steps == 1:
            self.losses += losses
            return
        for loss, (first, last) in zip(losses, bounds.tolist()):
            self._n += 1
            self._n_examples += last - first
            self._sum += loss * (last - first)
            if self._n == self.n_steps:
                self.losses.append(self._sum / self._n_examples)
                self._n, self._n_examples, self._sum = 0, 0, 0.0


class _State:
    """An optimizer's state after a training, which becomes lists when somebody asks for it."""

    def __init__(self, numbers: Floats, index: Integers, names: Sequence[str]) -> None:
        self.numbers, self.index, self.names = numbers, index, names

    def __call__(self) -> dict[str, list[float]]:
        states = self.numbers.reshape(-1, len(self.index))
        return {name: state[self.index].tolist() for name, state in zip(self.names, states)}


class Loop:
    """One call of `Program.train`: a machine, an optimizer, the examples and their order.

    Attributes:
        batch_size, steps_in_epoch: how many examples a step takes, and how many steps go through all of them.
    """

    def __init__(
        self,
        machine: Machine,
        optimizer: Optimizer,
        x: Floats,
        y: Floats,
        batch_size: int,
        rng: random.Random | None,
    ) -> None:
        self.machine, self.optimizer, self.x, self.y = machine, optimizer, x, y
        self.batch_size = min(batch_size, len(x))
        self.index = _indices(optimizer, machine)  # of the optimizer's parameters in the machine's order
        try:
            self.rule = _rule(optimizer, machine.target)
        except TranslationError as error:
            raise TypeError(
                "the rule of this optimizer can't be compiled; write it with arithmetic and math's "
                f"functions, for one parameter: {error}"
            ) from error
        self.steps_in_epoch = -(-len(x) // self.batch_size)
        self._shuffled = _Shuffled(len(x), self.batch_size, self.steps_in_epoch, rng) if rng else None
        self._last: _Chunk | None = None
        # Copies of the parameters and of the state as the next chunk finds them, if there are.
        self._start: tuple[Floats, Floats] | None = None
        self._t_read: int | None = None  # t when they were read; None after they were written

    def go(
        self, n_wanted: int, n_reported: int, callback: Callable[[int, float], object] | None
    ) -> list[float]:
        """Take `n_wanted` steps; report the mean loss of each `n_reported` of them."""
        self.machine.prepare_training(n_wanted, self.batch_size)
        if not self.optimizer.state_names and self.machine.moves_at_once(n_wanted, self.batch_size):
            self.rule = _rule(self.optimizer, self.machine.target, of_matrices=True)
        report = _Report(n_reported)
        done, fitting = 0, self.machine.steps_in(CHUNK_SECONDS, self.batch_size)
        self._read()
        try:
            while done < n_wanted:
                n = min(fitting, n_wanted - done)
                if callback is not None:  # a chunk ends where a report is due
                    n = min(n, n_reported - done % n_reported)
                started = time.perf_counter()
                report.add(*self._take(n))
                fitting = _fitting_steps(n, time.perf_counter() - started)
                done += n
                if callback is not None and done % n_reported == 0:
                    self._write()
                    if callback(len(report.losses), report.losses[-1]) is True:
                        break
                    self._read()  # the callback may have changed numbers
        finally:
            self._write()
        return report.losses

    def _take(self, n: int) -> tuple[array[float], Integers]:
        """Take n steps; returns their losses, and where their batches begin and end."""
        machine = self.machine
        batches = self._shuffled.take(n) if self._shuffled else machine.all_examples(len(self.x), n)
        settings = array("d", self.optimizer.hyperparameters())
        theta, state = self._start or (machine.theta.copy(), self.state.copy())
        self._start = None
        chunk = _Chunk(batches, theta, state, self.optimizer.t, settings)
        losses = self._execute(chunk)
        finished = int(machine.finished[0])
        if finished < n or not machine.is_finite:
            self._roll_back(chunk, losses, finished)
        self.optimizer.t = chunk.t + n
        machine.finished[0] = 0
        self._last = chunk
        return losses, batches.bounds

    def _execute(self, chunk: _Chunk) -> array[float]:
        return self.machine.take_steps(
            self.x, self.y, chunk.batches, self.batch_size, self.rule, chunk.t, self.state, chunk.settings
        )

    def _roll_back(self, chunk: _Chunk, losses: array[float], finished: int) -> None:
        """Return to the parameters with the last finite loss, by taking the steps up to there again.

        Raises:
            FloatingPointError: always, with what became inf or nan.
        """
        step, what, advice = chunk.t + finished, "a parameter became inf or nan", SMALLER_STEPS
        overflowed = self._overflowed_moments()
        if np.isfinite(self.machine.theta).all() and not overflowed:
            step, what = step + 1, f"the loss became {losses[finished]}"
        elif np.isfinite(self.machine.theta).all():
            what = f"{overflowed[0]}, which the optimizer keeps for a parameter, became inf or nan"
            advice = SMALLER_GRADIENTS[self.machine.dtype]
        if finished == 0 and self._last is not None:
            chunk, finished = self._last, len(self._last.batches.bounds)
        self.machine.theta[:], self.state[:] = chunk.theta, chunk.state
        n_good = max(finished - 1, 0)
        self._execute(chunk._replace(batches=chunk.batches.first(n_good)))
        self.optimizer.t = chunk.t + n_good
        self.machine.finished[0] = 0
        raise FloatingPointError(
            f"{what} in step {step}, with learning rate {self.optimizer.lr!r}. The parameters are those "
            f"after {self.optimizer.t} steps again, the last with a finite loss. {advice}"
        )

    def _overflowed_moments(self) -> list[str]:
        """The names of the optimizer's state in which some number is inf or nan."""
        n = len(self.index)
        names = self.optimizer.state_names
        return [
            name for k, name in enumerate(names) if not np.isfinite(self.state[k * n : (k + 1) * n]).all()
        ]

    def _read(self) -> None:
        """Take over the numbers of the parameters and of the optimizer."""
        machine, optimizer = self.machine, self.optimizer
        machine.read()
        self._t_read = optimizer.t
        machine.finished[0] = 0
        state = optimizer._state
        if isinstance(state, _State) and state.index is self.index and state.numbers.dtype == machine.dtype:
            numbers = state.numbers
        elif not optimizer.state_names:
            numbers = NO_STATE
        else:
            states = np.zeros((len(optimizer.state_names), len(self.index)), dtype=machine.dtype)
            for k, name in enumerate(optimizer.state_names):
                states[k, self.index] = optimizer.state[name]
            numbers = states.ravel()
        self.state = numbers.copy()
        self._start = machine.synced, numbers  # nothing changes these

    def _write(self) -> None:
        """Give the Values and the optimizer their numbers after the last finished step, if there was one."""
        self.optimizer.t += int(self.machine.finished[0])  # of a chunk that Ctrl-C has ended
        self.machine.finished[0] = 0
        # float32 would round numbers that nothing has changed; and those of a callback, which may assign
        # some before it ends the training, are not overwritten.
        if self._t_read in (None, self.optimizer.t):
            return
        self._t_read = None
        self.machine.write()
        if self.optimizer.state_names:
            self.optimizer.state = _State(self.state, self.index, self.optimizer.state_names)


def _rule(optimizer: Optimizer, target: Target, of_matrices: bool = False) -> MachineCode:
    """An optimizer's rule in machine code: `steps.step_of`, and `steps.step_of_matrix` if it is wanted."""
    rule = type(optimizer).rule
    # The rule of a user may read globals, which may have changed since the last training.
    write = _rule_of_ours if rule.__module__ == "micrograd_mlp.optim" else _written_rule
    return write(rule, len(optimizer.state_names), len(optimizer.hyperparameter_names), target, of_matrices)


def _written_rule(
    rule: Callable[..., object], n_states: int, n_settings: int, target: Target, of_matrices: bool
) -> MachineCode:
    of_matrix = [step_of_matrix(rule, n_settings, target)] if of_matrices else []
    return compiled(step_of(rule, n_states, n_settings, target), *of_matrix)


_rule_of_ours = functools.cache(_written_rule)


def _fitting_steps(n: int, seconds: float) -> int:
    """How many steps the next chunk has, after one of n steps that took so long."""
    return max(min(int(n * CHUNK_SECONDS / seconds), MAX_GROWTH * n), 1)


def _indices(optimizer: Optimizer, machine: Machine) -> Integers:
    """For each parameter of the optimizer its index in `machine.theta`.

    Raises:
        TypeError: it is no optimizer.
        ValueError: it has other parameters than the machine.
    """
    if not hasattr(optimizer, "rule") or not hasattr(optimizer, "params"):
        raise TypeError(f"expected an optimizer, such as SGD(parameters, lr=0.1), got {optimizer!r:.60}")
    params, parameters = optimizer.params, machine.parameters
    known, index = machine.adjusted
    if params is known:
        return index
    index = machine.order
    if len(params) != len(parameters) or not all(map(operator.is_, params, parameters)):
        of_parameter = {id(p): k for p, k in zip(parameters, machine.order.tolist())}
        if len(params) != len(parameters) or any(id(p) not in of_parameter for p in params):
            raise ValueError(
                f"the optimizer adjusts {len(params)} parameters, which are not the {len(parameters)} that "
                "the program was compiled for: give both the same list"
            )
        index = np.array([of_parameter[id(p)] for p in params], dtype=np.int64)
    if isinstance(params, tuple):  # nobody can change it
        machine.adjusted = params, index
    return index
