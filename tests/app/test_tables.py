"""A user's own table: what is read, what is refused and where, and what is predicted afterwards."""

import json
import math
import random

import pytest

from micrograd_mlp.app.tables import Scale, TableError, TableModel, parse_table, read_table, train
from micrograd_mlp.files import checksum

FLOWERS = "width,height,name,kind\n1.5,2,Ada,rose\n3,-4e0,Bo,tulip\n\n5,6,Cy,rose\n7,8,Di,tulip\n"


# Reading


def test_numbers_are_inputs_and_text_is_left_out():
    table = parse_table(FLOWERS, "kind")
    assert table.inputs == ["width", "height"]
    assert table.ignored == ["name"]
    assert table.X == [[1.5, 2.0], [3.0, -4.0], [5.0, 6.0], [7.0, 8.0]]
    assert (table.classes, table.y) == (["rose", "tulip"], [0, 1, 0, 1])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_usual_delimiters_and_line_ends(tmp_path, delimiter, newline):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbf" + FLOWERS.replace(",", delimiter).replace("\n", newline).encode())
    assert read_table(path, "kind") == parse_table(FLOWERS, "kind")


def test_quoted_cells_may_hold_delimiters_and_line_ends():
    table = parse_table('x,"the ""kind"", in words"\n1,"a,\nb"\n2,c\n3,c\n4,c\n', 'the "kind", in words')
    assert table.classes == ["a,\nb", "c"]


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["a", "b", "a", "b"], ["a", "b"]),
        (["10", "9", "10", "9"], ["9", "10"]),
        (["1", "x", "1", "x"], ["1", "x"]),
        (["1.0", "2.0", "1.0", "2.0"], None),
        (["1", "2.5", "1", "2"], None),
    ],
)
def test_text_and_whole_numbers_are_classified_and_real_ones_regressed(cells, classes):
    text = "x,t\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    table = parse_table(text, "t")
    assert table.classes == classes
    if classes is None:
        assert table.y == [float(cell) for cell in cells]
    else:
        assert [classes[k] for k in table.y] == cells


def test_the_user_can_choose_between_the_two():
    text = "x,t\n1,3\n2,4\n3,3\n4,4\n"
    assert parse_table(text, "t").classes == ["3", "4"]
    assert parse_table(text, "t", classify=False).y == [3.0, 4.0, 3.0, 4.0]
    assert parse_table("x,t\n1,3.5\n2,4.5\n", "t", classify=True).classes == ["3.5", "4.5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("x,t\n", "needs 2 rows or more below the names, got 0"),
        ("x,t\n1,a\n", "needs 2 rows or more below the names, got 1"),
        ("1,2\n3,4\n5,6\n", "line 1: expected the names of the columns, got numbers alone"),
        ("x,,t\n1,2,a\n2,3,b\n", "line 1: column 2 has no name"),
        ("x,x,t\n1,2,a\n2,3,b\n", "line 1: two columns are named 'x'"),
        ("x,y\n1,2\n3,4\n", "there is no column 't'; line 1 names 'x', 'y'"),
        ("x,t\n1,a\n2,b,c\n", "line 3: 3 cells, but line 1 names 2 columns"),
        ("x,t\n1,a\n\n\n2\n", "line 5: 1 cells"),
        ("x,t\n1,a\noops,b\n", "line 3, column 'x': 'oops' is not a number"),
        ("x,t\n1,a\n,b\n", "line 3, column 'x': the cell is empty"),
        ("x,t\n1,a\nnan,b\n", "line 3, column 'x': 'nan' is not a number"),
        ("x,t\n1,a\n-inf,b\n", "line 3, column 'x': '-inf' is not a number"),
        ("x,t\n1,a\n1e101,b\n", "line 3, column 'x': '1e101' is not a number .from -1e100 to 1e100"),
        ("x,t\n1,a\n1_0,b\n", "line 3, column 'x': '1_0' is not a number"),
        ("x,t\n1,a\n2,\n", "line 3, column 't': the cell is empty, and it is the target"),
        ('x,t\n1,a\n"2,b\n', "line 3: unexpected end of data"),
        ('x,t\n1,"a"b\n2,b\n', "line 2: ',' expected after"),
        ("x,t\nu,a\nv,b\n", "no column besides 't' has numbers"),
        ("t\na\nb\n", "no column besides 't' has numbers"),
        ("x,t\n1,a\n2,a\n", "column 't' is 'a' in every row"),
        ("x,t\n1,2.5\n2,2.5\n", "column 't' is 2.5 in every row"),
        ("x,t\n1,1\n2,2\n3,3\n4,4\n", "column 't' has 4 different values in 4 rows, too many for classes"),
        ("x,t\n1," + "a" * 200_000 + "\n2,b\n", "line 2: field larger than field limit"),
    ],
)
def test_a_bad_file_is_named_by_line_and_column(text, message):
    with pytest.raises(TableError, match=message):
        parse_table(text, "t")


def test_text_where_a_number_was_asked_for_is_refused():
    with pytest.raises(TableError, match="line 3, column 't': 'b' is not a number"):
        parse_table("x,t\n1,1\n2,b\n", "t", classify=False)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "image.csv"
    path.write_bytes(b"x,t\n1,\xff\n")
    with pytest.raises(TableError, match="line 2: byte 0xff is not UTF-8"):
        read_table(path, "t")
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "missing.csv", "t")


# Standardisation


def test_standardised_columns_have_mean_0_and_deviation_1():
    column = [random.Random(0).gauss(50.0, 7.0) for _ in range(100)] + [50.0]
    scale = Scale.of(column)
    z = [scale.apply(x) for x in column]
    assert sum(z) / len(z) == pytest.approx(0.0, abs=1e-12)
    assert sum(x * x for x in z) / len(z) == pytest.approx(1.0)
    assert [scale.undo(x) for x in z] == pytest.approx(column)


