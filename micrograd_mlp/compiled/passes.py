"""Find the structure in a recorded graph: what varies, sums of products, affine maps, softmaxes (§2.3).

The graph of a neuron says w₁·x₁ + w₂·x₂ + … + b, in whatever way it was written: with `dot`, with `sum` over
products, or with +. Chains of sums become one node, Σ aₖbₖ + Σ cₖ. Nodes of that kind that multiply the
same varying operands by weights are an affine map z = Wx + b, although nobody said so: a layer of a
network. In the same way exp(zₖ - logsumexp(z)), for all k, are a softmax.
"""

from __future__ import annotations

from dataclasses import dataclass

from micrograd_mlp.compiled.trace import ADD, DOT, EXP, LOGSUMEXP, MUL, SUB, TOTAL, Graph

SUMS = {ADD, TOTAL, DOT}


@dataclass
class Facts:
    """What is known about each number of a graph, as lists of the same length.

    Attributes:
        used: how often the outputs, and the operations that they depend on, refer to it.
        varying: it depends on the inputs, so it differs from example to example.
        active: it depends on a parameter, so it has an adjoint.
    """

    used: list[int]
    varying: list[bool]
    active: list[bool]


@dataclass(frozen=True)
class Affine:
    """An affine map, zⱼ = Σₖ Wⱼₖ xₖ + bⱼ for all j, as numbers of the graph.

    Attributes:
        outputs: z.
        inputs: x.
        weights: W, row by row.
        biases: b, empty if there are none.
    """

    outputs: list[int]
    inputs: tuple[int, ...]
    weights: list[tuple[int, ...]]
    biases: list[int]


def analyse(graph: Graph) -> Facts:
    """Find what is used in a walk backward, and what is varying and active in a walk forward."""
    n = len(graph.operators)
    used, varying, active = [0] * n, [False] * n, [False] * n
    for output in graph.outputs:
        used[output] += 1
    for i in range(n - 1, -1, -1):
        if used[i]:
            for operand in graph.operands[i]:
                used[operand] += 1
    parameters = graph.parameter_numbers
    varying[: graph.n_inputs] = [True] * graph.n_inputs
    active[parameters.start : parameters.stop] = [True] * len(parameters)
    for i in range(parameters.stop, n):
        for operand in graph.operands[i]:
            if varying[operand]:
                varying[i] = True
            if active[operand]:
                active[i] = True
    return Facts(used, varying, active)


def fuse_sums(graph: Graph, facts: Facts) -> None:
    """Turn chains of sums and products into single nodes Σ aₖbₖ + Σ cₖ, in place.

    A node is taken into the sum above it if nothing else uses it and if both vary, or neither does: what
    depends on parameters alone stays apart and is computed once a batch. The first sum among the
    operands is taken in and added up first, as in the graph, so that the rounding stays the same.
    """
    for root in range(len(graph.operators) - 1, -1, -1):
        if graph.operators[root] in SUMS and facts.used[root]:
            pairs, terms, taken = _summands(graph, facts, root)
            is_neuron = facts.varying[root] and any(facts.varying[a] != facts.varying[b] for a, b in pairs)
            if graph.operators[root] is ADD and len(pairs) + len(terms) < 3 and not is_neuron:
                continue
            for operand in taken:
                facts.used[operand] = 0
            graph.operators[root] = TOTAL
            graph.operands[root] = (*[factor for pair in pairs for factor in pair], *terms)
            graph.n_pairs[root] = len(pairs)


def _summands(graph: Graph, facts: Facts, root: int) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """The products and the other terms of a sum, and the nodes that are taken into it for that."""
    pairs: list[tuple[int, int]] = []  # the last summand first; reversed at the end
    terms: list[int] = []
    taken: list[int] = []
    chain: int | None = root
    while chain is not None:
        op, operands = graph.operators[chain], graph.operands[chain]
        chain = None
        if op is DOT:
            pairs += _products(operands)
            continue
        for operand in reversed(operands):
            is_alone = facts.used[operand] == 1 and facts.varying[operand] == facts.varying[root]
            kind = graph.operators[operand] if is_alone else None
            if kind is MUL:
                left, right = graph.operands[operand]
                pairs.append((left, right))
            elif kind is DOT:
                pairs += _products(graph.operands[operand])
            elif kind in (ADD, TOTAL) and chain is None and op is ADD:
                chain = operand
            else:
                terms.append(operand)
                continue
            taken.append(operand)
    return pairs[::-1], terms[::-1], taken


def _products(factors: tuple[int, ...]) -> list[tuple[int, int]]:
    """The pairs of factors of a dot product, the last pair first."""
    half = len(factors) // 2
    return list(zip(factors[:half], factors[half:]))[::-1]


def find_softmaxes(graph: Graph, facts: Facts) -> list[list[int]]:
    """Turn exp(zₖ - logsumexp(z)), for some or all k, into one softmax, in place, if nothing else uses its
    parts.

    Returns:
        For each softmax its results, also those that nobody uses. The operands of the first one are z; the
        others have no operands.
    """
    operators, operands, used = graph.operators, graph.operands, facts.used
    if LOGSUMEXP not in operators:
        return []
    found: dict[int, list[tuple[int, int, int]]] = {}
    for i, op in enumerate(operators):
        if op is EXP and used[i]:
            [difference] = operands[i]
            if operators[difference] is SUB and used[difference] == 1:
                z, normalizer = operands[difference]
                if operators[normalizer] is LOGSUMEXP:
                    found.setdefault(normalizer, []).append((i, difference, z))
    softmaxes = []
    for normalizer, parts in found.items():
        results, differences, logits = zip(*parts)
        missing = list(operands[normalizer])
        if used[normalizer] != len(parts) or any(logits.count(z) > missing.count(z) for z in logits):
            continue
        for z in logits:
            missing.remove(z)
        for i in (normalizer, *differences):
            used[i] = 0
        unused = [_as_operation(graph, facts, like=results[0]) for _ in missing]
        for i in results[1:]:
            operands[i] = ()
        operands[results[0]] = (*logits, *missing)
        softmaxes.append([*results, *unused])
    return softmaxes


def _as_operation(graph: Graph, facts: Facts, like: int) -> int:
    """The number of a new operation that nothing uses, with the facts of another one."""
    graph.operators.append(graph.operators[like])
    graph.operands.append(())
    facts.used.append(1)
    facts.varying.append(facts.varying[like])
    facts.active.append(facts.active[like])
    return len(graph.operators) - 1


def find_affine_maps(graph: Graph, facts: Facts) -> list[Affine]:
    """Group the sums of weight times input by their inputs: each group is one affine map."""
    groups: dict[tuple[tuple[int, ...], bool, bool], Affine] = {}
    for i, n_pairs in graph.n_pairs.items():
        operands = graph.operands[i]
        terms = operands[2 * n_pairs :]
        if not facts.used[i] or not facts.varying[i] or n_pairs == 0 or len(terms) > 1:
            continue
        if terms and facts.varying[terms[0]]:
            continue
        weights, inputs = [], []
        for left, right in zip(operands[0 : 2 * n_pairs : 2], operands[1 : 2 * n_pairs : 2]):
            weight, x = (right, left) if facts.varying[left] else (left, right)
            if facts.varying[weight] or not facts.varying[x]:
                break
            weights.append(weight)
            inputs.append(x)
        else:
            key = (tuple(inputs), bool(terms), facts.active[i])
            affine = groups.setdefault(key, Affine([], key[0], [], []))
            affine.outputs.append(i)
            affine.weights.append(tuple(weights))
            affine.biases.extend(terms)
    return list(groups.values())
