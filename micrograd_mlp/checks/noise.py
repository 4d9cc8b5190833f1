"""How exact is a function that one cannot look into? Its noise is read off differences of high order.

Where a function is smooth, its differences over equal steps fall quickly from order to order, while those of
noise grow in a known way. What is left at a high order is noise (Moré and Wild, "Estimating Computational
Noise", 2011). A function that rounds its result, or its input to fewer digits, is a staircase: level over
short steps, with jumps between. There the height of a stair is the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from micrograd_mlp.checks.extrapolation import Line, Slopes, is_kink, slopes_of

POINTS = 9  # in a table of differences
AGREEMENT = 4.0  # orders of differences that agree to this factor show noise
HALVINGS = 12  # after which a gradual change would have become 64 times smaller
KINK_RESOLUTION = 100.0
SHARP = (1e-4, 1e-8, 1e-12)  # a bend is looked for at so much shorter steps
FAR_LONGER = 10  # binary orders of magnitude beyond the longest step, for a function that never changes


def slopes_and_noise(line: Line, least_noise: float) -> Slopes:
    """The slopes of a function whose noise is to be found out, and which is at least `least_noise`."""
    noise = least_noise
    for _ in range(6):
        slopes = slopes_of(line, noise)
        measured = 2.0 * _noise_around(line, slopes, slopes.central.step / 16.0)
        if not measured > 2.0 * noise and slopes.central.disputed:
            measured = _height_of_stairs_around(line, slopes)
        if not measured > 2.0 * noise:
            break
        noise = measured
    if slopes.kink:  # a bend that is sharper than the steps so far looks like noise to them
        closer = min([_noise_around(line, slopes, slopes.central.step * part) for part in SHARP])
        slopes.kink = (
            is_kink(line, slopes, min(noise, max(least_noise, 2.0 * closer)), KINK_RESOLUTION) or None
        )
    return slopes


def noise_in(values: Sequence[float]) -> float:
    """The standard deviation of the noise in values of a smooth function at equal distances.

    Args:
        values: nine of them are enough.

    >>> noise_in([0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 49.0, 64.0])
    0.0
    >>> 0.05 < noise_in([1.1, 0.9, 1.0, 1.1, 1.0, 0.9, 1.1, 0.9, 1.1]) < 0.2
    True
    """
    differences, factor = list(values), 1.0
    deviations = []
    for order in range(1, len(values)):
        differences = [b - a for a, b in pairwise(differences)]
        factor *= order / (2.0 * (2.0 * order - 1.0))  # (k!)² / (2k)!
        mean_square = math.fsum([d * d for d in differences]) / len(differences)
        deviations.append(math.sqrt(factor * mean_square))
    for start in range(1, len(deviations) - 2):
        three = deviations[start : start + 3]
        if max(three) <= AGREEMENT * min(three):
            return max(three)
    return min(deviations)


def _noise_around(line: Line, slopes: Slopes, step: float) -> float:
    """The noise in values that lie one step apart.

    A kink looks like noise to differences that reach across it, so that one side may speak for both.
    """
    deviations = []
    for first in (-(POINTS // 2), 0, 1 - POINTS):
        values = [line.at(line.nearest(k * step)) for k in range(first, first + POINTS)]
        if all(map(math.isfinite, values)):
            deviations.append(noise_in(values))
        if values.count(line.middle) > POINTS // 2:
            deviations = [_height_of_a_stair(line)]
            break
        if deviations and deviations[-1] <= slopes.noise:
            break
    return min(deviations, default=0.0)


def _height_of_a_stair(line: Line) -> float:
    """By how much a function that is level around 0 changes at once; 0 if it changes gradually, or never."""
    longest = math.ldexp(27.0 / 64.0, line.longest + FAR_LONGER)
    for side in (1.0, -1.0):
        beyond = [line.nearest(side * longest / 8.0**k) for k in range(4)]
        changed = [h for h in (*line.seen, *beyond) if h * side > 0.0 and line.at(h) != line.middle]
        if changed and math.isfinite(line.at(nearest := min(changed, key=abs))):
            height = _jump(line, nearest, 0.0, 0.0)
            if height:
                return height
    return 0.0


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
    return off(h) if off(h) > max(noise, first / 64.0) else 0.0
