"""How exact is a function that one cannot look into? Its noise is read off differences of high order.

Where a function is smooth, its divided differences fall quickly from order to order, while those of noise
grow in a known way. What is left at a high order is noise (Moré and Wild, "Estimating Computational Noise",
2011). A function that rounds its result, or its input to fewer digits, is a staircase: level over short
steps, with jumps between. There the height of a stair is the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from micrograd_mlp.checks.extrapolation import CERTAINTY, Line, Slopes, is_kink, slopes_of

POINTS = 9  # in a table of differences
JITTER = (0.0, 0.13, -0.21, 0.27, -0.08, 0.19, -0.26)  # by which the points of the table are moved
AGREEMENT = 4.0  # orders of differences that agree to this factor show noise
STRETCHES = (0.71, 0.83, 0.91, 1.11, 1.19, 1.31, 1.37, 1.43)
ENOUGH = 5e-4  # a slope that is known to this part of itself needs no averaging
TRIALS = 8  # of a noise, each found with the last one
HALVINGS = 12  # after which a gradual change would have become 64 times smaller
KINK_RESOLUTION = 100.0
SHARP = (1e-4, 1e-8, 1e-12)  # a bend is looked for at so much shorter steps
FAR_LONGER = 10  # binary orders of magnitude beyond the longest step, for a function that never changes


def slopes_and_noise(line: Line, least_noise: float) -> Slopes:
    """The slopes of a function whose noise is to be found out, and which is at least `least_noise`."""
    noise, finest = least_noise, math.inf
    for _ in range(TRIALS):
        slopes = slopes_of(line, noise)
        spacing = slopes.central.step / 16.0
        measured = 2.0 * _noise_around(line, slopes, spacing)
        stairs = _height_of_stairs_around(line, slopes) if slopes.central.disputed else 0.0
        if max(measured, stairs) <= 2.0 * noise:
            break
        if not stairs and measured > 8.0 * noise and spacing > 2.0 * finest:
            line.longest = math.frexp(spacing)[1]  # closer by there is less noise: this is an oscillation
        else:
            noise, finest = max(measured, stairs), min(finest, spacing)
    if not slopes.differ():
        _average_out(line, slopes, noise)
    if slopes.kink:  # a bend that is sharper than the steps so far looks like noise to them
        closer = min([_noise_around(line, slopes, slopes.central.step * part) for part in SHARP])
        slopes.kink = (
            is_kink(line, slopes, min(noise, max(least_noise, 2.0 * closer)), KINK_RESOLUTION) or None
        )
    return slopes


def _average_out(line: Line, slopes: Slopes, noise: float) -> None:
    """Where noise is what limits the slope, other steps see other noise: their mean is better than one."""
    value, estimate = slopes.surest()
    limited = estimate <= 20.0 * noise / slopes.central.step
    if not limited or CERTAINTY * estimate <= ENOUGH * abs(value):
        return
    results = [slopes_of(line, noise, KINK_RESOLUTION, stretch).surest() for stretch in STRETCHES]
    values = [value, *[v for v, _ in results]]
    estimates = [estimate, *[e for _, e in results]]
    if not all(map(math.isfinite, [*values, *estimates])):
        return
    count = math.sqrt(len(values))
    mean = math.fsum(values) / len(values)
    scatter = math.hypot(*[v - mean for v in values]) / count / math.sqrt(len(values) - 1)
    expected = math.hypot(*estimates) / len(values)
    slopes.central.value, slopes.central.estimate = mean, max(2.0 * scatter, expected)


def noise_in(points: Sequence[float], values: Sequence[float]) -> float:
    """The standard deviation of the noise in values of a smooth function.

    Args:
        points: where the values were taken, in rising order; nine of them are enough.
        values: as many numbers.

    >>> squares = [float(x * x) for x in range(9)]
    >>> noise_in(range(9), squares) < 1e-14
    True
    >>> 0.05 < noise_in(range(9), [1.1, 0.9, 1.0, 1.1, 1.0, 0.9, 1.1, 0.9, 1.1]) < 0.2
    True
    """
    deviations = []
    for order in range(2, len(points)):
        windows = [slice(k, k + order + 1) for k in range(len(points) - order)]
        squares = [_divided_difference(points[w], values[w]) ** 2 for w in windows]
        deviations.append(math.sqrt(math.fsum(squares) / len(squares)))
    for start in range(len(deviations) - 2):
        three = deviations[start : start + 3]
        if max(three) <= AGREEMENT * min(three):
            return max(three)
    return max(deviations[-2:])  # the function is smooth, and this an upper bound


def _divided_difference(points: Sequence[float], values: Sequence[float]) -> float:
    """The divided difference of these values, scaled so that it is as noisy as one value."""
    size = points[-1] - points[0]
    weights = [math.prod([size / (a - b) for b in points if b != a]) for a in points]
    return math.fsum([w * v for w, v in zip(weights, values)]) / math.hypot(*weights)


def _noise_around(line: Line, slopes: Slopes, step: float) -> float:
    """The noise in values that lie about one step apart.

    A kink looks like noise to differences that reach across it, so that one side may speak for both.
    """
    deviations = []
    for first in (-(POINTS // 2), 0, 1 - POINTS):
        # Equal distances could alias with the stairs of a function that rounds its result.
        points = [line.nearest((first + k + JITTER[(first + k) % len(JITTER)]) * step) for k in range(POINTS)]
        values = [line.at(h) for h in points]
        if all(map(math.isfinite, values)) and len(set(points)) == POINTS:
            deviations.append(noise_in(points, values))
        if values.count(line.middle) > POINTS // 2:
            deviations = [_height_of_a_stair(line)]
            break
        if deviations and deviations[-1] <= slopes.noise:
            break
    return min(deviations, default=0.0)


def _height_of_a_stair(line: Line) -> float:
    """By how much a function that is level around 0 changes at once on both sides; 0 if it does not."""
    longest = math.ldexp(27.0 / 64.0, line.longest + FAR_LONGER)
    heights = []
    for side in (1.0, -1.0):
        beyond = [line.nearest(side * longest / 8.0**k) for k in range(4)]
        changed = [h for h in (*line.seen, *beyond) if h * side > 0.0 and line.at(h) != line.middle]
        if not changed or not math.isfinite(line.at(nearest := min(changed, key=abs))):
            return 0.0
        heights.append(_jump(line, nearest, 0.0, 0.0))
    return max(heights) if min(heights) > 0.0 else 0.0


def _height_of_stairs_around(line: Line, slopes: Slopes) -> float:
    """The height of the nearest jumps to either side, if there is one on both; 0 for a function without."""
    slope, _ = slopes.surest()
    heights = []
    for side in (1.0, -1.0):
        for h in sorted([h for h in line.seen if h * side > 0.0], key=abs):
            off = abs(line.at(h) - line.middle - slope * h)
            if off > 100.0 * slopes.noise + 0.5 * abs(slope * h):
                heights.append(_jump(line, h, slope, 100.0 * slopes.noise))
                break
    return max(heights) if len(heights) == 2 and min(heights) > 0.0 else 0.0


def _jump(line: Line, h: float, slope: float, noise: float) -> float:
    """By how much the function leaves its straight line at once between 0 and h; 0 if it bends away."""

    def off(at: float) -> float:
        return abs(line.at(at) - line.middle - slope * at)

    straight, first = 0.0, off(h)
    for _ in range(HALVINGS):
        half = line.nearest(straight + (h - straight) / 2.0)
        if half in (straight, h) or not math.isfinite(line.at(half)):
            break
        if off(half) <= noise:
            straight = half
        else:
            h = half
    height = off(h) - off(straight)
    return height if height > max(noise, first / 64.0) else 0.0
