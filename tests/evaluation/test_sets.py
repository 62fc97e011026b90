"""Names of OOD sets, from `DIR` or `NAME=DIR`."""

from pathlib import Path

import pytest

from edge_ood.errors import InputError
from edge_ood.evaluation.sets import name_folders


def test_folders_are_named_by_themselves_or_by_hand(tmp_path, monkeypatch):
    """`DIR` goes by its own name, `NAME=DIR` by the given one, in order."""
    monkeypatch.chdir(tmp_path)

    named = name_folders(["z/svhn/", "near=b/cifar", "c/dtd"])

    assert [
        ("svhn", Path("z/svhn")),
        ("near", Path("b/cifar")),
        ("dtd", Path("c/dtd")),
    ] == list(named.items())


def test_equal_folder_names_get_their_parents():
    """As many parents as needed, and only where needed."""
    named = name_folders(["/a/x/test", "/a/y/test", "/b/y/test", "/c/dtd"])

    assert list(named) == ["x/test", "a/y/test", "b/y/test", "dtd"]


def test_plain_folder_gives_way_to_a_given_name():
    """A name given by hand is never taken by a plain folder."""
    assert list(name_folders(["/data/far/dtd", "dtd=/data/near"])) == ["far/dtd", "dtd"]


def test_folder_with_an_equals_sign_is_a_folder(tmp_path):
    """An existing folder is not split at `=`."""
    folder = tmp_path / "size=32"
    folder.mkdir()

    assert {"size=32": folder} == name_folders([str(folder)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["far=a", "far=b"], "'far' is given twice"),
        (["/a/b", "/a/../a/b"], "is given twice"),
        (["=a"], "cannot read OOD set '=a'"),
        (["far="], "cannot read OOD set 'far='"),
    ],
)
def test_unusable_folder_arguments(arguments, message):
    """Repeated sets and half-written names are errors with a hint."""
    with pytest.raises(InputError, match=message) as caught:
        name_folders(arguments)

    assert "NAME=DIR" in caught.value.hint
