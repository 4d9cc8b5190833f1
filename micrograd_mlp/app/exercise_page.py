"""Exercises as a page: fields for the gradients, checked by the page's own script (§6, §7).

Python writes the graph and its known mistakes down; exercise.js replays them as `checks.mistakes` does, and
says the same as `GradientExercise.check`.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from micrograd_mlp.render.explore import page_file
from micrograd_mlp.render.html import json_for_script, with_script

_HERE = Path(__file__).parent


def exercise_element(sheets: list[dict[str, Any]], pictures: list[str]) -> str:
    """The HTML element that holds exercises and shows the first one.

    Args:
        sheets: the exercises as `GradientExercise.sheet` gives them.
        pictures: the graph of each as HTML; the script moves them to where they are shown.
    """
    script = page_file("elements.js") + (_HERE / "exercise.js").read_text(encoding="utf-8")
    style = json.dumps((_HERE / "exercise.css").read_text(encoding="utf-8"))
    first = sheets[0]
    rows = "".join(
        f"<tr><td>{html.escape(first['names'][asked['node']])}</td><td>{html.escape(asked['formula'])}</td>"
        f"<td>{html.escape(asked['value'])}</td><td>?</td></tr>"
        for asked in first["asked"]
    )
    still = (
        f"<p>{html.escape(first['task'])}</p>\n{pictures[0]}\n<table><tr><th>node</th><th>is</th>"
        f"<th>value</th><th>gradient</th></tr>{rows}</table>\n<div hidden>{''.join(pictures[1:])}</div>"
    )
    program = f"(host, sheets, style) => {{\n{script}\n}}"
    return with_script(still, program, json_for_script(sheets), style)
