"""`draw`: a computation graph as a picture, with every number that backpropagation computes (§6, §7).

A drawing is made in three steps: which boxes of the scene are shown (`picture`), what they look like in DOT,
the language of Graphviz (`dot`), and the image from that (`graphviz_backend`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

from micrograd_mlp._require import require_choice, require_count, require_kind
from micrograd_mlp.engine.value import Value
from micrograd_mlp.files import write_atomically
from micrograd_mlp.render import graphviz_backend
from micrograd_mlp.render.dot import DARK_STYLE, DotWriter
from micrograd_mlp.render.html import svg_as_image
from micrograd_mlp.render.mermaid import MOST_EDGES, write_mermaid
from micrograd_mlp.render.picture import Picture
from micrograd_mlp.render.scene import Level, Scene, require_current
from micrograd_mlp.render.text import printable
from micrograd_mlp.render.tikz import write_tikz


class Drawing:
    """A picture of a graph as it was when it was drawn. It shows itself in a notebook.

    Attributes:
        source: the DOT text, which needs no Graphviz.
    """

    def __init__(self, source: str, flowchart: str | None = None, tex: str = "") -> None:
        self.source = source
        self._flowchart, self._tex = flowchart, tex

    def svg(self) -> str:
        """The picture as SVG text, with dark fills where the reader's page is dark.

        Raises:
            ImportError: no Graphviz is installed; the message names the ways to get it.
        """
        picture = graphviz_backend.render(self.source, "svg").decode()
        start = picture.index(">", picture.index("<svg")) + 1
        return picture[:start] + DARK_STYLE + picture[start:]

    def png(self) -> bytes:
        """The picture as a PNG file's content, with a transparent background.

        Raises:
            ImportError: as for `svg`.
        """
        return graphviz_backend.render(self.source, "png")

    def mermaid(self) -> str:
        """The graph as a Mermaid flowchart, for a Markdown file on GitHub, JupyterLab or Obsidian.

        Mermaid draws 500 edges at most: a larger graph is shown with its neurons folded, or its layers.

        Raises:
            ValueError: the graph has more than 500 edges then, too.

        >>> w = Value(0.5, "w")
        >>> print(draw(w * w).mermaid().splitlines()[0])
        flowchart LR
        """
        if self._flowchart is None:
            raise ValueError(
                f"the graph has more than {MOST_EDGES} edges, which Mermaid does not draw, also with its "
                "layers folded: draw less of it with max_nodes= or depth="
            )
        return self._flowchart

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture in the format that the name ends with: .svg, .png, .pdf, .dot or .tex.

        A .tex file is TikZ: LaTeX compiles it alone and inside of a paper that uses the package tikz.
        An existing file is replaced whole or, if anything goes wrong, not at all.

        Raises:
            ValueError: the name ends otherwise.
            ImportError: no Graphviz is installed, or no system Graphviz for .pdf; .dot and .tex need none.
            OSError: the file can't be written.
        """
        format = Path(path).suffix.lower().removeprefix(".")
        if format not in ("svg", "png", "pdf", "dot", "tex"):
            raise ValueError(f"{os.fspath(path)!r}: a drawing is saved as .svg, .png, .pdf, .dot or .tex")
        content: str | bytes
        if format in ("dot", "tex"):
            content = self.source if format == "dot" else self._tex
        elif format == "svg":
            content = self.svg()
        else:
            content = graphviz_backend.render(self.source, format)
        write_atomically(path, content)

    def __repr__(self) -> str:
        return f"<Drawing: {self.source.count(' -> ')} edges; .svg() .png() .save(path) .source>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # IPython passes include and exclude
        try:
            return {"text/plain": repr(self), "text/html": self.html()}
        except ImportError as error:
            return {"text/plain": str(error)}

    def html(self) -> str:
        """The SVG as an image, which a notebook shows whether it is trusted or not.

        A wide picture shrinks to the page, but never below 70% of its size: then it scrolls instead.

        Raises:
            ImportError: as for `svg`.
        """
        svg = self.svg()
        size = re.search(r'<svg width="(\d+)', svg)
        least = round(0.7 * int(size[1]) * 4 / 3) if size else 0  # points to pixels
        image = svg_as_image(svg, repr(self), f"max-width: 100%; min-width: {least}px")
        return f'<div style="overflow-x: auto">{image}</div>'


