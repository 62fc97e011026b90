"""The metadata contract: what is written is read back, and damage is always an `ArtifactError`."""

import base64
import contextlib
import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edge_ood.artifact import (
    METADATA_KEY,
    ArchivedCalibration,
    Calibration,
    Manifest,
    Metadata,
    store_metadata,
    write_metadata,
)
from edge_ood.artifact_reader import read_metadata
from edge_ood.calibration.threshold import fit_knots
from edge_ood.cli.inspect import report
from edge_ood.errors import ArtifactError
from edge_ood.images import content_hash
from edge_ood.runtime import Scorer

HEADS = ("energy", "msp", "uniform_ce")
FREE = ("parity", "parameters", "provenance")  # no contract below these
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@pytest.fixture(scope="module")
def metadata(colour_artifact: Path) -> Metadata:
    """The metadata of a real artefact, with one earlier calibration."""
    current = Scorer(colour_artifact).metadata
    scores = np.random.default_rng(0).normal(size=(3, 25))
    knots = {head: fit_knots(s, 0.05) for head, s in zip(HEADS, scores, strict=True)}
    past = Calibration(0.05, 25, {h: k.threshold for h, k in knots.items()}, "2026-01-01T00:00:00")
    archived = ArchivedCalibration.of(past, Manifest.of(["ab" * 32]), "cpu", knots)
    provenance = {"model": "wrn-10-1", "seed": 0}
    return replace(current, history=(archived,), provenance=provenance)


@pytest.fixture(scope="module")
def document(metadata: Metadata) -> dict[str, Any]:
    """The same as plain JSON values."""
    parsed: dict[str, Any] = json.loads(write_metadata(metadata))
    return parsed


def read(document: Any) -> Metadata:
    """Read a document as if it stood in a file called x.onnx."""
    text = document if isinstance(document, str) else json.dumps(document)
    return read_metadata({METADATA_KEY: text}, source="x.onnx")


