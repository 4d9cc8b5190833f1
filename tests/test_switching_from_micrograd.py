"""Code for karpathy's micrograd runs after one changed import line, and gives the numbers published there.

The README's expression and the moons demo of https://github.com/karpathy/micrograd, written anew.
"""

import math
import random

import pytest

import micrograd_mlp
from micrograd_mlp import (  # was: micrograd.engine's Value, micrograd.nn's MLP
    MLP,
    Layer,
    Neuron,
    Value,
    datasets,
    grad,
    hessian,
)
from tests.optional import np


def test_the_readme_example_gives_its_published_numbers():
    a, b = Value(-4.0), Value(2.0)
    c = a + b
    c += c + 1
    c += 1 + c + (-a)
    d = a * b + b**3
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    f = (c - d) ** 2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert [f"{number:.4f}" for number in (g.data, a.grad, b.grad)] == ["24.7041", "138.8338", "645.5773"]


def moons():
    """The demo's data: 100 points of scikit-learn's make_moons, targets -1 and +1."""
    X, y = datasets.moons(100, noise=0.1, seed=1337)
    return X, [2 * target - 1 for target in y]


def max_margin_loss(model, X, y, as_value=Value):
    """The demo's loss, in its words: hinge, mean, and 1e-4 times the squares of all parameters."""
    scores = [model(list(map(as_value, row))) for row in X]
    losses = [(1 + -target * score).relu() for target, score in zip(y, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    return data_loss + 1e-4 * sum(p * p for p in model.parameters())


def learning_rate(k):
    return 1.0 - 0.9 * k / 100


def step(model, loss, k):
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= learning_rate(k) * p.grad


def test_the_moons_demo_takes_the_steps_that_micrograd_takes():
    engine = pytest.importorskip("micrograd.engine")
    nn = pytest.importorskip("micrograd.nn")
    X, y = (column[::5] for column in moons())
    ours, theirs = MLP(2, [16, 16, 1], seed=1337), nn.MLP(2, [16, 16, 1])
    assert len(ours.parameters()) == len(theirs.parameters()) == 337
    for p, their_p in zip(ours.parameters(), theirs.parameters()):
        their_p.data = p.data
    for k in range(3):
        our_loss, their_loss = max_margin_loss(ours, X, y), max_margin_loss(theirs, X, y, engine.Value)
        assert our_loss.data == pytest.approx(their_loss.data, rel=1e-12)
        step(ours, our_loss, k)
        step(theirs, their_loss, k)
        largest = max(abs(p.grad) for p in theirs.parameters())
        assert largest > 1e-2
        for p, their_p in zip(ours.parameters(), theirs.parameters()):
            assert p.grad == pytest.approx(their_p.grad, rel=1e-12, abs=1e-13 * largest)


def test_the_moons_demo_reaches_its_published_accuracy():
    # The same loss for one example; compiled, since 100 steps in Python take a while.
    pytest.importorskip("llvmlite")
    X, y = moons()
    model = MLP(2, [16, 16, 1], seed=1337)
    parameters = model.parameters()

    def loss(row, target):
        return (1 + -target * model(row)).relu() + 1e-4 * sum(p * p for p in parameters)

    program = micrograd_mlp.compile(loss, parameters)
    assert program(X, y) == pytest.approx(max_margin_loss(model, X, y).data, rel=1e-12)
    for k in range(100):
        program(X, y)
        for p in parameters:
            p.data -= learning_rate(k) * p.grad
    assert all((target > 0) == (model(row).data > 0) for row, target in zip(X, y))


class TestNotebooks:
    """What the lectures' notebooks do with a graph, written anew."""

    def test_trace_finds_all_nodes_and_edges(self):
        nodes, edges = set(), set()

        def build(v):
            if v not in nodes:
                nodes.add(v)
                for child in v._prev:
                    edges.add((child, v))
                    build(child)

        a, b = Value(2.0, label="a"), Value(-3.0, label="b")
        L = (a * b + a).tanh()
        build(L)
        assert nodes == set(L.topological_order())
        assert len(edges) == 5
        assert sorted(v._op for v in nodes) == ["", "", "*", "+", "tanh"]

    def test_backward_node_by_node(self):
        a, b = Value(2.0), Value(-3.0)
        c = a * b
        o = c.tanh()
        o.grad = 1.0
        o._backward()
        c._backward()
        a._backward()
        by_hand = (a.grad, b.grad)
        a.grad = b.grad = 0.0
        o.backward()
        assert by_hand == (a.grad, b.grad)

    def test_a_leaf_may_be_made_with_all_of_micrograds_arguments(self):
        named = Value(2.0, (), "input")
        for leaf in (Value(2.0, (), ""), Value(2.0, _children=(), _op="", label=""), Value(2.0, ()), named):
            assert (leaf.data, leaf._prev, leaf._op) == (2.0, set(), "")

    def test_numpys_mean_and_variance(self):
        numbers = [1.0, 2.0, 4.0, 8.0]
        for as_given in (list, np.array):
            x = [Value(number) for number in numbers]
            assert np.mean(as_given(x)).data == np.mean(numbers)
            variance = np.var(as_given(x))
            assert variance.data == np.var(numbers)
            assert grad(variance, x) == [2.0 * (number - 3.75) / 4.0 for number in numbers]
            assert np.std(as_given(x)).data == np.std(numbers)

    def test_arrays_without_dimensions_are_numbers(self):
        x = Value(np.array(3.0))
        for y in (x * np.array(2.0), np.array(2.0) * x, x + np.array(3), np.array(3) + x):
            assert type(y) is Value
            assert y.data == 6.0


class TestNodesWithGivenDerivatives:
    """`Value(data, children, local_grads)`, the constructor of the 200-line GPTs."""

    def test_a_language_models_operations_give_its_gradients(self):
        def multiply(a, b):
            return Value(a.data * b.data, (a, b), (b.data, a.data))

        def log(a):
            return Value(math.log(a.data), (a,), (1 / a.data,))

        def softmax(logits):
            largest = max(v.data for v in logits)
            powers = [(v - largest).exp() for v in logits]
            return [power / sum(powers) for power in powers]

        logits = [Value(1.0), Value(2.0), multiply(Value(1.5), Value(2.0))]
        loss = -log(softmax(logits)[1])
        loss.backward()
        gradients = [v.grad for v in logits]
        ours = [Value(1.0), Value(2.0), Value(3.0)]
        assert gradients == pytest.approx(grad(micrograd_mlp.cross_entropy(ours, 1), ours))
        assert [v.grad for v in logits[2].parents] == pytest.approx([2.0 * gradients[2], 1.5 * gradients[2]])

    def test_by_name_too(self):
        x = Value(3.0)
        y = Value(9.0, children=(x,), local_grads=(6.0,))
        assert (y._children, y._local_grads, grad(y, [x])) == ((x,), (6.0,), [6.0])

    def test_are_shown(self):
        x = Value(3.0, "x")
        y = Value(9.0, (x,), (6.0,)) + 1.0
        assert "given" in micrograd_mlp.tree(y)
        assert "given" in micrograd_mlp.draw(y).source
        assert "6" in str(micrograd_mlp.explain(y, x))

    def test_cannot_be_computed_again_or_differentiated_twice(self):
        x = Value(3.0)
        y = Value(9.0, (x,), (6.0,)) * 2.0
        x.data = 4.0
        for again in (y.forward, lambda: grad(y, [x], create_graph=True), lambda: hessian(y, [x])):
            with pytest.raises(RuntimeError, match=r"Value\(data, children, local_grads\)(.|\n)*@primitive"):
                again()
        assert y.data == 18.0

    def test_cannot_be_compiled(self):
        pytest.importorskip("llvmlite")
        w = Value(3.0)
        with pytest.raises((TypeError, RuntimeError), match=r"Value\(data, children, local_grads\)"):
            micrograd_mlp.compile(lambda x: Value(9.0, (w,), (6.0,)) * x, [w]).loss_and_grad([1.0, 2.0])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (((Value(1.0), Value(2.0)), "+"), r"no derivative(.|\n)*@primitive(.|\n)*local_grads"),
            (((Value(1.0),),), "1 children and 0 derivatives"),
            (((Value(1.0),), (1.0, 2.0)), "1 children and 2 derivatives"),
            (((3.0,), (1.0,)), "children of a Value are Values"),
            (((Value(1.0),), (1.0,), 5), "1 more"),
        ],
    )
    def test_without_a_derivative_for_each_child_are_refused(self, arguments, message):
        with pytest.raises(TypeError, match=message):
            Value(3.0, *arguments)

    def test_a_closure_for_backward_is_refused_with_the_lines_to_write(self):
        with pytest.raises(AttributeError, match="@primitive"):
            Value(3.0)._backward = lambda: None


