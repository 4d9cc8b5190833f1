"""A drawing in DOT, the language of Graphviz: shapes, colours, labels and tooltips.

Every text that a user may have written goes through `_text` where it stands in a label, and through
`_tooltip` where it stands in a tooltip, and nowhere else: that is why a label can't break out.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

from graphviz import Digraph

from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.render.picture import Box, Edge, Picture, nodes_of
from micrograd_mlp.render.scene import PALETTE, Group, kind, symbol
from micrograd_mlp.render.text import printable

_TEXT, _MUTED, _LINE, _HIGHLIGHT = "#1f2430", "#5b6270", "#808080", "#e8590c"
_CHIP, _FRAME = "#f3f4f6", "#f6f3fc"
_SHAPES = {  # shape, style, and the kind whose colours it has
    "input": ("ellipse", "filled", "input"),
    "parameter": ("box", "filled", "parameter"),
    "constant": ("note", "filled", "constant"),
    "op": ("box", "filled,rounded", "op"),
    "neuron": ("box", "filled,rounded,bold", "group"),
    "layer": ("box", "filled,rounded,bold", "group"),
    "parameters": ("box", "filled,bold", "parameter"),
}
_DARK = {  # instead of the colours above, on a dark page
    _TEXT: "#eceff4", _MUTED: "#aab2c0", _CHIP: "#2a303b", _FRAME: "#201d2b", _HIGHLIGHT: "#ff9a5c",
} | {colours.fill: colours.dark_fill for colours in PALETTE.values()}  # fmt: skip
DARK_STYLE = "<style>@media (prefers-color-scheme: dark) {{ {} }}</style>".format(
    " ".join([f'[fill="{light}"] {{ fill: {dark} }}' for light, dark in _DARK.items()])
)
_FONT = "Arial"  # all renderers measure it alike, whether it is installed or not
_LABEL_LENGTH = 32  # a label has no more letters; the tooltip has them all
_TOOLTIP_LENGTH = 2000
_MANY = 500  # the layout of more boxes would take long
_VECTOR_LENGTH = 4  # the box of a folded layer shows no more numbers of its z and a


class DotWriter:
    """A method for each part of a drawing.

    Args:
        picture: the boxes to draw.
        local: whether edges carry their local derivatives.
    """

    def __init__(self, picture: Picture, local: bool) -> None:
        self.picture, self.scene, self.ids = picture, picture.scene, picture.ids
        self.local = local

    def write(self, frames: Iterable[Group]) -> str:
        """The DOT text, with frames around these groups."""
        dot = self._new_graph()
        framed = self.write_frames(dot, frames)
        for box in self.ids:
            if box not in framed:
                self.write_box(dot, box)
        if hidden := self.picture.hidden:
            text = f"{hidden:,} more node{'s' if hidden > 1 else ''}"
            style = {"style": "dashed,filled,rounded", "fillcolor": _CHIP, "color": _LINE}
            dot.node("more", text, shape="box", margin="0.15,0.1", tooltip=text, **style)
        for box, name in self.ids.items():
            for source, edges in self.picture.arrows(box):
                self.write_arrow(dot, source, box, edges)
            if self.picture.has_hidden_sources(box):
                dot.edge("more", name, style="dashed")
        return str(dot.source)

    def _new_graph(self) -> Digraph:
        most_edges = max(map(len, self.picture.sources.values()))
        dot = Digraph(
            graph_attr={
                "rankdir": self.picture.rankdir, "bgcolor": "transparent", "pad": "0.2", "nodesep": "0.18",
                # Many edges into one node need room to spread.
                "ranksep": f"{min(max(0.45, 0.1 * most_edges), 1.6):.2f}",
                "fontname": _FONT, "fontsize": "11", "fontcolor": _TEXT, "tooltip": " ",
            },
            node_attr={"fontname": _FONT, "fontsize": "11", "fontcolor": _TEXT, "margin": "0.08,0.05"},
            edge_attr={"fontname": _FONT, "fontsize": "10", "color": _LINE, "arrowsize": "0.6"},
        )  # fmt: skip
        if len(self.ids) > _MANY:
            dot.graph_attr |= {"mclimit": "0.1", "nslimit": "0.5"}  # a shorter search for the best layout
        if any(isinstance(box, Group) for box in self.ids):
            dot.graph_attr["ordering"] = "in"  # neuron 1 above neuron 2, which all have the same edges
        return dot

    def write_frames(self, dot: Digraph, frames: Iterable[Group]) -> set[Box]:
        """Write each frame with the boxes in it, and return these boxes."""
        framed: set[Box] = set()
        for i, frame in enumerate(frames):
            held = {self.picture.box(node) for node in frame.nodes} - framed
            inside = [box for box in self.ids if box in held]
            if inside:
                framed.update(inside)
                with dot.subgraph(name=f"cluster_{i}", graph_attr=_frame(frame)) as cluster:
                    for box in inside:
                        self.write_box(cluster, box)
        return framed

    def write_box(self, dot: Digraph, box: Box) -> None:
        """Write one box with its shape, colours, label and tooltip."""
        shape, style, colours = _SHAPES[box.level if isinstance(box, Group) else kind(box)]
        fill, border, _ = PALETTE[colours]
        attributes = {"shape": shape, "style": style, "fillcolor": fill, "color": border}
        if not self.picture.highlighted.isdisjoint(nodes_of(box)):
            attributes |= {"color": _HIGHLIGHT, "penwidth": "2.5"}
        if isinstance(box, Constant):
            attributes |= {"width": "0.35", "height": "0.3"}
        if shape == "ellipse":
            attributes["margin"] = "0,0"  # its curve leaves room enough
        label = self.group_label(box) if isinstance(box, Group) else self.node_label(box, border)
        lines = (line for node in nodes_of(box) if node.label or node is box for line in self.in_full(node))
        dot.node(self.ids[box], label, tooltip=_tooltip(lines), **attributes)

    def node_label(self, node: Value, border: str) -> str:
        """The name, data and gradient; an operation's symbol stands beside them."""
        name, data = _text(self.scene.name(node)), self.picture.number(node.data)
        if isinstance(node, Constant):
            return f"<{name} = {data}>" if node.label else f"<{data}>"
        numbers = [("data", data)]
        if self.scene.shows_gradient(node):
            numbers.append(("grad", self.picture.number(node.grad)))
        rows = _title(name) + _rows(numbers)
        if (op := node.op) is not None:
            sign = f'<FONT POINT-SIZE="16">{_text(symbol(op))}</FONT>'
            rows = rows.replace("<TR>", f'<TR><TD ROWSPAN="{1 + len(numbers)}">{sign}</TD><VR/>', 1)
        return _table(rows, border)

    def group_label(self, group: Group) -> str:
        """The title of a folded neuron or layer, its z, a and δ, and the norm of its parameters' gradient."""
        rows = [
            (name, self._vector([getattr(node, attribute) for node in nodes]))
            for name, attribute, nodes in group.quantities()
            if attribute == "data" or self.scene.has_gradients
        ]
        parameters = group.parameters
        if not group.neurons:
            rows.append(("numbers", f"{len(parameters):,}"))
        if parameters and self.scene.has_gradients:
            rows.append(("‖grad‖", self.picture.number(math.hypot(*[node.grad for node in parameters]))))
        return _table(_title(group.title) + _rows(rows))

    def in_full(self, node: Value) -> list[str]:
        """The lines of a tooltip: a node's operation or kind, and its numbers in full."""
        op = node.op
        what = op.name if op else kind(node)
        lines = [f"{self.scene.name(node)} ({what})", f"data {node.data!r}"]
        return [*lines, f"grad {node.grad!r}"] if self.scene.shows_gradient(node) else lines

    def _vector(self, numbers: Sequence[float]) -> str:
        shown = [self.picture.number(x) for x in numbers[:_VECTOR_LENGTH]]
        if len(numbers) > _VECTOR_LENGTH:
            shown.append(f"… ({len(numbers)})")
        return ", ".join(shown)

    def write_arrow(self, dot: Digraph, source: Box, box: Box, edges: Sequence[Edge]) -> None:
        """Write the arrow that stands for these edges."""
        name = self.scene.name
        tooltip = _tooltip(f"∂{name(child)}/∂{name(parent)} = {local!r}" for parent, child, local in edges)
        attributes = {"tooltip": tooltip}
        parent, _, local_grad = edges[0]
        if self.local and len(edges) == 1 and not isinstance(parent, Constant):
            text = f'<FONT COLOR="{_TEXT}">∂ {self.picture.number(local_grad)}</FONT>'
            chip = f'<TR><TD BGCOLOR="{_CHIP}">{text}</TD></TR>'
            attributes |= {"label": _table(chip), "labeltooltip": tooltip}
        if any(parent in self.picture.highlighted for parent, _, _ in edges):
            attributes |= {"color": _HIGHLIGHT, "penwidth": "2.5"}
        dot.edge(self.ids[source], self.ids[box], **attributes)


