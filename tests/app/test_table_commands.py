"""`micrograd-mlp train` and `predict`: what they print and write, and what every mistake is told."""

import json
import os
import random
import re
import signal
from importlib import resources
from pathlib import Path

import pytest

pd = pytest.importorskip("pandas", reason='needs pip install "micrograd_mlp[table]"')
pytest.importorskip("sklearn", reason='needs pip install "micrograd_mlp[table]"')
pytest.importorskip("matplotlib", reason='needs pip install "micrograd_mlp[table]"')
import micrograd_mlp  # noqa: E402
from micrograd_mlp.app.tables import TableModel  # noqa: E402
from micrograd_mlp.training import engines, estimators  # noqa: E402

IRIS = str(resources.files("micrograd_mlp") / "data" / "iris.csv")
TRAIN = ("train", IRIS, "--target", "species")


def files():
    return sorted(str(path) for path in Path().rglob("*"))


def scores(out, name):
    """The two scores of a line of the table: on the training rows, and on those held out."""
    found = re.search(rf"^{name} +(-?\d\.\d+) +(-?\d\.\d+)$", out, re.MULTILINE)
    return [float(number) for number in found.groups()]


# train


def test_train_classifies_iris_and_saves_a_model_that_predicts(run):
    status, out, err = run(*TRAIN, "--plot", "loss.png")
    assert status == 0
    assert f"rows:     150 of 150 in {IRIS} have a target" in out
    assert "target:   species (classified; --regress predicts numbers)" in out
    assert "inputs:   sepal_length_cm, sepal_width_cm, petal_length_cm, petal_width_cm" in out
    assert re.search(r"^accuracy +112 trained on +38 held out$", out, re.MULTILINE)
    assert min(scores(out, "network")) >= 0.93
    assert min(scores(out, "linear model")) >= 0.93
    assert max(scores(out, "constant")) < 0.4
    assert "epoch" in err, "progress is shown"
    assert files() == ["iris.model.json", "loss.png"]
    assert Path("loss.png").read_bytes().startswith(b"\x89PNG")
    model = TableModel.load("iris.model.json")
    row = {"sepal_length_cm": 6.5, "sepal_width_cm": 3.0, "petal_length_cm": 5.8, "petal_width_cm": 2.2}
    assert model.predict(row) == "virginica"


def test_train_regresses_a_real_target_from_text_and_numbers_and_warns_if_a_line_is_better(run):
    noise = [(37 * k) % 100 / 100 for k in range(300)]
    line = pd.DataFrame({"x": noise, "c": ["a", "b", "c"] * 100, "d": "2020-01-01", "e": 1})
    line["t"] = 5.0 * line["x"] + (line["c"] == "a")
    line.loc[3, "x"] = None
    line.loc[1, "d"] = "2020-01-02"
    line.to_csv("line.csv", index=False)
    status, out, _ = run("train", "line.csv", "--target", "t", "--epochs", "20", "--out", "model.json")
    assert status == 0
    assert "t (regressed; --classify predicts classes)" in out
    assert "left out: d (a date), e (the same in every row)\n" in out
    assert "missing:  x 1; a missing number counts as the median, missing text as no value\n" in out
    assert scores(out, "linear model")[1] > scores(out, "network")[1] > 0.8
    assert "warning:  the linear model predicts the held-out rows better than the network" in out
    assert files() == ["line.csv", "model.json"]


def test_the_options_reach_the_network(run):
    options = ("--hidden", "3", "2", "--activation", "tanh", "--optimizer", "momentum", "--epochs", "2")
    status, out, _ = run(*TRAIN, *options, "--held-out", "0.5", "--all-epochs")
    assert status == 0
    assert "trained:  2 of 2 epochs" in out
    assert "75 trained on" in out
    assert repr(TableModel.load("iris.model.json").network) == (
        "MLP(4, [3, 2, 3], activations=['tanh', 'tanh', 'linear'])"
    )


def test_a_training_whose_loss_has_settled_ends_early(run):
    _, out, _ = run(*TRAIN, "--learning-rate", "0", "--epochs", "50")
    assert "trained:  11 of 50 epochs" in out
    _, out, _ = run(*TRAIN, "--learning-rate", "0", "--epochs", "50", "--all-epochs", "--overwrite")
    assert "trained:  50 of 50 epochs" in out


