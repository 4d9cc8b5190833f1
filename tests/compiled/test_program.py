"""`compile` and `Program`: what they promise beside the right numbers."""

import contextlib
import random
import subprocess
import sys

import pytest

import micrograd_mlp
from micrograd_mlp import (
    MLP,
    SGD,
    Adam,
    Momentum,
    Value,
    cross_entropy,
    exp,
    hinge,
    l2,
    maximum,
    no_grad,
    ops,
    relu,
    squared_error,
)

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
from micrograd_mlp.compiled import get_num_threads, machine, native, set_num_threads, trace  # noqa: E402

X = [[0.5, -1.0], [1.5, 0.25], [-0.75, 2.0], [0.0, 1.0]]
Y = [1.0, -1.0, 1.0, -1.0]


@pytest.fixture
def model():
    return MLP(2, [3, 1], activation="tanh", seed=0)


@pytest.fixture
def program(compile, model):
    return compile(lambda x, y: hinge(model(x), y), model.parameters())


class TestResults:
    def test_grad_is_replaced_not_added_to(self, program, model):
        program(X, Y)
        first = [p.grad for p in model.parameters()]
        program(X, Y)
        assert [p.grad for p in model.parameters()] == first
        assert any(first)

    def test_loss_and_grad_leaves_grad_alone_and_has_the_order_of_the_parameters(self, compile, model):
        parameters = model.parameters()[::-1]
        program = compile(lambda x, y: hinge(model(x), y), parameters)
        for p in parameters:
            p.grad = 7.0
        _, gradient = program.loss_and_grad(X, Y)
        assert all(p.grad == 7.0 for p in parameters)
        program(X, Y)
        assert [p.grad for p in parameters] == gradient.tolist()

    def test_the_arrays_belong_to_the_caller(self, program):
        _, gradient = program.loss_and_grad(X, Y)
        before = gradient.copy()
        program.loss_and_grad([[3.0, 3.0]], [1.0])
        assert (gradient == before).all()

    def test_changed_parameters_are_seen(self, program, model):
        before = program(X, Y)
        model.parameters()[0].data += 1.0
        assert program(X, Y) != before

    def test_inputs_in_any_form(self, program):
        expected = program(X, Y)
        assert program(tuple(map(tuple, X)), tuple(Y)) == expected
        assert program(np.array(X, dtype=np.float32), np.array(Y, dtype=np.int8)) == expected
        assert program(np.asfortranarray(X), np.array(Y)) == expected

    def test_numbers_in_X_become_one_value(self, compile):
        w = Value(2.0)
        assert compile(lambda x, y: (w * x - y) ** 2, [w])([1.0, 2.0], [0.0, 0.0]) == 10.0

    def test_rows_in_Y_become_a_list(self, compile):
        w = Value(2.0)
        assert compile(lambda x, y: w * x * (y[0] - y[1]), [w])([1.0, 1.0], [[3.0, 1.0], [1.0, 1.0]]) == 2.0

    def test_parameters_alone(self, compile):
        v, w = Value(2.0), Value(3.0)
        program = compile(lambda: l2([v, w]), [v, w])
        assert program() == 13.0
        assert (v.grad, w.grad) == (4.0, 6.0)

    def test_a_loss_that_ignores_its_inputs(self, compile):
        w = Value(3.0)
        program = compile(lambda x, y: w * w, [w])
        assert program(X, Y) == 9.0
        assert w.grad == pytest.approx(6.0, rel=1e-15)

    def test_a_parameter_that_is_not_used_has_no_gradient(self, compile):
        v, w = Value(2.0), Value(3.0)
        compile(lambda x: w * x, [v, w])([1.0, 3.0])
        assert (v.grad, w.grad) == (0.0, 2.0)

    def test_predict(self, compile, approx, model):
        predicted = compile(model, model.parameters()).predict(X)
        with no_grad():
            assert predicted == approx([model(x).data for x in X], rel=1e-12)

    def test_predict_several_outputs(self, compile, approx):
        model = MLP(2, [4, 3], seed=0)
        predicted = compile(model, model.parameters()).predict(X)
        with no_grad():
            assert predicted == approx(np.array([[z.data for z in model(x)] for x in X]), rel=1e-12)

    def test_under_no_grad_it_still_differentiates(self, compile, model):
        with no_grad():
            loss, gradient = compile(lambda x, y: hinge(model(x), y), model.parameters()).loss_and_grad(X, Y)
        assert gradient.any()
        assert loss > 0.0

    def test_several_shapes(self, compile):
        w = Value(2.0)
        program = compile(lambda x: w * ops.total(x), [w])
        assert program([[1.0, 2.0]]) == 6.0
        assert program([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]) == 6.0
        assert program([[1.0, 2.0]]) == 6.0


