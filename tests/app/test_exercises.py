"""Exercises: the right answer is right, every mistake is named, and what is neither is told where to look."""

import base64
import json
import math
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from micrograd_mlp.testing import expressions

import micrograd_mlp
from micrograd_mlp import Constant, Value, cross_entropy, draw, exercises, squared_error, total

SEEDS = range(30)


def right_numbers(exercise):
    """The gradients by the engine, in the order in which they are asked for."""
    order = exercise._order
    for node in order:
        node.grad = 0.0
    order[-1].backward()
    found = {name: order[i].grad for name, i in zip(exercise.names, exercise._asked, strict=True)}
    for node in order:
        node.grad = 0.0
    return found


def outcomes(exercise):
    """The known mistakes, and what they give for the numbers that are asked for, if that is not right."""
    right = right_numbers(exercise)
    for mistake in exercise.mistakes:
        gradients = exercise._backward.outcome(mistake)
        numbers = {name: gradients[i] for name, i in zip(exercise.names, exercise._asked, strict=True)}
        if any(abs(numbers[name] - g) > 1e-6 * max(1.0, abs(g)) for name, g in right.items()):
            yield mistake, numbers


def rounded(numbers, digits):
    return {name: f"{x:.{digits}g}" for name, x in numbers.items()}


MADE = [
    *[pytest.param(lambda s=s: exercises.fill_in_the_gradients(s), id=f"graph-{s}") for s in range(8)],
    pytest.param(
        lambda: exercises.fill_in_the_gradients(5, n_nodes=14, functions=["relu", "cos"]), id="large"
    ),
    pytest.param(lambda: exercises.fill_in_a_network(1), id="network"),
    pytest.param(lambda: exercises.fill_in_a_network(2, [2, 2, 1], "sigmoid", n_examples=2), id="batch"),
]


@pytest.fixture(params=MADE)
def exercise(request):
    return request.param()


# The right answer


def test_the_engines_gradients_are_right(exercise):
    verdict = exercise.check(right_numbers(exercise))
    assert verdict
    assert str(verdict) == f"right: all {len(exercise.names)} gradients"


@pytest.mark.parametrize("digits", [6, 8])
def test_rounded_gradients_are_right(exercise, digits):
    assert exercise.check(rounded(right_numbers(exercise), digits))


def test_three_digits_are_never_called_wrong(exercise):
    verdict = exercise.check(rounded(right_numbers(exercise), 3))
    assert verdict or set(verdict.remarks.values()) == {
        "It is right, but with so few digits a mistake gives it too: write more."
    }


def test_numbers_that_were_rounded_on_the_way_are_right():
    x = Value(0.1, "x")
    v = x * 7.0
    v.label = "v"
    exercise = exercises.gradients(v.tanh(), of=["v", "x"])  # 0.6347 and 4.443
    assert exercise.check({"v": "0.63", "x": "4.41"})
    assert not exercise.check({"x": "4.41"})
    assert not exercise.check({"v": "0.63", "x": "4.38"})


@given(expressions(), st.integers(5, 17))
def test_of_any_graph(e, digits):
    exercise = exercises.gradients(e.output)
    numbers = right_numbers(exercise)
    verdict = exercise.check(rounded(numbers, digits))
    assert verdict or "mistake gives it too" in str(verdict)
    assert exercise.check(numbers)


# Mistakes


def test_every_mistake_is_named(exercise):
    for mistake, numbers in outcomes(exercise):
        verdict = exercise.check(numbers)
        assert not verdict
        assert mistake.when in verdict.mistakes
        assert mistake.when in str(verdict)


@pytest.mark.parametrize("digits", [4, 6])
def test_also_with_few_digits(exercise, digits):
    for mistake, numbers in outcomes(exercise):
        verdict = exercise.check(rounded(numbers, digits))
        assert not verdict, mistake
        assert mistake.when in verdict.mistakes or verdict.remarks


@given(expressions(max_depth=3))
def test_every_mistake_in_any_graph_is_named(e):
    exercise = exercises.gradients(e.output)
    for mistake, numbers in outcomes(exercise):
        # With all digits, or the 1.0 of a mistake would be a rounded 1.008 too.
        written = {name: f"{x:.16e}" for name, x in numbers.items()}
        assert mistake.when in exercise.check(written).mistakes


