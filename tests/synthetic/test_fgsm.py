"""`evaluate --ood fgsm`: adversarial versions of the ID images as an OOD set."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.errors import DataError, InputError
from edge_ood.evaluation.sets import parse_sets
from edge_ood.evaluation.synthetic_images import SyntheticImages
from edge_ood.images.folders import ImageSet, read_images
from edge_ood.images.reading import decode_all
from edge_ood.runtime.scorer import Scorer


def evaluate(*arguments: object) -> dict[str, object]:
    """The only artefact in the JSON document of `edge-ood evaluate`."""
    command = ["evaluate", *map(str, arguments), "--json", "-", "--provider", "cpu"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    (model,) = json.loads(result.stdout)["models"]
    return dict(model)


@pytest.mark.parametrize(("epsilon", "levels"), [(0.05, 13), (0.1, 26), (0, 0)])
def test_every_value_moves_by_the_step(
    made: Callable[[str], SyntheticImages],
    id_images: ImageSet,
    scorer: Scorer,
    epsilon: float,
    levels: int,
) -> None:
    """Up or down by the same number of levels, but for what would leave the range."""
    images = made(f"fgsm:epsilon={epsilon}")
    paths = [id_images.paths[i] for i in images.origins]
    originals = decode_all(paths, scorer.metadata.preprocess)[0].astype(int)

    moved = images.frames(range(len(images))).astype(int)

    steps = np.abs(moved - originals)
    assert levels == steps.max()
    assert ((steps == levels) | (moved == 0) | (moved == 255)).all()


def test_images_are_led_away_from_their_class(
    made: Callable[[str], SyntheticImages], scorer: Scorer, id_images: ImageSet
) -> None:
    """The probability of the predicted class falls for every image."""
    images = made("fgsm")
    before = scorer.score_files([id_images.paths[i] for i in images.origins])
    after = scorer.score_arrays(np.concatenate(list(images.batches(8))))

    def confidence(logits: np.ndarray) -> np.ndarray:
        shares = np.exp(logits.astype(float))
        chosen = shares[np.arange(len(shares)), before.label_index]
        return np.asarray(chosen / shares.sum(axis=1))

    assert (confidence(after.logits) < confidence(before.logits)).all()


def test_the_command_reports_them_as_a_set(
    made: Callable[[str], SyntheticImages], scorer: Scorer, colour_artifact: Path, colours: Path
) -> None:
    """`--ood fgsm` stands beside real folders, with the AUROC of the scores of its images."""
    images = read_images(colours / "test")
    inside = scorer.score_files(images.paths).scores["energy"]
    frames = np.concatenate(list(made("fgsm").batches(32)))
    outside = scorer.score_arrays(frames).scores["energy"]
    expected = roc_auc_score(np.arange(len(inside) * 2) >= len(inside), [*inside, *outside])

    found = evaluate(
        colour_artifact,
        "--id",
        colours / "test",
        "--ood",
        "fgsm",
        "--ood",
        colours / "calibration",
        "--allow-seen",
    )["ood"]

    assert {"fgsm", "calibration"} == set(found)
    assert len(images) == found["fgsm"]["n"]
    assert {} == found["fgsm"]["seen"]
    assert expected == pytest.approx(found["fgsm"]["metrics"]["energy"]["auroc"])


@pytest.mark.parametrize(
    ("argument", "name"), [("./fgsm", "fgsm"), ("fgsm/", "fgsm"), ("real=./fgsm", "real")]
)
def test_a_folder_of_that_name_is_reachable(
    colour_artifact: Path,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argument: str,
    name: str,
) -> None:
    """A path means the folder, behind a name of its own, too."""
    (tmp_path / "fgsm").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "fgsm" / "one.png")
    monkeypatch.chdir(tmp_path)

    found = evaluate(colour_artifact, "--id", colours / "test", "--ood", argument)["ood"]

    assert {name: 1} == {key: result["n"] for key, result in found.items()}


def test_both_under_one_name_are_refused(colour_artifact: Path, colours: Path) -> None:
    """Adversarial images and a folder cannot both be `fgsm` in the report."""
    command = ["evaluate", str(colour_artifact), "--id", str(colours / "test"), "--ood", "fgsm"]

    result = CliRunner().invoke(app, [*command, "--ood", "./fgsm"])

    assert 1 == result.exit_code
    assert "'fgsm' is given twice" in result.stderr


def test_an_unreadable_image_is_named(scorer: Scorer, tmp_path: Path) -> None:
    """Adversarial images of a broken file do not exist; the error says which file."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"none")
    images = parse_sets(["fgsm"])[0].images(scorer, ImageSet((broken,)))

    with pytest.raises(DataError, match=r"broken\.png"):
        list(images.batches(4))


def test_a_network_without_gradient_is_refused(id_images: ImageSet) -> None:
    """Rounding to 8 bits has none; the message names the file, the hint what has one."""
    quantized: Any = SimpleNamespace(
        path=Path("small.onnx"), metadata=SimpleNamespace(precision="int8")
    )
    (fgsm,) = parse_sets(["fgsm"])

    with pytest.raises(InputError, match=r"'small\.onnx' computes in int8.* no gradient") as caught:
        fgsm.images(quantized, id_images)

    assert "fp32" in str(caught.value.hint)
