"""`explore(output).widget()`: the page of `explore`, tied to the numbers in the kernel (§6, §7).

The page computes by itself, as it does everywhere. The leaves' numbers go to and fro: what is changed on the
page is assigned to `Value.data` here, and what moves here is sent to the page. Nothing asks again and again
whether something has moved: `forward()`, the optimizers and compiled training say so (`numbers_moved`), and
the notebook says when a cell has run, which may have assigned any number.
"""

from __future__ import annotations

import json
import math
import struct
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from micrograd_mlp.engine.value import Value, watchers
from micrograd_mlp.render.explore import Explorer, page_program

try:
    import anywidget
    import traitlets
    from IPython import get_ipython
except ImportError as error:
    raise ImportError('a widget needs anywidget: pip install "micrograd_mlp[widget]"') from error

_FRAME = 1 / 30  # seconds from one message to the next while a cell runs


class ExplorerWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget may be missing
    """The page of `explore` in a notebook, tied to the graph in the kernel: `explore(output).widget()`.

    A number that is changed on the page is assigned to `Value.data`. Then the graph is computed again, and
    its gradients are filled as `zero_grad()` and `backward()` would: every `.data` and `.grad` of the graph
    is what the page shows. What Python changes moves in the page, at each `forward()`, at each step of an
    optimizer and of compiled training, and after each cell. The page shows the graph for the leaves' present
    numbers, also where nodes in the kernel wait for a `forward()`.

    Like every widget it is kept until `close()`, and its graph with it.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    numbers = traitlets.Bytes().tag(sync=True)

    def __init__(self, page: Explorer) -> None:
        self._page: Explorer | None = page
        self._order = page.scene.order
        described = page.data["nodes"]
        self._leaves = [node for node, described_ in zip(self._order, described) if described_["op"] is None]
        # The nodes that the page can't compute, as they were recorded.
        self._asked = {
            node: _Recorded([parent.data for parent in node.parents], node.data, node.local_grads)
            for node, described_ in zip(self._order, described)
            if described_["op"] is not None and page.data["ops"][described_["op"]]["problem"]
        }
        self._views: set[str] = set()
        self._last_sent = -math.inf
        self._notebook = get_ipython()
        super().__init__(_esm=_module(page), numbers=self._present_numbers())
        self.on_msg(self._take)
        watchers.append(self._numbers_moved)
        if self._notebook is not None:
            self._notebook.events.register("post_execute", self.update)

    def close(self) -> None:
        """Take the page out of the notebook and let go of the graph."""
        if self._numbers_moved in watchers:
            watchers.remove(self._numbers_moved)
            if self._notebook is not None:
                self._notebook.events.unregister("post_execute", self.update)
        self._page, self._order, self._leaves, self._asked = None, [], [], {}
        super().close()

    def __repr__(self) -> str:
        return f"<ExplorerWidget: {len(self._order)} nodes>" if self._page else "<ExplorerWidget: closed>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget, and a picture for where no widget can be shown, such as an exported notebook."""
        self.update()
        shown = super()._repr_mimebundle_(**options)
        bundle, metadata = shown if isinstance(shown, tuple) else (shown, {})
        return bundle | {"text/html": self._page.still_picture()} if self._page else bundle, metadata

    # From Python to the page

    def _numbers_moved(self) -> None:
        # Outside of IPython nobody says that a cell has run, so that there every step is sent.
        if self._views and (self._notebook is None or time.monotonic() - self._last_sent >= _FRAME):
            self.update()

    def update(self) -> None:
        """Show the leaves' present numbers. Happens by itself, except after assignments while a cell runs."""
        if self._page is not None:
            self.numbers = self._present_numbers()  # which is sent if it differs from the last
            self._last_sent = time.monotonic()

    def _present_numbers(self) -> bytes:
        """The numbers of the leaves, then those that the page can't compute."""
        numbers = [leaf.data for leaf in self._leaves]
        if self._asked:
            numbers += self._answers()
        return struct.pack(f"<{len(numbers)}d", *numbers)

    def _answers(self) -> list[float]:
        """Number and local derivatives of each node that the page can't compute, from the leaves' numbers.

        Nodes keep what they hold: a graph is computed again when its owner calls `forward()`.
        """
        data = {leaf: leaf.data for leaf in self._leaves}
        answers: list[float] = []
        for node in self._order:
            if node in data:
                continue
            inputs = [data[parent] for parent in node.parents]
            recorded = self._asked.get(node)
            if recorded is not None and inputs == recorded.inputs:
                data[node], local_grads = recorded.data, recorded.local_grads
            else:
                data[node], local_grads = _computed(node, inputs)
            if recorded is not None:
                answers += (data[node], *local_grads)
        return answers

    # From the page to Python

    def _take(self, _: Any, message: dict[str, Any], buffers: list[Any]) -> None:
        """A view opens, closes, or has changed the numbers of some leaves."""
        view = message["view"]
        if message["kind"] == "close":
            self._views.discard(view)
        elif message["kind"] == "open":
            self._views.add(view)
            self.update()
        elif self._page is not None:
            leaves = [self._order[i] for i in message["nodes"]]
            problem = self._change(leaves, struct.unpack(f"<{len(leaves)}d", buffers[0]))
            self.update()
            self.send({"view": view, "problem": problem})

    def _change(self, leaves: list[Value], numbers: Iterable[float]) -> str | None:
        """Assign the numbers and compute the graph again; if that is impossible, why."""
        for leaf, number in zip(leaves, numbers):
            leaf.data = number
        output = self._order[-1]
        try:
            output.forward()
            for node in self._order:
                node.grad = 0.0
            output.backward()
        except Exception as error:  # an operation of the user's own may raise anything
            return f"{type(error).__name__}: {error}"
        return None


class _Recorded(NamedTuple):
    inputs: list[float]
    data: float
    local_grads: Sequence[float]


def _computed(node: Value, inputs: list[float]) -> tuple[float, Sequence[float]]:
    """The node's number and local derivatives for these inputs, or nan where its operation raises."""
    assert node.op is not None, "leaves are known"
    try:
        number = node.op.forward(*inputs)
        return float(number), [float(partial) for partial in node.op.partials(number, *inputs)]
    except Exception:
        return math.nan, [math.nan] * len(inputs)


def _module(page: Explorer) -> str:
    """The page as an ES module, whose `render` shows it in an element."""
    program, style = page_program()
    data = json.dumps(page.data | {"wholePage": False})
    return f"""const show = {program};
export default {{
  render({{ model, el }}) {{
    const host = document.createElement("div");
    el.append(host);
    return show(host, {data}, {page.functions}, {json.dumps(style)}, model);
  }},
}};
"""
