"""What is fuzzed: for each reader of foreign text the inputs, a call, and the one error that it may raise."""

import contextlib
import importlib.util
import json
import math
import random
import string
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from micrograd_mlp import MLP, Value, ops
from micrograd_mlp.app.formulas import ExpressionError, parse, parse_assignment
from micrograd_mlp.app.tables import Column, TableModel
from micrograd_mlp.files import checksum

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk would take most of the time
FOLDER = Path(tempfile.mkdtemp(prefix="micrograd_mlp_fuzz_", dir=MEMORY))


@dataclass(frozen=True)
class Target:
    """`read(prepare(content))` returns nothing, or raises `error` with a message that says what is wrong.

    `inputs` is what Hypothesis draws; `seeds` and `words` are what atheris starts from and mutates.
    """

    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], None]
    error: type[Exception]
    prepare: Callable[[Any], Any] = lambda content: content
    from_bytes: Callable[[bytes], Any] = lambda data: data
    seeds: Sequence[bytes] = ()
    words: Sequence[bytes] = ()


# Formulas

TOKENS = [
    *ops.TABLE,
    *"xyzabc()[]{},.:;=@%&|^~!<>'\"\\#?$`_ \t\n\r\0+-*/012é²ﬁ\u2028\udc80\U0001f600",
    *"** // 2.5 1e9 1e999 0x1f 1j 1_0 lambda if else for in not and is None True await yield".split(),
    *"f'{x}' b'' ... := -> **x *x x=1 __import__('os') x.__class__ x[0]".split(),
    *("9" * 400, "(" * 300, "-" * 2000, "x+" * 3000, "~" * 500),
]

formulas = st.one_of(
    st.lists(st.sampled_from(TOKENS), max_size=30).map("".join),
    st.lists(st.sampled_from(TOKENS), max_size=15).map(" ".join),
    st.recursive(
        st.sampled_from(["x", "y", "z", "1", "2.5", "1e400"]),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**", "^", "//"]), inner).map(" ".join),
            inner.map(lambda a: f"({a})"),
            inner.map(lambda a: f"-{a}"),
            st.tuples(st.sampled_from(sorted(ops.TABLE)), st.lists(inner, max_size=4)).map(
                lambda call: f"{call[0]}({', '.join(call[1])})"
            ),
        ),
        max_leaves=20,
    ),
    st.text(max_size=60),
)


def read_formula(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        parse_assignment(text)
    expression = parse(text)
    result = expression({name: Value(0.5, name) for name in expression.names})
    assert isinstance(result, Value)


# Tables

CELLS = [
    *'1 2.5 -3 1e5 a b nan inf 1e999 1_0 0x1 x t " "" \' ; é \0 \ufeff'.split(" "),
    *("", " ", '"a,b"', '"a\nb"', "\x85", "\u2028", "\r", "\t", "1" * 400),
]

rows = st.lists(st.sampled_from(CELLS), min_size=1, max_size=4)
tables = st.one_of(
    st.tuples(
        st.sampled_from(["x,t", "x,y,t", "t", "t,x,name", "x;t", "x\tt", '"x","t"', "t,t", "1,2"]),
        st.lists(rows, max_size=8),
        st.sampled_from([",", ";", "\t"]),
        st.sampled_from(["\n", "\r\n", "\r"]),
    ).map(lambda t: t[3].join([t[0], *(t[2].join(row) for row in t[1])]).encode()),
    st.lists(st.tuples(st.integers(-5, 5), st.sampled_from("abc")), min_size=2, max_size=8).map(
        lambda lines: ("x,t\n" + "".join(f"{x},{t}\n" for x, t in lines)).encode()
    ),
    st.text(alphabet=string.digits + 'xt,;\t\n\r" .-e\0é', max_size=80).map(
        lambda text: ("x,t\n" + text).encode()
    ),
    st.binary(max_size=80),
    st.binary(max_size=40).map(lambda data: b"x,t\n1,a\n2,b\n" + data),
)


def read_a_table(path: Path) -> None:
    from micrograd_mlp.app.table_training import prepare, read_frame  # here, since it needs pandas

    frame = read_frame(path)
    for classify in (True, False):
        with contextlib.suppress(ValueError):
            prepare(frame, "t", classify)
    inputs, y, _ = prepare(frame, "t")
    assert len(inputs) == len(y) >= 4
    assert len(inputs.columns) >= 1
    assert y.notna().all()


def as_file(content: bytes) -> Path:
    path = FOLDER / "input"
    path.write_bytes(content)
    return path


# Models

MODEL = MLP(2, [2, 1], seed=0).to_dict()


def _table_model() -> dict[str, Any]:
    columns = [Column("x", None, 1.0, 2.0), Column("c", ["u", "v"])]
    TableModel(MLP(3, [2, 2], seed=0), columns, Column("t", ["a", "b"])).save(FOLDER / "model")
    content: dict[str, Any] = json.loads((FOLDER / "model").read_text())
    return content


TABLE_MODEL = _table_model()

SCALARS = [
    *(None, True, False, 0, 1, 2, -1, 3.5, 1e308, 5e-324, math.nan, math.inf, 10**9, 10**400, -(10**30)),
    *("", "relu", "tanh", "linear", "W1[1,1]", "x" * 50),
]
SPLINTERS = [b"", b"[" * 2000, b"9" * 5000, b"NaN", b"-", b'"', b"{}", b"\xff", b"\0", b"1e999", b",", b"\\u"]


def value(rng: random.Random, depth: int = 2) -> Any:
    """Something that JSON can hold."""
    kind = rng.random()
    if depth == 0 or kind < 0.7:
        return rng.choice(SCALARS)
    if kind < 0.85:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {
        rng.choice(["version", "model", "a", "W1[1,1]"]): value(rng, depth - 1)
        for _ in range(rng.randrange(3))
    }


def changed(original: dict[str, Any], seed: int) -> bytes:
    """A model's file, changed at a few places of its content, and sometimes of its bytes."""
    rng = random.Random(seed)
    if rng.random() < 0.1:
        return json.dumps(value(rng)).encode()
    content: Any = json.loads(json.dumps(original))
    for _ in range(rng.randrange(3)):
        place = content
        while True:
            key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not place[key] or not isinstance(place[key], dict | list) or rng.random() < 0.3:
                break
            place = place[key]
        if rng.random() < 0.8:
            place[key] = value(rng)
        else:
            del place[key]
        if not content:
            break
    for document in (content.get("network"), content):
        if isinstance(document, dict) and "checksum" in document and rng.random() < 0.9:
            document["checksum"] = checksum(document)  # else nothing behind the checksum is ever reached
    data = bytearray(json.dumps(content).encode())
    if rng.random() < 0.3:
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.randrange(6)] = rng.choice([rng.choice(SPLINTERS), rng.randbytes(2)])
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)


