"""Kills a training run at random moments, and looks whether it is resumed to the same bits.

    python -m tests.training.kills 100              # kills, eager
    python -m tests.training.kills 100 --compiled   # kills, as machine code

SIGKILL can't be caught, so that a run can't prepare for it. It is sent from outside, at moments that are
drawn evenly over the first tenths of a second after the first epoch: in a forward pass, in a step, or
while a checkpoint is written.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from micrograd_mlp import MLP, Adam, datasets, fit, squared_error

X, Y = datasets.moons(12, seed=0)
PROGRAM = """
import os, sys
from pathlib import Path
from tests.training.kills import train
train(Path(sys.argv[1]), 1_000_000, sys.argv[2] == "True", lambda *_: os.write(1, b"."))
"""


class Result(NamedTuple):
    """What a number of kills has left.

    Attributes:
        epochs: the number of epochs that were finished in spite of all kills.
        leftovers: how often a kill left another file beside the checkpoint.
        files: the names in the folder after the run that was allowed to end.
        resumed: the state of that run, exact to the last bit.
        expected: the state of a run that was never interrupted.
    """

    epochs: int
    leftovers: int
    files: list[str]
    resumed: str
    expected: str


def train(path: Path | None, epochs: int, compiled: bool, callback: Any = None) -> str:
    """The state at the end of a run, resumed from the checkpoint if there is one, as text."""
    model = MLP(2, [4, 1], activation="tanh", seed=0)
    optimizer = Adam(model.parameters(), lr=0.05)
    options = {} if path is None else {"checkpoint": path, "resume": True}
    validation = X[:3], Y[:3]
    history = fit(
        model,
        squared_error,
        X,
        Y,
        optimizer,
        epochs,
        batch_size=5,
        seed=1,
        compiled=compiled,
        validation=validation,
        callback=callback,
        **options,
    )
    state = [model.state_dict(), optimizer.state_dict(), history.losses, history.validation_losses]
    return json.dumps(state)


def kill_at_random_moments(folder: Path, kills: int, compiled: bool = False, seed: int = 0) -> Result:
    """Start the run again and again, kill it each time, and let it end at last."""
    path, rng, leftovers = folder / "run.json", random.Random(seed), 0
    root = str(Path(__file__).parents[2])
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), str(compiled)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": root},
        )
        assert process.stdout is not None
        assert process.stdout.read(1) == b".", "the first epoch has ended"
        try:
            process.communicate(timeout=rng.uniform(0.0, 0.3))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        leftovers += [*folder.iterdir()] not in ([], [path])
    epochs = len(json.loads(path.read_text())["losses"]) + 2
    resumed = train(path, epochs, compiled)
    return Result(
        epochs, leftovers, [path.name for path in folder.iterdir()], resumed, train(None, epochs, compiled)
    )


def main() -> None:
    """Print what so many kills have left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kills", type=int)
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = kill_at_random_moments(Path(folder), options.kills, options.compiled)
    print(f"{options.kills} kills, {result.epochs} epochs, files at the end: {result.files}")
    print(f"kills that left another file until the next write: {result.leftovers}")
    print("resumed to the same bits" if result.resumed == result.expected else "OTHER BITS")


if __name__ == "__main__":
    main()
