"""What a crash leaves behind: whole files, and training that goes on to the same bits.

The processes here are real ones, and are killed with a signal that no program can catch.
"""

import json
import math
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import micrograd_mlp
from micrograd_mlp import MLP, SGD, Adam, Momentum, RMSProp, datasets, squared_error
from micrograd_mlp.app.tables import TableModel
from micrograd_mlp.files import _temporary_name, checksum
from micrograd_mlp.training.fit import fit
from tests.training.kills import kill_at_random_moments

FIXTURES = Path(__file__).parent / "fixtures"
X, Y = datasets.moons(12, seed=0)

posix = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")


def run_program(program, *arguments):
    source = Path(micrograd_mlp.__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )


# Saving


KILLED_AT_EVERY_MOMENT = """
import os, signal, sys
from pathlib import Path
from micrograd_mlp.files import write_atomically

path = Path(sys.argv[1])
for moment in range(1, 10_000):  # before and after each call to the operating system, or to a file
    path.write_text("old" * 1000)
    child = os.fork()
    if child == 0:
        events = 0
        def count(frame, event, function):
            global events
            if event in ("c_call", "c_return"):
                of = type(function.__self__).__module__
                events += function.__module__ == "posix" or of == "_io"
            if events == moment:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.setprofile(count)
        write_atomically(path, "new" * 10_000)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    content = path.read_text()
    others = [other for other in path.parent.iterdir() if other != path]
    print(status, {"old" * 1000: "old", "new" * 10_000: "new"}.get(content, "damaged"), len(others))
    for other in others:
        other.unlink()
    if status == 0:
        break
"""


@posix
def test_a_kill_at_any_moment_of_save_leaves_the_old_file_or_the_new_one(tmp_path):
    process = run_program(KILLED_AT_EVERY_MOMENT, tmp_path / "model.json")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    *killed, last = [tuple(line.split()) for line in output.splitlines()]
    assert last == ("0", "new", "0"), "the last moment is after the save"
    kill = str(-signal.SIGKILL)
    assert {(status, content) for status, content, _ in killed} == {(kill, "old"), (kill, "new")}
    assert len(killed) > 15
    if hasattr(os, "O_TMPFILE"):
        assert [others for *_, others in killed].count("1") <= 3, "between two calls to the system"


@posix
def test_the_next_write_removes_what_a_killed_process_has_left(tmp_path):
    leftover = tmp_path / _temporary_name("model.json")
    leftover.write_text("left by a process that was killed between two calls to the system")
    MLP(2, [1]).save(tmp_path / "model.json")
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
def test_every_float_comes_back_bit_for_bit(tmp_path_factory, numbers):
    path = tmp_path_factory.getbasetemp() / "floats.json"
    model = MLP(2, [1])
    for p, number in zip(model.parameters(), numbers):
        p.data = number
    model.save(path)
    loaded = [p.data.hex() for p in MLP.load(path).parameters()]
    assert loaded == [number.hex() for number in numbers]


def test_a_model_of_version_1_keeps_loading():
    model = MLP.load(FIXTURES / "model_v1.json")
    assert repr(model) == "MLP(2, [3, 1], activations=['tanh', 'linear'])"
    assert model([0.5, -1.0]).data == pytest.approx(0.7014717346660932, rel=1e-14)
    assert model.layers[0].neurons[1].b.data.hex() == "-0x0.0p+0"


def test_a_table_model_of_version_1_keeps_loading():
    model = TableModel.load(FIXTURES / "table_model_v1.json")
    assert model.target.values == ["setosa", "versicolor", "virginica"]
    row = {"sepal_length_cm": 6.5, "sepal_width_cm": 3.0, "petal_length_cm": 5.8, "petal_width_cm": 2.2}
    assert model.predict(row) == "virginica"


# Going on


def new_run(optimizer_class=Adam):
    model = MLP(2, [4, 1], activation="tanh", seed=0)
    return model, optimizer_class(model.parameters(), lr=0.05)


def bits(model, optimizer, history):
    """Everything that two equal runs have in common, each float to the last bit."""
    return json.dumps([model.state_dict(), optimizer.state_dict(), history.losses, history.validation_losses])


def train(model, optimizer, epochs, **options):
    return fit(
        model,
        squared_error,
        X,
        Y,
        optimizer,
        epochs,
        batch_size=5,
        seed=1,
        validation=(X[:3], Y[:3]),
        **options,
    )


@pytest.mark.parametrize("optimizer_class", [SGD, Momentum, RMSProp, Adam])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, optimizer_class):
    path = tmp_path / "run.json"
    whole, optimizer = new_run(optimizer_class)
    expected = bits(whole, optimizer, train(whole, optimizer, 6))

    first, first_optimizer = new_run(optimizer_class)
    train(first, first_optimizer, 2, checkpoint=path)
    second, second_optimizer = new_run(optimizer_class)
    history = train(second, second_optimizer, 6, checkpoint=path, resume=True)
    assert bits(second, second_optimizer, history) == expected


