"""`Scorer`: every kind of input, in order, with nobody else's result."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import edge_ood
from edge_ood.artifact.outputs import Row, Scores
from edge_ood.errors import DataError, InputError, ShapeError
from edge_ood.images.folders import find_images
from edge_ood.runtime.scorer import Scorer

BATCH_TOLERANCE = 1e-6  # float32 sums in another order, relative to logits of about 1
GREY_LEVEL = 1 / 255 / 0.25 * 4  # one grey level through std 0.25 and weights of at most 4


def assert_equal(expected: Scores, found: Scores, *, tolerance: float = 0) -> None:
    """All arrays are equal; scores and logits within a tolerance."""
    assert expected.label_index.tolist() == found.label_index.tolist()
    assert expected.is_ood.tolist() == found.is_ood.tolist()
    np.testing.assert_allclose(found.logits, expected.logits, rtol=0, atol=tolerance)
    for head, scores in expected.scores.items():
        np.testing.assert_allclose(found.scores[head], scores, rtol=0, atol=tolerance)
        assert expected.decisions[head].tolist() == found.decisions[head].tolist()


def test_the_package_offers_the_scorer() -> None:
    """The three lines of the README work as they stand there."""
    assert (Scorer, Scores, Row) == (edge_ood.Scorer, edge_ood.Scores, edge_ood.Row)


def test_files_by_text_path_and_folder_are_the_same(scorer: Scorer, colours: Path) -> None:
    """A string, a path and a folder of files give the same typed result, in the same order."""
    paths = find_images(colours / "test")

    by_path = scorer(paths)

    assert isinstance(by_path, Scores)
    assert len(paths) == len(by_path) == len(by_path.label)
    assert [path.parent.name for path in paths] == by_path.label
    assert_equal(by_path, scorer([str(path) for path in paths]))
    assert_equal(by_path, scorer(str(colours / "test")))
    assert_equal(by_path, scorer(iter(paths)))
    assert_equal(scorer(paths[0]), scorer([paths[0]]))


def test_folders_and_files_mix(scorer: Scorer, colours: Path) -> None:
    """A list may hold both; a folder stands for its images in sorted order."""
    folder = colours / "test" / "red apple"
    single = colours / "test" / "=green" / "00.png"

    assert_equal(scorer([single, *find_images(folder)]), scorer([single, folder]))


def test_files_have_hashes_and_arrays_have_none(
    scorer: Scorer, colours: Path, frames: NDArray[np.uint8]
) -> None:
    """Content hashes tell calibration and evaluation which files they saw."""
    paths = find_images(colours / "test")

    assert len(paths) == len(set(scorer(paths).hashes))
    assert () == scorer(frames).hashes


def test_one_frame_is_a_batch_of_one(scorer: Scorer, frames: NDArray[np.uint8]) -> None:
    """An array (H, W, 3) is one image."""
    assert_equal(scorer(frames[:1]), scorer(frames[0]))


def test_frames_of_different_sizes_keep_their_order(scorer: Scorer) -> None:
    """A list of arrays of any sizes is scored in order, each as if alone."""
    generator = np.random.default_rng(1)
    sizes = [(16, 16), (40, 30), (40, 30), (16, 16), (9, 200), (40, 30)]
    images = [generator.integers(0, 256, (*size, 3), np.uint8) for size in sizes]

    found = scorer([*images, np.stack(images[1:3])], batch_size=2)

    alone = [scorer(image) for image in [*images, *images[1:3]]]
    assert_equal(Scores.joined(alone), found, tolerance=BATCH_TOLERANCE)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 40, 1000])
def test_scores_do_not_depend_on_the_batch(
    scorer: Scorer, frames: NDArray[np.uint8], batch_size: int
) -> None:
    """Any split into batches gives the same answers as 32 at a time."""
    expected = scorer(frames, batch_size=32)

    assert_equal(expected, scorer(frames, batch_size=batch_size), tolerance=BATCH_TOLERANCE)


def test_the_memory_layout_does_not_matter(scorer: Scorer, frames: NDArray[np.uint8]) -> None:
    """Views, such as BGR turned to RGB, are scored as what they show."""
    expected = scorer(frames)
    bgr = np.ascontiguousarray(frames[..., ::-1])
    doubled = frames.repeat(2, axis=1)
    locked = frames.view()
    locked.flags.writeable = False

    for view in (bgr[..., ::-1], doubled[:, ::2], np.asfortranarray(frames), locked):
        assert_equal(expected, scorer(view))


def test_at_the_right_size_the_graph_changes_nothing(scorer: Scorer, colours: Path) -> None:
    """A decoded frame gives, bit for bit, what its file gives."""
    paths = find_images(colours / "test")
    frames = np.stack([np.asarray(Image.open(path)) for path in paths])

    assert_equal(scorer(paths), scorer(frames))


@pytest.mark.parametrize("size", [(32, 32), (50, 33), (17, 90), (160, 120)])
def test_the_graph_resizes_as_pillow_does(scorer: Scorer, size: tuple[int, int]) -> None:
    """A frame of another size gets the decision and, within a grey level, the logits of fit()."""
    generator = np.random.default_rng(2)
    coarse = generator.integers(0, 256, (8, 6, 6, 3), np.uint8)
    frames = [np.asarray(Image.fromarray(c).resize(size)) for c in coarse]
    fitted = np.stack([scorer.metadata.preprocess.fit(frame) for frame in frames])

    by_graph, by_pillow = scorer(frames), scorer(fitted)

    assert by_pillow.label == by_graph.label
    assert by_pillow.is_ood.tolist() == by_graph.is_ood.tolist()
    np.testing.assert_allclose(by_graph.logits, by_pillow.logits, atol=GREY_LEVEL)


@pytest.mark.parametrize("kind", ["floats", "pillow", "tensor", "tensors", "objects"])
def test_pictures_of_every_kind_are_scored_alike(
    kind: str, scorer: Scorer, frames: NDArray[np.uint8]
) -> None:
    """Bit for bit as their bytes are."""
    torch = pytest.importorskip("torch")
    several = np.empty(len(frames), object)
    several[:] = list(frames)
    tensor = torch.from_numpy(frames).permute(0, 3, 1, 2)
    given: dict[str, Any] = {
        "floats": frames / 255,
        "pillow": [Image.fromarray(frame) for frame in frames],
        "tensor": tensor.float() / 255,
        "tensors": list(tensor),
        "objects": several,
    }

    assert_equal(scorer(frames), scorer(given[kind]))


def test_pillow_images_of_any_size_are_scored_in_order(scorer: Scorer) -> None:
    """Each as if alone."""
    sizes = [(16, 16), (40, 30), (9, 20)]
    images = [Image.radial_gradient("L").resize(size) for size in sizes]

    alone = [scorer(image) for image in images]

    assert_equal(Scores.joined(alone), scorer(images), tolerance=BATCH_TOLERANCE)


def test_a_column_of_paths_is_scored_as_a_list(scorer: Scorer, colours: Path) -> None:
    """Such as of the data frame that another result gave."""
    pandas = pytest.importorskip("pandas")
    paths = find_images(colours / "test")
    column = pandas.DataFrame({"path": list(map(str, paths))})["path"]

    assert_equal(scorer(paths), scorer(column))


def test_pictures_stay_with_their_scores(scorer: Scorer, frames: NDArray[np.uint8]) -> None:
    """Whatever they were, without a copy of bytes; files are read when they are shown."""
    mixed = [Image.fromarray(frames[0]), frames[1:3], frames[3] / 255]

    found = scorer(mixed)

    assert np.array_equal(frames[:4], np.stack(found.images))
    assert np.shares_memory(frames, found.images[1])
    assert (40, ()) == (len(scorer(frames).images), scorer.score_arrays(frames).images)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((16, 16, 3), np.int64),
        np.zeros((16, 16), np.uint8),
        np.zeros((16, 16, 4), np.uint8),
        np.zeros((3, 16, 16), np.uint8),
        np.zeros((1, 1, 16, 16, 3), np.uint8),
        np.zeros((0, 16, 16, 3), np.uint8),
        np.zeros((1, 0, 16, 3), np.uint8),
        [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.bool_)],
    ],
    ids=lambda images: str(getattr(images, "shape", "list")),
)
def test_arrays_of_another_kind_are_refused(scorer: Scorer, images: Any) -> None:
    """Dtype and shape are named, and what was expected."""
    with pytest.raises(ShapeError, match=r"images are \w+ \(.*\), expected \(N, H, W, 3\)"):
        scorer(images)


@pytest.mark.parametrize(
    "images",
    [[3], [None], ["a.png", np.zeros((16, 16, 3), np.uint8)]],
    ids=["number", "None", "mixed"],
)
def test_items_that_are_neither_path_nor_array_are_refused(scorer: Scorer, images: Any) -> None:
    """The type is named, and how to make an array of an image."""
    with pytest.raises(InputError, match=r"cannot score a .*, expected paths, or arrays and"):
        scorer(images)


def test_nothing_to_score_is_an_error(scorer: Scorer, tmp_path: Path) -> None:
    """No list, folder or file is empty by intention."""
    nothings: list[Any] = [[], tmp_path, tmp_path / "missing.png"]
    for nothing in nothings:
        with pytest.raises(DataError):
            scorer(nothing)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_has_at_least_one_image(
    scorer: Scorer, colours: Path, frames: NDArray[np.uint8], batch_size: int
) -> None:
    """On every way in."""
    for images in (frames, [frames], [colours / "test"]):
        with pytest.raises(InputError, match="batch size"):
            scorer(images, batch_size=batch_size)
