"""Small blocks of a matrix that stay in the registers of a core while they are computed (§6.3).

A product is limited by how fast numbers come from memory, unless each number that was loaded is used
several times. So C += A B is cut into tiles of C, a few rows high and a few vectors wide: a tile is loaded
once, all its products are added up in registers, and it is stored once. The vectors are spelled out for
LLVM, since LLVM itself decides badly which parts of a loop stay in registers: measured, that takes 1.5 times
as long.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import llvmlite.binding
from llvmlite import ir
from numba import types

from micrograd_mlp.compiled.native import Floats, Function, intrinsic

VECTOR = 8 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 4  # numbers in a register

DOUBLE, INT32, INT64 = ir.DoubleType(), ir.IntType(32), ir.IntType(64)
FUSED = ("contract",)  # a · b + c may be one instruction


class Matrix(NamedTuple):
    """A matrix inside a buffer: element (j, k) is numbers[first + j · row_step + k · column_step]."""

    numbers: Floats
    first: int
    row_step: int
    column_step: int


def product_tile(rows: int, columns: int) -> Function:
    """tile(a, b, c, depth): C += A B, for a C of so many rows and columns and an A of `depth` columns.

    The elements of a row of B and of C are adjacent.
    """
    width = min(columns, VECTOR)
    starts = range(0, columns, width)

    def in_python(a, b, c, depth):
        for j in range(rows):
            for k in range(depth):
                number = a.numbers[a.first + j * a.row_step + k * a.column_step]
                for i in range(columns):
                    c.numbers[c.first + j * c.row_step + i] += (
                        number * b.numbers[b.first + k * b.row_step + i]
                    )

    @intrinsic(in_python)
    def tile(_context, a, b, c, depth):
        def generate(context, builder, signature, values):
            a, a_row, a_column = _parts(builder, values[0])
            b, b_row, _ = _parts(builder, values[1])
            c, c_row, _ = _parts(builder, values[2])
            corners = [builder.gep(c, [builder.mul(INT64(j), c_row)]) for j in range(rows)]
            addresses = [_vector_at(builder, corner, start, width) for corner in corners for start in starts]
            first = [INT64(0), a, b, *[builder.load(address, align=8) for address in addresses]]
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(loop)

            builder.position_at_end(loop)
            now = [builder.phi(number.type) for number in first]
            k, a, b, *sums = now
            vectors = [builder.load(_vector_at(builder, b, start, width), align=8) for start in starts]
            later = [builder.add(k, INT64(1)), builder.gep(a, [a_column]), builder.gep(b, [b_row])]
            for j in range(rows):
                number = builder.load(builder.gep(a, [builder.mul(INT64(j), a_row)]))
                factor = _repeated(builder, number, width)
                for i, vector in enumerate(vectors, start=j * len(vectors)):
                    product = builder.fmul(factor, vector, flags=FUSED)
                    later.append(builder.fadd(sums[i], product, flags=FUSED))
            for phi, at_first, after_that in zip(now, first, later):
                phi.add_incoming(at_first, before)
                phi.add_incoming(after_that, loop)
            builder.cbranch(builder.icmp_signed("<", later[0], values[3]), loop, after)

            builder.position_at_end(after)
            for address, total in zip(addresses, later[3:]):
                builder.store(total, address, align=8)
            return context.get_dummy_value()

        return types.void(a, b, c, depth), generate

    return tile


def transpose_tile() -> Function:
    """tile(a, b): B = Aᵀ for VECTOR × VECTOR numbers; the elements of a row are adjacent."""

    def in_python(a, b):
        for j in range(VECTOR):
            for k in range(VECTOR):
                b.numbers[b.first + k * b.row_step + j] = a.numbers[a.first + j * a.row_step + k]

    @intrinsic(in_python)
    def tile(_context, a, b):
        def generate(context, builder, signature, values):
            a, a_row, _ = _parts(builder, values[0])
            b, b_row, _ = _parts(builder, values[1])

            def row(first: Any, step: Any, k: int) -> Any:
                return _vector_at(builder, builder.gep(first, [builder.mul(INT64(k), step)]), 0, VECTOR)

            rows = [builder.load(row(a, a_row, k), align=8) for k in range(VECTOR)]
            half = VECTOR // 2
            while half:  # exchange the two blocks off the diagonal, then do the same inside each block
                upper_mask, lower_mask = _exchanged(half)
                for k in range(VECTOR):
                    if not k & half:
                        upper, lower = rows[k], rows[k + half]
                        rows[k] = builder.shuffle_vector(upper, lower, upper_mask)
                        rows[k + half] = builder.shuffle_vector(upper, lower, lower_mask)
                half //= 2
            for k in range(VECTOR):
                builder.store(rows[k], row(b, b_row, k), align=8)
            return context.get_dummy_value()

        return types.void(a, b), generate

    return tile


def _parts(builder: Any, matrix: Any) -> tuple[Any, Any, Any]:
    """The address of a matrix's first element, its row step and its column step."""
    numbers, first, row_step, column_step = [builder.extract_value(matrix, k) for k in range(4)]
    return builder.gep(numbers, [first]), row_step, column_step


def _exchanged(half: int) -> tuple[Any, Any]:
    """Masks for two rows `half` apart: which columns of the upper one, or (from VECTOR on) of the lower."""
    columns = range(VECTOR)
    upper = [c if not c & half else VECTOR + c - half for c in columns]
    lower = [c + half if not c & half else VECTOR + c for c in columns]
    return _integers(upper), _integers(lower)


def _vector_at(builder: Any, first: Any, start: int, width: int) -> Any:
    return builder.bitcast(builder.gep(first, [INT64(start)]), ir.VectorType(DOUBLE, width).as_pointer())


def _repeated(builder: Any, number: Any, width: int) -> Any:
    """A vector of which each element is this number."""
    nothing = ir.Constant(ir.VectorType(DOUBLE, width), ir.Undefined)
    first = builder.insert_element(nothing, number, INT32(0))
    return builder.shuffle_vector(first, nothing, _integers([0] * width))


def _integers(numbers: list[int]) -> Any:
    return ir.Constant(ir.VectorType(INT32, len(numbers)), numbers)
