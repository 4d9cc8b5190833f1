"""A scalar autodiff engine and a multilayer perceptron that you can read, draw, check and explain.

>>> from micrograd_mlp import Value
>>> w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(-1.0, "b")
>>> a = (w * x + b).tanh()
>>> a.backward()
>>> w.grad
2.0

    Value, grad, hessian, no_grad, detect_anomaly     the graph and its derivatives
    exp, tanh, relu, dot, total, ... primitive        operations, and how to add one
    Neuron, Layer, MLP                                networks (`help(MLP)`)
    squared_error, cross_entropy, hinge, ... mean     losses
    SGD, Momentum, RMSProp, Adam, clip_grad_norm      optimizers
    fit, History, datasets                            training, and something to train on
    draw, tree, explain, why                          looking at a graph
    explore, step_through                             touching a graph
    gradcheck, testing                                checking derivatives, in tests of your own too
    compile                                           the same graph as machine code
    diagnostics, plots, export                        measurements, pictures, PyTorch and ONNX
    estimators, tables                                networks for scikit-learn, models of tables
    exercises                                         gradients to fill in, and what went wrong in them

The engine is imported here; everything that draws, trains, compiles or plots is imported when first
asked for, so that `import micrograd_mlp` stays fast and needs no other package.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

# The public names, once each: a type checker takes what is imported `as` itself or by a star as public, and
# `__all__` below is read off these imports. The operations come out of their table.
from micrograd_mlp.engine import *
from micrograd_mlp.engine.table import *
from micrograd_mlp.nn import *
from micrograd_mlp.optim import *

if TYPE_CHECKING:  # for editors and type checkers; at run time these are imported when first asked for
    from micrograd_mlp.app.playground import playground as playground
    from micrograd_mlp.checks import GradCheckError as GradCheckError
    from micrograd_mlp.checks import GradCheckReport as GradCheckReport
    from micrograd_mlp.checks import gradcheck as gradcheck
    from micrograd_mlp.compiled import Program as Program
    from micrograd_mlp.compiled import compile as compile
    from micrograd_mlp.render.drawing import Drawing as Drawing
    from micrograd_mlp.render.drawing import draw as draw
    from micrograd_mlp.render.explanation import Explanation as Explanation
    from micrograd_mlp.render.explanation import explain as explain
    from micrograd_mlp.render.explore import explore as explore
    from micrograd_mlp.render.explore import step_through as step_through
    from micrograd_mlp.render.live_plot import LivePlot as LivePlot
    from micrograd_mlp.render.plots import plot_decision_boundary as plot_decision_boundary
    from micrograd_mlp.render.plots import plot_gradient_norms as plot_gradient_norms
    from micrograd_mlp.render.plots import plot_history as plot_history
    from micrograd_mlp.render.plots import plot_optimizer_paths as plot_optimizer_paths
    from micrograd_mlp.render.text_tree import tree as tree
    from micrograd_mlp.render.why import why as why
    from micrograd_mlp.training.diagnostics import largest_hessian_eigenvalue as largest_hessian_eigenvalue
    from micrograd_mlp.training.diagnostics import layer_gradient_norms as layer_gradient_norms
    from micrograd_mlp.training.diagnostics import max_stable_learning_rate as max_stable_learning_rate
    from micrograd_mlp.training.fit import fit as fit
    from micrograd_mlp.training.metrics import accuracy as accuracy
    from micrograd_mlp.training.run import History as History
    from micrograd_mlp.training.run import NonFiniteLossError as NonFiniteLossError

__version__ = "0.1.0"

_LAZY_NAMES: dict[str, str] = {  # public name -> the module that defines it
    "Drawing": "render.drawing",
    "Explanation": "render.explanation",
    "GradCheckError": "checks",
    "GradCheckReport": "checks",
    "History": "training.run",
    "LivePlot": "render.live_plot",
    "NonFiniteLossError": "training.run",
    "Program": "compiled",
    "accuracy": "training.metrics",
    "compile": "compiled",
    "draw": "render.drawing",
    "explain": "render.explanation",
    "explore": "render.explore",
    "fit": "training.fit",
    "gradcheck": "checks",
    "largest_hessian_eigenvalue": "training.diagnostics",
    "layer_gradient_norms": "training.diagnostics",
    "max_stable_learning_rate": "training.diagnostics",
    "playground": "app.playground",
    "plot_decision_boundary": "render.plots",
    "plot_gradient_norms": "render.plots",
    "plot_history": "render.plots",
    "plot_optimizer_paths": "render.plots",
    "step_through": "render.explore",
    "tree": "render.text_tree",
    "why": "render.why",
}
_MODULES: dict[str, str] = {  # public module -> the module that it is
    "datasets": "training.datasets",
    "diagnostics": "training.diagnostics",
    "estimators": "training.estimators",
    "exercises": "app.exercises",
    "export": "export",
    "losses": "nn.losses",
    "ops": "engine.table",
    "plots": "render.plots",
    "tables": "app.tables",
    "testing": "checks.testing",
    "training": "training",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{_MODULES[name]}")
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_NAMES, *_MODULES})


class _PublicModules:
    """Lets `import micrograd_mlp.datasets` find training/datasets.py, by the short name that users write."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package, _, short = name.rpartition(".")
        if package != __name__ or _MODULES.get(short, short) == short:
            return None
        return ModuleSpec(name, _PublicModules)  # type: ignore[arg-type]  # a loader needs no base class

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"{__name__}.{_MODULES[spec.name.rpartition('.')[2]]}")
        spec.loader_state = module.__spec__
        return module

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state  # the module keeps its own name


sys.meta_path.append(_PublicModules)


def _is_ours(thing: object) -> bool:
    return getattr(thing, "__module__", "").startswith(f"{__name__}.")


if not TYPE_CHECKING:
    # `compile` is left out: a star import would hide Python's own.
    _EAGER = [name for name, thing in globals().items() if hasattr(thing, "op") or _is_ours(thing)]
    __all__ = sorted({*_EAGER, *_LAZY_NAMES} - {"Program", "compile"})
