"""The README: its code runs, its links lead somewhere, its commands exist."""

import doctest
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from micrograd_mlp.app.cli import _parser

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (micrograd-mlp .*)$", TEXT, re.MULTILINE)


def test_the_code_runs_and_prints_what_it_says():
    result = doctest.testfile(
        str(ROOT / "README.md"),
        module_relative=False,
        optionflags=doctest.NORMALIZE_WHITESPACE,
        encoding="utf-8",
    )
    assert result.attempted > 8
    assert result.failed == 0


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_the_links_lead_to_files(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert links or page == "CHANGELOG.md"
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command):
    program, *arguments = shlex.split(command)
    assert program == "micrograd-mlp"
    assert _parser().parse_args(arguments).run


def test_the_extras_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        name for group in re.findall(r'"(?:\.|micrograd_mlp)\[([\w,]+)\]"', TEXT) for name in group.split(",")
    }
    named |= {
        name
        for cell in re.findall(r"^\| (`.*?`) \|", TEXT, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", cell)
    }
    assert len(named) > 5
    assert named <= extras.keys()
