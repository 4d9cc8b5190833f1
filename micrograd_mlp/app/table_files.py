"""Reads a table from a file with pandas, and decides for each column whether it is trained on, and how.

A column of numbers stays numbers. Text and true/false become text. What can't be trained on is left out with
a reason: dates, row numbers, and text that is nearly always different. Everything that is changed on the way
is kept as a remark, so that the user is told.
"""

from __future__ import annotations

import csv
import stat
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from micrograd_mlp.app.tables import LARGEST, Column, NumberColumn, TableModel, TextColumn

try:
    import numpy as np
    import pandas as pd
    from pandas.tseries.api import guess_datetime_format
except ImportError as error:
    raise ImportError(f'tables need {error.name}: pip install "micrograd_mlp[table]"') from error

MOST_COLUMNS = 10_000
MOST_CLASSES_OF_NUMBERS = 10  # integers with more different values are regressed
MOST_STRAY_CELLS = 0.1  # in a column of numbers with more words than this part the words are values


class TableError(ValueError):
    """The file is not a table that can be used; the message says why."""


@dataclass(frozen=True)
class ReadOptions:
    """How a file is to be read where it does not say so itself.

    Attributes:
        delimiter: what separates the cells of a text file; None takes the most frequent in its first line.
        encoding: the encoding of a text file.
        decimal: the decimal sign of a text file.
        sheet: the name of a sheet of a workbook; None takes the first.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    sheet: str | None = None


@dataclass
class Table:
    """What was read from a file, ready for training.

    Attributes:
        inputs: the columns to predict from: floats with nan for a missing number, or text and None.
        target: the column to predict: text for a classification, floats for a regression.
        is_classified: which of the two it is.
        left_out: why a column is not among the inputs, by its name.
        remarks: what else the user should know.
    """

    inputs: pd.DataFrame
    target: pd.Series
    is_classified: bool
    left_out: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def read_frame(path: Path, options: ReadOptions | None = None) -> pd.DataFrame:
    """The file as a data frame: CSV and other delimited text, Excel or Parquet, by the end of its name.

    Raises:
        OSError: there is no such file, or it can't be read.
        TableError: it is no table, or is too wide.
        ImportError: pandas needs another package for this kind of file.
    """
    options = options or ReadOptions()
    if not (stat.S_ISREG(mode := path.stat().st_mode) or stat.S_ISFIFO(mode)):
        raise TableError(f"{path} is not a file: give the path of a CSV, Excel or Parquet file")
    kind = path.suffix.lower()
    try:
        if kind in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
        elif kind in (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"):
            frame = pd.read_excel(path, sheet_name=options.sheet or 0)
        else:
            frame = _read_text(path, options)
    except UnicodeError:
        raise TableError(
            f"{path} is not {options.encoding} text: name its encoding, such as --encoding cp1252 or utf-16"
        ) from None
    except (FileNotFoundError, PermissionError, ImportError):
        raise
    except Exception as error:  # the library behind each kind of file has errors of its own
        raise TableError(f"{path} can't be read: {error}") from None
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame.reset_index(drop=True)


def _read_text(path: Path, options: ReadOptions) -> pd.DataFrame:
    how = {"encoding": options.encoding}
    if not stat.S_ISFIFO(path.stat().st_mode):  # a pipe can be read only once
        header = pd.read_csv(path, sep="\x01", nrows=0, quoting=csv.QUOTE_NONE, **how).columns[0]
        delimiter = options.delimiter or max(",;\t|", key=header.count)
        n_columns = header.count(delimiter) + 1
        if n_columns > MOST_COLUMNS:
            raise TableError(f"it has {n_columns:,} columns, more than {MOST_COLUMNS:,}")
    else:
        delimiter = options.delimiter or ","
    frame = pd.read_csv(
        path, sep=delimiter, decimal=options.decimal, skipinitialspace=True, low_memory=False, **how
    )
    if not isinstance(frame.index, pd.RangeIndex):
        raise TableError("its lines have more cells than its first line has names")
    if all(_is_number(name) for name in frame.columns):
        raise TableError("its first line holds numbers alone: it must name the columns")
    return frame


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_table(
    path: Path, target: str, classify: bool | None = None, options: ReadOptions | None = None
) -> Table:
    """Read a file and choose what is trained on.

    Args:
        path: the file; see `read_frame`.
        target: the name of the column to predict.
        classify: True or False instead of what the target's values suggest: text, true/false and integers
            with few different values are classified, other numbers regressed.
        options: how the file is to be read.

    Raises:
        OSError: there is no such file, or it can't be read.
        TableError: the file is no table, or has nothing to learn from.
        ImportError: pandas needs another package for this kind of file.
    """
    frame = read_frame(path, options)
    if frame.shape[1] > MOST_COLUMNS:
        raise TableError(f"{path} has {frame.shape[1]:,} columns, more than {MOST_COLUMNS:,}")
    _require_column(frame, target)
    remarks: list[str] = []
    if missing := int(frame[target].isna().sum()):
        remarks.append(f"{missing} rows have no {target} and are not used")
        frame = frame[frame[target].notna()]
    if len(frame) < 4:
        raise TableError(f"{path} has {len(frame)} rows with a target; 4 are the least to train and to test")
    y, is_classified = _target(frame[target], classify)
    inputs: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name in frame.columns.drop(target):
        cells, reason = _input(frame[name], remarks)
        if reason:
            left_out[name] = reason
        else:
            inputs[name] = cells
    if not inputs:
        raise TableError(
            f"{path} has no column to predict {target!r:.60} from"
            + "".join(f"; {name} is {reason}" for name, reason in list(left_out.items())[:5])
        )
    return Table(pd.DataFrame(inputs), y, is_classified, left_out, remarks)


def _require_column(frame: pd.DataFrame, target: str) -> None:
    if target not in frame.columns:
        names = ", ".join(map(repr, frame.columns[:20])) + (", …" if frame.shape[1] > 20 else "")
        raise TableError(f"there is no column {target!r:.60}; the table has {names}")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise TableError(f"two columns are named {twice!r:.60}")


def inputs_of(model: TableModel, frame: pd.DataFrame) -> tuple[Any, list[str]]:
    """The network's inputs for every row of a frame, and remarks for the user.

    Raises:
        TableError: a column of the model is missing, or holds text where numbers are needed.
    """
    remarks: list[str] = []
    columns: dict[str, Any] = {}
    for column in model.columns:
        _require_column(frame, column.name)
        if isinstance(column, NumberColumn):
            columns[column.name] = _numbers(frame[column.name], remarks)
            if columns[column.name].isna().all() and frame[column.name].notna().any():
                raise TableError(f"the model needs numbers in {column.name!r:.60}, the file has text")
        else:
            cells = columns[column.name] = _texts(frame[column.name])
            if n_new := sum(cell is not None and cell not in column.values for cell in cells):
                remarks.append(f"{n_new} values of {column.name} have no input of their own")
    return encode(model.columns, pd.DataFrame(columns)), remarks


def encode(columns: list[Column], inputs: pd.DataFrame) -> Any:
    """The network's inputs as an array, one row for each row of the table."""
    return np.hstack(
        [np.array(column.encode(inputs[column.name].tolist()), dtype=float) for column in columns]
    )


