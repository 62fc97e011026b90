"""Outputs: the old file or the whole new one, and what is refused before long work."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_ood.errors import ArtifactError, DataError, InputError
from edge_ood.files.output import atomic_output, check_output, publish
from edge_ood.files.temporary import is_unfinished

SMALL_DISK = """
import resource, sys
from pathlib import Path
from edge_ood.errors import DataError
from edge_ood.files.output import atomic_output

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with atomic_output(Path(sys.argv[1])) as temporary:
        temporary.write_bytes(bytes(100_000))
except DataError as error:
    print(error)
"""


def write(path: Path, text: str) -> None:
    """Write through `atomic_output`."""
    with atomic_output(path) as temporary:
        temporary.write_text(text)


def test_the_block_replaces_the_file(tmp_path: Path) -> None:
    """After the block the file holds what was written, and nothing lies beside it."""
    path = tmp_path / "out.csv"
    path.write_text("old")

    write(path, "new")

    assert "new" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_the_old_file_stands_until_the_block_ends(tmp_path: Path) -> None:
    """A reader during the block sees the old file, and the temporary one is known by name."""
    path = tmp_path / "out.csv"
    path.write_text("old")

    with atomic_output(path) as temporary:
        temporary.write_text("half")

        assert "old" == path.read_text()
        assert is_unfinished(temporary.name)
        assert not is_unfinished(path.name)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """Bugs and Ctrl-C in the block pass through, and the temporary file goes."""
    path = tmp_path / "out.csv"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(error), atomic_output(path) as temporary:
        fail(temporary)

    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_missing_folders_are_made(tmp_path: Path) -> None:
    """The folder of an output need not exist."""
    write(tmp_path / "a" / "b" / "out.csv", "text")

    assert "text" == (tmp_path / "a" / "b" / "out.csv").read_text()


def test_a_link_is_followed(tmp_path: Path) -> None:
    """Writing to a link changes the file that it points to, as writing in place would."""
    target, link = tmp_path / "v3.onnx", tmp_path / "current.onnx"
    target.write_text("old")
    link.symlink_to(target)

    write(link, "new")

    assert link.is_symlink()
    assert "new" == target.read_text()


def test_permissions_of_the_replaced_file_stay(tmp_path: Path) -> None:
    """A private file does not become public by being replaced."""
    path = tmp_path / "out.csv"
    path.write_text("old")
    path.chmod(0o600)

    write(path, "new")

    assert 0o600 == path.stat().st_mode & 0o777


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_a_new_file_has_the_mode_that_others_get(tmp_path: Path, umask: int, mode: int) -> None:
    """As if it had been written in place."""
    before = os.umask(umask)
    try:
        write(tmp_path / "out.csv", "new")
    finally:
        os.umask(before)

    assert mode == (tmp_path / "out.csv").stat().st_mode & 0o777


@pytest.mark.parametrize("old", [None, 0o600, 0o644])
def test_what_is_not_finished_is_private(tmp_path: Path, old: int | None) -> None:
    """From before the first byte; a kill leaves it so."""
    path = tmp_path / "out.csv"
    if old is not None:
        path.touch()
        path.chmod(old)

    with atomic_output(path) as temporary:
        assert 0o600 == temporary.stat().st_mode & 0o777
        temporary.write_text("new")
        assert 0o600 == temporary.stat().st_mode & 0o777


def test_permissions_of_a_replaced_folder_stay(tmp_path: Path) -> None:
    """As those of a file do."""
    made, target = tmp_path / "made", tmp_path / "target"
    for folder, mode in ((made, 0o755), (target, 0o700)):
        folder.mkdir()
        folder.chmod(mode)

    publish(made, target)

    assert 0o700 == target.stat().st_mode & 0o777


def test_the_longest_file_name_can_be_written(tmp_path: Path) -> None:
    """The temporary name is no longer than the file system allows."""
    path = tmp_path / ("x" * 255)

    write(path, "text")

    assert "text" == path.read_text()


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where no more than 1,000 bytes fit, one error names the file and no part of it remains."""
    path = tmp_path / "out.csv"

    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, path], capture_output=True, text=True, check=True
    )

    assert f"cannot write '{path}': File too large\n" == done.stdout
    assert [] == list(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    """The message is one about writing, from `atomic_output` too."""
    (tmp_path / "file").touch()

    with pytest.raises(DataError, match=r"cannot write .*: (Not a directory|File exists)"):
        write(tmp_path / "file" / "out.csv", "text")


def test_an_error_about_another_file_keeps_its_own_words(tmp_path: Path) -> None:
    """An input that is missing is not reported as an output that cannot be written."""
    with pytest.raises(FileNotFoundError), atomic_output(tmp_path / "out.csv"):
        (tmp_path / "missing").read_text()


def test_errors_name_the_file_as_its_user_does(tmp_path: Path) -> None:
    """The temporary name means nothing to anybody, and what bore it is gone."""
    path = tmp_path / "artefact.onnx"

    with pytest.raises(ArtifactError) as caught, atomic_output(path) as temporary:
        raise ArtifactError(f"'{temporary}' is damaged: it ends early", hint="export it again")

    assert f"'{path}' is damaged: it ends early" == str(caught.value)
    assert "export it again" == caught.value.hint


def test_a_closed_pipe_is_not_a_full_disk(tmp_path: Path) -> None:
    """Whoever writes to a pipe in the block learns that its reader is gone."""
    with pytest.raises(BrokenPipeError), atomic_output(tmp_path / "out.csv"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_new_name_is_accepted_and_left_alone(tmp_path: Path) -> None:
    """Checking writes nothing, in folders that do not exist yet either."""
    check_output(tmp_path / "out.csv", force=False)
    check_output(tmp_path / "a" / "b" / "out.csv", force=False)

    assert [] == list(tmp_path.iterdir())


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    """The hint names the option."""
    path = tmp_path / "out.csv"
    path.touch()

    with pytest.raises(InputError, match=f"'{path}' exists") as raised:
        check_output(path, force=False)
    check_output(path, force=True)

    assert "--force" in str(raised.value.hint)


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    """A folder cannot be replaced by a file, even by force."""
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path, force=True)


def test_a_device_is_no_output() -> None:
    """Even by force nothing is renamed over /dev/null."""
    with pytest.raises(InputError, match="not a regular file"):
        check_output(Path(os.devnull), force=True)


@pytest.mark.parametrize("path", ["/proc/out.csv", "/proc/a/b/out.csv"])
def test_a_folder_that_nobody_can_write_to_is_refused(path: str) -> None:
    """The file system is asked, because root has every permission and still cannot write here."""
    with pytest.raises(InputError, match=f"cannot write '{path}'"):
        check_output(Path(path), force=False)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """FILE/out.csv is refused before any work."""
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match=r"cannot write .*: Not a directory"):
        check_output(tmp_path / "file" / "out.csv", force=False)


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """The file system's limit is an error of ours, not a traceback."""
    with pytest.raises(InputError, match="File name too long"):
        check_output(tmp_path / ("x" * 256), force=False)
