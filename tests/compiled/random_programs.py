"""`python -m tests.compiled.random_programs [N [FIRST]]`: random programs, eager and in both precisions.

A program draws everything: its graph, with operations of a user for a fixed and for any number of inputs, its
numbers, special ones among them, and the number of examples, from 1 to 130. The loss and its gradient have to
be those of eager execution, or differ by no more than a bound of the rounding error (see `answers`).
"""

import math
import random
import sys
from collections import Counter

from micrograd_mlp import Value, compile, ops, primitive
from micrograd_mlp.compiled.check import PRECISIONS
from tests.compiled.answers import is_within, mean_with_bounds

SPECIAL = {
    "float64": [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1e-310,
        1e-160,
        1e160,
        1e300,
        -1e300,
        math.inf,
        -math.inf,
        math.nan,
        745.0,
    ],
    "float32": [0.0, -0.0, 1.0, -1.0, 1e-40, 1e-20, 1e20, 1e38, -1e38, math.inf, -math.inf, math.nan, 103.0],
}


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


def compare(seed, dtype):
    """How eager and compiled execution of one program compare: "equal", "rounding" or a description."""
    rng = random.Random(seed)
    special = rng.random() < 0.3

    def number():
        return rng.choice(SPECIAL[dtype]) if special and rng.random() < 0.2 else rng.gauss(0.0, 1.0)

    parameters = [Value(number()) for _ in range(rng.randint(1, 4))]
    n, width = rng.randint(1, 130), rng.randint(1, 4)
    X = [[number() for _ in range(width)] for _ in range(n)]
    f = random_function(rng, parameters)
    loss, gradient = compile(f, parameters, dtype=dtype).loss_and_grad(X)
    found = [loss, *gradient.tolist()]
    expected, bounds = mean_with_bounds(f, parameters, X, None, PRECISIONS[dtype])
    if all(a == b or (a != a and b != b) for a, b in zip(found, expected)):
        return "equal"
    if all(map(is_within, found, expected, bounds)):
        return "rounding"
    return f"{found} instead of {expected}, bounds {bounds}"


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    counts = Counter()
    for seed in range(first, first + n):
        for dtype in SPECIAL:
            try:
                outcome = compare(seed, dtype)
            except Exception as error:
                outcome = f"{type(error).__name__}: {error}"
            if outcome not in ("equal", "rounding"):
                print(f"seed {seed}, {dtype}: {outcome}"[:400], flush=True)
                outcome = "different"
            counts[f"{dtype} {outcome}"] += 1
    print(dict(counts))
    return any("different" in outcome for outcome in counts)


if __name__ == "__main__":
    sys.exit(main())
