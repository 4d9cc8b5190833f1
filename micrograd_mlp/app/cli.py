"""The command `micrograd-mlp`: a tour, graphs and gradient checks of formulas, training on a table."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograd_mlp.engine.value import Value
from micrograd_mlp.files import write_atomically

if TYPE_CHECKING:
    from micrograd_mlp import MLP

DESCRIPTION = "Backpropagation that you can read, draw, check and explain."

EXAMPLES = """\
examples:
  micrograd-mlp tour
  micrograd-mlp graph "tanh(w*x + b)" w=0.5 x=2 b=-1
  micrograd-mlp check "log(x) * y" x=3 y=2
  micrograd-mlp train flowers.csv --target species
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0 done, 1 a gradient check failed, 2 a mistake."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ∂ shows ? instead of a traceback
    options = _parser().parse_args(_protect_formula(given))
    try:
        status: int | None = options.run(options)
        sys.stdout.flush()
        return status or 0
    except BrokenPipeError:  # as in `micrograd-mlp tour | head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - what Python flushes at its end goes there
        return 0
    except KeyboardInterrupt:
        print("\nmicrograd-mlp: stopped", file=sys.stderr)
        return 130
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (ValueError, ImportError, FloatingPointError) as error:
        return _fail(str(error))


def _fail(message: str) -> int:
    print(f"micrograd-mlp: {message}", file=sys.stderr)
    return 2


