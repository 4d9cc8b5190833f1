"""Trains a network on a table, and measures it beside a linear model and a constant.

A part of the rows is held out of everything: the columns, the network and its peers learn from the other rows
alone. The network is an estimator of `micrograd_mlp.estimators` with early stopping.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import Any

from micrograd_mlp.app.table_files import Table, TableError, encode
from micrograd_mlp.app.tables import Column, NumberColumn, Scale, TableModel, TextColumn

try:
    import numpy as np
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import train_test_split
except ImportError as error:
    raise ImportError(
        f'training on a table needs {error.name}: pip install "micrograd_mlp[table]"'
    ) from error

from micrograd_mlp.training.estimators import MLPClassifier, MLPRegressor  # needs scikit-learn too

MOST_VALUES = 30  # of a column of text that get an input of their own
MOST_PARAMETERS = 1_000_000


@dataclass(frozen=True)
class Score:
    """How well a model predicts.

    Attributes:
        name: which model it is.
        training: the score on the rows that it was trained on.
        held_out: the score on the rows that were held out.
    """

    name: str
    training: float
    held_out: float


@dataclass(frozen=True)
class Trained:
    """What a training gave.

    Attributes:
        model: predicts from a row of the table.
        estimator: the fitted estimator, with its loss curve.
        measure: "accuracy", or "R²", the part of the target's variance that is explained.
        scores: of the network, of a linear model and of a constant prediction.
        n_training, n_held_out: the numbers of rows.
    """

    model: TableModel
    estimator: Any
    measure: str
    scores: list[Score]
    n_training: int
    n_held_out: int

    @property
    def linear_is_better(self) -> bool:
        """Whether the linear model predicts the rows that were held out better than the network."""
        network, linear, _ = self.scores
        return linear.held_out > network.held_out


def train(table: Table, held_out: float = 0.25, seed: int = 0, **options: Any) -> Trained:
    """Fit a network to a part of the table, and measure it on the rest.

    Args:
        table: what `read_table` gave.
        held_out: the part of the rows that is held out, above 0 and below 1.
        seed: for the choice of these rows, the initial weights and the order of the examples.
        options: arguments of `MLPClassifier` and `MLPRegressor`.

    Returns:
        The model and its scores.

    Raises:
        TableError: the network would be too large.
        NonFiniteLossError: the loss became infinite or nan; try a smaller learning rate.
    """
    training, others = _split(table, held_out, seed)
    columns = learn_columns(table, training)
    X, y = encode(columns, table.inputs), table.target.to_numpy()
    estimator = (MLPClassifier if table.is_classified else MLPRegressor)(random_state=seed, **options)
    n_outputs = table.target.nunique() if table.is_classified else 1
    _require_size([X.shape[1], *estimator.hidden_layer_sizes, n_outputs])
    linear = LogisticRegression(max_iter=1000) if table.is_classified else RidgeCV()
    constant = DummyClassifier() if table.is_classified else DummyRegressor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = []
        for name, model in (("network", estimator), ("linear model", linear), ("constant", constant)):
            model.fit(X[training], y[training])
            scores.append(
                Score(name, model.score(X[training], y[training]), model.score(X[others], y[others]))
            )
    return Trained(
        _table_model(estimator, columns, str(table.target.name)),
        estimator,
        "accuracy" if table.is_classified else "R²",
        scores,
        len(training),
        len(others),
    )


def learn_columns(table: Table, rows: Any) -> list[Column]:
    """What the columns of a table are to a network, learned from some of its rows."""
    columns: list[Column] = []
    for name, cells in table.inputs.iloc[rows].items():
        if cells.dtype == float:
            columns.append(NumberColumn.of(str(name), cells.tolist()))
        else:
            columns.append(TextColumn.of(str(name), cells.tolist(), MOST_VALUES))
    return columns


def _split(table: Table, held_out: float, seed: int) -> tuple[Any, Any]:
    """The positions of the training rows and of those held out; classes are split evenly where possible."""
    n = len(table.target)
    positions = np.arange(n)
    # Two rows at least on each side: a single one has no R².
    options = {"test_size": min(max(round(held_out * n), 2), n - 2), "random_state": seed}
    if table.is_classified:
        try:
            training, others = train_test_split(positions, stratify=table.target, **options)
        except ValueError:  # a class has one row alone, or there are more classes than rows held out
            training, others = train_test_split(positions, **options)
        if table.target.iloc[training].nunique() < 2:
            raise TableError("the training rows have one class alone: more rows are needed")
        return training, others
    training, others = train_test_split(positions, **options)
    return training, others


def _require_size(sizes: list[int]) -> None:
    n_parameters = sum((n_in + 1) * n_out for n_in, n_out in itertools.pairwise(sizes))
    if n_parameters > MOST_PARAMETERS:
        shown = " - ".join(f"{n:,}" for n in sizes)
        raise TableError(
            f"a network with layers of {shown} neurons would have {n_parameters:,} parameters, more than "
            f"{MOST_PARAMETERS:,}: choose smaller layers with --hidden"
        )


def _table_model(estimator: Any, columns: list[Column], target: str) -> TableModel:
    if isinstance(estimator, MLPRegressor):
        scale = Scale(float(estimator.target_mean_), float(estimator.target_scale_))
        return TableModel(estimator.model_, columns, target, None, scale)
    return TableModel(estimator.model_, columns, target, [str(c) for c in estimator.classes_], None)
