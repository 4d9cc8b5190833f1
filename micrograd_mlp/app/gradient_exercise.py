"""Fill in the gradients of a graph: every number is checked, and wrong ones are traced to a mistake (§6, §7).

The numbers as a whole are compared with those that each known mistake gives. If none gives them, the nodes
are taken one by one from the output backwards, each with the numbers that the reader has above it: then a
number that follows from a wrong one gets no blame of its own, and two different mistakes are both found.
"""

from __future__ import annotations

import copy
import html
import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from micrograd_mlp._require import is_sequence
from micrograd_mlp.app.answers import WIDEST, Written, read
from micrograd_mlp.app.exercise import OPEN, Exercise, Verdict, you_get
from micrograd_mlp.checks.mistakes import BackwardPass, Mistake, differ, known_mistakes
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.render.explanation import partials_as_graph
from micrograd_mlp.render.explore import page_file, page_shell, picture_or_tree
from micrograd_mlp.render.html import Page, json_for_script, with_script
from micrograd_mlp.render.notation import ATOM, Term, Text
from micrograd_mlp.render.scene import Scene, require_current
from micrograd_mlp.render.text import number

MOST_NODES = 300  # nobody fills in the gradients of a larger graph by hand
MOST_NAMED = 12  # a verdict names no more of the right gradients
FURTHER = 11  # a saved page has so many more exercises


