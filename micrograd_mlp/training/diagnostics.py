"""Measurements on a network: gradient norms by layer (§9), curvature and step size (§5, §11).

`layer_gradient_norms` shows whether gradients vanish or explode on their way to the input.
`largest_hessian_eigenvalue` measures how sharply the loss bends. `max_stable_learning_rate` is the 2/a of
§11, where in several dimensions a is the largest eigenvalue of the Hessian.
"""

from __future__ import annotations

import math
import operator
import random
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from micrograd_mlp._require import random_generator, require_count
from micrograd_mlp.engine import table as ops
from micrograd_mlp.engine.differentiate import grad
from micrograd_mlp.engine.value import Value

Vector = list[float]


class Measured(float):
    """A float that knows how far it may be off.

    Attributes:
        uncertainty: 0 or more, in the units of the number. The function that measured it says what it bounds.

    >>> rate = Measured(0.5, 1e-9)
    >>> rate, 0.95 * rate, rate.uncertainty
    (0.5 ± 1e-09, 0.475, 1e-09)
    """

    uncertainty: float

    def __new__(cls, value: float, uncertainty: float = 0.0) -> Measured:
        """A number together with its uncertainty."""
        self = super().__new__(cls, value)
        self.uncertainty = uncertainty
        return self

    def __repr__(self) -> str:
        return f"{float(self)!r} ± {self.uncertainty:.2g}"


class LayerGradient(NamedTuple):
    """The gradients at layer ℓ, exact except for rounding.

    Attributes:
        layer: ℓ, from 1.
        dz: ‖δ⁽ˡ⁾‖ = ‖∂L/∂z⁽ˡ⁾‖, over all neurons of the layer and all examples of the loss.
        dw: ‖∂L/∂W⁽ˡ⁾‖, the root of the sum of squares over the layer's weights.
        factor: ‖δ⁽ˡ⁾‖ / ‖δ⁽ˡ⁺¹⁾‖, by which the norm has changed on the way back from the next layer; None for
            the last layer. Gradients vanish where it is below 1 and explode where it is above 1. 0/0 is nan.
    """

    layer: int
    dz: float
    dw: float
    factor: float | None


def layer_gradient_norms(loss: Value, model: Any) -> list[LayerGradient]:
    """‖∂L/∂z⁽ˡ⁾‖ and ‖∂L/∂W⁽ˡ⁾‖ for every layer, the one at the input first (§7, §9).

    §9 estimates ‖δ⁽ˡ⁾‖ ≈ ‖W⁽ˡ⁺¹⁾‖ · c · ‖δ⁽ˡ⁺¹⁾‖; `factor` is the exact factor. No `.grad` is changed.

    Args:
        loss: a loss that was computed with the model, of one example or of many.
        model: an MLP, or another object with `.layers`, whose `.neurons` have weights `.w` and a
            bias `.b` that is added last: z = Σₖ wₖxₖ + b.

    Raises:
        ValueError: the loss does not depend on some layer of this model.

    >>> from micrograd_mlp import MLP, squared_error
    >>> model = MLP(2, [3, 1], activation="tanh", seed=0)
    >>> first, last = layer_gradient_norms(squared_error(model([1.0, 2.0]), 0.5), model)
    >>> first.layer, round(first.factor, 6) == round(first.dz / last.dz, 6), last.factor
    (1, True, None)
    """
    layer_of_bias = {neuron.b: layer for layer in model.layers for neuron in layer.neurons}
    pre_activations: dict[Any, list[Value]] = {layer: [] for layer in model.layers}
    for node in loss.topological_order():
        if node.op is ops.add.op and node.parents[1] in layer_of_bias:
            pre_activations[layer_of_bias[node.parents[1]]].append(node)

    norms = []
    for number, layer in enumerate(model.layers, start=1):
        if not pre_activations[layer]:
            raise ValueError(
                f"the loss does not depend on layer {number} of the model: compute it with this model first"
            )
        weights = [w for neuron in layer.neurons for w in neuron.w]
        norms.append((_norm(grad(loss, pre_activations[layer])), _norm(grad(loss, weights))))
    next_dz = [dz for dz, _ in norms[1:]]
    factors = [ops.div(dz, following) for (dz, _), following in zip(norms, next_dz)]
    return [
        LayerGradient(number, dz, dw, factor)
        for number, ((dz, dw), factor) in enumerate(zip(norms, [*factors, None]), start=1)
    ]


