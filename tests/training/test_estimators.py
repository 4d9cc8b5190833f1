"""The estimators: scikit-learn's checks, what is minimised, when training ends, what mistakes are told."""

import pickle
import sys

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason='needs pip install "micrograd_mlp[table]"')
pytest.importorskip("sklearn", reason='needs pip install "micrograd_mlp[sklearn]"')
from sklearn.datasets import load_diabetes, load_wine  # noqa: E402
from sklearn.exceptions import ConvergenceWarning, NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from micrograd_mlp import MLP, compile  # noqa: E402
from micrograd_mlp.optim import OPTIMIZERS  # noqa: E402
from micrograd_mlp.training import engines, estimators  # noqa: E402
from micrograd_mlp.training.estimators import MLPClassifier, MLPRegressor  # noqa: E402

BOTH = [MLPClassifier, MLPRegressor]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(60, 3))
CLASSES = np.where(X[:, 0] * X[:, 1] > 0, "same", "other")
THREE = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])
NUMBERS = 100.0 + 10.0 * X[:, 0] - 5.0 * np.tanh(X[:, 1])


def target_of(estimator):
    return CLASSES if estimator is MLPClassifier else NUMBERS


@pytest.fixture(params=["compiled", "eager"])
def execution(request, monkeypatch):
    """Runs a test with machine code, and as on a machine without llvmlite."""
    if request.param == "eager":
        monkeypatch.setattr(estimators, "find_spec", lambda name: None)
    return request.param


# scikit-learn


@pytest.mark.parametrize("estimator", BOTH)
def test_it_passes_every_check_of_scikit_learn(estimator):
    checks = check_estimator(estimator(), on_skip=None, on_fail=None)
    assert len(checks) > 40
    others = {check["check_name"]: check["status"] for check in checks if check["status"] != "passed"}
    assert others in ({}, {"check_array_api_input": "skipped"}), "which is skipped without SCIPY_ARRAY_API"


@pytest.mark.parametrize(
    ("load", "estimator", "least"),
    [
        (load_diabetes, MLPRegressor, 0.42),
        (load_wine, MLPClassifier, 0.97),
    ],
)
def test_the_defaults_suit_standardised_columns(load, estimator, least):
    """Five-fold cross validation; `python -m tests.benchmarks.estimators` adds other data and the peers."""
    folds = (KFold if estimator is MLPRegressor else StratifiedKFold)(5, shuffle=True, random_state=0)
    pipeline = make_pipeline(StandardScaler(), estimator(random_state=0))
    assert cross_val_score(pipeline, *load(return_X_y=True), cv=folds).mean() >= least


def test_it_works_in_a_grid_search_and_keeps_the_names_of_columns():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    pipeline = make_pipeline(StandardScaler(), MLPRegressor((4,), max_iter=100, random_state=0))
    pipeline.set_output(transform="pandas")
    search = GridSearchCV(pipeline, {"mlpregressor__learning_rate_init": [1e-5, 0.03]}, cv=3)
    search.fit(frame, NUMBERS)
    assert search.best_params_ == {"mlpregressor__learning_rate_init": 0.03}
    regressor = search.best_estimator_[-1]
    assert list(regressor.feature_names_in_) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names should match"):
        regressor.predict(frame.rename(columns={"a": "z"}))


# What is minimised


def mean_loss(estimator, weights):
    """The closed form (Σ wᵢℓᵢ + ½ alpha ‖W‖²) / Σ wᵢ, from the outputs and weights of `model_`."""
    outputs = [estimator.model_(x) for x in X.tolist()]
    outputs = np.array([[z.data for z in (o if isinstance(o, list) else [o])] for o in outputs])
    if isinstance(estimator, MLPRegressor):
        y = (NUMBERS - np.average(NUMBERS, weights=weights)) / estimator.target_scale_
        losses = 0.5 * (outputs[:, 0] - y) ** 2
    else:
        y = THREE if outputs.shape[1] == 3 else (CLASSES == "same").astype(int)
        logits = outputs if outputs.shape[1] == 3 else np.column_stack([0 * outputs, outputs])
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(60), y]
    squares = sum(w.data**2 for name, w in estimator.model_.named_parameters() if name.startswith("W"))
    return (weights @ losses + 0.5 * estimator.alpha * squares) / weights.sum()


@pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, CLASSES), (MLPClassifier, THREE), (MLPRegressor, NUMBERS)]
)
@pytest.mark.parametrize("weights", [np.ones(60), np.arange(60.0)], ids=["equal", "weighted"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_loss_is_the_weighted_mean_and_half_alpha_times_the_squared_weights(
    execution, estimator, y, weights, method
):
    options = {"activation": "tanh", "solver": "sgd", "learning_rate_init": 0.0, "max_iter": 1}
    still = estimator((4,), **options, alpha=3.0, random_state=1)
    classes = {"classes": np.unique(y)} if (estimator, method) == (MLPClassifier, "partial_fit") else {}
    getattr(still, method)(X, y, sample_weight=weights, **classes)
    assert still.loss_curve_ == [pytest.approx(mean_loss(still, weights), rel=1e-12)]


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_machine_code_and_values_train_to_the_same_network(monkeypatch, estimator, solver):
    options = {"activation": "tanh", "solver": solver, "batch_size": 16, "max_iter": 5, "random_state": 0}
    y = target_of(estimator)
    compiled = estimator((4,), **options).fit(X, y)
    monkeypatch.setattr(estimators, "find_spec", lambda name: None)
    eager = estimator((4,), **options).fit(X, y)
    assert compiled.loss_curve_ == pytest.approx(eager.loss_curve_, rel=1e-12)
    numbers = [[p.data for p in fitted.model_.parameters()] for fitted in (compiled, eager)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-9)


@pytest.mark.parametrize("estimator", BOTH)
def test_partial_fit_goes_on_where_it_was(execution, estimator):
    y = target_of(estimator)
    options = {"hidden_layer_sizes": (4,), "random_state": 0, "batch_size": 16}
    classes = {"classes": ["other", "same"]} if estimator is MLPClassifier else {}
    stepwise = estimator(**options)
    for _ in range(5):
        stepwise.partial_fit(X, y, **classes)
    at_once = estimator(**options, max_iter=5).fit(X, y)
    assert stepwise.n_iter_ == at_once.n_iter_ == 5
    assert stepwise.loss_curve_ == pytest.approx(at_once.loss_curve_, rel=1e-12)
    restored = pickle.loads(pickle.dumps(stepwise)).partial_fit(X, y)
    assert restored.loss_curve_ == pytest.approx(stepwise.partial_fit(X, y).loss_curve_, rel=1e-12)


def test_the_probabilities_are_the_softmax_of_the_networks_logits(execution):
    two, three = (MLPClassifier((4,), max_iter=20, random_state=0).fit(X, y) for y in (CLASSES, THREE))
    z = two.model_(X[0].tolist()).data
    assert two.predict_proba(X[:1])[0] == pytest.approx([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))])
    exponentials = np.exp([z.data for z in three.model_(X[0].tolist())])
    assert three.predict_proba(X[:1])[0] == pytest.approx(exponentials / exponentials.sum())
    for fitted in (two, three):
        best = fitted.predict_proba(X).argmax(axis=1)
        assert list(fitted.predict(X)) == list(fitted.classes_[best])


def test_a_regression_predicts_in_the_unit_of_its_target(execution):
    regressor = MLPRegressor((8,), "tanh", learning_rate_init=0.03, random_state=0).fit(X, NUMBERS)
    assert regressor.score(X, NUMBERS) > 0.98
    expected = regressor.model_(X[0].tolist()).data * NUMBERS.std() + NUMBERS.mean()
    assert regressor.predict(X[:1]) == pytest.approx([expected])
    other_unit = MLPRegressor((8,), "tanh", learning_rate_init=0.03, random_state=0).fit(X, 1e6 * NUMBERS)
    assert other_unit.predict(X) == pytest.approx(1e6 * regressor.predict(X), rel=1e-6)


def test_an_activation_may_be_a_function_of_ones_own(execution):
    classifier = MLPClassifier((4,), activation=lambda z: z * z / (1.0 + z * z), max_iter=3, random_state=0)
    z = classifier.fit(X, CLASSES).model_(X[0].tolist()).data
    assert classifier.predict_proba(X[:1])[0, 1] == pytest.approx(1 / (1 + np.exp(-z)))


