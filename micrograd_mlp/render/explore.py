"""`explore` and `step_through`: a graph as a page that computes (§6, §7).

Python writes the scene down (`description`), and the scripts in `page/` compute, lay out, draw and explain
it. They become one file that loads nothing from anywhere.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograd_mlp._require import require_count, require_kind
from micrograd_mlp.engine.value import Value, changed_leaves
from micrograd_mlp.render.description import describe
from micrograd_mlp.render.drawing import draw
from micrograd_mlp.render.html import Page, json_for_script, svg_as_image, with_script
from micrograd_mlp.render.scene import Level, Scene, require_current
from micrograd_mlp.render.text_tree import tree

if TYPE_CHECKING:
    from micrograd_mlp.render.widget import ExplorerWidget

_PAGE = Path(__file__).with_name("page")
# In this order they make one program: each uses what stands before it.
_SCRIPTS = (
    "elements", "numbers", "graph", "notation", "paths", "explanation", "steps", "python", "layout",
    "arrangement", "canvas", "inspector", "descent", "stepping", "input", "kernel", "explorer",
)  # fmt: skip


def explore(output: Value, *, max_nodes: int = 20_000) -> Explorer:
    """A graph that answers when a number is changed, as one page.

    Every leaf can be dragged, typed or moved by keys; values, local derivatives, gradients and the
    explanation follow at once. The page also descends along the gradient, steps through both passes, and
    keeps its state in its address. `window.explorer` has `set(label, number)`, `get(label)`,
    `explain(label)`, `step(k)` and `descend(eta, steps)`.

    Args:
        output: the end of the graph, such as a loss.
        max_nodes: refuse a larger graph.

    Returns:
        A page that shows itself in a notebook; `.save("explore.html")` writes one file that needs no
        network, no server and no Python.

    Raises:
        TypeError: output is not a Value.
        ValueError: the graph has more than `max_nodes` nodes, or some leaf has changed since it was computed.

    >>> w, x = Value(0.5, "w"), Value(2.0, "x")
    >>> explore((w * x).tanh())
    <Explorer: 4 nodes; .save("explore.html") .html()>
    """
    return _page("explore", output, max_nodes)


def step_through(output: Value, *, max_nodes: int = 500) -> Explorer:
    """The page of `explore`, opened where it steps through the forward and the backward pass.

    The page has a slider, buttons and keys (← → step, space plays, Home and End). All gradients start
    from 0, as after `zero_grad()`, and what arrives in the end is what `backward()` then gives. The graph
    itself is not touched: no `.grad` changes.

    Args:
        output: the end of the graph, such as a loss.
        max_nodes: refuse a larger graph, whose steps nobody could follow.

    Returns:
        A page that shows itself in a notebook; `.save("steps.html")` writes one file that needs no
        network, no server and no Python.

    Raises:
        TypeError: output is not a Value.
        ValueError: as for `explore`.

    >>> w, x = Value(0.5, "w"), Value(2.0, "x")
    >>> step_through(w * x)
    <Explorer: 3 nodes, step by step; .save("steps.html") .html()>
    """
    return _page("step", output, max_nodes)


def _page(mode: str, output: Value, max_nodes: int) -> Explorer:
    require_kind("output", output, Value)
    require_current(output)
    max_nodes = require_count("max_nodes", max_nodes, least=1)
    scene = Scene(output)
    if len(scene.order) > max_nodes:
        raise ValueError(
            f"the page shows at most {max_nodes:,} nodes, and this graph has {len(scene.order):,}: pass an "
            "inner node, a smaller model or one example instead of a batch, or raise max_nodes"
        )
    return Explorer(scene, mode)


class Explorer(Page):
    """The page that `explore` and `step_through` make. It shows the graph as it was then.

    Attributes:
        scene: the graph, as every view shows it.
        data: the scene, written down for the page.
        functions: the operations, in JavaScript.
    """

    def __init__(self, scene: Scene, mode: str) -> None:
        self.scene = scene
        self.data, self.functions = describe(scene)
        self.data["mode"] = mode

    def html(self) -> str:
        """The page as one HTML document."""
        element = self._element("", whole_page=True)
        return page_shell(f"Backpropagation of {self.data['title']}", element)

    def widget(self) -> ExplorerWidget:
        """The page for a notebook, tied to the kernel: what changes on one side changes on the other.

        A number that is changed on the page is assigned to `Value.data`, and the kernel computes the graph
        again: every `.data` and `.grad` is then what the page shows. What Python changes moves in the page:
        at each `forward()`, at each step of an optimizer and of `fit`, and after each cell. Python computes
        the operations that the page can't compute. JupyterLab, VS Code, Colab and marimo show widgets; where
        nobody runs the notebook, show `explore(output)` itself.

        Raises:
            ImportError: the extra `widget` is missing.

        >>> loss = (Value(0.5, "w") * 2.0 - 3.0) ** 2
        >>> page = explore(loss).widget()  # doctest: +SKIP
        """
        from micrograd_mlp.render.widget import ExplorerWidget

        return ExplorerWidget(self)

    def __repr__(self) -> str:
        size = f"{len(self.scene.order)} nodes"
        if self.data["mode"] == "step":
            return f'<Explorer: {size}, step by step; .save("steps.html") .html()>'
        return f'<Explorer: {size}; .save("explore.html") .html()>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # IPython passes include and exclude
        element = self._element(self.still_picture(), whole_page=False)
        return {"text/plain": repr(self), "text/html": element}

    def _element(self, still: str, whole_page: bool) -> str:
        """The page as one HTML element, in which `still` stays where no script runs."""
        data = json_for_script(self.data | {"wholePage": whole_page})
        program, style = page_program()
        return with_script(still, program, data, self.functions, json.dumps(style))

    def still_picture(self) -> str:
        """A picture for a notebook that is not trusted, which drops scripts and keeps images."""
        size = len(self.scene.order)
        if changed_leaves(self.scene.output):  # a picture would show other numbers than the page
            return "<p>Run this cell to see the graph and change its numbers.</p>"
        level: Level | None = None if size <= 60 else "neuron" if size <= 1500 else "layer"
        alt = f"Graph of {self.data['title']}, {size} nodes"
        picture = picture_or_tree(self.scene.output, alt, level, depth=6)
        return f"{picture}<p>This is a still picture. Run this cell to change its numbers.</p>"


def picture_or_tree(output: Value, alt: str, collapse: Level | None = None, depth: int | None = None) -> str:
    """The graph as an HTML image; where it can't be drawn, as text of at most `depth` levels."""
    try:
        return svg_as_image(draw(output, collapse=collapse, max_nodes=300).svg(), alt)
    except (ImportError, RuntimeError):  # no Graphviz, or a graph that it can't draw
        return f"<pre>{html.escape(tree(output, depth=depth, width=100))}</pre>"


def page_shell(title: str, body: str = "<!-- explorer -->") -> str:
    """The HTML document of a saved page."""
    shell = page_file("page.html").replace("<!-- title -->", html.escape(title))
    return shell.replace("<!-- explorer -->", body)


def page_program() -> tuple[str, str]:
    """The page's JavaScript, a function of (host, data, functions, style, model), and its style sheet.

    The model is a widget's, for a page that is tied to Python. The function returns one that closes the page.
    """
    script = "\n".join(page_file(f"{name}.js") for name in _SCRIPTS)
    program = f"(host, data, functions, style, model) => {{\n{script}\nreturn () => explorer.close();\n}}"
    return program, page_file("style.css")


def page_file(name: str) -> str:
    """A file of the page as text."""
    return (_PAGE / name).read_text(encoding="utf-8")
