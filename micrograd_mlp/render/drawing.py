"""`draw`: a computation graph as a picture, with every number that backpropagation computes (§6, §7).

A drawing is made in three steps: which nodes belong to one box (`_fold`), which boxes are shown
(`_nearest`), and what they look like in DOT, the language of Graphviz (`_write`).
"""

from __future__ import annotations

import base64
import html
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from graphviz import Digraph, nohtml

from micrograd_mlp.files import write_atomically
from micrograd_mlp.render import graphviz_backend
from micrograd_mlp.render.neurons import Layer, Neuron, find_layers
from micrograd_mlp.render.text import kind, number, printable
from micrograd_mlp.value import Constant, Parameter, Value

# Every node has its own light fill and dark text, and lines are mid-grey, so that a drawing without a
# background can be read on a light page and on a dark one.
_TEXT, _MUTED, _LINE, _HIGHLIGHT = "#1f2430", "#5b6270", "#808080", "#e8590c"
_STYLES = {  # shape and style, fill, border
    "input": ("ellipse", "filled", "#d6e8fd", "#2f7de0"),
    "parameter": ("box", "filled", "#fdebb8", "#c98500"),
    "constant": ("note", "filled", "#e4e6eb", "#7a8190"),
    "op": ("box", "filled,rounded", "#dcf3e1", "#2e9e57"),
    "neuron": ("box", "filled,rounded,bold", "#ebe2fc", "#8257d8"),
    "layer": ("box", "filled,rounded,bold", "#ebe2fc", "#8257d8"),
    "parameters": ("box", "filled,bold", "#fdebb8", "#c98500"),
}
_FONT = "Helvetica,Arial,sans-serif"
_LABEL_LENGTH = 32  # letters; what is longer is cut
_TOOLTIP_LENGTH = 2000  # Graphviz 2.43 refuses a quoted string of more than 16384 bytes
_VECTOR_LENGTH = 4  # numbers of a folded layer's z and a; the rest are dots

Level = Literal["neuron", "layer"]


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
    _check_options(value, rankdir, group_by, collapse, highlight, max_nodes, depth, digits)
    order = value.topological_order()
    on_path = _paths(order, highlight)
    layers = find_layers(order) if group_by or collapse else []
    graph = _Graph(order, _groups(layers, collapse))
    shown = _nearest(graph, graph.box(value), on_path, max_nodes, depth)
    frames = [] if collapse in (group_by, "layer") else _groups(layers, group_by)
    return Drawing(_Writer(graph, on_path, local, digits).write(shown, frames, rankdir))


def _check_options(
    value: Value,
    rankdir: str,
    group_by: str | None,
    collapse: str | None,
    highlight: Value | None,
    max_nodes: int,
    depth: int | None,
    digits: int,
) -> None:
    if not isinstance(value, Value):
        hint = ": draw one of them, or the loss" if isinstance(value, list | tuple) else ""
        raise TypeError(f"draw shows the graph of one Value, got {value!r:.60}{hint}")
    if not isinstance(highlight, Value | None):
        raise TypeError(f"highlight is a node of the graph, got {highlight!r:.60}")
    levels = ("neuron", "layer", None)
    for name, given, known in (
        ("rankdir", rankdir, ("LR", "TB")),
        ("group_by", group_by, levels),
        ("collapse", collapse, levels),
    ):
        if given not in known:
            raise ValueError(f"{name} must be one of {known}, got {given!r:.60}")
    for name, number_given, least in (
        ("max_nodes", max_nodes, 1),
        ("depth", depth, 0),
        ("digits", digits, 1),
    ):
        if name == "depth" and number_given is None:
            continue
        if not isinstance(number_given, int) or isinstance(number_given, bool):
            raise TypeError(f"{name} must be an int, got {number_given!r:.60}")
        if number_given < least:
            raise ValueError(f"{name} must be {least} or more, got {number_given}")


# Which nodes share a box


class _Group:
    """Nodes that are framed together, or folded into one box: a neuron, a layer, shared parameters."""

    def __init__(self, level: str, title: str, nodes: list[Value], neurons: Sequence[Neuron] = ()) -> None:
        self.level = level
        self.title = title
        self.nodes = nodes
        self.neurons = neurons

    @property
    def parameters(self) -> list[Value]:
        return [node for node in self.nodes if isinstance(node, Parameter)]


