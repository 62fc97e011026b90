"""Training that starts from a finished run: its weights, preprocessing and splits go on."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tiny_training import CPU, SETTINGS, SIDE

from edge_ood.errors import ArtifactError, ChanceLevelError, DataError, InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import content_hash, decode_all
from edge_ood.objectives import OBJECTIVES, bind_objective, needs_of
from edge_ood.registry import Spec
from edge_ood.training.batches import normalised
from edge_ood.training.progress import Progress, TrainReport
from edge_ood.training.run_directory import read_run
from edge_ood.training.run_weights import load_model
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders

ENERGY = Spec("energy-bounded")


def fine_tune(
    folders: Folders, output: Path, launch: Launch = CPU, size: int = SIDE, **settings: Any
) -> tuple[TrainReport, list[str]]:
    """Train for an epoch, and hear the notes."""
    notes: list[str] = []
    chosen = replace(SETTINGS, **{"epochs": 1, "learning_rate": 0.001, **settings})
    progress = Progress(on_note=notes.append)
    return train(folders, chosen, Preprocess(size), output, launch=launch, progress=progress), notes


@pytest.fixture(scope="module")
def start(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with splits of its own from `train`; read only."""
    output = tmp_path_factory.mktemp("start") / "run"
    train(Folders(tiny_images / "train"), SETTINGS, Preprocess(SIDE), output, launch=CPU)
    return output


@pytest.fixture
def folders(tiny_images: Path, start: Path) -> Folders:
    """The same images again, from that run on."""
    return Folders(tiny_images / "train", start=start)


@pytest.fixture
def with_outliers(folders: Folders, tiny_images: Path) -> Folders:
    """The same with auxiliary outliers."""
    return replace(folders, outliers=tiny_images / "outliers")


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "model.safetensors")


def test_training_starts_from_the_weights(folders: Folders, start: Path, tmp_path: Path) -> None:
    """With a learning rate of zero the weights of the run come out again."""
    fine_tune(folders, tmp_path / "run", learning_rate=0.0, final_learning_rate=0.0)

    before, after = weights_of(start), weights_of(tmp_path / "run")
    learned = [name for name in before if "running" not in name and "batches" not in name]
    assert all(torch.equal(before[name], after[name]) for name in learned)


def test_a_second_head_starts_afresh(folders: Folders, start: Path, tmp_path: Path) -> None:
    """Two heads from one: the first is the trained one, the second is drawn at random."""
    fine_tune(folders, tmp_path / "run", heads=2, learning_rate=0.0, final_learning_rate=0.0)

    trained, found = weights_of(start)["heads.linear.0.weight"], weights_of(tmp_path / "run")
    torch.testing.assert_close(trained, found["heads.linear.0.weight"], rtol=0, atol=0)
    assert found["heads.linear.1.weight"].abs().sum() > 0
    assert not torch.equal(trained, found["heads.linear.1.weight"])


def test_the_preprocessing_goes_on(start: Path, tiny_images: Path, tmp_path: Path) -> None:
    """Other training images do not change mean and std, which the weights are tied to."""
    folders = Folders(
        tiny_images / "validation", calibration=tiny_images / "calibration", start=start
    )

    report, _ = fine_tune(folders, tmp_path / "run")

    assert read_run(start).config.preprocess == report.run.config.preprocess


def test_the_start_is_on_record(folders: Folders, start: Path, tmp_path: Path) -> None:
    """The configuration names the run and the content of its weights."""
    fine_tune(folders, tmp_path / "run")

    recorded = read_run(tmp_path / "run").config.start
    assert recorded is not None
    assert str(start) == recorded.run
    assert content_hash((start / "model.safetensors").read_bytes()) == recorded.weights


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("role", ["training", "calibration", "validation"])
def test_every_image_keeps_its_role(
    folders: Folders, start: Path, tmp_path: Path, role: str, seed: int
) -> None:
    """Renamed and moved files with another seed: the splits are those of the run, by content."""
    moved = tmp_path / "moved"
    for path in folders.training.rglob("*.png"):
        copy = moved / path.parent.name / f"{content_hash(path.read_bytes())[seed:9]}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)

    report, _ = fine_tune(replace(folders, training=moved), tmp_path / "run", seed=seed)

    expected = read_run(start).splits[role].hashes
    assert set(expected) == set(report.run.splits[role].hashes)


def test_new_images_train(folders: Folders, start: Path, tiny_images: Path, tmp_path: Path) -> None:
    """What the run has never seen becomes training images; its own splits stay as they were."""
    more = Path(shutil.copytree(folders.training, tmp_path / "more"))
    shutil.copytree(tiny_images / "calibration" / "dark", more / "dark" / "new")

    report, _ = fine_tune(replace(folders, training=more), tmp_path / "run")

    before, after = read_run(start).splits, report.run.splits
    assert len(before["training"]) + 10 == len(after["training"])
    assert set(before["calibration"].hashes) == set(after["calibration"].hashes)


