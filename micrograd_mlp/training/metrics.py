"""How well a model does on examples, in words that need no loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from micrograd_mlp._require import is_sequence, require_examples
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.value import number_of


def accuracy(
    model: Callable[[Sequence[Any]], Any], X: Sequence[Sequence[float]], Y: Sequence[float]
) -> float:
    """The fraction of examples whose class the model predicts, from 0 to 1.

    Args:
        model: its outputs are scores: the largest of several is the predicted class; a single one above
            zero means the class 1, as a logit or the score of `hinge` does.
        X: for each example a list of features.
        Y: for each example its class: the index, or, for a single output, anything above zero for class 1.

    Raises:
        ValueError: X and Y do not fit together.

    >>> accuracy(lambda x: x[0] - 0.5, [[0.0], [1.0], [2.0]], [0, 1, 0])
    0.6666666666666666
    """
    X, Y = require_examples(X, Y)
    right = 0
    with no_grad():
        for x, y in zip(X, Y):
            output = model(x)
            if is_sequence(output):
                right += max(range(len(output)), key=lambda k: number_of(output[k])) == y
            else:
                right += (number_of(output) > 0.0) == (y > 0)
    return right / len(X)
