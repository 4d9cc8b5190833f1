"""What the user sees while a run lasts: epoch and loss on standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

Show = Callable[[int, float], None]
"""Shows the number of an epoch that has ended, and its loss."""


@contextlib.contextmanager
def progress_bar(wanted: bool, done: int, epochs: int) -> Iterator[Show]:
    """Show how far a run is: with tqdm if it is installed, else as a plain line.

    Args:
        wanted: False shows nothing.
        done: the number of epochs that were finished before this run, as after `resume`.
        epochs: the number of epochs in all.
    """
    if not wanted:
        yield lambda epoch, loss: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield _plain_line(epochs)
        return
    with tqdm(total=epochs, initial=done, unit="epoch") as bar:

        def show(epoch: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
            bar.update()

        yield show


def _plain_line(epochs: int) -> Show:
    """In a terminal one line that changes; in a file about ten lines in all."""
    terminal = sys.stderr.isatty()

    def show(epoch: int, loss: float) -> None:
        if terminal:
            end = "\n" if epoch == epochs else ""
            sys.stderr.write(f"\repoch {epoch}/{epochs}  loss {loss:<12.4g}{end}")
        elif epoch == epochs or epoch % max(epochs // 10, 1) == 0:
            sys.stderr.write(f"epoch {epoch}/{epochs}  loss {loss:.4g}\n")
        sys.stderr.flush()

    return show