def test_images_that_trained_the_start_cannot_calibrate(
    folders: Folders, start: Path, tmp_path: Path
) -> None:
    """One image of the run's training among them is refused, even if it trains no longer."""
    trained = read_run(start).splits["training"].paths
    first = next(path for path in trained if path.parent.name == "dark")
    (tmp_path / "calibration").mkdir()
    shutil.copy(first, tmp_path / "calibration")
    fewer = Path(shutil.copytree(folders.training, tmp_path / "fewer"))
    (fewer / "dark" / first.name).unlink()

    chosen = replace(folders, training=fewer, calibration=tmp_path / "calibration")
    with pytest.raises(DataError, match="1 of 1 calibration images are also training images"):
        fine_tune(chosen, tmp_path / "run")


def test_images_of_the_first_of_three_runs_cannot_calibrate_the_last(
    start: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """What trained the start of the start is remembered, too."""
    calibration = tiny_images / "calibration"
    second = Folders(tiny_images / "validation", calibration=calibration, start=start)
    report, _ = fine_tune(second, tmp_path / "second")
    assert 42 == len(report.run.splits["pretraining"])

    third = replace(second, calibration=tiny_images / "train", start=tmp_path / "second")
    with pytest.raises(DataError, match="42 of 48 calibration images are also training images"):
        fine_tune(third, tmp_path / "third")


def test_where_no_calibration_image_goes_on_nothing_is_drawn(
    start: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """A folder that shares no calibration image with the run needs a folder of its own."""
    folders = Folders(tiny_images / "validation", start=start)

    with pytest.raises(DataError, match="none of the 4 calibration images of") as caught:
        fine_tune(folders, tmp_path / "run")

    assert "--calibration DIR" in str(caught.value.hint)


def test_images_that_all_have_another_role_cannot_train(
    folders: Folders, start: Path, tmp_path: Path
) -> None:
    """Of the images that calibrate and validate the run none is left to go on with."""
    splits = read_run(start).splits
    held_out = [*splits["calibration"].paths, *splits["validation"].paths]
    for path in held_out:
        (tmp_path / "held_out" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "held_out" / path.parent.name)

    with pytest.raises(DataError, match=r"all 6 images of .* calibrate or validate '.*run'"):
        fine_tune(replace(folders, training=tmp_path / "held_out"), tmp_path / "run")


def test_measured_margins_are_the_mean_energies(
    with_outliers: Folders, start: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """The configuration and a note hold what the start's logits give, six deviations apart."""
    report, notes = fine_tune(with_outliers, tmp_path / "run", objective=ENERGY)

    run = read_run(start)
    means, variances = [], []
    for paths in (run.splits["training"].paths, sorted((tiny_images / "outliers").iterdir())):
        pixels, _ = decode_all(paths, run.config.preprocess)
        with torch.inference_mode():
            outputs = load_model(run)(normalised(torch.from_numpy(pixels), run.config.preprocess))
        energies = -np.log(np.exp(outputs.logits.double().numpy()).sum(1))
        means.append(energies.mean())
        variances.append(energies.var())
    gap = max(means[1] - means[0], 6 * np.sqrt(np.mean(variances)))
    expected = {"m_in": np.mean(means) - gap / 2, "m_out": np.mean(means) + gap / 2}
    measured = read_run(report.run.path).config.measured
    assert expected == pytest.approx(measured, rel=1e-5)  # float32 against float64
    assert any(f"m_in {measured['m_in']:.2f}" in note for note in notes)


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_an_interrupted_run_ends_with_the_same_weights(
    name: str, folders: Folders, with_outliers: Folders, tmp_path: Path
) -> None:
    """Whatever the objective: resumed after an epoch, it ends with the same bits."""
    images = with_outliers if needs_of(name).folders else folders
    options: dict[str, Any] = {"objective": bind_objective(name), "epochs": 2, "heads": 2}
    at_chance = contextlib.suppress(ChanceLevelError)  # the second head has learnt for six steps
    with at_chance:
        fine_tune(images, tmp_path / "whole", **options)
    settings = replace(SETTINGS, **{**options, "learning_rate": 0.001})

    def stop(report: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            images,
            settings,
            Preprocess(SIDE),
            tmp_path / "run",
            launch=replace(CPU, checkpoint_s=0.0),
            progress=Progress(on_epoch=stop),
        )
    assert (tmp_path / "run" / "last.ckpt").exists()
    with at_chance:
        fine_tune(images, tmp_path / "run", replace(CPU, resume=True), **options)

    whole, resumed = weights_of(tmp_path / "whole"), weights_of(tmp_path / "run")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_resumed_run_keeps_its_margins(with_outliers: Folders, tmp_path: Path) -> None:
    """They are read from the configuration, not measured again."""
    fine_tune(with_outliers, tmp_path, objective=ENERGY)
    config = json.loads((tmp_path / "config.json").read_text())
    config["measured"] = {"m_in": -9.0, "m_out": -1.0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").unlink()

    report, notes = fine_tune(with_outliers, tmp_path, replace(CPU, resume=True), objective=ENERGY)

    assert {"m_in": -9.0, "m_out": -1.0} == report.run.config.measured
    assert not any("energies" in note for note in notes)


def test_the_prior_is_the_share_of_each_class(
    with_outliers: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objectives hear it with every batch: 21 bright and 3 dark images are left."""
    fewer = Path(shutil.copytree(with_outliers.training, tmp_path / "fewer"))
    trained = read_run(Path(str(with_outliers.start))).splits["training"].paths
    dark = [path for path in trained if path.parent.name == "dark"]
    for path in dark[3:]:
        (fewer / "dark" / path.name).unlink()
    heard = []

    def losses(model: Any, batch: Any, **parameters: Any) -> Any:
        heard.append(batch.prior.tolist())
        yield model(batch.images).logits.logsumexp(-1).mean()

    objective = OBJECTIVES.get("outlier-exposure")
    monkeypatch.setattr(OBJECTIVES, "get", lambda name: replace(objective, losses=losses))
    chosen = replace(with_outliers, training=fewer)
    with contextlib.suppress(DataError):  # it may be no better than chance
        fine_tune(chosen, tmp_path / "run", objective=Spec("outlier-exposure"))

    assert heard
    assert all(pytest.approx([21 / 24, 3 / 24]) == prior for prior in heard)


def unfinished(folders: Folders, work: Path) -> tuple[Folders, dict[str, Any]]:
    assert folders.start is not None
    copy = Path(shutil.copytree(folders.start, work / "copy"))
    (copy / "model.safetensors").unlink()
    return replace(folders, start=copy), {}


def no_run(folders: Folders, work: Path) -> tuple[Folders, dict[str, Any]]:
    return replace(folders, start=work), {}


def damaged(folders: Folders, work: Path) -> tuple[Folders, dict[str, Any]]:
    assert folders.start is not None
    copy = Path(shutil.copytree(folders.start, work / "copy"))
    os.truncate(copy / "model.safetensors", 100)
    return replace(folders, start=copy), {}


def other_classes(folders: Folders, work: Path) -> tuple[Folders, dict[str, Any]]:
    images = Path(shutil.copytree(folders.training, work / "images"))
    (images / "dark").rename(images / "dim")
    return replace(folders, training=images), {}


def with_settings(**settings: Any) -> Callable[[Folders, Path], tuple[Folders, dict[str, Any]]]:
    return lambda folders, work: (folders, settings)


@pytest.mark.parametrize(
    ("prepare", "kind", "message"),
    [
        (unfinished, ArtifactError, "training is not finished"),
        (no_run, ArtifactError, "is not a run directory"),
        (damaged, ArtifactError, r"model\.safetensors' is damaged"),
        (other_classes, DataError, r"\['dim'\] only in the first, \['dark'\] only in the second"),
        (
            with_settings(model=Spec("wrn-16-1")),
            InputError,
            r"its model is wrn-10-1:dropout=0\.1, expected wrn-16-1:dropout=0\.3",
        ),
        (with_settings(size=16), InputError, "its image size is 8, expected 16"),
    ],
)
def test_what_cannot_go_on_is_refused(
    folders: Folders,
    tmp_path: Path,
    prepare: Callable[[Folders, Path], tuple[Folders, dict[str, Any]]],
    kind: type[Exception],
    message: str,
) -> None:
    """Each refusal names what arrived and what was expected, and writes no run."""
    chosen, options = prepare(folders, tmp_path)

    with pytest.raises(kind, match=message):
        fine_tune(chosen, tmp_path / "run", **options)

    assert not (tmp_path / "run" / "config.json").exists()


def test_a_head_is_never_thrown_away(folders: Folders, tmp_path: Path) -> None:
    """One head cannot start from two."""
    fine_tune(folders, tmp_path / "pair", heads=2)

    with pytest.raises(InputError, match="it has 2 heads, expected at most 1"):
        fine_tune(replace(folders, start=tmp_path / "pair"), tmp_path / "run")


def test_a_run_is_not_replaced_by_its_own_child(folders: Folders, start: Path) -> None:
    """Even with --force, the output must not be the run that training starts from."""
    with pytest.raises(InputError, match="cannot write over"):
        fine_tune(folders, start, replace(CPU, force=True))

    assert read_run(start).is_finished


def test_resuming_from_other_weights_is_refused(
    folders: Folders, start: Path, tmp_path: Path
) -> None:
    """The start is compared by the content of its weights."""
    fine_tune(folders, tmp_path / "run")
    other = Path(shutil.copytree(start, tmp_path / "other"))
    shutil.copy(tmp_path / "run" / "model.safetensors", other)

    with pytest.raises(InputError, match=r"start weights was '[0-9a-f]{64}' and is '"):
        fine_tune(replace(folders, start=other), tmp_path / "run", replace(CPU, resume=True))


def test_measured_margins_without_a_start_are_refused(tiny_images: Path, tmp_path: Path) -> None:
    """The hint shows both ways on."""
    folders = Folders(tiny_images / "train", tiny_images / "outliers")

    with pytest.raises(InputError, match="needs the weights of a finished run") as caught:
        fine_tune(folders, tmp_path / "run", objective=ENERGY)

    assert "--from RUN" in str(caught.value.hint)
    assert "m_in=-23,m_out=-5" in str(caught.value.hint)
