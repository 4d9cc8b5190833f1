"""The notebooks: each runs from the top, prints what is committed, and its exercises can be solved."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason='needs pip install "micrograd_mlp[notebook]"')
pytest.importorskip("nbclient", reason='needs pip install "micrograd_mlp[notebook]"')
pytest.importorskip("ipykernel", reason='needs pip install "micrograd_mlp[notebook]"')
pytest.importorskip("matplotlib", reason='needs pip install "micrograd_mlp[notebook]"')
from tests.benchmarks import gpt as measured  # noqa: E402
from tests.notebooks import FOLDED, exercises, run  # noqa: E402  # only where nbclient is installed

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# For each notebook its two exercises: a right answer, a wrong one, and what is said about the wrong one.
ANSWERS = {
    "01": [
        ("answer_1 = 42", "answer_1 = 14", "the local derivative ∂v1/∂u is left out"),
        ("answer_2 = lambda x: x * x * x", "answer_2 = lambda x: 12 * x", "a straight line"),
    ],
    "02": [
        ("answer_1 = 49", "answer_1 = 39", "the biases are left out"),
        (
            "answer_2 = dict(zip(answer_2, [1.0, 1.0, 0.0, 1.0, 1.0, -1.0, 1.0, -2.0, 0.0]))",
            "answer_2 = dict(zip(answer_2, [1.0, 1.0, 0.0, 1.0, 1.0, -1.0, 1.0, -1.0, 0.0]))",
            "the network computes the or",
        ),
    ],
    "03": [
        (
            "answer_1 = [-0.75, 0.25, 0.25, 0.25]",
            "answer_1 = [0.75, -0.25, -0.25, -0.25]",
            "the difference is taken the other way round",
        ),
        (
            "answer_2 = lambda y_hat, y: 0.25 * (y_hat - y) ** 4",
            "answer_2 = lambda y_hat, y: (y_hat - y) ** 3",
            "the gradient is taken for the loss",
        ),
    ],
    "04": [
        ("answer_1 = 0.25", "answer_1 = 0.5", "2/a is taken, where θ only changes its sign"),
        ("answer_2 = 0.5", "answer_2 = 1.0", "the smallest eigenvalue is taken"),
    ],
    "05": [
        ("answer_1 = 0.16", "answer_1 = 1.0", "the local derivative ∂v1/∂z is left out"),
        (
            "answer_2 = lambda s, a: [s_j if a_j > 0 else 0.0 for s_j, a_j in zip(s, a)]",
            "answer_2 = lambda s, a: s",
            "the derivative of relu is left out, everywhere",
        ),
    ],
    "06": [
        ("answer_1 = 10", "answer_1 = 9", "one layer more"),
        ("answer_2 = 0.27", "answer_2 = 0.1", "the signal vanishes"),
    ],
    "07": [
        ("answer_1 = -1.0", "answer_1 = -0.1", "only the last step counts"),
        ("answer_2 = (0.095, 0.48)", "answer_2 = (0.2, 0.9)", "the steps are too large"),
    ],
    "08": [
        (
            "answer_1 = history.validation_losses.index(min(history.validation_losses)) + 1",
            "answer_1 = history.validation_losses.index(min(history.validation_losses))",
            "epochs are counted from 0",
        ),
        ("answer_2 = 0.01", "answer_2 = 1e-4", "the penalty is too weak"),
    ],
    "09": [
        (
            "answer_1 = lambda x, y: (1 / y, -x / y**2)",
            "answer_1 = lambda x, y: (1 / y, x / y**2)",
            "the derivative of a quotient has the wrong sign, everywhere",
        ),
        (
            "answer_2 = lambda out, x: out / (3 * x)",
            "answer_2 = lambda out, x: out / 3",
            "is not lowered by one",
        ),
    ],
    "10": [
        (
            "answer_1 = lambda x: (w * x).relu() ** 2",
            "answer_1 = lambda x: (w * x) ** 2",
            "the branch is left out",
        ),
        (
            "answer_2 = lambda: (1 - u) ** 2 + 100 * (v - u**2) ** 2",
            "answer_2 = lambda: (1 - u) ** 2 + 100 * (v - 2 * u**2) ** 2",
            "the descent ends at v = 2",
        ),
    ],
    "11": [
        (
            "answer_1 = lambda z, T: softmax([z_k / T for z_k in z])",
            "answer_1 = lambda z, T: softmax([z_k * T for z_k in z])",
            "the logits are multiplied by T",
        ),
        (
            "answer_2 = lambda letter, following: cross_entropy(row_of(table, letter), following)",
            "answer_2 = lambda letter, following: cross_entropy(table[0], following)",
            "the row is the same for every letter",
        ),
    ],
}


def text(cell):
    """What a cell prints or shows as text; pictures depend on fonts and versions, and are looked at."""
    printed = [output.get("text") or output.get("data", {}).get("text/plain") for output in cell.outputs]
    return "".join(line for line in printed if line)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    committed = [text(cell) for cell in code]
    checks = [check for _, check in exercises(code)]
    answers = [answer for *pair, _ in ANSWERS[path.name[:2]] for answer in pair]
    for answer, check in zip(answers, [checks[0], checks[0], checks[1], checks[1]], strict=True):
        for source in (answer, check.source):
            notebook.cells.append(nbformat.v4.new_code_cell(source))
    run(notebook)
    assert [text(cell) for cell in code] == committed
    assert [text(check) for check in checks] == ["not yet: put a number in the place of every ..."] * 2
    verdicts = [text(cell) for cell in notebook.cells[-7::2]]
    for (_, _, said), right, wrong in zip(ANSWERS[path.name[:2]], verdicts[::2], verdicts[1::2], strict=True):
        assert right.startswith("right")
        assert wrong.startswith("not yet")
        assert said in wrong


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_check_has_hints_and_a_solution_to_open(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for _, check in exercises(code):
        [shown] = [output.data["text/html"] for output in check.outputs]
        assert shown.count("<summary>Hint ") >= 2
        assert shown.count("<summary>Solution") == 1


def test_there_are_eleven():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(1, 12)]


def test_the_gpt_of_notebook_11_is_the_one_that_is_measured():
    notebook = nbformat.read(NOTEBOOKS[-1], as_version=4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    scope = {}
    for beginning in ("import math", "LETTERS = ", "class GPT"):
        exec(next(source for source in sources if source.startswith(beginning)), scope)
    shape = {"width": 4, "n_heads": 2, "n_positions": 5, "seed": 3}
    losses = []
    for gpt, example in [(scope["GPT"], scope["example"]), (measured.GPT, measured.example)]:
        model = gpt(**shape)
        loss = model.loss(*example("mira"))
        loss.backward()
        losses.append([loss.data, *[p.grad for p in model.parameters()]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_static_page_shows_every_picture_without_a_network(path):
    nbconvert = pytest.importorskip("nbconvert", reason='needs pip install "micrograd_mlp[notebook]"')
    notebook = nbformat.read(path, as_version=4)
    shown = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    pictures = [data for data in shown if "image/png" in data or "<img" in data.get("text/html", "")]
    assert pictures
    page, _ = nbconvert.HTMLExporter(mathjax_url="", require_js_url="").from_notebook_node(notebook)
    assert page.count('src="data:image/') >= len(pictures)
    assert 'src="http' not in page
    assert 'href="http' not in page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_says_something_and_every_picture_is_described(path):
    notebook = nbformat.read(path, as_version=4)
    assert all(cell.source.strip() for cell in notebook.cells)
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert all(len(picture.metadata["image/png"]["alt"]) > 20 for picture in pictures)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_file_is_small_and_holds_no_trace_of_a_run(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert path.stat().st_size < 700_000
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    checks = [check.id for _, check in exercises(code)]
    assert all(cell.metadata == (FOLDED if cell.id in checks else {}) for cell in notebook.cells)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
