"""`fit`: it computes what the paper's loop does, and whatever stops it leaves a finished step behind."""

import builtins
import math
import os
import random
import signal
import sys

import pytest

from micrograd_mlp import (
    MLP,
    SGD,
    Adam,
    Momentum,
    RMSProp,
    Value,
    binary_cross_entropy_with_logits,
    cross_entropy,
    datasets,
    hinge,
    l2,
    mean,
    squared_error,
)
from micrograd_mlp.training import History, NonFiniteLossError, accuracy, fit
from tests.optional import np

X = [[0.0, 1.0], [1.0, -1.0], [0.5, 0.5], [2.0, 0.0], [-1.0, 0.25]]
Y = [1.0, -1.0, 0.5, 2.0, 0.0]


def small_model():
    return MLP(2, [3, 1], activation="tanh", seed=0)


# What is computed


@pytest.mark.parametrize("n_examples", [5, 40])
@pytest.mark.parametrize("optimizer_class", [SGD, Momentum, RMSProp, Adam])
def test_a_full_batch_step_is_the_papers_loop(optimizer_class, n_examples):
    rows, targets = X * (n_examples // 5), Y * (n_examples // 5)
    model, by_hand = small_model(), small_model()
    history = fit(model, squared_error, rows, targets, optimizer_class(model.parameters(), lr=0.05), epochs=3)
    optimizer = optimizer_class(by_hand.parameters(), lr=0.05)
    losses = []
    for _ in range(3):
        loss = mean([squared_error(by_hand(x), y) for x, y in zip(rows, targets)])
        by_hand.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.data)
    assert history.losses == pytest.approx(losses, rel=1e-13)
    assert model.state_dict() == pytest.approx(by_hand.state_dict(), rel=1e-11)


def test_the_penalty_is_added_once_for_every_batch():
    model, by_hand = small_model(), small_model()
    history = fit(
        model,
        squared_error,
        X,
        Y,
        SGD(model.parameters(), 0.1),
        1,
        penalty=lambda: 0.5 * l2(model.parameters()),
    )
    loss = mean([squared_error(by_hand(x), y) for x, y in zip(X, Y)]) + 0.5 * l2(by_hand.parameters())
    loss.backward()
    SGD(by_hand.parameters(), 0.1).step()
    assert history.losses == pytest.approx([loss.data], rel=1e-13)
    assert model.state_dict() == pytest.approx(by_hand.state_dict(), rel=1e-12)


def test_every_epoch_meets_every_example_once_in_a_new_order():
    seen = []
    p = Value(0.0)
    optimizer = SGD([p], lr=0.0)
    fit(
        lambda x: p * x[0],
        lambda y_hat, y: seen.append(y) or y_hat,
        [[1.0]] * 7,
        range(7),
        optimizer,
        3,
        batch_size=2,
        seed=0,
    )
    epochs = [seen[0:7], seen[7:14], seen[14:21]]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert optimizer.t == 3 * 4, "steps of 2, 2, 2 and 1 examples"


def test_the_epochs_loss_is_the_mean_over_examples_even_if_the_last_batch_is_smaller():
    p = Value(1.0)
    history = fit(
        lambda x: p * x[0],
        lambda y_hat, y: y_hat,
        [[1.0], [2.0], [6.0]],
        [0] * 3,
        SGD([p], 0.0),
        1,
        batch_size=2,
    )
    assert history.losses == [3.0]


def test_the_same_seed_gives_the_same_run_bit_for_bit():
    def run(seed):
        model = small_model()
        history = fit(model, squared_error, X, Y, Adam(model.parameters()), 5, batch_size=2, seed=seed)
        return history.losses, model.state_dict()

    assert run(7) == run(7) == run(random.Random(7))
    assert run(7) != run(8)


def test_validation_data_is_measured_and_not_trained_on():
    model, alone = small_model(), small_model()
    held_out = ([[3.0, 3.0], [1.0, 1.0]], [1.0, 2.0])
    with_it = fit(model, squared_error, X, Y, SGD(model.parameters(), 0.1), 2, validation=held_out)
    without = fit(alone, squared_error, X, Y, SGD(alone.parameters(), 0.1), 2)
    assert with_it.losses == without.losses
    assert model.state_dict() == alone.state_dict()
    now = sum(squared_error(model(x), y).data for x, y in zip(*held_out)) / 2
    assert with_it.validation_losses[-1] == pytest.approx(now)
    assert len(with_it.validation_losses) == 2


