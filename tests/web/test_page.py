"""`edge-ood web`: the page's answers in a browser are those of `edge-ood score`."""

import csv
import io
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from live_browser import Page, opened_page
from many_pictures import many_pictures, shorter_side
from typer.testing import CliRunner, Result

from edge_ood.api.attach import attach
from edge_ood.cli.app import app
from edge_ood.files.text import without_formula
from edge_ood.runtime.scorer import Scorer
from edge_ood.web import browser_runtime
from edge_ood.web.browser_runtime import BUILDS, pinned_version
from edge_ood.web.write_page import write_page

HEADS = "energy,msp,odin:epsilon=0.002,gradnorm,mahalanobis,knn,react,vim,gen"
SCORE_TOLERANCE = 1e-4
REDUCED_TOLERANCE = 0.15
"""Of a score's spread over the pictures; the first as the parity gate has it for float32."""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """What npm would install, as far as it is looked at."""
    folder = tmp_path / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    for script, stem in BUILDS.values():
        for name in (script, f"{stem}.mjs", f"{stem}.wasm"):
            (folder / "dist" / name).write_bytes(name.encode())
    said = {"name": "onnxruntime-web", "version": pinned_version()}
    (folder / "package.json").write_text(json.dumps(said))
    return folder


def test_a_page_is_whole_and_asks_for_nothing(
    colour_artifact: Path, package: Path, tmp_path: Path
) -> None:
    """No address of another host is in what we write; the folder appears at once."""
    result = run("web", colour_artifact, "-o", tmp_path / "page", "--runtime", package)

    assert 0 == result.exit_code, result.output
    page = tmp_path / "page"
    html = (page / "index.html").read_text("utf-8")
    assert "default-src 'none'" in html
    assert "$" not in html.replace("$schema", "")
    for name in ("index.html", "page.js", "classifier.js", "preprocess.js", "style.css"):
        assert "://" not in (page / name).read_text("utf-8"), name
    assert {"binary-wasm.js", "classifier.js", "ort-webgpu.js"} < {
        path.name for path in (page / "assets").iterdir()
    }
    assert "MIT License" in (page / "LICENSE-onnxruntime-web.txt").read_text("utf-8")


def test_names_of_classes_are_text_in_the_page(
    colour_artifact: Path, package: Path, tmp_path: Path
) -> None:
    """They come from the file, and might end the script that they stand in."""
    from dataclasses import replace

    from edge_ood.artifact.metadata import store_metadata

    model = onnx.load(colour_artifact)
    described = Scorer(colour_artifact).metadata
    hostile = ("</script><img src=x>", *described.classes[1:])
    store_metadata(model, replace(described, classes=hostile))
    onnx.save(model, tmp_path / "<b>.onnx")

    write_page(tmp_path / "<b>.onnx", tmp_path / "page", runtime=package)

    html = (tmp_path / "page" / "index.html").read_text("utf-8")
    assert "<b>" not in html
    assert "<img src=x>" not in html
    start = html.index('id="about">') + len('id="about">')
    about = json.loads(html[start : html.index("</script>", start)])
    assert list(hostile) == about["classes"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: (p / "package.json").write_text('{"name": "x", "version": "1"}'), "is not onnx"),
        (lambda p: (p / "package.json").unlink(), "is not onnxruntime-web"),
        (lambda p: (p / "dist" / "ort.wasm.min.js").unlink(), "lacks dist/ort.wasm.min.js"),
    ],
)
def test_another_runtime_is_refused(
    colour_artifact: Path, package: Path, tmp_path: Path, spoil: Any, message: str
) -> None:
    """It would compute something else, or nothing."""
    spoil(package)

    result = run("web", colour_artifact, "-o", tmp_path / "page", "--runtime", package)

    assert 1 == result.exit_code
    assert message in result.stderr
    assert "npm install onnxruntime-web@" in result.stderr
    assert not (tmp_path / "page").exists()


