"""Whole training steps of a multilayer perceptron, optimizer included, as a user of each package writes them.

- micrograd_mlp: the loss of one example, compiled; `program.train` runs the steps. A program of its own
  puts the gradients into `.grad`, for those who want to see them, and calls the eager `optimizer.step()`.
- PyTorch: `nn.Sequential` of `nn.Linear`, the loss of `torch.nn.functional`, an optimizer of `torch.optim`;
  eager, `zero_grad`, `backward`, `step`.
- JAX: one `jit` of `value_and_grad` of the whole batch and of the update, parameters and optimizer state
  donated, each step waited for. A second program runs many steps inside the `jit` by `fori_loop`, as
  `program.train` does. Measured beside `scan`, unrolled or not, and beside parameters in one flat array,
  `fori_loop` was the fastest in nearly all sizes.
- micrograd: its demo's step, without the accuracy that the demo also computes.

All start from the same weights, and have to agree on the loss, the gradient and three steps.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from micrograd_mlp import (
    MLP,
    SGD,
    Adam,
    Momentum,
    Parameter,
    RMSProp,
    Value,
    cross_entropy,
    hinge,
    l2,
    mean,
    squared_error,
)
from tests.benchmarks.harness import NotRunError, Running, single_threaded_torch
from tests.benchmarks.tasks import Task

LOSSES = {"hinge": hinge, "cross_entropy": cross_entropy, "squared_error": squared_error}
OPTIMIZERS = {"SGD": SGD, "Momentum": Momentum, "RMSProp": RMSProp, "Adam": Adam}


def in_our_order(weights: list[tuple[Any, Any]]) -> np.ndarray:
    """All numbers of [(W, b), ...] neuron by neuron, as `model.parameters()` has them."""
    return np.concatenate([np.column_stack([np.asarray(W), np.asarray(b)]).ravel() for W, b in weights])


def answer(
    task: Task, loss: Any = None, gradient: Any = None, parameters: Any = None
) -> dict[str, np.ndarray]:
    """What is given, by the names of the harness's tolerances, which are wider in float32."""
    given = {"loss": loss, "gradient": gradient, "parameters after three steps": parameters}
    suffix = " in float32" if task.dtype == "float32" else ""
    return {
        name + suffix: np.atleast_1d(np.asarray(numbers, dtype=float))
        for name, numbers in given.items()
        if numbers is not None
    }


# Ours


def example_loss(task: Task, model: MLP, parameters: list[Parameter]) -> Callable[[Any, Any], Value]:
    """f(x, y) for `compile`."""
    of_one = LOSSES[task.loss]
    if not task.alpha:
        return lambda x, y: of_one(model(x), y)
    return lambda x, y: of_one(model(x), y) + task.alpha * l2(parameters)


def our_optimizer(task: Task, parameters: list[Parameter]) -> Any:
    return OPTIMIZERS[task.optimizer](parameters, lr=task.lr)


def compile_in(dtype: str, f: Callable[..., Value], parameters: list[Parameter]) -> Any:
    """The program; `NotRunError` if `compile` has no precision to choose yet."""
    from micrograd_mlp import compile

    if dtype == "float64":
        return compile(f, parameters)
    if "dtype" not in inspect.signature(compile).parameters:
        raise NotRunError("not there")
    return compile(f, parameters, dtype=dtype)


def compiled(task: Task, steps: int) -> Running:
    """`program.train`, called once for many steps."""
    model = task.model()
    parameters = model.parameters()
    f = example_loss(task, model, parameters)
    program = compile_in(task.dtype, f, parameters)
    optimizer = our_optimizer(task, parameters)
    loss, gradient = program.loss_and_grad(task.X, task.Y)
    program.train(optimizer, task.X, task.Y, steps=3)
    after = [p.data for p in parameters]
    return Running(
        lambda: program.train(optimizer, task.X, task.Y, steps=steps),
        units=steps,
        answer=answer(task, loss, gradient, after),
        flops=flops(f, parameters, task),
    )


def compiled_then_eager_step(task: Task) -> Running:
    """`program(X, Y)` fills `.grad`, `optimizer.step()` is the eager one."""
    model = task.model()
    parameters = model.parameters()
    program = compile_in(task.dtype, example_loss(task, model, parameters), parameters)
    optimizer = our_optimizer(task, parameters)

    def step() -> None:
        program(task.X, task.Y)
        optimizer.step()

    loss = program(task.X, task.Y)
    gradient = [p.grad for p in parameters]
    for _ in range(3):
        step()
    return Running(step, answer=answer(task, loss, gradient, [p.data for p in parameters]))


