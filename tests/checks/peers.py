"""How often is a gradient check wrong? 600 right and 600 wrong gradients, judged here and by other packages.

    python -m tests.checks.peers [--cases 600] [--seed 1]

Needs torch, jax, scipy, numdifftools and autograd. Every function is drawn at random: a small network with an
activation that is smooth, has a kink or a seam, and one difficulty: a kink or seam nearby, oscillation, large
or small scales, a constant that cancels, a sharp bend, rounding to few digits. A wrong gradient has one
mistake, some as small as one entry that is off by a thousandth of itself.
"""

import argparse
import math
import time
import warnings
from collections import Counter, defaultdict
from typing import NamedTuple

import autograd.extend
import autograd.numpy
import autograd.test_util
import jax
import jax.test_util
import numdifftools
import numpy as np
import scipy.optimize
import torch

from micrograd_mlp import dot, gradcheck, primitive

jax.config.update("jax_enable_x64", True)


class Activation(NamedTuple):
    """A function, its derivative, and where it has a kink or a seam."""

    f: object
    d: object
    kink: float | None = None
    seam: float | None = None


ACTIVATIONS = {
    "tanh": Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sin": Activation(np.sin, np.cos),
    "sigmoid": Activation(lambda z: 1 / (1 + np.exp(-z)), lambda z: 1 / (2 + np.exp(-z) + np.exp(z))),
    "softplus": Activation(lambda z: np.logaddexp(z, z.dtype.type(0)), lambda z: 1 / (1 + np.exp(-z))),
    "exp": Activation(np.exp, np.exp),
    "square": Activation(np.square, lambda z: 2 * z),
    "cube": Activation(lambda z: z * z * z, lambda z: 3 * z * z),
    "log1p(z²)": Activation(lambda z: np.log1p(z * z), lambda z: 2 * z / (1 + z * z)),
    "sqrt(1+z²)": Activation(lambda z: np.sqrt(1 + z * z), lambda z: z / np.sqrt(1 + z * z)),
    "relu": Activation(lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype), kink=0.0),
    "leaky relu": Activation(
        lambda z: np.where(z > 0, z, z / 8), lambda z: np.where(z > 0, 1, 0.125), kink=0.0
    ),
    "abs": Activation(np.abs, np.sign, kink=0.0),
    "hinge": Activation(lambda z: np.maximum(1 - z, 0), lambda z: -(z < 1).astype(z.dtype), kink=1.0),
    "huber": Activation(
        lambda z: np.where(abs(z) <= 1, z * z / 2, abs(z) - z.dtype.type(0.5)),
        lambda z: np.clip(z, -1, 1),
        seam=1.0,
    ),
    "elu": Activation(
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0)), seam=0.0
    ),
    "softsign": Activation(lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2, seam=0.0),
    "z|z|": Activation(lambda z: z * abs(z), lambda z: 2 * abs(z), seam=0.0),
}  # fmt: skip
NEIGHBOURS = [
    ("tanh", "sigmoid"), ("sigmoid", "tanh"), ("softplus", "tanh"), ("relu", "leaky relu"),
    ("leaky relu", "relu"), ("elu", "relu"), ("softsign", "tanh"), ("sin", "tanh"), ("square", "exp"),
    ("huber", "square"), ("sqrt(1+z²)", "tanh"), ("log1p(z²)", "softsign"), ("cube", "square"),
    ("z|z|", "square"), ("abs", "tanh"),
]  # fmt: skip
DIFFICULTIES = [
    "none", "none", "kink nearby", "kink at the point", "seam nearby", "seam at the point",
    "oscillation", "large scale", "small scale", "large inputs", "small inputs", "a constant cancels",
    "a large constant", "a sharp bend", "dead", "saturated", "a pole nearby", "many inputs",
]  # fmt: skip
FEW_DIGITS = ["rounded to digits", "float32 inside"]
MISTAKES = [
    "one entry, 1e-3 of it", "one entry, twice", "one entry, half", "one entry, zero", "one entry, sign",
    "all, 1e-3 of them", "all, twice", "all, 1/n", "two entries swapped", "a small term missing",
    "derivative of a neighbour",
]  # fmt: skip


