"""A file is written whole or not at all, in the place that its path means; a damaged document is refused."""

import errno
import json
import os
import random
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import micrograd_mlp
from micrograd_mlp.files import load_document, require_writable, save_document, seal, unseal, write_atomically

posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and modes are POSIX's")


# Writing


def test_writes_text_as_utf8_and_bytes_as_they_are(tmp_path):
    write_atomically(tmp_path / "text", "σ\n")
    write_atomically(str(tmp_path / "bytes"), b"\x00\xff")
    assert (tmp_path / "text").read_bytes() == b"\xcf\x83\n"
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"


@pytest.fixture(params=["unnamed", "named"])
def way(request, monkeypatch):
    """The two ways of writing: on Linux the new content has no name until it is whole, elsewhere it has."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("unnamed files are Linux's")
    return request.param


def fail(*args, **kwargs):
    raise OSError(errno.ENOSPC, "disk full")


@pytest.mark.parametrize("step", ["fsync", "fchmod", "replace"])
def test_a_failure_at_any_step_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch, way, step):
    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_new_file_has_the_usual_permissions(tmp_path, way):
    write_atomically(tmp_path / "ours", "x")
    (tmp_path / "usual").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


@posix
def test_a_replaced_file_keeps_its_mode(tmp_path, way):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o604)
    write_atomically(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o604)


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_replaced_file_keeps_its_owner(tmp_path, way):
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 1234, 5678)
    write_atomically(path, "new")
    assert (path.read_text(), path.stat().st_uid, path.stat().st_gid) == ("new", 1234, 5678)


@posix
@pytest.mark.parametrize("reason", [errno.EPERM, errno.EBUSY])
def test_a_file_that_can_not_be_replaced_is_written_in_place(tmp_path, monkeypatch, reason):
    """It belongs to another user, whom only root may name as the owner; or it is a mount point."""
    path = tmp_path / "file"
    path.write_text("a longer old content")
    before = path.stat().st_ino

    def refuse(*args, **kwargs):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "replace", refuse)
    write_atomically(path, "new")
    assert (path.read_text(), path.stat().st_ino) == ("new", before)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@posix
def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path, way):
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to("folder/target")
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@posix
def test_a_symbolic_link_to_nothing_gets_its_target(tmp_path):
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


@posix
def test_a_pipe_is_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    seen = []
    reader = threading.Thread(target=lambda: seen.append(pipe.read_text()))
    reader.start()
    write_atomically(pipe, "new")
    reader.join()
    assert seen == ["new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@posix
def test_a_device_is_written_into():
    """A terminal of its own, in whose folder no file can be made: a mistake destroys no device."""
    reader, terminal = os.openpty()
    try:
        write_atomically(os.ttyname(terminal), "new")
        assert os.read(reader, 10) == b"new"
        assert stat.S_ISCHR(Path(os.ttyname(terminal)).stat().st_mode)
    finally:
        os.close(reader)
        os.close(terminal)


@posix
def test_standard_output_is_written_into():
    """As a pipe it is /dev/stdout by a link whose target has no name in any folder."""
    program = "from micrograd_mlp.files import write_atomically; write_atomically('/dev/stdout', 'new')"
    path = str(Path(micrograd_mlp.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert (done.stdout, done.stderr) == ("new", "")


@pytest.mark.parametrize("name", ["a" * 255, "σ" * 127, "-", " ", "a\nb", os.fsdecode(b"\xff\xfe")])
@pytest.mark.parametrize("as_path", [Path, str, os.fsencode])
def test_takes_any_name_that_the_file_system_takes(tmp_path, way, name, as_path):
    path = tmp_path / name
    try:
        path.write_text("old")
    except OSError:
        pytest.skip("this file system does not take the name")
    write_atomically(as_path(path), "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path, way):
    path = tmp_path / "file"
    contents = [letter * 10_000 for letter in "abcdefgh"]

    def write(content):
        for _ in range(20):
            write_atomically(path, content)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in contents
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# Whether a file can be written is known before


def test_a_missing_folder_is_an_error(tmp_path):
    for write in (require_writable, lambda path: write_atomically(path, "x")):
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            write(tmp_path / "none" / "file")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError, match="this is a folder, not a file"):
        require_writable(tmp_path)


def test_a_name_that_is_too_long_is_an_error(tmp_path):
    with pytest.raises(OSError, match="too long"):
        require_writable(tmp_path / ("a" * 256))


@posix
def test_folders_and_files_without_permission_are_errors(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(PermissionError, match="the folder is not writable"):
        require_writable(tmp_path / "new")
    with pytest.raises(PermissionError, match="the file is read-only"):
        write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"


# Documents


def test_a_document_holds_every_float_and_every_text(tmp_path):
    content = {"numbers": [0.1, -0.0, 5e-324, 1.7e308, float("inf")], "text": "σ \ud800 \n"}
    save_document(tmp_path / "file", "note", content)
    loaded = load_document(tmp_path / "file", "note", lambda document: unseal("note", document, content))
    assert repr({name: loaded[name] for name in content}) == repr(content)


def test_a_document_may_be_laid_out_anew(tmp_path):
    document = seal("note", {"numbers": [1.0, 1e-7], "text": "a"})
    (tmp_path / "file").write_text(json.dumps(dict(reversed(document.items())), indent=4))
    load_document(tmp_path / "file", "note", lambda d: unseal("note", d, ["numbers", "text"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[" * 100_000, "recursion"),
        ("[]", "must be an object with fields"),
        ('{"format": "other"}', "its format is 'other', not 'note'"),
        ('{"format": "note", "version": 0}', "its version is 0; this package reads versions 1 to 2"),
        ('{"format": "note", "version": true, "a": 1}', "its version is True"),
        ('{"format": "note", "version": 2, "a": 1}', r"1 \(checksum\) missing, none unknown"),
        ('{"format": "note", "version": 2, "a": 1, "checksum": "0"}', "the file was damaged or edited"),
        ('{"format": "note", "version": 1, "a": 1, "b": 1}', r"none missing, 1 \(b\) unknown"),
        ('{"format": "note", "version": 1, "a": 1, "a": 2}', "the name 'a' stands twice in one object"),
        (
            '{"format": "note", "version": 1, "a": {"b": 1, "b": 1}}',
            "the name 'b' stands twice",
        ),
    ],
)
def test_what_is_no_document_is_refused(tmp_path, text, message):
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValueError, match=rf"file is not a note: .*{message}"):
        load_document(tmp_path / "file", "note", lambda document: unseal("note", document, ["a"]))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"file is not a note: .*utf-8"):
        load_document(tmp_path / "file", "note", dict)


@posix
def test_a_device_is_refused_since_it_may_have_no_end():
    """/dev/zero has none, but this test has to end where the device is read."""
    with pytest.raises(ValueError, match="/dev/null is not a note: it is a device"):
        load_document("/dev/null", "note", dict)


@posix
def test_a_document_is_read_from_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text('{"a": 1}'))
    writer.start()
    assert load_document(pipe, "note", dict) == {"a": 1}
    writer.join()


def test_a_document_of_version_1_has_no_checksum_and_no_new_fields():
    document = {"format": "note", "version": 1, "old": 1}
    assert unseal("note", document, ["old", "new"], new_fields=["new"]) == document
    with pytest.raises(ValueError, match=r"1 \(new\) unknown"):
        unseal("note", document | {"new": 2}, ["old", "new"], new_fields=["new"])


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "file"
    content = {"numbers": [0.1 * k for k in range(20)], "text": "relu"}
    save_document(path, "note", content)
    whole = path.read_bytes()
    rng = random.Random(0)
    for bit in rng.sample(range(8 * len(whole)), 200):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            loaded = load_document(path, "note", lambda document: unseal("note", document, content))
        except ValueError:
            continue
        assert {name: loaded[name] for name in content} == content, "white space, say"