def test_two_mistakes_with_the_same_numbers_are_both_named():
    x = Value(1.5, "x")
    assert exercises.gradients(x * 2.0, of=["x"]).check(1).mistakes == [
        "the derivative of a sum stands in the place of that of a product, at f",
        "the factor 2 is left out, in f",
    ]


def neuron():
    """tanh(w·x + w) with a square behind it."""
    w, x = Value(0.5, "w"), Value(2.0, "x")
    z = w * x + w
    z.label = "z"
    a = z.tanh()
    a.label = "a"
    return a**2


def test_each_node_is_judged_with_the_numbers_above_it():
    f = neuron()
    exercise = exercises.gradients(f)
    a, z = math.tanh(1.5), 1.5
    given = {"f": 1, "a": a, "z": a * (1 - math.tanh(z) ** 2), "v1": 5.0, "x": 2.5, "w": 5.0}
    verdict = exercise.check(given)
    assert verdict.mistakes == []
    assert verdict.remarks["a"] == "You get this when the exponent is not written as a factor, at f."
    assert verdict.remarks["z"] == "It follows from your numbers above it: this step is right."
    assert verdict.remarks["v1"].startswith("No known mistake gives this. Look first at ∂z/∂v1")
    assert verdict.remarks["x"] == "It follows from your numbers above it: this step is right."
    assert verdict.remarks["w"].startswith(
        "No known mistake gives this. Look first at ∂v1/∂w, in the largest"
    )
    assert str(verdict).startswith("not yet: 1 of 6 gradients are right (f).\n")


def test_of_many_right_gradients_a_few_are_named():
    exercise = exercises.fill_in_the_gradients(5, n_nodes=20)
    numbers = right_numbers(exercise)
    first = str(exercise.check(numbers | {exercise.names[-1]: 1e6})).partition(chr(10))[0]
    assert first == f"not yet: 19 of 20 gradients are right ({', '.join(exercise.names[:12])}, …)."


def test_two_different_mistakes_are_both_found():
    exercise = exercises.gradients(neuron())
    right = right_numbers(exercise)
    a = 2 * math.tanh(1.5)
    numbers = right | {"z": a, "v1": a, "x": a * 0.5, "w": 2.0 * a}
    remarks = exercise.check(numbers).remarks
    assert "the local derivative ∂a/∂z is left out" in remarks["z"]
    assert "only what comes through v1 is left" in remarks["w"]
    assert remarks["x"] == "It follows from your numbers above it: this step is right."


def test_where_to_look_first():
    x, y = Value(3.0, "x"), Value(5.0, "y")
    exercise = exercises.gradients(x * y + x, of=[x])
    assert str(exercise.check(18)) == (
        "not yet. No known mistake gives this. Look first at ∂v1/∂x, in the largest of its 2 contributions: "
        "your number is 3 times what follows from the numbers above it."
    )
    assert "Look first at ∂v1/∂x, in the largest of its 2 contributions." in str(exercise.check(7.3))


def test_the_output_is_where_it_starts():
    exercise = exercises.gradients(neuron(), of=["f"])
    assert str(exercise.check(2)) == "not yet. Backpropagation starts here: ∂f/∂f is 1."


def test_too_few_digits():
    exercise = exercises.gradients(neuron(), of=["a"])
    assert str(exercise.check("2")) == "not yet. It may be right, but that takes more digits to say."
    assert exercise.check("1.81")


def test_digits_that_a_mistake_has_too():
    x = Value(0.995, "x")
    exercise = exercises.gradients(x**2, of=["x"])  # 1.99, and 2·x² = 1.98005 without lowering the exponent
    verdict = exercise.check("2.0")
    assert not verdict
    assert str(verdict) == "not yet. It is right, but with so few digits a mistake gives it too: write more."
    assert not exercise.check("1.98")
    assert exercise.check("1.990")
    assert exercise.check("1.9800").mistakes == ["the exponent is not lowered by one, at f"]


