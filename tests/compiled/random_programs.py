"""`python -m tests.compiled.random_programs [N]`: random programs, eager and compiled.

A program draws everything: its graph, with operations of a user for a fixed and for any number of inputs, its
numbers, special ones among them, and the number of examples, from 1 to 130. The loss and its gradient have to
be those of eager execution, or differ by no more than a bound of the rounding error. That bound is carried
through the graph of the loss and through the graph of its gradient.
"""

import math
import random
import sys
from collections import Counter

from micrograd_mlp import Value, compile, grad, ops, primitive
from micrograd_mlp.compiled import check

SPECIAL = [0.0, -0.0, 1.0, -1.0, 1e-310, 1e-160, 1e160, 1e300, -1e300, math.inf, -math.inf, math.nan, 745.0]


@primitive(partials=lambda out, x, y: (ops.cos(x) * y, ops.sin(x)), arity=2)
def wave(x, y):
    return ops.sin(x) * y


@primitive(partials=lambda out, *x: tuple([2.0 * x_k / len(x) for x_k in x]), arity=None)
def mean_square(*x):
    return sum([x_k * x_k for x_k in x]) / len(x)


OPERATIONS = [*ops.TABLE.values(), wave.op, mean_square.op]


def random_function(rng, parameters):
    """A function of one list, which applies the same operations in each call."""
    n_operations = rng.randint(1, 15)
    seed = rng.random()

    def f(x):
        draw = random.Random(seed)
        nodes = [*x, *parameters, Value(draw.uniform(-2.0, 2.0))]
        for _ in range(n_operations):
            op = draw.choice(OPERATIONS)
            n = op.arity or 2 * draw.randint(1, 3)
            inputs = draw.choices(nodes, k=n)
            if draw.random() < 0.2:
                inputs[draw.randrange(n)] = draw.choice([0.0, 1.0, 2.0, draw.uniform(-3.0, 3.0)])
            if any(isinstance(a, Value) for a in inputs):
                nodes.append(op(*inputs))
        return nodes[-1] + sum([p * 0.5 for p in parameters])

    return f


def with_error(results):
    """The numbers of some nodes, and for each a bound of its rounding error."""
    error = {}
    for node in ops.total(results).topological_order():
        x, dx = [p.data for p in node.parents], [error[p] for p in node.parents]
        if node.op is None:
            error[node] = 0.0
        else:
            own = check.PER_OPERATION * check._magnitude(node.op.name, x, node.data) + check.SMALLEST
            error[node] = own + check._passed_on(node.op, x, dx, node.data)
    return [node.data for node in results], [2.0 * error[node] for node in results]


def compare(seed):
    """How eager and compiled execution of one program compare: "equal", "rounding" or a description."""
    rng = random.Random(seed)
    special = rng.random() < 0.3

    def number():
        return rng.choice(SPECIAL) if special and rng.random() < 0.2 else rng.gauss(0.0, 1.0)

    parameters = [Value(number()) for _ in range(rng.randint(1, 4))]
    n, width = rng.randint(1, 130), rng.randint(1, 4)
    X = [[number() for _ in range(width)] for _ in range(n)]
    f = random_function(rng, parameters)
    loss, gradient = compile(f, parameters).loss_and_grad(X)
    found = [loss, *gradient.tolist()]
    expected, bound, size = [0.0] * len(found), [0.0] * len(found), [0.0] * len(found)
    for row in X:
        result = f([Value(x) for x in row])
        slopes = grad(result, parameters, create_graph=True)
        recorded = [result.data, *grad(result, parameters)]
        _, errors = with_error([result, *slopes])
        for k, (data, error) in enumerate(zip(recorded, errors)):
            expected[k] += data / n
            bound[k] += error / n
            size[k] += abs(data) / n
    worst = "equal"
    for a, b, error, total in zip(found, expected, bound, size):
        if a == b or (a != a and b != b):
            continue
        of_the_mean = 4 * n * (check.PER_OPERATION * total + check.SMALLEST)
        if not abs(a - b) > error + of_the_mean or math.isinf(total):
            worst = "rounding"
        else:
            return f"seed {seed}: {found} instead of {expected}, bounds {bound}"
    return worst


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    counts = Counter()
    for seed in range(first, first + n):
        try:
            outcome = compare(seed)
        except Exception as error:
            outcome = f"seed {seed}: {type(error).__name__}: {error}"
        if outcome not in ("equal", "rounding"):
            print(outcome[:400], flush=True)
            outcome = "different"
        counts[outcome] += 1
    print(dict(counts))
    return counts["different"] > 0


if __name__ == "__main__":
    sys.exit(main())
