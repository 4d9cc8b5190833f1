"""What NumPy, PyTorch and JAX call an array, and how each is asked for a gradient.

A framework is imported only when one of its arrays is among the inputs. Every class below turns arrays into
float64 numbers of NumPy and back, in the precision that the function gets.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from micrograd_mlp.checks.arrays import Input
from micrograd_mlp.checks.extrapolation import EPSILON
from micrograd_mlp.checks.structure import leaves_of, with_leaves

Arrays = Sequence[Any]
OfArrays = Callable[[list[Any]], Any]
"""A function of a list of arrays."""
COMPLEX = "gradcheck takes real arrays: check the real and the imaginary part as two inputs"


class NumPy:
    """Arrays of NumPy and plain numbers; the gradient has to be given."""

    def is_array(self, leaf: Any) -> bool:
        """Is this an array or a number with a derivative?"""
        if isinstance(leaf, (np.ndarray, np.generic)):
            return self._is_real(leaf.dtype)
        return isinstance(leaf, (float, int)) and not isinstance(leaf, bool)

    def read(self, name: str, leaf: Any) -> Input:
        """The array as an input of the check."""
        dtype = leaf.dtype if hasattr(leaf, "dtype") and leaf.dtype.itemsize <= 8 else np.dtype(np.float64)

        def rounded(numbers: Any) -> Any:
            return np.asarray(numbers).astype(dtype).astype(np.float64)

        return Input(name, np.array(leaf).astype(np.float64), rounded, self._epsilon(dtype))

    def write(self, leaf: Any, values: Any) -> Any:
        """A new array of the leaf's kind with these values; a parameter of a module is changed itself."""
        if isinstance(leaf, np.ndarray):
            return np.array(values, dtype=leaf.dtype)
        return type(leaf)(values) if isinstance(leaf, np.generic) else float(values)

    def numbers(self, output: Any) -> tuple[Any, float]:
        """An output as float64 numbers, and the precision in which it was computed."""
        array = np.asarray(output)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"f returns numbers or arrays of them, got {output!r:.60}")
        return array.astype(np.float64), self._epsilon(array.dtype)

    def gradient(self, f: OfArrays, leaves: Arrays, cotangents: Arrays) -> Arrays:
        """Σ cotangent·∂output/∂leaf for each leaf, as the framework computes it."""
        raise TypeError(
            "NumPy does not differentiate f: give gradient=, a function of the same arguments or its values"
        )

    def hessian_times(self, f: OfArrays, leaves: Arrays, cotangents: Arrays, u: Arrays) -> Arrays:
        """The gradient of Σ u·(gradient of f), by differentiating twice."""
        raise ValueError(
            "order=2 needs second derivatives, which NumPy does not give: check the gradient as a "
            "function of its own, gradcheck(jac, x, hess)"
        )

    def restore(self) -> None:
        """Put back what `write` has changed."""

    def _is_real(self, dtype: Any) -> bool:
        if dtype.kind == "c":
            raise TypeError(COMPLEX)
        return bool(dtype.kind == "f")

    def _epsilon(self, dtype: Any) -> float:
        """The relative distance of two numbers, at least float64's."""
        return float(max(np.finfo(dtype).eps, EPSILON)) if self._is_real(dtype) else EPSILON