class TestTraining:
    def test_batches_in_the_order_of_eager_training(self, compile, approx, model):
        """The same seed gives the same rows in the same steps as `fit`."""
        from micrograd_mlp import fit

        twin = MLP(2, [3, 1], activation="tanh", seed=0)
        rng = np.random.default_rng(0)
        rows, targets = rng.normal(size=(11, 2)), np.sign(rng.normal(size=11))
        program = compile(lambda x, y: hinge(model(x), y), model.parameters())
        losses = program.train(SGD(model.parameters(), 0.1), rows, targets, epochs=3, batch_size=4, seed=5)
        optimizer = SGD(twin.parameters(), 0.1)
        history = fit(twin, hinge, rows.tolist(), targets.tolist(), optimizer, epochs=3, batch_size=4, seed=5)
        assert losses == approx(history.losses, rel=1e-10)
        expected = [p.data for p in twin.parameters()]
        assert [p.data for p in model.parameters()] == approx(expected, rel=1e-10, size=1.0)

    def test_eager_and_compiled_steps_mix(self, compile, approx, program, model):
        twin = MLP(2, [3, 1], activation="tanh", seed=0)
        other = compile(lambda x, y: hinge(twin(x), y), twin.parameters())
        mixed, pure = Adam(model.parameters(), 0.1), Adam(twin.parameters(), 0.1)
        program.train(mixed, X, Y, steps=2)
        program(X, Y)
        mixed.step()
        program.train(mixed, X, Y, steps=2)
        other.train(pure, X, Y, steps=5)
        assert mixed.t == pure.t == 5
        expected = [p.data for p in twin.parameters()]
        assert [p.data for p in model.parameters()] == approx(expected, rel=1e-9, size=1.0)

    def test_losses_are_those_before_each_step(self, program, model):
        before = program(X, Y)
        losses = program.train(SGD(model.parameters(), 0.1), X, Y, steps=3)
        assert len(losses) == 3
        assert losses[0] == before
        assert program(X, Y) < losses[-1]

    def test_losses_without_examples_are_those_before_each_step(self, compile):
        w = Value(3.0)
        program = compile(lambda: w * w, [w])
        assert program.train(SGD([w], lr=0.25), steps=3) == [9.0, 2.25, 0.5625]

    def test_callback_sees_each_step_and_can_end_it(self, program, model):
        seen = []

        def callback(step, loss):
            seen.append((step, loss, model.parameters()[0].data))
            return step == 3

        losses = program.train(SGD(model.parameters(), 0.1), X, Y, steps=10, callback=callback)
        assert [step for step, _, _ in seen] == [1, 2, 3]
        assert [loss for _, loss, _ in seen] == losses
        assert len({datum for _, _, datum in seen}) == 3

    def test_callback_may_change_the_learning_rate(self, program, model):
        optimizer = SGD(model.parameters(), 0.1)

        def stop_moving(step, loss):
            optimizer.lr = 0.0

        losses = program.train(optimizer, X, Y, steps=4, callback=stop_moving)
        assert losses[0] != losses[1] == losses[2] == losses[3]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
    def test_an_interruption_keeps_the_last_finished_step(self, compile, program, model, error):
        twin = MLP(2, [3, 1], activation="tanh", seed=0)
        optimizer, expected = Adam(model.parameters(), 0.1), Adam(twin.parameters(), 0.1)

        def callback(step, loss):
            if step == 4:
                raise error

        with pytest.raises(error):
            program.train(optimizer, X, Y, steps=10, callback=callback)
        compile(lambda x, y: hinge(twin(x), y), twin.parameters()).train(expected, X, Y, steps=4)
        assert [p.data for p in model.parameters()] == [p.data for p in twin.parameters()]
        assert optimizer.state_dict() == expected.state_dict()

    def test_ctrl_c_inside_of_a_chunk(self, compile, program, model, monkeypatch):
        """The signal arrives when machine code returns, before Python has counted its steps."""
        enter = machine.Machine._enter

        def interrupted(self, job, code):
            enter(self, job, code)
            if optimizer.t >= 3:
                raise KeyboardInterrupt

        optimizer = Adam(model.parameters(), 0.1)
        program(X, Y)
        monkeypatch.setattr(machine.Machine, "_enter", interrupted)
        monkeypatch.setattr(machine, "OPERANDS_A_SECOND", 1)  # then training begins with one step
        with pytest.raises(KeyboardInterrupt):
            program.train(optimizer, X, Y, steps=100)
        monkeypatch.undo()
        twin = MLP(2, [3, 1], activation="tanh", seed=0)
        expected = Adam(twin.parameters(), 0.1)
        compile(lambda x, y: hinge(twin(x), y), twin.parameters()).train(expected, X, Y, steps=optimizer.t)
        assert 3 < optimizer.t < 100
        assert [p.data for p in model.parameters()] == [p.data for p in twin.parameters()]
        assert optimizer.state_dict() == expected.state_dict()

    @pytest.mark.parametrize("steps", [3, 40])
    def test_a_loss_that_overflows_is_an_error_and_costs_nothing(self, compile, steps):
        w = Value(1.0)
        program = compile(lambda x: exp(w * x), [w])
        optimizer = SGD([w], lr=-0.0 + 2.0)
        with pytest.raises(FloatingPointError, match=r"learning rate 2\.0"):
            program.train(optimizer, [-1.0, 8.0], steps=steps)
        assert np.isfinite(program([-1.0, 8.0]))
        assert np.isfinite(w.data)

    @pytest.mark.parametrize("steps", [3, 3000], ids=["tape", "unrolled"])
    def test_a_parameter_that_overflows_is_an_error_though_the_loss_is_finite(self, compile, steps):
        w = Value(-60.0)
        program = compile(lambda x: exp(-w * x), [w])  # exp(-inf) = 0
        with pytest.raises(FloatingPointError, match="a parameter became inf or nan in step 1"):
            program.train(SGD([w], lr=1e300), [1.0, 1.0], steps=steps)
        assert w.data == -60.0

    @pytest.mark.skipif(not native.target("double").is_x86, reason="other processors are not slowed down")
    @pytest.mark.parametrize("n", [1, 40], ids=["single numbers", "vectors"])
    def test_moments_below_the_smallest_normal_number_are_zero(self, compile, n):
        """v ← 0.9 v would stay at a subnormal number, which takes ten times as long to compute with."""
        w = [Value(1.0) for _ in range(n)]
        program = compile(lambda x: ops.total([relu(p * x) for p in w]), w)
        optimizer = Momentum(w, lr=10.0)
        program.train(optimizer, [1.0], steps=8000)
        assert optimizer.state["v"] == [0.0] * n

    def test_two_optimizers_do_not_share_state(self, program, model):
        first, second = Adam(model.parameters(), 0.1), Adam(model.parameters(), 0.1)
        program.train(first, X, Y, steps=2)
        program.train(second, X, Y, steps=1)
        assert (first.t, second.t) == (2, 1)
        assert first.state["m"] != second.state["m"]

    @pytest.mark.parametrize("batch_size", [5, 11])
    def test_a_small_last_batch_gives_the_same_bits_where_a_chunk_of_steps_begins_with_it(
        self, compile, batch_size
    ):
        """With a callback each step is a chunk of its own; without, how many depends on the clock."""
        rng = random.Random(0)
        x = [[rng.gauss(0.0, 1.0) for _ in range(7)] for _ in range(batch_size + 1)]
        y = [rng.gauss(0.0, 1.0) for _ in x]
        results = []
        for callback in (None, lambda number, loss: None):
            model = MLP(7, [33, 1], activation="tanh", seed=0)
            program = compile(lambda x, y, model=model: (model(x) - y) ** 2, model.parameters())
            losses = program.train(
                SGD(model.parameters(), 0.1), x, y, steps=4, batch_size=batch_size, seed=0, callback=callback
            )
            results.append((losses, model.state_dict()))
        assert results[0] == results[1]

    def test_zero_steps_change_nothing(self, program, model):
        before = model.state_dict()
        assert program.train(SGD(model.parameters(), 0.1), X, Y, steps=0) == []
        assert model.state_dict() == before

    def test_a_random_generator_goes_on_where_it_was(self, program, model):
        rng = random.Random(3)
        program.train(SGD(model.parameters(), 0.1), X, Y, epochs=1, batch_size=2, seed=rng)
        assert rng.getstate() != random.Random(3).getstate()


