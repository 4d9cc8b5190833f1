"""Numbers as a reader gives them: with few digits, as text or as fractions, and whether they fit.

A number that is written with few digits stands for every number that it can be rounded or cut from. It fits
within one unit of its last digit, but never by more than 2%: half a digit is no answer.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from micrograd_mlp._require import as_float, is_sequence

EXACT = 1e-9  # numbers with a smaller relative difference are equal up to rounding in the computer
WIDEST = 0.02  # the largest relative difference of an answer, however few digits it has
NO_NUMBER = "write a number such as 0.25, -3, 1e-4 or 2/3"
_NUMBER = re.compile(r"[+-]?(\d+\.?(\d*)|\.(\d+))(e([+-]?\d+))?")


class Written(NamedTuple):
    """A number, and one unit of the last digit that it was written with.

    >>> written = read("0.46")
    >>> written.fits(math.tanh(0.5)), written.fits(0.48), written.fits(0.0)
    (True, False, False)
    """

    number: float
    unit: float

    def fits(self, expected: float, scale: float = 0.0) -> bool:
        """Whether this is the expected number, as far as its digits go.

        The scale is the largest number from which rounding errors in the expected one may come.
        """
        allowed = min(self.unit * 1.0001, WIDEST * abs(expected))
        return abs(self.number - expected) <= allowed or self.is_exactly(expected, scale)

    def is_exactly(self, expected: float, scale: float = 0.0) -> bool:
        """Whether the two differ by no more than rounding in the computer."""
        return abs(self.number - expected) <= max(EXACT * abs(expected), 1e-15 * scale)

    def is_near(self, expected: float) -> bool:
        """Whether it may be the expected number after all, with more digits or with less rounding."""
        return abs(self.number - expected) <= max(0.5 * self.unit, WIDEST * abs(expected))


def read(answer: Any) -> Written:
    """Read an answer that is a number, or text such as "-0.250" or "2/3".

    Raises:
        ValueError: the answer is not a number.

    >>> read("2/3").number, read("1.5e2").unit
    (0.6666666666666666, 10.0)
    """
    written = _parse(str(answer))
    if written is None and not isinstance(answer, str):
        with contextlib.suppress(TypeError):
            written = _parse(repr(as_float(answer)))
    if written is None:
        raise ValueError(f"{answer!r:.60} is not a number: {NO_NUMBER}")
    return written


def _parse(text: str) -> Written | None:
    text = text.strip().replace("\N{MINUS SIGN}", "-").lower()
    numerator, slash, denominator = text.partition("/")
    if slash:
        above, below = _parse(numerator), _parse(denominator)
        return Written(above.number / below.number, 0.0) if above and below and below.number else None
    match = _NUMBER.fullmatch(text)
    if match is None or not math.isfinite(float(text)):
        return None
    return Written(float(text), 10.0 ** (int(match[5] or 0) - len(match[2] or match[3] or "")))


def numbers_in(answer: Any) -> list[Any]:
    """All numbers of an answer, which is a number or consists of nested lists and dictionaries.

    >>> numbers_in({"a": 1, "b": [2, 3]})
    [1, 2, 3]
    """
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    if not is_sequence(answer):
        return [answer]
    return [number for part in answer for number in numbers_in(part)]
