"""The words of JAX, which differentiates `loss` itself."""

from __future__ import annotations

from micrograd_mlp.export.languages.arrays import PYTHON_WORDS, RUNTIME, Arrays, constants
from micrograd_mlp.export.languages.numpy import FUNCTIONS as NUMPY_FUNCTIONS
from micrograd_mlp.export.languages.numpy import UNARY

SPECIAL = {"erf": "erf", "erfc": "erfc", "gamma": "gamma", "lgamma": "gammaln"}
FUNCTIONS = {
    name: template.replace("np.", "jnp.")
    for name, template in NUMPY_FUNCTIONS.items()
    if "each" not in template
}
FUNCTIONS |= {name: f"jax.scipy.special.{its}({{0}})" for name, its in SPECIAL.items()}
FUNCTIONS |= {"fsum": "compensated_sum({args})"}
OPERATIONS = {name: FUNCTIONS[name] for name in UNARY if name not in ("fabs", "floor", "ceil", "trunc")} | {
    "div": "{0:atom} / {1:atom}", "abs": "jnp.abs({0})", "erf": FUNCTIONS["erf"], "erfc": FUNCTIONS["erfc"],
    "sigmoid": "jax.nn.sigmoid({0})", "relu": "jax.nn.relu({0})", "softplus": "jax.nn.softplus({0})",
    "maximum": "jnp.maximum({0}, {1})", "minimum": "jnp.minimum({0}, {1})",
}  # fmt: skip
OPERATION = """
def operation(forward, partials):
    \"\"\"A function with the derivatives that `partials` gives.\"\"\"
    function = jax.custom_jvp(forward)

    def jvp(inputs, tangents):
        out = function(*inputs)
        slopes = partials(out, *inputs)
        known = [t for t in tangents if not isinstance(t, jax.custom_derivatives.SymbolicZero)]
        used = [s for s, t in zip(slopes, tangents) if not isinstance(t, jax.custom_derivatives.SymbolicZero)]
        return out, sum((s * t for s, t in zip(used, known)), jnp.zeros_like(out))

    function.defjvp(jvp, symbolic_zeros=True)
    return function"""


class Jax(Arrays):
    """JAX, whose NumPy is imported as jnp."""

    name = "JAX"
    module = "jnp"
    imports = ("import jax", "import jax.numpy as jnp", "", 'jax.config.update("jax_enable_x64", True)')
    array, as_array = "jnp.array({})", "jnp.asarray({}, dtype=float)"
    joined = "jnp.concatenate"
    functions = FUNCTIONS
    operations = OPERATIONS
    reductions = {  # noqa: RUF012
        "logsumexp": "jax.scipy.special.logsumexp({0}, axis=-1, keepdims=True)",
        "prod": "jnp.prod({0}, axis=-1, keepdims=True)",
    }
    runtime = {name: text.replace("np.", "jnp.") for name, text in RUNTIME.items()} | {
        "operation": OPERATION.strip()
    }
    reserved = PYTHON_WORDS | {"jax", "jnp"}
    constants = constants("jnp")
