"""gradcheck on PyTorch and JAX: their own gradients are asked for; parameters have their module's names."""

import pytest

from micrograd_mlp import GradCheckError, gradcheck

torch = pytest.importorskip("torch")


def verdicts(*arguments, **options):
    report = gradcheck(*arguments, raise_exception=False, **options)
    return {row.label: row.verdict.split(",")[0] for row in report.rows}


class TestPyTorch:
    def module(self, dtype=torch.float64):
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).to(dtype)

    def test_tensors_that_require_a_gradient(self):
        x = torch.randn(3, dtype=torch.float64, requires_grad=True)
        constant = torch.randn(3, dtype=torch.float64)
        report = gradcheck(lambda x, y: (x * y).sin(), [x, constant])
        assert {row.label for row in report.rows} == {"x[0]", "x[1]", "x[2]"}
        assert gradcheck(lambda x, y: (x * y).sin(), [constant, constant]).count == 6
        assert x.grad is None

    def test_a_module_with_its_parameters_by_name(self):
        module, x = self.module(), torch.randn(2, 4, dtype=torch.float64)
        before = {name: p.detach().clone() for name, p in module.named_parameters()}
        with pytest.raises(GradCheckError) as caught:
            gradcheck(Spoilt(self.module(), "2.weight"), [x])
        assert "inner.2.weight[" in str(caught.value)
        assert "inner.0" not in str(caught.value)
        assert gradcheck(module, [x]).count == 4 * 5 + 5 + 5 * 2 + 2
        assert gradcheck(lambda m: m(x).pow(2).mean(), module)
        assert gradcheck(lambda: module(x).pow(2).mean(), module)
        assert gradcheck(lambda *_: module(x).pow(2).mean(), list(module.parameters()))
        assert gradcheck(lambda **_: module(x).pow(2).mean(), dict(module.named_parameters()))
        assert all(torch.equal(before[name], p) for name, p in module.named_parameters())

    def test_buffers_come_back(self):
        norm = torch.nn.BatchNorm1d(3, dtype=torch.float64)
        before = norm.running_mean.clone()
        assert gradcheck(norm, [torch.randn(5, 3, dtype=torch.float64)])
        assert torch.equal(norm.running_mean, before)

    def test_an_autograd_function_right_and_wrong(self):
        x = torch.randn(3, dtype=torch.float64, requires_grad=True)
        assert gradcheck(sine(1.0).apply, [x])
        assert set(verdicts(sine(1.001).apply, [x]).values()) == {"wrong"}

    def test_a_gradient_lost_through_detach(self):
        x = torch.randn(2, dtype=torch.float64)
        assert set(verdicts(lambda x: (x.detach() ** 2).sum() + 0 * x.sum(), [x]).values()) == {"wrong"}

    def test_a_gradient_of_ones_own(self):
        x = torch.randn(3, dtype=torch.float64)
        assert gradcheck(lambda x: (x**2).sum(), [x], lambda x: [2 * x])
        assert set(verdicts(lambda x: (x**2).sum(), [x], lambda x: [3 * x]).values()) == {"wrong"}

    @pytest.mark.parametrize(
        "layer",
        [
            lambda: torch.nn.GRU(3, 8),
            lambda: torch.nn.TransformerEncoderLayer(3, 1, 16, dropout=0.0),
            lambda: torch.nn.Sequential(torch.nn.Linear(3, 20), torch.nn.ReLU(), torch.nn.Linear(20, 2)),
        ],
        ids=["GRU", "Transformer", "ReLU"],
    )
    def test_pytorchs_own_layers_pass(self, layer):
        torch.manual_seed(3)
        assert gradcheck(layer().double(), [torch.randn(5, 2, 3, dtype=torch.float64)])

    def test_float32_is_told(self):
        report = gradcheck(self.module(torch.float32), [torch.randn(2, 4)], raise_exception=False)
        assert all(row.passed or "about" in row.verdict for row in report.rows)

    def test_dropout_is_named(self):
        with pytest.raises(ValueError, match="call eval"):
            gradcheck(torch.nn.Dropout(), [torch.randn(50, dtype=torch.float64)])

    def test_second_derivatives(self):
        module, x = self.module(), torch.randn(2, 4, dtype=torch.float64)
        report = gradcheck(lambda m: m(x).pow(2).mean(), module, order=2)
        assert report.count == 2 * (4 * 5 + 5 + 5 * 2 + 2)
        assert gradcheck(lambda x: (x**3).sum(), [torch.randn(3, dtype=torch.float64)], order=2)
        once = sine(1.0, twice=False)
        x = torch.randn(3, dtype=torch.float64, requires_grad=True)
        found = verdicts(lambda x: once.apply(x).sum(), [x], order=2)
        assert found["x[0]"] == "ok"
        assert found["∇f·u by x[0]"] == "wrong"

    def test_a_large_module_takes_few_evaluations(self):
        module = torch.nn.Sequential(
            torch.nn.Linear(400, 400), torch.nn.ReLU(), torch.nn.Linear(400, 10)
        ).double()
        x, calls = torch.randn(3, 400, dtype=torch.float64), []

        def f(module):
            calls.append(1)
            return module(x).pow(2).mean()

        report = gradcheck(f, module)
        assert report.count == 400 * 400 + 400 + 4000 + 10
        assert len(calls) < 100
        assert "missed with probability 0" in report.notes[0]


