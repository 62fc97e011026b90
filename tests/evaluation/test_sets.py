"""Foreign sets from `DIR`, `NAME=DIR`, `KIND` and the like."""

from pathlib import Path

import pytest

from edge_ood.errors import DataError, InputError, UnknownNameError
from edge_ood.evaluation.sets import parse_sets
from edge_ood.registry import Spec


def named(arguments):
    """Sources by name."""
    return {found.name: found.source for found in parse_sets(arguments)}


def test_folders_are_named_by_themselves_or_by_hand(tmp_path, monkeypatch):
    """`DIR` goes by its own name, `NAME=DIR` by the given one, in order."""
    monkeypatch.chdir(tmp_path)

    assert [
        ("svhn", Path("z/svhn")),
        ("near", Path("b/cifar")),
        ("dtd", Path("c/dtd")),
    ] == list(named(["z/svhn/", "near=b/cifar", "c/dtd"]).items())


def test_equal_folder_names_get_their_parents():
    """As many parents as needed, and only where needed."""
    found = named(["/a/x/test", "/a/y/test", "/b/y/test", "/c/dtd"])

    assert ["x/test", "a/y/test", "b/y/test", "dtd"] == list(found)


def test_plain_folder_gives_way_to_a_given_name():
    """A name given by hand is never taken by a plain folder."""
    assert ["far/dtd", "dtd"] == list(named(["/data/far/dtd", "dtd=/data/near"]))


def test_folder_with_an_equals_sign_is_a_folder(tmp_path):
    """An existing folder is not split at `=`."""
    folder = tmp_path / "size=32"
    folder.mkdir()

    assert {"size=32": folder} == named([str(folder)])


@pytest.mark.parametrize(
    ("argument", "name", "source"),
    [
        ("gaussian", "gaussian", Spec("gaussian")),
        ("gaussian:count=5,std=0.5", "gaussian", Spec("gaussian", {"count": "5", "std": "0.5"})),
        ("rgb_ghosted", "rgb-ghosted", Spec("rgb_ghosted")),
        ("soft=gaussian:std=0.5", "soft", Spec("gaussian", {"std": "0.5"})),
        ("./gaussian", "gaussian", Path("gaussian")),
        ("gaussian/", "gaussian", Path("gaussian")),
        ("real=./gaussian", "real", Path("gaussian")),
    ],
)
def test_a_word_is_the_kind_and_a_path_the_folder(tmp_path, monkeypatch, argument, name, source):
    """With a folder of that name there, too, and behind a name by hand."""
    (tmp_path / "gaussian").mkdir()
    monkeypatch.chdir(tmp_path)

    assert {name: source} == named([argument])


def test_groups_follow_the_option_and_then_the_kind():
    """Noise is far unless it is called near; folders and altered images have the option's group."""
    found = parse_sets(["/a/dtd", "uniform", "jigsaw"], ["/a/cifar", "blobs"], ["/a/svhn", "fgsm"])

    assert [
        ("dtd", "", "files"),
        ("uniform", "far", "synthetic"),
        ("jigsaw", "", "synthetic"),
        ("cifar", "near", "files"),
        ("blobs", "near", "synthetic"),
        ("svhn", "far", "files"),
        ("fgsm", "far", "adversarial"),
    ] == [(one.name, one.group, one.kind) for one in found]


def test_all_parameters_are_kept_as_numbers():
    """What was not given has its default."""
    (found,) = parse_sets(["gaussian:seed=3"])

    assert {"std": 1.0, "count": None, "seed": 3} == found.parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["far=/a", "far=/b"], "'far' is given twice"),
        (["/a/b", "/a/../a/b"], "is given twice"),
        (["uniform", "uniform:seed=1"], "'uniform' is given twice"),
        (["uniform", "./uniform"], "'uniform' is given twice"),
        (["=/a"], "cannot read set '=/a'"),
        (["far="], "cannot read set 'far='"),
    ],
)
def test_repeated_and_half_written_sets_are_refused(arguments, message):
    """Repeated sets and half-written names are errors with a hint."""
    with pytest.raises(InputError, match=message) as caught:
        parse_sets(arguments)

    assert "NAME=DIR" in caught.value.hint
    assert "NAME=KIND" in caught.value.hint


def test_one_name_in_two_groups_is_refused():
    """A set is near or far, not both."""
    with pytest.raises(InputError, match="'dtd' is given twice"):
        parse_sets([], ["dtd=/a"], ["dtd=/b"])


@pytest.mark.parametrize(
    "argument", ["gausian", "gausian:count=5", "soft=gausian:count=5", "soft=gausian"]
)
def test_a_misspelt_kind_is_told_the_right_one(argument, tmp_path, monkeypatch):
    """Neither a folder nor a kind: the hint has the nearest kind, and where to look."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(
        UnknownNameError, match="folder or kind of synthetic images 'gausian'"
    ) as caught:
        parse_sets([argument])

    assert "did you mean 'gaussian'?" in caught.value.hint
    assert "evaluate --help" in caught.value.hint


def test_a_missing_folder_is_said_when_it_is_read(tmp_path, monkeypatch):
    """What no kind resembles is taken for a folder."""
    monkeypatch.chdir(tmp_path)
    (found,) = parse_sets(["xyzzy"])

    with pytest.raises(DataError, match="no folder 'xyzzy'"):
        found.images(None, None)


@pytest.mark.parametrize(
    ("argument", "message", "hint"),
    [
        ("gaussian:cuont=3", "unknown parameter of gaussian 'cuont'", "did you mean 'count'?"),
        ("gaussian:count=0", "'count' of gaussian is 0, expected 1 or more", None),
        ("gaussian:count=many", "'count' of gaussian is 'many', expected int", "the default"),
        ("gaussian:std=0", "'std' of gaussian is 0.0, expected a number above 0", "the default"),
        ("uniform:seed=-1", "'seed' of uniform is -1, expected 0 or more", "the default"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_made(argument, message, hint):
    """Each message names the kind, the parameter and what was expected."""
    with pytest.raises(InputError, match=message) as caught:
        parse_sets([argument])

    assert hint is None or hint in caught.value.hint
