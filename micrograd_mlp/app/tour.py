"""The three stops of `micrograd-mlp tour`.

The first compares the gradients of §6's two-layer network: by backpropagation, by the paper's closed form
and by numerical differences. The second shows the same network as a tree and as a drawing. The third trains
a network on Fisher's irises and measures it on flowers that were held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev

from micrograd_mlp.app.tables import Column, TableModel
from micrograd_mlp.checks import gradcheck
from micrograd_mlp.engine.table import sigmoid
from micrograd_mlp.engine.value import Value
from micrograd_mlp.nn.losses import cross_entropy, squared_error
from micrograd_mlp.nn.modules import MLP
from micrograd_mlp.optim import Adam
from micrograd_mlp.render.drawing import Drawing
from micrograd_mlp.training import datasets
from micrograd_mlp.training.fit import fit

X, Y = [0.5, -1.0], 2.0  # the example on which the two-layer network is shown
IRIS_COLUMNS = ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]  # of data/iris.csv


@dataclass(frozen=True)
class Comparison:
    """∂ℓ/∂(parameter), computed in three ways."""

    parameter: str
    data: float
    autodiff: float
    closed_form: float
    numerical: float


def two_layer_network() -> tuple[MLP, Value]:
    """§6's network, a⁽¹⁾ = σ(W⁽¹⁾x + b⁽¹⁾) and ŷ = W⁽²⁾a⁽¹⁾ + b⁽²⁾, and its loss ½(ŷ - y)²."""
    model = MLP(2, [3, 1], activation="sigmoid", seed=0)
    loss = squared_error(model(X), Y)
    loss.label = "loss"
    loss.backward()
    return model, loss


def gradients(model: MLP) -> list[Comparison]:
    """Compute the gradient of every parameter of the two-layer network in three ways."""
    parameters = model.parameters()
    report = gradcheck(lambda *_: squared_error(model(X), Y), parameters)
    numerical = {row.label: row.numerical for row in report.rows}
    closed_form = dict(_closed_form(model))
    return [
        Comparison(name, p.data, p.grad, closed_form[name], numerical[name])
        for name, p in model.named_parameters()
    ]


def _closed_form(model: MLP) -> Iterator[tuple[str, float]]:
    """Evaluate the equations of §6.1 to §6.3 on plain numbers, without a graph."""
    hidden, output = model.layers[0].neurons, model.layers[1].neurons[0]
    a = [sigmoid(sum(w.data * x for w, x in zip(neuron.w, X)) + neuron.b.data) for neuron in hidden]
    y_hat = sum(w.data * a_j for w, a_j in zip(output.w, a)) + output.b.data

    delta_2 = y_hat - Y  # §6.1
    yield "b2[1]", delta_2
    for j, a_j in enumerate(a, start=1):
        yield f"W2[1,{j}]", delta_2 * a_j
        delta_1 = delta_2 * output.w[j - 1].data * a_j * (1.0 - a_j)  # §6.2
        yield f"b1[{j}]", delta_1
        for k, x_k in enumerate(X, start=1):
            yield f"W1[{j},{k}]", delta_1 * x_k  # §6.3


def table_of(rows: Sequence[Comparison]) -> str:
    """Format the comparisons as text, with the largest difference from autodiff in the last line."""
    titles = ["parameter", "value", "autodiff", "closed form", "numerical"]
    lines = [
        [row.parameter, *(f"{x:+.12f}" for x in (row.data, row.autodiff, row.closed_form, row.numerical))]
        for row in rows
    ]
    largest = max(abs(row.autodiff) for row in rows)
    differences = [
        max(abs(getattr(row, way) - row.autodiff) for row in rows) / largest
        for way in ("closed_form", "numerical")
    ]
    lines.append(["difference", "", "", *(f"{x:.1e}" for x in differences)])
    widths = [max(map(len, column)) for column in zip(titles, *lines)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:]))])
        for line in [titles, *lines]
    )


@dataclass(frozen=True)
class Iris:
    """The third stop: a network that knows the species of iris.

    Attributes:
        model: predicts the species from the four lengths.
        accuracy: of the flowers that were held out, the part whose species the model predicts.
        constant: the same for the most frequent species of the training flowers.
        n_training: the number of flowers that the network was trained on.
        n_held_out: the number of the others.
    """

    model: TableModel
    accuracy: float
    constant: float
    n_training: int
    n_held_out: int


def train_on_iris(epochs: int, seed: int) -> Iris:
    """Train a network on three quarters of Fisher's irises, and measure it on the rest."""
    X, X_held_out, y, y_held_out = datasets.train_test_split(*datasets.iris(), seed=seed)
    columns = [Column(name, None, fmean(x), pstdev(x)) for name, x in zip(IRIS_COLUMNS, zip(*X))]
    network = MLP(4, [8, 3], activation="tanh", seed=seed)
    model = TableModel(network, columns, Column("species", datasets.IRIS_SPECIES))
    scaled = [model.encode(dict(zip(IRIS_COLUMNS, x))) for x in X]
    optimizer = Adam(network.parameters(), 0.03)
    fit(network, cross_entropy, scaled, y, optimizer, epochs, batch_size=16, progress=True, seed=seed)
    predicted = [model.predict(dict(zip(IRIS_COLUMNS, x))) for x in X_held_out]
    truth = [datasets.IRIS_SPECIES[k] for k in y_held_out]
    right = sum(p == t for p, t in zip(predicted, truth))
    frequent = datasets.IRIS_SPECIES[max(y, key=y.count)]
    return Iris(model, right / len(truth), truth.count(frequent) / len(truth), len(y), len(truth))


def save_drawing(drawing: Drawing, path: Path) -> tuple[Path, str]:
    """Write the drawing, or its DOT text if no renderer is installed.

    Returns:
        The file that was written, and a message that names what to install, empty if nothing is missing.
    """
    try:
        drawing.save(path)
    except ImportError as error:
        path = path.with_suffix(".dot")
        drawing.save(path)
        return path, str(error)
    return path, ""
