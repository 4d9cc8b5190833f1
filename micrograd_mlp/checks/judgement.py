"""The verdict on one derivative: does the numerical one confirm it, refute it, or say nothing?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from micrograd_mlp.checks.extrapolation import CERTAINTY, Slopes
from micrograd_mlp.checks.report import Row

WIDEST = 5e-4  # an estimate above this part of the derivative confirms nothing
LEAST_SLOPE = 1e-8  # smaller slopes, as a part of those nearby or of terms that cancelled, count as zero


class View(NamedTuple):
    """What is known about the function beyond its slopes."""

    scale: float  # the size of the terms that may have cancelled in the derivative
    # May the function have a kink here, at which g is a derivative by some convention?
    allows_kink: Callable[[float, Slopes], bool]
    # Where the function is level to the last bit over a step, may rounding be the reason?
    hides_slope: Callable[[float], bool]
    excuse: str  # why slopes below some size cannot be seen, in words that end before the size


class Settings(NamedTuple):
    """What the user asks for (see `gradcheck`)."""

    atol: float
    rtol: float
    order: int
    method: str
    noise: float | None
    strict: bool


def judge(label: str, g: float, slopes: Slopes, settings: Settings, view: View) -> Row:
    """The verdict on the derivative g."""
    numerical, estimate = slopes.surest() if slopes.differ() else slopes.best()
    error, uncertainty = abs(g - numerical), CERTAINTY * estimate
    at_zero = max(slopes.steepest, view.scale if math.isfinite(view.scale) else 0.0)
    narrow = WIDEST * max(abs(g), abs(numerical))
    widest = max(settings.atol, narrow, LEAST_SLOPE * at_zero)
    agrees = g != 0.0 and error <= settings.rtol * abs(g)  # to more digits than chance explains
    level = g == numerical == 0.0
    if not math.isfinite(estimate):
        verdict = "undefined"
    elif slopes.differ():
        verdict = _verdict_between(g, slopes, view)
    elif error > max(settings.atol, settings.rtol * abs(g), uncertainty):
        verdict = "wrong"
    elif agrees or uncertainty <= widest or (level and not view.hides_slope(slopes.central.step)):
        verdict = "ok"
    elif estimate <= CERTAINTY * slopes.noise / slopes.central.step:
        verdict = f"inconclusive, {view.excuse} {uncertainty:.1g}"
    else:
        verdict = "inconclusive, the slopes do not settle"
    return Row(label, g, numerical, estimate, verdict)


def _verdict_between(g: float, slopes: Slopes, view: View) -> str:
    """The verdict where the slopes to the left and to the right differ."""
    left, right = slopes.left.value, slopes.right.value
    uncertainty = CERTAINTY * (slopes.left.estimate + slopes.right.estimate)
    seen = f"slopes {left:.4g} and {right:.4g}"
    if not min(left, right) - uncertainty <= g <= max(left, right) + uncertainty:
        return f"wrong, {seen}"
    if slopes.kink and view.allows_kink(g, slopes):
        return f"kink, {seen}"
    return f"inconclusive, {seen}, but no kink that is known of"


def judge_again(row: Row, numerical: float, estimate: float, settings: Settings) -> Row:
    """The verdict by the complex step, where differences passed the derivative or could not tell."""
    if row.verdict != "ok" and "rounding hides" not in row.verdict:
        return row
    g, uncertainty = row.analytic, CERTAINTY * estimate
    tolerated = max(settings.atol, settings.rtol * abs(g))
    difference = abs(numerical - row.numerical)
    believable = max(settings.atol, 1e-9 * abs(numerical), CERTAINTY * row.estimate, uncertainty)
    if not difference <= believable:
        verdict = f"inconclusive, but {numerical:.10g} by the complex step: is f analytic?"
        return row._replace(verdict=verdict)
    if abs(g - numerical) > max(tolerated, uncertainty):
        verdict = "wrong"
    elif uncertainty <= max(tolerated, WIDEST * abs(g)):
        verdict = "ok"
    else:
        verdict = row.verdict
    return Row(row.label, g, numerical, estimate, verdict)
