"""What every export needs: the other package, and an activation that it knows too."""

from __future__ import annotations

import importlib
from typing import Any

from micrograd_mlp.nn.activations import ACTIVATIONS, Activation, Sigma, find_activation


def record_of(activation: Sigma) -> Activation:
    """The activation's record, if it can be translated."""
    record = find_activation(activation)
    if record.torch is None:
        raise ValueError(
            f"the activation {record.name} is a function of your own, which can't be translated; "
            f"there are {', '.join(ACTIVATIONS)}"
        )
    return record


def require_package(name: str, extra: str) -> Any:
    """The package of that name; if it is missing, the error names the extra that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f'this needs {name}: pip install "micrograd_mlp[{extra}]"') from error
