"""Tables from files: what is read, which columns are used and how, and what is refused or remarked."""

import os
import threading
from pathlib import Path

import pytest

pd = pytest.importorskip("pandas", reason='needs pip install "micrograd_mlp[table]"')
from micrograd_mlp import MLP  # noqa: E402
from micrograd_mlp.app.table_files import (  # noqa: E402
    ReadOptions,
    TableError,
    inputs_of,
    read_frame,
    read_table,
)
from micrograd_mlp.app.tables import NumberColumn, Scale, TableModel, TextColumn  # noqa: E402

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
    """Writes a file and reads it as a table with the target t."""

    def table(text, name="table.csv", target="t", **arguments):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(path, target, **arguments)

    return table


def columns(**cells):
    """The text of a CSV file with these columns; t is added unless it is given."""
    n = len(next(iter(cells.values())))
    cells = {"t": [f"{k % 2}.5" for k in range(n)]} | cells
    lines = [",".join(map(str, row)) for row in zip(*cells.values())]
    return "\n".join([",".join(cells), *lines, ""])


# Files


def test_numbers_stay_numbers_and_text_stays_text(table):
    flowers = table(FLOWERS, target="kind")
    assert flowers.inputs.to_dict("list") == FRAME.drop(columns="kind").to_dict("list")
    assert flowers.inputs.dtypes.tolist() == [float, float, object]
    assert (flowers.is_classified, flowers.target.tolist()) == (True, FRAME["kind"].tolist())
    assert (flowers.left_out, flowers.remarks) == ({}, [])


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
        ("indexed.parquet", lambda path: FRAME.set_index(pd.Index([7, 5, 3, 1])).to_parquet(path)),
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
    with pytest.raises(TableError, match=f"{name} can.t be read"):
        read_frame(path)


def test_a_sheet_is_chosen_by_its_name(tmp_path):
    pytest.importorskip("openpyxl", reason='needs pip install "micrograd_mlp[table]"')
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        FRAME.iloc[:2].to_excel(book, sheet_name="first", index=False)
        FRAME.to_excel(book, sheet_name="second", index=False)
    assert len(read_frame(tmp_path / "t.xlsx")) == 2
    assert len(read_frame(tmp_path / "t.xlsx", ReadOptions(sheet="second"))) == 4
    with pytest.raises(TableError, match="third"):
        read_frame(tmp_path / "t.xlsx", ReadOptions(sheet="third"))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes("größe;t\n1,5;é\n2,5;b\n".encode(encoding))
    frame = read_frame(path, ReadOptions(encoding=encoding, decimal=","))
    assert frame.to_dict("list") == {"größe": [1.5, 2.5], "t": ["é", "b"]}
    if encoding != "utf-8":
        with pytest.raises(TableError, match="is not utf-8 text: name its encoding, such as --encoding"):
            read_frame(path)


@pytest.mark.skipif(os.name != "posix", reason="a pipe of this kind is POSIX's")
def test_a_pipe_is_read_as_in_a_shells_process_substitution(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=[FLOWERS])
    writer.start()
    pd.testing.assert_frame_equal(read_frame(tmp_path / "pipe"), FRAME)
    writer.join()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No columns"),
        ("t\n", "0 rows with a target; 4 are the least"),
        (columns(x=[1, 2, 3]), "3 rows with a target; 4 are the least"),
        ("1,2\n3,4\n5,6\n", "its first line holds numbers alone: it must name the columns"),
        ("x,t\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
        ("x,t\n1,2,3\n4,5,6\n7,8,9\n1,2,3\n", "its lines have more cells than its first line has names"),
        (columns(x=[1, 2, 3, 4]).replace("t", "u"), "there is no column 't'; the table has 'u', 'x'"),
        (columns(x=["1,5"] * 4).replace(",1,5", ";1,5").replace("t,x", "t;x"), "x is the same in every row"),
        (
            columns(x=['"1,5"', '"2,5"', '"-1,0"', '"7,25"']),
            "numbers with a decimal comma, such as '1,5'",
        ),
        (columns(x=[0, 1, 2, 3]), "no column to predict 't' from; x is the number of the row"),
        (columns(x=["a", "b", "c", "d"]), "x is text with 4 different values in 4 rows"),
        ("t,x,x \n" + "1.5,1,2\n2.5,2,2\n" * 3, "two columns are named 'x'"),
    ],
)
def test_a_file_without_a_table_to_train_on_is_refused(table, text, message):
    with pytest.raises(TableError, match=message):
        table(text)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_frame(tmp_path / "missing.csv")
    for path in (tmp_path, Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(TableError, match="is not a file"):
            read_frame(path)


def test_100_000_columns_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"x{k}" for k in range(100_000)) + "\n" + ",".join(["1"] * 100_000))
    sizes = []
    read_csv = pd.read_csv
    monkeypatch.setattr(pd, "read_csv", lambda *a, **k: sizes.append(k.get("nrows")) or read_csv(*a, **k))
    with pytest.raises(TableError, match="100,000 columns, more than 10,000"):
        read_frame(path)
    assert sizes == [0], "nothing but the first line"


# Inputs


def test_missing_numbers_are_counted(table):
    cells = table(columns(x=[3, "", 5, 4], y=["NA", 1, 2, "n/a"]))
    assert cells.inputs["x"].isna().tolist() == [False, True, False, False]
    assert cells.remarks == [
        "1 missing numbers of x count as its median",
        "2 missing numbers of y count as its median",
    ]


