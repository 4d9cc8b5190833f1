"""What all exercises share: a verdict on an answer, hints in steps, and a solution to open."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from micrograd_mlp.app.answers import numbers_in, read

OPEN = "not yet: put a number in the place of every ..."


@dataclass(frozen=True, repr=False, eq=False)
class Verdict:
    """What `check` says. It is true if the answer is right, and prints itself.

    Attributes:
        right: whether everything is answered, and right.
        text: the verdict in words; it starts with "right" or with "not yet".
        exercise: the exercise that was answered.
        remarks: for the name of each number that is not right what is said about it.
        mistakes: the known mistakes that give this answer as a whole.
    """

    right: bool
    text: str
    exercise: Exercise
    remarks: Mapping[str, str] = field(default_factory=dict)
    mistakes: Sequence[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # IPython passes include and exclude
        lines = [html.escape(line) for line in self.text.splitlines()]
        return {
            "text/plain": self.text,
            "text/html": f"<p>{'<br>'.join(lines)}</p>\n{self.exercise.help_as_html()}",
        }


class Exercise:
    """A task with hints and a solution.

    Attributes:
        task: what has to be done.
        hints: from the first nudge to nearly the whole way.
    """

    def __init__(self, task: str, hints: Iterable[str], solution: str) -> None:
        self.task, self.hints, self._solution = task, list(hints), solution
        self._hints_given = 0

    def check(self, answer: Any) -> Verdict:
        """Say whether an answer is right and, if it is not, which mistake gives it."""
        raise NotImplementedError  # each kind of exercise knows its answer

    def hint(self) -> str:
        """The next hint, each time that it is called."""
        if self._hints_given == len(self.hints):
            return "That was the last hint: .solution() shows the whole way."
        self._hints_given += 1
        return f"Hint {self._hints_given} of {len(self.hints)}: {self.hints[self._hints_given - 1]}"

    def solution(self) -> str:
        """The whole way, for those who have tried."""
        return self._solution

    def help_as_html(self) -> str:
        """The hints and the solution, each below a title that opens it."""
        parts = [(f"Hint {i}", hint) for i, hint in enumerate(self.hints, 1)] + [("Solution", self._solution)]
        return "\n".join(
            f"<details><summary>{title}</summary><pre>{html.escape(text)}</pre></details>"
            for title, text in parts
            if text
        )

    def __repr__(self) -> str:
        return self.task


class Question(Exercise):
    """A question that is not about a graph. Its answer is one number, several, or what a function accepts."""

    def __init__(
        self, right: Any, mistakes: Mapping[str, Any], task: str, hints: Iterable[str], solution: str
    ) -> None:
        super().__init__(task, hints, solution)
        self._right, self._mistakes = right, dict(mistakes)

    def check(self, answer: Any) -> Verdict:
        """Say whether the answer is right and, if it is not, which of the known mistakes give it.

        Args:
            answer: as the question expects it. Where it still says `...`, the question is open.

        Raises:
            ValueError: the answer is not a number where one is expected, or has too many or too few of them.
        """
        if any(part is ... for part in numbers_in(answer)):
            return Verdict(False, OPEN, self)
        if not callable(self._right):
            expected, given = len(numbers_in(self._right)), len(numbers_in(answer))
            if expected != given:
                raise ValueError(f"the answer has {expected} number{'s' * (expected > 1)}, got {given}")
        if self._is(answer, self._right):
            return Verdict(True, "right", self)
        found = [when for when, result in self._mistakes.items() if self._is(answer, result)]
        why = you_get("this", found) if found else "No known mistake gives this answer."
        return Verdict(False, f"not yet. {why}", self, mistakes=found)

    def _is(self, answer: Any, expected: Any) -> bool:
        if callable(expected):
            return bool(expected(answer))
        pairs = list(zip(map(read, numbers_in(answer)), numbers_in(expected)))
        scale = max(map(abs, numbers_in(expected)), default=0.0)
        return all(written.fits(number, scale) for written, number in pairs)


def you_get(what: str, when: Iterable[str]) -> str:
    """The sentence that names the mistakes.

    >>> you_get("this", ["a sign is wrong", "a factor is left out"])
    'You get this when a sign is wrong; or when a factor is left out.'
    """
    return f"You get {what} when {'; or when '.join(dict.fromkeys(when))}."
