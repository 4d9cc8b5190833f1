"""For the tests of your own formulas, ops and models: random graphs, and whether their gradients are right.

These are strategies of Hypothesis, which searches for an example that breaks a test and then shrinks it
to a small one. A failing test prints the expression as Python, ready to be pasted:

    @given(expressions(ops=["mul", "tanh", my_op]))
    def test_my_op(e):
        assert_gradients_match(e.f, e.inputs, order=2)

    Failing test case: test_my_op(e=(lambda x: tanh(my_op(x)))(Value(1.0, 'x')))

Needs `pip install "micrograd_mlp[testing]"`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import micrograd_mlp
from micrograd_mlp.checks.check import gradcheck, is_foreign
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Value
from micrograd_mlp.nn.modules import MLP

try:
    from hypothesis import reject
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        'micrograd_mlp.testing needs Hypothesis: pip install "micrograd_mlp[testing]"'
    ) from error

_SIGNS = {"add": ast.Add, "sub": ast.Sub, "mul": ast.Mult, "div": ast.Div, "pow": ast.Pow}
_LARGEST = 1e3  # of the numbers and derivatives inside an expression, so that none is lost in rounding
_CLOSEST = 1e-2  # to a kink or a pole
_SMALLEST = 1e-6  # of a slope beside the value, so that a difference can tell it from rounding


class Expression:
    """A function and a point, which print themselves as Python.

    Attributes:
        f: the function, of as many Values as there are inputs.
        inputs: the point, as labelled Values.
        source: f as Python.

    >>> e = Expression("lambda x, y: tanh(x * y)", [0.5, 2.0])
    >>> e
    (lambda x, y: tanh(x * y))(Value(0.5, 'x'), Value(2.0, 'y'))
    >>> e.output.op
    <op tanh>
    """

    def __init__(
        self, source: str, point: Sequence[float], functions: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        self.source = source
        self.f: Callable[..., Value] = eval(source, {**vars(micrograd_mlp), **(functions or {})})
        names = self.f.__code__.co_varnames
        self.inputs = [Value(x, name) for x, name in zip(point, names, strict=True)]

    @property
    def output(self) -> Value:
        """f at the inputs: a new graph each time."""
        return self.f(*self.inputs)

    def __repr__(self) -> str:
        inputs = ", ".join(f"Value({x.data!r}, {x.label!r})" for x in self.inputs)
        return f"({self.source})({inputs})"


def values(min_value: float = -10.0, max_value: float = 10.0, label: str | None = None) -> Any:
    """A strategy for leaf Values between two numbers. They shrink to 0 and to whole numbers.

    >>> from hypothesis import given
    >>> @given(values(min_value=0.5))
    ... def test_log(x):
    ...     assert_gradients_match(lambda x: x.log(), [x])
    >>> test_log()
    """
    return st.builds(Value, st.floats(min_value, max_value), label=st.just(label))


def expressions(
    ops: Iterable[str | Op | Callable[..., Any]] | None = None,
    *,
    max_depth: int = 4,
    names: Sequence[str] = ("x", "y", "z"),
    min_value: float = -3.0,
    max_value: float = 3.0,
) -> Any:
    """A strategy for `Expression` objects: random formulas at a point inside their domain.

    No operation is given numbers outside its domain, at a kink or next to a pole, and none is
    larger than 1,000: gradients of an expression are well defined and can be checked. They shrink to
    few operations of few inputs.

    Args:
        ops: names of the table, records, or functions of your own from `primitive`; the whole table
            unless given.
        max_depth: how deep operations are nested.
        names: the inputs; an expression has those that it uses.
        min_value: the least value of an input.
        max_value: the largest value of an input.

    Raises:
        ValueError: an op is not in the table, or there are no ops, no names or no depth.

    >>> from hypothesis import given
    >>> @given(expressions(ops=["add", "mul", "sigmoid"], max_depth=3))
    ... def test_gradients(e):
    ...     assert_gradients_match(e.f, e.inputs)
    >>> test_gradients()
    """
    records = [_record(op) for op in (TABLE if ops is None else ops)]
    if not records or not names or max_depth < 1:
        raise ValueError(f"needs ops, names and a depth of at least 1, got {ops!r}, {names!r}, {max_depth!r}")
    simple = [x for x in (1.0, 2.0, 0.5, 3.0, -1.0, 0.0) if min_value <= x <= max_value]
    numbers = st.floats(min_value, max_value).map(lambda x: min(max(round(x, 3), min_value), max_value))
    if simple:  # what they shrink to: 1 is in the domain of nearly every op
        numbers = st.sampled_from(simple) | numbers
    return st.composite(_draw_expression)(records, max_depth, list(names), numbers)


def arrays(
    shape: int | tuple[int, ...] | Any,
    min_value: float = -3.0,
    max_value: float = 3.0,
    dtype: Any = "float64",
) -> Any:
    """A strategy for NumPy's arrays of real numbers between two bounds, from Hypothesis's own `arrays`.

    Args:
        shape: of the arrays, or a strategy for it such as `hypothesis.extra.numpy.array_shapes()`.
        min_value: the least entry.
        max_value: the largest entry.
        dtype: "float64" or "float32".

    >>> from hypothesis import given
    >>> @given(arrays((2, 3)))
    ... def test_squares(x):
    ...     assert_gradients_match(lambda x: (x * x).sum(), x, lambda x: 2.0 * x)
    >>> test_squares()
    """
    import numpy as np
    from hypothesis.extra import numpy as strategies

    width = 32 if np.dtype(dtype) == np.float32 else 64
    bounds = [float(np.dtype(dtype).type(bound)) for bound in (min_value, max_value)]
    numbers = st.floats(*bounds, width=width, allow_subnormal=False)
    return strategies.arrays(np.dtype(dtype), shape, elements=numbers)


def mlps(
    max_inputs: int = 3,
    max_layers: int = 3,
    max_width: int = 4,
    activations: Sequence[str] = ("linear", "tanh", "sigmoid", "softplus", "relu", "leaky_relu"),
) -> Any:
    """A strategy for small networks with random weights. They shrink to one linear neuron of one input.

    >>> from hypothesis import given
    >>> @given(mlps(max_layers=2))
    ... def test_state(model):
    ...     model.load_state_dict(model.state_dict())
    >>> test_state()
    """
    return st.builds(
        MLP,
        st.integers(1, max_inputs),
        st.lists(st.integers(1, max_width), min_size=1, max_size=max_layers),
        activation=st.sampled_from(list(activations)),
        seed=st.integers(0, 2**32 - 1),
    )


def assert_gradients_match(
    f: Callable[..., Any],
    inputs: Any,
    gradient: Any = None,
    *,
    order: int = 1,
    atol: float = 0.0,
    rtol: float = 1e-9,
    noise: float | None = None,
) -> None:
    """Fail unless f's gradient is the slope of f; of Values, from `backward()` as well as from `grad()`.

    Args:
        f: takes the inputs as its arguments and returns one Value, or numbers of NumPy, PyTorch or JAX.
        inputs: Values, which get back their `.data` and `.grad`; numbers; or what else `gradcheck` takes.
        gradient: the gradient of a function of NumPy's arrays, as in `gradcheck`.
        order: 2 for second derivatives as well.
        atol: an absolute error that passes in any case.
        rtol: an error, relative to the derivative, that passes in any case.
        noise: the standard deviation of the error in f's values, as in `gradcheck`.

    Raises:
        AssertionError: they are not; the message says where and by how much (see `gradcheck`).

    >>> assert_gradients_match(lambda x, y: (x * y).sin(), [0.5, 2.0], order=2)
    """
    if is_foreign(inputs, gradient):
        gradcheck(f, inputs, gradient, order=order, atol=atol, rtol=rtol, noise=noise)
        return
    leaves = [x if isinstance(x, Value) else Value(x) for x in inputs]
    gradcheck(f, leaves, order=order, atol=atol, rtol=rtol)
    output = f(*leaves)
    expected = grad(output, leaves)
    before = [x.grad for x in leaves]
    try:
        for x in leaves:
            x.grad = 0.0
        output.backward()
        found = [x.grad for x in leaves]
    finally:
        for x, its_grad in zip(leaves, before):
            x.grad = its_grad
    for x, a, b in zip(leaves, found, expected):
        assert math.isclose(a, b, rel_tol=1e-9), f"{x!r}: backward() gives {a!r} and grad() {b!r}"


# How an expression is drawn: from the leaves up, so that what an operation is given is known; where it is not
# defined there, its first operand stands in its place.


def _record(op: str | Op | Callable[..., Any]) -> tuple[str, Op]:
    """The name that an op has in Python, and the op."""
    if isinstance(op, str) and op not in TABLE:
        raise ValueError(f"no op {op!r} in the table: {', '.join(TABLE)}")
    record = TABLE[op] if isinstance(op, str) else getattr(op, "op", op)
    if not isinstance(record, Op):
        raise ValueError(f"an op is a name, a record or a function from primitive(), got {op!r:.60}")
    name = record.name if isinstance(op, (str, Op)) else op.__name__
    if not name.isidentifier():
        raise ValueError(f"op {name!r} cannot be printed as Python: give it a name, primitive(name=...)")
    return name, record


def _draw_expression(
    draw: Callable[[Any], Any], records: list[tuple[str, Op]], max_depth: int, names: list[str], numbers: Any
) -> Expression:
    point = {name: draw(numbers) for name in names}

    def tree(depth: int) -> tuple[ast.expr, float]:
        if depth < max_depth and (depth == 0 or draw(st.booleans())):
            name, op = draw(st.sampled_from(records))
            count = op.arity or draw(st.sampled_from([2, 4]))
            children = [tree(depth + 1) for _ in range(count)]
            numbers = [number for _, number in children]
            if _is_defined(op, numbers):
                return _call(name, [child for child, _ in children]), op(*numbers)
            return children[0]
        leaf = draw(st.sampled_from([*names, 1.0, 2.0, 0.5, 3.0]))
        if isinstance(leaf, str):
            return ast.Name(leaf), point[leaf]
        return ast.Constant(leaf), leaf

    body, _ = tree(0)
    used = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
    inputs = [name for name in names if name in used]
    if not inputs:
        reject()
    source = f"lambda {', '.join(inputs)}: {ast.unparse(body)}"
    functions = {name: op for name, op in records if not hasattr(micrograd_mlp, name)}
    e = Expression(source, [point[name] for name in inputs], functions)
    output = e.output
    least = _SMALLEST * max(1.0, abs(output.data))
    if any(0.0 < abs(slope) < least for slope in grad(output, e.inputs)):
        reject()
    return e


def _is_defined(op: Op, numbers: list[float]) -> bool:
    """May this op be given these numbers, well inside its domain?"""
    domain = op.domain if op.arity else op.domain * len(numbers)
    if not all(low + _CLOSEST < x < high - _CLOSEST for x, (low, high) in zip(numbers, domain)):
        return False
    if op.kink is not None and abs(op.kink(*numbers)) < _CLOSEST:
        return False
    out = op.forward(*numbers)
    return all(abs(y) <= _LARGEST for y in (out, *op.partials(out, *numbers)))


def _call(name: str, operands: list[ast.expr]) -> ast.expr:
    """The operation as Python writes it."""
    if name in _SIGNS:
        return ast.BinOp(operands[0], _SIGNS[name](), operands[1])
    if name == "neg":
        return ast.UnaryOp(ast.USub(), operands[0])
    if name in ("total", "logsumexp"):
        operands = [ast.List(operands)]
    if name == "dot":
        n = len(operands) // 2
        operands = [ast.List(operands[:n]), ast.List(operands[n:])]
    return ast.Call(ast.Name(name), operands, [])
