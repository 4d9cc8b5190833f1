"""`fit`: mini-batch gradient descent (§5, §10.1) with all that a long run needs around it.

One step is the paper's: the loss of a batch is the mean of the losses of its examples, `backward()` gives
the gradient, and the optimizer moves the parameters. No work is lost: whatever interrupts the run, the model
has its weights after some finished step, and they are finite; a run that was killed is resumed from its
checkpoint to the same bits as one that was not.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from micrograd_mlp._require import is_sequence, nearest, random_generator, require_count, require_examples
from micrograd_mlp.optim import Optimizer
from micrograd_mlp.training.checkpoint import Checkpoint
from micrograd_mlp.training.engines import CompiledEngine, EagerEngine, run_epochs
from micrograd_mlp.training.run import Features, History, Run


def fit(
    model: Callable[[Sequence[Any]], Any],
    loss: Callable[[Any, Any], Any],
    X: Sequence[Sequence[float]],
    Y: Sequence[Any],
    optimizer: Optimizer,
    epochs: int,
    *,
    batch_size: int | None = None,
    compiled: bool = False,
    dtype: str | None = None,
    progress: bool = False,
    callback: Callable[[int, float], object] | None = None,
    seed: int | random.Random | None = None,
    penalty: Callable[[], Any] | None = None,
    validation: tuple[Sequence[Sequence[float]], Sequence[Any]] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool = False,
) -> History:
    """Train a model: for every batch, the mean loss, its gradient, and one step of the optimizer (§10.1).

    Args:
        model: a network, or any function of the features of one example.
        loss: `loss(model(x), y)` of one example, such as `squared_error`.
        X: for each example a list of features; arrays are fine too.
        Y: for each example its target, which is a number or a list of numbers, as `loss` takes it.
        optimizer: moves its parameters, such as `Adam(model.parameters())`.
        epochs: the number of times that the run goes through all examples.
        batch_size: the number of examples in a step, which are drawn anew in every epoch; None takes all
            examples in every step.
        compiled: run the steps as machine code (needs `pip install "micrograd_mlp[compile]"`).
        dtype: the precision of machine code, "float64" or "float32", as in `compile`; None is "float64".
        progress: show epoch and loss on standard error, with tqdm if it is installed.
        callback: called as `callback(epoch, loss)` after every epoch, from 1; returning True ends the run.
            If it has a method `finish`, as `LivePlot` has, that is called when the run ends, however it ends.
        seed: an int or a `random.Random`, for the order of the examples.
        penalty: added to the loss of every batch, such as `lambda: 1e-4 * l2(model.parameters())`.
        validation: (X, Y), whose mean loss is measured after every epoch; the run does not train on it.
        checkpoint: a file for the state of the run, replaced after every `checkpoint_every` epochs.
        checkpoint_every: the number of epochs from one write of the checkpoint to the next.
        resume: go on from the checkpoint if the file exists. The result equals that of a run which was never
            interrupted, bit for bit.

    Returns:
        The History. Ctrl-C ends the run early, with the weights of the last finished step.

    Raises:
        NonFiniteLossError: the loss, a weight or a moment became inf or nan. Model and optimizer are rolled
            back to the last weights whose loss was finite.
        TypeError: an argument has the wrong type; and what `compile` cannot run, if `compiled` is True.
        ValueError: X and Y do not fit together or hold something that is not a finite number, the optimizer
            adjusts other parameters than the model's, or the checkpoint belongs to another run; or `dtype`
            is no such precision, or is given without `compiled`.
        FileExistsError: the checkpoint exists, and `resume` is False.
        OSError: the checkpoint can't be written. This is found out before the first step.
        ImportError: `compiled` is True, and the extra "compile" is missing.

    Any other error in the model, the loss or the callback passes through, and leaves the model and the
    optimizer at the last finished step.

    >>> from micrograd_mlp import MLP, Adam, accuracy, binary_cross_entropy_with_logits, datasets
    >>> model = MLP(2, [4, 1], activation="tanh", seed=0)
    >>> X, y = datasets.xor()
    >>> history = fit(model, binary_cross_entropy_with_logits, X, y, Adam(model.parameters(), 0.1), epochs=60)
    >>> history.losses[-1] < 0.1, accuracy(model, X, y)
    (True, 1.0)
    """
    _require_parts(model, loss, optimizer, penalty)
    if dtype is not None and not compiled:
        raise ValueError(f"dtype={dtype!r} is for machine code: add compiled=True; Python has float64 alone")
    features, targets = require_examples(X, Y)
    held_out = None if validation is None else _validation_examples(validation)
    batch_size = None if batch_size is None else require_count("batch_size", batch_size, least=1)
    rng = random_generator(seed)
    run = Run(model, loss, features, targets, optimizer, penalty, held_out, batch_size, rng)
    epochs = require_count("epochs", epochs)
    checkpoint_every = require_count("checkpoint_every", checkpoint_every, least=1)
    saved = None if checkpoint is None else Checkpoint(checkpoint, run)
    if saved:
        saved.begin(resume)
    if compiled and sys.platform == "emscripten":
        warnings.warn("there is no compiled execution in the browser: fit runs eagerly", stacklevel=2)
        compiled = False
    engine = CompiledEngine(run, dtype or "float64") if compiled else EagerEngine(run)

    def after_epoch(epoch: int, epoch_loss: float) -> bool:
        stop = callback is not None and callback(epoch, epoch_loss) is True
        if saved and (stop or epoch == epochs or epoch % checkpoint_every == 0):
            saved.write()
        return stop

    try:
        run_epochs(engine, epochs - len(run.history.losses), progress, after_epoch)
    finally:
        if callback is not None and hasattr(callback, "finish"):
            callback.finish()
    return run.history


# What other libraries call them, and what they are called here; the first is suggested if none is similar.
_LOSSES = {"mse": "squared_error", "squared_error": "squared_error", "hinge": "hinge"}
_LOSSES |= {"bce": "binary_cross_entropy", "binary_cross_entropy": "binary_cross_entropy"}
_LOSSES |= {"cross_entropy": "cross_entropy"}
_OPTIMIZERS = {"adam": "Adam", "sgd": "SGD", "momentum": "Momentum", "rmsprop": "RMSProp"}


def _validation_examples(validation: Any) -> tuple[Features, list[Any]]:
    if not is_sequence(validation) or len(validation) != 2:
        raise ValueError(f"validation must be a pair (X, Y), got {validation!r:.60}")
    X, Y = validation
    return require_examples(X, Y, "validation X", "validation Y")


def _require_parts(model: Any, loss: Any, optimizer: Any, penalty: Any) -> None:
    """Check the functions and the optimizer; other libraries also take them by name or as a number."""
    if not callable(model):
        raise TypeError(f"model must be a network or a function of one example, got {model!r:.60}")
    if not callable(loss):
        hint = f"write loss={_suggestion(loss, _LOSSES)}"
        raise TypeError(f"loss must be a function of an output and a target, got {loss!r:.60}: {hint}")
    if penalty is not None and not callable(penalty):
        hint = f"write penalty=lambda: {penalty!r:.20} * l2(model.parameters())"
        raise TypeError(f"penalty must be a function without arguments, got {penalty!r:.60}: {hint}")
    if not isinstance(optimizer, Optimizer):
        hint = f"write {_suggestion(optimizer, _OPTIMIZERS)}(model.parameters(), lr=0.01)"
        raise TypeError(f"optimizer must be an Optimizer, got {optimizer!r:.60}: {hint}")
    if hasattr(model, "parameters"):
        own = {id(p) for p in model.parameters()}
        if own.isdisjoint(id(p) for p in optimizer.params):
            raise ValueError(
                "the optimizer adjusts none of the model's parameters: make it with model.parameters()"
            )


def _suggestion(given: Any, names: dict[str, str]) -> str:
    name = given if isinstance(given, str) else getattr(given, "__name__", "")
    return names[nearest(name.lower(), names) or next(iter(names))]
