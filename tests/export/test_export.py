"""Export: the same numbers in PyTorch and onnxruntime, and back; what has no counterpart is refused."""

import re
import sys

import numpy as np
import pytest

from micrograd_mlp import (
    MLP,
    SGD,
    Adam,
    Momentum,
    RMSProp,
    cross_entropy,
    datasets,
    export,
    mean,
    ops,
    relu,
    squared_error,
)
from micrograd_mlp.nn.activations import ACTIVATIONS
from tests.export.distributed import run_on_two_processes

ROWS = [[0.5, -1.0, 2.0], [30.0, -30.0, 0.1], [-50.0, 1e-3, -2.5], [0.0, 0.0, 0.0]]


def network_of(activation, output_activation=None, seed=0):
    """Two outputs, biases other than 0, and inputs that reach far into both ends of an activation."""
    model = MLP(3, [5, 4, 2], activation, output_activation, seed=seed)
    for k, (name, p) in enumerate(model.named_parameters()):
        if name.startswith("b"):
            p.data = 0.1 * (k % 7 - 3)
    return model


def outputs(model):
    return [[a.data for a in model(row)] for row in ROWS]


class TestPyTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch")

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_the_outputs_are_the_same(self, torch, activation):
        model = network_of(activation, activation)
        seen = export.to_torch(model)(torch.tensor(ROWS, dtype=torch.float64))
        assert seen.dtype == torch.float64
        np.testing.assert_allclose(seen.detach(), outputs(model), rtol=1e-12, atol=1e-13)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_the_gradients_are_the_same(self, torch, activation):
        model = network_of(activation)
        network = export.to_torch(model)
        total = network(torch.tensor(ROWS, dtype=torch.float64)).square().sum()
        total.backward()
        mean([squared_error(model(row), [0.0, 0.0]) for row in ROWS]).backward()
        ours = [p.grad * 2 * len(ROWS) for p in model.parameters()]
        np.testing.assert_allclose(in_our_order(network), ours, rtol=1e-12, atol=1e-13 * max(map(abs, ours)))

    def test_the_squared_errors_differ_by_the_factor_that_the_module_names(self, torch):
        model = network_of("tanh")
        Y = torch.ones(len(ROWS), 2, dtype=torch.float64)
        y_hat = export.to_torch(model)(torch.tensor(ROWS, dtype=torch.float64))
        theirs = 0.5 * torch.nn.MSELoss(reduction="sum")(y_hat, Y) / len(ROWS)
        ours = mean([squared_error(model(row), [1.0, 1.0]) for row in ROWS])
        assert theirs.item() == pytest.approx(ours.data, rel=1e-14)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_the_way_back_is_exact(self, activation):
        model = network_of(["tanh", activation], activation)
        back = export.from_torch(export.to_torch(model))
        assert back.state_dict() == model.state_dict()
        assert back.config() == model.config()

    def test_a_function_that_has_a_name_is_known_by_it(self, torch):
        network = export.to_torch(MLP(2, [3, 1], activation=ops.tanh, seed=0))
        assert isinstance(network[1], torch.nn.Tanh)

    def test_a_function_of_ones_own_is_refused(self):
        def swish(z):
            return z * z.sigmoid()

        with pytest.raises(ValueError, match=r"swish is a function of your own.*there are linear, sigmoid"):
            export.to_torch(MLP(2, [3, 1], activation=swish, seed=0))

    def test_a_network_from_elsewhere_in_single_precision_without_bias(self, torch):
        network = torch.nn.Sequential(
            torch.nn.Linear(3, 2, bias=False), torch.nn.Identity(), torch.nn.Linear(2, 1), torch.nn.Softplus()
        )
        model = export.from_torch(network)
        seen = [model(row).data for row in ROWS]
        np.testing.assert_allclose(
            seen, network.double()(torch.tensor(ROWS).double())[:, 0].detach(), rtol=1e-8
        )

    @pytest.mark.parametrize(
        ("modules", "message"),
        [
            (lambda nn: [], "no Linear module"),
            (lambda nn: [nn.ReLU()], "module 0, ReLU.., does not follow a Linear"),
            (lambda nn: [nn.Linear(2, 2), nn.ReLU(), nn.ReLU()], "module 2, ReLU.., does not follow"),
            (lambda nn: [nn.Linear(2, 2), nn.SELU()], "module 1, SELU.*has no counterpart.*there are Linear"),
            (lambda nn: [nn.Linear(2, 2), nn.GELU("tanh")], "module 1, GELU.*has no counterpart"),
            (lambda nn: [nn.Linear(2, 2), nn.LeakyReLU(0.2)], r"LeakyReLU\(negative_slope=0.2\)"),
            (lambda nn: [nn.Linear(2, 2), nn.Softplus(beta=2)], r"Softplus\(beta=2"),
            (lambda nn: [nn.Linear(2, 2), nn.Softplus(threshold=5)], r"threshold=5"),
            (lambda nn: [nn.Linear(2, 3), nn.Linear(2, 1)], "module 1 takes 2 inputs.*gives 3"),
        ],
    )
    def test_what_an_mlp_has_no_counterpart_for_is_refused(self, torch, modules, message):
        with pytest.raises(ValueError, match=message):
            export.from_torch(torch.nn.Sequential(*modules(torch.nn)))

    def test_anything_but_a_sequential_is_refused(self, torch):
        with pytest.raises(TypeError, match=r"expected a torch.nn.Sequential, got Linear"):
            export.from_torch(torch.nn.Linear(2, 1))

    def test_a_wrapped_sequential_says_where_it_is(self, torch):
        wrapped = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(2, 1)))
        with pytest.raises(TypeError, match=r"got DataParallel: give its \.module"):
            export.from_torch(wrapped)


