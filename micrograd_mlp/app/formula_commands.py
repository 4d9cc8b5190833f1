"""`micrograd-mlp graph` and `check`: the graph of a formula or of a saved network, and its derivatives."""

from __future__ import annotations

import argparse
import re
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import micrograd_mlp  # imports what a command needs when it is first named
from micrograd_mlp.app.command import add_command
from micrograd_mlp.app.formulas import Expression, ExpressionError, parse, parse_assignment
from micrograd_mlp.engine.value import Value
from micrograd_mlp.files import write_atomically


def add_graph(commands: Any) -> None:
    """Add `graph` to the subparsers."""
    graph = add_command(
        commands,
        "graph",
        _graph,
        "print the graph of a formula or a saved network with its gradients, and draw it",
        'micrograd-mlp graph "tanh(w*x + b)" w=0.5 x=2 b=-1 --svg neuron.svg --local\n'
        "  micrograd-mlp graph net.json x1=0.5 x2=-1 --png net.png --collapse neuron",
    )
    _add_formula(graph)
    for name, what in {
        "--draw": "write the drawing: .svg, .png, .pdf, .dot or .tex",
        "--svg": "write the drawing as SVG",
        "--png": "write the drawing as PNG",
        "--steps": "write a page to step through: .html",
        "--explore": "write a page that answers: .html",
    }.items():
        graph.add_argument(name, type=Path, metavar="FILE", help=what)
    graph.add_argument(
        "--collapse", choices=("neuron", "layer"), help="draw one box for each of a saved network's"
    )
    graph.add_argument("--output", type=int, default=1, metavar="K", help="output of a saved network (1)")
    graph.add_argument("--local", action="store_true", help="write the local derivative on every edge")
    graph.add_argument("--explain", metavar="NAME", help="print every path by which NAME acts on the result")
    graph.add_argument("--depth", type=int, help="show only so many levels of the tree")


def add_check(commands: Any) -> None:
    """Add `check` to the subparsers."""
    check = add_command(
        commands,
        "check",
        _check,
        "compare the derivatives of a formula, or of a function in a Python file, with numerical ones",
        'micrograd-mlp check "exp(x) / y" x=1 y=3 --order 2 --method complex-step\n'
        "  micrograd-mlp check network.py:loss inputs=parameters gradient=backward",
    )
    _add_formula(check)
    check.add_argument("--order", type=int, choices=(1, 2), default=1, help="2: second derivatives too (1)")
    check.add_argument(
        "--method",
        choices=("richardson", "complex-step"),
        default="richardson",
        help="complex-step: nearly exact, for formulas without a kink (richardson)",
    )