# Text of users is made harmless here. Tooltips are HTML-like strings too, since the graphviz package would
# search for quotes for seconds in a quoted string with many backslashes.


def _text(text: str, limit: int = _LABEL_LENGTH) -> str:
    # Graphviz reads \N as a node's name in HTML-like labels too, and \\ as one backslash.
    return html.escape(printable(text, limit)).replace("\\", r"\\")


def _tooltip(lines: Iterable[str]) -> str:
    shown: list[str] = []
    room = _TOOLTIP_LENGTH
    for line in lines:
        if room <= 0:
            shown.append("…")
            break
        shown.append(printable(line, room))
        room -= len(shown[-1])
    # Graphviz replaces \\ by one backslash twice in a tooltip.
    text = r"\n".join(html.escape(line).replace("\\", r"\\\\") for line in shown)
    return f"<{text}>"


# Parts of labels.


def _table(rows: str, line: str = _LINE) -> str:
    attributes = f'BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2" COLOR="{line}"'
    return f"<<TABLE {attributes}>{rows}</TABLE>>"


def _title(text: str) -> str:
    return f'<TR><TD COLSPAN="2"><B>{text}</B></TD></TR>'


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<TR><TD ALIGN="LEFT"><FONT COLOR="{_MUTED}">{name}</FONT></TD><TD ALIGN="RIGHT">{value}</TD></TR>'
        for name, value in rows
    )


def _frame(group: Group) -> dict[str, str]:
    title = f'<TR><TD ALIGN="LEFT"><B>{group.title}</B></TD></TR>'
    if group.neurons:
        title += f'<TR><TD ALIGN="LEFT"><FONT COLOR="{_MUTED}">{_text(group.formula(), 200)}</FONT></TD></TR>'
    return {
        "label": _table(title), "labeljust": "l", "style": "filled,rounded",
        "fillcolor": _FRAME, "color": PALETTE["group"].border, "tooltip": group.title,
    }  # fmt: skip
