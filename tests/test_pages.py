"""The pages of the documentation: their examples run and print what they say."""

import doctest
import importlib.util
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PAGES = sorted([*NOTEBOOKS.glob("*.md"), *NOTEBOOKS.glob("how_to/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_print_what_the_page_says(page, tmp_path, monkeypatch):
    if page.stem == "run_compiled" and importlib.util.find_spec("llvmlite") is None:
        pytest.skip("its examples need llvmlite")
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.failed == 0
