"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE: `dev` while working and `ci` for a full run, both the
same every time; `explore` draws anew and much more, for finding what the others have not seen.

Doctests of modules that stand on an extra are skipped where the extra is not installed.
"""

import importlib.util
import os
import signal

import pytest
from hypothesis import settings

import micrograd_mlp  # noqa: F401 (first, so that no doctest run imports a submodule before its package)

settings.register_profile("dev", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

DOCTESTS_NEED = {
    "micrograd_mlp.render.plots": ["matplotlib"],
    "micrograd_mlp.export": ["onnx", "torch"],
    "micrograd_mlp.export.torch": ["onnx", "torch"],
}


def pytest_collection_modifyitems(items):
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            for package in DOCTESTS_NEED.get(item.dtest.globs["__name__"], ()):
                if importlib.util.find_spec(package) is None:
                    item.add_marker(pytest.mark.skip(f"its examples need {package}"))


# A run in the background of a shell starts with Ctrl-C ignored, and there are tests that send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
