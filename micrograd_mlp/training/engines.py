"""The two ways in which `fit` takes its steps (§10.1): by recording graphs of Values, and as machine code.

Both take the same steps on the same batches. Whatever stops them, they leave the model and the optimizer
as they were after some finished step, with finite weights.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.table import total
from micrograd_mlp.engine.value import number_of
from micrograd_mlp.optim import Optimizer
from micrograd_mlp.training.progress import progress_bar
from micrograd_mlp.training.run import Features, NonFiniteLossError, Run

SMALLER_STEPS = "Try a smaller learning rate; `with detect_anomaly():` around fit names the operation"
SMALLER_LOSS = "The square of a gradient may be too large for a float: multiply the loss by a small number"

EndOfEpoch = Callable[[float], bool]
"""Is told the loss of an epoch that has ended; returning True ends the run."""


def run_epochs(
    engine: EagerEngine | CompiledEngine,
    epochs: int,
    progress: bool,
    after_epoch: Callable[[int, float], bool],
) -> None:
    """Take the steps of so many more epochs, and note their losses in the run's history.

    Ctrl-C ends the run early. So does `after_epoch`, which is told the number of an epoch and its loss, by
    returning True.
    """
    run, history = engine.run, engine.run.history
    history.interrupted = False
    n_before = len(history.losses)
    with progress_bar(progress, n_before, n_before + epochs) as show:

        def end_of_epoch(loss: float) -> bool:
            if run.validation is not None:
                history.validation_losses.append(engine.mean_loss(*run.validation))
            history.losses.append(loss)
            show(len(history.losses), loss)
            return after_epoch(len(history.losses), loss)

        try:
            engine.train(epochs, end_of_epoch)
        except KeyboardInterrupt:
            history.interrupted = True


class EagerEngine:
    """Steps by recording graphs of Values, a few examples at a time.

    The mean (1/n) Σ ℓᵢ has the gradient Σ (1/n) ∇ℓᵢ, so that a batch of any size needs little memory.
    Measured on the moons network, blocks of 8 take as long as one graph of all examples without the
    garbage collector, and two thirds of the time of one with it.
    """

    block = 8

    def __init__(self, run: Run) -> None:
        self.run = run

    def train(self, epochs: int, end_of_epoch: EndOfEpoch) -> None:
        """Take all steps of so many epochs."""
        run, X, Y = self.run, self.run.X, self.run.Y
        last_finite = _state(run.optimizer)
        for _ in range(epochs):
            summed = 0.0
            for batch in _batches(len(X), run.batch_size, run.rng):
                before = _state(run.optimizer)
                loss = self._step([X[i] for i in batch], [Y[i] for i in batch], before, last_finite)
                summed += len(batch) * loss
                last_finite = before
            if end_of_epoch(summed / len(X)):
                break

    def _step(self, X: Features, Y: list[Any], before: _State, last_finite: _State) -> float:
        """Take a step whole or not at all, and leave no weight that is inf or nan."""
        optimizer = self.run.optimizer
        try:
            loss, step = self.gradient(X, Y), optimizer.t + 1
            if not math.isfinite(loss):
                self._give_up(f"the loss became {loss!r} in step {step}", last_finite)
            optimizer.step()
            for p in optimizer.params:
                if not math.isfinite(p.data):
                    self._give_up(f"{p.label or 'a parameter'} became {p.data!r} in step {step}", before)
            for name, numbers in optimizer.state.items():
                if not all(map(math.isfinite, numbers)):
                    what = f"{name}, which the optimizer keeps for a parameter, became inf or nan"
                    self._give_up(f"{what} in step {step}", before, SMALLER_LOSS)
        except NonFiniteLossError:
            raise
        except BaseException:  # Ctrl-C too, which can come between two parameters
            _restore(optimizer, before)
            raise
        return loss

    def _give_up(self, what: str, state: _State, advice: str = SMALLER_STEPS) -> None:
        optimizer, history = self.run.optimizer, self.run.history
        _restore(optimizer, state)
        raise NonFiniteLossError(
            f"{what}, epoch {len(history.losses) + 1}, learning rate {optimizer.lr!r}. The model has been "
            f"rolled back to its weights after {optimizer.t} steps, the last with a finite loss. {advice}",
            history,
        )

    def gradient(self, X: Features, Y: list[Any]) -> float:
        """The mean loss of a batch, with the penalty; its gradient is in `.grad` afterwards."""
        run = self.run
        run.optimizer.zero_grad()
        n, summed = len(X), 0.0
        for start in range(0, n, self.block):
            examples = zip(X[start : start + self.block], Y[start : start + self.block])
            block_loss = total([run.loss(run.model(x), y) for x, y in examples])
            block_loss.backward(1.0 / n)
            summed += block_loss.data
        if run.penalty is None:
            return summed / n
        penalty = run.penalty()
        penalty.backward()
        return summed / n + number_of(penalty)

    def mean_loss(self, X: Features, Y: list[Any]) -> float:
        """The mean loss of examples, without the penalty and without a step."""
        with no_grad():
            losses = [number_of(self.run.loss(self.run.model(x), y)) for x, y in zip(X, Y)]
        return math.fsum(losses) / len(X)


class CompiledEngine:
    """The same steps as machine code, to the same numbers except for rounding, in the precision `dtype`."""

    def __init__(self, run: Run, dtype: str = "float64") -> None:
        from micrograd_mlp.compiled import compile  # here, since it needs the extra "compile"

        self.run = run
        parameters = run.optimizer.params
        self.measured = compile(self._loss, parameters, dtype)
        self.program = self.measured if run.penalty is None else compile(self._penalised, parameters, dtype)

    def _loss(self, x: Any, y: Any) -> Any:
        return self.run.loss(self.run.model(x), y)

    def _penalised(self, x: Any, y: Any) -> Any:
        assert self.run.penalty is not None
        return self._loss(x, y) + self.run.penalty()

    def train(self, epochs: int, end_of_epoch: EndOfEpoch) -> None:
        """Take all steps of so many epochs."""
        run = self.run
        try:
            self.program.train(
                run.optimizer,
                run.X,
                run.Y,
                epochs=epochs,
                batch_size=run.batch_size,
                seed=run.rng,
                callback=lambda _, epoch_loss: end_of_epoch(epoch_loss),
            )
        except FloatingPointError as error:
            _require_targets(run, run.Y)
            raise NonFiniteLossError(str(error), run.history) from None

    def mean_loss(self, X: Features, Y: list[Any]) -> float:
        """The mean loss of examples, without the penalty and without a step."""
        loss, _ = self.measured.loss_and_grad(X, Y)
        if not math.isfinite(loss):  # compile has checked the targets of the run, but not these
            _require_targets(self.run, Y)
        return float(loss)


def _require_targets(run: Run, Y: list[Any]) -> None:
    """Raise what the loss raises for a target that it refuses, which is nan in machine code."""
    with no_grad():
        output = run.model(run.X[0])
        for y in {repr(y): y for y in Y}.values():
            run.loss(output, y)


_State = tuple[list[float], dict[str, list[float]], int]


def _state(optimizer: Optimizer) -> _State:
    """What a step changes."""
    return [p.data for p in optimizer.params], {k: list(v) for k, v in optimizer.state.items()}, optimizer.t


def _restore(optimizer: Optimizer, state: _State) -> None:
    numbers, optimizer.state, optimizer.t = state
    for p, number in zip(optimizer.params, numbers):
        p.data = number


def _batches(n: int, batch_size: int | None, rng: random.Random) -> Iterator[list[int]]:
    """The indices of each batch of one epoch: all examples, in a new order; the last may be smaller."""
    order = list(range(n))
    if batch_size is None:
        batch_size = n
    else:
        rng.shuffle(order)
    for start in range(0, n, batch_size):
        yield order[start : start + batch_size]
