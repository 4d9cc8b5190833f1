"""The model of a table: what columns encode, what is predicted from a row, and what a file may hold."""

import json
import math
import random

import pytest

from micrograd_mlp import MLP
from micrograd_mlp.app.tables import NumberColumn, Scale, TableModel, TextColumn
from micrograd_mlp.files import checksum

NAN = math.nan
AGE = NumberColumn("age", Scale(30.0, 10.0), 28.0)
SEX = TextColumn("sex", ("f", "m"))


def classifier(n_outputs=2):
    return TableModel(MLP(3, [4, n_outputs], seed=0), [AGE, SEX], "survived", ["no", "yes"], None)


def regressor():
    return TableModel(MLP(3, [4, 1], seed=0), [AGE, SEX], "fare", None, Scale(50.0, 20.0))


# Columns


def test_standardised_numbers_have_mean_0_and_deviation_1():
    column = [random.Random(0).gauss(50.0, 7.0) for _ in range(100)] + [50.0]
    scale = Scale.of(column)
    z = [scale.apply(x) for x in column]
    assert sum(z) / len(z) == pytest.approx(0.0, abs=1e-12)
    assert sum(x * x for x in z) / len(z) == pytest.approx(1.0)
    assert [scale.undo(x) for x in z] == pytest.approx(column)


def test_numbers_without_variation_and_huge_numbers_stay_finite():
    assert Scale.of([3.0, 3.0]) == Scale(3.0, 1.0)
    assert all(math.isfinite(Scale.of([1e100, -1e100]).apply(x)) for x in (1e100, -1e100, 0.0))


@pytest.mark.parametrize(
    ("cells", "median"), [([1.0, 2.0, 9.0], 2.0), ([9.0, 1.0, 2.0, NAN, 4.0], 3.0), ([NAN, NAN], 0.0)]
)
def test_a_missing_number_counts_as_the_median(cells, median):
    column = NumberColumn.of("x", cells)
    assert column.missing == median
    assert column.scale == Scale.of([median if math.isnan(x) else x for x in cells])
    assert column.encode([NAN]) == [[column.scale.apply(median)]]


def test_text_is_one_hot_and_unknown_or_missing_text_is_zero():
    column = TextColumn.of("day", ["Sun", "Mon", "Sun", None, "Tue"], largest=2)
    assert column == TextColumn("day", ("Mon", "Sun"))
    assert column.inputs == ["day=Mon", "day=Sun"]
    assert column.encode(["Sun", "Tue", None, "Mon"]) == [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("given", "cell"), [("a", "a"), (True, "True"), (1.0, "1"), (1.5, "1.5"), (None, None), (NAN, None)]
)
def test_a_cell_of_text_is_the_same_from_every_file(given, cell):
    assert TextColumn("x", ("a",)).cell(given) == cell


# Predicting


def test_a_row_is_encoded_in_the_order_of_the_columns():
    model = classifier()
    assert model.inputs == ["age", "sex=f", "sex=m"]
    assert model.encode({"sex": "m", "age": 40, "unused": object()}) == [1.0, 0.0, 1.0]
    assert model.encode({"sex": None, "age": None}) == [pytest.approx(-0.2), 0.0, 0.0]
    leaves = model.leaves({"sex": "m", "age": "40"})
    assert {name: leaf.data for name, leaf in leaves.items()} == {"age": 1.0, "sex=f": 0.0, "sex=m": 1.0}


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
    with pytest.raises(ValueError, match="the row has no 'sex'; the model takes 'age', 'sex'"):
        regressor().predict({"age": 1.0})
    for given in ("old", [1.0], 1e101, math.inf):
        with pytest.raises(ValueError, match="age must be a number"):
            regressor().predict({"age": given, "sex": "f"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": [AGE]}, "the columns encode 1 inputs, the network has 3"),
        ({"classes": None}, "a regression has one output"),
        ({"classes": ["no", "yes", "perhaps"]}, "3 classes for a network with 2 outputs"),
        ({"classes": ["no"]}, "two classes or more"),
        ({"target_scale": Scale(0.0, 1.0)}, "no scale of its target"),
    ],
)
def test_a_model_whose_pieces_do_not_fit_is_refused(changes, message):
    pieces = {"columns": [AGE, SEX], "target": "survived", "classes": ["no", "yes"], "target_scale": None}
    with pytest.raises(ValueError, match=message):
        TableModel(MLP(3, [4, 2], seed=0), **pieces | changes)


# Files


@pytest.mark.parametrize("model", [classifier(), classifier(1), regressor()], ids=["two", "one", "number"])
def test_a_model_is_saved_and_loaded_bit_for_bit(tmp_path, model):
    model.save(tmp_path / "model.json")
    loaded = TableModel.load(tmp_path / "model.json")
    assert loaded.columns == model.columns
    assert (loaded.target, loaded.classes, loaded.target_scale) == (
        model.target,
        model.classes,
        model.target_scale,
    )
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
    path.write_text(json.dumps(version_1(scales=[[2.0, 4.0]])))
    with pytest.raises(ValueError, match="1 scales for 2 inputs"):
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
    "a deviation of 0": lambda d: d["columns"][0].update(deviation=0.0),
    "a missing number of nan": lambda d: d["columns"][0].update(missing=math.nan),
    "values that are a number": lambda d: d["columns"][1].update(values=2),
    "a value that is a number": lambda d: d["columns"][1].update(values=["f", 1]),
    "a value twice": lambda d: d["columns"][1].update(values=["f", "f"]),
    "no name of the target": lambda d: d.update(target=None),
    "another number of classes": lambda d: d.update(classes=["in"]),
    "no classes for two outputs": lambda d: d.update(classes=None),
    "a scale of three": lambda d: d.update(classes=None, target_scale=[1.0, 2.0, 3.0]),
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
