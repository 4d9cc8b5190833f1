"""Known mistakes are replayed on any graph: each against a program that really makes it."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from micrograd_mlp.testing import expressions, mlps

from micrograd_mlp import MLP, Constant, Value, cos, mean, primitive, relu, sin, squared_error, tanh
from micrograd_mlp.checks.mistakes import BackwardPass, known_mistakes
from micrograd_mlp.render.scene import Scene


def mistakes_of(output, former=None):
    backward = BackwardPass(output)
    scene = Scene(output)
    return backward, known_mistakes(backward, {node: scene.name(node) for node in backward.order}, former)


def named(output, gradients, former=None):
    """The names of the mistakes that give these gradients, of the nodes that are given."""
    backward, mistakes = mistakes_of(output, former)
    found = []
    for mistake in mistakes:
        outcome = dict(zip(backward.order, backward.outcome(mistake), strict=True))
        if all(math.isclose(outcome[node], g, rel_tol=1e-9, abs_tol=1e-12) for node, g in gradients.items()):
            found.append(mistake.when)
    return found


def gradients_by(backward, output, nodes=None):
    """The gradients that a program of the reader's leaves in `.grad`."""
    order = output.topological_order()
    for node in order:
        node.grad = 0.0
    backward(output)
    return {node: node.grad for node in nodes or order if not isinstance(node, Constant)}


def shared():
    """v is used twice, and what is computed from it at different depths."""
    x = Value(3.0, "x")
    v = x * 2.0
    v.label = "v"
    return v * v + (v - 1.0) ** 2 * v


# Programs with a mistake, as people write them


def overwriting(output):
    order = output.topological_order()
    output.grad = 1.0
    for node in reversed(order):
        for parent, local in zip(node.parents, node.local_grads, strict=True):
            parent.grad = local * node.grad


def recursive(node, is_output=True):
    if is_output:
        node.grad = 1.0
    for parent, local in zip(node.parents, node.local_grads, strict=True):
        parent.grad += local * node.grad
        recursive(parent, is_output=False)


def recursive_afterwards(node, is_output=True):
    if is_output:
        node.grad = 1.0
    for parent, local in zip(node.parents, node.local_grads, strict=True):
        parent.grad += local * node.grad
    for parent in node.parents:
        recursive_afterwards(parent, is_output=False)


def depth_first(output):
    def visit(node):
        if node in visited:
            return
        visited.add(node)
        for parent, local in zip(node.parents, node.local_grads, strict=True):
            parent.grad += local * node.grad
        for parent in node.parents:
            visit(parent)

    visited = set()
    output.grad = 1.0
    visit(output)


def breadth_first(output):
    output.grad = 1.0
    queue, visited = [output], {output}
    for node in queue:
        for parent, local in zip(node.parents, node.local_grads, strict=True):
            parent.grad += local * node.grad
            if parent not in visited:
                visited.add(parent)
                queue.append(parent)


def forwards(output):
    output.grad = 1.0
    for node in output.topological_order():
        for parent, local in zip(node.parents, node.local_grads, strict=True):
            parent.grad += local * node.grad


def twice(output):
    output.backward()
    output.backward()


def twice_without_clearing(output):
    for _ in range(2):
        output.grad = 1.0
        for node in reversed(output.topological_order()):
            for parent, local in zip(node.parents, node.local_grads, strict=True):
                parent.grad += local * node.grad


