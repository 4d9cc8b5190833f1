"""Hypothesis profiles: `dev` while working, `ci` for a full and repeatable run (HYPOTHESIS_PROFILE=ci)."""

import os

from hypothesis import settings

import micrograd_mlp  # noqa: F401 (first, so that no doctest run imports a submodule before its package)

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))
