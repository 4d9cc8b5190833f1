"""Gradient norms by layer, the largest Hessian eigenvalue and the stable learning rate (§5, §9, §11)."""

import copy
import math
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import micrograd_mlp
from micrograd_mlp import (
    MLP,
    SGD,
    Value,
    cross_entropy,
    dot,
    grad,
    hessian,
    l2,
    mean,
    no_grad,
    squared_error,
    total,
)
from micrograd_mlp.training.diagnostics import (
    Measured,
    largest_hessian_eigenvalue,
    layer_gradient_norms,
    max_stable_learning_rate,
)
from tests.optional import np

ACTIVATIONS = ["tanh", "sigmoid", "relu", "softplus"]


def network_and_loss(activation, sizes, seed, n_examples=5):
    rng = random.Random(seed)
    model = MLP(sizes[0], sizes[1:], activation=activation, seed=seed)
    losses = []
    for i in range(n_examples):
        outputs = model([rng.gauss(0.0, 1.0) for _ in range(sizes[0])])
        if isinstance(outputs, list):
            losses.append(cross_entropy(outputs, i % len(outputs)))
        else:
            losses.append(squared_error(outputs, rng.gauss(0.0, 1.0)))
    return model, mean(losses)


def quadratic(matrix, theta):
    """½ θᵀAθ."""
    return 0.5 * dot(theta, [dot(list(map(float, row)), theta) for row in matrix])


