"""The chain rule written out for one derivative, path by path (§6).

∂(output)/∂(input) is the sum over all paths through the graph of the product of local derivatives
along the path. `explain` lists the paths that weigh most, each as a product with the paper's symbols and
with numbers, and names the error signals δ of §6.2 where the graph has pre-activations z.
"""

from __future__ import annotations

import contextvars
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from micrograd_mlp._require import require_count, require_kind
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.render.notation import ATOM, Latex, Term, Text
from micrograd_mlp.render.paths import Path, exact_sum, largest_paths
from micrograd_mlp.render.scene import Name, Scene, require_current


def explain(output: Value, wrt: Value, *, max_paths: int = 10) -> Explanation:
    """Write out ∂(output)/∂(wrt) as the sum over paths that backpropagation computes.

    Args:
        output: what is differentiated.
        wrt: with respect to what: a leaf, or any node in between.
        max_paths: the number of paths to list, at least 1. Those with the largest |contribution| are found
            without enumerating all paths; the others become one line with their exact number and their sum.

    Returns:
        An explanation that prints as text and shows itself in a notebook.

    Raises:
        TypeError: output or wrt is not a Value.
        ValueError: max_paths is below 1, or some leaf has changed since the output was computed.
        RuntimeError: under `no_grad()`.

    >>> w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(-1.0, "b")
    >>> z = w * x + b
    >>> z.label = "z1"
    >>> a = z.tanh()
    >>> a.label = "a1"
    >>> explain(0.5 * (a - 1.0) ** 2, w)
    ∂f/∂w = -2, along 1 path
    <BLANKLINE>
    1. ∂f/∂a1 · ∂a1/∂z1 · ∂z1/∂w
       = 0.5 · 2 · (a1 - 1) · tanh'(z1) · x
       = 0.5 · (-2) · 2
       = -2
    <BLANKLINE>
    With the error signals δ (§6.2):
      δ1 = ∂f/∂z1 = 0.5 · 2 · (a1 - 1) · tanh'(z1) = -1
      ∂f/∂w = δ1 · x = -2
    <BLANKLINE>
    where
      f = 0.5 · (a1 - 1)**2 = 0.5
    <BLANKLINE>
    Sum over paths:   -2.0
    Backpropagation:  -2.0, the same
    """
    require_kind("output", output, Value)
    require_kind("wrt", wrt, Value)
    max_paths = require_count("max_paths", max_paths, least=1)
    require_current(output)
    [gradient] = grad(output, [wrt])
    paths = largest_paths(output, wrt, max_paths)
    gradient += 0.0  # a gradient is a sum that starts from 0, never -0
    return Explanation(output, wrt, gradient, paths.listed, paths.count, paths.remainder)


