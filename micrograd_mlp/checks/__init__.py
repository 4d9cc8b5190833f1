"""Checks of derivatives against numbers that were computed in another way.

`check.py` holds `gradcheck`, which compares every derivative of a graph with the slope of its function.
`extrapolation.py` finds that slope and its error, `rounding.py` says what rounding does to the graph, and
`judgement.py` gives the verdict that `report.py` shows. `complex_step.py` finds a sharper slope of analytic
operations. `testing.py` makes random graphs for the tests of your own operations.
"""

from micrograd_mlp.checks.check import gradcheck as gradcheck
from micrograd_mlp.checks.report import GradCheckError as GradCheckError
from micrograd_mlp.checks.report import GradCheckReport as GradCheckReport
