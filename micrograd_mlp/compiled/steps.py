"""The one function that Python calls: a prediction, a gradient, or many steps of training (§6, §7, §10).

A step goes over its examples like this. The uniform tape is executed forward. The examples are cut into
shards, a shard into blocks; for each block the varying tape is executed forward and backward (`_shard`). The
gradients of the shards are added up, and the uniform tape is executed backward (`_finish`). Then the
optimizer's rule moves the parameters (`move`). For a gradient of few examples it takes longer to store it and
to load it again than to compute it: then the backward pass moves the matrices (`step_of_matrix`).

Threads share the examples of a step. Thread 0 leads: it owns the parameters, adds up what all found, and
applies the rule. Each thread has a shard that is its own; the last quarter of the examples is cut into
smaller shards, which go to whichever thread is free, since cores are not equally fast. The result of each
shard is kept apart and added in the order of the shards, so that the sum does not depend on which thread
computed it.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from micrograd_mlp.compiled import records
from micrograd_mlp.compiled.affine import PRODUCT, flat_product, sum_of_row, transposed
from micrograd_mlp.compiled.code import BYTES, Code, Number, Operand, Target
from micrograd_mlp.compiled.kernels import BLOCK, WORDS

PREDICT, GRADIENT, TRAIN = range(3)  # what `execute` is called for
STOPPED = -1
MAX_FREE_SHARDS = 8  # for each thread
PATIENCE = 10_000  # how often to look at another thread's progress before giving way, some microseconds

JOB = (
    # The graph: `plan.Plan`, and the first and the last run of each tape.
    "first_uniform", "last_uniform", "first_varying", "last_varying",
    "broadcast_to", "broadcast_from", "broadcast_to_adjoint", "broadcast_from_adjoint", "n_broadcast",
    "outputs", "n_outputs", "output_adjoint", "first_parameter", "n_parameters", "n_x", "n_y",
    "product", "dots", "transpose", "cleared", "n_cleared", "gradient_cleared", "n_gradient_cleared", "lanes",
    "is_single",
    # The memory of this thread: the values of the uniform tape; values, adjoints and scratch of a block; and
    # the number of the operation that raised an error, from 1.
    "uniform", "values", "adjoints", "scratch", "failed",
    # The examples: x and y row by row, and the order in which steps take them.
    "x", "y", "order",
    # What to do: step s takes the examples order[bounds[2s] : bounds[2s + 1]] and leaves its loss in
    # results[s], or outputs with PREDICT; t is the number of the
    # first step for the rule, from 0; `finished` counts those of this call.
    "mode", "bounds", "n_steps", "results", "rule", "t", "state", "settings", "finished",
    # Which parameters `move` moves: the first one and the number of each range. The others are moved by
    # `step_of_matrix` in the backward pass, which notes in `check` whether they are finite.
    "moved", "n_moved", "step_of_matrix", "check",
    # Whether numbers below the smallest normal one count as 0.
    "flushes",
    # The team: this thread's number, how many threads, for each of them the steps that it has begun (the
    # leader) or finished, and last the number of the next free shard; the leader's parameters; for each
    # shard its loss, and its gradient, which is so wide.
    "number", "size", "progress", "theta", "losses", "gradients", "width",
)  # fmt: skip
"""What `execute` reads: numbers and addresses, 64 bits each."""


class Execute(Code):
    """`execute` while it is written, with names for its job."""

    def __init__(self, target: Target) -> None:
        super().__init__("execute", [("job", "ptr")], target)
        self.job = self.arguments[0]
        self.t = self.variable(0.0, "double")  # the number of the step for the rule

    def word(self, name: str) -> Number:
        """A number of the job."""
        return self.load(self.job, JOB.index(name), "i64")

    def flushing(self) -> AbstractContextManager[None]:
        """Whether numbers below the smallest normal one count as 0 here, as the job says."""
        return self.subnormals_are_zero(self.word("flushes").differs(0))

    def pointer(self, name: str) -> Number:
        """An address of the job."""
        return self.load(self.job, JOB.index(name), "ptr")


# Blocks


def _block(
    e: Execute,
    lanes: Number,
    examples: Number,
    gradient: Number,
    rows: Operand = 0,
    is_first: Operand = 0,
) -> Number:
    """What kernels read of a block: see `kernels.BLOCK`."""
    block = Number(e, e.in_front(f"alloca [{len(BLOCK)} x i64]"), "ptr")
    of_job = [e.word(name) for name in ("scratch", "failed", "product", "dots", "transpose")]
    of_step = [e.integer(0), e.pointer("settings"), e.t.now, e.pointer("check")]
    fields = [lanes, examples, e.pointer("uniform"), gradient, *of_job, e.integer(rows), e.integer(is_first)]
    fields += of_step
    for k, field in enumerate(fields):
        e.line(f"store {field.type} {field.text}, ptr {e.at(block, k, 'i64').text}")
    return block


def _run_tape(e: Execute, tape: str, values: Number, adjoints: Number, block: Number, backward: bool) -> None:
    """Call the first kernel of a tape, which goes on to the others; or the last one, which goes back."""
    run = e.pointer(f"last_{tape}" if backward else f"first_{tape}")
    kernel = e.load(run, WORDS.index("backward" if backward else "forward"), "ptr")
    e.call(kernel, [run, values, adjoints, block])


WORTH_TRANSPOSING = 5  # numbers of an example from which on they are loaded as a vector


def _load(e: Execute, name: str, first: Number, start: Number, lanes: Number, examples: Number) -> None:
    """Copy x or y of a block to its values, with a lane for each example; others repeat the last one."""
    n, numbers, order, values = e.word(f"n_{name}"), e.pointer(name), e.pointer("order"), e.pointer("values")
    width = e.target.width
    with e.if_(e.word("is_single").equals(1)):
        row = e.load(order, start, "i64") * n
        e.each(n, lambda k, kind: e.store(e.load(numbers, row + k, kind), values, first + k))
    whole = n // width * width
    with e.if_(e.word("is_single").equals(0)), e.loop(lanes, step=width) as lane:
        rows = []
        for i in range(width):
            example = e.minimum(lane + i, examples - 1)
            rows.append(e.at(numbers, e.load(order, start + example, "i64") * n))
        with e.loop(whole, step=width) as k:
            square = [e.load(row, k, e.target.vector) for row in rows]
            for i, column in enumerate(transposed(e, square)):
                e.store(column, values, (first + k + i) * lanes + lane)
        is_much = n - whole >= WORTH_TRANSPOSING
        with e.if_(is_much):
            square = [e.load_masked(row, whole, e.lanes_below(n - whole)) for row in rows]
            for i, column in enumerate(transposed(e, square)):
                with e.if_(n - whole > i):
                    e.store(column, values, (first + whole + i) * lanes + lane)
        with e.if_(~is_much), e.loop(n, start=whole) as k:
            e.store(e.vector([e.load(row, k) for row in rows]), values, (first + k) * lanes + lane)


def _rows_in_order(e: Execute, start: Number, examples: Number) -> Number:
    """The address of these examples' x if they stand one after the other, else 0."""
    order = e.pointer("order")
    first = e.load(order, start, "i64")
    others = e.variable(e.integer(0))
    with e.loop(examples) as i:
        is_other = e.load(order, start + i, "i64").differs(first + i)
        others.set(others.now + e.select(is_other, e.integer(1), e.integer(0)))
    rows = e.word("x") + first * e.word("n_x") * BYTES[e.target.real]
    return e.select(others.now.equals(0), rows, e.integer(0))


