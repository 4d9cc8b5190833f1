"""Networks and losses, written from Values as in the paper's scalar equations (§2, §3, §4, §8, §9)."""

from micrograd_mlp.nn.modules import MLP, Layer, Module, Neuron

__all__ = ["MLP", "Layer", "Module", "Neuron"]
