"""Whole training steps of a multilayer perceptron, optimizer included, as a user of each package writes them.

- micrograd_mlp: the loss of one example, compiled; `program.train` runs the steps. The gradients into
  `.grad` and the eager `optimizer.step()` after it, for those who want to see them, are a line of their own.
- PyTorch: `nn.Sequential` of `nn.Linear`, the loss of `torch.nn.functional`, an optimizer of `torch.optim`;
  eager, `zero_grad`, `backward`, `step`.
- JAX: one `jit` of `value_and_grad` and the update, parameters donated, each step waited for. Its second
  line runs all steps inside the `jit` by `fori_loop`, as `program.train` does.
- micrograd: its demo's step, without the accuracy that the demo also computes.

All start from the same weights, and have to agree on the loss, the gradient and three steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from micrograd_mlp import MLP, SGD, Adam, Parameter, Value, cross_entropy, datasets, hinge, l2, mean
from tests.benchmarks.harness import Contender, Running, single_threaded_torch


@dataclass(frozen=True)
class Task:
    """A network, its data and how it is trained, full batch.

    Attributes:
        loss: "hinge" for a score against -1 or +1, or "cross_entropy" of logits against a class index.
        optimizer: "SGD" or "Adam".
        alpha: the factor of Σ θ² in the loss.
    """

    sizes: tuple[int, ...]
    activation: str
    loss: str
    optimizer: str
    lr: float
    X: np.ndarray
    Y: np.ndarray
    alpha: float = 0.0

    def model(self) -> MLP:
        """The start, with biases other than 0: at 0 the last one's gradient is a rounding error on the moons,
        which Adam would blow up.
        """
        model = MLP(self.sizes[0], self.sizes[1:], activation=self.activation, seed=0)
        for layer in model.layers:
            for j, neuron in enumerate(layer.neurons):
                neuron.b.data = 0.01 * (j + 1)
        return model

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """W (outputs × inputs) and b of each layer."""
        return [
            (
                np.array([[w.data for w in neuron.w] for neuron in layer.neurons]),
                np.array([neuron.b.data for neuron in layer.neurons]),
            )
            for layer in self.model().layers
        ]


def moons(activation: str = "relu", optimizer: str = "SGD", lr: float = 0.1) -> Task:
    """micrograd's demo: 100 points, targets -1 and +1."""
    X, classes = (np.array(column, dtype=float) for column in datasets.moons(100, noise=0.1, seed=1337))
    return Task((2, 16, 16, 1), activation, "hinge", optimizer, lr, X, 2 * classes - 1, alpha=1e-4)


