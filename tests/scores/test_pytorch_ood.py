"""Heads against pytorch-ood's detectors, an independent implementation in float32."""

import numpy as np
import pytest

from edge_ood.scores import BoundHead, LinearLayer, Outputs, bind_head

torch = pytest.importorskip("torch")

CLASSES, WIDTH, TRAINED, SCORED = 7, 200, 420, 60
OF_DEVIATION = 2e-4  # their float32, of the deviation of scores
HALF = {"knn:k=5": 2e-3}  # a bank in float16


def classifier():
    """A last layer, and features >= 0 of known images with their labels and of any images."""
    rng = np.random.default_rng(0)
    labels = np.arange(TRAINED) % CLASSES
    centres = 2 * rng.random((CLASSES, WIDTH))
    known = np.abs(centres[labels] + rng.normal(size=(TRAINED, WIDTH)))
    mixed = np.abs(rng.uniform(0.3, 2, (SCORED, 1)) * rng.normal(size=(SCORED, WIDTH)))
    mixed[::2] = np.abs(centres[rng.integers(CLASSES, size=SCORED // 2)] + 0.7 * mixed[::2])
    # Which centre is nearest, nearly.
    means = np.stack([known[labels == label].mean(axis=0) for label in range(CLASSES)])
    weight = means / 20
    bias = rng.normal(size=CLASSES) / 10 - (means * means).sum(axis=1) / 40
    return LinearLayer(weight, bias), known, labels, mixed


LINEAR, KNOWN, LABELS, MIXED = classifier()


def logits_of(features):
    """What the last layer gives."""
    return features @ LINEAR.weight.T + LINEAR.bias


def ours(spec):
    """Scores of the mixed images."""
    bound = bind_head(spec)
    accumulator = bound.accumulator(CLASSES, LINEAR)
    if accumulator is not None:
        accumulator.update(Outputs(logits_of(KNOWN), features={"penultimate": KNOWN}), LABELS)
        bound = BoundHead(bound.head, bound.parameters, accumulator.finish())
    return bound.score(np, Outputs(logits_of(MIXED), features={"penultimate": MIXED}))


def tensor(array):
    """In their precision."""
    return torch.from_numpy(np.asarray(array, np.float32))


def layer():
    """The last layer as a module."""
    linear = torch.nn.Linear(WIDTH, CLASSES)
    with torch.no_grad():
        linear.weight.copy_(tensor(LINEAR.weight))
        linear.bias.copy_(tensor(LINEAR.bias))
    return linear


def of_features(detector, known=KNOWN, mixed=MIXED, labels=LABELS):
    """A detector that is fitted on features and scores them."""
    detector.fit_features(tensor(known), torch.from_numpy(labels))
    return detector.predict_features(tensor(mixed))


def of_maps(detector):
    """A detector of feature maps; pooled features are maps of one pixel."""
    if detector.requires_fit:
        detector.fit_feature_maps(tensor(KNOWN)[:, :, None, None], torch.from_numpy(LABELS))
    return detector.predict_feature_maps(tensor(MIXED)[:, :, None, None])


def flat():
    """The last layer behind pooled maps."""
    return torch.nn.Sequential(torch.nn.Flatten(), layer())


def unit(rows):
    """Rows of length one."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def gradnorm(ood):
    """Of the gradient of the last layer's weights alone."""
    detector = ood.GradNorm(layer(), param_filter=lambda name: name == "weight")
    return detector.predict(tensor(MIXED))


CASES = {
    "max_logit": lambda ood: ood.MaxLogit.score(tensor(logits_of(MIXED))),
    "entropy": lambda ood: ood.Entropy.score(tensor(logits_of(MIXED))),
    # Theirs is the mean.
    "gen": lambda ood: CLASSES * ood.GEN.score(tensor(logits_of(MIXED)), 0.1, None),
    "gen:classes=3,gamma=0.5": lambda ood: 3 * ood.GEN.score(tensor(logits_of(MIXED)), 0.5, 3),
    "knn:k=5": lambda ood: of_features(ood.KNN(None, k=5)),
    "nnguide": lambda ood: of_features(ood.NNGuide(None, layer(), k=10)),
    "fdbd": lambda ood: of_features(ood.fDBD(None, layer())),
    "nci": lambda ood: of_features(ood.NCI(None, layer(), alpha=0.0)),
    "nci:alpha=0.01": lambda ood: of_features(ood.NCI(None, layer(), alpha=0.01)),
    "vim:origin=weights,dimensions=120": lambda ood: of_features(
        ood.ViM(None, 120, tensor(LINEAR.weight), tensor(LINEAR.bias))
    ),
    # They divide no scatter by N, and take half of one distance.
    "mahalanobis:rank=200": lambda ood: (
        2 * TRAINED * of_features(ood.Mahalanobis(None), unit(KNOWN), unit(MIXED))
    ),
    "mahalanobis:normalize=false,rank=200": lambda ood: (
        2 * TRAINED * of_features(ood.Mahalanobis(None))
    ),
    "rmd": lambda ood: TRAINED * of_features(ood.RMD(None), unit(KNOWN), unit(MIXED)),
    "rmd:normalize=false": lambda ood: TRAINED * of_features(ood.RMD(None)),
    "she": lambda ood: of_features(ood.SHE(None, layer())),
    "scale": lambda ood: of_maps(ood.SCALE(None, flat(), percentile=0.85)),
    "lts": lambda ood: of_features(ood.LTS(None, layer(), p=0.05)),
    "ash": lambda ood: of_maps(ood.ASH(None, flat(), percentile=0.9)),
    "react": lambda ood: of_maps(ood.ReAct(None, flat(), percentile=0.9)),
    "vra": lambda ood: of_maps(ood.VRA(None, flat(), lower_percentile=0.05, upper_percentile=0.95)),
    "dice": lambda ood: of_features(
        ood.DICE(None, tensor(LINEAR.weight), tensor(LINEAR.bias), 0.7)
    ),
    "gradnorm": gradnorm,
}


@pytest.mark.parametrize("spec", CASES)
def test_pytorch_ood_agrees(pytorch_ood, spec):
    """The same score for every image, apart from float32."""
    theirs = np.asarray(CASES[spec](pytorch_ood).detach(), np.float64)

    found = ours(spec)

    deviation = found.std()
    assert deviation > 0
    allowed = HALF.get(spec, OF_DEVIATION) * deviation
    np.testing.assert_allclose(found, theirs, rtol=0, atol=allowed)


def test_all_known_images_are_classified_correctly():
    """She's patterns are of those alone in pytorch-ood, and of all here."""
    assert (logits_of(KNOWN).argmax(axis=1) == LABELS).all()
