"""Compiled execution: record the graph of one example, replay it over a batch in native code.

trace        f is called once with placeholders; its graph becomes a list of numbered operations
passes       what varies and what does not; sums of products; layers
tape         a place for every number, and runs of equal operations
native       how functions become machine code, functions: exp, tanh … four at a time,
elementwise, layers, interpreter, kernels: the machine code, from one operation up to many steps
rules        optimizers and a user's own operations, compiled on demand
machine      a tape with its memory, on one core or several
loop         training
program      `compile` and what it returns
"""

from __future__ import annotations

try:
    import numba  # noqa: F401  # the extra's one package; everything below needs it
except ImportError as error:
    raise ImportError('compile() needs Numba: pip install "micrograd_mlp[compile]"') from error

from micrograd_mlp.compiled.program import Program, compile

__all__ = ["Program", "compile"]
