"""`edge-ood attach`: somebody else's file in, an artefact out, and what is said about it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.images.folders import read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.runtime.scorer import Scorer

Network = Callable[..., onnx.ModelProto]


def run_attach(*words: object) -> Result:
    return CliRunner().invoke(app, ["attach", *map(str, words), "--provider", "cpu"])


@pytest.fixture
def network(foreign_network: Network, tmp_path: Path) -> Path:
    """A classifier of green, red and blue that takes BGR."""
    weights = 8 * np.eye(3)[:, [1, 0, 2]][::-1]
    path = tmp_path / "network.onnx"
    onnx.save(foreign_network(weights=weights), path)
    return path


def test_every_description_reaches_the_artefact(
    network: Path, colours: Path, tmp_path: Path
) -> None:
    """Channels, mean, std, resizing, class names, scores and rate: all as given."""
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(read_class_folders(colours / "train").classes), "utf-8")
    output = tmp_path / "x.onnx"

    done = run_attach(
        *(network, "--id", colours / "train", "--calibration", colours / "calibration"),
        *("--classes", classes, "--channels", "bgr", "--mean", "0.5,0.4,0.3", "--std", "0.25"),
        *("--resize", "stretch", "--image-size", 16, "--logits", "scores"),
        *("--crop", 0.8, "--interpolation", "bicubic"),
        *("--features", "features,pooled", "--scores", "msp,mahalanobis"),
        *("--primary", "msp", "--alpha", 0.1, "-o", output),
    )

    assert 0 == done.exit_code, done.output
    table = " ".join(done.stdout.split())
    for row in ("channels bgr given --channels", "pixels given given --mean and --std"):
        assert row in table
    scorer = Scorer(output, provider="cpu")
    metadata = scorer.metadata
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.25, 0.25)
    preprocess = Preprocess(16, mean, std, "stretch", crop=0.8, interpolation="bicubic")
    assert preprocess == metadata.preprocess
    assert ("msp", 0.1) == (metadata.primary, metadata.calibration.alpha)
    assert {"msp", "mahalanobis"} == set(scorer.heads)
    assert "given" == metadata.provenance["takes"]["pixels"]
    test = read_class_folders(colours / "test")
    pixels, _ = decode_all(test.paths, Preprocess(20, interpolation="bicubic"))
    seen = pixels[:, 2:18, 2:18]
    normalised = (seen.mean(axis=(1, 2)) / 255 - np.array(mean)) / np.array(std)
    found = scorer(list(test.paths))
    expected = normalised @ (8 * np.eye(3)[:, [1, 0, 2]])
    np.testing.assert_allclose(found.logits, expected, rtol=1e-4, atol=1e-4)
    assert list(test.labels if test.labels is not None else ()) == found.label_index.tolist()


def test_what_is_wrong_is_one_line_and_what_to_do(
    network: Path, colours: Path, tmp_path: Path
) -> None:
    """The wrong order of channels ends in the option that is missing, and nothing is written."""
    output = tmp_path / "x.onnx"
    folders = ("--id", colours / "train", "--calibration", colours / "calibration")

    done = run_attach(network, *folders, "--pixels", "unit", "-o", output)

    assert 1 == done.exit_code
    assert "error: 33.3% of 60 labelled images are classified correctly; as --channels bgr" in (
        done.stderr
    )
    assert "hint: --channels bgr\n" in done.stderr
    assert not output.exists()


def test_notes_say_what_is_missing(network: Path, colours: Path, tmp_path: Path) -> None:
    """Without labels sentences explain what the artefact lacks, and what decides then."""
    images = colours / "calibration" / "=green"

    done = run_attach(
        network, "--calibration", images, "--pixels", "unit", "-o", tmp_path / "x.onnx"
    )

    assert 0 == done.exit_code, done.output
    assert 2 == done.stderr.count("note: no '")
    assert "note: 'gen' decides" in done.stderr
    assert "calibrated on 20" in done.stdout


def test_the_first_try_needs_a_file_and_images(
    foreign_network: Network, colours: Path, tmp_path: Path
) -> None:
    """All else is found out, shown with how sure it is, and remembered by the artefact."""
    path = tmp_path / "network.onnx"
    # It takes everything for blue if pixels are not in [0, 255].
    weights = 8 / 255 * np.eye(3)[:, [1, 0, 2]] + np.array([16, 16, 0]) / 255
    model = foreign_network(weights=weights, bias=np.array([-16.0, -16, 0]), ending="softmax")
    onnx.save(model, path)
    words = (path, "--calibration", colours / "calibration")

    done = run_attach(*words)

    assert 0 == done.exit_code, done.output
    lines = done.stdout.splitlines()
    table = lines[: lines.index("")]
    assert max(map(len, table)) <= 80
    assert ["", "what", "it", "is", "how", "sure", "by", "what"] == ["", *table[0].split()]
    rows = {line.split("  ")[0]: " ".join(line.split()) for line in table if line[0] != " "}
    assert rows["layout"].startswith("layout nchw certain input 'image' float32")
    assert rows["pixels"].startswith("pixels byte measured")
    assert rows["ends in"].startswith("ends in softmax certain")
    assert rows["features"].startswith("features features certain")
    output = tmp_path / "network.ood.onnx"
    assert "mahalanobis" in Scorer(output, provider="cpu").heads
    shown = CliRunner().invoke(app, ["inspect", str(output)])
    assert "\n".join(table) in shown.stdout
    again = run_attach(*words)
    assert (1, True) == (again.exit_code, "pass --force" in again.stderr)


def test_an_output_that_exists_is_kept(network: Path, colours: Path, tmp_path: Path) -> None:
    """Before anything is read."""
    output = tmp_path / "x.onnx"
    output.write_bytes(b"earlier")

    done = run_attach(network, "--calibration", colours / "calibration", "-o", output)

    assert 1 == done.exit_code
    assert "--force" in done.stderr
    assert b"earlier" == output.read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("x.onnx -o y.onnx", 2, "missing option '--calibration'"),
        ("x.onnx --calibration c -o y.onnx --mean 1,2 --std 1", 2, "--mean is '1,2', expected"),
        ("x.onnx --calibration c -o y.onnx --mean 1", 1, "mean and std belong together"),
        ("x.onnx --calibration c -o y.onnx --pixels float", 1, "pixels 'float', expected one of"),
        ("x.onnx --calibration c -o y.onnx --scores enrgy", 1, "unknown score head 'enrgy'"),
        ("x.onnx --calibration c -o y.onnx --alpha 2", 1, "alpha is 2.0"),
        ("x.onnx --calibration c -o y.onnx", 1, "no file 'x.onnx'"),
    ],
)
def test_wrong_arguments_are_refused(
    words: str, code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Usage errors exit 2, anything else that is wrong exits 1; neither leaves a file."""
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(app, ["attach", *words.split()], env={"COLUMNS": "500"})

    assert code == done.exit_code
    assert message in done.stderr
    assert [] == list(tmp_path.iterdir())