# Columns


def _input(cells: pd.Series, remarks: list[str]) -> tuple[Any, str]:
    """The cells as numbers or text, or why the column is left out."""
    present = cells.dropna()
    if present.empty:
        return None, "empty"
    if present.nunique() == 1:
        return None, "the same in every row"
    if _are_dates(present):
        return None, "a date"
    if _are_numbers(cells):
        numbers = _numbers(cells, remarks)
        if _are_row_numbers(numbers):
            return None, "the number of the row"
        return numbers, ""
    texts = _texts(cells)
    n_different = texts.nunique()
    if n_different > max(len(present) / 2, 2):
        return None, f"text with {n_different:,} different values in {len(present):,} rows"
    if n_missing := int(texts.isna().sum()):
        remarks.append(f"{n_missing} missing values of {cells.name} count as a value of their own")
    return texts, ""


def _are_dates(present: pd.Series) -> bool:
    if pd.api.types.is_datetime64_any_dtype(present) or pd.api.types.is_timedelta64_dtype(present):
        return True
    if not _is_text(present):
        return False
    sample = present.astype(str).head(100)
    if sample.map(_is_number).any():  # 20200101 and 1998 are numbers
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on 31.12.2020, where the day is first
        known = guess_datetime_format(sample.iloc[0])
        dates = pd.to_datetime(sample, format=known, errors="coerce", utc=True) if known else None
    return dates is not None and bool(dates.notna().mean() > 0.9)