def test_parameters_that_the_optimizer_does_not_have_stay_as_they_are():
    model = small_model()
    before = model.state_dict()
    fit(model, squared_error, X, Y, SGD(model.layers[1].parameters(), 0.1), 2)
    changed = {name for name, number in model.state_dict().items() if number != before[name]}
    assert changed == {"W2[1,1]", "W2[1,2]", "W2[1,3]", "b2[1]"}


def test_arrays_are_taken_as_lists_are():
    model, other = small_model(), small_model()
    a = fit(model, squared_error, np.array(X), np.array(Y), SGD(model.parameters(), 0.1), 2)
    b = fit(other, squared_error, X, Y, SGD(other.parameters(), 0.1), 2)
    assert a == b
    classes = []
    p = Value(1.0)
    fit(lambda x: p, lambda y_hat, y: classes.append(y) or y_hat, [[1.0]], np.array([2]), SGD([p], 0.0), 1)
    assert classes == [2]
    assert type(classes[0]) is int, "a class index stays one that can look something up"


def test_it_learns_iris():
    rows, classes = datasets.iris()
    X_train, X_test, y_train, y_test = datasets.train_test_split(rows, classes, 0.25, seed=1)
    model = MLP(4, [6, 3], activation="tanh", seed=1)
    fit(model, cross_entropy, X_train, y_train, Adam(model.parameters(), 0.05), 20, batch_size=16, seed=1)
    assert accuracy(model, X_test, y_test) >= 0.93


# What stops it


def test_ctrl_c_keeps_the_last_finished_step():
    """A real signal, in the middle of the second batch of the second epoch."""
    model, reference = small_model(), small_model()
    calls = 0

    def loss(y_hat, y):
        nonlocal calls
        calls += 1
        if calls == 5 + 4:
            os.kill(os.getpid(), signal.SIGINT)
        return squared_error(y_hat, y)

    optimizer = Adam(model.parameters(), 0.1)
    history = fit(model, loss, X, Y, optimizer, epochs=10, batch_size=2, seed=3)
    assert history.interrupted
    assert len(history.losses) == 1
    assert optimizer.t == 4

    steps = 0

    def stop_after_four(y_hat, y):
        nonlocal steps
        steps += 1
        if steps > 5 + 2:
            raise KeyboardInterrupt
        return squared_error(y_hat, y)

    fit(reference, stop_after_four, X, Y, Adam(reference.parameters(), 0.1), epochs=10, batch_size=2, seed=3)
    assert model.state_dict() == reference.state_dict()


def test_ctrl_c_in_the_middle_of_the_update_takes_it_back():
    class Interrupted(Adam):
        def step(self):
            before = [p.data for p in self.params]
            super().step()
            if self.t == 3:
                self.params[0].data = before[0]  # as if the update had not come this far
                raise KeyboardInterrupt

    model, reference = small_model(), small_model()
    optimizer = Interrupted(model.parameters(), 0.1)
    history = fit(model, squared_error, X, Y, optimizer, epochs=9)
    expected = Adam(reference.parameters(), 0.1)
    assert fit(reference, squared_error, X, Y, expected, epochs=2).losses == history.losses
    assert model.state_dict() == reference.state_dict()
    assert (optimizer.t, optimizer.state) == (expected.t, expected.state)


@pytest.mark.parametrize("where", ["loss", "callback"])
def test_an_exception_passes_through_and_leaves_a_finished_step(where):
    model, reference = small_model(), small_model()
    calls = 0

    def loss(y_hat, y):
        nonlocal calls
        calls += 1
        if where == "loss" and calls == 13:
            raise LookupError("mine")
        return squared_error(y_hat, y)

    def callback(epoch, loss):
        if where == "callback" and epoch == 2:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        fit(model, loss, X, Y, SGD(model.parameters(), 0.1), epochs=9, callback=callback)
    fit(reference, squared_error, X, Y, SGD(reference.parameters(), 0.1), epochs=2)
    assert model.state_dict() == reference.state_dict()


