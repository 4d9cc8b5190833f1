"""The boxes of a drawing in DOT, the language of Graphviz: shapes, colours, labels and tooltips.

Every text that a user may have written goes through `_text` where it stands in a label, and through
`_tooltip` where it stands in a tooltip, and nowhere else: that is why a label can't break out.
"""

from __future__ import annotations

import html
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from graphviz import Digraph

from micrograd_mlp.engine.value import Constant, Parameter, Value
from micrograd_mlp.render.boxes import Box, Edge, FoldedGraph, Group, nodes_of
from micrograd_mlp.render.text import kind, number, printable

# Every node has its own light fill and dark text, and lines are mid-grey, so that a drawing without a
# background can be read on a light page and on a dark one.
_TEXT, _MUTED, _LINE, _HIGHLIGHT = "#1f2430", "#5b6270", "#808080", "#e8590c"
_CHIP, _FRAME = "#f3f4f6", "#f6f3fc"
_STYLES = {  # shape, style, fill, border
    "input": ("ellipse", "filled", "#d6e8fd", "#2f7de0"),
    "parameter": ("box", "filled", "#fdebb8", "#c98500"),
    "constant": ("note", "filled", "#e4e6eb", "#7a8190"),
    "op": ("box", "filled,rounded", "#dcf3e1", "#2e9e57"),
    "neuron": ("box", "filled,rounded,bold", "#ebe2fc", "#8257d8"),
    "layer": ("box", "filled,rounded,bold", "#ebe2fc", "#8257d8"),
    "parameters": ("box", "filled,bold", "#fdebb8", "#c98500"),
}
_FONT = "Arial"  # measured alike by all renderers, whether it is installed or not
_SYMBOLS = {"*": "×", "-": "−", "**": "^"}  # what is typed in a program is hard to see alone in a node
_LABEL_LENGTH = 32  # letters; the rest is cut, and stands in the tooltip
_TOOLTIP_LENGTH = 2000
_MANY = 500  # boxes; for more the layout would take long
_VECTOR_LENGTH = 4  # numbers of a folded layer's z and a; the rest are cut


def write_dot(
    graph: FoldedGraph,
    shown: Mapping[Box, None],
    hidden: int,
    frames: Iterable[Group],
    on_path: set[Value],
    rankdir: str,
    local: bool,
    digits: int,
) -> str:
    """DOT text for a drawing.

    Args:
        graph: the graph after folding.
        shown: the boxes to draw.
        hidden: how many nodes are in none of them.
        frames: groups to draw a frame around.
        on_path: the nodes to highlight.
        rankdir: "LR" or "TB".
        local: whether edges carry their local derivatives.
        digits: significant digits.
    """
    return _Writer(graph, shown, on_path, local, digits).write(hidden, frames, rankdir)


