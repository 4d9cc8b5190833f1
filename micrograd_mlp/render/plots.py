"""Pictures: loss curves (§5), decision boundaries, gradient norms (§9) and optimizer paths (§10, §11).

Each function draws on `ax`, or on a new figure's Axes, and returns the Axes, so that titles, limits and
`ax.figure.savefig("picture.png")` are matplotlib's own. Lines differ in style and marker, classes in
marker, and all colours are viridis, which orders them by brightness for greyscale and colour-blind readers.
Needs the extra `plot`: pip install "micrograd_mlp[plot]".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from micrograd_mlp._require import as_float, is_sequence
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.value import number_of
from micrograd_mlp.nn.activations import decision_threshold

LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SHADES = (0.0, 0.6, 0.2, 0.8, 0.4)  # positions in the colour map; above 0.8 a thin line is too pale on white


def plot_history(runs: Any, ax: Any = None, *, log: bool = False) -> Any:
    """The loss over the epochs, one curve for each run, and one more for its validation losses.

    Args:
        runs: one run, or a dict of runs by name. A run is a History, as `fit` returns it, or a list of
            losses.
        ax: the Axes to draw on; None makes a new figure.
        log: a logarithmic axis for the loss.

    Returns:
        The Axes.

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
    """‖∂L/∂z⁽ˡ⁾‖ or ‖∂L/∂W⁽ˡ⁾‖ in each layer ℓ on a logarithmic axis: a slope is §9's factor.

    Vanishing gradients rise from left to right, exploding ones fall. A norm of 0 has no place on the
    axis and leaves a gap.

    Args:
        runs: what `layer_gradient_norms` returns, or a dict of that by name.
        ax: the Axes to draw on; None makes a new figure.
        of: "z" for the error signals δ⁽ˡ⁾ = ∂L/∂z⁽ˡ⁾, "W" for the weights.

    Returns:
        The Axes.

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
    """The examples, and which class the model says in every place of the plane.

    Args:
        model: a function of a list of two inputs that gives one score, above the threshold for the
            second class, or a list with one score for each class, of which the largest counts; or an
            object whose `predict` does so for many examples at once, as a compiled program.
        X: the examples, two numbers each.
        Y: their classes: two different numbers for one score (0 and 1, or -1 and 1); an index from 0
            for several scores.
        ax: the Axes to draw on; None makes a new figure.
        threshold: where one score changes class; None means 0.5 if the model ends in a sigmoid, and 0
            as for logits otherwise, a compiled program's too.
        resolution: the model is evaluated in this many places along each axis.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: an example has not two inputs, X and Y differ in length, or Y does not fit the
            number of scores.

    >>> ax = plot_decision_boundary(lambda x: x[0] - x[1], [[0.0, 1.0], [1.0, 0.0]], [0, 1])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('$x_1$', '$x_2$')
    """
    points, classes = require_points(X, Y)
    if threshold is None:
        threshold = decision_threshold(model)
    x1_grid, x2_grid = (evenly_spaced([p[k] for p in points], 0.12, resolution) for k in (0, 1))
    places = [[x1, x2] for x2 in x2_grid for x1 in x1_grid]
    with no_grad():
        outputs = model.predict(places) if hasattr(model, "predict") else map(model, places)
        scores = [class_scores(output, threshold) for output in outputs]
    names = class_names(classes, len(scores[0]))

    ax = _axes(ax)
    colours = colours_of(len(names))
    for k, colour in enumerate(colours):
        lead = [of_place[k] - max(of_place[:k] + of_place[k + 1 :]) for of_place in scores]
        if max(lead) > 0.0:  # there is a place where it wins
            rows = [lead[i : i + resolution] for i in range(0, len(lead), resolution)]
            ax.contourf(x1_grid, x2_grid, rows, levels=[0.0, math.inf], colors=[colour], alpha=0.35)
            if min(lead) < 0.0:
                ax.contour(x1_grid, x2_grid, rows, levels=[0.0], colors="black", linewidths=1.2)
    for k, (name, colour) in enumerate(zip(names, colours)):
        chosen = [p for p, y in zip(points, classes) if y == name]
        ax.scatter(
            [p[0] for p in chosen],
            [p[1] for p in chosen],
            color=colour,
            marker=MARKERS[k % len(MARKERS)],
            edgecolors="black",
            linewidths=0.7,
            zorder=3,
            label=f"$y = {name:g}$",
        )
    ax.set_xlabel("$x_1$")
    ax.set_ylabel("$x_2$")
    return _finish(ax, grid=False)


def plot_optimizer_paths(
    loss: Callable[[float, float], Any],
    paths: Mapping[str, Sequence[Sequence[float]]],
    ax: Any = None,
    *,
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None,
    resolution: int = 100,
) -> Any:
    """Where optimizers went on a loss of two parameters, over its contour lines (§10, §11).

    A circle is a start and a star an end.

    Args:
        loss: a function of θ₁ and θ₂, for the contours.
        paths: by name, the points (θ₁, θ₂) from the start to the end.
        ax: the Axes to draw on; None makes a new figure.
        limits: ((θ₁ from, to), (θ₂ from, to)); None shows every finite point of the paths.
        resolution: the loss is evaluated in this many places along each axis.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: there is no path, or one without a finite point.

    >>> path = [(1.0, 1.0), (0.5, 0.1), (0.25, 0.0)]
    >>> ax = plot_optimizer_paths(lambda u, v: u * u + 9 * v * v, {"SGD": path})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('$\\\\theta_1$', '$\\\\theta_2$')
    """
    finite = {name: [p for p in path if all(map(math.isfinite, p))] for name, path in paths.items()}
    if not finite or not all(finite.values()):
        seen = {name: len(points) for name, points in finite.items()}
        raise ValueError(f"every path needs at least one finite point (θ₁, θ₂), got {seen!r:.60}")
    shown = [p for path in finite.values() for p in path]
    ranges = limits or ([p[0] for p in shown], [p[1] for p in shown])
    u_grid, v_grid = (evenly_spaced(each, 0.0 if limits else 0.2, resolution) for each in ranges)
    with no_grad():
        surface = [[number_of(loss(u, v)) for u in u_grid] for v in v_grid]

    ax = _axes(ax)
    heights = sorted(height for row in surface for height in row if math.isfinite(height))
    # Levels that share the area evenly show a steep ravine and its flat floor alike.
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
    """One line, unlike those that are there in style, marker and brightness."""
    k = len(ax.get_lines())
    ax.plot(
        x,
        y,
        label=name,
        color=_colour(SHADES[k % len(SHADES)]),
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


def _colour(place: float) -> Any:
    import matplotlib as mpl

    return mpl.colormaps["viridis"](place)


def colours_of(n: int) -> list[Any]:
    """A colour for each of n classes, evenly over the colour map."""
    return [_colour(k / (n - 1)) for k in range(n)]


# What is plotted, checked and put in order


def _by_name(runs: Any) -> Mapping[str | None, Any]:
    """One run without a name, or several by their names."""
    return runs if isinstance(runs, Mapping) else {None: runs}


def _losses(numbers: Any) -> list[float]:
    try:
        return [as_float(number) for number in numbers]
    except TypeError as error:
        raise TypeError(
            f"a run is a History or a list of losses (several runs go in a dict by name): {error}"
        ) from None


def evenly_spaced(numbers: Iterable[float], margin: float, n: int) -> list[float]:
    """n places from below the smallest number to above the largest."""
    numbers = list(numbers)
    low, high = min(numbers), max(numbers)
    margin = margin * (high - low) if high > low else 1.0
    return [low - margin + (high - low + 2.0 * margin) * k / (n - 1) for k in range(n)]


def require_points(X: Sequence[Sequence[Any]], Y: Sequence[Any]) -> tuple[list[list[float]], list[float]]:
    """The examples as points with two coordinates, and their classes."""
    points = [[number_of(x) for x in example] for example in X]
    classes = [number_of(y) for y in Y]
    if not points or len(points) != len(classes):
        raise ValueError(f"X and Y must have one row for each example, got {len(points)} and {len(classes)}")
    for point in points:
        if len(point) != 2:
            raise ValueError(
                f"a decision boundary is drawn over two inputs, got an example with {len(point)}"
            )
    return points, classes


def class_scores(output: Any, threshold: float) -> list[float]:
    """One number for each class, the largest being what the model says."""
    numbers = [number_of(x) for x in output] if is_sequence(output) else [number_of(output)]
    return [threshold - numbers[0], numbers[0] - threshold] if len(numbers) == 1 else numbers


def class_names(classes: Sequence[float], n: int) -> Sequence[float]:
    """What Y calls the model's n classes: 0 to n - 1, or two other numbers such as -1 and 1."""
    seen = sorted(set(classes))
    if set(seen) <= set(range(n)):
        return range(n)
    if n == 2 and len(seen) == 2:
        return seen
    raise ValueError(f"the model tells {n} classes apart, numbered from 0, but Y holds {seen!r:.60}")
