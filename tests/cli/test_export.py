"""`edge-ood export`: a run directory and a file of weights give the same artefact."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.graph.budget import size_budget
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import DEFAULT_HEADS, fitting_heads
from edge_ood.training.run_directory import read_run
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders

MODEL = "wrn-10-1:dropout=0"
# When it was made, and what only the command that trained can know.
OF_THEIR_OWN = ("date", "objective", "objective_parameters", "epochs", "seed")


@pytest.fixture(scope="module")
def trained(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two heads, outliers and own calibration images."""
    output = tmp_path_factory.mktemp("runs") / "tiny"
    settings = Settings(
        model=Spec("wrn-10-1", {"dropout": 0.0}),
        objective=Spec("outlier-exposure"),
        heads=2,
        augmentation=(),
        epochs=2,
        batch_size=16,
        outlier_batch_size=12,
        seed=0,
    )
    folders = Folders(
        **{role: tiny_images / role for role in ("outliers", "calibration", "validation")},
        training=tiny_images / "train",
    )
    train(folders, settings, Preprocess(8), output, launch=Launch(device="cpu"))
    return output


def run_export(*words: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, words), "--provider", "cpu"])


def described(run: Path, images: Path, weights: Path, model: str = MODEL) -> list[str]:
    """The options that stand for a run directory."""
    preprocess = read_run(run).config.preprocess
    mean, std = (",".join(map(str, v)) for v in (preprocess.mean, preprocess.std))
    words = f"--model {model} --image-size 8 --mean {mean} --std {std}".split()
    folders = [
        word
        for role in ("train", "calibration", "outliers")
        for word in (f"--{role}", str(images / role))
    ]
    return [*words, *folders, "--weights", str(weights)]


def graph_and_metadata(path: Path) -> tuple[bytes, dict[str, Any]]:
    model = onnx.load(path)
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    model.ClearField("metadata_props")
    return model.SerializeToString(deterministic=True), metadata["edge_ood"]


def without(document: Any, names: tuple[str, ...]) -> Any:
    if not isinstance(document, dict):
        return document
    return {k: without(v, names) for k, v in document.items() if k not in names}


