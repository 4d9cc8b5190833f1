"""A user's own operations in compiled programs: whatever Python function of floats they are written as."""

import functools
import math
import operator

import pytest

from micrograd_mlp import Value, dot, logsumexp, maximum, ops, primitive, softmax, total
from micrograd_mlp.engine.op import Op

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")


def helper(x):
    return sum(x)


def without(x, k):
    return x[:k] + x[k + 1 :]


def recursive_product(x):
    return x[0] * recursive_product(x[1:]) if len(x) > 1 else x[0]


def leave_one_out(out, *x):
    return tuple([math.prod(without(x, k)) for k in range(len(x))])


COMPILED = {
    "product": (lambda *x: math.prod(x), lambda out, *x: tuple([out / x_k for x_k in x])),
    "product by a recursive helper": (lambda *x: recursive_product(x), leave_one_out),
    "norm": (lambda *x: math.sqrt(sum([x_k * x_k for x_k in x])), lambda out, *x: [x_k / out for x_k in x]),
    "mean": (lambda *x: sum(x) / len(x), lambda out, *x: (1.0 / len(x),) * len(x)),
    "generalised mean": (
        lambda *x: (sum([x_k**3 for x_k in x]) / len(x)) ** (1 / 3),
        lambda out, *x: tuple([x_k**2 / (out**2 * len(x)) for x_k in x]),
    ),
    "maximum": (
        lambda *x: max(x),
        lambda out, *x: tuple([1.0 / x.count(out) if x_k == out else 0.0 for x_k in x]),
    ),
    "helper": (lambda *x: helper(x), lambda out, *x: tuple([ops.exp(0.0 * x_k) for x_k in x])),
    "any": (
        lambda *x: 1.0 if any([x_k > 3.0 for x_k in x]) else sum(x),  # noqa: C419
        lambda out, *x: tuple([0.0 if any([x_j > 3.0 for x_j in x]) else 1.0 for _ in x]),  # noqa: C419
    ),
    "total": (lambda *x: total(x), lambda out, *x: (1.0,) * len(x)),
    "dot": (lambda *x: dot(x, x), lambda out, *x: tuple([2.0 * x_k for x_k in x])),
    "logsumexp": (lambda *x: logsumexp(x), lambda out, *x: tuple(softmax(x))),
    "median": (
        lambda *x: sorted(x)[len(x) // 2],
        lambda out, *x: tuple([1.0 if x_k == out else 0.0 for x_k in x]),
    ),
    "product by reduce": (lambda *x: functools.reduce(operator.mul, x), leave_one_out),
    "builtin": (math.hypot, lambda out, *x: tuple([x_k / out for x_k in x])),
}
IN_PYTHON = {
    "correctly rounded sum": (lambda *x: math.fsum(x), lambda out, *x: (1.0,) * len(x)),
    "numpy": (lambda *x: float(np.prod(x)), lambda out, *x: tuple([out / x_k for x_k in x])),
    "objects": (lambda *x: sorted({sum(x): object()})[0], lambda out, *x: (1.0,) * len(x)),
}
WHY = {  # what of the function the program names
    "correctly rounded sum": "fsum",
    "numpy": "function prod",
    "objects": "{sum(x): object()}",
}


@pytest.fixture
def assert_same(compile, approx):
    def check(f, parameters, X):
        loss, gradient = compile(f, parameters).loss_and_grad(X)
        expected = total([f(Value(x)) for x in X]) / len(X)
        for p in parameters:
            p.grad = 0.0
        expected.backward()
        assert loss == approx(expected.data, rel=1e-13)
        assert gradient == approx([p.grad for p in parameters], rel=1e-13)

    return check


@pytest.mark.parametrize("name", [*COMPILED, *IN_PYTHON])
@pytest.mark.parametrize("n", [1, 4])
def test_any_number_of_inputs(assert_same, name, n):
    """On the varying tape and, for parameters alone, on the uniform one."""
    forward, partials = (COMPILED | IN_PYTHON)[name]
    op = Op(name, forward, partials, arity=None)
    w = [Value(1.1 + 0.3 * k) for k in range(n)]
    assert_same(lambda x: op(*[w_k * x for w_k in w]) * op(*w), w, [0.5, 0.7, 0.9])


@pytest.mark.parametrize("name", COMPILED)
def test_usual_python_is_compiled(compile, name):
    op = Op(name, *COMPILED[name], arity=None)
    program = compile(lambda: op(Value(2.0), Value(3.0)), [])
    assert "in Python" not in str(program)


@pytest.mark.parametrize("name", IN_PYTHON)
def test_what_cannot_be_compiled_is_called_in_python_and_the_program_says_why(compile, name):
    op = Op(name, *IN_PYTHON[name], arity=None)
    program = compile(lambda: op(Value(2.0), Value(3.0)), [])
    [reason] = [
        line for line in str(program).splitlines() if line.startswith(f"in Python   {name} of 2 numbers: ")
    ]
    assert WHY[name] in reason


def test_several_operations_of_fixed_arity(assert_same):
    @primitive(partials=lambda out, x, y: (ops.cos(x) * y, math.sin(x)), arity=2)
    def wave(x, y):
        return math.sin(x) * y

    @primitive(partials=lambda out, x, y, z: (2.0 * x, z, y), arity=3)
    def square_and_product(x, y, z):
        return x**2 + y * z

    p = [Value(0.4), Value(1.5), Value(-0.5)]

    def f(x):
        return wave(x * p[0], p[1]) + square_and_product(p[0], x, p[2]) * square_and_product(*p)

    assert_same(f, p, [0.1, 2.0, 3.0])


@pytest.mark.parametrize("n_cores", [1, 3])
class TestErrors:
    """A user's error is raised as in eager execution, instead of numbers that were left over.

    An operation that raises errors runs in Python.
    """

    @pytest.fixture
    def strict(self):
        def forward(x):
            if abs(x) > 100.0:
                raise ValueError(f"{x} is too large")
            return 2.0 * x

        def partials(out, x):
            if abs(x) > 50.0:
                raise ArithmeticError(f"no derivative at {x}")
            return (2.0,)

        return Op("strict", forward, partials)

    @pytest.fixture
    def program(self, compile, strict, n_cores, monkeypatch):
        from micrograd_mlp.compiled.machine import Machine

        monkeypatch.setattr(Machine, "cores", lambda self, n_rows: n_cores)
        w = Value(1.0)
        return compile(lambda x: strict(w * x), [w])

    def test_of_the_forward_pass(self, program):
        X = np.linspace(0.0, 1.0, 300)
        expected = program.loss_and_grad(X)
        X[211] = 101.0
        with pytest.raises(ValueError, match=r"101\.0 is too large"):
            program.predict(X)
        X[211] = X[210]
        assert program.loss_and_grad(X)[0] == pytest.approx(expected[0], rel=1e-4)

    def test_of_the_backward_pass(self, program):
        X = np.linspace(0.0, 1.0, 300)
        X[211] = 51.0
        with pytest.raises(ArithmeticError, match=r"no derivative at 51\.0"):
            program(X)
        assert program.predict(X)[211] == 102.0

    def test_in_training_the_parameters_stay_at_the_last_finished_step(self, program):
        from micrograd_mlp import SGD

        [w] = program.parameters
        optimizer = SGD([w], lr=1.0)  # w grows by 2 in each step
        with pytest.raises((ValueError, ArithmeticError)):
            program.train(optimizer, -np.ones(300), steps=100)
        assert w.data == pytest.approx(51.0)
        assert optimizer.t == 25


FACTOR = 2.0


def test_globals_and_closures_have_their_present_values_in_each_compilation(compile):
    global FACTOR
    shift = 1.0

    @primitive(partials=lambda out, x: (FACTOR,))
    def line(x):
        return FACTOR * x + shift

    w = Value(3.0)
    assert compile(lambda: line(w), [w]).loss_and_grad()[0] == 7.0
    try:
        FACTOR, shift = 10.0, 2.0
        loss, gradient = compile(lambda: line(w), [w]).loss_and_grad()
    finally:
        FACTOR = 2.0
    assert (loss, gradient.tolist()) == (32.0, [10.0])


def test_an_operation_may_call_another(compile):
    """A helper that is itself an operation is compiled as that operation."""
    op = Op("larger", lambda *x: maximum(x[0], x[1]), lambda out, *x: (1.0, 0.0), arity=None)
    w = Value(3.0)
    assert compile(lambda x: op(w * x, x), [w]).predict([2.0]) == [6.0]
