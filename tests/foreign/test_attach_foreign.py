"""Somebody else's classifiers through the whole pipeline, against what their makers compute."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from onnx import TensorProto, helper
from pytorch_ood.detector import EnergyBased, MaxSoftmax
from sklearn.covariance import EmpiricalCovariance
from torch import nn

from edge_ood.attachment.listener import Listener
from edge_ood.attachment.request import Options
from edge_ood.errors import ArtifactError, ExportError, InputError
from edge_ood.foreign import trial
from edge_ood.foreign.attach_foreign import attach_foreign
from edge_ood.foreign.conventions import ForeignClassifier
from edge_ood.foreign.id_images import IdFolders, read_id_images
from edge_ood.images.folders import ImageSet, read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import content_hash, decode_all
from edge_ood.registry import parse_specs
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import DEFAULT_HEADS, HEADS, fitting_heads

Network = Callable[..., onnx.ModelProto]
SIZE = 16
WHOLE = "energy,mahalanobis:rank=1024,msp"
FLOAT32 = 1e-4  # relative: float32 in onnxruntime against float64
WEIGHTS = 8 * np.eye(3)[:, [1, 0, 2]]


def attached(
    source: ForeignClassifier, folders: IdFolders, output: Path, **options: Any
) -> tuple[Scorer, list[str]]:
    """The artefact, opened, and what the user was told."""
    notes: list[str] = []
    specs = parse_specs(options.pop("scores")) if "scores" in options else ()
    chosen = Options(heads=specs, provider="cpu", **options)
    attach_foreign(source, folders, output, chosen, listener=Listener(on_note=notes.append))
    return Scorer(output, provider="cpu"), notes


def defaults(*fields: str) -> list[str]:
    """Default heads of a classifier that gives these fields."""
    return [spec.name for spec in fitting_heads(DEFAULT_HEADS, fields)]


@pytest.fixture
def folders(colours: Path) -> IdFolders:
    """Training and calibration images in class folders."""
    return IdFolders(colours / "calibration", colours / "train")


@pytest.fixture(scope="module")
def densenet(colours: Path) -> nn.Module:
    """A small network of torchvision whose last layer is fitted to `colours`; it knows them all."""
    torch.manual_seed(0)
    network = torchvision.models.DenseNet(4, (2, 2), 8, num_classes=3).eval()
    images = read_class_folders(colours / "train")
    features: list[torch.Tensor] = []
    handle = network.classifier.register_forward_pre_hook(lambda _, x: features.append(x[0]))
    with torch.inference_mode():
        network(network_input(images).float())
    handle.remove()
    assert images.labels is not None
    rows = np.concatenate([features[0].numpy(), np.ones((len(images), 1))], axis=1)
    weights, *_ = np.linalg.lstsq(rows, 8 * np.eye(3)[images.labels], rcond=1e-6)
    with torch.no_grad():
        network.classifier.weight.copy_(torch.from_numpy(weights[:-1].T))
        network.classifier.bias.copy_(torch.from_numpy(weights[-1]))
    return network


def network_input(images: ImageSet) -> torch.Tensor:
    """What torchvision's networks get, in float64."""
    pixels, _ = decode_all(images.paths, Preprocess(SIZE))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((torch.from_numpy(pixels).double() / 255 - mean) / std).permute(0, 3, 1, 2)


def exported(network: nn.Module, path: Path, exporter: str) -> None:
    """Write a network as users do."""
    one, two = torch.zeros(1, 3, SIZE, SIZE), torch.zeros(2, 3, SIZE, SIZE)
    if exporter == "legacy, opset 11, fixed batch":
        torch.onnx.export(network, (one,), path, dynamo=False, opset_version=11)
    elif exporter == "legacy, opset 17":
        axes = {"images": {0: "batch"}}
        torch.onnx.export(
            network,
            (one,),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["images"],
            dynamic_axes=axes,
        )
    elif exporter == "dynamo, fixed batch":
        torch.onnx.export(network, (one,), path, dynamo=True, verbose=False)
    else:
        shapes = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(network, (two,), path, dynamo=True, verbose=False, dynamic_shapes=shapes)


