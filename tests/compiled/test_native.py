"""Machine code is compiled once for a machine, kept on disk, and freed when nothing uses it."""

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from micrograd_mlp import SGD, Value, primitive

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
from micrograd_mlp.compiled import native  # noqa: E402  (needs the extra)

# A process that uses a bit of everything, and says how often it compiled something, and two results.
TRAIN_AND_COUNT = """
import sys
from micrograd_mlp.compiled import native
compile_text, count = native._compile, []
native._compile = lambda text, collects: count.append(text) or compile_text(text, collects)

from micrograd_mlp import MLP, SGD, Adam, Momentum, RMSProp, compile, softmax, squared_error
model = MLP(2, [4, 2], seed=0)
program = compile(lambda x, y: squared_error(softmax(model(x))[0], y), model.parameters(), dtype=sys.argv[1])
losses = []
X, Y = [[0.5, 1.0], [2.0, 0.0]], [1.0, 0.0]
for optimizer in (SGD, Momentum, RMSProp, Adam):
    losses += program.train(optimizer(model.parameters(), lr=0.01), X, Y, steps=2)
print(len(count), losses)
"""
# One that uses a single small function, which is quick.
ADD_UP = """
import ctypes
import numpy as np
from micrograd_mlp.compiled import native
from micrograd_mlp.compiled.code import Code
compile_text, count = native._compile, []
native._compile = lambda text, collects: count.append(text) or compile_text(text, collects)

code = Code("double_it", [("x", "ptr")], native.target("double"))
code.store(2.0 * code.load(code.arguments[0]), code.arguments[0])
machine_code = native.compiled(code)
number = np.array([21.0])
ctypes.CFUNCTYPE(None, ctypes.c_void_p)(machine_code.address("double_it"))(number.ctypes.data)
print(len(count), number[0])
"""


def output_of_a_process(code, *arguments, **environment):
    """The number of compilations, and what else it printed."""
    command, env = [sys.executable, "-c", code, *arguments], os.environ | environment
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    count, rest = result.stdout.split(maxsplit=1)
    return int(count), rest.strip()


def test_a_second_process_compiles_nothing(dtype, tmp_path):
    cache = {"MICROGRAD_MLP_CACHE": str(tmp_path / "cache")}
    count, losses = output_of_a_process(TRAIN_AND_COUNT, dtype, **cache)
    assert count > 0
    assert len(list((tmp_path / "cache").iterdir())) == count
    assert output_of_a_process(TRAIN_AND_COUNT, dtype, **cache) == (0, losses)


