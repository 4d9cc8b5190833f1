"""The graphs that the site shows as live pages, by the name that the directive `live` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from micrograd_mlp import Value, explore


def neuron() -> Any:
    """One neuron, as on the landing page."""
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(-0.75, "b")
    a = (w * x + b).tanh()
    a.label = "a"
    a.backward()
    return explore(a)


# The function that makes a page, its title, and its height in pixels.
PAGES: dict[str, tuple[Callable[[], Any], str, int]] = {
    "neuron": (neuron, "The graph of a neuron, which answers when a number is changed", 640),
}
