"""`step_through`: one page that plays the forward and the backward pass, line by line (§6, §7).

Python computes everything that the page shows: a picture of the final state, and the list of steps, each with
its line of arithmetic and the number that changes. The script in steps.js only decides what of it is
visible, so that no number on screen is computed twice.
"""

from __future__ import annotations

import base64
import html
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micrograd_mlp._require import require_count, require_kind
from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.files import write_atomically
from micrograd_mlp.render.notation import ATOM, Term, Text
from micrograd_mlp.render.picture import Shown, picture
from micrograd_mlp.render.scene import Scene, kind
from micrograd_mlp.render.text import number


def step_through(output: Value, *, max_nodes: int = 500) -> StepThrough:
    """Play backpropagation: the forward pass value by value, then the backward pass edge by edge.

    The page has a slider, buttons and keys (← → step, space plays, Home and End). All gradients start
    from 0, as after `zero_grad()`, and what arrives in the end is what `backward()` then gives, to the
    last bit. The graph itself is not touched: no `.grad` changes.

    Args:
        output: the end of the graph, such as a loss.
        max_nodes: refuse a larger graph, whose picture nobody could read.

    Returns:
        A page that shows itself in a notebook; `.save("steps.html")` writes one file that needs no
        network, no server and no Python.

    Raises:
        TypeError: output is not a Value.
        ValueError: the graph has more than `max_nodes` nodes, or its numbers no longer belong together
            because some `.data` was changed since they were computed.

    >>> w, x = Value(0.5, "w"), Value(2.0, "x")
    >>> page = step_through(w * x)
    >>> page
    <StepThrough: 6 steps through 3 nodes; .save("steps.html") .html()>
    >>> print(page.steps[2].text)
    f = w · x = 0.5 · 2 = 1
    >>> print(page.steps[4].text)
    w.grad += ∂f/∂w · f.grad = 2 · 1 = 2
    """
    require_kind("output", output, Value)
    max_nodes = require_count("max_nodes", max_nodes, least=1)
    order = output.topological_order()
    if len(order) > max_nodes:
        raise ValueError(
            f"step_through shows at most {max_nodes:,} nodes, and this graph has {len(order):,}: pass an "
            "inner node, a smaller model or one example instead of a batch, or raise max_nodes"
        )
    _require_fresh(order)
    return StepThrough(order)


def _require_fresh(order: list[Value]) -> None:
    """Every number must be what its operation gives on its parents' numbers, or the page would lie."""
    for node in order:
        if node.op is None:
            continue
        expected = node.op.forward(*[parent.data for parent in node.parents])
        if node.data != expected and (node.data == node.data or expected == expected):
            raise ValueError(
                f"step_through: {node.op.name} gave {node.data!r} when it was computed and gives "
                f"{expected!r} now: some .data was changed in between. Compute the output again first"
            )


@dataclass(frozen=True)
class Step:
    """One moment of the page.

    Attributes:
        phase: "forward" or "backward".
        node: the node whose number appears or changes.
        text: the line of arithmetic, with six significant digits.
        exact: the same numbers in full.
        total: in the backward pass, how the gradient adds up.
        grad: the node's gradient after this step; None in the forward pass.
        edge: in the backward pass, the child through which the gradient comes and as which operand
            of it; None where the backward pass begins.
    """

    phase: str
    node: Value
    text: str
    exact: str
    total: str = ""
    grad: float | None = None
    edge: tuple[Value, int] | None = None


