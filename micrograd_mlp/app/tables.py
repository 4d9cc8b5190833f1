"""The model of a table: a network, and what turns a row of the table into its inputs.

`micrograd-mlp train` makes such a model. Its columns, their means and the values of text are saved with the
weights as plain data, so that it predicts from the file alone: without pandas and scikit-learn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from micrograd_mlp._require import require_number
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.files import load_document, save_document, some, unseal
from micrograd_mlp.nn.modules import MLP

FORMAT = "micrograd_mlp table model"
LARGEST = 1e100  # the largest number in a table: the sum of squares still fits a float


@dataclass(frozen=True)
class Column:
    """A column of a table, and what a network sees of it.

    A number becomes one input, (x - mean) / deviation. Text, and true and false, become an input of 0 or 1
    for each value: all are 0 where the text is missing or unknown.

    Attributes:
        name: the column's name.
        values: the values of text that have an input; None for a column of numbers.
        mean: the mean of the numbers in the training.
        deviation: their standard deviation.
        missing: the input where a number is missing.

    >>> Column("age", mean=30.0, deviation=10.0).encode(40), Column("sex", ("f", "m")).encode("m")
    ([1.0], [0.0, 1.0])
    """

    name: str
    values: Sequence[str] | None = None
    mean: float = 0.0
    deviation: float = 1.0
    missing: float = 0.0

    def __post_init__(self) -> None:
        texts = [self.name, *(self.values or [])]
        if not all(isinstance(text, str) for text in texts) or len(set(texts[1:])) < len(texts) - 1:
            raise ValueError(f"a column has a name and different values of text, got {texts!r:.60}")
        require_number("mean", self.mean)
        require_number("missing", self.missing)
        require_number("deviation", self.deviation, above=0)

    @property
    def inputs(self) -> list[str]:
        """The names of the network's inputs: `age` for numbers, `sex=f` for a value of text."""
        return [self.name] if self.values is None else [f"{self.name}={value}" for value in self.values]

    def encode(self, cell: Any) -> list[float]:
        """The network's inputs for a cell. None and nan are missing ones.

        Raises:
            ValueError: it is no number although the column has numbers, or too large.
        """
        is_missing = cell is None or cell != cell
        if self.values is not None:
            text = None if is_missing else str(cell)
            return [float(text == value) for value in self.values]
        if is_missing:
            return [self.missing]
        try:
            number = float(cell)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{self.name} must be a number, got {cell!r:.60}") from None
        if not abs(number) <= LARGEST:
            raise ValueError(f"{self.name} must be a number from -1e100 to 1e100, got {cell!r:.60}")
        return [(number - self.mean) / self.deviation]


@dataclass(frozen=True)
class TableModel:
    """A network with what it needs to predict from a row of a table.

    Attributes:
        network: the MLP, which takes what the columns encode.
        columns: the columns that it predicts from.
        target: the column that it predicts. Its values are the classes; two may share one output, which is
            then the logit of the second. Without values it is a number, and the output is standardised.
    """

    network: MLP
    columns: Sequence[Column]
    target: Column

    def __post_init__(self) -> None:
        n_inputs, n_outputs = len(self.inputs), len(self.network.layers[-1].neurons)
        if n_inputs != self.network.n_inputs:
            raise ValueError(f"the columns encode {n_inputs} inputs, the network has {self.network.n_inputs}")
        classes = self.target.values or []
        if len(classes) not in ([0, 2] if n_outputs == 1 else [n_outputs]):
            raise ValueError(f"the network has {n_outputs} outputs for {classes or 'a number'}")

    @property
    def inputs(self) -> list[str]:
        """The names of the network's inputs, column by column."""
        return [name for column in self.columns for name in column.inputs]

    def encode(self, row: Mapping[str, Any]) -> list[float]:
        """The network's inputs for a row.

        Args:
            row: a cell for each column; None is a missing one. Other columns are not looked at.

        Raises:
            ValueError: a column is missing, or a cell is not a number where one is needed.
        """
        names = [column.name for column in self.columns]
        if missing := [name for name in names if name not in row]:
            raise ValueError(f"the row lacks {some(missing)} of the columns: {', '.join(names)}")
        return [x for column in self.columns for x in column.encode(row[column.name])]

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
        classes = self.target.values
        if not classes:
            return outputs[0] * self.target.deviation + self.target.mean
        if len(outputs) == 1:
            return classes[outputs[0] > 0.0]
        return classes[max(range(len(outputs)), key=outputs.__getitem__)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as JSON, exact to the last bit; an existing file is replaced whole or not at all.

        Raises:
            OSError: the file can't be written.
        """
        columns = [asdict(column) for column in self.columns]
        content = {"network": self.network.to_dict(), "columns": columns, "target": asdict(self.target)}
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
        if document["version"] == 1:  # which had columns of numbers alone
            fields = ["network", "inputs", "scales", "target", "classes", "target_scale"]
            content = unseal(FORMAT, document, fields)
            scales = zip(content["inputs"], content["scales"], strict=True)
            columns = [Column(name, None, *scale) for name, scale in scales]
            target = Column(content["target"], content["classes"], *(content["target_scale"] or []))
        else:
            content = unseal(FORMAT, document, ["network", "columns", "target"])
            columns = [Column(**column) for column in content["columns"]]
            target = Column(**content["target"])
        return cls(MLP.from_dict(content["network"]), columns, target)
