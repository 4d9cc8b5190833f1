"""Two processes of PyTorch on this machine."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from micrograd_mlp import export


def run_on_two_processes(script):
    """What torchrun does, on the loopback interface; returns what was printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": "lo",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(export.__file__).parents[2]),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(script)],
            cwd=script.parent,
            env=shared | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=600)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return "\n".join(said)