def test_a_column_without_variation_and_one_of_huge_numbers_stay_finite():
    assert Scale.of([3.0, 3.0]) == Scale(3.0, 1.0)
    assert all(math.isfinite(Scale.of([1e100, -1e100]).apply(x)) for x in (1e100, -1e100, 0.0))


# Training and predicting


def line_table(n=40):
    rng = random.Random(0)
    lines = ["a,b,t"]
    for _ in range(n):
        a, b = rng.uniform(0.0, 100.0), rng.uniform(-1.0, 1.0)
        lines.append(f"{a},{b},{3.0 * a + 50.0 * b + 1000.0}")
    return parse_table("\n".join(lines), "t")


def kinds_table(n=60):
    rng = random.Random(0)
    rows = [(rng.uniform(-1, 1), rng.uniform(-1, 1)) for _ in range(n)]
    return parse_table("a,b,t\n" + "".join(f"{a},{b},{'in' if a + b > 0 else 'out'}\n" for a, b in rows), "t")


def test_a_regression_is_scored_and_predicts_in_the_targets_unit():
    model, score = train(line_table(), hidden=[4], epochs=80, learning_rate=0.03)
    assert score.name == "R²"
    assert score.held_out > 0.95
    assert score.guess <= 0.0, "the mean explains nothing"
    assert (score.n_train, score.n_held_out, score.epochs) == (30, 10, 80)
    assert model.predict({"a": 50.0, "b": 0.0}) == pytest.approx(1150.0, abs=40.0)


def test_a_classification_is_scored_and_predicts_class_names():
    model, score = train(kinds_table(), hidden=[4], epochs=40, learning_rate=0.03)
    assert score.name == "accuracy"
    assert score.held_out > max(0.85, score.guess)
    assert model.predict({"a": 0.9, "b": 0.9, "unused": 3}) == "in"
    assert model.predict({"a": -0.9, "b": -0.9}) == "out"


def test_nothing_of_the_held_out_rows_is_used_in_training():
    table = line_table()
    model, _ = train(table, epochs=1)
    from micrograd_mlp.training.datasets import train_test_split

    X_train, X_test, _, _ = train_test_split(table.X, table.y, 0.25, 0)
    for i, scale in enumerate(model.scales):
        assert scale == Scale.of([row[i] for row in X_train])
        assert scale != Scale.of([row[i] for row in X_train + X_test])


@pytest.mark.parametrize("table", [line_table(), kinds_table()], ids=["regression", "classification"])
def test_a_model_is_saved_and_loaded_bit_for_bit(tmp_path, table):
    model, _ = train(table, hidden=[3], epochs=2)
    model.save(tmp_path / "model.json")
    loaded = TableModel.load(tmp_path / "model.json")
    rows = [{"a": a, "b": b} for a, b in table.X]
    assert [loaded.predict(row) for row in rows] == [model.predict(row) for row in rows]
    assert loaded.scales == model.scales
    assert loaded.classes == model.classes
    assert loaded.target == "t"


def test_a_row_that_does_not_fit_the_model_is_refused():
    model, _ = train(line_table(), hidden=[2], epochs=1)
    with pytest.raises(ValueError, match="the row has no 'b'; the model takes 'a', 'b'"):
        model.predict({"a": 1.0})
    with pytest.raises(ValueError, match="expected a real number, got '1'"):
        model.predict({"a": "1", "b": 2.0})
    with pytest.raises(ValueError, match="must hold finite numbers"):
        model.predict({"a": math.nan, "b": 2.0})


CHANGES = {
    "an unknown field": lambda d: d.update(extra=1),
    "a missing field": lambda d: d.pop("scales"),
    "another format": lambda d: d.update(format="something else"),
    "a later version": lambda d: d.update(version=3),
    "no list of names": lambda d: d.update(inputs="ab"),
    "too few names": lambda d: d.update(inputs=["a"]),
    "too few scales": lambda d: d.update(scales=d["scales"][:1]),
    "a scale of three": lambda d: d.update(scales=[[1.0, 2.0, 3.0]] * 2),
    "a scale of text": lambda d: d.update(scales=[["1", "2"]] * 2),
    "a deviation of 0": lambda d: d.update(scales=[[1.0, 0.0]] * 2),
    "a mean of nan": lambda d: d.update(scales=[[math.nan, 1.0]] * 2),
    "scales that are a number": lambda d: d.update(scales=3),
    "no name of the target": lambda d: d.update(target=None),
    "another number of classes": lambda d: d.update(classes=["in"]),
    "no classes for two outputs": lambda d: d.update(classes=None),
    "a broken network": lambda d: d["network"].update(version=9),
    "a network that is a number": lambda d: d.update(network=1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_model_file_that_does_not_fit_is_refused(tmp_path, change):
    path = tmp_path / "model.json"
    train(kinds_table(), hidden=[2], epochs=1)[0].save(path)
    content = json.loads(path.read_text())
    change(content)
    if content["network"] != 1:
        content["network"]["checksum"] = checksum(content["network"])
    path.write_text(json.dumps(content | {"checksum": checksum(content)}))
    with pytest.raises(ValueError, match=r"model\.json is not a micrograd_mlp table model"):
        TableModel.load(path)


def test_a_model_file_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "model.json"
    train(kinds_table(), hidden=[2], epochs=1)[0].save(path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 2, 37):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="is not a micrograd_mlp table model"):
            TableModel.load(path)
