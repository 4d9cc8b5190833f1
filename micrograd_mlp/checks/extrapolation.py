"""The slope of a function of one number, and how far that slope may be off (§5).

The slope over a step h is f'(x) + c₁h² + c₂h⁴ + …, so that 4/3 of one slope minus 1/3 of the slope over
twice the step has no h² left. Richardson's extrapolation goes on like that along a ladder of steps. What
still changes from step to step is the estimate of the error. f itself is rounded, which no step can undo:
that noise is a part of the estimate. A step that leaves the domain of f is dropped, so that the steps shrink
until they fit. The slopes to the left and to the right are extrapolated too.

The ratio of two steps is about 2 and varies, so that no oscillation has all steps as multiples of its period.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

CERTAINTY = 5.0  # an error of more than five estimates is a wrong derivative
EPSILON = sys.float_info.epsilon
COLUMNS = 8  # of the extrapolation's table: more would only add noise
MANTISSAS = (27, 25, 30, 23, 28, 31, 24, 29)  # of the steps in turn; few binary digits keep x ± h exact
LEAST_KINK = 1e-4  # slopes that differ by less than this part of themselves are one slope
SHORTER_STEPS = 16  # at most, over which the slopes at a kink have to stay apart
FAR_SHORTER = (61.0, 4099.0)  # a settled slope is compared with steps that are so many times shorter


@dataclass
class Line:
    """A function of one number h, which is 0 where the slope is wanted; each point is computed once."""

    function: Callable[[float], float]
    longest: int  # this and the next are exponents of 2 between which the steps of the ladder lie
    shortest: int
    # The step next to h that leads from one number of the inputs' precision to another.
    nearest: Callable[[float], float] = float
    seen: dict[float, float] = field(default_factory=dict)

    @property
    def middle(self) -> float:
        """The function's value at 0."""
        return self.at(0.0)

    def at(self, h: float) -> float:
        """The function at h, or nan where it raises or is complex, as it may be outside its domain."""
        if h not in self.seen:
            try:
                self.seen[h] = float(self.function(h))
            except (ArithmeticError, ValueError, TypeError, RuntimeError, Warning):
                if h == 0.0:
                    raise
                self.seen[h] = math.nan
        return self.seen[h]

    def slopes(self, h: float) -> tuple[float, float, float]:
        """The slopes from -h to 0, from -h to h, and from 0 to h; nan where there are no numbers so close."""
        above, below = self.nearest(h), self.nearest(-h)
        if above == 0.0 or below == 0.0:
            return math.nan, math.nan, math.nan
        upper, lower = self.at(above), self.at(below)
        left, right = (self.middle - lower) / -below, (upper - self.middle) / above
        return left, (upper - lower) / (above - below), right


class Extrapolation:
    """Richardson's extrapolation of slopes to a step of zero, for steps that shrink in any ratio.

    `power` is how the error of a slope falls with the step: 2 for central slopes, whose error has even
    powers of the step only, and 1 for one-sided ones.
    """

    def __init__(self, power: int) -> None:
        self.power = power
        self.value, self.estimate, self.step = math.nan, math.inf, 0.0
        self.disputed = False  # did a shorter step contradict a value that seemed sure?
        self._steps: list[float] = []
        self._previous = math.nan  # the value that was surest one step before
        self._last: list[tuple[float, float]] = []  # values and noises of the last row of the table

    def add(self, slope: float, step: float, noise: float) -> None:
        """Take the slope over the next step, which is uncertain by `noise`, and keep the surest value."""
        noise += EPSILON * abs(slope)  # of the difference itself
        row = [(slope, noise)]
        value, estimate = slope, math.inf
        for older, (older_value, older_noise) in zip(reversed(self._steps), self._last):
            last_value, last_noise = row[-1]
            weight = 1.0 / ((older / step) ** self.power - 1.0)
            better = last_value + (last_value - older_value) * weight
            better_noise = math.hypot(last_noise * (1.0 + weight), older_noise * weight)
            row.append((better, better_noise))
            changes = abs(better - last_value), abs(better - older_value), abs(better - self._previous)
            error = max(changes) + better_noise
            if error < estimate and len(row) > 2:  # two slopes agree by chance too often
                value, estimate = better, error
        self._last, self._previous = row[:COLUMNS], row[-1][0] if estimate == math.inf else value
        self._steps.append(step)
        # A shorter step that contradicts a longer one is nearer to the limit.
        contradicts = abs(value - self.value) > CERTAINTY * (estimate + self.estimate)
        self.disputed |= contradicts and self.estimate < 0.1 * abs(self.value)
        if estimate < self.estimate or contradicts:
            self.value, self.estimate, self.step = value, estimate, step


