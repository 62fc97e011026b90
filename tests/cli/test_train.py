"""`edge-ood train` on the command line: what it prints, and one line for every bad input."""

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.cli.train import train as command
from edge_ood.objectives import example_with
from edge_ood.training.run_directory import read_run

SMALL = ["--model", "wrn-10-1:dropout=0", "--image-size", "8", "--epochs", "2"]
SMALL += ["--batch-size", "14", "--outlier-batch-size", "6", "--lr", "0.05", "--device", "cpu"]


def train(images: Path, output: Path, *options: str, folder: str = "train") -> Result:
    """Run the command with small settings; later options win."""
    arguments = ["train", str(images / folder), *SMALL, "-o", str(output), *options]
    return CliRunner().invoke(app, arguments)


def own_splits(images: Path) -> list[str]:
    """Options that leave all of DATA for training."""
    splits = (images / "calibration", images / "validation")
    return ["--calibration", str(splits[0]), "--validation", str(splits[1])]


def test_a_run_is_written_and_announced(tiny_images: Path, tmp_path: Path) -> None:
    """Standard output names the run directory and its validation accuracy."""
    output = tmp_path / "run"

    result = train(tiny_images, output, *own_splits(tiny_images))

    assert 0 == result.exit_code, result.stderr
    assert result.stdout.startswith(f"wrote '{output}': validation accuracy ")
    assert read_run(output).is_finished


def test_a_log_gets_one_line_an_epoch(tiny_images: Path, tmp_path: Path) -> None:
    """Without a terminal, standard error has a line with all numbers after each epoch."""
    result = train(tiny_images, tmp_path / "run", *own_splits(tiny_images))

    lines = [line for line in result.stderr.splitlines() if line.startswith("epoch ")]
    assert ["epoch 1/2", "epoch 2/2"] == [line[:9] for line in lines]
    assert all(word in lines[0] for word in ("loss", "accuracy", "images/s", "left"))


def test_every_option_reaches_the_run(tiny_images: Path, tmp_path: Path) -> None:
    """The configuration holds what was typed."""
    options = [
        *own_splits(tiny_images),
        *("--outliers", str(tiny_images / "outliers")),
        *("--objective", "outlier-exposure:weight=0.25", "--heads", "2", "--seed", "3"),
        *("--resize", "stretch", "--augmentation", "flip", "--precision", "bf16", "--epochs", "3"),
        *("--crop", "0.8", "--interpolation", "bicubic", "--outlier-sampling", "diverse"),
    ]

    result = train(tiny_images, tmp_path / "run", *options)

    assert 0 == result.exit_code, result.stderr
    config = read_run(tmp_path / "run").config
    settings = config.settings
    assert ("wrn-10-1", {"dropout": 0.0}) == (settings.model.name, settings.model.parameters)
    assert {"weight": 0.25, "target": "uniform"} == settings.objective.parameters
    assert (2, 3, ("flip",), "bf16", 3) == (
        settings.heads,
        settings.seed,
        settings.augmentation,
        settings.precision,
        settings.epochs,
    )
    assert (14, 6, 0.05, "diverse") == (
        settings.batch_size,
        settings.outlier_batch_size,
        settings.learning_rate,
        settings.outlier_sampling,
    )
    preprocess = config.preprocess
    assert (8, "stretch") == (preprocess.size_px, preprocess.resize)
    assert (0.8, "bicubic") == (preprocess.crop, preprocess.interpolation)


def test_photographs_train_from_splits_and_a_cache(tiny_images: Path, tmp_path: Path) -> None:
    """Augmentation, cache, broken images and folders of splits, all from the command line."""
    data, cache = tmp_path / "train", tmp_path / "cache"
    for ours, theirs in (("train", "train"), ("validation", "val"), ("calibration", "test")):
        shutil.copytree(tiny_images / ours, data / theirs)
    (data / "train" / "dark" / "00.png").write_text("no image")
    options = ["--augmentation", "resized-crop,flip,trivial", "--cache", str(cache)]

    refused = train(tmp_path, tmp_path / "run", *options)
    result = train(tmp_path, tmp_path / "run", *options, "--skip-broken")

    assert 1 == refused.exit_code
    assert "1 of 58 images is broken" in refused.stderr
    assert 0 == result.exit_code, result.stderr
    for words in ("holds splits", "using the decoded images in", "left out, as broken: 1 of 58"):
        assert words in result.stderr
    assert ("flip", "resized-crop", "trivial") == (
        read_run(tmp_path / "run").config.settings.augmentation
    )
    assert 2 == len(list(cache.glob("*/pixels.npy")))