class TestCallAfterCall:
    """A program keeps what stays the same between its calls; each call still sees all that has changed."""

    @pytest.fixture(params=[3, 200], ids=["few parameters", "many parameters"])
    def pair(self, request, compile):
        """Two equal models: the program of one is kept, the other is compiled for each call."""
        model, twin = (MLP(2, [request.param, 1], activation="tanh", seed=0) for _ in range(2))

        def of_twin():
            return compile(lambda x, y: hinge(twin(x), y), twin.parameters())

        return model, twin, compile(lambda x, y: hinge(model(x), y), model.parameters()), of_twin

    def test_whatever_changes_between_two_calls_is_seen(self, pair):
        model, twin, program, of_twin = pair
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(40, 2)), np.sign(rng.normal(size=40))
        optimizer, expected = Adam(model.parameters(), lr=0.1), Adam(twin.parameters(), lr=0.1)
        for n, steps in [(40, 3), (40, 3), (7, 3), (7, 2), (1, 2), (40, 1), (1, 1)]:
            losses = program.train(optimizer, x[:n], y[:n], steps=steps)
            assert losses == of_twin().train(expected, x[:n], y[:n], steps=steps)
            assert program(x[:n], y[:n]) == of_twin()(x[:n], y[:n])
            x *= 1.25  # in place: these are the same arrays
            y[::3] *= -1.0
            for p, q in zip(model.parameters(), twin.parameters(), strict=True):
                p.data = q.data = 0.75 * p.data
            optimizer.lr = expected.lr = 0.5 * optimizer.lr
        assert [p.data for p in model.parameters()] == [q.data for q in twin.parameters()]
        assert optimizer.state_dict() == expected.state_dict()

    def test_nothing_has_to_change(self, pair):
        model, twin, program, of_twin = pair
        optimizer, expected = Momentum(model.parameters(), lr=0.1), Momentum(twin.parameters(), lr=0.1)
        losses = [loss for _ in range(5) for loss in program.train(optimizer, X, Y, steps=4)]
        assert losses == of_twin().train(expected, X, Y, steps=20)
        assert [p.data for p in model.parameters()] == [q.data for q in twin.parameters()]
        assert optimizer.state_dict() == expected.state_dict()

    def test_batches_of_another_size(self, pair):
        model, twin, program, of_twin = pair
        optimizer, expected = SGD(model.parameters(), lr=0.1), SGD(twin.parameters(), lr=0.1)
        for batch_size in (2, 3, None, 1, 4):
            options = {"epochs": 2, "batch_size": batch_size, "seed": 5}
            losses = program.train(optimizer, X, Y, **options)
            assert losses == of_twin().train(expected, X, Y, **options)

    def test_two_optimizers_in_turn(self, pair):
        model, twin, program, of_twin = pair
        backward = [p.parameters()[::-1] for p in (model, twin)]
        pairs = [
            [Adam(p, lr=0.1) for p in backward],
            [Momentum(p.parameters(), lr=0.1) for p in (model, twin)],
        ]
        for optimizer, expected in [*pairs, *pairs, pairs[0], pairs[0]]:
            losses = program.train(optimizer, X, Y, steps=3)
            assert losses == of_twin().train(expected, X, Y, steps=3)
            assert optimizer.state_dict() == expected.state_dict()
        assert [p.data for p in model.parameters()] == [q.data for q in twin.parameters()]

    def test_a_list_of_parameters_that_has_changed_in_place(self, pair):
        model, _, program, _ = pair
        optimizer = SGD(model.parameters(), lr=0.1)
        optimizer.params = list(optimizer.params)
        program.train(optimizer, X, Y, steps=1)
        optimizer.params[0] = Value(1.0)
        with pytest.raises(ValueError, match="which are not the"):
            program.train(optimizer, X, Y, steps=1)

    @pytest.mark.parametrize("steps", [1, 5])
    @pytest.mark.parametrize("n_neurons", [3, 200])
    @pytest.mark.parametrize("assigns", [False, True])
    def test_a_first_step_that_overflows_leaves_what_there_was(self, compile, n_neurons, assigns, steps):
        results = []
        for overflows in (True, False):
            model = MLP(2, [n_neurons, 1], activation="tanh", seed=0)
            program = compile(lambda x, y, m=model: 1e3 * hinge(m(x), y), model.parameters())
            optimizer = Momentum(model.parameters(), lr=1e-3)
            program.train(optimizer, X, Y, steps=3)
            program.train(
                optimizer, X, Y, steps=2
            )  # after which nobody looks, as the check does after the first
            if assigns:
                model.parameters()[0].data = 0.5
            if overflows:
                optimizer.lr = 1e308
                with pytest.raises(FloatingPointError, match="a parameter became inf or nan in step 6"):
                    program.train(optimizer, X, Y, steps=steps)
                optimizer.lr = 1e-3
            losses = program.train(optimizer, X, Y, steps=3)
            results.append((losses, [p.data for p in model.parameters()], optimizer.state_dict()))
        assert results[0] == results[1]

    def test_a_later_chunk_that_diverges_goes_back_to_the_last_finite_loss(self, compile, monkeypatch):
        monkeypatch.setattr(machine, "OPERANDS_A_SECOND", 1)  # then training begins with one step
        w, twin = Value(1.0), Value(1.0)
        optimizer, expected = SGD([w], lr=3.0), SGD([twin], lr=3.0)
        with pytest.raises(FloatingPointError, match="learning rate"):
            compile(lambda x: x * w * w, [w]).train(optimizer, [1.0], steps=1000)
        compile(lambda x: x * twin * twin, [twin]).train(expected, [1.0], steps=optimizer.t)
        assert optimizer.t > 9
        assert w.data == twin.data

    @pytest.mark.parametrize("end", [True, ValueError], ids=["returns True", "raises"])
    def test_numbers_that_a_callback_assigns_before_it_ends_the_training_stay(self, pair, end):
        model, _, program, _ = pair
        optimizer = Adam(model.parameters(), lr=0.1)
        best = optimizer.state_dict()

        def callback(step, loss):
            if step == 3:
                for p in model.parameters():
                    p.data = 0.25
                optimizer.load_state_dict(best)
                if end is ValueError:
                    raise ValueError("the user's own")
            return step == 3

        with pytest.raises(ValueError, match="own") if end is ValueError else contextlib.nullcontext():
            program.train(optimizer, X, Y, steps=9, callback=callback)
        assert {p.data for p in model.parameters()} == {0.25}
        assert optimizer.state_dict() == best

    def test_another_number_of_cores(self, compile, monkeypatch):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(450, 4)), rng.normal(size=450)
        results = []
        for keeps in (True, False):
            model = MLP(4, [8, 1], seed=0)
            optimizer = Adam(model.parameters(), lr=0.01)
            programs = []
            for n_cores in (1, 2, 3, 1, 2):
                monkeypatch.setattr(machine.Machine, "cores", lambda self, n, n_cores=n_cores: n_cores)
                if not keeps or not programs:
                    programs.append(compile(lambda x, y, m=model: squared_error(m(x), y), model.parameters()))
                results.append(programs[-1].train(optimizer, x, y, steps=3))
        assert results[:5] == results[5:]