def draw(
    value: Value,
    *,
    local: bool = False,
    rankdir: Literal["LR", "TB"] = "LR",
    group_by: Level | None = None,
    collapse: Level | None = None,
    highlight: Value | None = None,
    max_nodes: int = 1500,
    depth: int | None = None,
    digits: int = 4,
) -> Drawing:
    """Draw the graph that `value` was computed from.

    Inputs are ellipses, parameters boxes, constants notes, operations rounded boxes with their
    symbol. Every node shows its name, its data and, once `backward()` has filled it, its gradient; a tooltip
    gives the numbers in full.

    Args:
        value: the output of the graph.
        local: write on every edge the local derivative, such as ∂z/∂w = x, as a number.
        rankdir: "LR" runs from left to right, "TB" from top to bottom.
        group_by: frame the nodes of every neuron or layer, found by the names that `nn` gives.
        collapse: fold every neuron or layer into one box with z, a, δ = ∂(output)/∂z and the norm of
            its parameters' gradient. Parameters that several examples share get one box together.
        highlight: a node of the graph: every path from it to the output stands out.
        max_nodes: show at most so many nodes or boxes, those nearest to the output, and one that says
            how many more there are.
        depth: show only what is at most so many edges away from the output.
        digits: significant digits of the numbers in the picture.

    Raises:
        TypeError: `value` is not a Value, or an option has the wrong type.
        ValueError: an unknown option, a number below its least, `highlight` is not in the graph, or some
            leaf has changed since the value was computed.

    >>> w, x = Value(0.5, "w"), Value(2.0, "x")
    >>> z = w * x
    >>> z.backward()
    >>> draw(z, local=True)
    <Drawing: 2 edges; .svg() .png() .save(path) .source>
    """
    require_kind("value", value, Value)
    if highlight is not None:
        require_kind("highlight", highlight, Value)
    require_choice("rankdir", rankdir, ["LR", "TB"])
    require_choice("group_by", group_by, ["neuron", "layer", None])
    require_choice("collapse", collapse, ["neuron", "layer", None])
    max_nodes = require_count("max_nodes", max_nodes, least=1)
    depth = None if depth is None else require_count("depth", depth)
    digits = require_count("digits", digits, least=1)
    require_current(value)
    scene = Scene(value)
    on_paths = set() if highlight is None else _paths_from(highlight, scene)

    def picture(level: Level | None) -> Picture:
        groups = scene.groups(level)
        return Picture(
            scene, groups, on_paths, max_boxes=max_nodes, depth=depth, rankdir=rankdir, digits=digits
        )

    as_asked = picture(collapse)
    frames = [] if collapse in ("layer", group_by) else scene.groups(group_by)
    source, tex = DotWriter(as_asked, local).write(frames), write_tikz(as_asked)
    # Mermaid takes few edges, so that a large graph is folded for it.
    flowcharts = (write_mermaid(picture(level)) for level in dict.fromkeys((collapse, "neuron", "layer")))
    return Drawing(source, next(filter(None, flowcharts), None), tex)


def _paths_from(start: Value, scene: Scene) -> set[Value]:
    """The nodes on all paths from `start` to the output.

    Raises:
        ValueError: there is no such path.
    """
    on_path = {start}
    for node in scene.order:
        if not on_path.isdisjoint(node.parents):
            on_path.add(node)
    if scene.output not in on_path:
        name = printable(start.label or repr(start), 40)
        raise ValueError(f"highlight: {name} is not in this graph, so no path leads from it to the output")
    return on_path
