"""Who imports whom, as the design has it: ops <- value <- everything else, and siblings stay apart."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import micrograd_mlp

PACKAGE = Path(micrograd_mlp.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"
}

# The engine comes first, then three helpers that import nothing. Everything else may import these and, in a
# folder, its neighbours there. Only what stands on top may import anything.
ENGINE = {"ops": set(), "value": {"ops"}}
HELPERS = {"init": set(), "files": set(), "continuation": set()}
ON_TOP = {"__main__", "cli", "export", "tables", "testing", "tour", "training"}


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported_modules(path):
    """Modules of the package that a file imports, anywhere in it, except for type checkers."""
    names = set()
    todo = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if not is_type_checking(node):
            todo += ast.iter_child_nodes(node)
    inside = [name.removeprefix("micrograd_mlp.") for name in names if name.startswith("micrograd_mlp.")]
    return {module for name in inside if (module := longest_module(name))}


def longest_module(name):
    """`render.text.escape` is from the module `render.text`; `Value` is from the package, no module."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_arrows_do_not_turn(module):
    imports = imported_modules(MODULES[module])
    folder = module.partition(".")[0]
    if module in ENGINE | HELPERS:
        allowed = (ENGINE | HELPERS)[module]
    elif module in ON_TOP:
        allowed = set(MODULES)
    else:
        siblings = {name for name in MODULES if name.startswith(f"{folder}.")}
        allowed = {*ENGINE, *HELPERS, *siblings}
    assert imports <= allowed, f"{module} imports {sorted(imports - allowed)}"


def test_the_test_reads_imports():
    assert imported_modules(MODULES["value"]) == {"ops"}
    assert {"ops", "value", "files", "init"} <= imported_modules(MODULES["nn"])


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_no_other_package():
    outside = run(
        "import sys; before = set(sys.modules); import micrograd_mlp; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    assert outside.strip() == "['micrograd_mlp']"


def test_every_public_name_is_there_and_documented():
    for name in micrograd_mlp.__all__:
        assert getattr(micrograd_mlp, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = micrograd_mlp.nonsense
