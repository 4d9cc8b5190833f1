"""The engine: what an operation is, what a Value is, and how gradients flow (§6, §7).

op             the record of one operation, and how a user adds one
table          every operation that the package ships
value          `Value`: recording a graph, and backward()
modes          no_grad and detect_anomaly
differentiate  grad and hessian: derivatives as results
"""

from micrograd_mlp.engine.differentiate import grad, hessian
from micrograd_mlp.engine.modes import detect_anomaly, no_grad
from micrograd_mlp.engine.op import Op, primitive
from micrograd_mlp.engine.value import Constant, Parameter, Value

__all__ = [
    "Constant",
    "Op",
    "Parameter",
    "Value",
    "detect_anomaly",
    "grad",
    "hessian",
    "no_grad",
    "primitive",
]
