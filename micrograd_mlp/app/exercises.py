"""Exercises that diagnose: a wrong answer gets the name of the mistake that gives it (§4 to §9).

`fill_in_the_gradients` and `fill_in_a_network` make as many exercises as there are seeds, `gradients` makes
one of any graph, and `question` one of anything else. All are used in the same way:

>>> exercise = gradients((Value(2.0, "u") * Value(3.0, "v") + 1.0) ** 2, of=["u"])
>>> exercise.check(21)
not yet. You get this when the exponent is not written as a factor, at f.
>>> print(exercise.hint())
Hint 1 of 3: Start at the output: ∂f/∂f = 1. Then take the nodes in this order: v2, v1, u. The turn of a
    node comes when everything that is computed from it has its gradient.
>>> exercise.check(42)
right

In a notebook an exercise shows itself as a page with a field for each number, and `.save("exercise.html")`
writes that page as one file.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from micrograd_mlp._require import require_choice, require_count, require_kind
from micrograd_mlp.app.exercise import Exercise, Question, Verdict
from micrograd_mlp.app.gradient_exercise import GradientExercise
from micrograd_mlp.engine.op import FUNCTIONS
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Value
from micrograd_mlp.nn.activations import ACTIVATIONS
from micrograd_mlp.nn.losses import mean, squared_error
from micrograd_mlp.nn.modules import MLP

__all__ = [
    "Exercise",
    "GradientExercise",
    "Question",
    "Verdict",
    "fill_in_a_network",
    "fill_in_the_gradients",
    "gradients",
    "question",
]

_INPUTS = (2.0, 3.0, -2.0, -3.0, 0.5, -0.5, 4.0, -1.5, 1.5)  # the inputs of one exercise differ
_LARGEST = 60.0  # larger numbers and gradients are hard to multiply by hand


def gradients(output: Value, of: Iterable[Value | str] | None = None, task: str = "") -> GradientExercise:
    """The gradients of a graph are to be filled in.

    Args:
        output: the end of the graph, which is copied: later changes of it don't matter.
        of: the nodes whose gradients are asked for, or their names; unless given, all but plain numbers.
        task: what the exercise says; made from the names unless given.

    Raises:
        TypeError: output is not a Value.
        ValueError: `of` holds what is not in the graph; the graph has more than 300 nodes, is older than its
            leaves' numbers, or has a gradient that is not finite.

    >>> x = Value(3.0, "x")
    >>> gradients(x * x + x, of=[x]).check(4)
    not yet. You get this when one path to x is forgotten: what comes through one of its 2 uses in v1 is not
        added.
    """
    require_kind("output", output, Value)
    return GradientExercise(output, of, task)


def question(
    right: Any,
    mistakes: Mapping[str, Any] | None = None,
    *,
    task: str = "",
    hints: Sequence[str] = (),
    solution: str = "",
) -> Question:
    """A question of any kind.

    Args:
        right: the answer: a number, or numbers in lists or dictionaries, which may be given with few digits;
            or a function of the answer that says whether it is right.
        mistakes: what completes "You get this when", and the answer that it gives, in the form of `right`.
        task: the question.
        hints: from the first nudge to nearly the whole way.
        solution: the whole way.

    >>> limit = question(0.5, {"1/λ is taken in the place of 2/λ": 0.25}, hints=["λ is an eigenvalue."])
    >>> limit.check("1/4")
    not yet. You get this when 1/λ is taken in the place of 2/λ.
    """
    return Question(right, mistakes or {}, task, hints, solution)


def fill_in_the_gradients(
    seed: int | None = None, n_nodes: int = 6, functions: Sequence[str] = ("tanh", "sigmoid", "exp")
) -> GradientExercise:
    """A random small graph, whose gradients are to be filled in by hand. Some node is used more than once.

    Args:
        seed: the same seed makes the same exercise, and `.another()` that of the next seed; drawn unless
            given.
        n_nodes: how many gradients are asked for, from 3 to 20: inputs, operations and the output.
        functions: of one number, by name; the graph has one of them at most, beside +, −, · and squares.

    Raises:
        ValueError: n_nodes is out of range, or there is no such function.

    >>> exercise = fill_in_the_gradients(seed=3)
    >>> len(exercise.names)
    6
    """
    n_nodes = require_count("n_nodes", n_nodes, least=3, most=20)
    unary = [name for name, function in FUNCTIONS.items() if function.op.arity == 1]
    for name in functions:
        require_choice("functions", name, unary)
    seed = _seed(seed)
    generator = random.Random(seed)
    while True:
        output = _random_graph(generator, n_nodes, list(functions))
        if _is_pleasant(output):
            return GradientExercise(
                output, another=lambda: fill_in_the_gradients(seed + 1, n_nodes, functions)
            )


def fill_in_a_network(
    seed: int | None = None,
    layer_sizes: Sequence[int] = (2, 2, 2),
    activation: str = "tanh",
    n_examples: int = 1,
) -> GradientExercise:
    """A random small network with the squared error: fill in δ of every neuron (§6.2), then ∂ℓ/∂W (§6.3).

    Args:
        seed: the same seed makes the same exercise, and `.another()` that of the next seed; drawn unless
            given.
        layer_sizes: the number of inputs and the sizes of the layers, from 1 to 4; the last one is linear.
        activation: σ of the hidden layers, a name in `ACTIVATIONS`.
        n_examples: of several the loss is the mean (§10.1); from 1 to 3.

    Raises:
        ValueError: a size or the number of examples is out of range, or there is no such activation.

    >>> fill_in_a_network(seed=1, layer_sizes=[2, 1]).names
    ['z1[1]', 'W1[1,1]', 'W1[1,2]']
    """
    sizes = [require_count("layer_sizes", size, least=1, most=4) for size in layer_sizes]
    if not 2 <= len(sizes) <= 4:
        raise ValueError(f"layer_sizes needs the inputs and 1 to 3 layers, got {len(sizes)} sizes")
    require_choice("activation", activation, ACTIVATIONS)
    n_examples = require_count("n_examples", n_examples, least=1, most=3)
    seed = _seed(seed)
    generator = random.Random(seed)
    model = MLP(sizes[0], sizes[1:], activation=activation, seed=seed)
    for parameter in model.parameters():
        parameter.data = generator.choice([-1, 1]) * generator.randint(1, 15) / 10
    losses = []
    for _ in range(n_examples):
        x = [Value(generator.choice(_INPUTS), f"x[{k + 1}]") for k in range(sizes[0])]
        y = [float(generator.randint(-2, 2)) for _ in range(sizes[-1])]
        losses.append(squared_error(model(x), y if len(y) > 1 else y[0]))
    loss = losses[0] if n_examples == 1 else mean(losses)
    loss.label = "ℓ"
    return GradientExercise(
        loss,
        _errors_and_weights(loss),
        "Fill in the error signal δ = ∂ℓ/∂z of every neuron, from the output backwards, and then ∂ℓ/∂W.",
        another=lambda: fill_in_a_network(seed + 1, sizes, activation, n_examples),
    )


def _seed(seed: int | None) -> int:
    return random.randrange(10**6) if seed is None else require_count("seed", seed)


def _errors_and_weights(loss: Value) -> list[Value]:
    """Pre-activations from the output backwards, then weights."""
    nodes = list(reversed(loss.topological_order()))
    return [node for letter in "zW" for node in nodes if (node.label or "").startswith(letter)]


def _random_graph(generator: random.Random, n_nodes: int, functions: list[str]) -> Value:
    """A graph of `n_nodes` nodes with one output, in which a node is used twice if there are more than 3."""
    n_inputs = 2 if n_nodes < 8 else 3
    numbers = generator.sample(_INPUTS, n_inputs)
    nodes = [Value(number, label) for number, label in zip(numbers, "abc")]
    unused = list(nodes)
    steps = ["join"] * (n_inputs - 1) + ["again"] * (n_nodes > 3)
    for _ in range(n_nodes - n_inputs - len(steps)):
        steps.append(generator.choice(["again", "square", "function"]))
    generator.shuffle(steps)
    for i, step in enumerate(steps):
        x = unused.pop(generator.randrange(len(unused)))
        used = [node for node in nodes if node is not x and node not in unused]
        if step == "function" and functions:
            made = FUNCTIONS[functions.pop(generator.randrange(len(functions)))](x)
            functions = []
        elif step in ("join", "again"):
            others = unused if step == "join" else used or [x]
            y = generator.choice(others)
            made = _joined(generator, x, y)
            unused = [node for node in unused if node is not y]
        else:
            made = x**2
        made.label = "f" if i == len(steps) - 1 else f"v{i + 1}"
        nodes.append(made)
        unused.append(made)
    return nodes[-1]


def _joined(generator: random.Random, x: Value, y: Value) -> Value:
    """A sum, a difference or, most often, a product; of a node with itself always a product."""
    operations = [operator.mul, operator.add, operator.sub, operator.mul]
    joined: Value = (operator.mul if x is y else generator.choice(operations))(x, y)
    return joined


def _is_pleasant(output: Value) -> bool:
    """Whether the numbers suit pencil and paper, every input matters, and the graph is not mostly linear."""
    order = output.topological_order()
    curved = [node for node in order if node.op not in (None, TABLE["add"], TABLE["sub"])]
    output.backward()
    slopes = [abs(node.grad) for node in order if not node.parents and node.label]
    sizes = [abs(node.data) for node in order] + [abs(node.grad) for node in order if node.label]
    for node in order:
        node.grad = 0.0
    return max(sizes) <= _LARGEST and min(slopes) >= 0.01 and len(curved) >= len(order) // 3
