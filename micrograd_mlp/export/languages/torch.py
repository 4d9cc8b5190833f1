"""The words of PyTorch, which differentiates `loss` itself."""

from __future__ import annotations

import re

from micrograd_mlp.engine.language import Expression
from micrograd_mlp.export.languages.arrays import (
    FUNCTIONS_OF_ARRAYS,
    PYTHON_WORDS,
    RUNTIME,
    Arrays,
    constants,
)

UNARY = (
    "acos acosh asin asinh atan atanh ceil cos cosh erf erfc exp exp2 expm1 floor lgamma log log10 log1p "
    "log2 sin sinh sqrt tan tanh trunc isfinite isinf isnan"
).split()
FUNCTIONS = FUNCTIONS_OF_ARRAYS | {name: f"torch.{name}({{0}})" for name in UNARY} | {
    "fabs": "torch.abs({0})", "atan2": "torch.atan2({0}, {1})", "copysign": "torch.copysign({0}, {1})",
    "fmod": "torch.fmod({0}, {1})", "pow": "torch.pow({0}, {1})", "power": "torch.pow({0}, {1})",
    "cbrt": "torch.sign({0}) * torch.abs({0}) ** (1 / 3)", "round": "torch.round({0})",
    "floordiv": "torch.floor_divide({0}, {1})", "mod": "torch.remainder({0}, {1})",
    "degrees": "torch.rad2deg({0})", "radians": "torch.deg2rad({0})",
}  # fmt: skip
OPERATIONS = {
    name: FUNCTIONS[name] for name in UNARY if name not in ("floor", "ceil", "trunc", "lgamma")
} | {
    "div": "{0:atom} / {1:atom}", "abs": "torch.abs({0})", "sigmoid": "torch.sigmoid({0})",
    "relu": "torch.relu({0})", "maximum": "torch.maximum({0}, {1})", "minimum": "torch.minimum({0}, {1})",
}  # fmt: skip
WHERE = """
def where(condition, yes, no):
    \"\"\"torch.where, for numbers too.\"\"\"
    yes, no = [torch.as_tensor(value, dtype=torch.float64) for value in (yes, no)]
    return torch.where(torch.as_tensor(condition), yes, no)"""
OPERATION = """
def operation(forward, partials):
    \"\"\"A function with the derivatives that `partials` gives.\"\"\"

    class Operation(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            out = forward(*inputs)
            ctx.save_for_backward(out, *inputs)
            return out

        @staticmethod
        def backward(ctx, adjoint):
            slopes = partials(*ctx.saved_tensors)
            return tuple(adjoint * s if needed else None for s, needed in zip(slopes, ctx.needs_input_grad))

    def function(*inputs):
        tensors = [torch.as_tensor(x, dtype=torch.float64) for x in inputs]
        return Operation.apply(*torch.broadcast_tensors(*tensors))

    return function"""


class Torch(Arrays):
    """PyTorch, in double precision."""

    name = "PyTorch"
    module = "torch"
    imports = ("import torch",)
    array, as_array = "torch.tensor({}, dtype=torch.float64)", "torch.as_tensor({}, dtype=torch.float64)"
    joined = "torch.cat"
    axis = "dim"
    keep = "keepdim"
    functions = FUNCTIONS
    operations = OPERATIONS
    reductions = {"logsumexp": "torch.logsumexp({0}, dim=-1, keepdim=True)"}  # noqa: RUF012
    runtime = {
        name: text.replace("np.where", "where").replace("np.", "torch.") for name, text in RUNTIME.items()
    } | {"where": WHERE.strip(), "operation": OPERATION.strip()}
    reserved = PYTHON_WORDS | {"torch"}
    constants = constants("torch")

    def argument(self, x: Expression) -> Expression:
        is_literal = re.fullmatch(r"-?(\d[\d.e+-]*|torch\.(inf|nan))", x.text)
        return Expression(self.array.format(x), x.kind) if is_literal else x

    def select(self, condition: Expression, yes: Expression, no: Expression) -> Expression:
        return Expression(f"where({condition}, {yes}, {no})", yes.kind)

    def repeated(self, array: str, n: int) -> str:
        return f"{array}.expand(len(X), {n})"

    def split(self, array: str, n: int) -> str:
        return f"torch.split({array}, 1, dim=-1)"
