"""Runs with each way to optimise, average, mix, balance and keep: learnt, resumed, recorded."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny_training import CPU, SETTINGS, SIDE, stopped_and_resumed, trained

from edge_ood.errors import ChanceLevelError, InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training import train as module
from edge_ood.training.energies import read_energies
from edge_ood.training.progress import TrainReport
from edge_ood.training.run_directory import read_metrics, read_run
from edge_ood.training.train import train
from edge_ood.training.training_set import Folders

WAYS: tuple[dict[str, Any], ...] = (
    {"optimizer": "adamw", "learning_rate": 0.003},
    {"warmup": 0.6},
    {"schedule": "constant"},
    {"schedule": "step"},
    {"clip_norm": 0.1},
    {"average": "ema"},
    {"label_smoothing": 0.2},
    {"mixup": 0.3},
    {"balance": "loss"},
    {"balance": "sampling"},
)
KEEPING: tuple[dict[str, Any], ...] = (
    {"keep": "best"},
    {"keep": "best", "average": "ema", "optimizer": "adamw", "learning_rate": 0.003},
)
CONSTANT = {"schedule": "constant"}
EXPOSURE = Spec("outlier-exposure")


def name_of(way: dict[str, Any]) -> str:
    return "-".join(f"{name}-{value}" for name, value in way.items())


@pytest.fixture(scope="module")
def uneven(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Twice as many bright images as dark ones to train on."""
    folder = tmp_path_factory.mktemp("uneven")
    for label, count in (("dark", 12), ("bright", 24)):
        (folder / label).mkdir()
        for path in sorted((tiny_images / "train" / label).iterdir())[:count]:
            (folder / label / path.name).write_bytes(path.read_bytes())
    return Folders(
        folder, calibration=tiny_images / "calibration", validation=tiny_images / "validation"
    )


