"""The losses of §4 beyond their formulas, which tests/paper tests: last bits, extreme numbers, domains."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from micrograd_mlp import (
    Constant,
    Value,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    detect_anomaly,
    hinge,
    mean,
    sigmoid,
    softmax,
    squared_error,
)

numbers = st.floats(-100, 100)
logits = st.floats(-1e4, 1e4)
probabilities = st.floats(1e-6, 1 - 1e-6)


def gradient(loss, *numbers):
    values = [Value(x) for x in numbers]
    loss(*values).backward()
    return [v.grad for v in values]


class TestSquaredError:
    @given(numbers, numbers)
    def test_gradient_is_the_difference_to_the_last_bit(self, y_hat, y):
        assert gradient(lambda v: squared_error(v, y), y_hat) == [y_hat - y]

    def test_an_output_below_its_target_is_no_anomaly(self):
        with detect_anomaly():
            assert gradient(lambda v: squared_error(v, 1.0), 0.0) == [-1.0]

    def test_sums_over_outputs(self):
        assert squared_error([1.0, 5.0], [0.0, 2.0]) == 0.5 + 4.5
        assert gradient(lambda a, b: squared_error([a, b], [0.0, 2.0]), 1.0, 5.0) == [1.0, 3.0]

    def test_takes_as_many_outputs_as_there_are(self):
        assert squared_error([3.0] * 1000, [1.0] * 1000) == 2000.0

    @pytest.mark.parametrize(("y_hat", "y"), [([1.0], [1.0, 2.0]), ([1.0, 2.0], 1.0), (1.0, [1.0, 2.0])])
    def test_needs_a_target_for_each_output(self, y_hat, y):
        with pytest.raises(ValueError, match="outputs, but"):
            squared_error(y_hat, y)


class TestBinaryCrossEntropy:
    def test_is_zero_when_certain_and_right_and_infinite_when_certain_and_wrong(self):
        assert [binary_cross_entropy(p, y) for p, y in [(1.0, 1), (0.0, 0), (0.0, 1), (1.0, 0)]] == [
            0.0, 0.0, math.inf, math.inf,
        ]  # fmt: skip

    def test_keeps_a_tiny_probability(self):
        assert binary_cross_entropy(1e-300, 0) == 1e-300

    @pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
    def test_a_probability_outside_the_domain(self, p):
        with pytest.raises(ValueError, match=r"the probability p must be in \[0, 1\], got"):
            binary_cross_entropy(p, 1)

    @pytest.mark.parametrize("y", [2, -1, math.nan])
    def test_a_target_outside_the_domain(self, y):
        with pytest.raises(ValueError, match=r"the target y must be in \[0, 1\], got"):
            binary_cross_entropy(0.5, y)


class TestBinaryCrossEntropyWithLogits:
    @given(logits, st.sampled_from([0, 1]))
    @example(1e4, 1)
    @example(1e4, 0)
    @example(-1e4, 1)
    @example(-1e4, 0)
    def test_gradient_is_prediction_minus_target_to_the_last_bit(self, z, y):
        assert gradient(lambda v: binary_cross_entropy_with_logits(v, y), z) == [sigmoid(z) - y]

    @pytest.mark.parametrize(
        ("z", "y", "loss"), [(1e4, 1, 0.0), (1e4, 0, 1e4), (-1e4, 1, 1e4), (-1e4, 0, 0.0)]
    )
    def test_stays_finite_at_huge_logits(self, z, y, loss):
        assert binary_cross_entropy_with_logits(z, y) == loss

    @pytest.mark.parametrize("y", [2, -0.5, math.nan])
    def test_a_target_outside_the_domain(self, y):
        with pytest.raises(ValueError, match=rf"the target y must be in \[0, 1\], got {y}"):
            binary_cross_entropy_with_logits(0.0, y)

    def test_a_target_that_is_no_number(self):
        with pytest.raises(TypeError, match="expected a real number, got 'cat'"):
            binary_cross_entropy_with_logits(0.0, "cat")


class TestCrossEntropy:
    @given(st.lists(logits, min_size=1, max_size=5), st.data())
    def test_gradient_is_prediction_minus_one_hot(self, z, data):
        target = data.draw(st.integers(0, len(z) - 1))
        expected = [y_hat - (k == target) for k, y_hat in enumerate(softmax(z))]
        assert gradient(lambda *v: cross_entropy(v, target), *z) == expected  # to the last bit

    @given(st.lists(logits, min_size=2, max_size=4), st.data())
    def test_is_the_same_with_the_target_in_the_graph(self, z, data):
        target = data.draw(st.integers(0, len(z) - 1))
        loss = cross_entropy([Value(z_k) for z_k in z], Value(float(target)))
        assert loss.data == cross_entropy(z, target)
        expected = gradient(lambda *v: cross_entropy(v, target), *z)
        assert gradient(lambda *v: cross_entropy(v, Value(float(target))), *z) == expected

    def test_a_target_that_is_a_value_is_part_of_the_graph_and_a_number_is_not(self):
        z, target = [Value(0.5), Value(-1.0)], Value(1.0)
        assert target in cross_entropy(z, target).topological_order()
        assert {node.op.name for node in cross_entropy(z, 1).topological_order() if node.op} == {
            "logsumexp", "sub",
        }  # fmt: skip

    def test_a_target_in_the_graph_that_stops_being_a_class_makes_the_loss_nan(self):
        # compile() puts other numbers into the graph: its division is by 0 then, not silently by nothing.
        loss = cross_entropy([Value(0.5), Value(-1.0)], Value(1.0))
        [picked] = [node for node in loss.parents if node.op.name != "logsumexp"]
        assert picked.op.name == "div"
        assert [node.op.name for node in picked.parents] == ["dot", "total"]
        assert math.isnan(picked.op.forward(0.0, 0.0))

    def test_probabilities_of_zero_and_of_a_thousand_classes(self):
        assert cross_entropy([0.0, 0.0], [0.0, 1.0]) == cross_entropy([0.0, 0.0], 1)
        assert cross_entropy([0.0] * 1024, [2.0**-10] * 1024) == pytest.approx(math.log(1024), rel=1e-15)

    def test_with_two_classes_is_the_binary_one(self):
        assert cross_entropy([0.0, 1.5], 1) == pytest.approx(
            binary_cross_entropy_with_logits(1.5, 1), rel=1e-15
        )

    def test_stays_finite_at_huge_logits(self):
        assert cross_entropy([1e4, -1e4, 0.0], 0) == 0.0
        assert cross_entropy([1e4, -1e4, 0.0], 1) == 2e4

    @pytest.mark.parametrize("target", [3, -1, 3.0, Value(7.0)])
    def test_an_index_that_is_no_class(self, target):
        with pytest.raises(ValueError, match="there are 3 classes, 0 to 2, got"):
            cross_entropy([0.0, 0.0, 0.0], target)

    def test_an_index_that_is_no_class_of_four(self):
        with pytest.raises(ValueError, match="there are 4 classes, 0 to 3, got 4"):
            cross_entropy([0.0] * 4, 4)

    def test_a_class_in_a_list_of_one_is_told_to_be_taken_out(self):
        with pytest.raises(ValueError, match=r": give the class in it, as in Y = \[y\[0\] for y in Y\]"):
            cross_entropy([0.5, 1.5], [1])

    @pytest.mark.parametrize("target", [0.5, -0.5, math.nan, math.inf])
    def test_a_target_that_is_no_index(self, target):
        with pytest.raises(ValueError, match="must be the index of a class"):
            cross_entropy([0.0, 0.0], target)

    @pytest.mark.parametrize(
        "target", [[0.5, 0.6], [1.0, 1.0], [0.0, 0.0], [1.5, -0.5], [math.nan, 1.0], [1.0], [0.2, 0.3, 0.5]]
    )
    def test_probabilities_that_are_none(self, target):
        with pytest.raises(ValueError, match="probabilities"):
            cross_entropy([0.0, 0.0], target)


class TestHinge:
    @pytest.mark.parametrize("y", [0, 2, 0.5, math.nan])
    def test_takes_signs_as_targets(self, y):
        with pytest.raises(ValueError, match=r"must be -1 or \+1, got"):
            hinge(0.0, y)


def targets(loss):
    return {
        node.label: node.data
        for node in loss.topological_order()
        if isinstance(node, Constant) and node.label
    }


class TestNamesOfTargets:
    """A target that is a plain number is a node called y, as plain inputs are x[1], x[2], …."""

    @pytest.mark.parametrize(
        ("loss", "y"),
        [
            (squared_error, 0.7),
            (binary_cross_entropy, 1),
            (binary_cross_entropy_with_logits, 0.25),
            (hinge, -1),
        ],
    )
    def test_one_output(self, loss, y):
        assert targets(loss(Value(0.5), y)) == {"y": y}

    @pytest.mark.parametrize("loss", [squared_error, cross_entropy])
    def test_several_outputs(self, loss):
        y_hat = [Value(1.0), Value(2.0), Value(3.0)]
        assert targets(loss(y_hat, [0.5, 0.25, 0.25])) == {"y[1]": 0.5, "y[2]": 0.25, "y[3]": 0.25}

    def test_a_class_index_picks_a_logit_and_is_no_number_of_the_graph(self):
        assert targets(cross_entropy([Value(1.0), Value(2.0)], 1)) == {}

    def test_a_target_of_ones_own_keeps_its_name(self):
        y = Value(0.5, "wanted")
        for loss in (squared_error, binary_cross_entropy, binary_cross_entropy_with_logits):
            assert y in loss(Value(0.25), y).topological_order()
            assert targets(loss(Value(0.25), y)) == {}

    def test_every_term_follows_the_one_target(self):
        p = Value(0.25)
        loss = binary_cross_entropy(p, 1)
        [y] = [node for node in loss.topological_order() if node.label == "y"]
        y.data = 0.5
        loss.forward()
        assert loss.data == binary_cross_entropy(0.25, 0.5)

    def test_a_certain_and_right_probability_is_no_anomaly(self):
        with detect_anomaly():
            assert gradient(lambda p: binary_cross_entropy(p, 1), 1.0) == [-1.0]


class TestMeanAndL2:
    def test_mean_of_nothing(self):
        with pytest.raises(ValueError, match="at least one value"):
            mean([])
