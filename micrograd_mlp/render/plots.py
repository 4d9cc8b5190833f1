"""Plots of loss curves (§5), decision boundaries, gradient norms (§9) and optimizer paths (§10, §11).

Each function draws on `ax`, or on the Axes of a new figure, and returns the Axes, so that titles, limits and
`ax.figure.savefig("plot.png")` are matplotlib's own. Lines differ in style and marker, and classes differ in
marker. All colours come from the colour map viridis, which orders them by brightness, for readers without
colour. The plots need the extra `plot`: pip install "micrograd_mlp[plot]".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from micrograd_mlp._require import as_float, is_sequence, require_count, require_examples, require_number
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.value import number_of
from micrograd_mlp.nn.activations import decision_threshold

LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SHADES = (0.0, 0.6, 0.2, 0.8, 0.4)  # from 0 to 1 in the colour map; above 0.8 a line is too pale on white


def plot_history(runs: Any, ax: Any = None, *, log: bool = False) -> Any:
    """Plot the loss over the epochs: one curve for each run, and one more for its validation losses.

    Args:
        runs: one run, or a dict of runs by name. A run is a History, as `fit` returns it, or a list of
            losses.
        ax: the Axes to draw on; None makes a new figure.
        log: whether the axis of the loss is logarithmic.

    Raises:
        ImportError: matplotlib is missing.
        TypeError: a run is neither a History nor a list of numbers.

    >>> ax = plot_history({"SGD": [1.0, 0.5, 0.3], "Adam": [1.0, 0.2, 0.1]})
    >>> ax.get_xlabel(), len(ax.get_lines())
    ('epoch', 2)
    """
    curves: dict[str | None, list[float]] = {}
    for name, run in _by_name(runs).items():
        validation = _losses(getattr(run, "validation_losses", []))
        training_name = "training" if name is None and validation else name
        curves[training_name] = _losses(getattr(run, "losses", run))
        if validation:
            curves["validation" if name is None else f"{name}, validation"] = validation
    ax = _axes(ax)
    for curve_name, losses in curves.items():
        _curve(ax, curve_name, range(1, len(losses) + 1), losses)
    ax.set_xlabel("epoch")
    ax.set_ylabel(r"loss $\mathcal{L}$")
    if log:
        ax.set_yscale("log")
    return _finish(ax)


def plot_gradient_norms(runs: Any, ax: Any = None, *, of: str = "z") -> Any:
    """Plot ‖∂L/∂z⁽ˡ⁾‖ or ‖∂L/∂W⁽ˡ⁾‖ of each layer ℓ on a logarithmic axis, whose slope is §9's factor.

    Vanishing gradients rise from left to right, and exploding ones fall. A logarithmic axis cannot show a
    norm of 0, which leaves a gap.

    Args:
        runs: what `layer_gradient_norms` returns, or a dict of that by name.
        ax: the Axes to draw on; None makes a new figure.
        of: "z" for the error signals δ⁽ˡ⁾ = ∂L/∂z⁽ˡ⁾, "W" for the weights.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: `of` is something else.

    >>> from micrograd_mlp import MLP, layer_gradient_norms, squared_error
    >>> model = MLP(2, [4, 4, 1], activation="tanh", seed=0)
    >>> ax = plot_gradient_norms(layer_gradient_norms(squared_error(model([1.0, 2.0]), 0.5), model))
    >>> ax.get_yscale(), len(ax.get_lines()[0].get_xdata())
    ('log', 3)
    """
    if of not in ("z", "W"):
        raise ValueError(f'of must be "z" or "W", got {of!r:.60}')
    ax = _axes(ax)
    for name, layers in _by_name(runs).items():
        norms = [layer.dz if of == "z" else layer.dw for layer in layers]
        _curve(ax, name, [layer.layer for layer in layers], norms)
    ax.set_yscale("log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel(r"layer $\ell$")
    ax.set_ylabel(rf"$\|\partial\mathcal{{L}}/\partial {of}^{{(\ell)}}\|$")
    return _finish(ax)


def plot_decision_boundary(
    model: Any,
    X: Sequence[Sequence[Any]],
    Y: Sequence[Any],
    ax: Any = None,
    *,
    threshold: float | None = None,
    resolution: int = 60,
) -> Any:
    """Plot the examples, and the class that the model predicts at every point of the plane.

    Args:
        model: a function of a list of two inputs, or an object such as a compiled program, whose `predict`
            takes many examples at once. Its output is one score, which is above the threshold for the second
            class; or one score for each class, of which the largest counts.
        X: the examples, with two features each.
        Y: their classes. For one score these are two different numbers, such as 0 and 1 or -1 and 1. For
            several scores they are indices from 0.
        ax: the Axes to draw on; None makes a new figure.
        threshold: the single score at which the class changes. None takes 0.5 if the model ends in a sigmoid,
            and otherwise 0, as for logits, also for a compiled program.
        resolution: the number of points along each axis at which the model is evaluated, 2 or more.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: an example does not have two features, X and Y differ in length, or Y does not fit the
            number of scores.

    >>> ax = plot_decision_boundary(lambda x: x[0] - x[1], [[0.0, 1.0], [1.0, 0.0]], [0, 1])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('$x_1$', '$x_2$')
    """
    require_matplotlib()
    import numpy as np  # which matplotlib needs, too

    boundary = Boundary(model, X, Y, threshold, resolution)
    ax = _axes(ax)
    for k, colour in enumerate(boundary.colours):
        lead = boundary.scores[..., k] - np.delete(boundary.scores, k, axis=-1).max(axis=-1)
        if (lead > 0.0).any():  # somewhere the model predicts this class
            ax.contourf(*boundary.axes, lead, levels=[0.0, math.inf], colors=[colour], alpha=0.35)
            if (lead < 0.0).any():
                ax.contour(*boundary.axes, lead, levels=[0.0], colors="black", linewidths=1.2)
    boundary.draw_examples(ax, zorder=3)
    return _finish(ax, grid=False)


def plot_optimizer_paths(
    loss: Callable[[float, float], Any],
    paths: Mapping[str, Sequence[Sequence[float]]],
    ax: Any = None,
    *,
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None,
    resolution: int = 100,
) -> Any:
    """Plot the paths of optimizers on a loss of two parameters, over its contour lines (§10, §11).

    A circle marks the start of a path, and a star its end.

    Args:
        loss: a function of θ₁ and θ₂, for the contours.
        paths: for the name of each path its points (θ₁, θ₂) from the start to the end.
        ax: the Axes to draw on; None makes a new figure.
        limits: the ranges of both axes, ((θ₁ from, to), (θ₂ from, to)); None shows every finite point.
        resolution: the number of points along each axis at which the loss is evaluated, 2 or more.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: there is no path, or a path has no finite point.

    >>> path = [(1.0, 1.0), (0.5, 0.1), (0.25, 0.0)]
    >>> ax = plot_optimizer_paths(lambda u, v: u * u + 9 * v * v, {"SGD": path})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('$\\\\theta_1$', '$\\\\theta_2$')
    """
    finite = {name: [p for p in path if all(map(math.isfinite, p))] for name, path in paths.items()}
    if not finite or not all(finite.values()):
        seen = {name: len(points) for name, points in finite.items()}
        raise ValueError(f"every path needs at least one finite point (θ₁, θ₂), got {seen!r:.60}")
    ranges = limits or zip(*itertools.chain(*finite.values()))
    u_grid, v_grid = (_evenly_spaced(each, 0.0 if limits else 0.2, resolution) for each in ranges)
    with no_grad():
        surface = [[number_of(loss(u, v)) for u in u_grid] for v in v_grid]

    ax = _axes(ax)
    heights = sorted(height for row in surface for height in row if math.isfinite(height))
    # The areas between the levels are equal, so that a steep ravine and its flat floor both show lines.
    levels = sorted({heights[len(heights) * k // 14] for k in range(1, 14)}) if heights else []
    if len(levels) > 1:
        ax.contour(u_grid, v_grid, surface, levels=levels, colors="0.65", linewidths=0.7)
    for name, path in finite.items():
        _curve(ax, name, [p[0] for p in path], [p[1] for p in path], all_markers=True)
        ax.scatter(*path[-1], marker="*", s=160, color="white", edgecolors="black", zorder=4)
        ax.scatter(*path[0], marker="o", s=80, color="white", edgecolors="black", zorder=4)
    ax.set_xlim(u_grid[0], u_grid[-1])
    ax.set_ylim(v_grid[0], v_grid[-1])
    ax.set_xlabel(r"$\theta_1$")
    ax.set_ylabel(r"$\theta_2$")
    return _finish(ax, grid=False)


# What all plots share


def require_matplotlib() -> Any:
    """`matplotlib.pyplot`, or an ImportError that names the extra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "micrograd_mlp[plot]"') from error
    return plt


