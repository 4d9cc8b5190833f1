"""Files: written whole or not at all, and the JSON documents in which models and checkpoints are kept.

A document is an object that begins with its format, its version and a checksum over everything else, so
that a file which was cut short or damaged is refused instead of loaded as other numbers. Version 1 had no
checksum, and still loads.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection
from typing import Any, TypeVar

PathLike = str | os.PathLike[str]
Built = TypeVar("Built")

VERSION = 2


# Writing


def write_atomically(path: PathLike, content: str | bytes) -> None:
    """Replace the file at `path` in one step: a crash at any moment leaves the old file or the new one.

    A file that is replaced keeps its owner and its mode. If `path` is a symbolic link, the file that it
    points to is replaced. Pipes and devices are written into, and so is a file that exists but can't be
    replaced, because its folder is read-only, it belongs to another user, or it is a mount point.

    On Linux the new content has no name until it is whole. Elsewhere, and on a file system that can't do
    this, a process that is killed while it writes leaves a file `.micrograd_mlp-….tmp`, which the next write
    to the same path removes.

    Args:
        path: where the file goes; its folder must exist.
        content: text, written as UTF-8 with newlines as they are, or bytes.

    Raises:
        OSError: the file can't be written there, or the disk is full. The old file is kept.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(pathlib.Path(folder) / "note.txt", "kept")
    ...     (pathlib.Path(folder) / "note.txt").read_text()
    'kept'
    """
    require_writable(path)
    data = content.encode() if isinstance(content, str) else content
    old = _status(path)
    target = os.path.realpath(os.fsdecode(path))
    if old is not None and not (stat.S_ISREG(old.st_mode) and os.path.exists(target)):
        _write_into(path, data)
        return
    try:
        _replace(target, data, old)
    except OSError as error:
        if old is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EBUSY):
            raise
        _write_into(path, data)


def require_writable(path: PathLike) -> None:
    """Find out before long work whether `write_atomically` will be able to write this file.

    Raises:
        OSError: the folder is missing or not writable, the file is read-only, or `path` is a folder.
    """
    status = _status(path)
    if status is None:
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {folder}", os.fspath(path))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "the folder is not writable", os.fspath(path))
    elif stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a file", os.fspath(path))
    elif not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is read-only", os.fspath(path))


def _status(path: PathLike) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _write_into(path: PathLike, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _replace(target: str, data: bytes, old: os.stat_result | None) -> None:
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, _temporary_name(name))
    if os.name == "nt":  # only closed files can be renamed, and there are no locks and no modes to keep
        try:
            _write_into(temporary, data)
            os.replace(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return
    handle, is_named = _new_file(folder, temporary)
    try:
        if old is not None:
            _set_owner_and_mode(handle, old)
        with open(handle, "wb", closefd=False) as file:
            file.write(data)
        os.fsync(handle)
        if not is_named:
            _give_name(handle, temporary)
        os.replace(temporary, target)
    finally:
        if _is_file_of_that_name(handle, temporary):  # something went wrong
            os.unlink(temporary)
        os.close(handle)  # the lock ends here, so that no other writer has used the name before


def _temporary_name(name: str) -> str:
    """A name of its own for every target, of a length that fits beside a target of any length."""
    import hashlib  # here, since importing the package should not pay for it

    return f".micrograd_mlp-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.tmp"


def _new_file(folder: str, temporary: str) -> tuple[int, bool]:
    """A new file that is open for writing and locked, and whether it has a name already."""
    if hasattr(os, "O_TMPFILE") and os.path.exists("/proc/self/fd"):
        with contextlib.suppress(OSError):  # some file systems have only files with names
            handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666)
            _lock(handle)
            return handle, False
    while True:
        try:
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            _remove_leftover(temporary)
            continue
        _lock(handle)
        if _is_file_of_that_name(handle, temporary):
            return handle, True
        os.close(handle)  # another writer took it for a leftover before it was locked


def _give_name(handle: int, temporary: str) -> None:
    """Link an unnamed file into its folder."""
    while True:
        try:
            # With a src_dir_fd the link /proc/self/fd/… is followed to the file.
            os.link(f"/proc/self/fd/{handle}", temporary, src_dir_fd=handle, follow_symlinks=True)
            return
        except FileExistsError:
            _remove_leftover(temporary)


def _remove_leftover(temporary: str) -> None:
    """Remove what a killed process has left, but wait for a writer that is still alive: it holds a lock."""
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(temporary, os.O_RDONLY)
        try:
            _lock(handle)
            if _is_file_of_that_name(handle, temporary):
                os.unlink(temporary)
        finally:
            os.close(handle)


def _lock(handle: int) -> None:
    """Wait until no other writer holds this file."""
    import fcntl

    with contextlib.suppress(OSError):  # some network file systems have no locks
        fcntl.flock(handle, fcntl.LOCK_EX)


def _is_file_of_that_name(handle: int, name: str) -> bool:
    status = _status(name)
    return status is not None and os.path.samestat(os.fstat(handle), status)


def _set_owner_and_mode(handle: int, old: os.stat_result) -> None:
    new = os.fstat(handle)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))


# Documents


def seal(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """A document of the present version with this content, as plain data.

    >>> document = seal("note", {"text": "kept"})
    >>> unseal("note", document, {"text"})["text"]
    'kept'
    """
    document = {"format": kind, "version": VERSION, "checksum": "", **content}
    return document | {"checksum": checksum(document)}


def unseal(
    kind: str, document: Any, fields: Collection[str], new_fields: Collection[str] = ()
) -> dict[str, Any]:
    """The document, after its format, version, checksum and fields have been checked.

    Args:
        kind: the format that is expected.
        document: what a file holds, as plain data.
        fields: the names of the fields that the content must have.
        new_fields: those of them that version 1 did not have.

    Raises:
        ValueError: something is missing, unknown or damaged.
    """
    require_fields("the document", document)
    if document.get("format") != kind:
        raise ValueError(f"its format is {document.get('format')!r:.40}, not {kind!r}")
    version = document.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(f"its version is {version!r:.40}; this package reads versions 1 to {VERSION}")
    expected = {"format", "version", *fields}
    expected = expected - {*new_fields} if version == 1 else expected | {"checksum"}
    require_fields("the document", document, expected)
    if version > 1 and document["checksum"] != checksum(document):
        raise ValueError("its checksum does not fit its content: the file was damaged or edited")
    return dict(document)


def save_document(path: PathLike, kind: str, content: dict[str, Any], indent: int | None = None) -> None:
    """Write a document as JSON; floats are exact to the last bit.

    Raises:
        OSError: the file can't be written.
    """
    import json

    write_atomically(path, json.dumps(seal(kind, content), indent=indent) + "\n")


def load_document(path: PathLike, kind: str, build: Callable[[Any], Built]) -> Built:
    """What `build` makes of the document in a file.

    Raises:
        OSError: there is no such file, or it can't be read.
        ValueError: the file is no JSON, has a name twice in one object, or `build` refuses it.
    """
    import json

    try:
        with open(path, encoding="utf-8") as file:
            if stat.S_ISCHR(os.fstat(file.fileno()).st_mode):  # /dev/zero has no end
                raise ValueError("it is a device")
            return build(json.load(file, object_pairs_hook=_object))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)} is not a {kind}: {error}") from None


def require_fields(what: str, content: Any, expected: Collection[str] | None = None) -> None:
    """Check that something from a file is an object, with exactly the expected fields if they are given.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{what} must be an object with fields, got {content!r:.40}")
    if expected is not None and content.keys() != {*expected}:
        missing, unknown = {*expected} - content.keys(), content.keys() - {*expected}
        raise ValueError(f"fields of {what}: {some(missing)} missing, {some(unknown)} unknown")


def some(names: Collection[str]) -> str:
    """A few of the names, for an error message."""
    shown = ", ".join(sorted(names)[:3])
    return f"{len(names)} ({shown}{', …' if len(names) > 3 else ''})" if names else "none"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r:.40} stands twice in one object")
    return content


def checksum(document: dict[str, Any]) -> str:
    """SHA-256 of a document without its checksum, as JSON in one fixed form.

    White space and the order of fields change nothing.
    """
    import hashlib
    import json

    content = {name: value for name, value in document.items() if name != "checksum"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
