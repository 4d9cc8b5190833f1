"""What the training rows train: networks and data of many sizes and kinds.

The data are drawn from a seed. Classes and targets have noise in them, so that no loss reaches zero: a row
measures the same arithmetic after a million steps as after ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from micrograd_mlp import MLP, datasets


@dataclass(frozen=True)
class Task:
    """A network, its data and how it is trained, full batch.

    Attributes:
        sizes: of the inputs and of each layer.
        activation: of the hidden layers.
        loss: "hinge" for a score against -1 or +1, "cross_entropy" of logits against a class index, or
            "squared_error" of all outputs against a row of targets.
        optimizer: "SGD", "Momentum", "RMSProp" or "Adam", with their defaults.
        X, Y: one row for each example.
        output_activation: of the last layer; None leaves its pre-activations.
        alpha: the factor of Σ θ² in the loss.
        dtype: what the machine computes in, "float64" or "float32".
    """

    sizes: tuple[int, ...]
    activation: str
    loss: str
    optimizer: str
    lr: float
    X: np.ndarray
    Y: np.ndarray
    output_activation: str | None = None
    alpha: float = 0.0
    dtype: str = "float64"

    def model(self) -> MLP:
        """The start, with biases other than 0: at 0 the last one's gradient is a rounding error on the moons,
        which Adam would blow up.
        """
        model = MLP(
            self.sizes[0],
            self.sizes[1:],
            activation=self.activation,
            output_activation=self.output_activation,
            seed=0,
        )
        for layer in model.layers:
            for j, neuron in enumerate(layer.neurons):
                neuron.b.data = 0.01 * (j % 10 + 1)
        return model

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """W (outputs × inputs) and b of each layer, in the task's precision."""
        return [
            (
                np.array([[w.data for w in neuron.w] for neuron in layer.neurons], dtype=self.dtype),
                np.array([neuron.b.data for neuron in layer.neurons], dtype=self.dtype),
            )
            for layer in self.model().layers
        ]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """X and Y in the task's precision; classes stay whole numbers."""
        Y = self.Y if self.Y.dtype.kind == "i" else self.Y.astype(self.dtype)
        return self.X.astype(self.dtype), Y

    def summary(self) -> str:
        """What the row is, in a few words."""
        sizes = "-".join(map(str, self.sizes))
        loss = self.loss.replace("_", " ") + (" + L2" if self.alpha else "")
        count = f"{len(self.X):,} example{'s' * (len(self.X) > 1)}"
        return f"{sizes} {self.activation}, {count}, {loss}, {self.optimizer}"


def moons(activation: str = "relu", optimizer: str = "SGD", lr: float = 0.1) -> Task:
    """micrograd's demo: 100 points, targets -1 and +1."""
    X, classes = (np.array(column, dtype=float) for column in datasets.moons(100, noise=0.1, seed=1337))
    return Task((2, 16, 16, 1), activation, "hinge", optimizer, lr, X, 2 * classes - 1, alpha=1e-4)


def classes(
    *sizes: int,
    batch: int,
    optimizer: str = "SGD",
    lr: float = 0.05,
    activation: str = "relu",
    **others: Any,
) -> Task:
    """Standard normal inputs with classes at random: the sizes are what matters."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(batch, sizes[0]))
    Y = rng.integers(sizes[-1], size=batch)
    return Task(sizes, activation, "cross_entropy", optimizer, lr, X, Y, **others)


def regression(
    *sizes: int, batch: int, optimizer: str, lr: float, activation: str = "tanh", **others: Any
) -> Task:
    """Waves of the inputs, and noise."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(batch, sizes[0]))
    Y = np.sin(X @ rng.normal(size=(sizes[0], sizes[-1]))) + 0.3 * rng.normal(size=(batch, sizes[-1]))
    return Task(sizes, activation, "squared_error", optimizer, lr, X, Y, **others)


def autoencoder(*sizes: int, batch: int, optimizer: str, lr: float) -> Task:
    """Numbers in (0, 1) of less variety than inputs, with noise; the targets are the inputs."""
    rng = np.random.default_rng(2)
    hidden = rng.normal(size=(batch, sizes[len(sizes) // 2])) @ rng.normal(
        size=(sizes[len(sizes) // 2], sizes[0])
    )
    X = 1 / (1 + np.exp(-hidden - 0.5 * rng.normal(size=(batch, sizes[0]))))
    return Task(sizes, "sigmoid", "squared_error", optimizer, lr, X, X.copy(), output_activation="sigmoid")


class Entry(NamedTuple):
    """A training row.

    Attributes:
        task: what is trained.
        steps: how many one call takes, of the programs that take several.
        promised: the least ratios of single peers in float64.
    """

    task: Task
    steps: int
    promised: Mapping[str, float] = MappingProxyType({})


TRAINING = {
    "dozen": Entry(regression(2, 3, 1, batch=4, optimizer="SGD", lr=0.05), 2000),
    "one-example": Entry(regression(3, 5, 2, batch=1, optimizer="Momentum", lr=1e-3, alpha=1e-3), 2000),
    "tiny-classes": Entry(classes(4, 8, 3, batch=5, optimizer="RMSProp", lr=1e-3, alpha=1e-3), 2000),
    "tiny-deep": Entry(
        regression(3, 8, 8, 8, 1, batch=8, optimizer="Adam", lr=1e-3, activation="sigmoid", alpha=1e-3), 1000
    ),
    "moons": Entry(moons(), 500, {"torch": 10, "jit": 2}),
    "moons-adam": Entry(moons("tanh", "Adam", 0.01), 500, {"torch": 5, "jit": 1.5}),
    "softmax": Entry(classes(4, 16, 3, batch=150, optimizer="Momentum", lr=0.01, activation="tanh"), 500),
    "regression": Entry(regression(10, 64, 1, batch=400, optimizer="Adam", lr=1e-3), 100),
    "deep-narrow": Entry(regression(6, *[6] * 12, 1, batch=64, optimizer="RMSProp", lr=1e-3), 200),
    "deep-relu": Entry(classes(12, *[12] * 8, 4, batch=100, lr=0.02, alpha=1e-4), 200),
    "digits-sized": Entry(classes(64, 32, 10, batch=256), 100, {"torch": 2, "jit": 1}),
    "digits-batches": Entry(classes(64, 32, 10, batch=32, optimizer="Adam", lr=1e-3, alpha=1e-4), 300),
    "autoencoder": Entry(autoencoder(32, 16, 6, 16, 32, batch=128, optimizer="Adam", lr=1e-3), 100),
    "wide128": Entry(regression(10, 128, 128, 1, batch=64, optimizer="Adam", lr=1e-4), 50),
    "wide256": Entry(classes(20, 256, 256, 5, batch=32, optimizer="Momentum", lr=1e-3, alpha=1e-4), 50),
    "wide512": Entry(regression(8, 512, 2, batch=100, optimizer="RMSProp", lr=1e-4, activation="relu"), 50),
    "large-batch": Entry(
        regression(4, 32, 1, batch=5000, optimizer="Momentum", lr=1e-3, activation="relu"), 20
    ),
    "large-batch-deep": Entry(classes(8, 24, 24, 4, batch=4000, lr=0.05, activation="tanh"), 20),
    "mnist-sized": Entry(classes(784, 128, 10, batch=128), 20, {"torch": 1}),
}
