"""Pictures of training: what is on the Axes is what was measured, with the paper's symbols."""

import itertools
import math
import sys

import pytest

import micrograd_mlp
from micrograd_mlp import MLP, Value, layer_gradient_norms, plots, squared_error
from micrograd_mlp.render.plots import (
    plot_decision_boundary,
    plot_gradient_norms,
    plot_history,
    plot_optimizer_paths,
)
from micrograd_mlp.training import History
from micrograd_mlp.training.diagnostics import LayerGradient

plt = pytest.importorskip("matplotlib.pyplot")
colors = pytest.importorskip("matplotlib.colors")
plt.switch_backend("agg")

NORMS = [
    LayerGradient(1, 1e-6, 1e-5, 0.01),
    LayerGradient(2, 1e-4, 1e-3, 0.01),
    LayerGradient(3, 1e-2, 0.1, None),
]
PATHS = {"SGD": [(-4.0, 1.0), (-2.0, -0.5), (-1.0, 0.2)], "Adam": [(-4.0, 1.0), (0.0, 0.0)]}
SQUARE = ([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0, 0, 1, 1])

DRAWINGS = {
    "history": lambda ax=None: plot_history([3.0, 2.0, 1.0], ax),
    "gradient norms": lambda ax=None: plot_gradient_norms(NORMS, ax),
    "decision boundary": lambda ax=None: plot_decision_boundary(
        lambda x: x[1] - 0.5, *SQUARE, ax, resolution=5
    ),
    "optimizer paths": lambda ax=None: plot_optimizer_paths(
        lambda u, v: u * u + v * v, {"SGD": [(1.0, 1.0), (0.0, 0.5)]}, ax, resolution=5
    ),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def curves(ax):
    return {line.get_label(): list(map(float, line.get_ydata())) for line in ax.get_lines()}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def region_at(ax, x, y):
    """Which filled regions a place lies in, in the order of the classes."""
    filled = [c for c in ax.collections if hasattr(c, "filled") and c.filled]
    return [any(path.contains_point((x, y)) for path in c.get_paths()) for c in filled]


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
class TestEveryPlot:
    def test_draws_on_a_new_figure_and_returns_its_axes(self, draw):
        first, second = draw(), draw()
        assert first is not second
        assert first.figure is not second.figure
        first.figure.canvas.draw()  # nothing warns, which would be an error here

    def test_draws_on_the_axes_that_are_given(self, draw):
        _, axes = plt.subplots()
        assert draw(axes) is axes

    def test_without_matplotlib_names_the_extra(self, draw, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
        with pytest.raises(ImportError, match=r'pip install "micrograd_mlp\[plot\]"'):
            draw()


class TestPlotHistory:
    @pytest.mark.parametrize("run", [[3.0, 2.0], (3, 2), History(losses=[3.0, 2.0])])
    def test_one_run_is_a_history_or_a_list(self, run):
        ax = plot_history(run)
        assert list(curves(ax).values()) == [[3.0, 2.0]]
        assert ax.get_legend() is None

    def test_validation_losses_are_a_curve_of_their_own(self):
        run = History(losses=[3.0, 2.0], validation_losses=[3.5, 3.0])
        assert curves(plot_history(run)) == {"training": [3.0, 2.0], "validation": [3.5, 3.0]}
        assert legend(plot_history({"SGD": run, "Adam": [1.0]})) == ["SGD", "SGD, validation", "Adam"]

    def test_several_runs_by_name(self):
        ax = plot_history({"SGD": [3.0, 2.0, 1.0], "Adam": History(losses=[3.0, 0.5])})
        assert curves(ax) == {"SGD": [3.0, 2.0, 1.0], "Adam": [3.0, 0.5]}
        assert legend(ax) == ["SGD", "Adam"]
        assert list(ax.get_lines()[0].get_xdata()) == [1, 2, 3]
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", r"loss $\mathcal{L}$")

    @pytest.mark.parametrize("log", [False, True])
    def test_the_axis_is_logarithmic_if_asked(self, log):
        assert plot_history([1.0, 0.1], log=log).get_yscale() == ("log" if log else "linear")

    @pytest.mark.parametrize("run", [[[1.0], [2.0]], 3.0, ["a"], None])
    def test_anything_else_is_refused_before_a_figure_opens(self, run):
        with pytest.raises(TypeError, match="a run is a History or a list of losses"):
            plot_history(run)
        assert plt.get_fignums() == []

    def test_a_run_that_diverged_is_drawn_as_far_as_it_is_finite(self):
        ax = plot_history([1.0, 10.0, math.inf, math.nan])
        ax.figure.canvas.draw()
        assert ax.get_ylim()[1] < 20.0

    def test_runs_differ_without_their_colours(self):
        ax = plot_history({f"run {k}": [1.0, 2.0] for k in range(7)})
        seen = {(line.get_linestyle(), line.get_marker()) for line in ax.get_lines()}
        assert len(seen) == 7

    def test_the_first_five_runs_differ_in_greyscale(self):
        ax = plot_history({f"run {k}": [1.0, 2.0] for k in range(5)})
        brightness = sorted(
            0.299 * red + 0.587 * green + 0.114 * blue
            for red, green, blue in (colors.to_rgb(line.get_color()) for line in ax.get_lines())
        )
        assert min(b - a for a, b in itertools.pairwise(brightness)) > 0.05

    def test_a_second_call_on_the_same_axes_goes_on_with_the_next_style(self):
        ax = plot_history({"first": [1.0, 2.0]})
        plot_history({"second": [2.0, 1.0]}, ax)
        first, second = ax.get_lines()
        assert first.get_linestyle() != second.get_linestyle()
        assert legend(ax) == ["first", "second"]


class TestPlotGradientNorms:
    def test_norms_of_the_error_signals_by_layer(self):
        ax = plot_gradient_norms(NORMS)
        [line] = ax.get_lines()
        assert list(line.get_xdata()) == [1, 2, 3]
        assert list(line.get_ydata()) == [1e-6, 1e-4, 1e-2]
        assert ax.get_yscale() == "log"
        assert ax.get_xlabel() == r"layer $\ell$"
        assert ax.get_ylabel() == r"$\|\partial\mathcal{L}/\partial z^{(\ell)}\|$"

    def test_norms_of_the_weights(self):
        ax = plot_gradient_norms({"run": NORMS}, of="W")
        assert curves(ax) == {"run": [1e-5, 1e-3, 0.1]}
        assert ax.get_ylabel() == r"$\|\partial\mathcal{L}/\partial W^{(\ell)}\|$"

    def test_takes_what_layer_gradient_norms_returns(self):
        model = MLP(2, [4, 4, 1], activation="tanh", seed=0)
        norms = layer_gradient_norms(squared_error(model([1.0, 2.0]), 0.5), model)
        ax = plot_gradient_norms({"tanh": norms, "again": norms})
        assert curves(ax)["again"] == [layer.dz for layer in norms]

    def test_a_dead_layer_leaves_a_gap(self):
        ax = plot_gradient_norms([LayerGradient(1, 0.0, 0.0, 0.0), LayerGradient(2, 1.0, 1.0, None)])
        ax.figure.canvas.draw()
        assert ax.get_ylim()[0] > 0.0

    def test_another_quantity_is_refused(self):
        with pytest.raises(ValueError, match='"z" or "W", got \'b\''):
            plot_gradient_norms(NORMS, of="b")


class TestPlotDecisionBoundary:
    def test_one_score_changes_class_at_zero(self):
        ax = plot_decision_boundary(lambda x: x[1] - 0.25, *SQUARE)
        assert region_at(ax, 0.5, 0.2) == [True, False]
        assert region_at(ax, 0.5, 0.3) == [False, True]
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x_1$", "$x_2$")
        assert legend(ax) == ["$y = 0$", "$y = 1$"]

    def test_a_sigmoid_output_changes_class_at_one_half(self):
        model = MLP(2, [1], output_activation="sigmoid", seed=0)
        neuron = model.layers[0].neurons[0]
        neuron.w[0].data, neuron.w[1].data, neuron.b.data = 0.0, 4.0, -1.0  # z = 0 at x₂ = ¼
        ax = plot_decision_boundary(model, *SQUARE)
        assert region_at(ax, 0.5, 0.2) == [True, False]
        assert region_at(ax, 0.5, 0.3) == [False, True]

    def test_another_threshold(self):
        ax = plot_decision_boundary(lambda x: x[1], *SQUARE, threshold=0.75)
        assert region_at(ax, 0.5, 0.7) == [True, False]
        assert region_at(ax, 0.5, 0.8) == [False, True]

    def test_several_scores_the_largest_counts(self):
        X, Y = [[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [3.0, 3.0]], [0, 1, 2, 2]
        ax = plot_decision_boundary(lambda x: [1.0, x[0], x[1]], X, Y)
        assert region_at(ax, 0.2, 0.3) == [True, False, False]
        assert region_at(ax, 2.5, 0.3) == [False, True, False]
        assert region_at(ax, 0.2, 2.5) == [False, False, True]
        assert legend(ax) == ["$y = 0$", "$y = 1$", "$y = 2$"]

    def test_examples_are_drawn_with_a_marker_for_each_class(self):
        ax = plot_decision_boundary(lambda x: x[1] - 0.5, *SQUARE)
        zeros, ones = [c for c in ax.collections if str(c.get_label()).startswith("$y")]
        assert zeros.get_offsets().tolist() == SQUARE[0][:2]
        assert ones.get_offsets().tolist() == SQUARE[0][2:]
        assert zeros.get_paths()[0].vertices.shape != ones.get_paths()[0].vertices.shape

    def test_classes_may_be_minus_one_and_one(self):
        ax = plot_decision_boundary(lambda x: x[1] - 0.5, SQUARE[0], [-1, -1, 1, 1])
        assert legend(ax) == ["$y = -1$", "$y = 1$"]

    def test_a_model_that_says_one_class_everywhere_has_no_boundary(self):
        ax = plot_decision_boundary(lambda x: 1.0, *SQUARE)
        assert region_at(ax, 0.5, 0.5) == [True]  # one region, of the second class
        ax.figure.canvas.draw()

    def test_predict_is_asked_once_for_all_places(self):
        asked = []

        class Program:
            def predict(self, X):
                asked.append(len(X))
                return [[x2 - 0.25] for _, x2 in X]

        ax = plot_decision_boundary(Program(), *SQUARE, resolution=20)
        assert asked == [400]
        assert region_at(ax, 0.5, 0.3) == [False, True]

    @pytest.mark.parametrize("n_outputs", [1, 3])
    def test_a_compiled_program_gives_the_same_picture(self, n_outputs):
        pytest.importorskip("llvmlite")
        model = MLP(2, [4, n_outputs], activation="tanh", seed=0)
        program = micrograd_mlp.compile(model, model.parameters())
        by_model, by_program = (
            plot_decision_boundary(each, *SQUARE, resolution=15) for each in (model, program)
        )
        for x1, x2 in ([0.1, 0.1], [0.9, 0.2], [0.2, 0.8], [0.9, 0.9]):
            assert region_at(by_program, x1, x2) == region_at(by_model, x1, x2)

    @pytest.mark.parametrize(
        ("X", "Y", "message"),
        [
            ([[1.0, 2.0, 3.0]], [0], "over two inputs, got an example with 3"),
            ([[1.0, 2.0]], [0, 1], "X has 1 examples, but Y has 2 targets"),
            ([], [], "X is empty"),
            ([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [0, 1, 2], "tells 2 classes apart"),
        ],
    )
    def test_examples_that_do_not_fit_are_refused(self, X, Y, message):
        with pytest.raises(ValueError, match=message):
            plot_decision_boundary(lambda x: x[0], X, Y, resolution=3)
        assert plt.get_fignums() == []


class TestPlotOptimizerPaths:
    def test_paths_over_contours(self):
        ax = plot_optimizer_paths(lambda u, v: u * u + 20 * v * v, PATHS)
        assert curves(ax) == {"SGD": [1.0, -0.5, 0.2], "Adam": [1.0, 0.0]}
        assert (ax.get_xlabel(), ax.get_ylabel()) == (r"$\theta_1$", r"$\theta_2$")
        assert legend(ax) == ["SGD", "Adam"]

    def test_contours_are_the_losss(self):
        ax = plot_optimizer_paths(lambda u, v: u * u + v * v, PATHS)
        contours = next(c for c in ax.collections if hasattr(c, "levels"))
        for level, path in zip(contours.levels, contours.get_paths()):
            radii = [math.hypot(*vertex) for vertex in path.vertices]
            assert radii == pytest.approx([math.sqrt(level)] * len(radii), abs=0.02)
        assert len(contours.levels) == 13

    def test_every_finite_point_is_in_sight_and_others_do_no_harm(self):
        ax = plot_optimizer_paths(
            lambda u, v: u * u, {"diverges": [(1.0, 2.0), (-30.0, 4.0), (math.inf, math.nan)]}
        )
        assert ax.get_xlim()[0] < -30.0 < 1.0 < ax.get_xlim()[1]
        ax.figure.canvas.draw()

    def test_limits_are_the_users(self):
        ax = plot_optimizer_paths(lambda u, v: u * v, PATHS, limits=((-1.0, 1.0), (-2.0, 3.0)))
        assert (ax.get_xlim(), ax.get_ylim()) == ((-1.0, 1.0), (-2.0, 3.0))

    def test_the_loss_may_return_values_and_be_undefined_in_places(self):
        ax = plot_optimizer_paths(lambda u, v: Value(u).log() + v, {"path": [(-1.0, 0.0), (2.0, 1.0)]})
        ax.figure.canvas.draw()

    def test_a_flat_loss_has_no_contours(self):
        ax = plot_optimizer_paths(lambda u, v: 1.0, PATHS)
        ax.figure.canvas.draw()

    @pytest.mark.parametrize(
        "paths", [{}, {"SGD": []}, {"SGD": [(1.0, 1.0)], "Adam": []}, {"SGD": [(math.nan, 1.0)]}]
    )
    def test_a_path_without_a_finite_point_is_refused(self, paths):
        with pytest.raises(ValueError, match="at least one finite point"):
            plot_optimizer_paths(lambda u, v: u, paths)


def test_names_are_found_in_the_package():
    assert micrograd_mlp.plots is plots
    for name in ("history", "gradient_norms", "decision_boundary", "optimizer_paths"):
        assert getattr(micrograd_mlp, f"plot_{name}") is getattr(plots, f"plot_{name}")