class StepThrough:
    """The page that `step_through` makes.

    Attributes:
        steps: what happens, in order.
    """

    def __init__(self, order: list[Value]) -> None:
        self._order = order
        scene = Scene(order[-1])
        self._names = {node: scene.name(node) for node in order}
        self.steps = [*_forward(order, self._names), *_backward(order, self._names)]
        self._grads = {step.node: step.grad for step in self.steps if step.grad is not None}

    def html(self) -> str:
        """The page as one HTML document, which loads nothing from anywhere."""
        return _read("steps.html").replace("<!-- steps -->", self._fragment(whole_page=True))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page as one file; an existing file is replaced whole or, on an error, not at all.

        Raises:
            ValueError: the name ends neither in .html nor in .htm.
            OSError: the file can't be written.
        """
        if Path(path).suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"{os.fspath(path)!r}: a step-through is saved as .html")
        write_atomically(path, self.html())

    def __repr__(self) -> str:
        size = f"{len(self.steps)} steps through {len(self._order)} nodes"
        return f'<StepThrough: {size}; .save("steps.html") .html()>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # IPython passes include and exclude
        return {"text/plain": repr(self), "text/html": self._fragment(whole_page=False)}

    def _fragment(self, whole_page: bool) -> str:
        """The static picture, and the script that replaces it. The id is new at every display."""
        identity = f"steps-{uuid.uuid4().hex}"
        shown = [Shown(node, self._names[node], self._grads.get(node, 0.0)) for node in self._order]
        image = base64.b64encode(picture(shown).encode()).decode()
        # Inside <script> only < could end the script or open a comment; in JSON it can be written \u003c.
        data = json.dumps(self._data(whole_page)).replace("<", r"\u003c")
        return (
            f'<div id="{identity}"><img alt="{html.escape(self._alternative())}" style="max-width: 100%" '
            f'src="data:image/svg+xml;base64,{image}"></div>\n'
            f'<script>{_read("steps.js")}(document.getElementById("{identity}"), {data});</script>'
        )

    def _alternative(self) -> str:
        leaves = [node for node in self._order if node.op is None and not isinstance(node, Constant)]
        shown = [f"{self._names[node]}: {number(self._grads.get(node, 0.0))}" for node in leaves[:20]]
        more = f" and {len(leaves) - 20} more" if len(leaves) > 20 else ""
        return f"Graph of {self._names[self._order[-1]]} with the gradients {', '.join(shown)}{more}"

    def _data(self, whole_page: bool) -> dict[str, Any]:
        """What the script needs: texts and where they go, no number to be computed with."""
        index = {node: i for i, node in enumerate(self._order)}
        arrivals = Counter(step.node for step in self.steps if step.grad is not None)
        return {
            "wholePage": whole_page,
            "title": f"Backpropagation of {self._names[self._order[-1]]}",
            "style": _read("steps.css"),
            "nodes": [
                {
                    "name": self._names[node],
                    "data": repr(node.data),
                    "arrivals": arrivals[node],
                    "edges": len(node.parents),
                }
                for node in self._order
            ],
            "steps": [
                {
                    "phase": step.phase,
                    "node": index[step.node],
                    "text": step.text,
                    "exact": step.exact,
                    "total": step.total,
                    "grad": None if step.grad is None else [number(step.grad), repr(step.grad)],
                    "edge": step.edge and f"{index[step.edge[0]]}-{step.edge[1]}",
                    "local": step.edge and number(step.edge[0].local_grads[step.edge[1]], 3),
                }
                for step in self.steps
            ],
        }


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _forward(order: list[Value], names: dict[Value, str]) -> Iterator[Step]:
    """Value by value, parents first."""
    write = Text()
    for node in order:
        result = write.number(node.data).text
        if node.op is None:
            what = (
                names[node] if isinstance(node, Constant) and not node.label else f"{names[node]} = {result}"
            )
            yield Step("forward", node, f"{what}, {_ARTICLE[kind(node)]}", f"{names[node]} = {node.data!r}")
            continue
        in_names = write.apply(node.op, [_term(parent, names, write) for parent in node.parents])
        in_numbers = write.apply(node.op, [write.number(parent.data) for parent in node.parents])
        formulas = dict.fromkeys([in_names.text, in_numbers.text, result])  # 2 · 3 is said once
        yield Step("forward", node, " = ".join([names[node], *formulas]), f"{names[node]} = {node.data!r}")


_ARTICLE = {"input": "an input", "parameter": "a parameter", "constant": "a constant"}


def _term(node: Value, names: dict[Value, str], write: Text) -> Term:
    if isinstance(node, Constant) and not node.label:
        return write.number(node.data)
    return Term(names[node], ATOM)


def _backward(order: list[Value], names: dict[Value, str]) -> Iterator[Step]:
    """Edge by edge as `Value.backward` goes, except into constants, whose gradients nobody needs."""
    write = Text()
    output = order[-1]
    name = names[output]
    grads: dict[Value, float] = {output: 1.0}
    yield Step("backward", output, f"{name}.grad = ∂{name}/∂{name} = 1", f"{name}.grad = 1.0", "", 1.0)
    for child in reversed(order):
        adjoint = grads.get(child, 0.0)
        for operand, (node, local_grad) in enumerate(zip(child.parents, child.local_grads)):
            if isinstance(node, Constant):
                continue
            before = grads.get(node, 0.0)
            contribution = local_grad * adjoint
            after = grads[node] = before + contribution
            product = write.product([write.number(local_grad), write.number(adjoint)])
            terms = [write.number(x) for x in (before, contribution)]
            yield Step(
                "backward",
                node,
                f"{names[node]}.grad += ∂{names[child]}/∂{names[node]} · {names[child]}.grad"
                f" = {product} = {terms[1].text}",
                f"{local_grad!r} · {adjoint!r} = {contribution!r}; {before!r} + {contribution!r} = {after!r}",
                f"{names[node]}.grad = {write.sum(terms)} = {write.number(after).text}",
                after,
                (child, operand),
            )
