"""A drawing as a Mermaid flowchart, which GitHub, JupyterLab and Obsidian draw from text."""

from __future__ import annotations

from micrograd_mlp.render.picture import Picture
from micrograd_mlp.render.scene import PALETTE, kind

MOST_EDGES = 500
"""Mermaid refuses to draw more."""
_SHAPES = {
    "input": ("([", "])"),
    "op": ("(", ")"),
    "parameter": ("[", "]"),
    "constant": ("[", "]"),
    "group": ("[[", "]]"),
}


def write_mermaid(picture: Picture) -> str | None:
    """The text of a flowchart; None if it has more edges than Mermaid draws."""
    lines = [f"flowchart {picture.rankdir}"]
    edges: list[str] = []
    for box, name in picture.ids.items():
        left, right = _SHAPES[kind(box)]
        label = "<br>".join(map(escaped, picture.lines(box)))
        lines.append(f'  {name}{left}"{label}"{right}:::{kind(box)}')
        edges += [f"  {picture.ids[source]} --> {name}" for source, _ in picture.arrows(box)]
        if picture.has_hidden_sources(box):
            edges.append(f"  more --> {name}")
    if len(edges) > MOST_EDGES:
        return None
    if picture.hidden:
        lines.append(f'  more["{picture.hidden} more nodes"]')
    for what, colours in PALETTE.items():
        lines.append(f"  classDef {what} fill:{colours.fill},stroke:{colours.border},color:#1f2430")
    return "\n".join([*lines, *edges, ""])


def escaped(text: str) -> str:
    """Text that Mermaid shows as it is: what is neither a letter, a digit nor plain becomes a code.

    >>> escaped('a"b')
    'a#34;b'
    """
    return "".join(c if c.isalnum() or c in " .,-_()" else f"#{ord(c)};" for c in text)
