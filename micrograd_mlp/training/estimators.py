"""`MLPClassifier` and `MLPRegressor`: the networks of this package in scikit-learn's conventions (§5, §10).

They work in a `Pipeline`, `GridSearchCV` or `cross_val_score` as scikit-learn's own networks do, and take
arguments of the same names. After fitting, `model_` is an `MLP`, which can be drawn, explained and exported.
Training runs as machine code if llvmlite is installed. Needs `pip install "micrograd_mlp[sklearn]"`.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from importlib.util import find_spec
from typing import Any, Self

from micrograd_mlp._require import require_choice, require_count, require_number
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.value import Value
from micrograd_mlp.nn.activations import Sigma, find_activation
from micrograd_mlp.nn.losses import binary_cross_entropy_with_logits, cross_entropy, l2, squared_error
from micrograd_mlp.nn.modules import MLP
from micrograd_mlp.optim import OPTIMIZERS
from micrograd_mlp.training.engines import CompiledEngine, EagerEngine, run_epochs
from micrograd_mlp.training.run import Run

try:
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin, is_regressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelEncoder, StandardScaler
    from sklearn.utils import check_random_state
    from sklearn.utils.extmath import softmax
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        'micrograd_mlp.estimators needs scikit-learn: pip install "micrograd_mlp[sklearn]"'
    ) from error


@dataclass(eq=False, repr=False)
class _MLPEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share. A subclass turns the targets into numbers, and names their loss."""

    hidden_layer_sizes: Sequence[int] = (100,)
    activation: Sigma = "relu"
    _: KW_ONLY
    solver: str = "adam"
    alpha: float = 1.0
    batch_size: int | str = "auto"
    learning_rate_init: float = 0.001
    max_iter: int = 200
    random_state: Any = None
    tol: float = 1e-4
    verbose: bool = False
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network.

        Args:
            X: an array or data frame, one example in each row. Training works best on standardised columns.
            y: a target for each example.
            sample_weight: a factor of 0 or more for the loss of each example.

        Returns:
            The estimator itself. Ctrl-C ends the training early, after a finished step.

        Raises:
            ValueError: the data do not fit together or are not finite, or an argument is out of range.
            FloatingPointError: the loss became infinite or nan; try a smaller `learning_rate_init`.
        """
        epochs = require_count("max_iter", self.max_iter, 1)
        patience = require_count("n_iter_no_change", self.n_iter_no_change, 1)
        tol = require_number("tol", self.tol, least=0)
        training, validation = self._prepare(X, y, sample_weight), None
        if self.early_stopping:
            training, validation = self._split(training)
        losses = self.validation_loss_curve_ if validation else self.loss_curve_
        best: dict[str, float] = {}

        def has_settled(epoch: int, loss: float) -> bool:
            if validation and losses.index(min(losses)) == epoch - 1:
                best.update(self.model_.state_dict())
            return epoch > patience and min(losses[-patience:]) >= min(losses[:-patience]) - tol

        self._train(training, epochs, validation, has_settled)
        if best:
            self.model_.load_state_dict(best)
        elif not self.interrupted_ and not has_settled(self.n_iter_, losses[-1]):
            warnings.warn(
                f"the loss was still falling after max_iter={epochs} epochs: a larger max_iter or "
                "learning_rate_init may give a better network",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _prepare(
        self, X: Any, y: Any, sample_weight: Any, classes: Any = None, new: bool = True
    ) -> list[Any]:
        """The examples as arrays: features, targets as the loss takes them, and weights."""
        numeric = is_regressor(self)
        X, y = validate_data(self, X, y, dtype=np.float64, reset=new, multi_output=numeric, y_numeric=numeric)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weights.any():
            raise ValueError("sample_weight is zero for every example: at least one must be above zero")
        if new:
            self._learn_targets(y if classes is None else classes, weights)
            self._begin()
        return [X, self._encoded(y), weights]

    def _begin(self) -> None:
        """Build the network and what trains it."""
        require_choice("solver", self.solver, OPTIMIZERS)
        rate = require_number("learning_rate_init", self.learning_rate_init, least=0)
        hidden = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object))
        sizes = [require_count("hidden_layer_sizes", size, 1) for size in hidden]
        rng = random.Random(int(check_random_state(self.random_state).randint(2**31 - 1)))
        self.model_ = MLP(
            self.n_features_in_,
            [*sizes, self.n_outputs_],
            self.activation,
            init="xavier_uniform",  # for relu too: a small initial output overfits less than He's
            seed=rng,
        )
        optimizer = OPTIMIZERS[self.solver](self.model_.parameters(), rate)
        run = Run(self.model_, self._penalised_loss, [], [], optimizer, None, None, None, rng)
        self._engine = (CompiledEngine if find_spec("llvmlite") else EagerEngine)(run)
        self.loss_curve_, self.validation_loss_curve_ = run.history.losses, run.history.validation_losses

    def _penalised_loss(self, output: Any, target: Sequence[Any]) -> Any:
        """The loss of an example, whose target is followed by its weight and the penalty's factor."""
        *y, weight, factor = target
        matrices = [w for layer in self.model_.layers for neuron in layer.neurons for w in neuron.w]
        return weight * self._loss(output, y[0] if len(y) == 1 else y) + factor * l2(matrices)

    def _split(self, examples: list[Any]) -> tuple[list[Any], list[Any]]:
        """Hold a validation part out of the training; examples without weight are in neither."""
        parts = train_test_split(
            *[array[examples[-1] > 0.0] for array in examples],
            test_size=require_number("validation_fraction", self.validation_fraction, above=0, below=1),
            random_state=self._engine.run.rng.randrange(2**31),
        )
        return parts[::2], parts[1::2]

    def _train(
        self,
        training: list[Any],
        epochs: int = 1,
        validation: list[Any] | None = None,
        after_epoch: Callable[[int, float], bool] = lambda epoch, loss: False,
    ) -> None:
        """Minimise (Σ wᵢℓᵢ + ½ alpha ‖W‖²) / Σ wᵢ, where W are all weights without the biases."""
        run = self._engine.run
        batch_size = 200 if self.batch_size == "auto" else require_count("batch_size", self.batch_size, 1)
        run.batch_size = batch_size if batch_size < len(training[0]) else None
        alpha = require_number("alpha", self.alpha, least=0)
        run.X, run.Y = _examples(training, alpha / (2.0 * training[-1].sum()))
        run.validation = _examples(validation, 0.0) if validation else None
        run_epochs(self._engine, epochs, self.verbose, after_epoch)
        run.X, run.Y, run.validation = [], [], None  # an estimator that is kept does not keep its data
        self.n_iter_, self.interrupted_ = len(run.history.losses), run.history.interrupted

    def _outputs(self, X: Any) -> Any:
        check_is_fitted(self)
        return outputs_of(self.model_, validate_data(self, X, dtype=np.float64, reset=False))


