"""The command: what it prints, what it writes, and what every mistake is told."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import micrograd_mlp
from micrograd_mlp.app import tour
from micrograd_mlp.app.tables import Column, TableModel
from micrograd_mlp.render import graphviz_backend


def files():
    return sorted(str(path) for path in Path().rglob("*"))


def command_line(*arguments, **options):
    source = Path(micrograd_mlp.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(source), **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "micrograd_mlp", *arguments],
        capture_output=True,
        env=environment,
        timeout=120,
        check=False,
        **options,
    )


# The commands and their help


def test_alone_it_tells_what_there_is(run):
    status, out, err = run()
    assert (status, err) == (0, "")
    for command in ("tour", "graph", "check", "train", "predict"):
        assert re.search(rf"^ +{command} ", out, re.MULTILINE)


@pytest.mark.parametrize("command", ["tour", "graph", "check", "train", "predict"])
def test_every_commands_help_has_an_example(run, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert f"example:\n  micrograd-mlp {command} " in out


def test_an_unknown_command_is_refused(run):
    status, _, err = run("fly")
    assert status == 2
    assert "invalid choice: 'fly'" in err


def test_the_version_is_printed(run):
    assert run("--version") == (0, f"micrograd-mlp {micrograd_mlp.__version__}\n", "")


# tour


def test_the_tour_shows_three_equal_gradients_a_tree_a_drawing_and_the_accuracy(run):
    status, out, err = run("tour")
    assert status == 0
    rows = re.findall(r"^([Wb]\d\[[\d,]+\]) +(\S+) +(\S+) +(\S+) +(\S+)$", out, re.MULTILINE)
    assert len(rows) == 13
    for _, _, autodiff, closed_form, numerical in rows:
        assert autodiff == closed_form
        assert float(numerical) == pytest.approx(float(autodiff), abs=2e-12)
    assert "├── " in out
    assert "a1[2] = σ" in out
    accuracy = float(re.search(r"accuracy (\d\.\d+)", out)[1])
    assert accuracy >= 0.93
    assert "30/30" in err, "progress is shown"
    assert {"tour/two_layer_network.svg", "tour/two_layer_network.html"} <= set(files())
    assert Path("tour/two_layer_network.svg").read_text().count("<svg") == 1
    model = TableModel.load("tour/iris.model.json")
    setosa = {"sepal_length_cm": 5.1, "sepal_width_cm": 3.5, "petal_length_cm": 1.4, "petal_width_cm": 0.2}
    assert model.predict(setosa) == "setosa"


def test_the_tours_closed_form_does_not_use_the_graph():
    model, _ = tour.two_layer_network()
    rows = tour.gradients(model)
    model.zero_grad()
    assert [row.closed_form for row in tour.gradients(model)] == [row.closed_form for row in rows]
    assert [row.autodiff for row in tour.gradients(model)] == [0.0] * 13
    largest = max(abs(row.autodiff) for row in rows)
    for row in rows:
        assert row.closed_form == pytest.approx(row.autodiff, rel=1e-14, abs=1e-15 * largest)
        assert row.numerical == pytest.approx(row.autodiff, rel=1e-11)


def test_a_wrong_gradient_would_show_in_the_tours_table():
    model, _ = tour.two_layer_network()
    model.parameters()[0].grad *= 1.001
    difference = tour.table_of(tour.gradients(model)).splitlines()[-1].split()
    assert difference[0] == "difference"
    assert all(float(x) > 1e-6 for x in difference[1:])


def test_without_a_renderer_the_tour_writes_dot_and_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr(graphviz_backend, "system_dot", lambda: None)
    monkeypatch.setattr(graphviz_backend, "packaged_dot", lambda: None)
    drawing, problem = tour.save_drawing(micrograd_mlp.draw(tour.two_layer_network()[1]), Path("network.svg"))
    assert drawing == Path("network.dot")
    assert drawing.read_text().startswith("digraph")
    assert 'pip install "micrograd_mlp[draw]"' in problem


def test_a_tour_into_a_file_is_refused(run):
    Path("tour").write_text("mine")
    status, _, err = run("tour")
    assert status == 2
    assert err.startswith("micrograd-mlp: tour: File exists")
    assert Path("tour").read_text() == "mine"


# graph


def test_graph_prints_the_tree_with_data_and_gradients(run):
    status, out, err = run("graph", "tanh(w*x + b)", "w=0.5", "x=2", "b=-1")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "f = tanh  data=0  grad=1",
        "└── v2 = +  data=0  grad=1",
        "    ├── v1 = ×  data=1  grad=1",
        "    │   ├── w  data=0.5  grad=2",
        "    │   └── x  data=2  grad=0.5",
        "    └── b  data=-1  grad=1",
    ]
    assert files() == []


@pytest.mark.parametrize("end", ["svg", "png", "dot"])
def test_graph_writes_the_drawing(run, end):
    status, out, err = run("graph", "w*x", "w=0.5", "x=2", "--draw", f"picture.{end}", "--local")
    assert err == ""
    assert status == 0
    assert out.endswith(f"drawing: picture.{end}\n")
    assert files() == [f"picture.{end}"]
    beginning = {"svg": b"<?xml", "png": b"\x89PNG", "dot": b"digraph"}[end]
    assert Path(f"picture.{end}").read_bytes().startswith(beginning)


def test_graph_writes_svg_and_png_at_once(run):
    status, out, err = run("graph", "w*x", "w=0.5", "x=2", "--svg", "a", "--png", "b", "--local")
    assert err == ""
    assert status == 0
    assert out.endswith("drawing: a\ndrawing: b\n")
    assert "∂" in Path("a").read_text(encoding="utf-8")
    assert Path("b").read_bytes().startswith(b"\x89PNG")


def test_graph_draws_a_saved_network_with_a_box_for_each_neuron(run):
    model = micrograd_mlp.MLP(2, [3, 2], activation="tanh", seed=0)
    model.save("net.json")
    given = ("net.json", "x1=0.5", "x2=-1")
    status, out, _ = run("graph", *given, "--output", "2", "--draw", "net.dot", "--collapse", "neuron")
    assert status == 0
    z2 = model([0.5, -1.0])[1]
    assert out.startswith(f"z2[2] = +  data={z2.data:.4g}  grad=1\n")
    assert Path("net.dot").read_text(encoding="utf-8").count("neuron 3 of layer 1") == 1


def test_graph_takes_the_columns_of_a_table_model_and_encodes_them_as_training_did(run):
    columns = [Column("petal length", None, 2.0, 4.0), Column("sex", ["f", "m"])]
    network = micrograd_mlp.MLP(3, [2, 2], seed=0)
    TableModel(network, columns, Column("c", ["no", "yes"])).save("table.json")
    status, out, _ = run("graph", "table.json", "petal length=4", "sex=m", "--explain", "petal length")
    assert status == 0
    assert "petal length  data=0.5 " in out
    assert "sex=f  data=0 " in out
    assert "sex=m  data=1 " in out
    assert out.startswith(f"z2[1] = +  data={network([0.5, 0.0, 1.0])[0].data:.4g}  grad=1\n")
    assert "∂z2[1]/∂petal length" in out


def test_the_name_of_a_column_may_hold_the_sign_of_equality(run):
    columns = [Column(name) for name in ("a", "a=b")]
    TableModel(micrograd_mlp.MLP(2, [1], seed=0), columns, Column("t")).save("table.json")
    status, out, _ = run("graph", "table.json", "a=b=3", "a=2")
    assert status == 0
    assert "a  data=2 " in out
    assert "a=b  data=3 " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.json", "x1=1"], "none.json: No such file or directory"),
        (["net.json", "x1=1"], "x2 has no number: add x2=1"),
        (["net.json", "x1=1", "x2=1", "x3=1"], "x3 does not occur in the network's inputs"),
        (["net.json", "x1=1", "x2=1", "--output", "3"], "the network has the outputs 1 to 2"),
        (["other.json", "x1=1"], "other.json is not a micrograd_mlp model"),
        (["table.json", "a=1"], "b has no value: add b=…"),
        (["table.json", "a=1", "c=1"], "'c=1': expected column=value; the columns are a, b"),
        (["table.json", "a=x", "b=1"], "a must be a number, got 'x'"),
    ],
)
def test_a_mistake_with_a_saved_network_is_told(run, arguments, message):
    micrograd_mlp.MLP(2, [3, 2], seed=0).save("net.json")
    Path("other.json").write_text("{}")
    columns = [Column(name) for name in "ab"]
    TableModel(micrograd_mlp.MLP(2, [1], seed=0), columns, Column("t")).save("table.json")
    status, _, err = run("graph", *arguments)
    assert status == 2
    assert message in err


def test_graph_writes_a_page_to_step_through(run):
    status, out, _ = run("graph", "w*x", "w=0.5", "x=2", "--steps", "steps.html")
    assert status == 0
    assert out.endswith("steps:   steps.html\n")
    assert "</html>" in Path("steps.html").read_text(encoding="utf-8")


def test_graph_writes_a_page_to_explore(run):
    status, out, _ = run("graph", "w*x", "w=0.5", "x=2", "--explore", "explore.html")
    assert status == 0
    assert out.endswith("page:    explore.html\n")
    assert "</html>" in Path("explore.html").read_text(encoding="utf-8")


def test_graph_explains_a_gradient_path_by_path(run):
    status, out, _ = run("graph", "w*x + w", "w=0.5", "x=2", "--explain", "w")
    assert status == 0
    assert "∂f/∂w = 3" in out
    assert "along 2 paths" in out


def test_graph_shows_only_so_many_levels(run):
    _, out, _ = run("graph", "tanh(w*x + b)", "w=0.5", "x=2", "b=-1", "--depth", "1")
    assert len(out.splitlines()) <= 3


def test_a_formula_may_begin_with_a_minus(run):
    status, out, _ = run("graph", "-x**2", "x=3")
    assert status == 0
    assert "x  data=3  grad=-6" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tanh(x"], "'(' was never closed\n  tanh(x\n      ^\n"),
        (["w*x"], "w, x has no number: add w=1 x=1"),
        (["w*x", "w=1"], "x has no number: add x=1"),
        (["x", "x=1", "y=2"], "y does not occur in the formula x"),
        (["x", "x=1", "x=2"], "one name has two numbers"),
        (["x", "x=one"], "x: expected a finite number, got 'one'"),
        (["x", "x=1", "--draw", "picture.gif"], "saved as .svg, .png, .pdf, .dot or .tex"),
        (["x", "x=1", "--draw", "missing/picture.svg"], "missing/picture.svg: there is no folder "),
        (["x", "x=1", "--explain", "y"], "--explain y: the names are x"),
        (["x", "x=1", "--depth", "-1"], "depth must be 0 or more, got -1"),
    ],
)
def test_a_mistake_in_graph_is_told_and_nothing_is_written(run, arguments, message):
    status, _, err = run("graph", *arguments)
    assert status == 2
    assert err.startswith("micrograd-mlp: ")
    assert message in err
    assert files() == []


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("log(x) + y", "log(x=-1.0) is nan: other numbers for x and y give a finite result"),
        ("y / (x + 1)", "div(y=2.0, 0.0) is inf"),
        ("sqrt(x + 1) * y", "became inf in the backward pass of sqrt(0.0): other numbers for x and y"),
    ],
)
def test_a_result_that_is_not_finite_is_shown_and_explained(run, formula, message):
    status, out, err = run("graph", formula, "x=-1", "y=2")
    assert status == 0
    assert re.search(r"=-?(nan|inf)", out)
    assert message in err


# check


def test_check_prints_the_gradient_check(run):
    status, out, err = run("check", "log(x) * y", "x=3", "y=2", "--order", "2")
    assert (status, err) == (0, "")
    assert "6 of 6 passed" in out
    assert "numerical" in out


def test_check_fails_where_there_is_no_derivative(run):
    status, out, _ = run("check", "log(x)", "x=-1")
    assert status == 1
    assert "1 of 1 did not pass" in out


def test_check_by_the_complex_step_resolves_what_rounding_hides(run):
    status, out, _ = run("check", "1e16 + x", "x=1")
    assert status == 1
    assert "rounding hides slopes" in out
    status, out, err = run("check", "1e16 + x", "x=1", "--method", "complex-step")
    assert (status, err) == (0, "")
    assert "1 of 1 passed" in out
    status, _, err = run("check", "abs(x)", "x=1", "--method", "complex-step")
    assert status == 2
    assert "abs is not one" in err


NETWORK = """
import numpy as np

