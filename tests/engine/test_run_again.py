"""A recorded graph is run again by forward(), and an old graph is noticed."""

import math
import random
import sys
import threading
import warnings

import pytest

from micrograd_mlp import (
    MLP,
    SGD,
    Op,
    Value,
    clip,
    detect_anomaly,
    dot,
    grad,
    maximum,
    no_grad,
    primitive,
    relu,
    squared_error,
)
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import changed_leaves
from tests.engine.oracle import ordinary_numbers


def bits(node):
    return [repr(number) for number in (node.data, *node.local_grads)]


def assert_same_graph(a, b):
    for x, y in zip(a.topological_order(), b.topological_order(), strict=True):
        assert (x.op, bits(x)) == (y.op, bits(y))


class TestForward:
    @pytest.mark.parametrize("name", TABLE)
    def test_gives_the_bits_of_recording_anew_for_every_op(self, name):
        op, rng = TABLE[name], random.Random(name)
        x = [Value(number) for number in ordinary_numbers(op, 4)]
        output = op(*x)
        for _ in range(5):
            for leaf, number in zip(x, ordinary_numbers(op, 4)):
                leaf.data = number * rng.uniform(0.7, 1.3)
            output.forward()
            assert_same_graph(output, op(*x))

    @pytest.mark.parametrize("special", [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1e308])
    def test_and_at_special_values(self, special):
        x, w = Value(1.0), Value(2.0)
        output = (w * x + x.exp()).tanh() / x
        x.data = special
        output.forward()
        assert_same_graph(output, (w * x + x.exp()).tanh() / x)

    def test_of_a_network_after_a_step(self):
        model = MLP(3, [4, 4, 1], activation="tanh", seed=0)
        loss = squared_error(model([0.1, -0.2, 0.3]), 1.0)
        for _ in range(3):
            model.zero_grad()
            loss.backward()
            SGD(model.parameters(), lr=0.1).step()
            loss.forward()
            assert_same_graph(loss, squared_error(model([0.1, -0.2, 0.3]), 1.0))

    def test_then_backward_gives_the_gradient_at_the_new_numbers(self):
        w = Value(3.0)
        loss = (w * w).exp()
        loss.backward()
        w.data, w.grad = 0.5, 0.0
        loss.forward()
        loss.backward()
        assert (loss.data, w.grad) == (math.exp(0.25), math.exp(0.25))

    def test_clears_interior_gradients_and_keeps_those_of_leaves(self):
        w = Value(3.0)
        h = w * 2.0
        loss = h * h
        loss.backward()
        loss.forward()
        assert (loss.grad, h.grad, w.grad) == (0.0, 0.0, 24.0)

    def test_takes_back_a_number_that_was_assigned_to_an_interior_node(self):
        w = Value(3.0)
        h = w * 2.0
        y = h + 1.0
        h.data = 100.0
        y.forward()
        assert (h.data, y.data) == (6.0, 7.0)

    def test_of_a_gradient(self):
        x = Value(2.0)
        [slope] = grad(x.tanh() * x**3, [x], create_graph=True)
        x.data = 0.5
        slope.forward()
        assert slope.data == grad(x.tanh() * x**3, [x])[0]

    @pytest.mark.parametrize("f", [relu, abs, lambda x: maximum(x, 1.0), lambda x: clip(x, 0.0, 3.0)])
    def test_of_a_gradient_whose_derivative_was_chosen_by_a_branch_is_refused(self, f):
        x = Value(2.0)
        [slope] = grad(f(x) * x, [x], create_graph=True)
        x.data = -2.0
        with pytest.raises(RuntimeError, match=r"chosen by a comparison.* Call grad\(\) again"):
            slope.forward()
        assert slope.data == 4.0

    def test_of_a_leaf_does_nothing(self):
        x = Value(3.0)
        x.grad = 5.0
        x.forward()
        assert (x.data, x.grad) == (3.0, 5.0)

    def test_works_under_no_grad(self):
        x = Value(3.0)
        y = x * x
        x.data = 4.0
        with no_grad():
            y.forward()
        assert (y.data, y.local_grads) == (16.0, (4.0, 4.0))

    def test_of_a_chain_of_any_length(self):
        x = y = Value(1.0)
        for _ in range(5 * sys.getrecursionlimit()):
            y = y + 1.0
        x.data = 0.0
        y.forward()
        assert y.data == 5.0 * sys.getrecursionlimit()

    def test_names_what_overflows_under_detect_anomaly(self):
        x = Value(1.0, "x")
        y = x.exp()
        x.data = 1000.0
        with detect_anomaly(), pytest.raises(FloatingPointError, match=r"exp\(x=1000.0\) is inf"):
            y.forward()

    def test_leaves_the_graph_as_it_was_if_an_op_of_ones_own_raises(self):
        @primitive(partials=lambda out, x: (1.0,))
        def picky(x):
            if x > 10.0:
                raise ValueError("too large")
            return x

        x = Value(1.0)
        y = picky(x * 2.0) + x
        before = [bits(node) for node in y.topological_order()[1:]]
        x.data = 100.0
        with pytest.raises(ValueError, match="too large"):
            y.forward()
        assert [bits(node) for node in y.topological_order()[1:]] == before

    def test_checks_what_an_op_of_ones_own_gives(self):
        results = [1.0, None]
        op = Op("odd", forward=lambda x: results.pop(0), partials=lambda out, x: (1.0,))
        y = op(Value(1.0))
        with pytest.raises(TypeError, match="'odd'"):
            y.forward()