def test_a_network_that_begins_to_overfit_stops_although_its_training_loss_still_falls(run):
    rng = random.Random(0)
    noise = pd.DataFrame([[rng.gauss(0.0, 1.0) for _ in range(4)] for _ in range(100)], columns=list("abct"))
    noise.to_csv("noise.csv", index=False)
    command = ("train", "noise.csv", "--target", "t", "--learning-rate", "0.01", "--alpha", "0")
    _, out, _ = run(*command)
    assert int(re.search(r"(\d+) of 200 epochs", out)[1]) < 60
    stopped = scores(out, "network")[0]
    _, out, _ = run(*command, "--all-epochs", "--overwrite")
    assert scores(out, "network")[0] > stopped + 0.2, "without a validation part it learns the noise"


def test_no_hidden_layer_makes_a_linear_model(run):
    status, _, _ = run(*TRAIN, "--hidden", "--epochs", "2")
    assert status == 0
    assert repr(TableModel.load("iris.model.json").network) == "MLP(4, [3], activations=['linear'])"


def test_ctrl_c_ends_the_training_and_saves_what_was_learned(run, monkeypatch):
    def interrupted(engine, epochs, progress, after_epoch):
        def press_ctrl_c(epoch, loss):
            if epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return after_epoch(epoch, loss)

        engines.run_epochs(engine, epochs, progress, press_ctrl_c)

    monkeypatch.setattr(estimators, "run_epochs", interrupted)
    status, out, _ = run(*TRAIN, "--epochs", "1000")
    assert status == 0
    assert re.search(r"trained:  [23] of 1000 epochs, stopped by Ctrl-C$", out, re.MULTILINE)
    assert TableModel.load("iris.model.json").target.values == ["setosa", "versicolor", "virginica"]


def test_a_file_is_replaced_only_if_the_user_says_so(run):
    assert run(*TRAIN, "--epochs", "1")[0] == 0
    first = Path("iris.model.json").read_bytes()
    status, out, err = run(*TRAIN, "--epochs", "1", "--seed", "1")
    assert (status, out) == (2, "")
    assert "iris.model.json exists: add --overwrite to replace it" in err
    assert Path("iris.model.json").read_bytes() == first
    assert run(*TRAIN, "--epochs", "1", "--seed", "1", "--overwrite")[0] == 0
    assert Path("iris.model.json").read_bytes() != first


def test_a_table_with_much_to_say_does_not_fill_the_terminal(run):
    table = pd.DataFrame({f"x{k}": [None, 2.0, 1.0, 5.0] * 5 for k in range(500)})
    table.assign(t=["a", "b"] * 10).to_csv("table.csv", index=False)
    _, out, _ = run("train", "table.csv", "--target", "t", "--epochs", "1")
    [line] = [line for line in out.splitlines() if line.startswith("missing:")]
    assert line.startswith("missing:  x0 5, x1 5, ")
    assert len(line) < 600
    assert line.endswith(" …")


def test_names_and_values_reach_the_terminal_without_control_characters(run):
    lines = [f"{k},{'uv'[k % 2]}\x1b[31m,{'xy'[k // 2 % 2]}\x1b]0;t\x07" for k in (5, 2, 7, 4, 9, 3, 1, 6)]
    Path("table.csv").write_text("a\x1b[2J,c,t\x07\n" + "\n".join(lines))
    status, out, err = run("train", "table.csv", "--target", "t\x07", "--epochs", "1")
    assert status == 0
    assert "inputs:   a?[2J, c" in out
    for arguments in (
        ("train", "table.csv", "--target", "u\x1b"),
        ("train", "missing\x1b.csv", "--target", "u"),
        ("predict", "table.model.json", IRIS),
        ("graph", "table.model.json", "b\x1b=1"),
    ):
        more_status, more_out, more_err = run(*arguments)
        assert more_status == 2
        out, err = out + more_out, err + more_err
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", out + err.replace("\r", ""))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--target", "u"], "there is no column 'u'; the table has 'x', 't'"),
        (["--regress"], "the target 't' has 'a', not a number"),
        (["--epochs", "0"], "argument --epochs: it must be 1 or more, got 0"),
        (["--epochs", "many"], "argument --epochs: expected a whole number, got 'many'"),
        (["--batch-size", "0"], "argument --batch-size: it must be 1 or more, got 0"),
        (["--learning-rate", "-1"], "argument --learning-rate: it must be 0 or more, got -1.0"),
        (["--learning-rate", "nan"], "argument --learning-rate: it must be 0 or more, got nan"),
        (["--hidden", "0"], "argument --hidden: it must be from 1 to 10000, got 0"),
        (["--hidden", "1000000000"], "argument --hidden: it must be from 1 to 10000, got 1000000000"),
        (["--held-out", "1"], "argument --held-out: it must be above 0 and below 1, got 1.0"),
        (["--activation", "rleu"], "argument --activation: invalid choice: 'rleu'"),
        (["--optimizer", "adm"], "argument --optimizer: invalid choice: 'adm'"),
        (["--out", "missing/m.json"], "missing/m.json: there is no folder"),
        (["--plot", "missing/loss.png"], "missing/loss.png: there is no folder"),
        (["--out", "table.csv"], "table.csv exists: add --overwrite"),
        (["--encoding", "utf-99"], "can't be read: unknown encoding: utf-99"),
        (["--classify", "--regress"], "not allowed with argument --classify"),
    ],
)
def test_a_mistake_in_train_is_told_and_nothing_is_written(run, extra, message):
    content = "x,t\n" + "1,a\n2,b\n" * 5
    Path("table.csv").write_text(content)
    status, _, err = run("train", "table.csv", "--target", "t", *extra)
    assert status == 2
    assert message in err
    assert files() == ["table.csv"]
    assert Path("table.csv").read_text() == content


