"""The machine code of z = Wx + b for a block of examples, and of its backward pass (§6.3).

    z  = W x + b            forward
    ∂W += ∂z xᵀ             backward, and the sums of ∂z over the examples for b
    ∂x += Wᵀ ∂z

All three are C += A B. A product is limited by how fast numbers come from memory, unless each number that was
loaded is used several times. So C is cut into tiles, a few rows high and a few vectors wide: a tile is loaded
once, all its products are added up in registers, and it is stored once.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from micrograd_mlp.compiled.code import Code, Number, Target, Variable
from micrograd_mlp.compiled.kernels import Kernel, written

DEPTH = 128  # rows of B of which a tile's columns stay in the first-level cache
FEW_EXAMPLES = 16  # of which the gradient takes longer to store and to load than to compute
FEW_ROWS = 4  # below it tiles are flat and wide, so that there are enough sums to work on at the same time


class Matrix(NamedTuple):
    """Element (j, k) of a matrix is numbers[j · row_step + k · column_step]."""

    numbers: Number
    row_step: Number
    column_step: Number


# C += A B, where the elements of a row of B and of C are adjacent.

PRODUCT = [("a", "ptr"), ("a_row", "i64"), ("a_column", "i64"), ("b", "ptr"), ("b_row", "i64"), ("c", "ptr"),
           ("c_row", "i64"), ("m", "i64"), ("n", "i64"), ("width", "i64"), ("start", "i64"),
           ("biases", "ptr")]  # fmt: skip
ADD, FROM_ZERO, FROM_BIASES = range(3)  # where a product starts: C += A B, C = A B, C = A B + b


@functools.cache
def product(target: Target) -> Code:
    """A function for the product of an m × n and an n × width matrix, which is added to C or replaces it."""
    code = Code("product", PRODUCT, target)
    a, a_row, a_column, b, b_row, c, c_row, m, n, width, start, biases = code.arguments
    with code.loop(n, step=DEPTH) as k:
        p = _Product(
            code, Matrix(code.at(a, k * a_column), a_row, a_column), code.at(b, k * b_row), b_row, c, c_row,
            m, code.minimum(n - k, DEPTH), width, code.select(k.equals(0), start, ADD), biases,
            lambda total, corner, at, mask: code.store_masked(total, code.at(c, corner), at, mask),
        )  # fmt: skip
        column = code.variable(code.integer(0))
        with code.if_(m < FEW_ROWS):
            _strips(p, column, 8)
        for n_vectors in (2, 1):
            _strips(p, column, n_vectors)
        with code.if_(column.now < width):
            _strip(p, column.now, 1, code.lanes_below(width - column.now))
    return code


Finish = Callable[[Number, Number, Number, Number | None], None]


class _Product(NamedTuple):
    """What the tiles of a product have in common, for some of the rows of B: as many as `depth`.

    `finish(vector, corner, at, mask)` is what happens to each vector of a tile, which belongs to the elements
    of C from index corner + at on.
    """

    code: Code
    a: Matrix
    b: Number
    b_row: Number
    c: Number
    c_row: Number
    m: Number
    depth: Number
    width: Number
    start: Number
    biases: Number
    finish: Finish


def _strips(p: _Product, column: Variable, n_vectors: int) -> None:
    """Strips of so many vectors, as long as there are columns for them."""
    step = n_vectors * p.code.target.width
    with p.code.while_(lambda: column.now + step <= p.width):
        _strip(p, column.now, n_vectors, None)
        column.set(column.now + step)


HEIGHTS = (12, 6, 4, 2, 1)  # rows of a tile; all of it has to fit into the registers


def _strip(p: _Product, column: Number, n_vectors: int, mask: Number | None) -> None:
    """All rows of some columns of C, in tiles."""
    row = p.code.variable(p.code.integer(0))
    most = (p.code.target.n_registers - 4) // 2 if n_vectors <= 2 else 2
    for height in [height for height in HEIGHTS if height <= most]:
        with p.code.while_(lambda: row.now + height <= p.m):  # noqa: B023  (called at once)
            _tile(p, row.now, column, height, n_vectors, mask)
            row.set(row.now + height)


def _tile(p: _Product, row: Number, column: Number, height: int, n_vectors: int, mask: Number | None) -> None:
    """A tile of C, of so many rows and vectors."""
    code, vector = p.code, p.code.target.vector
    width = code.target.width
    corner = row * p.c_row + column
    places = [(j, p.c_row * j + i * width) for j in range(height) for i in range(n_vectors)]
    sums = [code.variable(0.0, vector) for _ in places]
    with code.if_(p.start.equals(ADD)):
        for total, (_, at) in zip(sums, places):
            total.set(code.load_masked(code.at(p.c, corner), at, mask))
    with code.if_(p.start.equals(FROM_BIASES)):
        for total, (j, _) in zip(sums, places):
            total.set(code.load(p.biases, row + j))
    rows = [code.at(p.a.numbers, (row + j) * p.a.row_step) for j in range(height)]
    b = code.at(p.b, column)
    with code.loop(p.depth) as k:
        vectors = [code.load_masked(b, p.b_row * k + i * width, mask) for i in range(n_vectors)]
        offset = p.a.column_step * k
        for j, numbers in enumerate(rows):
            factor = code.number(code.load(numbers, offset), vector)
            for total, b_vector in zip(sums[j * n_vectors :], vectors):
                total.set(total.now + factor * b_vector)
    for total, (_, at) in zip(sums, places):
        p.finish(total.now, corner, at, mask)


def flat_product(code: Code, arguments: Sequence[Number], finish: Finish) -> None:
    """A product of few rows of B, whose tiles go to `finish` one after the other along the rows of C.

    Args:
        code: the function that computes it.
        arguments: those of `product`; n is at most DEPTH.
        finish: see `_Product`.
    """
    a, a_row, a_column, b, b_row, c, c_row, m, n, width, start, biases = arguments
    p = _Product(code, Matrix(a, a_row, a_column), b, b_row, c, c_row, m, n, width, start, biases, finish)
    row = code.variable(code.integer(0))
    for height in (4, 1):
        with code.while_(lambda: row.now + height <= m):  # noqa: B023  (called at once)
            column = code.variable(code.integer(0))
            for n_vectors in (2, 1):
                step = n_vectors * code.target.width
                fewest = step if n_vectors > 1 else 1  # the last vector of a row may be masked
                with code.while_(lambda: column.now + fewest <= width):  # noqa: B023  (called at once)
                    mask = code.lanes_below(width - column.now) if n_vectors == 1 else None
                    _tile(p, row.now, column.now, height, n_vectors, mask)
                    column.set(column.now + step)
            row.set(row.now + height)


# C += A Bᵀ, where the elements of a row of A and of B are adjacent: dot products, for the sum over the
# examples.

DOTS = [("a", "ptr"), ("a_row", "i64"), ("b", "ptr"), ("b_row", "i64"), ("c", "ptr"), ("c_row", "i64"),
        ("m", "i64"), ("n", "i64"), ("length", "i64")]  # fmt: skip


@functools.cache
def dots(target: Target) -> Code:
    """A function that adds the dot products of m and n rows of some length to an m × n matrix."""
    code, width = Code("dots", DOTS, target), target.width
    d = _Dots(code, *code.arguments)
    height = SIDE if target.n_registers > 16 else SIDE // 2
    is_large = (d.m >= height) & (d.n >= SIDE)
    is_flat, is_tall = ~is_large & (d.n >= width), ~is_large & (d.n < width) & (d.m >= width)
    with code.if_(is_large):
        _add_tiles(d, height)
    with code.if_(is_flat):
        _add_rows(d)
    with code.if_(is_tall):
        _add_columns(d)
    with code.if_(~(is_large | is_flat | is_tall)), code.loop(d.m) as j, code.loop(d.n) as k:
        code.add_to(d.c, j * d.c_row + k, _products(d, j, k, 1, 1)[0].sum())
    return code


SIDE = 4  # columns of a tile of dot products, and its rows if there are enough registers


class _Dots(NamedTuple):
    """The arguments of `dots`."""

    code: Code
    a: Number
    a_row: Number
    b: Number
    b_row: Number
    c: Number
    c_row: Number
    m: Number
    n: Number
    length: Number


def _products(d: _Dots, j: Number, k: Number, height: int, n_columns: int) -> list[Number]:
    """The dot products of some rows of A and of B, not summed over the lanes yet."""
    code, width = d.code, d.code.target.width
    rows = [code.at(d.a, (j + i) * d.a_row) for i in range(height)]
    columns = [code.at(d.b, (k + i) * d.b_row) for i in range(n_columns)]
    totals = [code.variable(0.0, code.target.vector) for _ in range(height * n_columns)]

    def add(i: Number, mask: Number | None) -> None:
        left = [code.load_masked(row, i, mask) for row in rows]
        right = [code.load_masked(column, i, mask) for column in columns]
        for total, (x, y) in zip(totals, itertools.product(left, right)):
            total.set(total.now + x * y)

    whole = d.length // width * width
    with code.loop(whole, step=width) as i:
        add(i, None)
    with code.if_(whole < d.length):
        add(whole, code.lanes_below(d.length - whole))
    return [total.now for total in totals]


# The last tile of each kind overlaps with the one before it, whose elements it leaves alone.


def _add_tiles(d: _Dots, height: int) -> None:
    """A few rows and columns at a time."""
    code = d.code
    with code.loop(d.m, step=height) as j, code.loop(d.n, step=SIDE) as k:
        first_row, first_column = code.minimum(j, d.m - height), code.minimum(k, d.n - SIDE)
        skipped = code.lanes_below(k - first_column, SIDE)
        for i, row in enumerate(_rows_of_sums(code, _products(d, first_row, first_column, height, SIDE))):
            new = code.select(skipped, 0.0, row)
            new = code.select(code.number(first_row + i >= j, skipped.type), new, 0.0)
            code.add_to(d.c, (first_row + i) * d.c_row + first_column, new)


def _add_rows(d: _Dots) -> None:
    """C has few rows: as many columns at a time as a vector has elements."""
    code, width = d.code, d.code.target.width
    with code.loop(d.m) as j, code.loop(d.n, step=width) as k:
        first = code.minimum(k, d.n - width)
        new = code.select(code.lanes_below(k - first), 0.0, sums(code, _products(d, j, first, 1, width)))
        code.add_to(d.c, j * d.c_row + first, new)


def _add_columns(d: _Dots) -> None:
    """C has few columns: as many rows at a time as a vector has elements."""
    code, width = d.code, d.code.target.width
    with code.loop(d.n) as k, code.loop(d.m, step=width) as j:
        first = code.minimum(j, d.m - width)
        new = code.select(code.lanes_below(j - first), 0.0, sums(code, _products(d, first, k, width, 1)))
        for i in range(width):
            code.add_to(d.c, (first + i) * d.c_row + k, new[i])


def _rows_of_sums(code: Code, vectors: list[Number]) -> list[Number]:
    """The sum of each vector of a tile, as its rows."""
    width = code.target.width
    found = [sums(code, vectors[k : k + width]) for k in range(0, len(vectors), width)]
    if width < SIDE:
        found = [code.shuffled(x, y, range(SIDE)) for x, y in zip(found[::2], found[1::2])]
    return [code.shuffled(x, x, range(k, k + SIDE)) for x in found for k in range(0, x.width, SIDE)]


def sums(code: Code, vectors: Sequence[Number]) -> Number:
    """The sum of each of some vectors, side by side: as many as each of them has elements."""
    lanes, half = range(len(vectors)), len(vectors) // 2
    while half:  # add the halves of two vectors, then the halves of those, and so on
        kept = [lane + (len(lanes) if lane & half else 0) for lane in lanes]
        moved = [(lane ^ half) + (len(lanes) if lane & half else 0) for lane in lanes]
        pairs = zip(vectors[:half], vectors[half:])
        vectors = [code.shuffled(x, y, kept) + code.shuffled(x, y, moved) for x, y in pairs]
        half //= 2
    return vectors[0]


# B = Aᵀ, where the elements of a row are adjacent in both.

TRANSPOSE = [("a", "ptr"), ("a_row", "i64"), ("b", "ptr"), ("b_row", "i64"), ("m", "i64"), ("n", "i64")]


@functools.cache
def transpose(target: Target) -> Code:
    """A function that transposes an m × n matrix."""
    code, width = Code("transpose", TRANSPOSE, target), target.width
    a, a_row, b, b_row, m, n = code.arguments
    with code.loop(m // width * width, step=width) as j:
        with code.loop(n // width * width, step=width) as k:
            rows = [code.load(a, (j + i) * a_row + k, target.vector) for i in range(width)]
            for i, row in enumerate(transposed(code, rows)):
                code.store(row, b, (k + i) * b_row + j)
        with code.loop(n, start=n // width * width) as k:
            code.store(
                code.vector([code.load(a, (j + i) * a_row + k) for i in range(width)]), b, k * b_row + j
            )
    with code.loop(m, start=m // width * width) as j, code.loop(n) as k:
        code.store(code.load(a, j * a_row + k), b, k * b_row + j)
    return code


def transposed(code: Code, rows: Sequence[Number]) -> list[Number]:
    """The columns of as many vectors as each of them has elements."""
    rows, width = list(rows), len(rows)
    half = width // 2
    while half:  # exchange the two blocks off the diagonal, then do the same inside each block
        columns = range(width)
        upper_mask = [c if not c & half else width + c - half for c in columns]
        lower_mask = [c + half if not c & half else width + c for c in columns]
        for k in columns:
            if not k & half:
                upper, lower = rows[k], rows[k + half]
                rows[k] = code.shuffled(upper, lower, upper_mask)
                rows[k + half] = code.shuffled(upper, lower, lower_mask)
        half //= 2
    return rows


# The kernels. They call the functions above through their addresses, so that those are compiled once.

FUNCTIONS = {"product": product, "dots": dots, "transpose": transpose}


def _call(k: Kernel, name: str, arguments: Sequence[Number]) -> None:
    k.call(k.of_block(name, "ptr"), arguments)


def affine(
    target: Target, single: bool, is_row: bool, adjoints: str, is_x: bool, writes_first: bool
) -> list[Kernel]:
    """The kernels of an affine map.

    Args:
        target: the precision.
        single: for one example at a time.
        is_row: the inputs have consecutive offsets.
        adjoints: "none" if no parameter influences the inputs; "row" if their adjoints have consecutive
            offsets, "own row" if besides nothing else is added to those, or "others".
        is_x: all of x are the inputs, whose rows are transposed already.
        writes_first: the weights' adjoints of the first block replace what was there.
    """
    if single:
        forward = written("forward", target, True, lambda k: _forward_of_one(k, is_row))
        backward = written(
            "backward", target, True, lambda k: _backward_of_one(k, is_row, adjoints, writes_first)
        )
        return [forward, backward]
    forward = written("forward", target, False, lambda k: _forward(k, is_row, is_x))
    backward = written(
        "backward", target, False, lambda k: _backward(k, is_row, adjoints, is_x, writes_first)
    )
    return [forward, backward]


def _inputs(k: Kernel, is_row: bool, n: Number) -> Number:
    """The address of the inputs, one row of lanes each, collected in scratch space if need be."""
    operands = k.pointer("operands")
    if is_row:
        return k.at(k.values, k.lane_of(k.load(operands, 0, "i64")))
    scratch = k.of_block("scratch", "ptr")
    with k.loop(n) as j:
        x = k.lane_of(k.load(operands, j, "i64"))
        with k.each_lane() as lane:
            k.store(k.value(x, lane), scratch, j * k.lanes + lane)
    return scratch


def _forward(k: Kernel, is_row: bool, is_x: bool) -> None:
    m, n = k.word("n_results"), k.word("arity")
    cycles = _cycles_of_dots(k, m, n) + _cycles_of_transpose(k, n)
    by_examples = cycles < _cycles_of_product(k, m, n, k.lanes)
    with k.if_(by_examples):
        _forward_by_examples(k, is_row, is_x)
    with k.if_(~by_examples):
        _forward_by_lanes(k, is_row)


def _forward_by_lanes(k: Kernel, is_row: bool) -> None:
    """W times the rows of x, with a vector of examples at a time."""
    m, n, weights = k.word("n_results"), k.word("arity"), k.of_block("weights", "ptr")
    z, biases = k.at(k.values, k.lane_of(k.word("first"))), k.word("biases")
    start = k.select(biases >= 0, k.integer(FROM_BIASES), k.integer(FROM_ZERO))
    x, matrix = _inputs(k, is_row, n), k.at(weights, k.word("weights"))
    steps = n, k.integer(1)
    _call(k, "product", [matrix, *steps, x, k.lanes, z, k.lanes, m, n, k.lanes, start, k.at(weights, biases)])


def _forward_by_examples(k: Kernel, is_row: bool, is_x: bool) -> None:
    """The dot products of each row of W and each example. Lanes without an example become the biases."""
    m, n, weights = k.word("n_results"), k.word("arity"), k.of_block("weights", "ptr")
    z, biases = k.at(k.values, k.lane_of(k.word("first"))), k.word("biases")
    examples, x = k.of_block("examples"), k.at(k.of_block("scratch", "ptr"), n * k.lanes)
    has_rows = k.of_block("rows").differs(0) if is_x else k.number(False, "i1")
    with k.if_(~has_rows):
        _call(k, "transpose", [_inputs(k, is_row, n), k.lanes, x, n, n, k.lanes])
    x = k.select(has_rows, k.of_block("rows", "ptr"), x)
    has_biases = biases >= 0
    bias_of = k.at(weights, k.select(has_biases, biases, 0))
    with k.loop(m) as j:
        bias = k.select(has_biases, k.load(bias_of, j), 0.0)
        k.each(k.lanes, lambda lane, kind: k.store(k.number(bias, kind), z, j * k.lanes + lane))
    matrix = k.at(weights, k.word("weights"))
    _call(k, "dots", [matrix, n, x, n, z, k.lanes, m, examples, n])


# Which way is faster: estimates of cycles, in quarters, measured with 8 and 16 numbers in a vector.


def _cycles_of_product(k: Kernel, m: Number, n: Number, width: Number) -> Number:
    """An m × n matrix times rows of this width: two vectors at a time take 3/4 of what single ones take."""
    n_vectors = _n_vectors(k, width)
    return (m + 2) * n * (n_vectors // 2 * 3 + n_vectors % 2 * 2)


def _cycles_of_dots(k: Kernel, m: Number, n: Number) -> Number:
    """A row of W and an example each: besides the products, a tile's sums over the lanes."""
    n_tiles = m * ((k.of_block("examples") + SIDE - 1) // SIDE)  # each of SIDE rows: a quarter of so many
    return n_tiles * (27 + _n_vectors(k, n) * 6)


def _cycles_of_transpose(k: Kernel, n: Number) -> Number:
    return n * _n_vectors(k, k.lanes) * 12


def _n_vectors(k: Kernel, n: Number) -> Number:
    """How many vectors n numbers fill; the last one may be filled in part."""
    return (n + k.target.width - 1) // k.target.width


def _backward(k: Kernel, is_row: bool, adjoints: str, is_x: bool, writes_first: bool) -> None:
    dz = k.at(k.adjoints, k.lane_of(k.word("first_adjoint")))
    with k.if_(k.word("biases") >= 0):
        _give_to_biases(k, dz)
    if adjoints != "none":
        _give_to_inputs(k, dz, adjoints)
    _give_to_weights(k, dz, is_row, is_x, writes_first)


def _give_to_biases(k: Kernel, dz: Number) -> None:
    """Sums over the examples: the dot products with a row of ones."""
    ones, m = k.of_block("scratch", "ptr"), k.word("n_results")
    k.each(k.lanes, lambda lane, kind: k.store(k.number(1.0, kind), ones, lane))
    db = k.at(k.of_block("weight_adjoints", "ptr"), k.word("bias_adjoints"))
    _call(k, "dots", [ones, k.lanes, dz, k.lanes, db, m, k.integer(1), m, k.of_block("examples")])


def _give_to_weights(k: Kernel, dz: Number, is_row: bool, is_x: bool, writes_first: bool) -> None:
    """The rows of ∂z times the rows of x, or times x transposed. Lanes without an example take no part."""
    m, n, examples = k.word("n_results"), k.word("arity"), k.of_block("examples")
    dw = k.at(k.of_block("weight_adjoints", "ptr"), k.word("weight_adjoints"))

    def add_product(rows: Number) -> None:
        _add_outer_products(k, [dz, k.lanes, k.integer(1), rows, n, dw, n, m, examples, n], writes_first)

    def add_dots() -> None:
        if writes_first:
            with k.if_(k.of_block("is_first").equals(1)):
                k.each(m * n, lambda i, kind: k.store(k.number(0.0, kind), dw, i))
        _call(k, "dots", [dz, k.lanes, _inputs(k, is_row, n), k.lanes, dw, n, m, n, examples])

    def transpose_or_dots() -> None:
        is_worth_it = examples <= k.word("worth_transposing")
        with k.if_(is_worth_it):
            transposed = k.at(k.of_block("scratch", "ptr"), n * k.lanes)
            _call(k, "transpose", [_inputs(k, is_row, n), k.lanes, transposed, n, n, k.lanes])
            add_product(transposed)
        with k.if_(~is_worth_it):
            add_dots()

    if not is_x:
        transpose_or_dots()
        return
    has_rows = k.of_block("rows").differs(0) & (examples <= k.word("worth_a_product"))
    with k.if_(has_rows):
        add_product(k.of_block("rows", "ptr"))
    with k.if_(~has_rows):
        transpose_or_dots()


def _moves_at_once(k: Kernel) -> Number:
    """Whether the optimizer moves this matrix now: then its gradient need not be stored."""
    return k.of_block("step_of_matrix").differs(0) & k.word("is_own").differs(0)


def _add_outer_products(k: Kernel, product: list[Number], writes_first: bool) -> None:
    """∂W += ∂z xᵀ, or W moved by that."""
    weights, at_once = k.of_block("weights", "ptr"), _moves_at_once(k)
    arguments = [*product, _start(k, writes_first), weights]
    with k.if_(at_once):
        theta, t = k.at(weights, k.word("weights")), k.of_block("t", "double")
        step = [*arguments, theta, k.of_block("settings", "ptr"), t, k.of_block("check", "ptr")]
        _call(k, "step_of_matrix", step)
    with k.if_(~at_once):
        _call(k, "product", arguments)


def most_examples(m: int, n: int, target: Target, transposes: bool) -> int:
    """Up to how many examples a product is faster than dot products for an m × n matrix.

    The numbers are cycles, measured with 8 and 16 numbers in a vector. A product takes as long for few
    examples as they are; dot products have to be added up over the lanes.
    """
    if m < FEW_ROWS:
        return 0
    n_vectors = -(-n // target.width)
    product = 0.65 * m * n_vectors + (80 * n / target.width**2 if transposes else 0.0)  # for an example
    tiles = m * n / SIDE**2
    return int(35 * tiles / (product - 8 * tiles / target.width))


def _give_to_inputs(k: Kernel, dz: Number, adjoints: str) -> None:
    """Wᵀ ∂z, with a vector of examples at a time; or ∂zᵀ W, with a vector of inputs, for few examples."""
    n, table = k.word("arity"), k.pointer("operand_adjoints")
    products = k.at(k.of_block("scratch", "ptr"), n * k.lanes)
    row = k.at(k.adjoints, k.lane_of(k.load(table, 0, "i64")))
    dx, start = {"own row": (row, FROM_ZERO), "row": (row, ADD), "others": (products, FROM_ZERO)}[adjoints]
    m, examples = k.word("n_results"), k.of_block("examples")
    cycles = _cycles_of_product(k, examples, m, n) + _cycles_of_transpose(k, n)
    by_examples = cycles < _cycles_of_product(k, n, m, k.lanes)
    with k.if_(by_examples):
        _multiply_by_examples(k, dz, products if adjoints == "row" else dx)
        if adjoints == "row":
            k.each(n * k.lanes, lambda i, kind: k.add_to(dx, i, k.load(products, i, kind)))
    with k.if_(~by_examples):
        _multiply(k, dz, dx, start)
    if adjoints == "others":
        with k.loop(n) as j:
            at = k.lane_of(k.load(table, j, "i64"))
            with k.each_lane() as lane:
                k.add_to(k.adjoints, at + lane, k.load(products, j * k.lanes + lane, k.kind))


def _multiply(k: Kernel, dz: Number, dx: Number, start: int) -> None:
    m, n, weights = k.word("n_results"), k.word("arity"), k.of_block("weights", "ptr")
    matrix = k.at(weights, k.word("weights")), k.integer(1), n
    _call(k, "product", [*matrix, dz, k.lanes, dx, k.lanes, n, m, k.lanes, k.integer(start), weights])


def _multiply_by_examples(k: Kernel, dz: Number, dx: Number) -> None:
    """The products are rows of examples, which are transposed. Lanes without an example become 0."""
    m, n, weights, one = k.word("n_results"), k.word("arity"), k.of_block("weights", "ptr"), k.integer(1)
    examples, rows = k.of_block("examples"), k.of_block("scratch", "ptr")
    matrix, zero = k.at(weights, k.word("weights")), k.integer(FROM_ZERO)
    _call(k, "product", [dz, one, k.lanes, matrix, n, rows, n, examples, m, n, zero, weights])
    rest = k.at(rows, examples * n)
    k.each((k.lanes - examples) * n, lambda i, kind: k.store(k.number(0.0, kind), rest, i))
    _call(k, "transpose", [rows, n, dx, k.lanes, k.lanes, n])


def _start(k: Kernel, writes_first: bool) -> Number:
    """Whether the adjoints of weights are added to what is there."""
    is_first = k.of_block("is_first").equals(1)
    return k.select(is_first, k.integer(FROM_ZERO), k.integer(ADD)) if writes_first else k.integer(ADD)


# For one example W x is one dot product for each row of W, and ∂z xᵀ a product of a column and a row.


def _forward_of_one(k: Kernel, is_row: bool) -> None:
    m, n, weights = k.word("n_results"), k.word("arity"), k.of_block("weights", "ptr")
    z, biases, one = k.at(k.values, k.word("first")), k.word("biases"), k.integer(1)
    with k.if_(biases >= 0):
        k.each(m, lambda j, kind: k.store(k.load(weights, biases + j, kind), z, j))
    with k.if_(biases < 0):
        k.each(m, lambda j, kind: k.store(k.number(0.0, kind), z, j))
    _call(k, "dots", [k.at(weights, k.word("weights")), n, _inputs(k, is_row, n), n, z, one, m, one, n])


def _backward_of_one(k: Kernel, is_row: bool, adjoints: str, writes_first: bool) -> None:
    m, n, one = k.word("n_results"), k.word("arity"), k.integer(1)
    dz, gradient = k.at(k.adjoints, k.word("first_adjoint")), k.of_block("weight_adjoints", "ptr")
    with k.if_(k.word("biases") >= 0):
        db = k.word("bias_adjoints")
        k.each(m, lambda j, kind: k.add_to(gradient, db + j, k.load(dz, j, kind)))
    if adjoints != "none":
        _give_to_inputs_of_one(k, dz, adjoints)
    dw = k.at(gradient, k.word("weight_adjoints"))
    _add_outer_products(k, [dz, one, one, _inputs(k, is_row, n), n, dw, n, m, one, n], writes_first)


def _give_to_inputs_of_one(k: Kernel, dz: Number, adjoints: str) -> None:
    m, n, one, weights = k.word("n_results"), k.word("arity"), k.integer(1), k.of_block("weights", "ptr")
    matrix, scratch = k.at(weights, k.word("weights")), k.of_block("scratch", "ptr")
    table = k.pointer("operand_adjoints")

    def give(dx: Number, start: int) -> None:
        _call(k, "product", [dz, one, one, matrix, n, dx, n, one, m, n, k.integer(start), weights])

    if adjoints != "others":
        give(k.at(k.adjoints, k.load(table, 0, "i64")), ADD if adjoints == "row" else FROM_ZERO)
        return
    give(scratch, FROM_ZERO)
    with k.loop(n) as j:
        k.add_to(k.adjoints, k.load(table, j, "i64"), k.load(scratch, j))


def sum_of_row(code: Code, row: Number, n: Number) -> Number:
    """The sum of the first n numbers of a row."""
    width = code.target.width
    whole = n // width * width
    vectors, rest = code.variable(0.0, code.target.vector), code.variable(0.0)
    with code.loop(whole, step=width) as i:
        vectors.set(vectors.now + code.load(row, i, code.target.vector))
    with code.loop(n, start=whole) as i:
        rest.set(rest.now + code.load(row, i))
    return vectors.now.sum() + rest.now
