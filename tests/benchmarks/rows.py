"""Every row by its name: what is measured, in one line, and the function that measures it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from tests.benchmarks import digits, engine, irregular, networks, trace
from tests.benchmarks.harness import Contender, Effort, Line, NotRunError, Running, race, use_threads


def moons(effort: Effort) -> list[Line]:
    task = networks.moons()
    demo = Contender("micrograd", lambda: networks.micrograd(task), 10_000)
    return race([*networks.contenders(task, torch=10, jax=2), demo], effort)


def moons_adam(effort: Effort) -> list[Line]:
    return race(networks.contenders(networks.moons("tanh", "Adam", 0.01), torch=5, jax=1.5), effort)


def digits_sized(effort: Effort) -> list[Line]:
    return race(networks.contenders(networks.random_classes(64, 32, 10, batch=256), torch=2, jax=1), effort)


def mnist_sized(effort: Effort) -> list[Line]:
    task = networks.random_classes(784, 128, 10, batch=128)
    return race(networks.contenders(task, torch=1), effort)


def cores(effort: Effort) -> list[Line]:
    """The same step on one thread and on two, in the same process."""
    if (os.cpu_count() or 1) < 2:
        raise NotRunError("this machine has one core")
    task = networks.random_classes(64, 32, 10, batch=4096)
    contenders = [
        Contender("micrograd_mlp on two cores", lambda: on_threads(2, networks.compiled(task, steps=100))),
        Contender(
            "micrograd_mlp on one core", lambda: on_threads(1, networks.compiled(task, steps=100)), 1.7
        ),
    ]
    return race(contenders, effort)


def on_threads(n: int, program: Running) -> Running:
    def run() -> None:
        use_threads(n)
        program.run()
        use_threads(1)

    return replace(program, run=run)


ROWS: dict[str, tuple[str, Callable[[Effort], list[Line]]]] = {
    "demo": ("micrograd's demo, one step, eager", engine.demo),
    "scalars": ("one scalar operation, forward and backward, eager", engine.scalars),
    "size": ("memory", engine.size),
    "import": ("import", engine.import_time),
    "moons": ("moons, 2-16-16-1 ReLU, 100 points, hinge + L2, SGD step", moons),
    "moons-adam": ("moons, 2-16-16-1 tanh, 100 points, hinge + L2, Adam step", moons_adam),
    "digits-sized": ("64-32-10 cross-entropy, batch 256, SGD step", digits_sized),
    "mnist-sized": ("784-128-10 cross-entropy, batch 128, SGD step", mnist_sized),
    "irregular": ("irregular graph, 10,000 operations, value and gradient", irregular.irregular),
    "cores": ("64-32-10 cross-entropy, batch 4,096, SGD step", cores),
    "compile": ("trace and build", trace.compile_time),
    "digits": ("1,797 images of digits, 64-32-10, 20 epochs", digits.digits),
}
