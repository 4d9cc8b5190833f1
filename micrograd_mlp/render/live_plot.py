"""Loss and decision boundary while a model trains (§5, §10.1): a callback of `fit` and `program.train`.

A frame has to be cheap beside the steps that it shows. So the model is compiled where that is possible, the
axes are drawn again only when their limits change, and a frame is left out if the last one was just drawn.
"""

from __future__ import annotations

import importlib.util
import io
import math
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from micrograd_mlp._require import require_number
from micrograd_mlp.files import require_writable, write_atomically
from micrograd_mlp.nn.activations import decision_threshold
from micrograd_mlp.render.plots import Boundary, line_colour, require_matplotlib


class LivePlot:
    """Show the loss of a run, and the decision boundary of its model, while it trains.

    Args:
        model: the network that trains, with two inputs, or a compiled program with `predict`. None shows the
            loss alone.
        X: the examples to show, with two features each.
        Y: their classes, as `plot_decision_boundary` takes them.
        threshold: the single output at which the class changes; None takes that of `accuracy`.
        interval: the least number of seconds from one frame to the next. The first report and the last one
            always have a frame.
        resolution: the number of points along each axis at which the model is evaluated; None means 100 for
            a compiled model and 30 otherwise.
        path: a PNG file that every frame replaces, for programs outside of a notebook.

    Attributes:
        numbers: the number of each epoch or step that was reported.
        losses: its loss.
        frames: how many frames were drawn.

    Raises:
        ImportError: matplotlib is missing; the message names the extra.
        OSError: `path` can't be written.
        TypeError: an option is not a number.
        ValueError: there are no examples, they do not have two features, or their classes do not fit the
            model; or there is neither a notebook nor a `path` to show frames in.

    >>> from micrograd_mlp import MLP, Adam, binary_cross_entropy_with_logits, datasets, fit
    >>> import tempfile
    >>> X, y = datasets.moons(20, seed=0)
    >>> model = MLP(2, [4, 1], seed=0)
    >>> optimizer = Adam(model.parameters(), lr=0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     live = LivePlot(model, X, y, path=f"{folder}/live.png")
    ...     history = fit(model, binary_cross_entropy_with_logits, X, y, optimizer, 3, callback=live)
    >>> live.losses == history.losses
    True
    """

    def __init__(
        self,
        model: Any = None,
        X: Sequence[Sequence[Any]] | None = None,
        Y: Sequence[Any] | None = None,
        *,
        threshold: float | None = None,
        interval: float = 0.1,
        resolution: int | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        require_matplotlib()
        self.interval = require_number("interval", interval, least=0)
        self.path, self._handle = path, None
        if path is not None:
            require_writable(path)
        elif not _in_notebook():
            raise ValueError('a LivePlot shows itself in a notebook; elsewhere give path="live.png"')
        self.numbers: list[int] = []
        self.losses: list[float] = []
        self.frames = 0
        self._last_frame = -math.inf
        self._shown = 0  # how many reports the last frame shows
        self._canvas = _Canvas(None if model is None else _boundary(model, X, Y, threshold, resolution))

    def __call__(self, number: int, loss: float) -> None:
        """Take the report of an epoch or a step; draw a frame if it is time for one."""
        self.numbers.append(number)
        self.losses.append(loss)
        if time.monotonic() - self._last_frame >= self.interval:
            self._draw()

    def finish(self) -> None:
        """Draw the last frame. `fit` and `program.train` call this when a run ends, however it ends."""
        if self._shown < len(self.losses):
            self._draw()

    def png(self) -> bytes:
        """The present frame as a PNG picture."""
        return self._canvas.frame(self.numbers, self.losses)

    def _repr_png_(self) -> bytes:
        return self.png()

    def __repr__(self) -> str:
        if not self.losses:
            return "<LivePlot: no report yet>"
        return f"<LivePlot: {self.numbers[-1]} reported, loss {self.losses[-1]:.4g}>"

    def _draw(self) -> None:
        picture = self.png()
        if self.path is not None:
            write_atomically(self.path, picture)
        else:
            self._show(picture)
        self.frames += 1
        self._shown, self._last_frame = len(self.losses), time.monotonic()

    def _show(self, picture: bytes) -> None:
        from IPython.display import display

        bundle = {"image/png": picture, "text/plain": repr(self)}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


def _boundary(model: Any, X: Any, Y: Any, threshold: float | None, resolution: int | None) -> Boundary:
    if X is None or Y is None:
        raise ValueError("the decision boundary is drawn over examples: give X and Y too")
    if threshold is None:
        threshold = decision_threshold(model)  # which a program does not know
    if not hasattr(model, "predict"):
        model = _compiled(model)
    if resolution is None:
        resolution = 100 if hasattr(model, "predict") else 30
    return Boundary(model, X, Y, threshold, resolution)


def _compiled(model: Any) -> Any:
    """A program of the model, which predicts many examples at once; the model, if there can be none."""
    if not hasattr(model, "parameters") or importlib.util.find_spec("llvmlite") is None:
        return model
    from micrograd_mlp.compiled import compile

    program = compile(model, model.parameters())
    try:
        program.predict([[0.0, 0.0]])
    except (TypeError, ValueError, RuntimeError):  # compile refuses it, so that Python computes it
        return model
    return program


class _Canvas:
    """A figure in which a frame draws only the curve, the image and the examples again."""

    def __init__(self, boundary: Boundary | None) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.boundary = boundary
        n_axes = 1 if boundary is None else 2
        figure = Figure(figsize=(4.5 * n_axes, 3.4), dpi=100, layout="constrained")
        self.canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(1, n_axes, squeeze=False)[0]
        self.ax = axes[0]
        self.ax.set_xlabel("epoch or step")
        self.ax.set_ylabel(r"loss $\mathcal{L}$")
        self.ax.grid(visible=True, alpha=0.3)
        (self.curve,) = self.ax.plot([], [], color=line_colour(0), linewidth=1.4, animated=True)
        self.animated = [(self.ax, self.curve)]
        if boundary is not None:
            self._draw_boundary(axes[1], boundary)
        self.limits: tuple[float, ...] = ()
        self.background: Any = None

    def _draw_boundary(self, ax: Any, boundary: Boundary) -> None:
        x1, x2 = boundary.axes
        extent = (x1[0], x1[-1], x2[0], x2[-1])
        self.image = ax.imshow(_image(boundary), extent=extent, origin="lower", aspect="auto", animated=True)
        artists = [self.image, *boundary.draw_examples(ax, animated=True)]
        self.animated += [(ax, artist) for artist in artists]
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(boundary.colours), frameon=False)

    def frame(self, numbers: list[int], losses: list[float]) -> bytes:
        """The present state as a PNG picture."""
        from PIL import Image  # which matplotlib needs too

        finite = [(number, loss) for number, loss in zip(numbers, losses) if math.isfinite(loss)]
        limits = _limits(finite)
        if limits != self.limits:
            self.limits = limits
            self.ax.set_xlim(0, limits[0])
            self.ax.set_ylim(*limits[1:])
            self.canvas.draw()
            self.background = self.canvas.copy_from_bbox(self.canvas.figure.bbox)
        self.canvas.restore_region(self.background)
        self.curve.set_data([number for number, _ in finite], [loss for _, loss in finite])
        if self.boundary is not None:
            self.boundary.update()
            self.image.set_data(_image(self.boundary))
        for ax, artist in self.animated:
            ax.draw_artist(artist)
        file = io.BytesIO()
        Image.frombuffer("RGBA", self.canvas.get_width_height(), self.canvas.buffer_rgba()).save(
            file, "png", compress_level=1
        )
        return file.getvalue()


def _image(boundary: Boundary) -> Any:
    """For each point of the grid the colour of its class; a point whose scores are nan has none."""
    import numpy as np

    colours = np.array(boundary.colours)[boundary.scores.argmax(axis=-1)]
    colours[..., 3] = np.where(np.isnan(boundary.scores).any(axis=-1), 0.0, 0.4)
    return colours


def _limits(points: list[tuple[int, float]]) -> tuple[float, ...]:
    """The last epoch and the range of the losses on the axes: powers of two, which change seldom."""
    if not points:
        return 1.0, 0.0, 1.0
    losses = [loss for _, loss in points]
    low, high = min(losses), max(losses)
    right = 2.0 ** math.ceil(math.log2(max(points[-1][0], 2)))
    top = 2.0 ** math.ceil(math.log2(high)) if high > 0.0 else 0.0
    bottom = -(2.0 ** math.ceil(math.log2(-low))) if low < 0.0 else 0.0
    return right, bottom, top if top > bottom else bottom + 1.0


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