class GradientExercise(Exercise, Page):
    """The gradients of some nodes of a graph are to be filled in.

    Attributes:
        names: the names of the nodes that are asked for, in the order of `of` or from the output backwards.
        mistakes: the known mistakes of this graph.
    """

    def __init__(
        self,
        output: Value,
        of: Iterable[Value | str] | None = None,
        task: str = "",
        another: Callable[[], GradientExercise] | None = None,
    ) -> None:
        require_current(output)
        size = len(output.topological_order())
        if size > MOST_NODES:
            raise ValueError(f"by hand at most {MOST_NODES} nodes, and this graph has {size:,}")
        former = [node.grad for node in output.topological_order()]
        self._backward = BackwardPass(copy.deepcopy(output))
        self._order = self._backward.order
        for node in self._order:
            node.grad = 0.0  # pictures of the exercise would show the gradients otherwise
        self._scene = Scene(self._order[-1])
        self._names = [self._scene.name(node) for node in self._order]
        self._asked = self._positions(output, of)
        self._right = self._backward.gradients()
        if not all(map(math.isfinite, self._right)):
            raise ValueError("a gradient of this graph is not finite: nobody can fill it in")
        self._scale = max(map(abs, self._right))
        self._another = another
        names = dict(zip(self._order, self._names))
        earlier = {node: g for node, g in zip(self._order, former) if not node.parents}
        self.mistakes = known_mistakes(self._backward, names, earlier)
        self._outcomes = [self._backward.outcome(mistake) for mistake in self.mistakes]
        self.names = [self._names[i] for i in self._asked]
        task = task or f"Fill in the gradient ∂{self._names[-1]}/∂(node) for each of {', '.join(self.names)}."
        super().__init__(task, self._write_hints(), self._write_solution())

    def _positions(self, output: Value, of: Iterable[Value | str] | None) -> list[int]:
        """The positions of the nodes that are asked for."""
        nodes = [i for i, node in enumerate(self._order) if not isinstance(node, Constant)]
        if of is None:
            return nodes[::-1]
        by_name = {self._names[i]: i for i in nodes}
        originals = {node: i for i, node in enumerate(output.topological_order())}
        found = []
        for node in of:
            i = by_name.get(node) if isinstance(node, str) else originals.get(node)
            if i not in nodes:
                raise ValueError(f"of: {node!r:.40} is not a node of this graph: {', '.join(by_name)}")
            found.append(i)
        if not found:
            raise ValueError(f"of: nothing is asked for; the nodes of this graph are {', '.join(by_name)}")
        return list(dict.fromkeys(found))

    # Checking

    def check(self, answers: Any) -> Verdict:
        """Say which gradients are right, and name the mistakes that give the others.

        Args:
            answers: a number for each name, {"w": 0.5, "x": "-1/3"}; a list in the order of `names`; or the
                number alone, if only one is asked for. Text keeps the digits as they are written. What is
                left out, or still says `...`, is open.

        Raises:
            ValueError: a name is not asked for, there are more or fewer numbers than names, or something is
                not a number.
        """
        given = self._read(answers)
        if not given:
            return Verdict(False, OPEN, self)
        order = sorted(given, reverse=True)
        wrong = [i for i in order if not self._is_right(i, given)]
        whole = [] if self._fits(given, self._right) else self._gives(given)
        remarks = {}
        if not whole:
            unclear = [] if wrong else self._could_be_a_mistake(given)
            remarks = dict.fromkeys(unclear, _UNCLEAR) | {i: self._remark(i, given) for i in wrong}
        right = [i for i in order if i not in wrong and i not in remarks]
        return self._verdict(given, right, remarks, whole)

    def _read(self, answers: Any) -> dict[int, Written]:
        positions = dict(zip(self.names, self._asked))
        if answers is ...:
            return {}
        if not isinstance(answers, Mapping):
            listed = list(answers) if is_sequence(answers) else [answers]
            if len(listed) != len(self.names):
                raise ValueError(f"{len(self.names)} numbers are asked for, got {len(listed)}: {self.names}")
            answers = dict(zip(self.names, listed))
        given = {}
        for name, answer in answers.items():
            if name not in positions:
                raise ValueError(f"{name!r:.40} is not asked for: the names are {', '.join(self.names)}")
            if answer is not ...:
                try:
                    given[positions[name]] = read(answer)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return given

    def _follows(self, i: int, given: Mapping[int, Written], mistake: Mistake | None = None) -> float:
        """The gradient of a node that follows from the reader's numbers for the other nodes."""
        others = {j: written.number for j, written in given.items() if j != i}
        return self._backward.gradients(mistake.changes if mistake else {}, others)[i]

    def _is_right(self, i: int, given: Mapping[int, Written]) -> bool:
        """Whether a number is right, or follows from right numbers that were rounded."""
        written, right = given[i], self._right[i]
        is_close = abs(written.number - right) <= WIDEST * abs(right)
        return written.fits(right, self._scale) or (
            is_close and written.fits(self._follows(i, given), self._scale)
        )

    def _could_be_a_mistake(self, given: Mapping[int, Written]) -> list[int]:
        """The nodes whose right numbers are written with so few digits that a mistake gives them too."""
        if self._is_exactly(given, self._right):
            return []
        possible = [found for found in self._outcomes if self._fits(given, found)]
        return [i for i in given if any(differ([found[i], 1.0], [self._right[i], 1.0]) for found in possible)]

    def _fits(self, given: Mapping[int, Written], gradients: Any) -> bool:
        return all(written.fits(gradients[i], self._scale) for i, written in given.items())

    def _is_exactly(self, given: Mapping[int, Written], gradients: Any) -> bool:
        return all(written.is_exactly(gradients[i], self._scale) for i, written in given.items())

    def _gives(self, given: Mapping[int, Written]) -> list[str]:
        """The mistakes that give all these numbers; if some do so exactly, only those."""
        outcomes = zip(self.mistakes, self._outcomes)
        found = [(m.when, gradients) for m, gradients in outcomes if self._fits(given, gradients)]
        exact = [(when, gradients) for when, gradients in found if self._is_exactly(given, gradients)]
        return list(dict.fromkeys(when for when, _ in exact or found))

    def _remark(self, i: int, given: Mapping[int, Written]) -> str:
        """The remark about a wrong number, given the numbers above it."""
        written, follows = given[i], self._follows(i, given)
        if written.fits(follows, self._scale):
            return "It follows from your numbers above it: this step is right."
        made = [
            m.when
            for m in self.mistakes
            if m.changes and not m.everywhere and written.fits(self._follows(i, given, m), self._scale)
        ]
        if made:
            return you_get("this", made)
        return _TOO_FEW if written.is_near(self._right[i]) else self._look_first(i, given)

    def _look_first(self, i: int, given: Mapping[int, Written]) -> str:
        """Where to begin if no known mistake gives the number."""
        if not self._backward.into[i]:
            return f"Backpropagation starts here: ∂{self._names[i]}/∂{self._names[i]} is 1."
        found = self._backward.gradients(given={j: written.number for j, written in given.items()})
        edges = [self._backward.edges[e] for e in self._backward.into[i]]
        largest = max(edges, key=lambda edge: abs(edge.local * found[edge.child]))
        text = f"No known mistake gives this. Look first at ∂{self._names[largest.child]}/∂{self._names[i]}"
        if len(edges) > 1:
            text += f", in the largest of its {len(edges)} contributions"
        follows = self._follows(i, given)
        factor = given[i].number / follows if follows else 0.0
        if factor and (_is_small_and_whole(factor) or _is_small_and_whole(1.0 / factor)):
            text += f": your number is {factor:.4g} times what follows from the numbers above it"
        return text + "."

    def _verdict(
        self, given: Mapping[int, Written], right: list[int], remarks: Mapping[int, str], whole: list[str]
    ) -> Verdict:
        named = {self._names[i]: remark for i, remark in remarks.items()}
        several = len(self._asked) > 1
        if len(right) == len(self._asked) and not whole:
            return Verdict(True, f"right: all {len(right)} gradients" if several else "right", self)
        lines = [f"{name}: {remark}" if several else remark for name, remark in named.items()]
        if whole:
            lines = [you_get("these numbers" if len(given) > 1 else "this", whole)]
        if not several:
            return Verdict(False, f"not yet. {lines[0]}", self, named, whole)
        n_open = len(self._asked) - len(given)
        first = f"not yet: {len(right)} of {len(self._asked)} gradients are right"
        shown = [self._names[i] for i in right[:MOST_NAMED]] + ["…"] * (len(right) > MOST_NAMED)
        first += f" ({', '.join(shown)})" if right else ""
        first += f", {n_open} are open" if n_open else ""
        return Verdict(False, "\n".join([f"{first}.", *lines]), self, named, whole)

    # Hints and the solution

    def _write_hints(self) -> list[str]:
        into, edges, names = self._backward.into, self._backward.edges, self._names
        needed = self._needed()
        turns = ", ".join(names[i] for i in needed[1:])
        hints = [
            f"Start at the output: ∂{names[-1]}/∂{names[-1]} = 1. Then take the nodes in this order: "
            f"{turns}. The turn of a node comes when everything that is computed from it has its gradient."
        ]
        if several := [i for i in needed if len(into[i]) > 1]:
            users = [names[edges[e].child] for e in into[several[0]]]
            hints.append(
                f"{names[several[0]]} is used {len(users)} times, by {', '.join(users)}: its gradient is the "
                "sum of what comes back from each use."
            )
        between = sorted({e for i in needed for e in into[i]})
        slopes = dict.fromkeys(f"{self._slope(e)} = {self._formula(e).text}" for e in between)
        hints.append("The local derivatives are " + ", ".join(slopes) + ".")
        hints.append("In symbols: " + "; ".join(" = ".join(self._equation(i)) for i in needed[1:]) + ".")
        return hints

    def _write_solution(self) -> str:
        lines = [f"∂{self._names[-1]}/∂{self._names[-1]} = 1"]
        for i in self._needed()[1:]:
            products = []
            for child, _, local in (self._backward.edges[e] for e in self._backward.into[i]):
                above = [_TEXT.number(self._right[child])] if child < len(self._order) - 1 else []
                products.append(_TEXT.product([*above, _TEXT.number(local)]))
            sides = [*self._equation(i), _sum(products), number(self._right[i], 6)]
            lines.append(" = ".join(dict.fromkeys(sides)))
        return "\n".join(lines)

    def _needed(self) -> list[int]:
        """The nodes that are asked for and those between them and the output, from the output backwards."""
        needed = {len(self._order) - 1, *self._asked}
        for i in range(len(self._order)):
            if i in needed:
                needed |= {self._backward.edges[e].child for e in self._backward.into[i]}
        return sorted(needed, reverse=True)

    def _slope(self, e: int) -> str:
        edge = self._backward.edges[e]
        return f"∂{self._names[edge.child]}/∂{self._names[edge.parent]}"

    def _equation(self, i: int) -> tuple[str, str]:
        """The symbol of a node's gradient, and the sum that gives it, in symbols."""
        output = self._names[-1]
        terms = []
        for e in self._backward.into[i]:
            child = self._names[self._backward.edges[e].child]
            above = [] if child == output else [Term(f"∂{output}/∂{child}", ATOM)]
            terms.append(_TEXT.product([*above, self._formula(e)]))
        return f"∂{output}/∂{self._names[i]}", _sum(terms)

    def _formula(self, e: int) -> Term:
        """A local derivative in symbols, such as the other factor of a product."""
        child = self._backward.edges[e].child
        if (op := self._order[child].op) in _OF_OUTPUT:
            return Term(_OF_OUTPUT[op].format(self._names[child]), ATOM)
        partial = partials_as_graph(self._order[child])[self._backward.out_of[child].index(e)]
        return self._write(partial) if isinstance(partial, Value) else _TEXT.number(partial)

    def _write(self, node: Value) -> Term:
        """A node of the graph by its name, and what is computed from such nodes as a formula."""
        if node in self._scene.names and not isinstance(node, Constant):
            return Term(self._scene.name(node), ATOM)
        op = node.op
        operands = [self._write(parent) for parent in node.parents]
        if op is None or all(operand.number is not None for operand in operands):
            return _TEXT.number(node.data)
        if op is TABLE["pow"] and operands[1].number == 1.0:
            return operands[0]
        return _TEXT.apply(op, operands)

    # Showing

    def formulas(self) -> list[str]:
        """For each name the formula of its node, which is empty for an input."""
        nodes = [self._order[i] for i in self._asked]
        return [
            _TEXT.apply(node.op, list(map(self._write, node.parents))).text if node.op else ""
            for node in nodes
        ]

    def sheet(self) -> dict[str, Any]:
        """The exercise as data for the script of a page, without its picture."""
        asked = zip(self._asked, self.formulas())
        return {
            "task": self.task,
            "names": self._names,
            "asked": [
                {"node": i, "formula": text, "value": number(self._order[i].data)} for i, text in asked
            ],
            "edges": self._backward.edges,
            "mistakes": [
                [m.when, m.everywhere, [[e, *change] for e, change in m.changes.items()], m.gradients]
                for m in self.mistakes
            ],
            "hints": self.hints,
            "solution": self.solution(),
        }

    def picture(self) -> str:
        """The graph as HTML."""
        return picture_or_tree(self._order[-1], f"The graph. {self.task}")

    def another(self) -> GradientExercise:
        """The exercise of the next seed.

        Raises:
            ValueError: this one was made from a graph, and not from a seed.
        """
        if self._another is None:
            raise ValueError("this exercise was made from a graph, so there is no next one")
        return self._another()

    def html(self) -> str:
        """A page that checks answers by itself, as one HTML document, which loads nothing from anywhere.

        If this exercise has a seed, those of the next seeds follow it.
        """
        exercises = [self]
        while self._another is not None and len(exercises) <= FURTHER:
            exercises.append(exercises[-1].another())
        return page_shell("Fill in the gradients", _element(exercises))

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """The table that is to be filled in."""
        values = [number(self._order[i].data) for i in self._asked]
        rows = zip(self.names, self.formulas(), values)
        return [("node", "is", "value", "gradient"), *[(*row, "?") for row in rows]]

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        table = ["  ".join(cell.ljust(w) for cell, w in zip(row, (*widths, 0))).rstrip() for row in rows]
        return "\n".join([self.task, *table])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # IPython passes include and exclude
        return {"text/plain": repr(self), "text/html": _element([self])}


