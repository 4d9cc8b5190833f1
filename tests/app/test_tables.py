"""The model of a table: what columns encode, what is predicted from a row, and what a file may hold."""

import json
import math

import pytest

from micrograd_mlp import MLP
from micrograd_mlp.app.tables import Column, TableModel
from micrograd_mlp.files import checksum

NAN = math.nan
AGE = Column("age", mean=30.0, deviation=10.0, missing=-0.25)
SEX = Column("sex", ["f", "m"])


def classifier(n_outputs=2):
    return TableModel(MLP(3, [4, n_outputs], seed=0), [AGE, SEX], Column("survived", ["no", "yes"]))


def regressor():
    return TableModel(MLP(3, [4, 1], seed=0), [AGE, SEX], Column("fare", mean=50.0, deviation=20.0))


# Columns


@pytest.mark.parametrize(("cell", "x"), [(40, 1.0), ("20", -1.0), (30.0, 0.0), (None, -0.25), (NAN, -0.25)])
def test_numbers_are_standardised_and_a_missing_one_has_an_input_of_its_own(cell, x):
    assert AGE.encode(cell) == [x]
    assert AGE.inputs == ["age"]


def test_text_is_one_hot_and_unknown_or_missing_text_is_zero():
    cells = ["f", "m", "x", None, NAN]
    assert [SEX.encode(cell) for cell in cells] == [[1.0, 0.0], [0.0, 1.0], *[[0.0, 0.0]] * 3]
    assert SEX.inputs == ["sex=f", "sex=m"]
    odd = Column("odd", ["1", "None", "True", "nan"])
    assert [odd.encode(cell).index(1.0) for cell in (1, True)] == [0, 2]
    assert odd.encode(None) == odd.encode(NAN) == [0.0] * 4


# Predicting


def test_a_row_is_encoded_in_the_order_of_the_columns():
    model = classifier()
    assert model.inputs == ["age", "sex=f", "sex=m"]
    assert model.encode({"sex": "m", "age": 40, "unused": object()}) == [1.0, 0.0, 1.0]
    assert model.encode({"sex": None, "age": None}) == [-0.25, 0.0, 0.0]


def test_a_class_is_predicted_from_one_logit_each_or_from_one_of_two_classes():
    row = {"age": 20, "sex": "f"}
    x = [-1.0, 1.0, 0.0]
    each = classifier()
    logits = [z.data for z in each.network(x)]
    assert each.predict(row) == ["no", "yes"][logits.index(max(logits))]
    one = classifier(n_outputs=1)
    assert one.predict(row) == ["no", "yes"][one.network(x).data > 0]
    assert (one.decode([-0.1]), one.decode([0.1])) == ("no", "yes")


def test_a_regression_predicts_in_the_unit_of_its_target():
    model = regressor()
    assert model.predict({"age": 20, "sex": "f"}) == 50.0 + 20.0 * model.network([-1.0, 1.0, 0.0]).data


def test_a_row_that_does_not_fit_the_model_is_refused():
    with pytest.raises(ValueError, match=r"the row lacks 1 \(sex\) of the columns: age, sex"):
        regressor().predict({"age": 1.0})
    for given in ("old", [1.0], 1e101, math.inf, 10**400):
        with pytest.raises(ValueError, match="age must be a number"):
            regressor().predict({"age": given, "sex": "f"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": [AGE]}, "the columns encode 1 inputs, the network has 3"),
        ({"target": Column("survived")}, "the network has 2 outputs for a number"),
        ({"target": Column("survived", ["no", "yes", "perhaps"])}, "has 2 outputs for .*'perhaps'"),
        ({"target": Column("survived", ["no"]), "network": MLP(3, [1])}, "has 1 outputs for .*'no'"),
    ],
)
def test_a_model_whose_pieces_do_not_fit_is_refused(changes, message):
    pieces = {
        "network": MLP(3, [4, 2], seed=0),
        "columns": [AGE, SEX],
        "target": Column("survived", ["no", "yes"]),
    }
    with pytest.raises(ValueError, match=message):
        TableModel(**pieces | changes)