def test_outliers_can_be_made_of_the_training_images(tiny_images: Path, tmp_path: Path) -> None:
    """With `self` no folder is asked for, and the configuration says what was done."""
    options = ["--outliers", "self", "--shuffled-share", "0.3", "--objective", "outlier-exposure"]

    result = train(tiny_images, tmp_path / "run", *own_splits(tiny_images), *options)

    assert 0 == result.exit_code, result.stderr
    settings = read_run(tmp_path / "run").config.settings
    assert ("self", 0.3) == (settings.outlier_source, settings.shuffled_share)


def test_unusual_class_names_work(tiny_images: Path, tmp_path: Path) -> None:
    """Class names with spaces, look-alikes of slashes and other alphabets are kept."""
    names = ("рыба и чипсы", "日本\N{FULLWIDTH SOLIDUS}語 ")
    for name, original in zip(names, ("bright", "dark"), strict=True):
        shutil.copytree(tiny_images / "train" / original, tmp_path / "train" / name)

    result = train(tmp_path, tmp_path / "run")

    assert 0 == result.exit_code, result.stderr
    assert names == read_run(tmp_path / "run").config.classes


def test_resume_without_a_run_starts_one(tiny_images: Path, tmp_path: Path) -> None:
    """The same command line serves for the first start and for every restart."""
    result = train(tiny_images, tmp_path / "run", *own_splits(tiny_images), "--resume")

    assert 0 == result.exit_code, result.stderr
    assert read_run(tmp_path / "run").is_finished


def test_both_heads_are_reported(tiny_images: Path, tmp_path: Path) -> None:
    """With two heads, the log shows the accuracy of each beside that of their mean."""
    options = ["--heads", "2", "--objective", "classifier-discrepancy", "--final-lr", "0.05"]
    outliers = ["--outliers", str(tiny_images / "outliers"), "--lr", "0.05"]

    result = train(tiny_images, tmp_path / "run", *own_splits(tiny_images), *options, *outliers)

    assert 0 == result.exit_code, result.stderr
    assert re.search(r"epoch 2/2 .* accuracy [\d.]+% \(heads [\d.]+%, [\d.]+%\)", result.stderr)
    assert 0.05 == read_run(tmp_path / "run").config.settings.final_learning_rate


def test_fine_tuning_goes_on_from_a_run(tiny_images: Path, tmp_path: Path) -> None:
    """What --from decides need not be repeated; the papers' recipe holds unless given."""
    train(tiny_images, tmp_path / "first", "--augmentation", "none", "--seed", "1")
    arguments = ["train", str(tiny_images / "train"), "--from", str(tmp_path / "first")]
    arguments += ["--outliers", str(tiny_images / "outliers"), "--device", "cpu"]
    arguments += ["--objective", "energy-bounded:m_in=-4", "--heads", "2"]

    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "second")])

    assert 0 == result.exit_code, result.stderr
    assert "note: mean energies before training: " in result.stderr
    first, second = (read_run(tmp_path / name).config for name in ("first", "second"))
    assert first.preprocess == second.preprocess
    expected = replace(
        first.settings,
        objective=second.settings.objective,
        heads=2,
        epochs=10,
        learning_rate=0.001,
        batch_size=128,
        outlier_batch_size=256,
        seed=0,
    )
    assert expected == second.settings


def no_images(folder: Path, images: Path) -> list[str]:
    (folder / "train").mkdir()
    return []


def one_class(folder: Path, images: Path) -> list[str]:
    shutil.copytree(images / "train" / "dark", folder / "train" / "dark")
    return []


def one_image(folder: Path, images: Path) -> list[str]:
    shutil.copytree(images / "train", folder / "train")
    for path in sorted((folder / "train" / "dark").iterdir())[1:]:
        path.unlink()
    return []


def not_images(folder: Path, images: Path) -> list[str]:
    shutil.copytree(images / "train", folder / "train")
    for path in (folder / "train" / "dark").iterdir():
        path.write_text("hello")
    return []


def with_splits(folder: Path, images: Path) -> list[str]:
    for name in ("train/train", "train/test"):
        shutil.copytree(images / "train", folder / name)
    (folder / "train" / "test" / "dark").rename(folder / "train" / "test" / "night")
    return []


def training_outliers(folder: Path, images: Path) -> list[str]:
    shutil.copytree(images / "train", folder / "train")
    outliers = shutil.copytree(images / "train" / "dark", folder / "outliers")
    return ["--outliers", str(outliers), "--objective", "outlier-exposure"]


