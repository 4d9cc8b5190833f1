"""Losses of one example (§4), written from Values, and the mean over examples.

Their gradients are the paper's closed forms: ŷ - y for the squared error (§4.1) and for cross entropy on
logits (§4.2). Every loss also takes plain numbers, and then returns a float. A target that the loss is not
defined for is an error. A target that is a plain number is recorded by the name y, or y[1], y[2], …, so that
views of the graph show it by its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from micrograd_mlp._require import is_sequence
from micrograd_mlp.engine.modes import modes
from micrograd_mlp.engine.table import (
    dot,
    equal,
    floor,
    logsumexp,
    minimum,
    relu,
    softplus,
    total,
    where,
    xlog1py,
    xlogy,
)
from micrograd_mlp.engine.value import Constant, Value, number_of

Number = Value | float


def squared_error(y_hat: Any, y: Any) -> Any:
    """½(ŷ - y)², whose derivative in ŷ is ŷ - y (§4.1).

    Args:
        y_hat: the output ŷ of the model, or a list of outputs.
        y: the target, or a list with a target for each output.

    Returns:
        The loss; for several outputs the sum of their losses.

    Raises:
        ValueError: there are more or fewer targets than outputs.

    >>> y_hat = Value(3.0)
    >>> squared_error(y_hat, 1.0).backward()
    >>> y_hat.grad
    2.0
    """
    if not is_sequence(y_hat) and not is_sequence(y):
        return 0.5 * (y_hat - _named(y, "y", y_hat)) ** 2
    outputs, targets = _as_list(y_hat), _as_list(y)
    if len(outputs) != len(targets):
        raise ValueError(f"squared_error: {len(outputs)} outputs, but {len(targets)} targets")
    return total([squared_error(*pair) for pair in zip(outputs, _all_named(targets, outputs))])


def binary_cross_entropy(p: Any, y: Any) -> Any:
    """-[y log ŷ + (1 - y) log(1 - ŷ)] for a probability ŷ; its derivative is (ŷ - y)/(ŷ(1 - ŷ)) (§4.2).

    Without the sigmoid at the end of the network, `binary_cross_entropy_with_logits` is the same loss, and
    stays finite where ŷ is rounded to 0 or 1.

    Args:
        p: the probability ŷ of class 1, from 0 to 1.
        y: the target, 0 or 1, or a probability between them.

    Raises:
        ValueError: p or y is not one number from 0 to 1.

    >>> binary_cross_entropy(0.5, 1)
    0.6931471805599453
    """
    _require_probability("binary_cross_entropy", "the probability p", p)
    _require_probability("binary_cross_entropy", "the target y", y)
    y = _or_nan(_named(y, "y", p), _is_probability)
    return -(xlogy(y, p) + xlog1py(1.0 - y, -p))


def binary_cross_entropy_with_logits(z: Any, y: Any) -> Any:
    """The binary cross entropy of ŷ = σ(z), which is log(1 + eᶻ) - yz; its derivative is ŷ - y (§4.2).

    Args:
        z: the logit, any number.
        y: the target, 0 or 1, or a probability between them.

    Raises:
        ValueError: z is not one number, or y is not one number from 0 to 1.

    >>> z = Value(1e4)
    >>> loss = binary_cross_entropy_with_logits(z, 0)
    >>> loss.backward()
    >>> loss.data, z.grad
    (10000.0, 1.0)
    """
    _require_number("binary_cross_entropy_with_logits", "the logit z", z)
    _require_probability("binary_cross_entropy_with_logits", "the target y", y)
    return softplus(z) - _or_nan(_named(y, "y", z), _is_probability) * z


def cross_entropy(logits: Sequence[Any], target: Any) -> Any:
    """-Σₖ yₖ log ŷₖ with ŷ = softmax(z), for several classes; its derivative in zₖ is ŷₖ - yₖ.

    Args:
        logits: z, one number or Value for each class.
        target: the index of the right class, from 0, or a list with the probability of each class.

    Raises:
        ValueError: there is no class of that index, or the probabilities are not one for each class with
            the sum 1.

    >>> logits = [Value(0.0), Value(0.0)]
    >>> cross_entropy(logits, 1).backward()
    >>> [z.grad for z in logits]
    [0.5, -0.5]
    """
    logits = _as_list(logits)
    if is_sequence(target):
        probabilities = list(target)
        _require_distribution(probabilities, len(logits))
        first = _or_nan(probabilities[0], lambda _: _is_distribution(probabilities))
        return logsumexp(logits) - dot(_all_named([first, *probabilities[1:]], logits), logits)
    index = _class_index(target, len(logits))
    if not isinstance(target, Value):
        return logsumexp(logits) - logits[index]
    # A target in the graph, as in compile(), becomes one-hot. An index that is no class gives 0/0 = nan.
    one_hot = [equal(target, float(k)) for k in range(len(logits))]
    return logsumexp(logits) - dot(one_hot, logits) / total(one_hot)


def hinge(score: Any, y: Any) -> Any:
    """max(0, 1 - y·score), the loss of a support vector machine.

    Args:
        score: the output of the model, any number; its sign is the predicted class.
        y: the target, -1 or +1.

    Raises:
        ValueError: the score is not one number, or y is neither -1 nor +1.

    >>> hinge(0.25, 1), hinge(2.0, 1)
    (0.75, 0.0)
    """
    _require_number("hinge", "the score", score)
    if _require_number("hinge", "the target y", y) not in (-1.0, 1.0):
        raise ValueError(f"hinge: the target y must be -1 or +1, got {y!r:.60}")
    y = _or_nan(_named(y, "y", score), lambda y: equal(y, 1.0) + equal(y, -1.0))
    return relu(1.0 - y * score)


def mean(values: Iterable[Any]) -> Any:
    """The sum divided by the number of values: the loss of a batch (§10.1).

    Args:
        values: the losses of the examples.

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
    """Σ θ², a penalty that keeps weights small when a small multiple of it is added to a loss.

    Args:
        parameters: numbers or Values, such as `model.parameters()`.

    >>> l2([3.0, 4.0])
    25.0
    """
    parameters = list(parameters)
    return dot(parameters, parameters)


