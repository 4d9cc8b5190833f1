"""micrograd_mlp.testing: strategies that stay in the domain and shrink to something one can read."""

import math
import random
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

import micrograd_mlp
from micrograd_mlp import MLP, Op, Value, gradcheck, primitive, squared_error
from micrograd_mlp.checks.testing import Expression, assert_gradients_match, expressions, mlps, values
from micrograd_mlp.engine.table import TABLE

SHRINK = settings(max_examples=500, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@primitive(partials=lambda out, x: (2.0 * x,))
def square(x):
    return x * x


@primitive(partials=lambda out, x: (3.0 * x,))  # wrong
def cube(x):
    return x**3


@given(values(min_value=-2.0, max_value=0.5, label="w"))
def test_values_are_labelled_leaves_between_two_numbers(v):
    assert type(v) is Value
    assert -2.0 <= v.data <= 0.5
    assert (v.label, v.parents, v.grad) == ("w", (), 0.0)


class TestExpressions:
    @given(expressions())
    def test_have_finite_values_and_right_derivatives(self, e):
        assert math.isfinite(e.output.data)
        assert_gradients_match(e.f, e.inputs, rtol=1e-6)

    @given(expressions(max_depth=3))
    def test_print_themselves_as_python_that_gives_the_same_graph(self, e):
        again = eval(repr(e), {**vars(micrograd_mlp), **{name: TABLE[name] for name in ("xlogy", "xlog1py")}})
        assert again.data == e.output.data
        assert len(again.topological_order()) == len(e.output.topological_order())

    @given(expressions(ops=["add", "tanh"], max_depth=2, names=["a", "b"], min_value=0.0, max_value=1.0))
    def test_keep_to_ops_depth_names_and_range(self, e):
        assert {node.op.name for node in e.output.topological_order() if node.op} <= {"add", "tanh"}
        assert {x.label for x in e.inputs} <= {"a", "b"}
        assert all(0.0 <= x.data <= 1.0 for x in e.inputs)
        assert depth(e.output) <= 2

    @pytest.mark.parametrize("name", ["add", "log", "tanh", "maximum", "dot"])
    def test_shrink_to_few_operations(self, name):
        e = find(expressions(), lambda e: uses(e, name), settings=SHRINK, random=random.Random(0))
        assert sum(node.op is not None for node in e.output.topological_order()) <= 4

    @pytest.mark.exhaustive
    def test_reach_every_op(self):
        reached = set()

        @settings(SHRINK, max_examples=2000)
        @given(expressions(max_depth=3))
        def collect(e):
            reached.update(node.op.name for node in e.output.topological_order() if node.op)

        collect()
        assert reached == set(TABLE)

    @given(expressions(ops=[square, "add"]))
    def test_take_an_op_of_ones_own(self, e):
        assert {node.op.name for node in e.output.topological_order() if node.op} <= {"square", "add"}

    def test_take_a_record_too(self):
        twice = Op("twice", lambda x: 2.0 * x, lambda out, x: (2.0,))
        e = find(expressions(ops=[twice]), lambda e: e.output.op is twice, settings=SHRINK)
        assert repr(e) == "(lambda x: twice(x))(Value(1.0, 'x'))"

    def test_find_a_wrong_rule_and_shrink_it_to_one_line(self):
        def wrong(e):
            return not gradcheck(e.f, e.inputs, raise_exception=False)

        e = find(expressions(ops=["add", "mul", cube, "sin"]), wrong, settings=SHRINK)
        # 3x is 3x² at 0 and at 1; versions of Hypothesis differ in which of the next numbers is simpler.
        assert repr(e) in [f"(lambda x: cube(x))(Value({x}, 'x'))" for x in (0.5, 2.0)]

    def test_a_failing_test_prints_the_expression(self):
        @settings(SHRINK, phases=[Phase.generate, Phase.shrink])
        @given(expressions(ops=["mul"], names=["x"]))
        def check(e):
            assert e.output.data < 1.0

        with pytest.raises(AssertionError) as caught:
            check()
        assert any("e=(lambda x: x * " in note for note in caught.value.__notes__)

    def test_are_python_with_signs_lists_and_parentheses(self):
        e = Expression("lambda x, y: (x + y) * dot([x], [y]) - total([x, 2.0])", [3.0, 4.0])
        assert e.output.data == 7.0 * 12.0 - 5.0
        assert [x.label for x in e.inputs] == ["x", "y"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"ops": ["add", "nonsense"]}, "no op 'nonsense' in the table: add, sub"),
            ({"ops": [3]}, "a name, a record or a function"),
            ({"ops": [primitive(partials=lambda out, x: (1.0,))(lambda x: x)]}, "give it a name"),
            ({"ops": []}, "needs ops"),
            ({"names": []}, "needs ops, names"),
            ({"max_depth": 0}, "depth of at least 1"),
        ],
    )
    def test_say_what_they_cannot_draw(self, options, message):
        with pytest.raises(ValueError, match=message):
            expressions(**options)