class TestChangedLeaves:
    def test_none_while_nothing_moves(self):
        model = MLP(2, [3, 1], seed=0)
        loss = squared_error(model([1.0, 2.0]), 0.5)
        loss.backward()
        assert changed_leaves(loss) == []

    def test_nan_is_nan_and_zero_has_a_sign(self):
        x = Value(math.nan)
        y = x * 2.0
        assert changed_leaves(y) == []
        x = Value(0.0)
        y = x * 2.0
        x.data = -0.0
        assert [*map(id, changed_leaves(y))] == [id(x)]

    def test_names_the_one_factor_that_moved(self):
        w, x, b = Value(2.0, "w"), Value(3.0, "x"), Value(1.0, "b")
        y = (w * x + b).tanh()
        w.data = 2.5
        assert [leaf.label for leaf in changed_leaves(y)] == ["w"]

    def test_names_the_weights_of_a_sum_of_products_that_moved(self):
        w, x = [Value(i, f"w{i}") for i in (1.0, 2.0, 3.0)], [Value(i, f"x{i}") for i in (1.0, 2.0, 3.0)]
        y = dot(w, x)
        w[0].data = 5.0
        w[2].data = 6.0
        assert [leaf.label for leaf in changed_leaves(y)] == ["w1.0", "w3.0"]

    def test_a_leaf_that_another_node_still_agrees_with_is_not_named(self):
        w, x = Value(2.0, "w"), Value(3.0, "x")
        y = (w + x) * x.exp()
        w.data = 5.0
        assert [leaf.label for leaf in changed_leaves(y)] == ["w"]

    def test_never_names_a_constant(self):
        w = Value(2.0, "w")
        y = w + 3.0
        w.data = 5.0
        assert [leaf.label for leaf in changed_leaves(y)] == ["w"]

    def test_names_an_interior_node_whose_number_was_assigned(self):
        w = Value(2.0, "w")
        h = w * 3.0
        h.label = "h"
        y = h + 1.0
        h.data = 5.0
        assert "h" in [leaf.label for leaf in changed_leaves(y)]

    def test_sees_what_moved_after_training_steps(self):
        model = MLP(2, [3, 1], activation="tanh", seed=0)
        loss = squared_error(model([1.0, 2.0]), 0.5)
        loss.backward()
        SGD(model.parameters(), lr=0.1).step()
        assert {*map(id, changed_leaves(loss))} <= {*map(id, model.parameters())}
        assert len(changed_leaves(loss)) > 5
        loss.forward()
        assert changed_leaves(loss) == []

    def test_an_op_of_ones_own_that_raises_at_the_new_number_counts_as_changed(self):
        @primitive(partials=lambda out, x: (1.0 / x,))
        def inverse(x):
            return 1.0 / x

        x = Value(1.0, "x")
        y = inverse(x)
        x.data = 0.0
        assert [leaf.label for leaf in changed_leaves(y)] == ["x"]


