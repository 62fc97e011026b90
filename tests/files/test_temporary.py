"""Leftovers of killed processes go; files of processes at work, here or elsewhere, stay."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_ood.files import temporary
from edge_ood.files.output import atomic_output
from edge_ood.files.temporary import is_unfinished, temporary_folder, temporary_name

WEEK_S = 7 * 24 * 3600
PROCESS = """
import os, signal, sys
from pathlib import Path
from edge_ood.files.output import atomic_output
from edge_ood.files.temporary import temporary_folder

target = Path(sys.argv[1])
is_folder = sys.argv[2] == "folder"
making = temporary_folder(target, private=False) if is_folder else atomic_output(target)
with making as made:
    (made / "part" if made.is_dir() else made).write_text("half")
    print("begun", flush=True)
    input()
"""


def begin(target: Path, kind: str = "file") -> "subprocess.Popen[str]":
    """A process that has begun to write, and goes on when it is given a line."""
    process = subprocess.Popen(
        [sys.executable, "-Ic", PROCESS, str(target), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "begun\n" == process.stdout.readline()
    return process


def unfinished(folder: Path) -> list[Path]:
    """Temporary files and folders."""
    return [path for path in folder.iterdir() if is_unfinished(path.name)]


def write(path: Path) -> None:
    """Write something beside whatever lies there."""
    with atomic_output(path) as made:
        made.write_text("whole")


def aged(path: Path, seconds: float) -> Path:
    """The same file, not written to for so long."""
    moment = time.time() - seconds
    os.utime(path, (moment, moment))
    return path


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_goes(tmp_path: Path, kind: str) -> None:
    """With the next output in the same folder, whatever that is called."""
    with begin(tmp_path / "a.csv", kind) as process:
        process.kill()
    assert 1 == len(unfinished(tmp_path))

    write(tmp_path / "b.csv")

    assert [tmp_path / "b.csv"] == list(tmp_path.iterdir())


def test_a_process_at_work_loses_nothing(tmp_path: Path) -> None:
    """It ends as if nobody had written beside it."""
    with begin(tmp_path / "a.csv") as process:
        write(tmp_path / "b.csv")
        process.communicate("\n")

    assert 0 == process.returncode
    assert "half" == (tmp_path / "a.csv").read_text()


def test_two_outputs_of_one_process_do_not_meet(tmp_path: Path) -> None:
    """An artefact and its report are made side by side."""
    with atomic_output(tmp_path / "a") as first, atomic_output(tmp_path / "b") as second:
        first.write_text("1")
        second.write_text("2")

    assert ["1", "2"] == [(tmp_path / name).read_text() for name in "ab"]


@pytest.mark.parametrize("days", [6, 8])
def test_what_comes_from_elsewhere_goes_after_a_week(tmp_path: Path, days: int) -> None:
    """On another host the process may be at work, though no process here bears its number."""
    left = tmp_path / ".edge-ood-0123456789ab-4000001-5-0a1b2c3d.part"
    left.touch()
    aged(left, days * 24 * 3600)

    write(tmp_path / "b")

    assert (days < 7) == left.exists()


def test_a_name_of_an_earlier_version_goes_after_a_week(tmp_path: Path) -> None:
    """It does not say whose it is."""
    old, new = tmp_path / ".edge-ood-0a1b2c3d.part", tmp_path / ".edge-ood-4a1b2c3d.part"
    for path in (old, new):
        path.touch()
    aged(old, WEEK_S + 60)

    write(tmp_path / "b")

    assert [new] == unfinished(tmp_path)


def test_the_clock_is_that_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device whose clock is years ahead takes no file of another host for old."""
    left = tmp_path / ".edge-ood-0a1b2c3d.part"
    left.touch()
    monkeypatch.setattr(time, "time", lambda: 4e9)

    write(tmp_path / "b")

    assert left.exists()


def test_a_number_that_another_process_bears_now_is_no_owner(tmp_path: Path) -> None:
    """Containers give the same numbers again and again; processes are known by their start, too."""
    name = temporary_name(tmp_path / "a").name.split("-")
    ours = tmp_path / "-".join(name)
    name[4] = "1"  # ticks after the machine was started
    earlier = tmp_path / "-".join(name)
    for path in (ours, earlier):
        path.touch()

    write(tmp_path / "b")

    assert [ours] == unfinished(tmp_path)


def test_a_process_that_may_not_be_looked_at_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of another user."""
    with begin(tmp_path / "a") as process:
        process.kill()
    (left,) = unfinished(tmp_path)

    def refuse(number: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    write(tmp_path / "b")

    assert left.exists()


def test_a_killed_process_that_nobody_waited_for_is_dead(tmp_path: Path) -> None:
    """In a container the first process may not care about the dead."""
    process = begin(tmp_path / "a")
    process.kill()
    while " Z " not in Path(f"/proc/{process.pid}/stat").read_text():
        time.sleep(0.01)

    write(tmp_path / "b")

    with process:
        assert [] == unfinished(tmp_path)


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    """Nothing outside the folder is touched."""
    outside = tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)
    folder = tmp_path / "folder"
    folder.mkdir()
    link = folder / ".edge-ood-0a1b2c3d.part"
    link.symlink_to(outside)
    old = time.time() - WEEK_S - 60
    os.utime(link, (old, old), follow_symlinks=False)

    write(folder / "b")

    assert [folder / "b"] == list(folder.iterdir())
    assert (outside / "inner").is_dir()


def test_where_processes_are_not_known_names_are_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without /proc nothing is claimed about the owner, and nothing is taken for dead."""
    monkeypatch.setattr(temporary, "_place", lambda: "")
    left = temporary_name(tmp_path / "a")
    left.touch()

    write(tmp_path / "b")

    assert 2 == left.name.count("-")
    assert left.exists()


@pytest.mark.parametrize(("private", "mode"), [(True, 0o700), (False, 0o755)])
def test_a_temporary_folder_may_be_private(tmp_path: Path, private: bool, mode: int) -> None:
    """It is gone after the block, with what is in it."""
    before = os.umask(0o022)
    try:
        with temporary_folder(tmp_path / "deep" / "a", private=private) as made:
            (made / "part").touch()
            assert mode == made.stat().st_mode & 0o777
    finally:
        os.umask(before)

    assert [] == list((tmp_path / "deep").iterdir())
