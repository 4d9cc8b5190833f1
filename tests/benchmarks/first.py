"""How long the first result takes: of a new installation, and of a second process.

Each program runs in a Python of its own, on one thread, and is timed from its start to its end. It trains one
step of a network on the moons, or takes the value and gradient of one loss, and prints the loss. "cold" is
the first process of a new installation: the package lies in a new folder, with its byte code as pip writes
it, and HOME, XDG_CACHE_HOME and TMPDIR are empty folders, so that no machine code is found. "warm" is the
next process. JAX keeps nothing on disk unless it is told to, so that all its processes do the same.

    python -m tests.benchmarks first
    python -m tests.benchmarks.first moons ours        one program, in this process
"""

from __future__ import annotations

import compileall
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.harness import Effort, Line, duration, not_run

ROOT = Path(__file__).resolve().parents[2]


def moons() -> tuple[Any, Any]:
    """A hundred points in two half circles, with noise; classes are -1 and +1."""
    import numpy as np

    rng = np.random.default_rng(0)
    angle, y = np.pi * rng.random(100), np.repeat([-1.0, 1.0], 50)
    X = np.column_stack([np.cos(angle), np.sin(angle)])
    X[50:] = [1.0, 0.5] - X[50:]
    return X + 0.1 * rng.normal(size=X.shape), y


def moons_ours() -> float:
    from micrograd_mlp import MLP, SGD, compile, hinge

    X, y = moons()
    model = MLP(2, [16, 16, 1], activation="tanh", seed=0)
    program = compile(lambda x, y: hinge(model(x), y), model.parameters())
    return program.train(SGD(model.parameters(), lr=0.1), X, y, steps=1)[0]


