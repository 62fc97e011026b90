"""Training from somebody's weights: what they impose, what starts afresh, and what is on record."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn

from edge_ood.errors import ArtifactError, ChanceLevelError, DataError, InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.first_weights import first_weights
from edge_ood.training.progress import Progress
from edge_ood.training.run_directory import read_run
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders
from edge_ood.weights.source import NetworkSource

MODEL = Spec("mobilenet_v3_small")
SIDE = 32
OURS = ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


def network_of(classes: int) -> nn.Module:
    """torchvision's, as its owner would train it."""
    torch.manual_seed(7)
    made: nn.Module = torchvision.models.get_model(MODEL.name, weights=None, num_classes=classes)
    return made


@pytest.fixture
def settings(tiny_settings: Settings) -> Settings:
    """A network of torchvision in place of the usual one, hardly trained."""
    return replace(tiny_settings, model=MODEL, epochs=1, learning_rate=0.0, final_learning_rate=0.0)


def saved(classes: int, folder: Path) -> Path:
    path = folder / "w.safetensors"
    safetensors.torch.save_file(network_of(classes).state_dict(), path)
    return path


def start_of(classes: int, folder: Path) -> NetworkSource:
    return NetworkSource(MODEL, saved(classes, folder), SIDE, *OURS)


def trained_from(
    source: NetworkSource, settings: Settings, images: Path, run: Path
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The weights of a run, and what was said before its first step."""
    notes: list[str] = []
    folders = Folders(images / "train", start=source)

    with suppress(ChanceLevelError):  # the run is complete all the same
        train(folders, settings, Preprocess(1), run, progress=Progress(on_note=notes.append))

    return safetensors.torch.load_file(run / "model.safetensors"), notes


def test_a_trunk_is_taken_and_a_head_for_other_classes_is_not(
    settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """With a rate of zero, what comes out is what went in; the heads are the seed's."""
    expected = network_of(9).state_dict()

    weights, notes = trained_from(start_of(9, tmp_path), settings, tiny_images, tmp_path / "run")

    learned = [n for n in expected if not n.startswith("classifier.3") and "running" not in n]
    for name in learned:
        if not name.endswith("tracked"):
            assert torch.equal(expected[name], weights[f"trunk.network.{name}"]), name
    assert any("has 9 classes and starts afresh, for" in note for note in notes)
    config = read_run(tmp_path / "run").config
    assert config.start is not None
    assert ("", f"'{tmp_path / 'w.safetensors'}'") == (config.start.run, config.start.source)
    assert Preprocess(SIDE, *OURS) == config.preprocess


def test_a_head_for_as_many_classes_is_kept(
    finished: Path, tiny_settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """It is said so, and with a rate of zero it comes out as it went in."""
    settings = replace(tiny_settings, epochs=1, learning_rate=0.0, final_learning_rate=0.0)
    preprocess = read_run(finished).config.preprocess
    source = NetworkSource(
        settings.model,
        finished / "model.safetensors",
        preprocess.size_px,
        preprocess.mean,
        preprocess.std,
    )

    weights, notes = trained_from(source, settings, tiny_images, tmp_path / "run")

    expected = safetensors.torch.load_file(finished / "model.safetensors")
    assert torch.equal(expected["heads.linear.0.weight"], weights["heads.linear.0.weight"])
    assert any("has 2 classes and is kept" in note for note in notes)


def test_a_second_head_starts_afresh(
    finished: Path, tiny_settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """The first is kept beside it."""
    preprocess = read_run(finished).config.preprocess
    colours = (preprocess.mean, preprocess.std)
    file = finished / "model.safetensors"
    settings = replace(tiny_settings, epochs=1, learning_rate=0.0, final_learning_rate=0.0, heads=2)
    source = NetworkSource(settings.model, file, preprocess.size_px, *colours)

    weights, _ = trained_from(source, settings, tiny_images, tmp_path / "run")

    expected = safetensors.torch.load_file(file)["heads.linear.0.weight"]
    assert torch.equal(expected, weights["heads.linear.0.weight"])
    assert not torch.allclose(expected, weights["heads.linear.1.weight"])


def test_a_kept_head_that_knows_nothing_of_the_classes_is_refused(
    settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """Nothing but accuracy shows that folders are in another order; --new-head goes on."""
    source = start_of(2, tmp_path)

    with pytest.raises(DataError, match="no better than chance") as caught:
        trained_from(source, settings, tiny_images, tmp_path / "run")

    assert "--new-head starts it afresh" in str(caught.value.hint)
    _, notes = trained_from(
        source, replace(settings, new_head=True), tiny_images, tmp_path / "other"
    )
    assert any("has 2 classes and starts afresh, for 2" in note for note in notes)


def test_a_run_is_not_resumed_with_other_weights(
    settings: Settings, tiny_images: Path, tmp_path: Path
) -> None:
    """Their content is compared, as the options are."""
    run, folders = tmp_path / "run", Folders(tiny_images / "train", start=start_of(9, tmp_path))
    with suppress(ChanceLevelError):
        train(folders, settings, Preprocess(1), run)
    other = network_of(9).state_dict()
    other["classifier.3.bias"] += 1
    safetensors.torch.save_file(other, tmp_path / "w.safetensors")

    with pytest.raises(InputError, match=r"cannot resume .* start weights was"):
        train(folders, settings, Preprocess(1), run, launch=Launch(resume=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size_px": None}, "--image-size of 'wrn-10-1' missing"),
        ({"mean": None, "std": None}, "--mean, --std of 'wrn-10-1' missing"),
    ],
)
def test_what_weights_expect_of_pixels_must_be_known(
    settings: Settings, tmp_path: Path, change: dict[str, None], message: str
) -> None:
    """Nothing is measured on top of weights that expect something else."""
    source = NetworkSource(Spec("wrn-10-1"), saved(9, tmp_path), SIDE, *OURS)

    with pytest.raises(InputError, match=message):
        first_weights(
            replace(source, **change), replace(settings, model=Spec("wrn-10-1")), Preprocess(1)
        )


def test_published_preprocessing_follows_the_weights(settings: Settings, tmp_path: Path) -> None:
    """Torchvision's own preset, said in a note; what is given goes before it."""
    preset = torchvision.models.get_model_weights(MODEL.name).DEFAULT.transforms()
    file = saved(9, tmp_path)

    published = first_weights(NetworkSource(MODEL, file), settings, Preprocess(1))
    cropped = first_weights(NetworkSource(MODEL, file, crop=0.5), settings, Preprocess(1))

    assert published.preprocess is not None
    assert (tuple(preset.mean), tuple(preset.std)) == (
        published.preprocess.mean,
        published.preprocess.std,
    )
    assert preset.crop_size == [published.preprocess.size_px]
    assert any(note.startswith("as torchvision's published") for note in published.notes)
    assert cropped.preprocess == replace(published.preprocess, crop=0.5)


def test_another_networks_weights_are_refused_before_any_image_is_read(
    settings: Settings, tmp_path: Path
) -> None:
    """Both sides' first names are in the error."""
    source = NetworkSource(Spec("resnet18"), saved(9, tmp_path), SIDE, *OURS)

    with pytest.raises(ArtifactError, match="belongs to another network"):
        train(
            Folders(tmp_path / "none", start=source),
            replace(settings, model=Spec("resnet18")),
            Preprocess(1),
            tmp_path / "run",
        )
