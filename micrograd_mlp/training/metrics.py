"""How well a model does on examples, as a number that needs no loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from micrograd_mlp._require import is_sequence, require_examples, require_number
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.value import Value, number_of
from micrograd_mlp.nn.activations import decision_threshold


def accuracy(
    model: Callable[[Sequence[Any]], Any],
    X: Sequence[Sequence[float]],
    Y: Sequence[Any],
    threshold: float | None = None,
) -> float:
    """The fraction of examples whose class the model predicts, from 0 to 1.

    The largest of several outputs is the predicted class. A single output predicts class 1 if it is above
    the threshold.

    Args:
        model: a network, or any function of the features of one example.
        X: for each example a list of features.
        Y: for each example its class. For several outputs that is an index from 0, or a list with a
            probability for each class; for a single output it is 0 or 1, or -1 or 1.
        threshold: for a single output. None takes σ(0) of the activation σ that the model ends in: 0.5 for a
            sigmoid, and 0 for logits and for the scores of `hinge`. The activation is known of an MLP, and
            of a function that returns a Value; for other functions the threshold is 0.

    Raises:
        TypeError: the threshold is not a number.
        ValueError: X and Y do not fit together, a target is not a class, or an output is nan. Or the
            threshold has to be given, because the outputs of a function whose activation is not known are
            from 0 to 1, and can be scores or probabilities.

    >>> accuracy(lambda x: x[0] - 0.5, [[0.0], [1.0], [2.0]], [0, 1, 0])
    0.6666666666666666
    """
    X, Y = require_examples(X, Y)
    with no_grad():
        outputs = [model(x) for x in X]
    for i, output in enumerate(outputs):
        if any(math.isnan(number_of(z)) for z in (output if is_sequence(output) else [output])):
            raise ValueError(f"the output for X[{i}] is nan, which is no class")
    if is_sequence(outputs[0]):
        predicted: Sequence[int] = [_largest(output) for output in outputs]
        classes = [_class_index(f"Y[{i}]", y, len(outputs[0])) for i, y in enumerate(Y)]
    else:
        scores = [number_of(output) for output in outputs]
        if threshold is None:
            threshold = _threshold(model, X[0], scores)
        threshold = require_number("threshold", threshold)
        predicted = [score > threshold for score in scores]
        classes = _two_classes(Y)
    return sum(map(int.__eq__, predicted, classes)) / len(X)


def _threshold(model: Any, x: Sequence[float], scores: list[float]) -> float:
    output = None if hasattr(model, "activations") else model(x)
    if output is None or isinstance(output, Value):
        return decision_threshold(model, output)
    between = [0.0 < score <= 0.5 for score in scores]
    if any(between) and all(0.0 <= score <= 1.0 for score in scores):
        raise ValueError(
            "all outputs are from 0 to 1: give threshold=0.5 if they are probabilities, threshold=0 if scores"
        )
    return 0.0


def _largest(numbers: Sequence[Any]) -> int:
    return max(range(len(numbers)), key=lambda k: number_of(numbers[k]))


def _class_index(name: str, y: Any, n_classes: int) -> int:
    if is_sequence(y) and len(y) == n_classes:
        return _largest(y)
    if is_sequence(y) or y not in range(n_classes):
        raise ValueError(f"{name} must be a class from 0 to {n_classes - 1}, got {y!r:.60}")
    return int(y)


def _two_classes(Y: list[Any]) -> list[int]:
    for i, y in enumerate(Y):
        if is_sequence(y) or y not in (0, 1, -1):
            raise ValueError(f"Y[{i}] must be 0 or 1, or -1 or 1, for a single output, got {y!r:.60}")
    return [y > 0 for y in Y]