def symmetric_matrix(eigenvalues, seed):
    """A matrix with these eigenvalues, in a random orthogonal basis."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
    return q @ np.diag(eigenvalues) @ q.T


class TestLayerGradientNorms:
    @pytest.mark.parametrize("activation", [*ACTIVATIONS, "linear"])
    def test_norms_are_those_of_the_closed_form_of_section_7(self, activation):
        model = MLP(3, [4, 5, 2], activation=activation, seed=1)
        x, y = [0.5, -1.0, 2.0], [1.0, -1.0]
        slopes = {
            "linear": lambda z: np.ones_like(z),
            "tanh": lambda z: 1 - np.tanh(z) ** 2,
            "sigmoid": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
            "relu": lambda z: (z > 0) * 1.0,
            "softplus": lambda z: 1 / (1 + np.exp(-z)),
        }
        curves = {
            "linear": lambda z: z,
            "tanh": np.tanh,
            "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
            "relu": lambda z: np.maximum(z, 0),
            "softplus": lambda z: np.log1p(np.exp(z)),
        }
        W = [np.array([[w.data for w in neuron.w] for neuron in layer.neurons]) for layer in model.layers]
        a, z = [np.array(x)], []
        for matrix, sigma in zip(W, model.activations):
            z.append(matrix @ a[-1])
            a.append(curves[sigma](z[-1]))
        delta = [a[-1] - y]
        for level in (1, 0):
            delta.insert(0, (W[level + 1].T @ delta[0]) * slopes[activation](z[level]))

        measured = layer_gradient_norms(squared_error(model(x), y), model)

        assert [m.layer for m in measured] == [1, 2, 3]
        assert [m.dz for m in measured] == pytest.approx([np.linalg.norm(d) for d in delta], rel=1e-12)
        expected_dw = [np.linalg.norm(np.outer(d, before)) for d, before in zip(delta, a)]
        assert [m.dw for m in measured] == pytest.approx(expected_dw, rel=1e-12)

    def test_factors_multiply_to_the_ratio_of_first_and_last(self):
        model, loss = network_and_loss("tanh", (2, *[6] * 9, 1), seed=3)
        *hidden, last = layer_gradient_norms(loss, model)
        assert last.factor is None
        product = math.prod(m.factor for m in hidden)
        assert product == pytest.approx(hidden[0].dz / last.dz, rel=1e-12)

    def test_a_batch_is_one_vector_over_neurons_and_examples(self):
        model = MLP(2, [3, 1], activation="tanh", seed=0)
        X, Y = [[1.0, 2.0], [-1.0, 0.5], [0.0, 3.0]], [1.0, 0.0, -1.0]
        one_by_one = [layer_gradient_norms(squared_error(model(x), y), model) for x, y in zip(X, Y)]
        batch = layer_gradient_norms(mean([squared_error(model(x), y) for x, y in zip(X, Y)]), model)
        for level, m in enumerate(batch):
            assert m.dz == pytest.approx(math.hypot(*[e[level].dz for e in one_by_one]) / 3, rel=1e-12)

    def test_a_penalty_on_the_biases_is_no_pre_activation(self):
        model = MLP(2, [3, 1], activation="tanh", seed=0)
        loss = squared_error(model([1.0, 2.0]), 0.5)
        with_penalty = loss + 0.1 * l2(model.parameters())
        plain, penalized = (layer_gradient_norms(each, model) for each in (loss, with_penalty))
        assert [m.dz for m in penalized] == [m.dz for m in plain]

    def test_labels_and_gradients_are_left_alone_and_not_needed(self):
        model, loss = network_and_loss("tanh", (2, 3, 1), seed=0)
        expected = layer_gradient_norms(loss, model)
        for node in loss.topological_order():
            node.label, node.grad = None, 7.0
        assert layer_gradient_norms(loss, model) == expected
        assert {node.grad for node in loss.topological_order()} == {7.0}

    def test_a_dead_network_has_zero_norms(self):
        model = MLP(1, [2, 1], activation="relu", seed=0)
        for neuron in model.layers[0].neurons:
            neuron.b.data = -100.0
        first, last = layer_gradient_norms(squared_error(model([1.0]), 1.0), model)
        assert (first.dz, first.dw, first.factor) == (0.0, 0.0, 0.0)
        assert last.dz == 1.0

    def test_nothing_arrives_anywhere_at_a_perfect_fit(self):
        model = MLP(1, [2, 1], activation="tanh", seed=0)
        loss = squared_error(model([1.0]), model([1.0]).data)
        first, last = layer_gradient_norms(loss, model)
        assert (first.dz, last.dz) == (0.0, 0.0)
        assert math.isnan(first.factor)

    def test_another_models_loss_is_refused(self):
        model, other = MLP(1, [2, 1], seed=0), MLP(1, [2, 1], seed=0)
        with pytest.raises(ValueError, match="does not depend on layer 1 of the model"):
            layer_gradient_norms(squared_error(other([1.0]), 0.0), model)

    def test_no_graph_is_refused(self):
        model = MLP(1, [2, 1], seed=0)
        with no_grad():
            loss = squared_error(model([1.0]), 0.0)
        with pytest.raises(ValueError, match="does not depend on layer 1"):
            layer_gradient_norms(loss, model)


class TestLargestHessianEigenvalue:
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("sizes", [(1, 3, 1), (1, 4, 4, 1), (2, 5, 5, 1), (3, 6, 4, 1), (2, 3, 3, 3)])
    @pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.exhaustive)])
    def test_agrees_with_the_dense_eigenvalue(self, activation, sizes, seed):
        model, loss = network_and_loss(activation, sizes, seed)
        assert len(model.parameters()) <= 60
        dense = np.linalg.eigvalsh(np.array(hessian(loss, model.parameters())))[-1]
        measured = largest_hessian_eigenvalue(loss, model.parameters())
        assert measured == pytest.approx(dense, rel=1e-9, abs=1e-9)
        assert abs(measured - dense) <= measured.uncertainty + 1e-12 * abs(dense)

    @given(st.lists(st.floats(-10.0, 10.0), min_size=1, max_size=8), st.integers(0, 1000))
    def test_of_a_quadratic_is_the_matrixs(self, eigenvalues, seed):
        matrix = symmetric_matrix(eigenvalues, seed)
        theta = [Value(0.5) for _ in eigenvalues]
        measured = largest_hessian_eigenvalue(quadratic(matrix, theta), theta, seed=seed)
        scale = max(map(abs, eigenvalues))
        assert abs(measured - max(eigenvalues)) <= 1e-6 * scale + 1e-300

    def test_a_dominant_negative_eigenvalue_does_not_disturb_it(self):
        theta = [Value(0.0) for _ in range(4)]
        matrix = symmetric_matrix([-1000.0, -50.0, 0.25, 1.0], seed=0)
        assert largest_hessian_eigenvalue(quadratic(matrix, theta), theta) == pytest.approx(1.0, abs=1e-6)

    def test_is_negative_at_a_maximum(self):
        theta = [Value(0.0) for _ in range(3)]
        matrix = symmetric_matrix([-3.0, -2.0, -1.0], seed=0)
        assert largest_hessian_eigenvalue(quadratic(matrix, theta), theta) == pytest.approx(-1.0, abs=1e-9)

    @pytest.mark.parametrize("second", [1.0 - 1e-3, 1.0 - 1e-6, 1.0])
    def test_two_close_eigenvalues_cost_no_thousands_of_products(self, second):
        eigenvalues = [*[k / 20 for k in range(18)], second, 1.0]
        theta = [Value(0.0) for _ in eigenvalues]
        loss = quadratic(symmetric_matrix(eigenvalues, seed=0), theta)
        measured = largest_hessian_eigenvalue(loss, theta, max_products=200)
        assert measured == pytest.approx(1.0, abs=1e-7)

    def test_the_uncertainty_is_the_residual_of_an_eigenvector(self):
        """Loosen the tolerance: the error grows with the uncertainty, and stays below it."""
        eigenvalues = [1.0, 2.0, 5.0, 5.5]
        theta = [Value(0.0) for _ in eigenvalues]
        loss = quadratic(symmetric_matrix(eigenvalues, seed=2), theta)
        loose, tight = (largest_hessian_eigenvalue(loss, theta, tolerance=t) for t in (0.05, 1e-9))
        assert tight.uncertainty < 1e-8 < 1e-3 < loose.uncertainty
        assert min(abs(loose - each) for each in eigenvalues) <= loose.uncertainty

    def test_too_few_products_warn_and_show_in_the_uncertainty(self):
        eigenvalues = [float(k) for k in range(10)]
        theta = [Value(0.0) for _ in eigenvalues]
        loss = quadratic(symmetric_matrix(eigenvalues, seed=0), theta)
        with pytest.warns(RuntimeWarning, match="did not settle in 4 products"):
            measured = largest_hessian_eigenvalue(loss, theta, max_products=4)
        assert measured.uncertainty > 1e-2

    def test_never_computes_the_hessian(self, monkeypatch):
        """60 parameters, and fewer backward passes than the Hessian has rows."""
        passes = []
        monkeypatch.setattr(
            micrograd_mlp.diagnostics, "grad", lambda *args, **kw: passes.append(1) or grad(*args, **kw)
        )
        theta = [Value(0.1) for _ in range(60)]
        largest_hessian_eigenvalue(total([(k % 3 + 1.0) * t**2 for k, t in enumerate(theta)]), theta)
        assert len(passes) < 20

    def test_a_loss_without_curvature_has_none(self):
        u, v = Value(1.0), Value(2.0)
        assert largest_hessian_eigenvalue(3.0 * u - v, [u, v]) == 0.0
        assert largest_hessian_eigenvalue(u * 1.0, [v]) == 0.0

    def test_leaves_gradients_alone_and_repeats_bit_for_bit(self):
        model, loss = network_and_loss("tanh", (2, 3, 1), seed=0)
        first, second = (largest_hessian_eigenvalue(loss, model.parameters()) for _ in range(2))
        assert first == second
        assert first.uncertainty == second.uncertainty
        assert {p.grad for p in model.parameters()} == {0.0}

    def test_another_seed_finds_the_same(self):
        model, loss = network_and_loss("tanh", (2, 3, 1), seed=0)
        first = largest_hessian_eigenvalue(loss, model.parameters())
        second = largest_hessian_eigenvalue(loss, model.parameters(), seed=random.Random(5))
        assert first == pytest.approx(second, rel=1e-10)

    def test_no_parameters_are_refused(self):
        with pytest.raises(ValueError, match="at least one parameter"):
            largest_hessian_eigenvalue(Value(1.0) ** 2, [])

    def test_an_infinite_second_derivative_is_refused(self):
        x = Value(0.0)
        with pytest.raises(ValueError, match="not finite"):
            largest_hessian_eigenvalue(x**1.5, [x])


class TestMaxStableLearningRate:
    @given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=6), st.integers(0, 1000))
    def test_sgd_converges_just_below_and_diverges_just_above(self, eigenvalues, seed):
        matrix = symmetric_matrix(eigenvalues, seed)

        def distance_after(steps, factor):
            theta = [Value(1.0 + k) for k in range(len(eigenvalues))]
            loss = quadratic(matrix, theta)
            optimizer = SGD(theta, lr=factor * max_stable_learning_rate(loss, theta))
            for _ in range(steps):
                optimizer.zero_grad()
                quadratic(matrix, theta).backward()
                optimizer.step()
            return math.hypot(*[t.data for t in theta])

        # Along the sharpest direction each step multiplies by 1 - 2·factor: by -0.9, and by -1.1.
        start = distance_after(0, 1.0)
        slowest = max(0.9, 1.0 - 1.9 * min(eigenvalues) / max(eigenvalues))
        assert distance_after(100, 0.95) <= start * slowest**100 * (1 + 1e-6)
        sharpest = abs(np.linalg.eigh(matrix)[1][:, -1] @ [1.0 + k for k in range(len(eigenvalues))])
        assert distance_after(100, 1.05) >= sharpest * 1.1**100 * (1 - 1e-3)

    def test_is_two_over_lambda_with_its_uncertainty(self):
        model, loss = network_and_loss("tanh", (2, 4, 1), seed=0)
        eigenvalue = largest_hessian_eigenvalue(loss, model.parameters())
        rate = max_stable_learning_rate(loss, model.parameters())
        assert rate == 2.0 / eigenvalue
        assert rate.uncertainty == pytest.approx(rate * eigenvalue.uncertainty / eigenvalue)

    def test_no_upward_curvature_sets_no_limit(self):
        u = Value(1.0)
        assert max_stable_learning_rate(-(u**2), [u]) == math.inf
        assert max_stable_learning_rate(3.0 * u, [u]) == math.inf

    def test_options_reach_the_eigenvalue(self):
        theta = [Value(0.0) for _ in range(9)]
        loss = quadratic(symmetric_matrix([float(k) for k in range(9)], seed=0), theta)
        with pytest.warns(RuntimeWarning, match="did not settle in 3 products"):
            max_stable_learning_rate(loss, theta, max_products=3)


class TestMeasured:
    def test_is_a_float_with_an_uncertainty(self):
        measured = Measured(2.5, 1e-3)
        assert isinstance(measured, float)
        assert (measured * 2, measured.uncertainty, repr(measured)) == (5.0, 1e-3, "2.5 ± 0.001")

    def test_keeps_its_uncertainty_when_copied_and_pickled(self):
        measured = Measured(2.5, 1e-3)
        for other in (copy.copy(measured), copy.deepcopy(measured), pickle.loads(pickle.dumps(measured))):
            assert (other, other.uncertainty) == (2.5, 1e-3)


def test_names_are_found_in_the_package():
    assert micrograd_mlp.layer_gradient_norms is layer_gradient_norms
    assert micrograd_mlp.largest_hessian_eigenvalue is largest_hessian_eigenvalue
    assert micrograd_mlp.max_stable_learning_rate is max_stable_learning_rate
    assert micrograd_mlp.diagnostics.Measured is Measured
