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

# What shares images here does so on purpose.
pytestmark = pytest.mark.filterwarnings(
    "ignore::edge_ood.evaluation.shared_images.SharedImagesWarning"
)


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


def artefact(name="made.onnx", *, never_tested=(), **roles):
    """An artefact that was made from files with these names, and is asked for nothing else."""
    manifests = {
        role: Manifest.of([content_hash(file.encode()) for file in files])
        for role, files in roles.items()
    }
    provenance = {} if never_tested is None else {"never_tested": never_tested}
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


@pytest.mark.parametrize("role", ROLES)
def test_what_an_artefact_excludes_no_option_lets_in(images, role):
    """Whatever role it declares; the message names file, role and artefact."""
    id_images = images("id", *"ab")
    artifact = artefact(never_tested=["pretraining", role], **{role: "b"})

    with pytest.raises(
        DataError, match=rf"b.png' is among the {role} images of 'made\.onnx', which its training"
    ):
        plan_evaluation([artifact], "", id_images, [], allow_overlap=True)


def test_a_transductive_pool_needs_permission(images):
    """A test image of a pool that excludes none is let in on demand, and counted."""
    id_images = images("id", *"ab")
    artifact = artefact(never_tested=[], unlabelled="b")

    with pytest.raises(DataError, match="unlabelled"):
        plan_evaluation([artifact], "", id_images, [])
    (task,) = plan_evaluation([artifact], "", id_images, [], allow_overlap=True).tasks

    assert {"unlabelled": 1} == task.overlap_counts("")


@pytest.mark.parametrize("said", [None, "unlabelled", [1]], ids=["nothing", "text", "numbers"])
def test_a_pool_of_an_artefact_that_does_not_say_is_excluded(images, said):
    """Those of earlier versions do not; the hint is to export again. Other roles are as ever."""
    id_images = images("id", *"ab")

    with pytest.raises(DataError, match="does not say whether these may be tested") as refused:
        plan_evaluation(
            [artefact(never_tested=said, unlabelled="b")], "", id_images, [], allow_overlap=True
        )

    assert "exported again" in str(refused.value.hint)
    other = artefact(never_tested=said, training="b")
    (task,) = plan_evaluation([other], "", id_images, [], allow_overlap=True).tasks
    assert {"training": 1} == task.overlap_counts("")


def test_a_file_that_cannot_be_read_is_named(images):
    """Hashing comes first, so a missing file is found before anything is scored."""
    id_images = images("id", "a", "b")
    id_images.paths[1].unlink()

    with pytest.raises(DataError, match=r"cannot read '.*b.png'"):
        plan_evaluation([artefact()], "", id_images, [])
