"""Checks of functions that are not written with Values: NumPy, SciPy, PyTorch, JAX (see `gradcheck`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from micrograd_mlp.checks.arrays import ArraySubject, random_weights
from micrograd_mlp.checks.diagnosis import explain_arrays
from micrograd_mlp.checks.directions import rows_by_directions
from micrograd_mlp.checks.functions import SEED, Function, Outputs
from micrograd_mlp.checks.judgement import Settings
from micrograd_mlp.checks.report import Row
from micrograd_mlp.checks.structure import leaves_of, parameters_of

FEW = 32  # so many derivatives are checked one by one


def check_foreign(
    f: Callable[..., Any], inputs: Any, gradient: Any, settings: Settings
) -> tuple[list[Row], list[str], int]:
    """Check a function of arrays: rows, notes and how many derivatives. See `gradcheck` for the arguments."""
    function = Function(f, inputs, returns_gradient=gradient is True)
    try:
        outputs = Outputs(function, settings.noise)
        inputs, claimed = function.read, _claimed(function, gradient, outputs)
        misfits = [k for k, x in enumerate(inputs) if claimed[k].shape != x.values.shape]
        usable = [
            np.full(x.values.shape, np.nan) if k in misfits else claimed[k] for k, x in enumerate(inputs)
        ]
        subject = ArraySubject(outputs.weighed, inputs, usable, outputs.epsilon, settings)
        rows, notes = _rows(subject, misfits)
        if outputs.count > 1:
            notes.append(f"f has {outputs.count:,} outputs: their sum with random weights was checked")
        if settings.order == 2:
            more, more_notes = _second_order(function, outputs, settings)
            rows, notes = rows + more, notes + more_notes
        for k in misfits:
            verdict = f"wrong, its shape is {claimed[k].shape} and not {inputs[k].values.shape}"
            rows.append(Row(inputs[k].name, np.nan, np.nan, np.nan, verdict))
        kinks = any("slopes" in row.verdict for row in rows)  # a gradient there is a matter of convention
        if any(row.verdict.startswith("wrong") for row in rows) and not kinks:
            notes = [*explain_arrays(outputs.weighed, inputs, claimed, outputs.followed), *notes]
        return rows, notes, settings.order * len(subject.gradient)
    finally:
        function.framework.restore()


def _rows(subject: ArraySubject, left_out: Sequence[int] = ()) -> tuple[list[Row], list[str]]:
    """Few derivatives one by one, many along directions; without inputs whose gradient has another shape."""
    finite = bool(np.all(np.isfinite(subject.gradient)))
    if len(subject.gradient) > FEW and finite and not left_out and not subject.settings.strict:
        return rows_by_directions(subject)
    kept = [g for k, g in enumerate(subject.groups) if k not in left_out]
    return [subject.single(i) for g in kept for i in range(g.first, g.last)], []


def _second_order(function: Function, outputs: Outputs, settings: Settings) -> tuple[list[Row], list[str]]:
    """The gradient of ∇f·u for a random direction u, which is the Hessian times u (§11)."""
    framework, inputs = function.framework, function.read
    generator = np.random.default_rng(SEED)
    u = [random_weights(generator, x.values.shape) for x in inputs]

    def slope(values: Sequence[Any]) -> float:
        found = framework.gradient(function.at, function.arrays(values), outputs.cotangents)
        return sum(float((g * weights).sum()) for g, weights in zip(found, u))

    arrays = function.arrays([x.values for x in inputs])
    claimed = framework.hessian_times(function.at, arrays, outputs.cotangents, u)
    subject = ArraySubject(slope, inputs, claimed, outputs.epsilon, settings)
    rows, notes = _rows(subject)
    rows = [row._replace(label=f"∇f·u by {row.label}") for row in rows]
    return rows, ["second derivatives: ∇f·u has the gradient H·u, for a random direction u", *notes]


def _claimed(function: Function, gradient: Any, outputs: Outputs) -> list[Any]:
    """The gradient in question, one array for each input, which may have another shape."""
    inputs = function.read
    arrays = function.arrays([x.values for x in inputs])
    if gradient is None:
        return list(function.framework.gradient(function.at, arrays, outputs.cotangents))
    weighed = False
    if gradient is True:
        given = function.gradient_at(arrays)
    elif callable(gradient):
        takes_cotangent = any(parameter.name == "cotangent" for parameter in parameters_of(gradient))
        weighed = outputs.shape is not None and takes_cotangent
        extra = {"cotangent": outputs.cotangents[0]} if weighed else {}
        given = function.call(gradient, arrays, **extra)
    else:
        given = gradient
    claimed = []
    for x, g in zip(inputs, _in_order(function, given)):
        shape = x.values.shape
        if g.shape in _shapes_of_jacobian(outputs, shape) and not weighed:
            rows = g.reshape(outputs.count, -1)
            g = (np.concatenate([c.ravel() for c in outputs.cotangents]) @ rows).reshape(shape)
        claimed.append(g.reshape(shape) if g.size == x.values.size == 1 else g)
    return claimed


def _shapes_of_jacobian(outputs: Outputs, shape: tuple[int, ...]) -> set[tuple[int, ...]]:
    """f's axes first, as they are or in one; empty for a function with one output."""
    if outputs.count == 1:
        return set()
    in_one = (outputs.count, int(np.prod(shape)))
    return {(*(outputs.shape or (outputs.count,)), *shape), (outputs.count, *shape), in_one}


def _in_order(function: Function, given: Any) -> list[Any]:
    """The gradients that were given, as float64 arrays in the order of the inputs."""
    inputs, names = function.read, ", ".join(x.name for x in function.read)
    if isinstance(given, Mapping):
        found = dict(leaves_of(given))
        missing = [x.name for x in inputs if x.name not in found]
        if missing:
            raise ValueError(
                f"gradient has no {', '.join(missing)}: its keys are {', '.join(found) or 'none'}"
            )
        arrays = [found[x.name] for x in inputs]
    else:
        arrays = [leaf for _, leaf in leaves_of(given)]
        if len(inputs) == 1 and len(arrays) == inputs[0].values.size > 1:  # its numbers as a plain list
            arrays = [np.asarray(given, dtype=np.float64)]
    if len(arrays) != len(inputs):
        raise ValueError(f"gradient gave {len(arrays)} arrays for {len(inputs)} inputs ({names})")
    return [function.framework.numbers(a)[0] for a in arrays]
