"""The names that other people's programs call are there, and come without a surprise."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import micrograd_mlp

CONTRACT = [
    "Value",
    "grad",
    "hessian",
    "no_grad",
    "detect_anomaly",
    "Neuron",
    "Layer",
    "MLP",
    "exp",
    "log",
    "log1p",
    "expm1",
    "sqrt",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "relu",
    "leaky_relu",
    "softplus",
    "maximum",
    "minimum",
    "dot",
    "total",
    "logsumexp",
    "softmax",
    "squared_error",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge",
    "mean",
    "l2",
    "SGD",
    "Momentum",
    "RMSProp",
    "Adam",
    "clip_grad_norm",
    "gradcheck",
    "GradCheckReport",
    "GradCheckError",
    "draw",
    "Drawing",
    "tree",
    "explain",
    "Explanation",
    "step_through",
    "explore",
    "why",
    "playground",
    "compile",
    "Program",
    "datasets",
    "exercises",
    "fit",
    "History",
    "diagnostics",
    "plots",
    "export",
    "testing",
]
NEED_AN_EXTRA_AT_IMPORT = {"compile", "Program"}


@pytest.mark.parametrize("name", CONTRACT)
def test_is_there(name):
    if name in NEED_AN_EXTRA_AT_IMPORT:
        pytest.importorskip("llvmlite")
    assert hasattr(micrograd_mlp, name)
    assert name in dir(micrograd_mlp)


def test_functions_are_functions_even_after_their_modules_were_imported():
    code = (
        "import inspect, micrograd_mlp.checks.check, micrograd_mlp.render.drawing\n"
        "import micrograd_mlp.training.fit\n"
        "from micrograd_mlp import draw, explain, fit, grad, gradcheck, tree\n"
        "assert all(map(inspect.isfunction, (draw, explain, fit, grad, gradcheck, tree)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(micrograd_mlp.__path__[0]).parent)


def test_a_star_import_brings_what_a_notebook_uses():
    namespace = {}
    exec("from micrograd_mlp import *", namespace)
    assert not set(micrograd_mlp.__all__) - namespace.keys()
    assert {"Value", "MLP", "draw", "tree", "explain", "step_through", "fit"} <= namespace.keys()


def test_type_checkers_see_every_lazy_name():
    tree = ast.parse(inspect.getsource(micrograd_mlp))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: statement.module.removeprefix("micrograd_mlp.")
        for statement in block.body
        for alias in statement.names
    }
    assert seen == micrograd_mlp._LAZY_NAMES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'micrograd_mlp' has no attribute 'nonsense'"):
        _ = micrograd_mlp.nonsense
