"""Value and gradient of graphs without layers: 10,000 scalar operations over 100 inputs, by every package.

- micrograd_mlp: the function of the parameters alone, compiled; `loss_and_grad()` gives the gradient as
  an array, `program()` puts it into `.grad`. Eager execution has a line of its own.
- CasADi: SX symbols, one Function of the value and its gradient, common subexpressions shared (`cse`);
  called through its buffers, its fastest call from Python.
- XAD: recorded on a tape in every pass, then `computeAdjoints`.
- PyTorch: scalar tensors, `torch.stack` for what takes several; eager, `backward`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from micrograd_mlp import Parameter, total
from tests.benchmarks.harness import Contender, Effort, Line, Running, race, single_threaded_torch
from tests.benchmarks.recipes import OURS, Kinds, Recipe, follow


def irregular(recipe: Recipe, effort: Effort, casadi_takes: float = 1.5) -> list[Line]:
    """The ratio to CasADi that is promised is the only one that differs."""
    contenders = [
        Contender("micrograd_mlp, loss_and_grad()", lambda: compiled(recipe)),
        Contender("micrograd_mlp, program() into .grad", lambda: compiled_into_grad(recipe)),
        Contender("CasADi", lambda: casadi(recipe), casadi_takes),
        Contender("XAD", lambda: xad(recipe), 50),
        Contender("PyTorch", lambda: pytorch(recipe), 100),
        Contender("micrograd_mlp, eager", lambda: eager(recipe)),
    ]
    return race(contenders, effort)


def answer(value: Any, gradient: Any) -> dict[str, np.ndarray]:
    return {"loss": np.array([float(value)]), "gradient": np.asarray(gradient, dtype=float)}


def of_parameters(recipe: Recipe) -> tuple[Callable[[], Any], list[Parameter]]:
    """f() for `compile`."""
    parameters = [Parameter(number, f"x[{k}]") for k, number in enumerate(recipe.inputs, start=1)]
    return lambda: total(follow(recipe, parameters, OURS)), parameters


def compiled(recipe: Recipe) -> Running:
    from micrograd_mlp import compile

    program = compile(*of_parameters(recipe))
    return Running(program.loss_and_grad, answer=answer(*program.loss_and_grad()), flops=flops(recipe))


def compiled_into_grad(recipe: Recipe) -> Running:
    from micrograd_mlp import compile

    f, parameters = of_parameters(recipe)
    program = compile(f, parameters)
    return Running(program, answer=answer(program(), [p.grad for p in parameters]))


def eager(recipe: Recipe) -> Running:
    f, parameters = of_parameters(recipe)

    def value_and_gradient() -> dict[str, np.ndarray]:
        for p in parameters:
            p.grad = 0.0
        output = f()
        output.backward()
        return answer(output.data, [p.grad for p in parameters])

    return Running(value_and_gradient, answer=value_and_gradient())


def flops(recipe: Recipe) -> float:
    """Forward one for each operand, backward a product and a sum for every edge."""
    f, _ = of_parameters(recipe)
    return sum(3 * len(node.parents) for node in f().topological_order())


def casadi(recipe: Recipe) -> Running:
    import casadi as ca

    def softmax(*z: Any) -> list[Any]:
        e = [ca.exp(z_k) for z_k in z]
        return [e_k / sum(e) for e_k in e]

    kinds: Kinds = (
        OURS
        | {  # operators are the same
            "sum": lambda *terms: sum(terms),
            "dot": lambda *pairs: sum(x * y for x, y in zip(pairs[::2], pairs[1::2])),
            "sqrt": ca.sqrt,
            "exp": ca.exp,
            "log": ca.log,
            "sin": ca.sin,
            "cos": ca.cos,
            "tanh": ca.tanh,
            "sigmoid": lambda x: 1 / (1 + ca.exp(-x)),
            "softplus": lambda x: ca.log1p(ca.exp(x)),
            "relu": lambda x: ca.fmax(x, 0),
            "abs": ca.fabs,
            "maximum": ca.fmax,
            "minimum": ca.fmin,
            "logsumexp": lambda *z: ca.log(sum(ca.exp(z_k) for z_k in z)),
            "softmax": softmax,
        }
    )
    x = ca.SX.sym("x", len(recipe.inputs))
    output = sum(follow(recipe, ca.vertsplit(x), kinds))
    return casadi_function(x, output, recipe.inputs)


def casadi_function(symbols: Any, output: Any, numbers: list[float]) -> Running:
    """Value and gradient of an output, at these numbers."""
    import casadi as ca

    function = ca.Function("f", [symbols], ca.cse([output, ca.gradient(output, symbols)]))
    buffer, call = function.buffer()
    inputs, value, gradient = np.array(numbers), np.zeros(1), np.zeros(len(numbers))
    buffer.set_arg(0, memoryview(inputs))
    buffer.set_res(0, memoryview(value))
    buffer.set_res(1, memoryview(gradient))

    def value_and_gradient() -> tuple[Any, ...]:
        call()
        return function, buffer, inputs, value, gradient  # CasADi keeps no hold on what it reads and writes

    value_and_gradient()
    return Running(value_and_gradient, answer=answer(value[0], gradient.copy()))


def xad(recipe: Recipe) -> Running:
    import xad
    import xad.math as xm
    from xad.adj_1st import Real, Tape

    def added(terms: list[Any]) -> Any:
        result = terms[0]
        for term in terms[1:]:
            result = result + term
        return result

    def softmax(*z: Any) -> list[Any]:
        e = [xm.exp(z_k) for z_k in z]
        normalizer = added(e)
        return [e_k / normalizer for e_k in e]

    kinds: Kinds = (
        OURS
        | {  # operators are the same
            "sum": lambda *terms: added(terms),
            "dot": lambda *pairs: added([x * y for x, y in zip(pairs[::2], pairs[1::2])]),
            "square": lambda x: x * x,
            "sqrt": xm.sqrt,
            "exp": xm.exp,
            "log": xm.log,
            "sin": xm.sin,
            "cos": xm.cos,
            "tanh": xm.tanh,
            "sigmoid": lambda x: 1.0 / (1.0 + xm.exp(-x)),
            "softplus": lambda x: xm.log1p(xm.exp(x)),
            "relu": lambda x: xm.max(x, 0.0),
            "abs": xm.fabs,
            "maximum": xm.max,
            "minimum": xm.min,
            "logsumexp": lambda *z: xm.log(added([xm.exp(z_k) for z_k in z])),
            "softmax": softmax,
        }
    )

    def value_and_gradient() -> dict[str, np.ndarray]:
        with Tape() as tape:
            inputs = [Real(number) for number in recipe.inputs]
            tape.registerInputs(inputs)
            tape.newRecording()
            output = sum(follow(recipe, inputs, kinds), Real(0.0))
            tape.registerOutput(output)
            output.derivative = 1.0
            tape.computeAdjoints()
            return answer(xad.value(output), [x.derivative for x in inputs])

    return Running(value_and_gradient, answer=value_and_gradient())


def pytorch(recipe: Recipe) -> Running:
    torch = single_threaded_torch()
    kinds: Kinds = (
        OURS
        | {  # operators are the same
            "sum": lambda *terms: torch.stack(terms).sum(),
            "dot": lambda *pairs: torch.dot(torch.stack(pairs[::2]), torch.stack(pairs[1::2])),
            "square": torch.square,
            "sqrt": torch.sqrt,
            "exp": torch.exp,
            "log": torch.log,
            "sin": torch.sin,
            "cos": torch.cos,
            "tanh": torch.tanh,
            "sigmoid": torch.sigmoid,
            "softplus": torch.nn.functional.softplus,
            "relu": torch.relu,
            "abs": torch.abs,
            "maximum": torch.maximum,
            "minimum": torch.minimum,
            "logsumexp": lambda *z: torch.logsumexp(torch.stack(z), dim=0),
            "softmax": lambda *z: torch.softmax(torch.stack(z), dim=0).unbind(),
        }
    )
    inputs = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in recipe.inputs]
    for x in inputs:
        x.grad = torch.zeros_like(x)  # of an input that is not used it stays

    def value_and_gradient() -> dict[str, np.ndarray]:
        for x in inputs:
            x.grad.zero_()
        output = torch.stack(follow(recipe, inputs, kinds)).sum()
        output.backward()
        return answer(output.item(), [x.grad.item() for x in inputs])

    return Running(value_and_gradient, answer=value_and_gradient())
