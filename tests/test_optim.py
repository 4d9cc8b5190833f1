"""The optimizers of §10 beyond their recurrences, which tests/paper tests: limits, saved state, bad input."""

import copy
import json
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import MLP, SGD, Adam, Momentum, RMSProp, Value, clip_grad_norm
from micrograd_mlp.optim import Optimizer

gradients = st.lists(st.floats(-10, 10), min_size=1, max_size=6)
OPTIMIZERS = [
    lambda p: SGD(p, lr=0.1),
    lambda p: Momentum(p, lr=0.1, momentum=0.7),
    lambda p: RMSProp(p, lr=0.1, rho=0.6, eps=1e-3),
    lambda p: Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3),
]
all_optimizers = pytest.mark.parametrize("make", OPTIMIZERS, ids=["SGD", "Momentum", "RMSProp", "Adam"])


def run(optimizer, gradients):
    """Where θ is after each step."""
    [theta] = optimizer.params
    path = []
    for g in gradients:
        theta.grad = g
        optimizer.step()
        path.append(theta.data)
    return path


def close(numbers):
    return pytest.approx(numbers, rel=1e-13, abs=1e-15)


class TestRules:
    @given(st.floats(1e-3, 1e3), st.sampled_from([-1.0, 1.0]))
    def test_adams_first_step_is_the_learning_rate_whatever_the_gradient(self, size, sign):
        [theta] = run(Adam([Value(0.0)], lr=0.01), [sign * size])
        assert theta == pytest.approx(-sign * 0.01, rel=1e-4)

    def test_defaults_are_the_papers_and_pytorchs(self):
        p = [Value(0.0)]
        assert (Adam(p).lr, Adam(p).betas, Adam(p).eps) == (1e-3, (0.9, 0.999), 1e-8)
        assert (RMSProp(p, 0.1).rho, RMSProp(p, 0.1).eps, Momentum(p, 0.1).momentum) == (0.9, 1e-8, 0.9)

    @pytest.mark.parametrize(
        "make", [lambda p: RMSProp(p, lr=0.1, rho=0.0), lambda p: Adam(p, lr=0.1, betas=(0.0, 0.0))]
    )
    def test_without_memory_a_step_has_the_size_of_the_learning_rate(self, make):
        assert run(make([Value(0.0)]), [5.0, -0.2, -3.0]) == pytest.approx([-0.1, 0.0, 0.1], abs=1e-8)

    def test_momentum_without_memory_is_sgd(self):
        gs = [5.0, -0.2, -3.0]
        assert run(Momentum([Value(1.0)], lr=0.1, momentum=0.0), gs) == close(run(SGD([Value(1.0)], 0.1), gs))

    @all_optimizers
    def test_a_learning_rate_of_zero_moves_nothing(self, make):
        optimizer = make([Value(1.0)])
        optimizer.lr = 0.0
        assert run(optimizer, [5.0, -3.0]) == [1.0, 1.0]

    @all_optimizers
    def test_each_parameter_has_its_own_state(self, make):
        together = [Value(1.0), Value(2.0)]
        optimizer = make(together)
        for g, h in [(1.0, -3.0), (0.5, 2.0), (0.0, 0.1)]:
            together[0].grad, together[1].grad = g, h
            optimizer.step()
        assert together[0].data == run(make([Value(1.0)]), [1.0, 0.5, 0.0])[-1]
        assert together[1].data == run(make([Value(2.0)]), [-3.0, 2.0, 0.1])[-1]

    @all_optimizers
    def test_a_rule_serves_an_array_as_it_serves_floats(self, make):
        np = pytest.importorskip("numpy")
        optimizer = make([Value(1.0), Value(2.0)])
        settings = optimizer.hyperparameters()
        theta, state = np.array([1.0, 2.0]), [np.zeros(2) for _ in optimizer.state]
        for t, g in enumerate(np.array([[1.0, -3.0], [0.5, 2.0]])):
            theta, *state = optimizer.rule(theta, g, t, *state, *settings)
            for p, g_p in zip(optimizer.params, g, strict=True):
                p.grad = float(g_p)
            optimizer.step()
        assert [p.data for p in optimizer.params] == close(list(theta))

    @all_optimizers
    def test_a_huge_gradient_does_not_raise(self, make):
        assert len(run(make([Value(1.0)]), [1e200, -1e200])) == 2  # its square is inf


