"""What a run of `fit` consists of, what it reports, and the error that ends it (§5, §10.1)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from micrograd_mlp.optim import Optimizer

Features = list[list[float]]


@dataclass
class History:
    """The losses of a run of `fit`.

    Attributes:
        losses: for each finished epoch, the mean loss of its examples. The loss of an example is taken
            before the step of its batch.
        validation_losses: for each finished epoch, the mean loss on the `validation` data, if given.
        interrupted: whether Ctrl-C ended the run before its last epoch.
    """

    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    interrupted: bool = False


class NonFiniteLossError(FloatingPointError):
    """The loss, a weight or an optimizer's moment became inf or nan. The model has been rolled back.

    Attributes:
        history: the History up to there.
    """

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history


@dataclass
class Run:
    """The arguments of `fit` after they have been checked, and the state of the run besides its weights.

    Attributes:
        model, loss, optimizer, penalty: as the user gave them.
        X, Y: the features and the target of each example.
        validation: the features and targets of the validation examples, or None.
        batch_size: the number of examples in a step; None stands for all of them, in their own order.
        rng: decides the order of the examples.
        history: what the run has gone through.
    """

    model: Callable[[Sequence[Any]], Any]
    loss: Callable[[Any, Any], Any]
    X: Features
    Y: list[Any]
    optimizer: Optimizer
    penalty: Callable[[], Any] | None
    validation: tuple[Features, list[Any]] | None
    batch_size: int | None
    rng: random.Random
    history: History = field(default_factory=History)
