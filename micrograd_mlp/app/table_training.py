"""Reads tables with pandas, trains a network on one, and measures it beside a linear model and a constant.

Columns of numbers stay numbers; text, and true and false, become text. Dates, and text that is nearly always
different, are left out. A part of the rows is held out of everything: the columns, the network and its peers
learn from the other rows alone.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from micrograd_mlp.app.tables import LARGEST, Column, TableModel

try:
    import numpy as np
    import pandas as pd
    from pandas.api.types import is_bool_dtype, is_numeric_dtype
    from pandas.tseries.api import guess_datetime_format
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    raise ImportError(f'tables need {error.name}: pip install "micrograd_mlp[table]"') from error

from micrograd_mlp.training.estimators import MLPClassifier, MLPRegressor  # needs scikit-learn too

MOST_COLUMNS = 10_000  # looking at a column takes a millisecond, and its weights take longer
MOST_CLASSES_OF_NUMBERS = 10  # whole numbers with more different values are regressed
LEAST_NUMBERS = 0.9  # the part of a column's cells that has to be numbers; else all of them are text
MOST_VALUES = 30  # of a column of text that get an input of their own


def read_frame(path: Path, delimiter: str = "", sheet: str = "", **options: str) -> pd.DataFrame:
    """The file as a data frame: Excel or Parquet by the end of its name, else text such as CSV.

    Without a delimiter it is the most frequent one in the first line, and without a sheet the first is read.
    `options` are those of `pandas.read_csv` for text, such as its encoding and the decimal sign.

    Raises:
        OSError: there is no such file.
        ValueError: the file is no table, or pandas needs another package for this kind of file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file: give the path of a CSV, Excel or Parquet file")
    kind = path.suffix.lower()
    try:
        if kind in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
        elif kind in (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"):
            frame = pd.read_excel(path, sheet_name=sheet or 0)
        else:
            read = partial(pd.read_csv, path, low_memory=False, **options)
            header = read(sep="\x01", nrows=0, quoting=csv.QUOTE_NONE).columns[0]
            delimiter = delimiter or max(",;\t|", key=header.count)
            frame = read(sep=delimiter, skipinitialspace=True)
            if not isinstance(frame.index, pd.RangeIndex):
                raise ValueError("its lines have more cells than its first line has names")
        if frame.empty:
            raise ValueError("it has no rows")
    except Exception as error:  # the library behind each kind of file has errors of its own
        is_text = isinstance(error, UnicodeError)
        hint = ": name its encoding, such as --encoding cp1252 or utf-16" if is_text else ""
        raise ValueError(f"{path} can't be read: {error}{hint}") from None
    return frame.rename(columns=str)


def prepare(
    frame: pd.DataFrame, target: str, classify: bool | None = None
) -> tuple[pd.DataFrame, pd.Series, dict[str, str]]:
    """Choose what is trained on; rows without a target are left out.

    Text, true and false, and whole numbers with few different values are classified, other numbers regressed,
    unless `classify` says what to do.

    Returns:
        The columns to predict from, as floats or text, where missing cells are nan; the target, as text to be
        classified or as floats; and why other columns are left out, by their names.

    Raises:
        ValueError: there is no such column, or nothing to learn from.
    """
    _require_column(frame, target)
    if frame.shape[1] > MOST_COLUMNS:
        raise ValueError(
            f"the table has {frame.shape[1]:,} columns, more than {MOST_COLUMNS:,}: leave out those that "
            f"can't help to predict {target!r:.60}"
        )
    frame = frame[frame[target].notna()]
    if len(frame) < 4:
        raise ValueError(f"the table has {len(frame)} rows with a target: 4 are needed to train and to test")
    columns = {name: _input(cells) for name, cells in frame.drop(columns=target).items()}
    left_out = {name: reason for name, reason in columns.items() if isinstance(reason, str)}
    if len(left_out) == len(columns):
        raise ValueError(f"the table has no column to predict {target!r:.60} from: {left_out!r:.200}")
    inputs = {name: cells for name, cells in columns.items() if name not in left_out}
    return pd.DataFrame(inputs), _target(frame[target], classify), left_out


def _require_column(frame: pd.DataFrame, name: str) -> None:
    if name not in frame.columns:
        shown = ", ".join(map(repr, frame.columns[:20])) + (", …" if frame.shape[1] > 20 else "")
        raise ValueError(f"there is no column {name!r:.60}; the table has {shown}")


def _input(cells: pd.Series) -> pd.Series | str:
    """The cells as numbers or text, or why the column is left out."""
    n_present, n_different = cells.count(), cells.nunique()
    if n_different < 2:
        return "the same in every row" if n_different else "empty"
    numbers, texts = _numbers(cells), _texts(cells)
    if numbers.count() > LEAST_NUMBERS * n_present:
        return numbers
    if _are_dates(texts.dropna().head(100)):
        return "a date"
    if n_different > max(n_present / 2, 2):
        return f"text with {n_different:,} different values in {n_present:,} rows"
    return texts


def _target(cells: pd.Series, classify: bool | None) -> pd.Series:
    """The target as text for a classification, or as floats."""
    numbers, n_different = _numbers(cells), cells.nunique()
    words = cells[numbers.isna()]
    if classify is None:
        are_few_and_whole = n_different <= MOST_CLASSES_OF_NUMBERS and bool((numbers % 1 == 0).all())
        classify = are_few_and_whole or not words.empty
    what = f"the target {cells.name!r:.60} has"
    if classify and n_different > max(len(cells) / 2, 2):
        how_many = f"{n_different:,} different values in {len(cells):,} rows"
        raise ValueError(f"{what} {how_many}, too many for classes: --regress predicts numbers")
    if not classify and not words.empty:
        raise ValueError(f"{what} {str(words.iloc[0])!r:.60}, not a number")
    return _texts(cells) if classify else numbers


def _numbers(cells: pd.Series) -> pd.Series:
    """The cells as floats, with nan for what is missing or no number; true and false are words."""
    is_numeric = is_numeric_dtype(cells) and not is_bool_dtype(cells)
    numbers = pd.to_numeric(cells if is_numeric else cells.astype(str), errors="coerce").astype(float)
    return numbers.where(numbers.abs() <= LARGEST)


def _texts(cells: pd.Series) -> pd.Series:
    """The cells as text, where 1.0 is written 1; what is missing stays missing."""
    return cells.convert_dtypes().astype(str).astype(object).where(cells.notna())


def _are_dates(texts: pd.Series) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on 31.12.2020, where the day is first
        return bool(texts.map(guess_datetime_format).notna().mean() > 0.9)


def inputs_of(model: TableModel, frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a model as floats and text; what is missing, or unknown to the model, is nan.

    Raises:
        ValueError: a column of the model is missing.
    """
    inputs = {}
    for column in model.columns:
        _require_column(frame, column.name)
        if column.values is None:
            inputs[column.name] = _numbers(frame[column.name])
        else:
            texts = _texts(frame[column.name])
            inputs[column.name] = texts.where(texts.isin(column.values))
    return pd.DataFrame(inputs)


def encode(columns: Sequence[Column], inputs: pd.DataFrame) -> Any:
    """The network's inputs as an array, one row for each row of the table."""
    parts = []
    for column in columns:
        index, different = pd.factorize(inputs[column.name], use_na_sentinel=False)
        parts.append(np.array([column.encode(cell) for cell in different])[index])
    return np.hstack(parts)


def train(
    inputs: pd.DataFrame, target: pd.Series, held_out: float, **options: Any
) -> tuple[TableModel, Any, pd.DataFrame]:
    """Fit a network to a part of what `prepare` returns, with `options` of the estimators; measure the rest.

    Returns:
        The model, the fitted estimator, and the scores of the network, a linear model and a constant on both
        parts of the rows: the accuracy, or R², the part of the target's variance that is explained.

    Raises:
        ValueError: the training rows have one class alone.
        FloatingPointError: the loss became infinite or nan; try a smaller learning rate.
    """
    if target.dtype == float:
        network, *peers = MLPRegressor(**options), RidgeCV(), DummyRegressor()
    else:
        network, *peers = MLPClassifier(**options), LogisticRegression(max_iter=1000), DummyClassifier()
    training, others = _split(target, held_out, network.random_state)
    columns = [_learn(cells) for _, cells in inputs.iloc[training].items()]
    X, y = encode(columns, inputs), target.to_numpy()
    scores = pd.DataFrame(columns=[f"{len(training):,} trained on", f"{len(others):,} held out"])
    for name, peer in zip(["network", "linear model", "constant"], [network, *peers]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer.fit(X[training], y[training])
        scores.loc[name] = [peer.score(X[rows], y[rows]) for rows in (training, others)]
    predicted = _learn(target.iloc[training])
    if target.dtype != float:
        predicted = Column(predicted.name, network.classes_.tolist())
    return TableModel(network.model_, columns, predicted), network, scores


def _split(target: pd.Series, held_out: float, seed: int) -> Any:
    """The positions of the training rows and of those held out; classes are split evenly where possible."""
    n = len(target)
    # Two rows at least on each side: a single one has no R².
    how = {"test_size": min(max(round(held_out * n), 2), n - 2), "random_state": seed}
    try:
        return train_test_split(np.arange(n), stratify=None if target.dtype == float else target, **how)
    except ValueError:  # a class has one row alone, or there are more classes than rows held out
        return train_test_split(np.arange(n), **how)


def _learn(cells: pd.Series) -> Column:
    """What a column is to a network, learned from the rows of the training."""
    if cells.dtype != float:
        return Column(str(cells.name), sorted(cells.value_counts(sort=False).nlargest(MOST_VALUES).index))
    median = float(cells.median()) if cells.count() else 0.0
    scaler = StandardScaler().fit(cells.fillna(median).to_frame())
    mean, deviation = float(scaler.mean_[0]), float(scaler.scale_[0])
    return Column(str(cells.name), None, mean, deviation, (median - mean) / deviation)
