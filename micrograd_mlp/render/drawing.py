"""`draw`: a computation graph as a picture, with every number that backpropagation computes (§6, §7).

A drawing is made in three steps: which nodes share a box and which boxes are shown (`boxes`), what they
look like in DOT, the language of Graphviz (`dot`), and the picture from that (`graphviz_backend`).
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, Literal

from micrograd_mlp._require import require_choice, require_count, require_kind
from micrograd_mlp.engine.value import Value
from micrograd_mlp.files import write_atomically
from micrograd_mlp.render import graphviz_backend
from micrograd_mlp.render.boxes import FoldedGraph, Level, find_groups, nearest, nodes_of, paths_from
from micrograd_mlp.render.dot import write_dot


class Drawing:
    """A picture of a graph as it was when it was drawn. It shows itself in a notebook.

    Attributes:
        source: the DOT text, which needs no Graphviz.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    def svg(self) -> str:
        """The picture as SVG text.

        Raises:
            ImportError: no Graphviz is installed; the message names the ways to get it.
        """
        return graphviz_backend.render(self.source, "svg").decode()

    def png(self) -> bytes:
        """The picture as a PNG file's content, with a transparent background.

        Raises:
            ImportError: as for `svg`.
        """
        return graphviz_backend.render(self.source, "png")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture; the name's end says how: .svg, .png, .pdf or .dot.

        An existing file is replaced whole or, if anything goes wrong, not at all.

        Raises:
            ValueError: the name has another end.
            ImportError: no Graphviz is installed, or no system Graphviz for .pdf; .dot needs none.
            OSError: the file can't be written.
        """
        format = Path(path).suffix.lower().removeprefix(".")
        if format not in ("svg", "png", "pdf", "dot"):
            raise ValueError(f"{os.fspath(path)!r}: a drawing is saved as .svg, .png, .pdf or .dot")
        content = self.source if format == "dot" else graphviz_backend.render(self.source, format)
        write_atomically(path, content)

    def __repr__(self) -> str:
        return f"<Drawing: {self.source.count(' -> ')} edges; .svg() .png() .save(path) .source>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # IPython passes include and exclude
        try:
            return {
                "text/plain": repr(self),
                "image/svg+xml": self.svg(),
                "image/png": base64.b64encode(self.png()).decode(),
            }
        except ImportError as error:
            return {"text/plain": str(error)}


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
    symbol. Every node shows its data and its gradient; a tooltip gives both in full.

    Args:
        value: the output of the graph.
        local: write on every edge the local derivative, such as ∂z/∂w = x, as a number.
        rankdir: "LR" runs from left to right, "TB" from top to bottom.
        group_by: frame the nodes of every neuron or layer, found by the names that `nn` gives.
        collapse: fold every neuron or layer into one box with z, a, δ = ∂(output)/∂z and the norm of
            its parameters' gradient. Parameters that several examples share get a box of their own.
        highlight: a node of the graph: every path from it to the output stands out.
        max_nodes: show at most so many nodes or boxes, those nearest to the output, and one that says
            how many more there are.
        depth: show only what is at most so many edges away from the output.
        digits: significant digits of the numbers in the picture.

    Raises:
        TypeError: `value` is not a Value, or an option has the wrong type.
        ValueError: an unknown option, a number below its least, or `highlight` is not in the graph.

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
    order = value.topological_order()
    on_path = set() if highlight is None else paths_from(highlight, order)
    graph = FoldedGraph(find_groups(order, collapse))
    shown = nearest(graph, value, on_path, max_nodes, depth)
    hidden = len(order) - sum(len(nodes_of(box)) for box in shown)
    frames = [] if collapse in ("layer", group_by) else find_groups(order, group_by)
    return Drawing(write_dot(graph, shown, hidden, frames, on_path, rankdir, local, digits))