def _examples(arrays: list[Any], factor: float) -> tuple[Any, Any]:
    """Features, and targets as `_penalised_loss` takes them."""
    X, targets, weights = arrays
    return X, np.column_stack([targets, weights / weights.mean(), np.full(len(X), factor)])


def outputs_of(model: MLP, X: Any) -> Any:
    """The outputs of a network for an array of examples, one row for each (§3.1)."""
    for layer in model.layers:
        W = np.array([[w.data for w in neuron.w] for neuron in layer.neurons])
        b = np.array([neuron.b.data for neuron in layer.neurons])
        X = _activated(layer.neurons[0].activation, X @ W.T + b)
    return X


def _activated(sigma: Sigma, z: Any) -> Any:
    """σ of each number in an array, as machine code if llvmlite is installed."""
    function = find_activation(sigma).function
    if find_spec("llvmlite"):
        from micrograd_mlp.compiled import compile

        return compile(function, []).predict(z.reshape(-1)).reshape(z.shape)
    with no_grad():
        return np.vectorize(lambda number: function(Value(number)).data, otypes=[float])(z)


class MLPClassifier(ClassifierMixin, _MLPEstimator):  # type: ignore[misc]
    """A network that predicts classes, trained on cross entropy (§4.2).

    Args:
        hidden_layer_sizes: the number of neurons in each hidden layer.
        activation: σ of the hidden layers, as `MLP` takes it.
        solver: "adam", "momentum", "rmsprop" or "sgd".
        alpha: the strength of the L2 penalty, 0 or more. Half of alpha times the sum of the squared weights,
            divided by the number of examples, is added to the mean loss. Biases are not penalised.
        batch_size: the number of examples in a step; "auto" means 200, or all if there are fewer.
        learning_rate_init: the learning rate η, 0 or more.
        max_iter: the largest number of epochs.
        random_state: an int or a `RandomState` of NumPy, for the initial weights and the order of examples.
        tol: by how much the loss has to fall below its lowest value to count as an improvement.
        verbose: whether the epoch and the loss are shown on standard error.
        early_stopping: whether a validation part is held out. Its loss then decides when the training ends,
            and the network keeps the weights from the epoch in which that loss was lowest.
        validation_fraction: the size of the validation part, above 0 and below 1.
        n_iter_no_change: the training ends after so many epochs without an improvement.

    Attributes:
        classes_: the classes, sorted.
        n_outputs_: the number of outputs of the network.
        model_: the MLP. Two classes have one output, the logit of the second; more have one logit each.
        loss_curve_: for each epoch the mean loss of the training, penalty included.
        validation_loss_curve_: for each epoch the mean loss of the validation part; empty without one.
        n_iter_: the number of epochs.
        interrupted_: whether Ctrl-C ended the training.
        n_features_in_: the number of columns of X.
        feature_names_in_: their names, if X is a data frame.

    >>> from micrograd_mlp.estimators import MLPClassifier
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["same", "other", "other", "same"]
    >>> classifier = MLPClassifier((8,), learning_rate_init=0.1, alpha=0, tol=0.01, random_state=0)
    >>> classifier.fit(X, y).predict(X).tolist(), classifier.model_
    (['same', 'other', 'other', 'same'], MLP(2, [8, 1], activations=['relu', 'linear']))
    """

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these examples.

        Args:
            X: as for `fit`.
            y: as for `fit`.
            classes: all classes that will ever occur. The first call needs them.
            sample_weight: as for `fit`.

        Raises:
            ValueError: `classes` is missing in the first call or differs in a later one, y has a class that
                is not among them, or as for `fit`.
        """
        new = not hasattr(self, "model_")
        if new and classes is None:
            raise ValueError("the first call of partial_fit needs classes, a list of all classes")
        if not new and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes are {np.unique(classes)}, but were {self.classes_} in the first call")
        self._train(self._prepare(X, y, sample_weight, classes, new))
        return self

    def predict(self, X: Any) -> Any:
        """The most probable class of each example."""
        most_probable = self.predict_proba(X).argmax(axis=1)
        return self.classes_[most_probable]

    def predict_proba(self, X: Any) -> Any:
        """For each example the probability of each class, in the order of `classes_`."""
        logits = self._outputs(X)
        if self.n_outputs_ == 1:
            logits = np.column_stack([np.zeros(len(logits)), logits])
        return softmax(logits)

    def _learn_targets(self, y: Any, weights: Any) -> None:  # noqa: ARG002 - only numbers have a mean
        check_classification_targets(y)
        self._encoder = LabelEncoder().fit(y)
        self.classes_ = self._encoder.classes_
        if len(self.classes_) < 2:
            raise ValueError(f"a classifier needs two classes or more, y has 1 class: {self.classes_[0]}")
        self.n_outputs_ = 1 if len(self.classes_) == 2 else len(self.classes_)

    def _encoded(self, y: Any) -> Any:
        return self._encoder.transform(y)

    def _loss(self, output: Any, target: Any) -> Any:
        loss = binary_cross_entropy_with_logits if self.n_outputs_ == 1 else cross_entropy
        return loss(output, target)


class MLPRegressor(MultiOutputMixin, RegressorMixin, _MLPEstimator):  # type: ignore[misc]
    """A network that predicts numbers, trained on the squared error (§4.1).

    The arguments are those of `MLPClassifier`. Targets are standardised before the training, so that neither
    the learning rate nor the penalty depends on their unit; predictions are in the unit of y.

    Attributes:
        model_: the MLP. Its outputs are standardised targets; the prediction is model_(x) · scale + mean.
        target_mean_: the mean of each target in the training.
        target_scale_: their standard deviations.
        n_outputs_: the number of outputs of the network, one for each column of y.

    Other attributes are those of `MLPClassifier`, but for `classes_`.

    >>> from micrograd_mlp.estimators import MLPRegressor
    >>> X, y = [[x / 10] for x in range(-10, 11)], [1000 + x * x for x in range(-10, 11)]
    >>> regressor = MLPRegressor((8,), "tanh", alpha=0, learning_rate_init=0.1, max_iter=400, random_state=0)
    >>> regressor.fit(X, y).score(X, y) > 0.99
    True
    """

    _loss = staticmethod(squared_error)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these examples.

        The first call standardises the targets, and later calls keep its mean and standard deviation.

        Args:
            X: as for `fit`.
            y: as for `fit`.
            sample_weight: as for `fit`.

        Raises:
            ValueError: the number of targets differs from the first call's, or as for `fit`.
        """
        new = not hasattr(self, "model_")
        self._train(self._prepare(X, y, sample_weight, None, new))
        return self

    def predict(self, X: Any) -> Any:
        """The expected number for each example, or a row of them if y had several columns."""
        numbers = self._outputs(X) * self.target_scale_ + self.target_mean_
        return numbers.reshape(-1, *self._target_shape)

    def _learn_targets(self, y: Any, weights: Any) -> None:
        scaler = StandardScaler().fit(y.reshape(len(y), -1), sample_weight=weights)
        self.target_mean_, self.target_scale_ = scaler.mean_, scaler.scale_
        self.n_outputs_, self._target_shape = len(scaler.mean_), y.shape[1:]

    def _encoded(self, y: Any) -> Any:
        if y.shape[1:] != self._target_shape:
            raise ValueError(f"y has the shape {y.shape}, but the first call had {self.n_outputs_} targets")
        return (y.reshape(len(y), -1) - self.target_mean_) / self.target_scale_
