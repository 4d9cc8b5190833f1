"""`tree`: a computation graph as text, for a terminal.

The output stands first and every node's parents below it, as the chain rule walks (§6, §7).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import NamedTuple

from micrograd_mlp._require import require_count, require_kind
from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.render.scene import Scene, require_current, symbol
from micrograd_mlp.render.text import columns, number, printable


class _Letters(NamedTuple):
    branch: str
    last: str
    bar: str
    gap: str
    deep: str
    ellipsis: str


_BOX = _Letters("├── ", "└── ", "│   ", "    ", "⋯ ", "…")
_ASCII = _Letters("|-- ", "`-- ", "|   ", "    ", "~ ", "...")


def tree(
    value: Value,
    depth: int | None = None,
    width: int | None = None,
    ascii: bool = False,  # noqa: A002 - the word that terminals use
    digits: int = 4,
) -> str:
    """The graph below `value` as text: a line for each node, its parents indented below it.

    Every node has the name that `draw` and `explain` give it too: its label, or f for the output, a
    constant's number, and v1, v2, … for all others. An operation that is used several times is printed
    with its parents where it is met first. Gradients are shown once `backward()` has filled them.

    Args:
        value: the output of the graph.
        depth: how many levels below the output are shown; None shows all.
        width: the columns of a line; None takes the terminal's width. A label that is too long is cut.
        ascii: whether to use only ASCII letters.
        digits: significant digits of the numbers.

    Raises:
        TypeError: `value` is not a Value, or depth, width or digits is not an int.
        ValueError: a negative depth, a width below 20, or fewer than one digit; or some leaf
            has changed since the value was computed.

    >>> w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(-1.0, "b")
    >>> a = (w * x + b).tanh()
    >>> a.label = "a"
    >>> a.backward()
    >>> print(tree(a))
    a = tanh  data=0  grad=1
    └── v2 = +  data=0  grad=1
        ├── v1 = ×  data=1  grad=1
        │   ├── w  data=0.5  grad=2
        │   └── x  data=2  grad=0.5
        └── b  data=-1  grad=1
    """
    require_kind("value", value, Value)
    if width is None:
        width = max(shutil.get_terminal_size().columns, 20)
    width = require_count("width", width, least=20)
    depth = None if depth is None else require_count("depth", depth)
    digits = require_count("digits", digits, least=1)

    require_current(value)
    return "\n".join(_Printer(Scene(value), depth, width, ascii, digits).lines())


class _Printer:
    """The options of a tree, and the methods that write it."""

    def __init__(self, scene: Scene, depth: int | None, width: int, in_ascii: bool, digits: int) -> None:
        self.scene, self.depth, self.width, self.digits = scene, depth, width, digits
        self.in_ascii, self.letters = in_ascii, _ASCII if in_ascii else _BOX

    def lines(self) -> Iterator[str]:
        """The lines in the order of printing; each node's parents are visited once."""
        letters = self.letters
        opened = set()
        # Nodes that wait, each with its depth, its own indentation, and that of the lines below it.
        stack = [(self.scene.output, 0, "", "")]
        while stack:
            node, depth, indent, below = stack.pop()
            is_known = bool(node.parents) and node in opened
            is_cut = not is_known and bool(node.parents) and depth == self.depth
            yield self.line(node, indent, is_known, is_cut)
            if is_known or is_cut:
                continue
            opened.add(node)
            for position, parent in enumerate(reversed(node.parents)):
                if len(below) + 4 > self.width // 2:  # the indentation stays, and the depth is a number
                    stack.append((parent, depth + 1, f"{below}{letters.deep}{depth + 1}: ", below))
                elif position == 0:
                    stack.append((parent, depth + 1, below + letters.last, below + letters.gap))
                else:
                    stack.append((parent, depth + 1, below + letters.branch, below + letters.bar))

    def line(self, node: Value, indent: str, is_known: bool, is_cut: bool) -> str:
        """A node's name and numbers; or where it stands already, or how many parents are not shown."""
        tail = "  (see above)" if is_known else self.computed(node)
        if is_cut:
            n = len(node.parents)
            tail += f"  {self.letters.ellipsis} {n} parent{'s' if n > 1 else ''}"
        name, tail = self.harmless(self.scene.name(node)), self.harmless(tail)
        room = self.width - len(indent)
        return indent + self.cut(self.cut(name, max(room - columns(tail), 8)) + tail, room)

    def computed(self, node: Value) -> str:
        """What follows a node's name: its operation, data and gradient."""
        data = number(node.data, self.digits)
        if isinstance(node, Constant):
            return f" = {data}" if node.label else ""
        text = f"  data={data}"
        if node.op is not None:
            text = f" = {node.op.name if self.in_ascii else symbol(node.op)}{text}"
        if self.scene.shows_gradient(node):
            text += f"  grad={number(node.grad, self.digits)}"
        return text

    def harmless(self, text: str) -> str:
        text = printable(text)
        return text.encode("ascii", "backslashreplace").decode() if self.in_ascii else text

    def cut(self, text: str, width: int) -> str:
        """At most `width` columns of the text, with an ellipsis where it is cut."""
        if columns(text) <= width:
            return text
        text = text[:width]
        while columns(text) > width - len(self.letters.ellipsis):
            text = text[:-1]
        return text + self.letters.ellipsis
