"""The slope of a function of one number, and how far that slope may be off (§5).

The slope over a step h is f'(x) + c₁h² + c₂h⁴ + …, so that 4/3 of one slope minus 1/3 of the slope over
twice the step has no h² left. Richardson's extrapolation goes on like that along a ladder of steps, each
half of the last. What still changes from step to step is the estimate of the error. f itself is rounded,
which no step can undo: that uncertainty is a part of the estimate. A step that leaves the domain of f is
dropped, so that the steps shrink until they fit. The slopes to the left and to the right are extrapolated
too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

STEPS = 48  # in a ladder: from about a third of 1 or |x| down to 1e-15 of it
CERTAINTY = 10.0  # an error of more than ten estimates is a wrong derivative
FAR_SHORTER = 4096.0  # the step that a settled slope is compared with is so many times shorter


class Extrapolation:
    """Richardson's: slopes over steps that halve each time, extrapolated to a step of zero.

    `factor` is what the error's leading term shrinks by from step to step: 2² for central slopes, whose
    error has even powers of the step only, and 2 for one-sided ones.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.value, self.estimate = math.nan, math.inf
        self.step, self.rounding, self.scale = 0.0, 0.0, 0.0  # where it was found
        self.last: list[float] = []

    def add(self, slope: float, step: float, rounding: float, scale: float) -> None:
        """Take the slope over the next step, and keep the value that is surest so far."""
        row, power = [slope], 1.0
        value, estimate = slope, math.inf
        for older in self.last[:8]:
            power *= self.factor
            row.append(row[-1] + (row[-1] - older) / (power - 1.0))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - older)) + rounding
            if error < estimate:
                value, estimate = row[-1], error
        self.last = row
        # A shorter step that contradicts a longer one is nearer to the limit.
        contradicted = abs(value - self.value) > CERTAINTY * (estimate + self.estimate)
        if estimate < self.estimate or contradicted:
            self.value, self.estimate = value, estimate
            self.step, self.rounding, self.scale = step, rounding, scale


class Slopes:
    """The slope of a function at a point, and its slopes to the left and to the right."""

    def __init__(self) -> None:
        self.central, self.left, self.right = Extrapolation(4.0), Extrapolation(2.0), Extrapolation(2.0)
        self.steps = 0

    def best(self) -> tuple[float, float]:
        """The slope and its estimate; from both sides where f is only piecewise smooth, as x·|x| is at 0."""
        sides = (self.left.value + self.right.value) / 2.0, (self.left.estimate + self.right.estimate) / 2.0
        return min((self.central.value, self.central.estimate), sides, key=lambda result: result[1])

    def settled(self, rounding: float) -> bool:
        """Would a smaller step add more rounding error than it takes away?"""
        if self.steps < 4 or rounding < self.best()[1]:
            return False
        return all(
            side.estimate <= max(1e-3 * abs(side.value), CERTAINTY * rounding)
            for side in (self.left, self.right)
        )


def slopes_of(at: Callable[[float], float], x: float, noise: float) -> Slopes:
    """Go down the ladder of steps, until rounding errors grow faster than the rest shrinks."""
    slopes = Slopes()
    middle = at(x)
    longest = math.frexp(max(1.0, abs(x)))[1] - 1
    shortest = min(0, math.frexp(x)[1]) - STEPS
    for exponent in range(longest, shortest, -1):
        # Few binary digits, so that x ± h is mostly exact, but no power of two, which periods often are.
        h = math.ldexp(27.0 / 64.0, exponent)
        if x + h == x or x - h == x:
            break
        left, central, right = _differences(at, x, middle, h)
        if not (math.isfinite(left) and math.isfinite(right) and math.isfinite(central)):
            slopes = Slopes()  # the ladder begins below this step
            continue
        rounding, scale = 2.0 * noise / h, max(abs(left), abs(right))
        slopes.central.add(central, h, rounding, scale)
        slopes.left.add(left, h, rounding, scale)
        slopes.right.add(right, h, rounding, scale)
        slopes.steps += 1
        if slopes.settled(rounding):
            # Long steps can agree on something else than the limit, across many periods or a pole: what
            # does a step say that is far shorter, even if it is less exact?
            value, estimate = slopes.best()
            _, closer, _ = _differences(at, x, middle, h / FAR_SHORTER)
            if abs(closer - value) <= CERTAINTY * (estimate + rounding * FAR_SHORTER) + abs(central - value):
                break
    return slopes


def _differences(
    at: Callable[[float], float], x: float, middle: float, h: float
) -> tuple[float, float, float]:
    """The slope from x - h to x, from x - h to x + h, and from x to x + h."""
    above, below = x + h, x - h
    if above == x or below == x:
        return math.nan, math.nan, math.nan
    upper, lower = _or_nan(at, above), _or_nan(at, below)
    return (middle - lower) / (x - below), (upper - lower) / (above - below), (upper - middle) / (above - x)


def _or_nan(at: Callable[[float], float], x: float) -> float:
    """nan where f raises, as it may outside its domain."""
    try:
        return at(x)
    except (ArithmeticError, ValueError):
        return math.nan
