"""The picture that a step-through plays on: an SVG of the graph with every number in its final state.

The page's script hides and shows parts of it by their data-node and data-edge attributes. Where there is
no script, as in a notebook that is not trusted, the picture stands by itself.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from micrograd_mlp.engine.value import Value
from micrograd_mlp.render.layout import Layout, lay_out
from micrograd_mlp.render.scene import kind
from micrograd_mlp.render.text import columns, number

_BOX, _GAP, _MARGIN = 112, 54, 12  # the width of a box, the space between columns, around everything
_HEIGHTS = {"input": 60, "parameter": 60, "op": 60, "constant": 42}
_CORNERS = {"input": 16, "parameter": 2, "op": 7, "constant": 2}
_LINE_LENGTH = 13  # letters that fit in a box


@dataclass(frozen=True)
class Shown:
    """What is written about one node."""

    node: Value
    name: str
    grad: float  # at the end of the backward pass


def picture(shown: Sequence[Shown]) -> str:
    """SVG of a graph, in ASCII.

    Args:
        shown: the nodes, parents before children.
    """
    order = [item.node for item in shown]
    heights = [_HEIGHTS[kind(node)] for node in order]
    layout = lay_out(order, heights, gap=16, lane=14)
    width = (1 + max(layout.columns)) * (_BOX + _GAP) - _GAP + 2 * _MARGIN
    size = f'width="{width}" height="{layout.height + 2 * _MARGIN:.0f}"'
    view = f'viewBox="{-_MARGIN} {-_MARGIN} {width} {layout.height + 2 * _MARGIN:.0f}"'
    style = Path(__file__).with_name("picture.css").read_text(encoding="utf-8")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} role="img" '
        f'aria-label="Graph of {len(order)} values with their gradients">',
        f"<style>{style}</style>",
        *_edges(order, layout),
        *(_box(i, item, _left(layout, i), layout.y[i]) for i, item in enumerate(shown)),
        "</svg>",
    ]
    return "\n".join(parts).encode("ascii", "xmlcharrefreplace").decode()


def _left(layout: Layout, i: int) -> int:
    return layout.columns[i] * (_BOX + _GAP)


def _edges(order: Sequence[Value], layout: Layout) -> list[str]:
    """One curve for every operand, through the lanes that the layout keeps free for it."""
    index = {node: i for i, node in enumerate(order)}
    paths = []
    for i, node in enumerate(order):
        # The edges enter on the left, from top to bottom as they come.
        column = layout.columns[i]
        operands = sorted(
            range(len(node.parents)),
            key=lambda k: (layout.routes[index[node.parents[k]], column - 1], index[node.parents[k]], k),
        )
        spacing = min(12.0, (_HEIGHTS["op"] - 16) / len(operands)) if operands else 0.0
        for position, k in enumerate(operands):
            parent = index[node.parents[k]]
            x, y = float(_left(layout, parent) + _BOX), layout.y[parent]
            path = [f"M{x:g} {y:.1f}"]
            for passed in range(layout.columns[parent] + 1, column):
                lane = layout.routes[parent, passed]
                path += [_curve(x, y, lane), f"h{_BOX}"]
                x, y = x + _GAP + _BOX, lane
            end = layout.y[i] + (position - (len(operands) - 1) / 2) * spacing
            path.append(_curve(x, y, end, arrow=5))
            paths.append(
                f'<path class="edge" data-edge="{i}-{k}" data-x="{x + _GAP / 2:g}" '
                f'data-y="{(y + end) / 2:.1f}" d="{"".join(path)}"/>'
                f'<path class="arrow" data-edge="{i}-{k}" d="M{x + _GAP:g} {end:.1f}l-6 -3.5v7z"/>'
            )
    return paths


def _curve(x: float, y: float, end: float, arrow: float = 0) -> str:
    """Across the space between two columns, leaving and arriving horizontally."""
    middle, right = x + _GAP / 2, x + _GAP - arrow
    return f"C{middle:g} {y:.1f} {middle:g} {end:.1f} {right:g} {end:.1f}"


def _box(i: int, item: Shown, left: int, middle: float) -> str:
    node, what = item.node, kind(item.node)
    height = _HEIGHTS[what]
    symbol = _fit(node.op.symbol, 9) if node.op is not None else ""
    name = _fit(item.name, _LINE_LENGTH - len(symbol) - bool(symbol))
    shape = f'width="{_BOX}" height="{height}" rx="{_CORNERS[what]}"'
    rows = [
        f'<g class="node {what}" data-node="{i}" transform="translate({left} {middle - height / 2:.1f})">',
        f"<title>{html.escape(item.name)}: data {node.data!r}"
        + (f", gradient {item.grad!r}" if what != "constant" else "")
        + "</title>",
        f'<rect class="box" {shape}/>',
        _text("name", 9, 16, name),
        _text("symbol", _BOX - 9, 16, symbol),
        _text("key", 9, 33, "data"),
        _text("data", _BOX - 9, 33, number(node.data)),
    ]
    if what != "constant":
        rows += [
            f'<rect class="room" x="4" y="39" width="{_BOX - 8}" height="16" rx="5"/>',
            f'<rect class="fill" x="4" y="39" width="{_BOX - 8}" height="16" rx="5"/>',
            _text("key", 9, 51, "grad"),
            _text("grad", _BOX - 9, 51, number(item.grad)),
        ]
    return "".join([*rows, "</g>"])


def _text(what: str, x: int, y: int, text: str) -> str:
    return f'<text class="{what}" x="{x}" y="{y}">{html.escape(text)}</text>'


def _fit(text: str, room: int) -> str:
    """The text, cut so that it takes at most so many columns."""
    if columns(text) <= room:
        return text
    while columns(text) > room - 1:
        text = text[:-1]
    return text + "…"
