"""Machine code is kept on disk: a later process compiles nothing."""

import subprocess
import sys

import pytest

numba = pytest.importorskip("numba")

TRAIN_AND_COUNT = """
from numba.core import event
compilations = event.RecordingListener()
event.register("numba:compile", compilations)

from micrograd_mlp import MLP, SGD, Adam, Momentum, RMSProp, compile, squared_error
model = MLP(2, [4, 1], seed=0)
program = compile(lambda x, y: squared_error(model(x), y), model.parameters())
for optimizer in (SGD, Momentum, RMSProp, Adam):
    program.train(optimizer(model.parameters(), lr=0.01), [[0.5, 1.0], [2.0, 0.0]], [1.0, 0.0], steps=2)
print(len(compilations.buffer))
"""


def compilations_of_a_process(folder):
    command = [sys.executable, "-c", TRAIN_AND_COUNT]
    return int(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
def test_a_second_process_compiles_nothing(tmp_path):
    compilations_of_a_process(tmp_path)
    assert compilations_of_a_process(tmp_path) == 0
