r"""The boxes of a drawing as TikZ, the pictures of LaTeX: a file that compiles alone and inside a paper.

`\input{graph.tex}` puts the picture into a paper that loads the package tikz. Alone, the file is its own
document.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from micrograd_mlp.render.scene import PALETTE, Box, FoldedGraph, Group, Scene, kind, symbol
from micrograd_mlp.render.text import number, printable

_BEFORE = r"""\makeatletter
\ifx\documentclass\@twoclasseserror  % inside of a paper
  \def\enddrawing{}
\else
  \def\enddrawing{\end{document}}
  \documentclass{article}
  \usepackage[landscape,margin=5mm]{geometry}
  \usepackage{tikz}
  \pagestyle{empty}
  \begin{document}
\fi
\makeatother
"""
_SIGNS = {
    "×": r"$\times$", "−": "$-$", "·": r"$\cdot$", "∂": r"$\partial$", "‖": r"$\Vert$", "√": r"$\surd$",
    "Σ": r"$\Sigma$", "Π": r"$\Pi$", "σ": r"$\sigma$", "δ": r"$\delta$", "θ": r"$\theta$", "η": r"$\eta$",
    "…": r"\dots{}", "ŷ": r"$\hat{y}$", "≤": r"$\leq$", "≥": r"$\geq$", "∞": r"$\infty$",
}  # fmt: skip
_ESCAPED = {c: rf"\{c}" for c in "#$%&_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$", "-": "{-}", '"': "''",
}  # fmt: skip
_SHAPES = {
    "input": "rectangle, rounded corners=5pt",
    "op": "rectangle, rounded corners",
    "group": "rectangle, rounded corners, thick",
}


def write_tikz(
    scene: Scene, graph: FoldedGraph, shown: Mapping[Box, None], hidden: int, rankdir: str, digits: int
) -> str:
    """The text of a TeX file.

    Args:
        scene: names and kinds of the nodes.
        graph: the graph after folding.
        shown: the boxes to draw.
        hidden: how many nodes are in none of them.
        rankdir: "LR" or "TB".
        digits: significant digits.
    """
    ids = {box: f"n{i}" for i, box in enumerate(shown)}
    sources = {box: list(dict.fromkeys(source for source, _ in graph.edges_into(box))) for box in ids}
    lines = [
        _BEFORE + r"\begin{tikzpicture}[every node/.style={align=center, font=\scriptsize, inner sep=2pt}]"
    ]
    for what, colours in PALETTE.items():
        for part, colour in (("fill", colours.fill), ("line", colours.border)):
            lines.append(rf"  \definecolor{{{what}{part}}}{{HTML}}{{{colour.lstrip('#').upper()}}}")
    for box, (rank, place) in _places(ids, sources).items():
        what = "group" if isinstance(box, Group) else kind(box)
        x, y = (2.6 * rank, -1.1 * place) if rankdir == "LR" else (2.2 * place, -1.5 * rank)
        style = f"draw={what}line, fill={what}fill, {_SHAPES.get(what, 'rectangle')}"
        lines.append(
            rf"  \node[{style}] ({ids[box]}) at ({x:.2f}, {y:.2f}) {{{_label(scene, box, digits)}}};"
        )
    if hidden:
        lines.append(
            rf"  \node[below, font=\scriptsize] at (current bounding box.south) {{{hidden} more nodes}};"
        )
    for box, its_sources in sources.items():
        lines += [
            rf"  \draw[->, gray] ({ids[source]}) -- ({ids[box]});" for source in its_sources if source in ids
        ]
    return "\n".join([*lines, r"\end{tikzpicture}", r"\enddrawing", ""])


def _places(ids: Mapping[Box, str], sources: Mapping[Box, list[Box]]) -> dict[Box, tuple[int, float]]:
    """For each box its rank, which is above those of its sources, and its place in the rank."""
    rank: dict[Box, int] = {}
    for start in ids:
        stack = [start]
        while stack:
            box = stack[-1]
            waiting = [s for s in sources[box] if s in ids and s not in rank]
            if waiting and box not in rank:
                stack += waiting
                continue
            rank.setdefault(box, 1 + max([rank[s] for s in sources[box] if s in ids], default=-1))
            stack.pop()
    for box in sorted(ids, key=lambda b: -rank[b]):  # leaves stand right before what uses them
        # `is`, since == compares the numbers of two Values
        users = [rank[user] for user, its in sources.items() if any(source is box for source in its)]
        if not sources[box] and users:
            rank[box] = min(users) - 1
    places: dict[Box, tuple[int, float]] = {}
    rows: dict[int, list[Box]] = defaultdict(list)
    for box in ids:
        rows[rank[box]].append(box)
    for level, row in sorted(rows.items()):
        wishes = []
        for k, box in enumerate(row):
            seen = [places[source][1] for source in sources[box] if source in places]
            wishes.append((sum(seen) / len(seen) if seen else k - len(row) / 2.0, k))
        for place, (_, k) in enumerate(sorted(wishes)):
            places[row[k]] = level, place - (len(row) - 1) / 2.0
    return places


def _label(scene: Scene, box: Box, digits: int) -> str:
    """A node's symbol, name and numbers, or a folded group's title."""
    if isinstance(box, Group):
        return escaped(box.title)
    op = box.op
    lines = [escaped((symbol(op) + "  " if op else "") + printable(scene.name(box), 32))]
    if kind(box) != "constant" or box.label:
        lines.append(escaped(number(box.data, digits)))
    if scene.shows_gradient(box):
        lines.append("grad " + escaped(number(box.grad, digits)))
    return r" \\ ".join(lines)


def escaped(text: str) -> str:
    r"""Text as TeX shows it; a letter that standard fonts lack is shown by its number.

    >>> escaped("50% a_1 σ")
    '50\\% a\\_1 $\\sigma$'
    """
    return "".join(
        _ESCAPED.get(c) or _SIGNS.get(c) or (c if c.isascii() else f"U+{ord(c):04X}") for c in text
    )
