"""The documentation site: notebooks as chapters, how-to pages and the reference, all in one folder.

    .venv/bin/pip install ".[docs]" && .venv/bin/sphinx-build -W -b html notebooks site

A page needs no other host: MathJax, Pyodide and the wheels that run in the reader's browser are copied into
the site by `_site/assets.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import micrograd_mlp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_site"))

project = "micrograd_mlp"
author = "The micrograd_mlp developers"
version = release = micrograd_mlp.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "jupyterlite_sphinx",
    "assets",
    "pages",
]
exclude_patterns = ["_site", "node_modules", "**/.ipynb_checkpoints", "pictures/README*"]
nb_execution_mode = "off"  # tests/test_notebooks.py runs them and compares what they print
nb_render_markdown_format = "myst"  # so that formulas in what a cell prints are formulas
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

html_theme = "furo"
html_title = "micrograd_mlp"
html_show_copyright = False
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_favicon = "_site/static/icon.svg"
mathjax_path = "mathjax/tex-svg.js"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_use_ivar = True

jupyterlite_silence = True

try_examples_global_button_text = "Try it"
# JupyterLite puts the preamble after the first cell, so the first cell has to be this text.
try_examples_global_warning_text = "Run a cell with Shift+Enter; the first one takes some seconds."
try_examples_preamble = "from micrograd_mlp import *"

# Docstrings are plain text with the paper's symbols, and `code` stands in single backticks.
default_role = "code"
