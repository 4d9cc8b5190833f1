"""Small pieces of a matrix that stay in the registers of a core while they are computed (§6.3).

A product is limited by how fast numbers come from memory, unless each one that was loaded is used
several times. So C += A B is cut into tiles of C, a few rows high and a few vectors wide: a tile is loaded
once, all its products are added up in registers, and it is stored once. The vectors are spelled out for
LLVM, since from a loop it decides for itself what stays in a register: measured, that is 1.5 times slower.

Arrays are flat; a name such as a_at says where a piece begins, a step what lies between two rows.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from micrograd_mlp.compiled.native import Function

VECTOR = 8 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 4  # numbers in a register

DOUBLE, INT32, INT64 = ir.DoubleType(), ir.IntType(32), ir.IntType(64)
FUSED = ("contract",)  # a · b + c may be one instruction


def product_tile(rows: int, columns: int) -> Function:
    """tile(a, a_at, row_step, column_step, depth, b, b_at, c, c_at, step): C += A B for a piece of C.

    A[j, k] is at a[a_at + j · row_step + k · column_step]; `step` is the one of B and of C.
    """
    width = min(columns, VECTOR)
    starts = range(0, columns, width)

    @intrinsic
    def tile(_context, a, a_at, row_step, column_step, depth, b, b_at, c, c_at, step):
        def generate(context, builder, signature, values):
            a, a_at, row_step, column_step, depth, b, b_at, c, c_at, step = values
            a, b, c = builder.gep(a, [a_at]), builder.gep(b, [b_at]), builder.gep(c, [c_at])
            corners = [builder.gep(c, [builder.mul(INT64(j), step)]) for j in range(rows)]
            places = [_vector_at(builder, corner, start, width) for corner in corners for start in starts]
            first = [INT64(0), a, b, *[builder.load(place, align=8) for place in places]]
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(loop)

            builder.position_at_end(loop)
            now = [builder.phi(number.type) for number in first]
            k, a, b, *sums = now
            vectors = [builder.load(_vector_at(builder, b, start, width), align=8) for start in starts]
            later = [builder.add(k, INT64(1)), builder.gep(a, [column_step]), builder.gep(b, [step])]
            for j in range(rows):
                number = builder.load(builder.gep(a, [builder.mul(INT64(j), row_step)]))
                factor = _repeated(builder, number, width)
                for vector in vectors:
                    product = builder.fmul(factor, vector, flags=FUSED)
                    later.append(builder.fadd(sums.pop(0), product, flags=FUSED))
            for phi, at_first, after_that in zip(now, first, later):
                phi.add_incoming(at_first, before)
                phi.add_incoming(after_that, loop)
            builder.cbranch(builder.icmp_signed("<", later[0], depth), loop, after)

            builder.position_at_end(after)
            for place, total in zip(places, later[3:]):
                builder.store(total, place, align=8)
            return context.get_dummy_value()

        arguments = (a, a_at, row_step, column_step, depth, b, b_at, c, c_at, step)
        return types.void(*arguments), generate

    def in_python(a, a_at, row_step, column_step, depth, b, b_at, c, c_at, step):
        for j in range(rows):
            for k in range(depth):
                number = a[a_at + j * row_step + k * column_step]
                for i in range(columns):
                    c[c_at + j * step + i] += number * b[b_at + k * step + i]

    return in_python if numba.config.DISABLE_JIT else tile


def transpose_tile() -> Function:
    """tile(a, a_at, a_step, b, b_at, b_step): B = Aᵀ for VECTOR × VECTOR numbers."""

    @intrinsic
    def tile(_context, a, a_at, a_step, b, b_at, b_step):
        def generate(context, builder, signature, values):
            a, a_at, a_step, b, b_at, b_step = values
            a, b = builder.gep(a, [a_at]), builder.gep(b, [b_at])

            def row(array: Any, step: Any, k: int) -> Any:
                return _vector_at(builder, builder.gep(array, [builder.mul(INT64(k), step)]), 0, VECTOR)

            rows = [builder.load(row(a, a_step, k), align=8) for k in range(VECTOR)]
            half = VECTOR // 2
            while half:  # exchange the two blocks off the diagonal, then do the same inside of each block
                upper_mask, lower_mask = _exchanged(half)
                for k in range(VECTOR):
                    if not k & half:
                        upper, lower = rows[k], rows[k + half]
                        rows[k] = builder.shuffle_vector(upper, lower, upper_mask)
                        rows[k + half] = builder.shuffle_vector(upper, lower, lower_mask)
                half //= 2
            for k in range(VECTOR):
                builder.store(rows[k], row(b, b_step, k), align=8)
            return context.get_dummy_value()

        return types.void(a, a_at, a_step, b, b_at, b_step), generate

    def in_python(a, a_at, a_step, b, b_at, b_step):
        for j in range(VECTOR):
            for k in range(VECTOR):
                b[b_at + k * b_step + j] = a[a_at + j * a_step + k]

    return in_python if numba.config.DISABLE_JIT else tile


def _exchanged(half: int) -> tuple[Any, Any]:
    """Masks for two rows `half` apart: which columns of the upper one, or (from VECTOR on) of the lower."""
    columns = range(VECTOR)
    upper = [c if not c & half else VECTOR + c - half for c in columns]
    lower = [c + half if not c & half else VECTOR + c for c in columns]
    return _integers(upper), _integers(lower)


def _vector_at(builder: Any, array: Any, start: int, width: int) -> Any:
    return builder.bitcast(builder.gep(array, [INT64(start)]), ir.VectorType(DOUBLE, width).as_pointer())


def _repeated(builder: Any, number: Any, width: int) -> Any:
    """A vector with the same number in all places."""
    nothing = ir.Constant(ir.VectorType(DOUBLE, width), ir.Undefined)
    first = builder.insert_element(nothing, number, INT32(0))
    return builder.shuffle_vector(first, nothing, _integers([0] * width))


def _integers(numbers: list[int]) -> Any:
    return ir.Constant(ir.VectorType(INT32, len(numbers)), numbers)
