"""Operations that cannot become machine code: it calls them back in Python, example by example."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from micrograd_mlp.compiled.code import Target
from micrograd_mlp.compiled.kernels import BLOCK, WORDS
from micrograd_mlp.engine.modes import mode
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.value import Value

_CALLBACK = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)


class PythonOperation:
    """An operation of n inputs with two functions that take the place of its kernels.

    Attributes:
        op, n: the record, and the number of inputs.
        number: what is noted in the block when the operation raises an error.
        reason: why it is not compiled.
        forward_address, backward_address: of the two functions.
        errors: what was raised and not passed on yet.
    """

    def __init__(self, op: Op, n: int, number: int, reason: str, target: Target) -> None:
        self.op, self.n, self.number, self.reason = op, n, number, reason
        self.errors: list[BaseException] = []
        self._real: Any = ctypes.c_double if target.real == "double" else ctypes.c_float
        self._functions = [_CALLBACK(self._guarded(f)) for f in (self._forward, self._backward)]
        self.forward_address, self.backward_address = [
            int(ctypes.cast(function, ctypes.c_void_p).value or 0) for function in self._functions
        ]

    def _guarded(self, function: Any) -> Any:
        def call(run: int, values: int, adjoints: int, block: int) -> None:
            word = dict(zip(WORDS, _integers(run, len(WORDS))))
            of_block = dict(zip(BLOCK, _integers(block, len(BLOCK))))
            try:
                with mode(tracing=False, anomalies=None):
                    function(word, values, adjoints, of_block["lanes"], of_block["examples"])
            except BaseException as error:  # Ctrl-C too: machine code would ignore it
                self.errors.append(error)
                ctypes.c_int64.from_address(of_block["failed"]).value = self.number

        return call

    def _lanes(self, numbers: int, offset: int, lanes: int, examples: int) -> Any:
        """The numbers at an offset, one for each example."""
        first = numbers + offset * lanes * ctypes.sizeof(self._real)
        return np.frombuffer((self._real * examples).from_address(first), self._real)

    def _forward(self, word: dict[str, int], values: int, _: int, lanes: int, examples: int) -> None:
        for i, operands in enumerate(self._table(word, "operands")):
            x = np.stack([self._lanes(values, offset, lanes, examples) for offset in operands], axis=1)
            results = self._lanes(values, word["first"] + i, lanes, examples)
            for lane, inputs in enumerate(x.tolist()):
                results[lane] = self._node(inputs, recording=False).data

    def _backward(self, word: dict[str, int], values: int, adjoints: int, lanes: int, examples: int) -> None:
        tables = zip(self._table(word, "operands"), self._table(word, "operand_adjoints"))
        for i, (operands, given) in enumerate(tables):
            x = np.stack([self._lanes(values, offset, lanes, examples) for offset in operands], axis=1)
            g = self._lanes(adjoints, word["first_adjoint"] + i, lanes, examples)
            slopes = np.array([self._node(inputs, recording=True).local_grads for inputs in x.tolist()])
            for j, offset in enumerate(given):
                row = self._lanes(adjoints, offset, lanes, examples)
                with np.errstate(all="ignore"):
                    row += slopes[:, j] * g

    def _table(self, word: dict[str, int], name: str) -> Any:
        """The offsets of the operands, one row a result."""
        return np.reshape(_integers(word[name], word["n_results"] * self.n), (-1, self.n)).tolist()

    def _node(self, inputs: list[float], recording: bool) -> Value:
        with mode(recording=recording):
            node: Value = self.op(*[Value(x) for x in inputs])
            return node


def _integers(address: int, n: int) -> list[int]:
    return list((ctypes.c_int64 * n).from_address(address))
