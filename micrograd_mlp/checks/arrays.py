"""Gradients of functions of arrays, which are checked from outside: the function is only called."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from micrograd_mlp.checks.directions import DIRECTION_STEP, Group, Subject
from micrograd_mlp.checks.extrapolation import Line, Slopes, slopes_of
from micrograd_mlp.checks.judgement import Settings, View, judge
from micrograd_mlp.checks.noise import KINK_RESOLUTION, slopes_and_noise
from micrograd_mlp.checks.report import Row, not_finite

LAST_ROUNDING = 0.3  # standard deviation of one rounding, in units of the last place


class Input(NamedTuple):
    """One array among the inputs, named as the function's argument, the key or the parameter is."""

    name: str
    values: Any  # float64
    rounded: Callable[[Any], Any]  # to the precision that the function gets
    epsilon: float  # the relative distance of two numbers of that precision


class ArraySubject(Subject):
    """A function of arrays at a point, and the gradient that is claimed for it.

    Args:
        evaluate: takes a list of float64 arrays, one for each input, and returns f as a float.
        inputs: the arrays.
        gradient: one array for each input.
        epsilon: the relative precision in which f returns its result.
        settings: what the user asks for.
    """

    def __init__(
        self,
        evaluate: Callable[[list[Any]], float],
        inputs: Sequence[Input],
        gradient: Sequence[Any],
        epsilon: float,
        settings: Settings,
    ) -> None:
        self.evaluate, self.inputs, self.epsilon, self.settings = evaluate, inputs, epsilon, settings
        self.point = np.concatenate([x.values.ravel() for x in inputs])
        self.gradient: Any = np.concatenate([np.asarray(g, dtype=np.float64).ravel() for g in gradient])
        ends = np.cumsum([x.values.size for x in inputs])
        self.groups = [Group(x.name, int(end) - x.values.size, int(end)) for x, end in zip(inputs, ends)]
        self.sizes: Any = np.concatenate([_sizes(x.values) for x in inputs])
        self.largest = float(np.max(np.abs(self.gradient), initial=0.0, where=np.isfinite(self.gradient)))

    def single(self, position: int) -> Row:
        """Check one derivative."""
        x, label = self._entry(position)
        here = float(self.point[position])

        def function(h: float) -> float:
            moved = self.point.copy()
            moved[position] += h
            return self._at(moved)

        def nearest(h: float) -> float:
            return float(x.rounded(here + h)) - here

        longest = math.frexp(max(1.0, abs(here)))[1] + 1
        bits = round(-math.log2(x.epsilon)) - 4
        line = Line(function, longest, min(0, math.frexp(here)[1]) - bits, nearest)
        return self._judged(label, float(self.gradient[position]), line, self.largest)

    def along(self, label: str, positions: Sequence[int], rng: random.Random) -> Row:
        """Check the slope along a random direction of these entries, whose numbers move all at once."""
        chosen = np.asarray(positions)
        generator = np.random.default_rng(rng.getrandbits(64))
        direction = np.zeros_like(self.point)
        direction[chosen] = random_weights(generator, chosen.size) * self.sizes[chosen]
        terms = self.gradient[chosen] * direction[chosen]

        def function(h: float) -> float:
            return self._at(self.point + h * direction)

        line = Line(function, DIRECTION_STEP, DIRECTION_STEP - 44)
        scale = float(np.abs(terms).sum())
        return self._judged(label, math.fsum(terms), line, scale)

    def _at(self, moved: Any) -> float:
        parts = [moved[g.first : g.last].reshape(x.values.shape) for x, g in zip(self.inputs, self.groups)]
        with np.errstate(all="ignore"):  # far from the point f may overflow or leave its domain
            return self.evaluate(parts)

    def _judged(self, label: str, g: float, line: Line, scale: float) -> Row:
        if not (math.isfinite(line.middle) and math.isfinite(g)):
            return not_finite(label, g)
        least = LAST_ROUNDING * self.epsilon * abs(line.middle)
        if self.settings.noise is None:
            slopes = slopes_and_noise(line, least)
        else:
            slopes = slopes_of(line, self.settings.noise, KINK_RESOLUTION)
        exact = abs(line.middle) / slopes.noise if slopes.noise > 0.0 else 0.0
        digits = round(math.log10(exact)) if exact > 1.0 else 0
        view = View(
            scale,
            _allows_kink,
            # A function that changes in stairs hides a slope between them; one that stays level has none.
            hides_slope=lambda step: slopes.noise > 4.0 * least,
            excuse=f"f is computed to about {digits} digits, which hides slopes below",
        )
        return judge(label, g, slopes, self.settings, view)

    def _entry(self, position: int) -> tuple[Input, str]:
        """The input to which an entry belongs, and the entry's name with NumPy's indices: `W2[3,1]`."""
        x, group = next(pair for pair in zip(self.inputs, self.groups) if position < pair[1].last)
        index = np.unravel_index(position - group.first, x.values.shape)
        return x, f"{x.name}[{','.join(map(str, index))}]" if index else x.name


def _allows_kink(g: float, slopes: Slopes) -> bool:
    """Conventions give one of the two slopes, or their mean; anything else is more likely a mistake."""
    left, right = slopes.left.value, slopes.right.value
    return any(abs(g - slope) <= 0.01 * abs(right - left) for slope in (left, right, (left + right) / 2.0))


def random_weights(generator: Any, shape: int | tuple[int, ...]) -> Any:
    """Numbers with random signs and sizes between one half and one."""
    return generator.uniform(0.5, 1.0, shape) * generator.choice([-1.0, 1.0], shape)


def _sizes(values: Any) -> Any:
    """How far the entries of an array move: by their size, or the typical size in the array."""
    typical = float(np.sqrt(np.mean(np.square(values)))) if values.size else 1.0
    return np.maximum(np.abs(values), typical or 1.0).ravel()
