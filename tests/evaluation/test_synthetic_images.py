"""Which images a synthetic set has, and what each of them is made from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ood.errors import InputError
from edge_ood.evaluation.synthetic_images import SyntheticImages
from edge_ood.images.folders import ImageSet, read_images
from edge_ood.images.preprocess import Preprocess


def of_files(count: int) -> ImageSet:
    """Files that are never opened."""
    return ImageSet(tuple(Path(f"{index}.png") for index in range(count)))


def never(*_: Any) -> Any:
    raise AssertionError


def white_noise(generator: np.random.Generator, size_px: int) -> np.ndarray:
    return generator.random((size_px, size_px, 3))


def synthetic(n_sources: int, id_images: ImageSet, **options: Any) -> SyntheticImages:
    return SyntheticImages("kind", never, n_sources, id_images, Preprocess(4), **options)


@pytest.mark.parametrize("n_sources", [0, 1, 2])
def test_a_set_is_as_large_as_the_id_set_up_to_a_limit(n_sources: int) -> None:
    """One image per ID image, at most 2,000, unless a count is given."""
    assert 30 == len(synthetic(n_sources, of_files(30)))
    assert 2000 == len(synthetic(n_sources, of_files(2500)))
    assert 2200 == len(synthetic(n_sources, of_files(2500), count=2200))


def test_noise_may_be_more_than_the_id_images() -> None:
    """A count alone limits what is made from nothing."""
    assert 500 == len(synthetic(0, of_files(3), count=500))


@pytest.mark.parametrize(
    ("n_sources", "n_id", "count", "wanted"), [(1, 3, 4, 4), (2, 1, None, 2), (2, 1, 1, 2)]
)
def test_too_few_id_images_are_refused(
    n_sources: int, n_id: int, count: int | None, wanted: int
) -> None:
    """No ID image is used twice as the first, and a pair needs two; the numbers are named."""
    with pytest.raises(InputError, match=rf"'kind' .* {wanted} ID images.* there are {n_id}$"):
        synthetic(n_sources, of_files(n_id), count=count)


def test_a_part_of_a_sorted_folder_is_mixed() -> None:
    """A tenth of the ID images comes from all over the list, each once."""
    origins = synthetic(1, of_files(1000), count=100).origins

    assert 100 == len(set(origins))
    assert 20 < np.count_nonzero(origins < 500) < 80
    np.testing.assert_array_equal(origins, synthetic(2, of_files(1000), count=100).origins)


def test_pairs_are_of_two_images(colours: Path) -> None:
    """The second ID image is never the first, and each of the others comes up."""
    id_images = read_images(colours / "test").subset(np.arange(4))
    pairs = []

    def remember(_: np.random.Generator, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        pairs.append((one.tobytes(), two.tobytes()))
        return one

    for seed in range(12):
        images = SyntheticImages("kind", remember, 2, id_images, Preprocess(16), seed=seed)
        images.frames(range(4))

    assert all(one != two for one, two in pairs)
    assert 12 == len(set(pairs))


def test_draws_depend_on_seed_name_and_position() -> None:
    """Each of the three leads to another image, and nothing else does."""
    id_images = of_files(9)

    def first(name: str, seed: int, index: int) -> bytes:
        images = SyntheticImages(name, white_noise, 0, id_images, Preprocess(4), seed=seed)
        return images.frames([index]).tobytes()

    assert first("a", 0, 0) == first("a", 0, 0)
    assert 4 == len({first("a", 0, 0), first("b", 0, 0), first("a", 1, 0), first("a", 0, 1)})


def test_values_are_rounded_to_the_nearest_level() -> None:
    """Half a level below white is white, a little more is not."""
    values = iter([1 - 0.49 / 255, 1 - 0.51 / 255])
    images = SyntheticImages(
        "kind", lambda *_: np.full((4, 4, 3), next(values)), 0, of_files(2), Preprocess(4)
    )

    assert [255, 254] == images.frames([0, 1])[:, 0, 0, 0].tolist()
