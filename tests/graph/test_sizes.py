"""Tensors that no memory holds are refused by name, from what the graph says alone."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edge_ood.errors import ExportError
from edge_ood.graph import shapes
from edge_ood.graph.endings import find_ending

N = 2**40
node = helper.make_node
ints = np.int64
IMAGE = 3 * 8 * 8
FLOAT_BYTES = 4


def classifier(
    nodes: Sequence[NodeProto], arrays: dict[str, NDArray[np.generic]], *, side: int = 8
) -> ModelProto:
    """Images (N, 3, S, S), pooled, to which the largest number of a tensor `big` is added."""
    graph = helper.make_graph(
        [
            *nodes,
            node("ReduceMax", ["big"], ["largest"], keepdims=0),
            node("Cast", ["largest"], ["added"], to=TensorProto.FLOAT),
            node("Add", ["images", "added"], ["sum"]),
            node("GlobalAveragePool", ["sum"], ["pooled"]),
            node("Flatten", ["pooled"], ["features"]),
            node("MatMul", ["features", "weights"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [
            numpy_helper.from_array(array, name)
            for name, array in {**arrays, "weights": np.eye(3, dtype=np.float32)}.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


ABSURD = {
    "ConstantOfShape": ([node("ConstantOfShape", ["s"], ["big"])], {"s": ints([N])}, N * 4),
    "Expand": (
        [node("Expand", ["images", "s"], ["big"])],
        {"s": ints([N, 1, 1, 1, 1])},
        N * IMAGE * 4,
    ),
    "Tile": ([node("Tile", ["images", "s"], ["big"])], {"s": ints([1, 1, 1, N])}, N * IMAGE * 4),
    "Range": (
        [node("Range", ["zero", "s", "one"], ["big"])],
        {"zero": np.array(0), "s": np.array(N), "one": np.array(1)},
        N * 8,
    ),
    "Resize": (
        [node("Resize", ["images", "", "s"], ["big"])],
        {"s": np.array([1, 1, 2**20, 2**20], np.float32)},
        N * IMAGE * 4,
    ),
    "Pad": (
        [node("Pad", ["images", "s"], ["big"])],
        {"s": ints([0, 0, 0, 0, 0, 0, 0, N])},
        (N + 8) * 3 * 8 * 4,
    ),
    "OneHot": (
        [node("OneHot", ["i", "s", "v"], ["big"])],
        {"i": ints([0]), "s": np.array(N), "v": np.array([0, 1], np.float16)},
        N * 2,
    ),
    "a computed size": (
        [
            node("Shape", ["images"], ["sizes"], start=2),
            node("ReduceProd", ["sizes"], ["pixels"]),
            node("Mul", ["pixels", "k"], ["s"]),
            node("ConstantOfShape", ["s"], ["big"]),
        ],
        {"k": ints([N])},
        N * 64 * 4,
    ),
    "small steps": (
        [
            node("Concat", [name] * 2, [f"x{i}" if i < 39 else "big"], axis=3)
            for i, name in enumerate(["images", *(f"x{i}" for i in range(39))])
        ],
        {},
        0,
    ),
}


@pytest.mark.parametrize("kind", ABSURD)
def test_a_tensor_that_no_memory_holds_is_refused(kind: str) -> None:
    """By its name, with its size, which is the product of its sides and the bytes of a number."""
    nodes, arrays, n_bytes = ABSURD[kind]

    with pytest.raises(ExportError, match="MiB of memory for one image") as caught:
        find_ending(classifier(nodes, {k: np.asarray(a) for k, a in arrays.items()}))

    assert "\n" not in str(caught.value)
    if n_bytes:
        assert f"tensor 'big' of the model, from operator '{nodes[-1].op_type}'" in str(
            caught.value
        )
        assert f"takes {n_bytes // 2**20} MiB of memory" in str(caught.value)


def test_a_tensor_counts_for_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits image by image is sound, however many images there are; a byte less does not."""
    monkeypatch.setattr("edge_ood.graph.sizes.available_memory", lambda: 64 * IMAGE * FLOAT_BYTES)
    model = classifier([node("Tile", ["images", "s"], ["big"])], {"s": np.array([1, 1, 8, 8])})

    assert "logits" == find_ending(model).output

    monkeypatch.setattr(
        "edge_ood.graph.sizes.available_memory", lambda: 64 * IMAGE * FLOAT_BYTES - 1
    )
    with pytest.raises(ExportError, match="tensor 'big' of the model, from operator 'Tile'"):
        find_ending(model)


def test_the_largest_sound_images_are_read() -> None:
    """Sixteen planes of 4096 px, as the first convolution of a network for such images makes."""
    model = classifier(
        [node("Conv", ["images", "kernel"], ["big"], pads=[1, 1, 1, 1])],
        {"kernel": np.ones((16, 3, 3, 3), np.float32)},
        side=4096,
    )

    assert "logits" == find_ending(model).output


def test_values_are_no_longer_computed_when_they_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand constants that are each small enough are together not."""
    monkeypatch.setattr(shapes, "available_memory", lambda: 4 * 10 * 4000)
    nodes = [node("ConstantOfShape", ["s"], [f"zeros{i}"]) for i in range(20)]
    weights = {"s": numpy_helper.from_array(np.array([1000]), "s")}

    facts = shapes.analyse(nodes, {}, weights, [helper.make_opsetid("", 18)])

    known = [facts.value(f"zeros{i}") is not None for i in range(20)]
    assert [True] * 11 + [False] * 9 == known
    assert (1000,) == facts.shape("zeros19")


@pytest.mark.parametrize("operator", ["AveragePool", "Conv"])
def test_windows_that_take_years_are_refused(operator: str) -> None:
    """Memory is enough for all of it: 4000 x 4000 numbers for each of 4063 x 4063 places."""
    window = {"kernel_shape": [4000, 4000], "pads": [4031, 4031, 4031, 4031]}
    weights = {"kernel": np.ones((1, 3, 4000, 4000), np.float32)} if operator == "Conv" else {}
    pool = node(operator, ["images", *weights], ["big"], **window)

    with pytest.raises(ExportError, match=rf"from operator '{operator}', takes .* steps for one"):
        find_ending(classifier([pool], weights))


def test_a_pool_over_the_largest_image_is_none() -> None:
    """Each place is read once."""
    pool = node("AveragePool", ["images"], ["big"], kernel_shape=[4096, 4096])

    assert 3 == find_ending(classifier([pool], {}, side=4096)).width
