"""The probe: a device reproduces the recorded scores, or the head that it does not is named."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edge_ood.artifact import device
from edge_ood.artifact.calibration_record import Probe
from edge_ood.artifact.device import this_device
from edge_ood.artifact.metadata import Metadata, store_metadata
from edge_ood.calibration.guarantee import Changes
from edge_ood.errors import ArtifactError, ExportError
from edge_ood.runtime import probe
from edge_ood.runtime.calibrate import calibrate_artifact, set_thresholds
from edge_ood.runtime.probe import make_probe, probe_images, run_probe, run_probe_once
from edge_ood.runtime.scorer import Scorer

PIXELS = [[195, 76, 213], [125, 134, 16], [155, 214, 65], [93, 240, 57]]  # frozen


@pytest.fixture
def path(tmp_path: Path, colour_artifact: Path) -> Path:
    """A copy of the artefact to be changed."""
    return Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edge-ood" / "probes"


def change_weight(path: Path, name: str = "classifier/linear", factor: float = 1.01) -> None:
    """Scale one tensor of the network inside a finished file."""
    model = onnx.load(path)
    (tensor,) = [t for t in model.graph.initializer if t.name == name]
    changed = numpy_helper.to_array(tensor) * np.float32(factor)
    tensor.CopyFrom(numpy_helper.from_array(changed, name))
    onnx.save(model, path)


def change_constant(path: Path, name: str, values: object) -> None:
    """Give a tensor of a finished file the same value everywhere, or rows of values."""
    model = onnx.load(path)
    (tensor,) = [t for t in model.graph.initializer if t.name == name]
    array = numpy_helper.to_array(tensor)
    changed = np.broadcast_to(np.asarray(values, array.dtype), array.shape)
    tensor.CopyFrom(numpy_helper.from_array(changed.copy(), name))
    onnx.save(model, path)


def change_row(path: Path, head: str, threshold: float) -> None:
    """Another threshold in the graph, where the metadata keep theirs."""
    names = Scorer(path).heads
    (found,) = [t for t in onnx.load(path).graph.initializer if t.name == "thresholds"]
    values = numpy_helper.to_array(found).copy()
    values[names.index(head)] = threshold
    change_constant(path, "thresholds", values)


def change_metadata(path: Path, metadata: Metadata) -> None:
    """Store other metadata in a finished file."""
    model = onnx.load(path)
    store_metadata(model, metadata)
    onnx.save(model, path)


def test_the_images_are_the_same_everywhere() -> None:
    """Their bytes are part of the file format: another NumPy must not change them."""
    images = probe_images(0, 16)

    assert (4, 16, 16, 3) == images.shape
    assert np.uint8 == images.dtype
    assert PIXELS == images[:, 3, 5].tolist()


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 10**30, -1])
@pytest.mark.parametrize("size_px", [1, 3, 33])
def test_any_seed_and_size_give_images(seed: int, size_px: int) -> None:
    """Seeds come from the command line and from files; both may hold any integer."""
    assert (4, size_px, size_px, 3) == probe_images(seed, size_px).shape


def test_the_machine_that_made_it_passes(colour_artifact: Path) -> None:
    """Differences are 0 here, and every head has a tolerance above 0."""
    result = run_probe(Scorer(colour_artifact))

    assert result.passed
    assert () == result.failed_heads
    assert {0.0} == set(result.differences.values())
    assert all(tolerance > 0 for tolerance in result.tolerances.values())


def test_another_seed_has_other_images_and_passes(colour_artifact: Path, colours: Path) -> None:
    """The seed is recorded with the scores."""
    scorer = Scorer(colour_artifact)
    recorded = make_probe(scorer, scorer(colours / "calibration"), seed=7)

    assert 7 == recorded.seed
    assert recorded.scores != scorer.metadata.probe.scores


def test_a_changed_weight_fails_every_head_that_reads_it(path: Path) -> None:
    """One per cent on the last layer is seen."""
    change_weight(path)

    result = run_probe(Scorer(path))

    assert not result.passed
    assert ("energy", "msp", "uniform_ce") == result.failed_heads


def test_only_the_head_that_is_off_is_named(path: Path) -> None:
    """A recorded score that this device does not give fails its own head alone."""
    metadata = Scorer(path).metadata
    tolerance = metadata.probe.tolerances["msp"]
    scores = dict(metadata.probe.scores)
    for factor, expected in ((0.9, ()), (1.1, ("msp",))):
        first, *others = scores["msp"]
        moved = {**scores, "msp": [first + factor * tolerance, *others]}
        change_metadata(path, replace(metadata, probe=replace(metadata.probe, scores=moved)))

        assert expected == run_probe(Scorer(path)).failed_heads


def test_another_label_fails_without_a_head(path: Path) -> None:
    """Labels are compared as well as scores."""
    metadata = Scorer(path).metadata
    labels = [(label + 1) % 3 for label in metadata.probe.labels]
    change_metadata(path, replace(metadata, probe=replace(metadata.probe, labels=labels)))

    result = run_probe(Scorer(path))

    assert not result.passed
    assert 4 == result.wrong_labels
    assert () == result.failed_heads


@pytest.mark.parametrize("is_flagged", [True, False])
def test_other_decisions_of_the_same_scores_fail(path: Path, is_flagged: bool) -> None:
    """A device that compares wrongly, as if a head's threshold were another one."""
    flagged = Scorer(path).score_arrays(probe_images(0, 8)).decisions
    change_constant(path, "thresholds", -3e38 if is_flagged else 3e38)

    result = run_probe(Scorer(path))

    assert () == result.failed_heads
    expected = {head: int((found != is_flagged).sum()) for head, found in flagged.items()}
    assert expected == dict(result.wrong_decisions)
    assert not any(result.wrong_pvalues.values())
    named = ", ".join(f"decisions of {head}" for head, count in expected.items() if count)
    assert named == result.wrong