class TestWhatIsDifferent:
    def test_a_second_backward_doubles_the_leaves_and_nothing_else(self):
        # micrograd adds to what the interior gradients hold, so that the leaves get three times theirs.
        x = Value(3.0)
        h = x * x
        y = h * h
        y.backward()
        once, interior = x.grad, h.grad
        y.backward()
        assert (x.grad, h.grad) == (2 * once, interior)

    def test_a_wrong_number_of_inputs_is_an_error(self):
        # micrograd's zip leaves out what has no partner.
        with pytest.raises(ValueError, match="takes 2 inputs for an example, got 3"):
            MLP(2, [1], seed=0)([1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match="got 2 and 3 numbers"):
            Neuron(2, seed=0)([1.0, 2.0, 3.0])

    def test_plain_numbers_are_nodes_too_and_nodes_have_labels(self):
        x = Value(3.0, "x")
        y = 2 * x
        assert [parent.data for parent in y.parents] == [2.0, 3.0]
        assert MLP(1, [1], seed=0)([x]).label == "z1[1]"

    def test_comparisons_look_at_the_numbers(self):
        # micrograd compares identities, and has no < at all.
        assert Value(1.0) == Value(1.0)
        assert Value(1.0) < 2


def test_networks_take_their_sizes_by_the_names_of_micrograd():
    assert repr(MLP(nin=2, nouts=[4, 1])) == repr(MLP(2, [4, 1]))
    assert repr(Layer(nin=2, nout=3, nonlin=False)) == repr(Layer(2, 3, activation="linear"))
    assert repr(Neuron(nin=2)) == repr(Neuron(nin=2, nonlin=True)) == repr(Neuron(2, activation="relu"))
    assert repr(Neuron(3, nonlin=False)) == repr(Neuron(3, activation="linear"))
    with pytest.raises(TypeError, match="nin and n_inputs are the same argument: give one of them"):
        Neuron(nin=2, n_inputs=2)
    with pytest.raises(TypeError, match="nonsense"):
        Neuron(nin=2, nonsense=2)


def test_seeding_the_module_random_makes_a_network_reproducible():
    random.seed(1337)
    first, second = MLP(2, [3, 1]), MLP(2, [3, 1])
    random.seed(1337)
    assert MLP(nin=2, nouts=[3, 1]).state_dict() == first.state_dict() != second.state_dict()