@pytest.mark.filterwarnings("ignore")  # the exporters' own
@pytest.mark.parametrize(
    ("exporter", "softmax"),
    [
        ("legacy, opset 11, fixed batch", True),
        ("legacy, opset 17", False),
        ("dynamo, fixed batch", False),
        ("dynamo, dynamic batch", True),
    ],
)
def test_a_network_of_torchvision_has_the_scores_of_pytorch_ood(
    exporter: str,
    softmax: bool,
    densenet: nn.Module,
    colours: Path,
    folders: IdFolders,
    tmp_path: Path,
) -> None:
    """Whoever exported it, and whatever it ends in: torch's logits, pytorch-ood's scores."""
    network = nn.Sequential(densenet, nn.Softmax(1)).eval() if softmax else densenet
    exported(network, tmp_path / "densenet.onnx", exporter)
    source = ForeignClassifier(tmp_path / "densenet.onnx", pixels="imagenet")

    scorer, _ = attached(source, folders, tmp_path / "x.onnx", scores=WHOLE)

    test, training = (read_class_folders(colours / name) for name in ("test", "train"))
    double = densenet.double()
    inputs, known = network_input(test), network_input(training)
    with torch.inference_mode():
        logits = double(inputs)
        features, fitted = (_penultimate(double, x) for x in (inputs, known))
    densenet.float()
    found = scorer(list(test.paths))
    np.testing.assert_allclose(found.logits, logits, rtol=FLOAT32, atol=FLOAT32)
    scores = {"energy": EnergyBased.score(logits), "msp": 1 + MaxSoftmax.score(logits)}
    for head, expected in scores.items():
        np.testing.assert_allclose(found.scores[head], expected, rtol=1e-3, atol=FLOAT32)
    assert training.labels is not None
    features, fitted = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (features, fitted)
    )
    means = np.stack([fitted[training.labels == k].mean(axis=0) for k in range(3)])
    covariance = EmpiricalCovariance().fit(fitted - means[training.labels])
    distances = np.min([covariance.mahalanobis(features - mean) for mean in means], axis=0)
    np.testing.assert_allclose(found.scores["mahalanobis"], distances, rtol=1e-2)
    assert list(training.classes) == list(scorer.metadata.classes)


def _penultimate(network: nn.Module, images: torch.Tensor) -> np.ndarray:
    read: list[torch.Tensor] = []
    handle = network.classifier.register_forward_pre_hook(lambda _, x: read.append(x[0]))
    network(images)
    handle.remove()
    return read[0].numpy()


