"""Tables: what is read, which columns are used and how, what is held out, and the scores beside the peers."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason='needs pip install "micrograd_mlp[table]"')
pytest.importorskip("sklearn", reason='needs pip install "micrograd_mlp[table]"')
from micrograd_mlp import MLP  # noqa: E402
from micrograd_mlp.app import table_training  # noqa: E402
from micrograd_mlp.app.table_training import encode, inputs_of, prepare, read_frame  # noqa: E402
from micrograd_mlp.app.tables import Column, TableModel  # noqa: E402

FLOWERS = "width,height,colour,kind\n1.5,2,red,rose\n3,-4,blue,tulip\n5,6,red,rose\n7,8,blue,tulip\n"
FRAME = pd.DataFrame(
    {
        "width": [1.5, 3.0, 5.0, 7.0],
        "height": [2, -4, 6, 8],
        "colour": ["red", "blue", "red", "blue"],
        "kind": ["rose", "tulip", "rose", "tulip"],
    }
)


@pytest.fixture
def table(tmp_path):
    """Writes a file and prepares it for a training with the target t."""

    def table(text, target="t", classify=None):
        (tmp_path / "table.csv").write_text(text)
        return prepare(read_frame(tmp_path / "table.csv"), target, classify)

    return table


def columns(**cells):
    """The text of a CSV file with these columns; t is added unless it is given."""
    n = len(next(iter(cells.values())))
    cells = {"t": [f"{k % 2}.5" for k in range(n)]} | cells
    lines = [",".join(map(str, row)) for row in zip(*cells.values())]
    return "\n".join([",".join(cells), *lines, ""])


# Files


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_usual_delimiters_and_line_ends(tmp_path, delimiter, newline):
    path = tmp_path / "table.txt"
    path.write_bytes(b"\xef\xbb\xbf" + FLOWERS.replace(",", delimiter).replace("\n", newline).encode())
    pd.testing.assert_frame_equal(read_frame(path), FRAME)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv.gz", lambda path: FRAME.to_csv(path, index=False)),
        ("t.tsv", lambda path: FRAME.to_csv(path, sep="\t", index=False)),
        ("t.xlsx", lambda path: FRAME.to_excel(path, index=False)),
        ("t.parquet", lambda path: FRAME.to_parquet(path)),
    ],
)
def test_what_pandas_reads(tmp_path, name, write):
    pytest.importorskip("openpyxl", reason='needs pip install "micrograd_mlp[table]"')
    pytest.importorskip("pyarrow", reason='needs pip install "micrograd_mlp[table]"')
    write(tmp_path / name)
    pd.testing.assert_frame_equal(read_frame(tmp_path / name), FRAME)


@pytest.mark.parametrize("name", ["t.xlsx", "t.parquet", "t.csv.zip", "t.csv.gz", "t.csv.xz"])
@pytest.mark.parametrize("is_cut", [True, False], ids=["cut short", "of another kind"])
def test_a_damaged_file_is_refused(tmp_path, name, is_cut):
    pytest.importorskip("openpyxl", reason='needs pip install "micrograd_mlp[table]"')
    pytest.importorskip("pyarrow", reason='needs pip install "micrograd_mlp[table]"')
    path = tmp_path / name
    {".xlsx": FRAME.to_excel, ".parquet": FRAME.to_parquet}.get(path.suffix, FRAME.to_csv)(path, index=False)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if is_cut else b"a,b\n1,2\n")
    with pytest.raises(ValueError, match=f"{name} can.t be read"):
        read_frame(path)


def test_a_sheet_is_chosen_by_its_name(tmp_path):
    pytest.importorskip("openpyxl", reason='needs pip install "micrograd_mlp[table]"')
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        FRAME.iloc[:2].to_excel(book, sheet_name="first", index=False)
        FRAME.to_excel(book, sheet_name="second", index=False)
    assert len(read_frame(tmp_path / "t.xlsx")) == 2
    assert len(read_frame(tmp_path / "t.xlsx", sheet="second")) == 4
    with pytest.raises(ValueError, match="third"):
        read_frame(tmp_path / "t.xlsx", sheet="third")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8"])
def test_encodings_and_the_decimal_comma(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes("größe;t\n1,5;é\n2,5;b\n".encode(encoding))
    frame = read_frame(path, encoding=encoding, decimal=",")
    assert frame.to_dict("list") == {"größe": [1.5, 2.5], "t": ["é", "b"]}
    if encoding != "utf-8":
        with pytest.raises(ValueError, match=r"utf-8.*: name its encoding, such as --encoding"):
            read_frame(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No columns"),
        ("t\n", "it has no rows"),
        (columns(x=[1, 2, 3]), "3 rows with a target: 4 are needed"),
        ("x,t\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
        ("x,t\n1,2,3\n4,5,6\n7,8,9\n1,2,3\n", "its lines have more cells than its first line has names"),
        (columns(x=[1, 2, 3, 4]).replace("t", "u"), "there is no column 't'; the table has 'u', 'x'"),
        (columns(x=["a", "b", "c", "d"]), "'x': 'text with 4 different values in 4 rows'"),
        (columns(x=["a"] * 4), "no column to predict 't' from: {'x': 'the same in every row'}"),
    ],
)
def test_a_file_without_a_table_to_train_on_is_refused(table, text, message):
    with pytest.raises(ValueError, match=message):
        table(text)


def test_a_table_of_too_many_columns_is_refused_before_they_are_looked_at(monkeypatch):
    wide = pd.DataFrame(np.zeros((4, 100_000))).rename(columns=str)
    monkeypatch.setattr(
        "micrograd_mlp.app.table_training._input", lambda cells: pytest.fail("it was looked at")
    )
    message = (
        "the table has 100,000 columns, more than 10,000: leave out those that can't help to predict '7'"
    )
    with pytest.raises(ValueError, match=message):
        prepare(wide, "7")


def test_what_is_no_file_is_refused_at_once(tmp_path):
    for path in (tmp_path / "missing.csv", tmp_path, Path(os.devnull)):
        with pytest.raises(FileNotFoundError, match="is not a file"):
            read_frame(path)


# Inputs


def test_numbers_stay_numbers_and_text_stays_text(table):
    inputs, kind, left_out = table(FLOWERS, target="kind")
    assert inputs.to_dict("list") == FRAME.drop(columns="kind").to_dict("list")
    assert inputs.dtypes.tolist() == [float, float, object]
    assert (kind.tolist(), left_out) == (FRAME["kind"].tolist(), {})


def test_a_few_words_among_numbers_are_missing_numbers_and_many_make_a_column_text(table):
    inputs, _, _ = table(columns(x=[*range(30, 70), "?", "inf", "NA"]))
    assert inputs["x"].isna().sum() == 3
    inputs, _, _ = table(columns(x=[1, 2, "many", 2, 1, "many"]))
    assert inputs["x"].tolist() == ["1", "2", "many", "2", "1", "many"]


def test_true_and_false_and_text_with_missing_values_are_text(table):
    x, all_there = ["True", "False", "True", "", "True"], ["True", "False", "True", "True", "True"]
    inputs, _, _ = table(columns(x=x, y=["a", "", "b", "a", "b"], z=all_there))
    assert inputs["z"].tolist() == all_there
    assert inputs["x"].fillna("missing").tolist() == ["True", "False", "True", "missing", "True"]
    assert inputs["y"].fillna("missing").tolist() == ["a", "missing", "b", "a", "b"]


@pytest.mark.parametrize(
    "dates",
    [
        ["2020-01-31", "2020-02-01", "2020-02-02", "2020-02-03"],
        ["31.12.2020", "1.2.2021", "2.2.2021", "3.2.2021"],
        ["1/31/2020", "2/28/2020", "3/31/2020", "4/30/2020"],
        ["2013-01-01T06:00:00Z", "2013-01-02T06:00:00Z", "2013-01-03T06:00:00Z", "2013-01-04T06:00:00Z"],
        ["Jun 12 1998", "Aug 7 1998", "Aug 28 1998", "Sep 11 1998"],
        pd.to_datetime(["2020-01-31", "2020-02-01", "2020-02-02", "2020-02-03"]),
    ],
)
def test_dates_are_left_out_in_words(dates):
    frame = pd.DataFrame({"when": dates, "x": [4, 3, 9, 1], "t": [1.5, 2.5, 3.5, 4.5]})
    assert prepare(frame, "t")[2] == {"when": "a date"}


@pytest.mark.parametrize(
    "values",
    [["Sat", "Sun"], ["may", "june"], ["1.2.3", "1.2.4"], ["1998", "1999"], ["20200101", "20200201"]],
)
def test_what_only_looks_like_a_date_is_kept(table, values):
    inputs, _, _ = table(columns(x=values * 3))
    assert list(inputs) == ["x"]


def test_columns_without_information_are_left_out_in_words(table):
    text = columns(same=[7] * 8, empty=[""] * 8, name=[f"Ada {k} B" for k in range(8)], x=[2, 1] * 4)
    inputs, _, left_out = table(text)
    assert list(inputs) == ["x"]
    assert left_out == {
        "same": "the same in every row",
        "empty": "empty",
        "name": "text with 8 different values in 8 rows",
    }


def test_rows_without_a_target_are_left_out(table):
    inputs, y, _ = table(columns(t=[1.5, "", 2.5, 3.5, 4.5, ""], x=[1, 2, 3, 4, 5, 6]))
    assert inputs["x"].tolist() == [1.0, 3.0, 4.0, 5.0]
    assert y.tolist() == [1.5, 2.5, 3.5, 4.5]


# The target


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["a", "b"], ["a", "b"]),
        (["10", "9"], ["10", "9"]),
        (["1.0", "0.0"], ["1", "0"]),
        (["True", "False"], ["True", "False"]),
        (["1.5", "2.5"], None),
        ([str(k) for k in range(214)], None),
        ([str(k) for k in range(11)], None),
        ([str(k) for k in range(10)], [str(k) for k in range(10)]),
    ],
)
def test_text_and_few_whole_numbers_are_classified_and_other_numbers_regressed(table, values, classes):
    _, y, _ = table(columns(t=values * 3, x=[k * k for k in range(3 * len(values))]))
    assert y.tolist() == (classes or [float(value) for value in values]) * 3


def test_the_user_chooses_between_the_two(table):
    text = columns(t=[3, 4] * 4, x=[k * k for k in range(8)])
    assert table(text, classify=False)[1].tolist() == [3.0, 4.0] * 4
    assert table(text.replace("3,", "3.5,"), classify=True)[1].tolist() == ["3.5", "4.0"] * 4


@pytest.mark.parametrize(
    ("values", "classify", "message"),
    [
        (["a", "b", "c", "d"], None, "4 different values in 4 rows, too many for classes"),
        ([1, 2, 3, 4], True, "too many for classes: --regress predicts numbers"),
        (["a", "b", 1, 2], False, "the target 't' has 'a', not a number"),
        (["1e101", "1", "2", "3"], False, "the target 't' has '1e.101', not a number"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(table, values, classify, message):
    with pytest.raises(ValueError, match=message):
        table(columns(t=values, x=[4, 1, 9, 2]), classify=classify)


# A model's inputs


def test_a_file_is_encoded_as_the_model_encodes_a_row():
    model = TableModel(
        MLP(3, [2, 1], seed=0), [Column("age", None, 30.0, 10.0), Column("sex", ["f", "m"])], Column("t")
    )
    frame = pd.DataFrame({"sex": ["m", None, "x"], "extra": 1, "age": [40.0, None, 20.0]})
    inputs = inputs_of(model, frame)
    assert inputs.isna().to_dict("list") == {"age": [False, True, False], "sex": [False, True, True]}
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    assert encode(model.columns, inputs).tolist() == [model.encode(row) for row in rows]
    with pytest.raises(ValueError, match="there is no column 'age'; the table has 'sex', 'extra'"):
        inputs_of(model, frame.drop(columns="age"))


# Training

RNG = np.random.default_rng(0)
INPUTS = pd.DataFrame(
    {"a": RNG.normal(50.0, 10.0, 200), "b": RNG.normal(size=200), "c": RNG.choice(["u", "v"], 200)}
).astype({"c": object})
SIGN = pd.Series(np.where((INPUTS["a"] - 50.0) * INPUTS["b"] > 0, "same", "other"), name="t")
SLOPE = pd.Series(1000.0 + 3.0 * INPUTS["a"] + 40.0 * (INPUTS["c"] == "u"), name="t")
OPTIONS = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.03, "batch_size": 32, "random_state": 0}


def train(inputs, target, held_out=0.25, **options):
    return table_training.train(inputs, target, held_out, **OPTIONS | options)


def test_a_classification_is_scored_beside_a_linear_model_and_a_constant():
    _, _, scores = train(INPUTS, SIGN)
    assert list(scores.index) == ["network", "linear model", "constant"]
    assert list(scores) == ["150 trained on", "50 held out"]
    held_out = scores["50 held out"]
    assert held_out["network"] > 0.85 > 0.65 > held_out["linear model"], "no line separates these signs"
    assert scores["150 trained on"]["constant"] == pytest.approx(0.5, abs=0.05)


def test_a_regression_is_scored_in_the_unit_of_its_target():
    model, _, scores = train(INPUTS, SLOPE)
    held_out = scores["50 held out"]
    assert held_out["network"] > 0.95
    assert held_out["linear model"] > 0.999, "the target is a linear function"
    assert scores["150 trained on"]["constant"] == pytest.approx(0.0, abs=1e-12)
    row = {"a": 50.0, "b": 0.0, "c": "u"}
    assert model.predict(row) == pytest.approx(1190.0, abs=10.0)
    assert model.predict(row | {"c": "v"}) == pytest.approx(1150.0, abs=10.0)


@pytest.mark.parametrize("target", [SIGN, SLOPE])
def test_the_model_predicts_what_the_estimator_was_scored_on(target):
    model, network, _ = train(INPUTS, target, max_iter=5)
    predicted = [model.predict(row) for row in INPUTS.to_dict("records")]
    of_estimator = network.predict(encode(model.columns, INPUTS)).tolist()
    assert predicted == (of_estimator if target is SIGN else pytest.approx(of_estimator, rel=1e-9))


def test_nothing_is_learned_from_the_rows_that_are_held_out(monkeypatch):
    splits = []
    split = table_training._split
    monkeypatch.setattr(table_training, "_split", lambda *given: splits.append(split(*given)) or splits[-1])
    first, _, _ = train(INPUTS, SLOPE, max_iter=3)
    held_out = splits[0][1]
    assert len(held_out) == 50
    changed = INPUTS.copy()
    changed.iloc[held_out, 0] = 1e6
    changed.iloc[held_out, 2] = "w"
    second, _, _ = train(changed, SLOPE, max_iter=3)
    assert second.columns == first.columns
    assert second.network.state_dict() == first.network.state_dict()


def test_the_same_seed_gives_the_same_bits():
    first, second, other = (
        train(INPUTS, SIGN, max_iter=3, random_state=seed)[0].network.state_dict() for seed in (0, 0, 1)
    )
    assert first == second
    assert first != other


def test_a_column_is_learned_from_the_cells_that_it_has():
    learn = table_training._learn
    column = learn(pd.Series([1.0, np.nan, 3.0, 8.0], name="x"))
    assert (column.mean, column.deviation) == (3.75, pytest.approx(np.std([1.0, 3.0, 3.0, 8.0])))
    assert column.encode(None) == column.encode(3.0), "a missing number counts as the median"
    assert learn(pd.Series([0.1] * 3, name="x")).deviation == 1.0, "the same number in every row of a part"
    assert learn(pd.Series([np.nan, np.nan], name="x")) == Column("x", None, 0.0, 1.0)
    frequent_first = [f"v{k:02}" for k in range(40) for _ in range(40 - k)]
    assert learn(pd.Series([None, *frequent_first], name="c", dtype=object)) == Column(
        "c", [f"v{k:02}" for k in range(30)]
    )
    cells = np.random.default_rng(0).integers(0, 50, 400).astype(str).tolist()
    first_of_equals = [value for value, _ in Counter(cells).most_common(30)]
    assert learn(pd.Series(cells, name="c", dtype=object)).values == sorted(first_of_equals)


@pytest.mark.parametrize(("held_out", "expected"), [(0.01, 2), (0.5, 3), (0.99, 4)])
def test_two_rows_at_least_train_and_two_measure(held_out, expected):
    _, _, scores = train(INPUTS[:6], SLOPE[:6], held_out, max_iter=1)
    assert list(scores) == [f"{6 - expected} trained on", f"{expected} held out"]


def test_classes_of_one_row_do_not_stop_the_training():
    rare = SIGN.copy()
    rare.iloc[0] = "rare"
    assert list(train(INPUTS, rare, max_iter=3)[2]) == ["150 trained on", "50 held out"]
    with pytest.raises(ValueError, match="needs two classes or more"):
        train(INPUTS[:4], pd.Series(["a", "a", "a", "b"], name="t"), 0.5, random_state=2)
