"""Compiled execution: record the graph of one example, then execute it for whole batches in machine code.

The way of a number from X to `.grad`:

    f(x, y) ──trace──▶ Graph ──passes──▶ sums, affine maps, softmaxes ──plan──▶ two tapes
                                                                                  │
    X ──▶ block of examples ──▶ varying tape forward ──▶ loss                     │  for each block,
                                varying tape backward ◀── 1/n                     │  in each thread
                                       │
    parameters ──▶ uniform tape ◀──────┘ adjoints of weights and of what was broadcast
                   uniform tape backward ──▶ gradient ──▶ the optimizer's rule, or `.grad`

program      `compile` and what it returns: checks what the user passes, and prepares a call
trace        calls f once with placeholders; its graph becomes a list of numbered operations
passes       what varies and what does not; sums of products, affine maps, softmaxes
plan         an offset for every number, and runs of equal operations
check        compares the recorded graph with f; reached: what f can reach besides its arguments
machine      a plan with its memory, on one core or several
loop         training: chunks of steps, Ctrl-C, numbers that are no longer finite
layout       a plan as machine code reads it: for each run the addresses of its kernels
steps        the machine code that Python calls: steps, shards of a batch, blocks of examples
unrolled     the same for a small graph, whose operations are written one after another
kernels      the machine code of each kind of run; affine: that of layers
records      operations and rules as machine code, from their own Python; functions: exp, tanh and others
operations   what cannot become machine code, and is called in Python
code         writes LLVM's language; native: makes machine code of it, and keeps that on disk
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers; at run time all are imported when first asked for
    from micrograd_mlp.compiled.machine import get_num_threads, set_num_threads
    from micrograd_mlp.compiled.program import Program, compile

__all__ = ["Program", "compile", "get_num_threads", "set_num_threads"]


def __getattr__(name: str) -> Any:
    """What needs llvmlite and NumPy; recording a graph and the passes over it do not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import llvmlite  # noqa: F401  (only to see that it is there)
        import numpy  # noqa: F401  (so is this)
    except ImportError as error:
        if sys.platform == "emscripten":
            raise ImportError(
                "compile() makes machine code, which does not exist in the browser: run this in Python on "
                "your own machine. fit() also works here, without compiled=True"
            ) from None
        raise ImportError(
            'compile() needs llvmlite and NumPy: pip install "micrograd_mlp[compile]"'
        ) from error
    module = "machine" if name.endswith("num_threads") else "program"
    return getattr(importlib.import_module(f"micrograd_mlp.compiled.{module}"), name)