class TestNetworks:
    @settings(max_examples=10)
    @given(mlps(max_inputs=2, max_layers=2, max_width=2, activations=["tanh", "sigmoid"]))
    def test_have_right_gradients(self, model):
        x = [0.5, -1.5][: len(model.layers[0].neurons[0].w)]

        def loss(*_):
            out = model(x)
            return squared_error(out if isinstance(out, Value) else out[0] * out[-1], 0.3)

        assert_gradients_match(loss, model.parameters(), atol=1e-12)

    def test_shrink_to_one_linear_neuron(self):
        model = find(mlps(), lambda model: True, settings=SHRINK)
        assert isinstance(model, MLP)
        assert len(model.parameters()) == 2

    def test_print_themselves_as_python(self):
        @settings(SHRINK, phases=[Phase.generate, Phase.shrink])
        @given(mlps())
        def check(model):
            assert not model.parameters()

        with pytest.raises(AssertionError) as caught:
            check()
        assert any("MLP(1, [1]" in note or "MLP(" in note for note in caught.value.__notes__)


class TestAssertGradientsMatch:
    def test_passes_and_leaves_grad_as_it_was(self):
        x = Value(0.5)
        x.grad = 3.0
        assert_gradients_match(lambda x: x.sin() * x, [x], order=2)
        assert (x.data, x.grad) == (0.5, 3.0)

    def test_fails_with_the_table(self):
        with pytest.raises(AssertionError, match="1 of 1 derivatives did not pass"):
            assert_gradients_match(cube, [0.5])

    def test_second_order_is_asked_for(self):
        detached = primitive(partials=lambda out, x: (math.cos(getattr(x, "data", x)),), name="s")(math.sin)
        assert_gradients_match(detached, [0.5])
        with pytest.raises(AssertionError, match="x, x"):
            assert_gradients_match(detached, [0.5], order=2)

    def test_backward_is_compared_too(self, monkeypatch):
        monkeypatch.setattr(Value, "backward", lambda self: None)
        with pytest.raises(AssertionError, match=r"backward\(\) gives 0.0"):
            assert_gradients_match(lambda x: x * x, [2.0])

    def test_tolerances_are_the_callers(self):
        assert_gradients_match(cube, [0.5], atol=1.0)
        assert_gradients_match(cube, [0.5], rtol=1.0)


def test_without_hypothesis_the_error_names_the_extra():
    program = "import sys; sys.modules['hypothesis'] = None; import micrograd_mlp.testing"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert 'ImportError: micrograd_mlp.testing needs Hypothesis: pip install "micrograd_mlp[testing]"' in (
        result.stderr
    )


def depth(node):
    return 0 if node.op is None else 1 + max(map(depth, node.parents))


def uses(e, name):
    return any(node.op is not None and node.op.name == name for node in e.output.topological_order())
