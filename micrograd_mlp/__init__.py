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
    draw, tree, explain                               looking at a graph
    explore, step_through                             touching a graph
    gradcheck, testing                                checking derivatives, in tests of your own too
    compile                                           the same graph as machine code
    diagnostics, plots, export                        measurements, pictures, PyTorch and ONNX

The engine is imported here; everything that draws, trains, compiles or plots is imported when first
asked for, so that `import micrograd_mlp` stays fast and needs no other package.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from micrograd_mlp.checks import GradCheckError, GradCheckReport, gradcheck
from micrograd_mlp.engine.differentiate import grad, hessian
from micrograd_mlp.engine.modes import detect_anomaly, no_grad
from micrograd_mlp.engine.op import Op, primitive
from micrograd_mlp.engine.table import (
    cos,
    dot,
    equal,
    exp,
    expm1,
    leaky_relu,
    log,
    log1p,
    logsumexp,
    maximum,
    minimum,
    relu,
    sigmoid,
    sin,
    softmax,
    softplus,
    sqrt,
    tanh,
    total,
    xlog1py,
    xlogy,
)
from micrograd_mlp.engine.value import Constant, Parameter, Value
from micrograd_mlp.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
    l2,
    mean,
    squared_error,
)
from micrograd_mlp.nn.modules import MLP, Layer, Module, Neuron
from micrograd_mlp.optim import SGD, Adam, Momentum, RMSProp, clip_grad_norm

if TYPE_CHECKING:  # for editors and type checkers; at run time these are imported when first asked for
    from micrograd_mlp.app.playground import playground as playground
    from micrograd_mlp.compiled import Program as Program
    from micrograd_mlp.compiled import compile as compile
    from micrograd_mlp.render.drawing import Drawing, draw
    from micrograd_mlp.render.explanation import Explanation, explain
    from micrograd_mlp.render.explore import explore, step_through
    from micrograd_mlp.render.plots import (
        plot_decision_boundary,
        plot_gradient_norms,
        plot_history,
        plot_optimizer_paths,
    )
    from micrograd_mlp.render.text_tree import tree
    from micrograd_mlp.training.diagnostics import (
        largest_hessian_eigenvalue,
        layer_gradient_norms,
        max_stable_learning_rate,
    )
    from micrograd_mlp.training.fit import fit
    from micrograd_mlp.training.metrics import accuracy
    from micrograd_mlp.training.run import History, NonFiniteLossError

__version__ = "0.1.0"

_LAZY_NAMES: dict[str, str] = {  # public name -> the module that defines it
    "Drawing": "render.drawing",
    "Explanation": "render.explanation",
    "History": "training.run",
    "NonFiniteLossError": "training.run",
    "Program": "compiled",
    "accuracy": "training.metrics",
    "compile": "compiled",
    "draw": "render.drawing",
    "explain": "render.explanation",
    "explore": "render.explore",
    "fit": "training.fit",
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
}
_MODULES: dict[str, str] = {  # public module -> the module that it is
    "datasets": "training.datasets",
    "diagnostics": "training.diagnostics",
    "estimators": "training.estimators",
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


__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "Constant",
    "Drawing",
    "Explanation",
    "GradCheckError",
    "GradCheckReport",
    "History",
    "Layer",
    "Module",
    "Momentum",
    "Neuron",
    "NonFiniteLossError",
    "Op",
    "Parameter",
    "RMSProp",
    "Value",
    "accuracy",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "clip_grad_norm",
    "cos",
    "cross_entropy",
    "detect_anomaly",
    "dot",
    "draw",
    "equal",
    "exp",
    "explain",
    "explore",
    "expm1",
    "fit",
    "grad",
    "gradcheck",
    "hessian",
    "hinge",
    "l2",
    "largest_hessian_eigenvalue",
    "layer_gradient_norms",
    "leaky_relu",
    "log",
    "log1p",
    "logsumexp",
    "max_stable_learning_rate",
    "maximum",
    "mean",
    "minimum",
    "no_grad",
    "playground",
    "plot_decision_boundary",
    "plot_gradient_norms",
    "plot_history",
    "plot_optimizer_paths",
    "primitive",
    "relu",
    "sigmoid",
    "sin",
    "softmax",
    "softplus",
    "sqrt",
    "squared_error",
    "step_through",
    "tanh",
    "total",
    "tree",
    "xlog1py",
    "xlogy",
]