def changes_of(original: dict[str, Any]) -> st.SearchStrategy[bytes]:
    seeds = st.integers(
        0, 2**64
    )  # one draw for each input: a hundred thousand of them take minutes, not hours
    return st.one_of(st.binary(max_size=60), *[seeds.map(lambda seed: changed(original, seed))] * 9)


def read_a_model(path: Path) -> None:
    model = MLP.load(path)
    output = model([0.5] * model.n_inputs)
    assert isinstance(output, list | Value)


def read_a_table_model(path: Path) -> None:
    model = TableModel.load(path)
    prediction = model.predict({column.name: 0.5 for column in model.columns})
    assert isinstance(prediction, float | str)


def words_of(texts: Iterable[str]) -> list[bytes]:
    return [text.encode("utf-8", "surrogatepass") for text in texts if 0 < len(text) < 30]


NAMES = [
    "micrograd_mlp model",
    "version",
    "null",
    "NaN",
    "Infinity",
    "1e999",
    "-0",
    "relu",
    "tanh",
    "[]",
    "{}",
    "\\ud800",
]

TARGETS = {
    "expressions": Target(
        formulas,
        read_formula,
        ExpressionError,
        from_bytes=lambda data: data.decode("utf-8", "surrogateescape"),
        seeds=[
            b"tanh(w*x + b)",
            b"-x**2 / dot([x, y], [1, 2.5])",
            b"total(x, [y, 1e3]) - maximum(x, 0)",
            b"w=0.5",
        ],
        words=words_of(TOKENS),
    ),
    "models": Target(
        changes_of(MODEL),
        read_a_model,
        ValueError,
        as_file,
        seeds=[json.dumps(MODEL).encode()],
        words=words_of([*NAMES, *MODEL, *MODEL["model"], *MODEL["parameters"]]),
    ),
    "table models": Target(
        changes_of(TABLE_MODEL),
        read_a_table_model,
        ValueError,
        as_file,
        seeds=[json.dumps(TABLE_MODEL).encode()],
        words=words_of([*NAMES, *TABLE_MODEL]),
    ),
}

if importlib.util.find_spec("pandas") is not None and importlib.util.find_spec("sklearn") is not None:
    TARGETS["tables"] = Target(
        tables,
        read_a_table,
        ValueError,
        as_file,
        seeds=[
            b"x,t\n1,a\n2,b\n4,a\n3,b\n",
            b'x;"y";t\r\n1;2.5;0.5\r\n-3;1e5;1.5\r\n',
            b"t\tx\tname\n1\t2\tA\n2\t3\tB\n",
        ],
        words=words_of(CELLS),
    )
