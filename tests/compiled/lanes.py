"""Functions of `Number`s, run on rows of NumPy's numbers: what a kernel computes in its lanes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from micrograd_mlp.compiled.code import Code, Number
from micrograd_mlp.compiled.native import compiled, target

DTYPES = {"double": np.float64, "float": np.float32}


def run(
    write: Callable[[Code, list[Number]], Sequence[Number]], inputs: Sequence[Any], real: str = "double"
) -> tuple[Any, Any]:
    """What `write` computes from rows of inputs, in vectors and one by one.

    Args:
        write: a function of the code and of one number of each row; it returns any number of results.
        inputs: the rows.
        real: "double" or "float".

    Returns:
        Rows of results: those of vectors, and those of single numbers.
    """
    dtype = DTYPES[real]
    rows = [np.ascontiguousarray(row, dtype) for row in inputs]
    length, n_results = len(rows[0]), 0
    code = Code("lanes", [("table", "ptr"), ("n", "i64")], target(real))
    table, n = code.arguments
    pointers = [code.load(table, k, "ptr") for k in range(2 + len(rows))]

    def body(results: Number) -> Callable[[Number, str], None]:
        def lanes(i: Number, kind: str) -> None:
            nonlocal n_results
            numbers = write(code, [code.load(row, i, kind) for row in pointers[2:]])
            n_results = len(numbers)
            for k, number in enumerate(numbers):
                assert number.type == kind
                code.store(number, results, n * k + i)

        return lanes

    code.each(n, body(pointers[0]))
    with code.loop(n) as i:
        body(pointers[1])(i, code.target.real)
    machine = compiled(code)
    in_vectors, one_by_one = np.empty((2, n_results, length), dtype)
    addresses = np.array([row.ctypes.data for row in (in_vectors, one_by_one, *rows)], np.int64)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(machine.address("lanes"))(
        addresses.ctypes.data, length
    )
    return in_vectors, one_by_one
