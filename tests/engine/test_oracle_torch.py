"""PyTorch in float64 as the oracle: random graphs and networks, gradients and Hessian-vector products.

Two correct programs may differ by rounding alone, which cancellation magnifies: so every difference is
measured against the sum of the absolute contributions, Σ over paths of Π|local derivatives|. That is no
excuse for a missing term: each test also says how much larger than the gradient itself that sum may be.
"""

import functools
import math
import random
import statistics

import pytest

from micrograd_mlp import (
    MLP,
    Value,
    detect_anomaly,
    dot,
    grad,
    logsumexp,
    maximum,
    minimum,
    relu,
    sqrt,
    squared_error,
    total,
)

torch = pytest.importorskip("torch", exc_type=ImportError)
F = torch.nn.functional

TOLERANCE = 1e-12


def in_order(terms):
    """A sum from left to right: PyTorch's own has another order, which shows where a part overflows."""
    return functools.reduce(torch.add, terms)


# Each builds one node from operands in about [-2, 2] and stays there: once from Values, once from tensors.
OPERATIONS = {
    "add": (2, lambda x, y: 0.6 * (x + y), None),
    "sub": (2, lambda x, y: (x - y) * 0.6, None),
    "mul": (2, lambda x, y: x * y * 0.5, None),
    "div": (2, lambda x, y: x / (y * y + 1.0), None),
    "pow": (2, lambda x, y: (x * x + 0.5) ** (y * 0.3) - 1.0, None),
    "neg": (1, lambda x: -x, None),
    "abs": (1, lambda x: abs(x) - 0.7, None),
    "exp": (1, lambda x: x.exp() * 0.3 - 0.5, None),
    "log": (1, lambda x: (x * x + 0.1).log(), None),
    "log1p": (1, lambda x: (x * x).log1p(), None),
    "expm1": (1, lambda x: 0.3 * x.expm1(), None),
    "sqrt": (1, lambda x: (x * x + 0.1).sqrt(), None),
    "sin": (1, lambda x: (2.0 * x).sin(), None),
    "cos": (1, lambda x: (1.5 * x).cos(), None),
    "tanh": (1, lambda x: x.tanh(), None),
    "sigmoid": (1, lambda x: 2.0 * x.sigmoid() - 1.0, None),
    "sinh": (1, lambda x: x.tanh().sinh(), None),
    "cosh": (1, lambda x: x.tanh().cosh() - 1.2, None),
    "atanh": (1, lambda x: (0.7 * x.tanh()).atanh(), None),
    "tan": (1, lambda x: x.tanh().tan(), None),
    "asin": (1, lambda x: (0.9 * x.tanh()).asin(), None),
    "acos": (1, lambda x: (0.9 * x.tanh()).acos() - 1.5, None),
    "atan": (1, lambda x: x.atan(), None),
    "hypot": (2, lambda x, y: x.tanh().hypot(y.tanh() + 2.0) - 2.0, None),
    "log2": (1, lambda x: 0.5 * (x * x + 0.1).log2(), None),
    "silu": (1, lambda x: x.silu(), F.silu),
    "relu": (1, lambda x: x.relu(), None),
    "leaky_relu": (1, lambda x: x.leaky_relu(), lambda x: F.leaky_relu(x, 0.01)),
    "softplus": (1, lambda x: x.softplus() - 1.0, lambda x: F.softplus(x) - 1.0),
    "maximum": (2, maximum, torch.maximum),
    "minimum": (2, minimum, torch.minimum),
    "total": (5, lambda *x: total(x) * 0.4, lambda *x: in_order(x) * 0.4),
    "dot": (
        6,
        lambda *x: dot(x[:3], x[3:]) * 0.3,
        lambda *x: in_order(map(torch.mul, x[:3], x[3:])) * 0.3,
    ),
    "logsumexp": (
        4,
        lambda *x: logsumexp(x) - 1.4,
        lambda *x: torch.logsumexp(torch.stack(x), 0) - 1.4,
    ),
}


def random_program(rng, size, leaves):
    """Lines of (operation, operands): indices of leaves and earlier lines, most of them recent ones."""
    program, used = [], set()
    for line in range(size):
        name = rng.choice(tuple(OPERATIONS))
        count = leaves + line
        operands = [
            rng.randrange(count) if rng.random() < 0.3 else count - 1 - rng.randrange(min(count, 40))
            for _ in range(OPERATIONS[name][0])
        ]
        program.append((name, operands))
        used.update(operands)
    return program, [i for i in range(leaves + size) if i not in used]


