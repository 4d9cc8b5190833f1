"""Checks of arguments, shared by the whole package. Each error says what was seen and what is expected.

A check that takes `name`, the argument's name, returns the argument in the type that the package computes
with: `require_count` turns `np.int64(3)` into 3, and `require_number` turns `np.float32(0.5)` into 0.5.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import random


def as_float(x: Any) -> float:
    """A real number (int, float, NumPy scalar, array without dimensions, Fraction, ...) as a float.

    Raises:
        TypeError: x is something else. Text, None, complex numbers and arrays are refused, because
            converting them would hide a mistake.
    """
    if type(x) is float:
        return x
    is_complex = isinstance(x, complex) or getattr(getattr(x, "dtype", None), "kind", "") == "c"
    is_array = hasattr(x, "__len__") and getattr(x, "ndim", None) != 0
    if hasattr(x, "__float__") and not is_complex and not is_array:
        try:
            return float(x)
        except OverflowError:
            raise TypeError(f"expected a real number that fits a float, got {x!r:.60}") from None
    raise TypeError(f"expected a real number, got {x!r:.60} of type {type(x).__name__}")


def is_sequence(x: Any) -> TypeGuard[Sequence[Any]]:
    """Whether x is a list, a tuple, an array or another ordered collection with a length.

    Text, mappings, sets and arrays without dimensions are none; a data frame is none, because it is
    indexed by the names of its columns.

    >>> [is_sequence(x) for x in ([1.0], (1.0,), range(3), "text", {"x": 1.0}, 2.0)]
    [True, True, True, False, False, False]
    """
    if isinstance(x, (list, tuple)):  # the two that are asked most, and losses ask for every example
        return True
    if not hasattr(x, "__len__") or not hasattr(x, "__getitem__"):
        return False
    return not (isinstance(x, str | bytes | Mapping | Set) or getattr(x, "ndim", None) == 0 or is_frame(x))


def is_frame(x: Any) -> bool:
    """Whether x is a table with named columns, as pandas and Polars have it."""
    return hasattr(x, "columns") and hasattr(x, "to_numpy")


def require_count(name: str, number: Any, least: int = 0, most: int | None = None) -> int:
    """The number as an int: any integer of Python or NumPy from `least` to `most`, but no bool.

    Raises:
        TypeError: the number is not an integer.
        ValueError: the number is out of range.

    >>> require_count("epochs", 3)
    3
    """
    try:
        count = operator.index(number)
    except TypeError:
        count = None
    if count is None or isinstance(number, bool):
        raise TypeError(f"{name} must be an int, got {number!r:.60}")
    if count < least or (most is not None and count > most):
        expected = f"{least} or more" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be {expected}, got {count}")
    return count


def require_number(
    name: str,
    number: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """The number as a float: a finite number within the limits that are given.

    Raises:
        TypeError: it is not a real number, or it is a bool.
        ValueError: it is inf, nan or out of range.

    >>> require_number("test_size", 0.25, above=0, below=1)
    0.25
    """
    x = require_float(name, number)
    limits = [
        (least, operator.ge, "{} or more"),
        (above, operator.gt, "above {}"),
        (most, operator.le, "{} or less"),
        (below, operator.lt, "below {}"),
    ]
    given = [(holds(x, limit), text.format(limit)) for limit, holds, text in limits if limit is not None]
    if not math.isfinite(x) or not all(holds for holds, _ in given):
        expected = " and ".join([text for _, text in given]) or "finite"
        raise ValueError(f"{name} must be {expected}, got {x!r}")
    return x


def require_float(name: str, number: Any) -> float:
    """The number as a float, which may be inf or nan.

    Raises:
        TypeError: it is not a real number, or it is a bool.
    """
    if isinstance(number, bool):
        raise TypeError(f"{name}: expected a real number, got {number!r}")
    try:
        return as_float(number)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def require_choice(name: str, given: Any, choices: Iterable[str | None], other: str = "") -> None:
    """Check that an argument is one of some names.

    Args:
        name: the argument's name.
        given: what the user wrote.
        choices: the names; None may be among them.
        other: what else the argument may be, such as "a function of your own".

    Raises:
        ValueError: the argument is something else. A name that is nearly right is suggested.

    >>> require_choice("activation", "rleu", ["relu", "tanh"])
    Traceback (most recent call last):
        ...
    ValueError: activation must be 'relu' or 'tanh', got 'rleu': did you mean 'relu'?
    """
    choices = list(choices)
    if isinstance(given, str | None) and given in choices:
        return
    *options, last = [*map(repr, choices), *([other] if other else [])]
    expected = f"{', '.join(options)} or {last}" if options else last
    similar = nearest(given, filter(None, choices)) if isinstance(given, str) else None
    hint = f": did you mean {similar!r}?" if similar else ""
    raise ValueError(f"{name} must be {expected}, got {given!r:.60}{hint}")


def nearest(given: str, names: Iterable[str]) -> str | None:
    """The name that is most like what the user wrote; None if none is like it."""
    import difflib  # here, since importing the package should not pay for it

    return next(iter(difflib.get_close_matches(given, list(names), n=1)), None)


def require_kind(name: str, given: Any, kind: type) -> None:
    """Check that an argument is an object of one class, such as a Value.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(given, kind):
        hint = ": take one of them, or a loss of all" if isinstance(given, list | tuple) else ""
        raise TypeError(f"{name} must be a {kind.__name__}, got {given!r:.60}{hint}")