PROGRAMS = {
    overwriting: "overwrites the others",
    recursive: "passes on again what it had passed on already",
    recursive_afterwards: "passes on again what it had passed on already",
    depth_first: "depth first, each node once",
    breadth_first: "breadth first, each node once",
    forwards: "from the inputs to the output",
    twice: "zero_grad() is forgotten",
    twice_without_clearing: "no gradient is cleared",
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_program_with_a_mistake_is_recognised(program):
    output = shared()
    [*found] = named(output, gradients_by(program, output))
    assert any(PROGRAMS[program] in when for when in found), found


def overwriting_unless_filled(output):
    """Keeps what comes first, as `if node.grad == 0: node.grad = ...` does."""
    output.grad = 1.0
    for node in reversed(output.topological_order()):
        for parent, local in zip(node.parents, node.local_grads, strict=True):
            parent.grad = parent.grad or local * node.grad


@pytest.mark.parametrize(
    ("program", "which"), [(overwriting, "later"), (overwriting_unless_filled, "earlier")]
)
def test_overwriting_at_every_node(program, which):
    x = Value(3.0, "x")
    v = x * 5.0 + x**2
    output = v.exp() * 1e-9 + v**2
    [*found] = named(output, gradients_by(program, output))
    assert found == [
        f"at every node the {which} contribution is all that is kept: it overwrites the others instead of "
        "being added to them"
    ]


@given(e=expressions(max_depth=3), program=st.sampled_from(list(PROGRAMS)))
def test_also_on_any_graph(e, program):
    output = e.output
    right = gradients_by(Value.backward, output)
    wrong = gradients_by(program, output)
    numbers = list(itertools.chain(right.values(), wrong.values()))
    if not all(map(math.isfinite, numbers)):
        return
    scale = max(map(abs, numbers))
    if all(math.isclose(wrong[node], g, rel_tol=1e-6, abs_tol=1e-9 * scale) for node, g in right.items()):
        return  # here the mistake does no harm
    assert any(PROGRAMS[program] in when for when in named(output, wrong))


@given(expressions())
def test_without_a_mistake_the_backward_pass_is_the_engines(e):
    output = e.output
    found = BackwardPass(output).gradients()
    expected = gradients_by(Value.backward, output)
    by_node = dict(zip(output.topological_order(), found, strict=True))
    assert {node: by_node[node] for node in expected} == expected


@given(mlps())
def test_no_mistake_gives_the_right_gradients(model):
    x = [Value(0.5 + k, f"x[{k + 1}]") for k in range(len(model.layers[0].neurons[0].w))]
    outputs = model(x)
    output = sum(outputs, Value(0.0)) if isinstance(outputs, list) else outputs
    backward, mistakes = mistakes_of(output)
    right = backward.gradients()
    for mistake in mistakes:
        pairs = zip(backward.outcome(mistake), right, strict=True)
        assert any(abs(a - b) > 1e-9 * max(abs(a), abs(b)) for a, b in pairs)


# Wrong rules: an operation with the derivative of another function is really differentiated


@primitive(partials=lambda out, x: (-sin(x),))
def sin_with_the_slope_of_cos(x):
    return math.sin(x)


@primitive(partials=lambda out, x: (1.0,))
def tanh_without_slope(x):
    return math.tanh(x)


@primitive(partials=lambda out, x: (1.0 - tanh(out) ** 2,))
def tanh_at_its_output(x):
    return math.tanh(x)


@primitive(partials=lambda out, x: (sin(x),))
def cos_without_minus(x):
    return math.cos(x)


@pytest.mark.parametrize(
    ("wrong", "right", "when"),
    [
        (sin_with_the_slope_of_cos, sin, "the derivative of cos stands in the place of that of sin, at v2"),
        (tanh_without_slope, tanh, "the local derivative ∂v2/∂v1 is left out"),
        (
            tanh_at_its_output,
            tanh,
            "the derivative of tanh is taken at its output and not at its input, at v2",
        ),
        (cos_without_minus, cos, "the minus sign of ∂v2/∂v1 is lost"),
    ],
)
def test_the_derivative_of_another_function(wrong, right, when):
    def gradients(function):
        x, y = Value(0.3, "x"), Value(1.7, "y")
        output = function(x * y) * x
        return output, gradients_by(Value.backward, output, [x, y])

    output, _ = gradients(right)
    _, claimed = gradients(wrong)
    x, y = (node for node in output.topological_order() if not node.parents)
    assert when in named(output, dict(zip((x, y), claimed.values(), strict=True)))


def test_the_same_wrong_rule_everywhere():
    def output(function):
        x = Value(0.3, "x")
        return x, function(function(x) * 2.0)

    x, wrong = output(tanh_without_slope)
    wrong.backward()
    y, right = output(tanh)
    assert named(right, {y: x.grad}) == ["the derivative of tanh is left out, everywhere"]


# Factors


def test_the_half_and_the_mean():
    def losses(loss, average):
        y_hat = [Value(2.0, "p"), Value(-1.5, "q")]
        return y_hat, average([loss(p, 1.0) for p in y_hat])

    p, right = losses(squared_error, mean)
    for loss, average, when in [
        (lambda p, y: (p - y) ** 2, mean, "the ½ of the squared error is left out, everywhere"),
        (squared_error, sum, "the sum is taken in the place of the mean: 1/2 is left out, in f"),
    ]:
        q, wrong = losses(loss, average)
        wrong.backward()
        claimed = dict(zip(p, [x.grad for x in q], strict=True))
        assert when in named(right, claimed)


def test_a_mean_and_a_square_that_are_written_as_products():
    x, y = Value(2.0, "x"), Value(3.0, "y")
    mean_by_hand = (x * y + y) * 0.5
    assert "the sum is taken in the place of the mean: 1/2 is left out, in f" in named(
        mean_by_hand, {x: 3.0, y: 3.0}
    )
    d = x * y - 1.0
    assert "the ½ of the squared error is left out, in f" in named(0.5 * (d * d), {x: 30.0, y: 20.0})


def test_the_difference_the_other_way_round():
    p = Value(3.0, "p")
    assert "the difference is taken the other way round, at v1" in named(squared_error(p, 1.0), {p: -2.0})


def test_no_multiplication_by_the_gradient_above():
    x = Value(2.0, "x")
    f = (x * x).exp()
    assert named(f, {x: 4.0})[0] == "the local derivative ∂f/∂v1 is left out"
    v, g = f.parents[0], f.data
    [*found] = named(f, {v: g, x: 4.0})
    assert found == ["the local derivatives are not multiplied by the gradients above them, everywhere"]


# Matrices


def test_transposed_weights():
    model = MLP(2, [2, 2], activation="tanh", seed=4)
    x = [Value(0.5, "x[1]"), Value(-1.0, "x[2]")]
    outputs = model(x)
    loss = squared_error(outputs, [1.0, -1.0])
    by_label = {node.label: node for node in loss.topological_order() if node.label}
    delta = [y_hat.data - y for y_hat, y in zip(outputs, [1.0, -1.0], strict=True)]
    wrong = {}
    for j in (1, 2):
        s = sum(by_label[f"W2[{j},{k}]"].data * delta[k - 1] for k in (1, 2))  # W δ, and not Wᵀ δ
        wrong[by_label[f"z1[{j}]"]] = s * (1.0 - by_label[f"a1[{j}]"].data ** 2)
    assert named(loss, wrong) == [
        "W2 is not transposed on the way back: δ is multiplied by the matrix itself"
    ]
    loss.backward()
    swapped = {by_label[f"W1[{j},{k}]"]: by_label[f"W1[{k},{j}]"].grad for j in (1, 2) for k in (1, 2)}
    assert "the gradient of W1 is transposed" in named(loss, swapped)


def test_gradients_that_were_there_before():
    w = Value(2.0, "w")
    f = w * w
    assert "still hold the gradients of an earlier backward pass" in named(f, {w: 4.5}, former={w: 0.5})[0]


def test_a_graph_with_too_many_walks_has_no_depth_first_replay():
    x = Value(1.01, "x")
    y = x
    for _ in range(40):
        y = y * y * 0.5 + y * 0.5
    _, mistakes = mistakes_of(y)
    assert mistakes
    assert not any("passes on again" in mistake.when for mistake in mistakes)


def test_a_kink():
    x = Value(-1.0, "x")
    assert "the local derivative ∂f/∂x is left out" in named(relu(x), {x: 1.0})