@dataclass(frozen=True, repr=False, eq=False)
class Explanation:
    """A derivative as a sum over paths. Made by `explain`.

    Attributes:
        output: what is differentiated.
        wrt: with respect to what.
        gradient: ∂(output)/∂(wrt) as backpropagation computes it.
        paths: the listed paths, the largest |contribution| first; each has .nodes from output to
            input, .local_grads and .contribution.
        path_count: the exact number of all paths.
        remainder: the sum of the paths that are not listed, computed from them and not from the gradient.

    >>> x = Value(3.0, "x")
    >>> explanation = explain(x * x + x, x, max_paths=2)
    >>> explanation.path_count, [path.contribution for path in explanation.paths], explanation.remainder
    (3, [3.0, 3.0], 1.0)
    >>> explanation.total == explanation.gradient
    True
    """

    output: Value
    wrt: Value
    gradient: float
    paths: tuple[Path, ...]
    path_count: int
    remainder: float

    @property
    def total(self) -> float:
        """The listed contributions plus the remainder: the gradient, up to rounding in the last bits."""
        return exact_sum([*(path.contribution for path in self.paths), self.remainder])

    def __str__(self) -> str:
        writer = _Writer(self, Text())
        lines = [f"{writer.derivative} = {writer.number(self.gradient)}, {self._along()}"]
        for i, (first, *rows) in enumerate(writer.paths(), 1):
            lines += ["", f"{i}. {first}", *(f"{' ' * len(str(i))}  = {row}" for row in rows)]
        if self._unlisted:
            lines += ["", f"{self._others()}: {writer.number(self.remainder)}"]
        for title, equations in writer.further_equations():
            lines += ["", title, *(f"  {' = '.join(row)}" for row in equations)]
        lines += ["", f"Sum over paths:   {self.total!r}"]
        lines += [f"Backpropagation:  {self.gradient!r}, {self._agreement()}"]
        return "\n".join(lines)

    __repr__ = __str__

    def markdown(self) -> str:
        """Markdown with LaTeX formulas, for a notebook or a document."""
        writer = _Writer(self, Latex())
        blocks: list[str] = [
            f"**${writer.derivative} = {writer.number(self.gradient)}$**, {self._along()}",
            *(
                f"**Path {i}**\n\n{_equations([['', row] for row in rows])}"
                for i, rows in enumerate(writer.paths(), 1)
            ),
        ]
        if self._unlisted:
            blocks.append(f"{self._others()}: ${writer.number(self.remainder)}$")
        for title, equations in writer.further_equations():
            blocks += [title.replace("δ", "$\\delta$"), _equations(equations)]
        blocks.append(
            f"Sum over paths: `{self.total!r}`  \nBackpropagation: `{self.gradient!r}`, {self._agreement()}"
        )
        return "\n\n".join(blocks) + "\n"

    def latex(self) -> str:
        """LaTeX for a displayed equation: the derivative, its paths and the error signals, one a row."""
        writer = _Writer(self, Latex())
        rows = [(writer.derivative, writer.number(self.gradient))]
        for i, (first, *others) in enumerate(writer.paths(), 1):
            rows += [(rf"\text{{path {i}}}", first), *(("", row) for row in others)]
        if self._unlisted:
            rows.append((writer.notation.label(self._others()), writer.number(self.remainder)))
        for _, equations in writer.further_equations():
            rows += [(first, " = ".join(others)) for first, *others in equations]
        return _aligned([(left, f"= {right}") for left, right in rows])

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"

    @property
    def _unlisted(self) -> int:
        return self.path_count - len(self.paths)

    def _along(self) -> str:
        if not self.path_count:
            return "the output does not depend on it: there is no path"
        order = ", the largest |contribution| first" if self.path_count > 1 else ""
        return f"along {_count(self.path_count)}{order}"

    def _others(self) -> str:
        return f"and {_count(self._unlisted, 'more ')}, together"

    def _agreement(self) -> str:
        """How the sum over paths and the gradient of backpropagation compare as floats."""
        if self.total == self.gradient or (math.isnan(self.total) and math.isnan(self.gradient)):
            return "the same"
        difference = abs(self.total - self.gradient)
        if not math.isfinite(difference):
            return "which differs: products beyond the largest float, or of 0 and inf, depend on their order"
        return f"which differs by {difference:.1e}: the same products, rounded and added in another order"


def _aligned(rows: list[tuple[str, str]]) -> str:
    """Equations below each other, with their signs = in one column."""
    body = " \\\\\n".join(f"{left} & {right}" for left, right in rows)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def _equations(rows: list[list[str]]) -> str:
    """Displayed equations a = b = c, one a row."""
    return f"$${_aligned([(first, ' = '.join(['', *others]).strip()) for first, *others in rows])}$$"


def _count(paths: int, more: str = "") -> str:
    """The exact number of paths in words, with its power of ten if it is too long to read."""
    if paths < 10**15:
        return f"{paths:,} {more}path{'s' * (paths != 1)}"
    size = f"about 10^{math.log10(paths):.1f}"
    if paths >= 10**4000:  # Python refuses to print integers much longer than this
        return f"{size} {more}paths (exactly: .path_count)"
    return f"{paths} ({size}) {more}paths"


_Edge = tuple[Value, int]  # a node, and which of its operands comes next on the path
_Step = list[_Edge]
"""A part of a path that is shown as one derivative, such as ∂z1/∂w for z1 = w · x + b."""

_SHOWN_STEPS = 12  # a longer path is written with half of these from each end
_SHOWN_TERMS = 6  # a δ that has more terms is not written as their sum
_SHOWN_OPERANDS = 4  # an operation that has more operands is written as its number
_SHOWN_DEPTH = 3  # operations that are nested deeper in a formula are written as their numbers
_PRE_ACTIVATION = re.compile(r"z(\d+)(?:\[(\d+)\])?")


