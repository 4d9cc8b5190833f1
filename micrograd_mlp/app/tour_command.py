"""The command `micrograd-mlp tour`, which prints the three stops of the tour and writes their files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from micrograd_mlp.app.command import add_command


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
    from micrograd_mlp.app import tour

    options.out.mkdir(parents=True, exist_ok=True)
    tour.show_two_layer_network(options.out)
    tour.train_on_iris(options.out / "iris.model.json", options.seed)
