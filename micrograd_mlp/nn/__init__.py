"""Networks and losses, written from Values as in the paper's scalar equations (§2, §3, §4, §8, §9)."""

from micrograd_mlp.nn.activations import ACTIVATIONS
from micrograd_mlp.nn.initializers import INITIALIZERS
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

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "MLP",
    "Layer",
    "Module",
    "Neuron",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge",
    "l2",
    "mean",
    "squared_error",
]
