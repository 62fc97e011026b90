"""Weights in other files: beside the classifier, or behind the links of a hub's cache."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto

from edge_ood.errors import ArtifactError
from edge_ood.graph.intake import read_model

Network = Callable[..., ModelProto]

COPY = "copy both files, not links to them, into one folder"


@pytest.fixture
def plain(foreign_network: Network, tmp_path: Path) -> Path:
    """A classifier and the file of its weights, beside each other."""
    path = tmp_path / "plain" / "model.onnx"
    path.parent.mkdir()
    location = "model.onnx_data"
    onnx.save(
        foreign_network(), path, save_as_external_data=True, location=location, size_threshold=0
    )
    return path


@pytest.fixture
def cached(plain: Path) -> Path:
    """The same two files as `huggingface_hub` keeps them."""
    cache = plain.parents[1] / "models--owner--name"
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for blob, name in (("111", "model.onnx"), ("222", "model.onnx_data")):
        shutil.copy(plain.with_name(name), cache / "blobs" / blob)
        (snapshot / name).symlink_to(Path("../../blobs") / blob)
    return snapshot / "model.onnx"


def named(path: Path, location: str) -> Path:
    """Let a classifier name another file for all its weights."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        next(e for e in tensor.external_data if e.key == "location").value = location
    path.unlink()
    path.write_bytes(model.SerializeToString())
    return path


def relinked(link: Path, target: Path) -> Path:
    """A link that leads elsewhere now."""
    link.unlink()
    link.symlink_to(target)
    return link


def refusal(path: Path) -> str:
    """What is said of a classifier whose weights are not read, with the advice to copy them."""
    with pytest.raises(ArtifactError) as caught:
        read_model(path)
    assert "\n" not in str(caught.value)
    assert COPY == caught.value.hint
    return str(caught.value)


def test_a_hubs_cache_is_read(plain: Path, cached: Path) -> None:
    """Links to blobs of the same cache are followed, as onnx's own reader does not."""
    assert onnx.load(plain) == read_model(cached)


def test_a_hubs_cache_is_read_below_a_folder(plain: Path, cached: Path) -> None:
    """Most repositories have their ONNX files in one called `onnx`; its links climb one higher."""
    folder = cached.parent / "onnx"
    folder.mkdir()
    for blob, name in (("111", "model.onnx"), ("222", "model.onnx_data")):
        (folder / name).symlink_to(Path("../../../blobs") / blob)

    assert onnx.load(plain) == read_model(folder / "model.onnx")


def test_a_hubs_cache_is_read_through_a_link_to_it(plain: Path, cached: Path) -> None:
    """Whoever names the file decides how it is reached, such as by a cache on another disk."""
    way = plain.parent / "way"
    way.symlink_to(cached.parent)

    assert onnx.load(plain) == read_model(way / cached.name)


def test_the_link_to_a_model_alone_is_followed(plain: Path, cached: Path) -> None:
    """Where the weights are a file beside the link, as after `cp -L` of the larger one."""
    weights = cached.with_name("model.onnx_data")
    weights.unlink()
    shutil.copy(plain.with_name("model.onnx_data"), weights)

    assert onnx.load(plain) == read_model(cached)


def test_weights_beside_the_target_of_a_link_are_not_found(plain: Path, tmp_path: Path) -> None:
    """A link to the model alone has no weights beside it."""
    link = tmp_path / "link.onnx"
    link.symlink_to(plain)

    assert "'model.onnx_data', where there is no regular file" in refusal(link)


@pytest.mark.parametrize(
    "place", ["weights", "models--other/blobs/222", "models--owner--name/222", "loop", "missing"]
)
def test_links_out_of_the_cache_are_not_followed(place: str, cached: Path) -> None:
    """Neither into another cache, nor to anything beside the blobs of its own."""
    outside = cached.parents[3] / place
    outside.parent.mkdir(parents=True, exist_ok=True)
    if place == "loop":
        outside.symlink_to(outside)
    elif place != "missing":
        shutil.copy(cached.with_name("model.onnx_data"), outside)
    relinked(cached.with_name("model.onnx_data"), outside)

    assert "in 'model.onnx_data', a link to '" in refusal(cached)


def test_blobs_that_lead_out_of_the_cache_are_not_followed(plain: Path, cached: Path) -> None:
    """What counts is where the last link leads."""
    relinked(cached.parents[2] / "blobs" / "222", plain.with_name("model.onnx_data"))

    assert f"a link to '{plain.with_name('model.onnx_data')}'" in refusal(cached)


def test_links_that_no_hub_made_are_not_followed(plain: Path) -> None:
    """Even to a file beside them: without a cache around it, any link may lead anywhere."""
    weights = plain.with_name("model.onnx_data")
    weights.rename(plain.with_name("weights"))
    weights.symlink_to("weights")

    assert "in 'model.onnx_data', a link to '" in refusal(plain)


@pytest.mark.parametrize(
    "location",
    ["../plain/model.onnx_data", "sub/../model.onnx_data", "/etc/hostname", "", ".", ".."],
)
@pytest.mark.parametrize("kind", ["plain", "cached"])
def test_places_that_are_not_beside_it_are_refused(
    location: str, kind: str, request: pytest.FixtureRequest
) -> None:
    """Wherever they would lead: the file is somebody else's."""
    path = named(request.getfixturevalue(kind), location)

    assert f"has weights in {location!r}, which is no place beside it" in refusal(path)


def test_a_folder_below_the_classifiers_own_may_hold_weights(plain: Path) -> None:
    """As onnx allows; a link to such a folder is refused like any other."""
    expected = onnx.load(plain)
    inner, real = plain.parent / "sub", plain.parent / "real"
    inner.mkdir()
    plain.with_name("model.onnx_data").rename(inner / "w.bin")
    named(plain, "sub/w.bin")

    assert expected == read_model(plain)

    inner.rename(real)
    inner.symlink_to(real)
    assert "in 'sub/w.bin', a link to '" in refusal(plain)


def test_weights_that_are_no_file_are_refused(plain: Path) -> None:
    """A pipe would be waited for."""
    weights = plain.with_name("model.onnx_data")
    weights.unlink()
    os.mkfifo(weights)

    assert "in 'model.onnx_data', where there is no regular file" in refusal(plain)


@pytest.mark.parametrize("location", ["x" * 300, "a\0b", "x/" * 3000 + "y"])
def test_names_that_no_file_has_are_refused_in_one_line(location: str, plain: Path) -> None:
    """Whatever the file system says of them."""
    with pytest.raises(ArtifactError) as caught:
        read_model(named(plain, location))

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_weights_of_sub_graphs_and_attributes_are_read(plain: Path) -> None:
    """Everywhere onnx itself looks for constants that lie in other files."""
    outside = onnx.load(plain, load_external_data=False)
    info = onnx.helper.make_tensor_value_info
    tensor = outside.graph.initializer[0]
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", [tensor.name], ["kept"])],
        "branch",
        [],
        [info("kept", 1, None)],
        [tensor],
    )
    choice = onnx.helper.make_node(
        "If", ["condition"], ["branched"], then_branch=branch, else_branch=branch
    )
    constant = onnx.helper.make_node("Constant", [], ["constant"], value=tensor)
    outside.graph.initializer.append(
        onnx.helper.make_tensor("condition", onnx.TensorProto.BOOL, [], [True])
    )
    outside.graph.node.extend([choice, constant])
    plain.write_bytes(outside.SerializeToString())

    assert onnx.load(plain) == read_model(plain)
