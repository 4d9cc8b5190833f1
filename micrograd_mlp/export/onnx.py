"""Networks as ONNX files, which runtimes on every platform read (§2.3)."""

from __future__ import annotations

import os
from typing import Any

from micrograd_mlp.export.counterparts import record_of, require_package
from micrograd_mlp.files import write_atomically
from micrograd_mlp.nn.activations import ACTIVATIONS
from micrograd_mlp.nn.modules import MLP


def to_onnx(model: MLP, path: str | os.PathLike[str]) -> None:
    """Write the network as an ONNX file in float64: z = Wx + b is a Gemm node, σ a few nodes more.

    Its input "x" has the shape (batch, inputs) and its output "y" (batch, outputs), for a batch of any size.
    An existing file is replaced whole or, if anything goes wrong, not at all.

    Args:
        model: any MLP whose activations have names.
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
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    nodes: list[Any] = []
    numbers = [helper.make_tensor(number, double, [], [float(number)]) for number in _ONNX_NUMBERS]
    a = "x"
    for layer_number, (layer, activation) in enumerate(zip(model.layers, model.activations), start=1):
        W, b, z = f"W{layer_number}", f"b{layer_number}", f"z{layer_number}"
        shape = [len(layer.neurons), len(layer.neurons[0].w)]
        numbers.append(helper.make_tensor(W, double, shape, [w.data for n in layer.neurons for w in n.w]))
        numbers.append(helper.make_tensor(b, double, shape[:1], [n.b.data for n in layer.neurons]))
        nodes.append(helper.make_node("Gemm", [a, W, b], [z], transB=1))
        a = "y" if layer is model.layers[-1] else f"a{layer_number}"
        record = record_of(activation)
        if not record.onnx:
            raise ValueError(f"ONNX runtimes can't compute {record.name} in float64: use another activation")
        for op, operands, result in record.onnx:
            names = {"z": z, "a": a} | {name: name for name in _ONNX_NUMBERS}
            *inputs, output = [names.get(x, f"{a}_{x}") for x in (*operands, result)]
            nodes.append(helper.make_node(op, inputs, [output]))
    graph = helper.make_graph(
        nodes,
        "MLP",
        [helper.make_tensor_value_info("x", double, ["batch", model.n_inputs])],
        [helper.make_tensor_value_info("y", double, ["batch", len(model.layers[-1].neurons)])],
        numbers,
    )
    # Versions of 2021, which runtimes old and new read.
    file = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8, producer_name="micrograd_mlp"
    )
    onnx.checker.check_model(file, full_check=True)
    write_atomically(path, file.SerializeToString())


_ONNX_NUMBERS = sorted(
    {x for record in ACTIVATIONS.values() for _, inputs, _ in record.onnx for x in inputs if x[0].isdigit()}
)
