"""Random programs with every operation of the table, and how to run the code they become."""

import ctypes
import functools
import json
import math
import random
import subprocess

import numpy as np

from micrograd_mlp import Value, compile, total
from micrograd_mlp.engine.table import TABLE


def squeezed(value, low, high):
    """A number inside of an operation's domain, smooth in the value that it is made of."""
    if math.isinf(low) and math.isinf(high):
        return value
    if math.isinf(high):
        return value * value + (low + 0.3)
    return value.sigmoid() * (0.8 * (high - low)) + (low + 0.1 * (high - low))


@functools.lru_cache
def random_program(seed, n_parameters=7, n_features=3, n_operations=60):
    """A program f(x, y) over `n_parameters` Values with every operation of the table in a random order.

    Some of its parts depend on parameters alone, some on the inputs alone, some on both; operands are
    elements of several vectors; the names of parameters are of every kind.
    """
    rng = random.Random(seed)
    names = ["W1[1,1]", "W1[1,2]", "b1[1]", "b1[2]", None, "theta", "x"][:n_parameters]
    parameters = [Value(rng.uniform(-1.2, 1.2), name) for name in names]
    order = list(TABLE.values())
    rng.shuffle(order)
    chosen = (order * (1 + n_operations // len(order)))[: max(n_operations, len(order))]
    picks = [[rng.random() for _ in range(12)] for _ in chosen]

    def f(x, y):
        pool = [*parameters, *x, y]
        for op, numbers in zip(chosen, picks):
            arity = op.arity or 4
            domains = op.domain * arity if len(op.domain) < arity else op.domain
            operands = [
                squeezed(pool[int(u * len(pool))], *domain)
                for u, domain in zip(numbers, domains, strict=False)
            ]
            if op.name in ("div", "pow"):
                operands[1] = operands[1] * operands[1] + 0.5
            result = op(*operands)
            if isinstance(result, Value):
                pool.append((result * 0.1).tanh() if len(pool) % 3 else result.tanh())
        return total([v * (0.1 + 0.01 * k) for k, v in enumerate(pool)])

    program = compile(f, parameters)
    data = np.random.default_rng(seed)
    return program, data.normal(size=(5, n_features)), data.normal(size=5)


def theta_of(program):
    """The parameters' numbers in their order."""
    return np.array([p.data for p in program.parameters])


def run_python(source, theta, *data):
    """What NumPy's `loss_and_grad` returns."""
    scope = {}
    exec(compile_text(source), scope)
    return scope["loss_and_grad"](theta, *data)


def compile_text(source):
    """Python's own compile, which the package's has taken the name of."""
    import builtins

    return builtins.compile(source, "exported", "exec")


def run_c(source, folder, theta, X=None, Y=None, flags=()):
    """What C's `loss_and_grad` gives, compiled with all warnings as errors."""
    library = folder / f"program{len(list(folder.iterdir()))}.so"  # a library of one name is loaded once
    (folder / "program.c").write_text(source)
    command = ["gcc", "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", *flags, "-shared", "-fPIC"]
    command += [str(folder / "program.c"), "-o", str(library), "-lm"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[:3000]
    function = ctypes.CDLL(str(library)).loss_and_grad
    function.restype = ctypes.c_double
    arrays = [None if a is None else np.ascontiguousarray(a, dtype=float) for a in (theta, X, Y)]
    gradient = np.full(len(theta), np.nan)
    pointers = [None if a is None else a.ctypes.data_as(ctypes.c_void_p) for a in (*arrays, gradient)]
    n = ctypes.c_int(1 if X is None else len(X))
    return function(*pointers[:3], n, pointers[3]), gradient


def run_javascript(source, theta, *data):
    """What JavaScript's `loss_and_grad` returns."""
    arguments = json.dumps([np.asarray(a).tolist() for a in (theta, *data)])
    text = f'"use strict";\n{source}\nconsole.log(JSON.stringify(loss_and_grad(...{arguments})));'
    run = subprocess.run(["node", "-"], input=text, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    loss, gradient = json.loads(run.stdout)
    return loss, np.array(gradient, dtype=float)


def run_jax(source, theta, *data):
    """The loss in JAX and JAX's gradient of it."""
    import jax

    scope = {}
    exec(compile_text(source), scope)
    loss, gradient = jax.jit(jax.value_and_grad(scope["loss"]))(theta, *data)
    return float(loss), np.asarray(gradient)


def run_torch(source, theta, *data):
    """The loss in PyTorch and PyTorch's gradient of it."""
    import torch

    scope = {}
    exec(compile_text(source), scope)
    theta = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    loss = scope["loss"](theta, *data)
    loss.backward()
    return loss.item(), theta.grad.numpy()


def run(language, source, folder, theta, *data):
    """Loss and gradient from code in any of the languages."""
    if language == "c":
        return run_c(source, folder, theta, *data)
    return {"numpy": run_python, "jax": run_jax, "torch": run_torch, "javascript": run_javascript}[language](
        source, theta, *data
    )
