"""Networks that are trained already: their own numbers, found features, and what is refused."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from edge_ood.errors import ArtifactError, DataError, ExportError, InputError
from edge_ood.images.folders import read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.models import PENULTIMATE, build_classifier
from edge_ood.models.torchvision_networks import NAMES, published_preprocess
from edge_ood.registry import parse_spec
from edge_ood.torch_export.export import export_classifier
from edge_ood.torch_export.penultimate import find_features
from edge_ood.torch_export.trained_network import (
    Loaded,
    check_accuracy,
    load_network,
)
from edge_ood.weights.source import NetworkSource

# The same operations in the same order; batched matrix products may split sums differently.
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}
GIVEN: dict[str, Any] = {"size_px": 8, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}

SOURCE = """
import torch
from torch import nn
from torch.nn import functional

from edge_ood.scores import Outputs


class Net(nn.Module):
    def __init__(self, num_classes=3, width=4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, num_classes)

    def features(self, images):
        return functional.relu(self.norm(self.conv(images))).mean((2, 3))

    def forward(self, images):
        return self.fc(self.features(images))


class Timm(Net):
    pretrained_cfg = {
        "input_size": (3, 8, 8),
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "crop_mode": "squash",
        "interpolation": "bicubic",
    }


class LogProbabilities(Net):
    def forward(self, images):
        return functional.log_softmax(super().forward(images), 1)


class OwnOutputs(Net):
    def forward(self, images):
        maps = self.features(images)
        return Outputs(self.fc(maps), features={"mine": 2 * maps})


