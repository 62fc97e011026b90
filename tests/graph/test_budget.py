"""The size budget: every byte once, weights where they belong, whatever the classifier is."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edge_ood.graph.assemble import assemble
from edge_ood.graph.budget import PARTS, Part, size_budget
from edge_ood.graph.decision import keep_heads
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import bind_parameters
from edge_ood.scores import HEADS, BoundHead

FRAME = 200
"""Bytes around a weight: its name, its shape, and the nodes that read it."""

FEATURES, CLASSES = 6, 3
STATISTICS = {
    "pool/centre": np.zeros(FEATURES),
    "pool/whitening": np.random.default_rng(0).normal(size=(FEATURES, FEATURES)),
    "pool/means": np.random.default_rng(1).normal(size=(CLASSES, FEATURES)),
}


def head(name: str, **parameters: object) -> BoundHead:
    """A head with some parameters, and statistics for the hand-made network."""
    found = HEADS.get(name)
    bound = bind_parameters(found.score, parameters, owner=name)
    return BoundHead(found, bound, STATISTICS if name == "mahalanobis" else {})


def written(path: Path, classifier: ModelProto, *heads: BoundHead) -> Path:
    """An artefact's graph with these heads."""
    onnx.save(assemble(classifier, Preprocess(16), heads, primary=heads[0].name), path)
    return path


def by_name(path: Path, *heads: str) -> Mapping[str, Part]:
    """The budget by part."""
    parts = size_budget(path, heads)
    assert tuple(part.name for part in parts) == PARTS
    return {part.name: part for part in parts}


def weights_of(model: ModelProto, *names: str) -> int:
    """Bytes of some weights alone."""
    arrays = {t.name: numpy_helper.to_array(t).nbytes for t in model.graph.initializer}
    return sum(arrays[name] for name in names)


def test_every_byte_and_node_counts_once(artifact_path: Path, tmp_path: Path) -> None:
    """A trained network with all closed-form heads, metadata and calibration included."""
    model = onnx.load(artifact_path)
    model.doc_string = "x" * 1000
    path = tmp_path / "x.onnx"
    onnx.save(model, path)
    document = len(model.metadata_props[0].value.encode())
    heads = [o.name for o in model.graph.output if f"{o.name}_pvalue" in str(model.graph.output)]

    parts = by_name(path, *heads)

    assert path.stat().st_size == sum(part.size_bytes for part in parts.values())
    assert len(model.graph.node) == sum(part.nodes for part in parts.values())
    assert 0 <= parts["metadata"].size_bytes - document - 1000 < 2000
    assert (0, 0) == (parts["gradient"].nodes, parts["gradient"].size_bytes)


def test_weights_are_where_they_belong(colour_classifier: ModelProto, tmp_path: Path) -> None:
    """The classifier's and the head's arrays, each with little around it."""
    path = written(tmp_path / "x.onnx", colour_classifier, head("mahalanobis"))

    parts = by_name(path, "mahalanobis")

    network = weights_of(colour_classifier, "weights", "linear")
    fitted = 4 * sum(array.size for array in STATISTICS.values())
    # The means stand twice: to find the nearest, and to measure the distance to it.
    fitted += 4 * (STATISTICS["pool/means"].size + CLASSES)
    assert network < parts["classifier"].size_bytes < network + 4 * FRAME
    assert fitted < parts["statistics"].size_bytes < fitted + 10 * FRAME
    assert len(colour_classifier.graph.node) == parts["classifier"].nodes


def test_the_gradient_is_what_a_file_without_it_saves(
    colour_classifier: ModelProto, tmp_path: Path
) -> None:
    """Weights that both passes read are the classifier's."""
    heads = ("energy", "odin")
    whole = written(tmp_path / "odin.onnx", colour_classifier, *map(head, heads))
    model = onnx.load(whole)
    onnx.save(keep_heads(model, heads, ["energy"], primary="energy"), tmp_path / "energy.onnx")

    parts = by_name(whole, *heads)
    less = by_name(tmp_path / "energy.onnx", "energy")

    assert parts["classifier"] == less["classifier"]
    assert parts["preprocessing"] == less["preprocessing"]
    # A second pass, which reads the same weights, and a convolution's turned weights.
    assert parts["gradient"].nodes > len(colour_classifier.graph.node)
    assert parts["gradient"].size_bytes > weights_of(colour_classifier, "weights")
    assert (0, 0) == (less["gradient"].nodes, less["gradient"].size_bytes)