class Slopes:
    """The slope of a function at a point, and its slopes to the left and to the right."""

    def __init__(self, noise: float) -> None:
        self.noise = noise
        self.central, self.left, self.right = Extrapolation(2), Extrapolation(1), Extrapolation(1)
        self.steps = 0
        self.steepest = 0.0  # of the slopes over the step at which the slope was found
        self.kink: bool | None = False  # None if it cannot be told from a sharp bend
        self.closest = 0.0  # the shortest step over which the sides were seen to differ

    def add(self, left: float, central: float, right: float, step: float) -> None:
        """Take the slopes over the next step."""
        self.central.add(central, step, self.noise / step)
        self.left.add(left, step, 2.0 * self.noise / step)
        self.right.add(right, step, 2.0 * self.noise / step)
        self.steps += 1
        if self.central.step == step:
            self.steepest = max(abs(left), abs(right))

    def surest(self) -> tuple[float, float]:
        """The slope and its estimate, from both sides where f is only piecewise smooth, as x·|x| is at 0."""
        mean = (self.left.value + self.right.value) / 2.0
        spread = (self.left.estimate + self.right.estimate) / 2.0
        central, estimate = self.central.value, self.central.estimate
        closer = max(self.left.step, self.right.step) < self.central.step
        contradicts = abs(central - mean) > CERTAINTY * (estimate + spread)
        if spread < estimate or (contradicts and closer):
            return mean, spread
        return central, estimate

    def best(self) -> tuple[float, float]:
        """The slope and its estimate; where the sides differ for sure, the slope is no surer than that."""
        value, estimate = self.surest()
        seam = abs(self.gap) / 2.0
        spread = (self.left.estimate + self.right.estimate) / 2.0
        return value, max(estimate, seam) if seam > 5.0 * spread else estimate

    @property
    def gap(self) -> float:
        """By how much the slope to the right is larger than the slope to the left."""
        return self.right.value - self.left.value

    def differ(self) -> bool:
        """Are the slopes to the left and to the right two different ones?"""
        uncertainty = CERTAINTY * (self.left.estimate + self.right.estimate)
        largest = max(abs(self.left.value), abs(self.right.value), self.steepest)
        return uncertainty <= 0.01 * abs(self.gap) and abs(self.gap) > LEAST_KINK * largest

    def settled(self, step: float) -> bool:
        """Would a smaller step add more noise than it takes away?"""
        noise = 2.0 * self.noise / step + EPSILON * self.steepest
        if self.steps < 4 or noise < self.surest()[1]:
            return False
        sides = (self.left, self.right)
        return all(side.estimate <= max(1e-3 * abs(side.value), 3.0 * CERTAINTY * noise) for side in sides)


def slopes_of(line: Line, noise: float, resolution: float = 100.0, stretch: float = 1.0) -> Slopes:
    """Go down the ladder of steps, until noise grows faster than the rest shrinks.

    Args:
        line: the function.
        noise: by how much one value of the function is off, as a standard deviation.
        resolution: the sides of a kink differ by at least so many times their noise.
        stretch: makes all steps longer by this factor.
    """
    slopes = Slopes(noise)
    exponent, dropped = line.longest, 0
    while exponent > line.shortest:
        h = stretch * math.ldexp(MANTISSAS[exponent % len(MANTISSAS)] / 64.0, exponent)
        left, central, right = line.slopes(h)
        exponent -= 1
        if not (math.isfinite(left) and math.isfinite(right) and math.isfinite(central)):
            if line.nearest(h) == 0.0 or line.nearest(-h) == 0.0:
                break
            slopes = Slopes(noise)  # the ladder begins below this step
            dropped += 1
            exponent -= min(7, max(0, dropped - 6))  # a domain that is tiny is reached in larger leaps
            continue
        slopes.add(left, central, right, h)
        if slopes.settled(h) and not _contradicted(line, slopes, central, h):
            if not slopes.differ():
                break
            slopes.kink = is_kink(line, slopes, noise, resolution)
            if slopes.kink is not False:
                break
    return slopes


def is_kink(line: Line, slopes: Slopes, noise: float, resolution: float) -> bool | None:
    """Do the slopes stay apart over ever shorter steps? None if noise hides that after too few of them."""
    h, confirmed = max(slopes.left.step, slopes.right.step), 0
    for _ in range(SHORTER_STEPS):
        h /= 7.3
        if h * abs(slopes.gap) < 4.0 * resolution * noise or not abs(line.nearest(h) - h) < 0.01 * h:
            break
        left, _, right = line.slopes(h)
        if abs(right - left - slopes.gap) < 0.2 * abs(slopes.gap):
            confirmed += 1
            slopes.closest = h
        elif confirmed > 0:
            return False  # they met
    return True if confirmed >= 3 else None


def _contradicted(line: Line, slopes: Slopes, central: float, h: float) -> bool:
    """Long steps can agree on something else than the limit, across many periods: do far shorter ones?"""
    value, estimate = slopes.surest()
    for factor in FAR_SHORTER:
        closer = line.slopes(h / factor)[1]
        allowed = CERTAINTY * (estimate + 2.0 * factor * slopes.noise / h) + abs(central - value)
        if abs(closer - value) > allowed:
            return True
    return False
