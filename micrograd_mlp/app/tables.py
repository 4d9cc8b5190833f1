"""The model of a table: a network, and what turns a row of the table into its inputs.

`micrograd-mlp train` makes such a model. Its columns, their means and the values of text are saved with the
weights as plain data, so that `predict` needs the file alone: neither pandas nor scikit-learn.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from micrograd_mlp._require import as_float
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.value import Value
from micrograd_mlp.files import load_document, require_fields, save_document, unseal
from micrograd_mlp.nn.modules import MLP

FORMAT = "micrograd_mlp table model"
LARGEST = 1e100  # the largest number in a table: the sum of squares still fits a float


@dataclass(frozen=True)
class Scale:
    """Standardises numbers to (x - mean) / deviation, so that columns of any unit look alike to a network.

    >>> scale = Scale.of([1.0, 3.0])
    >>> scale, scale.apply(3.0), scale.undo(1.0)
    (Scale(mean=2.0, deviation=1.0), 1.0, 3.0)
    """

    mean: float
    deviation: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Scale:
        """The mean and standard deviation of some numbers; the deviation is 1 if all numbers are equal."""
        if not numbers:
            return cls(0.0, 1.0)
        mean = math.fsum(numbers) / len(numbers)
        variance = math.fsum((x - mean) ** 2 for x in numbers) / len(numbers)
        return cls(mean, math.sqrt(variance) or 1.0)

    def apply(self, x: float) -> float:
        """From the column's unit to the standardised number."""
        return (x - self.mean) / self.deviation

    def undo(self, z: float) -> float:
        """From the standardised number to the column's unit."""
        return z * self.deviation + self.mean


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, which becomes one standardised input.

    Attributes:
        name: the column's name.
        scale: the mean and deviation of the training rows.
        missing: the number that stands for a missing one, which is the median of the training rows.
    """

    name: str
    scale: Scale
    missing: float

    @classmethod
    def of(cls, name: str, cells: Sequence[float]) -> NumberColumn:
        """Learn the column from the training rows; nan is a missing number."""
        numbers = sorted(x for x in cells if not math.isnan(x))
        middle = len(numbers) // 2
        median = (numbers[middle] + numbers[~middle]) / 2 if numbers else 0.0
        return cls(name, Scale.of([median if math.isnan(x) else x for x in cells]), median)

    @property
    def inputs(self) -> list[str]:
        """The names of the network's inputs for this column."""
        return [self.name]

    def cell(self, given: Any) -> float:
        """The number that a user gives for this column; None is a missing one.

        Raises:
            ValueError: it is no number, or too large.
        """
        try:
            number = (
                math.nan if given is None else float(given) if isinstance(given, str) else as_float(given)
            )
        except (TypeError, ValueError):
            raise ValueError(f"{self.name} must be a number, got {given!r:.60}") from None
        if abs(number) > LARGEST:
            raise ValueError(f"{self.name} must be a number from -1e100 to 1e100, got {given!r:.60}")
        return number

    def encode(self, cells: Iterable[float]) -> list[list[float]]:
        """The network's inputs for each cell."""
        filled = (self.missing if math.isnan(x) else x for x in cells)
        return [[self.scale.apply(x)] for x in filled]

    def to_dict(self) -> dict[str, Any]:
        """The column as plain data."""
        scale = {"mean": self.scale.mean, "deviation": self.scale.deviation}
        return {"name": self.name, **scale, "missing": self.missing}


