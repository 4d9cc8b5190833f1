"""Checks of arguments, shared by the whole package: each says what was seen and what is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random


def as_float(x: Any) -> float:
    """A real number (int, float, NumPy scalar, Fraction …) as a float; anything else is a TypeError."""
    if type(x) is float:
        return x
    # Text, None, complex numbers and arrays are refused: converting them would hide a mistake.
    is_complex = isinstance(x, complex) or getattr(getattr(x, "dtype", None), "kind", "") == "c"
    if hasattr(x, "__float__") and not is_complex and not hasattr(x, "__len__"):
        try:
            return float(x)
        except OverflowError:
            raise TypeError(f"expected a real number that fits a float, got {x!r:.60}") from None
    raise TypeError(f"expected a real number, got {x!r:.60} of type {type(x).__name__}")


def random_generator(seed: int | random.Random | None) -> random.Random:
    """The generator to draw from: the one given, or a new one with that seed (None: a new seed)."""
    import random  # here, since it would take a tenth of the package's import time

    return seed if isinstance(seed, random.Random) else random.Random(seed)
