"""What the pages say about files and code is so: their examples run, their tables are whole."""

import doctest
import re
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from edge_ood.artifact.calibration_record import ArchivedCalibration, Calibration, Probe
from edge_ood.artifact.contract import columns, contract_outputs
from edge_ood.artifact.device import Device
from edge_ood.artifact.metadata import FORMAT, STORED_NAMES, HeadRecord, Metadata
from edge_ood.artifact.outputs import Row
from edge_ood.artifact.packed import Manifest, PackedArray
from edge_ood.evaluation.csv_table import COLUMNS
from edge_ood.images.decoding.open_image import MAX_PIXELS
from edge_ood.images.preprocess import Preprocess
from edge_ood.runtime.scorer import Scorer

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENTS = (
    *(Metadata, HeadRecord, Preprocess, Calibration, Manifest),
    *(Probe, Device, ArchivedCalibration, PackedArray),
)


def text_of(page: str) -> str:
    """A page in Markdown."""
    return (DOCS / page).read_text("utf-8")


def code_of(page: str, language: str) -> list[str]:
    """Its code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "page", [path.name for path in sorted(DOCS.glob("*.md")) if ">>> " in path.read_text("utf-8")]
)
def test_sessions_on_pages_give_what_they_show(page: str) -> None:
    """Every `>>>` line, run in the order of the page, prints what stands below it."""
    result = doctest.testfile(str(DOCS / page), module_relative=False)

    assert (0, True) == (result.failed, result.attempted > 0)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_contract_has_every_key(document: type) -> None:
    """The page of the artefact explains each key that the metadata may have."""
    page = text_of("artefact.md")

    keys = [STORED_NAMES.get(field.name, field.name) for field in fields(document)]
    assert [] == [key for key in keys if f"`{key}`" not in page]


def test_the_contract_has_every_output() -> None:
    """The table of outputs is that of the code, in its order; the format is today's."""
    page = text_of("artefact.md")
    rows = page.partition("## Outputs")[2].partition("## Calling it")[0]

    assert list(contract_outputs(["<head>"])) == re.findall(r"^\| `([^`]+)` \|", rows, re.MULTILINE)
    assert f"| `format` | {FORMAT} |" in page


def test_the_columns_are_those_of_the_code() -> None:
    """The page of score tables has their columns in order, and every status that a row may have."""
    page = text_of("scoring.md")
    rows = page.partition("## Columns")[2].partition("Names and order")[0]
    declared = " ".join((Row.__doc__ or "").partition("status: ")[2].split("error:")[0].split())
    statuses = page.partition("## Statuses")[2]

    assert columns(["<head>"]) == re.findall(r"^\| `([^`]+)` \|", rows, re.MULTILINE)
    assert re.findall(r"`([^`]+)`", declared) == re.findall(r"^\| `([^`]+)` \|", statuses, re.M)
    assert f"{MAX_PIXELS:,}" in page


def test_the_columns_of_an_evaluation_are_those_of_the_code() -> None:
    """The page of the evaluation document has the columns of `--csv`, in order."""
    rows = text_of("evaluation-json.md").partition("## CSV")[2]
    cells = re.findall(r"^\| (`.*?) \| ", rows, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]

    assert [name for name in COLUMNS if not name.endswith(("_low", "_high"))] == named


def test_the_contract_names_the_initializers(colour_artifact: Path) -> None:
    """What the page says lies in the graph is there, with that shape."""
    model = onnx.load(colour_artifact)
    metadata = Scorer(colour_artifact, provider="cpu").metadata
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    heads, classes, images = len(metadata.heads), len(metadata.classes), metadata.calibration.n

    assert [heads, classes] == shapes["thresholds"]
    assert [heads, 1, images] == shapes["knots"]
    assert [images + 1] == shapes["pvalues"]
    assert "groups" not in shapes
    assert (8, [("", 18)]) == (
        model.ir_version,
        [(imported.domain, imported.version) for imported in model.opset_import],
    )


def test_the_python_example_runs(
    colour_artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The lines that need no edge-ood say of a photograph what `Scorer` says."""
    (code,) = code_of("artefact.md", "python")
    shutil.copy(colour_artifact, tmp_path / "artefact.onnx")
    photo = Image.radial_gradient("L").resize((40, 30))
    Image.merge("RGB", (photo, photo.rotate(90), photo)).save(tmp_path / "photo.jpg", quality=95)
    monkeypatch.chdir(tmp_path)

    exec(code, {})

    expected = Scorer("artefact.onnx", provider="cpu")(np.asarray(Image.open("photo.jpg")))
    told = f"{expected.label[0]} {bool(expected.is_ood[0])} {float(expected.pvalue[0])}"
    assert f"{told}\n" == capsys.readouterr().out
