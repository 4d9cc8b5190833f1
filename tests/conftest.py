"""Hypothesis profiles, which doctests are collected, when tests run in parallel, and what collection costs.

The profiles are chosen by HYPOTHESIS_PROFILE: `dev` while working, `ci` for a full run and `few` where Python
is slow, each the same every time; `explore` draws anew and much more, for finding what the others have not.
"""

import gc
import importlib.util
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

import micrograd_mlp  # noqa: F401 (first, so that no doctest run imports a submodule before its package)

settings.register_profile("dev", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("few", max_examples=20, deadline=None, derandomize=True)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

PACKAGE = Path(__file__).parents[1] / "micrograd_mlp"
DOCTESTS_NEED = {  # a file or folder of the package -> what its examples need beyond the extra `test`
    "compiled": ["llvmlite", "numpy"],
    "export": ["onnx", "torch"],
    "render/widget.py": ["anywidget"],
    "training/estimators.py": ["sklearn"],
    "app/table_training.py": ["pandas", "sklearn"],
}


class Doctests:
    """Collects doctests from the package alone, and there only those whose extras are installed.

    The rest is imported in earnest. `--doctest-ignore-import-errors` would do without this class, but a test
    file with a wrong import would then be left out without a word, with all its tests.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(self, file_path):
        collectors = yield
        if not file_path.is_relative_to(PACKAGE):
            return [collector for collector in collectors if type(collector) is pytest.Module]
        return collectors if all(map(importlib.util.find_spec, needs(file_path))) else []


def needs(file_path):
    return [
        package
        for place, packages in DOCTESTS_NEED.items()
        if file_path.is_relative_to(PACKAGE / place)
        for package in packages
    ]


def pytest_configure(config):
    # Registered, since a hook that stands in this file would not reach the files of the package.
    config.pluginmanager.register(Doctests())


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Leaves out the search for garbage while modules and tests are made, since all of them stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(optionalhook=True)  # pytest-xdist needs processes, which Pyodide does not have
def pytest_xdist_auto_num_workers(config):
    """Every core takes a share of the whole suite; named files run in one process, which starts at once."""
    return None if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


# A run in the background of a shell starts with Ctrl-C ignored, and there are tests that send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