def test_a_callback_hears_of_every_epoch_and_can_end_the_run():
    model = small_model()
    heard = []
    history = fit(
        model,
        squared_error,
        X,
        Y,
        SGD(model.parameters(), 0.1),
        epochs=9,
        callback=lambda epoch, loss: heard.append((epoch, loss)) or epoch == 3,
    )
    assert heard == list(enumerate(history.losses, start=1))
    assert len(heard) == 3
    assert not history.interrupted


def test_a_loss_that_becomes_infinite_stops_with_the_last_weights_whose_loss_was_finite():
    model = small_model()
    optimizer = Momentum(model.parameters(), lr=1e200)
    with pytest.raises(
        NonFiniteLossError, match=r"the loss became inf in step \d+, epoch \d+, learning rate 1e\+200"
    ) as e:
        fit(model, squared_error, X, Y, optimizer, epochs=9)
    assert all(math.isfinite(p.data) for p in model.parameters())
    loss = mean([squared_error(model(x), y) for x, y in zip(X, Y)]).data
    assert math.isfinite(loss)
    assert e.value.history.losses[-1] == pytest.approx(loss), "the very weights of the last finite loss"
    assert f"rolled back to its weights after {optimizer.t} steps" in str(e.value)
    assert all(math.isfinite(number) for numbers in optimizer.state.values() for number in numbers)


def test_the_weights_come_back_from_the_step_before_and_not_from_the_beginning():
    p = Value(1.0, "p")
    optimizer = SGD([p], lr=1e50)
    with pytest.raises(NonFiniteLossError, match="the loss became inf in step 5, epoch 5"):
        fit(lambda x: p * x[0], squared_error, [[1.0]], [0.0], optimizer, epochs=9)
    assert p.data == pytest.approx(-1e150, rel=1e-12), "1, -1e50, 1e100, -1e150; at 1e200 the square is inf"
    assert optimizer.t == 3


def test_a_loss_that_is_infinite_from_the_start_changes_nothing():
    model = small_model()
    before = model.state_dict()
    with pytest.raises(NonFiniteLossError, match="the loss became nan in step 1, epoch 1"):
        fit(model, lambda y_hat, y: y_hat * math.nan, X, Y, SGD(model.parameters(), 0.1), epochs=9)
    assert model.state_dict() == before


@pytest.mark.parametrize("compiled", [False, True])
def test_a_moment_that_becomes_infinite_stops_too(request, compiled):
    """The parameter would never move again: v is the mean of squares of 3e154."""
    if compiled:
        request.getfixturevalue("needs_llvmlite")
    p, told = Value(1.0, "p"), "v, which the optimizer keeps for a parameter, became inf or nan in step 1, "
    optimizer, X, Y = Adam([p], lr=0.1), [[3e154]], [0.0]
    with pytest.raises(NonFiniteLossError, match=f"{told}.* multiply the loss by a small number"):
        fit(lambda x: p * x[0], lambda y_hat, y: y_hat, X, Y, optimizer, epochs=9, compiled=compiled)
    assert (p.data, optimizer.t, optimizer.state["v"]) == (1.0, 0, [0.0])


def test_a_gradient_that_is_infinite_where_the_loss_is_not_stops_too():
    p = Value(0.0, "p")
    with pytest.raises(NonFiniteLossError, match="p became -inf in step 1"):
        fit(lambda x: p.sqrt(), lambda y_hat, y: y_hat, [[1.0]], [0.0], SGD([p], 0.1), epochs=2)
    assert p.data == 0.0


# Progress


def progress_output(monkeypatch, capsys, epochs, terminal=False):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    model = small_model()
    fit(model, squared_error, X, Y, SGD(model.parameters(), 0.1), epochs, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.fixture
def without_tqdm(monkeypatch):
    real_import = builtins.__import__

    def no_tqdm(name, *args, **kwargs):
        if name == "tqdm":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_tqdm)


@pytest.mark.usefixtures("without_tqdm")
def test_progress_without_tqdm_is_about_ten_plain_lines(monkeypatch, capsys):
    lines = progress_output(monkeypatch, capsys, epochs=40).splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("epoch 40/40  loss 0.")


