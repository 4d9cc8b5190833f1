"""Find the structure in a recorded graph: what varies, sums of products, and layers (§2.3).

The graph of a neuron says w₁·x₁ + w₂·x₂ + … + b, in whatever way it was written: with `dot`, with
`sum` over products, or with +. Chains of sums become one node, Σ aₖbₖ + Σ cₖ; and nodes of that kind that
multiply the same varying operands by weights are a layer, z = Wx + b, although nobody said so. So are
exp(zₖ - logsumexp(z)) a softmax.
"""

from __future__ import annotations

from dataclasses import dataclass

from micrograd_mlp.compiled.trace import ADD, DOT, EXP, LOGSUMEXP, MUL, SUB, TOTAL, Graph


@dataclass
class Facts:
    """What is known about each number of a graph, as lists of the same length.

    Attributes:
        used: an output depends on it.
        varying: it depends on the inputs, so it differs from example to example.
        active: it depends on a parameter, so it has an adjoint.
    """

    used: list[bool]
    varying: list[bool]
    active: list[bool]


@dataclass(frozen=True)
class Layer:
    """zⱼ = Σₖ Wⱼₖ xₖ + bⱼ for all j, as numbers of the graph.

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
    """Who is used, who varies, who is active: one walk backward, one forward."""
    n = len(graph.operators)
    used, varying, active = [False] * n, [False] * n, [False] * n
    for output in graph.outputs:
        used[output] = True
    for i in range(n - 1, -1, -1):
        if used[i]:
            for operand in graph.operands[i]:
                used[operand] = True
    first_parameter = graph.n_inputs
    first_operation = first_parameter + len(graph.parameters)
    varying[:first_parameter] = [True] * first_parameter
    active[first_parameter:first_operation] = [True] * len(graph.parameters)
    for i in range(first_operation, n):
        for operand in graph.operands[i]:
            if varying[operand]:
                varying[i] = True
            if active[operand]:
                active[i] = True
    return Facts(used, varying, active)


def fuse_sums(graph: Graph, facts: Facts) -> None:
    """Turn chains of sums and products into single nodes Σ aₖbₖ + Σ cₖ, in place.

    A node is taken into the sum above it if nothing else uses it and both vary, or neither does: what
    depends on parameters alone stays apart, to be computed once a batch. The first sum among the
    operands is taken in and added up first, as it was before, so that rounding stays the same.
    """
    operators, operands, used, varying = graph.operators, graph.operands, facts.used, facts.varying
    uses = _uses(graph, facts)
    for root in range(len(operators) - 1, -1, -1):
        if not used[root] or operators[root] not in (ADD, TOTAL, DOT):
            continue
        pairs: list[tuple[int, int]] = []  # the last summand first, to be reversed at the end
        terms: list[int] = []
        taken: list[int] = []
        chain: int | None = root
        while chain is not None:
            op, mine = operators[chain], operands[chain]
            chain = None
            if op is DOT:
                pairs += _products(mine)
                continue
            for operand in reversed(mine):
                alone = uses[operand] == 1 and varying[operand] == varying[root]
                kind = operators[operand] if alone else None
                if kind is MUL:
                    left, right = operands[operand]
                    pairs.append((left, right))
                    taken.append(operand)
                elif kind is DOT:
                    pairs += _products(operands[operand])
                    taken.append(operand)
                elif kind in (ADD, TOTAL) and chain is None and op is ADD:
                    chain = operand
                    taken.append(operand)
                else:
                    terms.append(operand)
        summands = len(pairs) + len(terms)
        is_neuron = varying[root] and any(varying[a] != varying[b] for a, b in pairs)
        if operators[root] is ADD and summands < 3 and not is_neuron:
            continue
        for operand in taken:
            used[operand] = False
        pairs.reverse()
        terms.reverse()
        operators[root] = TOTAL
        operands[root] = (*[factor for pair in pairs for factor in pair], *terms)
        graph.n_pairs[root] = len(pairs)


def _products(factors: tuple[int, ...]) -> list[tuple[int, int]]:
    """The products that a dot sums, the last one first."""
    half = len(factors) // 2
    return list(zip(factors[:half], factors[half:]))[::-1]


def _uses(graph: Graph, facts: Facts) -> list[int]:
    """For each number, how often an operation in use, or the output, takes it."""
    uses = [0] * len(graph.operators)
    for i, mine in enumerate(graph.operands):
        if facts.used[i]:
            for operand in mine:
                uses[operand] += 1
    for output in graph.outputs:
        uses[output] += 1
    return uses


def find_softmaxes(graph: Graph, facts: Facts) -> list[list[int]]:
    """Turn exp(zₖ - logsumexp(z)), for all k, into one softmax, in place: where nothing else is used of it.

    Returns:
        For each softmax its results. The operands of the first are z, the others have none of their own.
    """
    operators, operands, used = graph.operators, graph.operands, facts.used
    if LOGSUMEXP not in operators:
        return []
    uses = _uses(graph, facts)
    found: dict[int, list[tuple[int, int, int]]] = {}
    for i, op in enumerate(operators):
        if op is EXP and used[i]:
            [difference] = operands[i]
            if operators[difference] is SUB and uses[difference] == 1:
                z, normalizer = operands[difference]
                if operators[normalizer] is LOGSUMEXP:
                    found.setdefault(normalizer, []).append((i, difference, z))
    softmaxes = []
    for normalizer, parts in found.items():
        results, differences, logits = zip(*parts)
        if uses[normalizer] == len(parts) and sorted(logits) == sorted(operands[normalizer]):
            for i in (normalizer, *differences):
                used[i] = False
            for i in results[1:]:
                operands[i] = ()
            operands[results[0]] = logits
            softmaxes.append(list(results))
    return softmaxes


def find_layers(graph: Graph, facts: Facts) -> list[Layer]:
    """Group the sums of weight times operand by their operands: each group is one layer."""
    groups: dict[tuple[tuple[int, ...], bool, bool], Layer] = {}
    for i, n_pairs in graph.n_pairs.items():
        mine = graph.operands[i]
        terms = mine[2 * n_pairs :]
        if not facts.used[i] or not facts.varying[i] or n_pairs == 0 or len(terms) > 1:
            continue
        if terms and facts.varying[terms[0]]:
            continue
        left, right = mine[0 : 2 * n_pairs : 2], mine[1 : 2 * n_pairs : 2]
        weights, inputs = [], []
        for a, b in zip(left, right):
            weight, x = (b, a) if facts.varying[a] else (a, b)
            if facts.varying[weight] or not facts.varying[x]:
                break
            weights.append(weight)
            inputs.append(x)
        else:
            key = (tuple(inputs), bool(terms), facts.active[i])
            layer = groups.setdefault(key, Layer([], key[0], [], []))
            layer.outputs.append(i)
            layer.weights.append(tuple(weights))
            layer.biases.extend(terms)
    return list(groups.values())
