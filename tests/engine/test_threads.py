"""Graphs, no_grad and detect_anomaly in several threads and tasks do not touch each other."""

import asyncio
import threading

import pytest

from micrograd_mlp import Value, detect_anomaly, exp, grad, log, no_grad


def in_threads(*functions):
    """Run all at once; what they return, or the first exception."""
    results = [None] * len(functions)

    def run(i, function):
        try:
            results[i] = function()
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def test_graphs_built_at_the_same_time_are_separate():
    def gradient_of(k):
        def work():
            x = Value(1.0)
            for _ in range(20):
                y = x
                for _ in range(300):
                    y = y + k * x
                x.grad = 0.0
                y.backward()
                assert x.grad == 1.0 + 300.0 * k
                assert y.data == 1.0 + 300.0 * k
            return x.grad

        return work

    assert in_threads(*map(gradient_of, range(4))) == [1.0, 301.0, 601.0, 901.0]


def test_no_grad_holds_for_its_own_thread():
    inside, checked = threading.Event(), threading.Event()

    def without():
        with no_grad():
            inside.set()
            assert checked.wait(60)
            return (Value(2.0) * 3).parents

    def recording():
        assert inside.wait(60)
        x = Value(2.0)
        y = x * 3 + exp(x) + (-x)
        [slope] = grad(y, [x])
        y.backward()
        checked.set()
        return slope == x.grad and len(y.parents) == 2

    assert in_threads(without, recording) == [(), True]


def test_detect_anomaly_holds_for_its_own_thread():
    inside, checked = threading.Event(), threading.Event()

    def watching():
        with detect_anomaly():
            inside.set()
            assert checked.wait(60)
            with pytest.raises(FloatingPointError, match=r"log\(p=0.0\) is -inf"):
                log(Value(0.0, "p"))

    def not_watching():
        assert inside.wait(60)
        y = log(Value(0.0)) * 2.0
        y.backward()
        checked.set()
        return y.data

    assert in_threads(watching, not_watching)[1] == float("-inf")


def test_modes_nest_and_end_with_their_block_even_after_an_error():
    with no_grad():
        with no_grad():
            pass
        assert (Value(1.0) + 1).parents == ()
        with pytest.raises(KeyError), no_grad():
            raise KeyError
        assert (Value(1.0) + 1).parents == ()
        with detect_anomaly():
            assert (Value(1.0) + 1).parents == ()
    assert len((Value(1.0) + 1).parents) == 2
    assert log(Value(0.0)).data == float("-inf")


def test_tasks_of_one_thread_have_their_own_modes():
    async def without():
        with no_grad():
            await asyncio.sleep(0)
            return (Value(1.0) + 1).parents

    async def recording():
        await asyncio.sleep(0)
        return len((Value(1.0) + 1).parents)

    async def both():
        return await asyncio.gather(without(), recording())

    assert asyncio.run(both()) == [(), 2]


def test_a_new_thread_starts_without_modes():
    with no_grad():
        [parents] = in_threads(lambda: (Value(1.0) + 1).parents)
    assert len(parents) == 2


def test_many_threads_enter_and_leave_modes_at_once():
    def work():
        for i in range(200):
            with no_grad():
                assert (Value(float(i)) * 2).parents == ()
            assert len((Value(float(i)) * 2).parents) == 2

    in_threads(*[work] * 4)
    assert len((Value(1.0) * 2).parents) == 2