# Files


@pytest.mark.parametrize("model", [classifier(), classifier(1), regressor()], ids=["two", "one", "number"])
def test_a_model_is_saved_and_loaded_bit_for_bit(tmp_path, model):
    model.save(tmp_path / "model.json")
    loaded = TableModel.load(tmp_path / "model.json")
    assert (loaded.columns, loaded.target) == (model.columns, model.target)
    rows = [{"age": age, "sex": sex} for age in (None, 1.5, 80) for sex in ("f", "m", "x", None)]
    assert [loaded.predict(row) for row in rows] == [model.predict(row) for row in rows]


def version_1(**changes):
    document = {
        "format": "micrograd_mlp table model",
        "version": 1,
        "network": MLP(2, [2, 2], seed=0).to_dict(),
        "inputs": ["a", "b"],
        "scales": [[2.0, 4.0], [0.0, 0.5]],
        "target": "t",
        "classes": ["no", "yes"],
        "target_scale": None,
    }
    return document | changes


def test_a_model_of_version_1_has_columns_of_numbers(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(version_1()))
    model = TableModel.load(path)
    assert model.inputs == ["a", "b"]
    assert model.encode({"a": 4, "b": 1}) == [0.5, 2.0]
    assert model.encode({"a": None, "b": 1}) == [0.0, 2.0], "a missing number counts as the mean"
    assert model.target == Column("t", ["no", "yes"])
    path.write_text(
        json.dumps(version_1(network=MLP(2, [1]).to_dict(), classes=None, target_scale=[3.0, 2.0]))
    )
    assert TableModel.load(path).target == Column("t", None, 3.0, 2.0)
    path.write_text(json.dumps(version_1(scales=[[2.0, 4.0]])))
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        TableModel.load(path)


CHANGES = {
    "an unknown field": lambda d: d.update(extra=1),
    "a missing field": lambda d: d.pop("columns"),
    "another format": lambda d: d.update(format="something else"),
    "a later version": lambda d: d.update(version=99),
    "no list of columns": lambda d: d.update(columns="ab"),
    "too few columns": lambda d: d.update(columns=d["columns"][:1]),
    "a column of nothing": lambda d: d["columns"].append({}),
    "a column without a name": lambda d: d["columns"][0].update(name=None),
    "a column with an unknown field": lambda d: d["columns"][0].update(kind="number"),
    "a mean of text": lambda d: d["columns"][0].update(mean="1"),
    "a mean of nan": lambda d: d["columns"][0].update(mean=math.nan),
    "a missing number of nan": lambda d: d["columns"][0].update(missing=math.nan),
    "a deviation of 0": lambda d: d["columns"][0].update(deviation=0.0),
    "values that are a number": lambda d: d["columns"][1].update(values=2),
    "a value that is a number": lambda d: d["columns"][1].update(values=["f", 1]),
    "a value twice": lambda d: d["columns"][1].update(values=["f", "f"]),
    "no name of the target": lambda d: d["target"].update(name=None),
    "another number of classes": lambda d: d["target"].update(values=["in"]),
    "no classes for two outputs": lambda d: d["target"].update(values=None),
    "a target that is text": lambda d: d.update(target="survived"),
    "a broken network": lambda d: d["network"].update(version=99),
    "a network that is a number": lambda d: d.update(network=1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_model_file_that_does_not_fit_is_refused(tmp_path, change):
    path = tmp_path / "model.json"
    classifier().save(path)
    content = json.loads(path.read_text())
    change(content)
    content["checksum"] = checksum(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"model\.json is not a micrograd_mlp table model"):
        TableModel.load(path)


def test_a_model_file_that_was_edited_or_cut_short_is_refused(tmp_path):
    path = tmp_path / "model.json"
    classifier().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"age"', b'"agf"'))
    with pytest.raises(ValueError, match="damaged or edited"):
        TableModel.load(path)
    for size in range(0, len(whole) - 2, 37):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="is not a micrograd_mlp table model"):
            TableModel.load(path)
