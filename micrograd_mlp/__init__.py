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
    draw, tree, explain, step_through                 looking at a graph
    gradcheck, testing                                checking derivatives, in tests of your own too
    compile                                           the same graph as machine code
    diagnostics, plots, export                        measurements, pictures, PyTorch and ONNX

The engine is imported here; everything that draws, trains, compiles or plots is imported when first
asked for, so that `import micrograd_mlp` stays fast and needs no other package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from micrograd_mlp.gradcheck import GradCheckError, GradCheckReport, gradcheck
from micrograd_mlp.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
    l2,
    mean,
    squared_error,
)
from micrograd_mlp.nn import MLP, Layer, Module, Neuron
from micrograd_mlp.ops import (
    Op,
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
    primitive,
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
from micrograd_mlp.optim import SGD, Adam, Momentum, RMSProp, clip_grad_norm
from micrograd_mlp.value import Constant, Parameter, Value, detect_anomaly, grad, hessian, no_grad

if TYPE_CHECKING:  # for editors and type checkers; at run time these are imported when first asked for
    from micrograd_mlp.compiled import Program as Program
    from micrograd_mlp.compiled import compile as compile
    from micrograd_mlp.diagnostics import (
        largest_hessian_eigenvalue,
        layer_gradient_norms,
        max_stable_learning_rate,
    )
    from micrograd_mlp.plots import (
        plot_decision_boundary,
        plot_gradient_norms,
        plot_history,
        plot_optimizer_paths,
    )
    from micrograd_mlp.render.drawing import Drawing, draw
    from micrograd_mlp.render.explanation import Explanation, explain
    from micrograd_mlp.render.steps import step_through
    from micrograd_mlp.render.text_tree import tree
    from micrograd_mlp.training import History, NonFiniteLossError, accuracy, fit

__version__ = "0.1.0"

_LAZY_NAMES: dict[str, str] = {  # public name -> the module that defines it
    "Drawing": "render.drawing",
    "Explanation": "render.explanation",
    "History": "training",
    "NonFiniteLossError": "training",
    "Program": "compiled",
    "accuracy": "training",
    "compile": "compiled",
    "draw": "render.drawing",
    "explain": "render.explanation",
    "fit": "training",
    "largest_hessian_eigenvalue": "diagnostics",
    "layer_gradient_norms": "diagnostics",
    "max_stable_learning_rate": "diagnostics",
    "plot_decision_boundary": "plots",
    "plot_gradient_norms": "plots",
    "plot_history": "plots",
    "plot_optimizer_paths": "plots",
    "step_through": "render.steps",
    "tree": "render.text_tree",
}
_LAZY_MODULES: tuple[str, ...] = ("datasets", "diagnostics", "export", "plots", "testing", "training")


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_NAMES, *_LAZY_MODULES})


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