def run(program, ends, leaves, library, operations=OPERATIONS):
    nodes = list(leaves)
    for name, operands in program:
        _, ours, theirs = operations[name]
        f = ours if library == "ours" or theirs is None else theirs
        nodes.append(f(*[nodes[i] for i in operands]))
    ends = [nodes[i] for i in ends]
    return total(ends) if library == "ours" else in_order(ends)


def contributions(output, inputs):
    """Σ over paths of Π|local derivatives|, for every input."""
    sums = {output: 1.0}
    for node in reversed(output.topological_order()):
        for parent, local_grad in zip(node.parents, node.local_grads, strict=True):
            sums[parent] = sums.get(parent, 0.0) + abs(local_grad) * sums.get(node, 0.0)
    return [sums.get(x, 0.0) for x in inputs]


def worst(ours, theirs, scales):
    """The largest difference as a part of the sum of absolute contributions."""
    assert all(map(math.isfinite, [*ours, *theirs, *scales]))
    return max(
        abs(a - b) / scale if scale else abs(a - b) for a, b, scale in zip(ours, theirs, scales, strict=True)
    )


def cancellation(gradients, scales):
    return statistics.median(scale / abs(g) for g, scale in zip(gradients, scales, strict=True) if g)


@pytest.mark.parametrize(
    ("size", "seed"), [(10, s) for s in range(40)] + [(300, s) for s in range(10)] + [(2000, 1), (2000, 2)]
)
def test_random_graphs(size, seed):
    rng = random.Random(seed)
    numbers = [rng.uniform(-1.5, 1.5) for _ in range(8)]
    direction = [rng.uniform(-1.0, 1.0) for _ in range(8)]
    program, ends = random_program(rng, size, len(numbers))

    x = [Value(v) for v in numbers]
    y = run(program, ends, x, "ours")
    y.backward()
    gradient = [v.grad for v in x]
    slopes = grad(y, x, create_graph=True)
    along = dot(slopes, direction)
    product = grad(along, x)
    if size == 2000:
        assert len(y.topological_order()) > 4000
        assert len(along.topological_order()) > 10_000

    t = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in numbers]
    ty = run(program, ends, t, "torch")
    tg = torch.autograd.grad(ty, t, create_graph=True, materialize_grads=True)
    talong = sum(g * d for g, d in zip(tg, direction, strict=True))
    if talong.requires_grad:
        tp = torch.autograd.grad(talong, t, materialize_grads=True)
    else:
        tp = [torch.zeros(())] * 8

    scales = contributions(y, x)
    size_of_y = sum(abs(s * v) for s, v in zip(scales, numbers, strict=True))
    assert worst([y.data], [ty.item()], [abs(y.data) + size_of_y]) < TOLERANCE
    assert worst(gradient, [g.item() for g in tg], scales) < TOLERANCE
    assert worst(product, [p.item() for p in tp], contributions(along, x)) < TOLERANCE
    assert cancellation(gradient, scales) < 1e9
    assert [s.data for s in slopes] == pytest.approx(gradient, rel=1e-9)


def test_a_graph_of_ten_thousand_nodes():
    rng = random.Random(0)
    numbers = [rng.uniform(-1.5, 1.5) for _ in range(50)]
    program, ends = random_program(rng, 4200, len(numbers))
    x = [Value(v) for v in numbers]
    y = run(program, ends, x, "ours")
    assert 9_000 < len(y.topological_order()) < 15_000
    t = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in numbers]
    ty = run(program, ends, t, "torch")
    theirs = [g.item() for g in torch.autograd.grad(ty, t, materialize_grads=True)]
    scales = contributions(y, x)
    ours = grad(y, x)
    assert worst(ours, theirs, scales) < TOLERANCE
    assert cancellation(ours, scales) < 1e9