class TestState:
    @all_optimizers
    def test_saves_and_resumes_bit_for_bit(self, make):
        gs = [0.3, -1.7, 2.9, 0.1, -0.4]
        whole = run(make([Value(1.0)]), gs)
        first = make([Value(1.0)])
        run(first, gs[:2])
        saved = json.loads(json.dumps(first.state_dict()))
        resumed = make([Value(first.params[0].data)])
        resumed.lr = 0.7  # comes from the saved state
        resumed.load_state_dict(saved)
        assert run(resumed, gs[2:]) == whole[2:]

    @all_optimizers
    def test_of_a_network_with_hundreds_of_parameters_resumes(self, make):
        first, resumed = (make([Value(1.0) for _ in range(300)]) for _ in range(2))
        for p in first.params:
            p.grad = 2.0
        first.step()
        resumed.load_state_dict(first.state_dict())
        assert resumed.state_dict() == first.state_dict()

    @all_optimizers
    def test_a_state_dict_is_a_copy(self, make):
        optimizer = make([Value(1.0)])
        saved = optimizer.state_dict()
        run(optimizer, [1.0])
        assert saved == make([Value(1.0)]).state_dict()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d: d.update(optimizer="SGD"), "the state of SGD, not of Adam"),
            (lambda d: d.update(optimizer="AdaGrad"), "the state of AdaGrad, not of Adam"),
            (lambda d: d.update(t=-1), "t must be 0 or more"),
            (lambda d: d.update(t=1.5), "t must be an int, got 1.5"),
            (lambda d: d["state"].update(m=[0.0, 0.0]), "m has 2 numbers for 1 parameters"),
            (lambda d: d["state"].update(m=[]), "m has 0 numbers for 1 parameters"),
            (lambda d: d["state"].update(m=["0"]), "not the state of an optimizer"),
            (lambda d: d["state"].pop("v"), "not the state of an optimizer"),
            (lambda d: d["hyperparameters"].update(eps=0.0), "eps must be above 0"),
            (lambda d: d.clear(), "not the state of an optimizer"),
        ],
    )
    def test_that_does_not_fit_is_refused_and_changes_nothing(self, change, message):
        optimizer = Adam([Value(1.0)], lr=0.1)
        run(optimizer, [1.0])
        before = optimizer.state_dict()
        bad = Adam([Value(1.0)], lr=0.2).state_dict()
        change(bad)
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(bad)
        assert optimizer.state_dict() == before

    def test_zero_grad(self):
        theta = Value(1.0)
        theta.grad = 3.0
        SGD([theta], lr=0.1).zero_grad()
        assert theta.grad == 0.0

    def test_an_error_in_a_step_changes_nothing(self):
        good, bad = Value(1.0), Value(1.0)
        good.grad, bad.grad = 1.0, None
        with pytest.raises(TypeError):
            SGD([good, bad], lr=0.1).step()
        assert good.data == 1.0

    def test_shows_its_settings(self):
        assert repr(Momentum([Value(0.0)], lr=0.1)) == "Momentum(1 parameters, lr=0.1, momentum=0.9, t=0)"


