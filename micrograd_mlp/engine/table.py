"""The table of primitives: every operation's value and local derivatives, side by side (§4.2, §8)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from micrograd_mlp.engine.op import POSITIVE, REALS, Function, Op, inf, nan, primitive

if TYPE_CHECKING:
    from micrograd_mlp.engine.value import Value

TABLE: dict[str, Op] = {}
"""Every operation that the package ships, by name."""


def _built_in(**record: Any) -> Callable[[Callable[..., float]], Function]:
    """`primitive`, and enter the record in the table."""

    def decorate(forward: Callable[..., float]) -> Function:
        function = primitive(**record)(forward)
        TABLE[function.op.name] = function.op
        return function

    return decorate


# Arithmetic. These are what the operators + - * / ** of a Value record. Where Python's own operator
# never raises on floats it is the forward function itself, which is faster than a function around it.

add = _built_in(name="add", arity=2, symbol="+", latex="{0} + {1}", partials=lambda out, x, y: (1.0, 1.0))(
    operator.add
)


sub = _built_in(name="sub", arity=2, symbol="-", latex="{0} - {1}", partials=lambda out, x, y: (1.0, -1.0))(
    operator.sub
)


mul = _built_in(name="mul", arity=2, symbol="*", latex=r"{0} \cdot {1}", partials=lambda out, x, y: (y, x))(
    operator.mul
)


def _div_partials(out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return div(1.0, y), -div(out, y)


@_built_in(
    arity=2,
    symbol="/",
    latex=r"\frac{{{0}}}{{{1}}}",
    partials=_div_partials,
    kink=lambda x, y: y,
)
def div(x: float, y: float) -> float:
    """x / y, with x/0 = ±inf and 0/0 = nan as IEEE has it.

    >>> div(1.0, 0.0), div(-1.0, 0.0)
    (inf, -inf)
    """
    if y:
        return x / y
    if x:
        return x * math.copysign(inf, y)  # nan stays nan
    return nan


neg = _built_in(name="neg", latex="-{0}", partials=lambda out, x: (-1.0,))(operator.neg)


def _power_partials(out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    # At the edges x^(y-1) or log x is infinite where the derivative is not: x^0 is flat, and so is 0^y in y.
    slope = power(x, y - 1.0)
    by_base = y * slope if y != 0 or -inf < slope < inf else 0.0
    by_exponent = 0.0 if x == 0 and y >= 0 else out * log(x)
    return by_base, by_exponent


@_built_in(
    name="pow",
    arity=2,
    symbol="**",
    latex="{{{0}}}^{{{1}}}",
    partials=_power_partials,
    domain=(POSITIVE, REALS),
)
def power(x: float, y: float) -> float:
    """x to the power y; a negative x with a fractional y is nan.

    >>> power(2.0, 3.0), power(0.0, -1.0), power(-8.0, 0.5)
    (8.0, inf, nan)
    """
    try:
        return math.pow(x, y)
    except (OverflowError, ValueError):
        if x < 0 and y != math.floor(y):
            return nan
        odd = y == math.floor(y) and math.fmod(y, 2.0) != 0.0
        return math.copysign(inf, x) if odd else inf


# Exponentials and roots.


@_built_in(latex="e^{{{0}}}", partials=lambda out, x: (out,))
def exp(x: float) -> float:
    """eˣ; inf above 709.78.

    >>> exp(0.0), exp(1000.0)
    (1.0, inf)
    """
    return math.exp(x) if x <= 709.782712893384 else x * inf


@_built_in(latex=r"\log {0}", partials=lambda out, x: (div(1.0, x),), domain=(POSITIVE,))
def log(x: float) -> float:
    """The natural logarithm; log 0 is -inf and the log of a negative number is nan.

    >>> log(1.0), log(0.0), log(-1.0)
    (0.0, -inf, nan)
    """
    if x > 0.0:
        return math.log(x)
    return -inf if x == 0.0 else nan


@_built_in(
    latex=r"\log\left(1 + {0}\right)",
    partials=lambda out, x: (div(1.0, 1.0 + x),),
    domain=((-1.0, inf),),
)
def log1p(x: float) -> float:
    """log(1 + x), exact for small x too.

    >>> log1p(1e-20)
    1e-20
    """
    if x > -1.0:
        return math.log1p(x)
    return -inf if x == -1.0 else nan


@_built_in(latex="e^{{{0}}} - 1", partials=lambda out, x: (exp(x),))
def expm1(x: float) -> float:
    """eˣ - 1, exact for small x too.

    >>> expm1(1e-20)
    1e-20
    """
    return math.expm1(x) if x <= 709.782712893384 else x * inf


def _xlogy_partials(out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return log(y), 0.0 if x == y == 0.0 else div(x, y)


@_built_in(arity=2, latex=r"{0} \log {1}", partials=_xlogy_partials, domain=(REALS, POSITIVE))
def xlogy(x: float, y: float) -> float:
    """x log y, and 0 where x is 0 whatever y: what cross entropy means by 0 log 0 (§4.2).

    >>> xlogy(0.0, 0.0), xlogy(2.0, 1.0)
    (0.0, 0.0)
    """
    if x == 0.0 and y == y:
        return 0.0
    if y > 0.0:
        return x * math.log(y)
    return x * -inf if y == 0.0 else nan


def _xlog1py_partials(out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return log1p(y), 0.0 if x == 1.0 + y == 0.0 else div(x, 1.0 + y)


@_built_in(
    arity=2,
    latex=r"{0} \log\left(1 + {1}\right)",
    partials=_xlog1py_partials,
    domain=(REALS, (-1.0, inf)),
)
def xlog1py(x: float, y: float) -> float:
    """x log(1 + y), exact for small y too, and 0 where x is 0 whatever y.

    >>> xlog1py(0.0, -1.0), xlog1py(2.0, 0.0)
    (0.0, 0.0)
    """
    if x == 0.0 and y == y:
        return 0.0
    if y > -1.0:
        return x * math.log1p(y)
    return x * -inf if y == -1.0 else nan


@_built_in(latex=r"\sqrt{{{0}}}", partials=lambda out, x: (div(0.5, out),), domain=(POSITIVE,))
def sqrt(x: float) -> float:
    """The square root; nan below zero.

    >>> sqrt(9.0), sqrt(-1.0)
    (3.0, nan)
    """
    return math.sqrt(x) if x >= 0.0 else nan


def _sin_partials(out: Any, x: Any) -> tuple[Any]:
    return (cos(x),)


@_built_in(latex=r"\sin {0}", partials=_sin_partials)
def sin(x: float) -> float:
    """The sine of x radians.

    >>> sin(0.0)
    0.0
    """
    return math.sin(x) if math.isfinite(x) else nan


@_built_in(latex=r"\cos {0}", partials=lambda out, x: (-sin(x),))
def cos(x: float) -> float:
    """The cosine of x radians.

    >>> cos(0.0)
    1.0
    """
    return math.cos(x) if math.isfinite(x) else nan


# Activations (§8).


@_built_in(symbol="σ", latex=r"\sigma\left({0}\right)", partials=lambda out, z: (out * (1.0 - out),))
def sigmoid(z: float) -> float:
    """σ(z) = 1 / (1 + e⁻ᶻ), with σ'(z) = σ(z)(1 - σ(z)) (§8.1).

    The paper's step from e⁻ᶻ/(1+e⁻ᶻ)² to 1/(eᶻ+1)² drops a factor: multiplying by eᶻ/eᶻ gives
    eᶻ/(eᶻ+1)². Its conclusion, which is what stands here, is right.

    >>> sigmoid(0.0), sigmoid(-1000.0)
    (0.5, 0.0)
    """
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)  # the same with both sides times eᶻ: no overflow for z far below zero
    return e / (1.0 + e)


@_built_in(latex=r"\tanh {0}", partials=lambda out, z: (1.0 - out * out,))
def tanh(z: float) -> float:
    """tanh(z) = (eᶻ - e⁻ᶻ) / (eᶻ + e⁻ᶻ), with tanh'(z) = 1 - tanh(z)² (§8.2).

    >>> tanh(0.0)
    0.0
    """
    return math.tanh(z)


@_built_in(
    symbol="ReLU",
    latex=r"\mathrm{{ReLU}}\left({0}\right)",
    partials=lambda out, z: (0.0 if z <= 0.0 else 1.0,),
    kink=lambda z: z,
)
def relu(z: float) -> float:
    """ReLU(z) = max(0, z), with ReLU'(z) = 1 if z > 0, else 0 (§8.3).

    Where that 0 meets a gradient of inf or nan, their product is nan (§6); PyTorch masks it to 0. The
    same holds for `maximum` and `minimum`.

    >>> relu(-3.0), relu(3.0)
    (0.0, 3.0)
    """
    return 0.0 if z < 0.0 else z


@_built_in(partials=lambda out, z: (1.0 if z > 0.0 else 0.01,), kink=lambda z: z)
def leaky_relu(z: float) -> float:
    """z if z > 0, else 0.01·z. For another slope write `lambda z: maximum(z, 0.2 * z)`.

    >>> leaky_relu(-100.0)
    -1.0
    """
    return z if z > 0.0 else 0.01 * z


@_built_in(partials=lambda out, z: (sigmoid(z),))
def softplus(z: float) -> float:
    """log(1 + eᶻ), a smooth ReLU; its derivative is σ(z).

    >>> softplus(-1000.0), softplus(1000.0)
    (0.0, 1000.0)
    """
    if z > 0.0:
        return z + math.log1p(math.exp(-z))
    return math.log1p(math.exp(z))


# Comparisons. At a kink the convention is PyTorch's: abs'(0) = 0, and a tie shares the gradient
# half and half.


def _sign(x: Any) -> float:
    return 1.0 if x > 0.0 else -1.0 if x < 0.0 else 0.0


def _share(loses: bool, ties: bool) -> float:
    return 0.0 if loses else 0.5 if ties else 1.0


@_built_in(name="abs", latex=r"\left|{0}\right|", partials=lambda out, x: (_sign(x),), kink=lambda x: x)
def absolute(x: float) -> float:
    """|x|, which is what abs() of a Value records."""
    return math.fabs(x)


@_built_in(
    arity=2,
    symbol="max",
    latex=r"\max\left({0}, {1}\right)",
    partials=lambda out, x, y: (_share(x < y, x == y), _share(y < x, x == y)),
    kink=lambda x, y: x - y,
)
def maximum(x: float, y: float) -> float:
    """The larger of two; nan if either is.

    >>> maximum(2.0, 3.0)
    3.0
    """
    return x if x >= y or x != x else y


@_built_in(
    arity=2,
    symbol="min",
    latex=r"\min\left({0}, {1}\right)",
    partials=lambda out, x, y: (_share(x > y, x == y), _share(y > x, x == y)),
    kink=lambda x, y: x - y,
)
def minimum(x: float, y: float) -> float:
    """The smaller of two; nan if either is.

    >>> minimum(2.0, 3.0)
    2.0
    """
    return x if x <= y or x != x else y


@_built_in(
    arity=2,
    symbol="=",
    latex=r"\left[{0} = {1}\right]",
    partials=lambda out, x, y: (0.0, 0.0),
    kink=lambda x, y: x - y,
)
def equal(x: float, y: float) -> float:
    """1 if x = y, else 0: Iverson's bracket, for a class index that is itself a Value.

    >>> equal(2.0, 2.0), equal(2.0, 3.0)
    (1.0, 0.0)
    """
    return 1.0 if x == y else 0.0


# Sums: one node each, as Σ is one sign.


@_built_in(
    name="total", arity=None, symbol="Σ", latex=r"\sum\left({args}\right)",
    partials=lambda out, *values: (1.0,) * len(values),
)  # fmt: skip
def _total(*values: float) -> float:
    result = 0.0
    for value in values:  # not sum(): its rounding differs between Python versions
        result += value
    return result


def _dot_partials(out: Any, *factors: Any) -> tuple[Any, ...]:
    n = len(factors) // 2
    return factors[n:] + factors[:n]


@_built_in(name="dot", arity=None, symbol="Σ·", latex=r"\sum\left({args}\right)", partials=_dot_partials)
def _dot(*factors: float) -> float:
    n = len(factors) // 2
    result = 0.0
    for product in map(operator.mul, factors[:n], factors[n:]):
        result += product
    return result


@_built_in(
    name="logsumexp", arity=None, latex=r"\log\sum\exp\left({args}\right)",
    partials=lambda out, *z: tuple([exp(z_k - out) for z_k in z]),
)  # fmt: skip
def _logsumexp(*z: float) -> float:
    largest = max(z)
    if not math.isfinite(largest):
        return nan if any(z_k != z_k for z_k in z) else largest
    # The largest term is 1: taken out of the sum, it cannot round a small rest away.
    rest = math.fsum([-1.0, *[math.exp(z_k - largest) for z_k in z]])
    return largest + math.log1p(rest)


@overload
def total(values: Iterable[float]) -> float: ...
@overload
def total(values: Iterable[Value | float]) -> Value: ...
def total(values: Iterable[Any]) -> Any:
    """Σₖ vₖ as one node. The sum of nothing is 0.0.

    >>> total([1.0, 2.0, 3.0])
    6.0
    """
    return TABLE["total"](*values)


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


@overload
def logsumexp(values: Iterable[float]) -> float: ...
@overload
def logsumexp(values: Iterable[Value | float]) -> Value: ...
def logsumexp(values: Iterable[Any]) -> Any:
    """log Σₖ exp(zₖ) as one node, without overflow; its derivatives are softmax(z).

    Raises:
        ValueError: there are no values.

    >>> logsumexp([1000.0, 1000.0])
    1000.6931471805599
    """
    values = tuple(values)
    if not values:
        raise ValueError("logsumexp needs at least one value, got none")
    return TABLE["logsumexp"](*values)


@overload
def softmax(values: Iterable[float]) -> list[float]: ...
@overload
def softmax(values: Iterable[Value | float]) -> list[Value]: ...
def softmax(values: Iterable[Any]) -> list[Any]:
    """exp(zₖ) / Σⱼ exp(zⱼ) for every k, computed as exp(zₖ - logsumexp(z)).

    Raises:
        ValueError: there are no values.

    >>> softmax([0.0, 0.0])
    [0.5, 0.5]
    """
    values = tuple(values)
    normalizer = logsumexp(values)
    return [exp(z_k - normalizer) for z_k in values]
