"""Checks of derivatives against numbers that were computed in another way.

`check.py` holds `gradcheck`. How a number comes about:

- `extrapolation.py` finds the slope of a function of one number, and how far it may be off. `noise.py`
  measures how exact a function is that is only called; `graphs.py` computes it for a graph.
  `complex_step.py` has a sharper slope for analytic operations. `judgement.py` gives the verdict that
  `report.py` shows.
- `graphs.py` checks graphs of Values, `foreign.py` functions of arrays (with `functions.py`, `structure.py`,
  `frameworks.py` and `arrays.py`); `directions.py` takes many derivatives at once.
- `diagnosis.py` (with `whatif.py`) and `operations.py` say in which way a gradient is wrong.

`testing.py` and `pytest_plugin.py` are for tests of your own.
"""

from micrograd_mlp.checks.check import gradcheck as gradcheck
from micrograd_mlp.checks.report import GradCheckError as GradCheckError
from micrograd_mlp.checks.report import GradCheckReport as GradCheckReport
