"""Training, and measuring what it does: `fit`, data sets, diagnostics (§5, §9, §11)."""

from micrograd_mlp.training.fit import History, NonFiniteLossError, accuracy, fit

__all__ = ["History", "NonFiniteLossError", "accuracy", "fit"]
