"""The names of karpathy's micrograd, so that programs written for it run with the import line alone changed.

https://github.com/karpathy/micrograd calls the sizes of a network `nin`, `nout` and `nouts`, and a neuron
without ReLU `nonlin=False`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

Arguments = ParamSpec("Arguments")


def also_named(**names: str) -> Callable[[Callable[Arguments, None]], Callable[Arguments, None]]:
    """Let a constructor take arguments by micrograd's names too; `nonlin` stands for an activation.

    Args:
        **names: for each name in micrograd the name here.

    >>> @also_named(nin="n_inputs")
    ... def show(n_inputs, activation="tanh"):
    ...     print(n_inputs, activation)
    >>> show(nin=3, nonlin=False)
    3 linear
    """

    def decorate(constructor: Callable[Arguments, None]) -> Callable[Arguments, None]:
        @functools.wraps(constructor)
        def wrapper(*args: Any, **kwargs: Any) -> None:
            for name in names.keys() & kwargs.keys():
                if names[name] in kwargs:
                    raise TypeError(f"{name} and {names[name]} are the same argument: give one of them")
                kwargs[names[name]] = kwargs.pop(name)
            if "nonlin" in kwargs:
                kwargs.setdefault("activation", "relu" if kwargs.pop("nonlin") else "linear")
            constructor(*args, **kwargs)

        return wrapper

    return decorate
