"""The graphs that the site shows as live pages, by the name that the directive `live` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from micrograd_mlp import Value, datasets, exercises, explore, playground


def neuron() -> Any:
    """One neuron, as on the landing page."""
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(-0.75, "b")
    a = (w * x + b).tanh()
    a.label = "a"
    a.backward()
    return explore(a)


def product() -> Any:
    """x²y, as in the quick start."""
    x, y = Value(2.0, "x"), Value(5.0, "y")
    f = x**2 * y
    f.label = "f"
    f.backward()
    return explore(f)


def moons() -> Any:
    """The network of the quick start and its data, to be trained in the page."""
    return playground(*datasets.moons(60, noise=0.1, seed=0), hidden=[8], optimizer="Adam", lr=0.05)


def exercise() -> Any:
    """Twelve random graphs, whose gradients are filled in."""
    return exercises.fill_in_the_gradients(seed=2)


def layers() -> Any:
    """Twelve random networks, whose error signals and gradients are filled in."""
    return exercises.fill_in_a_network(seed=1, layer_sizes=[2, 2, 1], activation="sigmoid", n_examples=2)


# The function that makes a page, its title, and its height in pixels.
PAGES: dict[str, tuple[Callable[[], Any], str, int]] = {
    "neuron": (neuron, "The graph of a neuron, which answers when a number is changed", 640),
    "product": (product, "The graph of x²y, which answers when a number is changed", 640),
    "exercise": (exercise, "Graphs whose gradients are filled in and checked", 680),
    "layers": (layers, "Networks whose error signals are filled in and checked", 980),
    "moons": (moons, "A network that learns two moons in the page", 1120),
}
