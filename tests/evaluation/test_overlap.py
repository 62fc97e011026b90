"""Images that an artefact was made from are refused, or counted on demand."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_ood.artifact.packed import Manifest
from edge_ood.errors import DataError
from edge_ood.evaluation.artifacts import OpenArtifact
from edge_ood.evaluation.overlap import find_overlap
from edge_ood.evaluation.plan import plan_evaluation
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
    return OpenArtifact(Path(name).stem, name, "", 0, SimpleNamespace(metadata=metadata), {})


ROLES = ("training", "pretraining", "outliers", "unlabelled", "calibration", "statistics")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("place", ["ID", "OOD"])
def test_a_shared_image_is_refused_by_name(images, role, place):
    """In every role and every set; the message names file, role, artefact and the way out."""
    sets = {place: images("one", "a", "b"), "other": images("two", "c")}
    id_images, others = sets.pop("ID", None) or sets.pop("other"), list(sets.values())
    ood = parse_sets([str(s.paths[0].parent) for s in others])

    with pytest.raises(DataError) as refused:
        plan_evaluation([artefact(**{role: ["b", "z"]})], "", id_images, ood)

    assert f"one/b.png' is among the {role} images of 'made.onnx'" in str(refused.value)
    assert "--allow-seen" in str(refused.value.hint)
    plan_evaluation([artefact(**{role: ["b", "z"]})], "", id_images, ood, allow_overlap=True)


def test_five_files_are_named_and_all_counted(images):
    """Seven images by number, the first five by name."""
    id_images = images("id", *"abcdefgh")

    with pytest.raises(
        DataError, match=r"7 test images \(.*a.png', .*e.png' and 2 more\)"
    ) as refused:
        plan_evaluation([artefact(training=list("abcdefg"))], "", id_images, [])

    assert "f.png" not in str(refused.value)


def test_every_artefact_and_role_is_named(images):
    """Two artefacts that were made from other images of the same set."""
    id_images = images("id", *"abc")
    artifacts = [
        artefact("one.onnx", training="a"),
        artefact("two.onnx", training="c", outliers="b"),
    ]

    with pytest.raises(DataError) as refused:
        plan_evaluation(artifacts, "", id_images, [])

    parts = str(refused.value).split("; ")
    assert ["training images of 'one", "training images of 'two", "outliers images of 'two"] == [
        part[part.rindex("the ") + 4 : part.rindex(".onnx")] for part in parts
    ]


def test_an_image_in_two_sets_is_named_once_and_counted_in_both(images):
    """The message lists files, the result counts within each set."""
    id_images, others = images("id", "a", "b"), images("ood", "c")
    folder = others.paths[0].parent
    sets = parse_sets([f"one={folder}", f"two={folder}"])
    artifact = artefact(outliers="c")

    with pytest.raises(DataError, match=r"^test image '[^']*c.png' is among"):
        plan_evaluation([artifact], "", id_images, sets)
    (task,) = plan_evaluation([artifact], "", id_images, sets, allow_overlap=True).tasks

    assert [{"outliers": 1}, {"outliers": 1}] == [task.overlap_counts(s.name) for s in sets]


def test_counts_are_by_set_and_role(images):
    """A role without images is left out."""
    id_images = with_hashes(images("id", *"abc"))
    artifact = artefact(training="ab", calibration="c", outliers="z")

    found = find_overlap(artifact, {"x": id_images})

    assert {"training": 2, "calibration": 1} == {r: len(f) for r, f in found["x"].items()}


def test_a_pool_that_excludes_test_images_is_held_to_that(images):
    """With mode=transductive-split no option lets an image of the pool in."""
    id_images = images("id", *"ab")
    artifact = artefact(mode="transductive-split", unlabelled="b")

    with pytest.raises(DataError, match=r"b.png' is among the pool that 'made\.onnx' learnt from"):
        plan_evaluation([artifact], "", id_images, [], allow_overlap=True)


def test_a_transductive_pool_needs_permission(images):
    """With mode=transductive a test image of the pool is let in on demand, and counted."""
    id_images = images("id", *"ab")
    artifact = artefact(mode="transductive", unlabelled="b")

    with pytest.raises(DataError, match="unlabelled"):
        plan_evaluation([artifact], "", id_images, [])
    (task,) = plan_evaluation([artifact], "", id_images, [], allow_overlap=True).tasks

    assert {"unlabelled": 1} == task.overlap_counts("")


def test_a_file_that_cannot_be_read_is_named(images):
    """Hashing comes first, so a missing file is found before anything is scored."""
    id_images = images("id", "a", "b")
    id_images.paths[1].unlink()

    with pytest.raises(DataError, match=r"cannot read '.*b.png'"):
        plan_evaluation([artefact()], "", id_images, [])