def _broadcast(e: Execute, lanes: Number) -> None:
    """Repeat the uniform numbers that the varying tape needs in all lanes."""
    to, source = e.pointer("broadcast_to"), e.pointer("broadcast_from")
    with e.loop(e.word("n_broadcast")) as i:
        number = e.load(e.pointer("uniform"), e.load(source, i, "i64"))
        first = e.load(to, i, "i64") * lanes
        e.each(lanes, lambda k, kind: e.store(e.number(number, kind), e.pointer("values"), first + k))


def _broadcast_backward(e: Execute, gradient: Number, lanes: Number, examples: Number) -> None:
    """The adjoint of a uniform number is the sum of those of its lanes."""
    to, source = e.pointer("broadcast_to_adjoint"), e.pointer("broadcast_from_adjoint")
    with e.loop(e.word("n_broadcast")) as i:
        adjoint = e.load(to, i, "i64")
        with e.if_(adjoint > 0):
            row = e.at(e.pointer("adjoints"), adjoint * lanes)
            e.add_to(gradient, e.load(source, i, "i64"), sum_of_row(e, row, examples))


def _clear(e: Execute, numbers: Number, n: Number) -> None:
    e.each(n, lambda k, kind: e.store(e.number(0.0, kind), numbers, k))


def _clear_ranges(e: Execute, name: str, numbers: Number, lanes: Number) -> None:
    with e.loop(e.word(f"n_{name}")) as i:
        of_range = e.at(e.pointer(name), i * 2, "i64")
        row = e.at(numbers, e.load(of_range, 0, "i64") * lanes)
        _clear(e, row, e.load(of_range, 1, "i64") * lanes)