def test_a_missing_file_is_named(run):
    status, _, err = run("train", "missing.csv", "--target", "t")
    assert (status, err) == (
        2,
        "micrograd-mlp: missing.csv is not a file: give the path of a CSV, Excel or Parquet file\n",
    )


# predict


@pytest.fixture
def model(run):
    assert run(*TRAIN, "--epochs", "50", "--learning-rate", "0.01")[0] == 0
    return TableModel.load("iris.model.json")


def test_predict_adds_a_column_to_the_table(run, model):
    iris = pd.read_csv(IRIS)
    status, out, err = run("predict", "iris.model.json", IRIS, "--out", "predicted.csv")
    assert (status, out, err) == (0, "150 rows: predicted.csv\n", "")
    predicted = pd.read_csv("predicted.csv")
    pd.testing.assert_frame_equal(predicted[iris.columns], iris)
    assert predicted["predicted species"].tolist() == [model.predict(row) for row in iris.to_dict("records")]
    status, out, _ = run("predict", "iris.model.json", IRIS)
    assert (status, out) == (0, Path("predicted.csv").read_text())


def test_predict_reads_what_train_reads_and_tells_what_is_missing(run, model):
    iris = pd.read_csv(IRIS).drop(columns="species")
    iris.loc[7, "petal_width_cm"] = None
    iris.to_csv("iris.tsv", sep="\t", decimal=",", index=False, encoding="utf-16")
    options = ("--decimal", ",", "--encoding", "utf-16")
    status, out, err = run("predict", "iris.model.json", "iris.tsv", *options)
    assert status == 0
    assert len(out.splitlines()) == 151
    counted = "petal_width_cm 1; a missing number counts as the median, missing text as no value"
    assert err == f"micrograd-mlp: missing or unknown: {counted}\n"


def test_a_model_of_version_1_still_predicts(run):
    fixture = Path(__file__).parents[1] / "training" / "fixtures" / "table_model_v1.json"
    names = json.loads(fixture.read_text())["inputs"]
    table = pd.read_csv(IRIS).iloc[:, :4].set_axis(names, axis=1)
    table.to_csv("flowers.csv", index=False)
    status, out, _ = run("predict", str(fixture), "flowers.csv")
    assert status == 0
    model = TableModel.load(fixture)
    predicted = [line.rpartition(",")[2] for line in out.splitlines()]
    assert predicted == [
        f"predicted {model.target.name}",
        *(model.predict(r) for r in table.to_dict("records")),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.json", IRIS], "none.json: No such file or directory"),
        (["net.json", IRIS], "net.json is not a micrograd_mlp table model"),
        (["iris.model.json", "none.csv"], "none.csv is not a file"),
        (["iris.model.json", "other.csv"], "there is no column 'sepal_length_cm'; the table has 'a', 'b'"),
        (["iris.model.json", "empty.csv"], "empty.csv can't be read: it has no rows"),
        (["iris.model.json", IRIS, "--out", "missing/p.csv"], "missing/p.csv: there is no folder"),
    ],
)
def test_a_mistake_in_predict_is_told(run, model, arguments, message):
    micrograd_mlp.MLP(2, [1]).save("net.json")
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("empty.csv").write_text("a,b\n")
    status, _, err = run("predict", *arguments)
    assert status == 2
    assert message in err
