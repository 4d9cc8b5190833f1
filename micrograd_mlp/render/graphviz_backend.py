"""From DOT text to SVG, PNG and PDF: with the system's Graphviz, or with the graphviz-pure wheel.

Both are programs that read DOT and write a picture. The system's `dot` comes first, as it also writes
PDF and measures text with the fonts that are installed; the wheel needs nothing but pip.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

HOW_TO_INSTALL = (
    '`pip install "micrograd_mlp[draw]"`, or Graphviz itself '
    "(`apt install graphviz`, `brew install graphviz`, https://graphviz.org/download)"
)

_TIME_LIMIT = 120  # seconds: a graph of 1,500 boxes takes about one


def system_dot() -> str | None:
    """The path of Debian's, Homebrew's … `dot`, or None."""
    return shutil.which("dot")


def packaged_dot() -> str | None:
    """The path of the program in the graphviz-pure wheel, or None.

    It is looked up in the wheel's list of files and not on the PATH, so that it is found in a virtual
    environment that is not activated.
    """
    try:
        files = distribution("graphviz-pure").files or []
    except PackageNotFoundError:
        return None
    programs = (Path(str(file.locate())).resolve() for file in files if file.stem == "graphviz-pure")
    return next((str(program) for program in programs if program.is_file()), None)


def render(source: str, file_format: str) -> bytes:
    """The picture that DOT text describes.

    Args:
        source: DOT text.
        file_format: "svg", "png" or "pdf".

    Raises:
        ImportError: no program for this format is installed; the message says how to get one.
        RuntimeError: the program failed, or took longer than two minutes.
    """
    if sys.platform == "emscripten":
        return _render_in_the_browser(source, file_format)
    # The wheel's program writes no PDF.
    program = system_dot() or (packaged_dot() if file_format != "pdf" else None)
    if program is None and file_format == "pdf":
        raise ImportError(
            "PDF needs Graphviz itself: `apt install graphviz`, `brew install graphviz` or "
            "https://graphviz.org/download. The graphviz-pure wheel writes .svg and .png"
        )
    if program is None:
        raise ImportError(
            f"drawing needs Graphviz, and none was found: {HOW_TO_INSTALL}. "
            "Without it the DOT text is in .source, and .save('graph.dot') writes it"
        )
    # -q: no warnings about the widths of letters that a font lacks.
    command = [program, "-Kdot", f"-T{file_format}", "-q"]
    if file_format == "png":
        command.append("-Gsize=40,40")  # inches: a huge drawing is made smaller, not painted for minutes
    try:
        done = subprocess.run(
            command, input=source.encode(), capture_output=True, check=False, timeout=_TIME_LIMIT
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(
            f"{program} did not draw the graph within {_TIME_LIMIT} seconds: draw fewer nodes, with "
            'draw(value, max_nodes=...), depth=... or collapse="layer"'
        ) from None
    if done.returncode or not done.stdout:
        raise RuntimeError(
            f"{program} could not draw the graph: {done.stderr.decode(errors='replace')[:500]}"
        )
    return done.stdout


def _render_in_the_browser(source: str, file_format: str) -> bytes:
    """The picture from Graphviz as WebAssembly, which a site has beside its Pyodide, as `graphviz.js`."""
    if file_format != "svg":
        raise ImportError(f"in the browser Graphviz writes .svg, not .{file_format}")
    return str(_graphviz_in_the_browser().dot(source)).encode()


def _graphviz_in_the_browser() -> Any:
    """The module that draws, loaded once a page.

    Loading it is a promise of JavaScript's. A browser that cannot suspend WebAssembly cannot wait for
    one, so there the first drawing only starts it, and the next one finds it done.
    """
    import pyodide_js  # type: ignore[import-not-found]  # these two exist in Pyodide alone
    from pyodide import code, ffi  # type: ignore[import-not-found]

    url = f"{pyodide_js._api.config.packageBaseUrl}graphviz.js"
    graphviz = code.run_js(_LOAD_GRAPHVIZ)(url)
    if hasattr(graphviz, "dot"):  # the module, and no promise of it
        return graphviz
    if not ffi.can_run_sync():
        raise ImportError(
            "this browser cannot wait while Graphviz is loaded: draw again in a moment, or draw in "
            f"Python with {HOW_TO_INSTALL}"
        )
    try:
        return ffi.run_sync(graphviz)
    except Exception as error:
        raise ImportError(f"drawing needs Graphviz, and {url} could not be loaded: {error}") from None


# The module, or a promise of it. One that failed is forgotten, so that the next drawing tries again.
_LOAD_GRAPHVIZ = """
url => globalThis.micrograd_mlp_graphviz ??= import(url).then(
    module => module.Graphviz.load()
).then(
    graphviz => globalThis.micrograd_mlp_graphviz = graphviz,
    error => { delete globalThis.micrograd_mlp_graphviz; throw error; },
)
"""
