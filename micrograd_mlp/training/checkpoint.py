"""The state of a run of `fit` in a file, so that a run which was killed can be resumed to the same bits.

The file also says which run it belongs to. Data are compared by a hash, the model by its description, and
the optimizer by the settings with which the run began. Activations, loss and penalty are functions, which
have no description; so the file keeps what they gave for the first examples, and that is compared.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import re
from pathlib import Path
from typing import Any

from micrograd_mlp._require import is_sequence, require_float
from micrograd_mlp.engine.modes import no_grad
from micrograd_mlp.engine.value import number_of
from micrograd_mlp.files import load_document, require_writable, save_document, unseal
from micrograd_mlp.training.run import Run

FORMAT = "micrograd_mlp checkpoint"

_IDENTITY = ["run", "validation", "model", "settings", "probe"]
_STATE = ["parameters", "optimizer", "random", "losses", "validation_losses"]


class Checkpoint:
    """The file of one run.

    Args:
        path: where the file is or will be.
        run: the run, before its first step.

    Raises:
        OSError: the file can't be written.
        ValueError: the model has no `state_dict()`.
    """

    def __init__(self, path: str | os.PathLike[str], run: Run) -> None:
        if not hasattr(run.model, "state_dict"):
            raise ValueError(
                f"a checkpoint needs a model with state_dict(), such as an MLP, got {run.model!r:.60}"
            )
        require_writable(path)
        self.path, self.run = Path(path), run
        self.model: Any = run.model
        self.identity = {
            "run": _hash(run.X, run.Y, run.batch_size),
            "validation": None if run.validation is None else _hash(*run.validation),
            "model": _description(run.model),
            "settings": run.optimizer.state_dict()["hyperparameters"],
        }
        # A model or loss that draws random numbers gives others every time: there is nothing to compare.
        self.can_probe = repr(_probe(run)) == repr(_probe(run))

    def begin(self, resume: bool) -> None:
        """Resume from the file, if there is one.

        Raises:
            FileExistsError: there is a file, and `resume` is False.
            ValueError: the file is not a checkpoint of this run. Nothing is changed then.
        """
        if not self.path.exists():
            return
        if not resume:
            raise FileExistsError(f"{self.path} exists: go on from it with resume=True, or remove it first")
        load_document(self.path, FORMAT, self._load)

    def write(self) -> None:
        """Replace the file, whole or not at all."""
        run = self.run
        state = {
            "parameters": self.model.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "random": run.rng.getstate(),
            "losses": run.history.losses,
            "validation_losses": run.history.validation_losses,
        }
        probe = _probe(run) if self.can_probe else None
        save_document(self.path, FORMAT, self.identity | {"probe": probe} | state)

    def _load(self, document: Any) -> None:
        """Take over the state, or nothing."""
        content = unseal(FORMAT, document, [*_IDENTITY, *_STATE], new_fields=_IDENTITY[1:])
        self._require_same_run(content)
        losses, validation_losses = (
            [require_float(name, x) for x in content[name]] for name in ("losses", "validation_losses")
        )
        version, numbers, gauss = content["random"]
        rng = random.Random()
        rng.setstate((version, tuple(numbers), gauss))

        optimizer, history = self.run.optimizer, self.run.history
        before = self.model.state_dict(), optimizer.state_dict()
        try:
            self.model.load_state_dict(content["parameters"])
            optimizer.load_state_dict(content["optimizer"])
            if content.get("probe") is not None and self.can_probe:
                _require_same_probe(content["probe"], _probe(self.run))
        except BaseException:
            self.model.load_state_dict(before[0])
            optimizer.load_state_dict(before[1])
            raise
        self.run.rng.setstate(rng.getstate())
        history.losses, history.validation_losses = losses, validation_losses

    def _require_same_run(self, content: dict[str, Any]) -> None:
        identity = self.identity
        if content["run"] != identity["run"]:
            raise ValueError("it was written with other data or another batch_size")
        if content["version"] == 1:
            return
        if content["validation"] != identity["validation"]:
            raise ValueError("it was written with other validation data")
        if content["model"] != identity["model"]:
            raise ValueError(f"it was written with the model {content['model']}, not {identity['model']}")
        for name, number in identity["settings"].items():
            if name in content["settings"] and content["settings"][name] != number:
                raise ValueError(
                    f"its run began with {name}={content['settings'][name]!r}, and this optimizer has "
                    f"{name}={number!r}: begin with the same settings, and change them in a callback"
                )


def _hash(*data: Any) -> str:
    return hashlib.sha256(repr(data).encode()).hexdigest()


def _description(model: Any) -> str:
    """What an object says about itself, without the addresses that differ from run to run."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(model))


def _probe(run: Run) -> dict[str, Any]:
    """What the model, the loss and the penalty give for the first examples at the present weights."""
    X, Y = run.X[:3], run.Y[:3]
    with no_grad():
        outputs = [run.model(x) for x in X]
        losses = [number_of(run.loss(output, y)) for output, y in zip(outputs, Y)]
        penalty = None if run.penalty is None else number_of(run.penalty())
    flat = [number_of(z) for output in outputs for z in (output if is_sequence(output) else [output])]
    return {"outputs": flat, "losses": losses, "penalty": penalty}


def _require_same_probe(saved: dict[str, Any], seen: dict[str, Any]) -> None:
    if not _all_close(saved["outputs"], seen["outputs"]):
        raise ValueError("with its weights this model gives other outputs: it has another activation, say")
    if not _all_close(saved["losses"], seen["losses"]):
        raise ValueError("it was written with another loss")
    if not _is_close(saved["penalty"], seen["penalty"]):
        raise ValueError("it was written with another penalty")


def _all_close(saved: list[Any], seen: list[Any]) -> bool:
    return len(saved) == len(seen) and all(map(_is_close, saved, seen))


def _is_close(saved: float | None, seen: float | None) -> bool:
    """The same number except for rounding, since another machine may have another tanh."""
    if saved is None or seen is None or math.isnan(saved):
        return repr(saved) == repr(seen)
    return math.isclose(saved, seen, rel_tol=1e-9, abs_tol=1e-12)