class Case(NamedTuple):
    """A function of one array, the gradient that is claimed, and how the case was made."""

    f: object
    x: np.ndarray
    gradient: np.ndarray
    kind: str
    difficulty: str
    mistake: str | None
    values: object = None  # f of Values, whose own gradient is the one that is claimed


def draw_case(rng, wrong, kind):
    """Draw until there is a case of this kind in which a mistake, if one is wanted, is a real one."""
    while True:
        case = _draw(rng, wrong, kind)
        if case is not None:
            return case


def _draw(rng, wrong, kind):
    dtype = np.float32 if kind.endswith("float32") else np.float64
    difficulties = FEW_DIGITS if kind.endswith("few digits") else DIFFICULTIES
    difficulty = difficulties[rng.integers(len(difficulties))]
    names = list(ACTIVATIONS)
    if difficulty.startswith("kink"):
        names = [name for name in names if ACTIVATIONS[name].kink is not None]
    if difficulty.startswith("seam"):
        names = [name for name in names if ACTIVATIONS[name].seam is not None]
    name = {"dead": "relu", "saturated": "tanh", "oscillation": "sin", "a sharp bend": "softplus"}.get(
        difficulty, names[rng.integers(len(names))]
    )
    act = ACTIVATIONS[name]
    n = int(rng.integers(33, 120)) if difficulty == "many inputs" else int(rng.integers(1, 6))
    m = int(rng.integers(1, 5))
    A, w, x = rng.normal(size=(m, n)), rng.normal(size=m), rng.normal(size=n)
    A, c = A / math.sqrt(n), 0.1 * rng.normal(size=n)
    b = rng.normal(size=m)
    k, constant, scale, digits = 1.0, 0.0, 1.0, None
    single = dtype == np.float32
    if ("nearby" in difficulty and difficulty != "a pole nearby") or difficulty.endswith("at the point"):
        at = act.kink if act.kink is not None and difficulty.startswith("kink") else act.seam
        distance = (
            10 ** rng.uniform(-2 if single else -8, -1) * rng.choice([-1, 1])
            if "nearby" in difficulty
            else 0.0
        )
        b[0] = at + distance - A[0] @ x
        if difficulty == "kink at the point":
            A, b, w = np.round(A * 8) / 8, np.round(b * 8) / 8, w
            x = np.round(x * 8) / 8
            b[0] = at - A[0] @ x
            if np.any(A[0] == 0):
                return None
    if difficulty == "oscillation":
        k = 10 ** rng.uniform(0.5, 2 if single else 5)
    if difficulty == "a sharp bend":
        k = 10 ** rng.uniform(1, 2 if single else 5)
        b[0] = rng.normal() / k - A[0] @ x
    if difficulty in ("large scale", "small scale"):
        scale = 10.0 ** (rng.uniform(2, 12) * (1 if difficulty == "large scale" else -1))
    if difficulty in ("large inputs", "small inputs"):
        size = 10.0 ** (rng.uniform(1, 6) * (1 if difficulty == "large inputs" else -1))
        x, A, c = x * size, A / size, c / size
    if difficulty == "a constant cancels":
        constant = 10 ** rng.uniform(1, 2 if single else 6)
    if difficulty == "a large constant":
        constant = 10 ** rng.uniform(1, 2 if single else 6)
    if difficulty == "rounded to digits":
        digits = int(rng.integers(5, 9))
    if difficulty == "dead":
        b[0] = -abs(A[0]) @ abs(x) - rng.uniform(0.5, 3)
    if difficulty == "saturated":
        b[0] = rng.uniform(3, 8)
    pole = 10 ** rng.uniform(-2, 0) if difficulty == "a pole nearby" else None
    A, w, b, c, x = (part.astype(dtype) for part in (A, w, b, c, x))

    def f(x):
        inner = np.float32 if difficulty == "float32 inside" else x.dtype.type
        x = x.astype(inner)
        z = (A.astype(inner) @ x + b.astype(inner)) * inner(k)
        y = w.astype(inner) @ (act.f(z) / inner(k)) + c.astype(inner) @ x
        if pole is not None:
            y = y + inner(pole) / (inner(pole) + x[0] - inner(here))
        if difficulty == "a constant cancels":
            y = (y + inner(constant)) - inner(constant)
        elif constant:
            y = y + inner(constant)
        y = y * inner(scale)
        return dtype(round(float(y), digits) if digits else y)

    here = float(x[0])
    z = (A.astype(float) @ x.astype(float) + b) * k
    if np.max(np.abs(z)) > 30 * (1e9 if difficulty == "oscillation" else 1):
        return None
    local = act.d(z)
    gradient = scale * (A.astype(float).T @ (w * local) + c)
    if pole is not None:
        gradient[0] -= scale / pole
    if kind.startswith("Values") and (difficulty == "many inputs" or not np.isfinite(local).all()):
        return None
    mistake = None
    claimed = gradient.copy()
    if wrong:
        if difficulty == "kink at the point":
            return None
        mistake = MISTAKES[rng.integers(len(MISTAKES))]
        claimed = _mistaken(rng, mistake, name, gradient, scale, A.astype(float), w, c, z)
        if claimed is None or not _is_wrong(gradient, claimed):
            return None
    claimed = claimed.astype(dtype)
    if not (np.isfinite(f(x)) and np.all(np.isfinite(claimed))):
        return None
    values = None
    if kind.startswith("Values"):
        values = _with_values(A, w, b, c, k, constant, scale, difficulty, act, claimed, gradient, pole, here)
    return Case(f, x, claimed, kind, difficulty, mistake, values)


