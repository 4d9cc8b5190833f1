"""The machine code of each kind of run: forward, and backward (§6, §7).

A kernel computes one run of a tape: consecutive results of one kind of operation. `plan` describes runs. The
lanes of the number at offset p begin at p · lanes among the values; their adjoints lie in the same way among
the adjoints. The backward kernels add to the adjoints of the operands: that is where the gradients of a
number that is used several times are summed.

Kernels are written for what a program needs, when it needs it. With `lanes` examples in a block they go
through whole vectors of examples; with a single example they are written for single numbers, from the same
lines.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from micrograd_mlp.compiled import functions, records
from micrograd_mlp.compiled.code import Code, Number, Target
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.translate import TranslationError

WORDS = (
    "forward", "backward", "first", "first_adjoint", "operand_0", "operand_1", "adjoint_0", "adjoint_1",
    "operands", "operand_adjoints", "n_results", "slopes", "arity", "n_pairs", "weights", "more",
)  # fmt: skip
"""What a kernel reads of its run: the addresses of its two kernels; the offsets of the first two operands
and of their adjoints; the addresses of all of these; fields of `plan.Run`; and the address of `MORE`. A tape
of single results is as fast as these come from memory: they fill two cache lines, and what a single result
needs the first one."""
MORE = (
    "weight_adjoints", "biases", "bias_adjoints", "worth_a_product", "worth_transposing", "is_own",
    "python_forward", "python_backward",
)  # fmt: skip
"""What few kernels read: fields of `plan.Run`; for an affine map how many examples are worth a product, and
whether its weights are parameters that nothing else gives an adjoint to; and the addresses of functions in
Python, for an operation that is no machine code."""
BLOCK = (
    "lanes", "examples", "weights", "weight_adjoints", "scratch", "failed", "product", "dots", "transpose",
    "rows", "is_first", "step_of_matrix", "settings", "t", "check",
)  # fmt: skip
"""What a kernel reads of its block: how many lanes and examples there are, the values and adjoints of the
uniform tape, scratch space; where a failed operation is noted; the addresses of the functions in `affine`;
the rows of x if the block's examples stand one after the other there, else 0; whether the gradient has
nothing of another block yet; and, in the last block of a step that moves matrices at once, the address of
`steps.step_of_matrix` and what that needs, else 0."""
COSTLY = 12  # instructions from which on an operation is worth collecting its operands into vectors
FEW = 4  # results for which a short vector is enough
UNROLLED = 4  # operands of a sum of one example that are written out


class Kernel(Code):
    """A kernel while it is written: `Code` with names for what it is given."""

    def __init__(self, name: str, target: Target, single: bool = False) -> None:
        super().__init__(name, [(a, "ptr") for a in ("run", "values", "adjoints", "block")], target)
        self.run, self.values, self.adjoints, self.block = self.arguments
        self.single = single
        self.kind = target.real if single else target.vector

    def word(self, name: str) -> Number:
        """A number of the run."""
        return self._of_run(name, "i64")

    def pointer(self, name: str) -> Number:
        """An address that the run holds."""
        return self._of_run(name, "ptr")

    def _of_run(self, name: str, kind: str) -> Number:
        if name in WORDS:
            return self.load(self.run, WORDS.index(name), kind)
        return self.load(self.load(self.run, WORDS.index("more"), "ptr"), MORE.index(name), kind)

    def of_block(self, name: str, kind: str = "i64") -> Number:
        """A number or an address of the block."""
        return self.load(self.block, BLOCK.index(name), kind)

    @functools.cached_property
    def lanes(self) -> Number:
        """How many lanes each number has."""
        return self.integer(1) if self.single else self.of_block("lanes")

    def lane_of(self, offset: Number) -> Number:
        """Where the lanes of the number at this offset begin."""
        return offset if self.single else offset * self.lanes

    @contextmanager
    def each_lane(self) -> Iterator[Number]:
        """The first lane of each vector; of a single example the only one."""
        if self.single:
            yield self.integer(0)
        else:
            with self.loop(self.lanes, step=self.target.width) as lane:
                yield lane

    def go_on(self, step: int) -> None:
        """Jump to the kernel of the next run, or in the backward pass to that of the run before."""
        run = self.at(self.run, step * len(WORDS), "i64")
        kernel = self.load(run, WORDS.index("forward" if step > 0 else "backward"), "ptr")
        arguments = [run, *self.arguments[1:]]
        self.line(f"musttail call void {kernel.text}({', '.join([f'ptr {a.text}' for a in arguments])})")

    def value(self, first: Number, lane: Number) -> Number:
        """A vector of lanes, or one number."""
        return self.load(self.values, first + lane, self.kind)

    def adjoint(self, first: Number, lane: Number) -> Number:
        """The same among the adjoints."""
        return self.load(self.adjoints, first + lane, self.kind)


Writer = Callable[[Kernel], None]


def written(name: str, target: Target, single: bool, write: Writer) -> Kernel:
    """A kernel that this function writes."""
    kernel = Kernel(name, target, single)
    kernel.lanes  # noqa: B018  (read once, in front of all loops)
    write(kernel)
    kernel.go_on(-1 if name == "backward" else 1)
    return kernel


def stop(target: Target) -> Kernel:
    """What stands in the place of a kernel where a tape ends."""
    return Kernel("stop", target)


def python_call(target: Target, address_name: str) -> Kernel:
    """A kernel that calls a function in Python, and goes on unless that has failed."""
    kernel = Kernel(address_name, target)
    kernel.call(kernel.pointer(f"python_{address_name}"), kernel.arguments)
    with kernel.if_(kernel.load(kernel.of_block("failed", "ptr"), 0, "i64").differs(0)):
        kernel.return_()
    kernel.go_on(-1 if address_name == "backward" else 1)
    return kernel


# Copies: numbers of the uniform tape that have to lie in a matrix.


def copy_forward(k: Kernel) -> None:
    """Each result is its operand."""
    first, operands = k.word("first"), k.pointer("operands")
    with k.loop(k.word("n_results")) as i:
        k.store(k.load(k.values, k.load(operands, i, "i64")), k.values, first + i)


def copy_backward(k: Kernel) -> None:
    """Each operand receives what its copy has."""
    first, operands = k.word("first_adjoint"), k.pointer("operand_adjoints")
    with k.loop(k.word("n_results")) as i:
        k.add_to(k.adjoints, k.load(operands, i, "i64"), k.load(k.adjoints, first + i))


# Σ aₖbₖ + Σ cₖ. Products are rounded before they are added, as in eager execution: the rounding of a fused
# instruction would make a number below 0 of a variance that is 0.


def sums_forward(k: Kernel, n_pairs: int | None, n_terms: int | None) -> None:
    """n_pairs and n_terms are None unless they are written out."""
    k.fused = False
    operands, first, arity, pairs = _sum_fields(k, "operands", "first")
    with k.loop(k.word("n_results")) as i:
        start, output = i * arity, k.lane_of(first + i)
        with k.each_lane() as lane:
            total = k.variable(0.0, k.kind)

            def operand(j: Number, lane: Number = lane) -> Number:
                return k.value(k.lane_of(k.load(operands, j, "i64")), lane)

            for j in _repeated(k, n_pairs, pairs):
                at = start + j * 2
                total.set(total.now + operand(at) * operand(at + 1))
            first_term = start + pairs * 2
            for j in _repeated(k, n_terms, arity - pairs * 2):
                total.set(total.now + operand(first_term + j))
            k.store(total.now, k.values, output + lane)


def sums_backward(k: Kernel, n_pairs: int | None, n_terms: int | None) -> None:
    """∂ℓ/∂aₖ += bₖ g, ∂ℓ/∂bₖ += aₖ g, ∂ℓ/∂cₖ += g."""
    operands, first, arity, pairs = _sum_fields(k, "operands", "first_adjoint")
    adjoints = k.pointer("operand_adjoints")
    with k.loop(k.word("n_results")) as i:
        start, output = i * arity, k.lane_of(first + i)
        with k.each_lane() as lane:
            adjoint = k.adjoint(output, lane)

            def give(j: Number, share: Number, lane: Number = lane) -> None:
                k.add_to(k.adjoints, k.lane_of(k.load(adjoints, j, "i64")) + lane, share)

            def operand(j: Number, lane: Number = lane) -> Number:
                return k.value(k.lane_of(k.load(operands, j, "i64")), lane)

            for j in _repeated(k, n_pairs, pairs):
                at = start + j * 2
                give(at, operand(at + 1) * adjoint)
                give(at + 1, operand(at) * adjoint)
            first_term = start + pairs * 2
            for j in _repeated(k, n_terms, arity - pairs * 2):
                give(first_term + j, adjoint)


def _sum_fields(k: Kernel, operands: str, first: str) -> tuple[Number, Number, Number, Number]:
    return k.pointer(operands), k.word(first), k.word("arity"), k.word("n_pairs")


def _repeated(k: Kernel, known: int | None, count: Number) -> Iterator[Number]:
    """0, 1, 2, ... below a count, in a loop of the machine or written out."""
    if known is None:
        with k.loop(count) as j:
            yield j
    else:
        for number in range(known):
            yield k.integer(number)


# Long sums of parameters, such as Σ θ²: the offsets of all a are consecutive, and so are those of b and of c.


def long_sums_forward(k: Kernel) -> None:
    """Sums of vectors, added up at the end."""
    k.fused = False
    operands, first, arity, pairs = _sum_fields(k, "operands", "first")
    with k.loop(k.word("n_results")) as i:
        a, b, c = _rows(k, operands, i * arity, pairs)
        vectors, rest = k.variable(0.0, k.target.vector), k.variable(0.0)

        def add(number: Number, kind: str) -> None:
            total = rest if kind == k.target.real else vectors
            total.set(total.now + number)

        k.each(
            pairs, lambda j, kind: add(k.load(k.values, a + j, kind) * k.load(k.values, b + j, kind), kind)
        )
        k.each(arity - pairs * 2, lambda j, kind: add(k.load(k.values, c + j, kind), kind))
        k.store(vectors.now.sum() + rest.now, k.values, first + i)


def long_sums_backward(k: Kernel, are_squares: bool) -> None:
    """For squares, a and b are the same numbers: one addition of 2ag."""
    operands, first, arity, pairs = _sum_fields(k, "operands", "first_adjoint")
    with k.loop(k.word("n_results")) as i:
        a, b, _ = _rows(k, operands, i * arity, pairs)
        da, db, dc = _rows(k, k.pointer("operand_adjoints"), i * arity, pairs)
        g = k.load(k.adjoints, first + i)

        def give(j: Number, kind: str) -> None:
            left, right = k.load(k.values, a + j, kind), k.load(k.values, b + j, kind)
            if are_squares:
                k.add_to(k.adjoints, da + j, left * (2.0 * g))
            else:
                k.add_to(k.adjoints, da + j, right * g)
                k.add_to(k.adjoints, db + j, left * g)

        k.each(pairs, give)
        k.each(arity - pairs * 2, lambda j, kind: k.add_to(k.adjoints, dc + j, k.number(g, kind)))


def _rows(k: Kernel, offsets: Number, start: Number, pairs: Number) -> list[Number]:
    """Where all a, all b and all c begin. Those that a sum does not have are never read."""
    return [k.load(offsets, at, "i64") for at in (start, start + 1, start + pairs * 2)]


# log Σ exp(zₖ)


def _operand(k: Kernel, operands: Number, j: Number, lane: Number) -> Number:
    return k.value(k.lane_of(k.load(operands, j, "i64")), lane)


def _largest(k: Kernel, operands: Number, start: Number, arity: Number, lane: Number) -> Number:
    """The largest of some operands; nan if one of them is."""
    largest = k.variable(_operand(k, operands, start, lane))
    with k.loop(arity, start=1) as j:
        z, before = _operand(k, operands, start + j, lane), largest.now
        largest.set(k.select((z > before) | z.is_nan(), z, before))
    return largest.now


def logsumexp_forward(k: Kernel) -> None:
    """m + log(1 + Σ exp(zₖ - m)) with m = max zₖ and the sum over all others; m if that is inf or nan.

    The slopes exp(zₖ - L) take the same exponentials: they are kept.
    """
    first, slopes, n = k.word("first"), k.word("slopes"), k.word("arity")
    with k.loop(k.word("n_results")) as i, k.each_lane() as lane:
        k.store(_distances(k, i * n, slopes + i * n, lane), k.values, k.lane_of(first + i) + lane)
    _exponentials(k, slopes, k.word("n_results") * n)
    with k.loop(k.word("n_results")) as i, k.each_lane() as lane:
        at = k.lane_of(first + i) + lane
        largest = k.load(k.values, at, k.kind)
        rest, is_missing = k.variable(0.0, k.kind), k.variable(1.0, k.kind)
        with k.loop(n) as j:
            e = k.value(k.lane_of(slopes + i * n + j), lane)
            is_largest = k.select(e.equals(1.0), is_missing.now, 0.0)
            rest.set(rest.now + (e - is_largest))
            is_missing.set(is_missing.now - is_largest)
        is_finite = abs(largest) < math.inf
        result = k.select(is_finite, largest + functions.log1p(rest.now), largest)
        k.store(result, k.values, at)
        scale = k.select(is_finite, 1.0 / (1.0 + rest.now), 1.0)
        with k.loop(n) as j:
            slope = k.lane_of(slopes + i * n + j)
            k.store(k.value(slope, lane) * scale, k.values, slope + lane)


def logsumexp_backward(k: Kernel) -> None:
    """∂ℓ/∂zₖ += exp(zₖ - L) g, with the slopes that the forward pass has kept."""
    adjoints, first, slopes, n = (
        k.pointer("operand_adjoints"), k.word("first_adjoint"), k.word("slopes"), k.word("arity")
    )  # fmt: skip
    with k.loop(k.word("n_results")) as i, k.each_lane() as lane:
        g = k.adjoint(k.lane_of(first + i), lane)
        with k.loop(n) as j:
            number = i * n + j
            share = k.value(k.lane_of(slopes + number), lane) * g
            k.add_to(k.adjoints, k.lane_of(k.load(adjoints, number, "i64")) + lane, share)


def _distances(k: Kernel, start: Number, to: Number, lane: Number) -> Number:
    """Store zₖ - m for the operands from `start` on, at the offset `to`; returns m, the largest one."""
    operands, n = k.pointer("operands"), k.word("arity")
    largest = _largest(k, operands, start, n, lane)
    with k.loop(n) as j:
        distance = _operand(k, operands, start + j, lane) - largest
        k.store(distance, k.values, k.lane_of(to + j) + lane)
    return largest


def _exponentials(k: Kernel, first: Number, count: Number) -> None:
    """The exponentials of some numbers of the tape, in place."""
    begin = k.lane_of(first)

    def exponential(i: Number, kind: str) -> None:
        k.store(functions.exp(k.load(k.values, begin + i, kind)), k.values, begin + i)

    k.each(k.lane_of(count), exponential)


# sₖ = exp(zₖ - L) for all k, with L = logsumexp(z): the exponentials of zₖ - m, divided by their sum.


def softmax_forward(k: Kernel) -> None:
    """All softmaxes of the run: the exponentials of all of them are one row."""
    first, n, count = k.word("first"), k.word("arity"), k.word("n_results")
    with k.loop(count, step=n) as start, k.each_lane() as lane:
        _distances(k, start, first + start, lane)
    _exponentials(k, first, count)
    with k.loop(count, step=n) as start, k.each_lane() as lane:
        total = k.variable(0.0, k.kind)
        with k.loop(n) as j:
            total.set(total.now + k.value(k.lane_of(first + start + j), lane))
        # Beside an infinite z, whose exponential is nan, all others are 0 and stay so.
        divisor = k.select(total.now.is_nan(), 1.0, total.now)
        with k.loop(n) as j:
            at = k.lane_of(first + start + j)
            k.store(k.value(at, lane) / divisor, k.values, at + lane)


def softmax_backward(k: Kernel) -> None:
    """∂ℓ/∂zₖ += sₖ (gₖ - Σⱼ gⱼ sⱼ)."""
    adjoints, n, count = k.pointer("operand_adjoints"), k.word("arity"), k.word("n_results")
    first, first_adjoint = k.word("first"), k.word("first_adjoint")
    with k.loop(count, step=n) as start, k.each_lane() as lane:
        mean = k.variable(0.0, k.kind)

        def s_and_g(j: Number, start: Number = start, lane: Number = lane) -> tuple[Number, Number]:
            s = k.value(k.lane_of(first + start + j), lane)
            return s, k.adjoint(k.lane_of(first_adjoint + start + j), lane)

        with k.loop(n) as j:
            s, g = s_and_g(j)
            # Where g = 0 nobody uses s, which may be nan: that of an infinite z.
            mean.set(mean.now + k.select(g.equals(0.0), 0.0, s * g))
        with k.loop(n) as j:
            s, g = s_and_g(j)
            at = k.lane_of(k.load(adjoints, start + j, "i64")) + lane
            k.add_to(k.adjoints, at, s * (g - mean.now))


# All other operations: what their records say (§6). What takes long to differentiate, such as tanh, is
# differentiated in the forward pass, which has computed half of it already, and keeps the slope behind the
# tape's numbers.


class Operation(NamedTuple):
    """An operation as its kernels are written.

    Attributes:
        op: its record.
        n: the number of inputs.
        active: for each input whether it has an adjoint.
        keeps_slope: the forward kernel stores the derivative for the backward kernel.
        is_own: nothing else is added to the adjoints of the inputs, which are rows.
    """

    op: Op
    n: int
    active: tuple[bool, ...]
    keeps_slope: bool
    is_own: bool


def _compute(k: Kernel, o: Operation, x: Sequence[Number], output: Number, slope: Number) -> None:
    """The result of these inputs, and its derivative if it is kept."""
    out = records.forward(o.op, k, x)
    k.store(out, k.values, output)
    if o.keeps_slope:
        k.store(records.partials(o.op, k, out, x)[0], k.values, slope)


def _shares(
    k: Kernel, o: Operation, x: Callable[[], list[Number]], output: Number, slope: Number, g: Number
) -> list[tuple[int, Number]]:
    """What each active input receives of the output's adjoint g."""
    if o.keeps_slope:
        return [(0, k.load(k.values, slope, g.type) * g)]
    slopes = records.partials(o.op, k, k.load(k.values, output, g.type), x())
    return [(j, slope * g) for j, slope in enumerate(slopes) if o.active[j]]


