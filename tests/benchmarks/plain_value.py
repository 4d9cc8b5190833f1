"""A Value that can do nothing but this: the least that backpropagation of scalars costs in Python.

Its rules are written by hand into its operators. There are no modes, labels, records of operations, checks of
arguments, nor anything that draws, explains, compiles or differentiates twice. What `micrograd_mlp.Value`
costs more is the price of those.
"""

from __future__ import annotations

import math
from typing import Any


class Plain:
    __slots__ = ("data", "grad", "local_grads", "parents")

    def __init__(
        self, data: float, parents: tuple[Plain, ...] = (), local_grads: tuple[float, ...] = ()
    ) -> None:
        self.data = data
        self.grad = 0.0
        self.parents = parents
        self.local_grads = local_grads

    def __add__(self, other: Any) -> Plain:
        if not isinstance(other, Plain):
            return Plain(self.data + other, (self,), (1.0,))
        return Plain(self.data + other.data, (self, other), (1.0, 1.0))

    def __sub__(self, other: Any) -> Plain:
        return self + -other

    def __mul__(self, other: Any) -> Plain:
        if not isinstance(other, Plain):
            return Plain(self.data * other, (self,), (other,))
        return Plain(self.data * other.data, (self, other), (other.data, self.data))

    def __truediv__(self, other: Any) -> Plain:
        return self * other**-1

    def __pow__(self, n: float) -> Plain:
        return Plain(self.data**n, (self,), (n * self.data ** (n - 1),))

    def __neg__(self) -> Plain:
        return self * -1.0

    __radd__, __rmul__ = __add__, __mul__

    def exp(self) -> Plain:
        result = math.exp(self.data)
        return Plain(result, (self,), (result,))

    def log(self) -> Plain:
        return Plain(math.log(self.data), (self,), (1.0 / self.data,))

    def relu(self) -> Plain:
        return Plain(self.data, (self,), (1.0,)) if self.data > 0.0 else Plain(0.0, (self,), (0.0,))

    def backward(self) -> None:
        order: list[Plain] = []
        visited: set[Plain] = set()
        stack: list[Plain | None] = [self]
        while stack:
            node = stack.pop()
            if node is None:  # the parents of the node below are in the order
                order.append(stack.pop())
            elif node not in visited:
                visited.add(node)
                if node.parents:
                    stack += (node, None, *node.parents)
        self.grad = 1.0
        for node in reversed(order):
            adjoint = node.grad
            for parent, local_grad in zip(node.parents, node.local_grads):
                parent.grad += local_grad * adjoint
