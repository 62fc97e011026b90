"""Attaching with images of tar shards, tables and stores: the file that folders would give."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from object_store import Store, serving_store
from tar_shards import write_tar

from edge_ood.api.attach import attach
from edge_ood.errors import DataError, InputError
from edge_ood.images.folders import read_class_folders
from edge_ood.images.reading import with_hashes
from edge_ood.runtime.scorer import Scorer
from edge_ood.sources import labelled_images, perhaps_labelled_images
from edge_ood.sources._image_sets import _read_together

Samples = list[tuple[str, str, bytes]]


def samples(folder: Path) -> Samples:
    """Name, class and bytes of every image, in the order of the folder."""
    images = read_class_folders(folder)
    assert images.labels is not None
    return [
        (f"{number:04}", images.classes[label], path.read_bytes())
        for number, (path, label) in enumerate(zip(images.files, images.labels, strict=True))
    ]


def as_sample_tars(found: Samples, folder: Path) -> str:
    """WebDataset's layout: the class beside each image, before it or behind it; two shards."""
    for part in (0, 1):
        members = {}
        for number, (name, label, payload) in enumerate(found[part::2]):
            both = [(f"{name}.cls", label.encode()), (f"{name}.png", payload)]
            members |= dict(both if number % 2 else reversed(both))
        write_tar(folder / f"s-{part}.tar", members)
    return str(folder / "s-{0..1}.tar")


def as_folder_tar(found: Samples, folder: Path) -> str:
    write_tar(folder / "f.tar", {f"{label}/{name}.png": data for name, label, data in found})
    return str(folder / "f.tar")


def as_table(found: Samples, folder: Path, *, names: bool = True) -> str:
    """Hugging Face's layout, in row groups of 7."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    classes = sorted({label for _, label, _ in found})
    rows = [{"bytes": payload, "path": name} for name, _, payload in found]
    labels = [classes.index(label) for _, label, _ in found]
    described = {"info": {"features": {"label": {"names": classes, "_type": "ClassLabel"}}}}
    table = arrow.table({"image": rows, "label": labels})
    if names:
        table = table.replace_schema_metadata({"huggingface": json.dumps(described)})
    parquet.write_table(table, folder / "t.parquet", row_group_size=7)
    return str(folder / "t.parquet")


def known(images: Any) -> set[tuple[str, int]]:
    return set(zip(images.hashes, images.labels.tolist(), strict=True))


@pytest.mark.parametrize("layout", [as_sample_tars, as_folder_tar, as_table])
def test_images_have_the_labels_that_they_had_as_files(
    colours: Path, tmp_path: Path, layout: Any
) -> None:
    """And the bytes, whenever they are asked for and in whatever order."""
    expected = with_hashes(read_class_folders(colours / "train"))
    source = layout(samples(colours / "train"), tmp_path)

    images = labelled_images(source)

    assert expected.classes == images.classes
    assert known(expected) == known(images)
    payloads = {path.read_bytes() for path in expected.files}
    assert payloads == {image.read() for image in reversed(images.paths)}


def test_numbers_are_classes_in_the_order_of_numbers(colours: Path, tmp_path: Path) -> None:
    """Or indices into names that are given; beyond these they are no labels."""
    found = samples(colours / "train")
    order = ["2", "10"]
    names = sorted({label for _, label, _ in found})
    write_tar(
        tmp_path / "n.tar",
        {
            f"{name}.{ending}": content
            for name, label, payload in found
            for ending, content in (
                ("cls", order[names.index(label) % 2].encode()),
                ("png", payload),
            )
        },
    )
    source = str(tmp_path / "n.tar")

    assert ("2", "10") == labelled_images(source).classes
    eleven = tuple("abcdefghijk")
    assert {2, 10} == set(perhaps_labelled_images(source, eleven).labels.tolist())
    assert perhaps_labelled_images(source, eleven[:10]).labels is None


@pytest.mark.parametrize("layout", [as_sample_tars, as_table])
def test_attaching_by_shards_gives_the_file_of_folders(
    plain_classifier: Path, colours: Path, tmp_path: Path, layout: Any
) -> None:
    """Thresholds and statistics but for the last bits: other images stand together in a batch."""
    for name in ("train", "calibration"):
        (tmp_path / name).mkdir()
    sources = {
        name: layout(samples(colours / name), tmp_path / name) for name in ("train", "calibration")
    }
    common = {"scores": "energy,mahalanobis,knn", "provider": "cpu", "pixels": "unit"}

    attach(
        plain_classifier,
        tmp_path / "folders.onnx",
        id=colours / "train",
        calibration=colours / "calibration",
        **common,
    )
    attach(
        plain_classifier,
        tmp_path / "shards.onnx",
        id=sources["train"],
        calibration=sources["calibration"],
        **common,
    )

    one, other = (Scorer(tmp_path / f"{n}.onnx").metadata for n in ("folders", "shards"))
    assert one.classes == other.classes
    assert one.calibration.thresholds == pytest.approx(other.calibration.thresholds, rel=1e-5)
    for role in ("training", "calibration"):
        assert one.manifests[role] == other.manifests[role]


@pytest.fixture
def plain_classifier(foreign_network: Any, tmp_path: Path) -> Path:
    """Somebody's file, whose outputs are the sorted classes."""
    onnx.save(foreign_network(), tmp_path / "plain.onnx")
    return tmp_path / "plain.onnx"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Images lie in it."""
    pytest.importorskip("pyarrow")
    with serving_store(monkeypatch.setenv) as found:
        yield found


def test_a_prefix_has_class_folders(colours: Path, store: Store) -> None:
    """As a folder of files has."""
    found = samples(colours / "train")
    for name, label, payload in found[::3]:
        store.put(f"id/{label}/{name}.png", payload)

    images = labelled_images("s3://photos/id")

    assert {label for _, label, _ in found} == set(images.classes)
    assert [p for _, _, p in sorted(found[::3], key=lambda s: (s[1], s[0]))] == [
        image.read() for image in images.paths
    ]


def test_images_without_labels_are_refused_where_they_are_needed(
    colours: Path, tmp_path: Path
) -> None:
    """By one line; for thresholds alone they will do."""
    write_tar(tmp_path / "x.tar", {f"{n}.png": data for n, _, data in samples(colours / "train")})

    with pytest.raises(DataError, match="lack labels") as refused:
        labelled_images(str(tmp_path / "x.tar"))

    assert ".cls" in str(refused.value.hint)
    assert perhaps_labelled_images(str(tmp_path / "x.tar")).labels is None
    with pytest.raises(InputError, match="no labels"):
        labelled_images(str(tmp_path / "x.mp4"))


def test_a_broken_shard_is_one_error(colours: Path, tmp_path: Path) -> None:
    """Statistics of half the images would look like statistics."""
    source = as_folder_tar(samples(colours / "train"), tmp_path)
    whole = Path(source).read_bytes()
    Path(source).write_bytes(whole[: len(whole) // 2])

    with pytest.raises(DataError, match=r"f\.tar"):
        labelled_images(source)


def test_a_row_of_a_table_costs_its_group_once(colours: Path, tmp_path: Path) -> None:
    """In order, each group is read a single time."""
    images = labelled_images(as_table(samples(colours / "train"), tmp_path))
    _read_together.cache_clear()

    for image in images.paths:
        image.read()

    assert -(-len(images) // 7) == _read_together.cache_info().misses
