"""Programs as code in other languages: the engine's loss and gradient from what NumPy, JAX, PyTorch, gcc and
Node.js run."""

import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from micrograd_mlp import (
    MLP,
    Op,
    Value,
    cross_entropy,
    dot,
    export,
    l2,
    logsumexp,
    ops,
    primitive,
    squared_error,
    total,
)
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.translate import TranslationError

pytest.importorskip("llvmlite", reason='needs pip install "micrograd_mlp[compile]"')
from micrograd_mlp import compile  # needs the extra
from tests.export.programs import (  # compiles too
    compile_text,
    random_program,
    run,
    squeezed,
    theta_of,
)

LANGUAGES = ["numpy", "jax", "torch", "c", "javascript"]


def assert_same(program, language, folder, *data, tolerance=1e-12):
    """The code's loss and gradient are the program's."""
    loss, gradient = program.loss_and_grad(*data)
    source = export.to_source(program, language)
    its_loss, its_gradient = run(language, source, folder, theta_of(program), *data)
    assert math.isfinite(loss)
    assert its_loss == pytest.approx(loss, rel=tolerance)
    np.testing.assert_allclose(its_gradient, gradient, rtol=tolerance, atol=tolerance * abs(gradient).max())
    return source


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("language", LANGUAGES)
def test_random_programs_with_every_operation_have_the_engines_loss_and_gradient(language, seed, tmp_path):
    program, X, Y = random_program(seed)
    assert_same(program, language, tmp_path, X, Y)


def network(activation, loss, sizes=(4, [5, 3]), seed=0):
    model = MLP(*sizes, activation=activation, seed=seed)
    for k, p in enumerate(model.parameters()):
        p.data += 0.05 * (k % 5 - 2)
    return compile(lambda x, y: loss(model(x), y), model.parameters())


RNG = np.random.default_rng(0)
X4, CLASSES, ROWS = RNG.normal(size=(6, 4)), RNG.integers(0, 3, 6), RNG.normal(size=(6, 3))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "leaky_relu", "softplus"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_networks(language, activation, tmp_path):
    assert_same(network(activation, cross_entropy), language, tmp_path, X4, CLASSES)


def with_shared_weights():
    """The same neuron at three positions, and a sum that is no layer: W x + b + x."""
    w = [Value(0.3 * k - 0.4, f"w[{k}]") for k in range(1, 4)]
    b = Value(0.2, "b")

    def f(x, y):
        moved = [ops.tanh(dot(w[:2], x[k : k + 2]) + b + x[k] * x[k + 1]) for k in range(3)]
        return squared_error(dot(moved, w), y) + 0.1 * l2(w)

    return compile(f, [*w, b]), X4, ROWS[:, 0]


def of_parameters_alone():
    p = [Value(0.5 * k - 0.8) for k in range(4)]

    def f():
        return logsumexp(p) + total([v * v for v in p]) * p[1].sin() - p[3]

    return (compile(f, p),)


def of_x_alone():
    w, unused, b = Value(1.5, "class"), Value(2.0, "lambda"), Value(0.25, "y1")
    return compile(lambda x: (w * x + b).tanh() * w, [w, unused, b]), X4[:, 0]


def that_ignores_its_inputs():
    w = Value(1.5, "loss_and_grad")
    return compile(lambda x, y: w * w, [w]), X4, CLASSES


def with_names_that_repeat():
    first, second = MLP(4, [2, 2], "tanh", seed=1), MLP(4, [2, 2], "relu", seed=2)
    temperature = Value(0.7, "temperature")  # not a parameter: a number that stays
    parameters = [*second.parameters(), *first.parameters()]
    return (
        compile(
            lambda x, y: squared_error([a * temperature + c for a, c in zip(first(x), second(x))], y),
            parameters,
        ),
        X4,
        ROWS[:, :2],
    )