_Box = Value | _Group
_Edge = tuple[Value, Value, float]  # parent, child, ∂child/∂parent


class _Graph:
    """The graph after folding: its boxes are nodes and groups."""

    def __init__(self, order: list[Value], folded: Iterable[_Group]) -> None:
        self.order = order
        self._group_of = {node: group for group in folded for node in group.nodes}

    def box(self, node: Value) -> _Box:
        return self._group_of.get(node, node)

    @staticmethod
    def nodes(box: _Box) -> list[Value]:
        return [box] if isinstance(box, Value) else box.nodes

    def edges_into(self, box: _Box) -> Iterator[tuple[_Box, _Edge]]:
        for node in self.nodes(box):
            for parent, local_grad in zip(node.parents, node.local_grads):
                source = self.box(parent)
                if source is not box:
                    yield source, (parent, node, local_grad)


def _groups(layers: Sequence[Layer], level: Level | None) -> list[_Group]:
    """The layers' neurons, or the layers, and the parameters that several of them share."""
    if level is None:
        return []
    groups = []
    users: dict[Parameter, list[_Group]] = defaultdict(list)
    several = any(layer.example > 1 for layer in layers)
    for layer in layers:
        example = f", example {layer.example}" if several else ""
        for neurons in (
            [list(layer.neurons.values())] if level == "layer" else [[n] for n in layer.neurons.values()]
        ):
            name = (
                f"layer {layer.number}"
                if level == "layer"
                else f"neuron {neurons[0].index} of layer {layer.number}"
            )
            group = _Group(level, name + example, [node for n in neurons for node in n.nodes], neurons)
            groups.append(group)
            for neuron in neurons:
                for parameter in neuron.parameters:
                    users[parameter].append(group)
    shared: dict[tuple[_Group, ...], list[Value]] = defaultdict(list)
    for parameter, used_by in users.items():
        if len(used_by) > 1:
            shared[tuple(used_by)].append(parameter)
    for sharing, parameters in shared.items():
        title = f"parameters of {sharing[0].title.partition(',')[0]}"
        groups.append(_Group("parameters", title, parameters))
    return groups


# Which boxes are shown


def _paths(order: Sequence[Value], start: Value | None) -> set[Value]:
    """The nodes on all paths from `start` to the last node of the order."""
    if start is None:
        return set()
    on_path = {start}
    for node in order:
        if not on_path.isdisjoint(node.parents):
            on_path.add(node)
    if order[-1] not in on_path:
        name = printable(start.label or repr(start), 40)
        raise ValueError(f"highlight: {name} is not in this graph, so no path leads from it to the output")
    return on_path


def _nearest(
    graph: _Graph, output: _Box, first: set[Value], max_nodes: int, depth: int | None
) -> dict[_Box, None]:
    """At most `max_nodes` boxes, by their distance from the output, those with a node in `first` first."""
    shown: dict[_Box, None] = {}  # a set in the order of insertion
    for allowed in (first, None) if first else (None,):
        reached = {output}
        frontier: list[_Box] = [output]
        distance = 0
        while frontier and len(shown) < max_nodes:
            shown.update(dict.fromkeys(frontier[: max_nodes - len(shown)]))
            distance += 1
            if depth is not None and distance > depth:
                break
            following: list[_Box] = []
            for box in frontier:
                for source, (parent, _, _) in graph.edges_into(box):
                    if source not in reached and (allowed is None or parent in allowed):
                        reached.add(source)
                        following.append(source)
            frontier = following
    return shown


# What the boxes look like in DOT. Every text that a user may have written goes through `_text` where it
# stands in an HTML-like label, and through `_tooltip` where it stands in a string.


def _text(text: str) -> str:
    return html.escape(printable(text, _LABEL_LENGTH))


def _tooltip(lines: Iterable[str]) -> str:
    shown: list[str] = []
    room = _TOOLTIP_LENGTH
    for line in lines:
        if room <= 0:
            shown.append("…")
            break
        shown.append(printable(line, room))
        room -= len(shown[-1]) + 1
    text = "\\n".join(line.replace("\\", "\\\\") for line in shown)
    return str(nohtml(text.replace("&", "&amp;")))


def _name(node: Value) -> str:
    return node.label or (node.op.symbol if node.op else kind(node))


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<TR><TD ALIGN="LEFT"><FONT COLOR="{_MUTED}">{name}</FONT></TD><TD ALIGN="RIGHT">{value}</TD></TR>'
        for name, value in rows
    )


