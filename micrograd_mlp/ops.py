"""The table of primitives: every operation's value and local derivatives, side by side (§4.2, §8).

An operation is one `Op` record: how to compute it on floats (`forward`) and its partial derivatives
(`partials`). Everything else in the package reads this table: recording a graph, differentiating it
once or twice, drawing it, explaining it, compiling it, and testing all of that. To add an operation,
write one function here, or in your own program:

>>> from micrograd_mlp import Value, cos, primitive
>>> @primitive(partials=lambda out, x: (cos(x),))
... def my_sin(x):
...     return math.sin(x)
>>> x = Value(0.5)
>>> my_sin(x).backward()
>>> x.grad == math.cos(0.5)
True

Two rules keep one record good for every use. `forward` is written for floats and follows IEEE
arithmetic (an overflow is inf, 1/0 is inf, log(-1) is nan) instead of raising. `partials` is written
with ordinary operators and the functions of this file, so that the same lines give a float during
the forward pass and a new graph when derivatives are differentiated again.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, overload

if TYPE_CHECKING:
    from micrograd_mlp.value import Value

inf, nan = math.inf, math.nan
REALS = (-inf, inf)
POSITIVE = (0.0, inf)


class Op:
    """One primitive operation: y = f(x₁, …, xₙ) with its local derivatives ∂y/∂xᵢ.

    Args:
        name: what it is called, in the table and in error messages.
        forward: f on floats; returns a float and never raises on floats (IEEE arithmetic).
        partials: `(y, x₁, …, xₙ) -> (∂y/∂x₁, …, ∂y/∂xₙ)`, from operators and functions of this file.
        arity: the number of inputs n, or None for any number.
        symbol: what a graph shows in the operation's node; the name unless given.
        latex: the formula, with `{0}`, `{1}` for the inputs (`{args}` for all of an n-ary operation).
        domain: for each input the open interval on which f is defined (n-ary: one for all inputs).
        kink: a function of the inputs that changes sign exactly where f has no derivative, or None.

    Raises:
        TypeError: the arity is not 1 or more; and, when a graph records the op, `forward` or
            `partials` did not return a float, or one derivative for each input.

    >>> double = Op("double", forward=lambda x: 2.0 * x, partials=lambda out, x: (2.0,))
    >>> double(3.0)
    6.0
    """

    __slots__ = ("arity", "domain", "forward", "kink", "latex", "name", "partials", "symbol")

    name: str
    forward: Callable[..., float]
    partials: Callable[..., tuple[Any, ...]]
    arity: int | None
    symbol: str
    latex: str
    domain: tuple[tuple[float, float], ...]
    kink: Callable[..., float] | None

    # Written out, not a dataclass: importing that module would take half of this package's import time.
    def __init__(
        self,
        name: str,
        forward: Callable[..., float],
        partials: Callable[..., tuple[Any, ...]],
        arity: int | None = 1,
        symbol: str = "",
        latex: str = "",
        domain: tuple[tuple[float, float], ...] = (REALS,),
        kink: Callable[..., float] | None = None,
    ) -> None:
        if arity is not None and arity < 1:
            raise TypeError(f"op {name!r}: arity is {arity}, expected 1 or more, or None")
        operands = "{args}" if arity is None else ", ".join(f"{{{i}}}" for i in range(arity))
        fields = {
            "name": name,
            "forward": forward,
            "partials": partials,
            "arity": arity,
            "symbol": symbol or name,
            "latex": latex or rf"\operatorname{{{{{name}}}}}\left({operands}\right)".replace("_", r"\_"),
            "domain": domain * arity if arity is not None and len(domain) == 1 else domain,
            "kink": kink,
        }
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    def __setattr__(self, field: str, value: object) -> None:
        raise AttributeError(f"op {self.name!r} is frozen: make a new Op instead of setting its {field}")

    def __call__(self, *inputs: Any) -> Any:
        """Numbers in, a float out; with a Value among the inputs, a Value that records this op."""
        for x in inputs:
            if hasattr(x, "local_grads"):
                return x._record(self, inputs)
        return self.forward(*map(as_float, inputs))

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def as_float(x: Any) -> float:
    """A real number (int, float, NumPy scalar, Fraction …) as a float; anything else is a TypeError."""
    if type(x) is float:
        return x
    # Text, None, complex numbers and arrays are refused: converting them would hide a mistake.
    is_complex = isinstance(x, complex) or getattr(getattr(x, "dtype", None), "kind", "") == "c"
    if hasattr(x, "__float__") and not is_complex and not hasattr(x, "__len__"):
        try:
            return float(x)
        except OverflowError:
            raise TypeError(f"expected a real number that fits a float, got {x!r:.60}") from None
    raise TypeError(f"expected a real number, got {x!r:.60} of type {type(x).__name__}")


TABLE: dict[str, Op] = {}
"""Every operation that the package ships, by name."""


class Function(Protocol):
    """A function of one or two numbers that also takes Values, and carries its record as `.op`."""

    op: Op
    __name__: str

    @overload
    def __call__(self, *inputs: float) -> float: ...
    @overload
    def __call__(self, *inputs: Value | float) -> Value: ...


def primitive(
    *,
    partials: Callable[..., tuple[Any, ...]],
    name: str = "",
    arity: int | None = 1,
    symbol: str = "",
    latex: str = "",
    domain: tuple[tuple[float, float], ...] = (REALS,),
    kink: Callable[..., float] | None = None,
) -> Callable[[Callable[..., float]], Function]:
    """Turn a function of floats into an operation: the decorator's arguments are those of `Op`.

    >>> @primitive(partials=lambda out, x: (3.0 * x**2,))
    ... def cube(x):
    ...     return x**3
    >>> cube(2.0), cube.op
    (8.0, <op cube>)
    """

    def decorate(forward: Callable[..., float]) -> Function:
        op = Op(name or forward.__name__, forward, partials, arity, symbol, latex, domain, kink)

        @functools.wraps(forward)
        def function(*inputs: Any) -> Any:
            if arity is not None and len(inputs) != arity:
                raise TypeError(f"{op.name} takes {arity} input(s), got {len(inputs)}")
            return op(*inputs)

        function.op = op  # type: ignore[attr-defined]  # it makes a plain function a Function,
        return function  # type: ignore[return-value]  # which mypy cannot see

    return decorate


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
