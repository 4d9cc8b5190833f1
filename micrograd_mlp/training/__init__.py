"""Training, and measuring what it does: `fit`, data sets, diagnostics, estimators (§5, §9, §11)."""

from micrograd_mlp.training.fit import fit
from micrograd_mlp.training.metrics import accuracy
from micrograd_mlp.training.run import History, NonFiniteLossError

__all__ = ["History", "NonFiniteLossError", "accuracy", "fit"]