def test_gradients_of_classes():
    logits = [Value(0.0, f"z[{k + 1}]") for k in range(4)]
    exercise = exercises.gradients(cross_entropy(logits, 0), of=logits)
    assert exercise.check([-0.75, 0.25, 0.25, 0.25])
    assert "the difference is taken the other way round" in str(exercise.check([0.75, -0.25, -0.25, -0.25]))


# What is open, and what is no answer


def test_what_is_open():
    exercise = exercises.gradients(neuron())
    assert str(exercise.check(...)) == "not yet: put a number in the place of every ..."
    assert str(exercise.check(dict.fromkeys(exercise.names, ...))) == str(exercise.check(...))
    verdict = exercise.check({"f": 1, "a": ...})
    assert not verdict
    assert str(verdict) == "not yet: 1 of 6 gradients are right (f), 5 are open."


def test_a_node_that_is_asked_for_twice_is_asked_for_once():
    x = Value(3.0, "x")
    assert exercises.gradients(x * x, of=[x, "x"]).names == ["x"]


def test_what_is_no_answer():
    x, y = Value(3.0, "x"), Value(5.0, "y")
    exercise = exercises.gradients(x * y, of=[x, y])
    with pytest.raises(ValueError, match="'q' is not asked for: the names are x, y"):
        exercise.check({"q": 1.0})
    with pytest.raises(ValueError, match="2 numbers are asked for, got 3"):
        exercise.check([1, 2, 3])
    with pytest.raises(ValueError, match="x: 'five' is not a number"):
        exercise.check({"x": "five"})


def test_what_no_exercise_is_made_of():
    x = Value(3.0, "x")
    with pytest.raises(TypeError, match="output"):
        exercises.gradients(3.0)
    with pytest.raises(ValueError, match="'y' is not a node of this graph: x, f"):
        exercises.gradients(x * x, of=["y"])
    two = x * 2.0
    with pytest.raises(ValueError, match=r"Constant\(data=2.0\) is not a node of this graph: x, f"):
        exercises.gradients(two, of=two.parents)
    with pytest.raises(ValueError, match="nothing is asked for; the nodes of this graph are x, f"):
        exercises.gradients(two, of=[])
    with pytest.raises(ValueError, match="not finite"):
        exercises.gradients(Value(0.0, "x").log())
    y = x
    for _ in range(300):
        y = y + 1.0
    with pytest.raises(ValueError, match="at most 300 nodes"):
        exercises.gradients(y)
    f = x * x
    x.data = 4.0
    with pytest.raises(ValueError, match="has changed"):
        exercises.gradients(f)


def test_a_graph_is_left_alone():
    f = neuron()
    f.backward()
    before = [(node.data, node.grad) for node in f.topological_order()]
    exercise = exercises.gradients(f)
    exercise.check({"f": 1})
    exercise.html()
    assert [(node.data, node.grad) for node in f.topological_order()] == before


def test_the_picture_does_not_show_the_gradients():
    f = neuron()
    f.backward()
    assert ">grad" in draw(f).svg()
    picture = exercises.gradients(f).picture()
    svg = base64.b64decode(picture.partition("base64,")[2].rstrip('">')).decode()
    assert ">data" in svg
    assert ">grad" not in svg


def test_a_forgotten_zero_grad_with_the_gradients_of_another_example():
    w = Value(2.0, "w")
    (w * 3.0).backward()
    exercise = exercises.gradients(w * 5.0, of=[w])
    assert "still hold the gradients of an earlier backward pass" in exercise.check(8).mistakes[0]


# Hints and the solution


def test_hints_in_steps_and_a_solution():
    exercise = exercises.gradients(neuron(), of=["w"])
    hints = [exercise.hint() for _ in range(5)]
    assert hints[0].startswith(
        "Hint 1 of 4: Start at the output: ∂f/∂f = 1. Then take the nodes in this order: "
    )
    assert "w is used 2 times, by" in hints[1]
    assert "∂a/∂z = (1 - a²)" in hints[2]
    assert hints[3].endswith("; ∂f/∂w = ∂f/∂z · 1 + ∂f/∂v1 · x.")
    assert hints[4] == "That was the last hint: .solution() shows the whole way."
    *_, last = exercise.solution().splitlines()
    assert float(last.rpartition("=")[2]) == pytest.approx(right_numbers(exercise)["w"], rel=1e-5)


