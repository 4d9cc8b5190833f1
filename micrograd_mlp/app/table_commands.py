"""`micrograd-mlp train` and `predict`: a network for a table of the user's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograd_mlp.app.command import add_command, printable, real_number, whole_number
from micrograd_mlp.files import require_writable, write_atomically
from micrograd_mlp.nn.activations import ACTIVATIONS
from micrograd_mlp.optim import OPTIMIZERS

if TYPE_CHECKING:
    import pandas as pd

MOST_LETTERS = 500  # of a line about a table


def add_train(commands: Any) -> None:
    """Add `train` to the subparsers."""
    example = "micrograd-mlp train flowers.csv --target species --plot loss.png"
    train = add_command(commands, "train", _train, "train a network on a table of your own", example)
    train.add_argument("file", type=Path, metavar="FILE", help="a table: CSV, TSV, Excel or Parquet")
    train.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    task = train.add_mutually_exclusive_group()
    task.add_argument("--classify", action="store_true", help="predict classes, as for text")
    task.add_argument("--regress", dest="classify", action="store_false", help="predict numbers")
    train.set_defaults(classify=None)
    train.add_argument("--out", type=Path, metavar="FILE", help="for the model (FILE.model.json)")
    train.add_argument("--overwrite", action="store_true", help="replace the file of --out if it exists")
    train.add_argument("--plot", type=Path, metavar="FILE", help="draw the loss curve: .png, .svg or .pdf")
    add = train.add_argument_group("training").add_argument
    add("--hidden", type=whole_number(1, 10_000), nargs="*", default=[32], help="sizes of hidden layers (32)")
    add("--activation", choices=ACTIVATIONS, default="relu", help="σ of hidden layers (relu)")
    add("--optimizer", choices=OPTIMIZERS, default="adam", help="(adam)")
    add("--epochs", type=whole_number(1), default=200, metavar="N", help="the largest number (200)")
    add("--learning-rate", type=real_number(least=0), default=0.003, metavar="ETA", help="η (0.003)")
    add("--batch-size", type=whole_number(1), default=64, metavar="N", help="for a step (64)")
    add("--alpha", type=real_number(least=0), default=1.0, metavar="A", help="strength of the L2 penalty (1)")
    part = real_number(above=0, below=1)
    add("--held-out", type=part, default=0.25, metavar="PART", help="part of the rows for the score (0.25)")
    add("--all-epochs", action="store_true", help="train for all epochs, without early stopping")
    add("--seed", type=whole_number(0), default=0, help="of everything that is random (0)")
    _add_read_options(train)


def add_predict(commands: Any) -> None:
    """Add `predict` to the subparsers."""
    example = "micrograd-mlp predict flowers.model.json new.csv --out predicted.csv"
    predict = add_command(commands, "predict", _predict, "predict a table with a model of train", example)
    predict.add_argument("model", type=Path, metavar="MODEL", help="what train has saved")
    predict.add_argument("file", type=Path, metavar="FILE", help="a table with the columns of the model")
    predict.add_argument("--out", type=Path, metavar="FILE", help="write CSV there instead of the terminal")
    _add_read_options(predict)


def _add_read_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("reading FILE").add_argument
    add("--delimiter", default="", metavar="SIGN", help="between cells (the most frequent of , ; tab |)")
    add("--encoding", default="utf-8", metavar="NAME", help="such as cp1252 or utf-16 (utf-8)")
    add("--decimal", default=".", metavar="SIGN", help="decimal sign (.)")
    add("--sheet", default="", metavar="NAME", help="of a workbook (the first)")


def _read(options: argparse.Namespace) -> pd.DataFrame:
    from micrograd_mlp.app.table_training import read_frame

    how = {"encoding": options.encoding, "decimal": options.decimal}
    return read_frame(options.file, options.delimiter, options.sheet, **how)


# train


def _train(options: argparse.Namespace) -> None:
    from micrograd_mlp import History, plot_history
    from micrograd_mlp.app.table_training import prepare, train

    out = options.out or Path(f"{options.file.stem}.model.json")
    require_writable(out)
    if options.plot:
        require_writable(options.plot)
    if out.exists() and not options.overwrite:
        raise ValueError(f"{out} exists: add --overwrite to replace it, or choose another --out")
    frame = _read(options)
    inputs, target, left_out = prepare(frame, options.target, options.classify)
    is_number = target.dtype == float
    how = "regressed; --classify predicts classes" if is_number else "classified; --regress predicts numbers"
    _show("rows", f"{len(target):,} of {len(frame):,} in {options.file} have a target")
    _show("target", f"{target.name} ({how})")
    _show("inputs", ", ".join(inputs.columns))
    _show("left out", ", ".join(f"{name} ({reason})" for name, reason in left_out.items()))
    _show("missing", _missing(inputs))
    model, network, scores = train(
        inputs,
        target,
        options.held_out,
        hidden_layer_sizes=tuple(options.hidden),
        activation=options.activation,
        solver=options.optimizer,
        max_iter=options.epochs,
        learning_rate_init=options.learning_rate,
        batch_size=options.batch_size,
        alpha=options.alpha,
        early_stopping=not options.all_epochs,
        n_iter_no_change=options.epochs if options.all_epochs else 10,
        random_state=options.seed,
        verbose=True,
    )
    model.save(out)
    stopped = ", stopped by Ctrl-C" if network.interrupted_ else ""
    _show("trained", f"{network.n_iter_} of {options.epochs} epochs{stopped}")
    scores.columns.name = "R²" if is_number else "accuracy"
    print(scores.to_string(float_format="%.3f"))
    if scores.loc["linear model"].iloc[1] > scores.loc["network"].iloc[1]:
        _show("warning", "the linear model predicts the held-out rows better than the network")
    if options.plot:
        history = History(network.loss_curve_, network.validation_loss_curve_)
        plot_history(history).figure.savefig(options.plot)
    _show("model", f"{out}; to use it: micrograd-mlp predict {out} FILE")


def _show(what: str, text: str) -> None:
    if text:
        shown = text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]} …"
        print(f"{what + ':':9} {printable(shown)}", flush=True)


def _missing(inputs: pd.DataFrame) -> str:
    """How many cells of each input are missing, and what they count as."""
    counts = inputs.isna().sum()
    names = ", ".join(f"{name} {n:,}" for name, n in counts[counts > 0].items())
    return f"{names}; a missing number counts as the median, missing text as no value" if names else ""


# predict


def _predict(options: argparse.Namespace) -> None:
    from micrograd_mlp.app.table_training import encode, inputs_of
    from micrograd_mlp.app.tables import TableModel
    from micrograd_mlp.training.estimators import outputs_of

    model = TableModel.load(options.model)
    if options.out:
        require_writable(options.out)
    frame = _read(options)
    inputs = inputs_of(model, frame)
    if missing := _missing(inputs):
        print(f"micrograd-mlp: missing or unknown: {printable(missing)}", file=sys.stderr)
    outputs = outputs_of(model.network, encode(model.columns, inputs))
    frame[f"predicted {model.target.name}"] = [model.decode(row) for row in outputs.tolist()]
    text = frame.to_csv(index=False)
    if options.out:
        write_atomically(options.out, text)
        print(f"{len(frame):,} rows: {options.out}")
    else:
        print(text, end="")