@pytest.mark.usefixtures("without_tqdm")
def test_progress_in_a_terminal_is_one_line_that_changes(monkeypatch, capsys):
    text = progress_output(monkeypatch, capsys, epochs=4, terminal=True)
    assert text.count("\r") == 4
    assert text.count("\n") == 1
    assert text.endswith("\n")


def test_progress_with_tqdm(monkeypatch, capsys):
    pytest.importorskip("tqdm")
    assert "4/4" in progress_output(monkeypatch, capsys, epochs=4)


# Bad input


def refused(match, error=ValueError, **changes):
    model = small_model()
    arguments = {
        "model": model,
        "loss": squared_error,
        "X": X,
        "Y": Y,
        "optimizer": SGD(model.parameters(), 0.1),
        "epochs": 1,
    } | changes
    before = model.state_dict()
    with pytest.raises(error, match=match):
        fit(**arguments)
    assert model.state_dict() == before


def test_examples_that_do_not_fit_are_refused():
    refused("X has 1 examples, but Y has 5 targets", X=[[1.0, 2.0]])
    refused("X is empty", X=[], Y=[])
    refused("validation X has 5 examples, but validation Y has 1", validation=(X, [1.0]))
    refused(r"the model takes 2 inputs for an example, got 3", X=[[1.0, 2.0, 3.0]] * 5)
    refused(r"X\[0\] must be a list of numbers, got 1\.0", X=[1.0] * 5)
    refused(r"X\[1\] must be a list of numbers, got 'ab'", X=[[1.0, 2.0], "ab", *X[2:]])
    refused(r"X\[4\]\[1\] is nan", X=[*X[:4], [1.0, math.nan]])
    refused(r"X\[4\]\[0\]: expected a real number, got None", X=[*X[:4], [None, 1.0]])
    refused(r"Y\[2\] is inf", Y=[1.0, 1.0, math.inf, 1.0, 1.0])
    refused(r"Y\[0\]: expected a real number, got 1j", Y=[1j, *Y[1:]])
    refused("hinge: the target y must be -1 or", loss=hinge)


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("mse", "squared_error"), ("BCE", "binary_cross"), ("crossentropy", "cross_entropy"), (7, "squared")],
)
def test_a_loss_by_name_is_told_what_to_write(name, suggested):
    refused(f"loss must be a function .* got {name!r}: write loss={suggested}", TypeError, loss=name)


@pytest.mark.parametrize(("name", "suggested"), [("adam", "Adam"), ("rms_prop", "RMSProp"), (SGD, "SGD")])
def test_an_optimizer_by_name_is_told_what_to_write(name, suggested):
    match = rf"optimizer must be an Optimizer, got .*: write {suggested}\(model\.parameters\(\), lr=0\.01\)"
    refused(match, TypeError, optimizer=name)


def test_a_penalty_that_is_a_number_is_told_what_to_write():
    hint = r"write penalty=lambda: 0\.0001 \* l2\(model\.parameters\(\)\)"
    refused(f"penalty must be a function without arguments, got 0.0001: {hint}", TypeError, penalty=1e-4)


def test_validation_is_a_pair():
    for validation in (5, [X], (X, Y, X)):
        refused(r"validation must be a pair \(X, Y\), got", validation=validation)


def test_a_model_that_is_no_function():
    with pytest.raises(TypeError, match="model must be a network or a function of one example, got 'mlp'"):
        fit("mlp", squared_error, X, Y, SGD([Value(0.0)], 0.1), 1)


def test_a_data_frame_is_told_to_be_given_as_numbers():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b"])
    refused(r"X is a DataFrame: give its numbers, X\.to_numpy\(\)", X=frame)
    model, other = small_model(), small_model()
    fit(model, squared_error, frame.to_numpy(), pandas.Series(Y), SGD(model.parameters(), 0.1), 1)
    fit(other, squared_error, X, Y, SGD(other.parameters(), 0.1), 1)
    assert model.state_dict() == other.state_dict()