def changed(document: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """A copy with something done to the container and key that a path leads to."""
    result = copy.deepcopy(document)
    container = result
    for key in path[:-1]:
        container = container[key]
    change(container, path[-1])
    return result


def fields(value: Any, start: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every field stands, down to the last one that the contract names."""
    if start and start[-1] in FREE:
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*start, key)
        if isinstance(inner, dict | list):
            yield from fields(inner, (*start, key))


def remove(container: Any, key: Any) -> None:
    """Take a field out."""
    del container[key]


def assign(value: Any) -> Callable[[Any, Any], None]:
    """Put something else in its place."""

    def change(container: Any, key: Any) -> None:
        container[key] = value

    return change


def test_metadata_are_read_back_equal(metadata: Metadata) -> None:
    """Writing and reading is the identity, history, knots and odd class names included."""
    assert metadata == read(write_metadata(metadata))
    assert metadata.classes == ("=green", "red apple", "\u84dd\u2215blue")


def test_unknown_keys_are_ignored(metadata: Metadata, document: dict[str, Any]) -> None:
    """A later version may add keys at any place without a new format number."""
    extended = copy.deepcopy(document)
    for container in (extended, extended["calibration"], extended["preprocess"]):
        container["added_later"] = {"x": [1]}

    assert metadata == read(extended)


def test_every_field_is_needed(document: dict[str, Any]) -> None:
    """No named field of the contract can be missing; only a role of images may."""
    optional = [("manifests", role) for role in document["manifests"]]
    named = [path for path in fields(document) if isinstance(path[-1], str)]
    needed = [path for path in named if path not in optional]

    for path in needed:
        with pytest.raises(ArtifactError, match=r"'x\.onnx' is damaged"):
            read(changed(document, path, remove))
    assert len(needed) > 50


@pytest.mark.parametrize("value", [None, [], {}, "text", 1.5, True], ids=repr)
def test_every_field_has_one_type(document: dict[str, Any], value: Any) -> None:
    """A value of another type is damage wherever it stands."""
    for path in fields(document):
        stored = document
        for key in path:
            stored = stored[key]
        if type(stored) is not type(value) and not (
            isinstance(stored, int) and isinstance(value, float)
        ):
            with pytest.raises(ArtifactError, match=r"'x\.onnx' is damaged"):
                read(changed(document, path, assign(value)))


@given(data=st.data())
@settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_any_change_is_refused_or_harmless(data: st.DataObject, document: dict[str, Any]) -> None:
    """Anything anywhere gives an `ArtifactError`, or metadata that can be shown and written."""
    path = data.draw(st.sampled_from(list(fields(document))))
    text = json.dumps(changed(document, path, assign(data.draw(JSON))))

    with contextlib.suppress(ArtifactError):
        found = read(text)
        assert report(found)
        assert found == read(write_metadata(found))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 0),
        (("format",), -1),
        (("classes",), ["one"]),
        (("classes", 0), "red apple"),
        (("heads",), []),
        (("heads", 0, "name"), "msp"),
        (("heads", 0, "name"), "=cmd"),
        (("heads", 0, "name"), "path"),
        (("heads", 0, "name"), "msp_pvalue"),
        (("primary",), "odin"),
        (("calibration", "alpha"), 0),
        (("calibration", "alpha"), 5e-324),
        (("calibration", "n"), -1),
        (("calibration", "n"), 10**30),
        (("calibration", "thresholds", "msp"), 1e39),
        (("calibration", "thresholds", "msp"), 10**400),
        (("calibration", "thresholds"), {"msp": 0.0}),
        (("preprocess", "size_px"), 10**6),
        (("preprocess", "mean"), [0.5, 0.5]),
        (("preprocess", "std", 1), 0.0),
        (("preprocess", "resize"), "squash"),
        (("manifests", "training", "count"), -1),
        (("manifests", "training", "hashes"), "AAAA"),
        (("manifests", "training", "hashes"), "not base64!"),
        (("manifests", "training", "hashes"), "\u84dd"),
        (("probe", "labels"), [0, 1, 2]),
        (("probe", "scores", "msp"), [0.1, 0.2, 0.3]),
        (("probe", "scores"), {}),
        (("probe", "tolerances", "msp"), -1.0),
        (("history", 0, "knots", "msp"), "AAAA"),
        (("history", 0, "knots", "msp"), "AAA"),
        (("history", 0, "knots", "msp"), ""),
        (("history", 0, "weights"), "AAAAAA=="),
        (("history", 0, "calibration", "n"), 26),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else repr(value)[:20],
)
def test_a_value_out_of_range_is_damage(
    document: dict[str, Any], path: tuple[Any, ...], value: Any
) -> None:
    """What cannot be true is refused, with the right type too."""
    with pytest.raises(ArtifactError, match=r"'x\.onnx' is damaged"):
        read(changed(document, path, assign(value)))


@pytest.mark.parametrize("damage", ["descending", "infinite", "light"])
def test_knots_that_nothing_could_have_fitted_are_damage(
    document: dict[str, Any], damage: str
) -> None:
    """Knots ascend and are finite, and each stands for at least one image."""
    values = np.linspace(0, 1, 25, dtype=np.float32)
    weights = np.ones(25, np.float32)
    if damage == "descending":
        values = values[::-1]
    elif damage == "infinite":
        values[-1] = np.inf
    else:
        weights[:2] = 0.5, 1.5
    broken = copy.deepcopy(document)
    broken["history"][0]["knots"]["msp"] = base64.b64encode(values.tobytes()).decode()
    broken["history"][0]["weights"] = base64.b64encode(weights.tobytes()).decode()

    with pytest.raises(
        ArtifactError, match=r"the knots of .* in an earlier calibration are damaged"
    ):
        read(broken)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 10_000, '{"format": 1e999}'])
def test_text_that_is_no_document_is_damage(text: str) -> None:
    """So is metadata that is no JSON object."""
    with pytest.raises(ArtifactError, match=r"'x\.onnx' is damaged"):
        read(text)


def test_a_newer_format_names_the_version_to_install(document: dict[str, Any]) -> None:
    """Nothing but format and version is read of a format that is not known yet."""
    newer = {"format": 7, "version": "2.1.0", "classes": 3}

    with pytest.raises(
        ArtifactError, match="format 7, this edge-ood reads formats up to"
    ) as raised:
        read(newer)

    assert "pip install --upgrade 'edge-ood>=2.1.0'" == raised.value.hint


@pytest.mark.parametrize("version", ["'; rm -rf ~ #", "1.0\n2", "", 3], ids=repr)
def test_a_hostile_version_does_not_reach_the_hint(version: Any) -> None:
    """The hint is there to be pasted into a shell."""
    with pytest.raises(ArtifactError) as raised:
        read({"format": 7, "version": version})

    assert raised.value.hint in ("pip install --upgrade edge-ood", "export it again")


def test_a_manifest_knows_its_images(tmp_path: Path) -> None:
    """Overlap is by content hash, of which 6 bytes are kept."""
    hashes = [content_hash(bytes([i])) for i in range(10)]
    manifest = Manifest.of(hashes[:7])

    found = manifest.overlap([hashes[8], hashes[2], hashes[6]])

    assert [False, True, True] == found.tolist()
    assert 7 == manifest.count


def test_a_manifest_keeps_the_smallest_hashes() -> None:
    """Of more than 50,000 images those with the smallest hashes are known."""
    hashes = [f"{i:012x}{i:052x}" for i in range(50_010)]

    manifest = Manifest.of(hashes[::-1])

    assert 50_010 == manifest.count
    assert [True, False] == manifest.overlap([hashes[49_999], hashes[50_000]]).tolist()


@pytest.fixture
def broken(tmp_path: Path, colour_artifact: Path) -> Path:
    """A copy of the artefact to be damaged."""
    return shutil.copy(colour_artifact, tmp_path / "x.onnx")


def assert_refused(path: Path, message: str) -> None:
    """Opening the file is an `ArtifactError` of one line that names it, with a hint."""
    with pytest.raises(ArtifactError, match=message) as raised:
        Scorer(path)

    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.hint


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a folder, is no artefact."""
    assert_refused(tmp_path / "missing.onnx", "no file")
    assert_refused(tmp_path, "no file")


@pytest.mark.parametrize("content", [b"", b"path,status\n", bytes(9), b"\x08\x07:\xff"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, text, zeros, noise."""
    path = tmp_path / "x.onnx"
    path.write_bytes(content)

    assert_refused(path, "not a valid ONNX model")


def test_a_truncated_file_is_refused(broken: Path) -> None:
    """Wherever it was cut off."""
    whole = broken.read_bytes()

    for length in range(1, len(whole), len(whole) // 50):
        broken.write_bytes(whole[:length])
        assert_refused(broken, "not a valid ONNX model")


def test_a_plain_model_is_not_ours(tmp_path: Path, colour_classifier: onnx.ModelProto) -> None:
    """Somebody else's network is refused with the way to make it ours."""
    path = tmp_path / "x.onnx"
    onnx.save(colour_classifier, path)

    assert_refused(path, "an ONNX file, but not an edge-ood artefact")


def test_metadata_outside_utf8_are_damage(broken: Path) -> None:
    """A stray byte in the document is found before anything is made of it."""
    whole = broken.read_bytes()
    broken.write_bytes(whole.replace(b'"primary"', b'"prim\xffry"'))

    assert_refused(broken, "metadata .* damaged")


def test_a_stray_byte_anywhere_is_no_crash(broken: Path) -> None:
    """The messages of onnxruntime quote damaged names in its messages as they are."""
    whole = broken.read_bytes()
    image = np.zeros((1, 16, 16, 3), np.uint8)

    for position in np.random.default_rng(0).integers(0, len(whole), 100):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        broken.write_bytes(damaged)
        with contextlib.suppress(ArtifactError):
            Scorer(broken, threads=1)(image)


def rename_output(model: onnx.ModelProto) -> None:
    """Call an output something else."""
    next(n for n in model.graph.node if "msp_pvalue" in n.output).output[0] = "msp_p"
    next(o for o in model.graph.output if o.name == "msp_pvalue").name = "msp_p"


def drop_output(model: onnx.ModelProto) -> None:
    """Leave out the last output."""
    del model.graph.output[-1]


def swap_outputs(model: onnx.ModelProto) -> None:
    """Put two outputs in each other's place."""
    outputs = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend([outputs[1], outputs[0], *outputs[2:]])


def add_input(model: onnx.ModelProto) -> None:
    """Want a second input."""
    value = helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1])
    model.graph.input.append(value)


def float_label(model: onnx.ModelProto) -> None:
    """Return the label as a number with a fraction."""
    argmax = next(n for n in model.graph.node if n.op_type == "ArgMax" and "label" in n.output)
    for node in model.graph.node:
        node.input[:] = ["whole" if name == "label" else name for name in node.input]
    argmax.output[0] = "whole"
    model.graph.node.append(helper.make_node("Cast", ["whole"], ["label"], to=TensorProto.FLOAT))
    label = next(o for o in model.graph.output if o.name == "label")
    label.type.tensor_type.elem_type = TensorProto.FLOAT


def matrix_score(model: onnx.ModelProto) -> None:
    """Return a score as a column instead of a vector."""
    node = next(n for n in model.graph.node if "msp_is_ood" in n.output)
    node.output[0] = "flat"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "second"))
    model.graph.node.append(helper.make_node("Unsqueeze", ["flat", "second"], ["msp_is_ood"]))
    output = next(o for o in model.graph.output if o.name == "msp_is_ood")
    output.type.tensor_type.shape.dim.add(dim_value=1)