@pytest.mark.parametrize("y", [[np.inf, -np.inf], [1e200, -1e200]])
def test_targets_without_a_finite_sum_of_squares_are_numbers(y):
    w = Value(1.0)
    program = micrograd_mlp.compile(lambda x, y: w * x + y, [w])
    assert program.loss_and_grad([1.0, 1.0], y)[1].tolist() == [1.0]


class TestWhatCannotBeRecorded:
    def test_a_comparison_is_refused_and_the_error_says_what_to_use(self, compile):
        w = Value(1.0)
        with pytest.raises(TypeError, match="maximum"):
            compile(lambda x: w * x if x > 0 else w, [w])([1.0, 2.0])

    def test_a_branch_on_data_is_caught(self, compile):
        w = Value(1.0)
        with pytest.raises(RuntimeError, match=r"row 2.*branch on `.data`"):
            compile(lambda x: w * x if x.data > 0 else -2.0 * w * x, [w])([1.0, 2.0, -1.0, 3.0])

    def test_a_target_that_is_taken_out_is_caught(self, compile):
        w = [Value(1.0), Value(2.0), Value(3.0)]
        with pytest.raises(RuntimeError, match="a number taken out of a Value"):
            compile(lambda x, y: w[int(y.data)] * x, w)([1.0, 1.0, 1.0], [0, 2, 1])

    def test_what_replaces_a_branch_works(self, compile):
        w = Value(1.0)
        program = compile(lambda x: maximum(w * x, 0.1 * x) + relu(x), [w])
        assert program([1.0, -1.0]) == pytest.approx((2.0 - 0.1) / 2)

    def test_a_result_that_is_no_value(self, compile):
        w = Value(1.0)
        with pytest.raises(TypeError, match=r"f returned 1\.0"):
            compile(lambda x: w.data, [w])([1.0])

    def test_several_values_are_no_loss(self, compile):
        model = MLP(2, [2], seed=0)
        with pytest.raises(TypeError, match="list of 2 Values"):
            compile(model, model.parameters())(X)