X = np.arange(14.0).reshape(7, 2) / 7.0 - 1.0
parameters = {"w": np.ones(2), "b": 0.5}

def loss(w, b):
    return np.mean(np.tanh(X @ w + b) ** 2)

def backward(w, b):
    a = np.tanh(X @ w + b)
    delta = 2.0 * a * (1.0 - a**2) / len(X)
    return {"w": X.T @ delta, "b": delta.sum()}

def forgetful(w, b):
    return {name: 7.0 * g for name, g in backward(w, b).items()}
"""


def test_check_of_a_function_in_a_file(run, tmp_path):
    path = tmp_path / "network.py"
    path.write_text(NETWORK)
    status, out, err = run("check", f"{path}:loss", "inputs=parameters", "gradient=backward")
    assert err == ""
    assert status == 0
    assert "w[1]" in out
    assert "3 of 3 passed" in out
    status, out, _ = run("check", f"{path}:loss", "inputs=parameters", "gradient=forgetful")
    assert status == 1
    assert "The gradients of w, b are right times 7, the batch size: a mean is missing." in out


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "a function of a file needs inputs=NAME"),
        (["inputs=parameters"], "give gradient="),
        (["inputs=parameters", "gradient=nothing"], "does not define nothing"),
    ],
)
def test_check_of_a_file_says_what_is_missing(run, tmp_path, values, message):
    path = tmp_path / "network.py"
    path.write_text(NETWORK)
    status, _, err = run("check", f"{path}:loss", *values)
    assert status == 2
    assert message in err


def test_check_tells_a_kink_from_an_error(run):
    status, out, _ = run("check", "abs(x)", "x=0")
    assert status == 0
    assert "kink" in out


# The process


def test_it_runs_as_a_module():
    done = command_line("graph", "x*x", "x=3")
    assert done.returncode == 0
    assert b"x  data=3  grad=6" in done.stdout


def test_a_terminal_without_the_letters_gets_plain_ones():
    done = command_line("graph", "sigmoid(x)", "x=0", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "`-- x  data=0  grad=0.25" in done.stdout.decode("ascii")


@pytest.mark.skipif(os.name != "posix", reason="a pipe of this kind is POSIX's")
def test_a_reader_that_goes_away_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        source = Path(micrograd_mlp.__file__).parents[1]
        done = subprocess.run(
            [sys.executable, "-m", "micrograd_mlp", "graph", "x*x", "x=3"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(source)},
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
