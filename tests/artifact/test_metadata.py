"""The metadata contract: what is written is read back, and damage is always an `ArtifactError`."""

import contextlib
import copy
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_ood.artifact.calibration_record import ArchivedCalibration, Calibration, Probe
from edge_ood.artifact.device import Device
from edge_ood.artifact.metadata import METADATA_KEY, Metadata, write_metadata
from edge_ood.artifact.packed import Manifest, PackedArray
from edge_ood.artifact.reader import read_metadata
from edge_ood.calibration.decision import fit_decision
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.cli.inspect import report
from edge_ood.errors import ArtifactError
from edge_ood.images.reading import content_hash
from edge_ood.runtime.scorer import Scorer

HEADS = ("energy", "msp", "uniform_ce")
# Files of earlier versions do without; what is read there instead says that it is not known, or
# was not wanted.
ADDED_LATER: dict[tuple[str | int, ...], Any] = {
    ("comparison",): {},
    ("temperature",): 1.0,
    ("probe", "device"): asdict(Device()),
    ("probe", "verdicts"): {},
    **{
        (*where, "calibration", name): value
        for where in ((), ("history", 0))
        for name, value in {
            "confidence": 0.0,
            "per_class": False,
            "class_counts": [],
            "own_thresholds": [],
            "combined": False,
            "combined_of": [],
            "combined_rule": "sum",
            "combined_n": 0,
            "combined_class_counts": [],
        }.items()
    },
    ("history", 0, "probe"): asdict(Probe(0)),
    ("history", 0, "probe", "device"): asdict(Device()),
    ("history", 0, "probe", "verdicts"): {},
}
FREE = ("comparison", "parity", "parameters", "provenance")  # no contract below these
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@pytest.fixture(scope="module")
def metadata(colour_artifact: Path) -> Metadata:
    """The metadata of a real artefact, with one earlier calibration."""
    current = Scorer(colour_artifact).metadata
    scores = np.random.default_rng(0).normal(size=(3, 25)).astype(np.float32)
    decision = fit_decision(
        dict(zip(HEADS, scores, strict=True)), np.zeros(25, np.int64), 3, Guarantee()
    )
    thresholds = dict(zip(HEADS, decision.table.thresholds[:, 0].tolist(), strict=True))
    past = Calibration(0.05, 25, thresholds, "2026-01-01T00:00:00")
    archived = ArchivedCalibration.of(past, Manifest.of(["ab" * 32]), "cpu", decision)
    provenance = {"model": "wrn-10-1", "seed": 0}
    archived = replace(archived, probe=current.probe)
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
    assert ("=green", "red apple", "\u84dd\u2215blue") == metadata.classes


def test_unknown_keys_are_ignored(metadata: Metadata, document: dict[str, Any]) -> None:
    """A later version may add keys at any place without a new format number."""
    extended = copy.deepcopy(document)
    for container in (extended, extended["calibration"], extended["preprocess"]):
        container["added_later"] = {"x": [1]}

    assert metadata == read(extended)


def test_every_field_is_needed(document: dict[str, Any]) -> None:
    """No named field of the contract can be missing; only a role of images may."""
    optional = [*(("manifests", role) for role in document["manifests"]), *ADDED_LATER]
    named = [path for path in fields(document) if isinstance(path[-1], str)]
    needed = [path for path in named if path not in optional]

    for path in needed:
        with pytest.raises(ArtifactError, match=r"'x\.onnx' is damaged"):
            read(changed(document, path, remove))
    assert len(needed) > 50


