"""What `primary auto` looks at, and when it leaves the default alone."""

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image
from scipy.special import logsumexp, softmax
from sklearn.covariance import EmpiricalCovariance
from sklearn.metrics import roc_auc_score

from edge_ood.attachment.attach import Unfinished, fit
from edge_ood.attachment.choosing import chosen_primary, with_choice
from edge_ood.attachment.request import Options, Request
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.calibration.primary import PrimaryChoice
from edge_ood.graph.adversary import ADVERSARIAL, assemble_adversary
from edge_ood.images.folders import ImageSet, read_class_folders, read_images
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.splits import evenly_spread
from edge_ood.onnx_session import open_session
from edge_ood.registry import parse_specs

PREPROCESS = Preprocess(16)
COLOURS = np.array([[30, 165, 30], [165, 30, 30], [30, 30, 165]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480 tinted training images in 3 classes, and 220 bright grey outliers."""
    folder = tmp_path_factory.mktemp("choosing")
    generator = np.random.default_rng(0)
    for name, colour in zip("abc", COLOURS, strict=True):
        (folder / "train" / name).mkdir(parents=True)
        for index in range(160):
            noise = generator.integers(-30, 30, (16, 16, 3)) + generator.integers(-25, 25, 3)
            save(folder / "train" / name / f"{index:03d}.png", colour + noise)
    (folder / "outliers").mkdir()
    for index in range(220):
        grey = generator.integers(120, 200) + generator.integers(-30, 30, (16, 16, 1))
        save(folder / "outliers" / f"{index:03d}.png", np.repeat(grey, 3, axis=2))
    return folder


def save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def request_of(colour_classifier: ModelProto, folder: Path) -> Callable[..., Request]:
    """A fitted request for `auto` among scores; calibration images that cannot be opened."""
    training = read_class_folders(folder / "train")

    def make(scores: str, *, combined: bool = False, **fields: object) -> Request:
        nowhere = tuple(Path("nowhere", f"{index}.png") for index in range(40))
        request = Request(
            classifier=colour_classifier,
            reference=None,  # type: ignore[arg-type]  # not needed to choose
            preprocess=PREPROCESS,
            classes=training.classes,
            training=training,
            calibration=ImageSet(nowhere),
            options=Options(parse_specs(scores), "auto", Guarantee(combined=combined)),
            outliers=read_images(folder / "outliers"),
        )
        return fit(Unfinished(replace(request, **fields), Path("unused.onnx"))).request  # type: ignore[arg-type]

    return make


def halves(paths: tuple[Path, ...]) -> tuple[list[Path], list[Path]]:
    """Every other file in the order of the hashes, and the rest; in the order they came."""
    order = sorted(paths, key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    first = set(order[::2])
    return [path for path in paths if path in first], [path for path in paths if path not in first]


def outputs(classifier: ModelProto, paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, K) and features (N, D) of the network alone."""
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    session = open_session(classifier.SerializeToString(), provider="cpu")
    entered = PREPROCESS.normalise(pixels, np.float32)
    logits, features = session.run(["logits", "features/pool"], {"input": entered})
    return logits.astype(float), features.astype(float)


def test_evidence_is_of_images_that_fitted_nothing(
    request_of: Callable[..., Request], colour_classifier: ModelProto
) -> None:
    """One half fits, a quarter judges, and the other half of the outliers; by scikit-learn."""
    request = request_of("energy,msp,mahalanobis:normalize=false")
    fits, others = halves(request.training.paths)
    _, judges = halves(tuple(others))
    _, near = halves(request.outliers.paths)
    labels = np.array(["abc".index(path.parent.name) for path in fits])
    _, features = outputs(colour_classifier, fits)
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    covariance = EmpiricalCovariance(assume_centered=True).fit(features - means[labels])
    logits, features = outputs(colour_classifier, judges + near)
    expected = {
        "energy": -logsumexp(logits, axis=1),
        "msp": 1 - softmax(logits, axis=1).max(axis=1),
        "mahalanobis": np.min([covariance.mahalanobis(features - mean) for mean in means], axis=0),
    }

    choice = chosen_primary(request)

    is_ood = np.arange(len(logits)) >= len(judges)
    assert 120 == len(judges)
    assert {
        name: pytest.approx(roc_auc_score(is_ood, s), abs=1e-3) for name, s in expected.items()
    } == {name: row["near"] for name, row in choice.auroc.items()}


def test_a_score_that_is_upside_down_does_not_decide(
    request_of: Callable[..., Request],
) -> None:
    """Bright images have the largest logits, so `energy` takes them for known; distances do not."""
    request = request_of("energy,mahalanobis")

    choice = chosen_primary(request)

    assert ("mahalanobis", "energy") == (choice.primary, choice.default)
    assert choice.auroc["energy"]["near"] < 0.5 < 0.99 < choice.auroc["mahalanobis"]["near"]
    assert choice.auroc["energy"]["far"] < choice.auroc["mahalanobis"]["far"]


def surprises(known: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Minus the logarithm of the p-value, and beyond all known scores an exponential tail."""
    n, largest = len(known), known.max()
    reached = (known >= scores[:, None]).sum(axis=1)
    scale = (largest - np.median(known)) / np.log((n + 1) / 2)
    return -np.log((1 + reached) / (n + 1)) + np.maximum(0, scores - largest) / scale


def test_surprises_come_from_images_that_do_not_judge(
    request_of: Callable[..., Request], colour_classifier: ModelProto
) -> None:
    """The sum of those of all heads, each among the images of the quarter that fixes them."""
    request = request_of("energy,msp", combined=True)
    fixing, judging = halves(tuple(halves(request.training.paths)[1]))
    _, near = halves(request.outliers.paths)
    logits, _ = outputs(colour_classifier, fixing + judging + near)
    energy, msp = -logsumexp(logits, axis=1), 1 - softmax(logits, axis=1).max(axis=1)
    n = len(fixing)
    expected = sum(surprises(s[:n], s[n:]) for s in (energy, msp))

    choice = chosen_primary(request)

    is_ood = np.arange(len(logits) - n) >= len(judging)
    assert "combined" == choice.default
    assert ["energy", "msp", "combined"] == list(choice.auroc)
    assert choice.auroc["combined"]["near"] == pytest.approx(
        roc_auc_score(is_ood, expected), abs=1e-3
    )


@pytest.mark.parametrize("has_gradient", [True, False])
def test_far_images_are_noise_and_adversarial(
    request_of: Callable[..., Request], colour_classifier: ModelProto, has_gradient: bool
) -> None:
    """A hundred of each kind, the same every time; without a gradient none are adversarial."""
    model = colour_classifier if has_gradient else spoilt(colour_classifier, "Mod")
    request = replace(request_of("energy,msp"), classifier=model)
    session = open_session(colour_classifier.SerializeToString(), provider="cpu")
    _, others = halves(request.training.paths)
    _, judges = halves(tuple(others))

    def energies(pixels: np.ndarray) -> np.ndarray:
        entered = PREPROCESS.normalise(pixels, np.float32)
        return -logsumexp(session.run(["logits"], {"input": entered})[0].astype(float), axis=1)

    known = energies(np.stack([np.asarray(Image.open(path)) for path in judges]))
    strange = []
    for row, kind in enumerate(("blobs", "gaussian", "rademacher", "uniform")):
        make = importlib.import_module(f"edge_ood.synthetic.{kind}").SYNTHETIC.make
        images = [make(np.random.default_rng([row, index]), 16) for index in range(100)]
        strange.append(energies(np.rint(255 * np.stack(images)).astype(np.uint8)))
    if has_gradient:
        spread = [others[index * len(others) // 100] for index in range(100)]
        adversary = assemble_adversary(model, PREPROCESS).SerializeToString()
        pixels = np.stack([np.asarray(Image.open(path)) for path in spread])
        (moved,) = open_session(adversary, provider="cpu").run([ADVERSARIAL], {"images": pixels})
        strange.append(energies(moved))
    expected = [
        roc_auc_score(np.repeat([0, 1], [len(known), 100]), np.append(known, scores))
        for scores in strange
    ]

    choice = chosen_primary(request)

    assert choice.auroc["energy"]["far"] == pytest.approx(np.mean(expected), abs=1e-3)


def test_heads_for_comparison_are_no_candidates(request_of: Callable[..., Request]) -> None:
    """Unless one is the default."""
    assert ["energy", "msp"] == list(chosen_primary(request_of("energy,entropy,msp")).auroc)
    assert ["entropy", "msp"] == list(chosen_primary(request_of("entropy,msp")).auroc)


@pytest.mark.parametrize(
    ("scores", "changes", "why"),
    [
        ("energy", {}, "there is no other score to choose"),
        ("energy,entropy", {}, "there is no other score to choose"),
        ("energy,msp", {"training": 300}, "75 training images are left to choose by, expected 100"),
        ("energy,msp", {"outliers": 198}, "99 outliers are left to choose by, expected 100"),
        ("energy,msp", {"outliers": 1}, "0 outliers are left to choose by, expected 100"),
        ("energy,msp", {"training_role": "calibration"}, "but those that set the thresholds"),
        ("energy,msp", {"outliers": 0}, "there are no outliers, and nothing else stands for near"),
        ("energy,msp", {"classifier": "Log"}, "'energy' is not finite on a training image"),
    ],
)
def test_weak_evidence_changes_nothing(
    request_of: Callable[..., Request],
    colour_classifier: ModelProto,
    scores: str,
    changes: dict[str, object],
    why: str,
) -> None:
    """The default decides, and the reason is said."""
    request = request_of(scores)
    for name in ("training", "outliers"):
        if name in changes:
            images = getattr(request, name)
            changes = {**changes, name: evenly_spread(images, int(str(changes[name])))}
    if "classifier" in changes:
        changes = {**changes, "classifier": spoilt(colour_classifier, str(changes["classifier"]))}
    request = replace(request, **changes)  # type: ignore[arg-type]

    choice = chosen_primary(request)

    first = scores.partition(",")[0]
    assert (first, first, {}) == (choice.primary, choice.default, choice.auroc)
    assert choice.why.startswith(f"{first!r} decides, as by default: ")
    assert why in choice.why


def spoilt(classifier: ModelProto, operator: str) -> ModelProto:
    """The network with logits behind an operator that has no gradient, or no finite value."""
    model = onnx.ModelProto()
    model.CopyFrom(classifier)
    last = model.graph.node[-1]
    inputs = {"Mod": [["inner", "divisor"]], "Log": [["inner"]]}[operator]
    last.output[0] = "inner"
    if operator == "Mod":
        divisor = numpy_helper.from_array(np.array(1e6, np.float32), "divisor")
        model.graph.initializer.append(divisor)
    attributes = {"fmod": 1} if operator == "Mod" else {}
    model.graph.node.append(helper.make_node(operator, *inputs, ["logits"], **attributes))
    return model


def test_what_half_of_the_images_cannot_fit_changes_nothing(
    request_of: Callable[..., Request],
) -> None:
    """A class whose only image judges has no mean; a head must not lose by that."""
    request = request_of("energy,mahalanobis")
    alone = request.training.paths.index(halves(request.training.paths)[1][0])
    labels = np.arange(len(request.training)) % 2
    labels[alone] = 2
    training = replace(request.training, labels=labels)

    choice = chosen_primary(replace(request, training=training))

    assert ("energy", {}) == (choice.primary, choice.auroc)
    assert "one half of the training images: no 'mahalanobis': 1 of 3 classes have" in choice.why


def test_doubtful_statistics_change_nothing(
    request_of: Callable[..., Request], colour_classifier: ModelProto
) -> None:
    """Where half of the images vary along fewer directions than there are features."""
    model = onnx.ModelProto()
    model.CopyFrom(colour_classifier)
    sides = numpy_helper.from_array(np.array([0, 6 * 8 * 8]), "flat")
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    model.graph.initializer.append(sides)
    model.graph.node.append(helper.make_node("AveragePool", ["active"], ["quarter"], **pool))
    model.graph.node.append(helper.make_node("Reshape", ["quarter", "flat"], ["features/wide"]))
    wide = helper.make_tensor_value_info("features/wide", TensorProto.FLOAT, ["N", 384])
    model.graph.output.insert(1, wide)

    choice = chosen_primary(request_of("energy,mahalanobis:rank=240", classifier=model))

    assert ("energy", {}) == (choice.primary, choice.auroc)
    assert (
        "of one half of the training images: 'mahalanobis': it is hopeless with 240 " in choice.why
    )


def test_a_choice_stands_with_the_others_of_its_head() -> None:
    """By head: what is known about its parameters is kept; what is empty is left out."""
    tuned = {"a": {"epsilon": 1}, "b": {"rank": 2}}

    assert {"a": {"epsilon": 1}, "b": {"rank": 2, "primary": {"default": "a", "why": "so"}}} == (
        with_choice(tuned, PrimaryChoice("b", "a", "so"))
    )
