"""What is chosen on training images, how, and what the choice is made from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from edge_ood.attachment.attach import Unfinished, fit
from edge_ood.attachment.request import Options, Request
from edge_ood.attachment.tune import Tuning, tune
from edge_ood.calibration.epsilon import EPSILON_GRID
from edge_ood.graph.adversary import ADVERSARIAL, assemble_adversary
from edge_ood.graph.assemble import assemble_scores
from edge_ood.images.folders import ImageSet, read_class_folders, read_images
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.images.splits import evenly_spread
from edge_ood.onnx_session import open_session
from edge_ood.registry import parse_specs
from edge_ood.scores import BoundHead

PREPROCESS = Preprocess(16)


@pytest.fixture(scope="module")
def classifier(colour_classifier: ModelProto) -> ModelProto:
    """The hand-made network with a second feature layer: maps before the ReLU, averaged."""
    model = onnx.ModelProto()
    model.CopyFrom(colour_classifier)
    sides = next(n.input[1] for n in model.graph.node if n.op_type == "ReduceMean")
    model.graph.node.append(
        helper.make_node("ReduceMean", ["maps", sides], ["features/early"], keepdims=0)
    )
    early = helper.make_tensor_value_info("features/early", TensorProto.FLOAT, ["N", 6])
    outputs = [*model.graph.output[:1], early, *model.graph.output[1:]]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return model


@pytest.fixture(scope="module")
def outliers(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Grey noise, of no class."""
    folder = tmp_path_factory.mktemp("outliers")
    generator = np.random.default_rng(5)
    for index in range(30):
        grey = generator.integers(0, 256, (16, 16, 1), np.uint8).repeat(3, axis=2)
        Image.fromarray(grey).save(folder / f"{index}.png")
    return read_images(folder)


@pytest.fixture
def request_of(classifier: ModelProto, colours: Path, outliers: ImageSet) -> Callable[..., Request]:
    """A request for scores with options; calibration images that cannot be opened."""
    training = read_class_folders(colours / "train")

    def make(scores: str, **options: object) -> Request:
        nowhere = tuple(Path("nowhere", f"{index}.png") for index in range(40))
        return Request(
            classifier=classifier,
            reference=None,  # type: ignore[arg-type]  # not needed to choose
            preprocess=PREPROCESS,
            classes=training.classes,
            training=training,
            calibration=ImageSet(nowhere),
            options=Options(heads=parse_specs(f"energy,{scores}"), provider="cpu", **options),  # type: ignore[arg-type]
            outliers=outliers,
        )

    return make


def tuned(request: Request) -> tuple[Tuning, BoundHead]:
    """The tuning, and the last head before it."""
    heads = fit(Unfinished(request, Path("unused.onnx"))).heads
    return tune(request, heads), heads[-1]


def scores(request: Request, head: BoundHead, images: np.ndarray) -> np.ndarray:
    """Scores (N,) of one head, through onnxruntime."""
    model = assemble_scores(request.classifier, PREPROCESS, [head])
    session = open_session(model.SerializeToString(), provider="cpu")
    found: np.ndarray = session.run([head.name], {"images": images})[0]
    return found


def pixels(images: ImageSet) -> np.ndarray:
    return decode_all(images.paths, PREPROCESS)[0]


def adversarial(request: Request) -> np.ndarray:
    model = assemble_adversary(request.classifier, PREPROCESS)
    session = open_session(model.SerializeToString(), provider="cpu")
    moved: np.ndarray = session.run([ADVERSARIAL], {"images": pixels(request.training)})[0]
    return moved