def eager(task: Task) -> Running:
    """The whole batch as one graph, in Python."""
    model = task.model()
    parameters = model.parameters()
    optimizer = our_optimizer(task, parameters)
    of_one = LOSSES[task.loss]
    rows, targets = task.X.tolist(), task.Y.tolist()

    def step() -> float:
        loss = mean([of_one(model(x), y) for x, y in zip(rows, targets)]) + task.alpha * l2(parameters)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.data

    first = step()
    gradient = [p.grad for p in parameters]
    step(), step()
    return Running(step, answer=answer(task, first, gradient, [p.data for p in parameters]))


def flops(f: Callable[[Any, Any], Value], parameters: list[Parameter], task: Task) -> float:
    """Floating-point operations of a step, counted from the graph of one example.

    Forward, a sum of n products is 2n and any other operation one for each operand; backward, a product
    and a sum for every edge to something that depends on a parameter. What does not depend on the
    example counts once, the rest once for every row.
    """
    x = [Value(number) for number in task.X[0]]
    loss = f(x, task.Y[0].tolist())
    varying, adjusted = set(x), set(parameters)
    once = each = 0
    for node in loss.topological_order():
        if not node.parents:
            continue
        if not varying.isdisjoint(node.parents):
            varying.add(node)
        if not adjusted.isdisjoint(node.parents):
            adjusted.add(node)
        count = len(node.parents) + 2 * sum(parent in adjusted for parent in node.parents)
        if node in varying:
            each += count
        else:
            once += count
    return once + each * len(task.X)


# Peers


def pytorch(task: Task, l2_as_weight_decay: bool = False) -> Running:
    torch = single_threaded_torch()
    layers: list[Any] = []
    sigma = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
    for (n_inputs, n_outputs), (W, b) in zip(itertools.pairwise(task.sizes), task.weights()):
        linear = torch.nn.Linear(n_inputs, n_outputs, dtype=getattr(torch, task.dtype))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, sigma[task.activation]()]
    layers[-1:] = [sigma[task.output_activation]()] if task.output_activation else []
    model = torch.nn.Sequential(*layers)
    make, settings = {
        "SGD": (torch.optim.SGD, {}),
        "Momentum": (torch.optim.SGD, {"momentum": 0.9}),
        "RMSProp": (torch.optim.RMSprop, {"alpha": 0.9}),
        "Adam": (torch.optim.Adam, {}),
    }[task.optimizer]
    decay = 2 * task.alpha if l2_as_weight_decay else 0.0
    optimizer = make(model.parameters(), lr=task.lr, weight_decay=decay, **settings)
    X, Y = map(torch.from_numpy, task.data())

    def step() -> Any:
        if task.loss == "hinge":
            loss = torch.relu(1 - Y * model(X).squeeze(1)).mean()
        elif task.loss == "cross_entropy":
            loss = torch.nn.functional.cross_entropy(model(X), Y)
        else:
            loss = 0.5 * (model(X) - Y).square().sum(dim=1).mean()
        if task.alpha and not l2_as_weight_decay:
            loss = loss + task.alpha * sum((p * p).sum() for p in model.parameters())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def flat(of: Callable[[Any], Any]) -> np.ndarray:
        linears = [layer for layer in model if hasattr(layer, "weight")]
        return in_our_order([(of(layer.weight), of(layer.bias)) for layer in linears])

    first = step().item()
    gradient = flat(lambda p: p.grad.clone())
    step(), step()
    after = flat(lambda p: p.detach())
    if l2_as_weight_decay:  # its loss and gradient are without the L2 term; the steps are the same
        return Running(step, answer=answer(task, parameters=after))
    return Running(step, answer=answer(task, first, gradient, after))


