"""Sphinx directives for what stands elsewhere: operations, live pages, and files of the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import live_pages
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from micrograd_mlp.engine.table import TABLE

# What a browser does not have: llvmlite, Matplotlib, PyTorch and ONNX.
NOT_IN_THE_BROWSER = (
    '<details class="needs-python"><summary class="try-chapter">Why is there no “Try it”?</summary>'
    "This needs machine code or a package that the browser does not have. Install Python on your own "
    'machine, and run it there: <code>pip install ".[compile]"</code> in a checkout brings compiled'
    " execution.</details>"
)
NEED_PYTHON = ("compile", "Program", "plots", "export", "estimators")


class Operations(SphinxDirective):
    """One row for each record: its formula, and where it is defined and has a derivative."""

    def run(self) -> list[nodes.Node]:
        rows = ["| Name | Formula | Defined for | No derivative where |", "| --- | --- | --- | --- |"]
        for op in TABLE.values():
            names = [f"x_{{{i}}}" for i in range(1, (op.arity or 3) + 1)] if op.arity != 1 else ["x"]
            arguments = r", \ldots, ".join([names[0], "x_n"]) if op.arity is None else ", ".join(names)
            formula = op.latex.format(*names, args=arguments).replace("|", r"\vert ")
            kink = "the branches meet" if op.kink is not None else ""
            rows.append(f"| `{op.name}` | ${formula}$ | {interval(op)} | {kink} |")
        return self.parse_text_to_nodes("\n".join(rows))


class Live(SphinxDirective):
    """A page that answers when it is touched, in a frame: one of the graphs in `live_pages.py`, by name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        page, title, height = live_pages.PAGES[name]
        target = Path(self.env.app.outdir) / "live" / f"{name}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        page().save(target)
        up = "../" * self.env.docname.count("/")
        source = f'src="{up}live/{name}.html" title="{title}" height="{height}" loading="lazy"'
        frame = f'<iframe class="live" {source}></iframe>'
        return [nodes.raw("", frame, format="html")]


class RepositoryPage(SphinxDirective):
    """A Markdown file at the top of the repository; its links to other files there become their paths."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = Path(__file__).parents[2] / self.arguments[0]
        self.env.note_dependency(str(path))
        text = re.sub(r"\[[^]]*\]\((?!https?:|#)([^)]+)\)", r"`\1`", path.read_text(encoding="utf-8"))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def offer_to_run(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Put a button above every chapter that opens its copy in the browser."""
    if re.match(r"\d\d_", page):
        link = f"lite/notebooks/index.html?path={page}.ipynb"
        button = f'<p><a class="try-chapter" href="{link}">Run this chapter in the browser</a></p>'
        context["body"] = button + context["body"]


def interval(op: Any) -> str:
    """The domain in words of mathematics; nothing where it is all real numbers."""
    shown = []
    for low, high in op.domain:
        if low == -float("inf") and high == float("inf"):
            shown.append(r"\mathbb{R}")
        else:
            shown.append(f"({bound(low)}, {bound(high)})")
    product = r" \times ".join(shown)
    return "" if set(shown) == {r"\mathbb{R}"} else f"${product}$"


def bound(x: float) -> str:
    return {float("inf"): r"\infty", -float("inf"): r"-\infty"}.get(x, f"{x:g}")


def make_examples_runnable(
    app: Any, what: str, name: str, described: object, options: object, lines: list[str]
) -> None:
    """Put each example of a docstring into a directive that gives it a button "Try it".

    Outside of the examples a | stands for itself, where reStructuredText would see a substitution.
    """
    result, example = [], False
    runs_in_the_browser = not any(part in name for part in NEED_PYTHON)
    for line in lines:
        if runs_in_the_browser and not example and line.lstrip().startswith(">>> "):
            example = True
            indent = line[: len(line) - len(line.lstrip())]
            result += [f"{indent}.. try_examples::", ""]
        elif example and not line.strip():
            example = False
        result.append(f"    {line}" if example else line.replace("|", r"\|"))
    if not runs_in_the_browser and any(line.lstrip().startswith(">>> ") for line in lines):
        result += ["", ".. raw:: html", "", f"    {NOT_IN_THE_BROWSER}", ""]
    lines[:] = result


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("operations", Operations)
    app.add_directive("live", Live)
    app.add_directive("repository-page", RepositoryPage)
    app.connect("html-page-context", offer_to_run)
    app.connect(
        "autodoc-process-docstring", make_examples_runnable, priority=900
    )  # after Napoleon's sections
    return {"parallel_read_safe": True}