def written(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "network.onnx"
    onnx.save(model, path)
    return path


def pixel_means(images: ImageSet) -> np.ndarray:
    """Mean red, green and blue (N, 3) in [0, 1]: the features of `foreign_network`."""
    pixels, _ = decode_all(images.paths, Preprocess(SIZE))
    return pixels.mean(axis=(1, 2)) / 255


def test_a_network_of_keras_gets_bytes_with_channels_last(
    foreign_network: Network, colours: Path, folders: IdFolders, tmp_path: Path
) -> None:
    """Rescaling inside, (N, H, W, C), softmax: attached with the one option that it needs."""
    model = foreign_network(layout="nhwc", ending="softmax")
    for name, value in (("scale", 1 / 127.5), ("one", 1.0)):
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
    first = model.graph.node[0]
    first.input[0] = "rescaled"
    for node in (
        helper.make_node("Sub", ["scaled", "one"], ["rescaled"]),
        helper.make_node("Mul", ["image", "scale"], ["scaled"]),
    ):
        model.graph.node.insert(0, node)
    source = ForeignClassifier(written(model, tmp_path), pixels="byte")

    scorer, _ = attached(source, folders, tmp_path / "x.onnx")

    test = read_class_folders(colours / "test")
    logits = (2 * pixel_means(test) - 1) @ WEIGHTS
    found = scorer(list(test.paths))
    np.testing.assert_allclose(found.logits, logits, rtol=FLOAT32, atol=FLOAT32)
    assert {*defaults("logits", "features"), "combined"} == set(found.scores)
    taken = scorer.metadata.provenance["takes"]
    assert {"channels": "rgb", "layout": "nhwc", "pixels": "byte"} == taken


def test_a_network_of_bytes_takes_them_as_they_are(
    foreign_network: Network, colours: Path, folders: IdFolders, tmp_path: Path
) -> None:
    """An input of type uint8 says by itself what it takes."""
    model = foreign_network(weights=WEIGHTS / 255)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.node[0].op_type = "Cast"
    model.graph.node[0].attribute.append(helper.make_attribute("to", TensorProto.FLOAT))

    scorer, _ = attached(ForeignClassifier(written(model, tmp_path)), folders, tmp_path / "x.onnx")

    test = read_class_folders(colours / "test")
    expected = pixel_means(test) @ WEIGHTS
    np.testing.assert_allclose(scorer(list(test.paths)).logits, expected, rtol=FLOAT32)


@pytest.mark.parametrize("ending", ["logits", "sigmoid"])
def test_yes_or_no_is_a_classifier_of_two(
    ending: str, foreign_network: Network, tiny_images: Path, tmp_path: Path
) -> None:
    """One number z an image: classes by sign, confidence by the sigmoid of z."""
    weights, bias = np.full((3, 1), -4.0), np.array([6.0])
    model = foreign_network(weights=weights, bias=bias, ending=ending)
    for size in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        size.dim_value = 8
    images = read_class_folders(tiny_images / "train")  # bright, dark
    folders = IdFolders(tiny_images / "calibration", tiny_images / "train")

    scorer, _ = attached(
        ForeignClassifier(written(model, tmp_path), pixels="unit"), folders, tmp_path / "x.onnx"
    )

    pixels, _ = decode_all(images.paths, Preprocess(8))
    z = (pixels.mean(axis=(1, 2)) / 255 @ weights + bias)[:, 0]
    found = scorer(list(images.paths))
    np.testing.assert_array_equal(found.label_index, z > 0)
    np.testing.assert_array_equal(found.label_index, images.labels)
    np.testing.assert_allclose(found.scores["msp"], 1 / (1 + np.exp(np.abs(z))), rtol=FLOAT32)


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_probabilities_alone_give_what_they_do_not_lose(
    scale: float, foreign_network: Network, colours: Path, folders: IdFolders, tmp_path: Path
) -> None:
    """Energy needs numbers that a softmax loses; the user reads why, and the others are exact."""
    model = foreign_network(ending="probabilities", weights=scale * WEIGHTS)
    source = ForeignClassifier(written(model, tmp_path), pixels="unit")

    scorer, notes = attached(source, folders, tmp_path / "x.onnx")

    test = read_class_folders(colours / "test")
    powers = np.exp(pixel_means(test) @ WEIGHTS * scale)
    shares = powers / powers.sum(axis=1, keepdims=True)
    found = scorer(list(test.paths))
    assert ("gen", {"gen", "msp"}) == (scorer.metadata.primary, set(found.scores))
    np.testing.assert_allclose(found.scores["msp"], 1 - shares.max(axis=1), rtol=1e-3, atol=1e-6)
    others = [np.delete(shares, k, axis=1).sum(axis=1) for k in range(shares.shape[1])]
    gen = (shares**0.1 * np.stack(others, axis=1) ** 0.1).sum(axis=1)
    np.testing.assert_allclose(found.scores["gen"], gen, rtol=1e-3)
    why = "'output' holds probabilities, and nothing in the file the logits"
    assert "'gen' decides" in notes
    with pytest.raises(InputError, match=f"score 'energy' cannot be had: {why}"):
        attached(source, folders, tmp_path / "y.onnx", scores="energy,msp")


def test_without_a_linear_layer_there_is_no_mahalanobis(
    foreign_network: Network, folders: IdFolders, tmp_path: Path
) -> None:
    """The note names the operator; a tensor named by the user takes its place."""
    model = foreign_network()
    model.graph.node[-1].op_type = "LeakyRelu"
    path = written(model, tmp_path)

    scorer, notes = attached(ForeignClassifier(path, pixels="unit"), folders, tmp_path / "x.onnx")

    assert "mahalanobis" not in scorer.heads
    assert any("no 'mahalanobis': its logits come from LeakyRelu" in note for note in notes)
    named = ForeignClassifier(path, pixels="unit", features=("pooled",))
    scorer, _ = attached(named, folders, tmp_path / "y.onnx")
    assert "mahalanobis" in scorer.heads


def test_without_training_images_one_half_fits_and_the_other_calibrates(
    foreign_network: Network, colours: Path, tmp_path: Path
) -> None:
    """The manifest calls the first half what it is, and it cannot calibrate later on."""
    source = ForeignClassifier(written(foreign_network(), tmp_path), pixels="unit")

    scorer, _ = attached(source, IdFolders(colours / "calibration"), tmp_path / "x.onnx")

    manifests = scorer.metadata.manifests
    paths = read_class_folders(colours / "calibration").paths
    hashes = [content_hash(path.read_bytes()) for path in paths]
    fitted, thresholds = (manifests[r].overlap(hashes) for r in ("statistics", "calibration"))
    assert "training" not in manifests
    assert "calibration" == scorer.metadata.provenance["statistics"]
    np.testing.assert_array_equal(fitted, ~thresholds)
    assert thresholds.sum() == scorer.metadata.calibration.n
    assert "mahalanobis" in scorer.heads


def test_without_labels_every_image_calibrates(
    foreign_network: Network, colours: Path, tmp_path: Path
) -> None:
    """Heads that need labels are left out, and what is not checked is said."""
    source = ForeignClassifier(written(foreign_network(), tmp_path), pixels="unit")
    folders = IdFolders(colours / "calibration" / "red apple")

    scorer, notes = attached(source, folders, tmp_path / "x.onnx")

    assert 20 == scorer.metadata.calibration.n
    without_fit = {n for n in defaults("logits", "features") if HEADS.get(n).fit is None}
    assert without_fit == set(scorer.heads)
    assert {"gen", "msp"} <= without_fit
    assert ("0", "1", "2") == scorer.metadata.classes
    assert "training" not in scorer.metadata.manifests
    for said in ("no labels, so it is not checked", "no 'mahalanobis': it is fitted by class"):
        assert any(said in note for note in notes), said
    with pytest.raises(InputError, match="'mahalanobis' cannot be had: it is fitted by class"):
        attached(source, folders, tmp_path / "y.onnx", scores="energy,mahalanobis")


def test_odin_needs_neither_torch_nor_autograd(
    foreign_network: Network, colours: Path, folders: IdFolders, tmp_path: Path
) -> None:
    """Its score is that of the image moved by hand, and differences vouch for the gradient."""
    source = ForeignClassifier(written(foreign_network(), tmp_path), pixels="unit")

    scorer, _ = attached(
        source, folders, tmp_path / "x.onnx", scores="energy,odin:epsilon=0.02,temperature=10"
    )

    test = read_class_folders(colours / "test")
    z = pixel_means(test) @ WEIGHTS
    share = np.exp(z / 10) / np.exp(z / 10).sum(axis=1, keepdims=True)
    slope = share - np.eye(3)[z.argmax(axis=1)]  # of the loss by the logits, but for 1 / T
    moved = z - 0.02 * np.where(slope @ WEIGHTS.T >= 0, 1, -1) @ WEIGHTS
    scaled = (moved - moved.max(axis=1, keepdims=True)) / 10
    expected = 10 * np.log(np.exp(scaled).mean(axis=1))
    found = scorer(list(test.paths)).scores["odin"]
    np.testing.assert_allclose(found, expected, rtol=FLOAT32)
    (report,) = scorer.metadata.parity["gradients"]
    assert ("odin", "logits", 8, 64) == tuple(
        report[name] for name in ("head", "output", "images", "compared")
    )


def test_an_operator_without_a_rule_is_named(
    foreign_network: Network, folders: IdFolders, tmp_path: Path
) -> None:
    """No gradient, no ODIN; the other heads do without."""
    model = foreign_network()
    model.graph.node[1].input[0] = "wave"
    model.graph.node.insert(1, helper.make_node("Sin", ["planes"], ["wave"], name="waves"))
    source = ForeignClassifier(written(model, tmp_path), pixels="unit")

    with pytest.raises(ExportError, match=r"no gradient rule for operator 'Sin' .*waves"):
        attached(source, folders, tmp_path / "x.onnx", scores="energy,odin")

    scorer, _ = attached(source, folders, tmp_path / "x.onnx")
    assert {*defaults("logits", "features"), "combined"} == set(scorer.heads)


def test_int8_needs_images_that_set_no_threshold(
    foreign_network: Network, colours: Path, tmp_path: Path
) -> None:
    """Unlabelled images are all for thresholds, so none are left for the ranges."""
    source = ForeignClassifier(written(foreign_network(), tmp_path), pixels="unit")
    folders = IdFolders(colours / "calibration" / "=green")

    with pytest.raises(InputError, match="ranges of int8 come from images that set no threshold"):
        attached(source, folders, tmp_path / "x.onnx", precision="int8")


def test_a_graph_that_adoption_would_change_is_refused(
    foreign_network: Network, folders: IdFolders, tmp_path: Path
) -> None:
    """A batch that takes part in the answer: one image at a time, it gives something else."""
    model = foreign_network(batch=1)
    model.graph.initializer.append(helper.make_tensor("first", TensorProto.INT64, [1], [0]))
    spread = helper.make_node("ReduceMean", ["scores", "first"], ["shared"], keepdims=1)
    last = model.graph.node[-1]
    last.input[0] = "mixed"
    model.graph.node.insert(len(model.graph.node) - 1, spread)
    mixed = helper.make_node("Add", ["shared", "scores"], ["mixed"])
    model.graph.node.insert(len(model.graph.node) - 1, mixed)

    with pytest.raises(ExportError, match=r"gives 'output' with an error of .* \(allowed"):
        attached(
            ForeignClassifier(written(model, tmp_path), pixels="unit"), folders, tmp_path / "x"
        )


@pytest.mark.parametrize("shape", [["N", 100, 4], ["N", 3, 16, 16], ["N"]])
def test_detectors_segmenters_and_the_like_are_refused(
    shape: list[Any], foreign_network: Network, folders: IdFolders, tmp_path: Path
) -> None:
    """Outputs that are no row of class scores are shown with their shape."""
    model = foreign_network()
    nodes = {
        3: [helper.make_node("Expand", ["scores3", "size"], ["boxes"])],
        4: [helper.make_node("Relu", ["planes"], ["boxes"])],
        1: [helper.make_node("ReduceMax", ["scores", "last"], ["boxes"], keepdims=0)],
    }[len(shape)]
    if len(shape) == 3:
        for name, values in (("three", [-1, 3, 1]), ("size", [1, 3, 4])):
            tensor = helper.make_tensor(name, TensorProto.INT64, [3], values)
            model.graph.initializer.append(tensor)
        nodes.insert(0, helper.make_node("Reshape", ["scores", "three"], ["scores3"]))
        shape = ["N", 3, 4]
    model.graph.initializer.append(helper.make_tensor("last", TensorProto.INT64, [1], [1]))
    model.graph.node.extend(nodes)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("boxes", TensorProto.FLOAT, shape))
    path = written(model, tmp_path)
    onnxruntime.InferenceSession(path)  # a valid model, but no classifier

    with pytest.raises(InputError, match=r"gives 'boxes' \(N") as caught:
        attached(ForeignClassifier(path, pixels="unit"), folders, tmp_path / "x.onnx")

    assert caught.value.hint
    assert not (tmp_path / "x.onnx").exists()


