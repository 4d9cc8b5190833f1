"""The index: every displayed equation of §2 to §11 has a test that cites and repeats it.

`equations.toml` lists the equations, and is the reference. A test's name cites one, `test_6_2_eq_3_…` being
§6.2 (3), and its docstring repeats it. `test_further_…` goes beyond the paper, or tests its words.
"""

import ast
import re
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EQUATIONS = tomllib.loads((HERE / "equations.toml").read_text(encoding="utf-8"))
PAPER = HERE.parents[1].parent / "shared" / "paper.md"


def by_equation():
    """(file, docstring) of each test, by the equation that its name cites."""
    found = {}
    for path in sorted(HERE.glob("test_section_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            cited = isinstance(node, ast.FunctionDef) and re.match(
                r"test_(\d+)(?:_(\d+))?_eq_(\d+)_", node.name
            )
            if cited:
                section = f"{cited[1]}.{cited[2]}" if cited[2] else cited[1]
                key = f"{section} ({cited[3]})"
                found.setdefault(key, []).append((path, ast.get_docstring(node) or ""))
    return found


TESTS = by_equation()


def without_spaces(text):
    return "".join(text.split())


def displayed_equations(paper):
    """Every $$…$$ block of §2 to §11 in the order of the text, by section and number within it."""
    equations, section, number = {}, "", 0
    for heading, latex in re.findall(r"^#+ (\d+(?:\.\d+)?) |\$\$(.*?)\$\$", paper, re.MULTILINE | re.DOTALL):
        if heading:
            section, number = heading, 0
        elif section.split(".")[0] in map(str, range(2, 12)):
            number += 1
            equations[f"{section} ({number})"] = " ".join(latex.split())
    return equations


@pytest.mark.parametrize("key", EQUATIONS)
def test_every_equation_has_a_test_that_repeats_it(key):
    assert key in TESTS, f"no test cites §{key}: {EQUATIONS[key]}"
    docstrings = [without_spaces(docstring) for _, docstring in TESTS[key]]
    assert any(d.startswith(without_spaces(f"§{key}: {EQUATIONS[key]}")) for d in docstrings)


@pytest.mark.parametrize("key", TESTS)
def test_every_test_cites_an_equation_of_the_paper_in_its_sections_file(key):
    assert key in EQUATIONS, f"the paper has no equation §{key}"
    section = int(key.split()[0].split(".")[0])
    assert all(path.name.startswith(f"test_section_{section:02}_") for path, _ in TESTS[key])


def test_there_is_one_file_for_each_section():
    sections = [int(path.name.split("_")[2]) for path in sorted(HERE.glob("test_section_*.py"))]
    assert sections == list(range(2, 12))


if PAPER.exists():  # where the project is developed; a plain clone holds the list and not the paper

    def test_the_list_is_the_papers():
        assert displayed_equations(PAPER.read_text(encoding="utf-8")) == EQUATIONS


def test_an_equation_that_is_added_to_the_paper_would_be_seen():
    paper = "## 2 A\n\n### 2.1 B\n\n$$a = b$$\n\n$$c\n= d$$\n\n## 3 C\n\n$$e$$\n\n## 12 Conclusion\n\n$$f$$\n"
    assert displayed_equations(paper) == {"2.1 (1)": "a = b", "2.1 (2)": "c = d", "3 (1)": "e"}