def attention():
    """A head of self-attention on two positions: sums of products of what varies, and softmaxes."""
    parameters = [Value(math.sin(k), f"{name}[{i},{j}]") for k, (name, i, j) in enumerate(
        (name, i, j) for name in "QKV" for i in (1, 2) for j in (1, 2)
    )]  # fmt: skip
    Q, K, V = ([parameters[4 * m : 4 * m + 2], parameters[4 * m + 2 : 4 * m + 4]] for m in range(3))

    def f(x, y):
        positions = [x[:2], x[2:]]
        q, k, v = ([[dot(row, p) for row in matrix] for p in positions] for matrix in (Q, K, V))
        mixed = []
        for q_i in q:
            scores = [dot(q_i, k_j) / math.sqrt(2.0) for k_j in k]
            normalizer = logsumexp(scores)
            shares = [(s - normalizer).exp() for s in scores]
            mixed += [dot(shares, [v_j[c] for v_j in v]) for c in range(2)]
        return squared_error(mixed, [*y, y[0]])

    return compile(f, parameters), X4, ROWS


def that_uses_weights_beside_their_layer():
    """A layer's matrix in a penalty on some of its entries, and each of two numbers in several products."""
    model = MLP(4, [2, 1], "tanh", seed=3)
    s = [Value(0.5, "s[1]"), Value(-0.25, "s[2]")]

    def f(x, y):
        (w, _), hidden = model.layers[0].neurons[0].w[:2], model.layers[0](x)
        products = [s[k // 2] * x[k] for k in range(4)]
        return squared_error(total(hidden), y) + w.exp() + total([p.sin() for p in products])

    return compile(f, [*model.layers[0].parameters(), *s]), X4, ROWS[:, 0]


PROGRAMS = [
    with_shared_weights, of_parameters_alone, of_x_alone, that_ignores_its_inputs, with_names_that_repeat,
    attention, that_uses_weights_beside_their_layer,
]  # fmt: skip


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("language", LANGUAGES)
def test_programs_that_are_no_networks(language, make, tmp_path):
    program, *data = make()
    assert_same(program, language, tmp_path, *data)


@primitive(partials=lambda out, x: (out * (1.0 - out * 0.5),))
def logistic_2(x):
    """A user's own operation; its name has a digit and its branches depend on the number."""
    if x >= 0.0:
        return 2.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return 2.0 * e / (1.0 + e)


def _mean_of_squares_partials(out, *x):
    n = len(x)
    return tuple([2.0 * x_k / n for x_k in x])


@primitive(arity=None, partials=_mean_of_squares_partials)
def mean_of_squares(*x):
    return sum(x_k * x_k for x_k in x) / len(x)


several = (1.0, 2.0)  # a global with the name of a parameter below


@primitive(arity=None, partials=lambda out, *several: tuple([sum(several) for _ in several]))
def half_of_the_squared_sum(*z):
    return 0.5 * sum(z) ** 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_derivative_that_depends_on_all_inputs(language, tmp_path):
    w = Value(0.5, "w")
    program = compile(lambda x: half_of_the_squared_sum(w * x, w, x), [w])
    assert_same(program, language, tmp_path, X4[:, 1])


def _slope_by_each(x, y):
    """A helper that returns several numbers."""
    square = x * x
    return 2.0 * x * y, square


@primitive(arity=2, partials=lambda out, x, y: tuple([3.0 * slope for slope in _slope_by_each(x, y)]))
def three_x_squared_y(x, y):
    return 3.0 * x * x * y


@pytest.mark.parametrize("language", LANGUAGES)
def test_helpers_that_return_several_numbers(language, tmp_path):
    w = Value(0.5, "w")
    program = compile(lambda x: three_x_squared_y(w * x, w), [w])
    source = assert_same(program, language, tmp_path, X4[:, 1])
    assert "_slope_by_each" in source


@pytest.mark.parametrize("language", LANGUAGES)
def test_operations_of_ones_own(language, tmp_path):
    w = [Value(0.5, "w[1]"), Value(-1.0, "w[2]")]
    program = compile(lambda x: mean_of_squares(*[logistic_2(w_k * x) for w_k in w], w[0]), w)
    source = assert_same(program, language, tmp_path, X4[:, 1])
    assert "logistic_2" in source


def test_the_text_does_not_depend_on_where_operations_are_in_memory():
    w = Value(0.5, "w")
    names = ("first_op", "second_op")
    several = [Op(name, lambda x: 2.0 * x, lambda out, x: (2.0,)) for name in names * 4]
    by_name = [sorted([op for op in several if op.name == name], key=id) for name in names]

    def text(first, second):
        program = compile(lambda x: first(w * x) + second(w * x), [w])
        program([1.0])
        return export.to_source(program, "numpy")

    (lowest_first, *_, highest_first), (lowest_second, *_, highest_second) = by_name
    assert id(lowest_first) < id(highest_second)
    assert id(lowest_second) < id(highest_first)
    assert text(lowest_first, highest_second) == text(highest_first, lowest_second)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_operation_that_can_not_be_said_is_named(language):
    @primitive(partials=lambda out, x: (1.0,))
    def looked_up(x):
        return {1.0: 2.0}.get(x, x)

    w = Value(1.0)
    program = compile(lambda: looked_up(w) * w, [w])
    with pytest.raises(TranslationError, match="op 'looked_up': its forward can't be turned into"):
        export.to_source(program, language)


class TestErrors:
    def test_a_program_that_was_not_called_does_not_know_its_shapes(self):
        w = Value(1.0)
        program = compile(lambda x: w * x, [w])
        with pytest.raises(
            ValueError, match=r"not called yet, so the shapes of X and Y are unknown: call it once"
        ):
            export.to_source(program, "numpy")

    def test_an_unknown_language(self):
        program = compile(lambda: Value(1.0) * 2.0, [])
        with pytest.raises(ValueError, match="language"):
            export.to_source(program, "fortran")

    def test_a_list_is_no_loss(self):
        model = MLP(2, [3], seed=0)
        program = compile(model, model.parameters())
        program.predict([[1.0, 2.0]])
        with pytest.raises(TypeError, match="returns 3 Values, but a loss is one"):
            export.to_source(program, "numpy")


class TestWhatIsWritten:
    """§7: the machine writes down what a learner derives."""

    def test_numpys_code_of_a_network_reads_like_the_paper(self):
        model = MLP(2, [16, 16, 1], activation="tanh", seed=0)
        program = compile(lambda x, y: squared_error(model(x), y), model.parameters())
        program(X4[:, :2], ROWS[:, 0])
        source = export.to_source(program, "numpy")
        assert len(source.splitlines()) < 60
        for line in (
            "z1 = X @ W1.T + b1",
            "a1 = np.tanh(z1)",
            "z3 = a2 @ W3.T + b3",
            "d_W3 = delta3.T @ a2",
            "d_b3 = delta3.sum(axis=0)",
            "d_a2 = delta3 @ W3",
            "d_W1 = delta1.T @ X",
        ):
            assert f"    {line}\n" in source
        assert "    delta2 = d_a2 * (4.0 * sigmoid_slope(2.0 * z2))\n" in source

    def test_the_code_is_the_same_each_time(self):
        for language in LANGUAGES:
            program, *data = attention()
            program(*data)
            assert export.to_source(program, language) == export.to_source(program, language)

    def test_c_needs_no_heap_and_only_the_library_of_mathematics(self):
        program, *data = attention()
        program(*data)
        source = export.to_source(program, "c")
        assert re.findall(r"#include (.*)", source) == ["<math.h>"]
        assert "alloc" not in source

    def test_c_keeps_to_its_memory_and_to_defined_behaviour(self, tmp_path):
        """Under the address sanitizer, in a program of its own."""
        program, X, Y = random_program(0)
        loss, gradient = program.loss_and_grad(X, Y)
        listed = {
            name: ", ".join(map(float.hex, np.ravel(a).tolist()))
            for name, a in (("theta", theta_of(program)), ("X", X), ("Y", Y))
        }
        n = len(gradient)
        main = f"""
#include <stdio.h>
#include <stdlib.h>
int main(void)
{{
    const double theta_[] = {{{listed["theta"]}}}, X_[] = {{{listed["X"]}}}, Y_[] = {{{listed["Y"]}}};
    double *gradient_ = malloc({n} * sizeof(double));
    printf("%a\\n", loss_and_grad(theta_, X_, Y_, {len(X)}, gradient_));
    for (int k = 0; k < {n}; k++) printf("%a\\n", gradient_[k]);
    free(gradient_);
    return 0;
}}
"""
        (tmp_path / "main.c").write_text(export.to_source(program, "c") + main)
        flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-g", "-fsanitize=address,undefined"]
        flags += ["-fno-sanitize-recover=all"]
        subprocess.run(["gcc", *flags, "main.c", "-o", "main", "-lm"], cwd=tmp_path, check=True)
        said = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
        its_loss, *its_gradient = map(float.fromhex, said.split())
        assert its_loss == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(its_gradient, gradient, rtol=1e-12, atol=1e-12 * abs(gradient).max())


class TestFunctions:
    def test_pytorchs_function_is_ready_to_call_and_to_differentiate(self):
        torch = pytest.importorskip("torch")
        program, *data = attention()
        loss, gradient = program.loss_and_grad(*data)
        theta = torch.tensor(theta_of(program), requires_grad=True)
        its_loss = export.to_torch(program)(theta, *map(torch.tensor, data))
        its_loss.backward()
        assert its_loss.item() == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(theta.grad, gradient, rtol=1e-12, atol=1e-14)

    def test_jaxs_function_can_be_compiled(self):
        jax = pytest.importorskip("jax")
        program, *data = attention()
        loss, gradient = program.loss_and_grad(*data)
        its_loss, its_gradient = jax.jit(jax.value_and_grad(export.to_jax(program)))(theta_of(program), *data)
        assert float(its_loss) == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(its_gradient, gradient, rtol=1e-12, atol=1e-14)

    def test_a_traceback_shows_the_code(self):
        program, *data = attention()
        program(*data)
        with pytest.raises(IndexError) as error:
            export.to_torch(program)(theta_of(program)[:3], *data)
        assert any("theta[" in str(entry.statement) for entry in error.traceback)


class TestPredictionsInOnnx:
    @pytest.fixture(autouse=True)
    def runtime(self):
        pytest.importorskip("onnx")
        return pytest.importorskip("onnxruntime")

    def assert_same(self, runtime, program, X, path):
        expected = np.reshape(program.predict(X), (len(X), -1))
        export.to_onnx(program, path)
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        [seen] = session.run(["y"], {"x": np.reshape(X, (len(X), -1)).astype(float)})
        assert seen.dtype == np.float64
        np.testing.assert_allclose(seen, expected, rtol=1e-12, atol=1e-12)

    def test_every_operation(self, runtime, tmp_path):
        w = Value(0.7, "w")

        def f(x):
            outputs = []
            for op in TABLE.values():
                arity = op.arity or 4
                domains = op.domain * arity if len(op.domain) < arity else op.domain
                operands = [squeezed(x_k * w, *domain) for x_k, domain in zip(x, domains)]
                if op.name in ("div", "pow"):
                    operands[1] = operands[1] * operands[1] + 0.5
                outputs.append(op(*operands))
            return outputs

        self.assert_same(runtime, compile(f, [w]), 3.0 * RNG.normal(size=(40, 4)), tmp_path / "p.onnx")

    def test_a_network_with_a_skip_connection(self, runtime, tmp_path):
        first, second = MLP(3, [3], "tanh", "tanh", seed=0), MLP(3, [2], seed=1)
        parameters = [*first.parameters(), *second.parameters()]
        program = compile(lambda x: second([a + x_k for a, x_k in zip(first(x), x)]), parameters)
        self.assert_same(runtime, program, ROWS, tmp_path / "p.onnx")

    def test_operations_of_ones_own(self, runtime, tmp_path):
        w = Value(0.5, "w")
        program = compile(lambda x: mean_of_squares(logistic_2(x * w), x, w), [w])
        self.assert_same(runtime, program, X4[:, 0], tmp_path / "p.onnx")

    def test_what_is_the_same_for_all_examples_beside_what_is_not(self, runtime, tmp_path):
        """It must not be computed from x, which may be infinite."""
        w = Value(0.5, "w")
        program = compile(lambda x: [total([w, x[0], x[1]]).tanh(), w * w], [w])
        X = np.array([[math.inf, 1.0], [0.25, -1.0], [math.nan, 2.0]])
        assert program.predict(X)[0].tolist() == [1.0, 0.25]
        self.assert_same(runtime, program, X, tmp_path / "p.onnx")

    def test_a_loss_predicts_nothing(self, tmp_path):
        program, *data = with_shared_weights()
        program(*data)
        with pytest.raises(TypeError, match="give a program that predicts from x alone"):
            export.to_onnx(program, tmp_path / "p.onnx")
        assert not list(tmp_path.iterdir())


def test_the_page_shows_the_code_as_it_is():
    page = (Path(__file__).parents[2] / "notebooks" / "a_program_as_code.md").read_text(encoding="utf-8")
    example, shown = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    scope = {}
    exec(compile_text(example), scope)
    assert scope["source"] == shown