def test_several_targets_are_predicted_together():
    Y = np.column_stack([NUMBERS, -3.0 * X[:, 2]])
    regressor = MLPRegressor((8,), "tanh", learning_rate_init=0.03, random_state=0).fit(X, Y)
    assert regressor.predict(X).shape == (60, 2)
    assert regressor.score(X, Y) > 0.95
    assert repr(regressor.model_) == "MLP(3, [8, 2], activations=['tanh', 'linear'])"


# When the training ends


def test_early_stopping_keeps_the_weights_of_the_best_epoch(execution):
    noise = np.random.default_rng(1).permutation(NUMBERS)  # there is nothing to learn, so it overfits
    options = {"activation": "tanh", "alpha": 0.0, "learning_rate_init": 0.01, "random_state": 0}
    stopped = MLPRegressor((8,), **options, early_stopping=True, n_iter_no_change=5)
    stopped.fit(X, noise)
    curve = stopped.validation_loss_curve_
    best = curve.index(min(curve)) + 1
    assert best < stopped.n_iter_ == len(curve) == len(stopped.loss_curve_) < 200
    shorter = MLPRegressor((8,), **options, early_stopping=True, max_iter=best).fit(X, noise)
    assert [p.data for p in shorter.model_.parameters()] == [p.data for p in stopped.model_.parameters()]


def test_the_validation_loss_is_without_the_penalty(execution):
    options = {"early_stopping": True, "learning_rate_init": 0.0, "max_iter": 1, "random_state": 0}
    with_penalty, without = (MLPRegressor((4,), alpha=a, **options).fit(X, NUMBERS) for a in (100.0, 0.0))
    assert with_penalty.loss_curve_[0] > 1.1 * without.loss_curve_[0]
    of_all = (54 * without.loss_curve_[0] + 6 * without.validation_loss_curve_[0]) / 60
    assert of_all == pytest.approx(mean_loss(without, np.ones(60)), rel=1e-12)
    assert with_penalty.validation_loss_curve_ == pytest.approx(without.validation_loss_curve_, rel=1e-12)


def test_examples_without_weight_are_in_neither_part_of_early_stopping(execution):
    weights = np.where(np.arange(60) < 40, 0.0, 1.0)
    options = {"early_stopping": True, "max_iter": 5, "random_state": 0}
    weighted = MLPRegressor((4,), **options).fit(X, NUMBERS, sample_weight=weights)
    removed = MLPRegressor((4,), **options).fit(X[40:], NUMBERS[40:])
    assert weighted.validation_loss_curve_ == pytest.approx(removed.validation_loss_curve_, rel=1e-9)


def test_the_training_ends_when_the_loss_has_settled():
    classifier = MLPClassifier((4,), learning_rate_init=0.1, max_iter=1000, random_state=0).fit(X, CLASSES)
    assert classifier.n_iter_ < 1000
    assert min(classifier.loss_curve_[:-10]) - min(classifier.loss_curve_[-10:]) < classifier.tol
    tolerant = MLPClassifier((4,), learning_rate_init=0.1, max_iter=1000, random_state=0, tol=0.01).fit(
        X, CLASSES
    )
    assert tolerant.n_iter_ < classifier.n_iter_
    still = MLPClassifier((4,), learning_rate_init=0.0, n_iter_no_change=7).fit(X, CLASSES)
    assert still.n_iter_ == 1 + 7, "the first epoch is an improvement"


def test_a_loss_that_still_falls_at_the_end_is_a_warning():
    with pytest.warns(ConvergenceWarning, match="still falling after max_iter=3 epochs"):
        MLPRegressor((4,), max_iter=3).fit(X, NUMBERS)


def test_ctrl_c_ends_the_training_and_keeps_what_was_learned(monkeypatch):
    def interrupted(engine, epochs, progress, after_epoch):
        def press_ctrl_c(epoch, loss):
            if epoch == 3:
                raise KeyboardInterrupt
            return after_epoch(epoch, loss)

        engines.run_epochs(engine, epochs, progress, press_ctrl_c)

    monkeypatch.setattr(estimators, "run_epochs", interrupted)
    classifier = MLPClassifier((4,), random_state=0).fit(X, CLASSES)
    assert (classifier.n_iter_, classifier.interrupted_) == (3, True)
    monkeypatch.undo()
    assert not classifier.partial_fit(X, CLASSES).interrupted_
    assert classifier.predict(X).shape == (60,)


