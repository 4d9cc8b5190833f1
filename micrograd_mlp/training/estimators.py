"""`MLPClassifier` and `MLPRegressor`: the networks of this package in scikit-learn's conventions (§5, §10).

They work in a `Pipeline`, `GridSearchCV` or `cross_val_score` as scikit-learn's own networks do, and take
arguments of the same names. After fitting, `model_` is an `MLP`, which can be drawn, explained and exported.
Training runs as machine code if llvmlite is installed. Needs `pip install "micrograd_mlp[sklearn]"`.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import random
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from micrograd_mlp._require import require_choice, require_count, require_number
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.value import Value, number_of
from micrograd_mlp.nn.activations import Sigma
from micrograd_mlp.nn.losses import binary_cross_entropy_with_logits, cross_entropy, l2, squared_error
from micrograd_mlp.nn.modules import MLP
from micrograd_mlp.optim import OPTIMIZERS
from micrograd_mlp.training.engines import EagerEngine
from micrograd_mlp.training.progress import progress_bar
from micrograd_mlp.training.run import Run

try:
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import log_loss, mean_squared_error
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        'micrograd_mlp.estimators needs scikit-learn: pip install "micrograd_mlp[sklearn]"'
    ) from error

if TYPE_CHECKING:
    from micrograd_mlp.compiled import Program


class _Examples(NamedTuple):
    """Arrays of one length: features, targets as the loss takes them, and weights."""

    X: Any
    targets: Any
    weights: Any


class _MLPEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share. A subclass encodes the targets as numbers and names their loss."""

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (100,),
        activation: Sigma = "relu",
        *,
        solver: str = "adam",
        alpha: float = 1.0,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change

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
        X, y = self._validated(X, y, reset=True)
        weights = _weights(sample_weight, X)
        self._learn_targets(y, weights)
        self._build()
        examples, validation = _Examples(X, self._encoded(y), weights), None
        if self.early_stopping:
            examples, validation = self._split(examples)
        watch = _Watch(self, validation)
        self._train(examples, require_count("max_iter", self.max_iter, 1), watch.end_of_epoch)
        watch.finish()
        return self

    def _build(self) -> None:
        """Build the network and its optimizer, and begin the records of the training."""
        require_choice("solver", self.solver, OPTIMIZERS)
        require_number("learning_rate_init", self.learning_rate_init, least=0)
        self._random = random.Random(int(check_random_state(self.random_state).randint(2**31 - 1)))
        hidden = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object))
        sizes = [require_count("hidden_layer_sizes", size, 1) for size in hidden]
        self.model_ = MLP(
            self.n_features_in_,
            [*sizes, self.n_outputs_],
            self.activation,
            init="xavier_uniform",  # for relu too: a small initial output overfits less than He's
            seed=self._random,
        )
        self._optimizer = OPTIMIZERS[self.solver](self.model_.parameters(), self.learning_rate_init)
        self._compile()
        self.n_iter_ = 0
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] = []

    def _split(self, examples: _Examples) -> tuple[_Examples, _Examples]:
        """Hold a validation part out of the training; examples without weight are in neither."""
        examples = _Examples(*[array[examples.weights > 0.0] for array in examples])
        parts = train_test_split(
            *examples,
            test_size=require_number("validation_fraction", self.validation_fraction, above=0, below=1),
            random_state=self._random.randrange(2**31),
        )
        return _Examples(*parts[::2]), _Examples(*parts[1::2])

    def _train(
        self, examples: _Examples, epochs: int, end_of_epoch: Callable[[float], bool] = lambda loss: False
    ) -> None:
        """Minimise (Σ wᵢℓᵢ + ½ alpha ‖W‖²) / Σ wᵢ, where W are all weights without the biases."""
        X, targets, weights = examples
        factor = float(require_number("alpha", self.alpha, least=0) / (2.0 * weights.sum()))
        # The factor of the penalty is a part of the target, since each partial_fit has another one.
        Y = np.column_stack([targets, weights / weights.mean(), np.full(len(X), factor)])
        batch_size = 200 if self.batch_size == "auto" else require_count("batch_size", self.batch_size, 1)
        self.interrupted_ = False
        with progress_bar(self.verbose, 0, epochs) as show:

            def after_epoch(epoch: int, loss: float) -> bool:
                self.n_iter_ += 1
                self.loss_curve_.append(loss)
                show(epoch, loss)
                return end_of_epoch(loss)

            try:
                self._take_steps(X, Y, epochs, batch_size if batch_size < len(X) else None, after_epoch)
            except KeyboardInterrupt:
                self.interrupted_ = True

    def _take_steps(
        self, X: Any, Y: Any, epochs: int, batch_size: int | None, after_epoch: Callable[[int, float], bool]
    ) -> None:
        if self._training_program is not None:
            self._training_program.train(
                self._optimizer,
                X,
                Y,
                epochs=epochs,
                batch_size=batch_size,
                seed=self._random,
                callback=after_epoch,
            )
            return
        factor, matrices = Y[0, -1], self._matrices()
        run = Run(
            self.model_,
            self._weighted_loss,
            X.tolist(),
            Y.tolist(),
            self._optimizer,
            penalty=(lambda: factor * l2(matrices)) if factor else None,
            validation=None,
            batch_size=batch_size,
            rng=self._random,
        )
        epoch = itertools.count(1)
        EagerEngine(run).train(epochs, lambda loss: after_epoch(next(epoch), loss))

    def _compile(self) -> None:
        matrices = self._matrices()

        def penalised_loss(x: Any, target: Sequence[Any]) -> Any:
            return self._weighted_loss(self.model_(x), target) + target[-1] * l2(matrices)

        self._program = compiled(self.model_, self.model_)
        self._training_program = compiled(penalised_loss, self.model_)

    def _weighted_loss(self, output: Any, target: Sequence[Any]) -> Any:
        *y, weight, _ = target
        return weight * self._loss(output, y[0] if len(y) == 1 else y)

    def _matrices(self) -> list[Value]:
        """The weights of all layers, without the biases."""
        return [w for layer in self.model_.layers for neuron in layer.neurons for w in neuron.w]

    def _outputs(self, X: Any) -> Any:
        return outputs_of(self.model_, self._program, X)

    def _outputs_for(self, X: Any) -> Any:
        check_is_fitted(self)
        return self._outputs(validate_data(self, X, dtype=np.float64, reset=False))

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the machine code, which is compiled again when it is needed."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if not name.endswith("_program")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            self._compile()