def _table(content: str) -> str:
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{content}</TABLE>>'


class _Writer:
    def __init__(self, graph: _Graph, on_path: set[Value], local: bool, digits: int) -> None:
        self.graph = graph
        self.on_path = on_path
        self.local = local
        self.digits = digits

    def number(self, x: float) -> str:
        return number(x, self.digits)

    def write(self, shown: dict[_Box, None], frames: Sequence[_Group], rankdir: str) -> str:
        dot = Digraph(
            graph_attr={
                "rankdir": rankdir, "bgcolor": "transparent", "pad": "0.2", "nodesep": "0.18",
                "ranksep": "0.45", "fontname": _FONT, "tooltip": " ",
            },
            node_attr={"fontname": _FONT, "fontsize": "11", "fontcolor": _TEXT, "margin": "0.06,0.03"},
            edge_attr={"fontname": _FONT, "fontsize": "10", "color": _LINE, "arrowsize": "0.6"},
        )  # fmt: skip
        self.ids = {box: f"n{i}" for i, box in enumerate(shown)}
        framed: set[_Box] = set()
        for i, frame in enumerate(frames):
            boxes = dict.fromkeys(self.graph.box(node) for node in frame.nodes)
            inside = [box for box in boxes if box in shown and box not in framed]
            if inside:
                framed.update(inside)
                with dot.subgraph(name=f"cluster_{i}", graph_attr=self.frame(frame)) as cluster:
                    for box in inside:
                        self.write_box(cluster, box)
        for box in shown:
            if box not in framed:
                self.write_box(dot, box)
        for box in shown:
            self.write_edges(dot, box)
        hidden = len(self.graph.order) - sum(len(self.graph.nodes(box)) for box in shown)
        if hidden:
            text = f"{hidden:,} more node{'s' if hidden > 1 else ''}"
            style = {"style": "dashed,filled,rounded", "fillcolor": "#f3f4f6", "color": _LINE}
            dot.node("more", text, shape="box", margin="0.15,0.1", **style)
        return str(dot.source)

    def frame(self, group: _Group) -> dict[str, str]:
        formula = (
            f'<BR ALIGN="LEFT"/><FONT COLOR="{_MUTED}">{_formula(group)}</FONT>' if group.neurons else ""
        )
        _, _, _, border = _STYLES[group.level]
        return {
            "label": f'<<B>{group.title}</B>{formula}<BR ALIGN="LEFT"/>>',
            "labeljust": "l", "fontsize": "11", "fontcolor": _TEXT, "style": "filled,rounded",
            "fillcolor": "#f6f3fc", "color": border, "tooltip": group.title,
        }  # fmt: skip

    def write_box(self, dot: Digraph, box: _Box) -> None:
        shape, style, fill, border = _STYLES[kind(box) if isinstance(box, Value) else box.level]
        attributes = {"shape": shape, "style": style, "fillcolor": fill, "color": border}
        if not self.on_path.isdisjoint(self.graph.nodes(box)):
            attributes |= {"color": _HIGHLIGHT, "penwidth": "2.5"}
        if isinstance(box, Value):
            dot.node(self.ids[box], self.node_label(box), tooltip=_tooltip(self.full(box)), **attributes)
        else:
            dot.node(
                self.ids[box], self.group_label(box),
                tooltip=_tooltip(line for node in box.nodes if node.label for line in self.full(node)),
                **attributes,
            )  # fmt: skip

    def node_label(self, node: Value) -> str:
        """The label, data and gradient; an operation's symbol stands beside them."""
        if isinstance(node, Constant):  # what lands in a constant's gradient means nothing
            name = f"{_text(node.label)} = " if node.label else ""
            return f"<{name}{self.number(node.data)}>"
        rows = [("data", self.number(node.data)), ("grad", self.number(node.grad))]
        title = f'<TR><TD COLSPAN="2"><B>{_text(node.label)}</B></TD></TR>' if node.label else ""
        content = title + _rows(rows)
        if node.op is None:
            return _table(content)
        symbol = (
            f'<TD ROWSPAN="{3 if title else 2}"><FONT POINT-SIZE="16">{_text(node.op.symbol)}</FONT></TD>'
        )
        return _table(content.replace("<TR>", f"<TR>{symbol}<VR/>", 1))

    def full(self, node: Value) -> list[str]:
        """The lines of a tooltip: what the node is, and its numbers in full."""
        what = f"{node.op.name}" if node.op else kind(node)
        lines = [f"{node.label} ({what})" if node.label else what, f"data {node.data!r}"]
        return lines if isinstance(node, Constant) else [*lines, f"grad {node.grad!r}"]

    def group_label(self, group: _Group) -> str:
        rows = []
        for letter, numbers in _vectors(group):
            rows.append((letter, self.vector(numbers)))
        norm = math.hypot(*(node.grad for node in group.parameters))
        if group.parameters:
            rows.append(("‖grad‖", self.number(norm)))
        return _table(f'<TR><TD COLSPAN="2"><B>{group.title}</B></TD></TR>' + _rows(rows))

    def vector(self, numbers: Sequence[float]) -> str:
        if len(numbers) == 1:
            return self.number(numbers[0])
        dots = [f"… {len(numbers)}"] if len(numbers) > _VECTOR_LENGTH else []
        return ", ".join([self.number(x) for x in numbers[:_VECTOR_LENGTH]] + dots)

    def write_edges(self, dot: Digraph, box: _Box) -> None:
        """One edge for each use of a parent, or one for all between two boxes of which one is folded."""
        edges: dict[_Box, list[_Edge]] = defaultdict(list)
        for source, edge in self.graph.edges_into(box):
            edges[source].append(edge)
        for source, uses in edges.items():
            if source not in self.ids:
                continue
            if isinstance(source, Value) and isinstance(box, Value):
                for use in uses:
                    self.write_edge(dot, source, box, [use])
            else:
                self.write_edge(dot, source, box, uses)
        if not edges.keys() <= self.ids.keys():
            dot.edge("more", self.ids[box], style="dashed")

    def write_edge(self, dot: Digraph, source: _Box, box: _Box, uses: Sequence[_Edge]) -> None:
        tooltip = _tooltip(f"∂{_name(child)}/∂{_name(parent)} = {local!r}" for parent, child, local in uses)
        attributes = {"tooltip": tooltip, "labeltooltip": tooltip}
        if self.local and len(uses) == 1 and not isinstance(uses[0][0], Constant):  # no one asks for ∂/∂2
            attributes["label"] = (
                '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2" BGCOLOR="#f3f4f6">'
                f'<TR><TD><FONT COLOR="{_TEXT}">∂ {self.number(uses[0][2])}</FONT></TD></TR></TABLE>>'
            )
        if any(parent in self.on_path for parent, _, _ in uses):
            attributes |= {"color": _HIGHLIGHT, "penwidth": "2.5"}
        dot.edge(self.ids[source], self.ids[box], **attributes)