@pytest.mark.parametrize("path", ADDED_LATER, ids=lambda path: ".".join(map(str, path)))
def test_files_of_earlier_versions_are_read(
    document: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    """What was added later has a value that says it is not known, or was not wanted."""
    expected = read(changed(document, path, assign(ADDED_LATER[path])))

    assert expected == read(changed(document, path, remove))


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
        assert report(found, defaultdict(int))
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
        (("primary",), "odin"),
        (("calibration", "alpha"), 0),
        (("calibration", "alpha"), 5e-324),
        (("calibration", "n"), -1),
        (("calibration", "n"), 10**30),
        (("temperature",), 0),
        (("temperature",), -1.5),
        (("temperature",), 1e-300),
        (("temperature",), 1e300),
        (("temperature",), 10**400),
        (("calibration", "thresholds", "msp"), 1e39),
        (("calibration", "thresholds", "msp"), 10**400),
        (("calibration", "thresholds"), {"msp": 0.0}),
        (("preprocess", "size_px"), 10**6),
        (("preprocess", "mean"), [0.5, 0.5]),
        (("preprocess", "std", 1), 0.0),
        (("preprocess", "resize"), "squash"),
        (("preprocess", "crop"), 0.0),
        (("preprocess", "crop"), "0.875"),
        (("preprocess", "interpolation"), "lanczos"),
        (("manifests", "training", "count"), -1),
        (("manifests", "training", "hashes"), "AAAA"),
        (("manifests", "training", "hashes"), "AAAA AAAA"),
        (("manifests", "training", "hashes"), "\u84dd"),
        (("probe", "labels"), [0, 1, 2]),
        (("probe", "scores", "msp"), [0.1, 0.2, 0.3]),
        (("probe", "scores"), {}),
        (("probe", "tolerances", "msp"), -1.0),
        (("probe", "verdicts", "msp", "least_pvalues"), [0.5, 0.5, 0.5]),
        (("probe", "verdicts", "msp", "least_pvalues", 0), 0.0),
        (("probe", "verdicts", "msp", "least_pvalues", 0), 1.5),
        (("probe", "verdicts", "msp", "greatest_decisions"), [True]),
        (("probe", "verdicts", "msp", "greatest_decisions", 0), 1),
        (("probe", "verdicts"), {"msp": {}}),
        (("calibration", "confidence"), 1.0),
        (("calibration", "confidence"), -0.5),
        (("calibration", "confidence"), 0.99),
        (("calibration", "n"), 18),
        (("calibration", "per_class"), True),
        (("calibration", "class_counts"), [20, 20, 20]),
        (("calibration", "own_thresholds"), ["entropy"]),
        (("calibration", "combined"), True),
        (("calibration", "combined_n"), 30),
        (("calibration", "combined_class_counts"), [30]),
        (("history", 0, "heads"), ["energy", "msp"]),
        (("history", 0, "heads", 0), "uniform_ce"),
        (("history", 0, "arrays"), {}),
        (("history", 0, "arrays", "knots", "values"), "AAAA"),
        (("history", 0, "arrays", "knots", "values"), "AAA"),
        (("history", 0, "arrays", "knots", "values"), ""),
        (("history", 0, "arrays", "knots", "shape"), [25, 1, 3]),
        (("history", 0, "arrays", "knots", "shape"), [-3, -1, 25]),
        (("history", 0, "arrays", "pvalues", "shape"), [26]),
        (("history", 0, "arrays", "groups", "values"), "AAAAAAAAgD8AAAAA"),
        (("history", 0, "arrays", "groups"), {"shape": [2], "values": "AAAAAAAAAAA="}),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else repr(value)[:20],
)
def test_a_value_out_of_range_is_damage(
    document: dict[str, Any], path: tuple[Any, ...], value: Any
) -> None:
    """What cannot be true is refused, with the right type too."""
    with pytest.raises(ArtifactError, match=r"'x\.onnx' is damaged"):
        read(changed(document, path, assign(value)))


@pytest.mark.parametrize("name", ["=cmd", "two words", "", "path", "status", "energy_pvalue"])
def test_a_head_has_a_name_for_a_column(document: dict[str, Any], name: str) -> None:
    """A word that is no other column's, even if it is consistent throughout the document."""
    renamed = json.dumps(document).replace('"msp"', json.dumps(name))

    with pytest.raises(ArtifactError, match="expected one or more words, all different"):
        read(renamed)


@pytest.mark.parametrize("name", ["knots", "pvalues", "thresholds"])
@pytest.mark.parametrize("damage", ["descending", "infinite", "negative"])
def test_a_decision_that_nothing_could_have_fitted_is_damage(
    metadata: Metadata, document: dict[str, Any], name: str, damage: str
) -> None:
    """Knots and p-values ascend, all numbers are finite, and p-values lie between 0 and 1."""
    array = metadata.history[0].decision().to_arrays()[name].copy()
    if damage == "descending":
        array = array[..., ::-1]
    elif damage == "infinite":
        array[..., -1] = np.inf
    else:
        array[..., 0] = -0.5
    broken = copy.deepcopy(document)
    broken["history"][0]["arrays"][name] = asdict(PackedArray.of(array))

    # Thresholds ascend by no rule, and scores of any sign are sound.
    if (name, damage) in {("thresholds", "descending"), ("thresholds", "negative")}:
        read(broken)
    elif (name, damage) != ("knots", "negative"):
        with pytest.raises(ArtifactError, match="an earlier calibration is damaged"):
            read(broken)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 10_000, '{"format": 1e999}'])
def test_text_that_is_no_document_is_damage(text: str) -> None:
    """So is metadata that is no JSON object."""
    with pytest.raises(ArtifactError, match=r"'x\.onnx' is damaged"):
        read(text)


def test_a_newer_format_names_the_version_to_install(document: dict[str, Any]) -> None:
    """Nothing but format and version is read of a format that is not known yet."""
    newer = {"format": 7, "version": "2.1.0", "classes": 3}

    with pytest.raises(ArtifactError, match="format 7, this edge-ood reads up to 3") as raised:
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