def _row(k: Kernel, o: Operation, backward: bool) -> None:
    """All first inputs are adjacent, and all second ones: one long row, whatever the lanes."""
    first, slopes = k.lane_of(k.word("first")), k.lane_of(k.word("slopes"))
    operands, count = k.pointer("operands"), k.lane_of(k.word("n_results"))
    inputs = [k.lane_of(k.load(operands, j, "i64")) for j in range(o.n)]

    def x(i: Number, kind: str) -> list[Number]:
        return [k.load(k.values, at + i, kind) for at in inputs]

    if not backward:
        k.each(count, lambda i, kind: _compute(k, o, x(i, kind), first + i, slopes + i))
        return
    adjoints, first_adjoint = k.pointer("operand_adjoints"), k.lane_of(k.word("first_adjoint"))
    given = [k.lane_of(k.load(adjoints, j, "i64")) for j in range(o.n)]

    def give(i: Number, kind: str) -> None:
        g = k.load(k.adjoints, first_adjoint + i, kind)
        for j, share in _shares(k, o, lambda: x(i, kind), first + i, slopes + i, g):
            if o.is_own:
                k.store(share, k.adjoints, given[j] + i)
            else:
                k.add_to(k.adjoints, given[j] + i, share)

    k.each(count, give)


def _results(k: Kernel, o: Operation, backward: bool) -> None:
    """Result by result, each with the offsets of its inputs."""
    with k.loop(k.word("n_results")) as i:
        _one(k, o, backward, i)


