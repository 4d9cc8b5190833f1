"""What every page that is one HTML file shares: data inside of its script, and how it is saved."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from micrograd_mlp.files import write_atomically


def json_for_script(data: Any) -> str:
    r"""Data as JSON that may stand inside `<script>`.

    Only < could end the script or open a comment there; in JSON it can be written \u003c.

    >>> print(json_for_script("</script>"))
    "\u003c/script>"
    """
    return json.dumps(data).replace("<", r"\u003c")


def save_page(path: str | os.PathLike[str], page: str, what: str) -> None:
    """Write a page as one file; an existing file is replaced whole or, on an error, not at all.

    Args:
        path: the name, which ends in .html or in .htm.
        page: the HTML document.
        what: how the error calls it, such as "the page".

    Raises:
        ValueError: the name ends neither in .html nor in .htm.
        OSError: the file can't be written.
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{os.fspath(path)!r}: {what} is saved as .html")
    write_atomically(path, page)
