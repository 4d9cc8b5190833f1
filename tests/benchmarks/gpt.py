"""A GPT of scalars: one transformer block that reads a name letter by letter and predicts the next one.

It is the network of notebook 11: an embedding of the letter and one of its position, then attention with
several heads, then two layers with a ReLU between them. Each of the last two reads a normalized copy of the
vector, and adds to the vector. There are no biases. The same class runs in two arithmetics, so that each
package is measured on the operations that it has:

- PACKAGE: `dot`, `softmax` and `cross_entropy`, where each sum is one node.
- SCALARS: operators alone and `.exp() .log() .relu()`, ten times as many nodes. Any class with these will do,
  such as `plain_value.Plain`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from micrograd_mlp import Parameter, Value, cross_entropy, dot, equal, softmax

LETTERS = ".abcdefghijklmnopqrstuvwxyz"  # the dot stands before and after a name
Matrix = list[list[Any]]  # its rows


class Arithmetic(NamedTuple):
    """What the network computes with, besides + * **."""

    dot: Callable[[Any, Any], Any]
    softmax: Callable[[Sequence[Any]], list[Any]]
    cross_entropy: Callable[[Sequence[Any], Any], Any]
    relu: Callable[[Any], Any] = lambda z: z.relu()


def _sum_of_products(w: Any, x: Any) -> Any:
    return sum(w_k * x_k for w_k, x_k in zip(w, x))


def _softmax_of_scalars(z: Sequence[Any]) -> list[Any]:
    largest = max(z_k.data for z_k in z)
    exponentials = [(z_k - largest).exp() for z_k in z]
    normalizer = sum(exponentials)
    return [e / normalizer for e in exponentials]


def _cross_entropy_of_scalars(logits: Sequence[Any], target: int) -> Any:
    return -_softmax_of_scalars(logits)[target].log()


PACKAGE = Arithmetic(dot, softmax, cross_entropy)
SCALARS = Arithmetic(_sum_of_products, _softmax_of_scalars, _cross_entropy_of_scalars)


class GPT:
    """The network.

    Args:
        width: the size of the vector that stands for a letter; a multiple of `n_heads`.
        n_heads: the number of heads of the attention.
        n_positions: the largest number of letters that it can read, the dot included.
        seed: of the weights.
        parameter: makes a parameter from a number.
        arithmetic: PACKAGE or SCALARS.
    """

    def __init__(
        self,
        width: int = 16,
        n_heads: int = 4,
        n_positions: int = 16,
        seed: int = 0,
        parameter: Callable[[float], Any] = Parameter,
        arithmetic: Arithmetic = PACKAGE,
    ) -> None:
        rng = random.Random(seed)

        def matrix(n_rows: int, n_columns: int) -> Matrix:
            return [[parameter(rng.gauss(0.0, 0.08)) for _ in range(n_columns)] for _ in range(n_rows)]

        self.arithmetic, self.n_heads = arithmetic, n_heads
        self.letters, self.positions = matrix(len(LETTERS), width), matrix(n_positions, width)
        self.query, self.key, self.value, self.mix = [matrix(width, width) for _ in range(4)]
        self.up, self.down = matrix(4 * width, width), matrix(width, 4 * width)
        self.next = matrix(len(LETTERS), width)

    def parameters(self) -> list[Any]:
        attention = (self.query, self.key, self.value, self.mix)
        matrices = (self.letters, self.positions, *attention, self.up, self.down, self.next)
        return [parameter for matrix in matrices for row in matrix for parameter in row]

    def read(self, token: Any, memory: list[tuple[list[Any], list[Any]]]) -> list[Any]:
        """The logits of the letter that follows, after `token` and those that `memory` has of earlier calls.

        Args:
            token: the position of a letter in LETTERS, an int, or a Value while `compile` records.
            memory: the key and the value of each letter so far; those of this one are added.
        """
        position = self.positions[len(memory)]
        x = self._normalized([e + p for e, p in zip(self._embedding(token), position)])
        x = _sums(x, self._attention(self._normalized(x), memory))
        hidden = [self.arithmetic.relu(z) for z in self._product(self.up, self._normalized(x))]
        x = _sums(x, self._product(self.down, hidden))
        return self._product(self.next, x)

    def loss(self, x: Sequence[Any], y: Sequence[Any]) -> Any:
        """The mean cross entropy of one name: y has the letter that follows each letter of x."""
        memory: list[tuple[list[Any], list[Any]]] = []
        logits = [self.read(token, memory) for token in x]
        losses = [self.arithmetic.cross_entropy(z, target) for z, target in zip(logits, y)]
        return sum(losses[1:], losses[0]) * (1.0 / len(losses))

    def _embedding(self, token: Any) -> list[Any]:
        """The row of a letter. A token that is a Value becomes one-hot, and the row a product: eᵀ = 1ᵀE."""
        if not isinstance(token, Value):
            return self.letters[token]
        one_hot = [equal(token, float(k)) for k in range(len(self.letters))]
        return [dot(one_hot, column) for column in zip(*self.letters)]

    def _attention(self, x: list[Any], memory: list[tuple[list[Any], list[Any]]]) -> list[Any]:
        """Each head mixes the values of all letters so far, by how well their keys fit the query."""
        query = self._product(self.query, x)
        memory.append((self._product(self.key, x), self._product(self.value, x)))
        size = len(x) // self.n_heads
        heads: list[Any] = []
        for start in range(0, len(x), size):
            head = slice(start, start + size)
            fits = [self.arithmetic.dot(query[head], key[head]) * size**-0.5 for key, _ in memory]
            weights = self.arithmetic.softmax(fits)
            columns = zip(*[value[head] for _, value in memory])
            heads += [self.arithmetic.dot(weights, column) for column in columns]
        return self._product(self.mix, heads)

    def _normalized(self, x: list[Any]) -> list[Any]:
        """x divided by the root of its mean square."""
        scale = (self.arithmetic.dot(x, x) * (1.0 / len(x)) + 1e-5) ** -0.5
        return [x_k * scale for x_k in x]

    def _product(self, matrix: Matrix, x: list[Any]) -> list[Any]:
        return [self.arithmetic.dot(row, x) for row in matrix]


def _sums(x: list[Any], y: list[Any]) -> list[Any]:
    return [x_k + y_k for x_k, y_k in zip(x, y)]


def example(name: str) -> tuple[list[int], list[int]]:
    """x and y of `GPT.loss`: the letters with a dot before them, and with a dot behind."""
    tokens = [LETTERS.index(letter) for letter in name]
    return [0, *tokens], [*tokens, 0]
