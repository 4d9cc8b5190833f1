"""Activation functions by name: what σ may be in a network (§8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from micrograd_mlp._require import require_choice
from micrograd_mlp.engine import table as ops
from micrograd_mlp.engine.value import Value

Activation = str | Callable[[Value], Value]

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda z: z,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "relu": ops.relu,
    "leaky_relu": ops.leaky_relu,
    "softplus": ops.softplus,
}
"""σ by name. Any other function of a Value can stand in a network's place for a name too."""


def activation_function(sigma: Activation) -> Callable[[Any], Any]:
    """The function of that name, or the function itself.

    Raises:
        ValueError: there is no activation of that name.
    """
    if callable(sigma):
        return sigma
    require_choice("activation", sigma, ACTIVATIONS, other="a function of your own")
    return ACTIVATIONS[sigma]


def activation_name(sigma: Activation) -> str:
    """The name that stands for an activation in a `repr` and in error messages."""
    return repr(sigma) if isinstance(sigma, str) else getattr(sigma, "__name__", repr(sigma))