def test_what_is_in_the_way_stays(colour_artifact: Path, package: Path, tmp_path: Path) -> None:
    """A folder of something else; a page, but for --force."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").write_text("mine")
    made = ["web", colour_artifact, "-o", tmp_path / "page", "--runtime", package]
    run(*made)

    other = run("web", colour_artifact, "-o", tmp_path / "x", "--runtime", package)
    again, forced = run(*made), run(*made, "--force")

    assert "is there and no such page" in other.stderr
    assert "exists" in again.stderr
    assert 0 == forced.exit_code, forced.output
    assert "mine" == (tmp_path / "x" / "mine.txt").read_text()


def test_without_npm_it_says_what_to_do(
    colour_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that has no network, for example."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(browser_runtime.shutil, "which", lambda name: None)

    result = run("web", colour_artifact, "-o", tmp_path / "page")

    assert 1 == result.exit_code
    assert "there is no npm to fetch it" in result.stderr
    assert "--runtime node_modules/onnxruntime-web" in result.stderr


@pytest.fixture(scope="module")
def npm_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real one, which npm fetches once."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("npm")))
        try:
            return browser_runtime.browser_runtime()
        except Exception as error:  # without a network
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def pictures(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """50 of many sizes and formats."""
    known = sorted((colours / "calibration").rglob("*.png"))
    return many_pictures(known, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def artifact(
    colour_classifier: onnx.ModelProto, colours: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """With heads of every kind, gradients among them."""
    folder = tmp_path_factory.mktemp("web")
    onnx.save(colour_classifier, folder / "plain.onnx")
    attach(
        folder / "plain.onnx",
        folder / "colours.onnx",
        id=colours / "train",
        calibration=colours / "calibration",
        scores=f"{HEADS.replace(',react,vim', '')},combined",
        mean="0.5",
        std="0.25",
        crop=0.875,
        provider="cpu",
    )
    return folder / "colours.onnx"


@pytest.fixture(scope="module")
def browser(artifact: Path, npm_package: Path) -> Iterator[Page]:
    """The page, opened as a file."""
    folder = artifact.parent / "page"
    write_page(artifact, folder, runtime=npm_package)
    with opened_page() as page:
        page.open((folder / "index.html").as_uri())
        page.run("edgeOod.ready")
        yield page


def scored_by(page: Page, files: list[Path]) -> list[dict[str, str]]:
    """What the page's table says, in the order of the files."""
    page.run("document.getElementById('clear').click()")
    page.choose("#files", files)
    end = time.monotonic() + 120
    while page.run("edgeOod.rows.length") < len(files):
        assert time.monotonic() < end
        time.sleep(0.1)
    return list(csv.DictReader(io.StringIO(page.run("edgeOod.table()"))))


@pytest.mark.slow
@pytest.mark.browser
def test_the_browser_says_what_python_says(
    browser: Page, artifact: Path, pictures: list[Path]
) -> None:
    """Of 50 pictures the same labels and decisions; every head's scores within the parity rule.

    Chromium's decoders give Pillow's pixels. Only a JPEG of four times the size is decoded smaller
    by Pillow, which no browser does: there the pixels are a level or so apart.
    """
    scorer = Scorer(artifact, provider="cpu")
    expected = scorer.score_files(pictures, batch_size=1)

    rows = scored_by(browser, pictures)

    assert [f"./{path.name}" for path in pictures] == [row["path"] for row in rows]
    labels = [without_formula(scorer.metadata.classes[i]) for i in expected.label_index]
    assert labels == [row["label"] for row in rows]
    side = scorer.metadata.preprocess.resized_px
    reduced = np.array([p.suffix == ".jpg" and shorter_side(p) >= 4 * side for p in pictures])
    assert 5 < reduced.sum() < 20
    for head in scorer.heads:
        wanted = expected.scores[head]
        found = np.array([float(row[head]) for row in rows])
        apart = np.abs(found - wanted) / wanted.std()
        assert apart[~reduced].max() <= SCORE_TOLERANCE, head
        assert np.median(apart[reduced]) <= REDUCED_TOLERANCE / 10, head
        assert apart[reduced].max() <= REDUCED_TOLERANCE, head
    decided = [row["is_ood"] == "true" for row in rows]
    assert expected.is_ood.tolist() == decided
    assert 0 < sum(decided) < len(rows)


@pytest.mark.slow
@pytest.mark.browser
def test_what_cannot_be_decoded_is_a_row(browser: Page, tmp_path: Path) -> None:
    """With its reason; names and errors are text in the page and in the table."""
    (tmp_path / "=<b>x.jpg").write_text("no picture")

    (row,) = scored_by(browser, [tmp_path / "=<b>x.jpg"])

    assert "./=<b>x.jpg" == row["path"]
    assert "unreadable" == row["status"]
    assert "cannot decode" in row["error"]
    assert 0 == browser.run("document.querySelectorAll('b').length")


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_fits_a_phone_and_a_desktop(
    artifact: Path, npm_package: Path, pictures: list[Path], tmp_path: Path
) -> None:
    """In both schemes, with names for all that can be pressed; the most suspicious comes first."""
    write_page(artifact, tmp_path / "page", runtime=npm_package)
    with opened_page() as page:
        for width, dark in ((400, False), (1400, True)):
            page.open((tmp_path / "page" / "index.html").as_uri(), width, dark=dark)
            page.run("edgeOod.ready")
            scored_by(page, pictures[:6])
            assert page.run("document.scrollingElement.scrollWidth") <= width
            values = page.run(
                "[...document.querySelectorAll('#rows .number')].map((e) => Number(e.textContent))"
            )
            assert sorted(values) == values
            assert 6 == len(values)
            names = page.run("[...document.querySelectorAll('button')].map((b) => b.textContent)")
            assert all(name.strip() for name in names)
            assert "flagged" in page.run("document.getElementById('status').textContent")