KILLED_IN_TRAINING = """
import os, signal, sys
from micrograd_mlp import MLP, Adam, datasets, squared_error
from micrograd_mlp.training.fit import fit
path, example, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
X, Y = datasets.moons(12, seed=0)
model = MLP(2, [4, 1], activation="tanh", seed=0)
optimizer = Adam(model.parameters(), lr=0.05)
seen = 0
def loss(y_hat, y):
    global seen
    seen += 1
    if seen == example:
        os.kill(os.getpid(), signal.SIGKILL)
    return squared_error(y_hat, y)
history = fit(model, loss, X, Y, optimizer, 6, batch_size=5, seed=1, validation=(X[:3], Y[:3]),
              checkpoint=path, resume=resume)
import json
print(json.dumps([model.state_dict(), optimizer.state_dict(), history.losses, history.validation_losses]))
"""


@posix
def test_a_process_killed_in_mid_training_goes_on_to_the_same_bits(tmp_path):
    """Killed in the first epoch, in the middle of later ones, and then left to finish."""
    path = tmp_path / "run.json"
    whole, optimizer = new_run()
    expected = bits(whole, optimizer, train(whole, optimizer, 6))
    # A checkpoint computes the loss of 3 examples twice before a run, when it is resumed, and in every write.
    for example in (6 + 7, 6 + 18 + 18 + 8, 9 + 18 + 3):
        process = run_program(KILLED_IN_TRAINING, path, example, True)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    finished = len(json.loads(path.read_text())["losses"])
    assert finished == 3, "epochs 1 and 2, and after that one more"
    process = run_program(KILLED_IN_TRAINING, path, 0, True)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert output.strip() == expected


@posix
def test_a_run_that_is_killed_at_random_moments_goes_on_to_the_same_bits(tmp_path):
    """A sample: `python -m tests.training.kills 100` kills more often."""
    result = kill_at_random_moments(tmp_path, kills=5)
    assert result.files == ["run.json"]
    assert result.resumed == result.expected


def test_a_checkpoint_of_version_1_keeps_loading(tmp_path):
    """Its run ended after 3 epochs; 3 more are trained now, from the state in the file."""
    rows, targets = (
        [[0.0, 1.0], [1.0, -1.0], [0.5, 0.5], [2.0, 0.0], [-1.0, 0.25]],
        [1.0, -1.0, 0.5, 2.0, 0.0],
    )
    path = tmp_path / "run.json"
    path.write_bytes((FIXTURES / "checkpoint_v1.json").read_bytes())

    def run(**options):
        model, optimizer = new_run()
        history = fit(model, squared_error, rows, targets, optimizer, 6, batch_size=2, seed=1, **options)
        return model, optimizer, history

    whole, optimizer, history = run()
    resumed, resumed_optimizer, resumed_history = run(checkpoint=path, resume=True)
    # To the last bits only, since another C library may have another tanh.
    assert resumed_history.losses == pytest.approx(history.losses, rel=1e-9)
    assert resumed.state_dict() == pytest.approx(whole.state_dict(), rel=1e-9)
    assert resumed_optimizer.t == optimizer.t == 6 * 3


def test_after_ctrl_c_the_run_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "run.json"
    whole, optimizer = new_run()
    expected = bits(whole, optimizer, train(whole, optimizer, 6))

    first, first_optimizer = new_run()
    seen = 0

    def interrupted(y_hat, y):
        nonlocal seen
        seen += 1
        if seen == 6 + 18 + 18 + 8:
            raise KeyboardInterrupt
        return squared_error(y_hat, y)

    held_out = (X[:3], Y[:3])
    history = fit(
        first,
        interrupted,
        X,
        Y,
        first_optimizer,
        6,
        batch_size=5,
        seed=1,
        validation=held_out,
        checkpoint=path,
    )
    assert history.interrupted
    # The model has the steps of the third epoch, the checkpoint ends with the second.
    history = train(first, first_optimizer, 6, checkpoint=path, resume=True)
    assert bits(first, first_optimizer, history) == expected


def test_a_run_that_is_already_done_is_not_trained_again(tmp_path):
    path = tmp_path / "run.json"
    model, optimizer = new_run()
    expected = bits(model, optimizer, train(model, optimizer, 3, checkpoint=path))
    again, again_optimizer = new_run()
    history = train(again, again_optimizer, 3, checkpoint=path, resume=True)
    assert bits(again, again_optimizer, history) == expected