class Spoilt(torch.nn.Module):
    """A module in which the gradient of one parameter is a thousandth too large."""

    def __init__(self, inner, name):
        super().__init__()
        self.inner = inner
        dict(inner.named_parameters())[name].register_hook(lambda g: g * 1.001)

    def forward(self, x):
        return self.inner(x)


def sine(factor, twice=True):
    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return factor * g * (x if twice else x.detach()).cos()

    return Sine


class TestJAX:
    @pytest.fixture
    def jax(self):
        return pytest.importorskip("jax")

    def test_arrays_and_dicts_of_them(self, jax):
        jnp = jax.numpy
        W, b = jnp.ones((2, 3)) * 0.3, jnp.arange(3.0)
        report = gradcheck(lambda W, b: jnp.tanh(W @ b), [W, b])
        assert {"W[0,1]", "b[2]"} <= {row.label for row in report.rows}
        assert gradcheck(lambda p: (jnp.tanh(p["a"]["W"]) ** 2).sum(), {"a": {"W": W}})

    def test_a_wrong_rule(self, jax):
        @jax.custom_vjp
        def f(x):
            return jax.numpy.sin(x).sum()

        f.defvjp(lambda x: (f(x), x), lambda x, g: (0.9 * g * jax.numpy.cos(x),))
        assert set(verdicts(f, [jax.numpy.array([0.5, 1.0])]).values()) == {"wrong"}

    def test_second_derivatives(self, jax):
        jnp = jax.numpy
        W, b = jnp.ones((2, 3)) * 0.3, jnp.array([0.5, -0.7, 1.1])
        report = gradcheck(lambda W, b: jnp.tanh(W @ b).sum(), [W, b], order=2)
        assert report.count == 2 * (6 + 3)

        @jax.custom_vjp
        def cosine(x):  # the slope of sine, with a rule of its own that is wrong
            return jnp.cos(x)

        cosine.defvjp(lambda x: (cosine(x), x), lambda x, g: (-0.9 * g * jnp.sin(x),))

        @jax.custom_vjp
        def sine(x):
            return jnp.sin(x)

        sine.defvjp(lambda x: (sine(x), x), lambda x, g: (g * cosine(x),))
        found = verdicts(lambda x: sine(x).sum(), [jnp.array([0.5, 1.0])], order=2)
        assert found["x[0]"] == "ok"
        assert found["∇f·u by x[0]"] == "wrong"
