"""The boxes of a drawing as a Mermaid flowchart, which GitHub, JupyterLab and Obsidian draw from text."""

from __future__ import annotations

from collections.abc import Mapping

from micrograd_mlp.render.scene import PALETTE, Box, FoldedGraph, Group, Scene, kind, symbol
from micrograd_mlp.render.text import number, printable

MOST_EDGES = 500
"""Mermaid refuses to draw more."""
_SHAPES = {"input": ("([", "])"), "op": ("(", ")"), "parameter": ("[", "]"), "constant": ("[", "]")}


def write_mermaid(
    scene: Scene, graph: FoldedGraph, shown: Mapping[Box, None], hidden: int, rankdir: str, digits: int
) -> tuple[str, int]:
    """The text of a flowchart, and how many edges it has.

    Args:
        scene: names and kinds of the nodes.
        graph: the graph after folding.
        shown: the boxes to draw.
        hidden: how many nodes are in none of them.
        rankdir: "LR" or "TB".
        digits: significant digits.
    """
    ids = {box: f"n{i}" for i, box in enumerate(shown)}
    lines = [f"flowchart {rankdir}"]
    edges: list[str] = []
    for box, name in ids.items():
        what = "group" if isinstance(box, Group) else kind(box)
        left, right = _SHAPES.get(what, ("[[", "]]"))
        lines.append(f'  {name}{left}"{_label(scene, box, digits)}"{right}:::{what}')
        together = []
        for source, _ in graph.edges_into(box):
            edge = f"  {ids.get(source, 'more')} --> {name}"
            if isinstance(box, Group) or isinstance(source, Group) or source not in ids:
                together.append(edge)
            else:
                edges.append(edge)
        edges += dict.fromkeys(together)
    if hidden:
        lines.append(f'  more["{hidden} more nodes"]')
    for what, colours in PALETTE.items():
        lines.append(f"  classDef {what} fill:{colours.fill},stroke:{colours.border},color:#1f2430")
    return "\n".join([*lines, *edges, ""]), len(edges)


def _label(scene: Scene, box: Box, digits: int) -> str:
    """A node's symbol, name and numbers, or a folded group's title."""
    if isinstance(box, Group):
        return escaped(box.title)
    op = box.op
    parts = [symbol(op)] if op else []
    parts += [scene.name(box), f"data {number(box.data, digits)}"]
    if scene.shows_gradient(box):
        parts.append(f"grad {number(box.grad, digits)}")
    return "<br>".join(escaped(printable(part, 32)) for part in parts)


def escaped(text: str) -> str:
    """Text that Mermaid shows as it is: what is neither a letter, a digit nor plain becomes a code.

    >>> escaped('a"b')
    'a#34;b'
    """
    return "".join(c if c.isalnum() or c in " .,-_()" else f"#{ord(c)};" for c in text)
