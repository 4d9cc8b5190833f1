"""Numbers and labels as people read them, for everything in this folder.

A label is whatever the user wrote: it may hold line breaks, terminal escapes, or text that runs from
right to left. `printable` is the one place where it becomes harmless; quoting for DOT, HTML or a
terminal comes after that.
"""

from __future__ import annotations

import unicodedata


def number(x: float, digits: int = 4) -> str:
    """A number to `digits` significant digits; a whole number of up to seven digits in full.

    >>> number(0.123456), number(25000.0), number(-0.0), number(1e-12 / 3)
    ('0.1235', '25000', '0', '3.333e-13')
    """
    if abs(x) < 1e7 and x == int(x):
        return str(int(x))
    return f"{x:.{digits}g}"


def printable(text: str, limit: int | None = None) -> str:
    r"""The text with every invisible or unprintable character escaped, cut after `limit` characters.

    >>> printable("two\nlines"), printable("\x1b[31mred", limit=8)
    ('two\\nlines', '\\x1b[31…')
    """
    if limit is not None and len(text) > limit:
        text = text[: limit + 1]  # one more, so that the cut below shows
    shown = text
    if not text.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if limit is None or len(shown) <= limit else shown[: limit - 1] + "…"


def columns(text: str) -> int:
    """The columns that a printable text takes in a terminal: 2 for a Chinese letter, 0 for an accent.

    >>> columns("abc"), columns("层"), columns("e\u0301")
    (3, 2, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )
