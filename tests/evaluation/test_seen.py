"""Images that an artefact was made from are refused, or counted on demand."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_ood.artifact.packed import Manifest
from edge_ood.errors import DataError
from edge_ood.evaluation.models import Model
from edge_ood.evaluation.plan import plan_evaluation
from edge_ood.evaluation.seen import find_seen
from edge_ood.evaluation.sets import parse_sets
from edge_ood.images.folders import ImageSet
from edge_ood.images.reading import content_hash, with_hashes


@pytest.fixture
def images(tmp_path):
    """Sets of files that hold their own names, so that equal names are equal files."""

    def write(folder, *names):
        (tmp_path / folder).mkdir()
        paths = [tmp_path / folder / f"{name}.png" for name in names]
        for path in paths:
            path.write_text(path.stem)
        return ImageSet(tuple(paths))

    return write


def artefact(name="made.onnx", *, mode=None, **roles):
    """An artefact that was made from files with these names, and is asked for nothing else."""
    manifests = {
        role: Manifest.of([content_hash(file.encode()) for file in files])
        for role, files in roles.items()
    }
    provenance = {"objective": "x", "objective_parameters": {"mode": mode}} if mode else {}
    metadata = SimpleNamespace(manifests=manifests, provenance=provenance)
    return Model(Path(name).stem, name, "", 0, SimpleNamespace(metadata=metadata), {})


ROLES = ("training", "pretraining", "outliers", "unlabelled", "calibration", "statistics")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("place", ["ID", "OOD"])
def test_a_seen_image_is_refused_by_name(images, role, place):
    """In every role and every set; the message names file, role, artefact and the way out."""
    sets = {place: images("one", "a", "b"), "other": images("two", "c")}
    known, foreign = sets.pop("ID", None) or sets.pop("other"), list(sets.values())
    ood = parse_sets([str(s.paths[0].parent) for s in foreign])

    with pytest.raises(DataError) as refused:
        plan_evaluation([artefact(**{role: ["b", "z"]})], "", known, ood)

    assert f"one/b.png' is among the {role} images of 'made.onnx'" in str(refused.value)
    assert "--allow-seen" in str(refused.value.hint)
    plan_evaluation([artefact(**{role: ["b", "z"]})], "", known, ood, allow_seen=True)


def test_five_files_are_named_and_all_counted(images):
    """Seven images by number, the first five by name."""
    known = images("known", *"abcdefgh")

    with pytest.raises(
        DataError, match=r"7 test images \(.*a.png', .*e.png' and 2 more\)"
    ) as refused:
        plan_evaluation([artefact(training=list("abcdefg"))], "", known, [])

    assert "f.png" not in str(refused.value)


def test_every_artefact_and_role_is_named(images):
    """Two artefacts that were made from other images of the same set."""
    known = images("known", *"abc")
    models = [artefact("one.onnx", training="a"), artefact("two.onnx", training="c", outliers="b")]

    with pytest.raises(DataError) as refused:
        plan_evaluation(models, "", known, [])

    parts = str(refused.value).split("; ")
    assert ["training images of 'one", "training images of 'two", "outliers images of 'two"] == [
        part[part.rindex("the ") + 4 : part.rindex(".onnx")] for part in parts
    ]


def test_an_image_in_two_sets_is_named_once_and_counted_in_both(images):
    """The message lists files, the result counts within each set."""
    known, foreign = images("known", "a", "b"), images("foreign", "c")
    folder = foreign.paths[0].parent
    sets = parse_sets([f"one={folder}", f"two={folder}"])
    model = artefact(outliers="c")

    with pytest.raises(DataError, match=r"^test image '[^']*c.png' is among"):
        plan_evaluation([model], "", known, sets)
    (task,) = plan_evaluation([model], "", known, sets, allow_seen=True).tasks

    assert [{"outliers": 1}, {"outliers": 1}] == [task.seen_counts(s.name) for s in sets]


def test_counts_are_by_set_and_role(images):
    """A role without images is left out."""
    known = with_hashes(images("known", *"abc"))
    model = artefact(training="ab", calibration="c", outliers="z")

    found = find_seen(model, {"x": known})

    assert {"training": 2, "calibration": 1} == {r: len(f) for r, f in found["x"].items()}


def test_a_pool_that_excludes_test_images_is_held_to_that(images):
    """With mode=transductive-split no option lets an image of the pool in."""
    known = images("known", *"ab")
    model = artefact(mode="transductive-split", unlabelled="b")

    with pytest.raises(DataError, match=r"b.png' is among the pool that 'made\.onnx' learnt from"):
        plan_evaluation([model], "", known, [], allow_seen=True)


def test_a_transductive_pool_needs_permission(images):
    """With mode=transductive a test image of the pool is let in on demand, and counted."""
    known = images("known", *"ab")
    model = artefact(mode="transductive", unlabelled="b")

    with pytest.raises(DataError, match="unlabelled"):
        plan_evaluation([model], "", known, [])
    (task,) = plan_evaluation([model], "", known, [], allow_seen=True).tasks

    assert {"unlabelled": 1} == task.seen_counts("")


def test_a_file_that_cannot_be_read_is_named(images):
    """Hashing comes first, so a missing file is found before anything is scored."""
    known = images("known", "a", "b")
    known.paths[1].unlink()

    with pytest.raises(DataError, match=r"cannot read '.*b.png'"):
        plan_evaluation([artefact()], "", known, [])