class TestBadInput:
    def test_lengths(self, program):
        with pytest.raises(ValueError, match="X has 4 rows, but Y has 3"):
            program(X, Y[:3])

    def test_empty(self, program):
        with pytest.raises(ValueError, match="no rows"):
            program([], [])
        with pytest.raises(ValueError, match="no rows"):
            program(np.zeros((0, 2)), [])

    def test_nan_target(self, program):
        with pytest.raises(ValueError, match="Y is nan in row 2"):
            program(X, [1.0, 1.0, float("nan"), 1.0])

    def test_ragged(self, program):
        with pytest.raises(ValueError, match="rows of one length"):
            program([[1.0, 2.0], [3.0]], [1.0, -1.0])

    @pytest.mark.parametrize("bad", [[["a", "b"]], [[None, 1.0]], [[1j, 2.0]]])
    def test_no_numbers(self, program, bad):
        with pytest.raises(TypeError, match="X must hold numbers"):
            program(bad, [1.0])

    def test_too_many_dimensions(self, program):
        with pytest.raises(ValueError, match="shape"):
            program(np.zeros((2, 2, 2)), [1.0, 1.0])

    def test_another_width_than_the_model_takes(self, program):
        with pytest.raises(ValueError, match="takes 2 inputs"):
            program([[1.0, 2.0, 3.0]], [1.0])

    def test_an_argument_is_missing(self, program):
        with pytest.raises(TypeError, match="X alone"):
            program(X)
        with pytest.raises(TypeError, match="nothing"):
            program()
        with pytest.raises(TypeError, match="without X"):
            program(None, Y)

    @pytest.mark.parametrize("parameters", [3.0, [1.0], Value(1.0)])
    def test_parameters_that_are_no_values(self, compile, parameters):
        with pytest.raises(TypeError, match="parameters must be"):
            compile(lambda x: x, parameters)

    def test_parameters_that_cannot_be_adjusted(self, compile):
        w = Value(1.0)
        with pytest.raises(ValueError, match="twice"):
            compile(lambda x: x * w, [w, w])
        with pytest.raises(ValueError, match="computed from"):
            compile(lambda x: x * w, [w * 2])

    def test_no_function(self, compile):
        with pytest.raises(TypeError, match="f must be a function"):
            compile(3, [])

    def test_another_optimizer(self, program):
        with pytest.raises(ValueError, match="1 parameters, which are not the 13"):
            program.train(SGD([Value(1.0)], 0.1), X, Y, steps=1)
        with pytest.raises(TypeError, match="expected an optimizer"):
            program.train(None, X, Y, steps=1)

    @pytest.mark.parametrize(
        "counts", [{}, {"steps": 1, "epochs": 1}, {"steps": -1}, {"epochs": 1, "batch_size": 0}]
    )
    def test_counts(self, program, model, counts):
        with pytest.raises(ValueError, match=r"steps|epochs|batch_size"):
            program.train(SGD(model.parameters(), 0.1), X, Y, **counts)

    def test_nothing_is_changed_by_a_refused_call(self, program, model):
        program(X, Y)
        before = [p.grad for p in model.parameters()]
        with pytest.raises(ValueError, match="nan"):
            program(X, [float("nan")] * 4)
        assert [p.grad for p in model.parameters()] == before