class _Writer:
    """The options that all parts of a drawing depend on, and a method for each part."""

    def __init__(
        self,
        graph: FoldedGraph,
        shown: Mapping[Box, None],
        on_path: set[Value],
        local: bool,
        digits: int,
    ) -> None:
        self.on_path = on_path
        self.local = local
        self.digits = digits
        self.graph = graph
        self.ids = {box: f"n{i}" for i, box in enumerate(shown)}

    def number(self, x: float) -> str:
        return number(x, self.digits)

    def write(self, hidden: int, frames: Iterable[Group], rankdir: str) -> str:
        edges = {box: self.sources(box) for box in self.ids}
        dot = Digraph(
            graph_attr={
                "rankdir": rankdir, "bgcolor": "transparent", "pad": "0.2", "nodesep": "0.18",
                # Many edges into one node need room to spread.
                "ranksep": f"{min(max(0.45, 0.1 * max(map(len, edges.values()))), 1.6):.2f}",
                "fontname": _FONT, "fontsize": "11", "fontcolor": _TEXT, "tooltip": " ",
            },
            node_attr={"fontname": _FONT, "fontsize": "11", "fontcolor": _TEXT, "margin": "0.08,0.05"},
            edge_attr={"fontname": _FONT, "fontsize": "10", "color": _LINE, "arrowsize": "0.6"},
        )  # fmt: skip
        if len(self.ids) > _MANY:
            dot.graph_attr |= {"mclimit": "0.1", "nslimit": "0.5"}  # search less for the finest layout
        if any(isinstance(box, Group) for box in self.ids):
            dot.graph_attr["ordering"] = "in"  # neuron 1 above neuron 2, which all have the same edges
        framed: set[Box] = set()
        for i, frame in enumerate(frames):
            held = {self.graph.box(node) for node in frame.nodes} - framed
            inside = [box for box in self.ids if box in held]
            if inside:
                framed.update(inside)
                with dot.subgraph(name=f"cluster_{i}", graph_attr=_frame(frame)) as cluster:
                    for box in inside:
                        self.write_box(cluster, box)
        for box in self.ids:
            if box not in framed:
                self.write_box(dot, box)
        if hidden:
            text = f"{hidden:,} more node{'s' if hidden > 1 else ''}"
            style = {"style": "dashed,filled,rounded", "fillcolor": _CHIP, "color": _LINE}
            dot.node("more", text, shape="box", margin="0.15,0.1", tooltip=text, **style)
        for box, sources in edges.items():
            for source, uses in sources.items():
                if source not in self.ids:
                    continue
                # One edge for each use of a parent; one for all of them where something is folded.
                together = isinstance(source, Group) or isinstance(box, Group)
                for part in [uses] if together else [[use] for use in uses]:
                    self.write_edge(dot, source, box, part)
            if not sources.keys() <= self.ids.keys():
                dot.edge("more", self.ids[box], style="dashed")
        return str(dot.source)

    def sources(self, box: Box) -> dict[Box, list[Edge]]:
        """The boxes with an edge into this one."""
        found: dict[Box, list[Edge]] = defaultdict(list)
        for source, edge in self.graph.edges_into(box):
            found[source].append(edge)
        return found

    def write_box(self, dot: Digraph, box: Box) -> None:
        shape, style, fill, border = _STYLES[box.level if isinstance(box, Group) else kind(box)]
        attributes = {"shape": shape, "style": style, "fillcolor": fill, "color": border}
        if not self.on_path.isdisjoint(nodes_of(box)):
            attributes |= {"color": _HIGHLIGHT, "penwidth": "2.5"}
        if isinstance(box, Constant):
            attributes |= {"width": "0.35", "height": "0.3"}
        label = self.group_label(box) if isinstance(box, Group) else self.node_label(box, border)
        lines = (line for node in nodes_of(box) if node.label or node is box for line in _in_full(node))
        dot.node(self.ids[box], label, tooltip=_tooltip(lines), **attributes)

    def node_label(self, node: Value, border: str) -> str:
        """The label, data and gradient; an operation's symbol stands beside them."""
        if isinstance(node, Constant):  # what lands in a constant's gradient means nothing
            name = f"{_text(node.label)} = " if node.label else ""
            return f"<{name}{self.number(node.data)}>"
        rows = _rows([("data", self.number(node.data)), ("grad", self.number(node.grad))])
        if node.label:
            rows = f"{_title(_text(node.label))}{rows}"
        if node.op is not None:
            symbol = _text(_SYMBOLS.get(node.op.symbol, node.op.symbol) or kind(node))
            cell = f'<TD ROWSPAN="{3 if node.label else 2}"><FONT POINT-SIZE="16">{symbol}</FONT></TD><VR/>'
            rows = rows.replace("<TR>", f"<TR>{cell}", 1)
        return _table(rows, border)

    def group_label(self, group: Group) -> str:
        """The numbers that a folded neuron or layer is known by."""
        rows = [(name, self.vector(numbers)) for name, numbers in _vectors(group)]
        gradients = [node.grad for node in group.nodes if isinstance(node, Parameter)]
        if not group.neurons:
            rows.append(("numbers", f"{len(gradients):,}"))
        if gradients:
            rows.append(("‖grad‖", self.number(math.hypot(*gradients))))
        return _table(_title(group.title) + _rows(rows))

    def vector(self, numbers: Sequence[float]) -> str:
        shown = [self.number(x) for x in numbers[:_VECTOR_LENGTH]]
        if len(numbers) > _VECTOR_LENGTH:
            shown.append(f"… ({len(numbers)})")
        return ", ".join(shown)

    def write_edge(self, dot: Digraph, source: Box, box: Box, uses: Sequence[Edge]) -> None:
        tooltip = _tooltip(f"∂{_name(child)}/∂{_name(parent)} = {local!r}" for parent, child, local in uses)
        attributes = {"tooltip": tooltip}
        parent, _, local_grad = uses[0]
        if self.local and len(uses) == 1 and not isinstance(parent, Constant):
            text = f'<FONT COLOR="{_TEXT}">∂ {self.number(local_grad)}</FONT>'
            chip = f'<TR><TD BGCOLOR="{_CHIP}">{text}</TD></TR>'
            attributes |= {"label": _table(chip), "labeltooltip": tooltip}
        if any(parent in self.on_path for parent, _, _ in uses):
            attributes |= {"color": _HIGHLIGHT, "penwidth": "2.5"}
        dot.edge(self.ids[source], self.ids[box], **attributes)