# What is left afterwards


@pytest.mark.parametrize("estimator", BOTH)
def test_model_is_an_mlp_that_can_be_saved_compiled_and_pickled(tmp_path, estimator):
    fitted = estimator((4,), max_iter=5, random_state=0).fit(X, target_of(estimator))
    fitted.model_.save(tmp_path / "model.json")
    loaded = MLP.load(tmp_path / "model.json")
    assert [p.data for p in loaded.parameters()] == [p.data for p in fitted.model_.parameters()]
    outputs = compile(loaded, loaded.parameters()).predict(X)
    few = estimator((4,), max_iter=5, random_state=0).fit(X[:6], target_of(estimator)[:6])
    assert abs(len(pickle.dumps(fitted)) - len(pickle.dumps(few))) < X.nbytes / 2, "the data are not kept"
    restored = pickle.loads(pickle.dumps(fitted))
    assert list(restored.predict(X)) == list(fitted.predict(X))
    if estimator is MLPRegressor:
        assert outputs * fitted.target_scale_ + fitted.target_mean_ == pytest.approx(fitted.predict(X))


def test_the_same_random_state_gives_the_same_bits():
    first, second, other = (
        MLPClassifier((4,), max_iter=5, batch_size=16, random_state=seed).fit(X, CLASSES).predict_proba(X)
        for seed in (0, 0, 1)
    )
    assert (first == second).all()
    assert (first != other).any()


# Mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "adm"}, "solver must be .* got 'adm': did you mean 'adam'?"),
        ({"activation": "rleu"}, "activation must be .*'rleu'"),
        ({"alpha": -1.0}, "alpha must be 0 or more, got -1.0"),
        ({"learning_rate_init": -1.0}, "learning_rate_init must be 0 or more, got -1.0"),
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
        ({"max_iter": 0}, "max_iter must be 1 or more, got 0"),
        ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes must be 1 or more, got 0"),
        ({"n_iter_no_change": 0}, "n_iter_no_change must be 1 or more, got 0"),
        ({"tol": -1}, "tol must be 0 or more"),
        (
            {"early_stopping": True, "validation_fraction": 1.0},
            "validation_fraction must be above 0 and below 1",
        ),
    ],
)
@pytest.mark.parametrize("estimator", BOTH)
def test_an_argument_out_of_range_is_named(estimator, options, message):
    with pytest.raises(ValueError, match=message):
        estimator(**options).fit(X, target_of(estimator))


def test_data_that_cannot_be_trained_on_are_refused():
    with pytest.raises(ValueError, match="needs two classes or more, y has 1 class: a"):
        MLPClassifier().fit(X, ["a"] * 60)
    with pytest.raises(ValueError, match=r"(?i)sample.weight.* non-zero|is zero for every"):
        MLPRegressor().fit(X, NUMBERS, sample_weight=np.zeros(60))
    with pytest.raises(ValueError, match="NaN"):
        MLPRegressor().fit(np.where(X > 1.0, np.nan, X), NUMBERS)
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)


def test_mistakes_in_partial_fit_are_told():
    with pytest.raises(ValueError, match="the first call of partial_fit needs classes"):
        MLPClassifier().partial_fit(X, CLASSES)
    classifier = MLPClassifier((2,)).partial_fit(X, CLASSES, classes=["other", "same"])
    with pytest.raises(ValueError, match=r"but were .* in the first call"):
        classifier.partial_fit(X, CLASSES, classes=["other", "same", "third"])
    with pytest.raises(ValueError, match=r"previously unseen labels: .*third"):
        classifier.partial_fit(X, np.where(X[:, 0] > 0, "third", "same"))
    with pytest.raises(ValueError, match=r"y has the shape \(60, 2\), but the first call had 1 targets"):
        MLPRegressor((2,)).partial_fit(X, NUMBERS).partial_fit(X, np.column_stack([NUMBERS, NUMBERS]))


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "micrograd_mlp.training.estimators")
    with pytest.raises(ImportError, match=r'pip install "micrograd_mlp\[sklearn\]"'):
        import micrograd_mlp.training.estimators  # noqa: F401