def _vectors(group: _Group) -> Iterator[tuple[str, list[float]]]:
    """The rows of a folded group: z, a and δ by the paper's names."""
    neurons = group.neurons
    if not neurons:
        yield "numbers", [float(len(group.nodes))]
        return
    where = f"{neurons[0].layer}" + (f"[{neurons[0].index}]" if group.level == "neuron" else "")
    yield f"z{where}", [neuron.z.data for neuron in neurons]
    if any(neuron.a is not neuron.z for neuron in neurons):
        yield f"a{where}", [neuron.a.data for neuron in neurons]
    yield f"δ{where}", [neuron.z.grad for neuron in neurons]


def _formula(group: _Group) -> str:
    """What a neuron (§2.1) or a layer (§3.1) computes."""
    neuron = group.neurons[0]
    layer, j = neuron.layer, neuron.index
    names = {(x.label or "").partition("[")[0] for x in neuron.inputs}
    x = _text(names.pop()) if len(names) == 1 else ""
    x = x or ("x" if layer == 1 else f"a{layer - 1}")
    sigma = _text(neuron.a.op.symbol) if neuron.a.op and neuron.z in neuron.a.parents else "σ"
    if group.level == "layer":
        z, a, sums = f"z{layer}", f"a{layer}", f"W{layer} {x} + b{layer}"
    else:
        z, a, sums = f"z{layer}[{j}]", f"a{layer}[{j}]", f"Σ W{layer}[{j},k] {x}[k] + b{layer}[{j}]"
    return f"{z} = {sums}" + (f", {a} = {sigma}({z})" if neuron.a is not neuron.z else "")
