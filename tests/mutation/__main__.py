"""`python -m tests.mutation [FILE ...]`: break every line in every way; some test has to notice.

Needs cosmic-ray, whose operators make the mutants: another operator, another comparison, a number one
more or one less, a negated condition, a loop that never runs, a decorator left out. A mutant that differs
only in annotations, docstrings or `@overload` stubs changes nothing that runs and is not counted. The
others are written, one by one, into a copy of the package, and tested there: first with the module's
mirrored tests and doctests, and what survives them with the wider tests. The mutants in
`equivalent.txt` change no number, for the reasons given there; all others that survive are printed.
"""

import argparse
import ast
import difflib
import itertools
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "micrograd_mlp"
PLACES = [*sorted(PACKAGE.glob("engine/**/*.py")), *sorted(PACKAGE.glob("nn/*.py")), PACKAGE / "optim.py"]
FILES = [str(path.relative_to(PACKAGE)) for path in PLACES if path.name != "__init__.py"]
WIDER = [
    "tests/engine",
    "tests/nn",
    "tests/test_optim.py",
    "tests/checks/test_checks_are_checked.py",
    "tests/checks/test_gradcheck.py",
    "tests/app/test_formulas.py",
    "tests/training/test_diagnostics.py",
    "tests/training/test_fit.py",
    "tests/test_switching_from_micrograd.py",
    "tests/paper",
]
SECONDS, WIDER_SECONDS = 60, 600  # far more than the tests take: a mutant that takes longer than this hangs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help=f"of {', '.join(FILES)}; all if none is given"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="mutants of lines that contain this")
    arguments = parser.parse_args()
    os.nice(19)
    with tempfile.TemporaryDirectory(prefix="micrograd_mlp_mutants_") as folder:
        copy = Path(folder)
        for name in ("micrograd_mlp", "tests", "notebooks"):
            shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(CHECKOUT / name, copy)
        counts = [run(copy, name, arguments.only) for name in arguments.files or FILES]
    print(f"{'file':26}{'mutants':>10}{'killed':>10}{'equivalent':>12}{'survived':>10}{'minutes':>9}")
    for name, count, seconds in counts:
        numbers = f"{count.total():10}{count['killed']:10}{count['equivalent']:12}{count['survived']:10}"
        print(f"{name:26}{numbers}{seconds / 60:9.1f}")
    return any(count["survived"] for _, count, _ in counts)


def tests_of(name: str) -> list[str]:
    """The test file that mirrors a file of the package, or the folder that it is in, if there is one."""
    for place in (Path(name), Path(name).parent):
        mirror = Path("tests") / place.parent / f"test_{place.stem}.py"
        if (CHECKOUT / mirror).exists():
            return [str(mirror)]
    return []


def run(copy: Path, name: str, only: str) -> tuple[str, Counter[str], float]:
    """Try every mutant of one file and print those that survive."""
    start, counts = time.perf_counter(), Counter[str]()
    target = copy / "micrograd_mlp" / name
    mirrored = [f"micrograd_mlp/{name}", *tests_of(name)]
    source = target.read_text(encoding="utf-8")
    if not (passes(copy, mirrored, SECONDS) and passes(copy, WIDER, WIDER_SECONDS)):
        raise SystemExit(f"the tests of {name} fail before anything is broken")
    equivalent = (Path(__file__).parent / "equivalent.txt").read_text(encoding="utf-8").splitlines()
    for mutant in mutants(source):
        change = difference(source, mutant)
        if only not in change:
            continue
        target.write_text(mutant, encoding="utf-8")
        if f"{name}: {change}" in equivalent:
            counts["equivalent"] += 1
        elif passes(copy, mirrored, SECONDS) and passes(copy, WIDER, WIDER_SECONDS):
            counts["survived"] += 1
            print(f"{name}: {change}", flush=True)
        else:
            counts["killed"] += 1
    target.write_text(source, encoding="utf-8")
    return name, counts, time.perf_counter() - start


def mutants(source: str) -> Iterator[str]:
    """Every text that cosmic-ray's operators make of this one, and that Python would run differently."""
    seen = {what_runs(source)}
    for operator in [get_operator(name) for name in operator_names()]:
        for occurrence in itertools.count() if not operator.arguments() else ():
            try:
                mutant = mutate_code(source, operator(), occurrence)
                if mutant is None:
                    break
                program = what_runs(mutant)
            except (AttributeError, SyntaxError):  # `except json.JSONDecodeError` is beyond cosmic-ray 8.7
                continue
            if program not in seen:
                seen.add(program)
                yield mutant


def what_runs(source: str) -> str:
    """The program without what has no effect on it: annotations, docstrings, stubs of overloads."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [part for part in body if not (is_constant(part) or is_stub(part))]
    return ast.dump(tree)


def is_constant(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_stub(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and ast.unparse(node.body) == "..."


def difference(source: str, mutant: str) -> str:
    """The lines that differ, as `- old  + new`."""
    lines = list(difflib.ndiff(source.splitlines(), mutant.splitlines()))
    return "  ".join(f"{line[0]} {line[1:].strip()}" for line in lines if line[0] in "-+")


def passes(copy: Path, tests: list[str], seconds: int) -> bool:
    """Do these tests pass in the copy? In a forked process, which need not import pytest anew."""
    process = multiprocessing.get_context("fork").Process(target=_test, args=(copy, tests))
    process.start()
    process.join(seconds)
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    return process.exitcode == 0


def _test(copy: Path, tests: list[str]) -> None:
    os.setsid()
    os.chdir(copy)
    sys.dont_write_bytecode = True
    sys.path[:] = [str(copy), *[path for path in sys.path if Path(path).resolve() != CHECKOUT]]
    for module in [module for module in sys.modules if module.split(".")[0] in ("tests", "micrograd_mlp")]:
        del sys.modules[module]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    every_test = ["-m", ""]  # with those that are marked `exhaustive`
    options = ["-qx", "--assert=plain", "-p", "no:cacheprovider", *every_test]
    sys.exit(pytest.main([*options, *tests], plugins=[_Quickly()]))


class _Quickly:
    """Ordinary tests before Hypothesis's many examples, of which the first that fails is enough."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: hasattr(item, "obj") and hasattr(item.obj, "hypothesis"))

    def pytest_sessionstart(self) -> None:
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutation", hypothesis.settings(), phases=phases)
        hypothesis.settings.load_profile("mutation")


if __name__ == "__main__":
    sys.exit(main())
