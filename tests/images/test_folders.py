"""Image folders: what is found, in which order, with which labels, and what decoding yields."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.folders import ImageSet, find_images, read_class_folders, read_images
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import DecodedImage, content_hash, decode_all, decode_stream
from edge_ood.images.splits import halves_by_hash, stratified_split
from edge_ood.threads import ordered_map


def make(root, *names):
    """Empty files below a folder: finding them does not open them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def grey_images(root, *levels):
    """One file per grey level, named by it."""
    for level in levels:
        Image.new("RGB", (4, 4), (level,) * 3).save(root / f"{level:03}.png")
    return [root / f"{level:03}.png" for level in levels]


def test_images_are_found_by_suffix_in_sorted_order(tmp_path):
    """Every folder depth, suffixes in either case, sorted by path; other files are left out."""
    make(tmp_path, "b.JPG", "a/z.png", "a/b/c.webp", "a.txt", "png", "c.jpeg.bak")

    found = [str(path.relative_to(tmp_path)) for path in find_images(tmp_path)]

    assert ["a/b/c.webp", "a/z.png", "b.JPG"] == found


def test_hidden_files_and_folders_are_left_out(tmp_path):
    """What tools leave behind is neither an image nor a class."""
    make(tmp_path, "a/1.png", "a/2.png", "b/1.png", "b/2.png", ".checkpoints/1.png", "a/._1.png")

    images = read_class_folders(tmp_path)

    assert ("a", "b") == images.classes
    assert ["a/1.png", "a/2.png", "b/1.png", "b/2.png"] == [
        str(path.relative_to(tmp_path)) for path in images.paths
    ]


def test_links_are_followed(tmp_path):
    """A class folder may be a link; a link to a folder above is not entered."""
    make(tmp_path, "elsewhere/1.png", "elsewhere/2.png", "data/a/1.png", "data/a/2.png")
    (tmp_path / "data" / "b").symlink_to("../elsewhere")
    (tmp_path / "data" / "a" / "up").symlink_to("..")

    images = read_class_folders(tmp_path / "data")

    assert ("a", "b") == images.classes
    assert [0, 0, 1, 1] == images.labels.tolist()


def test_a_closed_folder_is_refused(tmp_path, monkeypatch):
    """Its images would be missed in silence."""
    make(tmp_path, "a/1.png", "b/1.png")
    scan = os.scandir

    def refuse(path):
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("edge_ood.files.walk.os.scandir", refuse)

    with pytest.raises(DataError, match=r"cannot read the folder '.*b': Permission denied"):
        find_images(tmp_path)


@pytest.mark.parametrize("name", ["1.heic", "1.HEIF", "1.avif", "1.jxl"])
def test_photographs_that_are_not_decoded_are_not_overlooked(tmp_path, name):
    """They are found, so that decoding refuses them by name."""
    make(tmp_path, name)

    assert [tmp_path / name] == find_images(tmp_path)


def test_missing_folder_is_named():
    """A path that is no folder is an error with a hint."""
    with pytest.raises(DataError, match="no folder 'nowhere'") as caught:
        find_images(Path("nowhere"))

    assert "check the path" == caught.value.hint


def test_empty_folder_says_what_was_looked_for(tmp_path):
    """A folder without images lists the suffixes that count."""
    make(tmp_path, "readme.txt")

    with pytest.raises(DataError, match=r"no images under '.*' \(looked for .bmp .*.webp\)"):
        find_images(tmp_path)


def test_class_folders_give_labels(tmp_path):
    """Classes are the sorted names of the top folders, whatever language or depth."""
    slashed = "b\N{DIVISION SLASH}c"
    for name in ("ä ö", slashed, "猫"):
        make(tmp_path, f"{name}/1.png", f"{name}/deep/er/2.png")

    images = read_class_folders(tmp_path)

    assert images.classes == (slashed, "ä ö", "猫")
    assert [0, 0, 1, 1, 2, 2] == images.labels.tolist()
    assert np.int64 == images.labels.dtype