class PyTorch(NumPy):
    """Tensors: those that require a gradient are checked, or all of them where none does.

    Parameters are changed in place, so that a module uses them, and put back.
    """

    def __init__(self, leaves: Sequence[Any], module: Any = None) -> None:
        import torch

        self.torch = torch
        wanted = [x for x in leaves if isinstance(x, torch.Tensor) and x.requires_grad]
        self.only = set(map(id, wanted))
        self.before = [(x, x.detach().clone()) for x in wanted if x.is_leaf]
        if module is not None:
            self.before += [(buffer, buffer.detach().clone()) for buffer in module.buffers()]

    def is_array(self, leaf: Any) -> bool:
        if not isinstance(leaf, self.torch.Tensor):
            return False
        if leaf.is_complex():
            raise TypeError("gradcheck takes real tensors: check torch.view_as_real(z) instead")
        return leaf.is_floating_point() and (not self.only or id(leaf) in self.only)

    def read(self, name: str, leaf: Any) -> Input:
        def rounded(numbers: Any) -> Any:
            exact = self.torch.as_tensor(np.asarray(numbers), dtype=self.torch.float64)
            return exact.to(leaf.dtype).to(self.torch.float64).numpy()

        values = leaf.detach().to("cpu", self.torch.float64).numpy().copy()
        return Input(name, values, rounded, float(self.torch.finfo(leaf.dtype).eps))

    def write(self, leaf: Any, values: Any) -> Any:
        new = self.torch.as_tensor(values, dtype=leaf.dtype, device=leaf.device)
        if not (leaf.is_leaf and leaf.requires_grad):
            return new.clone().requires_grad_()
        with self.torch.no_grad():
            leaf.copy_(new)
        return leaf

    def numbers(self, output: Any) -> tuple[Any, float]:
        if not isinstance(output, self.torch.Tensor):
            return super().numbers(output)
        epsilon = self.torch.finfo(output.dtype).eps if output.is_floating_point() else EPSILON
        return output.detach().to("cpu", self.torch.float64).numpy(), float(epsilon)

    def gradient(self, f: OfArrays, leaves: Arrays, cotangents: Arrays) -> Arrays:
        found = self._gradient(f, leaves, cotangents, again=False)
        return [self.numbers(g)[0] for g in found]

    def hessian_times(self, f: OfArrays, leaves: Arrays, cotangents: Arrays, u: Arrays) -> Arrays:
        gradient = self._gradient(f, leaves, cotangents, again=True)
        weights = [self.torch.as_tensor(w, dtype=g.dtype, device=g.device) for w, g in zip(u, gradient)]
        found = self._differentiate(gradient, leaves, weights, again=False)
        return [self.numbers(g)[0] for g in found]

    def _gradient(self, f: OfArrays, leaves: Arrays, cotangents: Arrays, again: bool) -> list[Any]:
        outputs = [output for _, output in leaves_of(f(list(leaves)))]
        weights = [
            self.torch.as_tensor(c, dtype=output.dtype, device=output.device)
            for output, c in zip(outputs, cotangents)
        ]
        return self._differentiate(outputs, leaves, weights, again)

    def _differentiate(self, outputs: Arrays, leaves: Arrays, weights: Arrays, again: bool) -> list[Any]:
        """Σ weight·∂output/∂leaf; zero where an output does not depend on a leaf."""
        pairs = [(output, w) for output, w in zip(outputs, weights) if output.requires_grad]
        if not pairs:
            return [self.torch.zeros_like(leaf) for leaf in leaves]
        with_grad, its_weights = zip(*pairs)
        options = {"allow_unused": True, "create_graph": again}
        found = self.torch.autograd.grad(with_grad, leaves, its_weights, **options)
        return [self.torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found)]

    def restore(self) -> None:
        with self.torch.no_grad():
            for tensor, values in self.before:
                tensor.copy_(values)


class JAX(NumPy):
    """Arrays of JAX, which are never changed in place."""

    def __init__(self) -> None:
        import jax

        self.jax = jax

    def is_array(self, leaf: Any) -> bool:
        return isinstance(leaf, (self.jax.Array, np.ndarray)) and self._is_real(leaf.dtype)

    def write(self, leaf: Any, values: Any) -> Any:
        return self.jax.numpy.asarray(np.asarray(values).astype(leaf.dtype))

    def numbers(self, output: Any) -> tuple[Any, float]:
        array = self.jax.numpy.asarray(output)
        return np.asarray(array).astype(np.float64), self._epsilon(array.dtype)

    def gradient(self, f: OfArrays, leaves: Arrays, cotangents: Arrays) -> Arrays:
        return [np.asarray(g).astype(np.float64) for g in self._gradient(f, leaves, cotangents)]

    def hessian_times(self, f: OfArrays, leaves: Arrays, cotangents: Arrays, u: Arrays) -> Arrays:
        def slope(arrays: list[Any]) -> Any:
            found = self._gradient(f, arrays, cotangents)
            return sum((g * np.asarray(w).astype(g.dtype)).sum() for g, w in zip(found, u))

        return [np.asarray(g).astype(np.float64) for g in self.jax.grad(slope)(list(leaves))]

    def _gradient(self, f: OfArrays, leaves: Arrays, cotangents: Arrays) -> list[Any]:
        outputs, pull_back = self.jax.vjp(f, list(leaves))
        weights = [
            np.asarray(c).astype(self._tangent_type(output.dtype))
            for (_, output), c in zip(leaves_of(outputs), cotangents)
        ]
        [found] = pull_back(with_leaves(outputs, iter(weights)))
        return list(found)

    def _tangent_type(self, dtype: Any) -> Any:
        return dtype if self._is_real(dtype) else self.jax.dtypes.float0

    def _is_real(self, dtype: Any) -> bool:
        """JAX has more kinds of real numbers, such as bfloat16."""
        return super()._is_real(dtype) or bool(self.jax.numpy.issubdtype(dtype, self.jax.numpy.floating))

    def _epsilon(self, dtype: Any) -> float:
        return float(self.jax.numpy.finfo(dtype).eps) if self._is_real(dtype) else EPSILON


def framework_of(leaves: Sequence[Any], module: Any = None) -> NumPy | PyTorch | JAX:
    """The framework whose arrays are among the leaves."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and any(isinstance(leaf, torch.Tensor) for leaf in leaves):
        return PyTorch(leaves, module)
    if jax is not None and any(isinstance(leaf, jax.Array) for leaf in leaves):
        return JAX()
    return NumPy()
