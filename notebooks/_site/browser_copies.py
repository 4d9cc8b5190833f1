"""Copies of the notebooks for the reader's browser, without what does not exist there, such as NumPy.

A statement that needs one of them is taken out of its cell, with all statements that use its results. The
picture that it drew when the notebook was last run stands in its place.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat

MODULES = {  # what does not exist there, by the beginning of the module's name
    "matplotlib": "Matplotlib",
    "micrograd_mlp.plots": "Matplotlib",
    "numpy": "NumPy",
    "jax": "JAX",
    "torch": "PyTorch",
}
COMPILED = "compiled execution"
NOTE = "*This step needs {}, which exists in a Python on your own machine and not in the browser.*"


def write(notebook: Path, folder: Path) -> Path:
    """Write the browser's copy of a notebook into a folder."""
    content = nbformat.read(notebook, as_version=4)
    missing: dict[str, str] = {}  # each name that does not exist in the browser, and what it needs
    cells = []
    for cell in content.cells:
        if cell.cell_type != "code":
            cells.append(cell)
            continue
        kept, needs = without_missing(cell.source, missing)
        pictures = [output for output in cell.outputs if is_picture(output)] if needs else []
        cell.source, cell.outputs, cell.execution_count = kept, [], None
        if kept.strip():
            cells.append(cell)
        if needs and (pictures or not kept.strip()):
            cells.append(in_its_place(needs, pictures))
    content.cells = cells
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / notebook.name
    nbformat.write(content, target)
    return target


def without_missing(source: str, missing: dict[str, str]) -> tuple[str, str]:
    """The statements that work in the browser, and what the first of the others needs.

    Names that the others bind are added to `missing`.
    """
    needs, lines = "", source.splitlines()
    dropped = set[int]()
    for statement in ast.parse(source).body:
        reason = what_it_needs(statement, missing)
        if not reason:
            for name in bound_names(statement):
                missing.pop(name, None)
            continue
        keeps = None
        if isinstance(statement, ast.ImportFrom) and statement.module == "micrograd_mlp":
            keeps = [alias for alias in statement.names if alias.name != "compile"]
            missing["compile"] = COMPILED
        else:
            needs = needs or ("" if isinstance(statement, ast.Import | ast.ImportFrom) else reason)
            missing.update(dict.fromkeys(bound_names(statement), reason))
        first, last = statement.lineno, statement.end_lineno or statement.lineno
        dropped.update(range(first, last + 1))
        if keeps:
            lines[first - 1] = ast.unparse(ast.ImportFrom("micrograd_mlp", keeps, 0))
            dropped.remove(first)
    kept = [line for number, line in enumerate(lines, start=1) if number not in dropped]
    return "\n".join(kept).strip("\n"), needs


def what_it_needs(statement: ast.stmt, missing: dict[str, str]) -> str:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        module = getattr(statement, "module", None) or statement.names[0].name
        if module == "micrograd_mlp" and any(alias.name == "compile" for alias in statement.names):
            return COMPILED
        return next((need for start, need in MODULES.items() if module.startswith(start)), "")
    used = [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    own = bound_names(statement)
    return next((missing[name] for name in used if name in missing and name not in own), "")


def bound_names(statement: ast.stmt) -> set[str]:
    """The names that a statement gives to the cells below it."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    names, todo = set[str](), list[ast.AST]([statement])
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        if not isinstance(node, ast.comprehension | ast.Lambda):  # what is bound inside them is their own
            todo += ast.iter_child_nodes(node)
    return names


def is_picture(output: Any) -> bool:
    return "image/png" in output.get("data", {})


def in_its_place(needs: str, pictures: list[Any]) -> Any:
    cell = nbformat.v4.new_markdown_cell(NOTE.format(needs))
    for number, output in enumerate(pictures):
        name = f"picture{number}.png"
        cell.setdefault("attachments", {})[name] = {"image/png": output["data"]["image/png"]}
        cell.source += f"\n\n![what it draws](attachment:{name})"
    return cell
