"""`no_grad` and `detect_anomaly`: what is recorded, and which number is an error, while they last."""

import asyncio
import contextlib
import math
import sys

import pytest

from micrograd_mlp import (
    Constant,
    Value,
    detect_anomaly,
    dot,
    exp,
    no_grad,
    primitive,
    sqrt,
    total,
)
from micrograd_mlp.engine.modes import modes_in_use


class TestModes:
    def test_are_counted_so_that_outside_of_them_no_operator_asks(self):
        seen = [len(modes_in_use)]
        with contextlib.suppress(ZeroDivisionError), no_grad():
            seen.append(len(modes_in_use))
            with detect_anomaly():
                seen.append(len(modes_in_use))
            seen.append(len(modes_in_use))
            raise ZeroDivisionError
        assert [*seen, len(modes_in_use)] == [0, 1, 2, 1, 0]


class TestNoGrad:
    def test_gives_constants(self):
        with no_grad():
            y = Value(2.0) * 3 + total([Value(1.0), 2.0])
        assert (type(y), y.data, y.parents, y.op) == (Constant, 9.0, (), None)

    def test_is_a_decorator_too(self):
        @no_grad()
        def predict(x):
            return x * 2

        assert predict(Value(1.0)).parents == ()
        assert len((Value(1.0) * 2).parents) == 2

    def test_is_a_decorator_without_brackets_too(self):
        @no_grad
        def predict(x):
            """Doubles."""
            return x * 2

        assert predict(Value(1.0)).parents == ()
        assert (predict.__name__, predict.__doc__) == ("predict", "Doubles.")

    def test_blocks_may_be_left_in_any_order(self):
        first, second = no_grad(), no_grad()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert type(Value(1.0) * 2) is Constant
        second.__exit__(None, None, None)
        assert len((Value(1.0) * 2).parents) == 2
        assert modes_in_use == []

    def test_a_generator_that_is_dropped_inside_of_a_block_leaves_its_own(self):
        def numbers():
            with no_grad():
                yield Value(1.0) * 2

        generator = numbers()
        next(generator)
        with detect_anomaly():
            generator.close()
            assert len((Value(1.0) * 2).parents) == 2
            with pytest.raises(FloatingPointError):
                Value(0.0).log()
        assert modes_in_use == []

    def test_one_block_may_be_entered_again(self):
        block = no_grad()
        with block, block:
            assert type(Value(1.0) * 2) is Constant
        with block:
            assert type(Value(1.0) * 2) is Constant
        assert type(Value(1.0) * 2) is Value

    def test_of_a_generator_holds_while_it_computes_and_not_while_its_items_are_used(self):
        log = []

        @no_grad()
        def predictions(x):
            try:
                while x is not None:
                    x = yield type(x * 2)
            except KeyError as error:
                log.append(type(Value(1.0) * 2))
                yield error
            finally:
                log.append(type(Value(1.0) * 2))

        assert [next(predictions(Value(1.0))), type(Value(1.0) * 2)] == [Constant, Value]
        log.clear()
        generator = predictions(Value(1.0))
        assert next(generator) is Constant
        assert generator.send(Value(2.0)) is Constant
        assert type(Value(1.0) * 2) is Value
        error = KeyError("x")
        assert generator.throw(error) is error
        assert type(Value(1.0) * 2) is Value
        generator.close()
        assert log == [Constant, Constant]
        assert modes_in_use == []

    def test_of_a_coroutine_holds_while_it_computes_and_not_in_other_tasks(self):
        @no_grad
        async def predict(x):
            before = type(x * 2)
            await asyncio.sleep(0)
            return before, type(x * 2)

        async def other():
            kinds = []
            for _ in range(3):
                kinds.append(type(Value(1.0) * 2))
                await asyncio.sleep(0)
            return kinds

        async def main():
            return await asyncio.gather(predict(Value(1.0)), other(), predict(Value(1.0)))

        assert asyncio.run(main()) == [(Constant, Constant), [Value] * 3, (Constant, Constant)]
        coroutine = predict(Value(1.0))
        coroutine.send(None)
        assert type(Value(1.0) * 2) is Value
        with pytest.raises(StopIteration) as end:
            coroutine.send(None)
        assert end.value.value == (Constant, Constant)

    def test_of_an_asynchronous_generator(self):
        @no_grad
        async def predictions(x):
            for _ in range(2):
                await asyncio.sleep(0)
                yield type(x * 2)

        async def main():
            return [(kind, type(Value(1.0) * 2)) async for kind in predictions(Value(1.0))]

        assert asyncio.run(main()) == [(Constant, Value)] * 2


