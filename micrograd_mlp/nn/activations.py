"""Activations: what σ may be in a network (§8). Everything known about one of them stands in its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from micrograd_mlp._require import require_choice
from micrograd_mlp.engine import table as ops
from micrograd_mlp.engine.value import Value

Sigma = str | Callable[[Value], Value]
"""How a user names an activation: by its name in `ACTIVATIONS`, or as a function of one Value."""


@dataclass(frozen=True)
class Activation:
    """An activation function σ with its counterparts elsewhere.

    Attributes:
        name: what a user writes, `activation="tanh"`.
        function: σ, for a Value or a float.
        initializer: the name of the initializer that `init="auto"` takes for the layer (§9).
        torch: the name of its class in `torch.nn`; None if PyTorch has no such class.
        torch_arguments: the arguments with which the class computes this σ.
        onnx: the ONNX nodes (operator, inputs, output) that compute "a" from "z". Inputs and outputs are
            "z", "a", constants written as numbers, and names of intermediate results. It is empty if ONNX
            runtimes can't compute this σ in float64.
    """

    name: str
    function: Callable[[Any], Any]
    initializer: str = "xavier_normal"
    torch: str | None = None
    torch_arguments: Mapping[str, float] = field(default_factory=dict)
    onnx: tuple[tuple[str, tuple[str, ...], str], ...] = ()

    def __call__(self, z: Any) -> Any:
        """σ(z)."""
        return self.function(z)


def _identity(z: Any) -> Any:
    return z


_RECORDS = [
    Activation("linear", _identity, torch="Identity", onnx=(("Identity", ("z",), "a"),)),
    Activation("sigmoid", ops.sigmoid, torch="Sigmoid", onnx=(("Sigmoid", ("z",), "a"),)),
    Activation("tanh", ops.tanh, torch="Tanh", onnx=(("Tanh", ("z",), "a"),)),
    Activation("relu", ops.relu, initializer="he_normal", torch="ReLU", onnx=(("Relu", ("z",), "a"),)),
    Activation(
        "leaky_relu",
        ops.leaky_relu,
        initializer="he_normal",
        torch="LeakyReLU",
        torch_arguments={"negative_slope": 0.01},
        # LeakyRelu itself has a slope in single precision.
        onnx=(("Mul", ("z", "0.01"), "scaled"), ("Max", ("z", "scaled"), "a")),
    ),
    Activation(
        "softplus",
        ops.softplus,
        torch="Softplus",
        torch_arguments={"threshold": 40.0},  # the default of 20 is wrong by 2e-9 above 20
        onnx=(  # max(z, 0) + log(1 + e^-|z|), because onnxruntime has no Softplus in double precision
            ("Abs", ("z",), "size"),
            ("Neg", ("size",), "negative"),
            ("Exp", ("negative",), "exp"),
            ("Add", ("exp", "1"), "sum"),
            ("Log", ("sum",), "log"),
            ("Max", ("z", "0"), "positive"),
            ("Add", ("positive", "log"), "a"),
        ),
    ),
    Activation(
        "silu",
        ops.silu,
        initializer="he_normal",
        torch="SiLU",
        onnx=(("Sigmoid", ("z",), "sigmoid"), ("Mul", ("z", "sigmoid"), "a")),
    ),
    Activation("gelu", ops.gelu, initializer="he_normal", torch="GELU"),  # no runtime has Erf in float64
]

ACTIVATIONS: dict[str, Activation] = {record.name: record for record in _RECORDS}
"""The records by name."""


def find_activation(sigma: Sigma) -> Activation:
    """The record of that name or with that function; a function of the user's own gets a new record.

    Raises:
        ValueError: there is no activation of that name.

    >>> find_activation("tanh").initializer, find_activation(ops.relu).name
    ('xavier_normal', 'relu')
    """
    if callable(sigma):
        known = [record for record in _RECORDS if sigma in (record, record.function)]
        return known[0] if known else Activation(getattr(sigma, "__name__", repr(sigma)), sigma)
    if sigma == "softmax":
        raise ValueError(
            "softmax is no activation, because it takes all outputs of a layer at once: leave the last layer "
            "linear and use cross_entropy, which contains the softmax"
        )
    require_choice("activation", sigma, ACTIVATIONS, other="a function of your own")
    return ACTIVATIONS[sigma]


def name_or_function(sigma: Sigma) -> Sigma:
    """The name of an activation in `ACTIVATIONS`; a function of the user's own stays as it is."""
    record = find_activation(sigma)
    return record.name if record in _RECORDS else sigma


def decision_threshold(model: Any, output: Value | None = None) -> float:
    """The single output of a model at which the predicted class changes from 0 to 1.

    It is σ(0) of the activation σ that the model ends in, because σ(z) is above σ(0) where z is above 0:
    0.5 for a sigmoid, and 0 for linear outputs.

    Args:
        model: a network with `activations`, or any function.
        output: what the function gave for some example; its operation may be one of the activations.
    """
    if getattr(model, "activations", None):
        return float(model.layers[-1].neurons[0].sigma(Value(0.0)).data)
    op = None if output is None else output.op
    known = [record for record in _RECORDS if op is not None and getattr(record.function, "op", None) is op]
    return float(known[0](0.0)) if known else 0.0
