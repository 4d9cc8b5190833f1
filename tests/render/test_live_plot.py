"""A LivePlot shows the loss and the decision boundary of a run while it lasts."""

import importlib.util
import io
import math
import sys
import types

import pytest

from micrograd_mlp import (
    MLP,
    SGD,
    LivePlot,
    binary_cross_entropy_with_logits,
    cross_entropy,
    datasets,
    fit,
    squared_error,
)
from micrograd_mlp.render import live_plot

pytest.importorskip("matplotlib")
np = pytest.importorskip("numpy")
Image = pytest.importorskip("PIL.Image")

X, Y = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], [0, 0, 1, 1]


def right_of_zero(factor=1.0):
    """A model that says class 1 to the right of x₁ = 0, or to the left for a negative factor."""
    model = MLP(2, [1], seed=0)
    model.load_state_dict({"W1[1,1]": factor, "W1[1,2]": 0.0, "b1[1]": 0.0})
    return model


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def left_and_right(picture):
    """The colours between the examples on the left and on the right of the second axes."""
    image = pixels(picture)
    height, width, _ = image.shape
    return image[height // 2, int(0.68 * width)], image[height // 2, int(0.88 * width)]


def darker(a, b):
    return a.sum() < b.sum()


def run(model, live, epochs=3, **options):
    optimizer = SGD(model.parameters(), lr=0.1)
    return fit(model, binary_cross_entropy_with_logits, X, Y, optimizer, epochs, callback=live, **options)


@pytest.mark.parametrize("compiled", [False, True])
def test_every_epoch_of_fit_is_reported_and_shown(tmp_path, compiled):
    pytest.importorskip("llvmlite")
    model = right_of_zero()
    live = LivePlot(model, X, Y, interval=0.0, path=tmp_path / "live.png")
    history = run(model, live, compiled=compiled)
    assert (live.numbers, live.losses, live.frames) == ([1, 2, 3], history.losses, 3)
    assert (tmp_path / "live.png").read_bytes() == live.png()


def test_every_step_of_a_program_is_reported(tmp_path):
    pytest.importorskip("llvmlite")
    from micrograd_mlp import compile

    model = right_of_zero()
    live = LivePlot(model, X, Y, interval=1e9, path=tmp_path / "live.png")
    program = compile(lambda x, y: squared_error(model(x), y), model.parameters())
    losses = program.train(SGD(model.parameters(), lr=0.1), X, Y, steps=4, callback=live)
    assert (live.numbers, live.losses) == ([1, 2, 3, 4], losses)
    assert live.frames == 2, "the first and the last"


def test_the_boundary_is_that_of_the_present_weights():
    model = right_of_zero()
    live = LivePlot(model, X, Y, path="unused.png")
    left, right = left_and_right(live.png())
    assert darker(left, right), "class 0 is dark, class 1 is bright"
    model.load_state_dict({"W1[1,1]": -1.0, "W1[1,2]": 0.0, "b1[1]": 0.0})
    left, right = left_and_right(live.png())
    assert darker(right, left)


@pytest.mark.parametrize("output_activation", [None, "sigmoid", "tanh"])
def test_the_threshold_is_that_of_the_output_activation(output_activation):
    model = MLP(2, [1], output_activation=output_activation, seed=0)
    model.load_state_dict({"W1[1,1]": 1.0, "W1[1,2]": 0.0, "b1[1]": 0.0})
    left, right = left_and_right(LivePlot(model, X, Y, path="unused.png").png())
    assert darker(left, right)


def test_without_llvmlite_python_computes_the_same_picture(monkeypatch):
    pytest.importorskip("llvmlite")
    X, Y = datasets.spirals(30, n_classes=3, seed=0)
    model = MLP(2, [4, 3], activation="tanh", seed=0)
    fast = LivePlot(model, X, Y, path="unused.png", resolution=20).png()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert LivePlot(model, X, Y, path="unused.png", resolution=20).png() == fast


def test_a_model_that_compile_refuses_is_computed_by_python():
    pytest.importorskip("llvmlite")
    model = right_of_zero()

    class Branching:
        parameters = model.parameters

        def __call__(self, x):
            return model(x) if x[0] > 0 else -model([-x[0], x[1]])

    assert LivePlot(Branching(), X, Y, path="unused.png", resolution=10).png() == (
        LivePlot(model, X, Y, path="unused.png", resolution=10).png()
    )


def test_a_loss_alone_has_one_picture_and_grows(tmp_path):
    live = LivePlot(path=tmp_path / "live.png", interval=0.0)
    for number, loss in ((1, 4.0), (2, 1.0), (3, math.inf), (4, -0.5)):
        live(number, loss)
    assert live.frames == 4
    height, width, _ = pixels(live.png()).shape
    assert width < 1.5 * height
    assert repr(live) == "<LivePlot: 4 reported, loss -0.5>"


def test_a_frame_that_is_not_due_is_left_out_and_the_last_one_never(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(live_plot.time, "monotonic", lambda: now)
    live = LivePlot(path=tmp_path / "live.png", interval=1.0)
    frames = []
    for number, now in ((1, 0.0), (2, 0.9), (3, 1.0), (4, 1.9)):  # noqa: B007 (the clock reads it)
        live(number, 1.0)
        frames.append(live.frames)
    assert frames == [1, 1, 2, 2]
    live.finish()
    live.finish()
    assert live.frames == 3


def test_the_last_frame_is_shown_however_a_run_ends(tmp_path):
    def stop(error):
        def loss(y_hat, y):
            if len(live.losses) == 2:
                raise error
            return squared_error(y_hat, y)

        return loss

    for error in (KeyboardInterrupt, ZeroDivisionError):
        live = LivePlot(path=tmp_path / "live.png", interval=1e9)
        model = right_of_zero()
        try:
            fit(model, stop(error), X, Y, SGD(model.parameters(), 0.1), 9, callback=live)
        except ZeroDivisionError:
            assert error is ZeroDivisionError
        assert (len(live.losses), live.frames) == (2, 2)


def test_in_a_notebook_every_frame_takes_the_place_of_the_one_before(monkeypatch):
    shown = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(("update" if raw else "formatted", bundle))

    def display(bundle, raw, display_id):
        shown.append(("display" if raw and display_id else "formatted", bundle))
        return Handle()

    module = types.ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(live_plot, "_in_notebook", lambda: True)
    live = LivePlot(interval=0.0)
    live(1, 0.5)
    live(2, 0.25)
    assert [how for how, _ in shown] == ["display", "update"]
    bundle = shown[-1][1]
    assert bundle["text/plain"] == "<LivePlot: 2 reported, loss 0.25>"
    assert bundle["image/png"] == live.png() == live._repr_png_()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"path": None}, ValueError, 'shows itself in a notebook; elsewhere give path="live.png"'),
        ({"path": "none/live.png"}, FileNotFoundError, "there is no folder"),
        ({"interval": -1}, ValueError, "interval must be 0 or more, got -1.0"),
        ({"resolution": 1}, ValueError, "resolution must be 2 or more, got 1"),
        ({"threshold": "0"}, TypeError, "threshold: expected a real number"),
        ({"X": None}, ValueError, "the decision boundary is drawn over examples: give X and Y too"),
        ({"X": [[1.0]] * 4}, ValueError, "over two inputs, got an example with 1"),
        ({"Y": [0, 1, 2, 1]}, ValueError, "the model tells 2 classes apart"),
    ],
)
def test_what_can_not_be_shown(options, error, message):
    with pytest.raises(error, match=message):
        LivePlot(**{"model": right_of_zero(), "X": X, "Y": Y, "path": "unused.png"} | options)


def test_several_classes(tmp_path):
    X, Y = datasets.spirals(30, n_classes=3, seed=0)
    model = MLP(2, [4, 3], activation="tanh", seed=0)
    live = LivePlot(model, X, Y, path=tmp_path / "live.png", interval=0.0)
    fit(model, cross_entropy, X, Y, SGD(model.parameters(), 0.1), 2, callback=live)
    assert live.frames == 2
