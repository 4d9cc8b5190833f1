"""`fit`: mini-batch gradient descent (§5, §10.1) with all that a long run needs around it.

One step is the paper's: the loss of a batch is the mean of its examples' losses, `backward()` gives the
gradient, the optimizer moves the parameters. Around it stands what keeps work from being lost: whatever
interrupts the run, the model is left as it was after some finished step, with finite weights; and a run
that was killed goes on from its checkpoint to the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from micrograd_mlp._require import as_float, is_sequence, random_generator, require_count, require_examples
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.table import total
from micrograd_mlp.engine.value import number_of
from micrograd_mlp.files import write_atomically
from micrograd_mlp.optim import Optimizer

Rows = list[list[float]]


@dataclass
class History:
    """What a run of `fit` went through.

    Attributes:
        losses: for each finished epoch, the mean loss of its examples, each taken before the step that
            its batch led to.
        validation_losses: for each finished epoch, the mean loss on the `validation` data, if given.
        interrupted: whether Ctrl-C ended the run before its last epoch.
    """

    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    interrupted: bool = False


class NonFiniteLossError(FloatingPointError):
    """The loss, or a weight, became inf or nan: the model has the last weights with a finite loss.

    Attributes:
        history: the History up to there.
    """

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history


def fit(
    model: Callable[[Sequence[Any]], Any],
    loss: Callable[[Any, Any], Any],
    X: Sequence[Sequence[float]],
    Y: Sequence[Any],
    optimizer: Optimizer,
    epochs: int,
    batch_size: int | None = None,
    compiled: bool = False,
    progress: bool = False,
    callback: Callable[[int, float], object] | None = None,
    seed: int | random.Random | None = None,
    *,
    penalty: Callable[[], Any] | None = None,
    validation: tuple[Sequence[Sequence[float]], Sequence[Any]] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool = False,
) -> History:
    """Train a model: for every batch, the mean loss, its gradient, and one step of the optimizer (§10.1).

    Args:
        model: a network, or any function of one row.
        loss: `loss(model(x), y)` for one example, such as `squared_error`.
        X: one row of numbers for each example.
        Y: one target for each example: a number or a row of numbers, as `loss` takes it.
        optimizer: which parameters move, and how.
        epochs: how often the run goes through all examples.
        batch_size: examples in a step, drawn anew in every epoch; None takes all of them in each step.
        compiled: run the steps as machine code (needs `pip install "micrograd_mlp[compile]"`).
        progress: show epoch and loss on standard error, with tqdm if it is installed.
        callback: called as `callback(epoch, loss)` after every epoch, from 1; returning True ends the run.
        seed: a number or a `random.Random`, for the order of the examples.
        penalty: added to every batch's loss, such as `lambda: 1e-4 * l2(model.parameters())`.
        validation: (X, Y) whose mean loss is measured after every epoch; nothing is trained on it.
        checkpoint: a file that keeps the state of the run, replaced after every `checkpoint_every` epochs.
        checkpoint_every: how many epochs lie between two writes of the checkpoint.
        resume: go on from the checkpoint, if the file exists: the result equals that of a run which was
            never interrupted, bit for bit.

    Returns:
        The History. Ctrl-C ends the run early, with the weights of the last finished step.

    Raises:
        NonFiniteLossError: the loss or a weight became inf or nan. The model and the optimizer are put
            back to the last weights whose loss was finite.
        ValueError: X and Y do not fit together or hold something that is no finite number, the optimizer
            adjusts other parameters than the model's, or the checkpoint is of another run.
        FileExistsError: the checkpoint is there already, and `resume` is False.
        ImportError: `compiled` without the extra "compile".

    Any other error in the model, the loss or the callback passes through, and leaves the model and the
    optimizer at the last finished step.

    >>> from micrograd_mlp import MLP, Adam, binary_cross_entropy_with_logits, datasets
    >>> model = MLP(2, [4, 1], activation="tanh", seed=0)
    >>> X, y = datasets.xor()
    >>> history = fit(model, binary_cross_entropy_with_logits, X, y, Adam(model.parameters(), 0.1), epochs=60)
    >>> history.losses[-1] < 0.1, accuracy(model, X, y)
    (True, 1.0)
    """
    rows, targets = require_examples(X, Y)
    held_out = None if validation is None else require_examples(*validation, "validation X", "validation Y")
    epochs = require_count("epochs", epochs)
    batch_size = None if batch_size is None else require_count("batch_size", batch_size, least=1)
    checkpoint_every = require_count("checkpoint_every", checkpoint_every, least=1)
    _require_own_parameters(model, optimizer)
    rng, history = random_generator(seed), History()
    saved = None
    if checkpoint is not None:
        run = _fingerprint(rows, targets, batch_size)
        saved = _Checkpoint(Path(checkpoint), run, model, optimizer, rng, history)
        saved.begin(resume)
    engine = (_Compiled if compiled else _Eager)(model, loss, penalty, optimizer, history)

    with _progress(progress, len(history.losses), epochs) as show:

        def end_of_epoch(epoch_loss: float) -> bool:
            if held_out is not None:
                history.validation_losses.append(engine.mean_loss(*held_out))
            history.losses.append(epoch_loss)
            epoch = len(history.losses)
            show(epoch, epoch_loss)
            stop = callback is not None and callback(epoch, epoch_loss) is True
            if saved and (stop or epoch == epochs or epoch % checkpoint_every == 0):
                saved.write()
            return stop

        try:
            engine.train(rows, targets, epochs - len(history.losses), batch_size, rng, end_of_epoch)
        except KeyboardInterrupt:
            history.interrupted = True
    return history


def accuracy(
    model: Callable[[Sequence[Any]], Any], X: Sequence[Sequence[float]], Y: Sequence[float]
) -> float:
    """The part of the examples whose class the model gets right, from 0 to 1.

    Args:
        model: its outputs are scores: the largest of several is the predicted class; a single one above
            zero means the class 1, as a logit or the score of `hinge` does.
        X: one row of numbers for each example.
        Y: one class for each example: its index, or, for a single output, anything above zero for class 1.

    Raises:
        ValueError: X and Y do not fit together.

    >>> accuracy(lambda x: x[0] - 0.5, [[0.0], [1.0], [2.0]], [0, 1, 0])
    0.6666666666666666
    """
    rows, targets = require_examples(X, Y)
    right = 0
    with no_grad():
        for x, y in zip(rows, targets):
            output = model(x)
            if is_sequence(output):
                right += max(range(len(output)), key=lambda k: number_of(output[k])) == y
            else:
                right += (number_of(output) > 0.0) == (y > 0)
    return right / len(rows)


# How the steps are taken


class _Eager:
    """Steps by recording graphs of Values, a few examples at a time.

    The mean (1/n) Σ ℓᵢ has the gradient Σ (1/n) ∇ℓᵢ, so that a batch of any size needs little memory.
    Measured on the moons network, blocks of 8 take as long as one graph of all examples without the
    garbage collector, and two thirds of the time of one with it.
    """

    block = 8

    def __init__(self, model: Any, loss: Any, penalty: Any, optimizer: Optimizer, history: History) -> None:
        self.model, self.loss, self.penalty = model, loss, penalty
        self.optimizer, self.history = optimizer, history

    def train(
        self,
        rows: Rows,
        targets: list[Any],
        epochs: int,
        batch_size: int | None,
        rng: random.Random,
        end_of_epoch: Callable[[float], bool],
    ) -> None:
        step = _SafeStep(self.gradient, self.optimizer, self.history)
        for _ in range(epochs):
            summed = 0.0
            for batch in _batches(len(rows), batch_size, rng):
                summed += len(batch) * step([rows[i] for i in batch], [targets[i] for i in batch])
            if end_of_epoch(summed / len(rows)):
                break

    def gradient(self, rows: Rows, targets: list[Any]) -> float:
        """The mean loss of a batch, and its gradient in `.grad`."""
        self.optimizer.zero_grad()
        n, summed = len(rows), 0.0
        for start in range(0, n, self.block):
            examples = zip(rows[start : start + self.block], targets[start : start + self.block])
            block_loss = total([self.loss(self.model(x), y) for x, y in examples])
            block_loss.backward(1.0 / n)
            summed += block_loss.data
        if self.penalty is None:
            return summed / n
        penalty = self.penalty()
        penalty.backward()
        return summed / n + number_of(penalty)

    def mean_loss(self, rows: Rows, targets: list[Any]) -> float:
        with no_grad():
            losses = [number_of(self.loss(self.model(x), y)) for x, y in zip(rows, targets)]
            return math.fsum(losses) / len(rows)


class _Compiled:
    """The same steps on the same batches as machine code, to the same numbers but for rounding."""

    def __init__(self, model: Any, loss: Any, penalty: Any, optimizer: Optimizer, history: History) -> None:
        from micrograd_mlp import compile

        def example_loss(x: Any, y: Any) -> Any:
            return loss(model(x), y)

        def penalised_loss(x: Any, y: Any) -> Any:
            return example_loss(x, y) + penalty()

        self.program = compile(example_loss if penalty is None else penalised_loss, optimizer.params)
        self.measured = self.program if penalty is None else compile(example_loss, optimizer.params)
        self.optimizer, self.history = optimizer, history

    def train(
        self,
        rows: Rows,
        targets: list[Any],
        epochs: int,
        batch_size: int | None,
        rng: random.Random,
        end_of_epoch: Callable[[float], bool],
    ) -> None:
        try:
            self.program.train(
                self.optimizer,
                rows,
                targets,
                epochs=epochs,
                batch_size=batch_size,
                seed=rng,
                callback=lambda _, epoch_loss: end_of_epoch(epoch_loss),
            )
        except FloatingPointError as error:
            raise NonFiniteLossError(str(error), self.history) from None

    def mean_loss(self, rows: Rows, targets: list[Any]) -> float:
        loss, _ = self.measured.loss_and_grad(rows, targets)
        return float(loss)


class _SafeStep:
    """A step that is taken whole, or not at all, and leaves no weight that is inf or nan."""

    def __init__(self, gradient: Callable[..., float], optimizer: Optimizer, history: History) -> None:
        self.gradient, self.optimizer, self.history = gradient, optimizer, history
        self.last_finite = _state(optimizer)

    def __call__(self, rows: Rows, targets: list[Any]) -> float:
        optimizer = self.optimizer
        before = _state(optimizer)
        try:
            loss, step = self.gradient(rows, targets), optimizer.t + 1
            if not math.isfinite(loss):
                self._give_up(f"the loss became {loss!r} in step {step}", self.last_finite)
            optimizer.step()
            for p in optimizer.params:
                if not math.isfinite(p.data):
                    self._give_up(f"{p.label or 'a parameter'} became {p.data!r} in step {step}", before)
        except NonFiniteLossError:
            raise
        except BaseException:  # Ctrl-C too, which can come between two parameters
            _restore(optimizer, before)
            raise
        self.last_finite = before
        return loss

    def _give_up(self, what: str, state: _State) -> None:
        _restore(self.optimizer, state)
        raise NonFiniteLossError(
            f"{what}, epoch {len(self.history.losses) + 1}, learning rate {self.optimizer.lr!r}. The model "
            f"has its weights after {self.optimizer.t} steps again, the last with a finite loss. Try a "
            "smaller learning rate; `with detect_anomaly():` around fit names the operation",
            self.history,
        )


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


# Bad input


def _require_own_parameters(model: Any, optimizer: Optimizer) -> None:
    if not hasattr(model, "parameters"):
        return
    own = {id(p) for p in model.parameters()}
    if own.isdisjoint(id(p) for p in optimizer.params):
        raise ValueError("the optimizer adjusts none of the model's parameters: give it model.parameters()")


# What the user sees while it runs


@contextlib.contextmanager
def _progress(wanted: bool, done: int, epochs: int) -> Iterator[Callable[[int, float], None]]:
    """A function that shows how far the run is: with tqdm if it is installed, else as a plain line."""
    if not wanted:
        yield lambda epoch, loss: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield _plain_line(epochs)
        return
    with tqdm(total=epochs, initial=done, unit="epoch") as bar:

        def show(epoch: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
            bar.update()

        yield show


def _plain_line(epochs: int) -> Callable[[int, float], None]:
    """In a terminal one line that changes; in a file about ten lines in all."""
    terminal = sys.stderr.isatty()

    def show(epoch: int, loss: float) -> None:
        if terminal:
            sys.stderr.write(f"\repoch {epoch}/{epochs}  loss {loss:<12.4g}" + "\n" * (epoch == epochs))
        elif epoch == epochs or epoch % max(epochs // 10, 1) == 0:
            sys.stderr.write(f"epoch {epoch}/{epochs}  loss {loss:.4g}\n")
        sys.stderr.flush()

    return show


# Going on after a crash

FORMAT = "micrograd_mlp checkpoint"


class _Checkpoint:
    """The state of a run in a file: weights, optimizer, random state and history after some epoch."""

    def __init__(
        self, path: Path, run: str, model: Any, optimizer: Optimizer, rng: random.Random, history: History
    ) -> None:
        self.path, self.run = path, run
        self.model, self.optimizer, self.rng, self.history = model, optimizer, rng, history

    def begin(self, resume: bool) -> None:
        """Take up the state in the file, if there is one."""
        if not hasattr(self.model, "state_dict"):
            raise ValueError(
                f"a checkpoint needs a model with state_dict(), such as an MLP, got {self.model!r:.60}"
            )
        if not self.path.exists():
            return
        if not resume:
            raise FileExistsError(f"{self.path} exists: go on from it with resume=True, or remove it first")
        try:
            self._load(json.loads(self.path.read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"{self.path} is not a checkpoint of this run: {error}") from None

    def write(self) -> None:
        """Replace the file, whole or not at all."""
        content = {
            "format": FORMAT,
            "version": 1,
            "run": self.run,
            "parameters": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.rng.getstate(),
            "losses": self.history.losses,
            "validation_losses": self.history.validation_losses,
        }
        write_atomically(self.path, json.dumps(content) + "\n")

    def _load(self, content: dict[str, Any]) -> None:
        """Everything or nothing."""
        fields = {
            "format",
            "version",
            "run",
            "parameters",
            "optimizer",
            "random",
            "losses",
            "validation_losses",
        }
        if not isinstance(content, dict) or content.keys() != fields:
            raise ValueError("it does not have the fields of one")
        if content["format"] != FORMAT or content["version"] != 1:
            raise ValueError(f"it has format {content['format']!r:.40} version {content['version']!r:.40}")
        if content["run"] != self.run:
            raise ValueError("it was written with other data or another batch_size")
        losses, validation_losses = (
            [as_float(x) for x in content[k]] for k in ("losses", "validation_losses")
        )
        version, numbers, gauss = content["random"]
        rng = random.Random()
        rng.setstate((version, tuple(numbers), gauss))
        before = self.model.state_dict()
        self.model.load_state_dict(content["parameters"])
        try:
            self.optimizer.load_state_dict(content["optimizer"])
        except ValueError:
            self.model.load_state_dict(before)
            raise
        self.rng.setstate(rng.getstate())
        self.history.losses, self.history.validation_losses = losses, validation_losses


def _fingerprint(rows: Rows, targets: list[Any], batch_size: int | None) -> str:
    """Tells one run's data from another's."""
    return hashlib.sha256(repr((rows, targets, batch_size)).encode()).hexdigest()
