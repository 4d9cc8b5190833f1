"""`micrograd-mlp play`: writes the playground and opens it."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path
from typing import Any

from micrograd_mlp.app.command import add_command


def add_play(commands: Any) -> None:
    """Add the command to the subparsers."""
    play = add_command(
        commands,
        "play",
        _play,
        "train a network on points of the plane in a page, and watch it learn",
        "micrograd-mlp play\n  micrograd-mlp play flowers.csv --target species --out flowers.html",
    )
    play.add_argument("file", type=Path, nargs="?", help="a table with two columns of numbers and a target")
    play.add_argument("--target", metavar="COLUMN", help="the column to predict; required with a file")
    play.add_argument(
        "--out", type=Path, default=Path("playground.html"), metavar="FILE", help="the page (playground.html)"
    )
    play.add_argument("--no-browser", action="store_true", help="write the page and do not open it")


def _play(options: argparse.Namespace) -> None:
    from micrograd_mlp.app.playground import playground

    page = playground(*_points(options.file, options.target)) if options.file else playground()
    page.save(options.out)
    print(f"playground: {options.out}")
    if not options.no_browser and not webbrowser.open(options.out.absolute().as_uri()):
        print("            (open it in a browser; there is none that could be started from here)")


def _points(file: Path, target: str | None) -> tuple[list[list[float]], list[Any]]:
    """The two columns of numbers in a table, and its target; rows with a missing number are left out."""
    if target is None:
        raise ValueError(f"{file}: name the column to predict with --target")
    from micrograd_mlp.app.table_training import prepare, read_frame

    inputs, y, _ = prepare(read_frame(file), target)
    numbers = inputs.select_dtypes(float).dropna()
    if numbers.shape[1] != 2:
        found = ", ".join(numbers.columns) or "none"
        raise ValueError(f"{file}: the playground takes two columns of numbers besides {target}, got {found}")
    return numbers.values.tolist(), y[numbers.index].tolist()
