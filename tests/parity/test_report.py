"""The parity report: every key as documented, the worst images by name, valid JSON."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ood.artifact.metadata import Metadata, write_metadata
from edge_ood.attachment.attach import attach
from edge_ood.attachment.request import Options, Request
from edge_ood.errors import ArtifactError, ExportError
from edge_ood.files.output import page_path, report_path
from edge_ood.parity.differences import Compared, ParityReport
from edge_ood.parity.limits import Reference
from edge_ood.parity.report import parity_document, read_report, write_report
from edge_ood.registry import parse_specs
from edge_ood.runtime.scorer import Scorer
from edge_ood.torch_export.export import request_of
from edge_ood.training.run_directory import read_run

PAGE = Path(__file__).parents[2] / "docs" / "parity-report.md"
SUMMARY_BYTES = 4000
"""What the summary may take of the metadata with five heads and long paths."""

NAMES = ("./a.png", "./b.png", "./c.png", "./d.png", "black")


def no_constant(name: str) -> None:
    """What Python reads beyond JSON."""
    raise AssertionError(f"{name} is no JSON")


def read(path: Path) -> dict[str, Any]:
    """A JSON document, strictly."""
    document: dict[str, Any] = json.loads(path.read_text("utf-8"), parse_constant=no_constant)
    return document


@pytest.fixture(scope="module")
def request_(run_path: Path) -> Request:
    """The request that exporting the session's run makes."""
    options = Options(heads=parse_specs("energy,odin"), provider="cpu")
    return request_of(read_run(run_path), options)