def test_an_import_compiles_nothing(tmp_path):
    code = "import micrograd_mlp; micrograd_mlp.compile; print(0, '')"
    output_of_a_process(code + "\nprint('end')", MICROGRAD_MLP_CACHE=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


DAMAGES = {
    "cut": lambda content: content[: len(content) // 2],
    "flipped in the checksum": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "flipped in the code": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "emptied": lambda content: b"",
    "of another program": lambda content: b"something else" * 100,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_file_is_rebuilt(tmp_path, damage):
    cache = {"MICROGRAD_MLP_CACHE": str(tmp_path)}
    assert output_of_a_process(ADD_UP, **cache) == (1, "42.0")
    assert output_of_a_process(ADD_UP, **cache) == (0, "42.0")
    [file] = tmp_path.iterdir()
    content = file.read_bytes()
    file.write_bytes(DAMAGES[damage](content))
    assert output_of_a_process(ADD_UP, **cache) == (1, "42.0")
    assert output_of_a_process(ADD_UP, **cache) == (0, "42.0")
    assert [file] == list(tmp_path.iterdir())
    assert file.read_bytes() == content


def test_a_folder_in_the_place_of_a_cache_file_does_no_harm(tmp_path):
    cache = {"MICROGRAD_MLP_CACHE": str(tmp_path)}
    output_of_a_process(ADD_UP, **cache)
    [file] = tmp_path.iterdir()
    file.unlink()
    file.mkdir()
    assert output_of_a_process(ADD_UP, **cache) == (1, "42.0")
    assert [file] == list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
@pytest.mark.parametrize(
    "nowhere",
    [
        {"MICROGRAD_MLP_CACHE": "/proc/self/cache"},
        {"MICROGRAD_MLP_CACHE": "", "XDG_CACHE_HOME": "/proc/self"},
    ],
)
def test_without_a_folder_to_write_to_there_is_no_cache(nowhere):
    assert output_of_a_process(ADD_UP, **nowhere) == (1, "42.0")
    assert output_of_a_process(ADD_UP, **nowhere) == (1, "42.0")


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {"MICROGRAD_MLP_CACHE": "/here", "XDG_CACHE_HOME": "/there"}, "/here"),
        ("linux", {"XDG_CACHE_HOME": "/there"}, "/there/micrograd_mlp"),
        ("linux", {"HOME": "/home/me"}, "/home/me/.cache/micrograd_mlp"),
        ("darwin", {"HOME": "/home/me"}, "/home/me/Library/Caches/micrograd_mlp"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/micrograd_mlp"),
    ],
)
def test_the_folder_of_the_cache(monkeypatch, platform, environment, folder):
    for name in ("MICROGRAD_MLP_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setattr(native.sys, "platform", platform)
    assert native.cache_folder() == Path(folder)


@pytest.fixture
def compilations(monkeypatch, tmp_path):
    """The texts that are compiled in a test, whose cache is empty."""
    texts, compile_text = [], native._compile
    monkeypatch.setenv("MICROGRAD_MLP_CACHE", str(tmp_path))
    monkeypatch.setattr(
        native, "_compile", lambda text, collects: texts.append(text) or compile_text(text, collects)
    )
    native._compiled.cache_clear()
    return texts


def make_operation(slope):
    @primitive(partials=lambda out, x: (slope,))
    def line(x):
        return slope * x

    return line


def test_operations_of_equal_source_share_their_machine_code(compile, compilations):
    """A definition in a function that is called again and again is compiled once for each constant."""
    w = Value(2.0)
    assert compile(lambda: make_operation(3.0)(w), [w])() == 6.0
    n = len(compilations)
    for _ in range(3):
        assert compile(lambda: make_operation(3.0)(w), [w])() == 6.0
    assert len(compilations) == n
    assert compile(lambda: make_operation(4.0)(w), [w])() == 8.0
    assert compile(lambda: make_operation(-0.0)(w), [w])() == 0.0
    assert len(compilations) == n + 2


def make_optimizer(params, factor=1.0):
    class Plain(SGD):
        @staticmethod
        def rule(theta, g, t, lr):
            return (theta - factor * lr * g,)

    return Plain(params, lr=0.25)


def test_so_do_optimizers_of_equal_rules(compile, compilations):
    w = Value(2.0)
    program = compile(lambda: w * w, [w])
    program.train(make_optimizer([w]), steps=1)
    n = len(compilations)
    program.train(make_optimizer([w]), steps=1)
    assert len(compilations) == n
    assert w.data == 0.5
    program.train(make_optimizer([w], factor=2.0), steps=1)
    assert len(compilations) == n + 1
    assert w.data == 0.0


def test_machine_code_is_freed_when_nothing_uses_it(compile, monkeypatch):
    """Each constant makes another function: LLVM's memory must not grow with all that there ever were."""
    made, w = [], Value(2.0)

    class Watched(native.MachineCode):
        def __init__(self, machine_code, names):
            super().__init__(machine_code, names)
            made.append(weakref.ref(self._library))

    def alive():
        gc.collect()
        return sum([library() is not None for library in made])

    monkeypatch.setattr(native, "MachineCode", Watched)
    programs = [compile(lambda k=k: make_operation(10.0 + k)(w), [w]) for k in range(5)]
    programs[0].train(make_optimizer([w], factor=3.0), steps=1)
    assert len(made) >= 6
    n = alive()
    native._compiled.cache_clear()  # as if very many others had been compiled since
    assert alive() == n - 1  # the programs hold what they use; the training is over
    assert programs[1]() == 11.0 * w.data
    held = programs.pop()
    programs.clear()
    assert alive() <= n - 5
    assert held() == 14.0 * w.data


def test_what_llvm_needed_to_compile_is_freed(compile, monkeypatch):
    """llvmlite does not free a pipeline of passes, 77 kB for each function, unless it is told."""
    manager = native.llvm.newpassmanagers
    made, freed = [], []
    build, dispose = native.llvm.PassBuilder.getModulePassManager, manager.NewPassManager._dispose
    monkeypatch.setattr(
        native.llvm.PassBuilder,
        "getModulePassManager",
        lambda passes: made.append(build(passes)) or made[-1],
    )
    monkeypatch.setattr(
        manager.NewPassManager, "_dispose", lambda passes: (freed.append(passes), dispose(passes))
    )
    monkeypatch.setattr(native, "_read", lambda key: None)
    compile(lambda x: make_operation(12345.0)(x), [Value(1.0)])([1.0, 2.0])
    assert made
    assert freed == made
    assert all(passes.closed for passes in made), "it must not be freed twice"


def test_a_lock_may_be_taken_again_by_its_thread():
    lock = native.Lock()
    with lock, lock:
        pass
