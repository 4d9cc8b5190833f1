"""Compiled programs in a process that forks, and copies of them."""

import copy
import os
import pickle
import threading

import pytest

from micrograd_mlp import MLP, SGD, Value

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # from 3.12 on, about threads
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning")  # of JAX, if another test has imported it
def test_a_process_that_is_forked_while_a_thread_computes_does_not_hang(compile):
    w = Value(2.0)
    program = compile(lambda: w * w, [w])
    program()
    inside, leave = threading.Event(), threading.Event()

    def callback(step, loss):
        inside.set()
        leave.wait(60)

    thread = threading.Thread(
        target=program.train, args=(SGD([w], lr=0.0),), kwargs={"steps": 1, "callback": callback}
    )
    thread.start()
    assert inside.wait(60)
    child = os.fork()
    if child == 0:
        os._exit(0 if program() == 4.0 else 1)
    status = None
    for _ in range(600):
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            break
        threading.Event().wait(0.1)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        status = "hangs"
    leave.set()
    thread.join()
    assert status == 0


class TestCopies:
    def test_a_copy_shares_the_parameters(self, compile):
        model = MLP(2, [3, 1], seed=0)
        program = compile(model, model.parameters())
        twin = copy.copy(program)
        assert all(p is q for p, q in zip(twin.parameters, program.parameters))
        assert twin.predict([[1.0, 2.0]]) == program.predict([[1.0, 2.0]])

    @pytest.mark.parametrize(
        "duplicate", [copy.deepcopy, lambda program: pickle.loads(pickle.dumps(program))]
    )
    def test_a_deep_copy_has_parameters_of_its_own_which_its_f_uses(self, compile, duplicate):
        model = MLP(2, [3, 1], seed=0)
        program = compile(model, model.parameters())
        before = program.predict([[1.0, 2.0]])
        twin = duplicate(program)
        assert twin.predict([[1.0, 2.0]]) == before
        for p in twin.parameters:
            p.data += 1.0
        assert twin.predict([[1.0, 2.0]]) != before
        assert program.predict([[1.0, 2.0]]) == before
        assert twin.loss_and_grad([[1.0, 2.0]])[1].any()

    @pytest.mark.parametrize(
        "duplicate", [copy.copy, copy.deepcopy, lambda program: pickle.loads(pickle.dumps(program))]
    )
    def test_a_copy_has_the_same_precision(self, compile, dtype, duplicate):
        model = MLP(2, [3, 1], seed=0)
        twin = duplicate(compile(model, model.parameters()))
        assert twin.dtype == dtype
        assert twin.predict([[1.0, 2.0]]).dtype == dtype

    def test_a_deep_copy_of_a_plain_function_trains_what_that_reads(self, compile):
        w = Value(2.0)
        program = compile(lambda: w * w, [w])
        twin = copy.deepcopy(program)
        assert twin.loss_and_grad()[1].tolist() == [4.0]

    def test_a_pickled_function_that_reads_other_values_is_refused(self, compile):
        program = pickle.loads(pickle.dumps(compile(square_of_a_global, [GLOBAL])))
        with pytest.raises(RuntimeError, match="uses none of the parameters"):
            program()


GLOBAL = Value(3.0)


def square_of_a_global():
    return GLOBAL * GLOBAL


def test_a_node_with_given_derivatives_is_refused(compile):
    w = Value(3.0)
    with pytest.raises(RuntimeError, match=r"(?s)Value\(data, children, local_grads\).*primitive"):
        compile(lambda x: Value(w.data * x.data, (w, x), (x.data, w.data)), [w])([1.0])