def in_our_order(network):
    """The gradients neuron by neuron."""
    linears = [module for module in network if hasattr(module, "weight")]
    return np.concatenate(
        [np.column_stack([linear.weight.grad, linear.bias.grad]).ravel() for linear in linears]
    )


OPTIMIZERS = {
    "SGD": lambda params: SGD(params, lr=0.1),
    "Momentum": lambda params: Momentum(params, lr=0.1, momentum=0.8),
    "RMSProp": lambda params: RMSProp(params, lr=0.01, rho=0.8, eps=1e-3),
    "Adam": lambda params: Adam(params, lr=0.01, betas=(0.8, 0.99), eps=1e-3),
}
"""Settings that are nobody's defaults, and an ε large enough to tell where it stands."""


class TestOptimizers:
    X = ((0.5, -1.0), (1.0, 0.3), (-0.7, 0.2))
    Y = (0, 1, 2)

    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch")

    def our_step(self, model, optimizer):
        model.zero_grad()
        mean([cross_entropy(model(x), y) for x, y in zip(self.X, self.Y)]).backward()
        optimizer.step()

    def their_step(self, torch, network, optimizer):
        X, Y = torch.tensor(self.X, dtype=torch.float64), torch.tensor(self.Y)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(X), Y).backward()
        optimizer.step()

    @pytest.mark.parametrize("steps_before", [0, 3])
    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_the_steps_are_the_same_from_the_start_and_in_mid_training(self, torch, name, steps_before):
        model = MLP(2, [4, 3], activation="tanh", seed=0)
        optimizer = OPTIMIZERS[name](model.parameters())
        for _ in range(steps_before):
            self.our_step(model, optimizer)
        network = export.to_torch(model)
        theirs = export.to_torch_optimizer(optimizer, network)
        start = [p.data for p in model.parameters()]
        for _ in range(4):
            self.our_step(model, optimizer)
            self.their_step(torch, network, theirs)
        ours = [p.data for p in model.parameters()]
        seen = [p.data for p in export.from_torch(network).parameters()]
        assert max(abs(a - b) for a, b in zip(start, ours)) > 1e-3
        np.testing.assert_allclose(seen, ours, rtol=1e-12, atol=1e-13)

    def test_momentum_parts_from_pytorchs_when_the_learning_rate_changes(self, torch):
        model = MLP(2, [4, 3], activation="tanh", seed=0)
        optimizer = OPTIMIZERS["Momentum"](model.parameters())
        network = export.to_torch(model)
        theirs = export.to_torch_optimizer(optimizer, network)
        for lr in (0.1, 0.01):
            optimizer.lr = theirs.param_groups[0]["lr"] = lr
            self.our_step(model, optimizer)
            self.their_step(torch, network, theirs)
        ours, seen = model.parameters(), export.from_torch(network).parameters()
        assert max(abs(a.data - b.data) for a, b in zip(ours, seen)) > 1e-3

    def test_a_velocity_without_a_learning_rate_is_refused(self):
        model = MLP(2, [4, 3], seed=0)
        optimizer = Momentum(model.parameters(), lr=0.1)
        self.our_step(model, optimizer)
        optimizer.lr = 0.0
        with pytest.raises(ValueError, match="does not exist for a learning rate of 0"):
            export.to_torch_optimizer(optimizer, export.to_torch(model))

    def test_a_rule_of_ones_own_is_refused_even_if_it_comes_from_one_of_ours(self):
        class SignSGD(SGD):
            @staticmethod
            def rule(theta, g, t, lr):
                return (theta - lr * (1.0 if g > 0.0 else -1.0),)

        model = MLP(2, [1], seed=0)
        with pytest.raises(TypeError, match="that of SignSGD; there are SGD, Momentum, RMSProp and Adam"):
            export.to_torch_optimizer(SignSGD(model.parameters(), lr=0.1), export.to_torch(model))

    @pytest.mark.parametrize("other", [MLP(2, [1], seed=1), MLP(2, [3, 1], seed=0), MLP(1, [1, 1], seed=0)])
    def test_another_models_optimizer_is_refused(self, other):
        optimizer = SGD(other.parameters(), lr=0.1)
        with pytest.raises(ValueError, match="the network's weights are not the optimizer's parameters"):
            export.to_torch_optimizer(optimizer, export.to_torch(MLP(2, [1], seed=0)))


