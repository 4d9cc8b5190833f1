"""An optimizer's `rule` (§10), which is written for one parameter, compiled as a loop over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core.errors import NumbaError

from micrograd_mlp.compiled.native import Floats, Lock, by_address, entry, first_line, inlined, named
from micrograd_mlp.compiled.rebuild import source_key


def _signature(n: int, theta: Floats, gradient: Floats, t: int, state: Floats, settings: Floats) -> None: ...


call_rule = by_address(_signature)


def compiled_rule(rule: Callable[..., Any], n_states: int, n_settings: int) -> Any:
    """A function that takes one step of `rule` for n parameters, in place, for `native.address_of`.

    Rules of equal source share one.

    Raises:
        TypeError: Numba cannot compile the rule.
    """
    key = source_key(rule), n_states, n_settings
    with _lock:
        if key not in _known:
            _known[key] = _compiled(rule, n_states, n_settings)
        return _known[key]


_known: dict[Any, Any] = {}
_lock = Lock()


def _compiled(rule: Callable[..., Any], n_states: int, n_settings: int) -> Any:
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
    is_ours = getattr(rule, "__module__", None) == "micrograd_mlp.optim"
    exec(compile(text, rule.__code__.co_filename if is_ours else "<rule>", "exec"), scope)
    step = named(scope["step"])
    step.__qualname__ += f"_{rule.__qualname__}"
    try:
        return entry(step, _signature, cache=is_ours)
    except NumbaError as error:
        raise TypeError(
            f"the rule of this optimizer can't be compiled; write it with arithmetic and math's functions, "
            f"for one parameter: {first_line(error)}"
        ) from error
