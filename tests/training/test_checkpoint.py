"""Runs that were interrupted or killed go on with the same bits, or say why not."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge_ood.errors import ArtifactError, InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.training.energies import read_energies
from edge_ood.training.progress import Progress, StepReport, TrainReport
from edge_ood.training.run_directory import read_metrics, read_run
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders

SIDE = 8
CPU = Launch(device="cpu")
Run = Callable[..., TrainReport]


def weights_of(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def interrupt_at(steps: int) -> Progress:
    """Callbacks that raise KeyboardInterrupt once that many steps are done."""

    def stop(report: StepReport) -> None:
        if report.step >= steps:
            raise KeyboardInterrupt

    return Progress(on_step=stop)


def test_an_interrupted_run_ends_with_the_same_weights(
    run_training: Run, tiny_settings: Settings, finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Stopped after its first epoch and resumed, a run ends with the same bits and rows."""
    folders = Folders(
        tiny_images / "train", None, tiny_images / "calibration", tiny_images / "validation"
    )
    with pytest.raises(KeyboardInterrupt):
        train(
            folders,
            tiny_settings,
            Preprocess(SIDE),
            tmp_path,
            launch=CPU,
            progress=interrupt_at(8),
        )
    assert (tmp_path / "last.ckpt").exists()

    run_training(tiny_images, tmp_path, replace(CPU, resume=True))

    assert weights_of(finished) == weights_of(tmp_path)
    assert [1, 2] == [epoch.epoch for epoch in read_metrics(tmp_path)]
    before, after = read_metrics(finished), read_metrics(tmp_path)
    assert [e.training_loss for e in before] == [e.training_loss for e in after]
    assert read_energies(finished) == read_energies(tmp_path)


# The number of a file, and whether half of it is written or the whole of it is about to get its
# name. In order the files are: splits, config, checkpoint and metrics after each of 8 steps,
# metrics, energies, weights. What a kill leaves behind is the folder as it is at that moment: one
# run is copied at every point, and killed at the last one.
KILL_POINTS = (
    *(f"{number}:whole" for number in (1, 2, 3, 4, 10, 17, 19, 20)),
    *(f"{number}:half" for number in (2, 3, 9, 17, 20, 21)),
    "21:whole",
)
KILLED_RUNS = """
    import os, shutil, signal, sys
    from pathlib import Path
    from edge_ood.images.preprocess import Preprocess
    from edge_ood.registry import Spec
    from edge_ood.training.settings import Settings
    from edge_ood.training.train import Launch, train
    from edge_ood.training.training_set import Folders

    images, output, *points = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
    run, files, replace = output / points[-1], 0, Path.replace

    def come_to(moment):
        point = f"{files}:{moment}"
        if point == points[-1]:
            os.kill(os.getpid(), signal.SIGKILL)
        if point in points:
            shutil.copytree(run, output / point)

    def in_halves(write):
        def write_halves(self, content, *rest, **options):
            global files
            files += 1
            write(self, content[: len(content) // 2], *rest, **options)
            come_to("half")
            write(self, content, *rest, **options)

        return write_halves

    def rename(self, target):
        come_to("whole")
        return replace(self, target)

    Path.write_bytes, Path.write_text = in_halves(Path.write_bytes), in_halves(Path.write_text)
    Path.replace = rename
    settings = Settings(
        model=Spec("wrn-10-1", {"dropout": 0.1}),
        objective=Spec("cross-entropy"),
        epochs=2,
        batch_size=14,
        outlier_batch_size=6,
        learning_rate=0.05,
    )
    folders = Folders(images / "train", None, images / "calibration", images / "validation")
    train(folders, settings, Preprocess(8), run, launch=Launch(device="cpu", checkpoint_s=0.0))
"""


@pytest.fixture(scope="module")
def killed_runs(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs as a kill leaves them at the point that is their name."""
    output = tmp_path_factory.mktemp("killed")
    script = [sys.executable, "-c", textwrap.dedent(KILLED_RUNS)]
    done = subprocess.run(
        [*script, str(tiny_images), str(output), *KILL_POINTS],
        check=False,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert -signal.SIGKILL == done.returncode, done.stderr.decode()
    return output


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_killed_run_ends_with_the_same_weights(
    run_training: Run, killed_runs: Path, finished: Path, tiny_images: Path, point: str
) -> None:
    """SIGKILL while a file is written or about to get its name, then --resume: the same bits."""
    run = killed_runs / point
    assert [".part"] == [file.suffix for file in run.iterdir() if file.name.startswith(".")]

    run_training(tiny_images, run, replace(CPU, resume=True))

    expected = [(epoch.epoch, epoch.training_loss) for epoch in read_metrics(finished)]
    assert weights_of(finished) == weights_of(run)
    assert expected == [(epoch.epoch, epoch.training_loss) for epoch in read_metrics(run)]
    assert read_energies(finished) == read_energies(run)
    assert 5 == len(list(run.iterdir()))


def test_resuming_a_finished_run_changes_nothing(
    tiny_settings: Settings, finished: Path, tiny_images: Path
) -> None:
    """It says so, and reports the accuracy of the run."""
    notes: list[str] = []
    before = weights_of(finished)
    folders = Folders(
        tiny_images / "train", None, tiny_images / "calibration", tiny_images / "validation"
    )

    report = train(
        folders,
        tiny_settings,
        Preprocess(SIDE),
        finished,
        launch=replace(CPU, resume=True),
        progress=Progress(on_note=notes.append),
    )

    assert ["already finished"] == [note.split("is ")[-1] for note in notes]
    assert read_metrics(finished)[-1].validation_accuracy == report.validation_accuracy
    assert before == weights_of(finished)


def test_resuming_with_other_options_names_them(
    run_training: Run, finished: Path, tiny_images: Path
) -> None:
    """The error shows the option with both values."""
    with pytest.raises(InputError, match="epochs was 2 and is 5"):
        run_training(tiny_images, finished, replace(CPU, resume=True), epochs=5)


def test_resuming_on_other_images_is_refused(
    run_training: Run, tiny_images: Path, tmp_path: Path
) -> None:
    """A changed image is noticed by its content."""
    images, output = Path(shutil.copytree(tiny_images, tmp_path / "images")), tmp_path / "run"
    run_training(images, output)
    (output / "model.safetensors").unlink()
    shutil.copy(images / "outliers" / "00.png", images / "train" / "dark" / "00.png")

    with pytest.raises(InputError, match="48 training images are not the 48 found now"):
        run_training(images, output, replace(CPU, resume=True))


def test_a_damaged_checkpoint_is_refused(
    run_training: Run, tiny_images: Path, tmp_path: Path
) -> None:
    """A truncated checkpoint is reported as damage, with a way on."""
    run_training(tiny_images, tmp_path, epochs=1)
    (tmp_path / "last.ckpt").write_bytes(b"PK\x03\x04 half a file")

    with pytest.raises(ArtifactError, match=r"last\.ckpt' is damaged") as caught:
        run_training(tiny_images, tmp_path, replace(CPU, resume=True), epochs=1)

    assert "--force" in str(caught.value.hint)


def test_force_replaces_a_run(run_training: Run, tiny_images: Path, tmp_path: Path) -> None:
    """The configuration and the rows of the old run are gone."""
    run_training(tiny_images, tmp_path, epochs=2)

    run_training(tiny_images, tmp_path, replace(CPU, force=True), epochs=1)

    assert 1 == read_run(tmp_path).config.settings.epochs
    assert 1 == len(read_metrics(tmp_path))
