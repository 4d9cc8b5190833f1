"""Every row by its name, but for those of `training`: what is measured, and the function that measures it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from tests.benchmarks import digits, engine, first, irregular, names, networks, recipes, tasks, trace
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


def few_steps(effort: Effort) -> list[Line]:
    """101,770 parameters are read and written around every five steps."""
    return _few_steps_in("float64", effort) + _few_steps_in("float32", effort)


def _few_steps_in(dtype: str, effort: Effort) -> list[Line]:
    task = replace(tasks.TRAINING["mnist-sized"].task, dtype=dtype)
    contenders = [
        Contender(f"micrograd_mlp, program.train, {dtype}", lambda: networks.compiled(task, steps=5)),
        Contender(f"PyTorch, {dtype}", lambda: networks.pytorch(task), 1),
        Contender(f"JAX, jit of 5 steps, {dtype}", lambda: networks.jax_jit(task, 5)),
    ]
    return race(contenders, effort, dtype)


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


IRREGULAR: dict[str, tuple[str, Callable[[Effort], list[Line]]]] = {
    "irregular": (
        "sums, products, softplus and softmaxes in layers, 10,000 operations, value and gradient",
        lambda effort: irregular.irregular(recipes.layered(), effort, casadi_takes=2),
    ),
    "chains": (
        "8 chains of 1,250 operations, no two neighbours alike, value and gradient",
        lambda effort: irregular.irregular(recipes.chains(), effort),
    ),
    "softmaxes": (
        "softmaxes with unused outputs, sums and products, 10,000 operations, value and gradient",
        lambda effort: irregular.irregular(recipes.partial(), effort),
    ),
    "mixed": (
        "20 kinds of operations at random, 10,000 of them, value and gradient",
        lambda effort: irregular.irregular(recipes.mixed(), effort),
    ),
    "gpt": ("a GPT of scalars, value and gradient of one name", names.gpt_row),
}
"""Those that CasADi takes part in."""

ROWS: dict[str, tuple[str, Callable[[Effort], list[Line]]]] = {
    "demo": ("micrograd's demo, one step, eager", engine.demo),
    "scalars": ("one scalar operation, forward and backward, eager", engine.scalars),
    "size": ("memory", engine.size),
    "import": ("import", engine.import_time),
    "moons-others": ("the row moons, in other words", moons_others),
    "few-steps": ("the row mnist-sized with five steps a call", few_steps),
    **IRREGULAR,
    "cores": ("64-32-10 cross-entropy, batch 4,096, SGD step", cores),
    "compile": ("trace and build", trace.compile_time),
    "digits": ("1,797 images of digits, 64-32-10, 20 epochs", digits.digits),
    "first": ("first result, whole processes", first.first),
}
