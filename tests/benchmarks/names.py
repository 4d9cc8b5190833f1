"""The GPT of scalars on one name: value and gradient of its loss in all its parameters.

- micrograd_mlp, compiled: one program for every name of this length; a letter is data, and becomes one-hot in
  the graph. "of one name" has the letters built into the graph instead, as CasADi has them.
- micrograd_mlp, eager: with dot, softmax and cross_entropy, and with operators alone; the least that any
  Python class of scalars costs is `plain_value`.
- CasADi: SX symbols, as in the other irregular graphs.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.benchmarks import gpt, plain_value
from tests.benchmarks.harness import Contender, Effort, Line, Running, race
from tests.benchmarks.irregular import answer, casadi_function

NAME = "mirabel"


def gpt_row(effort: Effort) -> list[Line]:
    small = {"width": 4, "n_heads": 2} if effort.quick else {}
    contenders = [
        Contender("micrograd_mlp, compiled", lambda: compiled(small)),
        Contender("micrograd_mlp, compiled, of one name", lambda: compiled_for_one_name(small)),
        Contender("CasADi", lambda: casadi(small)),
        Contender("micrograd_mlp, eager", lambda: eager(gpt.GPT(**small))),
        Contender("micrograd_mlp, eager, operators alone", lambda: eager(of_scalars(small, gpt.Parameter))),
        Contender("a plain Value, operators alone", lambda: eager(of_scalars(small, plain_value.Plain))),
    ]
    return race(contenders, effort)


def compiled(small: dict[str, int]) -> Running:
    from micrograd_mlp import compile

    model = gpt.GPT(**small)
    program = compile(model.loss, model.parameters())
    X, Y = (np.array([tokens], dtype=float) for tokens in gpt.example(NAME))
    return Running(lambda: program.loss_and_grad(X, Y), answer=answer(*program.loss_and_grad(X, Y)))


def compiled_for_one_name(small: dict[str, int]) -> Running:
    from micrograd_mlp import compile

    model = gpt.GPT(**small)
    program = compile(lambda: model.loss(*gpt.example(NAME)), model.parameters())
    return Running(program.loss_and_grad, answer=answer(*program.loss_and_grad()))


def of_scalars(small: dict[str, int], parameter: Callable[[float], Any]) -> gpt.GPT:
    return gpt.GPT(**small, parameter=parameter, arithmetic=gpt.SCALARS)


def eager(model: gpt.GPT) -> Running:
    """The garbage collector is off, which would search what other packages have left."""
    parameters, example = model.parameters(), gpt.example(NAME)

    def value_and_gradient() -> dict[str, np.ndarray]:
        for p in parameters:
            p.grad = 0.0
        loss = model.loss(*example)
        loss.backward()
        return answer(loss.data, [p.grad for p in parameters])

    def without_collector() -> None:
        gc.disable()
        value_and_gradient()
        gc.enable()

    return Running(without_collector, answer=value_and_gradient())


def casadi(small: dict[str, int]) -> Running:
    import casadi as ca

    def inner(w: Any, x: Any) -> Any:
        return sum(w_k * x_k for w_k, x_k in zip(w, x))

    def softmax(z: Sequence[Any]) -> list[Any]:
        exponentials = [ca.exp(z_k) for z_k in z]
        normalizer = sum(exponentials)
        return [e / normalizer for e in exponentials]

    arithmetic = gpt.Arithmetic(
        inner, softmax, lambda z, target: -ca.log(softmax(z)[target]), lambda z: ca.fmax(z, 0)
    )
    numbers = [p.data for p in gpt.GPT(**small).parameters()]
    symbols = ca.SX.sym("theta", len(numbers))
    unused = iter(ca.vertsplit(symbols))
    model = gpt.GPT(**small, parameter=lambda _: next(unused), arithmetic=arithmetic)
    return casadi_function(symbols, model.loss(*gpt.example(NAME)), numbers)
