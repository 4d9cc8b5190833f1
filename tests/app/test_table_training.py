"""Training on a table: what is held out, the scores beside the peers, and sizes that are refused."""

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason='needs pip install "micrograd_mlp[table]"')
pytest.importorskip("sklearn", reason='needs pip install "micrograd_mlp[table]"')
from micrograd_mlp.app.table_files import Table, TableError, encode  # noqa: E402
from micrograd_mlp.app.table_training import learn_columns, train  # noqa: E402
from micrograd_mlp.app.tables import TextColumn  # noqa: E402

RNG = np.random.default_rng(0)
INPUTS = pd.DataFrame(
    {"a": RNG.normal(50.0, 10.0, 200), "b": RNG.normal(size=200), "c": RNG.choice(["u", "v"], 200)}
).astype({"c": object})
SIGN = pd.Series(np.where((INPUTS["a"] - 50.0) * INPUTS["b"] > 0, "same", "other"), name="t")
SLOPE = pd.Series(1000.0 + 3.0 * INPUTS["a"] + 40.0 * (INPUTS["c"] == "u"), name="t")
OPTIONS = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.03, "batch_size": 32}


def test_a_classification_is_scored_beside_a_linear_model_and_a_constant():
    trained = train(Table(INPUTS, SIGN, True), **OPTIONS)
    network, linear, constant = trained.scores
    assert [score.name for score in trained.scores] == ["network", "linear model", "constant"]
    assert trained.measure == "accuracy"
    assert network.held_out > 0.85 > 0.65 > linear.held_out, "no line separates the signs of a product"
    assert constant.training == pytest.approx(0.5, abs=0.05)
    assert not trained.linear_is_better
    assert (trained.n_training, trained.n_held_out) == (150, 50)


def test_a_regression_is_scored_in_the_unit_of_its_target():
    trained = train(Table(INPUTS, SLOPE, False), **OPTIONS)
    network, linear, constant = trained.scores
    assert trained.measure == "R²"
    assert network.held_out > 0.95
    assert linear.held_out > 0.999, "the target is a linear function"
    assert trained.linear_is_better
    assert constant.training == pytest.approx(0.0, abs=1e-12)
    row = {"a": 50.0, "b": 0.0, "c": "u"}
    assert trained.model.predict(row) == pytest.approx(1190.0, abs=10.0)
    assert trained.model.predict(row | {"c": "v"}) == pytest.approx(1150.0, abs=10.0)


@pytest.mark.parametrize(("target", "is_classified"), [(SIGN, True), (SLOPE, False)])
def test_the_model_predicts_what_the_estimator_was_scored_on(target, is_classified):
    trained = train(Table(INPUTS, target, is_classified), max_iter=5, **OPTIONS)
    predicted = [trained.model.predict(row) for row in INPUTS.to_dict("records")]
    X = encode(trained.model.columns, INPUTS)
    if is_classified:
        assert predicted == trained.estimator.predict(X).tolist()
    else:
        assert predicted == pytest.approx(trained.estimator.predict(X), rel=1e-9)


def test_nothing_is_learned_from_the_rows_that_are_held_out(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "micrograd_mlp.app.table_training.learn_columns",
        lambda table, rows: seen.append(set(rows)) or learn_columns(table, rows),
    )
    changed = INPUTS.copy()
    first = train(Table(INPUTS, SLOPE, False), max_iter=3, **OPTIONS)
    held_out = sorted(set(range(200)) - seen[0])
    assert len(held_out) == 50
    changed.iloc[held_out, 0] = 1e6
    changed.iloc[held_out, 2] = "w"
    second = train(Table(changed, SLOPE, False), max_iter=3, **OPTIONS)
    assert second.model.columns == first.model.columns
    assert second.model.network.state_dict() == first.model.network.state_dict()


def test_the_same_seed_gives_the_same_bits():
    table = Table(INPUTS, SIGN, True)
    first, second, other = (train(table, seed=seed, max_iter=3, **OPTIONS) for seed in (0, 0, 1))
    assert first.model.network.state_dict() == second.model.network.state_dict()
    assert first.model.network.state_dict() != other.model.network.state_dict()


def test_text_has_an_input_for_each_of_its_30_most_frequent_values():
    cells = [f"v{k:02}" for k in range(40) for _ in range(40 - k)]
    table = Table(pd.DataFrame({"c": cells}, dtype=object), pd.Series(range(len(cells)), name="t"), False)
    [column] = learn_columns(table, range(len(cells)))
    assert column == TextColumn("c", tuple(f"v{k:02}" for k in range(30)))


@pytest.mark.parametrize(("held_out", "expected"), [(0.01, 2), (0.5, 3), (0.99, 4)])
def test_two_rows_at_least_train_and_two_measure(held_out, expected):
    trained = train(Table(INPUTS[:6], SLOPE[:6], False), held_out, max_iter=1, **OPTIONS)
    assert (trained.n_training, trained.n_held_out) == (6 - expected, expected)


def test_classes_of_one_row_do_not_stop_the_training():
    rare = SIGN.copy()
    rare.iloc[0] = "rare"
    assert train(Table(INPUTS, rare, True), max_iter=3, **OPTIONS).n_held_out == 50
    with pytest.raises(TableError, match="the training rows have one class alone"):
        train(Table(INPUTS[:4], pd.Series(["a", "a", "a", "b"], name="t"), True), 0.5, seed=2)


def test_a_network_that_would_not_fit_into_memory_is_refused_at_once():
    with pytest.raises(TableError, match="would have 6,000,000,001 parameters, more than 1,000,000"):
        train(Table(INPUTS, SLOPE, False), hidden_layer_sizes=(10**9,))
