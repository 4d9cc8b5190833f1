"""`python -m tests.notebooks FILE ...`: run notebooks from the top, and store in them what they print now."""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from jupyter_client.manager import AsyncKernelManager

ROOT = Path(__file__).parent.parent


def run(notebook: Any) -> None:
    """Execute every cell in a fresh kernel that finds the package from the root of the repository."""
    with tempfile.TemporaryDirectory(prefix="nb") as sockets:  # a short path: sockets allow 100 letters
        manager = AsyncKernelManager(transport="ipc", ip=str(Path(sockets) / "ipc"))
        place = {"metadata": {"path": str(ROOT)}}
        client = nbclient.NotebookClient(notebook, km=manager, resources=place, timeout=240)
        client.execute(cleanup_kc=True)  # else it leaves running a manager that it was given


# A check has the solution in it, so that it stands folded, in JupyterLab and on the site.
FOLDED = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}


def exercises(code: list[Any]) -> list[tuple[Any, Any]]:
    """For each exercise the cell for the answer, and the cell that checks it."""
    return [(cell, check) for cell, check in itertools.pairwise(code) if cell.source.startswith("# Exercise")]


def forget_the_run(notebook: Any) -> None:
    """Number the cells from 1, and remove times and other metadata."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    for cell in notebook.cells:
        cell.metadata = {}
    for _, check in exercises(code):
        check.metadata = FOLDED


def describe_pictures(notebook: Any) -> None:
    """A picture's caption, the next cell in italics, is also its text for those who do not see it."""
    for cell, following in itertools.pairwise(notebook.cells):
        pictures = [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
        if pictures and following.cell_type == "markdown" and following.source.startswith("*"):
            caption = " ".join(following.source.strip("*\n").split())
            for output in pictures:
                output.metadata["image/png"] = {**output.metadata.get("image/png", {}), "alt": caption}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        notebook = nbformat.read(name, as_version=4)
        run(notebook)
        forget_the_run(notebook)
        describe_pictures(notebook)
        nbformat.write(notebook, name)
