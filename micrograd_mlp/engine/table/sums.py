"""Operations of any number of inputs. Each is one node, as Σ is one sign.

Their functions take the inputs as arguments or as one iterable: `total(x, y)` and `total([x, y])`.
"""

from __future__ import annotations

import cmath
import math
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, overload

from micrograd_mlp.engine.op import TABLE, nan, operation
from micrograd_mlp.engine.table.arithmetic import div
from micrograd_mlp.engine.table.comparisons import maximum
from micrograd_mlp.engine.table.exponentials import exp

if TYPE_CHECKING:
    from micrograd_mlp.engine.value import Value


@operation(
    arity=None,
    symbol="Σ",
    latex=r"\sum\left({args}\right)",
    partials=lambda out, *values: (1.0,) * len(values),
    complex_form=lambda *z: sum(z),
)
def total(*values: float) -> float:
    """Σₖ vₖ as one node. The sum of nothing is 0.0.

    >>> total([1.0, 2.0, 3.0])
    6.0
    """
    result = 0.0
    for value in values:  # not sum(): its rounding differs between Python versions
        result += value
    return result


def _dot_partials(out: Any, *factors: Any) -> tuple[Any, ...]:
    n = len(factors) // 2
    return factors[n:] + factors[:n]


def _complex_dot(*factors: complex) -> complex:
    n = len(factors) // 2
    return sum([w * x for w, x in zip(factors[:n], factors[n:])])


@operation(
    name="dot",
    arity=None,
    symbol="Σ·",
    latex=r"\sum\left({args}\right)",
    partials=_dot_partials,
    complex_form=_complex_dot,
)
def _dot(*factors: float) -> float:
    n = len(factors) // 2
    result = 0.0
    for product in map(operator.mul, factors[:n], factors[n:]):
        result += product
    return result


@overload
def dot(w: Iterable[float], x: Iterable[float]) -> float: ...
@overload
def dot(w: Iterable[Value | float], x: Iterable[Value | float]) -> Value: ...
def dot(w: Iterable[Any], x: Iterable[Any]) -> Any:
    """wᵀx = Σₖ wₖxₖ as one node (§2.2).

    Raises:
        ValueError: w and x differ in length.

    >>> dot([1.0, 2.0], [10.0, 100.0])
    210.0
    """
    w, x = tuple(w), tuple(x)
    if len(w) != len(x):
        raise ValueError(f"dot needs two sequences of one length, got {len(w)} and {len(x)} numbers")
    return TABLE["dot"](*w, *x)


def _complex_logsumexp(*z: complex) -> complex:
    largest = max(z_k.real for z_k in z)
    return largest + cmath.log(sum(cmath.exp(z_k - largest) for z_k in z))


def _normalized(shares: Any) -> Any:
    whole = total(shares)
    return tuple([share / whole for share in shares])


def _logsumexp_partials(out: Any, *z: Any) -> Any:
    """exp(zₖ - out). These sum to 1, but for the rounding of out: 1e16 + log 2 is 1e16."""
    shares = tuple([exp(z_k - out) for z_k in z])
    return _normalized(shares) if _LARGE < abs(getattr(out, "data", out)) < math.inf else shares


_LARGE = 1024.0  # up to here the rounding of a number changes its exponential by a part in 10¹³ at most


@operation(
    arity=None,
    latex=r"\log\sum\exp\left({args}\right)",
    partials=_logsumexp_partials,
    complex_form=_complex_logsumexp,
)
def logsumexp(*z: float) -> float:
    """log Σₖ exp(zₖ) as one node, without overflow; its derivatives are softmax(z).

    Raises:
        ValueError: there are no values.

    >>> logsumexp([1000.0, 1000.0])
    1000.6931471805599
    """
    if not z:
        raise ValueError("logsumexp needs at least one value, got none")
    largest = max(z)
    if not math.isfinite(largest):
        return nan if any(z_k != z_k for z_k in z) else largest
    # The largest term is 1: taken out of the sum, it cannot round a small rest away.
    rest = math.fsum([-1.0, *[math.exp(z_k - largest) for z_k in z]])
    return largest + math.log1p(rest)


def _prod_partials(out: Any, *factors: Any) -> tuple[Any, ...]:
    # The product of the other factors instead of a division, so that a factor may be 0.
    return tuple([prod(factors[:k] + factors[k + 1 :]) for k in range(len(factors))])


@operation(
    arity=None,
    symbol="Π",
    latex=r"\prod\left({args}\right)",
    partials=_prod_partials,
    complex_form=lambda *z: math.prod(z),
)
def prod(*factors: float) -> float:
    """Πₖ xₖ as one node. The product of nothing is 1.0.

    >>> prod([2.0, 3.0, 4.0])
    24.0
    """
    result = 1.0
    for factor in factors:
        result *= factor
    return result


def _norm_partials(out: Any, *values: Any) -> tuple[Any, ...]:
    length = maximum(out, _SMALLEST)  # so that the derivative at the origin is 0, as PyTorch has it
    return tuple([div(value, length) for value in values])


_SMALLEST = 5e-324  # of the positive floats


@operation(
    arity=None,
    symbol="‖·‖",
    latex=r"\left\lVert {args} \right\rVert",
    partials=_norm_partials,
    kink=lambda *values: max(map(abs, values)),
)
def norm(*values: float) -> float:
    """√(Σₖ xₖ²), the Euclidean length, as one node; nothing overflows on the way. Its slopes at 0 are 0.

    >>> norm([3.0, 4.0]), norm([2e200, 1e200, 2e200])
    (5.0, 3e+200)
    """
    largest = 0.0
    for value in values:
        size = abs(value)
        if size > largest or size != size:
            largest = size
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    squares = 0.0
    for value in values:
        squares += (value / largest) ** 2
    return largest * math.sqrt(squares)


@overload
def softmax(values: Iterable[float]) -> list[float]: ...
@overload
def softmax(values: Iterable[Value | float]) -> list[Value]: ...
def softmax(values: Iterable[Any]) -> list[Any]:
    """exp(zₖ) / Σⱼ exp(zⱼ) for every k, computed as exp(zₖ - logsumexp(z)).

    Where logsumexp(z) is so large that its rounding shows, these are divided by their sum.

    Raises:
        ValueError: there are no values.

    >>> softmax([0.0, 0.0])
    [0.5, 0.5]
    """
    values = tuple(values)
    return list(_logsumexp_partials(logsumexp(values), *values))