def test_the_solution_has_the_right_numbers(exercise):
    solved = {}
    for line in exercise.solution().splitlines():
        left, *_, number = line.split(" = ")
        solved[left.rpartition("∂")[2]] = float(number)
    assert exercise.check({name: f"{solved[name]:.6g}" for name in exercise.names}) or all(
        math.isclose(solved[name], g, rel_tol=1e-5, abs_tol=1e-12)
        for name, g in right_numbers(exercise).items()
    )


# As many as there are seeds


def test_the_same_seed_makes_the_same_exercise():
    assert repr(exercises.fill_in_the_gradients(7)) == repr(exercises.fill_in_the_gradients(7))
    assert len({repr(exercises.fill_in_the_gradients(seed)) for seed in SEEDS}) == len(SEEDS)
    assert repr(exercises.fill_in_the_gradients(7).another()) == repr(exercises.fill_in_the_gradients(8))
    assert repr(exercises.fill_in_a_network(7).another()) == repr(exercises.fill_in_a_network(8))


@pytest.mark.parametrize("n_nodes", [3, 4, 6, 9, 14, 20])
def test_a_random_graph_is_for_pencil_and_paper(n_nodes):
    for seed in SEEDS:
        exercise = exercises.fill_in_the_gradients(seed, n_nodes)
        assert len(exercise.names) == n_nodes
        nodes = [node for node in exercise._order if not isinstance(node, Constant)]
        assert all(abs(node.data) <= 60 for node in nodes)
        numbers = right_numbers(exercise)
        assert all(abs(x) <= 60 for x in numbers.values())
        assert all(numbers[node.label] != 0.0 for node in nodes if not node.parents)
        uses = Counter(parent for node in nodes for parent in node.parents)
        assert n_nodes < 4 or any(uses[node] > 1 for node in nodes)
        assert [node.label for node in nodes if not uses[node]] == ["f"]


def test_without_a_seed_the_module_random_draws_it():
    import random

    random.seed(3)
    first = repr(exercises.fill_in_the_gradients())
    random.seed(3)
    assert repr(exercises.fill_in_the_gradients()) == first


def test_exercises_that_are_out_of_range():
    with pytest.raises(ValueError, match="n_nodes"):
        exercises.fill_in_the_gradients(n_nodes=2)
    with pytest.raises(ValueError, match="functions"):
        exercises.fill_in_the_gradients(functions=["tan h"])
    with pytest.raises(ValueError, match="layer_sizes"):
        exercises.fill_in_a_network(layer_sizes=[2, 9])
    with pytest.raises(ValueError, match="layer_sizes"):
        exercises.fill_in_a_network(layer_sizes=[2])
    with pytest.raises(ValueError, match="activation"):
        exercises.fill_in_a_network(activation="tan")
    with pytest.raises(ValueError, match="n_examples"):
        exercises.fill_in_a_network(n_examples=0)
    with pytest.raises(ValueError, match="no next one"):
        exercises.gradients(neuron()).another()


def test_a_network_has_the_layers_mistakes():
    mistakes = {m.when for m in exercises.fill_in_a_network(3, n_examples=2).mistakes}
    assert "W2 is not transposed on the way back: δ is multiplied by the matrix itself" in mistakes
    assert "the gradient of W1 is transposed" in mistakes
    assert any("the ½ of the squared error is left out" in when for when in mistakes)
    assert any("the sum is taken in the place of the mean: 1/2 is left out" in when for when in mistakes)
    assert any("the difference is taken the other way round" in when for when in mistakes)


# Questions


