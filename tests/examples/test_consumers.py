"""Programs without edge-ood: what they say of 50 pictures is what `edge-ood score` says."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from many_pictures import many_pictures, shorter_side
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.runtime.scorer import Scorer

EXAMPLES = Path(__file__).parents[2] / "examples"
MOST_LINES = 60
PVALUES = 0.1
"""Resizing in the graph is not Pillow's to the bit, and p-values have coarse steps here."""

pytestmark = pytest.mark.source
Rows = dict[str, dict[str, object]]


@pytest.fixture(scope="module")
def pictures(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Those that every decoder knows."""
    known = sorted((colours / "calibration").rglob("*.png"))
    made = many_pictures(known, tmp_path_factory.mktemp("pictures"), count=63)
    return [path for path in made if path.suffix != ".bmp"]


def rows_of(text: str) -> Rows:
    rows = [json.loads(line) for line in text.splitlines()]
    return {Path(row["path"]).name: row for row in rows}


def expected(artifact: Path, pictures: list[Path]) -> Rows:
    """Of `edge-ood score`."""
    command = ["score", artifact, *pictures, "--format", "jsonl", "--batch-size", 1]
    result = CliRunner().invoke(app, list(map(str, command)))
    assert 0 == result.exit_code, result.output
    return rows_of(result.stdout)


def check_same(found: Rows, wanted: Rows, artifact: Path, pictures: list[Path]) -> None:
    """Decisions and labels; a p-value may be a step apart."""
    assert found.keys() == wanted.keys()
    assert len(found) >= 50
    side = Scorer(artifact).metadata.preprocess.resized_px
    whole = {p.name for p in pictures if p.suffix != ".jpg" or shorter_side(p) < 4 * side}
    assert {True, False} == {row["is_ood"] for row in found.values()}
    for name, row in found.items():
        assert row["is_ood"] == wanted[name]["is_ood"], name
        assert row["label_index"] == wanted[name]["label_index"], name
        if name in whole:
            assert row["pvalue"] == pytest.approx(wanted[name]["pvalue"], abs=PVALUES), name


@pytest.mark.parametrize("name", ["score_folder.py", "score_folder.mjs", "score_folder.cpp"])
def test_an_example_is_short(name: str) -> None:
    """So that it is read."""
    assert len((EXAMPLES / name).read_text("utf-8").splitlines()) < MOST_LINES


def test_python_without_edge_ood(colour_artifact: Path, pictures: list[Path]) -> None:
    """onnxruntime, Pillow and NumPy; nothing of ours is imported."""
    script = EXAMPLES / "score_folder.py"
    command = [sys.executable, "-I", str(script), str(colour_artifact), *map(str, pictures)]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "edge_ood" not in script.read_text("utf-8").replace('"edge_ood"', "")
    found = rows_of(done.stdout)
    check_same(found, expected(colour_artifact, pictures), colour_artifact, pictures)
    classes = Scorer(colour_artifact).metadata.classes
    assert all(classes[row["label_index"]] == row["label"] for row in found.values())  # type: ignore[index]


@pytest.mark.slow
def test_javascript(colour_artifact: Path, pictures: list[Path], tmp_path: Path) -> None:
    """onnxruntime-node and sharp, as package.json names them; npm fetches them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no node here")
    for name in ("package.json", "score_folder.mjs"):
        shutil.copy(EXAMPLES / name, tmp_path)
    install = [npm, "install", "--ignore-scripts"]
    if subprocess.run(install, cwd=tmp_path, capture_output=True, timeout=300).returncode:
        pytest.skip("npm cannot fetch the packages")
    command = [node, "score_folder.mjs", str(colour_artifact), *map(str, pictures)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    wanted = expected(colour_artifact, pictures)
    check_same(rows_of(done.stdout), wanted, colour_artifact, pictures)


@pytest.mark.slow
def test_cpp(colour_artifact: Path, pictures: list[Path], tmp_path: Path) -> None:
    """Where onnxruntime's headers and OpenCV are; no package of ours brings them."""
    compiler, pkg_config = shutil.which("g++"), shutil.which("pkg-config")
    if compiler is None or pkg_config is None:
        pytest.skip("no C++ compiler here")
    asked = [pkg_config, "--cflags", "--libs", "opencv4", "libonnxruntime"]
    flags = subprocess.run(asked, capture_output=True, text=True)
    if flags.returncode:
        pytest.skip("no headers of onnxruntime, or no OpenCV")
    program = tmp_path / "score_folder"
    build = [compiler, "-std=c++17", str(EXAMPLES / "score_folder.cpp"), "-o", str(program)]
    subprocess.run([*build, *flags.stdout.split()], check=True)

    command = [str(program), str(colour_artifact), *map(str, pictures)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    wanted = expected(colour_artifact, pictures)
    check_same(rows_of(done.stdout), wanted, colour_artifact, pictures)