@pytest.mark.parametrize("compiled", [False, True])
def test_targets_in_lists_of_one_are_told_to_be_taken_out(needs_llvmlite, compiled):
    Y = [[0], [1], [0], [1], [1]]
    hint = r": give the number in it, as in Y = \[y\[0\] for y in Y\]"
    refused(
        rf"the target y must be one number, got a list of 1, .*{hint}",
        Y=Y,
        compiled=compiled,
        loss=binary_cross_entropy_with_logits,
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_class_labels_that_begin_at_1_are_told_to_begin_at_0(needs_llvmlite, compiled):
    model = MLP(2, [3], seed=0)
    optimizer = SGD(model.parameters(), 0.1)
    before = model.state_dict()
    targets = [1, 2, 1, 2] * 100
    targets[237] = 3
    with pytest.raises(ValueError, match="0 to 2, got 3: classes begin at 0, so subtract 1"):
        fit(model, cross_entropy, X[:4] * 100, targets, optimizer, 1, compiled=compiled)
    assert model.state_dict() == before


@pytest.mark.parametrize("compiled", [False, True])
def test_a_target_that_the_loss_refuses_is_named_also_among_many(needs_llvmlite, compiled):
    model = MLP(2, [64, 1], seed=0)
    targets = [1.0, -1.0] * 300
    targets[237] = 0.0
    with pytest.raises(ValueError, match=r"hinge: the target y must be -1 or \+1, got 0\.0"):
        fit(model, hinge, X[:4] * 150, targets, SGD(model.parameters(), 0.1), 1, compiled=compiled)


def test_settings_out_of_range_are_refused():
    refused("epochs must be 0 or more, got -1", epochs=-1)
    refused("epochs must be an int, got 2.5", TypeError, epochs=2.5)
    refused("batch_size must be 1 or more, got 0", batch_size=0)
    refused("batch_size must be an int, got '8'", TypeError, batch_size="8")
    refused("batch_size must be an int, got True", TypeError, batch_size=True)
    refused("checkpoint_every must be 1 or more, got 0", checkpoint_every=0)
    other = small_model()
    refused("adjusts none of the model's parameters", optimizer=SGD(other.parameters(), 0.1))


def test_counts_of_numpy_are_counts():
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    history = fit(model, squared_error, X, Y, optimizer, np.int64(2), batch_size=np.int64(2))
    assert len(history.losses) == 2


def test_no_epochs_are_no_training():
    model = small_model()
    before = model.state_dict()
    assert fit(model, squared_error, X, Y, SGD(model.parameters(), 0.1), epochs=0) == History()
    assert model.state_dict() == before


# Compiled


@pytest.fixture
def needs_llvmlite():
    pytest.importorskip("llvmlite")


def both_ways(**options):
    """The same run, eager and compiled: what came of it."""
    results = []
    for compiled in (False, True):
        model = small_model()
        optimizer = Adam(model.parameters(), 0.05)
        options_now = {key: option(model) if key == "penalty" else option for key, option in options.items()}
        history = fit(model, squared_error, X, Y, optimizer, 6, compiled=compiled, seed=4, **options_now)
        results.append((history, model.state_dict(), optimizer))
    return results


@pytest.mark.usefixtures("needs_llvmlite")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 2},
        {"batch_size": 2, "validation": ([[3.0, 3.0], [1.0, 1.0]], [1.0, 2.0])},
        {"batch_size": 3, "penalty": lambda model: lambda: 0.01 * l2(model.parameters())},
    ],
)
def test_compiled_training_takes_the_same_steps(options):
    (eager, eager_state, eager_optimizer), (fast, fast_state, fast_optimizer) = both_ways(**options)
    assert fast.losses == pytest.approx(eager.losses, rel=1e-10)
    assert fast.validation_losses == pytest.approx(eager.validation_losses, rel=1e-10)
    assert fast_state == pytest.approx(eager_state, rel=1e-9)
    assert fast_optimizer.t == eager_optimizer.t


@pytest.mark.usefixtures("needs_llvmlite")
def test_compiled_training_in_float32_takes_the_same_steps_to_its_precision():
    results = []
    for dtype in ("float64", "float32"):
        model = small_model()
        optimizer = Adam(model.parameters(), 0.05)
        history = fit(
            model, squared_error, X, Y, optimizer, 6, compiled=True, dtype=dtype, batch_size=2, seed=4,
            validation=(X, Y), penalty=lambda: 0.01 * l2(model.parameters()),  # noqa: B023
        )  # fmt: skip
        results.append((history.losses, history.validation_losses, list(model.state_dict().values())))
    for double, single in zip(*results):
        assert single == pytest.approx(double, rel=1e-5, abs=1e-6)
        assert single != pytest.approx(double, rel=1e-12, abs=1e-12), "these are the numbers of float64"
    assert all(type(number) is float for numbers in results[1] for number in numbers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float32"}, "dtype='float32' is for machine code: add compiled=True"),
        ({"dtype": "float16", "compiled": True}, 'dtype must be "float64" or "float32", got \'float16\''),
    ],
)
@pytest.mark.usefixtures("needs_llvmlite")
def test_a_precision_that_there_is_not_is_refused(options, message):
    refused(message, ValueError, **options)


