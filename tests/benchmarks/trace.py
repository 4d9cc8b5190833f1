"""What `compile` takes to record a graph and build its program, the machine code being there already.

A function of examples is recorded in its first call, which is in the time, with the eager pass that this
call compares itself with.
"""

from __future__ import annotations

import time

import numpy as np

from micrograd_mlp import Value
from tests.benchmarks import irregular, networks, recipes, tasks
from tests.benchmarks.harness import (
    Contender,
    Effort,
    Line,
    Running,
    duration,
    not_run,
    race,
    require_close,
)
from tests.benchmarks.recipes import Recipe
from tests.benchmarks.tasks import Task


def compile_time(effort: Effort) -> list[Line]:
    """Against five eager forward and backward passes of the same graph, which is the promise."""
    drawn = recipes.layered()
    task = tasks.classes(64, 32, 10, batch=256)
    return [
        *race(
            [
                Contender("compile, irregular graph of 10,000", lambda: compiling_irregular(drawn)),
                Contender("5 eager passes of it", lambda: five(irregular.eager(drawn)), 1),
            ],
            effort,
        ),
        *race(
            [
                Contender("compile, one example of the digits net", lambda: compiling_network(task)),
                Contender("5 eager passes of it", lambda: five(eager_example(task)), 1),
            ],
            effort,
        ),
        *a_million(effort),
    ]


def five(eager: Running) -> Running:
    return Running(lambda: [eager.run() for _ in range(5)], answer=eager.answer)


def compiling_irregular(drawn: Recipe) -> Running:
    from micrograd_mlp import compile

    f, parameters = irregular.of_parameters(drawn)
    return Running(
        lambda: compile(f, parameters),
        answer=irregular.answer(*compile(f, parameters).loss_and_grad()),
    )


def compiling_network(task: Task) -> Running:
    from micrograd_mlp import compile

    model = task.model()
    parameters = model.parameters()
    f = networks.example_loss(task, model, parameters)

    def recorded_and_run() -> tuple[float, np.ndarray]:
        return compile(f, parameters).loss_and_grad(task.X[:1], task.Y[:1])

    return Running(recorded_and_run, answer=irregular.answer(*recorded_and_run()))


def eager_example(task: Task) -> Running:
    """Inputs and target as Values, as `compile` has them."""
    model = task.model()
    parameters = model.parameters()
    f = networks.example_loss(task, model, parameters)
    row, target = task.X[0].tolist(), float(task.Y[0])

    def forward_and_backward() -> dict:
        model.zero_grad()
        loss = f([Value(number) for number in row], Value(target))
        loss.backward()
        return irregular.answer(loss.data, [p.grad for p in parameters])

    return Running(forward_and_backward, answer=forward_and_backward())


def a_million(effort: Effort) -> list[Line]:
    try:
        from micrograd_mlp import compile
    except ImportError as why:
        return [Line("compile, 1,000,000 nodes", not_run(why), required="< 20 s")]
    n = 10_000 if effort.quick else 1_000_000
    drawn = recipes.layered(n)
    f, parameters = irregular.of_parameters(drawn)
    start = time.perf_counter()
    program = compile(f, parameters)
    seconds = time.perf_counter() - start
    expected = irregular.eager(drawn).answer
    seen = irregular.answer(*program.loss_and_grad())
    for what in expected:
        require_close(what, "eager", expected[what], "compiled", seen[what])
    return [Line(f"compile, {n:,} nodes", duration(seconds), "", "< 20 s", seconds < 20)]
