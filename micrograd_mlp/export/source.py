"""Any compiled program as readable code in another language, with its backward pass (§7)."""

from __future__ import annotations

import linecache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from micrograd_mlp._require import require_choice
from micrograd_mlp.compiled.trace import placeholders, trace
from micrograd_mlp.engine.language import Language
from micrograd_mlp.export.counterparts import require_package
from micrograd_mlp.export.languages.arrays import LossWriter
from micrograd_mlp.export.languages.c import C, CWriter
from micrograd_mlp.export.languages.javascript import JavaScriptSource, JavaScriptWriter
from micrograd_mlp.export.languages.jax import Jax
from micrograd_mlp.export.languages.numpy import NumPy, NumPyWriter
from micrograd_mlp.export.languages.torch import Torch
from micrograd_mlp.export.plan import Plan, make_plan
from micrograd_mlp.export.write import Writer

if TYPE_CHECKING:
    from micrograd_mlp.compiled import Program

LANGUAGES: dict[str, tuple[type[Writer], type[Language]]] = {
    "numpy": (NumPyWriter, NumPy),
    "jax": (LossWriter, Jax),
    "torch": (LossWriter, Torch),
    "c": (CWriter, C),
    "javascript": (JavaScriptWriter, JavaScriptSource),
}
"""For each language what writes a program, and the words."""


def to_source(program: Program, language: str) -> str:
    """The program as source code in another language.

    NumPy, C and JavaScript get a function with the backward pass written out; for a network it reads like
    §7: `delta1 = d_a1 * (1.0 - a1 * a1)`, `d_W1 = delta1.T @ X`. JAX and PyTorch differentiate themselves and
    get the loss alone:

    - "numpy": `loss_and_grad(theta, X, Y)` returns the pair (loss, gradient).
    - "javascript": the same on plain arrays; X and Y are arrays of rows, or of numbers.
    - "c": `double loss_and_grad(const double *theta, const double *X, const double *Y, int n,
      double *gradient)` in C99. X and Y have one example after another; one that the program does not have
      may be NULL. It needs no heap and nothing but `-lm`.
    - "jax", "torch": `loss(theta, X, Y)`.

    The loss is the mean over the n examples. `theta` and the gradient are flat, in the order of
    `program.parameters`; in the code they have views by name, such as W1 and b1. A program of f(x) or f()
    has the same function, which ignores Y, or X and Y.

    Args:
        program: what `compile` returned, after its first call: the code is for the shapes of X and Y in the
            latest call with new shapes. Values that the function uses and that are no parameters are
            written as the numbers that they are now.
        language: one of the five.

    Returns:
        The text of a file.

    Raises:
        TranslationError: an operation of your own uses something that the language can't say.
        TypeError: the function returns a list, which is no loss.
        ValueError: the program was not called yet, or there is no such language.

    >>> from micrograd_mlp import Value, compile
    >>> w = Value(3.0, "w")
    >>> program = compile(lambda x: (w * x).tanh(), [w])
    >>> _ = program([1.0, 2.0])
    >>> print(to_source(program, "torch"))
    import torch
    <BLANKLINE>
    <BLANKLINE>
    def loss(theta, X, Y=None):
        \"\"\"The mean loss of the examples.\"\"\"
        theta = torch.as_tensor(theta, dtype=torch.float64)
        X = torch.as_tensor(X, dtype=torch.float64).reshape(-1, 1)
        w = theta[0:1]
        v1 = w * X
        loss = torch.tanh(v1)
        return loss.mean()
    <BLANKLINE>
    """
    require_choice("language", language, LANGUAGES)
    plan = plan_of(program)
    if len(plan.outputs) > 1:
        raise TypeError(
            f"{program!r} returns {len(plan.outputs)} Values, but a loss is one: compile a function that "
            "returns one Value"
        )
    writer, words = LANGUAGES[language]
    return writer(plan, words()).text()


def to_jax(program: Program) -> Any:
    """The function `loss(theta, X, Y)` that `to_source` writes in JAX, ready for `jax.grad` and `jax.jit`.

    Args:
        program: as for `to_source`.

    Returns:
        A function of arrays. JAX computes in double precision from then on.

    Raises:
        ImportError: JAX is missing.
        TranslationError: an operation of your own uses something that JAX can't say.
        TypeError: the function returns a list, which is no loss.
        ValueError: the program was not called yet.
    """
    require_package("jax", "jax")
    return loss_function(program, "jax")


def plan_of(program: Program) -> Plan:
    """The steps of a program for the shapes of its latest new call.

    Raises:
        ValueError: the program was not called yet.
    """
    shapes = program.shapes
    if shapes is None:
        raise ValueError(
            f"{program!r} was not called yet, so the shapes of X and Y are unknown: call it once, as in "
            "program(X, Y)"
        )
    arguments = [placeholders([0.0] * shape[0] if shape else 0.0, name) for name, shape in zip("xy", shapes)]
    graph, _ = trace(program.f, arguments, program.parameters)
    return make_plan(graph, shapes)


def loss_function(program: Program, language: str) -> Any:
    """The function that `to_source` writes, ready to call; its source is shown in tracebacks."""
    text = to_source(program, language)
    name = f"<{language} source of {getattr(program.f, '__name__', 'f')}, {id(program):x}>"
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    module = ModuleType("exported")
    exec(compile(text, name, "exec"), vars(module))
    return module.loss