class TestReading:
    def test_print_shows_what_was_found(self, compile):
        model = MLP(64, [32, 10], seed=0)
        parameters = model.parameters()
        program = compile(lambda x, y: cross_entropy(model(x), y) + 1e-4 * l2(parameters), parameters)
        assert "not recorded yet" in str(program)
        program(np.zeros((3, 64)), [0, 1, 2])
        text = str(program)
        assert "x: 64 numbers, y: one number" in text
        assert "2,410" in text
        assert "z1 = W1 x + b, W1: 32 × 64" in text
        assert "z2 = W2 x + b, W2: 10 × 32" in text
        assert "memory" in text

    def test_what_is_the_same_is_computed_once(self):
        w = Value(0.5)
        x = Value(1.0)
        graph, _ = trace.trace(lambda x: (w * x).tanh() + (w * x).tanh() + (2.0 * 3.0 + w * 0.0), [x], [w])
        recorded = [op for op in graph.operators if op is not None]
        assert graph.n_recorded == 8
        assert len(recorded) == 6

    def test_what_does_nothing_is_left_out(self):
        w = Value(0.5)
        graph, _ = trace.trace(lambda: sum([w * 1.0, (w - 0.0) / 1.0, w**1]), [], [w])
        assert [op.name for op in graph.operators if op] == ["add"] * 3  # 0 + w is not w, if w is -0.0


