"""What every page that is one HTML file shares: how it is saved, its script, and the picture in its place."""

from __future__ import annotations

import base64
import html
import json
import os
import uuid
from pathlib import Path
from typing import Any

from micrograd_mlp.files import write_atomically


class Page:
    """A page that is one HTML file."""

    def html(self) -> str:
        """The page as one HTML document, which loads nothing from anywhere."""
        raise NotImplementedError  # each kind of page writes its own

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page as one file; an existing file is replaced whole or, on an error, not at all.

        Raises:
            ValueError: the name ends neither in .html nor in .htm.
            OSError: the file can't be written.
        """
        if Path(path).suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"{os.fspath(path)!r}: a page is saved as .html")
        write_atomically(path, self.html())


def json_for_script(data: Any) -> str:
    r"""Data as JSON that may stand inside `<script>`.

    Only < could end the script or open a comment there; in JSON it can be written \u003c.

    >>> print(json_for_script("</script>"))
    "\u003c/script>"
    """
    return json.dumps(data).replace("<", r"\u003c")


def with_script(still: str, program: str, *arguments: str) -> str:
    """HTML that stays where no script runs, and the script that replaces it.

    Args:
        still: the HTML.
        program: a function in JavaScript, of the element that holds the HTML and of the arguments.
        arguments: expressions in JavaScript.
    """
    identity = f"micrograd-mlp-{uuid.uuid4().hex}"  # a new one each time that a notebook shows the page
    given = ", ".join([f'document.getElementById("{identity}")', *arguments])
    return f'<div id="{identity}">{still}</div>\n<script>({program})({given});</script>'


def svg_as_image(svg: str, alt: str, style: str = "max-width: 100%") -> str:
    """The SVG as an image, which a notebook shows whether it is trusted or not."""
    source = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{html.escape(alt)}" style="{style}" src="data:image/svg+xml;base64,{source}">'
