"""`explain`: every path counted, the largest found, their sum the gradient, the paper's symbols."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import Op, Value, dot, explain, grad, logsumexp, no_grad, relu, sigmoid, tanh, total
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.nn.losses import squared_error
from micrograd_mlp.nn.modules import MLP
from micrograd_mlp.render.notation import Latex, Text

numbers = st.one_of(st.floats(-3.0, 3.0, allow_subnormal=False), st.sampled_from([0.0, 1.0, -1.0, 0.5]))

OPERATIONS = [
    lambda x, y, z: x + y,
    lambda x, y, z: x * y,
    lambda x, y, z: x - y * 0.5,
    lambda x, y, z: x * x,
    lambda x, y, z: tanh(x),
    lambda x, y, z: relu(x),
    lambda x, y, z: sigmoid(x),
    lambda x, y, z: dot([x, y], [z, x]),
    lambda x, y, z: total([x, y, x]),
    lambda x, y, z: logsumexp([x, y]),
]


@st.composite
def graphs(draw):
    """A random graph that uses nodes more than once, and one of its nodes to differentiate by."""
    nodes = [Value(draw(numbers), draw(st.sampled_from([None, "x", "z1[1]", "w"]))) for _ in range(3)]
    for _ in range(draw(st.integers(1, 9))):
        x, y, z = (draw(st.sampled_from(nodes[-4:])) for _ in range(3))
        nodes.append(draw(st.sampled_from(OPERATIONS))(x, y, z))
        if draw(st.booleans()):
            nodes[-1].label = draw(st.sampled_from(["z1[1]", "z2[1]", "a1[1]", "v1", "x"]))
    return nodes[-1], draw(st.one_of(st.sampled_from(nodes[:3]), st.sampled_from(nodes)))


def contributions_of_all_paths(node, wrt):
    """By brute force: one number for each path."""
    if node is wrt:
        return [1.0]
    return [
        local_grad * rest
        for parent, local_grad in zip(node.parents, node.local_grads)
        for rest in contributions_of_all_paths(parent, wrt)
    ]


def two_layer_network():
    """§6: two sigmoid neurons, a linear output, ½(ŷ - y)²."""
    model = MLP(2, [2, 1], activation="sigmoid", seed=3)
    x = [Value(1.0, "x[1]"), Value(-2.0, "x[2]")]
    loss = squared_error(model(x), Value(1.0, "y"))
    loss.label = "ℓ"
    return model, x, loss


# The sum over paths


@given(graphs(), st.integers(1, 4))
def test_listed_paths_and_remainder_are_the_gradient(graph, max_paths):
    output, wrt = graph
    explanation = explain(output, wrt, max_paths=max_paths)
    size = math.fsum(map(abs, contributions_of_all_paths(output, wrt)))
    [gradient] = grad(output, [wrt])
    assert explanation.gradient == gradient
    listed = math.fsum(path.contribution for path in explanation.paths)
    assert abs(listed + explanation.remainder - gradient) <= 1e-12 * size
    assert abs(explanation.total - gradient) <= 1e-12 * size


@given(graphs(), st.integers(1, 4))
def test_the_count_and_the_largest_are_those_of_brute_force(graph, max_paths):
    output, wrt = graph
    explanation = explain(output, wrt, max_paths=max_paths)
    everything = contributions_of_all_paths(output, wrt)
    assert explanation.path_count == len(everything)
    assert len(explanation.paths) == min(max_paths, len(everything))
    listed = [abs(path.contribution) for path in explanation.paths]
    assert listed == sorted(listed, reverse=True)
    largest = sorted(map(abs, everything), reverse=True)[: len(listed)]
    assert listed == pytest.approx(largest, rel=1e-13, abs=0.0)


@given(graphs())
def test_each_path_is_one_of_the_graph_and_listed_once(graph):
    output, wrt = graph
    paths = explain(output, wrt, max_paths=1000).paths
    for path in paths:
        assert path.nodes[0] is output
        assert path.nodes[-1] is wrt
        for node, operand, following in zip(path.nodes, path.operands, path.nodes[1:]):
            assert node.parents[operand] is following
        assert path.contribution == math.prod(path.local_grads)
    assert len({tuple((id(node), i) for node, i in zip(p.nodes, p.operands)) for p in paths}) == len(paths)


@given(graphs())
def test_every_graph_can_be_written_in_every_notation(graph):
    explanation = explain(*graph, max_paths=3)
    assert str(explanation).count("\n\n") >= 1
    for latex in (explanation.markdown(), explanation.latex()):
        assert latex.count("{") == latex.count("}")
        assert latex.count(r"\left") == latex.count(r"\right")


@given(graphs())
def test_explaining_changes_nothing(graph):
    output, wrt = graph
    before = [(node.data, node.grad, node.label) for node in output.topological_order()]
    str(explain(output, wrt))
    assert [(node.data, node.grad, node.label) for node in output.topological_order()] == before


def test_one_thousand_doublings_have_more_paths_than_atoms():
    x = Value(1.0, "x")
    y = x
    for _ in range(1000):
        y = y + y
    explanation = explain(y, x)
    assert explanation.path_count == 2**1000
    assert [path.contribution for path in explanation.paths] == [1.0] * 10
    assert explanation.remainder == 2.0**1000
    text = str(explanation)
    assert str(2**1000 - 10) in text
    assert "(about 10^301.0) more paths" in text
    assert len(text) < 10_000
    assert (
        rf"\text{{and {2**1000 - 10} (about 10}}{{\wedge}}\text{{301.0) more paths, together}}"
        in explanation.latex()
    )


def test_a_count_too_long_to_print_is_given_by_its_size():
    x = Value(0.5, "x")
    y = x
    for _ in range(6_700):
        y = total([0.25 * y] * 4)
    explanation = explain(y, x, max_paths=2)
    assert explanation.path_count == 4**6_700
    assert explanation.total == 1.0
    assert "about 10^4033.8 more paths (exactly: .path_count)" in str(explanation)


def test_a_path_of_five_thousand_nodes():
    x = Value(1.0, "x")
    y = x
    for _ in range(5_000):
        y = -y
    explanation = explain(y, x)
    assert explanation.path_count == 1
    assert explanation.total == explanation.gradient == 1.0
    assert "= 1" in str(explanation)


def test_neither_overflow_nor_underflow_hides_the_largest():
    """Products too small for a float are compared all the same."""
    x = Value(1.0, "x")
    small, large = x, x
    for _ in range(4):
        small = small * 1e-100
    for _ in range(3):
        large = large * 1e-130
    for _ in range(2):
        large = large * 1e-3
    y = small + large + x * 0.0
    paths = explain(y, x).paths
    # The first product is 1e-396, the second 1e-400, the third 0; as floats all three are 0.
    assert [len(path.nodes) for path in paths] == [8, 7, 3]
    assert [path.contribution for path in paths] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("factors", "shown"),
    [([math.inf, 2.0], "inf"), ([math.inf, 0.0], "nan"), ([0.0, math.inf], "nan"), ([math.nan, 0.0], "nan")],
)
def test_paths_through_inf_and_nan_come_first_and_are_said(factors, shown):
    x = Value(1.0, "x")
    y = x
    for factor in factors:
        y = y * factor
    explanation = explain(1000.0 * x + y, x, max_paths=1)
    assert str(explanation.paths[0].contribution) == shown
    assert explanation.path_count == 2
    assert explanation.remainder == 1000.0
    assert f"Sum over paths:   {shown}\nBackpropagation:  {shown}, the same" in str(explanation)
    explanation.latex()


def test_a_sum_rounded_in_another_order_says_so():
    x = Value(1.0, "x")
    y = total([1e16 * x, 1.0 * x, -1e16 * x, 1.0 * x])
    explanation = explain(y, x)
    assert explanation.total == 2.0
    assert explanation.gradient != 2.0
    assert "which differs by 1.0e+00: the same products, rounded and added in another order" in str(
        explanation
    )


def test_one_operand_twice_makes_two_paths():
    x = Value(3.0, "x")
    y = x * x
    y.label = "y"
    explanation = explain(y, x)
    assert explanation.path_count == 2
    assert "1. ∂y/∂x (operand 1)\n   = x\n   = 3\n\n2. ∂y/∂x (operand 2)\n   = x\n   = 3\n" in str(
        explanation
    )


def test_with_respect_to_itself_and_to_a_stranger():
    x = Value(3.0, "x")
    itself, stranger = explain(x, x), explain(x * 2.0, Value(1.0, "w"))
    assert (itself.path_count, itself.gradient, itself.total) == (1, 1.0, 1.0)
    assert (stranger.path_count, stranger.gradient, stranger.total) == (0, 0.0, 0.0)
    assert "the output does not depend on it" in str(stranger)


def test_with_respect_to_a_node_in_between():
    x = Value(3.0, "x")
    square = x * x
    explanation = explain(square * square + x, square)
    assert explanation.path_count == 2
    assert explanation.total == 18.0


def test_a_pre_activation_as_output_has_no_error_signal():
    model = MLP(2, [2, 1], activation="sigmoid", seed=3)
    text = str(explain(model([1.0, 2.0]), model.layers[0].neurons[0].b))
    assert text.startswith("∂z2[1]/∂b1[1] = ")
    assert "δ2" not in text
    assert "δ1[1] = ∂z2[1]/∂z1[1] = W2[1,1] · σ'(z1[1]) = " in text


# The paper's symbols


def test_the_error_signals_of_section_6():
    model, _, loss = two_layer_network()
    w = model.layers[0].neurons[1].w[0]
    text = str(explain(loss, w))
    assert text.startswith("∂ℓ/∂W1[2,1] = ")
    assert "1. ∂ℓ/∂z2[1] · ∂z2[1]/∂a1[2] · ∂a1[2]/∂z1[2] · ∂z1[2]/∂W1[2,1]\n" in text
    assert "   = 0.5 · 2 · (z2[1] - y) · W2[1,2] · σ'(z1[2]) · x[1]\n" in text
    assert "  δ2[1] = ∂ℓ/∂z2[1] = 0.5 · 2 · (z2[1] - y) = " in text
    assert "  δ1[2] = ∂ℓ/∂z1[2] = δ2[1] · W2[1,2] · σ'(z1[2]) = " in text
    assert "  ∂ℓ/∂W1[2,1] = δ1[2] · x[1] = " in text


def test_the_numbers_of_the_error_signals_are_the_gradients():
    _, x, loss = two_layer_network()
    loss.backward()
    by_label = {node.label: node.grad for node in loss.topological_order()}
    text = str(explain(loss, x[0]))
    for delta, z in [("δ2[1]", "z2[1]"), ("δ1[1]", "z1[1]"), ("δ1[2]", "z1[2]")]:
        [shown] = re.findall(rf"^  {re.escape(delta)} = .* = (.*)$", text, re.MULTILINE)
        assert float(shown) == pytest.approx(by_label[z], rel=1e-5)
    assert "∂ℓ/∂x[1] = δ1[2] · W1[2,1] + δ1[1] · W1[1,1] = " in text


def test_section_6_in_latex():
    model, _, loss = two_layer_network()
    explanation = explain(loss, model.layers[0].neurons[1].w[0])
    derivative = r"\frac{\partial \ell}{\partial W^{(1)}_{21}}"
    signal = r"\delta^{(2)}_{1} \cdot W^{(2)}_{12} \cdot \sigma'\left(z^{(1)}_{2}\right)"
    for latex in (explanation.latex(), explanation.markdown()):
        assert derivative in latex
        assert signal in latex
    assert explanation._repr_latex_() == f"$$\n{explanation.latex()}\n$$"
    assert explanation._repr_markdown_() == explanation.markdown()


def test_an_error_signal_of_many_neurons_is_given_as_a_number():
    model = MLP(2, [3, 8, 1], activation="tanh", seed=0)
    loss = squared_error(model([1.0, 2.0]), 0.0)
    text = str(explain(loss, model.layers[0].neurons[0].w[0], max_paths=2))
    assert re.search(r"^  δ1\[1\] = ∂f/∂z1\[1\] = [-.\de]+$", text, re.MULTILINE)
    assert "and 6 more paths, together: " in text


def test_nodes_without_a_label_get_short_names_that_are_defined():
    x = Value(3.0)
    text = str(explain(x * x + x, x))
    assert "1. ∂f/∂v2 · ∂v2/∂v1 (operand 1)\n" in text
    assert "where\n  f = v2 + v1 = 12\n  v2 = v1 · v1 = 9\n" in text


def test_short_names_avoid_labels_and_equal_labels_are_told_apart():
    x, other = Value(3.0, "v1"), Value(2.0, "f")
    shared = x * other
    y = shared * shared
    text = str(explain(y, x, max_paths=1))
    assert "∂v3/∂v2 (operand 1) · ∂v2/∂v1" in text
    a, b = Value(3.0, "a"), Value(2.0, "a")
    assert "1. ∂f/∂a\n   = a#2\n   = 2\n" in str(explain(a * b, a))


def test_a_rule_of_the_users_own_is_written_too():
    cube = Op("cube", forward=lambda x: x**3, partials=lambda out, x: (3.0 * x**2,))
    hypotenuse = Op(
        "hypotenuse",
        forward=lambda x, y: math.hypot(x, y),
        partials=lambda out, x, y: (x / out, y / out),
        arity=2,
    )
    floats_only = Op("my_sin", forward=math.sin, partials=lambda out, x: (math.cos(x),))
    x, y = Value(3.0, "x"), Value(4.0, "y")
    assert "= cube'(x)\n   = 27\n" in str(explain(cube(x), x))
    assert "= x / hypotenuse(x, y)\n   = 0.6\n" in str(explain(hypotenuse(x, y) * 1.0, x))
    assert "= -0.989992\n" in str(explain(floats_only(x), x))


@pytest.mark.parametrize(
    ("label", "latex"),
    [
        ("W1[2,1]", "W^{(1)}_{21}"),
        ("W1[12,3]", "W^{(1)}_{12,3}"),
        ("z1[2]", "z^{(1)}_{2}"),
        ("a1[2]", "a^{(1)}_{2}"),
        ("z2", "z^{(2)}"),
        ("x[2]", "x_{2}"),
        ("x1", "x_{1}"),
        ("w_1", "w_{1}"),
        ("ŷ", r"\hat{y}"),
        ("y_hat", r"\hat{y}"),
        ("ℓ", r"\ell"),
        ("σ", r"\sigma"),
        ("b", "b"),
        ("learning_rate", r"\text{learning}\_\text{rate}"),
        ("50% {a}", r"\text{50}\%\text{ }\{\text{a}\}"),
        ("a\nb", r"\text{a}\backslash \text{nb}"),
        ("</script><img src=x>", r"{<}\text{/script}{>}{<}\text{img src=x}{>}"),
    ],
)
def test_labels_in_latex(label, latex):
    assert Latex().label(label) == latex


@pytest.mark.parametrize("op", TABLE.values(), ids=TABLE.keys())
@pytest.mark.parametrize("notation", [Text(), Latex()], ids=["text", "latex"])
def test_every_operation_can_be_written(op, notation):
    u = notation.apply(TABLE["add"], [notation.number(2.0), notation.number(-3.0)])
    written = notation.apply(op, [u] * (op.arity or 4)).text
    assert "2" in written
    assert written.count("(") == written.count(")")
    assert written.count("{") == written.count("}")


@pytest.mark.parametrize(
    ("formula", "text", "latex"),
    [
        (lambda a, b, c: a * (b + c), "a · (b + c)", r"a \cdot \left(b + c\right)"),
        (lambda a, b, c: a - (b - c), "a - (b - c)", r"a - \left(b - c\right)"),
        (lambda a, b, c: (a + b) / c, "(a + b) / c", r"\frac{a + b}{c}"),
        (lambda a, b, c: (a - b) ** 2, "(a - b)**2", r"{\left(a - b\right)}^{2}"),
        (lambda a, b, c: tanh(a + b), "tanh(a + b)", r"\tanh \left(a + b\right)"),
        (lambda a, b, c: -(a + b), "-(a + b)", r"-\left(a + b\right)"),
        (lambda a, b, c: a * -2.0, "a · (-2)", r"a \cdot \left(-2\right)"),
        (lambda a, b, c: sigmoid(a * b), "σ(a · b)", r"\sigma\left(a \cdot b\right)"),
    ],
)
def test_brackets_where_they_are_needed(formula, text, latex):
    a, b, c = (Value(0.5 + i, name) for i, name in enumerate("abc"))
    root = formula(a, b, c)
    explanation = explain(root, a)
    assert f"\n  f = {text} = " in str(explanation)
    assert f"f & = {latex} = " in explanation.latex()


# Wrong use


def test_what_cannot_be_explained_is_named():
    x = Value(1.0, "x")
    with pytest.raises(TypeError, match="output must be a Value, got 3"):
        explain(3.0, x)
    with pytest.raises(TypeError, match="wrt must be a Value, got \\["):
        explain(x * 2.0, [x])
    with pytest.raises(ValueError, match="max_paths must be 1 or more, got 0"):
        explain(x * 2.0, x, max_paths=0)
    with pytest.raises(TypeError, match="max_paths must be an int, got True"):
        explain(x * 2.0, x, max_paths=True)
    with no_grad(), pytest.raises(RuntimeError, match="no_grad"):
        explain(x, x)


def test_an_explanation_prints_the_same_under_no_grad():
    model, _, loss = two_layer_network()
    explanation = explain(loss, model.layers[0].neurons[1].w[0])
    expected = str(explanation)
    with no_grad():
        assert str(explanation) == expected


def test_a_template_of_latex_that_can_not_be_filled_in_gives_way_to_the_name():
    odd = Op("odd", lambda x: x, lambda out, x: (1.0,), latex="{0} {")
    x = Value(2.0, "x")
    assert r"\text{odd}\left(x\right)" in explain((odd(x) + 1.0) ** 2, x).latex()
