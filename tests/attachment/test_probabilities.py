"""The temperature of an artefact: which images it is chosen on, and what it changes in the file."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from scipy import optimize
from scipy.special import log_softmax, softmax

from edge_ood.artifact.probabilities_text import probabilities_record, probabilities_text
from edge_ood.attachment import probabilities
from edge_ood.attachment.attach import Unfinished, attach, fit
from edge_ood.attachment.probabilities import choose_temperature
from edge_ood.attachment.request import Options, Request
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.errors import CalibrationError, InputError, MissingDependencyError
from edge_ood.images.folders import ImageSet, read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all, with_hashes
from edge_ood.parity.onnx_reference import onnx_reference
from edge_ood.registry import parse_specs
from edge_ood.runtime.scorer import Scorer

PREPROCESS = Preprocess(16)
FEW = Guarantee(0.2)

Make = Callable[..., Request]


@pytest.fixture
def make(colour_classifier: onnx.ModelProto, colours: Path) -> Make:
    """A request with validation images, every fifth of which has the label of another class."""
    training = with_hashes(read_class_folders(colours / "train"))
    calibration = with_hashes(read_class_folders(colours / "calibration"))
    test = with_hashes(read_class_folders(colours / "test"))
    assert test.labels is not None
    wrong = np.where(np.arange(len(test)) % 5 == 0, (test.labels + 1) % 3, test.labels)

    def made(scores: str = "energy,msp", **changes: object) -> Request:
        fields = {field.name for field in dataclasses.fields(Options)}
        options = {name: value for name, value in changes.items() if name in fields}
        others = {name: value for name, value in changes.items() if name not in fields}
        request = Request(
            classifier=colour_classifier,
            reference=onnx_reference(colour_classifier, PREPROCESS),
            preprocess=PREPROCESS,
            classes=training.classes,
            training=training,
            calibration=calibration,
            options=Options(
                heads=parse_specs(scores),
                provider="cpu",
                guarantee=FEW,
                **options,  # type: ignore[arg-type]
            ),
            validation=replace(test, labels=wrong),
        )
        return replace(request, **others)  # type: ignore[arg-type]

    return made


def best(path: Path, images: ImageSet) -> float:
    """SciPy's minimiser on the raw logits that the file itself returns."""
    logits = Scorer(path, provider="cpu").score_files(images.paths).logits.astype(np.float64)

    def loss(log_t: float) -> float:
        of_class = log_softmax(logits / np.exp(log_t), axis=1)
        return float(-of_class[np.arange(len(images)), images.labels].mean())

    return float(np.exp(optimize.minimize_scalar(loss, bracket=(-2, 2)).x))


def test_the_temperature_of_the_file_suits_its_own_logits(make: Make, tmp_path: Path) -> None:
    """What an independent minimiser finds by the finished file; `msp` is one minus max p at it."""
    request = make()

    attached = attach(request, tmp_path / "x.onnx")

    temperature = attached.metadata.temperature
    assert pytest.approx(best(attached.path, request.validation), rel=1e-4) == temperature
    assert abs(np.log(temperature)) > 0.1
    pixels, _ = decode_all(request.training.paths, PREPROCESS)
    found = Scorer(attached.path, provider="cpu").score_arrays(pixels)
    shares = softmax(found.logits.astype(np.float64) / temperature, axis=1)
    np.testing.assert_allclose(1 - shares.max(axis=1), found.scores["msp"], rtol=1e-3, atol=1e-7)
    (msp,) = (head for head in attached.metadata.heads if head.name == "msp")
    assert {"temperature": temperature} == msp.parameters


def test_labels_logits_and_other_scores_stay(make: Make, tmp_path: Path) -> None:
    """Two files that differ in the temperature alone differ in `msp` alone."""
    request = make("energy,gen,mahalanobis:shrinkage=0.1,msp,uniform_ce")
    pixels, _ = decode_all(request.training.paths, PREPROCESS)
    plain, tempered = (
        attach(replace(request, options=replace(request.options, temperature=t)), tmp_path / name)
        for name, t in (("one.onnx", 1.0), ("two.onnx", 2.5))
    )
    one, two = (Scorer(a.path, provider="cpu").score_arrays(pixels) for a in (plain, tempered))

    np.testing.assert_array_equal(one.label_index, two.label_index)
    np.testing.assert_array_equal(one.logits, two.logits)
    for head in set(one.scores) - {"msp"}:
        np.testing.assert_array_equal(one.scores[head], two.scores[head])
        np.testing.assert_array_equal(one.decisions[head], two.decisions[head])
    assert (one.scores["msp"] != two.scores["msp"]).any()
    limits = [a.metadata.calibration.thresholds for a in (plain, tempered)]
    assert {"msp"} == {head for head in limits[0] if limits[0][head] != limits[1][head]}


def test_it_costs_one_node(make: Make, tmp_path: Path) -> None:
    """A division by a number in `msp`, and nothing where the temperature is 1 or no `msp` is."""

    def nodes(scores: str, temperature: float) -> int:
        made = attach(
            make(scores, temperature=temperature), tmp_path / f"{scores}{temperature}.onnx"
        )
        return len(onnx.load(made.path).graph.node)

    assert nodes("energy,msp", 1.0) + 1 == nodes("energy,msp", 2.0)
    assert nodes("energy", 1.0) == nodes("energy", 2.0)