def test_a_few_words_among_numbers_are_missing_numbers_and_many_make_a_column_text(table):
    cells = table(columns(x=[*range(30, 70), "?", "inf"]))
    assert cells.inputs["x"].isna().sum() == 2
    assert cells.remarks == ["2 missing numbers of x count as its median, such as '?'"]
    cells = table(columns(x=[1, 2, "many", 2, 1, "many"]))
    assert cells.inputs["x"].tolist() == ["1", "2", "many", "2", "1", "many"]


def test_true_and_false_and_text_with_missing_values_are_text(table):
    cells = table(columns(x=["True", "False", "True", "", "True"], y=["a", "", "b", "a", "b"]))
    assert cells.inputs["x"].tolist() == ["True", "False", "True", None, "True"]
    assert cells.inputs["y"].tolist() == ["a", None, "b", "a", "b"]
    assert cells.remarks[1] == "1 missing values of y count as a value of their own"


@pytest.mark.parametrize(
    "dates",
    [
        ["2020-01-31", "2020-02-01", "2020-02-02", "2020-02-03"],
        ["31.12.2020", "1.2.2021", "2.2.2021", "3.2.2021"],
        ["1/31/2020", "2/28/2020", "3/31/2020", "4/30/2020"],
        ["2013-01-01T06:00:00Z", "2013-01-02T06:00:00Z", "2013-01-03T06:00:00Z", "2013-01-04T06:00:00Z"],
        ["Jun 12 1998", "Aug 7 1998", "Aug 28 1998", "Sep 11 1998"],
    ],
)
def test_dates_are_left_out_in_words(table, dates):
    cells = table(columns(when=dates, x=[4, 3, 9, 1]))
    assert cells.left_out == {"when": "a date"}
    assert list(cells.inputs) == ["x"]


@pytest.mark.parametrize(
    "values",
    [["Sat", "Sun"], ["may", "june"], ["1.2.3", "1.2.4"], ["1998", "1999"], ["20200101", "20200201"]],
)
def test_what_only_looks_like_a_date_is_kept(table, values):
    assert list(table(columns(x=values * 3)).inputs) == ["x"]


def test_columns_without_information_are_left_out_in_words(table):
    text = columns(
        row=range(1, 9), same=[7] * 8, empty=[""] * 8, name=[f"Ada {k} B" for k in range(8)], x=[2, 1] * 4
    )
    cells = table(text)
    assert list(cells.inputs) == ["x"]
    assert cells.left_out == {
        "row": "the number of the row",
        "same": "the same in every row",
        "empty": "empty",
        "name": "text with 8 different values in 8 rows",
    }


def test_row_numbers_are_known_although_rows_have_no_target(table):
    cells = table(columns(t=[1.5, "", 2.5, 3.5, 4.5, ""], row=range(6), x=[2, 1, 2, 1, 2, 1]))
    assert cells.left_out == {"row": "the number of the row"}
    assert len(cells.target) == 4
    assert cells.remarks == ["2 rows have no t and are not used"]


# The target


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["a", "b"], ["a", "b"]),
        (["10", "9"], ["10", "9"]),
        (["1.0", "0.0"], ["1", "0"]),
        (["True", "False"], ["True", "False"]),
        (["1.5", "2.5"], None),
        ([str(k) for k in range(11)], None),
        ([str(k) for k in range(10)], [str(k) for k in range(10)]),
    ],
)
def test_text_and_few_integers_are_classified_and_other_numbers_regressed(table, values, classes):
    text = columns(t=values * 3, x=[k * k for k in range(3 * len(values))])
    cells = table(text)
    assert cells.is_classified == (classes is not None)
    assert cells.target.tolist() == (classes or [float(value) for value in values]) * 3


def test_the_user_chooses_between_the_two(table):
    text = columns(t=[3, 4] * 4, x=[k * k for k in range(8)])
    assert table(text, classify=False).target.tolist() == [3.0, 4.0] * 4
    assert table(text.replace("3,", "3.5,"), classify=True).target.tolist() == ["3.5", "4"] * 4


@pytest.mark.parametrize(
    ("values", "classify", "message"),
    [
        (["a"] * 4, None, "the target 't' is 'a' in every row"),
        (["a", "b", "c", "d"], None, "4 different values in 4 rows, too many for classes$"),
        ([1, 2, 3, 4], True, "too many for classes: --regress predicts numbers"),
        (["a", "b", 1, 2], False, "the target 't' has 'a', not a number"),
        (["1e101", "1", "2", "3"], False, "the target 't' has '1e.101', not a number"),
        (["2020-01-01", "2020-01-02"] * 2, None, "the target 't' is a date"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(table, values, classify, message):
    with pytest.raises(TableError, match=message):
        table(columns(t=values, x=[4, 1, 9, 2]), classify=classify)


# A model's inputs


def test_a_file_is_encoded_as_the_model_encodes_a_row():
    model = TableModel(
        MLP(3, [2, 1], seed=0),
        [NumberColumn("age", Scale(30.0, 10.0), 28.0), TextColumn("sex", ("f", "m"))],
        "t",
        None,
        Scale(0.0, 1.0),
    )
    frame = pd.DataFrame({"sex": ["m", None, "x"], "extra": 1, "age": [40.0, None, 20.0]})
    X, remarks = inputs_of(model, frame)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    assert X.tolist() == [model.encode(row) for row in rows]
    assert remarks == [
        "1 missing numbers of age count as its median",
        "1 values of sex have no input of their own",
    ]
    with pytest.raises(TableError, match="there is no column 'age'; the table has 'sex', 'extra'"):
        inputs_of(model, frame.drop(columns="age"))
    with pytest.raises(TableError, match="the model needs numbers in 'age', the file has text"):
        inputs_of(model, frame.assign(age="old"))