def test_other_pvalues_of_the_same_scores_fail(path: Path) -> None:
    """A device that counts knots wrongly, as if all p-values were one half."""
    change_constant(path, "pvalues", 0.5)

    result = run_probe(Scorer(path))

    assert () == result.failed_heads
    assert dict.fromkeys(("energy", "msp", "uniform_ce"), 4) == dict(result.wrong_pvalues)
    assert not any(result.wrong_decisions.values())
    assert "p-values of energy, p-values of msp, p-values of uniform_ce" == result.wrong


@pytest.mark.parametrize(("output", "name"), [("is_ood", "decisions"), ("pvalue", "p-values")])
def test_the_primary_output_is_held_to_its_head(path: Path, output: str, name: str) -> None:
    """`is_ood` and `pvalue` are the energy's here; those of another head are not the same."""
    set_thresholds(path, {"energy": 3e38, "msp": -3e38})
    model = onnx.load(path)
    (node,) = [node for node in model.graph.node if output in node.output]
    node.input[0] = node.input[0].replace("energy", "msp")
    if output == "pvalue":
        one = numpy_helper.from_array(np.ones(1, np.float32), "one")
        model.graph.initializer.append(one)
        node.op_type = "Max"
        node.input.append("one")
    onnx.save(model, path)

    assert f"{name} of energy" == run_probe(Scorer(path)).wrong


def test_a_score_as_near_to_its_threshold_as_rounding_may_be_decided_either_way(path: Path) -> None:
    """A threshold within the tolerance of a score says nothing about the device."""
    probe = Scorer(path).metadata.probe
    score, tolerance = max(probe.scores["msp"]), probe.tolerances["msp"]
    near = [score + factor * tolerance for factor in (-0.5, 0.5)]
    for recorded, shipped in (near, near[::-1]):
        set_thresholds(path, {"msp": recorded})
        change_row(path, "msp", shipped)

        assert run_probe(Scorer(path)).passed

    set_thresholds(path, {"msp": score + 1.5 * tolerance})
    change_row(path, "msp", score - 1.5 * tolerance)
    assert "decisions of msp" == run_probe(Scorer(path)).wrong


def test_the_combined_score_is_decided_about_too(path: Path, colours: Path) -> None:
    """Of it there is no score in the probe, but p-values and decisions."""
    images = sorted((colours / "calibration").rglob("*.png"))
    calibrate_artifact(path, images, changes=Changes(combined=True), provider="cpu")
    verdicts = Scorer(path).metadata.probe.verdicts
    assert run_probe(Scorer(path)).passed

    change_constant(path, "combined/thresholds", 3e38)

    flagged = sum(verdicts["combined"].least_decisions)
    assert {"combined": flagged} == {
        head: count for head, count in run_probe(Scorer(path)).wrong_decisions.items() if count
    }
    assert flagged


def test_a_file_of_an_earlier_version_is_held_to_its_scores(path: Path) -> None:
    """It says nothing of decisions."""
    metadata = Scorer(path).metadata
    change_metadata(path, replace(metadata, probe=replace(metadata.probe, verdicts={})))
    change_constant(path, "thresholds", 3e38)

    assert run_probe(Scorer(path)).passed


def test_some_of_the_heads_are_held_to_their_own(path: Path) -> None:
    """A scorer of one head checks that one."""
    result = run_probe(Scorer(path, heads=["energy"]))

    assert ["energy"] == list(result.wrong_decisions)
    assert result.passed