def test_a_temperature_that_a_user_gives_a_head_stays(make: Make, tmp_path: Path) -> None:
    """`msp:temperature=3` is scored with 3, whatever the probabilities have."""
    attached = attach(make("msp:temperature=3,energy"), tmp_path / "x.onnx")

    assert {"temperature": 3.0} == attached.metadata.heads[0].parameters
    assert 3.0 != attached.metadata.temperature != 1.0
    assert {"temperature": 1.0} == attached.metadata.heads[1].parameters


def test_validation_images_are_on_record(make: Make, tmp_path: Path) -> None:
    """They decide something, so that none can be tested on; not where nothing was chosen."""
    chosen = attach(make(), tmp_path / "x.onnx").metadata
    given = attach(make(temperature=1.5), tmp_path / "y.onnx").metadata

    assert chosen.manifests["validation"].overlap(make().validation.hashes).all()
    assert "validation" not in given.manifests
    record = probabilities_record(chosen)
    assert ("validation", 18, "") == (record["chosen_on"], record["images"], record["why"])
    stored = chosen.provenance["temperature"]
    assert stored["nll_after"] < stored["nll_before"]
    assert "18 validation images: calibration error (ECE)" in probabilities_text(chosen)
    assert "class probabilities at temperature 1.5, as asked for" == probabilities_text(given)


def chosen_on(request: Request) -> tuple[str, tuple[Path, ...], float]:
    """The role of the images, which they are, and the temperature."""
    unfinished = fit(Unfinished(request, Path("unused.onnx")))
    request, heads = unfinished.request, unfinished.heads
    found = choose_temperature(request, heads)
    role, images = probabilities.probability_images(request, heads)
    assert role == found.chosen_on
    assert not set(images.paths) & set(unfinished.thresholds_from.paths)
    assert images.labels is None or not set(images.paths) & set(request.calibration.paths)
    return role, images.paths, found.temperature


def test_images_that_were_held_back_serve_where_there_is_no_validation(
    make: Make, colours: Path
) -> None:
    """Those that fit statistics in place of training images; none that set a threshold."""
    everything = with_hashes(read_class_folders(colours / "calibration"))
    half = np.arange(len(everything)) % 2 == 0
    held_back, rest = everything.subset(half), everything.subset(~half)
    request = make(
        "energy,msp,mahalanobis:shrinkage=0.1",
        training=held_back,
        calibration=rest,
        lent=held_back,
        validation=ImageSet(()),
        training_role="statistics",
    )

    role, paths, temperature = chosen_on(request)

    assert ("calibration", held_back.paths) == (role, paths)
    assert 1.0 == temperature  # all are classified right, which tells nothing
    # Where no head is fitted they set thresholds, and so nothing is left.
    without = replace(request, options=replace(request.options, heads=parse_specs("energy,msp")))
    assert ("", (), 1.0) == chosen_on(without)


def test_the_half_that_fits_statistics_serves(make: Make) -> None:
    """With `--statistics calibration`, and only if a head is fitted."""
    request = make(
        "energy,mahalanobis:shrinkage=0.1", statistics="calibration", validation=ImageSet(())
    )
    unfitted = make("energy,msp", statistics="calibration", validation=ImageSet(()))
    unfinished = fit(Unfinished(request, Path("unused.onnx")))

    role, images = probabilities.probability_images(request, unfinished.heads)

    assert "calibration" == role
    assert set(request.calibration.paths) - set(unfinished.thresholds_from.paths) == set(
        images.paths
    )
    assert ("", (), 1.0) == chosen_on(unfitted)


def test_training_images_never_serve(make: Make, tmp_path: Path) -> None:
    """Without others the temperature is 1, and every summary says why."""
    attached = attach(make(validation=ImageSet(())), tmp_path / "x.onnx")

    assert 1.0 == attached.metadata.temperature
    why = "no labelled images but those that trained the network or set thresholds"
    assert f"class probabilities at temperature 1: {why}" in str(attached)


def test_without_scipy_it_is_one(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that lacks it makes files all the same, which say so."""

    def missing(*_: object) -> None:
        raise MissingDependencyError("fitting a temperature", "scipy", "fit")

    monkeypatch.setattr(probabilities, "fit_temperature", missing)

    metadata = attach(make(), tmp_path / "x.onnx").metadata

    assert 1.0 == metadata.temperature
    assert "needs scipy, which is not installed" in probabilities_text(metadata)
    assert "edge-ood[fit]" in probabilities_text(metadata)


@pytest.mark.parametrize("temperature", [0.0, -2.0, float("nan"), float("inf")])
def test_what_is_no_temperature_is_refused(temperature: float) -> None:
    """Before anything is read."""
    with pytest.raises(InputError, match="expected a number from"):
        Options(temperature=temperature)


def test_a_network_that_gives_no_numbers_is_refused_in_words(make: Make) -> None:
    """The message is about logits, and the hint leaves them alone."""
    request = make()
    broken = onnx.ModelProto()
    broken.CopyFrom(request.classifier)
    (linear,) = (i for i in broken.graph.initializer if i.name == "linear")
    linear.CopyFrom(onnx.numpy_helper.from_array(np.full((6, 3), np.nan, np.float32), "linear"))

    with pytest.raises(CalibrationError, match="is not a finite number"):
        choose_temperature(replace(request, classifier=broken), ())


def test_many_images_are_thinned_evenly(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more are read than tell, and of every class."""
    monkeypatch.setattr(probabilities, "_MOST_IMAGES", 10)
    read: list[int] = []

    found = choose_temperature(make(), (), on_progress=lambda done, total: read.append(total))

    assert {9} == set(read)
    assert make().validation.hashes[::2] == found.hashes
