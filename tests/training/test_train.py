"""Training on tiny images: it learns, it can be killed, and it refuses what cannot work."""

import contextlib
import math
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from scipy.special import logsumexp

from edge_ood.errors import ArtifactError, ChanceLevelError, DataError, InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import content_hash, decode_all
from edge_ood.models import build_classifier
from edge_ood.registry import Spec
from edge_ood.training.batches import normalised
from edge_ood.training.devices import end_processes
from edge_ood.training.energies import EnergySample, read_energies
from edge_ood.training.progress import Progress, StepReport, TrainReport
from edge_ood.training.run_directory import read_metrics, read_run
from edge_ood.training.run_weights import load_model
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, learning_rate, train
from edge_ood.training.training_set import Folders

SIDE = 8
CPU = Launch(device="cpu")
SETTINGS = Settings(
    model=Spec("wrn-10-1", {"dropout": 0.1}),
    objective=Spec("cross-entropy"),
    epochs=2,
    batch_size=14,
    outlier_batch_size=6,
    learning_rate=0.05,
)


def run_training(images: Path, output: Path, launch: Launch = CPU, **settings: Any) -> TrainReport:
    """Train on the tiny images with their own calibration and validation folders."""
    chosen = replace(SETTINGS, **settings)
    folders = Folders(
        images / "train",
        images / "outliers" if chosen.objective.name == "outlier-exposure" else None,
        images / "calibration",
        images / "validation",
    )
    return train(folders, chosen, Preprocess(SIDE), output, launch=launch)


