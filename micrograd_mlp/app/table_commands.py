"""`micrograd-mlp train` and `predict`: a network for a table of the user's own."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograd_mlp.app.command import add_command, printable, real_number, whole_number
from micrograd_mlp.files import require_writable, write_atomically
from micrograd_mlp.nn.activations import ACTIVATIONS
from micrograd_mlp.optim import OPTIMIZERS

if TYPE_CHECKING:
    from micrograd_mlp.app.table_files import ReadOptions, Table
    from micrograd_mlp.app.table_training import Trained

MOST_LINES = 20  # of one kind that are shown about a table


def add_train(commands: Any) -> None:
    """Add `train` to the subparsers."""
    train = add_command(
        commands,
        "train",
        _train,
        "train a network on a table of your own",
        "micrograd-mlp train flowers.csv --target species --plot loss.png",
    )
    train.add_argument("file", type=Path, metavar="FILE", help="a table: CSV, TSV, Excel or Parquet")
    train.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    task = train.add_mutually_exclusive_group()
    task.add_argument(
        "--classify",
        action="store_true",
        default=None,
        help="predict classes, as for text",
    )
    task.add_argument(
        "--regress",
        dest="classify",
        action="store_false",
        default=None,
        help="predict numbers, as for fractions",
    )
    train.add_argument("--out", type=Path, metavar="FILE", help="for the model (FILE.model.json)")
    train.add_argument("--overwrite", action="store_true", help="replace a model that exists")
    train.add_argument("--plot", type=Path, metavar="FILE", help="draw the loss curve: .png, .svg or .pdf")
    _add_training_options(train.add_argument_group("training"))
    _add_read_options(train)


def _add_training_options(group: Any) -> None:
    group.add_argument(
        "--hidden",
        type=whole_number(1),
        nargs="*",
        default=[32],
        metavar="SIZE",
        help="neurons in each hidden layer (32)",
    )
    group.add_argument("--activation", choices=ACTIVATIONS, default="relu", help="σ of hidden layers (relu)")
    group.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help="(adam)")
    group.add_argument(
        "--epochs", type=whole_number(1), default=200, metavar="N", help="the largest number (200)"
    )
    group.add_argument(
        "--learning-rate", type=real_number(least=0), default=0.003, metavar="ETA", help="η (0.003)"
    )
    group.add_argument("--batch-size", type=whole_number(1), default=64, metavar="N", help="for a step (64)")
    group.add_argument(
        "--alpha", type=real_number(least=0), default=1.0, metavar="A", help="strength of the L2 penalty (1)"
    )
    group.add_argument(
        "--held-out",
        type=real_number(above=0, below=1),
        default=0.25,
        metavar="PART",
        help="part of the rows that measures the network (0.25)",
    )
    group.add_argument(
        "--all-epochs", action="store_true", help="train for all epochs, without early stopping"
    )
    group.add_argument("--seed", type=whole_number(0), default=0, help="of everything that is random (0)")


def add_predict(commands: Any) -> None:
    """Add `predict` to the subparsers."""
    predict = add_command(
        commands,
        "predict",
        _predict,
        "predict the rows of a table with a model of train",
        "micrograd-mlp predict flowers.model.json new.csv --out predicted.csv",
    )
    predict.add_argument("model", type=Path, metavar="MODEL", help="what train has saved")
    predict.add_argument("file", type=Path, metavar="FILE", help="a table with the columns of the model")
    predict.add_argument("--out", type=Path, metavar="FILE", help="write CSV there instead of the terminal")
    _add_read_options(predict)


def _add_read_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("reading FILE")
    group.add_argument("--delimiter", metavar="SIGN", help="between cells (the most frequent of , ; tab |)")
    group.add_argument("--encoding", default="utf-8", metavar="NAME", help="such as cp1252 or utf-16 (utf-8)")
    group.add_argument("--decimal", default=".", metavar="SIGN", help="decimal sign (.)")
    group.add_argument("--sheet", metavar="NAME", help="of a workbook (the first)")


def _read_options(options: argparse.Namespace) -> ReadOptions:
    from micrograd_mlp.app.table_files import ReadOptions

    return ReadOptions(options.delimiter, options.encoding, options.decimal, options.sheet)


# train


def _train(options: argparse.Namespace) -> None:
    from micrograd_mlp.app.table_files import read_table
    from micrograd_mlp.app.table_training import train

    out = options.out or Path(f"{options.file.stem}.model.json")
    _require_replaceable(out, options.overwrite)
    if options.plot:
        require_writable(options.plot)
    table = read_table(options.file, options.target, options.classify, _read_options(options))
    _show_table(options.file, table)
    trained = train(
        table,
        held_out=options.held_out,
        seed=options.seed,
        hidden_layer_sizes=tuple(options.hidden),
        activation=options.activation,
        solver=options.optimizer,
        max_iter=options.epochs,
        learning_rate_init=options.learning_rate,
        batch_size=options.batch_size,
        alpha=options.alpha,
        early_stopping=not options.all_epochs,
        n_iter_no_change=options.epochs if options.all_epochs else 10,
        verbose=True,
    )
    trained.model.save(out)
    _show_scores(trained, options.epochs)
    if options.plot:
        _plot_losses(trained, options.plot)
        _show("losses", str(options.plot))
    _show("model", f"{out}; to use it: micrograd-mlp predict {out} FILE")


def _require_replaceable(out: Path, overwrite: bool) -> None:
    """Find out before the training that the model can be written, and replaces nothing unasked."""
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
    if not overwrite:
        raise ValueError(f"{out} exists: add --overwrite to replace that model, or choose another --out")


def _show_table(path: Path, table: Table) -> None:
    if table.is_classified:
        how = f"classified, {table.target.nunique()} classes; --regress predicts numbers"
    else:
        how = "regressed, as a number; --classify predicts classes"
    _show("rows", f"{len(table.target):,} of {path}")
    _show("target", f"{table.target.name} ({how})")
    _show("inputs", ", ".join(table.inputs.columns))
    left_out = [f"{name} ({reason})" for name, reason in table.left_out.items()]
    for what, lines in (("left out", left_out), ("note", table.remarks)):
        for line in lines[:MOST_LINES]:
            _show(what, line)
        if len(lines) > MOST_LINES:
            _show(what, f"… {len(lines):,} in all")
    sys.stdout.flush()


def _show(what: str, text: str) -> None:
    text = printable(text)
    print(f"{what + ':':9} {text if len(text) <= 500 else text[:500] + ' …'}")


def _show_scores(trained: Trained, epochs: int) -> None:
    estimator = trained.estimator
    n_epochs = len(estimator.loss_curve_)
    if estimator.interrupted_:
        end = f"{n_epochs} of {epochs} epochs, stopped by Ctrl-C"
    elif n_epochs < epochs:
        end = f"{n_epochs} of {epochs} epochs, until the loss had settled"
    else:
        end = f"{n_epochs} epochs"
    print(f"trained:  {trained.n_training:,} rows, {end}; held out: {trained.n_held_out:,} rows")
    print(f"{trained.measure:12}  training  held out")
    for score in trained.scores:
        print(f"{score.name:12}  {score.training:8.3f}  {score.held_out:8.3f}")
    if trained.linear_is_better:
        print("warning:  the linear model predicts the held-out rows better than the network")


def _plot_losses(trained: Trained, path: Path) -> None:
    import io

    from micrograd_mlp import History, plot_history

    estimator = trained.estimator
    ax = plot_history(History(estimator.loss_curve_, estimator.validation_loss_curve_))
    picture = io.BytesIO()
    ax.figure.savefig(picture, format=path.suffix.lstrip(".").lower() or "png")
    write_atomically(path, picture.getvalue())


# predict


def _predict(options: argparse.Namespace) -> None:
    from micrograd_mlp.app.table_files import inputs_of, read_frame
    from micrograd_mlp.app.tables import TableModel
    from micrograd_mlp.training.estimators import compiled, outputs_of

    model = TableModel.load(options.model)
    if options.out:
        require_writable(options.out)
    frame = read_frame(options.file, _read_options(options))
    X, remarks = inputs_of(model, frame)
    for remark in remarks:
        print(f"micrograd-mlp: {printable(remark)}", file=sys.stderr)
    outputs = outputs_of(model.network, compiled(model.network, model.network), X).tolist()
    frame[f"predicted {model.target}"] = [model.decode(row) for row in outputs]
    text = frame.to_csv(index=False)
    if options.out:
        write_atomically(options.out, text)
        print(f"{len(frame):,} rows: {options.out}")
    else:
        print(text, end="")