def _mistaken(rng, mistake, name, gradient, scale, A, w, c, z):
    claimed, n = gradient.copy(), len(gradient)
    i = int(rng.integers(n))
    factor = {"1e-3 of it": 1 + rng.choice([-1, 1]) * 1e-3, "twice": 2, "half": 0.5, "zero": 0, "sign": -1}
    if mistake.startswith("one entry"):
        claimed[i] *= factor[mistake.partition(", ")[2]]
    elif mistake == "all, 1e-3 of them":
        claimed *= 1 + rng.choice([-1, 1]) * 1e-3
    elif mistake == "all, twice":
        claimed *= 2
    elif mistake == "all, 1/n":
        claimed /= 7
    elif mistake == "two entries swapped":
        if n == 1:
            return None
        j = (i + 1) % n
        claimed[[i, j]] = claimed[[j, i]]
    elif mistake == "a small term missing":
        claimed = claimed - scale * c
    else:
        others = [b for a, b in NEIGHBOURS if a == name]
        if not others:
            return None
        claimed = claimed + scale * A.T @ (w * (ACTIVATIONS[others[0]].d(z) - ACTIVATIONS[name].d(z)))
    return claimed


def _is_wrong(gradient, claimed):
    """Is an entry off by 9e-4 of itself, and not only one that is negligible beside the others?"""
    largest = np.max(np.abs(gradient))
    off = np.abs(claimed - gradient)
    return largest > 0 and bool(np.any(off >= 9e-4 * np.maximum(np.abs(gradient), 1e-3 * largest)))


def _with_values(A, w, b, c, k, constant, scale, difficulty, act, claimed, gradient, pole, here):
    """The same function of Values: the activation is an operation, and so is any mistake in the gradient."""
    at = act.kink

    def forward(z):
        return float(act.f(np.float64(z)))

    def partials(out, z):
        return (float(act.d(np.float64(getattr(z, "data", z)))),)

    kink = None if at is None else (lambda z: z - at)
    op = primitive(partials=partials, name="activation", kink=kink)(forward)
    mistake = [float(a - g) for a, g in zip(claimed, gradient)]
    blind = primitive(partials=lambda out, *x: tuple(mistake), arity=None, name="mistake")(lambda *x: 0.0)

    def f(*x):
        x = list(x)
        y = dot(list(map(float, c)), x)
        for row, shift, weight in zip(A, b, w):
            z = (dot(list(map(float, row)), x) + float(shift)) * k
            y = y + float(weight) * op(z) / k
        if pole is not None:
            y = y + pole / (pole + x[0] - here)
        y = y + constant
        if difficulty == "a constant cancels":
            y = y - constant
        y = y * scale
        return y + blind(*x) if any(mistake) else y

    return f


# The judges: each says "passed", "refused" or "inconclusive"


