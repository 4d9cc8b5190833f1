"""The known mistakes of a backward pass, replayed on a recorded graph (§6, §7).

A backward pass done by hand goes wrong in few ways: a gradient is overwritten where it has to be added, a
node passes its gradient on too early, a factor is forgotten, a derivative is that of another function. Each
mistake is made here on purpose, on any graph, so that numbers can be traced back to what gives them.

Most mistakes change what some edges of the graph multiply by: with such a `Change` the backward pass runs as
it always does. The others visit the edges in another order, or start from old gradients.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Constant, Value

MOST_VISITS = 10_000  # of edges, by a walk that comes to a node again and again
_OTHERS = ("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "softplus")  # written for one another
_CONFUSED = {"add": ["mul"], "sub": ["mul"], "mul": ["add", "div"], "div": ["mul"]}


class Edge(NamedTuple):
    """One use of a node, the parent, by another one, the child: their positions, and ∂child/∂parent."""

    child: int
    parent: int
    local: float


class Change(NamedTuple):
    """What an edge multiplies by, wrongly: another local derivative, or no gradient of the child."""

    local: float
    with_gradient: bool = True


class Mistake(NamedTuple):
    """A mistake: changes of some edges, by their positions, or else other gradients of all nodes."""

    when: str  # completes the sentence "You get this when"
    changes: Mapping[int, Change]
    gradients: Sequence[float] | None = None
    everywhere: bool = False  # whether it is made at all nodes where it can be made


class BackwardPass:
    """The backward pass of a recorded graph, with or without a mistake. No `.grad` changes.

    Attributes:
        order: all nodes, parents before children.
        edges: every use of a node, in the order in which `backward()` comes to it.

    >>> x = Value(3.0, "x")
    >>> BackwardPass(x * x + x).gradients()
    [7.0, 1.0, 1.0]
    """

    def __init__(self, output: Value) -> None:
        self.order = output.topological_order()
        self.index = {node: i for i, node in enumerate(self.order)}
        self.edges: list[Edge] = []
        # For each node the edges by which it passes its gradient on, and those by which its gradient arrives.
        self.out_of: list[list[int]] = [[] for _ in self.order]
        self.into: list[list[int]] = [[] for _ in self.order]
        index = {node: i for i, node in enumerate(self.order)}
        for child, node in reversed(list(enumerate(self.order))):
            for parent, local in zip(node.parents, node.local_grads):
                self.out_of[child].append(len(self.edges))
                self.into[index[parent]].append(len(self.edges))
                # What lands in a constant's gradient is of no use to anyone, and may be nan.
                local = 0.0 if isinstance(parent, Constant) else local
                self.edges.append(Edge(child, index[parent], local))

    def gradients(self, changes: Mapping[int, Change] = {}, given: Mapping[int, float] = {}) -> list[float]:
        """The gradients of all nodes.

        Args:
            changes: what some edges multiply by instead of their local derivatives.
            given: gradients, by position of the node, that take the place of those that arrive there.
        """
        found = [0.0] * len(self.order)
        found[-1] = 1.0
        for child in reversed(range(len(self.order))):
            found[child] = given.get(child, found[child])
            for e in self.out_of[child]:
                local, with_gradient = changes.get(e) or Change(self.edges[e].local)
                found[self.edges[e].parent] += local * (found[child] if with_gradient else 1.0)
        return found

    def outcome(self, mistake: Mistake) -> Sequence[float]:
        """The gradients that a mistake gives."""
        return self.gradients(mistake.changes) if mistake.gradients is None else mistake.gradients

    def walk(self, visits: Iterable[int], start: Sequence[float] | None = None) -> list[float]:
        """The gradients when edges are visited in this order, from 0 or from older gradients."""
        found = list(start or [0.0] * len(self.order))
        found[-1] = 1.0
        for child, parent, local in (self.edges[e] for e in visits):
            found[parent] += local * found[child]
        return found


def known_mistakes(
    backward: BackwardPass, names: Mapping[Value, str], former: Mapping[Value, float] | None = None
) -> list[Mistake]:
    """Every known mistake that gives other gradients than the right ones, the most frequent ones first.

    Args:
        backward: the backward pass in which they are made.
        names: of all nodes.
        former: gradients that the leaves have from an earlier backward pass.
    """
    right = backward.gradients()
    mistakes = [
        *_overwritten(backward, names),
        *_in_another_order(backward),
        *_not_cleared(backward, right, former or {}),
        *_transposed(backward, right),
        *_slips(backward, names),
    ]
    return [mistake for mistake in mistakes if differ(backward.outcome(mistake), right)]


def differ(gradients: Sequence[float], right: Sequence[float]) -> bool:
    """Whether these gradients are finite, and others than the right ones by more than rounding."""
    least = 1e-15 * max(map(abs, right))
    return all(map(math.isfinite, gradients)) and any(
        not math.isclose(g, r, rel_tol=1e-9, abs_tol=least) for g, r in zip(gradients, right)
    )


# A gradient arrives along several edges


def _overwritten(backward: BackwardPass, names: Mapping[Value, str]) -> Iterator[Mistake]:
    """Contributions that replace one another instead of being added (§6.2)."""
    several = {
        i: into
        for i, into in enumerate(backward.into)
        if len(into) > 1 and not isinstance(backward.order[i], Constant)
    }
    if len(several) > 1:
        for which, kept in (("later", -1), ("earlier", 0)):
            lost = [e for into in several.values() for e in into if e != into[kept]]
            yield Mistake(
                f"at every node the {which} contribution is all that is kept: it overwrites the others "
                "instead of being added to them",
                dict.fromkeys(lost, Change(0.0)),
                everywhere=True,
            )
    for node, into in several.items():
        name = names[backward.order[node]]
        users = [names[backward.order[backward.edges[e].child]] for e in into]
        for e, user in zip(into, users):
            others = dict.fromkeys([other for other in into if other != e], Change(0.0))
            through = f"one of its {users.count(user)} uses in {user}" if users.count(user) > 1 else user
            yield Mistake(
                f"at {name} one path overwrites the others instead of being added: only what comes through "
                f"{through} is left",
                others,
            )
            if len(into) > 2:
                yield Mistake(
                    f"one path to {name} is forgotten: what comes through {through} is not added",
                    {e: Change(0.0)},
                )


# The order of the visits, and what was there before


def _in_another_order(backward: BackwardPass) -> Iterator[Mistake]:
    """Nodes that pass their gradients on before all contributions have arrived (§7)."""
    for at_once in (True, False):
        taken = list(itertools.islice(_recursive(backward, at_once), MOST_VISITS + 1))
        if len(taken) <= MOST_VISITS:
            yield Mistake(
                "the graph is walked depth first: a node that is reached a second time passes on again "
                "what it had passed on already",
                {},
                backward.walk(taken),
            )
    too_early = "each node once: it passes its gradient on when it is first reached, before all contributions"
    orders = {
        f"depth first, {too_early} have arrived": _reached(backward, depth_first=True),
        f"breadth first, {too_early} have arrived": _reached(backward, depth_first=False),
        "from the inputs to the output, so that nodes pass their gradients on before anything has "
        "arrived": list(range(len(backward.order))),
    }
    for how, order in orders.items():
        visits = [e for node in order for e in backward.out_of[node]]
        yield Mistake(f"the graph is walked {how}", {}, backward.walk(visits))


def _recursive(backward: BackwardPass, at_once: bool) -> Iterator[int]:
    """The edges as a function visits them that calls itself for every parent, whether visited or not.

    Either at once, or after all parents have got their contributions.
    """
    stack = list(reversed(backward.out_of[-1]))
    if not at_once:
        yield from backward.out_of[-1]
    while stack:
        e = stack.pop()
        further = backward.out_of[backward.edges[e].parent]
        if at_once:
            yield e
        else:
            yield from further
        stack += reversed(further)


def _reached(backward: BackwardPass, depth_first: bool) -> list[int]:
    """The nodes in the order in which they are first reached from the output."""
    waiting = deque([len(backward.order) - 1])
    reached: dict[int, None] = {}
    while waiting:
        node = waiting.pop() if depth_first else waiting.popleft()
        if node not in reached:
            reached[node] = None
            parents = [backward.edges[e].parent for e in backward.out_of[node]]
            waiting.extend(reversed(parents) if depth_first else parents)
    return list(reached)


def _not_cleared(
    backward: BackwardPass, right: Sequence[float], former: Mapping[Value, float]
) -> Iterator[Mistake]:
    """Gradients of an earlier backward pass that are still there."""
    if any(former.values()):
        yield Mistake(
            "zero_grad() is forgotten: the leaves still hold the gradients of an earlier backward pass",
            {},
            [g + former.get(node, 0.0) for node, g in zip(backward.order, right)],
        )
    yield Mistake(
        "zero_grad() is forgotten: the leaves have gone through the backward pass twice",
        {},
        [g if node.parents else 2.0 * g for node, g in zip(backward.order, right)],
    )
    yield Mistake(
        "no gradient is cleared before a second backward pass, not even inside the graph",
        {},
        backward.walk(range(len(backward.edges)), start=right),
    )


# Matrices


def _transposed(backward: BackwardPass, right: Sequence[float]) -> Iterator[Mistake]:
    """W in the place of its transpose (§7), and a gradient that is the transpose of the right one."""
    matrices: dict[str, dict[tuple[int, int], int]] = defaultdict(dict)
    for i, node in enumerate(backward.order):
        entry = re.fullmatch(r"(.*)\[(\d+),(\d+)\]", node.label or "")
        if entry and not node.parents:
            matrices[entry[1]][int(entry[2]), int(entry[3])] = i
    for name, entries in matrices.items():
        changes: dict[int, Change] = {}
        for (j, k), i in entries.items():
            if (k, j) in entries:
                weight = Change(backward.order[entries[k, j]].data)
                changes |= dict.fromkeys(_multiplied_by(backward, i), weight)
        if changes:
            yield Mistake(
                f"{name} is not transposed on the way back: δ is multiplied by the matrix itself",
                changes,
                everywhere=True,
            )
        found = list(right)
        for here, there in zip(sorted(entries), sorted(entries, key=lambda entry: entry[::-1])):
            found[entries[here]] = right[entries[there]]
        yield Mistake(f"the gradient of {name} is transposed", {}, found)


def _multiplied_by(backward: BackwardPass, weight: int) -> Iterator[int]:
    """The edges whose local derivative is this node's number, since it is the other factor of a product."""
    for use in backward.into[weight]:
        child = backward.edges[use].child
        if backward.order[child].op in (TABLE["mul"], TABLE["dot"]):
            edges = backward.out_of[child]
            yield edges[(edges.index(use) + len(edges) // 2) % len(edges)]


# One step of the chain rule


class _Slip(NamedTuple):
    """A wrong step at one node."""

    kind: Hashable  # what it shares with the same step at other nodes
    here: str  # its name at this node
    everywhere: str  # its name if it is made at all such nodes
    factors: Mapping[int, Change]  # for each operand that it concerns what is multiplied by


def _slips(backward: BackwardPass, names: Mapping[Value, str]) -> Iterator[Mistake]:
    """Wrong factors of the chain rule: at one node, and at all nodes where the same can go wrong."""
    same_kind: dict[Hashable, list[Mistake]] = defaultdict(list)
    for node, edges in reversed(list(zip(backward.order, backward.out_of))):
        if not edges:
            continue
        for slip in (*_of_operation(node, names), *_of_factors(node, names)):
            changes = {
                edges[operand]: change
                for operand, change in slip.factors.items()
                if not isinstance(node.parents[operand], Constant)
                and change != Change(node.local_grads[operand])
            }
            if changes:
                yield Mistake(slip.here, changes)
                same_kind[slip.kind].append(Mistake(slip.everywhere, changes))
    for mistakes in same_kind.values():
        if len(mistakes) > 1:
            changes = {e: change for mistake in mistakes for e, change in mistake.changes.items()}
            several = len({backward.edges[e].child for e in changes}) > 1
            yield Mistake(mistakes[0].when + (", everywhere" if several else ""), changes, everywhere=True)


def _of_factors(node: Value, names: Mapping[Value, str]) -> Iterator[_Slip]:
    """What can go wrong with every factor, whatever the operation."""
    of = _called(node)
    for i, (parent, local) in enumerate(zip(node.parents, node.local_grads)):
        slope, child = f"∂{names[node]}/∂{names[parent]}", names[node]
        factor = _constant_factor(node, i)
        yield _Slip(
            factor or ("left out", of),
            f"{factor}, in {child}" if factor else f"the local derivative {slope} is left out",
            factor or f"the derivative of {of} is left out",
            {i: Change(1.0)},
        )
        has_minus = local < 0.0 or (i == 1 and node.op in (TABLE["sub"], TABLE["div"]))
        if has_minus or len(node.parents) == 1:
            yield _Slip(
                ("sign", of),
                f"the minus sign of {slope} is lost" if has_minus else f"{slope} gets a minus sign",
                f"the derivative of {of} has the wrong sign",
                {i: Change(-local)},
            )
        yield _Slip(
            "alone",
            f"{slope} is not multiplied by the gradient of {child}",
            "the local derivatives are not multiplied by the gradients above them",
            {i: Change(local, with_gradient=False)},
        )


def _constant_factor(node: Value, operand: int) -> str:
    """The name of the mistake that leaves out a constant factor, such as ½ or 1/n; else nothing."""
    others = [x for i, x in enumerate(node.parents) if i != operand]
    if node.op not in (TABLE["mul"], TABLE["div"]) or not isinstance(others[0], Constant):
        return ""
    inside, constant = node.parents[operand], others[0].data
    is_sum = inside.op in (TABLE["total"], TABLE["add"])
    is_square = inside.op is TABLE["pow"] or (inside.op is TABLE["mul"] and len(set(inside.parents)) == 1)
    if node.op is TABLE["mul"] and constant == 0.5 and is_square:
        return "the ½ of the squared error is left out"
    if node.op is TABLE["mul"]:
        n = 1.0 / constant if is_sum and constant else 0.0
        return _WITHOUT_MEAN.format(n) if n > 1.0 else f"the factor {constant:g} is left out"
    if operand == 1:
        return ""
    return _WITHOUT_MEAN.format(constant) if is_sum else f"the division by {constant:g} is left out"


_WITHOUT_MEAN = "the sum is taken in the place of the mean: 1/{:g} is left out"
_WORDS = {"add": "a sum", "sub": "a difference", "mul": "a product", "div": "a quotient", "pow": "a power"}


def _called(node: Value) -> str:
    """An operation in words."""
    assert node.op is not None, "it has parents"
    return _WORDS.get(node.op.name, node.op.name)


def _of_operation(node: Value, names: Mapping[Value, str]) -> Iterator[_Slip]:
    """Rules of differentiation that are written for this operation's own."""
    with contextlib.suppress(Exception):  # an operation of the user's own, far from where it is used
        for what, factors in _wrong_rules(node):
            if len(factors) == len(node.parents):
                changes = {i: Change(factor) for i, factor in enumerate(factors)}
                yield _Slip((what, _called(node)), f"{what}, at {names[node]}", what, changes)


def _wrong_rules(node: Value) -> Iterator[tuple[str, Sequence[float]]]:
    """Each with the factors of all operands."""
    op, out, inputs, of = node.op, node.data, [x.data for x in node.parents], _called(node)
    assert op is not None, "it has parents"
    if op in (TABLE["mul"], TABLE["dot"]):
        yield "a factor itself is taken for its derivative in a product, and not the other factor", inputs
    elif op is TABLE["sub"]:
        yield "the difference is taken the other way round", (-1.0, 1.0)
    elif len(inputs) == 2:
        yield f"the two derivatives of {of} are exchanged", node.local_grads[::-1]
    if op is TABLE["pow"]:
        x, n = inputs
        yield "the exponent is not written as a factor", (x ** (n - 1.0), node.local_grads[1])
        yield "the exponent is not lowered by one", (n * out, node.local_grads[1])
    if op is TABLE["div"]:
        yield "the denominator is not squared", (node.local_grads[0], -out)
    if op is TABLE["total"]:
        yield "a sum is differentiated as a mean", [1.0 / len(inputs)] * len(inputs)
    if len(inputs) == 1:
        yield f"the value of {of} is taken for its derivative", (out,)
        yield f"the derivative of {of} is taken at its output and not at its input", op.partials(op(out), out)
    for name in _OTHERS if len(inputs) == 1 else _CONFUSED.get(op.name, ()):
        other = TABLE[name]
        if other is not op:
            slopes = other.partials(other.forward(*inputs), *inputs)
            yield f"the derivative of {_WORDS.get(name, name)} stands in the place of that of {of}", slopes
