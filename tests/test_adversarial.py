"""`evaluate --ood fgsm`: adversarial versions of the known images as a foreign set."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from edge_ood.adversarial import AdversarialImages
from edge_ood.cli.app import app
from edge_ood.errors import DataError
from edge_ood.images import ImageSet, read_images
from edge_ood.runtime import Scorer


@pytest.fixture
def scorer(colour_artifact: Path) -> Scorer:
    """An artefact made without torch."""
    return Scorer(colour_artifact, provider="cpu")


def evaluate(*arguments: object) -> dict[str, object]:
    """The only artefact in the JSON document of `edge-ood evaluate`."""
    command = ["evaluate", *map(str, arguments), "--json", "-", "--provider", "cpu"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    (model,) = json.loads(result.stdout)["models"]
    return dict(model)


def test_batches_do_not_change_the_images(scorer: Scorer, colours: Path) -> None:
    """Made one by one or all at once, in the order of the files, each counted."""
    images = read_images(colours / "test")
    made, ticks = AdversarialImages(scorer, images), []

    one_by_one = np.concatenate(list(made.batches(1)))
    (together,) = made.batches(100, lambda: ticks.append(1))

    np.testing.assert_array_equal(together, one_by_one)
    assert len(images) == len(made) == len(together) == len(ticks)
    original = np.stack([np.asarray(Image.open(path)) for path in images.paths]).astype(int)
    assert 13 == np.abs(together - original).max()


def test_images_are_led_away_from_their_class(scorer: Scorer, colours: Path) -> None:
    """The probability of the predicted class falls for every image."""
    images = read_images(colours / "test")
    before = scorer.score_files(images.paths)
    after = scorer.score_arrays(np.concatenate(list(AdversarialImages(scorer, images).batches(8))))

    def confidence(logits: np.ndarray) -> np.ndarray:
        shares = np.exp(logits.astype(float))
        chosen = shares[np.arange(len(shares)), before.label_index]
        return np.asarray(chosen / shares.sum(axis=1))

    assert (confidence(after.logits) < confidence(before.logits)).all()


def test_the_command_reports_them_as_a_set(
    scorer: Scorer, colour_artifact: Path, colours: Path
) -> None:
    """`--ood fgsm` stands beside real folders, with the AUROC of the scores of its images."""
    images = read_images(colours / "test")
    known = scorer.score_files(images.paths).scores["energy"]
    made = np.concatenate(list(AdversarialImages(scorer, images).batches(32)))
    foreign = scorer.score_arrays(made).scores["energy"]
    expected = roc_auc_score(np.arange(len(known) * 2) >= len(known), [*known, *foreign])

    found = evaluate(
        colour_artifact, "--id", colours / "test", "--ood", "fgsm", "--ood", colours / "train"
    )["ood"]

    assert {"fgsm", "train"} == set(found)
    assert len(images) == found["fgsm"]["n"]
    assert {} == found["fgsm"]["seen"]
    assert expected == pytest.approx(found["fgsm"]["metrics"]["energy"]["auroc"])


@pytest.mark.parametrize(
    ("argument", "name"), [("./fgsm", "fgsm"), ("fgsm/", "fgsm"), ("real=fgsm", "real")]
)
def test_a_folder_of_that_name_is_reachable(
    colour_artifact: Path,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argument: str,
    name: str,
) -> None:
    """A path or a name of its own means the folder."""
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

    with pytest.raises(DataError, match=r"broken\.png"):
        list(AdversarialImages(scorer, ImageSet((broken,))).batches(4))
