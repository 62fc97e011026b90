"""Files that somebody named: regular ones are opened, anything else is refused without waiting."""

import os
import socket
import stat
from pathlib import Path

import pytest

from edge_ood.files.regular import open_regular, read_regular


def refused(path: Path) -> str:
    """Why a path is not opened."""
    with pytest.raises(OSError, match=path.name) as caught:
        open_regular(path)
    return str(caught.value.strerror)


def test_a_file_is_read_through_links(tmp_path: Path) -> None:
    """All bytes of it, none if it has none."""
    (tmp_path / "file").write_bytes(b"\0\r\n\xff")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "empty").touch()

    assert b"\0\r\n\xff" == read_regular(tmp_path / "file") == read_regular(tmp_path / "link")
    assert b"" == read_regular(tmp_path / "empty")


def test_what_is_no_regular_file_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipes, sockets and devices, through links, too: opening them may be an action."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    opened = []
    monkeypatch.setattr("edge_ood.files.regular.os.open", lambda *names: opened.append(names))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))

        for name in ("pipe", "socket", "zero"):
            assert "not a regular file" == refused(tmp_path / name)

    assert [] == opened


def test_a_file_that_became_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look and the opening anything can happen."""
    path = tmp_path / "x"
    path.touch()
    before = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda _: before)

    assert "not a regular file" == refused(path)


def test_reasons_are_those_of_the_system(tmp_path: Path) -> None:
    """A folder, and nothing at all."""
    assert "Is a directory" == refused(tmp_path)
    assert "No such file or directory" == refused(tmp_path / "missing")


def test_a_growing_file_is_read_as_long_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a file that is written as fast as it is read would never end."""
    path = tmp_path / "x"
    path.write_bytes(b"first")
    before = path.stat()
    with path.open("ab") as file:
        file.write(b"second")
    monkeypatch.setattr("edge_ood.files.regular.os.fstat", lambda _: before)

    assert b"first" == read_regular(path)


def test_a_file_beyond_the_memory_is_an_error_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line like any other; what has this size fits into no machine's addresses."""
    path = tmp_path / "x"
    path.touch()
    fields = list(path.stat())
    fields[stat.ST_SIZE] = 2**48
    monkeypatch.setattr("edge_ood.files.regular.os.fstat", lambda _: os.stat_result(fields))

    with pytest.raises(OSError, match="Cannot allocate memory"):
        read_regular(path)
