"""Compiled programs in hostile surroundings: caches, forks, copies, definitions that come again and again."""

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from micrograd_mlp import MLP, SGD, Value, primitive

np = pytest.importorskip("numpy")
numba = pytest.importorskip("numba")
from micrograd_mlp import compile  # noqa: E402  (needs the extra)
from micrograd_mlp.compiled import native, operations, rules  # noqa: E402  (needs the extra)

jit = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="nothing is compiled with NUMBA_DISABLE_JIT=1"
)

# A process that compiles one small function as the package does, and says whether it came from the cache.
SMALL = """
import sys
import numpy as np
from micrograd_mlp.compiled import native

def signature(numbers: native.Floats) -> None: ...

text = "def double(numbers):\\n    numbers[0] *= 2.0\\n"
scope = {"__name__": native.__name__}
exec(compile(text, sys.argv[1], "exec"), scope)
handle = native.entry(scope["double"], signature, cache=True)
numbers = np.array([21.0])
handle.ctypes(numbers.ctypes.data_as(handle.ctypes.argtypes[0]))
print(numbers[0], handle.cache_hits)
"""


def result_of_a_process(source, **environment):
    command = [sys.executable, "-c", SMALL, str(source)]
    env = {name: text for name, text in os.environ.items() if name != "NUMBA_CACHE_DIR"} | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()


@jit
@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_cache_file_is_rebuilt(tmp_path, kind, damage):
    source = tmp_path / "small.py"
    source.write_text("# Numba looks at the date of this file")
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    compiled, from_the_cache = ["42.0", "0"], ["42.0", "1"]
    assert result_of_a_process(source, **cache) == compiled
    assert result_of_a_process(source, **cache) == from_the_cache
    [file] = (tmp_path / "cache").rglob(f"*.{kind}")
    content = bytearray(file.read_bytes())
    for k in range(len(content) // 3, len(content), 50):
        content[k] ^= 0x10
    file.write_bytes({"cut": content[: len(content) // 2], "flipped": content, "emptied": b""}[damage])
    assert result_of_a_process(source, **cache) == compiled
    assert result_of_a_process(source, **cache) == from_the_cache


@jit
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
def test_without_a_folder_to_write_to_there_is_no_cache():
    nowhere = {"HOME": "/proc/self", "XDG_CACHE_HOME": "/proc/self"}
    assert result_of_a_process("/proc/self/small.py", **nowhere) == ["42.0", "0"]


def make_operation(slope):
    @primitive(partials=lambda out, x: (slope,))
    def line(x):
        return slope * x

    return line


@jit
def test_operations_of_equal_source_share_their_machine_code():
    """LLVM frees none: a definition inside a function, called again and again, must not fill the memory."""
    w = Value(2.0)
    compile(lambda: make_operation(3.0)(w), [w])
    n = len(operations._known)
    for _ in range(3):
        assert compile(lambda: make_operation(3.0)(w), [w])() == 6.0
    assert len(operations._known) == n
    assert compile(lambda: make_operation(4.0)(w), [w])() == 8.0
    assert compile(lambda: make_operation(-0.0)(w), [w])() == 0.0
    assert len(operations._known) == n + 2


def make_optimizer(params):
    class Plain(SGD):
        @staticmethod
        def rule(theta, g, t, lr):
            return (theta - lr * g,)

    return Plain(params, lr=0.25)


@jit
def test_so_do_optimizers_of_equal_rules():
    w = Value(2.0)
    program = compile(lambda: w * w, [w])
    program.train(make_optimizer([w]), steps=1)
    n = len(rules._known)
    program.train(make_optimizer([w]), steps=1)
    assert len(rules._known) == n
    assert w.data == 0.5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # from 3.12 on, about threads
def test_a_process_that_is_forked_while_a_thread_computes_does_not_hang():
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


def test_a_lock_may_be_taken_again_by_its_thread():
    lock = native.Lock()
    with lock, lock:
        pass


class TestCopies:
    def test_a_copy_shares_the_parameters(self):
        model = MLP(2, [3, 1], seed=0)
        program = compile(model, model.parameters())
        twin = copy.copy(program)
        assert all(p is q for p, q in zip(twin.parameters, program.parameters))
        assert twin.predict([[1.0, 2.0]]) == program.predict([[1.0, 2.0]])

    @pytest.mark.parametrize(
        "duplicate", [copy.deepcopy, lambda program: pickle.loads(pickle.dumps(program))]
    )
    def test_a_deep_copy_has_parameters_of_its_own_which_its_f_uses(self, duplicate):
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

    def test_a_deep_copy_of_a_plain_function_trains_what_that_reads(self):
        w = Value(2.0)
        program = compile(lambda: w * w, [w])
        twin = copy.deepcopy(program)
        assert twin.loss_and_grad()[1].tolist() == [4.0]

    def test_a_pickled_function_that_reads_other_values_is_refused(self):
        program = pickle.loads(pickle.dumps(compile(square_of_a_global, [GLOBAL])))
        with pytest.raises(RuntimeError, match="uses none of the parameters"):
            program()


GLOBAL = Value(3.0)


def square_of_a_global():
    return GLOBAL * GLOBAL


def test_a_node_with_given_derivatives_is_refused():
    w = Value(3.0)
    with pytest.raises(RuntimeError, match=r"(?s)Value\(data, children, local_grads\).*primitive"):
        compile(lambda x: Value(w.data * x.data, (w, x), (x.data, w.data)), [w])([1.0])