class _Writer:
    """The names and formulas of one explanation in one notation.

    A node without a label that is used once is written as part of the formula that uses it, as ŷ - y is in
    ½(ŷ - y)². Any other node is written with its name in the scene; a name that is not a label is defined at
    the end.
    """

    def __init__(self, explanation: Explanation, notation: Text) -> None:
        self.notation = notation
        self._explained = explanation
        self._output, self._wrt = explanation.output, explanation.wrt
        require_current(self._output)
        self._scene = Scene(self._output)
        self._children = _children_towards(self._wrt, self._scene.order)
        self._heads = self._find_heads()
        self._steps = self._find_steps()
        self._named = self._find_named()
        self._written: dict[Value, str] = {}  # the names in the formulas that were written so far
        self._partials: dict[Value, tuple[Any, ...]] = {}
        self.derivative = notation.derivative(self._name(self._output), self._name(self._wrt))

    def number(self, x: float) -> str:
        return self.notation.number(x).text

    def paths(self) -> Iterator[list[str]]:
        """Each listed path as a product of derivatives, of symbols and of numbers, and its contribution."""
        for path, steps in zip(self._explained.paths, self._steps):
            rows = [
                self._product(steps, lambda step: [self._step(step)]),
                self._product(steps, lambda step: [self._factor(*edge) for edge in step]),
                self._product(steps, lambda step: [self._local_grad(*edge) for edge in step]),
                self.number(path.contribution),
            ]
            yield [row for i, row in enumerate(rows) if row not in rows[i + 1 : i + 2]]

    def further_equations(self) -> Iterator[tuple[str, list[list[str]]]]:
        """The equations below the paths, under a title each. Each equation is a list of equal sides."""
        if signals := self.error_signals():
            yield "With the error signals δ (§6.2):", signals
        if definitions := self.definitions():
            yield "where", definitions

    def error_signals(self) -> list[list[str]]:
        """Equations for each δ on the listed paths from the δ above it, and for the derivative (§6)."""
        on_paths = {node for path in self._explained.paths for node in path.nodes}
        signals = [node for node in reversed(self._children) if node in on_paths and self._is_signal(node)]
        if not signals:
            return []
        targets = signals if self._wrt in signals else [*signals, self._wrt]
        rows = []
        for node, gradient in zip(targets, _without_modes(grad, self._output, targets)):
            row = [self._delta(node).text] if node in signals else []
            row.append(self.notation.derivative(self._name(self._output), self._name(node)))
            terms = list(itertools.islice(self._from_signals_above(node), _SHOWN_TERMS + 1))
            if len(terms) <= _SHOWN_TERMS:
                row.append(" + ".join(terms))
            rows.append([*row, self.number(gradient)])
        return rows

    def definitions(self) -> list[list[str]]:
        """The definitions of the written names that are no labels."""
        return [
            [name, formula.text, self.number(node.data)]
            for node, name in list(self._written.items())
            if not node.label and node.parents
            for formula in [self._operation(node, 0)]
            if formula.number is None  # v1 = 2 = 2 would say nothing
        ]

    # Names

    def _find_heads(self) -> dict[Value, Value]:
        """For each node the named node whose formula it is part of, which may be the node itself."""
        heads: dict[Value, Value] = {}
        for node in reversed(self._children):
            inner = not node.label and node is not self._output and node is not self._wrt
            if inner and len(self._children[node]) == 1:
                [(child, _)] = self._children[node]
                heads[node] = heads[child]
            else:
                heads[node] = node
        return heads

    def _find_steps(self) -> list[list[_Step]]:
        """The steps of each path; a step leads to the next named node if there is one way to it."""
        connections = Counter(
            (self._heads[child], node)
            for node, children in self._children.items()
            if self._heads[node] is node
            for child, _ in children
        )
        paths = []
        for path in self._explained.paths:
            steps: list[_Step] = []
            edges: list[_Edge] = []
            for node, operand, end in zip(path.nodes, path.operands, path.nodes[1:]):
                edges.append((node, operand))
                if self._heads[end] is end:
                    one_way = connections[edges[0][0], end] == 1
                    steps += [edges] if one_way else [[edge] for edge in edges]
                    edges = []
            paths.append(steps)
        return paths

    def _find_named(self) -> set[Value]:
        """The nodes that are written with their names: they end a step, or are used more than once."""
        ends = {node for steps in self._steps for step in steps for node in _ends(step)}
        # A plain number that is used twice is written as a number, and needs no other name.
        heads = {
            node for node, head in self._heads.items() if head is node and not isinstance(node, Constant)
        }
        return {self._output, self._wrt, *ends, *heads}

    def _name(self, node: Value) -> str:
        if node not in self._written:
            # A node to which no path leads need not be in the scene.
            name = self._scene.names.get(node) or Name(node.label or "x")
            written = self.notation.label(name.label)
            if name.occurrence > 1:
                written = self.notation.repeated(written, name.occurrence)
            self._written[node] = written
        return self._written[node]

    # Formulas

    def _product(self, steps: list[_Step], factors: Callable[[_Step], list[Term]]) -> str:
        """The product of the factors of all steps; a long path is written with its steps at both ends."""
        hidden, half = len(steps) - _SHOWN_STEPS, _SHOWN_STEPS // 2
        gap = Term(self.notation.gap(hidden), ATOM)
        shown = [*steps[:half], None, *steps[-half:]] if hidden > 0 else steps
        terms = [term for step in shown for term in (factors(step) if step else [gap])]
        return self.notation.product(_without_ones(terms))

    def _step(self, step: _Step) -> Term:
        start, end = _ends(step)
        uses = sum([parent is end for parent in start.parents])
        operand = step[0][1] if len(step) == 1 and uses > 1 else None  # which of these uses it is
        return Term(self.notation.derivative(self._name(start), self._name(end), operand), ATOM)

    def _local_grad(self, node: Value, operand: int) -> Term:
        return self.notation.number(node.local_grads[operand])

    def _factor(self, node: Value, operand: int) -> Term:
        """∂(node)/∂(operand) as a number, a name, σ'(z), or the operation's rule with its symbols."""
        if node not in self._partials:
            self._partials[node] = partials_as_graph(node)
        partial = self._partials[node][operand]
        if not isinstance(partial, Value):
            return self._local_grad(node, operand)
        if len(node.parents) == 1 and partial is not node and partial is not node.parents[0]:
            return self.notation.prime(_operation_of(node), self._formula(node.parents[0], 1))
        return self._formula(partial, 0)

    def _formula(self, node: Value, depth: int) -> Term:
        """The node's name or number; for a node that is not written with its name, its operation."""
        if node.label or node in self._named:
            return Term(self._name(node), ATOM)
        if not node.parents or depth == _SHOWN_DEPTH:
            return self.notation.number(node.data)
        return self._operation(node, depth)

    def _operation(self, node: Value, depth: int) -> Term:
        if len(node.parents) > _SHOWN_OPERANDS:
            return self.notation.number(node.data)
        operands = [self._formula(parent, depth + 1) for parent in node.parents]
        if all(operand.number is not None for operand in operands):
            return self.notation.number(node.data)
        if node.op is TABLE["pow"] and operands[1].number == 1.0:
            return operands[0]
        return self.notation.apply(_operation_of(node), operands)

    # Error signals

    def _is_signal(self, node: Value) -> bool:
        return node is not self._output and bool(_PRE_ACTIVATION.fullmatch(node.label or ""))

    def _delta(self, node: Value) -> Term:
        match = _PRE_ACTIVATION.fullmatch(node.label or "")
        assert match is not None
        return Term(self.notation.delta(match[1], match[2] or ""), ATOM)

    def _from_signals_above(self, node: Value) -> Iterator[str]:
        """The terms of ∂(output)/∂(node): each way up to a pre-activation, or to the output, as a product."""
        ways: list[tuple[Value, Any]] = [(node, None)]
        while ways:
            top, edges = ways.pop()
            if top is self._output or (top is not node and self._is_signal(top)):
                factors = [] if top is self._output else [self._delta(top)]
                while edges is not None:
                    edge, edges = edges
                    factors.append(self._factor(*edge))
                yield self.notation.product(_without_ones(factors))
            else:
                ways += [
                    (child, ((child, operand), edges)) for child, operand in reversed(self._children[top])
                ]


