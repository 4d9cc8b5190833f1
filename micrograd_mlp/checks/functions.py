"""A function of arrays and the inputs at which it is checked, whatever framework they are from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from micrograd_mlp.checks.arrays import random_weights
from micrograd_mlp.checks.frameworks import framework_of
from micrograd_mlp.checks.structure import accepts, argument_names, leaves_of, with_leaves

SEED = 20240229  # of the weights of several outputs, so that a check gives the same answer again


class Function:
    """f and the inputs at which it is checked, whatever they are made of.

    Args:
        f: takes the inputs as its arguments; or a dict of them by keyword, or as it is.
        inputs: an array, a list or a dict of arrays, or a PyTorch module.
    """

    def __init__(self, f: Callable[..., Any], inputs: Any, returns_gradient: bool = False) -> None:
        self.f, self.returns_gradient = f, returns_gradient
        self.module: Any = next(filter(_is_module, [inputs, f]), None)
        self.inputs = self._arguments(f, inputs)
        named = list(leaves_of(self.inputs))
        if isinstance(self.inputs, list):
            names = argument_names(getattr(f, "forward", f), len(self.inputs))
            named = [leaf for name, x in zip(names, self.inputs) for leaf in leaves_of(x, name)]
        if self.module is not None:
            named += self.module.named_parameters()
        self.framework = framework_of([leaf for _, leaf in named], self.module)
        self.named = [(name, leaf, self.framework.is_array(leaf)) for name, leaf in named]
        if not any(moves for *_, moves in self.named):
            raise ValueError(f"none of the inputs is an array of real numbers: {inputs!r:.60}")
        self.leaves = [leaf for _, leaf, moves in self.named if moves]
        self.read = [self.framework.read(name, leaf) for name, leaf, moves in self.named if moves]

    def _arguments(self, f: Callable[..., Any], inputs: Any) -> Any:
        if _is_module(inputs):
            return [inputs] if accepts(f, None) else []
        if isinstance(inputs, (list, tuple)):
            return list(inputs)
        return inputs if isinstance(inputs, Mapping) else [inputs]

    def gradient_at(self, arrays: Sequence[Any]) -> Any:
        """The gradient that f returns beside its value."""
        return self.call(self.f, arrays)[1]

    def at(self, arrays: Sequence[Any]) -> Any:
        """What f returns for these arrays in the places of the inputs that are checked."""
        result = self.call(self.f, arrays)
        return result[0] if self.returns_gradient else result

    def arrays(self, values: Sequence[Any]) -> list[Any]:
        """The framework's arrays with these values."""
        return [self.framework.write(leaf, value) for leaf, value in zip(self.leaves, values, strict=True)]

    def call(self, g: Callable[..., Any], arrays: Sequence[Any], **extra: Any) -> Any:
        """g with these arrays in the places of the inputs that are checked."""
        changed = iter(arrays)
        leaves = [next(changed) if moves else leaf for _, leaf, moves in self.named]
        arguments = with_leaves(self.inputs, iter(leaves))
        if isinstance(arguments, Mapping):
            if all(isinstance(key, str) for key in arguments) and accepts(g, **arguments, **extra):
                return g(**arguments, **extra)
            return g(arguments, **extra)
        return g(*arguments, **extra)


class Outputs:
    """What f returns, as one number: the sum of its outputs with random weights, if they are several."""

    def __init__(self, function: Function, noise: float | None) -> None:
        self.function = function
        points = [x.values for x in function.read]
        first, again = self._outputs(points), self._outputs(points)
        _require_same(first, again, noise)
        self.count = sum(numbers.size for _, numbers, _ in first)
        if self.count == 0:
            raise TypeError("f returns no numbers")
        generator = np.random.default_rng(SEED)
        self.cotangents = [
            random_weights(generator, numbers.shape) if self.count > 1 else np.ones(numbers.shape)
            for _, numbers, _ in first
        ]
        terms = np.concatenate([np.ravel(numbers * c) for (_, numbers, _), c in zip(first, self.cotangents)])
        value = abs(float(terms.sum()))
        spread = float(np.sqrt(np.square(terms).sum())) / value if value else 1.0
        self.epsilon = max(epsilon for *_, epsilon in first) * max(1.0, spread)  # of the weighed sum
        self.shape = first[0][1].shape if not first[0][0] else None  # None for several in a list or dict

    def weighed(self, values: Sequence[Any]) -> float:
        """Σ weight·output at these values of the inputs."""
        pairs = zip(self._outputs(values), self.cotangents)
        return sum(float(np.vdot(numbers, c)) for (_, numbers, _), c in pairs)

    def followed(self, arrays: Sequence[Any]) -> Any:
        """The same sum, for arrays that note what is done with them (see `whatif.py`)."""
        outputs = leaves_of(self.function.at(arrays))
        return sum((c * output).sum() for (_, output), c in zip(outputs, self.cotangents))

    def _outputs(self, values: Sequence[Any]) -> list[tuple[str, Any, float]]:
        """The name of each output, which is empty if there is but one, its numbers and their precision."""
        outputs = leaves_of(self.function.at(self.function.arrays(values)))
        return [(name, *self.function.framework.numbers(output)) for name, output in outputs]


def _require_same(
    first: Sequence[tuple[str, Any, float]], again: Sequence[tuple[str, Any, float]], noise: float | None
) -> None:
    allowed = 10.0 * (noise or 0.0)
    for (_, a, _), (_, b, _) in zip(first, again, strict=True):
        same = (np.abs(a - b) <= allowed) | (np.isnan(a) & np.isnan(b)) | (a == b)
        if not np.all(same):
            x, y = float(a[~same][0]), float(b[~same][0])
            raise ValueError(
                f"f gave {x!r} and then {y!r} at one point: fix the seed inside f, call eval() on a module "
                "with dropout, or give noise="
            )


def _is_module(x: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.nn.Module)