def jax_jit(task: Task, steps_in_a_call: int = 1) -> Running:
    import jax
    import jax.numpy as jnp

    sigma = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}
    X, Y = map(jnp.asarray, task.data())
    if task.loss == "cross_entropy":
        Y = Y.astype(jnp.int32)

    def loss(weights: Any, X: Any, Y: Any) -> Any:
        a = X
        for W, b in weights[:-1]:
            a = sigma[task.activation](a @ W + b)
        W, b = weights[-1]
        z = a @ W + b
        if task.output_activation:
            z = sigma[task.output_activation](z)
        if task.loss == "hinge":
            data_loss = jax.nn.relu(1 - Y * z[:, 0]).mean()
        elif task.loss == "cross_entropy":
            data_loss = (
                jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, Y[:, None], axis=1)[:, 0]
            ).mean()
        else:
            data_loss = 0.5 * jnp.square(z - Y).sum(axis=1).mean()
        return (
            data_loss + task.alpha * sum((p * p).sum() for p in jax.tree.leaves(weights))
            if task.alpha
            else data_loss
        )

    update, n_states = jax_update(task)

    def one_step(weights: Any, state: Any, X: Any, Y: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(weights, X, Y)
        return *update(weights, gradients, state), value

    def many_steps(n: int, weights: Any, state: Any, X: Any, Y: Any) -> Any:
        start = (weights, state, jnp.zeros((), task.dtype))
        return jax.lax.fori_loop(0, n, lambda _, now: one_step(*now[:2], X, Y), start)

    in_place = partial(jax.jit, donate_argnums=(0, 1))
    step = in_place(one_step if steps_in_a_call == 1 else partial(many_steps, steps_in_a_call))

    def start() -> Any:
        weights = [(jnp.asarray(W.T), jnp.asarray(b)) for W, b in task.weights()]
        zeros = [jax.tree.map(jnp.zeros_like, weights) for _ in range(n_states)]
        return weights, (jnp.zeros((), task.dtype), *zeros)

    def flat(weights: Any) -> np.ndarray:
        return in_our_order([(W.T, b) for W, b in weights])

    now = start()

    def run() -> None:
        nonlocal now
        *now, _ = jax.block_until_ready(step(*now, X, Y))

    if steps_in_a_call > 1:
        after, *_ = in_place(partial(many_steps, 3))(*start(), X, Y)
        return Running(run, units=steps_in_a_call, answer=answer(task, parameters=flat(after)))
    value, gradients = jax.jit(jax.value_and_grad(loss))(now[0], X, Y)
    for _ in range(3):
        run()
    return Running(run, answer=answer(task, value, flat(gradients), flat(now[0])))


def jax_update(task: Task) -> tuple[Callable[[Any, Any, Any], Any], int]:
    """(weights, gradients, state) -> (weights, state), and how many numbers of state a parameter has.

    A state is the count of steps, then trees like the weights.
    """
    import jax
    import jax.numpy as jnp

    lr = task.lr

    def sgd(weights: Any, gradients: Any, state: Any) -> Any:
        return jax.tree.map(lambda p, g: p - lr * g, weights, gradients), state

    def momentum(weights: Any, gradients: Any, state: Any) -> Any:
        t, v = state
        v = jax.tree.map(lambda v, g: 0.9 * v - lr * g, v, gradients)
        return jax.tree.map(jnp.add, weights, v), (t, v)

    def rmsprop(weights: Any, gradients: Any, state: Any) -> Any:
        t, s = state
        s = jax.tree.map(lambda s, g: 0.9 * s + 0.1 * g * g, s, gradients)
        new = jax.tree.map(lambda p, g, s: p - lr * g / (jnp.sqrt(s) + 1e-8), weights, gradients, s)
        return new, (t, s)

    def adam(weights: Any, gradients: Any, state: Any) -> Any:
        t, m, v = state
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
        correct_m, correct_v = 1 - 0.9**t, 1 - 0.999**t
        new = jax.tree.map(
            lambda p, m, v: p - lr * (m / correct_m) / (jnp.sqrt(v / correct_v) + 1e-8), weights, m, v
        )
        return new, (t, m, v)

    return {"SGD": (sgd, 0), "Momentum": (momentum, 1), "RMSProp": (rmsprop, 1), "Adam": (adam, 2)}[
        task.optimizer
    ]


def micrograd(task: Task) -> Running:
    from micrograd import engine, nn

    model = nn.MLP(task.sizes[0], list(task.sizes[1:]))
    parameters = model.parameters()
    for theirs, ours in zip(parameters, task.model().parameters()):
        theirs.data = ours.data

    def step() -> float:
        inputs = [list(map(engine.Value, row)) for row in task.X]
        scores = list(map(model, inputs))
        losses = [(1 + -y * score).relu() for y, score in zip(task.Y, scores)]
        data_loss = sum(losses) * (1.0 / len(losses))
        loss = data_loss + task.alpha * sum(p * p for p in parameters)
        model.zero_grad()
        loss.backward()
        for p in parameters:
            p.data -= task.lr * p.grad
        return float(loss.data)

    first = step()
    gradient = [float(p.grad) for p in parameters]
    step(), step()
    return Running(step, answer=answer(task, first, gradient, [float(p.data) for p in parameters]))