def test_more_classes_than_folders_are_refused(
    foreign_network: Network, colours: Path, tmp_path: Path
) -> None:
    """The list of names is what helps, and the hint says how long it has to be."""
    weights = np.random.default_rng(0).normal(size=(3, 10))
    source = ForeignClassifier(written(foreign_network(weights=weights), tmp_path))
    message = r"gives 'output' \(N, 10\), got 3 class folders \('=green', 'red apple', \.\.\.\)"

    with pytest.raises(InputError, match=message) as caught:
        attached(source, IdFolders(colours / "calibration"), tmp_path / "x.onnx")

    assert "--classes FILE names all 10 classes" in str(caught.value.hint)


def test_wordnet_ids_are_told_to_networks_of_imagenet(
    foreign_network: Network, colours: Path, tmp_path: Path
) -> None:
    """A few folders of the thousand do not say which outputs they are."""
    weights = np.random.default_rng(0).normal(size=(3, 1000))
    source = ForeignClassifier(written(foreign_network(weights=weights), tmp_path))
    for name, folder in (("n01440764", "=green"), ("n01443537", "red apple")):
        shutil.copytree(colours / "calibration" / folder, tmp_path / "images" / name)

    with pytest.raises(InputError, match=r"got 2 class folders \('n01440764', 'n01443537'\)") as e:
        attached(source, IdFolders(tmp_path / "images"), tmp_path / "x.onnx")

    assert "all 1000 classes" in str(e.value.hint)
    assert "the sorted WordNet ids" in str(e.value.hint)
    words = tmp_path / "words.txt"
    words.write_text("".join(f"word {i}\n" for i in range(1000)), "utf-8")
    folders = IdFolders(tmp_path / "images", classes=words)
    (note,) = read_id_images(folders).notes
    assert "'n01440764', for one, is not among the 1000 class names" in note


