"""torch to `classifier.onnx`: names, versions, dynamic batch, and what cannot be exported."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from edge_ood.attachment.listener import Listener
from edge_ood.attachment.request import Options, Request
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.errors import ArtifactError, CalibrationError, ExportError
from edge_ood.models import build_classifier
from edge_ood.parity.torch_reference import TorchEvaluator
from edge_ood.registry import Spec, parse_spec, parse_specs
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import DEFAULT_HEADS, fitting_heads
from edge_ood.torch_export import export as module
from edge_ood.torch_export.export import (
    export_classifier,
    export_network,
    export_run,
    request_of,
)
from edge_ood.training.roles import TrainedOn
from edge_ood.training.run_directory import read_run
from edge_ood.training.run_weights import load_model
from edge_ood.weights.source import NetworkSource

FLOAT32_LOGITS = 1e-4  # of their standard deviation, the parity gate's own limit


@pytest.fixture(scope="module")
def classifier(run_path: Path) -> torch.nn.Module:
    """The trained classifier of the session's run."""
    return load_model(read_run(run_path))


@pytest.fixture(scope="module")
def exported(classifier: torch.nn.Module) -> onnx.ModelProto:
    """The same as `classifier.onnx`."""
    return export_classifier(classifier, 8)


def test_outputs_bear_the_names_of_the_contract(exported: onnx.ModelProto) -> None:
    """One float input, and the outputs that `attach` knows by name."""
    assert ["input"] == [value.name for value in exported.graph.input]
    assert ["logits", "logits_pair", "features/penultimate"] == [
        value.name for value in exported.graph.output
    ]
    assert [18] == [opset.version for opset in exported.opset_import if opset.domain == ""]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_batch_is_dynamic_and_outputs_equal_torch(
    classifier: torch.nn.Module, exported: onnx.ModelProto, batch: int
) -> None:
    """The exported file gives torch's float64 numbers at any batch size."""
    images = np.random.default_rng(batch).normal(size=(batch, 3, 8, 8))
    expected = TorchEvaluator(classifier, torch.float64)(images)
    session = onnxruntime.InferenceSession(exported.SerializeToString())

    logits, pair, features = session.run(None, {"input": images.astype(np.float32)})

    tolerance = FLOAT32_LOGITS * expected.logits.std()
    np.testing.assert_allclose(logits, expected.logits, atol=tolerance)
    np.testing.assert_allclose(pair, expected.logits_pair, atol=tolerance)
    np.testing.assert_allclose(features, expected.features["penultimate"], rtol=1e-4, atol=1e-5)


def test_logits_are_one_matrix_product(exported: onnx.ModelProto) -> None:
    """The mean over the heads is folded into one Gemm, the pair into another."""
    assert 2 == sum(node.op_type in ("Gemm", "MatMul") for node in exported.graph.node)


