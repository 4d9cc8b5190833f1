"""From LLVM's assembly language to machine code, which is kept on disk: the only file that knows llvmlite.

A function is compiled when a program needs it for the first time on a machine, in some milliseconds, and
is read from the cache after that. Its machine code is freed when nothing holds it any more.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import platform
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from micrograd_mlp.compiled.code import Code, Target

Floats = NDArray[Any]
Integers = NDArray[np.int64]

CHECKSUM = 32  # bytes at the front of a file of the cache
REMEMBERED = 512  # functions that stay in memory although no program uses them


class Lock:
    """A lock that is new in a child process, which must not wait for a thread that it does not have."""

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            this = weakref.ref(self)

            def renew() -> None:
                if (lock := this()) is not None:
                    lock._renew()

            os.register_at_fork(after_in_child=renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()


_lock = Lock()  # LLVM compiles for one thread at a time


@functools.cache
def _machine() -> Any:
    """LLVM's description of this machine."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=_features(), opt=2, jit=True, codemodel="jitdefault"
    )


@functools.cache
def _features() -> str:
    return str(llvm.get_host_cpu_features().flatten())


@functools.cache
def target(real: str) -> Target:
    """The vectors that this machine computes with, for "double" or "float"."""
    features = llvm.get_host_cpu_features()
    is_avx512 = bool(features.get("avx512f"))
    n_bytes = 64 if is_avx512 else 32 if features.get("avx") else 16
    processor = platform.machine().lower()
    n_registers = 32 if is_avx512 or processor in ("arm64", "aarch64") else 16
    is_x86 = processor in ("x86_64", "amd64")
    return Target(real, n_bytes // (8 if real == "double" else 4), is_avx512, n_registers, is_x86)


@functools.cache
def _linker() -> Any:
    """What gives machine code a place in memory."""
    return llvm.create_lljit_compiler(_machine())


_numbers = itertools.count()


class MachineCode:
    """Compiled functions, for as long as this object exists."""

    def __init__(self, machine_code: bytes, names: Iterable[str]) -> None:
        library = llvm.JITLibraryBuilder().add_object_img(machine_code).add_current_process()
        for name in names:
            library.export_symbol(name)
        with _lock:
            self._library = library.link(_linker(), str(next(_numbers)))
        self._addresses = {name: int(self._library[name]) for name in names}

    def __contains__(self, name: str) -> bool:
        return name in self._addresses

    def address(self, name: str) -> int:
        """Where the function of this name begins."""
        return self._addresses[name]


def compiled(*codes: Code) -> MachineCode:
    """Functions in machine code: from memory, from the cache on disk, or compiled now."""
    declarations = dict.fromkeys([line for code in codes for line in code.declarations])
    text = "\n".join([*declarations, *[code.text() for code in codes]])
    collects = any(code.has_single_numbers for code in codes)
    return _compiled(text, tuple([code.name for code in codes]), collects)


@functools.lru_cache(maxsize=REMEMBERED)
def _compiled(text: str, names: tuple[str, ...], collects: bool) -> MachineCode:
    with _lock:
        identity = "\n".join([text, llvm.get_host_cpu_name(), _features(), VERSIONS, str(collects)])
        key = hashlib.sha256(identity.encode()).hexdigest()
        machine_code = _read(key)
        if machine_code is None:
            machine_code = _compile(text, collects)
            _write(key, machine_code)
        return MachineCode(machine_code, names)


VERSIONS = f"{llvmlite.__version__} {llvm.llvm_version_info}"


def _compile(text: str, collects: bool) -> bytes:
    """Machine code; with `collects`, LLVM looks for single numbers that it can compute as a vector."""
    module = llvm.parse_assembly(text)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization, options.slp_vectorization = False, collects
    passes = llvm.create_pass_builder(_machine(), options)
    pipeline = passes.getModulePassManager()
    pipeline.run(module, passes)
    # Measured: otherwise 77 kB stay for each function. llvmlite's own `_dispose` is hidden by an empty one.
    llvm.newpassmanagers.NewPassManager._dispose(pipeline)
    pipeline.detach()
    return bytes(_machine().emit_object(module))


# The cache. A file that is missing, damaged or not readable is written again; where nothing can be written,
# functions are compiled in each process.


def cache_folder() -> Path:
    """Where machine code is kept: MICROGRAD_MLP_CACHE, or a folder in the user's cache."""
    chosen = os.environ.get("MICROGRAD_MLP_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "micrograd_mlp"


def _read(key: str) -> bytes | None:
    try:
        content = (cache_folder() / key).read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    machine_code = content[CHECKSUM:]
    return machine_code if hashlib.sha256(machine_code).digest() == content[:CHECKSUM] else None


def _write(key: str, machine_code: bytes) -> None:
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(hashlib.sha256(machine_code).digest() + machine_code)
            Path(temporary).replace(folder / key)
        except BaseException:
            Path(temporary).unlink()
            raise
    except (OSError, RuntimeError):
        pass
