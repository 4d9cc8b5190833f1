"""Functions of Python and of the table for arrays: what a program needs of them is copied into its source.

Here they are written for NumPy; the same lines serve other libraries under another name.
"""

import functools
import math
from typing import Any

import numpy as np


def each(function: Any, *z: Any) -> Any:
    """A function of numbers for every element of arrays."""
    return np.vectorize(function, otypes=[float])(*z)


def exact_sum(*z: Any) -> Any:
    """The sums, rounded once."""
    return each(lambda *numbers: math.fsum(numbers), *z)


def is_undefined(result: Any, *inputs: Any) -> Any:
    """Where a result is nan although its inputs are not: Python raises a ValueError then."""
    some_nan = functools.reduce(np.logical_or, [np.isnan(x) for x in inputs])
    return np.logical_and(np.isnan(result), np.logical_not(some_nan))


def is_overflow(result: Any, *inputs: Any) -> Any:
    """Where a result is infinite although its inputs are finite: Python raises an OverflowError then."""
    all_finite = functools.reduce(np.logical_and, [np.isfinite(x) for x in inputs])
    return np.logical_and(np.isinf(result), all_finite)


def largest(*z: Any) -> Any:
    """The first of the largest, as Python's max: nan is larger than nothing."""
    return functools.reduce(lambda best, x: np.where(x > best, x, best), z)


def smallest(*z: Any) -> Any:
    """The first of the smallest, as Python's min: nan is smaller than nothing."""
    return functools.reduce(lambda best, x: np.where(x < best, x, best), z)


def length(*z: Any) -> Any:
    """The square root of the sum of squares."""
    return functools.reduce(np.hypot, z)


def product(*z: Any) -> Any:
    """The product of all."""
    return functools.reduce(lambda x, y: x * y, z, 1.0)


def compensated_sum(*z: Any) -> Any:
    """The sum with the rounding errors of its steps added at the end (Neumaier)."""
    result, lost = z[0], 0.0
    for x in z[1:]:
        following = result + x
        kept = np.abs(result) >= np.abs(x)
        lost = lost + np.where(kept, (result - following) + x, (x - following) + result)
        result = following
    return np.where(np.isfinite(lost), result + lost, result)


def logsumexp(z: Any) -> Any:
    """log Σ exp(zₖ) along the last axis; the largest term, which is 1, stays out of the sum."""
    at = np.argmax(z, axis=-1)[..., None]
    largest = np.take_along_axis(z, at, axis=-1)
    terms = np.exp(z - np.where(np.isfinite(largest), largest, 0.0))
    np.put_along_axis(terms, at, 0.0, axis=-1)
    rest = terms.sum(axis=-1, keepdims=True)
    return np.where(np.isfinite(largest), largest + np.log1p(rest), largest)
