"""Optimizers exactly as in §10: SGD, Momentum, RMSProp, Adam; and gradient clipping.

Each optimizer has one `rule`, in the paper's letters: it takes a parameter θ, its gradient g and the
optimizer's state for this parameter, and gives the new θ and the new state. A rule is plain arithmetic, so
it works on one float, on an array of all parameters, and in compiled execution. The time t is the number of
finished steps, which is 0 in the first step.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from micrograd_mlp._require import require_count, require_float, require_number
from micrograd_mlp.engine.value import Value, numbers_moved

__all__ = ["SGD", "Adam", "Momentum", "RMSProp", "clip_grad_norm"]


class Setting:
    """A hyperparameter of an optimizer: a finite number within limits, checked whenever it is set."""

    def __init__(self, **limits: float) -> None:
        self.limits = limits

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Any, owner: type | None = None) -> float:
        number: float = optimizer.__dict__[self.name]
        return number

    def __set__(self, optimizer: Any, number: Any) -> None:
        optimizer.__dict__[self.name] = require_number(self.name, number, **self.limits)


class Optimizer:
    """What all optimizers share: steps over a list of parameters, and state that can be saved and resumed.

    A subclass defines `rule(theta, g, t, *state, *hyperparameters) -> (theta, *state)`. It lists the names
    of its state, which has one number for each parameter, and of its hyperparameters.

    Args:
        params: the Values to adjust, as `model.parameters()` gives them.
        lr: the learning rate η, 0 or more. It may be changed between steps.

    Attributes:
        params: the Values, in a tuple.
        t: the number of finished steps.
        state: for each name a list with one float for each parameter.

    Raises:
        TypeError: `params` is not a list of Values, or a setting is not a number.
        ValueError: there are no parameters, a parameter is in the list twice, or a setting is out of range.
    """

    state_names: ClassVar[tuple[str, ...]] = ()
    hyperparameter_names: ClassVar[tuple[str, ...]] = ("lr",)
    rule: ClassVar[Callable[..., tuple[Any, ...]]]
    lr = Setting(least=0)

    def __init__(self, params: Iterable[Value], lr: float) -> None:
        if hasattr(params, "parameters"):
            raise TypeError(
                f"params must be a list of Values, got a model, {params!r:.60}: "
                f"write {type(self).__name__}(model.parameters(), …)"
            )
        if not hasattr(params, "__iter__"):
            raise TypeError(f"params must be a list of Values, got {params!r:.60}")
        self.params = tuple(params)
        for p in self.params:
            if not isinstance(p, Value):
                raise TypeError(f"params must be a list of Values, and {p!r:.60} is in it")
        if not self.params:
            raise ValueError("an optimizer needs at least one parameter, got an empty list")
        if len({id(p) for p in self.params}) != len(self.params):
            raise ValueError("params has a parameter twice, which would take two steps at a time")
        self.lr = lr
        self.t = 0
        self._state: dict[str, list[float]] | Callable[[], dict[str, list[float]]]
        self.state = {name: [0.0] * len(self.params) for name in self.state_names}

    @property
    def state(self) -> dict[str, list[float]]:
        """For each name in `state_names`, a number for each parameter."""
        if callable(self._state):  # compiled training leaves arrays, which take time to become lists
            self._state = self._state()
        return self._state

    @state.setter
    def state(self, state: dict[str, list[float]] | Callable[[], dict[str, list[float]]]) -> None:
        self._state = state

    def hyperparameters(self) -> tuple[float, ...]:
        """The hyperparameters, in the order in which `rule` takes them."""
        return tuple([float(getattr(self, name)) for name in self.hyperparameter_names])

    def step(self) -> None:
        """Compute θₜ₊₁ from θₜ and the gradient in `.grad`, for every parameter."""
        settings = self.hyperparameters()
        states = zip(*self.state.values()) if self.state else [()] * len(self.params)
        results = [
            self.rule(p.data, p.grad, self.t, *state, *settings) for p, state in zip(self.params, states)
        ]
        # Everything is computed before anything is changed, so that an error leaves the last finished step.
        thetas, *new_states = zip(*results)
        for p, theta in zip(self.params, thetas):
            p.data = theta
        self.state = {name: list(numbers) for name, numbers in zip(self.state_names, new_states)}
        self.t += 1
        numbers_moved()

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero; `backward()` adds to what is there."""
        for p in self.params:
            p.grad = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as plain numbers, lists and dicts."""
        return {
            "optimizer": type(self).__name__,
            "t": self.t,
            "hyperparameters": dict(zip(self.hyperparameter_names, self.hyperparameters())),
            "state": {name: list(numbers) for name, numbers in self.state.items()},
        }

    def load_state_dict(self, d: dict[str, Any]) -> None:
        """Go on, bit for bit, from the step after which `state_dict()` was taken.

        Raises:
            ValueError: this is the state of another optimizer, or of another number of parameters. The
                optimizer is unchanged then.
        """
        try:
            name, t = d["optimizer"], require_count("t", d["t"])
            settings = {x: require_float(x, d["hyperparameters"][x]) for x in self.hyperparameter_names}
            state = {key: [require_float(key, x) for x in d["state"][key]] for key in self.state_names}
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is not the state of an optimizer: {error}") from None
        if name != type(self).__name__:
            raise ValueError(f"this is the state of {name}, not of {type(self).__name__}")
        for key, numbers in state.items():
            if len(numbers) != len(self.params):
                raise ValueError(f"{key} has {len(numbers)} numbers for {len(self.params)} parameters")
        loaded = copy.copy(self)
        for setting, number in settings.items():
            setattr(loaded, setting, number)  # which checks it
        loaded.t, loaded.state = t, state
        vars(self).update(vars(loaded))

    def __repr__(self) -> str:
        settings = ", ".join(
            f"{name}={value!r}" for name, value in zip(self.hyperparameter_names, self.hyperparameters())
        )
        return f"{type(self).__name__}({len(self.params)} parameters, {settings}, t={self.t})"


class SGD(Optimizer):
    """θₜ₊₁ = θₜ - η gₜ (§10.1).

    >>> theta = Value(1.0)
    >>> theta.grad = 4.0
    >>> SGD([theta], lr=0.125).step()
    >>> theta.data
    0.5
    """

    @staticmethod
    def rule(theta: Any, g: Any, t: Any, lr: Any) -> tuple[Any]:
        """θₜ₊₁ = θₜ - η gₜ."""
        return (theta - lr * g,)


class Momentum(Optimizer):
    """vₜ₊₁ = μ vₜ - η gₜ and θₜ₊₁ = θₜ + vₜ₊₁ (§10.2).

    Args:
        params: the Values to adjust.
        lr: the learning rate η.
        momentum: μ, from 0 to below 1.

    The velocity v points in the direction in which θ moves, and contains η. PyTorch's velocity is -v/η, so
    that the two agree for as long as η does not change.

    >>> theta = Value(1.0)
    >>> theta.grad = 4.0
    >>> optimizer = Momentum([theta], lr=0.125, momentum=0.5)
    >>> optimizer.step(); optimizer.step()
    >>> theta.data
    -0.25
    """

    state_names = ("v",)
    hyperparameter_names = ("lr", "momentum")
    momentum = Setting(least=0, below=1)

    def __init__(self, params: Iterable[Value], lr: float, momentum: float = 0.9) -> None:
        super().__init__(params, lr)
        self.momentum = momentum

    @staticmethod
    def rule(theta: Any, g: Any, t: Any, v: Any, lr: Any, momentum: Any) -> tuple[Any, Any]:
        """v = μ v - η g; θ = θ + v."""
        v = momentum * v - lr * g
        return theta + v, v


class RMSProp(Optimizer):
    """sₜ₊₁ = ρ sₜ + (1 - ρ) gₜ² and θₜ₊₁ = θₜ - η gₜ / (√sₜ₊₁ + ε) (§10.3).

    Args:
        params: the Values to adjust.
        lr: the learning rate η.
        rho: ρ, from 0 to below 1.
        eps: ε above 0, outside of the root.

    >>> theta = Value(1.0)
    >>> theta.grad = 4.0
    >>> RMSProp([theta], lr=0.1, rho=0.75).step()
    >>> round(theta.data, 6)
    0.8
    """

    state_names = ("s",)
    hyperparameter_names = ("lr", "rho", "eps")
    rho, eps = Setting(least=0, below=1), Setting(above=0)

    def __init__(self, params: Iterable[Value], lr: float, rho: float = 0.9, eps: float = 1e-8) -> None:
        super().__init__(params, lr)
        self.rho, self.eps = rho, eps

    @staticmethod
    def rule(theta: Any, g: Any, t: Any, s: Any, lr: Any, rho: Any, eps: Any) -> tuple[Any, Any]:
        """s = ρ s + (1 - ρ) g²; θ = θ - η / (√s + ε) · g."""
        s = rho * s + (1.0 - rho) * (g * g)
        return theta - lr / (s**0.5 + eps) * g, s


class Adam(Optimizer):
    """Momentum and RMSProp combined, with bias correction (§10.4).

    mₜ₊₁ = β₁ mₜ + (1 - β₁) gₜ and vₜ₊₁ = β₂ vₜ + (1 - β₂) gₜ²; corrected by 1 - β₁ᵗ⁺¹ and 1 - β₂ᵗ⁺¹
    they give θₜ₊₁ = θₜ - η m̂ₜ₊₁ / (√v̂ₜ₊₁ + ε).

    Args:
        params: the Values to adjust.
        lr: the learning rate η.
        betas: (β₁, β₂), each from 0 to below 1.
        eps: ε above 0, outside of the root.

    >>> theta = Value(1.0)
    >>> theta.grad = 4.0
    >>> Adam([theta], lr=0.1).step()
    >>> round(theta.data, 6)
    0.9
    """

    state_names = ("m", "v")
    hyperparameter_names = ("lr", "beta1", "beta2", "eps")
    beta1, beta2 = Setting(least=0, below=1), Setting(least=0, below=1)
    eps = Setting(above=0)

    def __init__(
        self,
        params: Iterable[Value],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, lr)
        self.beta1, self.beta2 = betas
        self.eps = eps

    @property
    def betas(self) -> tuple[float, float]:
        """(β₁, β₂)."""
        return self.beta1, self.beta2

    @staticmethod
    def rule(
        theta: Any, g: Any, t: Any, m: Any, v: Any, lr: Any, beta1: Any, beta2: Any, eps: Any
    ) -> tuple[Any, Any, Any]:
        """m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²; θ = θ - η m̂ / (√v̂ + ε)."""
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * (g * g)
        m_hat = m / (1.0 - beta1 ** (t + 1))
        v_hat = v / (1.0 - beta2 ** (t + 1))
        return theta - lr * m_hat / (v_hat**0.5 + eps), m, v


OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "momentum": Momentum, "rmsprop": RMSProp, "sgd": SGD}
"""The optimizers by the names that estimators and the command line take."""


def clip_grad_norm(params: Iterable[Value], max_norm: float) -> float:
    """Scale all gradients by one factor so that their norm ‖g‖ is at most `max_norm` (§9).

    Args:
        params: the Values whose `.grad` is scaled, together as one vector.
        max_norm: the largest norm that is left as it is, above 0.

    Returns:
        The norm before the scaling.

    Raises:
        ValueError: `max_norm` is not above 0, or the norm is not finite. Nothing is changed then.

    >>> theta = Value(0.0)
    >>> theta.grad = 10.0
    >>> clip_grad_norm([theta], 1.0), theta.grad
    (10.0, 1.0)
    """
    params = list(params)
    max_norm = require_number("max_norm", max_norm, above=0)
    norm = math.hypot(*[p.grad for p in params])
    if not math.isfinite(norm):
        raise ValueError(f"the norm of the gradients is {norm!r}, which no factor makes {max_norm!r}")
    if norm > max_norm:
        for p in params:
            p.grad *= max_norm / norm
    return norm