# What users wrote, made harmless. HTML-like strings serve for tooltips too: in a quoted one, a label of
# backslashes would keep the graphviz package's search for quotes busy for seconds.


def _text(text: str) -> str:
    # Graphviz reads \N as a node's name in HTML-like labels too, and \\ as one backslash.
    return html.escape(printable(text, _LABEL_LENGTH)).replace("\\", r"\\")


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
        title += f'<TR><TD ALIGN="LEFT"><FONT COLOR="{_MUTED}">{_formula(group)}</FONT></TD></TR>'
    _, _, _, border = _STYLES[group.level]
    return {
        "label": _table(title), "labeljust": "l", "style": "filled,rounded",
        "fillcolor": _FRAME, "color": border, "tooltip": group.title,
    }  # fmt: skip


def _name(node: Value) -> str:
    return node.label or (node.op.symbol if node.op else kind(node))


def _in_full(node: Value) -> list[str]:
    """What a node is and its numbers to the last digit, for a tooltip."""
    what = node.op.name if node.op else kind(node)
    lines = [f"{node.label} ({what})" if node.label else what, f"data {node.data!r}"]
    return lines if isinstance(node, Constant) else [*lines, f"grad {node.grad!r}"]


def _vectors(group: Group) -> Iterator[tuple[str, list[float]]]:
    """z, a and δ = ∂(output)/∂z by the paper's names."""
    neurons = group.neurons
    if not neurons:
        return
    where = f"{neurons[0].layer}" + (f"[{neurons[0].index}]" if group.level == "neuron" else "")
    yield f"z{where}", [neuron.z.data for neuron in neurons]
    if any(neuron.a is not neuron.z for neuron in neurons):
        yield f"a{where}", [neuron.a.data for neuron in neurons]
    yield f"δ{where}", [neuron.z.grad for neuron in neurons]


def _formula(group: Group) -> str:
    """What a neuron (§2.1) or a layer (§3.1) computes."""
    neuron = group.neurons[0]
    layer, j = neuron.layer, neuron.index
    names = {(x.label or "").partition("[")[0] for x in neuron.inputs}
    x = _text(names.pop()) if len(names) == 1 else ""
    x = x or ("x" if layer == 1 else f"a{layer - 1}")
    if group.level == "layer":
        z, a, weighted_sum = f"z{layer}", f"a{layer}", f"W{layer} {x} + b{layer}"
    else:
        z, a = f"z{layer}[{j}]", f"a{layer}[{j}]"
        weighted_sum = f"Σ W{layer}[{j},k] {x}[k] + b{layer}[{j}]"
    if neuron.a is neuron.z:
        return f"{z} = {weighted_sum}"
    sigma = _text(neuron.a.op.symbol) if neuron.a.op and neuron.z in neuron.a.parents else "σ"
    return f"{z} = {weighted_sum}, {a} = {sigma}({z})"
