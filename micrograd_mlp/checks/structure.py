"""Inputs, gradients and outputs may be arrays in lists and dicts: here they become flat lists with names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def leaves_of(structure: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All arrays and numbers in lists, tuples and dicts, each with the name `outer.inner` that leads to it.

    >>> list(leaves_of({"W": 1.0, "layers": [2.0, 3.0]}))
    [('W', 1.0), ('layers.0', 2.0), ('layers.1', 3.0)]
    """
    if isinstance(structure, Mapping):
        items: Any = structure.items()
    elif isinstance(structure, (list, tuple)):
        items = enumerate(structure)
    else:
        yield name, structure
        return
    for key, item in items:
        yield from leaves_of(item, f"{name}.{key}" if name else str(key))


def with_leaves(structure: Any, leaves: Iterator[Any]) -> Any:
    """The same lists, tuples and dicts around other leaves.

    >>> with_leaves({"W": 1.0, "layers": [2.0, 3.0]}, iter("abc"))
    {'W': 'a', 'layers': ['b', 'c']}
    """
    if isinstance(structure, Mapping):
        return {key: with_leaves(item, leaves) for key, item in structure.items()}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*[with_leaves(item, leaves) for item in structure])
    if isinstance(structure, (list, tuple)):
        return type(structure)([with_leaves(item, leaves) for item in structure])
    return next(leaves)


def accepts(f: Callable[..., Any], *arguments: Any, **keywords: Any) -> bool:
    """Can f be called with such arguments?"""
    try:
        inspect.signature(f).bind(*arguments, **keywords)
    except (TypeError, ValueError):
        return False
    return True


def parameters_of(f: Callable[..., Any]) -> list[inspect.Parameter]:
    """What f takes; nothing where it does not say, as some built-in functions."""
    try:
        return list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return []


def argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """What f calls its first arguments; x1, x2, … where it does not say."""
    names = [f"x{i + 1}" for i in range(count)]
    for i, parameter in enumerate(parameters_of(f)[:count]):
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names[i] = parameter.name
    return names
