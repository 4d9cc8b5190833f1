"""The table of operations: value, local derivatives and complex form of each, side by side (§4.2, §8).

One file a family, to be read top to bottom; a new operation is one record in one of them.

arithmetic     + - * / and the sign
exponentials   exp, logarithms, the error function, x log y
powers         xʸ, roots, hypot
trigonometry   sin, cos, tan and their inverses
hyperbolic     tanh (§8.2), sinh, cosh and inverses
activations    sigmoid, ReLU and others (§8)
comparisons    abs, sign, maximum, minimum, clip, where: everything with a kink or a step
sums           total, dot, logsumexp, softmax, prod, norm: any number of inputs
"""

from typing import TYPE_CHECKING

from micrograd_mlp.engine.op import FUNCTIONS, specialize
from micrograd_mlp.engine.op import TABLE as TABLE
from micrograd_mlp.engine.table.activations import *
from micrograd_mlp.engine.table.arithmetic import *
from micrograd_mlp.engine.table.comparisons import *
from micrograd_mlp.engine.table.exponentials import *
from micrograd_mlp.engine.table.hyperbolic import *
from micrograd_mlp.engine.table.powers import *
from micrograd_mlp.engine.table.sums import *
from micrograd_mlp.engine.table.trigonometry import *

for _op in TABLE.values():
    specialize(_op)

if not TYPE_CHECKING:  # which takes every name of the families
    __all__ = ["dot", "softmax", *(name for name in FUNCTIONS if not name.startswith("_"))]
