"""The page on many machines: its files run as they are, and their gradient is the program's."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.export.distributed import run_on_two_processes

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "notebooks" / "beyond_one_machine.md"


@pytest.fixture
def files(tmp_path):
    """The page's three files, in a folder of their own."""
    names = ["oscillator.py", "train_torch.py", "train_jax.py"]
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name, block in zip(names, blocks, strict=True):
        (tmp_path / name).write_text(block)
    return tmp_path


def expected_gradient(files):
    specification = importlib.util.spec_from_file_location("oscillator", files / "oscillator.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    program, X, Y = module.make_program()
    return program.loss_and_grad(X, Y)[1]


def test_two_processes_of_pytorch_have_the_gradient_of_the_whole_batch(files):
    torch = pytest.importorskip("torch")
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this PyTorch has no gloo")
    said = run_on_two_processes(files / "train_torch.py")
    np.testing.assert_allclose(printed(said), expected_gradient(files), rtol=1e-12)


def test_two_devices_of_jax_have_the_gradient_of_the_whole_batch(files):
    pytest.importorskip("jax")
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    count = "import jax; assert jax.device_count() == 2\n"
    (files / "train_jax.py").write_text(count + (files / "train_jax.py").read_text())
    run = subprocess.run(
        [sys.executable, "train_jax.py"],
        cwd=files,
        env=os.environ | flags | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    np.testing.assert_allclose(printed(run.stdout), expected_gradient(files), rtol=1e-12)


def printed(text):
    """The list of numbers that a file prints."""
    [line] = [line for line in text.splitlines() if line.startswith("[")]
    return ast.literal_eval(line)