def test_statistics_that_a_gradient_reads_stay_statistics(
    colour_classifier: ModelProto, tmp_path: Path
) -> None:
    """Mahalanobis with a step of its own has the same arrays as without."""
    plain, moved = head("mahalanobis"), head("mahalanobis", epsilon=0.01)
    smaller = by_name(written(tmp_path / "a.onnx", colour_classifier, plain), "mahalanobis")
    larger = by_name(written(tmp_path / "b.onnx", colour_classifier, moved), "mahalanobis")

    assert larger["statistics"].size_bytes == pytest.approx(
        smaller["statistics"].size_bytes, abs=FRAME
    )
    assert larger["gradient"].nodes > 0


def replace_linear(path: Path, *nodes: NodeProto, **arrays: np.ndarray) -> None:
    """Let nodes of the network compute the weights of its last layer from further arrays."""
    model = onnx.load(path)
    kept = list(model.graph.node)
    (reader,) = [i for i, node in enumerate(kept) if "classifier/linear" in node.input]
    kept[reader].input[1] = nodes[-1].output[0]
    del model.graph.node[:]
    model.graph.node.extend([*kept[:reader], *nodes, *kept[reader:]])
    for name, array in arrays.items():
        model.graph.initializer.append(numpy_helper.from_array(array, f"classifier/{name}"))
    onnx.save(model, path)


def test_quantised_weights_count_as_stored(colour_classifier: ModelProto, tmp_path: Path) -> None:
    """An int8 weight with its scale is the classifier's, at one byte an element."""
    path = written(tmp_path / "x.onnx", colour_classifier, head("energy"))
    before = by_name(path, "energy")
    inputs = ["classifier/grid", "classifier/scale"]
    node = helper.make_node("DequantizeLinear", inputs, ["classifier/float"])
    replace_linear(path, node, grid=np.zeros((1000, CLASSES), np.int8), scale=np.float32(0.1))

    after = by_name(path, "energy")

    added = after["classifier"].size_bytes - before["classifier"].size_bytes
    # What nobody reads any more is left over, and counts as that.
    unread = weights_of(colour_classifier, "linear")
    assert 1000 * CLASSES < added + unread < 1000 * CLASSES + 2 * FRAME
    assert unread < after["metadata"].size_bytes - before["metadata"].size_bytes < unread + FRAME


def test_weights_inside_a_branch_are_the_classifiers(
    colour_classifier: ModelProto, tmp_path: Path
) -> None:
    """A foreign network may read a weight only inside the body of an If."""
    path = written(tmp_path / "x.onnx", colour_classifier, head("energy"))
    before = by_name(path, "energy")
    value = helper.make_tensor_value_info("chosen", TensorProto.FLOAT, [FEATURES, CLASSES])
    inner = helper.make_node("Identity", ["classifier/linear"], ["chosen"])
    body = helper.make_graph([inner], "body", [], [value])
    node = helper.make_node(
        "If", ["classifier/always"], ["classifier/used"], then_branch=body, else_branch=body
    )
    replace_linear(path, node, always=np.array(True))

    after = by_name(path, "energy")

    assert before["classifier"].size_bytes < after["classifier"].size_bytes
    assert abs(before["metadata"].size_bytes - after["metadata"].size_bytes) < 10


def test_bytes_that_this_onnx_does_not_know_count_as_metadata(
    colour_artifact: Path, tmp_path: Path
) -> None:
    """A field of a later format at the end of the file."""
    path = Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))
    heads = ("energy", "msp", "uniform_ce")
    before = by_name(path, *heads)
    with path.open("ab") as file:
        file.write(b"\xf2\x3f\x05later")  # field 1022, five bytes

    after = by_name(path, *heads)

    assert before["metadata"].size_bytes + 8 == after["metadata"].size_bytes
    assert before["classifier"] == after["classifier"]