def largest_hessian_eigenvalue(
    loss: Value,
    params: Sequence[Value],
    *,
    tolerance: float = 1e-7,
    max_products: int = 1000,
    seed: int | random.Random | None = 0,
) -> Measured:
    """The largest eigenvalue λ of the Hessian of the loss: the a of §11 in many dimensions.

    It is the most positive eigenvalue, because that one limits the learning rate. Negative eigenvalues do
    not matter, even if they are larger in size.

    A power iteration x ← Hx finds the direction in which H stretches most. The iteration here takes the best
    combination of x and Hx in each step, and keeps a part of its last direction, as momentum does (§10.2).
    That is conjugate-gradient ascent on the Rayleigh quotient xᵀHx / xᵀx. Where two eigenvalues are close it
    needs tens of products Hx instead of a thousand. A product is the gradient of ∇L·x, which takes two
    backward passes; the Hessian itself is never computed.

    Args:
        loss: the loss at the present parameters.
        params: the parameters in which the loss is differentiated.
        tolerance: the iteration stops when ‖Hx - λx‖ is this fraction of ‖H‖ or less.
        max_products: the iteration stops after so many products Hx, with a RuntimeWarning; 3 or more.
        seed: an int or a `random.Random`, for the first direction x.

    Returns:
        λ as a float whose `uncertainty` is the residual ‖Hx - λx‖ of the unit vector x that was found: H has
        an eigenvalue that is no farther from λ.

    Raises:
        TypeError: the loss or a parameter is not a Value.
        ValueError: there are no parameters, or the second derivatives are not finite.
        RuntimeError: a number in the graph was changed after the loss was computed.

    >>> u, v = Value(1.0), Value(1.0)
    >>> round(largest_hessian_eigenvalue(1.5 * u**2 - 4 * v**2, [u, v]), 9)
    3.0
    """
    params = list(params)
    if not params:
        raise ValueError("largest_hessian_eigenvalue needs at least one parameter, got an empty list")
    max_products = require_count("max_products", max_products, least=3)
    rng = random_generator(seed)
    gradient = grad(loss, params, create_graph=True)

    def hessian_times(x: Vector) -> Vector:
        product = grad(ops.dot(gradient, x), params)
        if not all(map(math.isfinite, product)):
            raise ValueError("the second derivatives of the loss are not finite at these parameters")
        return product

    start = _unit([rng.gauss(0.0, 1.0) for _ in params])
    x, settled = _climb(hessian_times, start, max_products - 2, tolerance)
    if not settled:
        warnings.warn(
            f"the largest eigenvalue did not settle in {max_products} products with the Hessian: look at "
            "the uncertainty, and raise max_products or tolerance",
            RuntimeWarning,
            stacklevel=2,
        )
    hx = hessian_times(x)  # computed anew, because rounding errors accumulate on the way
    value = _dot(x, hx)
    return Measured(value, _norm(_add(hx, -value, x)))


def _climb(
    hessian_times: Callable[[Vector], Vector], x: Vector, n_steps: int, tolerance: float
) -> tuple[Vector, bool]:
    """The unit vector with the largest Rayleigh quotient, from x on; and whether it has settled."""
    hx = hessian_times(x)
    scale = 0.0  # the largest ‖Hx‖ so far, a lower bound of ‖H‖
    direction = last_slope = [0.0] * len(x)
    for _ in range(n_steps):
        value = _dot(x, hx)
        slope = _add(hx, -value, x)  # the residual, which is half the gradient of the Rayleigh quotient
        scale = max(scale, _norm(hx))
        if _norm(slope) <= tolerance * scale:
            return x, True
        direction = _add(slope, _momentum(slope, last_slope), direction)
        direction = _add(direction, -_dot(direction, x), x)
        p = _unit(direction)
        hp = hessian_times(p)
        angle = 0.5 * math.atan2(2.0 * _dot(x, hp), value - _dot(p, hp))  # of the best combination of x and p
        x, hx = _turn(angle, x, p), _turn(angle, hx, hp)
        last_slope = slope
    return x, False


def max_stable_learning_rate(loss: Value, params: Sequence[Value], **options: Any) -> Measured:
    """2/λ, the learning rate above which gradient descent diverges: §11's 0 < η < 2/a.

    It is exact where the loss is quadratic. Elsewhere it holds near the present parameters, because the
    expansion of §5 holds for small steps only.

    Args:
        loss: the loss at the present parameters.
        params: the parameters that gradient descent adjusts.
        **options: the options of `largest_hessian_eigenvalue`.

    Returns:
        2/λ, with 2·(residual of λ)/λ² as its `uncertainty`. It is inf where λ ≤ 0, because the loss then
        curves upwards in no direction.

    Raises:
        TypeError: the loss or a parameter is not a Value.
        ValueError: there are no parameters, or the second derivatives are not finite.
        RuntimeError: a number in the graph was changed after the loss was computed.

    >>> theta = Value(1.0)
    >>> max_stable_learning_rate(0.5 * 8.0 * theta**2, [theta])
    0.25 ± 0
    """
    curvature = largest_hessian_eigenvalue(loss, params, **options)
    if curvature <= 0.0:
        return Measured(math.inf, 0.0)
    return Measured(2.0 / curvature, 2.0 * curvature.uncertainty / curvature**2)


# Vectors as lists


def _dot(x: Vector, y: Vector) -> float:
    return math.fsum(map(operator.mul, x, y))


def _norm(x: Sequence[float]) -> float:
    return math.hypot(*x)


def _add(x: Vector, factor: float, y: Vector) -> Vector:
    return [x_k + factor * y_k for x_k, y_k in zip(x, y)]


def _unit(x: Vector) -> Vector:
    norm = _norm(x)
    return [x_k / norm for x_k in x]


def _turn(angle: float, x: Vector, y: Vector) -> Vector:
    return [math.cos(angle) * x_k + math.sin(angle) * y_k for x_k, y_k in zip(x, y)]


def _momentum(slope: Vector, last_slope: Vector) -> float:
    """Polak and Ribière's factor of the last direction; 0 starts the iteration anew."""
    if not any(last_slope):
        return 0.0
    change = _add(slope, -1.0, last_slope)
    return max(0.0, _dot(slope, change) / _dot(last_slope, last_slope))
