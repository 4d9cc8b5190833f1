"""Writing a file whole or not at all: what `save` of models, drawings and training state stand on."""

from __future__ import annotations

import os


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Replace the file at `path` in one step: a crash at any moment leaves the old or the new one.

    Args:
        path: where the file goes; its folder must exist.
        content: text, written as UTF-8 with newlines as they are, or bytes.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full. The old file is kept.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "note.txt", "kept")
    ...     (Path(folder) / "note.txt").read_text()
    'kept'
    """
    import tempfile  # here, since importing the package should not pay for it
    from pathlib import Path

    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """The mode bits that a new file does not get; the system tells them only by setting them."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