@dataclass(frozen=True)
class TextColumn:
    """A column of text or of true and false, which becomes one input of 0 or 1 for each of its values.

    A missing value, and one that the training did not meet, has 0 in all of them.

    Attributes:
        name: the column's name.
        values: the values that have an input.
    """

    name: str
    values: tuple[str, ...]

    @classmethod
    def of(cls, name: str, cells: Iterable[str | None], largest: int) -> TextColumn:
        """Learn the most frequent values, at most `largest`, from the training rows."""
        counts = Counter(cell for cell in cells if cell is not None)
        return cls(name, tuple(sorted(value for value, _ in counts.most_common(largest))))

    @property
    def inputs(self) -> list[str]:
        """The names of the network's inputs for this column."""
        return [f"{self.name}={value}" for value in self.values]

    def cell(self, given: Any) -> str | None:
        """The text that a user gives for this column; None and nan are missing ones.

        >>> TextColumn("sex", ("f", "m")).cell("m")
        'm'
        """
        if given is None or given != given:
            return None
        return str(int(given)) if isinstance(given, float) and given.is_integer() else str(given)

    def encode(self, cells: Iterable[str | None]) -> list[list[float]]:
        """The network's inputs for each cell."""
        n = len(self.values)
        others = [0.0] * n
        one_hot: dict[str | None, list[float]] = {
            value: [float(k == index) for k in range(n)] for index, value in enumerate(self.values)
        }
        return [one_hot.get(cell, others) for cell in cells]

    def to_dict(self) -> dict[str, Any]:
        """The column as plain data."""
        return {"name": self.name, "values": list(self.values)}


Column = NumberColumn | TextColumn


