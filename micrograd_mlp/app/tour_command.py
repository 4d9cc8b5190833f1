"""`micrograd-mlp tour`: prints the three stops of the tour and writes their files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from micrograd_mlp.app.command import add_command
from micrograd_mlp.app.formula_commands import text_tree


def add_tour(commands: Any) -> None:
    """Add the command to the subparsers."""
    tour = add_command(
        commands,
        "tour",
        _tour,
        "see gradients, a drawing and a trained network",
        "micrograd-mlp tour --out tour",
    )
    tour.add_argument(
        "--out", type=Path, default=Path("tour"), metavar="FOLDER", help="folder for its files (./tour)"
    )
    tour.add_argument("--seed", type=int, default=0, help="seed of the training on iris (0)")


def _tour(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    _show_two_layer_network(options.out)
    _train_on_iris(options.out / "iris.model.json", options.seed)


def _show_two_layer_network(folder: Path) -> None:
    from micrograd_mlp import draw, step_through
    from micrograd_mlp.app import tour

    model, loss = tour.two_layer_network()
    print("1. Backpropagation in the two-layer network of section 6")
    print(f"   x = {tour.X}, y = {tour.Y}, σ = sigmoid; loss = {loss.data:.12f}\n")
    print(tour.table_of(tour.gradients(model)))
    print("\n   autodiff: backward(). closed form: the equations of 6.1 to 6.3. numerical: differences.")
    print("   difference: the largest one from autodiff, relative to the largest gradient.\n")

    print("2. The same network as a graph: every number with its gradient\n")
    print(text_tree(loss))
    drawing, problem = tour.save_drawing(draw(loss), folder / "two_layer_network.svg")
    steps = folder / "two_layer_network.html"
    step_through(loss).save(steps)
    print(f"\n   drawing: {drawing}")
    print(f"   steps:   {steps} (open it in a browser and walk through both passes)")
    if problem:
        print(f"   For a picture: {problem}")


def _train_on_iris(path: Path, seed: int) -> None:
    from micrograd_mlp.app.tour import train_on_iris

    print("\n3. A network that learns the three species of iris from 150 flowers\n", flush=True)
    epochs = 30
    iris = train_on_iris(epochs, seed)
    iris.model.save(path)
    print(f"   {iris.model.network}")
    print(f"   trained on {iris.n_training} flowers, {epochs} epochs")
    print(
        f"   on the other {iris.n_held_out}: accuracy {iris.accuracy:.3f} (a constant: {iris.constant:.3f})"
    )
    print(f"   model:   {path}")
