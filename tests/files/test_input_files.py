"""Which files a command works through, and in which order."""

import os
from pathlib import Path

import pytest

from edge_ood.errors import DataError
from edge_ood.files.input_files import InputFiles, read_list


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Folders and files in no particular order."""
    for name in ("b/2.png", "b/1.png", "a/3.png", "z.png", "B.png", "b/deep/er/4.txt", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(files: InputFiles, root: Path) -> list[str]:
    """Paths below the root as text."""
    return [str(path.relative_to(root)) for path in files]


def test_a_folder_stands_for_its_files_each_time_it_is_asked(tree: Path) -> None:
    """Every file, hidden ones included, whatever its name."""
    files = InputFiles([tree])

    expected = [".hidden", "B.png", "z.png", "a/3.png", "b/1.png", "b/2.png", "b/deep/er/4.txt"]
    assert expected == names(files, tree) == names(files, tree)
    assert 7 == len(files)


def test_roots_keep_their_order_and_need_not_exist(tree: Path) -> None:
    """What is named twice comes twice."""
    files = InputFiles([tree / "z.png", tree / "a", tree / "missing.png", tree / "z.png"])

    assert ["z.png", "a/3.png", "missing.png", "z.png"] == names(files, tree)


def test_the_output_and_unfinished_outputs_are_left_out(tree: Path) -> None:
    """Under whatever name the output is reached; a file of the same name elsewhere is input."""
    (tree / "link").symlink_to(tree / "b")
    (tree / ".edge-ood-0a1b2c3d.part").touch()
    (tree / "a" / "1.png").touch()

    files = InputFiles([tree / "b", tree / "a"], skip=[tree / "link" / "1.png"])

    assert ["b/2.png", "b/deep/er/4.txt", "a/1.png", "a/3.png"] == names(files, tree)
    assert ".edge-ood-0a1b2c3d.part" not in names(InputFiles([tree]), tree)


def test_folders_that_are_written_are_left_out(tree: Path) -> None:
    """Those named, and those in the making; one of the same name elsewhere is input."""
    for name in (".edge-ood-0a1b2c3d.part/1.png", "a/deep/1.png"):
        (tree / name).parent.mkdir(parents=True)
        (tree / name).touch()

    files = InputFiles([tree], skip=[tree / "b" / "deep", tree / "missing"])

    expected = [".hidden", "B.png", "z.png", "a/3.png", "a/deep/1.png", "b/1.png", "b/2.png"]
    assert expected == names(files, tree)


def test_a_name_that_is_too_long_is_a_file(tree: Path) -> None:
    """As any other that does not exist: lists may hold anything."""
    names_in_list = [tree / ("n" * 300), Path("d/" * 3000)]

    assert names_in_list == list(InputFiles(names_in_list))


def test_no_file_is_an_error(tmp_path: Path) -> None:
    """An empty folder, folders of nothing, or an empty list."""
    (tmp_path / "a" / "b").mkdir(parents=True)

    with pytest.raises(DataError, match=f"no files below '{tmp_path}'"):
        InputFiles([tmp_path])
    with pytest.raises(DataError, match="no files in the list"):
        InputFiles([])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a.png\nb c.png\n", [b"a.png", b"b c.png"]),
        (b"a.png\n\n\nb.png", [b"a.png", b"b.png"]),
        (b" a.png \n", [b" a.png "]),
        (b"a\nb.png\0c.png\0", [b"a\nb.png", b"c.png"]),
        (b"caf\xe9.png\n", [b"caf\xe9.png"]),
        (b"caf\xe9.png\r\n\r\nb.png\r\n", [b"caf\xe9.png", b"b.png"]),
        (b"a.png\r\0", [b"a.png\r"]),
        (b"\xef\xbb\xbfa.png\n", [b"a.png"]),
        ("é.png\r\n/b.png\r\n".encode("utf-16-le"), ["é.png".encode(), b"/b.png"]),
        ("é.png\r\n/b.png\r\n".encode("utf-16"), ["é.png".encode(), b"/b.png"]),
    ],
)
def test_a_list_is_one_name_a_line_or_ended_by_nul(content: bytes, expected: list[bytes]) -> None:
    """No byte of a name is changed."""
    assert expected == [os.fsencode(path) for path in read_list(content)]


def test_a_list_that_is_no_text_is_an_error() -> None:
    """Half a character at the end of UTF-16."""
    with pytest.raises(DataError, match="cannot read the list on standard input as UTF-16-LE text"):
        read_list("a.png\n".encode("utf-16")[:-1])