def _add_formula(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("formula", help="numbers, names, + - * / ** ( ) and functions such as tanh")
    parser.add_argument("values", nargs="*", metavar="name=number", help="a number for each name")


def text_tree(value: Value, depth: int | None = None) -> str:
    """The graph as a tree, in letters that the terminal has."""
    lines, encoding = "├└│⋯…", sys.stdout.encoding or "ascii"
    return micrograd_mlp.tree(value, depth, ascii=lines.encode(encoding, "ignore").decode(encoding) != lines)


# graph


def _graph(options: argparse.Namespace) -> None:
    if options.formula.strip().endswith(".json"):
        result, leaves = _network(options)
        result.backward()
    else:
        result, leaves = _result_of_formula(options)
    if options.explain is not None and options.explain not in leaves:
        raise ValueError(f"--explain {options.explain}: the names are {', '.join(leaves)}")
    print(text_tree(result, options.depth))
    if options.explain is not None:
        print(f"\n{micrograd_mlp.explain(result, leaves[options.explain])}")
    _write_pictures(result, options)


def _result_of_formula(options: argparse.Namespace) -> tuple[Value, dict[str, Value]]:
    """The formula's result after its backward pass, and its leaves."""
    expression, leaves = _formula(options)
    try:
        with micrograd_mlp.detect_anomaly():
            expression(leaves).backward()
    except FloatingPointError as error:
        what = re.split(", from finite operands|: local derivative", str(error))[0]
        names = " and ".join(expression.names)
        print(f"micrograd-mlp: {what}: other numbers for {names} give a finite result", file=sys.stderr)
    for leaf in leaves.values():
        leaf.grad = 0.0
    result = expression(leaves)
    result.backward()
    return result, leaves


def _formula(options: argparse.Namespace) -> tuple[Expression, dict[str, Value]]:
    """The parsed formula, and a leaf for each of its names."""
    expression = parse(options.formula)
    values = _numbers(options, list(expression.names), f"the formula {expression.text}")
    return expression, {name: Value(values[name], name) for name in expression.names}


def _network(options: argparse.Namespace) -> tuple[Value, dict[str, Value]]:
    """One output of a saved network, and a leaf for each of its inputs."""
    network, leaves = _saved_network(options)
    outputs = network(list(leaves.values()))
    outputs = outputs if isinstance(outputs, list) else [outputs]
    if not 1 <= options.output <= len(outputs):
        raise ValueError(f"--output {options.output}: the network has the outputs 1 to {len(outputs)}")
    return outputs[options.output - 1], leaves


def _saved_network(options: argparse.Namespace) -> tuple[micrograd_mlp.MLP, dict[str, Value]]:
    """The network of `MLP.save` with its inputs x1, x2, …, or that of `train` with the table's columns."""
    from micrograd_mlp.app.tables import TableModel

    path = options.formula.strip()
    try:
        network = micrograd_mlp.MLP.load(path)
    except ValueError as error:
        try:
            model = TableModel.load(path)
        except ValueError:
            raise error from None
        inputs = model.encode(_cells(options, [column.name for column in model.columns]))
        return model.network, {name: Value(x, name) for name, x in zip(model.inputs, inputs)}
    names = [f"x{k}" for k in range(1, network.n_inputs + 1)]
    values = _numbers(options, names, "the network's inputs")
    return network, {name: Value(values[name], f"x[{k}]") for k, name in enumerate(names, start=1)}


def _cells(options: argparse.Namespace, names: list[str]) -> dict[str, str]:
    """The cell that the user gave for each column; a name may hold spaces and the sign =."""
    cells: dict[str, str] = {}
    for text in options.values:
        known = [name for name in names if text.strip().startswith(f"{name}=")]
        if not known:
            raise ValueError(f"{text!r:.60}: expected column=value; the columns are {', '.join(names)}")
        name = max(known, key=len)
        cells[name] = text.strip()[len(name) + 1 :]
    _require_all(names, cells, "value", "…")
    return cells


def _numbers(options: argparse.Namespace, names: list[str], where: str) -> Mapping[str, float]:
    """The number that the user gave for each name."""
    values = dict(map(parse_assignment, options.values))
    if len(values) != len(options.values):
        raise ExpressionError(f"one name has two numbers: {' '.join(options.values)}")
    _require_all(names, values, "number", "1")
    if unused := [name for name in values if name not in names]:
        raise ExpressionError(f"{', '.join(unused)} does not occur in {where}")
    return values


def _require_all(names: list[str], given: Mapping[str, Any], what: str, example: str) -> None:
    if missing := [name for name in names if name not in given]:
        add = " ".join(f"{name}={example}" for name in missing)
        raise ValueError(f"{', '.join(missing)} has no {what}: add {add}")


def _write_pictures(result: Value, options: argparse.Namespace) -> None:
    paths = list(filter(None, (options.draw, options.svg, options.png)))
    if paths or options.steps or options.explore:
        print()
    if paths:
        drawing = micrograd_mlp.draw(result, local=options.local, collapse=options.collapse)
        if options.draw:
            drawing.save(options.draw)
        if options.svg:
            write_atomically(options.svg, drawing.svg())
        if options.png:
            write_atomically(options.png, drawing.png())
        print(*[f"drawing: {path}" for path in paths], sep="\n")
    if options.steps:
        micrograd_mlp.step_through(result).save(options.steps)
        print(f"steps:   {options.steps}")
    if options.explore:
        micrograd_mlp.explore(result).save(options.explore)
        print(f"page:    {options.explore}")


# check


def _function_of_file(options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """The function, the inputs and the gradient (or None) that a Python file defines."""
    path, _, name = options.formula.strip().rpartition(":")
    given = dict(text.partition("=")[::2] for text in options.values)
    if given.keys() not in ({"inputs"}, {"inputs", "gradient"}):
        example = f"micrograd-mlp check {path}:{name} inputs=parameters gradient=backward"
        raise ValueError(f"a function of a file needs inputs=NAME and, for NumPy, gradient=NAME: {example}")
    defined = runpy.run_path(path)
    missing = [wanted for wanted in (name, *given.values()) if wanted not in defined]
    if missing:
        raise ValueError(f"{path} does not define {', '.join(missing)}")
    gradient = defined[given["gradient"]] if "gradient" in given else None
    return defined[name], defined[given["inputs"]], gradient


def _check(options: argparse.Namespace) -> int:
    how: dict[str, Any] = {"order": options.order, "method": options.method, "raise_exception": False}
    if re.fullmatch(r".+\.py:\w+", options.formula.strip()):
        try:
            report = micrograd_mlp.gradcheck(*_function_of_file(options), **how)
        except TypeError as error:  # the objects in the file do not fit together
            raise ValueError(str(error)) from None
    else:
        expression, leaves = _formula(options)
        report = micrograd_mlp.gradcheck(lambda *_: expression(leaves), list(leaves.values()), **how)
    print(report)
    n = len(report.rows)
    print(f"\n{n} of {n} passed" if report else f"\n{len(report.failures)} of {n} did not pass")
    return 0 if report else 1