def random_classes(*sizes: int, batch: int) -> Task:
    """Standard normal inputs with classes at random: the sizes are what matters."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(batch, sizes[0]))
    Y = rng.integers(sizes[-1], size=batch)
    return Task(sizes, "relu", "cross_entropy", "SGD", 0.05, X, Y)


def in_our_order(weights: list[tuple[Any, Any]]) -> np.ndarray:
    """All numbers of [(W, b), ...] neuron by neuron, as `model.parameters()` has them."""
    return np.concatenate([np.column_stack([np.asarray(W), np.asarray(b)]).ravel() for W, b in weights])


def answer(loss: Any, gradient: Any, parameters: Any) -> dict[str, np.ndarray]:
    names = ("loss", "gradient", "parameters after three steps")
    return dict(zip(names, (np.array([float(loss)]), np.asarray(gradient), np.asarray(parameters))))


# Ours


def example_loss(task: Task, model: MLP, parameters: list[Parameter]) -> Callable[[Any, Any], Value]:
    """f(x, y) for `compile`."""
    of_one = {"hinge": hinge, "cross_entropy": cross_entropy}[task.loss]
    if not task.alpha:
        return lambda x, y: of_one(model(x), y)
    return lambda x, y: of_one(model(x), y) + task.alpha * l2(parameters)


def our_optimizer(task: Task, parameters: list[Parameter]) -> Any:
    return {"SGD": SGD, "Adam": Adam}[task.optimizer](parameters, lr=task.lr)


def compiled(task: Task, steps: int) -> Running:
    """`program.train`, called once for many steps."""
    from micrograd_mlp import compile

    model = task.model()
    parameters = model.parameters()
    f = example_loss(task, model, parameters)
    program = compile(f, parameters)
    optimizer = our_optimizer(task, parameters)
    loss, gradient = program.loss_and_grad(task.X, task.Y)
    program.train(optimizer, task.X, task.Y, steps=3)
    after = [p.data for p in parameters]
    return Running(
        lambda: program.train(optimizer, task.X, task.Y, steps=steps),
        units=steps,
        answer=answer(loss, gradient, after),
        flops=flops(f, parameters, task),
    )


def compiled_then_eager_step(task: Task) -> Running:
    """`program(X, Y)` fills `.grad`, `optimizer.step()` is the eager one."""
    from micrograd_mlp import compile

    model = task.model()
    parameters = model.parameters()
    program = compile(example_loss(task, model, parameters), parameters)
    optimizer = our_optimizer(task, parameters)

    def step() -> None:
        program(task.X, task.Y)
        optimizer.step()

    loss = program(task.X, task.Y)
    gradient = [p.grad for p in parameters]
    for _ in range(3):
        step()
    return Running(step, answer=answer(loss, gradient, [p.data for p in parameters]))


def eager(task: Task) -> Running:
    """The whole batch as one graph, in Python."""
    model = task.model()
    parameters = model.parameters()
    optimizer = our_optimizer(task, parameters)
    of_one = {"hinge": hinge, "cross_entropy": cross_entropy}[task.loss]
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
    return Running(step, answer=answer(first, gradient, [p.data for p in parameters]))


def flops(f: Callable[[Any, Any], Value], parameters: list[Parameter], task: Task) -> float:
    """Floating-point operations of a step, counted from the graph of one example.

    Forward, a sum of n products is 2n and any other operation one for each operand; backward, a product
    and a sum for every edge to something that depends on a parameter. What does not depend on the
    example counts once, the rest once for every row.
    """
    x = [Value(number) for number in task.X[0]]
    loss = f(x, task.Y[0].item())
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
    sigma = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[task.activation]
    for (n_inputs, n_outputs), (W, b) in zip(itertools.pairwise(task.sizes), task.weights()):
        linear = torch.nn.Linear(n_inputs, n_outputs, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, sigma()]
    model = torch.nn.Sequential(*layers[:-1])
    decay = 2 * task.alpha if l2_as_weight_decay else 0.0
    optimizer = getattr(torch.optim, task.optimizer)(model.parameters(), lr=task.lr, weight_decay=decay)
    X, Y = torch.from_numpy(task.X), torch.from_numpy(task.Y)

    def step() -> Any:
        if task.loss == "hinge":
            loss = torch.relu(1 - Y * model(X).squeeze(1)).mean()
        else:
            loss = torch.nn.functional.cross_entropy(model(X), Y)
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
        return Running(step, answer={"parameters after three steps": after})
    return Running(step, answer=answer(first, gradient, after))


def jax_jit(task: Task, steps_in_a_call: int = 1) -> Running:
    import jax
    import jax.numpy as jnp

    sigma = {"relu": jax.nn.relu, "tanh": jnp.tanh}[task.activation]
    X, Y = jnp.asarray(task.X), jnp.asarray(task.Y)

    def loss(weights: Any, X: Any, Y: Any) -> Any:
        a = X
        for W, b in weights[:-1]:
            a = sigma(a @ W + b)
        W, b = weights[-1]
        z = a @ W + b
        if task.loss == "hinge":
            data_loss = jax.nn.relu(1 - Y * z[:, 0]).mean()
        else:
            data_loss = (
                jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, Y[:, None], axis=1)[:, 0]
            ).mean()
        return (
            data_loss + task.alpha * sum((p * p).sum() for p in jax.tree.leaves(weights))
            if task.alpha
            else data_loss
        )

    def sgd(weights: Any, gradients: Any, state: Any) -> Any:
        return jax.tree.map(lambda p, g: p - task.lr * g, weights, gradients), state

    def adam(weights: Any, gradients: Any, state: Any) -> Any:
        t, m, v = state
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
        new = jax.tree.map(
            lambda p, m, v: p - task.lr * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8),
            weights,
            m,
            v,
        )
        return new, (t, m, v)

    update = {"SGD": sgd, "Adam": adam}[task.optimizer]

    def one_step(weights: Any, state: Any, X: Any, Y: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(weights, X, Y)
        return *update(weights, gradients, state), value

    def many_steps(weights: Any, state: Any, X: Any, Y: Any) -> Any:
        start = (weights, state, jnp.zeros(()))
        return jax.lax.fori_loop(0, steps_in_a_call, lambda _, now: one_step(*now[:2], X, Y), start)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(weights: Any, state: Any, X: Any, Y: Any) -> Any:
        return (one_step if steps_in_a_call == 1 else many_steps)(weights, state, X, Y)

    def start() -> Any:
        weights = [(jnp.asarray(W.T), jnp.asarray(b)) for W, b in task.weights()]
        zeros = jax.tree.map(jnp.zeros_like, (weights, weights))
        return weights, (jnp.zeros(()), *zeros) if task.optimizer == "Adam" else ()

    now = start()

    def run() -> None:
        nonlocal now
        *now, _ = jax.block_until_ready(step(*now, X, Y))

    if steps_in_a_call > 1:
        return Running(run, units=steps_in_a_call)
    value, gradients = jax.jit(jax.value_and_grad(loss))(now[0], X, Y)
    for _ in range(3):
        run()
    flat = [in_our_order([(W.T, b) for W, b in weights]) for weights in (gradients, now[0])]
    return Running(run, answer=answer(value, *flat))


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
    return Running(step, answer=answer(first, gradient, [float(p.data) for p in parameters]))


def contenders(task: Task, *, torch: float, jax: float | None = None, steps: int = 100) -> list[Contender]:
    """Us and the two that every training row is measured against, with the ratios that are promised.

    `steps` are run by one call of what runs several.
    """
    result = [
        Contender("micrograd_mlp, program.train", lambda: compiled(task, steps)),
        Contender("micrograd_mlp, program() and optimizer.step()", lambda: compiled_then_eager_step(task)),
        Contender("PyTorch", lambda: pytorch(task), torch),
        Contender("JAX, jit", lambda: jax_jit(task), jax),
        Contender(f"JAX, jit of {steps} steps", lambda: jax_jit(task, steps)),
    ]
    if task.alpha and task.optimizer == "SGD":  # under Adam weight decay is another rule
        result.append(
            Contender("PyTorch, L2 as weight_decay", lambda: pytorch(task, l2_as_weight_decay=True))
        )
    return result
