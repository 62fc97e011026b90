"""Outliers from archives: every image once a round, a function of the place, and a run goes on."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_training import CPU, SETTINGS, SIDE

from edge_ood.errors import DataError, InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training import outlier_stream
from edge_ood.training.outlier_stream import OutlierStream
from edge_ood.training.progress import SILENT, Progress, StepReport
from edge_ood.training.train import train
from edge_ood.training.training_set import Folders

COUNTS = (5, 3, 8, 1, 6)
TOTAL = sum(COUNTS)
DRAW = (3, 1)
PREPROCESS = Preprocess(SIDE)


def write_archive(path: Path, levels: range) -> None:
    """Images of one grey level each, which tells them apart."""
    with tarfile.open(path, "w") as archive:
        for level in levels:
            content = io.BytesIO()
            Image.new("L", (SIDE, SIDE), level).save(content, "PNG")
            info = tarfile.TarInfo(f"{level:03}.png")
            info.size = content.tell()
            content.seek(0)
            archive.addfile(info, content)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Five archives of images that are 0, 1, 2, ... as they lie."""
    first = 0
    for number, count in enumerate(COUNTS):
        write_archive(tmp_path / f"x-{number}.tar", range(first, first + count))
        first += count
    return str(tmp_path / "x-{0..4}.tar")


@pytest.fixture
def small_buffer(monkeypatch: pytest.MonkeyPatch) -> int:
    """So that a round has several groups of archives."""
    monkeypatch.setattr(outlier_stream, "_MOST_BUFFERED", 6)
    return 6


def levels(
    stream: OutlierStream, first: int, count: int, draw: tuple[int, ...] = DRAW
) -> list[int]:
    """What tells images apart, at places that follow each other."""
    return stream.at(draw, np.arange(first, first + count))[:, 0, 0, 0].tolist()


def test_a_round_shows_every_image_once(source: str, small_buffer: int) -> None:
    """In another order each round, whatever the steps in which it is read."""
    stream = OutlierStream(source, PREPROCESS)
    rounds = [
        [level for at in range(0, TOTAL, 4) for level in levels(stream, turn * TOTAL + at, 4)]
        for turn in range(2)
    ]

    assert TOTAL == len(stream)
    for shown in rounds:
        assert list(range(TOTAL)) == sorted(shown[:TOTAL])
    assert rounds[0] != rounds[1] != sorted(rounds[1])
    assert levels(stream, 0, TOTAL) != levels(stream, 0, TOTAL, draw=(4, 1))


@pytest.mark.parametrize("first", [0, 7, TOTAL - 2, 5 * TOTAL + 11])
def test_a_place_has_its_image_whatever_was_read_before(
    source: str, small_buffer: int, first: int
) -> None:
    """A stream that begins there gives what one gives that came there step by step."""
    walked = OutlierStream(source, PREPROCESS)
    for at in range(0, first, 5):
        levels(walked, at, 5)

    assert levels(walked, first, 9) == levels(OutlierStream(source, PREPROCESS), first, 9)


def test_a_buffer_holds_few_archives(source: str, small_buffer: int) -> None:
    """A group holds as many images as the buffer or a little more, and no archive twice."""
    stream = OutlierStream(source, PREPROCESS)
    order = stream._round((*DRAW, 0))

    sizes = np.diff(order.starts)
    assert sizes.sum() == TOTAL
    assert (sizes[:-1] >= small_buffer).all()
    assert sizes.max() < small_buffer + max(COUNTS)
    assert list(range(len(COUNTS))) == sorted(order.archives.tolist())
    levels(stream, 0, 2 * TOTAL)
    assert len(stream._loading) <= 2


def test_a_damaged_archive_is_refused_at_once(source: str, tmp_path: Path) -> None:
    """Training for days must not end in it."""
    path = tmp_path / "x-2.tar"
    path.write_bytes(path.read_bytes()[:1300])

    with pytest.raises(DataError, match=r"cannot read '.*x-2.tar' to its end"):
        OutlierStream(source, PREPROCESS)


@pytest.fixture
def run_training(source: str, tiny_images: Path, tmp_path: Path):
    """Trains with outliers from the archives."""

    def run(name: str, progress: Progress = SILENT, **launch: bool) -> bytes:
        objective = Spec("outlier-exposure", {"weight": 0.5})
        settings = replace(SETTINGS, objective=objective, outlier_batch_size=5)
        folders = Folders(
            tiny_images / "train",
            calibration=tiny_images / "calibration",
            validation=tiny_images / "validation",
            outlier_archives=source,
        )
        output = tmp_path / name
        train(
            folders, settings, PREPROCESS, output, launch=replace(CPU, **launch), progress=progress
        )
        return (output / "model.safetensors").read_bytes()

    return run


def test_a_run_goes_on_with_the_outliers_that_it_would_have_had(
    run_training, tmp_path: Path, small_buffer: int
) -> None:
    """Interrupted amid an epoch and resumed, it ends with the same bits."""
    whole = run_training("whole")

    def stop(report: StepReport) -> None:
        if report.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training("cut", Progress(on_step=stop))

    assert whole == run_training("cut", resume=True)


def test_other_archives_are_not_gone_on_with(run_training, tmp_path: Path) -> None:
    """One image more in one of them is another set of outliers."""

    def stop(report: StepReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training("cut", Progress(on_step=stop))
    write_archive(tmp_path / "x-1.tar", range(100, 104))

    with pytest.raises(InputError, match="the archives of its outliers are not those given now"):
        run_training("cut", resume=True)
