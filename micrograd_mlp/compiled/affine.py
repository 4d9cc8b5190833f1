"""An affine map z = Wx + b, such as a layer of a network, for a block of examples (§2.3, §6.3).

The lanes of an input or output are one row of a matrix, with an example in each column.
"""

from __future__ import annotations

from micrograd_mlp.compiled.native import inlined
from micrograd_mlp.compiled.products import accumulate_product, accumulate_sums, transpose
from micrograd_mlp.compiled.tiles import Matrix


@inlined
def affine_forward(run, tape, buffers):
    """z = Wx + b."""
    m, n, lanes, z = run.n_results, run.arity, buffers.lanes, run.first * buffers.lanes
    for j in range(m):
        bias = buffers.weights[run.biases + j] if run.biases >= 0 else 0.0
        for i in range(z + j * lanes, z + (j + 1) * lanes):
            buffers.values[i] = bias
    weights = Matrix(buffers.weights, run.weights, n, 1)
    outputs = Matrix(buffers.values, z, lanes, 1)
    if run.are_adjacent:
        inputs = Matrix(buffers.values, tape.operands[run.start] * lanes, lanes, 1)
    else:
        gather(run.start, n, tape, buffers)
        inputs = Matrix(buffers.scratch, 0, lanes, 1)
    accumulate_product(weights, inputs, outputs, m, n, lanes)


@inlined
def affine_backward(run, tape, buffers):
    """∂ℓ/∂W += ∂ℓ/∂z xᵀ, ∂ℓ/∂b += ∂ℓ/∂z, ∂ℓ/∂x += Wᵀ ∂ℓ/∂z, summed over the lanes."""
    m, n, lanes = run.n_results, run.arity, buffers.lanes
    z_adjoints = Matrix(buffers.adjoints, run.first_adjoint * lanes, lanes, 1)
    x_transposed = Matrix(buffers.scratch, 0, n, 1)
    _transpose_inputs(run, tape, buffers, x_transposed)
    weight_adjoints = Matrix(buffers.weight_adjoints, run.weight_adjoints, n, 1)
    accumulate_product(z_adjoints, x_transposed, weight_adjoints, m, lanes, n)
    if run.biases >= 0:
        accumulate_sums(z_adjoints, buffers.weight_adjoints, run.bias_adjoints, m, lanes)
    if run.are_active:
        _backward_to_inputs(run, tape, buffers, z_adjoints)


@inlined
def _transpose_inputs(run, tape, buffers, x_transposed):
    n, lanes = run.arity, buffers.lanes
    if run.are_adjacent:
        transpose(Matrix(buffers.values, tape.operands[run.start] * lanes, lanes, 1), x_transposed, n, lanes)
    else:
        for k in range(n):
            x = tape.operands[run.start + k] * lanes
            for lane in range(lanes):
                buffers.scratch[lane * n + k] = buffers.values[x + lane]


@inlined
def _backward_to_inputs(run, tape, buffers, z_adjoints):
    m, n, lanes = run.n_results, run.arity, buffers.lanes
    transposed_weights = Matrix(buffers.weights, run.weights, 1, n)
    first = tape.operand_adjoints[run.start]
    if run.are_adjacent and first > 0:  # all are active, since the inactive ones come first
        x_adjoints = Matrix(buffers.adjoints, first * lanes, lanes, 1)
        accumulate_product(transposed_weights, z_adjoints, x_adjoints, n, m, lanes)
        return
    for i in range(n * lanes):
        buffers.scratch[i] = 0.0
    accumulate_product(transposed_weights, z_adjoints, Matrix(buffers.scratch, 0, lanes, 1), n, m, lanes)
    for k in range(n):
        x = tape.operand_adjoints[run.start + k] * lanes
        for lane in range(lanes):
            buffers.adjoints[x + lane] += buffers.scratch[k * lanes + lane]


@inlined
def gather(start, n, tape, buffers):
    """Copy the lanes of n operands side by side to scratch."""
    lanes = buffers.lanes
    for k in range(n):
        x = tape.operands[start + k] * lanes
        for lane in range(lanes):
            buffers.scratch[k * lanes + lane] = buffers.values[x + lane]
