"""A JupyterLab for the browser tests: a new folder, an empty notebook, and nothing from the network."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
QUIET = {"@jupyterlab/apputils-extension:announcements": True}  # which would ask for news


class Notebook(NamedTuple):
    """The address of a notebook, and the folder in which its kernel runs."""

    address: str
    folder: Path


@contextmanager
def server(folder: Path) -> Iterator[Notebook]:
    """JupyterLab with `folder` for everything that it reads and writes; an empty notebook in it."""
    settings = folder / "config" / "labconfig"
    settings.mkdir(parents=True)
    (settings / "page_config.json").write_text(json.dumps({"disabledExtensions": QUIET}))
    files = folder / "files"
    files.mkdir()
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    (files / "test.ipynb").write_text(json.dumps(notebook))
    token = secrets.token_hex()
    options = [
        "--no-browser",
        "--allow-root",
        "--expose-app-in-browser",
        "--LabApp.extension_manager=readonly",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={files}",
    ]
    places = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    environment = os.environ | places | {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}
    command = [sys.executable, "-m", "jupyterlab", *options]
    with (
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process,
        ThreadPoolExecutor() as pool,
    ):
        assert process.stderr is not None
        try:
            address = _address(process.stderr)
            pool.submit(process.stderr.read)  # since a full pipe would stop the server
            yield Notebook(f"{address}/lab/tree/test.ipynb?token={token}", files)
        finally:
            process.terminate()


def _address(log: Iterable[str]) -> str:
    """Where the server says that it listens."""
    seen = ""
    for line in log:
        seen += line
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    raise RuntimeError(f"JupyterLab did not start:\n{seen}")


_RUN = """
const [code, done] = arguments;
const notebook = jupyterapp.shell.currentWidget.content;
notebook.model.sharedModel.insertCell(notebook.widgets.length, { cell_type: "code", source: code });
notebook.activeCellIndex = notebook.widgets.length - 1;
const { outputs } = notebook.activeCell.model;
const running = jupyterapp.commands.execute("notebook:run-cell");
"""


class Lab:
    """The notebook in the browser: its cells run as a person's would, and their outputs are read."""

    def __init__(self, driver: Any, notebook: Notebook) -> None:
        self.driver, self.folder = driver, notebook.folder
        driver.set_script_timeout(180)
        driver.get(notebook.address)
        self.until(
            lambda: driver.execute_script(
                """
                const panel = window.jupyterapp?.shell?.currentWidget;
                return panel?.content?.model && panel.sessionContext?.session?.kernel?.status === "idle";
                """
            )
        )

    def run(self, code: str) -> str:
        """Run the code in a new cell; the text that it prints."""
        outputs = self.driver.execute_async_script(
            f"{_RUN} running.then(() => done(outputs.toJSON()));", code
        )
        problems = [output["evalue"] for output in outputs if output["output_type"] == "error"]
        assert not problems, problems
        return "".join([output["text"] for output in outputs if output["output_type"] == "stream"])

    def clear(self) -> None:
        """Take away all outputs."""
        self.driver.execute_async_script(
            "jupyterapp.commands.execute('notebook:clear-all-cell-outputs').then(arguments[0])"
        )

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until the condition holds."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 180, poll_frequency=0.05).until(lambda _: holds())

    def start(self, code: str) -> None:
        """Run the code in a new cell, without waiting for its end."""
        self.driver.execute_async_script(f"{_RUN} done();", code)

    def pages(self) -> list[Any]:
        """The shadow root of each page that is shown, from the top."""
        hosts = self.driver.execute_script(
            """
            const all = document.querySelectorAll(".jp-OutputArea-output div");
            return [...all].filter((node) => node.shadowRoot?.querySelector(".card"));
            """
        )
        return [host.shadow_root for host in hosts]