class Functional(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.weight = nn.Parameter(torch.randn(num_classes, 4))

    def forward(self, images):
        return functional.linear(self.conv(images).relu().mean((2, 3)), self.weight)


class Gated(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.gate = nn.Linear(3, 6)
        self.last = nn.Conv2d(6, num_classes, 1)

    def forward(self, images):
        gates = self.gate(images.mean((2, 3)))
        return self.last(images.repeat(1, 2, 1, 1) * gates[:, :, None, None]).mean((2, 3))


def four():
    return Net(4)


class Dict(Net):
    def forward(self, images):
        return {"logits": super().forward(images), "aux": None}


class Maps(Gated):
    def forward(self, images):
        return self.last(images.repeat(1, 2, 1, 1))


class Probabilities(Net):
    def forward(self, images):
        return super().forward(images).softmax(1)


class Constant(Net):
    def forward(self, images):
        return super().forward(functional.conv2d(images, torch.ones(3, 3, 1, 1)))


class Dropping(Net):
    def forward(self, images):
        return super().forward(functional.dropout(images))


class Neighbourly(Net):
    def forward(self, images):
        return super().forward(images - images.mean(0))


class Pair(Net):
    def forward(self, images, sizes):
        return super().forward(images)


class Branching(Net):
    def forward(self, images):
        if images.sum() > 0:
            return super().forward(images)
        return super().forward(2 * images)


class Fixed(Net):
    def forward(self, images):
        return super().forward(images.reshape(-1, 3, 9, 9))
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module `nets` in the working directory."""
    (tmp_path / "nets.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    import nets  # type: ignore[import-not-found]  # written a moment ago

    torch.manual_seed(0)
    yield nets
    del sys.modules["nets"]


def trained_looking(network: nn.Module) -> nn.Module:
    """In evaluation mode, with batch statistics and biases unlike those it starts with."""
    for name, array in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            array += 0.1
        if name.endswith("running_var"):
            array *= 1.5
    return network.eval()


def saved(network: nn.Module, folder: Path) -> Path:
    torch.save(network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def images(count: int = 3, side: int = 8) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenet_v3_small",
        "squeezenet1_1",
        pytest.param("densenet121", marks=pytest.mark.slow),
        pytest.param("swin_t", marks=pytest.mark.slow),
    ],
)
def test_torchvisions_own_weights_give_torchvisions_logits(name: str, tmp_path: Path) -> None:
    """A state dict under torchvision's names fills torchvision's network, head included."""
    torch.manual_seed(0)
    original = trained_looking(torchvision.models.get_model(name, weights=None, num_classes=5))
    source = NetworkSource(parse_spec(name), saved(original, tmp_path), size_px=64)

    outputs = load_network(source, 5).classifier(images(2, 64))

    torch.testing.assert_close(original(images(2, 64)), outputs.logits, **ROUNDING)
    assert (name != "squeezenet1_1") == (PENULTIMATE in outputs.features)


@pytest.mark.slow
def test_a_vision_transformer_takes_its_size_from_the_name(tmp_path: Path) -> None:
    """The size that its position embedding was made for is that of the images."""
    torch.manual_seed(0)
    original = torchvision.models.get_model("vit_b_32", image_size=32, num_classes=5).eval()
    nn.init.normal_(original.heads.head.weight)  # zero until it is trained
    model = parse_spec("vit_b_32:image_size=32")

    loaded = load_network(NetworkSource(model, saved(original, tmp_path)), 5)

    assert 32 == loaded.preprocess.size_px
    outputs = loaded.classifier(images(2, 32))
    torch.testing.assert_close(original(images(2, 32)), outputs.logits, **ROUNDING)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_classifiers_are_left_out(name: str, tmp_path: Path) -> None:
    """Published files hold classifiers that only training uses; the logits do without them."""
    torch.manual_seed(0)
    original = trained_looking(
        torchvision.models.get_model(name, weights=None, num_classes=5, init_weights=False)
    )
    source = NetworkSource(parse_spec(name), saved(original, tmp_path), size_px=96)

    outputs = load_network(source, 5).classifier(images(2, 96))

    torch.testing.assert_close(original(images(2, 96)), outputs.logits, **ROUNDING)


def test_old_names_of_densenet_are_understood(tmp_path: Path) -> None:
    """Published DenseNets call `norm1` of a layer `norm.1`, as torchvision once did."""
    torch.manual_seed(0)
    original = trained_looking(torchvision.models.densenet121(num_classes=5))
    old = {
        name.replace("norm1.", "norm.1.")
        .replace("norm2.", "norm.2.")
        .replace("conv1.", "conv.1.")
        .replace("conv2.", "conv.2."): array
        for name, array in original.state_dict().items()
    }
    torch.save(old, tmp_path / "old.pth")

    loaded = load_network(NetworkSource(parse_spec("densenet121"), tmp_path / "old.pth", 64), 5)

    torch.testing.assert_close(
        original(images(2, 64)), loaded.classifier(images(2, 64)).logits, **ROUNDING
    )


def test_published_preprocessing_is_torchvisions_and_said(tmp_path: Path) -> None:
    """Size and normalisation come from torchvision's presets, with a note and on the record."""
    preset = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    source = NetworkSource(
        parse_spec("resnet18"), saved(torchvision.models.resnet18(num_classes=5), tmp_path)
    )

    loaded = load_network(source, 5)

    expected = Preprocess(224, tuple(preset.mean), tuple(preset.std), crop=0.875)
    assert expected == loaded.preprocess
    assert preset.resize_size == [loaded.preprocess.resized_px]
    assert (
        "--image-size 224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --crop 0.875 "
        "--interpolation bilinear;" in loaded.notes[0]
    )
    options = ["--image-size", "--mean", "--std", "--crop", "--interpolation"]
    assert options == loaded.provenance["published_preprocess"]


def test_another_size_is_another_training(tmp_path: Path) -> None:
    """Who says that images are 64 px wide speaks of weights of their own: whole squares."""
    path = saved(torchvision.models.resnet18(num_classes=5), tmp_path)

    loaded = load_network(NetworkSource(parse_spec("resnet18"), path, 64), 5)

    assert (1.0, "bilinear") == (loaded.preprocess.crop, loaded.preprocess.interpolation)
    assert ["--mean", "--std"] == loaded.provenance["published_preprocess"]


def test_every_preset_of_torchvision_can_be_said() -> None:
    """Sides and filter are those of its published weights, after six digits as well."""
    for name in NAMES:
        preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()

        found = published_preprocess(name)

        expected = (*preset.crop_size, *preset.resize_size, preset.interpolation.value)
        assert expected == (found.size_px, found.resized_px, found.interpolation), name
        typed = replace(found, crop=float(f"{found.crop:g}"))
        assert found.resized_px == typed.resized_px, name


def test_a_network_of_timm_says_what_it_takes(nets: Any, tmp_path: Path) -> None:
    """By its attribute `pretrained_cfg`, with timm's defaults for what is not there."""
    path = saved(nets.Timm(3), tmp_path)

    loaded = load_network(NetworkSource(parse_spec("nets:Timm"), path), 3)

    expected = Preprocess(
        8, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "stretch", crop=0.875, interpolation="bicubic"
    )
    assert expected == loaded.preprocess
    assert "as the pretrained_cfg of 'nets:Timm': --image-size 8 " in loaded.notes[0]
    assert "--resize stretch" in loaded.notes[0]


@pytest.mark.parametrize(
    "config", [None, {}, {"input_size": (1, 8, 8)}, {"input_size": 8}, {"interpolation": "random"}]
)
def test_a_configuration_that_is_not_understood_counts_for_nothing(
    nets: Any, tmp_path: Path, config: dict[str, Any] | None
) -> None:
    """Size, mean and std are asked for, as of any network of one's own."""
    known = {"input_size": (3, 8, 8)} if config and "interpolation" in config else {}
    nets.Timm.pretrained_cfg = config if config is None else {**known, **config}
    path = saved(nets.Timm(3), tmp_path)

    with pytest.raises(InputError, match="--image-size, --mean, --std of 'nets:Timm' missing"):
        load_network(NetworkSource(parse_spec("nets:Timm"), path), 3)


def test_inputs_of_published_inception_are_transformed_alike(tmp_path: Path) -> None:
    """Its published form undoes ImageNet's normalisation inside; ours never applies it."""
    torch.manual_seed(0)
    original = trained_looking(
        torchvision.models.googlenet(num_classes=5, init_weights=False, transform_input=True)
    )
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    loaded = load_network(NetworkSource(parse_spec("googlenet"), saved(original, tmp_path)), 5)

    def normalised(by: Sequence[tuple[float, ...]]) -> Tensor:
        mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in by)
        return (pixels - mean) / std

    ours = loaded.classifier(normalised((loaded.preprocess.mean, loaded.preprocess.std))).logits

    torch.testing.assert_close(original(normalised(imagenet)), ours, rtol=1e-4, atol=1e-4)


def test_weights_of_a_run_fill_our_classifier(tmp_path: Path) -> None:
    """Names of a run directory bring our heads, as many as there are, for any family."""
    torch.manual_seed(0)
    trained = trained_looking(build_classifier("resnet18", 3, heads=2))
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(trained.state_dict(), path)

    loaded = load_network(NetworkSource(parse_spec("resnet18"), path, **GIVEN), 3)

    expected, found = trained(images()), loaded.classifier(images())
    torch.testing.assert_close(expected.logits_pair, found.logits_pair, **ROUNDING)
    assert 2 == loaded.provenance["heads"]


def test_weights_of_a_run_have_no_published_preprocessing(tmp_path: Path) -> None:
    """What a run measured on its own images cannot be guessed, so it has to be given."""
    torch.save(build_classifier("resnet18", 3).state_dict(), tmp_path / "w.pth")

    with pytest.raises(InputError, match="--mean, --std of 'resnet18' missing") as caught:
        load_network(NetworkSource(parse_spec("resnet18"), tmp_path / "w.pth", 8), 3)

    assert "0.485,0.456,0.406" in str(caught.value.hint)


@pytest.mark.parametrize("kind", ["Net", "LogProbabilities"])
@pytest.mark.parametrize("save", [torch.save, safetensors.torch.save_file])
def test_a_factorys_network_gives_its_own_logits_and_features(
    nets: Any, tmp_path: Path, kind: str, save: Any
) -> None:
    """Logits are the network's output, features what its last linear layer reads, to the bit."""
    original = trained_looking(getattr(nets, kind)(3, width=6))
    path = tmp_path / ("w.pth" if save is torch.save else "w.safetensors")
    save(original.state_dict(), path)
    source = NetworkSource(parse_spec(f"nets:{kind}:width=6"), path, **GIVEN)

    loaded = load_network(source, 3)

    found = loaded.classifier(images())
    torch.testing.assert_close(original(images()), found.logits, rtol=0, atol=0)
    features = original.get_submodule("").features(images())  # type: ignore[operator]
    torch.testing.assert_close(features, found.features[PENULTIMATE], rtol=0, atol=0)
    assert () == loaded.notes


def test_outputs_of_ones_own_keep_their_features(nets: Any, tmp_path: Path) -> None:
    """A network that returns `Outputs` says itself what its features are."""
    source = NetworkSource(
        parse_spec("nets:OwnOutputs"), saved(nets.OwnOutputs(), tmp_path), **GIVEN
    )

    assert ["mine"] == list(load_network(source, 3).classifier(images()).features)


@pytest.mark.parametrize(
    ("kind", "found"), [("Functional", "Conv2d 'conv'"), ("Gated", "Linear 'gate', Conv2d 'last'")]
)
def test_without_a_last_linear_layer_there_are_no_features(
    nets: Any, tmp_path: Path, kind: str, found: str
) -> None:
    """A note names what was found instead; a linear layer in the middle is not taken for it."""
    original = getattr(nets, kind)(3)
    source = NetworkSource(parse_spec(f"nets:{kind}"), saved(original, tmp_path), **GIVEN)

    loaded = load_network(source, 3)

    outputs = loaded.classifier(images())
    assert {} == outputs.features
    torch.testing.assert_close(original(images()), outputs.logits, rtol=0, atol=0)
    assert f"ends in {found}, not in a linear layer" in loaded.notes[0]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("four", "gives 4 logits, got 3 classes"),
        ("Dict", "returned a value of type 'dict' with 'logits', 'aux', expected logits"),
        ("Maps", r"logits of shape \(2, 3, 8, 8\) for 2 images, expected \(2, K\)"),
        ("Probabilities", "gives probabilities, which sum to one, expected logits"),
        ("Constant", "does not run in float64, which its export is compared with: expected"),
        ("Dropping", "is not deterministic: the same images get other logits a second time"),
        ("Neighbourly", "depends on the batch: an image alone has other logits"),
        ("Pair", "cannot be called with images alone: missing a required argument: 'sizes'"),
        ("Fixed", r"cannot take images of 8 px: shape '\[-1, 3, 9, 9\]' is invalid"),
    ],
)
def test_a_network_that_gives_no_logits_is_refused(
    nets: Any, tmp_path: Path, kind: str, message: str
) -> None:
    """One line says what came, what was expected, and a hint how to go on."""
    original = getattr(nets, kind)() if kind != "Maps" else nets.Maps(3)
    source = NetworkSource(parse_spec(f"nets:{kind}"), saved(original, tmp_path), **GIVEN)

    with pytest.raises(InputError, match=message) as caught:
        load_network(source, 3)

    assert caught.value.hint