@pytest.fixture(scope="module")
def from_run(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artefact of the run, with every kind of score."""
    path = tmp_path_factory.mktemp("exported") / "run.onnx"
    done = run_export(trained, "-o", path, "--scores", "energy,mahalanobis,mcd_l1,odin")
    assert 0 == done.exit_code, done.output
    return path


def test_a_report_of_before_needs_force(trained: Path, from_run: Path, tmp_path: Path) -> None:
    """Like the artefact itself it is never overwritten in silence; and both are written."""
    report = tmp_path / "x.parity.json"
    report.write_text("earlier")

    done = run_export(trained, "-o", tmp_path / "x.onnx")

    assert 1 == done.exit_code
    assert f"error: '{report}' exists\n" in done.stderr
    assert [report] == list(tmp_path.iterdir())
    assert from_run.with_name("run.parity.json").is_file()


def test_a_rank_says_what_it_keeps(trained: Path, tmp_path: Path) -> None:
    """Smaller statistics, one line on the share of the variance, and a gradient that is right."""
    path, whole = tmp_path / "x.onnx", tmp_path / "whole.onnx"
    every = run_export(trained, "-o", whole, "--scores", "energy,mahalanobis:rank=999")
    assert 0 == every.exit_code, every.output

    done = run_export(trained, "-o", path, "--scores", "energy,mahalanobis:rank=4,epsilon=0.001")

    assert 0 == done.exit_code, done.output
    assert re.search(
        r"^mahalanobis: rank 4 keeps of the variance: \d+\.\d% of that of penultimate$",
        done.stdout,
        re.MULTILINE,
    )
    sizes = {
        name: next(p.size_bytes for p in size_budget(file, heads) if p.name == "statistics")
        for name, file, heads in (
            ("cut", path, ["energy", "mahalanobis"]),
            ("whole", whole, ["energy", "mahalanobis"]),
        )
    }
    assert sizes["cut"] < sizes["whole"] / 2


def test_weights_give_the_artefact_of_their_run(
    trained: Path, from_run: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Same weights, images and preprocessing: the same graph to the byte, and the same metadata.

    But for the temperature: a run alone knows which images were held back from training.
    """
    path = tmp_path / "weights.onnx"
    weights = trained / "model.safetensors"

    done = run_export(
        *described(trained, tiny_images, weights),
        *("-o", path, "--scores", "energy,mahalanobis,mcd_l1,odin"),
    )

    assert 0 == done.exit_code, done.output
    (expected, ours), (found, theirs) = graph_and_metadata(from_run), graph_and_metadata(path)
    assert expected == found
    assert 10 == ours["manifests"].pop("validation")["count"]
    chosen_on = [of["provenance"].pop("temperature")["chosen_on"] for of in (ours, theirs)]
    assert ["validation", ""] == chosen_on
    assert 0 < ours.pop("temperature")
    assert 1.0 == theirs.pop("temperature")
    assert without(ours, OF_THEIR_OWN) == without(theirs, (*OF_THEIR_OWN, "weights"))
    assert "model.safetensors" == theirs["provenance"]["weights"]["file"]
    assert "classified correctly" in done.stderr


def test_the_default_name_is_that_of_the_weights(
    trained: Path, tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without -o the artefact goes where those of run directories go."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "model.onnx").touch()

    done = run_export(*described(trained, tiny_images, trained / "model.safetensors"))

    assert 1 == done.exit_code
    assert "'exported/model.onnx' exists" in done.stderr


def test_calibration_images_that_were_trained_on_are_refused(
    trained: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Thresholds from images that the network has seen would hold no rate."""
    words = described(trained, tiny_images, trained / "model.safetensors")
    words[words.index("--calibration") + 1] = str(tiny_images / "train")

    done = run_export(*words, "-o", tmp_path / "x.onnx")

    assert 1 == done.exit_code
    assert "48 of 48 calibration images are also training images" in done.stderr
    assert not (tmp_path / "x.onnx").exists()


def test_another_number_of_classes_is_refused(
    trained: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Weights for two classes meet a folder of three; both numbers are in the error."""
    for name in ("dark", "bright", "third"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in ("00", "01"):
            (tmp_path / "train" / name / f"{number}.png").touch()
    words = described(trained, tiny_images, trained / "model.safetensors")
    words[words.index("--train") + 1] = str(tmp_path / "train")

    done = run_export(*words, "-o", tmp_path / "x.onnx")

    assert 1 == done.exit_code
    assert "was trained on 2 classes, got 3" in done.stderr


def test_a_network_of_ones_own_is_trained_and_exported_by_name(
    tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of the user's network, and its weights under the user's names, score alike."""
    source = """
from torch import nn
def build(num_classes, width=4):
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(width, num_classes),
    )
"""
    (tmp_path / "mine.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    roles = [
        word
        for role in ("calibration", "validation", "outliers")
        for word in (f"--{role}", str(tiny_images / role))
    ]
    recipe = "--objective outlier-exposure --epochs 4 --batch-size 16 --image-size 8 --device cpu"

    words = ["--model", "mine:build:width=6", *recipe.split(), "--augmentation", "none"]
    done = CliRunner().invoke(
        app, ["train", str(tiny_images / "train"), "-o", str(run), *roles, *words]
    )
    assert 0 == done.exit_code, done.output
    assert "next: edge-ood export" in done.stderr
    assert "--model mine:build:width=6" in done.stderr
    named = ("--model", "mine:build:width=6")
    assert 0 == run_export(run, "-o", tmp_path / "run.onnx", *named).exit_code
    state = safetensors.torch.load_file(run / "model.safetensors")
    own = {
        name.replace("trunk.network.", "").replace("heads.linear.0", "5"): array
        for name, array in state.items()
    }
    safetensors.torch.save_file(own, tmp_path / "own.safetensors")
    weights = described(run, tiny_images, tmp_path / "own.safetensors", "mine:build:width=6")
    done = run_export(*weights, "-o", tmp_path / "own.onnx")
    assert 0 == done.exit_code, done.output

    paths = sorted(tiny_images.rglob("*.png"))
    ours, theirs = (
        Scorer(tmp_path / f"{name}.onnx", provider="cpu")(paths) for name in ("run", "own")
    )
    assert {spec.name for spec in fitting_heads(DEFAULT_HEADS, ["logits", "features"])} == set(
        ours.scores
    )
    for head, scores in ours.scores.items():
        np.testing.assert_array_equal(scores, theirs.scores[head])
    np.testing.assert_array_equal(ours.pvalue, theirs.pvalue)


def test_a_list_of_classes_stands_for_folders_of_all(
    trained: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Whoever lacks training images of a class gets all heads but those that need each class."""
    (tmp_path / "classes.txt").write_text("bright\ndark\nnone of these\n")
    state = safetensors.torch.load_file(trained / "model.safetensors")
    for name in [name for name in state if name.startswith("heads.")]:
        state[name] = torch.cat([state[name], -torch.ones_like(state[name][:1])])
    safetensors.torch.save_file(state, tmp_path / "three.safetensors")
    words = described(trained, tiny_images, tmp_path / "three.safetensors")

    done = run_export(*words, "--classes", tmp_path / "classes.txt", "-o", tmp_path / "x.onnx")

    assert 0 == done.exit_code, done.output
    assert "no 'mahalanobis': 1 of 3 classes have no image" in done.stderr
    scorer = Scorer(tmp_path / "x.onnx", provider="cpu")
    assert ("bright", "dark", "none of these") == tuple(scorer.metadata.classes)
    paths = sorted((tiny_images / "train" / "bright").iterdir())
    assert ["bright"] * len(paths) == list(scorer(paths).label)


def test_a_class_that_the_list_lacks_is_named(
    trained: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Images of a class that is no output of the network have no label."""
    (tmp_path / "classes.txt").write_text("light\ndark\n")
    words = described(trained, tiny_images, trained / "model.safetensors")

    done = run_export(*words, "--classes", tmp_path / "classes.txt", "-o", tmp_path / "x.onnx")

    assert 1 == done.exit_code
    assert "has 'bright', which is not among the 2 class names" in done.stderr


def test_class_folders_in_another_order_are_refused(
    trained: Path, tiny_images: Path, tmp_path: Path
) -> None:
    """Folders that sort unlike the outputs would give every label a wrong name."""
    for name, renamed in (("bright", "two"), ("dark", "one")):
        shutil.copytree(tiny_images / "train" / name, tmp_path / "train" / renamed)
    words = described(trained, tiny_images, trained / "model.safetensors")
    words[words.index("--train") + 1] = str(tmp_path / "train")

    done = run_export(*words, "-o", tmp_path / "x.onnx")

    assert 1 == done.exit_code
    assert "no better than chance (50.0%)" in done.stderr
    assert not (tmp_path / "x.onnx").exists()


def test_scores_without_their_inputs_are_refused(
    trained: Path, tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network without features is named by a note, and a score that needs them by the error."""
    import torch

    source = """
import torch
from torch import nn
class Bright(nn.Module):
    def __init__(self):
        super().__init__()
        self.sign = nn.Parameter(torch.tensor([1.0, -1.0]))
    def forward(self, images):
        return images.mean((1, 2, 3))[:, None] * self.sign
"""
    (tmp_path / "bright.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    weights = tmp_path / "bright.safetensors"
    safetensors.torch.save_file({"sign": torch.tensor([1.0, -1.0])}, weights)
    words = described(trained, tiny_images, weights, "bright:Bright")

    done = run_export(*words, "-o", tmp_path / "x.onnx", "--scores", "energy,mahalanobis")

    assert 1 == done.exit_code
    assert "ends in no submodule, not in a linear layer" in done.stderr
    assert "'mahalanobis' reads 'features', which this classifier does not give" in done.stderr
    done = run_export(*words, "-o", tmp_path / "x.onnx")
    assert 0 == done.exit_code, done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "give a run directory, or --model, --weights, --train, --calibration"),
        ("run --model resnet18 --weights w", "a run directory knows its --weights; leave"),
        ("run --mean 1,2,3 --resize stretch", "a run directory knows its --resize, --mean"),
        ("run --crop 0.875", "a run directory knows its --crop"),
        ("--model resnet18 --weights w.pth", "--train, --calibration is needed, too"),
        (
            "--model resnet18 --weights w --train t --calibration c --mean 1,2",
            "--mean is '1,2', expected three numbers",
        ),
        (
            "--model resnet18 --weights w --train t --calibration c --std a,b,c",
            "--std is 'a,b,c', expected three numbers",
        ),
    ],
)
def test_half_a_description_is_a_usage_error(words: str, message: str) -> None:
    """A run directory or all that stands for one, and nothing in between."""
    done = CliRunner().invoke(app, ["export", *words.split()], env={"COLUMNS": "500"})

    assert 2 == done.exit_code
    assert message in done.stderr