def test_the_checkpoint_is_written_every_few_epochs_and_at_the_end(tmp_path):
    path = tmp_path / "run.json"
    sizes = []

    def callback(epoch, loss):
        sizes.append(len(json.loads(path.read_text())["losses"]) if path.exists() else 0)

    model, optimizer = new_run()
    train(model, optimizer, 5, checkpoint=path, checkpoint_every=2, callback=callback)
    assert sizes == [0, 0, 2, 2, 4], "before the write that follows each epoch"
    assert len(json.loads(path.read_text())["losses"]) == 5


def test_a_callback_that_ends_the_run_has_its_last_epoch_written(tmp_path):
    path = tmp_path / "run.json"
    model, optimizer = new_run()
    train(model, optimizer, 9, checkpoint=path, checkpoint_every=5, callback=lambda epoch, loss: epoch == 3)
    assert len(json.loads(path.read_text())["losses"]) == 3


# What is no checkpoint of this run


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "run.json"
    model, optimizer = new_run()
    train(model, optimizer, 2, checkpoint=path)
    return path


def refused(path, message, error=ValueError, optimizer_class=Adam, **options):
    """Nothing is changed: not the model, not the optimizer, not the file."""
    model, optimizer = new_run(optimizer_class)
    before = model.state_dict(), optimizer.state_dict(), path.read_bytes()
    with pytest.raises(error, match=message):
        train(model, optimizer, 6, **({"checkpoint": path, "resume": True} | options))
    assert (model.state_dict(), optimizer.state_dict(), path.read_bytes()) == before


def test_an_old_checkpoint_is_not_overwritten_unasked(checkpoint):
    refused(checkpoint, "run.json exists: go on from it with resume=True", FileExistsError, resume=False)


def test_a_checkpoint_of_another_optimizer_is_refused(checkpoint):
    refused(checkpoint, "this is the state of Adam, not of SGD", optimizer_class=SGD)


def test_a_checkpoint_of_other_data_is_refused(checkpoint):
    model, optimizer = new_run()
    with pytest.raises(ValueError, match="it was written with other data or another batch_size"):
        fit(model, squared_error, X, Y, optimizer, 6, batch_size=4, checkpoint=checkpoint, resume=True)
    with pytest.raises(ValueError, match="it was written with other data or another batch_size"):
        fit(model, squared_error, X, Y[::-1], optimizer, 6, batch_size=5, checkpoint=checkpoint, resume=True)


def test_a_checkpoint_of_another_model_is_refused(checkpoint):
    model = MLP(2, [5, 1], activation="tanh", seed=0)
    with pytest.raises(ValueError, match=r"with the model MLP\(2, \[4, 1\], .*\), not MLP\(2, \[5, 1\]"):
        train(model, Adam(model.parameters()), 6, checkpoint=checkpoint, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": lambda y_hat, y: 1.001 * squared_error(y_hat, y)}, "with another loss"),
        ({"penalty": lambda: 1.0}, "with another penalty"),
        ({"validation": (X[:4], Y[:4])}, "with other validation data"),
        ({"validation": None}, "with other validation data"),
        ({"batch_size": 6}, "with other data or another batch_size"),
    ],
)
def test_a_checkpoint_of_a_run_that_computed_something_else_is_refused(checkpoint, changes, message):
    model, optimizer = new_run()
    before = model.state_dict(), optimizer.state_dict()
    options = {"loss": squared_error, "batch_size": 5, "validation": (X[:3], Y[:3])} | changes
    with pytest.raises(ValueError, match=message):
        fit(model, X=X, Y=Y, optimizer=optimizer, epochs=6, checkpoint=checkpoint, resume=True, **options)
    assert (model.state_dict(), optimizer.state_dict()) == before


@pytest.mark.parametrize("activation", ["relu", lambda z: z.tanh() * 1.000001])
def test_a_checkpoint_of_another_activation_is_refused(checkpoint, activation):
    model = MLP(2, [4, 1], activation=activation, seed=0)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"with the model MLP\(.*\['tanh', 'linear'\]\), not MLP"):
        train(model, Adam(model.parameters(), lr=0.05), 6, checkpoint=checkpoint, resume=True)
    assert model.state_dict() == before


def test_functions_of_one_name_are_told_apart_by_what_they_compute(tmp_path):
    path = tmp_path / "run.json"
    model = MLP(2, [4, 1], activation=lambda z: z.tanh(), seed=0)
    train(model, Adam(model.parameters()), 2, checkpoint=path)
    other = MLP(2, [4, 1], activation=lambda z: z.sigmoid(), seed=0)
    with pytest.raises(ValueError, match="this model gives other outputs: it has another activation, say"):
        train(other, Adam(other.parameters()), 6, checkpoint=path, resume=True)