def _is_text(cells: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_bool_dtype(cells))


def _are_numbers(cells: pd.Series) -> bool:
    """Whether the cells that are present are numbers, except for a few stray words such as ?."""
    present = cells.dropna()
    if pd.api.types.is_bool_dtype(present) or present.map(lambda cell: isinstance(cell, bool)).any():
        return False
    if pd.api.types.is_numeric_dtype(present):
        return not pd.api.types.is_complex_dtype(present)
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return False
    if present.astype(str).str.fullmatch(r"[+-]?\d+(\.\d{3})*,\d+").all():
        raise TableError(
            f"column {cells.name!r:.60} has numbers with a decimal comma, such as {present.iloc[0]!r:.40}: "
            "add --decimal ,"
        )
    return bool(pd.to_numeric(present, errors="coerce").isna().mean() < MOST_STRAY_CELLS)


def _numbers(cells: pd.Series, remarks: list[str]) -> pd.Series:
    """The cells as floats; a remark counts the missing ones and those that are no numbers."""
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    numbers = numbers.where(numbers.abs() <= LARGEST)
    if n_missing := int(numbers.isna().sum()):
        stray = cells[numbers.isna() & cells.notna()]
        example = f", such as {str(stray.iloc[0])!r:.40}" if len(stray) else ""
        remarks.append(f"{n_missing} missing numbers of {cells.name} count as its median{example}")
    return numbers


def _are_row_numbers(numbers: pd.Series) -> bool:
    """Whether the numbers count the rows of the file from 0 or 1; they would tell the order of the rows."""
    return bool((numbers == numbers.index).all() or (numbers == numbers.index + 1).all())


def _texts(cells: pd.Series) -> pd.Series:
    """The cells as text, and None for a missing one."""
    text = TextColumn("", ()).cell
    return pd.Series(
        [None if missing else text(cell) for cell, missing in zip(cells, cells.isna())],
        index=cells.index,
        name=cells.name,
        dtype=object,
    )


def _target(cells: pd.Series, classify: bool | None) -> tuple[pd.Series, bool]:
    """The target as text for a classification, or as floats."""
    if _are_dates(cells):
        raise TableError(f"the target {cells.name!r:.60} is a date: choose a column of numbers or of text")
    numeric = _are_numbers(cells)
    n_different = cells.nunique()
    if n_different == 1:
        raise TableError(f"the target {cells.name!r:.60} is {str(cells.iloc[0])!r:.60} in every row")
    if classify is None:
        whole = numeric and bool((pd.to_numeric(cells, errors="coerce") % 1 == 0).all())
        classify = not numeric or (whole and n_different <= MOST_CLASSES_OF_NUMBERS)
    if not classify:
        numbers = pd.to_numeric(cells, errors="coerce").astype(float)
        if (bad := ~(numbers.abs() <= LARGEST)).any():
            raise TableError(
                f"the target {cells.name!r:.60} has {str(cells[bad].iloc[0])!r:.60}, not a number"
            )
        return numbers, False
    if n_different > max(len(cells) / 2, 2):
        hint = ": --regress predicts numbers" if numeric else ""
        raise TableError(
            f"the target {cells.name!r:.60} has {n_different:,} different values in {len(cells):,} rows, too "
            f"many for classes{hint}"
        )
    return _texts(cells), True