class TestBadInput:
    @pytest.mark.parametrize("lr", [-0.1, math.nan, math.inf])
    @pytest.mark.parametrize("make", [SGD, Momentum, RMSProp, Adam])
    def test_a_learning_rate_out_of_range(self, make, lr):
        with pytest.raises(ValueError, match="lr must be 0 or more, got"):
            make([Value(0.0)], lr=lr)

    @pytest.mark.parametrize("lr", ["0.1", None, 1j])
    def test_a_learning_rate_that_is_no_number(self, lr):
        with pytest.raises(TypeError, match="lr: expected a real number, got"):
            SGD([Value(0.0)], lr=lr)

    def test_is_checked_whenever_it_is_set(self):
        optimizer = SGD([Value(0.0)], lr=0.1)
        with pytest.raises(ValueError, match="lr must be 0 or more"):
            optimizer.lr = -1
        assert optimizer.lr == 0.1

    @pytest.mark.parametrize(
        "make",
        [
            lambda p: Momentum(p, 0.1, momentum=1.0),
            lambda p: Momentum(p, 0.1, momentum=1.5),
            lambda p: Momentum(p, 0.1, momentum=-0.1),
            lambda p: RMSProp(p, 0.1, rho=1.0),
            lambda p: RMSProp(p, 0.1, eps=0.0),
            lambda p: Adam(p, betas=(1.0, 0.9)),
            lambda p: Adam(p, betas=(0.9, math.nan)),
            lambda p: Adam(p, eps=-1e-8),
        ],
    )
    def test_settings_out_of_range(self, make):
        with pytest.raises(ValueError, match=r"must be (0 or more and below 1|above 0), got"):
            make([Value(0.0)])

    def test_parameters_that_are_none(self):
        with pytest.raises(ValueError, match="at least one parameter"):
            SGD([], lr=0.1)
        with pytest.raises(TypeError, match=r"params must be a list of Values, and 1\.0 is in it"):
            SGD([1.0], lr=0.1)
        theta = Value(0.0)
        with pytest.raises(ValueError, match="twice"):
            SGD([theta, theta], lr=0.1)

    def test_one_value_in_the_place_of_a_list(self):
        with pytest.raises(TypeError, match="params must be a list of Values, got Value"):
            SGD(Value(0.0), lr=0.1)

    def test_a_model_in_the_place_of_its_parameters(self):
        with pytest.raises(TypeError, match=r"got a model, MLP\(.*: write SGD\(model\.parameters\(\)"):
            SGD(MLP(2, [1]), lr=0.1)

    def test_settings_belong_to_one_optimizer(self):
        first, second = SGD([Value(0.0)], lr=0.1), SGD([Value(0.0)], lr=0.2)
        assert (first.lr, second.lr) == (0.1, 0.2)
        assert isinstance(first, Optimizer)


class TestCopies:
    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    @pytest.mark.parametrize("make", [SGD, Momentum, RMSProp, Adam])
    def test_a_copy_takes_the_same_steps_on_its_own_parameters(self, copied, make):
        model = MLP(2, [2, 1], activation="tanh", seed=0)
        optimizer = make(model.parameters(), lr=0.1)
        train = lambda model, optimizer: (
            optimizer.zero_grad(),
            model([1.0, 2.0]).backward(),
            optimizer.step(),
        )
        train(model, optimizer)
        before = optimizer.state_dict()
        other_model, other = copied((model, optimizer))
        train(other_model, other)
        assert (optimizer.t, other.t, optimizer.state_dict()) == (1, 2, before)
        train(model, optimizer)
        assert other.state_dict() == optimizer.state_dict()
        assert other_model.state_dict() == model.state_dict()


class TestClipGradNorm:
    @given(st.lists(st.floats(-100, 100), min_size=1, max_size=5), st.floats(0.1, 10))
    def test_scales_all_by_one_factor(self, gs, max_norm):
        params = [Value(0.0) for _ in gs]
        for p, g in zip(params, gs, strict=True):
            p.grad = g
        norm = clip_grad_norm(params, max_norm)
        assert norm == pytest.approx(math.sqrt(sum(g * g for g in gs)), rel=1e-14, abs=1e-150)
        factor = min(1.0, max_norm / norm) if norm else 1.0
        assert [p.grad for p in params] == pytest.approx([factor * g for g in gs], rel=1e-12, abs=1e-300)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_a_norm_that_is_not_finite_changes_nothing(self, bad):
        params = [Value(0.0), Value(0.0)]
        params[0].grad, params[1].grad = 5.0, bad
        with pytest.raises(ValueError, match="norm of the gradients is"):
            clip_grad_norm(params, 1.0)
        assert params[0].grad == 5.0

    @pytest.mark.parametrize("max_norm", [0.0, -1.0, math.nan])
    def test_max_norm_is_above_zero(self, max_norm):
        with pytest.raises(ValueError, match="max_norm must be above 0"):
            clip_grad_norm([Value(0.0)], max_norm)

    def test_does_not_overflow_on_the_way(self):
        params = [Value(0.0), Value(0.0)]
        params[0].grad, params[1].grad = 3e200, 4e200
        assert clip_grad_norm(params, 1.0) == pytest.approx(5e200, rel=1e-14)
        assert [p.grad for p in params] == pytest.approx([0.6, 0.8])
