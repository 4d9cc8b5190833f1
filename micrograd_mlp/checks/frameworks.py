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
from micrograd_mlp.checks.structure import leaves_of, with_leaves

Arrays = Sequence[Any]
OfArrays = Callable[[list[Any]], Any]
"""A function of a list of arrays."""
COMPLEX = "gradcheck takes real arrays: check the real and the imaginary part as two inputs"


class NumPy:
    """Arrays of NumPy and plain numbers; the gradient has to be given."""

    name = "NumPy"

    def is_array(self, leaf: Any) -> bool:
        """Is this an array or a number with a derivative?"""
        if isinstance(leaf, (np.ndarray, np.generic)):
            if leaf.dtype.kind == "c":
                raise TypeError(COMPLEX)
            return leaf.dtype.kind == "f"
        return isinstance(leaf, (float, int)) and not isinstance(leaf, bool)

    def read(self, name: str, leaf: Any) -> Input:
        """The array as an input of the check."""
        dtype = leaf.dtype if isinstance(leaf, (np.ndarray, np.generic)) else np.dtype(np.float64)
        if dtype.itemsize > 8:
            dtype = np.dtype(np.float64)
        return Input(name, np.array(leaf, dtype=np.float64), _rounding_to(dtype), float(np.finfo(dtype).eps))

    def write(self, leaf: Any, values: Any) -> Any:
        """A new array of the leaf's kind with these values."""
        if isinstance(leaf, np.ndarray):
            return np.array(values, dtype=leaf.dtype)
        return type(leaf)(values) if isinstance(leaf, np.generic) else float(values)

    def numbers(self, output: Any) -> tuple[Any, float]:
        """An output as float64 numbers, and the precision in which it was computed."""
        array = np.asarray(output)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"f returns numbers or arrays of them, got {output!r:.60}")
        exact = array.dtype.kind != "f" or array.dtype.itemsize >= 8
        return array.astype(np.float64).ravel(), float(np.finfo(np.float64 if exact else array.dtype).eps)

    def gradient(self, f: OfArrays, leaves: Arrays, cotangents: Arrays) -> Arrays:
        """NumPy has no derivatives."""
        raise TypeError(
            "NumPy does not differentiate f: give gradient=, a function of the same arguments or its values"
        )

    def hessian_times(self, f: OfArrays, leaves: Arrays, cotangents: Arrays, u: Arrays) -> Arrays:
        """NumPy has no second derivatives."""
        raise ValueError(
            "order=2 needs second derivatives, which NumPy does not give: check the gradient as a "
            "function of its own, gradcheck(jac, x, hess)"
        )

    def restore(self) -> None:
        """NumPy's arrays are copied, so that nothing has to be put back."""