@pytest.mark.parametrize(
    "damage", [rename_output, drop_output, swap_outputs, add_input, float_label, matrix_score]
)
def test_a_graph_that_breaks_the_contract_is_refused(
    broken: Path, damage: Callable[[onnx.ModelProto], None]
) -> None:
    """Inputs and outputs are those that the metadata promise, in name, type, shape and order."""
    model = onnx.load(broken)
    damage(model)
    onnx.save(model, broken)

    assert_refused(broken, "has (inputs|outputs)")


def test_more_class_names_than_logits_are_refused(broken: Path, metadata: Metadata) -> None:
    """A label must never be looked up in another file's names."""
    model = onnx.load(broken)
    store_metadata(model, replace(metadata, classes=(*metadata.classes, "extra")))
    onnx.save(model, broken)

    assert_refused(broken, "has 3 logits for 4 class names")


def test_an_uncalibrated_file_is_refused(broken: Path, metadata: Metadata) -> None:
    """Without thresholds there is no decision, and the hint says how to get them."""
    model = onnx.load(broken)
    never = replace(metadata.calibration, n=0)
    store_metadata(model, replace(metadata, calibration=never))
    onnx.save(model, broken)

    assert_refused(broken, "was never calibrated")


def test_other_metadata_of_the_file_stay(broken: Path, metadata: Metadata) -> None:
    """Storing replaces our own document and nothing else."""
    model = onnx.load(broken)
    model.metadata_props.add(key="author", value="somebody")

    store_metadata(model, metadata)

    assert {"author", METADATA_KEY} == {p.key for p in model.metadata_props}
    assert 2 == len(model.metadata_props)
