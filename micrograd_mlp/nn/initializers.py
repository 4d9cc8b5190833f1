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


def xavier_uniform(n_inputs: int, n_outputs: int, rng: random.Random) -> float:
    """Glorot and Bengio: uniform with variance 2 / (n_inputs + n_outputs), for sigmoid and tanh.

    >>> import random
    >>> abs(xavier_uniform(3, 3, random.Random(0))) <= 1.0
    True
    """
    return _uniform(2.0 / (n_inputs + n_outputs), rng)


def xavier_normal(n_inputs: int, n_outputs: int, rng: random.Random) -> float:
    """Glorot and Bengio: normal with variance 2 / (n_inputs + n_outputs), for sigmoid and tanh."""
    return rng.gauss(0.0, math.sqrt(2.0 / (n_inputs + n_outputs)))


def he_uniform(n_inputs: int, n_outputs: int, rng: random.Random) -> float:
    """He et al.: uniform with variance 2 / n_inputs, for ReLU, which is 0 for half of its inputs."""
    return _uniform(2.0 / n_inputs, rng)


def he_normal(n_inputs: int, n_outputs: int, rng: random.Random) -> float:
    """He et al.: normal with variance 2 / n_inputs, for ReLU, which is 0 for half of its inputs."""
    return rng.gauss(0.0, math.sqrt(2.0 / n_inputs))


def lecun_uniform(n_inputs: int, n_outputs: int, rng: random.Random) -> float:
    """LeCun: uniform with variance 1 / n_inputs."""
    return _uniform(1.0 / n_inputs, rng)


def lecun_normal(n_inputs: int, n_outputs: int, rng: random.Random) -> float:
    """LeCun: normal with variance 1 / n_inputs."""
    return rng.gauss(0.0, math.sqrt(1.0 / n_inputs))


def _uniform(variance: float, rng: random.Random) -> float:
    bound = math.sqrt(3.0 * variance)  # uniform on ±bound has variance bound²/3
    return rng.uniform(-bound, bound)


INITIALIZERS: dict[str, Initializer] = {
    function.__name__: function
    for function in (xavier_uniform, xavier_normal, he_uniform, he_normal, lecun_uniform, lecun_normal)
}


def initializer(name: str | Initializer, activation: Sigma) -> Initializer:
    """The initializer of that name; "auto" is the one that suits the activation.

    Raises:
        ValueError: there is no initializer of that name.

    >>> initializer("auto", "relu").__name__, initializer("auto", "tanh").__name__
    ('he_normal', 'xavier_normal')
    """
    if callable(name):
        return name
    if name == "auto":
        return INITIALIZERS[find_activation(activation).initializer]
    require_choice("init", name, ["auto", *INITIALIZERS], other="a function of your own")
    return INITIALIZERS[name]
