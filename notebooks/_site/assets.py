"""A Sphinx extension: it copies what the pages load into the site, so that they need no other host.

npm brings MathJax, Pyodide and Graphviz (`notebooks/package.json` has their versions), pip brings the wheels
that the reader's browser installs. JupyterLite gets a configuration that looks for all of them in the site.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import browser_copies

NOTEBOOKS = Path(__file__).parents[1]
CHECKOUT = NOTEBOOKS.parent
PYODIDE_FILES = ["pyodide.js", "pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"]

# What a notebook's kernel imports in the browser. Each is a wheel of pure Python, and Pyodide's list of
# packages says which version it was tested with.
KERNEL_PACKAGES = ["ipython", "jedi", "micropip"]


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", collect)
    app.connect("html-page-context", load_no_fonts_from_elsewhere)
    return {"parallel_read_safe": True}


def collect(app: Any) -> None:
    """Bring everything to one folder beside the doctrees, and write JupyterLite's configuration there."""
    folder = Path(app.outdir).parent / ".site_assets"
    lite = folder / "lite"
    lite.mkdir(parents=True, exist_ok=True)
    node_modules = npm_packages(folder)
    copy(node_modules / "mathjax" / "es5" / "tex-svg.js", folder / "static" / "mathjax" / "tex-svg.js")
    pyodide = lite / "static" / "pyodide"  # JupyterLite looks for it there
    for name in PYODIDE_FILES:
        copy(node_modules / "pyodide" / name, pyodide / name)
    copy(node_modules / "@hpcc-js" / "wasm-graphviz" / "dist" / "index.js", pyodide / "graphviz.js")
    lock = json.loads((node_modules / "pyodide" / "pyodide-lock.json").read_text(encoding="utf-8"))
    kernel_wheels(lock, pyodide)
    wheels = own_wheels(folder / "wheels")
    for wheel in wheels:
        enter(lock, wheel, pyodide)
    (pyodide / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")
    app.config.jupyterlite_contents = [
        str(browser_copies.write(notebook, folder / "notebooks"))
        for notebook in sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
    ]
    app.config.html_static_path.append(str(folder / "static"))
    configure_jupyterlite(app, lite, wheels)


def npm_packages(folder: Path) -> Path:
    """The folder of npm's packages, installed if they are not there in the versions that package.json has."""
    wanted = (NOTEBOOKS / "package.json").read_text(encoding="utf-8")
    manifest = folder / "package.json"
    if not (folder / "node_modules").exists() or manifest.read_text(encoding="utf-8") != wanted:
        manifest.write_text(wanted, encoding="utf-8")
        run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder))
    return folder / "node_modules"


def kernel_wheels(lock: dict[str, Any], pyodide: Path) -> None:
    """Download the wheels that the kernel needs, and enter their hashes in Pyodide's list of packages."""
    names, todo = set[str](), list(KERNEL_PACKAGES)
    while todo:
        name = todo.pop()
        if name not in names:
            names.add(name)
            todo += [other.replace("_", "-") for other in lock["packages"][name]["depends"]]
    for name in sorted(names):
        entry = lock["packages"][name]
        target = pyodide / entry["file_name"]
        if not target.exists():
            wheel = download(f"{name}=={entry['version']}", pyodide)
            wheel.rename(target)
        entry["sha256"] = hashlib.sha256(target.read_bytes()).hexdigest()


def own_wheels(folder: Path) -> list[Path]:
    """This checkout as a wheel, and wheels of what Pyodide's list of packages lacks."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(CHECKOUT),
    )
    for name in (
        "graphviz",
        "comm",
    ):  # what this package imports, and what the kernel does beside Pyodide's list
        download(name, folder)
    return sorted(folder.glob("*.whl"))


def enter(lock: dict[str, Any], wheel: Path, pyodide: Path) -> None:
    """Add a wheel to Pyodide's list of packages, so that `import` in a cell finds it."""
    copy(wheel, pyodide / wheel.name)
    name, version = wheel.name.split("-")[:2]
    lock["packages"][name.replace("_", "-")] = {
        "name": name,
        "version": version,
        "file_name": wheel.name,
        "install_dir": "site",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": [name],
        "depends": ["graphviz"] if name == "micrograd_mlp" else [],
        "unvendored_tests": False,
    }


def download(requirement: str, folder: Path) -> Path:
    """One wheel of pure Python from the package index."""
    fresh = folder / "fresh"
    fresh.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    any_machine = ["--platform", "any", "--python-version", "3.14", "--implementation", "py", "--abi", "none"]
    run(*pip, *any_machine, "--dest", str(fresh), requirement)
    [wheel] = fresh.glob("*.whl")
    moved = wheel.rename(folder / wheel.name)
    fresh.rmdir()
    return moved


def configure_jupyterlite(app: Any, folder: Path, wheels: list[Path]) -> None:
    """Let JupyterLite serve the notebooks with a kernel that finds everything in the site."""
    build = {
        "PipliteAddon": {"piplite_urls": [str(wheel) for wheel in wheels]},
    }
    (folder / "jupyter_lite_config.json").write_text(json.dumps(build), encoding="utf-8")
    app.config.jupyterlite_config = str(folder / "jupyter_lite_config.json")
    app.config.jupyterlite_dir = str(folder)
    run_time = {
        "jupyter-lite-schema-version": 0,
        "jupyter-config-data": {
            "exposeAppInBrowser": True,  # for tests, which run a notebook through it
            "litePluginSettings": {
                "@jupyterlite/pyodide-kernel-extension:kernel": {
                    "pyodideUrl": "./static/pyodide/pyodide.mjs",
                    "disablePyPIFallback": True,
                }
            },
        },
    }
    (folder / "jupyter-lite.json").write_text(json.dumps(run_time), encoding="utf-8")


def load_no_fonts_from_elsewhere(
    app: Any, page: str, template: str, context: dict[str, Any], tree: Any
) -> None:
    """Leave out the style sheet for one button's font, which JupyterLite's extension wants from another ."""
    context["css_files"] = [
        sheet for sheet in context["css_files"] if "fonts.googleapis" not in str(sheet.filename)
    ]


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