def test_the_documented_example_on_two_processes_averages_to_the_gradient_of_the_whole_batch(tmp_path):
    torch = pytest.importorskip("torch")
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this PyTorch has no gloo")
    [example] = re.findall(r"```python\n(.*?)```", export.__doc__, flags=re.DOTALL)
    keep = "    torch.save([p.grad for p in network.parameters()], 'gradient.pt')\n"
    (tmp_path / "train.py").write_text(example.replace("if rank == 0:\n", "if rank == 0:\n" + keep))
    run_on_two_processes(tmp_path / "train.py")

    model = MLP(4, [8, 3], activation="tanh", seed=0)
    optimizer = SGD(model.parameters(), lr=0.1)
    X, y = datasets.iris()
    for _ in range(5):
        model.zero_grad()
        mean([cross_entropy(model(row), target) for row, target in zip(X, y)]).backward()
        optimizer.step()
    W1, b1, W2, b2 = torch.load(tmp_path / "gradient.pt")
    seen = np.concatenate([np.column_stack([W, b]).ravel() for W, b in ((W1, b1), (W2, b2))])
    np.testing.assert_allclose(seen, [p.grad for p in model.parameters()], rtol=1e-12, atol=1e-13)
    trained = MLP.load(tmp_path / "trained.json")
    np.testing.assert_allclose(
        [p.data for p in trained.parameters()], [p.data for p in model.parameters()], rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("edit", ["sigma", "activation"])
@pytest.mark.parametrize(
    "write", [lambda model, folder: export.to_torch(model), lambda m, folder: export.to_onnx(m, folder / "m")]
)
def test_a_network_that_computes_something_else_is_refused(tmp_path, write, edit):
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    model = MLP(2, [3, 1], activation="tanh", seed=0)
    setattr(model.layers[0].neurons[1], edit, relu)
    with pytest.raises(ValueError, match=r"a1\[2\] is computed by relu, and its layer by tanh"):
        write(model, tmp_path)


class TestOnnx:
    @pytest.fixture(autouse=True)
    def onnx(self):
        return pytest.importorskip("onnx")

    @pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if ACTIVATIONS[name].onnx])
    def test_onnxruntime_gives_the_same_outputs(self, activation, tmp_path):
        runtime = pytest.importorskip("onnxruntime")
        model = network_of(activation, activation)
        export.to_onnx(model, tmp_path / "model.onnx")
        session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        [seen] = session.run(None, {"x": np.array(ROWS)})
        assert seen.dtype == np.float64
        np.testing.assert_allclose(seen, outputs(model), rtol=1e-12, atol=1e-13)

    def test_an_activation_that_no_runtime_has_in_float64_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="ONNX runtimes can't compute gelu in float64"):
            export.to_onnx(MLP(2, [1], output_activation="gelu"), tmp_path / "model.onnx")
        assert not list(tmp_path.iterdir())

    def test_one_output_is_a_column_for_any_number_of_rows(self, tmp_path):
        runtime = pytest.importorskip("onnxruntime")
        export.to_onnx(MLP(2, [3, 1], seed=0), tmp_path / "model.onnx")
        session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        for rows in (1, 7):
            assert session.run(["y"], {"x": np.ones((rows, 2))})[0].shape == (rows, 1)

    def test_the_nodes_are_gemm_and_activations(self, onnx, tmp_path):
        export.to_onnx(
            MLP(2, [3, 1], activation="tanh", output_activation="sigmoid", seed=0), tmp_path / "m.onnx"
        )
        graph = onnx.load(tmp_path / "m.onnx").graph
        assert [node.op_type for node in graph.node] == ["Gemm", "Tanh", "Gemm", "Sigmoid"]
        assert {number.data_type for number in graph.initializer} == {onnx.TensorProto.DOUBLE}

    def test_a_file_that_can_not_be_written_anew_is_kept(self, tmp_path):
        path = tmp_path / "model.onnx"
        export.to_onnx(MLP(2, [1], seed=0), path)
        before = path.read_bytes()
        with pytest.raises(ValueError, match="a function of your own"):
            export.to_onnx(MLP(2, [1], output_activation=lambda z: z * z, seed=0), path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("package", "extra", "call"),
    [
        ("torch", "torch", lambda model: export.to_torch(model)),
        ("torch", "torch", lambda model: export.from_torch(model)),
        ("torch", "torch", lambda model: export.to_torch_optimizer(SGD(model.parameters(), lr=0.1), model)),
        ("onnx", "onnx", lambda model: export.to_onnx(model, "never.onnx")),
    ],
)
def test_a_missing_package_is_an_error_that_names_the_extra(monkeypatch, package, extra, call):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=re.escape(f'pip install "micrograd_mlp[{extra}]"')):
        call(MLP(2, [1], seed=0))