def test_a_setting_that_differs_is_named(checkpoint):
    model = MLP(2, [4, 1], activation="tanh", seed=0)
    with pytest.raises(ValueError, match=r"began with lr=0\.05, and this optimizer has lr=0\.1: begin with"):
        train(model, Adam(model.parameters(), lr=0.1), 6, checkpoint=checkpoint, resume=True)
    optimizer = Adam(model.parameters(), lr=0.05, betas=(0.9, 0.9))
    with pytest.raises(ValueError, match=r"began with beta2=0\.999, and this optimizer has beta2=0\.9"):
        train(model, optimizer, 6, checkpoint=checkpoint, resume=True)


def test_a_setting_that_a_callback_has_changed_is_resumed(tmp_path):
    path = tmp_path / "run.json"

    def run(epochs, **options):
        model, optimizer = new_run()

        def slower(epoch, loss):
            optimizer.lr = 0.05 / epoch

        return bits(model, optimizer, train(model, optimizer, epochs, callback=slower, **options))

    expected = run(6)
    run(3, checkpoint=path)
    assert run(6, checkpoint=path, resume=True) == expected


def test_a_loss_that_draws_random_numbers_can_be_resumed(tmp_path):
    """There is nothing to compare it by, and nothing to refuse it for."""
    path, rng = tmp_path / "run.json", random.Random(0)

    def noisy(y_hat, y):
        return squared_error(y_hat, y + rng.gauss(0.0, 0.1))

    for epochs in (2, 4):
        model, optimizer = new_run()
        history = fit(model, noisy, X, Y, optimizer, epochs, checkpoint=path, resume=True)
        assert len(history.losses) == epochs


def test_a_checkpoint_that_can_not_be_written_is_found_before_the_first_step(tmp_path):
    for path, error in ((tmp_path / "none" / "c.json", FileNotFoundError), (tmp_path, IsADirectoryError)):
        model, optimizer = new_run()
        with pytest.raises(error):
            train(model, optimizer, 1, checkpoint=path)
        assert optimizer.t == 0


@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_flipped_bits_load_no_other_numbers(checkpoint, kind):
    if kind == "model":
        MLP(2, [4, 1], seed=0).save(checkpoint)

    def load():
        if kind == "model":
            return json.dumps(MLP.load(checkpoint).state_dict())
        model, optimizer = new_run()
        history = train(model, optimizer, 2, checkpoint=checkpoint, resume=True)
        return bits(model, optimizer, history)

    expected, whole, refused = load(), checkpoint.read_bytes(), 0
    rng = random.Random(0)
    for bit in rng.sample(range(8 * len(whole)), 200):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        checkpoint.write_bytes(damaged)
        try:
            assert load() == expected
        except ValueError:
            refused += 1
    assert refused >= 150, "the others changed white space"


def test_a_checkpoint_that_is_cut_short_is_refused(checkpoint):
    whole = checkpoint.read_bytes()
    for size in range(0, len(whole) - 2, 499):
        checkpoint.write_bytes(whole[:size])
        refused(checkpoint, "run.json is not a micrograd_mlp checkpoint")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(extra=1),
        lambda d: d.pop("random"),
        lambda d: d.update(version=3),
        lambda d: d.update(version=1),
        lambda d: d.update(version=True),
        lambda d: d["parameters"].update({"b1[1]": math.inf}),
        lambda d: d["parameters"].update({"b1[1]": True}),
        lambda d: d["optimizer"]["state"].update(m=[True] * 17),
        lambda d: d.update(format="other"),
        lambda d: d.update(random=[3, [1, 2], None]),
        lambda d: d.update(random=None),
        lambda d: d.update(random=[3, [*d["random"][1][:-1], 10**30], None]),
        lambda d: d.update(losses=["a", "b"]),
        lambda d: d.update(losses=3),
        lambda d: d["parameters"].update({"b1[1]": "0"}),
        lambda d: d["parameters"].pop("b1[1]"),
        lambda d: d.update(parameters=[1.0]),
        lambda d: d["optimizer"].update(t=-1),
        lambda d: d["optimizer"]["state"].update(m=[1.0]),
        lambda d: d["optimizer"]["hyperparameters"].update(lr=-1.0),
        lambda d: d.update(optimizer=None),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(checkpoint, change):
    content = json.loads(checkpoint.read_text())
    change(content)
    checkpoint.write_text(json.dumps(content | {"checksum": checksum(content)}))
    refused(checkpoint, "run.json is not a micrograd_mlp checkpoint")


def test_a_checkpoint_needs_a_model_that_has_its_state(tmp_path):
    p = micrograd_mlp.Value(1.0)
    with pytest.raises(ValueError, match="a checkpoint needs a model with state_dict"):
        fit(
            lambda x: p * x[0],
            squared_error,
            [[1.0]],
            [1.0],
            SGD([p], 0.1),
            1,
            checkpoint=tmp_path / "c.json",
        )