@pytest.mark.usefixtures("needs_llvmlite")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compiled_training_keeps_every_promise_of_the_eager_one(tmp_path, dtype):
    path = tmp_path / "run.json"
    heard = []

    def run(epochs, model, optimizer, **options):
        return fit(
            model,
            squared_error,
            X,
            Y,
            optimizer,
            epochs,
            batch_size=2,
            seed=4,
            compiled=True,
            dtype=dtype,
            **options,
        )

    whole = small_model()
    expected = run(6, whole, Adam(whole.parameters(), 0.05))
    model = small_model()
    optimizer = Adam(model.parameters(), 0.05)

    def ctrl_c_in_the_third_epoch(epoch, loss):
        heard.append((epoch, model.state_dict()))
        if epoch == 3:
            raise KeyboardInterrupt

    history = run(6, model, optimizer, checkpoint=path, callback=ctrl_c_in_the_third_epoch)
    assert history.interrupted
    assert history.losses == expected.losses[:3]
    assert heard[-1] == (3, model.state_dict()), "the callback sees the weights of its epoch"
    assert heard[0][1] != heard[1][1]

    again = small_model()
    resumed = run(6, again, Adam(again.parameters(), 0.05), checkpoint=path, resume=True)
    assert resumed.losses == expected.losses
    assert again.state_dict() == whole.state_dict()


@pytest.mark.usefixtures("needs_llvmlite")
@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda y_hat, y: squared_error(y_hat, y) if y_hat > 0 else 0.0 * y_hat, TypeError, "compare|branch"),
        (lambda y_hat, y: float(y_hat.data) ** 2, TypeError, "expected a Value"),
        (lambda y_hat, y: y_hat * random.random(), RuntimeError, "a random choice"),
        (lambda y_hat, y: y_hat * Value(y_hat.data), RuntimeError, "a number taken out of a Value"),
    ],
)
def test_what_compile_refuses_is_refused_and_nothing_is_changed(loss, error, message):
    refused(message, error, loss=loss, compiled=True)


@pytest.mark.usefixtures("needs_llvmlite")
def test_a_validation_target_that_the_loss_refuses_is_refused_in_compiled_training_too():
    model = MLP(2, [3], seed=0)
    validation = X, [0, 1, 2, 3, 0]
    with pytest.raises(ValueError, match="there are 3 classes, 0 to 2, got 3"):
        fit(
            model,
            cross_entropy,
            X,
            [0, 1, 2, 0, 1],
            SGD(model.parameters(), 0.1),
            1,
            compiled=True,
            validation=validation,
        )


@pytest.mark.usefixtures("needs_llvmlite")
def test_compiled_training_stops_at_an_infinite_loss_with_finite_weights():
    model = small_model()
    optimizer = Momentum(model.parameters(), lr=1e200)
    with pytest.raises(NonFiniteLossError, match="learning rate 1e") as caught:
        fit(model, squared_error, X, Y, optimizer, epochs=9, compiled=True)
    assert all(math.isfinite(p.data) for p in model.parameters())
    loss = mean([squared_error(model(x), y) for x, y in zip(X, Y)]).data
    assert caught.value.history.losses[-1:] in ([], [pytest.approx(loss)])
    assert math.isfinite(loss)


@pytest.mark.usefixtures("needs_llvmlite")
def test_compiled_training_without_llvmlite_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    for name in [name for name in sys.modules if name.startswith("micrograd_mlp.compiled")]:
        monkeypatch.delitem(sys.modules, name)
    model = small_model()
    with pytest.raises(ImportError, match=r'pip install "micrograd_mlp\[compile\]"'):
        fit(model, squared_error, X, Y, SGD(model.parameters(), 0.1), 1, compiled=True)