def empty_outliers(folder: Path, images: Path) -> list[str]:
    shutil.copytree(images / "train", folder / "train")
    (folder / "outliers").mkdir()
    return ["--outliers", str(folder / "outliers"), "--objective", "outlier-exposure"]


def existing_output(folder: Path, images: Path) -> list[str]:
    shutil.copytree(images / "train", folder / "train")
    (folder / "run").mkdir()
    (folder / "run" / "config.json").touch()
    return []


def with_options(*options: str) -> Callable[[Path, Path], list[str]]:
    def prepare(folder: Path, images: Path) -> list[str]:
        shutil.copytree(images / "train", folder / "train")
        return list(options)

    return prepare


@pytest.mark.parametrize(
    ("prepare", "error", "hint"),
    [
        (no_images, "no images under", "check the path"),
        (one_class, "1 class folder(s), expected at least 2", "DATA/<class>/<file>"),
        (one_image, "class 'dark' has 1 image, expected at least 2", "add images"),
        (not_images, "dark/00.png' is not an image", "--skip-broken"),
        (with_splits, "test' has classes that", "rename"),
        (training_outliers, "of --outliers are training images", "remove them"),
        (empty_outliers, "no images under", "check the path"),
        (existing_output, "exists", "--force"),
        (with_options("--model", "resnet81"), "unknown model 'resnet81'", "'resnet18'"),
        (with_options("--model", "wrn-41-2"), "expected depth 6 n + 4", "'wrn-40-2'"),
        (with_options("--objective", "cross-entrpy"), "unknown objective", "'cross-entropy'"),
        (with_options("--objective", "outlier-exposure"), "needs outliers", "--outliers DIR"),
        (with_options("--outliers", "x"), "makes no use of outliers", example_with("outliers")),
        (with_options("--from", "/dev"), "'/dev' is not a run directory", "edge-ood train"),
        (
            with_options("--outliers", "x", "--objective", "energy-bounded"),
            "needs the weights of a finished run",
            "--from RUN",
        ),
        (
            with_options("--outliers", "x", "--objective", "energy-bounded:m_in=-5,m_out=-23"),
            "m_in -5 and m_out -23, expected m_in < m_out",
            "energy-bounded:m_in=-23,m_out=-5",
        ),
        (
            with_options("--outliers", "x", "--objective", "classifier-discrepancy"),
            "needs 2 heads, got 1",
            "--heads 2",
        ),
        (
            with_options("--unlabelled", "x", "--objective", "classifier-discrepancy"),
            "needs outliers, got none",
            "--outliers DIR",
        ),
        (
            with_options("--outliers", "x", "--unlabelled", "x", "--objective", "outlier-exposure"),
            "makes no use of unlabelled images, got 'x'",
            example_with("unlabelled"),
        ),
        (
            with_options("--outlier-sampling", "diverse"),
            "chooses among outliers of a folder, which 'cross-entropy' has none of",
            example_with("outliers"),
        ),
        (
            with_options(
                *("--outliers", "x", "--outlier-sampling", "diverse", "--heads", "2"),
                *("--objective", "classifier-discrepancy"),
            ),
            "chooses among outliers of a folder, which 'classifier-discrepancy' has none of",
            example_with("outliers"),
        ),
        (
            with_options("--outliers", "self"),
            "'cross-entropy' uses no outliers, got --outliers self",
            "--objective outlier-exposure",
        ),
        (
            with_options("--outliers", "self", "--objective", "energy-bounded:m_in=-23,m_out=-5"),
            "'energy-bounded' needs outliers of a folder, got --outliers self",
            "--objective outlier-exposure",
        ),
        (
            with_options(
                "--outliers", "self", "--objective", "classifier-discrepancy", "--heads", "2"
            ),
            "'classifier-discrepancy' needs outliers of a folder, got --outliers self",
            "--objective outlier-exposure",
        ),
        (
            with_options(
                *("--outliers", "self", "--objective", "outlier-exposure"),
                *("--outlier-sampling", "diverse"),
            ),
            "diverse chooses among outliers of a folder, got --outliers self beside it",
            "--outliers DIR",
        ),
        (
            with_options("--outliers", "./self", "--objective", "outlier-exposure"),
            "/self'",
            "check the path",
        ),
        (
            with_options("--outliers", "self", "--shuffled-share", "15"),
            "shuffled_share is 15.0, expected more than 0 and at most 1",
            "",
        ),
        (
            with_options("--shuffled-share", "0.1"),
            "--shuffled-share 0.1 is of pixels to shuffle, and nothing is shuffled",
            "--outliers self",
        ),
        (
            with_options("--schedule", "step", "--final-lr", "0.001"),
            "--final-lr 0.001 ends a cosine, and --schedule step has none",
            "--schedule cosine, or drop --final-lr",
        ),
        (
            with_options("--optimizer", "adamw", "--momentum", "0.9"),
            "--momentum 0.9 is of sgd, and the optimiser is adamw",
            "--optimizer sgd, or drop --momentum",
        ),
        (with_options("--optimizer", "adam"), "optimizer is 'adam', expected one of sgd, ad", ""),
        (with_options("--schedule", "linear"), "schedule is 'linear', expected one of cosine", ""),
        (with_options("--warmup", "-1"), "warmup is -1.0, expected 0 <= warmup < ", ""),
        (with_options("--average", "swa"), "average is 'swa', expected one of none, ema", ""),
        (with_options("--balance", "all"), "balance is 'all', expected one of none, loss", ""),
        (with_options("--keep", "first"), "keep is 'first', expected one of last, best", ""),
        (with_options("--label-smoothing", "1"), "label_smoothing is 1.0, expected 0 <= ", ""),
        (with_options("--mixup", "nan"), "mixup is nan, expected 0 <= mixup < inf", ""),
        (with_options("--clip-norm", "-2"), "clip_norm is -2.0, expected 0 <= clip_norm", ""),
        (
            with_options("--outliers", "x", "--outlier-sampling", "greedy"),
            "outlier_sampling is 'greedy', expected one of random, diverse",
            "",
        ),
        (
            with_options("--objective", "classifier-discrepancy:mode=inductive"),
            "'mode' of classifier-discrepancy is 'inductive', expected one of auxiliary, trans",
            "auxiliary",
        ),
        (with_options("--image-size", "2"), "cannot take images of 2 px", "--image-size 4"),
        (with_options("--resize", "squash"), "resize policy 'squash'", ""),
        (with_options("--crop", "224"), "crop share 224.0, expected more than 0", "0.875"),
        (with_options("--interpolation", "cubic"), "interpolation 'cubic', expected one of", ""),
        (with_options("--cache", ""), "the cache is '', expected a folder", "--cache DIR"),
        (with_options("--cache", "/dev/null/cache"), "cannot keep", "--cache none"),
        (with_options("--augmentation", "spin"), "augmentation is 'spin'", "none"),
        (with_options("--precision", "fp8"), "precision is 'fp8'", ""),
        (with_options("--device", "tpu"), "unknown device 'tpu'", "cuda"),
        (with_options("--lr", "-1"), "learning_rate is -1.0", ""),
        (with_options("--validation", "nowhere"), "no folder", "check the path"),
        (with_options("-o", "/dev/null/run"), "cannot write '/dev/null/run'", "-o"),
        (with_options("--resume", "--force"), "--resume continues", "choose one"),
        pytest.param(
            with_options("--device", "cuda"),
            "no CUDA device was found",
            "--device cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
    ],
)
def test_bad_input_gets_one_line_and_a_hint(
    tiny_images: Path,
    tmp_path: Path,
    prepare: Callable[[Path, Path], list[str]],
    error: str,
    hint: str,
) -> None:
    """Exit code 1, the error with what arrived, and a hint; no stack trace, no run."""
    options = prepare(tmp_path, tiny_images)

    result = train(tmp_path, tmp_path / "run", *options)

    lines = result.stderr.splitlines()
    found = [line for line in lines if line.startswith("error: ")]
    assert 1 == result.exit_code
    assert 1 == len(found)
    assert error in found[0]
    assert hint in " ".join(line for line in lines if line.startswith("hint: "))
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("module", ["torch", "lightning_fabric", "rich"])
def test_a_missing_extra_is_named(
    tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """Without one of its libraries, training says what to install."""
    for name in [n for n in sys.modules if n.startswith(("edge_ood.t", "edge_ood.cli._training"))]:
        monkeypatch.delitem(sys.modules, name)
    for name in [n for n in sys.modules if n.partition(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)

    result = train(tiny_images, tmp_path / "run")

    assert 1 == result.exit_code
    assert f"error: training needs {module}" in result.stderr
    assert "hint: pip install 'edge-ood[train]'" in result.stderr


def test_progress_is_a_bar_on_a_terminal(
    tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a terminal, the bar shows epoch, loss, accuracy, images/s and the remaining time."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")

    result = train(tiny_images, tmp_path / "run", *own_splits(tiny_images))

    assert 0 == result.exit_code, result.stderr
    assert all(word in result.stderr for word in ("epoch 2/2", "loss", "accuracy", "images/s"))


def test_the_command_documents_an_example() -> None:
    """The help ends with a command line that can be pasted."""
    assert "Example: edge-ood train" in str(command.__doc__)
