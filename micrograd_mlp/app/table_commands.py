"""`micrograd-mlp train`: a network for a table of the user's own."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from micrograd_mlp.app.command import add_command
from micrograd_mlp.files import require_writable


def add_train(commands: Any) -> None:
    """Add the command to the subparsers."""
    train = add_command(
        commands,
        "train",
        _train,
        "train a network on a table of your own",
        "micrograd-mlp train flowers.csv --target species --epochs 200",
    )
    train.add_argument("file", type=Path, help="a CSV file whose first line names the columns")
    train.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    task = train.add_mutually_exclusive_group()
    task.add_argument("--classify", dest="classify", action="store_true", default=None, help="the target")
    task.add_argument("--regress", dest="classify", action="store_false", default=None, help="the target")
    train.add_argument(
        "--hidden", type=int, nargs="*", default=[16], metavar="SIZE", help="hidden layers (16)"
    )
    train.add_argument("--epochs", type=int, default=100, help="times through the rows (100)")
    train.add_argument("--learning-rate", type=float, default=0.01, metavar="ETA", help="Adam's η (0.01)")
    train.add_argument("--batch-size", type=int, default=16, metavar="N", help="rows in a step (16)")
    train.add_argument("--held-out", type=float, default=0.25, metavar="PART", help="not trained on (0.25)")
    train.add_argument("--seed", type=int, default=0, help="of everything that is random (0)")
    train.add_argument("--out", type=Path, metavar="FILE", help="for the trained model (FILE.model.json)")


def _train(options: argparse.Namespace) -> None:
    from micrograd_mlp.app.tables import read_table, train

    out = options.out or Path(f"{options.file.stem}.model.json")
    _require_replaceable(out)
    table = read_table(options.file, options.target, options.classify)
    how = (
        "regressed, as a real number"
        if table.classes is None
        else f"classified, {len(table.classes)} classes"
    )
    print(f"{options.file}: {len(table.X)} rows")
    print(f"target:   {table.target} ({how}; --classify or --regress choose)")
    print(f"inputs:   {', '.join(table.inputs)}")
    if table.ignored:
        print(f"left out: {', '.join(table.ignored)} (text)")
    compiled = importlib.util.find_spec("numba") is not None
    if compiled:
        print("running:  as machine code, which takes some seconds to prepare the first time")
    sys.stdout.flush()
    model, score = train(
        table,
        hidden=options.hidden,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        test_size=options.held_out,
        seed=options.seed,
        compiled=compiled,
        progress=True,
    )
    model.save(out)
    stopped = "" if score.epochs == options.epochs else f" of {options.epochs}, stopped by Ctrl-C"
    print(f"trained:  {score.n_train} rows, {score.epochs} epochs{stopped}")
    print(f"held out: {score.n_held_out} rows, {score}")
    print(f"model:    {out}; to predict, micrograd_mlp.tables.TableModel.load({str(out)!r}).predict(row)")


def _require_replaceable(out: Path) -> None:
    """Known before the training: the model can be written, and replaces nothing but a model."""
    from micrograd_mlp.app.tables import FORMAT

    require_writable(out)
    if not out.exists():
        return
    try:
        content = json.loads(out.read_text(encoding="utf-8"))
        is_model = isinstance(content, dict) and content.get("format") == FORMAT
    except (OSError, ValueError, RecursionError):
        is_model = False
    if not is_model:
        raise ValueError(f"{out} exists and is not a model of this command: choose another --out")
