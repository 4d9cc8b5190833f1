"""The three stops of `micrograd-mlp tour`.

The first stop compares gradients of §6's two-layer network that are computed by backpropagation, by the
paper's closed form and by numerical differences. The second stop shows the same network as a tree and as a
drawing. The third stop trains a network on Fisher's irises and measures it on flowers that were held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import NamedTuple

from micrograd_mlp.app.formula_commands import text_tree
from micrograd_mlp.app.tables import Column, TableModel
from micrograd_mlp.checks import gradcheck
from micrograd_mlp.engine.table import sigmoid
from micrograd_mlp.engine.value import Value
from micrograd_mlp.nn.losses import cross_entropy, squared_error
from micrograd_mlp.nn.modules import MLP
from micrograd_mlp.optim import Adam
from micrograd_mlp.render.drawing import Drawing, draw
from micrograd_mlp.render.explore import step_through
from micrograd_mlp.training import datasets
from micrograd_mlp.training.fit import fit

X, Y = [0.5, -1.0], 2.0  # the example on which the two-layer network is shown
IRIS_COLUMNS = ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]  # of data/iris.csv


class Comparison(NamedTuple):
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
    titles = ("value", "autodiff", "closed form", "numerical")
    lines = [f"{'parameter':10}" + "".join([f"{title:>17}" for title in titles])]
    lines += [f"{name:10}" + "".join([f"{x:+17.12f}" for x in numbers]) for name, *numbers in rows]
    largest = max(abs(row.autodiff) for row in rows)
    closed_form = max(abs(row.closed_form - row.autodiff) for row in rows) / largest
    numerical = max(abs(row.numerical - row.autodiff) for row in rows) / largest
    return "\n".join([*lines, f"{'difference':44}{closed_form:17.1e}{numerical:17.1e}"])


def show_two_layer_network(folder: Path) -> None:
    """Print the first two stops, and write the drawing and the page of the second one."""
    model, loss = two_layer_network()
    print("1. Backpropagation in the two-layer network of section 6")
    print(f"   x = {X}, y = {Y}, σ = sigmoid; loss = {loss.data:.12f}\n")
    print(table_of(gradients(model)))
    print("\n   autodiff: backward(). closed form: the equations of 6.1 to 6.3. numerical: differences.")
    print("   difference: the largest one from autodiff, relative to the largest gradient.\n")

    print("2. The same network as a graph: every number with its gradient\n")
    print(text_tree(loss))
    drawing, problem = save_drawing(draw(loss), folder / "two_layer_network.svg")
    steps = folder / "two_layer_network.html"
    step_through(loss).save(steps)
    print(f"\n   drawing: {drawing}")
    print(f"   steps:   {steps} (open it in a browser and walk through both passes)")
    if problem:
        print(f"   For a picture: {problem}")


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


def train_on_iris(path: Path, seed: int, epochs: int = 30) -> None:
    """Train a network on three quarters of Fisher's irises, measure it on the rest, and write the model."""
    print("\n3. A network that learns the three species of iris from 150 flowers\n", flush=True)
    X, X_held_out, y, y_held_out = datasets.train_test_split(*datasets.iris(), seed=seed)
    columns = [Column(name, None, fmean(x), pstdev(x)) for name, x in zip(IRIS_COLUMNS, zip(*X))]
    network = MLP(4, [8, 3], activation="tanh", seed=seed)
    model = TableModel(network, columns, Column("species", datasets.IRIS_SPECIES))
    scaled = [model.encode(dict(zip(IRIS_COLUMNS, x))) for x in X]
    optimizer = Adam(network.parameters(), 0.03)
    fit(network, cross_entropy, scaled, y, optimizer, epochs, batch_size=16, progress=True, seed=seed)
    model.save(path)

    predicted = [model.predict(dict(zip(IRIS_COLUMNS, x))) for x in X_held_out]
    truth = [datasets.IRIS_SPECIES[k] for k in y_held_out]
    accuracy = fmean([p == t for p, t in zip(predicted, truth)])
    frequent = max(y, key=y.count)  # a constant is measured beside the network
    constant = y_held_out.count(frequent) / len(y_held_out)
    print(f"   {network}\n   trained on {len(y)} flowers, {epochs} epochs")
    print(f"   on the other {len(truth)}: accuracy {accuracy:.3f} (a constant: {constant:.3f})")
    print(f"   model:   {path}")
