"""The verdict on one derivative: does the numerical one confirm it, refute it, or say nothing?"""

from __future__ import annotations

import math

from micrograd_mlp.checks.extrapolation import CERTAINTY, Slopes
from micrograd_mlp.checks.report import Row
from micrograd_mlp.checks.rounding import LEAST_SLOPE, rounded_away
from micrograd_mlp.engine.value import Value

WIDEST = 1e-3  # an estimate above this part of the derivative confirms nothing
LEAST_KINK = 1e-4  # slopes that differ by less than this part of themselves are one slope


def judge(
    label: str, g: float, slopes: Slopes, atol: float, rtol: float, scale: float, output: Value, x: Value
) -> Row:
    """The verdict on one derivative. `scale` is the size of the terms that may have cancelled in it."""
    numerical, estimate = slopes.best()
    error, uncertainty = abs(g - numerical), CERTAINTY * estimate
    at_zero = max(slopes.central.scale, scale if math.isfinite(scale) else 0.0)
    widest = max(atol, WIDEST * max(abs(g), abs(numerical)), LEAST_SLOPE * at_zero)
    agrees = g != 0.0 and error <= rtol * abs(g)  # to more digits than chance explains
    level = g == numerical == 0.0
    at_kink = _at_kink(g, slopes)
    if not math.isfinite(estimate):
        verdict = "undefined"
    elif at_kink is not None:
        verdict = at_kink
    elif error > max(atol, rtol * abs(g), uncertainty):
        verdict = "wrong"
    elif agrees or uncertainty <= widest or (level and not rounded_away(output, x, slopes.central.step)):
        verdict = "ok"
    elif estimate <= CERTAINTY * slopes.central.rounding:
        verdict = f"inconclusive, at {output.data:.4g} rounding hides slopes below {uncertainty:.1g}"
    else:
        verdict = "inconclusive, the slopes do not settle"
    return Row(label, g, numerical, estimate, verdict)


def _at_kink(g: float, slopes: Slopes) -> str | None:
    """The verdict if the slopes on either side clearly differ, or None."""
    left, right = slopes.left.value, slopes.right.value
    uncertainty = CERTAINTY * (slopes.left.estimate + slopes.right.estimate)
    gap = abs(right - left)
    if uncertainty > 0.01 * gap or gap <= LEAST_KINK * max(abs(left), abs(right)):
        return None
    between = min(left, right) - uncertainty <= g <= max(left, right) + uncertainty
    return f"{'kink' if between else 'wrong'}, slopes {left:.4g} and {right:.4g}"


def judge_again(row: Row, numerical: float, estimate: float, atol: float, rtol: float) -> Row:
    """The verdict by the complex step, where differences passed the derivative or could not tell."""
    if row.verdict != "ok" and "rounding hides" not in row.verdict:
        return row
    g, uncertainty = row.analytic, CERTAINTY * estimate
    tolerance = max(atol, rtol * abs(g))
    difference = abs(numerical - row.numerical)
    if not difference <= max(atol, 1e-9 * abs(numerical), CERTAINTY * row.estimate, uncertainty):
        verdict = f"inconclusive, but {numerical:.10g} by the complex step: is f analytic?"
        return row._replace(verdict=verdict)
    if abs(g - numerical) > max(tolerance, uncertainty):
        verdict = "wrong"
    elif uncertainty <= max(tolerance, WIDEST * abs(g)):
        verdict = "ok"
    else:
        verdict = row.verdict
    return Row(row.label, g, numerical, estimate, verdict)