@pytest.fixture(scope="module")
def finished(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, read only."""
    output = tmp_path_factory.mktemp("finished") / "run"
    run_training(tiny_images, output)
    return output


def weights_of(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def test_training_learns(tiny_images: Path, tmp_path: Path) -> None:
    """Dark and bright images are told apart after a few steps."""
    report = run_training(tiny_images, tmp_path / "run")

    assert report.validation_accuracy > 0.9


def test_outliers_and_parameters_reach_the_objective(tiny_images: Path, tmp_path: Path) -> None:
    """With weight 4 no epoch's loss is below the outliers' floor of 4 ln 2, nor much above."""
    objective = Spec("outlier-exposure", {"weight": 4.0})

    report = run_training(tiny_images, tmp_path / "run", objective=objective)

    floor = 4 * math.log(2)
    assert all(floor < epoch.training_loss < 2 * floor for epoch in report.epochs)


def test_the_reported_accuracy_is_that_of_the_saved_weights(
    tiny_images: Path, tmp_path: Path
) -> None:
    """Loading the run and classifying the validation images gives the reported share."""
    report = run_training(tiny_images, tmp_path / "run", heads=2)
    run = read_run(tmp_path / "run")
    validation = run.splits["validation"]
    pixels, _ = decode_all(validation.paths, run.config.preprocess)

    with torch.inference_mode():
        logits = load_model(run)(normalised(torch.from_numpy(pixels), run.config.preprocess)).logits

    right = logits.argmax(1).numpy() == validation.labels
    assert np.mean(right) == pytest.approx(report.validation_accuracy)


def test_each_head_has_its_own_accuracy(tiny_images: Path, tmp_path: Path) -> None:
    """The rows have the accuracies of the saved heads, here untrained ones, which differ."""
    with contextlib.suppress(DataError):  # no better than chance
        run_training(tiny_images, tmp_path, heads=2, learning_rate=0.0, final_learning_rate=0.0)
    run, row = read_run(tmp_path), read_metrics(tmp_path)[-1]
    validation = run.splits["validation"]
    pixels, _ = decode_all(validation.paths, run.config.preprocess)

    with torch.inference_mode():
        outputs = load_model(run)(normalised(torch.from_numpy(pixels), run.config.preprocess))

    right = outputs.logits_pair.argmax(-1).numpy() == np.asarray(validation.labels)[:, None]
    assert right.mean(0) == pytest.approx([row.first_head_accuracy, row.second_head_accuracy])
    assert row.first_head_accuracy != row.second_head_accuracy


def test_a_missing_head_has_no_accuracy(finished: Path) -> None:
    """With one head its accuracy is that of the classifier, and the second is NaN."""
    row = read_metrics(finished)[-1]

    assert row.validation_accuracy == row.first_head_accuracy
    assert math.isnan(row.second_head_accuracy)


@pytest.mark.parametrize(
    ("mode", "role"), [("auxiliary", "outliers"), ("transductive-split", "unlabelled")]
)
def test_the_pool_is_on_record(tiny_images: Path, tmp_path: Path, mode: str, role: str) -> None:
    """Classifier discrepancy trains in every mode, and its files are in the manifest."""
    splits = (tiny_images / "calibration", tiny_images / "validation")
    folders = Folders(tiny_images / "train", None, *splits)
    folders = replace(folders, **{role: tiny_images / "outliers"})
    objective = Spec("classifier-discrepancy", {"mode": mode})
    settings = replace(SETTINGS, objective=objective, heads=2)

    train(folders, settings, Preprocess(SIDE), tmp_path, launch=CPU)

    run = read_run(tmp_path)
    expected = {content_hash(p.read_bytes()) for p in (tiny_images / "outliers").iterdir()}
    assert expected == set(run.splits[role].hashes)
    assert mode == run.config.objective_parameters["mode"]


def test_unlabelled_batches_must_have_equal_parts(tiny_images: Path, tmp_path: Path) -> None:
    """An odd batch cannot be half training images and half outliers."""
    objective = Spec("classifier-discrepancy")
    settings = replace(SETTINGS, objective=objective, heads=2, outlier_batch_size=5)
    folders = Folders(tiny_images / "train", tiny_images / "outliers")

    with pytest.raises(InputError, match=r"5 cannot be shared evenly .* 2 image sets") as caught:
        train(folders, settings, Preprocess(SIDE), tmp_path / "run", launch=CPU)

    assert "--outlier-batch-size 4" == caught.value.hint


def test_a_run_directory_has_the_promised_files(finished: Path) -> None:
    """A finished run leaves five files and no checkpoint."""
    promised = ["config.json", "energies.json", "metrics.csv", "model.safetensors", "splits.json"]
    assert promised == sorted(entry.name for entry in finished.iterdir())


def test_the_normalisation_is_that_of_the_training_images(
    finished: Path, tiny_images: Path
) -> None:
    """Mean and deviation are measured on training images alone."""
    run = read_run(finished)
    files = sorted((tiny_images / "train").rglob("*.png"))
    pixels, _ = decode_all(files, run.config.preprocess)

    half_a_digit = 0.5e-4  # they are rounded to four decimals
    measured = (pixels / 255).mean((0, 1, 2))
    np.testing.assert_allclose(measured, run.config.preprocess.mean, rtol=0, atol=half_a_digit)


def test_the_manifest_holds_the_files_and_their_hashes(finished: Path, tiny_images: Path) -> None:
    """Every file of every split is there with the hash of its content."""
    splits = read_run(finished).splits

    for name, folder in (("training", "train"), ("calibration", "calibration")):
        images = splits[name]
        assert set((tiny_images / folder).rglob("*.png")) == set(images.paths)
        assert [content_hash(p.read_bytes()) for p in images.paths] == list(images.hashes)


def test_calibration_images_are_read_once_for_their_hash(
    tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each calibration file is opened exactly once, and no bytes of it reach the decoder."""
    opened: list[Path] = []
    decoded: list[str] = []
    read_bytes, decode = Path.read_bytes, Preprocess.decode

    def watched_read(path: Path) -> bytes:
        opened.append(path)
        return read_bytes(path)

    def watched_decode(self: Preprocess, payload: bytes, name: str = "image") -> Any:
        decoded.append(content_hash(payload))
        return decode(self, payload, name)

    monkeypatch.setattr(Path, "read_bytes", watched_read)
    monkeypatch.setattr(Preprocess, "decode", watched_decode)

    report = run_training(tiny_images, tmp_path / "run", epochs=1)

    calibration = report.run.splits["calibration"]
    assert sorted(calibration.paths) == sorted(p for p in opened if p in calibration.paths)
    assert not set(calibration.hashes) & set(decoded)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.1), (50, 0.05 + 5e-7), (100, 1e-6), (25, 0.0853553)]
)
def test_the_learning_rate_is_a_cosine(step: int, expected: float) -> None:
    """It starts at the peak, is halfway at half time and ends at the final rate."""
    rate = learning_rate(step, peak=0.1, final=1e-6, total_steps=100)

    assert expected == pytest.approx(rate, rel=1e-5)