def test_a_chain_of_40_000_operations(compile, dtype):
    w = Value(0.999)

    def f():
        x = w
        for _ in range(20_000):
            x = x * w + 1e-3
        return x

    loss, gradient = compile(f, [w]).loss_and_grad()
    expected = f()
    w.grad = 0.0
    expected.backward()
    # The rounding of w counts about a thousand times, since it is in each step, and fades by 0.999 in each.
    rel = {"float64": 1e-12, "float32": 4000 * 2.0**-24}[dtype]
    assert loss == pytest.approx(expected.data, rel=rel)
    assert gradient[0] == pytest.approx(w.grad, rel=rel)


class TestCores:
    @pytest.fixture(autouse=True)
    def as_at_the_beginning(self, monkeypatch):
        monkeypatch.setattr(machine, "_n_threads", [])

    def test_all_cores_of_this_process_are_used(self, monkeypatch):
        monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {0, 1, 2, 5, 8}, raising=False)
        assert get_num_threads() == 5

    def test_fewer_may_be_chosen(self, compile):
        w = Value(2.0)
        program = compile(lambda x: w * x, [w])
        program([1.0, 2.0])
        [executing] = program._machines.values()
        set_num_threads(3)
        assert get_num_threads() == 3
        assert executing.cores(10**9) == 3
        set_num_threads(1)
        assert executing.cores(10**9) == 1

    def test_a_small_step_is_not_worth_a_second_one(self, program):
        program(X, Y)
        set_num_threads(2)
        [executing] = program._machines.values()
        assert executing.cores(4) == 1

    @pytest.mark.parametrize(
        ("n", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]
    )
    def test_a_number_that_is_no_count_is_refused(self, n, error):
        with pytest.raises(error, match="n must be"):
            set_num_threads(n)


