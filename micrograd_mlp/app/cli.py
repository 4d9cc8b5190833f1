"""The command `micrograd-mlp`: its parser, its exit status, and its messages about mistakes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from micrograd_mlp import __version__
from micrograd_mlp.app import formula_commands, play_command, table_commands, tour_command
from micrograd_mlp.app.command import printable

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
    print(f"micrograd-mlp: {printable(message)}", file=sys.stderr)
    return 2


def _protect_formula(arguments: list[str]) -> list[str]:
    """Put a space before a formula such as -x**2, which looks like an option to argparse."""
    return [f" {a}" if a[:1] == "-" and a[:2] != "--" and a != "-h" and len(a) > 1 else a for a in arguments]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="micrograd-mlp",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"micrograd-mlp {__version__}")
    parser.set_defaults(run=lambda options: print(parser.format_help(), end=""))
    commands = parser.add_subparsers(title="commands", metavar="")
    tour_command.add_tour(commands)
    formula_commands.add_graph(commands)
    formula_commands.add_check(commands)
    play_command.add_play(commands)
    table_commands.add_train(commands)
    table_commands.add_predict(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