def _element(exercises: list[GradientExercise]) -> str:
    """The HTML element that holds exercises and shows the first one.

    Its script, exercise.js, replays the known mistakes as `checks.mistakes` does, and says the same as
    `GradientExercise.check`. It moves the pictures to where they are shown.
    """
    pictures = [exercise.picture() for exercise in exercises]
    titles, *rows = exercises[0]._rows()
    table = "".join(f"<tr><td>{'</td><td>'.join(map(html.escape, row))}</td></tr>" for row in rows)
    still = (
        f"<p>{html.escape(exercises[0].task)}</p>\n{pictures[0]}\n<table><tr><th>{'</th><th>'.join(titles)}"
        f"</th></tr>{table}</table>\n<div hidden>{''.join(pictures[1:])}</div>"
    )
    script = page_file("elements.js") + Path(__file__).with_name("exercise.js").read_text(encoding="utf-8")
    style = json.dumps(Path(__file__).with_name("exercise.css").read_text(encoding="utf-8"))
    sheets = json_for_script([exercise.sheet() for exercise in exercises])
    return with_script(still, f"(host, sheets, style) => {{\n{script}\n}}", sheets, style)


_TEXT = Text()
_OF_OUTPUT = {TABLE["tanh"]: "(1 - {0}²)", TABLE["sigmoid"]: "{0} · (1 - {0})"}  # as the paper has them (§8)
_TOO_FEW = "It may be right, but that takes more digits to say."
_UNCLEAR = "It is right, but with so few digits a mistake gives it too: write more."


def _is_small_and_whole(factor: float) -> bool:
    size = abs(factor)
    return round(size) <= 100 and math.isclose(size, round(size), rel_tol=1e-6)


def _sum(products: list[str]) -> str:
    """The products with plus signs between them, those that start with a minus sign in brackets."""
    return _TEXT.sum([Term(text, 0.0 if text.startswith("-") else 2.0) for text in products])
