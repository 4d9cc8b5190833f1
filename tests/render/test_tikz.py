"""TikZ: a file that LaTeX compiles alone and inside of a paper."""

import shutil
import subprocess

import pytest

from micrograd_mlp import MLP, Value, draw, squared_error
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.render.tikz import escaped

needs_latex = pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")


def compiled(folder, name):
    run = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", name],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:]
    return (folder / name).with_suffix(".pdf").read_bytes()


def test_every_node_and_every_edge_is_there(tmp_path):
    w, x = Value(0.5, "w"), Value(2.0, "x")
    z = w * x + w
    z.backward()
    draw(z).save(tmp_path / "z.tex")
    text = (tmp_path / "z.tex").read_text()
    assert (text.count("\\node["), text.count("\\draw[->")) == (4, 4)
    assert "grad 3" in text


def test_text_of_users_is_shown_as_it_is():
    assert escaped("\\input{x} 50% $a_1^2$ ψ") == (
        r"\textbackslash{}input\{x\} 50\% \$a\_1\textasciicircum{}2\$ U+03C8"
    )


@needs_latex
def test_it_compiles_alone_and_inside_of_a_paper(tmp_path):
    model = MLP(2, [3, 1], activation="tanh", seed=0)
    loss = squared_error(model([0.5, -1.0]), 1.0)
    loss.backward()
    draw(loss, collapse="neuron").save(tmp_path / "graph.tex")
    assert compiled(tmp_path, "graph.tex").startswith(b"%PDF")
    paper = r"\documentclass{article}\usepackage{tikz}\begin{document}A \input{graph.tex} B\end{document}"
    (tmp_path / "paper.tex").write_text(paper)
    assert compiled(tmp_path, "paper.tex").startswith(b"%PDF")


@needs_latex
def test_every_symbol_and_strange_labels_compile(tmp_path):
    x = [Value(0.5 + 0.1 * k, label) for k, label in enumerate(["a_1%&#", "\\x{}", "$~^", "層 <b>"])]
    values = [op(*x[: op.arity or 4]) for op in TABLE.values()]
    draw(sum(values[1:], values[0])).save(tmp_path / "all.tex")
    assert compiled(tmp_path, "all.tex").startswith(b"%PDF")
