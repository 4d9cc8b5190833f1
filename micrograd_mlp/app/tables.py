"""A user's own table: a CSV file in, a network that predicts one of its columns out.

`read_table` turns the file into rows of numbers and targets, `train` fits a network to standardised
columns and measures it on rows that it held out, and the `TableModel` that comes out keeps the column
names, the standardisation and the class names with the weights, so that it predicts from a row as it
stands in the table.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micrograd_mlp._require import as_float
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.files import load_document, save_document, unseal
from micrograd_mlp.nn.losses import cross_entropy, squared_error
from micrograd_mlp.nn.modules import MLP
from micrograd_mlp.optim import Adam
from micrograd_mlp.training.datasets import train_test_split
from micrograd_mlp.training.fit import fit

LARGEST = 1e100  # a number in a table; its square, summed up, still fits a float


class TableError(ValueError):
    """The file is not a table that can be trained on; the message names the line and the column."""


@dataclass(frozen=True)
class Table:
    """What was read from a file.

    Attributes:
        inputs: the names of the numeric columns that are inputs.
        ignored: the names of the columns of text, which are left out.
        target: the name of the column to predict.
        classes: its different values if it is classified, None if it is a real number to be regressed.
        X: for each row of the file the inputs' numbers.
        y: for each row the index of its class, or its number.
    """

    inputs: list[str]
    ignored: list[str]
    target: str
    classes: list[str] | None
    X: list[list[float]]
    y: list[float]


def read_table(path: str | os.PathLike[str], target: str, classify: bool | None = None) -> Table:
    """Read a CSV file whose first line names the columns; commas, semicolons or tabs part them.

    A column of numbers is an input, one without any number in it is left out, and one that mixes them
    is an error. The target is classified if its values are text or whole numbers.

    Args:
        path: the file, in UTF-8.
        target: the name of the column to predict.
        classify: True or False instead of what the target's values suggest.

    Raises:
        OSError: the file can't be read.
        TableError: a ValueError that names the line and column of what is wrong.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise TableError(f"line {line}: byte {error.object[error.start]:#04x} is not UTF-8 text") from None
    return parse_table(text, target, classify)


def parse_table(text: str, target: str, classify: bool | None = None) -> Table:
    """The table that a file's text is; see `read_table`.

    >>> table = parse_table("width,height,kind\\n1,2,a\\n3,4,b\\n", target="kind")
    >>> table.inputs, table.X, table.y, table.classes
    (['width', 'height'], [[1.0, 2.0], [3.0, 4.0]], [0, 1], ['a', 'b'])
    """
    names, rows = _cells(text)
    if target not in names:
        raise TableError(f"there is no column {target!r:.60}; line 1 names {_listed(names)}")
    inputs, ignored, columns = [], [], []
    for i, name in enumerate(names):
        if name == target:
            continue
        numbers = [_number(row[i]) for _, row in rows]
        if all(math.isnan(x) for x in numbers) and any(row[i] for _, row in rows):
            ignored.append(name)
            continue
        inputs.append(name)
        columns.append([_require_number(line, name, row[i]) for line, row in rows])
    if not columns:
        raise TableError(f"no column besides {target!r:.60} has numbers to predict it from")
    at = names.index(target)
    classes, y = _targets(target, [(line, row[at]) for line, row in rows], classify)
    return Table(inputs, ignored, target, classes, [list(row) for row in zip(*columns)], y)


def _cells(text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and every row with the number of its line."""
    first_line = text.partition("\n")[0]
    delimiter = max(",;\t", key=first_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise TableError(f"line {reader.line_num}: {error}") from None
    if not lines:
        raise TableError("the file is empty: its first line names the columns")
    (first, names), *rows = lines
    for k, name in enumerate(names, start=1):
        if not name:
            raise TableError(f"line {first}: column {k} has no name")
        if name in names[: k - 1]:
            raise TableError(f"line {first}: two columns are named {name!r:.60}")
    if not any(math.isnan(_number(name)) for name in names):
        raise TableError(f"line {first}: expected the names of the columns, got numbers alone")
    if len(rows) < 2:
        raise TableError(f"a table needs 2 rows or more below the names, got {len(rows)}")
    for line, cells in rows:
        if len(cells) != len(names):
            raise TableError(f"line {line}: {len(cells)} cells, but line {first} names {len(names)} columns")
    return names, rows


def _number(cell: str) -> float:
    """The cell's number; nan if it has none that can be computed with."""
    try:
        number = float(cell)
    except ValueError:
        return math.nan
    # 1_000 is a number to Python alone.
    return number if abs(number) <= LARGEST and "_" not in cell else math.nan


def _require_number(line: int, name: str, cell: str) -> float:
    number = _number(cell)
    if math.isnan(number):
        what = f"{cell!r:.60} is not a number" if cell else "the cell is empty"
        raise TableError(f"line {line}, column {name!r:.60}: {what} (from -1e100 to 1e100)")
    return number


def _targets(
    name: str, cells: list[tuple[int, str]], classify: bool | None
) -> tuple[list[str] | None, list[float]]:
    for line, cell in cells:
        if not cell:
            raise TableError(f"line {line}, column {name!r:.60}: the cell is empty, and it is the target")
    whole = all(re.fullmatch(r"[+-]?[0-9]{1,15}", cell) for _, cell in cells)
    numeric = all(not math.isnan(_number(cell)) for _, cell in cells)
    if classify is None:
        classify = whole or not numeric
    if not classify:
        numbers = [_require_number(line, name, cell) for line, cell in cells]
        if len(set(numbers)) == 1:
            raise TableError(f"column {name!r:.60} is {numbers[0]!r} in every row: there is nothing to learn")
        return None, numbers
    values = {cell for _, cell in cells}
    classes = sorted(values, key=int) if whole else sorted(values)
    if len(classes) == 1:
        raise TableError(f"column {name!r:.60} is {classes[0]!r:.60} in every row: there is nothing to learn")
    if len(classes) > 2 and len(classes) > len(cells) // 2:
        raise TableError(
            f"column {name!r:.60} has {len(classes)} different values in {len(cells)} rows, too many for "
            "classes; a column of numbers can be regressed instead"
        )
    index = {value: k for k, value in enumerate(classes)}
    return classes, [index[cell] for _, cell in cells]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"{name!r:.40}" for name in names[:20])
    return shown + (f", … ({len(names)} in all)" if len(names) > 20 else "")


