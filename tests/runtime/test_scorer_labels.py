"""`Scorer` on a file whose `label` has no class name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_ood.errors import ArtifactError
from edge_ood.images.folders import find_images
from edge_ood.runtime.scorer import Scorer

WAYS: dict[str, Callable[[Scorer, Path], object]] = {
    "arrays": lambda scorer, _: scorer(np.zeros((1, 16, 16, 3), np.uint8)),
    "files": lambda scorer, images: scorer(images),
    "stream": lambda scorer, images: list(scorer.stream(find_images(images))),
}


def constant_label(artifact: Path, label: int, folder: Path) -> Path:
    """A copy of an artefact that gives every image one label."""
    model = onnx.load(artifact)
    (maker,) = (node for node in model.graph.node if "label" in node.output)
    maker.output[list(maker.output).index("label")] = "found"
    zero, constant = (numpy_helper.from_array(np.array(v), n) for v, n in ((0, "0"), (label, "1")))
    model.graph.initializer.extend([zero, constant])
    for node in model.graph.node:
        node.input[:] = ["found" if name == "label" else name for name in node.input]
    model.graph.node.extend(
        [
            helper.make_node("Mul", ["found", "0"], ["nothing"]),
            helper.make_node("Add", ["nothing", "1"], ["label"]),
        ]
    )
    onnx.save(model, folder / "changed.onnx")
    return folder / "changed.onnx"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("label", [-1, 3, 1000])
def test_a_label_without_a_class_name_is_damage(
    way: str, label: int, colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """Below 0 and past the last of three, by arrays, files and streams; no row has a wrong name."""
    scorer = Scorer(constant_label(colour_artifact, label, tmp_path), provider="cpu")

    with pytest.raises(ArtifactError, match=f"gave label {label}, expected 0 to 2, as it has 3"):
        WAYS[way](scorer, colours / "test")


@pytest.mark.parametrize("label", [0, 2])
def test_the_first_and_the_last_class_are_labels(
    label: int, colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """The check leaves both ends of the range alone."""
    scorer = Scorer(constant_label(colour_artifact, label, tmp_path), provider="cpu")

    assert {scorer.metadata.classes[label]} == set(scorer(colours / "test").label)