def _axes(ax: Any) -> Any:
    plt = require_matplotlib()
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def _curve(
    ax: Any, name: str | None, x: Sequence[float], y: Sequence[float], *, all_markers: bool = False
) -> None:
    """Draw a line whose style, marker and brightness differ from those that are on the Axes."""
    k = len(ax.get_lines())
    ax.plot(
        x,
        y,
        label=name,
        color=line_colour(k),
        linestyle=LINE_STYLES[k % len(LINE_STYLES)],
        marker=MARKERS[k % len(MARKERS)],
        markevery=1 if all_markers else max(1, len(x) // 12),
        markersize=4.5,
        linewidth=1.4,
    )


def _finish(ax: Any, *, grid: bool = True) -> Any:
    if grid:
        ax.grid(visible=True, alpha=0.3)
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
    return ax


def line_colour(k: int) -> Any:
    """The colour of the line with index k."""
    return _colour(SHADES[k % len(SHADES)])


def _colour(x: float) -> Any:
    """The colour at x, from 0 to 1, in the colour map."""
    import matplotlib as mpl

    return mpl.colormaps["viridis"](x)


def _by_name(runs: Any) -> Mapping[str | None, Any]:
    """Runs by their names; a single run has the name None."""
    return runs if isinstance(runs, Mapping) else {None: runs}


def _losses(numbers: Any) -> list[float]:
    try:
        return [as_float(number) for number in numbers]
    except TypeError as error:
        raise TypeError(
            f"a run is a History or a list of losses (several runs go in a dict by name): {error}"
        ) from None


def _evenly_spaced(numbers: Iterable[float], margin: float, n: int) -> list[float]:
    """n numbers from below the smallest one to above the largest one."""
    numbers = list(numbers)
    low, high = min(numbers), max(numbers)
    margin = margin * (high - low) if high > low else 1.0
    return [low - margin + (high - low + 2.0 * margin) * k / (n - 1) for k in range(n)]


class Boundary:
    """The classes that a model predicts on a grid over the examples.

    Attributes:
        axes: the coordinates x₁ of the grid, and its x₂.
        colours: one for each class.
        scores: an array with a score for each x₂, each x₁ and each class, of which the largest counts.
    """

    def __init__(self, model: Any, X: Any, Y: Any, threshold: float | None, resolution: int) -> None:
        resolution = require_count("resolution", resolution, least=2)
        self._points, self._classes = require_examples(X, Y)
        for point in self._points:
            if len(point) != 2:
                raise ValueError(
                    f"a decision boundary is drawn over two inputs, got an example with {len(point)}"
                )
        self._model = model
        threshold = decision_threshold(model) if threshold is None else threshold
        self._threshold = require_number("threshold", threshold)
        x1, x2 = (_evenly_spaced(column, 0.12, resolution) for column in zip(*self._points))
        self.axes = x1, x2
        self.update()
        self._names = self._name_classes(self.scores.shape[-1])
        self.colours = [_colour(k / (len(self._names) - 1)) for k in range(len(self._names))]

    def update(self) -> None:
        """Compute the scores with the model's present parameters."""
        import numpy as np  # which matplotlib needs, too

        x1, x2 = self.axes
        grid = [[a, b] for b in x2 for a in x1]
        if hasattr(self._model, "predict"):
            outputs = np.asarray(self._model.predict(grid), dtype=float).reshape(len(grid), -1)
        else:
            with no_grad():
                outputs = np.array([_numbers(self._model(point)) for point in grid])
        if outputs.shape[1] == 1:
            outputs = np.hstack([self._threshold - outputs, outputs - self._threshold])
        self.scores = outputs.reshape(len(x2), len(x1), -1)

    def _name_classes(self, n: int) -> Sequence[float]:
        """The numbers that Y uses for the n classes: 0 to n - 1, or two others such as -1 and 1."""
        seen = sorted(set(self._classes))
        if set(seen) <= set(range(n)):
            return range(n)
        if n == 2 and len(seen) == 2:
            return seen
        raise ValueError(f"the model tells {n} classes apart, numbered from 0, but Y holds {seen!r:.60}")

    def draw_examples(self, ax: Any, **options: Any) -> list[Any]:
        """Name the axes, and draw the examples of each class with a marker of their own."""
        ax.set_xlabel("$x_1$")
        ax.set_ylabel("$x_2$")
        drawn = []
        for name, colour, marker in zip(self._names, self.colours, itertools.cycle(MARKERS)):
            chosen = [point for point, y in zip(self._points, self._classes) if y == name]
            style = {"color": [colour], "marker": marker, "edgecolors": "black", "linewidths": 0.7}
            x1, x2 = [point[0] for point in chosen], [point[1] for point in chosen]
            drawn.append(ax.scatter(x1, x2, label=f"$y = {name:g}$", **style, **options))
        return drawn


def _numbers(output: Any) -> list[float]:
    return [number_of(x) for x in output] if is_sequence(output) else [number_of(output)]
