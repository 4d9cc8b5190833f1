"""Any compiled program as readable code in another language (§7)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from micrograd_mlp._require import require_choice
from micrograd_mlp.compiled.trace import placeholders, trace
from micrograd_mlp.export.plan import Plan, make_plan

if TYPE_CHECKING:
    from micrograd_mlp.compiled import Program

LANGUAGES = ("numpy", "jax", "torch", "c", "javascript")


def to_source(program: Program, language: str) -> str:
    """The program as source code in another language, with the backward pass written out (§7)."""
    require_choice("language", language, LANGUAGES)
    module = importlib.import_module(f"micrograd_mlp.export.languages.{language}")
    source: str = module.write(plan_of(program))
    return source


def plan_of(program: Program) -> Plan:
    """The steps of a program for the shapes of its last call.

    Raises:
        ValueError: the program was not called yet.
    """
    shapes = program.shapes
    if shapes is None:
        raise ValueError(
            f"{program!r} was not called yet, so the shapes of X and Y are unknown: call it once, "
            "as in program(X, Y)"
        )
    arguments = [placeholders([0.0] * shape[0] if shape else 0.0, name) for name, shape in zip("xy", shapes)]
    graph, _ = trace(program.f, arguments, program.parameters)
    return make_plan(graph, shapes)