def test_metrics_hold_the_learning_rate_of_each_last_step(finished: Path) -> None:
    """Two epochs of four steps end with the rates of steps 3 and 7 of 8."""
    rates = [epoch.learning_rate for epoch in read_metrics(finished)]

    cosine = [(1 + math.cos(math.pi * step / 8)) / 2 for step in (3, 7)]
    expected = [1e-6 + (0.05 - 1e-6) * share for share in cosine]
    assert expected == pytest.approx(rates)


def test_the_same_seed_gives_the_same_weights(
    finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Two runs with the same settings end with the same bits."""
    run_training(tiny_images, tmp_path / "run")

    assert weights_of(finished) == weights_of(tmp_path / "run")


def test_another_seed_gives_other_weights(
    finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """The seed reaches the weights."""
    run_training(tiny_images, tmp_path / "run", seed=1)

    assert weights_of(finished) != weights_of(tmp_path / "run")


def test_the_schedule_reaches_the_optimiser(
    finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """A constant learning rate ends elsewhere than a cosine from the same start."""
    rate = SETTINGS.learning_rate

    run_training(tiny_images, tmp_path / "run", final_learning_rate=rate)

    assert weights_of(finished) != weights_of(tmp_path / "run")


def test_validation_leaves_no_trace_in_the_weights(
    finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Other validation images change no bit, batch statistics included."""
    folders = Folders(
        tiny_images / "train", None, tiny_images / "validation", tiny_images / "calibration"
    )

    train(folders, SETTINGS, Preprocess(SIDE), tmp_path / "run", launch=CPU)

    assert weights_of(finished) == weights_of(tmp_path / "run")


def energies_of(
    classifier: torch.nn.Module, run: Path, split: str, *, every: int = 1
) -> EnergySample:
    """Of every image of a split or of every so many, by the definition."""
    settled = read_run(run)
    pixels, _ = decode_all(settled.splits[split].paths[::every], settled.config.preprocess)
    with torch.inference_mode():
        outputs = classifier.eval()(normalised(torch.from_numpy(pixels), settled.config.preprocess))
    return EnergySample.of(-logsumexp(outputs.logits.double().numpy(), axis=1))


def assert_same(expected: EnergySample, found: EnergySample) -> None:
    assert expected.n == found.n
    np.testing.assert_allclose(
        [found.mean, *found.quantiles], [expected.mean, *expected.quantiles], rtol=1e-5, atol=1e-5
    )


def test_energies_are_those_of_the_first_and_of_the_last_weights(
    tiny_images: Path, tmp_path: Path
) -> None:
    """Validation images and outliers, by the drawn network and by the saved one."""
    run_training(tiny_images, tmp_path, objective=Spec("outlier-exposure"), heads=2)
    torch.manual_seed(SETTINGS.seed)
    drawn = build_classifier(SETTINGS.model, 2, heads=2)

    energies = read_energies(tmp_path)

    assert energies is not None
    assert {"validation", "outliers"} == set(energies.before) == set(energies.after)
    for split in energies.before:
        assert_same(energies_of(drawn, tmp_path, split), energies.before[split])
        trained = load_model(read_run(tmp_path))
        assert_same(energies_of(trained, tmp_path, split), energies.after[split])


def test_a_sample_of_training_images_stands_for_validation(
    tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is held out; it is spread evenly over all classes."""
    monkeypatch.setattr("edge_ood.training.session._MOST_OBSERVED", 5)
    few = tmp_path / "few"  # two images a class are too few to hold one out
    for path in sorted((tiny_images / "train").rglob("0[01].png")):
        (few / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, few / path.parent.name)
    folders = Folders(few, tiny_images / "outliers", tiny_images / "calibration")
    objective = Spec("outlier-exposure")
    run = tmp_path / "run"

    train(folders, replace(SETTINGS, objective=objective), Preprocess(SIDE), run, launch=CPU)

    energies = read_energies(run)
    assert energies is not None
    assert {"training": 4, "outliers": 4} == {k: s.n for k, s in energies.after.items()}
    expected = energies_of(load_model(read_run(run)), run, "outliers", every=3)
    assert_same(expected, energies.after["outliers"])


def interrupt_at(steps: int) -> Progress:
    """Callbacks that raise KeyboardInterrupt once that many steps are done."""

    def stop(report: StepReport) -> None:
        if report.step >= steps:
            raise KeyboardInterrupt

    return Progress(on_step=stop)


def test_an_interrupted_run_ends_with_the_same_weights(
    finished: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Stopped after its first epoch and resumed, a run ends with the same bits and rows."""
    folders = Folders(
        tiny_images / "train", None, tiny_images / "calibration", tiny_images / "validation"
    )
    with pytest.raises(KeyboardInterrupt):
        train(
            folders,
            SETTINGS,
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


# Imports once, then forks a process for each point: the number of a file, and whether the process
# dies with half of it written or when the whole of it is about to get its name. In order the files
# are: splits, config, checkpoint and metrics after each of 8 steps, metrics, energies, weights.
KILL_POINTS = (
    *(f"{number}:whole" for number in (1, 2, 3, 4, 5, 10, 17, 18, 19, 20, 21)),
    *(f"{number}:half" for number in (2, 3, 9, 17, 20, 21)),
)
KILLED_RUNS = """
    import os, signal, sys
    from pathlib import Path
    from edge_ood.images.preprocess import Preprocess
    from edge_ood.registry import Spec
    from edge_ood.training.settings import Settings
    from edge_ood.training.train import Launch, train
    from edge_ood.training.training_set import Folders

    def train_until(point):
        files, replace = 0, Path.replace

        def die_at(moment):
            if f"{files}:{moment}" == point:
                os.kill(os.getpid(), signal.SIGKILL)

        def in_halves(write):
            def write_halves(self, content, *rest, **options):
                nonlocal files
                files += 1
                write(self, content[: len(content) // 2], *rest, **options)
                die_at("half")
                write(self, content, *rest, **options)

            return write_halves

        def rename(self, target):
            die_at("whole")
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
        launch = Launch(device="cpu", checkpoint_s=0.0)
        train(folders, settings, Preprocess(8), output / point, launch=launch)
        os._exit(0)

    images, output = Path(sys.argv[1]), Path(sys.argv[2])
    for point in sys.argv[3:]:
        child = os.fork()
        if child == 0:
            train_until(point)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
            sys.exit(f"{point} never came")
"""


@pytest.fixture(scope="module")
def killed_runs(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs, each killed at the point that is its name."""
    output = tmp_path_factory.mktemp("killed")
    script = [sys.executable, "-c", textwrap.dedent(KILLED_RUNS)]
    done = subprocess.run(
        [*script, str(tiny_images), str(output), *KILL_POINTS],
        check=False,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert 0 == done.returncode, done.stderr.decode()
    return output


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_killed_run_ends_with_the_same_weights(
    killed_runs: Path, finished: Path, tiny_images: Path, point: str
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


def test_resuming_a_finished_run_changes_nothing(finished: Path, tiny_images: Path) -> None:
    """It says so, and reports the accuracy of the run."""
    notes: list[str] = []
    before = weights_of(finished)
    folders = Folders(
        tiny_images / "train", None, tiny_images / "calibration", tiny_images / "validation"
    )

    report = train(
        folders,
        SETTINGS,
        Preprocess(SIDE),
        finished,
        launch=replace(CPU, resume=True),
        progress=Progress(on_note=notes.append),
    )

    assert ["already finished"] == [note.split("is ")[-1] for note in notes]
    assert read_metrics(finished)[-1].validation_accuracy == report.validation_accuracy
    assert before == weights_of(finished)


def test_resuming_with_other_options_names_them(finished: Path, tiny_images: Path) -> None:
    """The error shows the option with both values."""
    with pytest.raises(InputError, match="epochs was 2 and is 5"):
        run_training(tiny_images, finished, replace(CPU, resume=True), epochs=5)


def test_resuming_on_other_images_is_refused(tiny_images: Path, tmp_path: Path) -> None:
    """A changed image is noticed by its content."""
    images, output = Path(shutil.copytree(tiny_images, tmp_path / "images")), tmp_path / "run"
    run_training(images, output)
    (output / "model.safetensors").unlink()
    shutil.copy(images / "outliers" / "00.png", images / "train" / "dark" / "00.png")

    with pytest.raises(InputError, match="48 training images are not the 48 found now"):
        run_training(images, output, replace(CPU, resume=True))


def test_a_damaged_checkpoint_is_an_error(tiny_images: Path, tmp_path: Path) -> None:
    """A truncated checkpoint is reported as damage, with a way on."""
    run_training(tiny_images, tmp_path, epochs=1)
    (tmp_path / "last.ckpt").write_bytes(b"PK\x03\x04 half a file")

    with pytest.raises(ArtifactError, match=r"last\.ckpt' is damaged") as caught:
        run_training(tiny_images, tmp_path, replace(CPU, resume=True), epochs=1)

    assert "--force" in str(caught.value.hint)


def test_force_replaces_a_run(tiny_images: Path, tmp_path: Path) -> None:
    """The configuration and the rows of the old run are gone."""
    run_training(tiny_images, tmp_path, epochs=2)

    run_training(tiny_images, tmp_path, replace(CPU, force=True), epochs=1)

    assert 1 == read_run(tmp_path).config.settings.epochs
    assert 1 == len(read_metrics(tmp_path))


def test_a_run_at_chance_level_is_refused_and_its_weights_are_kept(
    tiny_images: Path, tmp_path: Path
) -> None:
    """A learning rate of zero learns nothing: the error shows both numbers after saving."""
    with pytest.raises(ChanceLevelError, match=r"60\.0%|40\.0%") as caught:
        run_training(tiny_images, tmp_path, epochs=1, learning_rate=0.0, final_learning_rate=0.0)

    said = "no better than chance, the share of the most frequent class (60.0%)"
    assert said in str(caught.value)
    assert (tmp_path / "model.safetensors").exists()


def test_a_diverging_loss_is_an_error(tiny_images: Path, tmp_path: Path) -> None:
    """A loss that is not finite stops the run with a hint at the learning rate."""
    with pytest.raises(InputError, match="training loss of epoch 1 is") as caught:
        run_training(tiny_images, tmp_path, learning_rate=1e30)

    assert "--lr" in str(caught.value.hint)


def test_an_objective_that_needs_outliers_says_so(tiny_images: Path, tmp_path: Path) -> None:
    """Outlier Exposure without outliers is refused before anything is written."""
    settings = replace(SETTINGS, objective=Spec("outlier-exposure"))

    with pytest.raises(InputError, match="'outlier-exposure' needs outliers, got none"):
        train(Folders(tiny_images / "train"), settings, Preprocess(SIDE), tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_outliers_that_nothing_uses_are_refused(tiny_images: Path, tmp_path: Path) -> None:
    """Cross-entropy with outliers is most likely a forgotten --objective."""
    folders = Folders(tiny_images / "train", tiny_images / "outliers")

    with pytest.raises(InputError, match="'cross-entropy' makes no use of outliers"):
        train(folders, SETTINGS, Preprocess(SIDE), tmp_path / "run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_an_error(tiny_images: Path, tmp_path: Path) -> None:
    """--device cuda never falls back to the CPU."""
    with pytest.raises(InputError, match="no CUDA device was found"):
        run_training(tiny_images, tmp_path, Launch(device="cuda"))


def test_few_calibration_images_are_pointed_out(tiny_images: Path, tmp_path: Path) -> None:
    """Four calibration images are too few for 5 %, which the user hears before training."""
    notes: list[str] = []

    train(
        Folders(tiny_images / "train", validation=tiny_images / "validation"),
        replace(SETTINGS, epochs=1),
        Preprocess(SIDE),
        tmp_path,
        launch=CPU,
        progress=Progress(on_note=notes.append),
    )

    assert ["4 calibration images: a 5% false-alarm rate needs 19"] == [
        note.split(",")[0] for note in notes
    ]


def test_batches_of_one_image_work(tiny_images: Path, tmp_path: Path) -> None:
    """A batch size of one trains, one step an image."""
    heard: list[StepReport] = []
    folders = Folders(
        tiny_images / "validation", tiny_images / "outliers", validation=tiny_images / "train"
    )
    objective = Spec("outlier-exposure")  # its outliers give batch normalisation company

    train(
        folders,
        replace(SETTINGS, objective=objective, batch_size=1, epochs=3, learning_rate=0.01),
        Preprocess(SIDE),
        tmp_path,
        launch=CPU,
        progress=Progress(on_step=heard.append),
    )

    assert 24 == heard[-1].step == heard[-1].total_steps


def test_bfloat16_trains(finished: Path, tiny_images: Path, tmp_path: Path) -> None:
    """Low precision is used in the forward pass, learns, and the weights stay float32."""
    report = run_training(tiny_images, tmp_path, precision="bf16")

    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert {torch.float32, torch.int64} == {weight.dtype for weight in weights.values()}
    assert weights_of(finished) != weights_of(tmp_path)
    assert report.validation_accuracy > 0.9


def test_a_process_parts_from_its_group() -> None:
    """Once, and without a group not at all."""
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )

    end_processes()
    assert not torch.distributed.is_initialized()
    end_processes()