# Standardisation


@dataclass(frozen=True)
class Scale:
    """x as (x - mean) / deviation, so that columns of any unit look alike to a network.

    >>> scale = Scale.of([1.0, 3.0])
    >>> scale, scale.apply(3.0), scale.undo(1.0)
    (Scale(mean=2.0, deviation=1.0), 1.0, 3.0)
    """

    mean: float
    deviation: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Scale:
        """The mean and standard deviation; a deviation of 1 where all numbers are the same."""
        mean = math.fsum(numbers) / len(numbers)
        variance = math.fsum((x - mean) ** 2 for x in numbers) / len(numbers)
        return cls(mean, math.sqrt(variance) or 1.0)

    def apply(self, x: float) -> float:
        """From the column's unit."""
        return (x - self.mean) / self.deviation

    def undo(self, z: float) -> float:
        """Back to the column's unit."""
        return z * self.deviation + self.mean


# The trained model

FORMAT = "micrograd_mlp table model"


@dataclass(frozen=True)
class TableModel:
    """A network with what it needs to predict from a row of a table.

    Attributes:
        network: the MLP, which works on standardised numbers.
        inputs: the names of the columns it takes.
        scales: their standardisations.
        target: the name of the column it predicts.
        classes: the names of the classes, or None for a regression.
        target_scale: the standardisation of a regression's target.
    """

    network: MLP
    inputs: list[str]
    scales: list[Scale]
    target: str
    classes: list[str] | None
    target_scale: Scale | None

    def predict(self, row: Mapping[str, float]) -> str | float:
        """The class, or the number, that the model expects for a row.

        Args:
            row: a number for each of `inputs`; other columns are not looked at.

        Raises:
            ValueError: a column is missing, or is not a finite number.
        """
        missing = [name for name in self.inputs if name not in row]
        if missing:
            raise ValueError(f"the row has no {_listed(missing)}; the model takes {_listed(self.inputs)}")
        try:
            numbers = [as_float(row[name]) for name in self.inputs]
        except TypeError as error:
            raise ValueError(f"the row of inputs: {error}") from None
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"the row must hold finite numbers, got {numbers!r:.200}")
        return self.predict_numbers(numbers)

    def predict_numbers(self, numbers: Sequence[float]) -> str | float:
        """As `predict`, for the inputs' numbers in their order."""
        with no_grad():
            output = self.network([scale.apply(x) for scale, x in zip(self.scales, numbers)])
        if self.classes is None:
            assert self.target_scale is not None
            return self.target_scale.undo(output.data)
        return self.classes[max(range(len(output)), key=lambda k: output[k].data)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, exact to the last bit; an existing file is replaced whole or not at all."""
        content = {
            "network": self.network.to_dict(),
            "inputs": self.inputs,
            "scales": [[scale.mean, scale.deviation] for scale in self.scales],
            "target": self.target,
            "classes": self.classes,
            "target_scale": None
            if self.target_scale is None
            else [self.target_scale.mean, self.target_scale.deviation],
        }
        save_document(path, FORMAT, content, indent=1)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TableModel:
        """The model that `save` wrote.

        Raises:
            OSError: there is no such file, or it can't be read.
            ValueError: it is no saved model of a table, is cut short or does not fit together.
        """
        return load_document(path, FORMAT, cls._from_dict)

    @classmethod
    def _from_dict(cls, content: Any) -> TableModel:
        fields = ["network", "inputs", "scales", "target", "classes", "target_scale"]
        content = unseal(FORMAT, content, fields)
        network, inputs, classes = MLP.from_dict(content["network"]), content["inputs"], content["classes"]
        scales = [_scale(pair) for pair in content["scales"]]
        _require_names("inputs", inputs, network.n_inputs)
        if len(scales) != network.n_inputs:
            raise ValueError(f"{len(scales)} scales for {network.n_inputs} inputs")
        if not isinstance(content["target"], str):
            raise ValueError(f"the target's name is {content['target']!r:.40}")
        n_outputs = len(network.layers[-1].neurons)
        if classes is None:
            if n_outputs != 1:
                raise ValueError(f"a regression has one output, the network {n_outputs}")
            return cls(network, inputs, scales, content["target"], None, _scale(content["target_scale"]))
        _require_names("classes", classes, n_outputs)
        if n_outputs < 2 or content["target_scale"] is not None:
            raise ValueError("a classification has two classes or more, and no scale of its target")
        return cls(network, inputs, scales, content["target"], classes, None)


def _scale(pair: Any) -> Scale:
    if not isinstance(pair, list) or len(pair) != 2:
        raise ValueError(f"a scale is a mean and a deviation, got {pair!r:.40}")
    scale = Scale(*map(as_float, pair))
    if not math.isfinite(scale.mean) or not 0.0 < scale.deviation < math.inf:
        raise ValueError(f"a scale is a finite mean and a deviation above 0, got {pair!r:.60}")
    return scale


def _require_names(what: str, names: Any, expected: int) -> None:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{what} must be a list of names, got {names!r:.40}")
    if len(names) != expected:
        raise ValueError(f"{len(names)} {what} for a network with {expected}")


# Training


@dataclass(frozen=True)
class Score:
    """How a model does on rows that it was not trained on.

    Attributes:
        name: "accuracy", or "R²", the part of the target's variance that is explained.
        held_out: that score on the rows held out.
        guess: the score of always answering the most frequent class of the training rows, or their mean.
        n_train, n_held_out: how many rows there were.
        epochs: how many epochs were finished; less than asked for if Ctrl-C ended the training.
    """

    name: str
    held_out: float
    guess: float
    n_train: int
    n_held_out: int
    epochs: int

    def __str__(self) -> str:
        return f"{self.name} {self.held_out:.3f} (a constant guess: {self.guess:.3f})"


def train(
    table: Table,
    hidden: Sequence[int] = (16,),
    epochs: int = 100,
    learning_rate: float = 0.01,
    batch_size: int = 16,
    test_size: float = 0.25,
    seed: int = 0,
    compiled: bool = False,
    progress: bool = False,
) -> tuple[TableModel, Score]:
    """Fit a network with tanh layers to a part of the table, and measure it on the rest.

    Args:
        table: what `read_table` gave.
        hidden: the sizes of the hidden layers.
        epochs: how often the training goes through its rows.
        learning_rate: Adam's η.
        batch_size: rows in a step.
        test_size: which part of the rows is held out.
        seed: for the split, the initial weights and the order of the rows.
        compiled: run as machine code (needs the extra "compile").
        progress: show epoch and loss on standard error.

    Returns:
        The model, and its score on the rows held out.
    """
    X_train, X_test, y_train, y_test = train_test_split(table.X, table.y, test_size, seed)
    scales = [Scale.of(column) for column in zip(*X_train)]  # of the training rows: the others are unseen
    rows = [[scale.apply(x) for scale, x in zip(scales, row)] for row in X_train]
    target_scale = None
    targets: list[float]
    truth: list[Any]
    loss: Callable[..., Any]
    if table.classes is None:
        target_scale = Scale.of(y_train)
        targets, loss, n_outputs = [target_scale.apply(y) for y in y_train], squared_error, 1
    else:
        targets, loss, n_outputs = y_train, cross_entropy, len(table.classes)
    network = MLP(len(table.inputs), [*hidden, n_outputs], activation="tanh", seed=seed)
    history = fit(
        network,
        loss,
        rows,
        targets,
        Adam(network.parameters(), learning_rate),
        epochs,
        batch_size=batch_size,
        compiled=compiled,
        progress=progress,
        seed=seed,
    )
    model = TableModel(network, table.inputs, scales, table.target, table.classes, target_scale)
    predictions = [model.predict_numbers(row) for row in X_test]
    if table.classes is None:
        guess: Any = math.fsum(y_train) / len(y_train)
        measure, truth = _r_squared, y_test
    else:
        guess = table.classes[int(max(sorted(set(y_train)), key=y_train.count))]
        measure, truth = _part_equal, [table.classes[int(k)] for k in y_test]
    return model, Score(
        "R²" if table.classes is None else "accuracy",
        measure(predictions, truth),
        measure([guess] * len(truth), truth),
        len(X_train),
        len(X_test),
        len(history.losses),
    )


def _part_equal(predictions: Sequence[Any], truth: Sequence[Any]) -> float:
    return [p == t for p, t in zip(predictions, truth)].count(True) / len(truth)


def _r_squared(predictions: Sequence[Any], truth: Sequence[Any]) -> float:
    """1 - Σ(ŷ - y)² / Σ(y - ȳ)²."""
    mean = math.fsum(truth) / len(truth)
    residual: float = math.fsum([(p - t) ** 2 for p, t in zip(predictions, truth)])
    variation: float = math.fsum([(t - mean) ** 2 for t in truth])
    if variation == 0.0:
        return math.nan
    return 1.0 - residual / variation