@pytest.mark.parametrize(
    ("asked", "criterion"), [("auto", "outliers"), ("outliers", "outliers"), ("fgsm", "fgsm")]
)
def test_epsilon_is_the_one_with_the_best_auroc(
    request_of: Callable[..., Request], asked: str, criterion: str
) -> None:
    """Training images against outliers, or against FGSM images; the curve is scikit-learn's."""
    request = request_of("odin:temperature=10", epsilon=asked)
    id_images = pixels(request.training)
    ood_images = pixels(request.outliers) if criterion == "outliers" else adversarial(request)
    is_ood = np.arange(len(id_images) + len(ood_images)) >= len(id_images)

    tuning, head = tuned(request)

    choice = tuning.choices["odin"]["epsilon"]
    assert criterion == choice["criterion"]
    assert [f"{epsilon:g}" for epsilon in EPSILON_GRID] == list(choice["curve"])
    for epsilon in (0.0, 0.01):
        candidate = replace(head, parameters={**head.parameters, "epsilon": epsilon})
        values = scores(request, candidate, np.concatenate([id_images, ood_images]))
        expected = roc_auc_score(is_ood, values)
        assert expected == pytest.approx(choice["curve"][f"{epsilon:g}"], abs=2e-3)
    assert choice["epsilon"] == float(max(choice["curve"], key=choice["curve"].__getitem__))
    assert choice["epsilon"] == tuning.heads[-1].epsilon
    assert {"temperature": 10.0, "clip": False, "pixels": "all"} == {
        key: value for key, value in tuning.heads[-1].parameters.items() if key != "epsilon"
    }


def test_without_outliers_auto_takes_adversarial_images(
    request_of: Callable[..., Request],
) -> None:
    """`auto` chooses by FGSM where the run has no outliers."""
    request = replace(request_of("odin", epsilon="auto"), outliers=ImageSet(()))

    assert "fgsm" == tuned(request)[0].choices["odin"]["epsilon"]["criterion"]


def test_the_criterion_on_id_images_ends_at_the_grid(
    request_of: Callable[..., Request],
) -> None:
    """Longer steps lower the scores of ID images without end; the paper's value is kept."""
    tuning, _ = tuned(request_of("odin:epsilon=0.002", epsilon="id-only"))

    choice = tuning.choices["odin"]["epsilon"]
    curve = list(choice["curve"].values())
    assert sorted(curve) == curve
    assert (0.0014, True, True) == (choice["epsilon"], choice["at_end"], choice["kept_default"])
    assert 0.0014 == tuning.heads[-1].epsilon


def test_a_step_that_statistics_depend_on_is_kept(request_of: Callable[..., Request]) -> None:
    """Another one would need them fitted anew, for each length of the grid."""
    request = request_of("odin:epsilon=0.002", epsilon="fgsm")
    _, head = tuned(request)
    bound = replace(head, head=replace(head.head, fits_moved=True))

    tuning = tune(request, [bound])

    assert (bound,) == tuning.heads
    assert {} == tuning.choices


def test_declared_parameters_are_kept(request_of: Callable[..., Request]) -> None:
    """By default nothing is chosen: epsilon is the paper's, and there is no choice to report."""
    tuning, head = tuned(request_of("odin"))

    assert {} == tuning.choices
    assert head == tuning.heads[-1]
    assert 0.0014 == head.epsilon


def layer_distances(request: Request, head: BoundHead, images: np.ndarray) -> np.ndarray:
    """Squared distances (N, L), written out from features in float64."""
    model = onnx.ModelProto()
    model.CopyFrom(request.classifier)
    session = open_session(model.SerializeToString(), provider="cpu")
    names = ["features/early", "features/pool"]
    entered = PREPROCESS.normalise(images, np.float32)
    columns = []
    for name, features in zip(names, session.run(names, {"input": entered}), strict=True):
        layer = name.removeprefix("features/")
        centre, whitening, means = (
            head.statistics[f"{layer}/{part}"] for part in ("centre", "whitening", "means")
        )
        white = (features.astype(float) - centre) @ whitening
        columns.append(((white[:, None] - means) ** 2).sum(axis=2).min(axis=1))
    return np.stack(columns, axis=1)


