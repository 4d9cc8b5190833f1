"""Every row by its name, but for those of `training`: what is measured, and the function that measures it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from tests.benchmarks import digits, engine, irregular, networks, tasks, trace
from tests.benchmarks.harness import Contender, Effort, Line, NotRunError, Running, race, use_threads


def moons_others(effort: Effort) -> list[Line]:
    """The row "moons" in other words."""
    task = tasks.moons()
    contenders = [
        Contender("micrograd_mlp, program.train", lambda: networks.compiled(task, steps=500)),
        Contender(
            "micrograd_mlp, program() and optimizer.step()", lambda: networks.compiled_then_eager_step(task)
        ),
        Contender("PyTorch, L2 as weight_decay", lambda: networks.pytorch(task, l2_as_weight_decay=True)),
        Contender("micrograd", lambda: networks.micrograd(task), 10_000),
    ]
    return race(contenders, effort)


def cores(effort: Effort) -> list[Line]:
    """The same step on one thread and on two, in the same process."""
    if (os.cpu_count() or 1) < 2:
        raise NotRunError("this machine has one core")
    task = tasks.classes(64, 32, 10, batch=4096)
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
    "moons-others": ("moons, 2-16-16-1 ReLU, 100 points, hinge + L2, SGD step", moons_others),
    "irregular": ("irregular graph, 10,000 operations, value and gradient", irregular.irregular),
    "cores": ("64-32-10 cross-entropy, batch 4,096, SGD step", cores),
    "compile": ("trace and build", trace.compile_time),
    "digits": ("1,797 images of digits, 64-32-10, 20 epochs", digits.digits),
}