@pytest.mark.parametrize(
    ("pixels", "scores", "tried", "thresholds"),
    [
        ("unit", "energy,msp", 0, 60),
        ("unit", "energy,mahalanobis", 30, 30),
        (None, "energy,msp", 15, 45),
    ],
)
def test_images_that_decide_nothing_set_thresholds(
    *,
    pixels: str | None,
    scores: str,
    tried: int,
    thresholds: int,
    foreign_network: Network,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of them, without those that fitted statistics or chose how pixels are normalised."""
    monkeypatch.setattr(trial, "_TRIED_IMAGES", 15)
    # It takes everything for blue if pixels are not in [0, 255].
    weights = 8 / 255 * np.eye(3)[:, [1, 0, 2]] + np.array([16, 16, 0]) / 255
    needing_bytes = {"weights": weights, "bias": np.array([-16.0, -16.0, 0.0])}
    model = foreign_network(**({} if pixels else needing_bytes))
    source = ForeignClassifier(
        written(model, tmp_path), pixels=pixels, crop=1.0, interpolation="bilinear"
    )

    scorer, _ = attached(
        source, IdFolders(colours / "calibration"), tmp_path / "x.onnx", scores=scores
    )

    manifests = scorer.metadata.manifests
    paths = read_class_folders(colours / "calibration").paths
    hashes = [content_hash(path.read_bytes()) for path in paths]
    calibrated = manifests["calibration"].overlap(hashes)
    assert (60, thresholds) == (len(hashes), scorer.metadata.calibration.n)
    assert thresholds == calibrated.sum()
    apart = manifests["statistics"].overlap(hashes) if tried else np.zeros(60, np.bool_)
    assert tried == apart.sum()
    assert not (apart & calibrated).any()
    fitted = "calibration" if "mahalanobis" in scores else "none"
    assert fitted == scorer.metadata.provenance["statistics"]


def test_float16_with_scores_that_follow_a_gradient(
    foreign_network: Network, folders: IdFolders, tmp_path: Path
) -> None:
    """The gradient is that of the same weights in float32, so scores are nearly float32's."""
    found = {}
    for name, elem_type in (("half", TensorProto.FLOAT16), ("whole", TensorProto.FLOAT)):
        (tmp_path / name).mkdir()
        path = written(foreign_network(elem_type=elem_type), tmp_path / name)
        source = ForeignClassifier(path, pixels="unit")
        scores = "energy,odin,mahalanobis:epsilon=0.002"
        scorer, _ = attached(source, folders, tmp_path / name / "x.onnx", scores=scores)
        test = read_class_folders(folders.calibration)
        found[name] = scorer(list(test.paths)).scores

    for head in ("odin", "mahalanobis"):
        expected = found["whole"][head]
        rounding = 0.02 * np.subtract(*np.percentile(expected, [75, 25]))
        np.testing.assert_allclose(found["half"][head], expected, rtol=0.01, atol=rounding)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (TensorProto.UINT8, r"score 'odin' follows.* input 'image' takes whole ones \(uint8\)"),
        (TensorProto.FLOAT, r"score 'odin' follows.* quantised classifier \(QuantizeLinear\)"),
    ],
)
def test_networks_without_a_gradient_have_no_such_scores(
    kind: int, message: str, foreign_network: Network, folders: IdFolders, tmp_path: Path
) -> None:
    """The reason is the network's, not a missing rule."""
    model = foreign_network()
    first = model.graph.node[0]
    first.input[0] = "taken"
    model.graph.initializer.extend(
        [
            helper.make_tensor("step", TensorProto.FLOAT, [], [1 / 255]),
            helper.make_tensor("zero", TensorProto.UINT8, [], [0]),
        ]
    )
    if kind == TensorProto.FLOAT:
        quantise = helper.make_node("QuantizeLinear", ["image", "step", "zero"], ["levels"])
    else:
        quantise = helper.make_node("Identity", ["image"], ["levels"])
    model.graph.node.insert(
        0, helper.make_node("DequantizeLinear", ["levels", "step", "zero"], ["taken"])
    )
    model.graph.node.insert(0, quantise)
    model.graph.input[0].type.tensor_type.elem_type = kind
    pixels = "byte" if kind == TensorProto.UINT8 else "unit"
    source = ForeignClassifier(written(model, tmp_path), pixels=pixels)

    with pytest.raises(InputError, match=message) as caught:
        attached(source, folders, tmp_path / "x.onnx", scores="energy,odin")

    assert "leave 'odin' out" in str(caught.value.hint)


def test_operators_that_onnxruntime_lacks_for_a_type_are_named(
    foreign_network: Network, folders: IdFolders, tmp_path: Path
) -> None:
    """It multiplies matrices in float64, and does no more for images."""
    model = foreign_network(elem_type=TensorProto.DOUBLE)
    source = ForeignClassifier(written(model, tmp_path), pixels="unit")

    with pytest.raises(ArtifactError, match="onnxruntime has no GlobalAveragePool for float64"):
        attached(source, folders, tmp_path / "x.onnx")