def test_fewer_than_two_classes_are_refused(tmp_path):
    """One class folder cannot train a classifier."""
    make(tmp_path, "cat/1.png", "cat/2.png")

    with pytest.raises(DataError, match=r"holds 1 class folder\(s\), expected at least 2"):
        read_class_folders(tmp_path)


@pytest.mark.parametrize(("count", "message"), [(0, "0 images"), (1, "1 image")])
def test_class_with_too_few_images_is_refused(tmp_path, count, message):
    """The class and both counts are named; an empty folder is a class that went missing."""
    make(tmp_path, "cat/1.png", "cat/2.png", "dog/notes.txt", *["dog/1.png"] * count)

    with pytest.raises(DataError, match=f"class 'dog' has {message}, expected at least 2"):
        read_class_folders(tmp_path)


def test_an_image_without_a_class_is_refused(tmp_path):
    """Beside the class folders it would be left out in silence; notes may lie there."""
    make(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png", "notes.txt", ".x.png")
    assert 4 == len(read_class_folders(tmp_path))
    make(tmp_path, "3.png")

    with pytest.raises(DataError, match=r"'.*3\.png' lies beside the class folders") as caught:
        read_class_folders(tmp_path)

    assert "move it into a class folder" in caught.value.hint


def test_a_class_has_a_name_that_can_be_stored(tmp_path):
    """A stray byte in a folder's name is found before anything is trained on it."""
    for name in (b"caf\xe9", b"tea"):
        make(tmp_path, *(f"{os.fsdecode(name)}/{i}.png" for i in range(2)))

    with pytest.raises(DataError, match=r"class folder '.*caf.*' has a name that is not UTF-8"):
        read_class_folders(tmp_path)


def test_labels_follow_the_given_classes(tmp_path):
    """Folders named after classes give indices into those, in their order; gaps are fine."""
    make(tmp_path, "cat/1.png", "ant/1.png")

    images = read_images(tmp_path, ("dog", "cat", "ant"))

    assert [2, 1] == images.labels.tolist()
    assert ("dog", "cat", "ant") == images.classes


@pytest.mark.parametrize("stray", ["1.png", "other/1.png"])
def test_one_stray_image_leaves_all_unlabelled(tmp_path, stray):
    """Labels for some images only would give an accuracy of some images only."""
    make(tmp_path, "cat/1.png", stray)

    images = read_images(tmp_path, ("cat", "dog"))

    assert images.labels is None
    assert 2 == len(images)


def test_subset_keeps_rows_together():
    """A mask and an index array select paths, labels and hashes alike."""
    paths = tuple(Path(name) for name in "abc")
    images = ImageSet(paths, np.array([0, 1, 0]), ("x", "y"), ("h0", "h1", "h2"))

    for chosen in (np.array([True, False, True]), np.array([0, 2])):
        subset = images.subset(chosen)
        assert subset.paths == (paths[0], paths[2])
        assert [0, 0] == subset.labels.tolist()
        assert (("x", "y"), ("h0", "h2")) == (subset.classes, subset.hashes)


def test_content_hash_is_sha256():
    """The hash of "abc" is the standard's example."""
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    assert expected == content_hash(b"abc")


def test_split_takes_the_same_share_of_every_class():
    """A tenth of 100, 30 and 7 images, and one where the share is less."""
    labels = np.repeat([0, 1, 2, 3], [100, 30, 7, 3])

    taken = stratified_split(labels, 0.1, seed=0)

    assert [10, 3, 1, 1] == np.bincount(labels[taken]).tolist()


def test_split_is_a_function_of_its_seed():
    """The same seed draws the same images, another seed others."""
    labels = np.arange(200) % 2

    first, again, other = (stratified_split(labels, 0.25, seed) for seed in (3, 3, 4))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_halves_do_not_depend_on_order():
    """Shuffled images fall into the same halves, of equal size."""
    hashes = [content_hash(bytes([i])) for i in range(40)]
    order = np.random.default_rng(0).permutation(40)

    half = halves_by_hash(hashes)

    assert 20 == half.sum()
    np.testing.assert_array_equal(half[order], halves_by_hash([hashes[i] for i in order]))


def test_copies_fall_into_the_same_half():
    """One image under two names is not in both halves."""
    hashes = [content_hash(bytes([i])) for i in (1, 2, 3, 1, 4, 2, 1)]

    half = halves_by_hash(hashes)

    assert half[0] == half[3] == half[6]
    assert half[1] == half[5]


def test_stream_yields_in_order_with_errors_in_place(tmp_path):
    """Each file gives pixels and hash, or its own error, at its own position."""
    first, last = grey_images(tmp_path, 10, 200)
    broken, missing = tmp_path / "broken.png", tmp_path / "missing.png"
    broken.write_bytes(first.read_bytes()[:50])

    items = list(decode_stream([first, broken, missing, last], Preprocess(2)))

    assert [DecodedImage, DataError, DataError, DecodedImage] == [type(item) for item in items]
    assert (10, 200) == (items[0].pixels.max(), items[3].pixels.min())
    assert content_hash(last.read_bytes()) == items[3].content_hash
    assert f"cannot decode '{broken}'" in str(items[1])
    assert f"cannot read '{missing}': No such file" in str(items[2])


def test_decode_all_stacks_pixels_and_hashes(tmp_path):
    """One array, the hashes beside it, and one call per image."""
    paths = grey_images(tmp_path, 1, 2, 3)
    calls = []

    images, hashes = decode_all(paths, Preprocess(4), on_image=lambda: calls.append(1))

    assert (3, 4, 4, 3) == images.shape
    assert [1, 2, 3] == images[:, 0, 0, 0].tolist()
    assert [content_hash(path.read_bytes()) for path in paths] == hashes
    assert 3 == len(calls)


def test_decode_all_writes_where_it_is_told(tmp_path):
    """A given array, such as a memory-mapped one, is filled and returned."""
    paths = grey_images(tmp_path, 7)
    out = np.zeros((1, 4, 4, 3), np.uint8)

    images, _ = decode_all(paths, Preprocess(4), out=out)

    assert images is out
    assert 7 == out.min()


def test_decode_all_stops_at_a_broken_file(tmp_path):
    """Where every image is needed, the broken one is named."""
    paths = grey_images(tmp_path, 1, 2)
    paths[1].write_bytes(b"text")

    with pytest.raises(DataError, match=r"'.*002\.png' is not an image"):
        decode_all(paths, Preprocess(4))


def test_map_keeps_the_order_of_its_items():
    """The first result comes first, even if it takes longest."""

    def slow_first(item):
        time.sleep(0.05 if item == 0 else 0)
        return item * item

    assert [i * i for i in range(20)] == list(ordered_map(slow_first, range(20), threads=4))


def test_map_reads_a_bounded_number_ahead():
    """A long source is read no further than the threads need."""
    taken = []

    def source():
        for item in range(10_000):
            taken.append(item)
            yield item

    results = ordered_map(lambda item: item, source(), threads=2)
    for _ in range(100):
        next(results)
    results.close()

    assert len(taken) <= 100 + 2 * 16


def test_map_runs_in_several_threads():
    """Two items that wait for each other both finish."""
    meeting = threading.Barrier(2, timeout=10)

    assert 2 == len(list(ordered_map(lambda _: meeting.wait(), range(2), threads=2)))


def test_map_raises_what_the_function_raises():
    """An error of the function comes out at its item's turn."""

    def failing(item):
        if item == 3:
            raise LookupError("item three")
        return item

    results = ordered_map(failing, range(10), threads=2)

    assert [0, 1, 2] == [next(results) for _ in range(3)]
    with pytest.raises(LookupError, match="item three"):
        next(results)