def test_a_score_that_is_not_finite_is_not_recorded(path: Path, colours: Path) -> None:
    """Such an artefact is refused when it is made, and the head is named."""
    calibration = Scorer(path)(colours / "calibration")
    change_weight(path, factor=np.inf)

    with pytest.raises(ExportError, match="score head 'energy' gives nan"):
        make_probe(Scorer(path), calibration, seed=0)


def test_a_file_without_probe_is_an_error_when_checked(path: Path) -> None:
    """Scoring goes on without one."""
    change_metadata(path, replace(Scorer(path).metadata, probe=Probe(0)))

    assert run_probe_once(Scorer(path)) is None
    with pytest.raises(ArtifactError, match="has no probe"):
        run_probe(Scorer(path))


def test_a_device_that_passed_is_remembered(path: Path, cache: Path) -> None:
    """The first time there is a result, the second time there is nothing left to do."""
    first, second = (run_probe_once(Scorer(path)) for _ in range(2))

    assert first is not None
    assert first.passed
    assert second is None
    assert 1 == len(list(cache.iterdir()))


def test_a_device_that_failed_is_asked_again(path: Path, cache: Path) -> None:
    """Failures are not remembered: the warning comes each time."""
    change_weight(path)

    first, second = (run_probe_once(Scorer(path)) for _ in range(2))

    assert first == second
    assert first is not None
    assert not first.passed
    assert not cache.exists()


def test_a_changed_file_is_asked_again(path: Path, cache: Path) -> None:
    """Also if it has the same name, size and time of change."""
    times = path.stat()
    run_probe_once(Scorer(path))
    change_weight(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    result = run_probe_once(Scorer(path))

    assert path.stat().st_size == times.st_size
    assert result is not None
    assert not result.passed


def test_another_processor_is_asked_again(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A home folder may be shared by machines of different kinds."""
    run_probe_once(Scorer(path))
    other = tmp_path / "cpuinfo"
    other.write_text("processor: 0\nmodel name: Another\nflags: fpu\n\nprocessor: 1\n")
    monkeypatch.setattr(device, "_CPUINFO", other)

    assert run_probe_once(Scorer(path)) is not None
    assert 2 == len(list(cache.iterdir()))


def test_another_gpu_library_is_asked_again(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a library is updated by itself, and brings other kernels."""
    for marks in ([], ["libcudnn.so.9 1"], ["libcudnn.so.9 1"], ["libcudnn.so.9 2"]):
        monkeypatch.setattr(probe, "library_marks", lambda provider, marks=marks: marks)
        run_probe_once(Scorer(path))

    assert 3 == len(list(cache.iterdir()))


def test_another_onnxruntime_is_asked_again(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernels may be others."""
    run_probe_once(Scorer(path))
    monkeypatch.setattr(onnxruntime, "__version__", "99.0")

    assert run_probe_once(Scorer(path)) is not None


def test_another_precision_is_asked_again(path: Path, cache: Path) -> None:
    """What the file says is part of the file."""
    run_probe_once(Scorer(path))
    change_metadata(path, replace(Scorer(path).metadata, precision="int8"))

    assert run_probe_once(Scorer(path)) is not None


def test_the_device_is_recorded(colour_artifact: Path) -> None:
    """The one that the scores were computed on."""
    recorded = Scorer(colour_artifact).metadata.probe.device

    assert this_device("cpu") == recorded
    assert onnxruntime.__version__ == recorded.runtime


def test_the_artefact_is_not_read_again(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Remembering costs nothing with a file of any size."""
    scorer = Scorer(path)
    monkeypatch.setattr(Path, "read_bytes", None)

    assert run_probe_once(scorer) is not None
    assert run_probe_once(scorer) is None


@pytest.mark.parametrize("variable", ["/dev/null/no-folder", "/proc/no-folder"])
def test_a_cache_that_cannot_be_written_is_no_error(
    path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The probe then runs every time."""
    monkeypatch.setenv("XDG_CACHE_HOME", variable)

    first, second = (run_probe_once(Scorer(path)) for _ in range(2))

    assert first == second
    assert first is not None


def test_without_a_home_nothing_is_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may have none."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)

    assert run_probe_once(Scorer(path)) is not None


def test_a_relative_cache_folder_is_ignored(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the XDG specification wants it: ~/.cache it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    run_probe_once(Scorer(path))

    assert not Path("here").exists()
    assert (tmp_path / "home" / ".cache" / "edge-ood" / "probes").is_dir()


def test_a_machine_without_cpuinfo_is_no_error(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not every system has /proc."""
    monkeypatch.setattr(device, "_CPUINFO", tmp_path / "missing")

    assert run_probe_once(Scorer(path)) is not None
    assert run_probe_once(Scorer(path)) is None
