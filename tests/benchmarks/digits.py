"""Real images to 95%: scikit-learn's 1,797 handwritten digits, the last 360 of a shuffle held out.

The network is 64-32-10 ReLU, trained with Adam on batches of 32 for 20 epochs from the same weights; the
time is from before `compile` (or the making of PyTorch's optimizer) to the end of training, after one epoch
elsewhere that loads what each package loads at first use. Batches are drawn by each package's own
shuffling, so the two accuracies may differ by a few images.
"""

from __future__ import annotations

import gc
import time
from typing import NamedTuple

import numpy as np

from micrograd_mlp import MLP, Adam, cross_entropy
from tests.benchmarks.harness import Effort, Line, duration, not_run, single_threaded_torch
from tests.benchmarks.tasks import Task

EPOCHS, BATCH, LR = 20, 32, 3e-3
REQUIRED = 0.95


class Split(NamedTuple):
    X: np.ndarray
    Y: np.ndarray
    X_held_out: np.ndarray
    Y_held_out: np.ndarray


def images() -> Split:
    from sklearn.datasets import load_digits

    X, Y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, Y = X[order] / 16.0, Y[order]
    return Split(X[:-360], Y[:-360], X[-360:], Y[-360:])


def digits(effort: Effort) -> list[Line]:
    split = images()
    epochs = 1 if effort.quick else EPOCHS
    lines = []
    for name, train in (("micrograd_mlp, program.train", ours), ("PyTorch", pytorch)):
        try:
            train(split, 1)
            gc.collect()  # what other rows left
            accuracy, seconds = train(split, epochs)
        except ImportError as why:
            lines.append(Line(name, not_run(why)))
            continue
        holds = None if effort.quick else accuracy >= REQUIRED
        figure = f"{duration(seconds)}, {accuracy:.1%} held-out"
        lines.append(Line(name, figure, "", f"≥ {REQUIRED:.0%}", holds))
    return lines


def ours(split: Split, epochs: int) -> tuple[float, float]:
    """Held-out accuracy and seconds."""
    from micrograd_mlp import compile

    model = MLP(64, [32, 10], seed=0)
    parameters = model.parameters()
    start = time.perf_counter()
    program = compile(lambda x, y: cross_entropy(model(x), y), parameters)
    optimizer = Adam(parameters, lr=LR)
    program.train(optimizer, split.X, split.Y, epochs=epochs, batch_size=BATCH, seed=0)
    seconds = time.perf_counter() - start
    logits = np.asarray(compile(model, parameters).predict(split.X_held_out))
    return float((logits.argmax(axis=1) == split.Y_held_out).mean()), seconds


def pytorch(split: Split, epochs: int) -> tuple[float, float]:
    torch = single_threaded_torch()
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)).double()
    task = Task((64, 32, 10), "relu", "cross_entropy", "Adam", LR, split.X, split.Y)
    with torch.no_grad():
        for layer, (W, b) in zip((model[0], model[2]), task.weights()):
            layer.weight.copy_(torch.from_numpy(W))
            layer.bias.copy_(torch.from_numpy(b))
    X, Y, X_held_out = (torch.from_numpy(array) for array in (split.X, split.Y, split.X_held_out))
    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for _ in range(epochs):
        for rows in torch.randperm(len(X), generator=generator).split(BATCH):
            loss = torch.nn.functional.cross_entropy(model(X[rows]), Y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        predicted = model(X_held_out).argmax(dim=1).numpy()
    return float((predicted == split.Y_held_out).mean()), seconds