def _protect_formula(arguments: list[str]) -> list[str]:
    """A formula such as -x**2 is not an option, though it looks like one to argparse."""
    return [f" {a}" if a[:1] == "-" and a[:2] != "--" and a != "-h" and len(a) > 1 else a for a in arguments]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="micrograd-mlp",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=lambda options: print(parser.format_help(), end=""))
    commands = parser.add_subparsers(title="commands", metavar="")

    def command(
        name: str, run: Callable[[argparse.Namespace], int | None], what: str, example: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    tour = command(
        "tour", _tour, "see gradients, a drawing and a trained network", "micrograd-mlp tour --out tour"
    )
    tour.add_argument(
        "--out", type=Path, default=Path("tour"), metavar="FOLDER", help="for its files (./tour)"
    )
    tour.add_argument("--seed", type=int, default=0, help="of the training on iris (0)")

    graph = command(
        "graph",
        _graph,
        "print the graph of a formula or a saved network with its gradients, and draw it",
        'micrograd-mlp graph "tanh(w*x + b)" w=0.5 x=2 b=-1 --svg neuron.svg --local\n'
        "  micrograd-mlp graph tour/iris.model.json x1=5 x2=3 x3=1.4 x4=0.2 --png iris.png --collapse neuron",
    )
    _add_formula(graph)
    graph.add_argument(
        "--draw", type=Path, metavar="FILE", help="write the drawing: .svg, .png, .pdf or .dot"
    )
    graph.add_argument("--svg", type=Path, metavar="FILE", help="write the drawing as SVG")
    graph.add_argument("--png", type=Path, metavar="FILE", help="write the drawing as PNG")
    graph.add_argument(
        "--collapse", choices=("neuron", "layer"), help="of a saved network: one box for each in the drawing"
    )
    graph.add_argument("--output", type=int, default=1, metavar="K", help="of a saved network: which one (1)")
    graph.add_argument("--local", action="store_true", help="with the local derivative on every edge")
    graph.add_argument("--steps", type=Path, metavar="FILE", help="write a page to step through: .html")
    graph.add_argument("--explain", metavar="NAME", help="print every path by which NAME acts on the result")
    graph.add_argument("--depth", type=int, help="show only so many levels of the tree")

    check = command(
        "check",
        _check,
        "compare a formula's derivatives with numerical ones",
        'micrograd-mlp check "exp(x) / y" x=1 y=3 --order 2',
    )
    _add_formula(check)
    check.add_argument("--order", type=int, choices=(1, 2), default=1, help="2: second derivatives too (1)")

    train = command(
        "train",
        _train,
        "train a network on a table of your own",
        "micrograd-mlp train flowers.csv --target species --epochs 200",
    )
    train.add_argument("file", type=Path, help="a CSV file whose first line names the columns")
    train.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    task = train.add_mutually_exclusive_group()
    task.add_argument("--classify", dest="classify", action="store_true", default=None, help="the target")
    task.add_argument("--regress", dest="classify", action="store_false", default=None, help="the target")
    train.add_argument(
        "--hidden", type=int, nargs="*", default=[16], metavar="SIZE", help="hidden layers (16)"
    )
    train.add_argument("--epochs", type=int, default=100, help="times through the rows (100)")
    train.add_argument("--learning-rate", type=float, default=0.01, metavar="ETA", help="Adam's η (0.01)")
    train.add_argument("--batch-size", type=int, default=16, metavar="N", help="rows in a step (16)")
    train.add_argument("--held-out", type=float, default=0.25, metavar="PART", help="not trained on (0.25)")
    train.add_argument("--seed", type=int, default=0, help="of everything that is random (0)")
    train.add_argument("--out", type=Path, metavar="FILE", help="for the trained model (FILE.model.json)")
    return parser


def _add_formula(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("formula", help="numbers, names, + - * / ** ( ) and functions such as tanh")
    parser.add_argument("values", nargs="*", metavar="name=number", help="a number for each name")


# tour


def _tour(options: argparse.Namespace) -> None:
    from micrograd_mlp import draw, step_through
    from micrograd_mlp.app import tour
    from micrograd_mlp.app.tables import train

    options.out.mkdir(parents=True, exist_ok=True)
    model, loss = tour.two_layer_network()
    print("1. Backpropagation in the two-layer network of section 6")
    print(f"   x = {tour.X}, y = {tour.Y}, σ = sigmoid; loss = {loss.data:.12f}\n")
    print(tour.table_of(tour.gradients(model)))
    print("\n   autodiff: backward(). closed form: the equations of 6.1 to 6.3. numerical: differences.")
    print("   difference: the largest one from autodiff, relative to the largest gradient.\n")

    print("2. The same network as a graph: every number with its gradient\n")
    print(_tree(loss))
    drawing, problem = tour.save_drawing(draw(loss), options.out / "two_layer_network.svg")
    steps = options.out / "two_layer_network.html"
    step_through(loss).save(steps)
    print(f"\n   drawing: {drawing}")
    print(f"   steps:   {steps} (open it in a browser and walk through both passes)")
    if problem:
        print(f"   For a picture: {problem}")

    print("\n3. A network that learns the three species of iris from 150 flowers\n", flush=True)
    trained, score = train(
        tour.iris_table(), hidden=[8], epochs=30, learning_rate=0.03, seed=options.seed, progress=True
    )
    saved = options.out / "iris.model.json"
    trained.save(saved)
    print(f"   {trained.network}")
    print(f"   trained on {score.n_train} flowers, {score.epochs} epochs")
    print(f"   on the other {score.n_held_out}: {score}")
    print(f"   model:   {saved}")


def _tree(value: Value, depth: int | None = None) -> str:
    """The text tree, in letters that the terminal has."""
    from micrograd_mlp import tree

    try:
        "├└│⋯…".encode(sys.stdout.encoding or "ascii")
        plain = False
    except UnicodeEncodeError:
        plain = True
    text: str = tree(value, depth, ascii=plain)
    return text


# graph and check


def _formula(options: argparse.Namespace) -> tuple[Any, dict[str, Value]]:
    """The parsed formula, and a leaf for each of its names."""
    from micrograd_mlp.app.formulas import parse

    expression = parse(options.formula)
    values = _numbers(options, list(expression.names), f"the formula {expression.text}")
    return expression, {name: Value(values[name], name) for name in expression.names}


def _network(options: argparse.Namespace) -> tuple[Any, dict[str, Value]]:
    """One output of a saved network, and a leaf for each of its inputs x1, x2, …."""
    model, scales = _load_network(options.formula.strip())
    names = [f"x{k}" for k in range(1, model.n_inputs + 1)]
    values = _numbers(options, names, "the network's inputs")
    numbers = [scale(values[name]) for scale, name in zip(scales, names)]
    leaves = {name: Value(x, f"x[{k}]") for k, (name, x) in enumerate(zip(names, numbers), start=1)}
    outputs = model(list(leaves.values()))
    outputs = outputs if isinstance(outputs, list) else [outputs]
    if not 1 <= options.output <= len(outputs):
        raise ValueError(f"--output {options.output}: the network has the outputs 1 to {len(outputs)}")
    return outputs[options.output - 1], leaves


def _load_network(path: str) -> tuple[MLP, Sequence[Callable[[float], float]]]:
    """A network from a file of `MLP.save`, or of `train` with the standardisation of its inputs."""
    from micrograd_mlp import MLP
    from micrograd_mlp.app.tables import TableModel

    try:
        model = MLP.load(path)
    except ValueError as error:
        try:
            table = TableModel.load(path)
        except ValueError:
            raise error from None
        return table.network, [scale.apply for scale in table.scales]
    return model, [float] * model.n_inputs


def _numbers(options: argparse.Namespace, names: list[str], where: str) -> dict[str, float]:
    """The number that the user gave for each name."""
    from micrograd_mlp.app.formulas import ExpressionError, parse_assignment

    values = dict(map(parse_assignment, options.values))
    if len(values) != len(options.values):
        raise ExpressionError(f"a name has two numbers: {' '.join(options.values)}")
    if missing := [name for name in names if name not in values]:
        example = " ".join(f"{name}=1" for name in missing)
        raise ExpressionError(f"no number for {', '.join(missing)}: add {example}")
    if unused := [name for name in values if name not in names]:
        raise ExpressionError(f"{', '.join(unused)}: not in {where}")
    return values


def _graph(options: argparse.Namespace) -> None:
    if options.formula.strip().endswith(".json"):
        result, leaves = _network(options)
    else:
        expression, leaves = _formula(options)
        result = expression(leaves)
    if options.explain is not None and options.explain not in leaves:
        raise ValueError(f"--explain {options.explain}: the names are {', '.join(leaves)}")
    result.backward()
    print(_tree(result, options.depth))
    if options.explain is not None:
        from micrograd_mlp import explain

        print(f"\n{explain(result, leaves[options.explain])}")
    if options.draw or options.svg or options.png or options.steps:
        print()
    if options.draw or options.svg or options.png:
        from micrograd_mlp import draw

        drawing = draw(result, local=options.local, collapse=options.collapse)
        if options.draw:
            drawing.save(options.draw)
        if options.svg:
            write_atomically(options.svg, drawing.svg())
        if options.png:
            write_atomically(options.png, drawing.png())
        for path in filter(None, (options.draw, options.svg, options.png)):
            print(f"drawing: {path}")
    if options.steps:
        from micrograd_mlp import step_through

        step_through(result).save(options.steps)
        print(f"steps:   {options.steps}")


def _check(options: argparse.Namespace) -> int:
    from micrograd_mlp.checks.gradcheck import gradcheck

    expression, leaves = _formula(options)
    report = gradcheck(
        lambda *_: expression(leaves), list(leaves.values()), order=options.order, raise_exception=False
    )
    print(report)
    n = len(report.rows)
    print(f"\n{n} of {n} passed" if report else f"\n{len(report.failures)} of {n} did not pass")
    return 0 if report else 1


# train


def _train(options: argparse.Namespace) -> None:
    from micrograd_mlp.app.tables import read_table, train

    out = options.out or Path(f"{options.file.stem}.model.json")
    _require_replaceable(out)
    table = read_table(options.file, options.target, options.classify)
    how = (
        "regressed, as a real number"
        if table.classes is None
        else f"classified, {len(table.classes)} classes"
    )
    print(f"{options.file}: {len(table.X)} rows")
    print(f"target:   {table.target} ({how}; --classify or --regress choose)")
    print(f"inputs:   {', '.join(table.inputs)}")
    if table.ignored:
        print(f"left out: {', '.join(table.ignored)} (text)")
    compiled = importlib.util.find_spec("numba") is not None
    if compiled:
        print("running:  as machine code, which takes some seconds to prepare the first time")
    sys.stdout.flush()
    model, score = train(
        table,
        hidden=options.hidden,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        test_size=options.held_out,
        seed=options.seed,
        compiled=compiled,
        progress=True,
    )
    model.save(out)
    stopped = "" if score.epochs == options.epochs else f" of {options.epochs}, stopped by Ctrl-C"
    print(f"trained:  {score.n_train} rows, {score.epochs} epochs{stopped}")
    print(f"held out: {score.n_held_out} rows, {score}")
    print(f"model:    {out}; to predict, micrograd_mlp.tables.TableModel.load({str(out)!r}).predict(row)")


def _require_replaceable(out: Path) -> None:
    """Known before the training: the model can be written, and replaces nothing but a model."""
    from micrograd_mlp.app.tables import FORMAT

    if not out.parent.is_dir():
        raise ValueError(f"{out}: there is no folder {out.parent}")
    if not out.exists():
        return
    try:
        content = json.loads(out.read_text(encoding="utf-8"))
        is_model = isinstance(content, dict) and content.get("format") == FORMAT
    except (OSError, ValueError, RecursionError):
        is_model = False
    if not is_model:
        raise ValueError(f"{out} exists and is not a model of this command: choose another --out")


if __name__ == "__main__":
    sys.exit(main())
