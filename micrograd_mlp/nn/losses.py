"""Losses of one example (§4), written from Values, and the mean over examples.

The gradients come out as the paper's closed forms: ŷ - y for the squared error (§4.1) and for cross
entropy on logits (§4.2). Every loss also takes plain numbers, and then returns a float. A target
outside the loss's domain is an error; a target that is a Value is taken as it is.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

from micrograd_mlp._require import is_sequence
from micrograd_mlp.engine.table import dot, equal, logsumexp, relu, softplus, total, xlog1py, xlogy
from micrograd_mlp.engine.value import Value, number_of

Number = Value | float


def squared_error(y_hat: Any, y: Any) -> Any:
    """½(ŷ - y)², whose derivative in ŷ is ŷ - y (§4.1). For lists: the sum over outputs.

    Raises:
        ValueError: two lists of different lengths, or a list and a number.

    >>> y_hat = Value(3.0)
    >>> squared_error(y_hat, 1.0).backward()
    >>> y_hat.grad
    2.0
    """
    if not is_sequence(y_hat) and not is_sequence(y):
        return 0.5 * (y_hat - y) ** 2
    outputs, targets = _as_list(y_hat), _as_list(y)
    if len(outputs) != len(targets):
        raise ValueError(f"squared_error: {len(outputs)} outputs, but {len(targets)} targets")
    return total([squared_error(output, target) for output, target in zip(outputs, targets)])


def binary_cross_entropy(p: Any, y: Any) -> Any:
    """-[y log ŷ + (1 - y) log(1 - ŷ)] for a probability ŷ = p (§4.2); derivative (ŷ - y)/(ŷ(1 - ŷ)).

    For a network that ends in a sigmoid, `binary_cross_entropy_with_logits` is the same loss on its
    logit, and stays finite where ŷ rounds to 0 or 1.

    Raises:
        ValueError: p or y is outside [0, 1].

    >>> binary_cross_entropy(0.5, 1)
    0.6931471805599453
    """
    _require("binary_cross_entropy", "the probability p", p, 0.0 <= number_of(p) <= 1.0, "in [0, 1]")
    _require("binary_cross_entropy", "the target y", y, 0.0 <= number_of(y) <= 1.0, "in [0, 1]")
    return -(xlogy(y, p) + xlog1py(1.0 - y, -p))


def binary_cross_entropy_with_logits(z: Any, y: Any) -> Any:
    """The binary cross entropy of ŷ = σ(z), as log(1 + eᶻ) - yz; its derivative is ŷ - y (§4.2).

    Raises:
        ValueError: y is outside [0, 1].

    >>> z = Value(1e4)
    >>> loss = binary_cross_entropy_with_logits(z, 0)
    >>> loss.backward()
    >>> loss.data, z.grad
    (10000.0, 1.0)
    """
    _require("binary_cross_entropy_with_logits", "the target y", y, 0.0 <= number_of(y) <= 1.0, "in [0, 1]")
    return softplus(z) - y * z


def cross_entropy(logits: Sequence[Any], target: Any) -> Any:
    """-Σₖ yₖ log softmax(z)ₖ, the same for several classes; its derivative in zₖ is ŷₖ - yₖ.

    Args:
        logits: one number or Value for each class.
        target: the index of the right class, from 0, or a list of probabilities, one for each class.

    Raises:
        ValueError: the index is none of the classes, or the probabilities do not fit.

    >>> logits = [Value(0.0), Value(0.0)]
    >>> cross_entropy(logits, 1).backward()
    >>> [z.grad for z in logits]
    [0.5, -0.5]
    """
    logits = _as_list(logits)
    if is_sequence(target):
        probabilities = list(target)
        _require_distribution(probabilities, len(logits))
        return logsumexp(logits) - dot(probabilities, logits)
    index = _class_index(target, len(logits))
    if not isinstance(target, Value):
        return logsumexp(logits) - logits[index]
    # A target in the graph, as under compile(): one-hot. An index that is no class gives 0/0 = nan.
    one_hot = [equal(target, float(k)) for k in range(len(logits))]
    return logsumexp(logits) - dot(one_hot, logits) / total(one_hot)


def hinge(score: Any, y: Any) -> Any:
    """max(0, 1 - y·score) for a target y of -1 or +1.

    Raises:
        ValueError: y is neither -1 nor +1.

    >>> hinge(0.25, 1), hinge(2.0, 1)
    (0.75, 0.0)
    """
    _require("hinge", "the target y", y, number_of(y) in (-1.0, 1.0), "-1 or +1")
    return relu(1.0 - y * score)


def mean(values: Iterable[Any]) -> Any:
    """The average, one sum and one division: the loss of a batch (§10.1).

    Raises:
        ValueError: there are no values.

    >>> mean([1.0, 2.0, 6.0])
    3.0
    """
    values = list(values)
    if not values:
        raise ValueError("mean needs at least one value, got none")
    return total(values) / len(values)


def l2(parameters: Iterable[Any]) -> Any:
    """Σ θ², to be added to a loss with a small factor, so that weights stay small.

    >>> l2([3.0, 4.0])
    25.0
    """
    parameters = list(parameters)
    return dot(parameters, parameters)


def _as_list(x: Any) -> list[Any]:
    """One output or several: a model with one output returns it bare."""
    return list(x) if is_sequence(x) else [x]


def _require(loss: str, what: str, seen: Any, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"{loss}: {what} must be {expected}, got {seen!r:.60}")


def _class_index(target: Any, n_classes: int) -> int:
    number = number_of(target)
    if number != number or number in (float("inf"), float("-inf")) or number != int(number):
        raise ValueError(f"cross_entropy: the target must be a class index, got {target!r:.60}")
    index = operator.index(int(number))
    if not 0 <= index < n_classes:
        raise ValueError(f"cross_entropy: there are {n_classes} classes, 0 to {n_classes - 1}, got {index}")
    return index


def _require_distribution(probabilities: list[Any], n_classes: int) -> None:
    if len(probabilities) != n_classes:
        raise ValueError(f"cross_entropy: {n_classes} logits, but {len(probabilities)} probabilities")
    numbers = [number_of(p) for p in probabilities]
    if not all(p >= 0.0 for p in numbers) or not abs(sum(numbers) - 1.0) <= 1e-6:
        raise ValueError(
            f"cross_entropy: probabilities must be 0 or more and sum to 1, got {numbers!r:.60} "
            f"with sum {sum(numbers)!r}"
        )
