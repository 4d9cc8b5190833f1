"""The suite in Pyodide under Node.js: it passes there, but for what `pyodide/cannot_run.toml` lists.

The build of the site has installed Pyodide and Graphviz from npm. pip brings the wheels that tests need.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site.pyodide.plugin import reasons

pytestmark = pytest.mark.site

ROOT = Path(__file__).parents[2]
SITE = Path(os.environ.get("MICROGRAD_MLP_SITE", ROOT / "site"))
PACKAGES = SITE.parent / ".site_assets" / "node_modules"
WHEELS = ["graphviz", "hypothesis", "micrograd", "mpmath", "pytest"]  # of pure Python, as all that they need
OPTIONS = [
    "--override-ini=addopts=",  # those of pyproject.toml, but for xdist, which needs processes
    "--doctest-modules",
    "--strict-markers",
    "--strict-config",
    "--import-mode=importlib",
    "-mnot exhaustive and not site",
    "-pno:cacheprovider",
    # Where asyncio.run fails, its coroutine is never awaited, and a later test would be blamed for that.
    "-Wignore:Exception ignored while finalizing coroutine:pytest.PytestUnraisableExceptionWarning",
]
STACK_OVERFLOW = "Maximum call stack size exceeded"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    lock = json.loads((PACKAGES / "pyodide" / "pyodide-lock.json").read_text(encoding="utf-8"))
    version = ".".join(lock["info"]["python"].split(".")[:2])
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--dest={folder}"]
    any_machine = ["--platform=any", f"--python-version={version}", "--implementation=py", "--abi=none"]
    subprocess.run([*pip, *any_machine, *WHEELS], check=True, capture_output=True)
    return folder


def run_pytest(wheels, *arguments):
    """Pytest in Pyodide: its exit code, and what it printed."""
    packages = [PACKAGES / "pyodide", PACKAGES / "@hpcc-js" / "wasm-graphviz"]
    command = ["node", ROOT / "tests" / "site" / "pyodide" / "run.mjs", *packages, wheels, ROOT]
    done = subprocess.run(
        [*command, *OPTIONS, *arguments],
        env={**os.environ, "HYPOTHESIS_PROFILE": "few"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_suite_passes_but_for_what_is_listed(wheels, capsys):
    code, output = run_pytest(wheels, "-q", "--tb=short", "-ptests.site.pyodide.plugin")
    assert code == 0, output[-20_000:]
    summary = output[output.index("what cannot run in Pyodide") :]
    with capsys.disabled():
        sys.stdout.write("\n" + summary.partition("\n")[2])


@pytest.mark.parametrize(
    "test", sorted(test for reason in reasons() if reason.ends_python for test in reason.tests)
)
def test_what_ends_python_there_still_does(wheels, test):
    code, output = run_pytest(wheels, test)
    assert code != 0
    assert re.search(STACK_OVERFLOW, output), f"{test} can run, or fails in another way:\n{output[-5000:]}"