def test_uniform_weights_are_one_over_the_deviation(request_of: Callable[..., Request]) -> None:
    """Every layer's distance of training images gets deviation 1, and the metadata has it."""
    request = request_of("mahalanobis:normalize=false")
    tuning, head = tuned(request)
    known = layer_distances(request, head, pixels(request.training))

    found = tuning.choices["mahalanobis"]["weights"]

    assert ("uniform", ["early", "pool"]) == (found["source"], list(found["by_layer"]))
    np.testing.assert_allclose(list(found["by_layer"].values()), 1 / known.std(axis=0), rtol=1e-3)
    np.testing.assert_allclose(
        scores(request, tuning.heads[-1], pixels(request.training)),
        (known / known.std(axis=0)).sum(axis=1),
        rtol=1e-3,
    )


def test_what_a_rank_keeps_is_reported(request_of: Callable[..., Request]) -> None:
    """Of each layer that has more directions than that; the share is scikit-learn's."""
    request = request_of("mahalanobis:rank=3,normalize=false")
    assert request.training.labels is not None
    model = request.classifier
    session = open_session(model.SerializeToString(), provider="cpu")
    entered = PREPROCESS.normalise(pixels(request.training), np.float32)

    found = tuned(request)[0].choices["mahalanobis"]["rank"]

    expected = {}
    for layer in ("early", "pool"):
        features = session.run([f"features/{layer}"], {"input": entered})[0].astype(float)
        labels = request.training.labels
        residuals = features - np.stack([features[labels == c].mean(axis=0) for c in labels])
        if features.shape[1] > 3:
            expected[layer] = PCA(3).fit(residuals).explained_variance_ratio_.sum()
    assert 3 == found["rank"]
    assert expected
    assert expected == pytest.approx(found["explained"], rel=1e-6)


@pytest.mark.parametrize("source", ["outliers", "fgsm"])
def test_fitted_weights_are_those_of_a_logistic_regression(
    request_of: Callable[..., Request], source: str
) -> None:
    """Standardised distances of training images against outliers, or FGSM images."""
    request = request_of(f"mahalanobis:weights={source},normalize=false")
    tuning, head = tuned(request)
    ood_images = pixels(request.outliers) if source == "outliers" else adversarial(request)
    both = [layer_distances(request, head, p) for p in (pixels(request.training), ood_images)]
    scaler = StandardScaler().fit(np.concatenate(both))
    regression = LogisticRegression(class_weight="balanced")
    regression.fit(
        scaler.transform(np.concatenate(both)), np.repeat([0, 1], [len(both[0]), len(both[1])])
    )

    found = tuning.choices["mahalanobis"]["weights"]

    assert source == found["source"]
    expected = regression.coef_[0] / scaler.scale_
    np.testing.assert_allclose(list(found["by_layer"].values()), expected, rtol=2e-2)


def test_weights_belong_to_the_chosen_epsilon(request_of: Callable[..., Request]) -> None:
    """Distances move with epsilon, so the weights are those at the epsilon that was chosen."""
    request = request_of("mahalanobis:epsilon=0.01", epsilon="fgsm")
    tuning, head = tuned(request)
    chosen = tuning.heads[-1]
    alone = replace(request, options=replace(request.options, epsilon="declared"))
    parameters = {**head.parameters, "epsilon": chosen.epsilon}

    expected = tune(alone, [replace(head, parameters=parameters)]).choices["mahalanobis"]

    assert expected["weights"] == tuning.choices["mahalanobis"]["weights"]
    assert {"epsilon", "weights"} == set(tuning.choices["mahalanobis"])


@pytest.mark.parametrize(
    ("available", "wanted", "expected"),
    [(10, 5, [0, 2, 4, 6, 8]), (3, 5, [0, 1, 2]), (7, 2, [0, 3]), (5, 3, [0, 1, 3]), (0, 2, [])],
)
def test_images_are_spread_evenly(available: int, wanted: int, expected: list[int]) -> None:
    """At equal distances or as nearly as there are images, never more than wanted."""
    images = ImageSet(tuple(Path(str(index)) for index in range(available)))

    assert expected == [int(path.name) for path in evenly_spread(images, wanted).paths]
