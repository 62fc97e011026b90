"""Reading a file that may be anything: its bytes, or an error that says why not."""

import os
import resource
import socket
import stat
import threading
from pathlib import Path

import pytest

from edge_ood.errors import DataError
from edge_ood.images.decoding.image_file import image_payload, read_image_file
from edge_ood.images.decoding.memory import MemoryBudget

PNG = b"\x89PNG\r\n\x1a\n"


def refused(path: Path) -> tuple[str, str]:
    """Status and reason of a file that is not read."""
    with pytest.raises(DataError) as caught:
        read_image_file(path)
    assert f"'{path}'" in str(caught.value)
    assert caught.value.hint
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize("length", [8, 131, 132, 133, 100_000])
def test_all_bytes_are_read(tmp_path: Path, length: int) -> None:
    """Shorter than what tells the format, and longer; through a link, too."""
    content = (PNG + os.urandom(length))[:length]
    (tmp_path / "x").write_bytes(content)
    (tmp_path / "link").symlink_to("x")

    assert content == read_image_file(tmp_path / "x") == read_image_file(tmp_path / "link")


def test_what_cannot_be_opened_is_unreadable(tmp_path: Path) -> None:
    """Missing, links to nothing, to itself and upwards, a folder: each with its reason."""
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "folder").mkdir()
    (tmp_path / "up").symlink_to(".")
    reasons = {
        "missing": "No such file or directory",
        "dangling": "No such file or directory",
        "itself": "Too many levels of symbolic links",
        "folder": "a folder",
        "up": "a link to a folder that it lies in",
        "n" * 300: "File name too long",
    }

    for name, reason in reasons.items():
        status, message = refused(tmp_path / name)
        assert "unreadable" == status
        assert message.endswith(f": {reason}")


def test_a_closed_folder_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a row for all that is in it."""

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("edge_ood.images.decoding.image_file.os.scandir", refuse)

    assert refused(tmp_path)[1].endswith(": Permission denied")


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    """A pipe would wait for a writer, and opening a device may be an action."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))

        for path in (tmp_path / "pipe", tmp_path / "socket", Path("/dev/zero")):
            assert ("unreadable", f"cannot read '{path}': not a regular file") == refused(path)


def test_a_file_that_became_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look and the opening anything can happen."""
    path = tmp_path / "x"
    path.write_bytes(PNG)
    before = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda _: before)

    assert ("unreadable", f"cannot read '{path}': not a regular file") == refused(path)


def test_a_failing_disk_is_unreadable() -> None:
    """Opened, but not read: the kernel answers this file as it would a broken sector."""
    status, message = refused(Path("/proc/self/mem"))

    assert ("unreadable", "cannot read '/proc/self/mem': Input/output error") == (status, message)


def test_only_images_may_be_too_large(tmp_path: Path) -> None:
    """Two terabytes of film are no image; with the first bytes of one they are too large."""
    for name, head in (("film", b"\0\0\0\x20ftypisom"), ("image", PNG)):
        with (tmp_path / name).open("wb") as file:
            file.write(head)
            file.truncate(2**41)

    assert "not-an-image" == refused(tmp_path / "film")[0]
    assert "too-large" == refused(tmp_path / "image")[0]


def test_a_growing_file_is_read_as_long_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a file that is written as fast as it is read would never end."""
    path = tmp_path / "x"
    path.write_bytes(PNG + b"first")
    before = path.stat()
    with path.open("ab") as file:
        file.write(b"second")
    monkeypatch.setattr("edge_ood.images.decoding.image_file.os.fstat", lambda _: before)

    assert PNG + b"first" == read_image_file(path)


def test_a_file_beyond_the_memory_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the budget says so, or the system when the bytes are wanted."""
    path = tmp_path / "x"
    path.write_bytes(PNG + bytes(3 << 20))
    monkeypatch.setattr("edge_ood.images.decoding.image_file.FILES", MemoryBudget(lambda: 2 << 20))

    assert (
        "too-large",
        f"'{path}' is too large: it takes 3 MiB of memory, at most 2 MiB are used",
    ) == refused(path)

    fields = list(path.stat())
    fields[stat.ST_SIZE] = 2**29
    monkeypatch.setattr("edge_ood.images.decoding.image_file.FILES", MemoryBudget(lambda: 2**40))
    monkeypatch.setattr(
        "edge_ood.images.decoding.image_file.os.fstat", lambda _: os.stat_result(fields)
    )
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**28, limits[1]))
    try:
        found = refused(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert ("too-large", f"'{path}' is too large: there is not enough memory") == found


def test_bytes_are_counted_as_long_as_they_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second file waits until the first is done with."""
    path = tmp_path / "x"
    path.write_bytes(PNG)
    budget = MemoryBudget(lambda: len(PNG))
    monkeypatch.setattr("edge_ood.images.decoding.image_file.FILES", budget)
    second = threading.Thread(target=read_image_file, args=[path])

    with image_payload(path) as payload:
        second.start()
        second.join(0.2)
        assert PNG == payload
        assert second.is_alive()

    second.join(10)
    assert not second.is_alive()
