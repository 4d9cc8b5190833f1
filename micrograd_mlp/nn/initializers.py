"""Initial weights (§9): random numbers, scaled so that signals keep their size from layer to layer.

Each initializer takes the number of inputs of a layer, the number of its outputs and a `random.Random`, and
returns one weight. Biases start at zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from micrograd_mlp._require import require_choice
from micrograd_mlp.nn.activations import Sigma, find_activation

if TYPE_CHECKING:
    import random

Initializer = Callable[[int, int, "random.Random"], float]


VARIANCES: dict[str, Callable[[int, int], float]] = {
    "xavier": lambda n_inputs, n_outputs: 2.0 / (n_inputs + n_outputs),  # Glorot and Bengio: sigmoid and tanh
    "he": lambda n_inputs, n_outputs: 2.0 / n_inputs,  # He et al.: ReLU, which is 0 for half of its inputs
    "lecun": lambda n_inputs, n_outputs: 1.0 / n_inputs,  # LeCun
}
"""The variance of the weights of a layer with so many inputs and outputs."""


def _uniform(variance: Callable[[int, int], float]) -> Initializer:
    def draw(n_inputs: int, n_outputs: int, rng: random.Random) -> float:
        bound = math.sqrt(3.0 * variance(n_inputs, n_outputs))  # uniform on ±bound has variance bound²/3
        return rng.uniform(-bound, bound)

    return draw


def _normal(variance: Callable[[int, int], float]) -> Initializer:
    return lambda n_inputs, n_outputs, rng: rng.gauss(0.0, math.sqrt(variance(n_inputs, n_outputs)))


INITIALIZERS: dict[str, Initializer] = {
    f"{name}_{shape}": of_variance(variance)
    for name, variance in VARIANCES.items()
    for shape, of_variance in (("uniform", _uniform), ("normal", _normal))
}
"""The initializers by name: "xavier_uniform", "xavier_normal", and so on."""


def initializer(name: str | Initializer, activation: Sigma) -> Initializer:
    """The initializer of that name; "auto" is the one that suits the activation.

    Raises:
        ValueError: there is no initializer of that name.

    >>> initializer("auto", "relu") is INITIALIZERS["he_normal"]
    True
    """
    if callable(name):
        return name
    if name == "auto":
        return INITIALIZERS[find_activation(activation).initializer]
    require_choice("init", name, ["auto", *INITIALIZERS], other="a function of your own")
    return INITIALIZERS[name]