@pytest.fixture(scope="module")
def exported(request_: Request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artefact with its report."""
    path = tmp_path_factory.mktemp("exported") / "x.onnx"
    attach(request_, path)
    return path


@pytest.fixture
def metadata(colour_artifact: Path) -> Metadata:
    """Metadata of some artefact."""
    return Scorer(colour_artifact).metadata


def report_of(*compared: Compared) -> ParityReport:
    """A report of these comparisons."""
    return ParityReport(5, (), 0, 4, "torch", NAMES, compared, (("msp_is_ood", "./b.png"),))


def documented_keys() -> set[str]:
    """The words in code type at the start of the table rows."""
    return set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE))


def test_every_key_is_documented(exported: Path) -> None:
    """And every documented key is there."""
    document = read(report_path(exported))

    batches = [batch for output in document["outputs"] for batch in output["batches"]]
    assert documented_keys() == {*document, *(key for batch in batches for key in batch)}
    inner = {
        *(
            key
            for group in (document["images"], document["outputs"])
            for item in group
            for key in item
        ),
        *(key for batch in batches for case in batch["worst"] for key in case),
        *document["device"],
        *document["resizing"],
    }
    assert not {key for key in inner if f"`{key}`" not in PAGE.read_text("utf-8")}


def test_the_report_is_about_this_file(exported: Path) -> None:
    """By its hash; reference, precision and device are named."""
    document = read(report_path(exported))
    metadata = Scorer(exported).metadata

    assert hashlib.sha256(exported.read_bytes()).hexdigest() == document["sha256"]
    assert ("torch", "fp32") == (document["reference"], document["precision"])
    assert metadata.probe.device.processor == document["device"]["processor"]
    assert "cpu" == document["device"]["provider"]


def test_images_are_named_by_path_and_content(exported: Path, request_: Request) -> None:
    """Real ones can be found again; extremes are made up."""
    images = read(report_path(exported))["images"]

    real = [item for item in images if item["content_hash"]]
    for item in real:
        assert hashlib.sha256(Path(item["image"]).read_bytes()).hexdigest() == item["content_hash"]
    assert {item["image"] for item in real} <= set(map(str, request_.training.paths))
    assert 64 == len(real)
    assert {"black", "white", "noise 1"} <= {i["image"] for i in images if not i["content_hash"]}


def test_every_output_is_compared_at_every_batch_size(exported: Path) -> None:
    """In the order of the pipeline, decisions with their flips; the summary is the worst of all."""
    document = read(report_path(exported))
    summary = Scorer(exported).metadata.parity

    assert [d["output"] for d in summary["differences"]] == [
        item["output"] for item in document["outputs"]
    ]
    for item, worst in zip(document["outputs"], summary["differences"], strict=True):
        assert [1, 2, 7] == [batch["batch"] for batch in item["batches"]]
        cases = [case for batch in item["batches"] for case in batch["worst"]]
        assert 9 == len(cases)
        assert worst["error"] in [case["error"] for case in cases]
        decides = item["output"] == "label" or item["output"].endswith("_is_ood")
        assert all(("flips" in batch) == decides for batch in item["batches"])


def test_the_summary_in_the_metadata_is_small(artifact_path: Path) -> None:
    """A device carries it along."""
    metadata = Scorer(artifact_path).metadata

    whole, without = (len(write_metadata(m)) for m in (metadata, replace(metadata, parity={})))
    assert 0 < whole - without < SUMMARY_BYTES
    assert "compared" not in metadata.parity


def test_the_worst_images_come_first(metadata: Metadata) -> None:
    """By how far they are beyond their own limit; extremes have another one."""
    error, allowed = np.array([1.0, 5, 3, 0, 9]), np.array([2.0, 2, 2, 2, 10])
    report = report_of(Compared("energy", 2, error, allowed))

    document = parity_document(report, metadata, {"./a.png": "ab"}, PAGE)

    (batch,) = document["outputs"][0]["batches"]
    assert ["./b.png", "./c.png", "./a.png"] == [case["image"] for case in batch["worst"]]
    assert {"image": "./b.png", "error": 5.0, "allowed": 2.0} == batch["worst"][0]
    assert "flips" not in batch
    assert [{"output": "msp_is_ood", "image": "./b.png"}] == document["resizing"]["flips"]
    assert {"image": "./a.png", "content_hash": "ab"} == document["images"][0]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_finite_is_null(metadata: Metadata, tmp_path: Path, number: float) -> None:
    """JSON has no word for it, and an error that is no number is the worst."""
    error, allowed = np.array([0, 0, number, 0, 0.0]), np.array([1, 1, np.inf, 1, 1.0])
    report = report_of(Compared("label", 1, error, allowed, flips=2))

    write_report(tmp_path / "x.json", parity_document(report, metadata, {}, PAGE))

    (batch,) = read(tmp_path / "x.json")["outputs"][0]["batches"]
    assert 2 == batch["flips"]
    assert {"image": "./c.png", "error": None, "allowed": None} == batch["worst"][0]
    assert [0.0, 0.0] == [case["error"] for case in batch["worst"][1:]]


def shifted(evaluator: Callable[..., Any]) -> Callable[..., Any]:
    """A reference that is off."""

    def off(images: np.ndarray) -> Any:
        outputs = evaluator(images)
        return replace(outputs, logits=outputs.logits + 0.01)

    return off


def test_a_failing_gate_keeps_both_files_of_before(request_: Request, tmp_path: Path) -> None:
    """Neither the artefact nor its report is touched, and no part of one is left."""
    files = [tmp_path / "x.onnx", tmp_path / "x.parity.json"]
    for path in files:
        path.write_text("earlier")
    given = request_.reference
    reference = Reference(shifted(given.float64), [shifted(each) for each in given.float32])  # type: ignore[arg-type,list-item]  # nothing is perturbed
    options = replace(request_.options, heads=parse_specs("energy"))

    with pytest.raises(ExportError, match="differ by"):
        attach(replace(request_, reference=reference, options=options), files[0])

    assert ["earlier", "earlier"] == [path.read_text() for path in files]
    assert files == sorted(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("artefact", "report"),
    [
        ("x.onnx", "x.parity.json"),
        ("a/x.y.onnx", "a/x.y.parity.json"),
        ("x", "x.parity.json"),
        ("x.ort", "x.ort.parity.json"),
    ],
)
def test_the_report_lies_beside_the_artefact(artefact: str, report: str) -> None:
    """Two artefacts never share one; a page lies there, too."""
    assert Path(report) == report_path(Path(artefact))
    assert Path(report.replace("parity.json", "report.html")) == page_path(Path(artefact))


def test_a_report_is_read_back(exported: Path) -> None:
    """What a page shows of it is what the document says."""
    document = read(report_path(exported))

    found = read_report(report_path(exported))

    assert found is not None
    assert {name: document[name] for name in found} == json.loads(
        json.dumps(found).replace('"flips": null, ', "")
    )
    assert {"sha256", "reference", "images", "outputs", "resizing", "gradients"} == set(found)


def test_there_may_be_no_report(tmp_path: Path) -> None:
    """It may be moved or deleted."""
    assert read_report(tmp_path / "x.parity.json") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"sha256": "', '"sha256": 0, "": "'),
        ('"content_hash": "', '"content_hash": 0, "": "'),
        ('"batch": 1,', '"batch": "1",'),
        ('"error": ', '"error": "x", "": '),
        ('"error": ', '"error": NaN, "": '),
        ('"decisions": ', '"decisions": null, "": '),
        ('"outputs": [', '"outputs": {}, "": ['),
        ("}", ""),
    ],
)
def test_a_damaged_report_is_an_error(exported: Path, tmp_path: Path, old: str, new: str) -> None:
    """Whoever wrote it, a page shows nothing that was not checked."""
    path = tmp_path / "x.parity.json"
    path.write_text(report_path(exported).read_text("utf-8").replace(old, new, 1), "utf-8")

    with pytest.raises(ArtifactError, match="is damaged") as caught:
        read_report(path)

    assert "export again" == caught.value.hint


def test_a_report_of_a_newer_format_is_named(tmp_path: Path) -> None:
    """It is no damage, and the hint is to upgrade."""
    (tmp_path / "x.json").write_text('{"format": 2}')

    with pytest.raises(ArtifactError, match="has format 2, this edge-ood reads up to 1"):
        read_report(tmp_path / "x.json")