class PyTorch(NumPy):
    """Tensors. Parameters are changed in place, so that a module uses them, and put back."""

    name = "PyTorch"

    def __init__(self, leaves: Sequence[Any], module: Any = None) -> None:
        import torch

        self.torch = torch
        wanted = [x for x in leaves if isinstance(x, torch.Tensor) and x.requires_grad]
        self.only = set(map(id, wanted))
        self.before = [(x, x.detach().clone()) for x in wanted if x.is_leaf]
        if module is not None:
            self.before += [(buffer, buffer.detach().clone()) for buffer in module.buffers()]

    def is_array(self, leaf: Any) -> bool:
        """Those that require a gradient are checked, or all of them where none does."""
        if not isinstance(leaf, self.torch.Tensor):
            return False
        if leaf.is_complex():
            raise TypeError("gradcheck takes real tensors: check torch.view_as_real(z) instead")
        return leaf.is_floating_point() and (not self.only or id(leaf) in self.only)

    def read(self, name: str, leaf: Any) -> Input:
        """The tensor as an input of the check."""

        def rounded(numbers: Any) -> Any:
            exact = self.torch.as_tensor(np.asarray(numbers), dtype=self.torch.float64)
            return exact.to(leaf.dtype).to(self.torch.float64).numpy()

        values = leaf.detach().to("cpu", self.torch.float64).numpy().copy()
        return Input(name, values, rounded, float(self.torch.finfo(leaf.dtype).eps))

    def write(self, leaf: Any, values: Any) -> Any:
        """The leaf itself, or a new tensor in its place, with these values."""
        new = self.torch.as_tensor(values, dtype=leaf.dtype, device=leaf.device)
        if not (leaf.is_leaf and leaf.requires_grad):
            return new.clone().requires_grad_()
        with self.torch.no_grad():
            leaf.copy_(new)
        return leaf

    def numbers(self, output: Any) -> tuple[Any, float]:
        """An output as float64 numbers, and the precision in which it was computed."""
        if not isinstance(output, self.torch.Tensor):
            return super().numbers(output)
        epsilon = self.torch.finfo(output.dtype).eps if output.is_floating_point() else 2.0**-52
        return output.detach().to("cpu", self.torch.float64).numpy().ravel(), float(epsilon)

    def gradient(self, f: OfArrays, leaves: Arrays, cotangents: Arrays) -> Arrays:
        """Σ cotangent·∂output/∂leaf, as PyTorch computes it."""
        found = self._gradient(f, leaves, cotangents, again=False)
        return [self.numbers(g)[0].reshape(tuple(g.shape)) for g in found]

    def hessian_times(self, f: OfArrays, leaves: Arrays, cotangents: Arrays, u: Arrays) -> Arrays:
        """The gradient of Σ u·(gradient of f), by differentiating twice."""
        gradient = self._gradient(f, leaves, cotangents, again=True)
        weights = [self.torch.as_tensor(w, dtype=g.dtype, device=g.device) for w, g in zip(u, gradient)]
        found = self._differentiate(gradient, leaves, weights, again=False)
        return [self.numbers(g)[0].reshape(tuple(g.shape)) for g in found]

    def _gradient(self, f: OfArrays, leaves: Arrays, cotangents: Arrays, again: bool) -> list[Any]:
        outputs = [output for _, output in leaves_of(f(list(leaves)))]
        weights = [
            self.torch.as_tensor(c, dtype=output.dtype, device=output.device).reshape(output.shape)
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
        """Put parameters and buffers back."""
        with self.torch.no_grad():
            for tensor, values in self.before:
                tensor.copy_(values)


class JAX(NumPy):
    """Arrays of JAX, which are never changed in place."""

    name = "JAX"

    def __init__(self) -> None:
        import jax

        self.jax = jax

    def is_array(self, leaf: Any) -> bool:
        """Is this an array with a derivative?"""
        if isinstance(leaf, self.jax.Array) and leaf.dtype.kind == "c":
            raise TypeError(COMPLEX)
        return isinstance(leaf, (self.jax.Array, np.ndarray)) and self.jax.numpy.issubdtype(
            leaf.dtype, self.jax.numpy.floating
        )

    def read(self, name: str, leaf: Any) -> Input:
        """The array as an input of the check."""
        epsilon = float(self.jax.numpy.finfo(leaf.dtype).eps)
        return Input(name, np.asarray(leaf).astype(np.float64), _rounding_to(leaf.dtype), epsilon)

    def write(self, leaf: Any, values: Any) -> Any:
        """A new array in the leaf's precision."""
        return self.jax.numpy.asarray(np.asarray(values).astype(leaf.dtype))

    def numbers(self, output: Any) -> tuple[Any, float]:
        """An output as float64 numbers, and the precision in which it was computed."""
        array = self.jax.numpy.asarray(output)
        floating = self.jax.numpy.issubdtype(array.dtype, self.jax.numpy.floating)
        epsilon = self.jax.numpy.finfo(array.dtype).eps if floating else 2.0**-52
        return np.asarray(array).astype(np.float64).ravel(), float(epsilon)

    def gradient(self, f: OfArrays, leaves: Arrays, cotangents: Arrays) -> Arrays:
        """Σ cotangent·∂output/∂leaf, as JAX computes it in reverse."""
        return [np.asarray(g).astype(np.float64) for g in self._gradient(f, leaves, cotangents)]

    def hessian_times(self, f: OfArrays, leaves: Arrays, cotangents: Arrays, u: Arrays) -> Arrays:
        """The gradient of Σ u·(gradient of f), by differentiating twice."""

        def slope(arrays: list[Any]) -> Any:
            found = self._gradient(f, arrays, cotangents)
            return sum((g * np.asarray(w).astype(g.dtype)).sum() for g, w in zip(found, u))

        return [np.asarray(g).astype(np.float64) for g in self.jax.grad(slope)(list(leaves))]

    def _gradient(self, f: OfArrays, leaves: Arrays, cotangents: Arrays) -> list[Any]:
        outputs, pull_back = self.jax.vjp(f, list(leaves))
        weights = [
            np.asarray(c).reshape(output.shape).astype(self._tangent_type(output))
            for (_, output), c in zip(leaves_of(outputs), cotangents)
        ]
        [found] = pull_back(with_leaves(outputs, iter(weights)))
        return list(found)

    def _tangent_type(self, output: Any) -> Any:
        floating = self.jax.numpy.issubdtype(output.dtype, self.jax.numpy.floating)
        return output.dtype if floating else self.jax.dtypes.float0


def framework_of(leaves: Sequence[Any], module: Any = None) -> NumPy | PyTorch | JAX:
    """The framework whose arrays are among the leaves."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and any(isinstance(leaf, torch.Tensor) for leaf in leaves):
        return PyTorch(leaves, module)
    if jax is not None and any(isinstance(leaf, jax.Array) for leaf in leaves):
        return JAX()
    return NumPy()


def _rounding_to(dtype: Any) -> Callable[[Any], Any]:
    return lambda numbers: np.asarray(numbers).astype(dtype).astype(np.float64)