@dataclass(frozen=True)
class TableModel:
    """A network with what it needs to predict from a row of a table.

    Attributes:
        network: the MLP, which takes what the columns encode.
        columns: the columns that it predicts from.
        target: the name of the column that it predicts.
        classes: the names of the classes, or None for a regression. Two classes may share one output, which
            is then the logit of the second.
        target_scale: the standardisation of a regression's target, else None.
    """

    network: MLP
    columns: list[Column]
    target: str
    classes: list[str] | None
    target_scale: Scale | None

    def __post_init__(self) -> None:
        n_inputs = sum(len(column.inputs) for column in self.columns)
        if n_inputs != self.network.n_inputs:
            raise ValueError(f"the columns encode {n_inputs} inputs, the network has {self.network.n_inputs}")
        n_outputs = len(self.network.layers[-1].neurons)
        if self.classes is None:
            if n_outputs != 1 or self.target_scale is None:
                raise ValueError("a regression has one output and the scale of its target")
        elif self.target_scale is not None or len(self.classes) < 2:
            raise ValueError("a classification has two classes or more, and no scale of its target")
        elif n_outputs not in ({1, 2} if len(self.classes) == 2 else {len(self.classes)}):
            raise ValueError(f"{len(self.classes)} classes for a network with {n_outputs} outputs")

    @property
    def inputs(self) -> list[str]:
        """The names of the network's inputs: `age` for a column of numbers, `sex=f` for a value of text."""
        return [name for column in self.columns for name in column.inputs]

    def encode(self, row: Mapping[str, Any]) -> list[float]:
        """The network's inputs for a row.

        Args:
            row: a cell for each column; None is a missing one. Other columns are not looked at.

        Raises:
            ValueError: a column is missing, or a cell is not a number where one is needed.
        """
        if missing := [column.name for column in self.columns if column.name not in row]:
            raise ValueError(
                f"the row has no {_listed(missing)}; the model takes {_listed(c.name for c in self.columns)}"
            )
        encoded: list[float] = []
        for column in self.columns:
            encoded += column.encode([column.cell(row[column.name])])[0]  # type: ignore[list-item]  # a column's cells are of its own kind
        return encoded

    def predict(self, row: Mapping[str, Any]) -> str | float:
        """The class or the number that the model expects for a row.

        Args:
            row: as for `encode`.

        Raises:
            ValueError: as for `encode`.
        """
        with no_grad():
            output = self.network(self.encode(row))
        return self.decode([z.data for z in (output if isinstance(output, list) else [output])])

    def decode(self, outputs: Sequence[float]) -> str | float:
        """The class or the number for the network's outputs."""
        if self.classes is None:
            assert self.target_scale is not None
            return self.target_scale.undo(outputs[0])
        if len(outputs) == 1:
            return self.classes[outputs[0] > 0.0]
        return self.classes[max(range(len(outputs)), key=outputs.__getitem__)]

    def leaves(self, row: Mapping[str, Any]) -> dict[str, Value]:
        """The network's inputs for a row as Values, by name and labelled by it."""
        return {name: Value(x, name) for name, x in zip(self.inputs, self.encode(row))}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as JSON, exact to the last bit; an existing file is replaced whole or not at all.

        Raises:
            OSError: the file can't be written.
        """
        content = {
            "network": self.network.to_dict(),
            "columns": [column.to_dict() for column in self.columns],
            "target": self.target,
            "classes": self.classes,
            "target_scale": self.target_scale and [self.target_scale.mean, self.target_scale.deviation],
        }
        save_document(path, FORMAT, content, indent=1)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TableModel:
        """The model that `save` wrote, also with an earlier version of this package.

        Raises:
            OSError: there is no such file, or it can't be read.
            ValueError: it is no saved model of a table, is cut short, or does not fit together.
        """
        return load_document(path, FORMAT, cls._from_dict)

    @classmethod
    def _from_dict(cls, document: Any) -> TableModel:
        fields = ["network", "columns", "target", "classes", "target_scale"]
        if isinstance(document, dict) and document.get("version") == 1:
            fields[1:2] = ["inputs", "scales"]
        content = unseal(FORMAT, document, fields)
        if content["version"] == 1:
            columns = _columns_of_version_1(content["inputs"], content["scales"])
        else:
            columns = [_column(column) for column in content["columns"]]
        classes, scale = content["classes"], content["target_scale"]
        return cls(
            MLP.from_dict(content["network"]),
            columns,
            _text("the target's name", content["target"]),
            None if classes is None else _texts("classes", classes),
            None if scale is None else _scale(scale),
        )


# What a file holds


def _columns_of_version_1(names: Any, scales: Any) -> list[Column]:
    """Version 1 had columns of numbers alone, without missing ones."""
    pairs = [_scale(scale) for scale in scales]
    if len(pairs) != len(_texts("inputs", names)):
        raise ValueError(f"{len(pairs)} scales for {len(names)} inputs")
    return [NumberColumn(name, scale, scale.mean) for name, scale in zip(names, pairs)]


def _column(content: Any) -> Column:
    if isinstance(content, dict) and "values" in content:
        require_fields("a column of text", content, ["name", "values"])
        values = _texts("values", content["values"])
        if len(set(values)) != len(values):
            raise ValueError("a value of a column of text stands there twice")
        return TextColumn(_text("a column's name", content["name"]), tuple(values))
    require_fields("a column of numbers", content, ["name", "mean", "deviation", "missing"])
    column = NumberColumn(
        _text("a column's name", content["name"]),
        _scale([content["mean"], content["deviation"]]),
        as_float(content["missing"]),
    )
    if not abs(column.missing) <= LARGEST:
        raise ValueError(f"a missing number counts as {column.missing!r}")
    return column


def _scale(pair: Any) -> Scale:
    if not isinstance(pair, list) or len(pair) != 2:
        raise ValueError(f"a scale is a mean and a deviation, got {pair!r:.40}")
    scale = Scale(*map(as_float, pair))
    if not math.isfinite(scale.mean) or not 0.0 < scale.deviation < math.inf:
        raise ValueError(f"a scale is a finite mean and a deviation above 0, got {pair!r:.60}")
    return scale


def _texts(what: str, content: Any) -> list[str]:
    if not isinstance(content, list):
        raise ValueError(f"{what} must be a list, got {content!r:.40}")
    return [_text(what, text) for text in content]


def _text(what: str, content: Any) -> str:
    if not isinstance(content, str):
        raise ValueError(f"{what} must be text, got {content!r:.40}")
    return content


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(f"{name!r:.40}" for name in names[:20])
    return shown + (f", … ({len(names)} in all)" if len(names) > 20 else "")
