"""A network that takes more memory than there is, which only running it tells."""

import resource
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_ood.errors import ArtifactError
from edge_ood.foreign import memory_limit
from edge_ood.foreign.memory_limit import within_memory
from edge_ood.onnx_session import open_session, translated_errors

MIB = 2**20


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than 256 MiB are free."""
    monkeypatch.setattr(memory_limit, "free_memory", lambda: 256 * MIB)


def zeros(count: int) -> bytes:
    """A network that makes so many zeros, which its input says."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["count"], ["size"], to=TensorProto.INT64),
            helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
            helper.make_node("ReduceMax", ["zeros"], ["largest"], keepdims=0),
        ],
        "g",
        [helper.make_tensor_value_info("count", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("largest", TensorProto.FLOAT, [])],
        [numpy_helper.from_array(np.zeros(1, np.float32), "unused")],
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def ran(mib: int) -> float:
    """Let onnxruntime make so many MiB."""
    session = open_session(zeros(1), provider="cpu")
    feeds = {"count": np.array([mib * MIB / 4], np.float32)}
    with within_memory("it does not run"), translated_errors("it cannot run"):
        (found,) = session.run(None, feeds)
    return float(found)


def test_what_fits_runs(little: None) -> None:
    """Half of what is free."""
    assert 0 == ran(128)


def test_what_does_not_fit_fails_alone(little: None) -> None:
    """Linux would grant all of it, and end this process once it is used."""
    with pytest.raises(ArtifactError) as caught:
        ran(1024)

    reason = "operator 'ConstantOfShape' wants 1024 MiB of memory, more than there is"
    assert f"it cannot run: {reason}" == str(caught.value)


def test_pythons_own_arrays_fail_alike(little: None) -> None:
    """Numbers that come back are copied."""
    with (
        pytest.raises(ArtifactError, match="no way: it takes more memory than there is"),
        within_memory("no way"),
    ):
        np.ones(1024 * MIB, np.uint8)


def test_a_ceiling_of_somebody_elses_stays(little: None) -> None:
    """After the block it is what it was, and inside it is never higher."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    lower = (int(Path("/proc/self/statm").read_text().split()[5]) << 12) + 64 * MIB
    resource.setrlimit(resource.RLIMIT_DATA, (lower, before[1]))
    try:
        with within_memory("no way"):
            assert (lower, before[1]) == resource.getrlimit(resource.RLIMIT_DATA)
        assert (lower, before[1]) == resource.getrlimit(resource.RLIMIT_DATA)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def test_the_ceiling_ends_with_the_block(little: None) -> None:
    """An error inside included."""
    before = resource.getrlimit(resource.RLIMIT_DATA)

    with pytest.raises(KeyError), within_memory("no way"):
        raise KeyError

    assert before == resource.getrlimit(resource.RLIMIT_DATA)
