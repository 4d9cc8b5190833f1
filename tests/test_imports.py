"""Who imports whom: engine <- nn, optim <- compiled, checks <- training, render, export <- app."""

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
    if path.name != "__init__.py"
} | {".".join(path.parent.relative_to(PACKAGE).parts): path for path in PACKAGE.rglob("*/__init__.py")}

# The floors of the house, from the ground up: a room imports from the floors below and from itself. Rooms
# on one floor stay apart. Only the package's own `__init__` and `__main__` may import anything.
FLOORS = [
    {"_require", "files"},
    {"engine"},
    {"nn", "optim"},
    {"compiled", "checks"},
    {"training", "render", "export"},
    {"app"},
]


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


def room_of(module):
    return module.partition(".")[0]


def floor_of(module):
    [floor] = [number for number, rooms in enumerate(FLOORS) if room_of(module) in rooms]
    return floor


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"__main__"}))
def test_the_arrows_do_not_turn(module):
    turned = [
        other
        for other in imported_modules(MODULES[module])
        if room_of(other) != room_of(module) and floor_of(other) >= floor_of(module)
    ]
    assert not turned, f"{module} imports {turned}, which stand beside it or above it"


def test_the_test_reads_imports():
    assert imported_modules(MODULES["engine.table.arithmetic"]) == {"engine.op"}
    assert {"engine.value", "files", "nn.initializers"} <= imported_modules(MODULES["nn.modules"])


def test_the_top_of_the_package_has_few_entries():
    entries = {path.name for path in PACKAGE.iterdir()} - {"py.typed", "__pycache__"}
    assert len(entries) <= 14, sorted(entries)


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
