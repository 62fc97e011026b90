"""Fewer bits through the pipeline: everything is fitted through the network that ships."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from sklearn.covariance import EmpiricalCovariance

from edge_ood.attachment import attach as attach_module
from edge_ood.attachment.attach import STEPS, Attached, attach, steps_for
from edge_ood.attachment.listener import Listener
from edge_ood.attachment.request import Options, Request
from edge_ood.calibration.primary import PrimaryChoice
from edge_ood.errors import ExportError, InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import content_hash
from edge_ood.onnx_session import open_session
from edge_ood.parity import comparison
from edge_ood.parity.comparison import Comparison, HeadChange
from edge_ood.registry import parse_specs
from edge_ood.runtime.scorer import Scorer
from edge_ood.torch_export.export import request_of
from edge_ood.training.run_directory import read_run

PRECISIONS = ("fp16", "int8")
BLACK, WHITE = 0.01, 0.99
UNIFORM_DEVIATION = 1 / np.sqrt(12)
FLOAT32_FEATURES = 1e-4  # relative: statistics of float32 features in two programs


@pytest.fixture(scope="module")
def request_(run_path: Path) -> Request:
    """The request that exporting the session's run makes."""
    return request_of(read_run(run_path), Options(provider="cpu"))


@pytest.fixture(scope="module", params=PRECISIONS)
def attached(
    request_: Request, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Attached:
    """The run's network in fewer bits."""
    options = replace(request_.options, precision=request.param)
    path = tmp_path_factory.mktemp("converted") / "x.onnx"
    return attach(replace(request_, options=options), path)


def test_thresholds_come_through_the_converted_network(
    request_: Request, attached: Attached, artifact_path: Path
) -> None:
    """Each lies just above the k-th smallest score of this file, and is not the float32 file's."""
    calibration = request_.calibration.paths
    scores = Scorer(attached.path, provider="cpu")(calibration).scores
    thresholds = attached.metadata.calibration.thresholds
    k = int(np.ceil((len(calibration) + 1) * 0.95))

    for head in (record.name for record in attached.metadata.heads):
        ordered = np.sort(scores[head])
        assert ordered[k - 1] < thresholds[head]
        assert k == len(calibration) or thresholds[head] < ordered[k]
    float32 = Scorer(artifact_path, provider="cpu").metadata.calibration.thresholds
    assert all(thresholds[head] != float32[head] for head in scores)


def test_statistics_come_through_the_converted_network(
    request_: Request, attached: Attached, tmp_path: Path
) -> None:
    """Distances are scikit-learn's, of the features inside this very file."""
    model = onnx.load(attached.path)
    inner = "classifier/features/penultimate"
    model.graph.output.add(name=inner)
    session = open_session(model.SerializeToString(), provider="cpu")
    pixels = np.stack([Preprocess(8).decode(p.read_bytes()) for p in request_.training.paths])
    found, distances = session.run([inner, "mahalanobis"], {"images": pixels})
    features = found / np.linalg.norm(found.astype(np.float64), axis=1, keepdims=True)
    labels = request_.training.labels
    assert labels is not None
    means = np.stack([features[labels == k].mean(axis=0, dtype=np.float64) for k in range(8)])
    covariance = EmpiricalCovariance().fit(features.astype(np.float64) - means[labels])

    expected = np.min([covariance.mahalanobis(features[:50] - mean) for mean in means], axis=0)

    np.testing.assert_allclose(distances[:50], expected, rtol=FLOAT32_FEATURES)


def test_the_metadata_say_what_was_done(attached: Attached) -> None:
    """Precision, target and comparison are on record; parity is that of heads and decisions."""
    metadata = attached.metadata

    assert attached.comparison is not None
    assert attached.comparison.to_json() == {
        **metadata.comparison,
        "heads": tuple(metadata.comparison["heads"]),
    }
    assert metadata.precision in PRECISIONS
    target = {"int8": "vnni"}.get(metadata.precision)
    assert target == metadata.provenance.get("int8_target")
    weights = [numpy_helper.to_array(t) for t in onnx.load(attached.path).graph.initializer]
    kind = {"int8": np.int8, "fp16": np.float16}[metadata.precision]
    assert any(array.dtype == kind and array.ndim == 4 for array in weights)


def test_the_reference_is_the_fp32_file(attached: Attached, artifact_path: Path) -> None:
    """What is compared with is what an export in fp32 writes, short of its parity report."""
    found = attached.comparison

    assert found is not None
    assert found.float32_bytes == pytest.approx(artifact_path.stat().st_size, rel=0.05)
    assert found.size_bytes < found.float32_bytes
    assert all(head.rank_correlation > 0.95 for head in found.heads)
    assert found.flip_rate < 0.05


def test_ranges_and_comparison_open_training_images_alone(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No calibration image sets a range; what is compared has set none either."""
    opened: dict[str, set[str]] = {}
    decode = Preprocess.decode

    def spy(self: Preprocess, payload: bytes, name: str = "image") -> np.ndarray:
        opened[current[0]].add(content_hash(payload))
        return decode(self, payload, name)

    compared: list[tuple[Path, ...]] = []

    def keep(path: Path, reference: Path, images: tuple[Path, ...], *, provider: str) -> Comparison:
        compared.append(images)
        return comparison.compare(path, reference, images, provider=provider)

    current = ["none"]
    monkeypatch.setattr(Preprocess, "decode", spy)
    monkeypatch.setattr(attach_module, "compare", keep)
    monkeypatch.setattr(comparison, "_ROUNDS", 1)
    options = replace(request_.options, precision="int8")

    def enter(name: str) -> None:
        current[0] = name
        opened[name] = set()

    attach(
        replace(request_, options=options), tmp_path / "x.onnx", listener=Listener(on_step=enter)
    )

    assert 256 == len(opened["convert"])
    assert opened["convert"] < set(request_.training.hashes)
    (images,) = compared
    held = {content_hash(path.read_bytes()) for path in images}
    assert held < set(request_.training.hashes)
    assert held.isdisjoint(opened["convert"])


def test_ranges_reach_beyond_training_images(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Black, white and noise set them, too: OOD images are not cut where training images end."""
    given: list[np.ndarray] = []

    def keep(classifier: onnx.ModelProto, images: np.ndarray, target: object) -> None:
        given.append(images)
        raise ExportError("seen")

    monkeypatch.setattr(attach_module, "quantised", keep)
    options = replace(request_.options, precision="int8")
    with pytest.raises(ExportError, match="seen"):
        attach(replace(request_, options=options), tmp_path / "x.onnx")

    preprocess = request_.preprocess
    mean, std = (np.array(v)[:, None, None] for v in (preprocess.mean, preprocess.std))
    (images,) = given
    pixels = images * std + mean
    lowest, highest, spread = pixels.min((1, 2, 3)), pixels.max((1, 2, 3)), pixels.std((1, 2, 3))
    assert np.float32 == images.dtype
    assert 1 <= (highest < BLACK).sum()
    assert 1 <= (lowest > WHITE).sum()
    assert 8 <= (np.abs(spread - UNIFORM_DEVIATION) < 0.1).sum()


def test_too_many_label_flips_leave_nothing_behind(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export fails, naming the rate that was measured and the one allowed."""
    found = Comparison(200, 7, 0.1, (), 10, 40, 2.0)
    monkeypatch.setattr(attach_module, "compare", lambda *_, **__: found)
    options = replace(request_.options, precision="int8", max_label_flips=0.03)

    with pytest.raises(ExportError, match=r"3\.50% .* \(7 of 200\), allowed 3\.00%") as raised:
        attach(replace(request_, options=options), tmp_path / "x.onnx")

    assert "--precision" in str(raised.value.hint)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("correlation", [0.98, float("nan")])
def test_scores_along_a_gradient_must_keep_their_ranking(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, correlation: float
) -> None:
    """ODIN is refused if it ranks images otherwise than in float32; energy only reports it."""
    heads = tuple(HeadChange(name, correlation, 0.0, 0.0) for name in ("energy", "odin"))
    found = Comparison(200, 0, 0.0, heads, 10, 40, 2.0)
    monkeypatch.setattr(attach_module, "compare", lambda *_, **__: found)
    options = replace(request_.options, precision="fp16", heads=parse_specs("energy,odin"))

    with pytest.raises(ExportError, match="'odin' does not keep its ranking in fp16"):
        attach(replace(request_, options=options), tmp_path / "x.onnx")

    assert [] == list(tmp_path.iterdir())


def test_odin_in_float16_ranks_as_in_float32(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real comparison, of a file whose gradient runs in float32."""
    monkeypatch.setattr(comparison, "_ROUNDS", 1)
    options = replace(request_.options, precision="fp16", heads=parse_specs("energy,odin"))

    done = attach(replace(request_, options=options), tmp_path / "x.onnx")

    assert done.comparison is not None
    correlations = {head.head: head.rank_correlation for head in done.comparison.heads}
    assert correlations["odin"] > 0.999
    assert {"odin"} < {difference.output for difference in done.parity.differences}


def test_label_flips_at_the_limit_pass(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit itself is allowed."""
    found = Comparison(200, 7, 0.1, (), 10, 40, 2.0)
    monkeypatch.setattr(attach_module, "compare", lambda *_, **__: found)
    options = replace(request_.options, precision="int8", max_label_flips=0.035)

    done = attach(replace(request_, options=options), tmp_path / "x.onnx")

    assert found == done.comparison


def test_what_decides_is_chosen_once(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the converted file is compared with decides by the same score."""
    asked: list[str] = []
    decided: list[str] = []

    def choice(request: Request, on_progress: object) -> PrimaryChoice:
        asked.append(request.options.precision)
        return PrimaryChoice("msp", "energy", "so")

    def both(path: Path, reference: Path, *_: object, **__: object) -> Comparison:
        decided.extend(Scorer(p, provider="cpu").metadata.primary for p in (path, reference))
        return Comparison(200, 0, 0.1, (), 10, 40, 2.0)

    monkeypatch.setattr(attach_module, "chosen_primary", choice)
    monkeypatch.setattr(attach_module, "compare", both)
    options = Options(parse_specs("energy,msp"), "auto", precision="fp16", provider="cpu")

    attached = attach(replace(request_, options=options), tmp_path / "x.onnx")

    assert (["fp16"], ["msp", "msp"]) == (asked, decided)
    assert "msp" == attached.metadata.primary


def test_float32_is_neither_converted_nor_compared(artifact_path: Path) -> None:
    """The usual export takes no step more than before."""
    names = [name for name, _ in STEPS]

    assert [name for name, _ in steps_for(Options())] == [
        name for name in names if name not in ("convert", "choose", "compare")
    ]
    assert names == [name for name, _ in steps_for(Options(primary="auto", precision="fp16"))]
    metadata = Scorer(artifact_path, provider="cpu").metadata
    assert ("fp32", {}) == (metadata.precision, metadata.comparison)


def test_an_unknown_precision_in_a_file_is_damage(artifact_path: Path) -> None:
    """Metadata name one of the precisions that this version knows."""
    metadata = Scorer(artifact_path, provider="cpu").metadata

    with pytest.raises(InputError, match="precision 'int2', expected one of fp32, fp16, int8"):
        replace(metadata, precision="int2")