def require_examples(
    X: Any, Y: Any, x_name: str = "X", y_name: str = "Y"
) -> tuple[list[list[float]], list[Any]]:
    """A table of examples as lists: for each example its features, and its target.

    Args:
        X: for each example a list of features; lists, arrays or tensors.
        Y: for each example its target, which is a number or a list of numbers.
        x_name: how errors call X.
        y_name: how errors call Y.

    Returns:
        The features as floats. Integer targets stay int, since a class index may be used to index a list.

    Raises:
        ValueError: there are no examples, X and Y have different lengths, or something in them is not a
            finite number.
    """
    for name, table in ((x_name, X), (y_name, Y)):
        _require_table(name, table)
    if len(X) != len(Y):
        raise ValueError(f"{x_name} has {len(X)} examples, but {y_name} has {len(Y)} targets")
    if len(X) == 0:
        raise ValueError(f"{x_name} is empty: there is nothing to train on")
    features = [_features(f"{x_name}[{i}]", x) for i, x in enumerate(X)]
    targets = [
        _features(f"{y_name}[{i}]", y) if is_sequence(y) else _finite(f"{y_name}[{i}]", y)
        for i, y in enumerate(Y)
    ]
    return features, targets


def _require_table(name: str, table: Any) -> None:
    if is_frame(table):
        raise ValueError(f"{name} is a {type(table).__name__}: give its numbers, {name}.to_numpy()")
    if not is_sequence(table):
        raise ValueError(f"{name} must be a list with one entry for each example, got {table!r:.60}")


def _features(name: str, x: Any) -> list[float]:
    if not is_sequence(x):
        raise ValueError(f"{name} must be a list of numbers, got {x!r:.60}")
    return [float(_finite(f"{name}[{k}]", x_k)) for k, x_k in enumerate(x)]


def _finite(name: str, x: Any) -> float:
    try:
        number = as_float(x)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number!r}: training needs finite numbers")
    try:
        return operator.index(x)
    except TypeError:
        return number


def random_generator(seed: int | random.Random | None) -> random.Random:
    """The generator to draw from: the one given, or a new one with that seed.

    Without a seed the module `random` draws the seed, so that a `random.seed(...)` before makes a program
    reproducible.

    Raises:
        TypeError: the seed is neither an int, a `random.Random` nor None.
    """
    import random  # here, since it would take a tenth of the package's import time

    if isinstance(seed, random.Random):
        return seed
    if seed is None:
        return random.Random(random.getrandbits(64))
    try:
        return random.Random(operator.index(seed))
    except TypeError:
        raise TypeError(f"seed must be an int or a random.Random, got {seed!r:.60}") from None