def ours(case):
    if case.values is not None:
        report = gradcheck(case.values, [float(x) for x in case.x], raise_exception=False)
    else:
        report = gradcheck(case.f, case.x, case.gradient, raise_exception=False)
    if report:
        return "passed"
    doubtful = all(row.verdict.startswith("inconclusive") for row in report.failures)
    return "inconclusive" if doubtful else "refused"


def scipy_check_grad(case):
    error = scipy.optimize.check_grad(
        lambda x: float(case.f(x.astype(case.x.dtype))), lambda x: case.gradient, case.x
    )
    return "passed" if error <= 1e-5 * max(1.0, float(np.linalg.norm(case.gradient))) else "refused"


def numdifftools_gradient(case):
    found = numdifftools.Gradient(lambda x: float(case.f(x.astype(case.x.dtype))))(case.x.astype(float))
    tolerance = 1e-5 if case.x.dtype == np.float64 else 1e-3
    return (
        "passed" if np.allclose(np.atleast_1d(found), case.gradient, rtol=tolerance, atol=1e-8) else "refused"
    )


def torch_gradcheck(case):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return torch.tensor(case.f(x.detach().numpy()), dtype=x.dtype)

        @staticmethod
        def backward(ctx, g):
            return g * torch.tensor(case.gradient, dtype=g.dtype)

    x = torch.tensor(case.x, requires_grad=True)
    return "passed" if torch.autograd.gradcheck(Function.apply, (x,), raise_exception=False) else "refused"


def jax_check_grads(case):
    shape = jax.ShapeDtypeStruct((), case.x.dtype)

    @jax.custom_vjp
    def f(x):
        return jax.pure_callback(lambda x: np.asarray(case.f(np.asarray(x)), case.x.dtype), shape, x)

    f.defvjp(lambda x: (f(x), None), lambda _, g: (g * case.gradient,))
    try:
        jax.test_util.check_grads(f, (jax.numpy.asarray(case.x),), order=1, modes=["rev"])
    except AssertionError:
        return "refused"
    return "passed"


def autograd_check_grads(case):
    f = autograd.extend.primitive(lambda x: float(case.f(x.astype(case.x.dtype))))
    autograd.extend.defvjp(f, lambda out, x: lambda g: g * case.gradient.astype(float))
    try:
        autograd.test_util.check_grads(f, modes=["rev"], order=1)(case.x.astype(float))
    except AssertionError:
        return "refused"
    return "passed"


JUDGES = {
    "micrograd_mlp": ours,
    "torch": torch_gradcheck,
    "jax": jax_check_grads,
    "autograd": autograd_check_grads,
    "scipy": scipy_check_grad,
    "numdifftools": numdifftools_gradient,
}
KINDS = {
    "black box, float64": 0.35,
    "black box, float64, but computed to few digits": 0.05,
    "black box, float32": 0.25,
    "Values, float64": 0.35,
}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.checks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=600, help="right ones, and as many wrong ones (600)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=JUDGES, nargs="*", default=list(JUDGES))
    parser.add_argument(
        "--verbose", action="store_true", help="print the cases that this package did not decide"
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    rng = np.random.default_rng(arguments.seed)
    answers, seconds = defaultdict(Counter), Counter()
    for wrong in (False, True):
        for kind, part in KINDS.items():
            for number in range(round(part * arguments.cases)):
                case = draw_case(rng, wrong, kind)
                for name in arguments.only:
                    start = time.perf_counter()
                    answer = JUDGES[name](case)
                    seconds[name] += time.perf_counter() - start
                    answers[name, kind, wrong][answer] += 1
                    mistaken = answer != ("refused" if wrong else "passed")
                    if arguments.verbose and name == "micrograd_mlp" and mistaken:
                        print(number, kind, case.difficulty, case.mistake, answer)
    for kind in KINDS:
        print(f"\n{kind}")
        print(f"{'':16}  right: passed  refused  unsure   wrong: refused  passed  unsure")
        for name in arguments.only:
            right, wrong = answers[name, kind, False], answers[name, kind, True]
            print(
                f"{name:16}{right['passed']:15}{right['refused']:9}{right['inconclusive']:8}"
                f"{wrong['refused']:17}{wrong['passed']:8}{wrong['inconclusive']:8}"
            )
    print("\nseconds: " + ", ".join(f"{name} {seconds[name]:.1f}" for name in arguments.only))


if __name__ == "__main__":
    main()
