"""What every kind of synthetic images keeps: a new file gets this battery by its name."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.evaluation.synthetic_images import SyntheticImages
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.synthetic import KINDS

Made = Callable[..., SyntheticImages]
FROM_ID_IMAGES = [name for name in KINDS.names() if KINDS.get(name).n_sources]
FROM_NOTHING = [name for name in KINDS.names() if not KINDS.get(name).n_sources]
ANY_SIZE = [name for name in KINDS.names() if KINDS.get(name).kind == "synthetic"]

kinds = pytest.mark.parametrize("name", KINDS.names())


@kinds
def test_the_object_bears_the_name_of_its_file(name: str) -> None:
    """The command line, the file and the object agree on the name."""
    assert name == KINDS.get(name).name


@kinds
def test_the_docstring_has_shape_and_source(name: str) -> None:
    """Shapes and source stand beside the code; the object has paper and year, or ourselves."""
    kind = KINDS.get(name)

    assert "(S, S, 3)" in kind.make.__doc__
    assert "Source: " in kind.make.__doc__
    assert re.search(r"[A-Z].* 20\d\d|this project", kind.source)


@kinds
def test_pixels_have_the_size_of_the_network(name: str, made: Made) -> None:
    """Images are uint8 (N, S, S, 3), one for each ID image."""
    images = made(name)

    frames = images.frames(range(len(images)))

    assert np.uint8 == frames.dtype
    assert (18, 16, 16, 3) == frames.shape


@pytest.mark.parametrize("name", ANY_SIZE)
@pytest.mark.parametrize("size_px", [1, 2, 7, 33])
def test_any_size_can_be_made(name: str, size_px: int, made: Made) -> None:
    """Nothing in a kind needs an even side, or room for a kernel."""
    assert (3, size_px, size_px, 3) == made(f"{name}:count=3", size_px).frames(range(3)).shape


@kinds
def test_batches_do_not_change_the_images(name: str, made: Made) -> None:
    """One by one, five at a time, a few in another order: image i is image i."""
    ticks: list[int] = []
    images = made(name)

    one_by_one = np.concatenate(list(images.batches(1)))
    by_fives = list(images.batches(5, lambda: ticks.append(1)))

    assert [5, 5, 5, 3] == [len(batch) for batch in by_fives]
    assert len(images) == len(ticks)
    np.testing.assert_array_equal(one_by_one, np.concatenate(by_fives))
    np.testing.assert_array_equal(one_by_one[[11, 2, 2]], images.frames([11, 2, 2]))


@kinds
def test_a_smaller_set_begins_like_a_larger_one(name: str, made: Made) -> None:
    """Image i does not depend on how many are made."""
    few, many = made(f"{name}:count=4"), made(f"{name}:count=12")

    np.testing.assert_array_equal(few.frames(range(4)), many.frames(range(4)))


@kinds
def test_another_seed_makes_other_images(name: str, made: Made) -> None:
    """The seed reaches the noise, or the choice of ID images."""
    assert (made(name).frames([0]) != made(f"{name}:seed=1").frames([0])).any()


@kinds
def test_images_of_a_set_differ(name: str, made: Made) -> None:
    """Each image has draws of its own; only a pair may come up again, the other way round."""
    frames = made(name).frames(range(18))

    assert len(np.unique(frames.reshape(18, -1), axis=0)) >= 16


@pytest.mark.parametrize("name", FROM_ID_IMAGES)
def test_id_images_do_not_stay_as_they_are(name: str, made: Made, id_images: ImageSet) -> None:
    """Each image differs from the ID image that it is made from."""
    images = made(name)
    originals, _ = decode_all([id_images.paths[i] for i in images.origins], Preprocess(16))

    changed = (images.frames(range(18)) != originals).any(axis=(1, 2, 3))

    assert 18 == len(set(images.origins))
    assert changed.all()


@kinds
def test_noise_is_far_and_altered_images_have_no_group(name: str) -> None:
    """Only what no ID image went into is far from them by construction."""
    assert ("far" if name in FROM_NOTHING else "") == KINDS.get(name).group


def test_the_help_lists_every_kind() -> None:
    """`edge-ood evaluate --help` has them, wrapped as it may be."""
    result = CliRunner().invoke(app, ["evaluate", "--help"])

    listed = "".join(result.stdout.split()).partition("Kinds:")[2].partition(".")[0]
    assert KINDS.names() == listed.split(",")