class TestDetectAnomaly:
    def test_as_a_decorator_starts_anew_with_every_call(self):
        @detect_anomaly()
        def f(x):
            return x.log()

        assert f(Value(1.0)).data == 0.0
        with pytest.raises(FloatingPointError):
            f(Value(0.0))

    def test_forward_names_op_operands_labels_and_line(self):
        x, y = Value(1.0, "x"), Value(0.0, "y")
        with detect_anomaly(), pytest.raises(FloatingPointError) as caught:
            _ = x * 2 / y
        line = sys._getframe().f_lineno - 1
        assert str(caught.value) == (f"div(2.0, y=0.0) is inf, from finite operands, at {__file__}:{line}")

    def test_backward_names_op_operands_labels_and_line(self):
        x = Value(0.0, "x")
        with detect_anomaly():
            y = sqrt(x) * 2
            line = sys._getframe().f_lineno - 1
            with pytest.raises(FloatingPointError) as caught:
                y.backward()
        message = str(caught.value)
        assert "the gradient of x=0.0 became inf in the backward pass of sqrt(x=0.0)" in message
        assert f"local derivative inf times 2.0, computed at {__file__}:{line}" in message

    def test_backward_of_a_graph_from_outside_the_block(self):
        x = Value(0.0, "x")
        y = sqrt(x)
        with detect_anomaly(), pytest.raises(FloatingPointError, match=r"a line outside detect_anomaly\(\)"):
            y.backward()

    def test_every_way_of_recording_is_watched(self):
        v = Value(1e308, "v")
        with detect_anomaly():
            for overflow in (
                lambda: v * 10,
                lambda: 10 * v,
                lambda: v.exp(),
                lambda: exp(v),
                lambda: total([v, v]),
                lambda: dot([v], [v]),
                lambda: v**2,
                lambda: -v - v,
            ):
                with pytest.raises(FloatingPointError, match="v=1e"):
                    overflow()

    def test_an_op_of_the_users(self):
        blow_up = primitive(name="blow_up", partials=lambda out, x: (x,))(lambda x: math.inf)
        with detect_anomaly(), pytest.raises(FloatingPointError, match=r"blow_up\(2.0\) is inf"):
            blow_up(Value(2.0))

    def test_a_number_that_was_not_finite_before_is_no_news(self):
        with detect_anomaly():
            y = exp(Value(math.inf) * 2)
        assert y.data == math.inf

    def test_finite_numbers_pass(self):
        x = Value(0.5)
        with detect_anomaly():
            y = (x * 3).tanh() + total([x, x])
            y.backward()
        assert x.grad == pytest.approx(3 * (1 - math.tanh(1.5) ** 2) + 2)

    def test_many_operands_are_shortened(self):
        values = [Value(1e308) for _ in range(100)]
        with detect_anomaly(), pytest.raises(FloatingPointError, match="… 100 operands") as caught:
            total(values)
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize(("n", "rest"), [(8, ""), (9, ", … 9 operands")])
    def test_up_to_eight_operands_are_shown(self, n, rest):
        with detect_anomaly(), pytest.raises(FloatingPointError) as caught:
            total([Value(1e308) for _ in range(n)])
        assert str(caught.value).startswith(f"total({', '.join(['1e+308'] * 8)}{rest}) is inf")
