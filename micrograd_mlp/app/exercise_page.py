"""Exercises as a page: fields for the gradients, checked by the page's own script (§6, §7).

Python writes the graph and its known mistakes down; exercise.js replays them as `checks.mistakes` does, and
says the same as `GradientExercise.check`.
"""

from __future__ import annotations

import base64
import html
import json
import uuid
from pathlib import Path
from typing import Any

from micrograd_mlp.engine.value import Value
from micrograd_mlp.render.drawing import draw
from micrograd_mlp.render.explore import page_file, page_shell
from micrograd_mlp.render.html import json_for_script
from micrograd_mlp.render.text_tree import tree

_HERE = Path(__file__).parent


def page(sheets: list[dict[str, Any]]) -> str:
    """The HTML document that holds these exercises, and shows the first one."""
    return page_shell("Fill in the gradients").replace("<!-- explorer -->", fragment(sheets))


def fragment(sheets: list[dict[str, Any]]) -> str:
    """What stands where no script runs, and the script that replaces it, under a new id."""
    identity = f"exercise-{uuid.uuid4().hex}"
    script = page_file("elements.js") + (_HERE / "exercise.js").read_text(encoding="utf-8")
    style = json.dumps((_HERE / "exercise.css").read_text(encoding="utf-8"))
    first = sheets[0]
    rows = "".join(
        f"<tr><td>{html.escape(first['names'][asked['node']])}</td><td>{html.escape(asked['formula'])}</td>"
        f"<td>{html.escape(asked['value'])}</td><td>?</td></tr>"
        for asked in first["asked"]
    )
    still = (
        f"<p>{html.escape(first['task'])}</p>\n{_as_html(first['picture'])}\n<table><tr><th>node</th><th>is</th>"
        f"<th>value</th><th>gradient</th></tr>{rows}</table>"
    )
    # The picture of the first exercise stands in the page already, and the script takes it from there.
    data = json_for_script([first | {"picture": None}, *sheets[1:]])
    arguments = f'document.getElementById("{identity}"), {data}, {style}'
    program = f"(host, sheets, style) => {{\n{script}\n}}"
    return f'<div id="{identity}">{still}</div>\n<script>({program})({arguments});</script>'


def picture_of(output: Value, description: str) -> dict[str, str]:
    """The graph as an image, or as text where there is no Graphviz."""
    try:
        drawing = draw(output, max_nodes=300).svg()
    except (ImportError, RuntimeError):  # no Graphviz, or a graph that it can't draw
        return {"text": tree(output, width=100), "alt": description}
    encoded = base64.b64encode(drawing.encode()).decode()
    return {"source": f"data:image/svg+xml;base64,{encoded}", "alt": f"The graph. {description}"}


def _as_html(picture: dict[str, str]) -> str:
    if "text" in picture:
        return f"<pre>{html.escape(picture['text'])}</pre>"
    return f'<img alt="{html.escape(picture["alt"])}" style="max-width: 100%" src="{picture["source"]}">'
