"""`tree`: a computation graph as text, for a terminal.

The output stands first and every node's parents below it, as the chain rule walks (§6, §7).
"""

from __future__ import annotations

import shutil
from typing import NamedTuple

from micrograd_mlp._require import require_count, require_kind
from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.render.scene import Scene, require_current, symbol
from micrograd_mlp.render.text import columns, number, printable


class _Line(NamedTuple):
    node: Value
    depth: int
    indent: str
    kept_back: str  # "" or what is not shown below this line: "again" or "deeper"


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
        width: columns of a line; None is the terminal's width. Too long a label is cut.
        ascii: use ASCII letters alone.
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

    letters = _ASCII if ascii else _BOX
    require_current(value)
    scene = Scene(value)
    lines = _walk(value, depth, width // 2, letters)
    return "\n".join(_text(scene, line, width, letters, digits) for line in lines)


def _walk(output: Value, depth: int | None, widest: int, letters: _Letters) -> list[_Line]:
    """The lines in the order of printing; each node's parents are visited once."""
    lines = []
    opened = set()
    stack = [(output, 0, "", "")]  # node, depth, its own indentation, that of the lines below it
    while stack:
        node, level, indent, below = stack.pop()
        kept_back = ""
        if node.parents and node in opened:
            kept_back = "again"
        elif node.parents and level == depth:
            kept_back = "deeper"
        lines.append(_Line(node, level, indent, kept_back))
        if kept_back:
            continue
        opened.add(node)
        for position, parent in enumerate(reversed(node.parents)):
            if len(below) + 4 > widest:  # from here on, the indentation stays and the depth is a number
                stack.append((parent, level + 1, f"{below}{letters.deep}{level + 1}: ", below))
            elif position == 0:
                stack.append((parent, level + 1, below + letters.last, below + letters.gap))
            else:
                stack.append((parent, level + 1, below + letters.branch, below + letters.bar))
    return lines


def _text(scene: Scene, line: _Line, width: int, letters: _Letters, digits: int) -> str:
    node = line.node
    in_ascii = letters is _ASCII
    if line.kept_back == "again":
        tail = "  (see above)"
    elif isinstance(node, Constant):
        tail = f" = {number(node.data, digits)}" if node.label else ""
    else:
        op = node.op
        tail = "" if op is None else f" = {op.name if in_ascii else symbol(op)}"
        tail += f"  data={number(node.data, digits)}"
        tail += f"  grad={number(node.grad, digits)}" if scene.shows_gradient(node) else ""
    if line.kept_back == "deeper":
        n = len(node.parents)
        tail += f"  {letters.ellipsis} {n} parent{'s' if n > 1 else ''}"
    name, tail = _harmless(scene.name(node), in_ascii), _harmless(tail, in_ascii)
    space = width - len(line.indent)
    return line.indent + _cut(_cut(name, max(space - columns(tail), 8), letters) + tail, space, letters)


def _harmless(text: str, in_ascii: bool) -> str:
    text = printable(text)
    return text.encode("ascii", "backslashreplace").decode() if in_ascii else text


def _cut(text: str, width: int, letters: _Letters) -> str:
    """At most `width` columns of the text, an ellipsis showing where it was cut."""
    if columns(text) <= width:
        return text
    text = text[:width]
    while columns(text) > width - len(letters.ellipsis):
        text = text[:-1]
    return text + letters.ellipsis