def _weights(sample_weight: Any, X: Any) -> Any:
    """One weight for each example, 1 without `sample_weight`."""
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("sample_weight is zero for every example: at least one must be above zero")
    return weights


def compiled(f: Callable[..., Any], model: MLP) -> Program | None:
    """A function of a network's parameters, such as the network, as machine code; None without llvmlite."""
    if importlib.util.find_spec("llvmlite") is None:
        return None
    from micrograd_mlp.compiled import compile

    return compile(f, model.parameters())


def outputs_of(model: MLP, program: Program | None, X: Any) -> Any:
    """The network's outputs as an array, one row for each row of X.

    Args:
        model: the network.
        program: what `compiled` made of it.
        X: an array with one example in each row.
    """
    if program is not None:
        return program.predict(X).reshape(len(X), -1)
    with no_grad():
        outputs = [model(x) for x in X.tolist()]
    return np.array(
        [[number_of(z) for z in (output if isinstance(output, list) else [output])] for output in outputs]
    )


class _Watch:
    """Decides after each epoch whether the training goes on, and keeps the best weights if there is a
    validation part.
    """

    def __init__(self, estimator: _MLPEstimator, validation: _Examples | None) -> None:
        self.estimator, self.validation = estimator, validation
        self.tol = require_number("tol", estimator.tol, least=0)
        self.patience = require_count("n_iter_no_change", estimator.n_iter_no_change, 1)
        self.lowest = math.inf
        self.to_beat = math.inf
        self.epochs_without_improvement = 0
        self.best_weights: list[float] | None = None

    def end_of_epoch(self, loss: float) -> bool:
        """Take note of the epoch's loss; True ends the training."""
        estimator = self.estimator
        if self.validation is not None:
            loss = estimator._mean_loss(self.validation)
            estimator.validation_loss_curve_.append(loss)
            if loss < self.lowest:
                self.lowest = loss
                self.best_weights = [p.data for p in estimator.model_.parameters()]
        self.epochs_without_improvement += 1
        if loss < self.to_beat - self.tol:
            self.to_beat, self.epochs_without_improvement = loss, 0
        return self.epochs_without_improvement >= self.patience

    def finish(self) -> None:
        """Go back to the best weights; warn if the training ended before the loss had settled."""
        if self.best_weights is not None:
            for p, number in zip(self.estimator.model_.parameters(), self.best_weights):
                p.data = number
        elif not self.estimator.interrupted_ and self.epochs_without_improvement < self.patience:
            warnings.warn(
                f"the loss was still falling after max_iter={self.estimator.max_iter} epochs: a larger "
                "max_iter or learning_rate_init may give a better network",
                ConvergenceWarning,
                stacklevel=3,
            )


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

        Returns:
            The estimator itself.

        Raises:
            ValueError: `classes` is missing in the first call or differs in a later one, y has a class that
                is not among them, or as for `fit`.
        """
        begun = hasattr(self, "model_")
        if not begun and classes is None:
            raise ValueError("the first call of partial_fit needs classes, a list of all classes")
        X, y = self._validated(X, y, reset=not begun)
        weights = _weights(sample_weight, X)
        if not begun:
            self._learn_targets(classes, weights)
            self._build()
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes are {np.unique(classes)}, but were {self.classes_} in the first call")
        self._train(_Examples(X, self._encoded(y), weights), 1)
        return self

    def predict(self, X: Any) -> Any:
        """The most probable class of each example."""
        outputs = self._outputs_for(X)
        if outputs.shape[1] == 1:
            return self.classes_[(outputs[:, 0] > 0.0).astype(int)]
        return self.classes_[outputs.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Any:
        """For each example the probability of each class, in the order of `classes_`."""
        return _probabilities(self._outputs_for(X))

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(self, X, y, dtype=np.float64, reset=reset)
        check_classification_targets(y)
        return X, column_or_1d(y, warn=True)

    def _learn_targets(self, y: Any, weights: Any) -> None:  # noqa: ARG002 - only numbers have a mean
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"a classifier needs two classes or more, y has 1 class: {self.classes_[0]}")
        self.n_outputs_ = 1 if len(self.classes_) == 2 else len(self.classes_)

    def _encoded(self, y: Any) -> Any:
        index = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        if (unknown := self.classes_[index] != y).any():
            raise ValueError(f"y has the class {y[unknown][0]}, but the classes are {self.classes_}")
        return index.reshape(-1, 1)

    def _loss(self, output: Any, target: Any) -> Any:
        loss = binary_cross_entropy_with_logits if self.n_outputs_ == 1 else cross_entropy
        return loss(output, target)

    def _mean_loss(self, examples: _Examples) -> float:
        probabilities, labels = _probabilities(self._outputs(examples.X)), range(len(self.classes_))
        mean: float = log_loss(
            examples.targets[:, 0], probabilities, sample_weight=examples.weights, labels=labels
        )
        return mean


def _probabilities(outputs: Any) -> Any:
    """The softmax of the logits; a single logit is that of the second of two classes."""
    if outputs.shape[1] == 1:
        outputs = np.column_stack([np.zeros(len(outputs)), outputs])
    exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


class MLPRegressor(RegressorMixin, _MLPEstimator):  # type: ignore[misc]
    """A network that predicts numbers, trained on the squared error (§4.1).

    The arguments are those of `MLPClassifier`. Targets are standardised before the training, so that neither
    the learning rate nor the penalty depends on their unit; predictions are in the unit of y.

    Attributes:
        model_: the MLP. Its outputs are standardised targets.
        target_mean_: the mean of the training targets; the prediction is model_(x) · scale + mean.
        target_scale_: their standard deviation.
        n_outputs_: the number of outputs of the network, one for each column of y.
        loss_curve_: for each epoch the mean loss on standardised targets, penalty included.
        validation_loss_curve_: for each epoch the mean loss of the validation part; empty without one.
        n_iter_: the number of epochs.
        interrupted_: whether Ctrl-C ended the training.
        n_features_in_: the number of columns of X.
        feature_names_in_: their names, if X is a data frame.

    >>> from micrograd_mlp.estimators import MLPRegressor
    >>> X, y = [[x / 10] for x in range(-10, 11)], [1000 + x * x for x in range(-10, 11)]
    >>> regressor = MLPRegressor((8,), "tanh", alpha=0, learning_rate_init=0.1, max_iter=400, random_state=0)
    >>> regressor.fit(X, y).score(X, y) > 0.99
    True
    """

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these examples.

        The first call standardises the targets, and later calls keep its mean and standard deviation.

        Args:
            X: as for `fit`.
            y: as for `fit`.
            sample_weight: as for `fit`.

        Returns:
            The estimator itself.

        Raises:
            ValueError: as for `fit`, or the number of targets differs from the first call's.
        """
        begun = hasattr(self, "model_")
        X, y = self._validated(X, y, reset=not begun)
        weights = _weights(sample_weight, X)
        if not begun:
            self._learn_targets(y, weights)
            self._build()
        elif y.shape[1:] != np.shape(self.target_mean_):
            raise ValueError(f"y has the shape {y.shape}, but the first call had {self.n_outputs_} targets")
        self._train(_Examples(X, self._encoded(y), weights), 1)
        return self

    def predict(self, X: Any) -> Any:
        """The expected number for each example, or a row of them if y had several columns."""
        outputs = self._outputs_for(X)
        if np.ndim(self.target_mean_) == 0:
            outputs = outputs[:, 0]
        return outputs * self.target_scale_ + self.target_mean_

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, reset=reset)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        return X, y.astype(np.float64)

    def _learn_targets(self, y: Any, weights: Any) -> None:
        self.target_mean_ = np.average(y, axis=0, weights=weights)
        deviation = np.sqrt(np.average((y - self.target_mean_) ** 2, axis=0, weights=weights))
        self.target_scale_ = np.where(deviation > 0.0, deviation, 1.0)[()]
        self.n_outputs_ = np.size(self.target_mean_)

    def _encoded(self, y: Any) -> Any:
        return ((y - self.target_mean_) / self.target_scale_).reshape(len(y), -1)

    def _loss(self, output: Any, target: Any) -> Any:
        return squared_error(output, target)

    def _mean_loss(self, examples: _Examples) -> float:
        """Half of the mean squared error, summed over several outputs as the loss is."""
        outputs = self._outputs(examples.X)
        mean: float = mean_squared_error(examples.targets, outputs, sample_weight=examples.weights)
        return 0.5 * mean * self.n_outputs_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