def same(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= 1e-9 * max(abs(a), abs(b))


class Relu(torch.autograd.Function):
    """PyTorch's ReLU, with the chain rule for its gradient: the local derivative times what arrives (§6)."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return torch.relu(z)

    @staticmethod
    def backward(ctx, adjoint):
        (z,) = ctx.saved_tensors
        return torch.where(z <= 0.0, 0.0, 1.0) * adjoint


class Maximum(torch.autograd.Function):
    """PyTorch's maximum, with the chain rule for its gradient; a tie shares it half and half."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return torch.maximum(x, y)

    @staticmethod
    def backward(ctx, adjoint):
        x, y = ctx.saved_tensors
        ties = torch.where(x == y, 0.5, 1.0)
        return torch.where(x < y, 0.0, ties) * adjoint, torch.where(y < x, 0.0, ties) * adjoint


# PyTorch masks the gradient of these three: where the local derivative is 0, it passes on 0 whatever arrives.
# Ours is the product of the two, as the chain rule has it, and in IEEE 0 times inf or nan is nan.
# (PyTorch also masks a power's where the exponent is 0, which none of the graphs below comes to.)
BY_THE_CHAIN_RULE = OPERATIONS | {
    "relu": (1, relu, Relu.apply),
    "maximum": (2, maximum, Maximum.apply),
    "minimum": (2, minimum, lambda x, y: -Maximum.apply(-x, -y)),
}


@pytest.mark.parametrize("seed", range(200))
def test_small_graphs_of_special_values(seed):
    rng = random.Random(seed)
    special = [0.0, -0.0, 1.0, -1.0, 5e-324, 1.7976931348623157e308, -1e308, math.inf, -math.inf, math.nan]
    numbers = [rng.choice(special) for _ in range(3)] + [rng.uniform(-1.5, 1.5) for _ in range(3)]
    program, ends = random_program(rng, 6, len(numbers))
    x = [Value(v) for v in numbers]
    t = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in numbers]
    y, ty = run(program, ends, x, "ours"), run(program, ends, t, "torch", BY_THE_CHAIN_RULE)
    theirs = [g.item() for g in torch.autograd.grad(ty, t, materialize_grads=True)]
    y.backward()
    assert same(y.data, ty.item()), (program, numbers)
    assert all(map(same, [v.grad for v in x], theirs)), (program, numbers, [v.grad for v in x], theirs)


@pytest.mark.parametrize(
    ("name", "numbers"), [("relu", [-1.0]), ("maximum", [-1.0, 0.0]), ("minimum", [1.0, 0.0])]
)
def test_a_closed_gate_passes_on_nan_for_an_infinite_gradient_where_pytorch_masks_it(name, numbers):
    """The output of the gate is 0, and √ has an infinite slope there: 0·inf is nan, and PyTorch says 0.

    A mask would hide that the gradient overflowed; nan shows it, and `detect_anomaly` names the op.
    """
    _, ours, theirs = OPERATIONS[name]
    x = [Value(v) for v in numbers]
    sqrt(ours(*x)).backward()
    assert math.isnan(x[0].grad)
    t = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in numbers]
    torch.sqrt((theirs or ours)(*t)).backward()
    assert t[0].grad.item() == 0.0
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"backward pass of sqrt\("):
        sqrt(ours(*[Value(v) for v in numbers])).backward()


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "leaky_relu", "softplus", "linear"])
@pytest.mark.parametrize("seed", range(3))
def test_random_networks(activation, seed):
    rng = random.Random(seed)
    sizes = [rng.randint(1, 6) for _ in range(rng.randint(1, 3))] + [1]
    model = MLP(rng.randint(1, 5), sizes, activation=activation, seed=seed)
    parameters = model.parameters()
    for p in parameters:
        p.data = rng.gauss(0.0, 1.0)
    inputs = [rng.gauss(0.0, 1.0) for _ in model.layers[0].neurons[0].w]
    x, target = [Value(v) for v in inputs], rng.gauss(0.0, 1.0)
    loss = squared_error(model(x), target)
    ours = grad(loss, [*parameters, *x])

    sigma = {"linear": lambda z: z, "leaky_relu": F.leaky_relu, "softplus": F.softplus}
    sigma |= {name: getattr(torch, name) for name in ("tanh", "sigmoid", "relu")}
    leaves = []

    def tensor(numbers):
        leaves.append(torch.tensor(numbers, dtype=torch.float64, requires_grad=True))
        return leaves[-1]

    a = tx = torch.tensor(inputs, dtype=torch.float64, requires_grad=True)
    for layer in model.layers:
        rows = [tensor([*[w.data for w in n.w], n.b.data]) for n in layer.neurons]
        a = torch.stack([row[:-1] @ a + row[-1] for row in rows])
        a = a if layer is model.layers[-1] else sigma[activation](a)
    (0.5 * (a[0] - target) ** 2).backward()
    theirs = [g for leaf in [*leaves, tx] for g in leaf.grad.tolist()]
    assert worst(ours, theirs, contributions(loss, [*parameters, *x])) < TOLERANCE