def test_a_question_of_numbers():
    question = exercises.question(
        {"eta": 0.5, "mu": 0.9},
        {"the two are exchanged": {"eta": 0.9, "mu": 0.5}, "half of it is taken": [0.25, 0.45]},
        hints=["Try it."],
        solution="0.5 and 0.9",
    )
    assert question.check([0.5, 0.9])
    assert question.check({"eta": "1/2", "mu": 0.9})
    assert str(question.check([0.9, 0.5])) == "not yet. You get this when the two are exchanged."
    assert str(question.check([0.25, 0.45])) == "not yet. You get this when half of it is taken."
    assert str(question.check([7, 7])) == "not yet. No known mistake gives this answer."
    assert str(question.check([..., 0.9])) == "not yet: put a number in the place of every ..."
    with pytest.raises(ValueError, match="has 2 numbers, got 1"):
        question.check(0.5)
    assert question.hint() == "Hint 1 of 1: Try it."
    assert question.solution() == "0.5 and 0.9"


def test_a_question_with_many_answers():
    question = exercises.question(lambda x: x > 2, {"it is negative": lambda x: x < 0})
    assert question.check(3)
    assert question.check(-1).mistakes == ["it is negative"]
    assert question.check(1).mistakes == []


# How they are shown


def test_an_exercise_shows_itself():
    exercise = exercises.gradients(neuron())
    assert repr(exercise).splitlines()[:3] == [
        "Fill in the gradient ∂f/∂(node) for each of f, a, z, v1, x, w.",
        "node  is       value   gradient",
        "f     a**2     0.8193  ?",
    ]
    shown = exercise._repr_mimebundle_()
    assert shown["text/plain"] == repr(exercise)
    assert "<script>" in shown["text/html"]
    assert shown["text/html"].count("<tr>") == 7


def test_a_verdict_shows_hints_and_the_solution():
    question = exercises.question(2, {"<1> is taken": 1}, hints=["first", "second"], solution="1 + 1 < 3")
    shown = question.check(1)._repr_mimebundle_()
    assert shown["text/plain"] == "not yet. You get this when <1> is taken."
    assert "You get this when &lt;1&gt; is taken." in shown["text/html"]
    assert re.findall("<summary>(.*?)</summary>", shown["text/html"]) == ["Hint 1", "Hint 2", "Solution"]
    assert "1 + 1 &lt; 3" in shown["text/html"]


def test_the_page_is_one_file_with_further_exercises(tmp_path):
    exercise = exercises.fill_in_the_gradients(1)
    exercise.save(tmp_path / "exercise.html")
    page = (tmp_path / "exercise.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page
    assert page.count('"task": ') == 12
    assert json.dumps(exercises.fill_in_the_gradients(4).solution())[1:-1].replace("<", "\\u003c") in page
    with pytest.raises(ValueError, match=r"saved as \.html"):
        exercise.save(tmp_path / "exercise.png")


def test_a_graph_without_graphviz(monkeypatch):
    from micrograd_mlp.render import graphviz_backend

    def missing(*_):
        raise ImportError("no Graphviz")

    monkeypatch.setattr(graphviz_backend, "render", missing)
    shown = exercises.gradients(neuron())._repr_mimebundle_()["text/html"]
    assert "<pre>f = ^" in shown
    assert "<img" not in shown


def test_it_is_a_public_module():
    assert micrograd_mlp.exercises is exercises
    assert "exercises" in dir(micrograd_mlp)
    assert all(getattr(exercises, name).__doc__ for name in exercises.__all__)


def test_names_that_are_markup_are_harmless():
    x = Value(2.0, "</script><b>")
    shown = exercises.gradients(x * x + squared_error(x, 1.0))._repr_mimebundle_()["text/html"]
    assert "<b>" not in shown
    assert shown.count("</script>") == 1


def test_derivatives_that_were_given_as_numbers():
    x = Value(2.0, "x")
    exercise = exercises.gradients(Value(7.0, (x,), (3.0,)) * x, of=[x])
    assert exercise.check(13)
    assert "only what comes through f is left" in str(exercise.check(7))
    assert exercise.solution()


def test_a_long_sum_is_written_with_a_gap():
    exercise = exercises.gradients(total([Value(float(k), f"x{k}") for k in range(1, 8)]), of=["f"])
    assert exercise.formulas() == ["x1 + x2 + x3 + … (3 more) … + x7"]