def _one(k: Kernel, o: Operation, backward: bool, i: Number | None = None) -> None:
    """One result: number i of the run, or the only one."""
    if i is None and o.n <= 2:
        i = k.integer(0)
        inputs = [k.lane_of(k.word(f"operand_{j}")) for j in range(o.n)]
        given = [k.lane_of(k.word(f"adjoint_{j}")) for j in range(o.n)]
    else:
        i = k.integer(0) if i is None else i
        operands, adjoints = k.pointer("operands"), k.pointer("operand_adjoints")
        inputs = [k.lane_of(k.load(operands, i * o.n + j, "i64")) for j in range(o.n)]
        given = [k.lane_of(k.load(adjoints, i * o.n + j, "i64")) for j in range(o.n)]
    output, slope, g_at = [k.lane_of(k.word(name) + i) for name in ("first", "slopes", "first_adjoint")]
    with k.each_lane() as lane:

        def x() -> list[Number]:
            return [k.value(at, lane) for at in inputs]

        if backward:
            for j, share in _shares(k, o, x, output + lane, slope + lane, k.adjoint(g_at, lane)):
                k.add_to(k.adjoints, given[j] + lane, share)
        else:
            _compute(k, o, x(), output + lane, slope + lane)


def _collected(k: Kernel, o: Operation, backward: bool, width: int) -> None:
    """One example: the inputs of several results are collected into vectors, wherever they are."""
    operands, first, slopes = k.pointer("operands"), k.word("first"), k.word("slopes")
    adjoints, first_adjoint = k.pointer("operand_adjoints"), k.word("first_adjoint")
    count = k.word("n_results")
    with k.loop(count, step=width) as i:
        # Behind the last result, lanes repeat it; what they compute goes to the numbers that nobody reads.
        results = [k.minimum(i + lane, count - 1) for lane in range(width)]

        def x(results: list[Number] = results) -> list[Number]:
            def column(j: int) -> Number:
                return k.vector([k.load(k.values, k.load(operands, r * o.n + j, "i64")) for r in results])

            return [column(j) for j in range(o.n)]

        if not backward:
            out = records.forward(o.op, k, x())
            mask = k.lanes_below(count - i, width)
            k.store_masked(out, k.values, first + i, mask)
            if o.keeps_slope:
                k.store_masked(records.partials(o.op, k, out, x())[0], k.values, slopes + i, mask)
        else:
            mask = k.lanes_below(count - i, width)

            def loaded(numbers: Number, at: Number, mask: Number = mask) -> Number:
                return k.load_masked(numbers, at, mask)

            g = loaded(k.adjoints, first_adjoint + i)
            if o.keeps_slope:
                shares = [(0, loaded(k.values, slopes + i) * g)]
            else:
                partials = records.partials(o.op, k, loaded(k.values, first + i), x())
                shares = [(j, slope * g) for j, slope in enumerate(partials) if o.active[j]]
            for j, share in shares:
                for lane, r in enumerate(results):  # one after the other: two of them may be the same
                    at = k.load(adjoints, r * o.n + j, "i64")
                    k.add_to(k.adjoints, k.select(i + lane < count, at, k.integer(0)), share[lane])