def _named(y: Any, name: str, output: Any) -> Any:
    """The target as a node with a name, where it is a plain number and the output is part of a graph."""
    return Constant(y, name) if isinstance(output, Value) and not isinstance(y, Value) else y


def _all_named(targets: list[Any], outputs: list[Any]) -> list[Any]:
    pairs = zip(targets, outputs)
    return [_named(y, f"y[{k}]", output) for k, (y, output) in enumerate(pairs, start=1)]


def _or_nan(y: Any, is_valid: Callable[[Value], Value]) -> Any:
    """The target; in a graph that `compile` records, nan if it is one that the loss is not defined for.

    Such a graph is recorded for one example and runs for all, whose targets nobody has looked at.
    """
    if isinstance(y, Value) and modes.get().tracing:
        return where(is_valid(y), y, math.nan)
    return y


def _is_probability(y: Value) -> Value:
    return equal(floor(y), 0.0) + equal(y, 1.0)


def _is_distribution(probabilities: list[Value]) -> Value:
    """Whether none is negative, and the sum is 1 but for 1e-5 each: in float32 it is rounded."""
    sum_is_1 = equal(floor(0.5 + (total(probabilities) - 1.0) / (2e-5 * len(probabilities))), 0.0)
    least: Number = 0.5
    for p in probabilities:
        least = minimum(least, p)
    is_distribution: Value = sum_is_1 * equal(floor(least), 0.0)
    return is_distribution


def _as_list(x: Any) -> list[Any]:
    """Outputs or targets as a list; a model with one output returns a Value."""
    return list(x) if is_sequence(x) else [x]


def _require_number(loss: str, what: str, x: Any) -> float:
    if not is_sequence(x):
        return number_of(x)
    hint = ": give the number in it, as in Y = [y[0] for y in Y]" if len(x) == 1 else ""
    raise ValueError(f"{loss}: {what} must be one number, got a list of {len(x)}, {x!r:.60}{hint}")


def _require_probability(loss: str, what: str, x: Any) -> None:
    if not 0.0 <= _require_number(loss, what, x) <= 1.0:
        raise ValueError(f"{loss}: {what} must be in [0, 1], got {x!r:.60}")


def _class_index(target: Any, n_classes: int) -> int:
    number = number_of(target)
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"cross_entropy: the target must be the index of a class, got {target!r:.60}")
    if not 0 <= number < n_classes:
        expected = f"there are {n_classes} classes, 0 to {n_classes - 1}"
        hint = ": classes begin at 0, so subtract 1 from labels 1, 2, …" if number == n_classes else ""
        raise ValueError(f"cross_entropy: {expected}, got {int(number)}{hint}")
    return int(number)


def _require_distribution(probabilities: list[Any], n_classes: int) -> None:
    if len(probabilities) != n_classes:
        hint = ": give the class in it, as in Y = [y[0] for y in Y]" if len(probabilities) == 1 else ""
        raise ValueError(f"cross_entropy: {n_classes} logits, but {len(probabilities)} probabilities{hint}")
    numbers = [number_of(p) for p in probabilities]
    if not all(p >= 0.0 for p in numbers) or not abs(sum(numbers) - 1.0) <= 1e-6:
        raise ValueError(
            f"cross_entropy: probabilities must be 0 or more and sum to 1, got {numbers!r:.60} "
            f"with sum {sum(numbers)!r}"
        )
