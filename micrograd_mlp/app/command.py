"""Functions that all commands share: they add a command, read its numbers and make text printable."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, TypeVar

from micrograd_mlp._require import require_count, require_number

Number = TypeVar("Number", int, float)
Run = Callable[[argparse.Namespace], int | None]


def add_command(commands: Any, name: str, run: Run, what: str, example: str) -> argparse.ArgumentParser:
    """Add a command to argparse's subparsers.

    Args:
        commands: the subparsers of `micrograd-mlp`.
        name: what the user types.
        run: takes the parsed options and returns the exit status; None means 0.
        what: one sentence about the command, without its full stop.
        example: a command line that works.

    Returns:
        The command's parser, to which its arguments are added.
    """
    added: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(run=run)
    return added


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """A type for argparse: an integer that is not below `least`, and not above `most` if that is given."""
    return _option(int, "a whole number", lambda number: require_count("it", number, least, most))


def real_number(**limits: float) -> Callable[[str], float]:
    """A type for argparse: a finite number within the limits, named as those of `require_number`."""
    return _option(float, "a number", lambda number: require_number("it", number, **limits))


def _option(
    parse: Callable[[str], Number], kind: str, check: Callable[[Number], Number]
) -> Callable[[str], Number]:
    def read(text: str) -> Number:
        try:
            number = parse(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {kind}, got {text!r:.60}") from None
        try:
            return check(number)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def printable(text: str) -> str:
    """The text without control characters, which could move the cursor or change the terminal's colours.

    Line ends stay.

    >>> printable("red\\x1b[31m")
    'red?[31m'
    """
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