def test_the_artefact_names_the_recipe(run_path: Path) -> None:
    """What was trained by a recipe says so."""
    run = read_run(run_path)
    settings = replace(run.config.settings, recipe="oe-cifar10")
    published = replace(run, config=replace(run.config, settings=settings))

    assert "oe-cifar10" == request_of(published, Options(provider="cpu")).provenance["recipe"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, {}),
        ({"outlier_sampling": "diverse"}, {"outlier_sampling": "diverse"}),
        (
            {"outlier_source": "self", "shuffled_share": 0.1},
            {"outlier_source": "self", "shuffled_share": 0.1},
        ),
    ],
)
def test_the_artefact_says_where_outliers_came_from(
    run_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    """Whatever is unusual about them stands beside the objective, and nothing else."""
    monkeypatch.setattr(module, "export_classifier", lambda *_: onnx.ModelProto())
    run = read_run(run_path)
    settings = replace(run.config.settings, **chosen)

    found = request_of(
        replace(run, config=replace(run.config, settings=settings)), Options(provider="cpu")
    ).provenance

    names = ("outlier_sampling", "outlier_source", "shuffled_share")
    assert expected == {name: found[name] for name in names if name in found}


@pytest.mark.parametrize(
    ("objective", "pool", "expected"),
    [
        ("classifier-discrepancy:mode=transductive-split", "outliers", ["unlabelled"]),
        ("classifier-discrepancy:mode=transductive", "outliers", []),
        ("outlier-exposure", "unlabelled", None),
        ("of-another-version", "outliers", None),
    ],
)
def test_the_artefact_says_what_its_training_excludes_from_tests(
    run_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    objective: str,
    pool: str,
    expected: list[str] | None,
) -> None:
    """The objective's declaration; none where nobody knows it, or it has no pool."""
    monkeypatch.setattr(module, "export_classifier", lambda *_: onnx.ModelProto())
    run = read_run(run_path)
    settings = replace(run.config.settings, objective=parse_spec(objective))
    splits = {**run.splits, "unlabelled": run.splits[pool]}
    changed = replace(run, config=replace(run.config, settings=settings), splits=splits)

    found = request_of(changed, Options(provider="cpu")).provenance

    assert expected == found.get("never_tested")


def test_only_a_run_knows_what_it_held_back(
    run_path: Path, tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its validation images; of a network that was trained elsewhere any image may have trained."""
    seen: list[Request] = []
    monkeypatch.setattr(module, "export_classifier", lambda *_: onnx.ModelProto())

    def attach(request: Request, *_: object, **__: object) -> SimpleNamespace:
        seen.append(request)
        return SimpleNamespace(metadata=None)

    monkeypatch.setattr(module, "attach", attach)
    monkeypatch.setattr(module, "check_accuracy", lambda *_: 1.0)
    network = build_classifier(Spec("wrn-10-1"), 2)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    source = NetworkSource(
        Spec("wrn-10-1"), tmp_path / "w.safetensors", 8, (0.5,) * 3, (0.5,) * 3, None, None, None
    )
    folders = TrainedOn(tiny_images / "train", tiny_images / "calibration")
    options = Options(provider="cpu", guarantee=Guarantee(0.2))
    run = read_run(run_path)

    export_run(run_path, tmp_path / "x.onnx", Options(provider="cpu"))
    export_network(source, folders, tmp_path / "y.onnx", options)

    of_run, of_network = seen
    assert run.splits["validation"].paths == of_run.validation.paths
    assert len(of_run.validation) > 0
    assert not set(of_run.validation.paths) & {*of_run.training.paths, *of_run.calibration.paths}
    assert 0 == len(of_network.validation)


def test_an_unfinished_run_is_refused(run_path: Path, tmp_path: Path) -> None:
    """Without weights there is nothing to export, and the hint says how to go on."""
    copy = Path(shutil.copytree(run_path, tmp_path / "run"))
    (copy / "model.safetensors").unlink()

    with pytest.raises(ArtifactError, match=r"model\.safetensors") as raised:
        export_run(copy, tmp_path / "x.onnx", Options())

    assert "--resume" in str(raised.value.hint)


def test_eighteen_calibration_images_are_refused_before_tracing(
    run_path: Path, tmp_path: Path
) -> None:
    """A rate that the split cannot hold stops the command at once."""
    steps: list[str] = []
    images = len(read_run(run_path).splits["calibration"])
    options = Options(guarantee=Guarantee(0.9 / (images + 1)))

    with pytest.raises(CalibrationError, match=re.escape(f"{images} calibration scores")):
        export_run(run_path, tmp_path / "x.onnx", options, listener=Listener(on_step=steps.append))

    assert [] == steps


def test_two_heads_are_needed_for_their_discrepancy(tmp_path: Path, one_head_run: Path) -> None:
    """`mcd_l1` on a one-head network is refused with the way out; without it export works."""
    wanted = Options(heads=parse_specs("energy,mcd_l1"), provider="cpu")

    with pytest.raises(ExportError, match="'mcd_l1' reads 'logits_pair'") as raised:
        export_run(one_head_run, tmp_path / "x.onnx", wanted)

    assert "--heads 2" in str(raised.value.hint)
    export_run(one_head_run, tmp_path / "y.onnx", Options(provider="cpu"))
    expected = tuple(spec.name for spec in fitting_heads(DEFAULT_HEADS, ["logits", "features"]))
    assert expected == Scorer(tmp_path / "y.onnx").heads
    assert not (tmp_path / "x.onnx").exists()


@pytest.fixture(scope="module")
def one_head_run(digit_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished one-head run of two classes whose names need care, trained with cross-entropy."""
    from edge_ood.images.preprocess import Preprocess
    from edge_ood.registry import Spec
    from edge_ood.training.settings import Settings
    from edge_ood.training.train import Launch, train
    from edge_ood.training.training_set import Folders

    root = tmp_path_factory.mktemp("two classes")
    for digit, name in (("0", "null \N{FRACTION SLASH} zéro"), ("1", "一 =1+1")):
        shutil.copytree(digit_folders / "train" / digit, root / "images" / name)
    settings = Settings(
        model=Spec("wrn-10-1"),
        objective=Spec("cross-entropy"),
        epochs=2,
        batch_size=32,
        learning_rate=0.05,
    )
    folders = Folders(training=root / "images")
    train(folders, settings, Preprocess(8), root / "run", launch=Launch(device="cpu"))
    return root / "run"


def test_class_names_survive_training_and_export(one_head_run: Path, tmp_path: Path) -> None:
    """Spaces, slashes' look-alikes, non-Latin letters and `=` come back as they were."""
    export_run(one_head_run, tmp_path / "x.onnx", Options(provider="cpu"))

    classes = Scorer(tmp_path / "x.onnx").metadata.classes

    assert ("null \N{FRACTION SLASH} zéro", "一 =1+1") == classes