class TestASecondBackward:
    def test_through_an_old_graph_is_noticed(self):
        """A loop that forgets to compute its loss: it stays 4.0 while w walks away."""
        w = Value(2.0, "w")
        loss = w * w
        loss.backward()
        w.data -= 0.1 * w.grad
        with pytest.warns(RuntimeWarning, match=r"before w=1\.6 changed: 4\.0 .*its forward\(\)") as record:
            loss.backward()
        assert record[0].filename == __file__

    @pytest.mark.parametrize("optimizer_steps", [1, 3])
    def test_is_noticed_after_an_optimizers_step(self, optimizer_steps):
        model = MLP(2, [3, 1], activation="tanh", seed=0)
        optimizer = SGD(model.parameters(), lr=0.1)
        loss = squared_error(model([1.0, 2.0]), 0.5)
        loss.backward()
        for _ in range(optimizer_steps):
            optimizer.step()
        with pytest.warns(RuntimeWarning, match=r"before W1.* and \d+ more changed"):
            loss.backward()

    def test_is_noticed_after_another_graph_was_differentiated(self):
        w = Value(2.0)
        old = w * w
        old.backward()
        w.data = 3.0
        (w * w).backward()
        with pytest.warns(RuntimeWarning, match=r"before 3\.0 changed"):
            old.backward()

    def test_through_an_old_part_of_a_new_graph_is_noticed(self):
        """A loop that computes its loss again, but not the prediction in it."""
        w = Value(2.0, "w")
        prediction = (w * 3.0).tanh()
        (prediction - 0.5).abs().backward()
        w.data -= 0.1
        with pytest.warns(RuntimeWarning, match=r"before w=1\.9 changed"):
            (prediction - 0.5).abs().backward()

    def test_is_noticed_where_forward_computed_a_shared_part_again(self):
        """Local derivatives of the old and of the new numbers would be multiplied."""
        w, x = Value(2.0, "w"), Value(3.0, "x")
        z = w * x
        first, second = z * 2.0, z * z
        w.data = 5.0
        first.forward()
        first.backward()
        with pytest.warns(RuntimeWarning, match=r"before 36\.0 changed"):
            second.backward()

    def test_is_silent_where_forward_came_before_every_backward(self):
        w = Value(2.0)
        h = w * w
        losses = [h * 2.0, h.exp()]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for w.data in (3.0, 4.0):
                for loss in losses:
                    loss.forward()
                for loss in losses:
                    loss.backward()
            (h + 1.0).backward()

    def test_is_silent_where_another_part_was_recorded_again(self):
        """As of two players: the discriminator learns between two losses of one generated number."""
        generator, discriminator = Value(0.5, "g"), Value(2.0, "d")
        generated = (generator * 3.0).tanh()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            (discriminator * generated).backward()
            discriminator.data -= 0.1 * discriminator.grad
            (discriminator * generated).backward()

    def test_is_silent_where_it_is_right(self):
        w = Value(2.0)
        h = w * w
        first, second = h + 1.0, h.exp()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            first.backward()
            second.backward()  # two losses share a graph
            first.backward()  # once more, without a move
            w.data = 2.0  # the same number again
            first.backward()
            w.data = 3.0
            first.forward()
            first.backward()  # computed again
            fresh = w * w
            fresh.backward()

    def test_is_silent_for_the_first_backward_although_a_leaf_moved(self):
        # Design decision 2: local derivatives are those of the forward pass.
        w = Value(2.0)
        loss = w * w
        w.data = 100.0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loss.backward()
        assert w.grad == 4.0

    def test_in_two_threads(self):
        def work():
            w = Value(2.0)
            loss = w * w
            for _ in range(200):
                loss.backward()
                w.data = 2.0

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
