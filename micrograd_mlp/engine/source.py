"""Finding a Python function's syntax tree, and what its names stand for."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any

Tree = ast.FunctionDef | ast.Lambda


class UntranslatableError(Exception):
    """Why one expression can't be turned; `Translation` adds the operation's name."""

    def __init__(self, node: ast.AST, reason: str) -> None:
        super().__init__(f"`{ast.unparse(node).splitlines()[0]:.80}`: {reason}")


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def tree_of(function: Callable[..., Any]) -> Tree:
    """The syntax tree of one Python function; of several lambdas in a line, the right one."""
    code = getattr(function, "__code__", None)
    if code is None:
        raise UntranslatableError(ast.Name(repr(function)), "it is not a function that is written in Python")
    try:
        lines, _ = inspect.findsource(code)
        module = _parsed("".join(lines))
    except (OSError, SyntaxError):
        raise UntranslatableError(ast.Name(code.co_name), "its source can't be found") from None
    around = [node for node in module.body if _is_around(node, code.co_firstlineno)]
    candidates: list[Any] = [n for node in around for n in ast.walk(node) if _is_source_of(n, code)]
    if not candidates:
        raise UntranslatableError(ast.Name(code.co_name), "its source has changed since it was read")
    if len(candidates) > 1:  # the lambda inside of another lambda is the shorter one
        candidates.sort(key=lambda node: len(ast.unparse(node)))
    tree: Tree = candidates[0]
    return tree


def _is_around(node: ast.stmt, line: int) -> bool:
    """Whether a statement, with its decorators, contains a line."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *[decorator.lineno for decorator in decorators]])
    return first <= line <= (node.end_lineno or node.lineno)


def _is_source_of(node: ast.AST, code: CodeType) -> bool:
    """Whether a function's instructions all come from this part of the source."""
    if isinstance(node, ast.FunctionDef):
        first_lines = [node.lineno, *[decorator.lineno for decorator in node.decorator_list]]
        return node.name == code.co_name and code.co_firstlineno in first_lines
    if not isinstance(node, ast.Lambda) or code.co_name != "<lambda>" or node.lineno != code.co_firstlineno:
        return False
    body = node.body
    start, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
    places = [place for place in code.co_positions() if None not in place and place[2] != place[3]]
    return all(start <= (line, column) and (last, until) <= end for line, last, column, until in places)


def free_variables(function: Callable[..., Any]) -> Callable[[str], Any]:
    """Looks a name up as the function itself does: closure, globals, builtins."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))

    def look_up(name: str) -> Any:
        if name in cells:
            return cells[name].cell_contents
        return function.__globals__.get(name, getattr(builtins, name, None))

    return look_up
