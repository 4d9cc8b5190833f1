r"""A drawing as TikZ, the pictures of LaTeX: a file that compiles alone and inside a paper.

`\input{graph.tex}` puts the picture into a paper that loads the package tikz. Alone, the file is its own
document.
"""

from __future__ import annotations

from collections import defaultdict
from graphlib import TopologicalSorter
from statistics import fmean

from micrograd_mlp.render.picture import Box, Picture
from micrograd_mlp.render.scene import PALETTE, kind

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


def write_tikz(picture: Picture) -> str:
    """The text of a TeX file."""
    lines = [
        _BEFORE + r"\begin{tikzpicture}[every node/.style={align=center, font=\scriptsize, inner sep=2pt}]"
    ]
    for what, colours in PALETTE.items():
        for part, colour in (("fill", colours.fill), ("line", colours.border)):
            lines.append(rf"  \definecolor{{{what}{part}}}{{HTML}}{{{colour.lstrip('#').upper()}}}")
    for box, (x, y) in _positions(picture).items():
        what = kind(box)
        style = f"draw={what}line, fill={what}fill, {_SHAPES.get(what, 'rectangle')}"
        label = r" \\ ".join(map(escaped, picture.lines(box)))
        lines.append(rf"  \node[{style}] ({picture.ids[box]}) at ({x:.2f}, {y:.2f}) {{{label}}};")
    if picture.hidden:
        style = r"below, font=\scriptsize"
        lines.append(rf"  \node[{style}] at (current bounding box.south) {{{picture.hidden} more nodes}};")
    for box, name in picture.ids.items():
        sources = [picture.ids[source] for source in picture.sources[box] if source in picture.ids]
        lines += [rf"  \draw[->, gray] ({source}) -- ({name});" for source in sources]
    return "\n".join([*lines, r"\end{tikzpicture}", r"\enddrawing", ""])


def _positions(picture: Picture) -> dict[Box, tuple[float, float]]:
    """For each box x and y: one rank before the first box that uses it, near the middle of its sources."""
    sources = {box: [s for s in its if s in picture.ids] for box, its in picture.sources.items()}
    to_output = dict.fromkeys(sources, 0)  # the number of edges on the longest way to the output
    in_order = list(TopologicalSorter(sources).static_order())
    for box in reversed(in_order):
        for source in sources[box]:
            to_output[source] = max(to_output[source], to_output[box] + 1)
    ranks: dict[int, list[Box]] = defaultdict(list)
    for box in picture.ids:
        ranks[-to_output[box]].append(box)
    across: dict[Box, float] = {}  # the position within the rank, 0 being the middle
    for _, rank in sorted(ranks.items()):
        middle = (len(rank) - 1) / 2.0
        wishes = {
            box: fmean([across[source] for source in sources[box]] or [k - middle])
            for k, box in enumerate(rank)
        }
        across |= {box: k - middle for k, box in enumerate(sorted(rank, key=wishes.__getitem__))}
    if picture.rankdir == "LR":
        return {box: (-2.6 * to_output[box], -1.1 * across[box]) for box in picture.ids}
    return {box: (2.2 * across[box], 1.5 * to_output[box]) for box in picture.ids}


def escaped(text: str) -> str:
    """Text as TeX shows it; a letter that standard fonts lack is shown by its number."""
    return "".join(
        _ESCAPED.get(c) or _SIGNS.get(c) or (c if c.isascii() else f"U+{ord(c):04X}") for c in text
    )