@pytest.fixture(scope="module")
def plain(uneven: Folders, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights of a run without any of them."""
    return trained(uneven, SETTINGS, tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture
def accuracies(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What validation finds after each epoch; taken from the front."""
    planned: list[float] = []
    monkeypatch.setattr(module, "evaluate", lambda session: (planned.pop(0), math.nan, math.nan))
    return planned


def run_with(folders: Folders, output: Path, **settings: Any) -> TrainReport:
    """A finished run."""
    chosen = replace(SETTINGS, **settings)
    return train(folders, chosen, Preprocess(SIDE), output, launch=CPU)


def weights_of(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


@pytest.mark.parametrize("way", WAYS, ids=name_of)
def test_each_way_is_one_of_its_own_and_can_be_resumed(
    way: dict[str, Any], uneven: Folders, plain: bytes, tmp_path: Path
) -> None:
    """Killed before the end of an epoch, it ends with the same bits, which are no others' bits."""
    settings = replace(SETTINGS, **way)

    whole = trained(uneven, settings, tmp_path / "whole")
    resumed = stopped_and_resumed(uneven, settings, tmp_path / "resumed")

    assert whole == resumed
    assert whole != plain
    assert read_energies(tmp_path / "whole") == read_energies(tmp_path / "resumed")
    assert settings == replace(
        read_run(tmp_path / "whole").config.settings,
        model=settings.model,
        objective=settings.objective,
    )


@pytest.mark.parametrize("way", KEEPING, ids=name_of)
@pytest.mark.parametrize("last", [0.1, 0.95])
def test_what_was_kept_survives_a_kill(
    way: dict[str, Any],
    last: float,
    uneven: Folders,
    tmp_path: Path,
    accuracies: list[float],
) -> None:
    """Stopped in the third epoch, a run still has the weights of the second, or better ones."""
    settings = replace(SETTINGS, epochs=3, **way)

    def stop(report: Any) -> None:
        if report.epoch == 3:
            raise KeyboardInterrupt

    accuracies[:] = [0.7, 0.9, last]
    whole = trained(uneven, settings, tmp_path / "whole")
    accuracies[:] = [0.7, 0.9, 0.3, last]
    with pytest.raises(KeyboardInterrupt):
        trained(uneven, settings, tmp_path / "resumed", on_epoch=stop)
    resumed = trained(uneven, settings, tmp_path / "resumed", replace(CPU, resume=True))

    assert whole == resumed


@pytest.mark.parametrize(
    ("options", "planned", "like"),
    [
        ({"keep": "best"}, [0.9, 0.8, 0.7], 1),
        ({"keep": "best"}, [0.8, 0.9, 0.7], 2),
        ({"keep": "best"}, [0.9, 0.8, 0.9], 3),
        ({"keep": "last"}, [0.9, 0.8, 0.7], 3),
        ({"keep": "best", "average": "ema"}, [0.8, 0.9, 0.7], 2),
        ({"keep": "best", "objective": Spec("feature-norm")}, [0.8, 0.9, 0.7], 2),
    ],
)
def test_weights_are_those_of_the_kept_epoch(
    options: dict[str, Any],
    planned: list[float],
    like: int,
    uneven: Folders,
    tmp_path: Path,
    accuracies: list[float],
) -> None:
    """At a constant rate they are those of a run of so many epochs; so are the energies."""
    accuracies[:] = planned
    report = run_with(uneven, tmp_path / "run", epochs=3, **CONSTANT, **options)
    accuracies[:] = planned
    run_with(uneven, tmp_path / "shorter", epochs=like, **CONSTANT, **{**options, "keep": "last"})

    assert weights_of(tmp_path / "shorter") == weights_of(tmp_path / "run")
    assert read_energies(tmp_path / "shorter") == read_energies(tmp_path / "run")
    assert (like, planned[like - 1]) == (report.kept_epoch, report.validation_accuracy)
    assert like == report.to_dict()["kept_epoch"]


def test_the_report_says_what_was_kept(
    uneven: Folders, tmp_path: Path, accuracies: list[float]
) -> None:
    """Nothing of a whole run's last epoch; else the epoch."""
    said = []
    for name, options in (
        ("last", {}),
        ("best", {"keep": "best"}),
        ("early", {"patience": 1}),
    ):
        accuracies[:] = [0.9, 0.8, 0.7]
        report = run_with(uneven, tmp_path / name, epochs=3, **options)
        said.append(str(report).partition(": ")[2])

    assert [
        "validation accuracy 70.0%",
        "validation accuracy 90.0%, the best of 3 epochs, after epoch 1",
        "validation accuracy 80.0%, after epoch 2 of 3",
    ] == said


def test_a_best_epoch_that_is_good_enough_is_no_failure(
    uneven: Folders, tmp_path: Path, accuracies: list[float]
) -> None:
    """What is no better than chance at the end is refused only where it is what was kept."""
    planned = [0.9, 0.1]

    accuracies[:] = planned
    run_with(uneven, tmp_path / "best", keep="best")
    accuracies[:] = planned
    with pytest.raises(ChanceLevelError, match=r"10\.0%"):
        run_with(uneven, tmp_path / "last")


def test_patience_ends_a_run(uneven: Folders, tmp_path: Path, accuracies: list[float]) -> None:
    """After two epochs without a higher accuracy; it is finished, and stays so when resumed."""
    notes: list[str] = []
    settings = replace(SETTINGS, epochs=9, patience=2, keep="best", **CONSTANT)
    accuracies[:] = [0.7, 0.9, 0.9, 0.8, 0.99]

    trained(uneven, settings, tmp_path / "run", on_note=notes.append)

    run = read_run(tmp_path / "run")
    assert run.is_finished
    assert [0.7, 0.9, 0.9, 0.8] == [e.validation_accuracy for e in read_metrics(run.path)]
    assert ["training ends after epoch 4 of 9"] == [
        note.partition(": ")[2] for note in notes if "no higher" in note
    ]
    before = weights_of(run.path)
    trained(uneven, settings, run.path, replace(CPU, resume=True))
    assert before == weights_of(run.path)


def test_a_run_that_ended_early_is_finished_after_a_kill(
    uneven: Folders, tmp_path: Path, accuracies: list[float]
) -> None:
    """Killed after its last checkpoint, it trains no further epoch."""
    settings = replace(SETTINGS, epochs=9, patience=1, keep="best")

    def stop(note: str) -> None:
        if "no higher" in note:
            raise KeyboardInterrupt

    accuracies[:] = [0.9, 0.8]
    with pytest.raises(KeyboardInterrupt):
        trained(uneven, settings, tmp_path / "run", on_note=stop)
    assert (tmp_path / "run" / "last.ckpt").exists()
    trained(uneven, settings, tmp_path / "run", replace(CPU, resume=True))

    assert 2 == len(read_metrics(tmp_path / "run"))
    assert read_run(tmp_path / "run").is_finished


@pytest.mark.parametrize(("way", "named"), [({"keep": "best"}, "best"), ({"patience": 2}, "2")])
def test_without_validation_images_nothing_can_be_chosen(
    way: dict[str, Any], named: str, tiny_images: Path, tmp_path: Path
) -> None:
    """Two images of a class are one to train and one to calibrate; none is left to validate."""
    for label in ("dark", "bright"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for path in sorted((tiny_images / "train" / label).iterdir())[:2]:
            (tmp_path / "images" / label / path.name).write_bytes(path.read_bytes())

    with pytest.raises(InputError, match=f"{named}: there is no validation image") as caught:
        run_with(Folders(tmp_path / "images"), tmp_path / "run", **way)

    assert "--validation DIR" in str(caught.value.hint)


def test_averages_are_validated_and_saved(
    uneven: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The saved weights are those that were validated, and lie between first and last ones."""
    seen: list[dict[str, torch.Tensor]] = []
    evaluate = module.evaluate

    def watched(session: Any) -> tuple[float, float, float]:
        with session.evaluating() as classifier, session.evaluating(averaged=False) as present:
            seen[:] = [
                {name: value.clone() for name, value in network.state_dict().items()}
                for network in (classifier, present)
            ]
        return evaluate(session)

    monkeypatch.setattr(module, "evaluate", watched)
    run_with(uneven, tmp_path / "run", average="ema")

    found = safetensors.torch.load_file(tmp_path / "run" / "model.safetensors")
    averaged, present = seen
    assert all(torch.equal(averaged[name], value) for name, value in found.items())
    assert any(not torch.equal(present[name], value) for name, value in found.items())


@pytest.mark.parametrize(
    "options", [{"outlier_source": "self"}, {"outlier_sampling": "diverse"}], ids=name_of
)
def test_averages_leave_the_steps_alone(
    options: dict[str, Any], uneven: Folders, tiny_images: Path, tmp_path: Path
) -> None:
    """What a step asks the network for its outliers is asked of the weights that it trains."""
    folders = replace(uneven, outliers=tiny_images / "outliers")
    if "outlier_source" in options:
        folders = uneven

    plain, averaged = (
        run_with(folders, tmp_path / way, objective=EXPOSURE, average=way, **options)
        for way in ("none", "ema")
    )

    assert [e.training_loss for e in plain.epochs] == [e.training_loss for e in averaged.epochs]
    assert weights_of(plain.path) != weights_of(averaged.path)


def test_label_smoothing_is_warned_of(uneven: Folders, tmp_path: Path) -> None:
    """Before the first step; nothing is said where there is none."""
    notes: list[str] = []

    for name, smoothing in (("plain", 0.0), ("smooth", 0.1)):
        settings = replace(SETTINGS, epochs=1, label_smoothing=smoothing)
        trained(uneven, settings, tmp_path / name, on_note=notes.append)

    assert ["label smoothing 0.1 often ruins scores that read logits"] == [
        note.partition(":")[0] for note in notes if "smoothing" in note
    ]


def test_runs_of_before_are_read_and_resumed(uneven: Folders, plain: bytes, tmp_path: Path) -> None:
    """A configuration and a checkpoint without any of it go on with the same bits."""

    def stop(report: Any) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trained(uneven, SETTINGS, run, on_epoch=stop)
    config = json.loads((run / "config.json").read_text())
    for name in (*WAYS, *KEEPING, {"momentum": 0}, {"patience": 0}):
        for field in name.keys() - {"learning_rate", "momentum"}:
            config["settings"].pop(field, None)
    (run / "config.json").write_text(json.dumps(config))
    content = torch.load(run / "last.ckpt", weights_only=True)
    del content["averaged"], content["kept"], content["optimizer"]["param_groups"][0]["factor"]
    torch.save(content, run / "last.ckpt")

    assert plain == trained(uneven, SETTINGS, run, replace(CPU, resume=True))
