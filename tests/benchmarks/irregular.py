"""A graph without layers: value and gradient of 10,000 scalar operations over 100 inputs.

A recipe, drawn once, says what is computed: softplus of one node, the sum of four, the product of two,
or the softmax of four, which gives four nodes, of nodes that lie 10 to 30 back. The output is the sum of
every hundredth node. Every package follows the same recipe on its own numbers:

- micrograd_mlp: the function of the parameters alone, compiled; `loss_and_grad()` gives the gradient as
  an array, `program()` puts it into `.grad`. Eager execution has a line of its own.
- CasADi: SX symbols, one Function of the value and its gradient, common subexpressions shared (`cse`);
  called through its buffers, its fastest call from Python.
- XAD: recorded on a tape in every pass, then `computeAdjoints`.
- PyTorch: scalar tensors, `torch.stack` for the four of a softmax; eager, `backward`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from micrograd_mlp import Parameter, softmax, softplus, total
from tests.benchmarks.harness import Contender, Effort, Line, Running, race, single_threaded_torch

LARGEST = 4.0  # where a sum or product would be beyond this a softmax stands, so that nothing overflows


class Operation(NamedTuple):
    kind: str  # softplus, sum, product or softmax
    operands: tuple[int, ...]  # positions; the inputs come first


class Recipe(NamedTuple):
    inputs: list[float]
    operations: list[Operation]


Kinds = dict[str, Callable[..., Any]]  # a softmax gives a list of nodes, any other kind one

OURS: Kinds = {
    "softplus": softplus,
    "sum": lambda *four: total(four),
    "product": lambda x, y: x * y,
    "softmax": lambda *four: softmax(four),
}


def recipe(n_operations: int = 10_000, n_inputs: int = 100, seed: int = 0) -> Recipe:
    """As many operations as micrograd_mlp records; a softmax is nine: four exp, four sub, a logsumexp."""
    rng = random.Random(seed)
    inputs = [rng.gauss(0.0, 1.0) for _ in range(n_inputs)]
    numbers, operations = list(inputs), []
    unused = list(range(n_inputs))
    recorded = 0
    while recorded < n_operations:
        position = len(numbers)
        reach = range(max(0, position - 30), position - 9)
        due = [k for k in unused[:4] if k < position - 25]  # so that no node is for nothing
        four = due + rng.sample([k for k in reach if k not in due], 4 - len(due))
        kind = rng.choice(["softplus", "sum", "sum", "product", "product", "softmax"])
        operands = four[: {"softplus": 1, "product": 2}.get(kind, 4)]
        result = OURS[kind](*[numbers[k] for k in operands])
        if kind != "softmax" and abs(result) > LARGEST:
            kind, operands = "softmax", four
            result = softmax([numbers[k] for k in four])
        numbers += result if kind == "softmax" else [result]
        operations.append(Operation(kind, tuple(operands)))
        recorded += 9 if kind == "softmax" else 1
        unused = [k for k in unused if k not in operands] + list(range(position, len(numbers)))
    return Recipe(inputs, operations)


def follow(operations: list[Operation], inputs: list[Any], kinds: Kinds) -> list[Any]:
    """The nodes that the output sums up, computed with whatever the inputs are."""
    values = list(inputs)
    for kind, operands in operations:
        result = kinds[kind](*[values[k] for k in operands])
        if kind == "softmax":
            values += result
        else:
            values.append(result)
    return values[:-1:100] + values[-1:]


def irregular(effort: Effort) -> list[Line]:
    drawn = recipe()
    contenders = [
        Contender("micrograd_mlp, loss_and_grad()", lambda: compiled(drawn)),
        Contender("micrograd_mlp, program() into .grad", lambda: compiled_into_grad(drawn)),
        Contender("CasADi", lambda: casadi(drawn), 2),
        Contender("XAD", lambda: xad(drawn), 50),
        Contender("PyTorch", lambda: pytorch(drawn), 100),
        Contender("micrograd_mlp, eager", lambda: eager(drawn)),
    ]
    return race(contenders, effort)


def answer(value: Any, gradient: Any) -> dict[str, np.ndarray]:
    return {"loss": np.array([float(value)]), "gradient": np.asarray(gradient, dtype=float)}


def of_parameters(drawn: Recipe) -> tuple[Callable[[], Any], list[Parameter]]:
    """f() for `compile`."""
    parameters = [Parameter(number, f"x[{k}]") for k, number in enumerate(drawn.inputs, start=1)]
    return lambda: total(follow(drawn.operations, parameters, OURS)), parameters


def compiled(drawn: Recipe) -> Running:
    from micrograd_mlp import compile

    program = compile(*of_parameters(drawn))
    return Running(program.loss_and_grad, answer=answer(*program.loss_and_grad()), flops=flops(drawn))


def compiled_into_grad(drawn: Recipe) -> Running:
    from micrograd_mlp import compile

    f, parameters = of_parameters(drawn)
    program = compile(f, parameters)
    return Running(program, answer=answer(program(), [p.grad for p in parameters]))


def eager(drawn: Recipe) -> Running:
    f, parameters = of_parameters(drawn)

    def value_and_gradient() -> dict[str, np.ndarray]:
        for p in parameters:
            p.grad = 0.0
        output = f()
        output.backward()
        return answer(output.data, [p.grad for p in parameters])

    return Running(value_and_gradient, answer=value_and_gradient())


def flops(drawn: Recipe) -> float:
    """Forward one for each operand, backward a product and a sum for every edge."""
    f, _ = of_parameters(drawn)
    return sum(3 * len(node.parents) for node in f().topological_order())


def casadi(drawn: Recipe) -> Running:
    import casadi as ca

    def softmax_of(*four: Any) -> list[Any]:
        e = [ca.exp(z) for z in four]
        return [e_k / sum(e) for e_k in e]

    kinds: Kinds = {
        "softplus": lambda x: ca.log1p(ca.exp(x)),
        "sum": lambda *four: sum(four),
        "product": lambda x, y: x * y,
        "softmax": softmax_of,
    }
    x = ca.SX.sym("x", len(drawn.inputs))
    output = sum(follow(drawn.operations, ca.vertsplit(x), kinds))
    function = ca.Function("f", [x], ca.cse([output, ca.gradient(output, x)]))
    buffer, call = function.buffer()
    inputs, value, gradient = np.array(drawn.inputs), np.zeros(1), np.zeros(len(drawn.inputs))
    buffer.set_arg(0, memoryview(inputs))
    buffer.set_res(0, memoryview(value))
    buffer.set_res(1, memoryview(gradient))

    def value_and_gradient() -> tuple[Any, ...]:
        call()
        return function, buffer, inputs, value, gradient  # CasADi keeps no hold on what it reads and writes

    value_and_gradient()
    return Running(value_and_gradient, answer=answer(value[0], gradient.copy()))


def xad(drawn: Recipe) -> Running:
    import xad
    import xad.math as xm
    from xad.adj_1st import Real, Tape

    def softmax_of(*four: Any) -> list[Any]:
        e = [xm.exp(z) for z in four]
        normalizer = e[0] + e[1] + e[2] + e[3]
        return [e_k / normalizer for e_k in e]

    kinds: Kinds = {
        "softplus": lambda x: xm.log1p(xm.exp(x)),
        "sum": lambda a, b, c, d: a + b + c + d,
        "product": lambda x, y: x * y,
        "softmax": softmax_of,
    }

    def value_and_gradient() -> dict[str, np.ndarray]:
        with Tape() as tape:
            inputs = [Real(number) for number in drawn.inputs]
            tape.registerInputs(inputs)
            tape.newRecording()
            output = sum(follow(drawn.operations, inputs, kinds), Real(0.0))
            tape.registerOutput(output)
            output.derivative = 1.0
            tape.computeAdjoints()
            return answer(xad.value(output), [x.derivative for x in inputs])

    return Running(value_and_gradient, answer=value_and_gradient())


def pytorch(drawn: Recipe) -> Running:
    torch = single_threaded_torch()
    kinds: Kinds = {
        "softplus": torch.nn.functional.softplus,
        "sum": lambda a, b, c, d: a + b + c + d,
        "product": lambda x, y: x * y,
        "softmax": lambda *four: list(torch.softmax(torch.stack(four), dim=0).unbind()),
    }
    inputs = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in drawn.inputs]

    def value_and_gradient() -> dict[str, np.ndarray]:
        for x in inputs:
            x.grad = None
        output = torch.stack(follow(drawn.operations, inputs, kinds)).sum()
        output.backward()
        return answer(output.item(), [x.grad.item() for x in inputs])

    return Running(value_and_gradient, answer=value_and_gradient())