def test_foreign_weights_need_a_foreign_network(tmp_path: Path) -> None:
    """Our own families know only the names of a run, which the error shows."""
    weights = saved(nn.Linear(2, 2), tmp_path)

    with pytest.raises(ArtifactError, match=r"names 'weight', expected names of a run") as caught:
        load_network(NetworkSource(parse_spec("wrn-10-1"), weights, **GIVEN), 3)

    assert "package.module:function" in str(caught.value.hint)


def test_a_found_network_exports_with_features_and_a_dynamic_batch(nets: Any) -> None:
    """Capturing the features survives the way into ONNX."""
    original = trained_looking(nets.Net(3))
    network, _ = find_features("nets:Net", original, 8, 3)

    exported = export_classifier(network, 8).SerializeToString()

    session = onnxruntime.InferenceSession(exported)
    logits, features = session.run(None, {"input": images(5).numpy()})
    np.testing.assert_allclose(original(images(5)).detach(), logits, rtol=1e-4, atol=1e-5)
    expected = original.get_submodule("").features(images(5)).detach()  # type: ignore[operator]
    np.testing.assert_allclose(expected, features, rtol=1e-4, atol=1e-5)


def test_what_torch_cannot_trace_is_one_line_with_its_place(
    nets: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """An `if` on pixel values is named with file and line; torch's own talk is kept away."""
    network, _ = find_features("nets:Branching", nets.Branching(3).eval(), 8, 3)

    with pytest.raises(ExportError, match=r"data-dependent .*nets\.py', line \d+") as caught:
        export_classifier(network, 8)

    assert "\n" not in str(caught.value)
    assert ("", "") == tuple(capfd.readouterr())


def by_brightness(sign: float) -> Loaded:
    """A network that knows dark from bright, or takes one for the other."""
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(3, 2))
    nn.init.zeros_(network[2].bias)  # type: ignore[arg-type]  # a Linear's bias is a tensor
    with torch.no_grad():
        network[2].weight.copy_(torch.tensor([[sign] * 3, [-sign] * 3]))  # type: ignore[operator]  # likewise
    found, _ = find_features("by brightness", network, 8, 2)
    return Loaded(found, Preprocess(8), {}, ())


def test_what_a_network_knows_is_tried_on_training_images(tiny_images: Path) -> None:
    """Two classes that brightness tells apart are all known to a network that looks at it."""
    training = read_class_folders(tiny_images / "train")

    assert 1.0 == check_accuracy(by_brightness(1.0), training)


def test_classes_in_another_order_are_noticed(tiny_images: Path) -> None:
    """A network whose outputs are swapped is refused, and the hint says what may be wrong."""
    training = read_class_folders(tiny_images / "train")

    with pytest.raises(DataError, match=r"0\.0% of 48 training images .* \(50\.0%\)") as caught:
        check_accuracy(by_brightness(-1.0), training)

    assert "order of the outputs" in str(caught.value.hint)