def _children_towards(wrt: Value, order: list[Value]) -> dict[Value, list[_Edge]]:
    """For `wrt` and every node that depends on it the nodes that use it, and as which operand they do."""
    children: dict[Value, list[_Edge]] = {wrt: []}
    for node in order:
        for i, parent in enumerate(node.parents):
            if parent in children:
                children.setdefault(node, [])
                children[parent].append((node, i))
    return children


def _without_ones(factors: list[Term]) -> list[Term]:
    """The factors that are not 1: the paper writes (ŷ - y) for (ŷ - y) · 1."""
    return [factor for factor in factors if factor.number != 1.0] or factors[:1]


def _ends(step: _Step) -> tuple[Value, Value]:
    last, operand = step[-1]
    return step[0][0], last.parents[operand]


def _operation_of(node: Value) -> Op:
    op = node.op
    assert op is not None
    return op


def partials_as_graph(node: Value) -> tuple[Any, ...]:
    """The local derivatives as expressions: the operation's rule, applied to the nodes instead of numbers."""
    if node.op is None:  # its local derivatives were given as numbers
        return node.local_grads
    try:
        partials: tuple[Any, ...] = _without_modes(node.op.partials, node, *node.parents)
    except Exception:  # a rule of the user's own that takes floats alone: its numbers are shown instead
        partials = node.local_grads
    return partials


def _without_modes(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function outside of any `no_grad()` and `detect_anomaly()` from where something is printed."""
    return contextvars.Context().run(function, *args)
