"""What comes from outside as a Python function and is compiled on demand: optimizers and a user's operations.

An optimizer's `rule` (§10) is written for one parameter; here it stands in a loop over all of them. A
user's own operations stand in loops over lanes. Both are called through their address.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
from numba import cfunc, types
from numba.core.errors import NumbaError

from micrograd_mlp.compiled.elementwise import compiled_forward, compiled_partials
from micrograd_mlp.compiled.native import OPTIONS, RULE_SIGNATURE, USER_SIGNATURE, inlined, named
from micrograd_mlp.engine.op import Op


@functools.cache
def compiled_rule(rule: Callable[..., Any], n_states: int, n_settings: int) -> Any:
    """A loop over θ, in place, that takes one step of `rule`.

    Raises:
        TypeError: Numba cannot compile the rule.
    """
    states = [f"state[{k} * n + i]" for k in range(n_states)]
    settings = [f"setting_{k}" for k in range(n_settings)]
    results = ", ".join(["theta[i]", *states])
    text = "def step(n, theta, g, t, state, settings):\n"
    text += "    steps = float(t)\n"  # a float, and in front of the loop: βᵗ is computed once, not for each θ
    for k, setting in enumerate(settings):
        text += f"    {setting} = settings[{k}]\n"
    text += "    for i in range(n):\n"
    text += f"        {results}, = rule({', '.join(['theta[i]', 'g[i]', 'steps', *states, *settings])})\n"
    scope: dict[str, Any] = {"rule": inlined(rule), "__name__": __name__}
    # Under the file of the rules, so that Numba caches it until they change. Others may depend on anything.
    ours = getattr(rule, "__module__", None) == "micrograd_mlp.optim"
    exec(compile(text, rule.__code__.co_filename if ours else "<rule>", "exec"), scope)
    if numba.config.DISABLE_JIT:
        return scope["step"]
    step = named(scope["step"])
    step.__qualname__ += f"_{rule.__qualname__}"
    try:
        return cfunc(RULE_SIGNATURE, **OPTIONS, cache=ours)(step)
    except NumbaError as error:
        raise TypeError(
            f"the rule of this optimizer can't be compiled; write it with arithmetic and math's functions, "
            f"for one parameter: {_first_line(error)}"
        ) from error


@functools.cache
def compiled_operations(ops: tuple[tuple[Op, int], ...]) -> Any:
    """One function for a user's own operations with their numbers of operands, see `native.USER_SIGNATURE`.

    Raises:
        TypeError: Numba cannot compile one of them.
    """
    text, scope = "def operations(code, lanes, rows):\n", dict[str, Any]()
    for k, (op, n) in enumerate(ops):
        scope[f"forward_{k}"] = _tested(op, "forward", compiled_forward(op), n)
        scope[f"partials_{k}"] = _tested(op, "partials", compiled_partials(op), n + 1)
        operands = ", ".join([f"rows[{j} * lanes + i]" for j in range(n)])
        text += f"    if code == {k}:\n        for i in range(lanes):\n"
        text += f"            rows[{n} * lanes + i] = forward_{k}({operands})\n"
        text += f"    if code == {-1 - k}:\n        for i in range(lanes):\n"
        text += f"            p = partials_{k}(rows[{n} * lanes + i], {operands})\n"
        for j in range(n):
            text += f"            rows[{n + 2 + j} * lanes + i] = p[{j}] * rows[{n + 1} * lanes + i]\n"
    exec(text, scope)
    if numba.config.DISABLE_JIT:
        return scope["operations"]
    return cfunc(USER_SIGNATURE, **OPTIONS)(scope["operations"])


def _tested(op: Op, what: str, function: Any, n_arguments: int) -> Any:
    """The function, if Numba can compile a call of it with so many floats."""
    if numba.config.DISABLE_JIT:
        return function
    names = ", ".join([f"x{k}" for k in range(n_arguments)])
    call: Any = inlined(eval(f"lambda {names}: function({names})", {"function": function}))
    try:
        call.compile((types.float64,) * n_arguments)
    except NumbaError as error:
        raise TypeError(
            f"op {op.name!r}: its {what} can't be compiled for {n_arguments} numbers; write it with "
            "arithmetic, math's functions and those of micrograd_mlp by name, such as cos(x): "
            f"{_first_line(error)}"
        ) from error
    return call


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Failed in")]
    return lines[0].strip() if lines else type(error).__name__