def moons_jax() -> float:
    import jax
    import jax.numpy as jnp
    import numpy as np

    X, y = moons()
    rng = np.random.default_rng(0)
    sizes = ((2, 16), (16, 16), (16, 1))
    weights = [(rng.normal(size=size) / size[0] ** 0.5, np.zeros(size[1])) for size in sizes]

    def loss(weights: Any) -> Any:
        a = X
        for W, b in weights[:-1]:
            a = jnp.tanh(a @ W + b)
        W, b = weights[-1]
        return jax.nn.relu(1 - y * (a @ W + b)[:, 0]).mean()

    @jax.jit
    def step(weights: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(weights)
        return jax.tree.map(lambda p, g: p - 0.1 * g, weights, gradients), value

    _, value = step(weights)
    return float(value)


def moons_torch(compiled: bool = False) -> float:
    import torch

    X, y = (torch.from_numpy(array) for array in moons())
    torch.manual_seed(0)
    linear, tanh = torch.nn.Linear, torch.nn.Tanh
    model = torch.nn.Sequential(linear(2, 16), tanh(), linear(16, 16), tanh(), linear(16, 1)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss_of(X: Any, y: Any) -> Any:
        return torch.relu(1 - y * model(X).squeeze(1)).mean()

    loss = (torch.compile(loss_of) if compiled else loss_of)(X, y)
    loss.backward()
    optimizer.step()
    return loss.item()


START = [0.1 * k - 0.5 for k in range(12)]


def valley(x: Any, tanh: Callable[[Any], Any]) -> Any:
    """Rosenbrock's valley, bent by a tanh."""
    terms = [100.0 * (b - a * a) ** 2 + (1.0 - tanh(a)) ** 2 for a, b in itertools.pairwise(x)]
    return sum(terms[1:], terms[0])


def valley_ours() -> float:
    from micrograd_mlp import Value, compile, tanh

    x = [Value(number) for number in START]
    value, _ = compile(lambda: valley(x, tanh), x).loss_and_grad()
    return value


def valley_jax() -> float:
    import jax
    import jax.numpy as jnp

    value, gradient = jax.jit(jax.value_and_grad(lambda x: valley(x, jnp.tanh)))(jnp.array(START))
    gradient.block_until_ready()
    return float(value)


def valley_torch(compiled: bool = False) -> float:
    import torch

    x = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    f = torch.compile(valley) if compiled else valley
    value = f(x, torch.tanh)
    value.backward()
    return value.item()


PROGRAMS: dict[str, dict[str, Callable[[], float]]] = {
    "moons": {
        "ours": moons_ours,
        "jax": moons_jax,
        "torch": moons_torch,
        "torch.compile": lambda: moons_torch(compiled=True),
    },
    "valley": {
        "ours": valley_ours,
        "jax": valley_jax,
        "torch": valley_torch,
        "torch.compile": lambda: valley_torch(compiled=True),
    },
}
NAMES = {
    "ours": "micrograd_mlp, compile",
    "jax": "JAX, jit",
    "torch": "PyTorch, eager",
    "torch.compile": "PyTorch, torch.compile",
}
WORK = {
    "moons": "a first trained step of 2-16-16-1 on 100 points",
    "valley": "a first value and gradient of one loss",
}
AT_MOST = {("ours", "cold"): 2.0, ("ours", "warm"): 0.7}
"""Times JAX's first process, and seconds."""


def first(effort: Effort) -> list[Line]:
    """Cold and warm of each program, in turns."""
    programs = ("ours", "jax") if effort.quick else tuple(NAMES)
    rounds = 1 if effort.quick else 3
    clock = _cpu_seconds_of_processes if effort.clock is time.process_time else effort.clock
    lines = []
    for work in ("valley",) if effort.quick else tuple(PROGRAMS):
        seconds: dict[tuple[str, str], list[float]] = {}
        absent: dict[str, str] = {}
        for _ in range(rounds):
            for program in programs:
                if program not in absent:
                    absent |= _cold_and_warm(work, program, clock, seconds)
        for program in programs:
            for state in ("cold", "warm"):
                name = f"{NAMES[program]}, {WORK[work]}, {state}"
                if program in absent:
                    lines.append(Line(name, absent[program]))
                    continue
                taken = median(seconds[program, state])
                limit = AT_MOST.get((program, state))
                if limit is not None and state == "cold" and "jax" not in absent:
                    limit *= median(seconds["jax", "cold"])
                ratio = f"{taken / median(seconds['ours', state]):.3g}×" if program != "ours" else ""
                required = "" if limit is None else f"≤ {duration(limit)}"
                lines.append(
                    Line(name, duration(taken), ratio, required, None if limit is None else taken <= limit)
                )
    return lines


def _cpu_seconds_of_processes() -> float:
    """Of those that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _cold_and_warm(
    work: str, program: str, clock: Callable[[], float], seconds: dict[tuple[str, str], list[float]]
) -> dict[str, str]:
    """Add to `seconds`; why the program could not run, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        environment = new_installation(Path(folder))
        for state in ("cold", "warm"):
            try:
                taken = _process(work, program, environment, clock)
            except NotFinishedError as why:
                return {program: not_run(why)}
            seconds.setdefault((program, state), []).append(taken)
    return {}


class NotFinishedError(Exception):
    """A program ended with an error."""


def new_installation(folder: Path) -> dict[str, str]:
    """The package in a folder of its own, and the environment of a process that finds nothing compiled."""
    for package in ("micrograd_mlp", "tests/benchmarks"):
        copy = folder / "site" / package
        shutil.copytree(ROOT / package, copy, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(copy, quiet=1)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            ("MICROGRAD_MLP_CACHE", "JAX_COMPILATION_CACHE", "TORCHINDUCTOR", "PYTHONDONTWRITE")
        )
    }
    for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR"):
        environment[name] = str(folder / name)
        (folder / name).mkdir()
    return environment | {"PYTHONPATH": str(folder / "site")}


def _process(work: str, program: str, environment: dict[str, str], clock: Callable[[], float]) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.first", work, program]
    start = clock()
    done = subprocess.run(command, env=environment, cwd=environment["HOME"], capture_output=True, text=True)
    seconds = clock() - start
    if done.returncode:
        raise NotFinishedError(done.stderr.strip().splitlines()[-1][:80])
    if not float(done.stdout.splitlines()[-1]) > 0.0:
        raise NotFinishedError(f"the loss is {done.stdout!r:.40}")
    return seconds


if __name__ == "__main__":
    print(PROGRAMS[sys.argv[1]][sys.argv[2]]())
