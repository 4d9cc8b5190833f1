"""Networks as ONNX files, which runtimes on every platform read (§2.3)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from micrograd_mlp.export.counterparts import record_of, require_package
from micrograd_mlp.export.source import plan_of
from micrograd_mlp.files import write_atomically
from micrograd_mlp.nn.activations import ACTIVATIONS
from micrograd_mlp.nn.modules import MLP, require_activations

if TYPE_CHECKING:
    from micrograd_mlp.compiled import Program


def to_onnx(model: MLP | Program, path: str | os.PathLike[str]) -> None:
    """Write a network, or the predictions of a compiled program, as an ONNX file in float64.

    A layer z = Wx + b is a Gemm node, σ a few nodes more. The parameters are written as the numbers that
    they are now.

    Its input "x" has the shape (batch, inputs) and its output "y" (batch, outputs), for a batch of any size.
    An existing file is replaced whole or, if anything goes wrong, not at all.

    Args:
        model: an MLP whose activations have names; or what `compile(f, parameters)` returned for an f(x),
            after its first call or `predict`.
        path: where the file goes, `model.onnx` say.

    Raises:
        ImportError: the package onnx is missing; the message names the extra.
        OSError: the file can't be written.
        ValueError: an activation is a function of your own, or ONNX runtimes lack it in float64, as "gelu".

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(MLP(2, [16, 1], seed=0), f"{folder}/model.onnx")
    ...     os.listdir(folder)
    ['model.onnx']
    """
    onnx = require_package("onnx", "onnx")
    file = _network(onnx.helper, model) if isinstance(model, MLP) else _program(model)
    onnx.checker.check_model(file, full_check=True)
    write_atomically(path, file.SerializeToString())


def _network(helper: Any, model: MLP) -> Any:
    """A network as a protocol buffer: a Gemm for each layer, and the nodes of its activation."""
    from micrograd_mlp.export.languages.onnx import DOUBLE, make_model

    require_activations(model)
    nodes: list[Any] = []
    numbers = [helper.make_tensor(number, DOUBLE, [], [float(number)]) for number in _ONNX_NUMBERS]
    a = "x"
    for layer_number, (layer, activation) in enumerate(zip(model.layers, model.activations), start=1):
        W, b, z = f"W{layer_number}", f"b{layer_number}", f"z{layer_number}"
        shape = [len(layer.neurons), len(layer.neurons[0].w)]
        numbers.append(helper.make_tensor(W, DOUBLE, shape, [w.data for n in layer.neurons for w in n.w]))
        numbers.append(helper.make_tensor(b, DOUBLE, shape[:1], [n.b.data for n in layer.neurons]))
        nodes.append(helper.make_node("Gemm", [a, W, b], [z], transB=1))
        a = "y" if layer is model.layers[-1] else f"a{layer_number}"
        record = record_of(activation)
        if not record.onnx:
            raise ValueError(f"ONNX runtimes can't compute {record.name} in float64: use another activation")
        for op, operands, result in record.onnx:
            names = {"z": z, "a": a} | {name: name for name in _ONNX_NUMBERS}
            *inputs, output = [names.get(x, f"{a}_{x}") for x in (*operands, result)]
            nodes.append(helper.make_node(op, inputs, [output]))
    return make_model("MLP", nodes, numbers, model.n_inputs, len(model.layers[-1].neurons))


def _program(program: Program) -> Any:
    """The predictions of a program as a protocol buffer."""
    from micrograd_mlp.export.languages.onnx import OnnxWriter

    plan = plan_of(program)
    if len(plan.shapes) != 1:
        raise TypeError(f"{program!r} is no f(x): give a program that predicts from x alone")
    return OnnxWriter(plan).model()


_ONNX_NUMBERS = sorted(
    {x for record in ACTIVATIONS.values() for _, inputs, _ in record.onnx for x in inputs if x[0].isdigit()}
)