def elementwise(o: Operation, shape: str, target: Target, single: bool) -> list[Kernel]:
    """The forward kernel of an operation, and the backward one if an input is active.

    Args:
        o: the operation.
        shape: "row" if all first inputs are adjacent, and all second ones, and so on; "one" for a single
            result; "few" up to `FEW`; "many" otherwise.
        target: the precision.
        single: for one example at a time.
    """
    write: Callable[..., None] = {"row": _row, "one": _one}.get(shape, _results)
    if single and shape in ("few", "many") and is_worth_collecting(o.op, o.n, target):
        write = functools.partial(
            _collected, width=target.width if shape == "many" else min(FEW, target.width)
        )
    kernels = [written("forward", target, single, lambda k: write(k, o, backward=False))]
    if any(o.active):
        kernels.append(written("backward", target, single, lambda k: write(k, o, backward=True)))
    return kernels


@functools.lru_cache(maxsize=256)
def is_worth_keeping(op: Op, n: int, target: Target) -> bool:
    """Whether the slope takes so long to compute that the forward pass keeps it."""
    return n == 1 and not why_in_python(op, n, target) and _length(op, n, target, of_slopes=True) > COSTLY


@functools.lru_cache(maxsize=256)
def is_worth_collecting(op: Op, n: int, target: Target) -> bool:
    """Whether an operation takes longer than collecting the operands of several results into vectors."""
    return _length(op, n, target, of_slopes=False) > COSTLY


@functools.lru_cache(maxsize=256)
def why_in_python(op: Op, n: int, target: Target) -> str | None:
    """Why an operation can't become machine code; None if it can."""
    try:
        _length(op, n, target, of_slopes=False)
        _length(op, n, target, of_slopes=True)
    except TranslationError as error:
        return str(error)
    return None


def _length(op: Op, n: int, target: Target, of_slopes: bool) -> int:
    """How many instructions an operation takes, or its slopes."""
    code = Code("probe", [(f"x{j}", target.real) for j in range(n + 1)], target)
    if of_slopes:
        records.partials(op, code, code.arguments[n], code.arguments[:n])
    else:
        records.forward(op, code, code.arguments[:n])
    return code.text().count("\n")