def _shard(e: Execute, gradient: Number, start: Number, stop: Number, n_in_step: Number) -> Number:
    """The loss of the examples order[start:stop] and its gradient, divided by n; or their outputs."""
    width, lanes_of_block = e.target.width, e.word("lanes")
    scale = 1.0 / n_in_step.to_real("double")
    loss = e.variable(0.0, "double")
    with e.if_(start < stop):
        _clear_ranges(e, "gradient_cleared", gradient, e.integer(1))
    with e.if_(start >= stop):  # a shard without examples
        _clear(e, gradient, e.word("width"))
    values, adjoints, outputs = e.pointer("values"), e.pointer("adjoints"), e.pointer("outputs")
    following = e.variable(start)
    with e.while_(lambda: (following.now < stop) & _has_not_failed(e)):
        first = following.now
        # Of those that are left, blocks of equal size, in whole vectors.
        left = stop - first
        n_blocks = (left + lanes_of_block - 1) // lanes_of_block
        rounded = ((left + n_blocks - 1) // n_blocks + width - 1) // width * width
        lanes = e.select(e.word("is_single").equals(1), e.integer(1), rounded)
        examples = e.minimum(left, lanes)
        following.set(first + examples)
        is_first = e.select(first.equals(start), e.integer(1), e.integer(0))
        block = _block(e, lanes, examples, gradient, _rows_in_order(e, first, examples), is_first)
        _load(e, "x", e.integer(0), first, lanes, examples)
        _load(e, "y", e.word("n_x"), first, lanes, examples)
        _broadcast(e, lanes)
        _run_tape(e, "varying", values, adjoints, block, backward=False)
        with e.if_(e.word("mode").equals(PREDICT) & _has_not_failed(e)):
            n_outputs = e.word("n_outputs")
            with e.loop(n_outputs) as k, e.loop(examples) as lane:
                number = e.load(values, e.load(outputs, k, "i64") * lanes + lane)
                e.store(number, e.pointer("results"), (first + lane) * n_outputs + k)
        with e.if_(e.word("mode").differs(PREDICT) & _has_not_failed(e)):
            _clear_ranges(e, "cleared", adjoints, lanes)
            output = e.at(values, e.load(outputs, 0, "i64") * lanes)
            loss.set(loss.now + sum_of_row(e, output, examples).converted("double"))
            moves = (following.now >= stop) & (abs(loss.now * scale) < math.inf)
            step_of_matrix = e.select(moves, e.word("step_of_matrix"), 0)
            e.store(step_of_matrix, block, BLOCK.index("step_of_matrix"))
            seed, at = scale.converted(e.target.real), e.word("output_adjoint") * lanes
            e.each(examples, lambda k, kind: e.store(e.number(seed, kind), adjoints, at + k))
            _run_tape(e, "varying", values, adjoints, block, backward=True)
            _broadcast_backward(e, gradient, lanes, examples)
    return loss.now * scale


def _at_least(e: Execute, number: Number, least: int) -> Number:
    return e.maximum(number, e.integer(least))


def _has_not_failed(e: Execute) -> Number:
    return e.load(e.pointer("failed"), 0, "i64").equals(0)


# Steps


def _published(e: Execute, i: Number) -> Number:
    """progress[i], whichever thread wrote it."""
    return e.emit(
        "i64", f"load atomic i64, ptr {e.at(e.pointer('progress'), i, 'i64').text} acquire, align 8"
    )


def _publish(e: Execute, i: Number, number: Number) -> None:
    """progress[i] = number; another thread that reads it sees all that this one wrote before."""
    address = e.at(e.pointer("progress"), i, "i64")
    e.line(f"store atomic i64 {number.text}, ptr {address.text} release, align 8")


def _wait_for(e: Execute, thread: Number, step: Number) -> Number:
    """Wait until that thread has come to this step; false if it has stopped instead."""
    tries, now = e.variable(e.integer(0)), e.variable(_published(e, thread))
    with e.while_(lambda: (now.now > STOPPED) & (now.now < step)):
        tries.set(tries.now + 1)
        if sys.platform != "win32":
            with e.if_(tries.now > PATIENCE):  # that thread may be waiting for this very core
                e.declare("declare i32 @sched_yield()")
                e.emit("i32", "call i32 @sched_yield()")
        now.set(_published(e, thread))
    return now.now.differs(STOPPED)


def _leave_unless(e: Execute, condition: Number) -> None:
    with e.if_(~condition):
        e.return_()


def _begin(e: Execute, step: Number, theta: Number) -> None:
    """The leader lets the others begin a step; the others wait for that and take over its parameters."""
    size, is_leader = e.word("size"), e.word("number").equals(0)
    with e.if_(is_leader & (size > 1)):
        _publish(e, size, size)
        _publish(e, e.integer(0), step)
    with e.if_(~is_leader):
        _leave_unless(e, _wait_for(e, e.integer(0), step))
        leader = e.pointer("theta")
        e.each(e.word("n_parameters"), lambda k, kind: e.store(e.load(leader, k, kind), theta, k))


def _work(e: Execute, start: Number, stop: Number) -> Number:
    """Compute the assigned shard, then free ones until there are none; returns the number of all shards."""
    size, lanes, width = e.word("size"), e.word("lanes"), e.word("width")
    n_blocks = (stop - start + lanes - 1) // lanes

    # Three quarters of all blocks are assigned in advance, as many to each thread.
    several = e.minimum((n_blocks * 3 + size * 4 - 1) // (size * 4), n_blocks // size)
    assigned = e.select(size.equals(1), n_blocks, several)
    free_blocks = n_blocks - size * assigned
    n_free = e.minimum(free_blocks, size * MAX_FREE_SHARDS)

    def first(shard: Number) -> Number:
        free = size * assigned + free_blocks * (shard - size) // _at_least(e, n_free, 1)
        return e.minimum(start + e.select(shard <= size, shard * assigned, free) * lanes, stop)

    shard = e.variable(e.word("number"))
    with e.while_(lambda: (shard.now < size + n_free) & _has_not_failed(e)):
        now = shard.now
        gradient = e.at(e.pointer("gradients"), now * width)
        loss = _shard(e, gradient, first(now), first(now + 1), stop - start)
        e.store(loss, e.pointer("losses"), now)
        with e.if_(size > 1):
            address = e.at(e.pointer("progress"), size, "i64").text
            shard.set(e.emit("i64", f"atomicrmw add ptr {address}, i64 1 acq_rel"))
        with e.if_(size.equals(1)):
            shard.set(now + 1)
    return size + n_free


def _without_examples(e: Execute, gradient: Number) -> None:
    """For a graph of parameters alone: its outputs, or its loss and where the backward pass begins."""
    outputs, uniform = e.pointer("outputs"), e.pointer("uniform")
    with e.if_(e.word("mode").equals(PREDICT)), e.loop(e.word("n_outputs")) as k:
        e.store(e.load(uniform, e.load(outputs, k, "i64")), e.pointer("results"), k)
    with e.if_(e.word("mode").differs(PREDICT)):
        _clear(e, gradient, e.word("width"))
        e.store(1.0, gradient, e.word("output_adjoint"))
    e.store(e.load(uniform, e.load(outputs, 0, "i64")).converted("double"), e.pointer("losses"), 0)


def _finish(e: Execute, s: Number, n: Number, gradient: Number) -> None:
    """Add up the results of n shards, and go backward to the parameters."""
    losses, width, loss = e.pointer("losses"), e.word("width"), e.variable(0.0, "double")
    with e.loop(n) as shard:
        loss.set(loss.now + e.load(losses, shard, "double"))
    with e.loop(n, start=1) as shard:
        other = e.at(gradient, shard * width)
        e.each(width, lambda k, kind: e.add_to(gradient, k, e.load(other, k, kind)))
    with e.if_(e.word("mode").differs(PREDICT)):
        e.store(loss.now, e.pointer("results"), s)
        block = _block(e, e.integer(1), e.integer(1), gradient)
        _run_tape(e, "uniform", e.pointer("uniform"), gradient, block, backward=True)


def move(e: Execute, s: Number, theta: Number, gradient: Number) -> None:
    """Apply the optimizer's rule to a gradient that begins at index 1.

    After inf or nan no further step makes sense: then it leaves the function.
    """
    _leave_unless(e, abs(e.load(e.pointer("results"), s, "double")) < math.inf)
    moved, check = e.pointer("moved"), e.variable(e.load(e.pointer("check")))
    with e.loop(e.word("n_moved")) as i:
        first, n = e.load(moved, i * 2, "i64"), e.load(moved, i * 2 + 1, "i64")
        place = e.at(theta, first), e.at(gradient, first + 1), e.pointer("state"), e.pointer("settings")
        of_range = e.call(e.pointer("rule"), [*place, n, e.t.now], e.target.real)
        assert of_range is not None
        check.set(check.now + of_range)
    e.store(check.now, e.pointer("check"))
    finished = e.pointer("finished")
    e.store(e.load(finished, 0, "i64") + 1, finished)
    _leave_unless(e, check.now.equals(0.0))


@functools.cache
def execute(target: Target) -> Code:
    """Take some steps: loss, gradient and, in the mode TRAIN, the optimizer's rule.

    A step that gives inf or nan is the last one. Each thread of a team calls this with a job of its own.
    """
    e = Execute(target)
    uniform, gradients, bounds = e.pointer("uniform"), e.pointer("gradients"), e.pointer("bounds")
    theta = e.at(uniform, e.word("first_parameter"))
    number, is_leader = e.word("number"), e.word("number").equals(0)
    with e.flushing(), e.loop(e.word("n_steps")) as s:
        e.t.set((e.word("t") + s).to_real("double"))
        _begin(e, s + 1, theta)
        block = _block(e, e.integer(1), e.integer(1), gradients)
        _run_tape(e, "uniform", uniform, gradients, block, backward=False)
        _leave_unless(e, _has_not_failed(e))
        n = e.variable(e.integer(1))
        has_inputs = (e.word("n_x") + e.word("n_y")) > 0
        with e.if_(has_inputs):
            n.set(_work(e, e.load(bounds, s * 2, "i64"), e.load(bounds, s * 2 + 1, "i64")))
        with e.if_(~has_inputs):
            _without_examples(e, gradients)
        _leave_unless(e, _has_not_failed(e))
        with e.if_(~is_leader):
            _publish(e, number, s + 1)
        with e.if_(is_leader):
            with e.loop(e.word("size"), start=1) as other:
                _leave_unless(e, _wait_for(e, other, s + 1))
            _finish(e, s, n.now, gradients)
            _leave_unless(e, _has_not_failed(e))
            with e.if_(e.word("mode").equals(TRAIN)):
                move(e, s, theta, gradients)
    return e


# Optimizers (§10)

RULE = [
    ("theta", "ptr"),
    ("gradient", "ptr"),
    ("state", "ptr"),
    ("settings", "ptr"),
    ("n", "i64"),
    ("t", "double"),
]


def step_of(rule: Callable[..., object], n_states: int, n_settings: int, target: Target) -> Code:
    """One step of an optimizer's `rule` for n parameters, in place. The rule is written for one of them.

    Moments of gradients that have become 0 shrink for ever: below the smallest normal number they are 0.

    Returns:
        A function that returns 0 if all new parameters and their state are finite, else nan.

    Raises:
        TranslationError: the rule can't be turned into machine code.
    """
    code = Code("step", RULE, target, returns=target.real)
    theta, gradient, state, settings, n, t = code.arguments
    t, *hyperparameters = _shared(code, settings, n_settings, t)

    checks = {kind: code.variable(0.0, kind) for kind in (target.vector, target.real)}

    def move(i: Number, kind: str) -> None:
        states = [code.load(state, n * k + i, kind) for k in range(n_states)]
        arguments: Sequence[Number] = [
            code.load(theta, i, kind), code.load(gradient, i, kind), t, *states, *hyperparameters
        ]  # fmt: skip
        new, *new_states = records.rule(rule, code, arguments)
        new = code.number(new, kind)
        code.store(new, theta, i)
        check = new * 0.0  # 0 times inf or nan is nan, and stays nan
        for k, number in enumerate(new_states):
            new_state = code.number(number, kind)
            code.store(new_state, state, n * k + i)
            check = check + new_state * 0.0
        checks[kind].set(checks[kind].now + check)

    with code.subnormals_are_zero():
        code.each(n, move)
    code.return_(checks[target.vector].now.sum() + checks[target.real].now)
    return code


def _shared(code: Code, settings: Number, n_settings: int, t: Number) -> list[Number]:
    """t and the hyperparameters, which are the same for all parameters."""
    shared = [t, *[code.load(settings, k, "double") for k in range(n_settings)]]
    return [number.converted(code.target.real) for number in shared]


STEP_OF_MATRIX = [*PRODUCT, ("theta", "ptr"), ("settings", "ptr"), ("t", "double"), ("check", "ptr")]


def step_of_matrix(rule: Callable[..., object], n_settings: int, target: Target) -> Code:
    """One step of a `rule` without state for a matrix of parameters, whose gradient is a product.

    The gradient goes from registers into the rule: to store it and to load it again would take longer than
    the product of a few examples. What becomes inf or nan is added to `check`, as nan.
    """
    code = Code("step_of_matrix", STEP_OF_MATRIX, target)
    *product, theta, settings, t, check = code.arguments
    shared = _shared(code, settings, n_settings, t)
    checks = code.variable(0.0, target.vector)

    def move(gradient: Number, corner: Number, at: Number, mask: Number | None) -> None:
        matrix = code.at(theta, corner)
        [new] = records.rule(rule, code, [code.load_masked(matrix, at, mask), gradient, *shared])
        new = code.number(new, target.vector)
        code.store_masked(new, matrix, at, mask)
        if mask is not None:
            new = code.select(mask, new, 0.0)
        checks.set(checks.now + new * 0.0)

    flat_product(code, product, move)
    code.add_to(check, 0, checks.now.sum())
    return code
