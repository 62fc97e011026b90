"""Pipes and devices, wherever a command takes a file: one line, at once."""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from edge_ood.cli.app import app

PATIENCE_S = 30
ATTACH = "attach {network} --pixels unit -o {folder}/made.onnx"

FILES = (
    "score SPECIAL {images}",
    "evaluate SPECIAL --id {images} --ood {images}",
    "calibrate SPECIAL {images}",
    "explain SPECIAL {images}",
    "explain {artefact} SPECIAL",
    "inspect SPECIAL",
    "check SPECIAL",
    "bench SPECIAL",
    "heads --config SPECIAL",
    "attach SPECIAL --calibration {images} -o {folder}/made.onnx",
    ATTACH + " --id {train} --calibration {images} --classes SPECIAL",
    "export --model wrn-10-1 --weights SPECIAL --train {train} --calibration {images}",
)
FOLDERS = (
    "evaluate {artefact} --id SPECIAL --ood {images}",
    "evaluate {artefact} --id {images} --ood SPECIAL",
    "calibrate {artefact} SPECIAL -o {folder}/made.onnx",
    ATTACH + " --id {train} --calibration SPECIAL",
    ATTACH + " --id SPECIAL --calibration {images}",
    "train SPECIAL -o {folder}/run",
    "train {train} --calibration SPECIAL -o {folder}/run",
)


@pytest.fixture
def places(
    foreign_network: Callable[..., onnx.ModelProto],
    colour_artifact: Path,
    colours: Path,
    tmp_path: Path,
) -> dict[str, Path]:
    """What else the commands need."""
    onnx.save(foreign_network(), tmp_path / "network.onnx")
    images = {"images": colours / "calibration", "train": colours / "train"}
    return {
        **images,
        **{"artefact": colour_artifact, "folder": tmp_path},
        "network": tmp_path / "network.onnx",
    }


@contextlib.contextmanager
def patience(pipes: list[Path]) -> Iterator[None]:
    """Whoever waits for one of these pipes for too long gets its end, and the test goes on."""

    def end() -> None:
        for pipe in pipes:
            with contextlib.suppress(OSError):
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))

    timer = threading.Timer(PATIENCE_S, end)
    timer.start()
    try:
        yield
        assert timer.is_alive(), "waited for a pipe"
    finally:
        timer.cancel()


def refused(words: list[str], pipes: list[Path]) -> str:
    """The error of a command that fails with an error and a hint."""
    with patience(pipes):
        result = CliRunner().invoke(app, words)
    lines = [line for line in result.stderr.splitlines() if line.startswith(("error", "hint"))]
    assert 1 == result.exit_code, result.output
    assert isinstance(result.exception, SystemExit)
    assert ["error", "hint"] == [line.partition(":")[0] for line in lines]
    return lines[0]


def words_of(command: str, places: dict[str, Path], special: Path) -> list[str]:
    """A command line with its places filled in."""
    if command.startswith(("train", "export")):
        pytest.importorskip("torch")
    return [word.format(**places).replace("SPECIAL", str(special)) for word in command.split()]


@pytest.mark.parametrize("command", FILES)
def test_a_pipe_is_no_file(command: str, places: dict[str, Path], tmp_path: Path) -> None:
    """Of an artefact, a classifier, weights or class names, by whatever name."""
    for name in ("pipe.onnx", "pipe.safetensors"):
        os.mkfifo(tmp_path / name)

        error = refused(words_of(command, places, tmp_path / name), [tmp_path / name])

        assert "not a regular file" in error
        assert f"'{tmp_path / name}'" in error


@pytest.mark.parametrize("command", FOLDERS)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_neither_pipe_nor_device_is_an_image(
    command: str, kind: str, places: dict[str, Path], tmp_path: Path
) -> None:
    """Among sound images, whoever looks at them first: hashing, counting or decoding."""
    role = "train" if "--id SPECIAL" in command or "train SPECIAL" in command else "images"
    folder = tmp_path / "special"
    shutil.copytree(places[role], folder)
    special = next(path for path in folder.iterdir() if path.is_dir()) / "x.png"
    if kind == "pipe":
        os.mkfifo(special)
    else:
        special.symlink_to("/dev/null")  # which unlike others has an end, should it be read

    error = refused(words_of(command, places, folder), [special] if kind == "pipe" else [])

    said = f"cannot read '{special}': not a regular file"
    assert error in (f"error: {said}", f"error: 1 of 61 images is broken: {said}")


@pytest.mark.parametrize("name", ["config.json", "splits.json", "model.safetensors"])
def test_a_run_of_pipes_is_none(name: str, run_path: Path, tmp_path: Path) -> None:
    """To export it, or to start from it."""
    run = tmp_path / "run"
    shutil.copytree(run_path, run)
    (run / name).unlink()
    os.mkfifo(run / name)

    error = refused(["export", str(run), "-o", str(tmp_path / "x.onnx")], [run / name])

    assert name in error


def test_a_table_that_is_a_pipe_is_none(
    colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """Merging reads tables and their records."""
    shards = [tmp_path / f"{index}.csv" for index in (1, 2)]
    for index, shard in enumerate(shards, 1):
        words = ["score", str(colour_artifact), str(colours / "test"), "-o", str(shard)]
        assert 0 == CliRunner().invoke(app, [*words, "--shard", f"{index}/2"]).exit_code
    merge = ["merge", *map(str, shards), "-o", str(tmp_path / "all.csv")]

    for special in (shards[1], tmp_path / "1.csv.run.json"):
        special.unlink()
        os.mkfifo(special)

        assert f"error: cannot read '{special}': not a regular file" == refused(merge, [special])
