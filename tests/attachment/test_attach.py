"""The pipeline: which images decide what, what is left on disk, what the statistics are."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance

from edge_ood.artifact.metadata import write_metadata
from edge_ood.artifact.reader import read_metadata
from edge_ood.attachment.attach import Unfinished, attach, fit
from edge_ood.attachment.listener import Listener
from edge_ood.attachment.request import Options, Request
from edge_ood.errors import CalibrationError, DataError, ExportError, InputError, UnknownNameError
from edge_ood.images.folders import ImageSet, read_images
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import content_hash, decode_all
from edge_ood.images.splits import evenly_spread, halves_by_hash
from edge_ood.parity.limits import Reference
from edge_ood.registry import parse_specs
from edge_ood.runtime.calibrate import calibrate_artifact
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import DEFAULT_HEADS, fitting_heads
from edge_ood.torch_export.export import export_classifier, request_of
from edge_ood.torch_export.layers import WithLayers
from edge_ood.training.run_directory import read_run
from edge_ood.training.run_weights import load_model

ONNXRUNTIME_FEATURES = 1e-4  # relative: float32 features against float64 ones


@pytest.fixture(scope="module")
def request_(run_path: Path) -> Request:
    """The request that exporting the session's run makes."""
    return request_of(read_run(run_path), Options(provider="cpu"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Hashes of the files that were decoded, by the step that was running."""
    found: dict[str, set[str]] = defaultdict(set)
    found["step"] = {"none"}
    decode = Preprocess.decode

    def spy(self: Preprocess, payload: bytes, name: str = "image") -> np.ndarray:
        (step,) = found["step"]
        found[step].add(content_hash(payload))
        return decode(self, payload, name)

    monkeypatch.setattr(Preprocess, "decode", spy)
    return found


def test_calibration_images_are_opened_by_the_calibrate_step_alone(
    request_: Request, opened: dict[str, set[str]], tmp_path: Path
) -> None:
    """Thresholds and p-values, nothing else, see a calibration image."""
    calibration = set(request_.calibration.hashes)

    attach(
        request_,
        tmp_path / "x.onnx",
        listener=Listener(on_step=lambda name: opened.update(step={name})),
    )

    assert calibration == opened["calibrate"]
    for step in ("fit", "tune", "assemble", "verify", "write"):
        assert not calibration & opened[step]
    assert set(request_.training.hashes) == opened["fit"]


def test_parameters_are_chosen_on_training_images_and_outliers_alone(
    request_: Request, opened: dict[str, set[str]], tmp_path: Path
) -> None:
    """Choosing opens training images and outliers, and validation images for the temperature."""
    options = Options(heads=parse_specs("energy,odin"), epsilon="auto", provider="cpu")
    few = replace(
        request_,
        options=options,
        training=evenly_spread(request_.training, 150),
        outliers=evenly_spread(request_.outliers, 60),
    )

    attached = attach(
        few, tmp_path / "x.onnx", listener=Listener(on_step=lambda name: opened.update(step={name}))
    )

    held_back = few.validation.hashes
    assert held_back
    assert {*few.training.hashes, *few.outliers.hashes, *held_back} == opened["tune"]
    assert not set(request_.calibration.hashes) & opened["tune"]
    assert set(request_.calibration.hashes) == opened["calibrate"]
    choice = attached.metadata.provenance["choices"]["odin"]["epsilon"]
    assert "outliers" == choice["criterion"]
    assert 8 == len(choice["curve"])
    (odin,) = (head for head in attached.metadata.heads if head.name == "odin")
    assert choice["epsilon"] == odin.parameters["epsilon"]
    # As read back from the file: the choice survives in the JSON document.
    again = read_metadata({"edge_ood": write_metadata(attached.metadata)}, source="it")
    assert attached.metadata == again


def test_what_decides_is_chosen_on_training_images_and_outliers_alone(
    request_: Request, opened: dict[str, set[str]], tmp_path: Path
) -> None:
    """Of `auto` the file has what was chosen and why, and no calibration image took part."""
    options = Options(heads=parse_specs("gen,msp"), primary="auto", provider="cpu")
    notes: list[str] = []

    attached = attach(
        replace(request_, options=options),
        tmp_path / "x.onnx",
        listener=Listener(lambda name: opened.update(step={name}), on_note=notes.append),
    )

    assert opened["choose"]
    assert opened["choose"] <= {*request_.training.hashes, *request_.outliers.hashes}
    assert set(request_.calibration.hashes) == opened["calibrate"]
    primary = attached.metadata.primary
    choice = attached.metadata.provenance["choices"][primary]["primary"]
    assert [choice["why"]] == notes
    assert ("gen", {"gen", "msp"}) == (choice["default"], set(choice["auroc"]))
    cells = [f"{choice['auroc']['msp'][group]:.2%}" for group in ("near", "far")]
    assert ["msp", *cells] in [line.split() for line in str(attached).splitlines()]


def test_statistics_from_calibration_images_take_one_half(
    request_: Request, opened: dict[str, set[str]], tmp_path: Path
) -> None:
    """With `statistics=calibration` one half fits statistics and the other sets thresholds."""
    heads = parse_specs("energy,mahalanobis:shrinkage=0.1")  # few images, asked for by name
    options = replace(request_.options, heads=heads, statistics="calibration")
    hashes = np.array(request_.calibration.hashes)
    first = halves_by_hash(hashes.tolist())

    attached = attach(
        replace(request_, options=options),
        tmp_path / "x.onnx",
        listener=Listener(on_step=lambda name: opened.update(step={name})),
    )

    assert set(hashes[first]) == opened["fit"]
    assert set(hashes[~first]) == opened["calibrate"]
    assert (~first).sum() == attached.metadata.calibration.n


def test_statistics_from_unlabelled_calibration_images_are_refused(
    request_: Request, tmp_path: Path
) -> None:
    """Class means need labels."""
    unlabelled = replace(request_.calibration, labels=None)
    options = replace(request_.options, statistics="calibration")

    with pytest.raises(InputError, match="need their labels"):
        attach(replace(request_, calibration=unlabelled, options=options), tmp_path / "x.onnx")


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows of length one, as the head takes them."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_mahalanobis_scores_equal_scikit_learn(
    request_: Request, run_path: Path, artifact_path: Path, image_folder: Path
) -> None:
    """The artefact's score is the smallest distance under the covariance scikit-learn fits."""
    run = read_run(run_path)
    model = load_model(run).double()

    def features(paths: tuple[Path, ...]) -> np.ndarray:
        images, _ = decode_all(paths, run.config.preprocess)
        with torch.inference_mode():
            outputs = model(torch.from_numpy(run.config.preprocess.normalise(images)))
        return unit_rows(np.asarray(outputs.features["penultimate"]))

    training = features(request_.training.paths)
    labels = request_.training.labels
    assert labels is not None
    means = np.stack([training[labels == k].mean(axis=0) for k in range(8)])
    covariance = EmpiricalCovariance().fit(training - means[labels])
    test = read_images(image_folder).paths[:40]
    distances = [covariance.mahalanobis(features(test) - mean) for mean in means]
    expected = np.min(distances, axis=0)

    found = Scorer(artifact_path)(list(test)).scores["mahalanobis"]

    np.testing.assert_allclose(found, expected, rtol=ONNXRUNTIME_FEATURES)


def test_every_layer_has_the_covariance_of_scikit_learn(
    request_: Request, run_path: Path, tmp_path: Path
) -> None:
    """Several layers: residuals over N, each layer with its own whitening."""
    torch_model, names = load_model(read_run(run_path)), ("trunk.stages.0", "trunk.stages.1")
    layered = WithLayers(torch_model, names)
    few = evenly_spread(request_.training, 300)
    request = replace(
        request_,
        classifier=export_classifier(layered, request_.preprocess.size_px),
        training=few,
        options=Options(heads=parse_specs("energy,mahalanobis"), provider="cpu"),
    )
    pixels, _ = decode_all(few.paths, request.preprocess)
    with torch.inference_mode():
        inputs = torch.from_numpy(request.preprocess.normalise(pixels))
        features = layered.double()(inputs).features
    labels = few.labels
    assert labels is not None

    statistics = fit(Unfinished(request, tmp_path / "x.onnx")).heads[-1].statistics

    assert [*names, "penultimate"] == list(features)
    for layer, tensor in features.items():
        found = unit_rows(np.asarray(tensor))
        means = np.stack([found[labels == k].mean(axis=0) for k in range(8)])
        covariance = EmpiricalCovariance().fit(found - means[labels])
        expected = np.stack([covariance.mahalanobis(found[:20] - mean) for mean in means], axis=1)
        white = (found[:20] - statistics[f"{layer}/centre"]) @ statistics[f"{layer}/whitening"]
        squared = ((white[:, None] - statistics[f"{layer}/means"]) ** 2).sum(axis=2)
        np.testing.assert_allclose(squared, expected, rtol=ONNXRUNTIME_FEATURES)


def test_fit_streams_the_same_statistics_in_any_order(request_: Request, tmp_path: Path) -> None:
    """Reversing the training images leaves the fitted scores unchanged."""
    order = np.arange(len(request_.training))[::-1]
    reversed_ = replace(request_, training=request_.training.subset(order))

    forward, backward = (fit(Unfinished(r, tmp_path / "x.onnx")) for r in (request_, reversed_))

    first, second = (
        next(h for h in draft.heads if h.name == "mahalanobis").statistics["penultimate/whitening"]
        for draft in (forward, backward)
    )
    np.testing.assert_allclose(first @ first.T, second @ second.T, rtol=1e-6)


def test_a_failing_step_leaves_nothing_behind(request_: Request, tmp_path: Path) -> None:
    """18 calibration images are refused, and neither file nor part of one remains."""
    few = replace(request_, calibration=request_.calibration.subset(np.arange(18)))

    with pytest.raises(CalibrationError, match="18 calibration scores") as raised:
        attach(few, tmp_path / "x.onnx")

    assert "at least 19" in str(raised.value.hint)
    assert [] == list(tmp_path.iterdir())


def test_a_failing_gate_leaves_the_earlier_file(request_: Request, tmp_path: Path) -> None:
    """An export that fails parity does not touch what was there."""
    output = tmp_path / "x.onnx"
    output.write_bytes(b"earlier")
    reference = request_.reference
    shifted = Reference(_shifted(reference.float64), [_shifted(each) for each in reference.float32])
    off = replace(request_, reference=shifted)

    with pytest.raises(ExportError, match="differ by"):
        attach(off, output)

    assert b"earlier" == output.read_bytes()
    assert [output] == list(tmp_path.iterdir())


def test_default_heads_are_those_whose_inputs_exist(request_: Request) -> None:
    """A two-head network gets every closed-form head, in name order."""
    given = [output.name for output in request_.classifier.graph.output]
    names = [spec.name for spec in fitting_heads(DEFAULT_HEADS, given)]

    assert sorted(names) == names
    assert {"gen", "mahalanobis", "mcd_l1", "msp", "nci"} <= set(names)


def test_all_that_took_part_in_training_is_on_record(
    request_: Request, digit_folders: Path, tmp_path: Path
) -> None:
    """The artefact knows the images of every further role, and none can calibrate it."""
    options = Options(heads=parse_specs("energy"), provider="cpu")
    paths = read_images(digit_folders / "near").paths[:20]
    pool = ImageSet(paths, hashes=tuple(content_hash(path.read_bytes()) for path in paths))
    others = {"unlabelled": pool, "pretraining": ImageSet(())}

    attached = attach(replace(request_, options=options, others=others), tmp_path / "x.onnx")

    manifests = attached.metadata.manifests
    assert {"training", "outliers", "unlabelled", "validation", "calibration"} == set(manifests)
    assert manifests["unlabelled"].overlap(pool.hashes).all()
    with pytest.raises(CalibrationError, match="20 of 20 calibration images are unlabelled images"):
        calibrate_artifact(attached.path, paths, provider="cpu")


def test_parameters_reach_formula_and_metadata(request_: Request, tmp_path: Path) -> None:
    """`energy:temperature=2` is scored with T = 2 and recorded."""
    options = Options(heads=parse_specs("energy:temperature=2"), provider="cpu")

    attached = attach(replace(request_, options=options), tmp_path / "x.onnx")

    images = list(request_.training.paths[:5])
    scores = Scorer(attached.path)(images)
    logits = scores.logits.astype(np.float64)
    expected = -2 * np.log(np.exp(logits / 2).sum(axis=1))
    np.testing.assert_allclose(scores.scores["energy"], expected, rtol=1e-5)
    assert {"temperature": 2.0} == attached.metadata.heads[0].parameters


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"heads": parse_specs("enrgy")}, UnknownNameError, "unknown score head 'enrgy'"),
        ({"heads": parse_specs("energy:temp=2")}, UnknownNameError, "unknown parameter"),
        (
            {"heads": parse_specs("msp"), "primary": "energy"},
            InputError,
            "primary head 'energy' is not among",
        ),
        ({"heads": parse_specs("energy,energy")}, InputError, "twice"),
        ({"primary": "xyzzy"}, UnknownNameError, "unknown score head 'xyzzy'"),
        ({"statistics": "test"}, InputError, "expected training or calibration"),
    ],
)
def test_unusable_options_are_refused_before_any_work(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    """Each wrong option is one clear error."""
    with pytest.raises(error, match=message):
        Options(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_a_moved_training_image_is_named(request_: Request, tmp_path: Path) -> None:
    """Statistics need the training images; a missing one is an error that names it."""
    missing = replace(
        request_.training, paths=(tmp_path / "nowhere.png", *request_.training.paths[1:])
    )

    with pytest.raises(DataError, match=r"nowhere\.png"):
        attach(replace(request_, training=missing), tmp_path / "x.onnx")


def _shifted(evaluator: Callable[..., Any]) -> Callable[..., Any]:
    """A reference that is off."""

    def off(images: np.ndarray) -> object:
        outputs = evaluator(images)
        return replace(outputs, logits=outputs.logits + 0.01)

    return off


def test_default_heads_that_images_are_too_few_for_are_left_out(
    request_: Request, tmp_path: Path
) -> None:
    """With the reason; asked for by name they are fitted all the same, and the reason is said."""
    classes = len(request_.classes)
    count = classes + 3  # four beyond the class means are needed
    few = replace(request_, training=evenly_spread(request_.training, count))

    found = fit(Unfinished(few, tmp_path / "x.onnx"))

    (why,) = found.left_out.values()
    assert {"mahalanobis"} == set(found.left_out)
    assert f"{count} images of {classes} classes; it takes {count + 1}" == why
    assert (f"no 'mahalanobis': {why}",) == found.notes
    kept = [spec.name for spec in found.request.options.heads]
    assert kept == [head.name for head in found.heads]
    assert "mahalanobis" not in kept
    options = replace(request_.options, heads=parse_specs("energy,mahalanobis"))
    asked = fit(Unfinished(replace(few, options=options), tmp_path / "x.onnx"))
    assert ("energy", "mahalanobis") == tuple(head.name for head in asked.heads)
    assert (f"'mahalanobis': {why}",) == asked.notes


def test_a_default_head_without_statistics_is_left_out(request_: Request, tmp_path: Path) -> None:
    """One image again and again has no covariance; the accumulator's own error is the reason."""
    first = request_.training.paths[:1] * 200
    labels = np.arange(200) % len(request_.classes)
    same = ImageSet(first, labels, request_.classes)

    found = fit(Unfinished(replace(request_, training=same), tmp_path / "x.onnx"))

    assert "the features of each class are all equal" in found.left_out["mahalanobis"]
    options = replace(request_.options, heads=parse_specs("energy,mahalanobis"))
    with pytest.raises(CalibrationError, match="the features of each class are all equal"):
        fit(Unfinished(replace(request_, training=same, options=options), tmp_path / "x.onnx"))
