"""What eager execution computes, and how far from it a compiled program may be.

In float64 the two agree to 1e-12 relative. In float32 a bound of the rounding error says how much they may
differ: it is carried through the graph of the loss and through the graph of its gradient, as
`compiled.check` does for the loss.
"""

import math

import numpy as np

from micrograd_mlp import Value, grad, ops
from micrograd_mlp.compiled import check


def eager(f, parameters, X=None, Y=None):
    """Mean loss and gradient by backward(). Without X, f is a function of the parameters alone."""
    for p in parameters:
        p.grad = 0.0
    rows = examples(X, Y)
    losses = []
    for arguments in rows:
        loss = f(*arguments)
        loss.backward(1.0 / len(rows))
        losses.append(loss.data)
    return ops.total(losses) / len(rows), [p.grad for p in parameters]


def examples(X, Y):
    """The arguments of f for each row."""
    given = [data for data in (X, Y) if data is not None]
    return [[as_values(data[row]) for data in given] for row in range(len(given[0]) if given else 1)]


def as_values(x):
    return [Value(float(a)) for a in x] if hasattr(x, "__len__") else Value(float(x))


def with_error(results, precision):
    """The numbers of some nodes, and for each a bound of its rounding error."""
    error = {}
    for node in ops.total(results).topological_order():
        x, dx = [p.data for p in node.parents], [error[p] for p in node.parents]
        if node.op is None:
            error[node] = check._error_of_leaf(node.data, precision)
        elif not any(dx) and is_exact(node.op, node.data, precision):
            error[node] = 0.0
        else:
            error[node] = check._error_of_operation(node.op, x, dx, node.data, precision)
    return [node.data for node in results], [2.0 * error[node] for node in results]


def is_exact(op, y, precision):
    """Whether y is certain to its last bit if the operands are."""
    if not abs(y) < math.inf:
        return True
    is_representable = check._error_of_leaf(y, precision) == 0.0 and precision is check.PRECISIONS["float32"]
    return is_representable and op.name in ("add", "sub", "mul", "div")


def mean_with_bounds(f, parameters, X, Y, precision):
    """[mean loss, *its gradient], and for each a bound of its rounding error."""
    rows, size = examples(X, Y), len(parameters) + 1
    n = len(rows)
    expected, bounds, sizes = [0.0] * size, [0.0] * size, [0.0] * size
    for arguments in rows:
        result = f(*arguments)
        _, errors = with_error([result, *grad(result, parameters, create_graph=True)], precision)
        recorded = [result.data, *grad(result, parameters)]
        for k, (data, error) in enumerate(zip(recorded, errors)):
            expected[k] += data / n
            bounds[k] += error / n
            sizes[k] += abs(data) / n
    for k, total in enumerate(sizes):
        of_the_mean = 4 * n * (precision.unit * check.PER_OPERATION * total + precision.smallest)
        is_too_large = n * total > precision.largest  # the sum, whose mean may be finite
        bounds[k] = math.inf if is_too_large else bounds[k] + of_the_mean
    return expected, bounds


def is_within(found, expected, bound):
    """Whether two numbers differ by rounding alone; a bound of inf or nan says that no digit is certain."""
    return found == expected or (found != found and expected != expected) or not abs(found - expected) > bound


def assert_same(program, X=None, Y=None, atol=0.0):
    """A program's loss and gradient are those of eager execution.

    In float64 they are the same to 1e-12 relative or to `atol`; in float32 to a bound of the rounding error,
    which has to be narrow enough to see something wrong.
    """
    loss, gradient = program.loss_and_grad(X, Y)
    assert gradient.dtype == program.dtype
    if program.dtype == "float64":
        expected_loss, expected_gradient = eager(program.f, program.parameters, X, Y)
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-12, atol=atol)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-12, atol=atol)
        return
    found = [loss, *gradient.tolist()]
    expected, bounds = mean_with_bounds(program.f, program.parameters, X, Y, check.PRECISIONS["float32"])
    assert all(map(is_within, found, expected, bounds)), f"{found} is not {expected} within {bounds}"
    assert bounds[0] <= 0.01 * abs(expected[0]) + 1e-6
    assert not any(expected[1:]) or sum(bounds[1:]) <= 0.01 * sum(map(abs, expected[1:])) + 1e-6
