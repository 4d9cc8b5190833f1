"""What the commands share: how one is added to the command line, and how text reaches the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

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


def printable(text: str) -> str:
    """The text without control characters, which could move the cursor or change the terminal's colours.

    >>> printable("red\\x1b[31m")
    'red?[31m'
    """
    return "".join(c if c.isprintable() else "?" for c in text)