class TestPrecision:
    def test_results_have_the_precision_and_values_stay_floats(self, program, model, dtype):
        assert program.dtype == dtype
        _, gradient = program.loss_and_grad(X, Y)
        assert gradient.dtype == dtype
        program.train(SGD(model.parameters(), 0.1), X, Y, steps=2)
        program(X, Y)
        assert all(type(number) is float for p in model.parameters() for number in (p.data, p.grad))

    def test_parameters_keep_all_their_digits_until_they_are_moved(self, compile):
        w = Value(0.1)
        program = compile(lambda x: w * x, [w])
        program([1.0, 2.0])
        program.predict([1.0])
        assert w.data == 0.1

    @pytest.mark.parametrize("dtype", [float, np.float64, np.dtype("float64"), "float64", "double"])
    def test_names_of_double_precision(self, dtype):
        assert micrograd_mlp.compile(lambda: Value(1.0), [], dtype=dtype).dtype == "float64"

    @pytest.mark.parametrize("dtype", [np.float32, np.dtype("float32"), "float32", "single"])
    def test_names_of_single_precision(self, dtype):
        assert micrograd_mlp.compile(lambda: Value(1.0), [], dtype=dtype).dtype == "float32"

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", int, "nonsense", 3])
    def test_there_is_no_other(self, dtype):
        with pytest.raises(ValueError, match=r'dtype must be "float64" or "float32", got'):
            micrograd_mlp.compile(lambda: Value(1.0), [], dtype=dtype)

    def test_numbers_beyond_float32_are_infinite_there(self):
        w = Value(1e200)
        assert micrograd_mlp.compile(lambda x: w * x, [w], dtype="float32").predict([1.0])[0] == np.inf
        assert w.data == 1e200


def test_without_llvmlite_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['llvmlite'] = None\n"
        "import micrograd_mlp\n"
        "try:\n    micrograd_mlp.compile\n"
        "except ImportError as error:\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "micrograd_mlp[compile]"' in result.stdout


@pytest.mark.parametrize("f", [lambda x: x + 0.0, lambda x: 0.0 + x, lambda x: x - 0.0, lambda x: x - -0.0])
@pytest.mark.parametrize("x", [0.0, -0.0])
def test_a_zero_that_is_added_gives_the_zero_of_ieee(compile, f, x):
    w = Value(1.0)  # in a quotient, where the sign shows; a mean loses it
    assert compile(lambda x: 1.0 / f(w * x), [w])([x]) == (1.0 / f(Value(x))).data


def test_a_long_training_of_a_loss_that_does_not_depend_on_the_examples(compile):
    """So many steps of so small a graph are one piece of machine code."""
    w = Value(2.0)
    compile(lambda x: w * w, [w]).train(SGD([w], lr=1e-4), [1.0] * 16, steps=2000)
    assert w.data == pytest.approx(2.0 * (1.0 - 2e-4) ** 2000, rel=1e-3)


@pytest.mark.parametrize("n", [1, 600])  # numbers of many parameters are written when somebody looks
def test_backward_through_a_graph_from_before_a_training_is_noticed(n):
    w = [Value(1.0) for _ in range(n)]
    old = ops.total([w_k * w_k for w_k in w])
    old.backward()
    micrograd_mlp.compile(lambda x: ops.total([w_k * x for w_k in w]), w).train(
        SGD(w, lr=0.1), [1.0], steps=1
    )
    with pytest.warns(RuntimeWarning, match="graph that was recorded before 0.9"):
        old.backward()
