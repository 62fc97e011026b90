"""What a classifier's file and some images tell without any option, and what they leave out."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_ood.attachment.listener import Listener
from edge_ood.attachment.request import Options
from edge_ood.errors import CalibrationError, InputError
from edge_ood.foreign.attach_foreign import attach_foreign
from edge_ood.foreign.conventions import ForeignClassifier
from edge_ood.foreign.id_images import IdFolders
from edge_ood.foreign.inferred import Inferred, inferred_from
from edge_ood.images.folders import read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.registry import parse_specs
from edge_ood.runtime.scorer import Scorer

Network = Callable[..., onnx.ModelProto]
WEIGHTS = 8 * np.eye(3)[:, [1, 0, 2]]


@pytest.fixture
def folders(colours: Path) -> IdFolders:
    """Training and calibration images in class folders."""
    return IdFolders(colours / "calibration", colours / "train")


class Attaching:
    """`attach_foreign` of a model, and what was said on the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self.rows: dict[str, Inferred] = {}

    def __call__(
        self,
        model: onnx.ModelProto,
        folders: IdFolders,
        scores: str = "",
        primary: str | None = None,
    ) -> Scorer:
        """The artefact, opened."""
        onnx.save(model, self.folder / "network.onnx")
        output = self.folder / "x.onnx"
        attach_foreign(
            ForeignClassifier(self.folder / "network.onnx", pixels="unit"),
            folders,
            output,
            Options(heads=parse_specs(scores) if scores else (), primary=primary, provider="cpu"),
            listener=Listener(on_note=self.notes.append),
            on_inferred=self._hear,
        )
        return Scorer(output, provider="cpu")

    def _hear(self, rows: Sequence[Inferred]) -> None:
        self.rows = {row.what: row for row in rows}


@pytest.fixture
def attaching(tmp_path: Path) -> Attaching:
    """Attaches, and remembers what was said."""
    return Attaching(tmp_path)


def test_a_class_without_images_costs_mahalanobis_alone(
    foreign_network: Network, folders: IdFolders, attaching: Attaching, tmp_path: Path
) -> None:
    """Nobody asked for it, so it is left out with the reason; asked for, it is an error."""
    model = foreign_network(weights=np.c_[WEIGHTS, [-8, -8, -8]])
    names = tmp_path / "names.txt"
    classes = read_class_folders(folders.calibration).classes
    names.write_text("\n".join([*classes, "black"]), "utf-8")
    named = IdFolders(folders.calibration, folders.training, names)

    scorer = attaching(model, named)

    assert {"gen", "msp", "nci", "combined"} == set(scorer.heads)
    why = "1 of 4 classes have no image to fit statistics on"
    assert f"no 'mahalanobis': {why}" in attaching.notes
    assert {"mahalanobis": why} == scorer.metadata.provenance["left_out"]
    with pytest.raises(CalibrationError, match=why):
        attaching(model, named, "energy,mahalanobis")
    with pytest.raises(InputError, match=f"'mahalanobis' cannot decide: {why}") as caught:
        attaching(model, named, primary="mahalanobis")
    assert "--primary gen" == caught.value.hint


def test_several_labels_an_image_are_said(
    foreign_network: Network, folders: IdFolders, attaching: Attaching
) -> None:
    """A sigmoid for each class: logits are before it, and the note says what the labels mean."""
    scorer = attaching(foreign_network(ending="sigmoid"), folders)

    assert any("sigmoid for each class" in note for note in attaching.notes)
    ends = attaching.rows["ends in"]
    assert ("sigmoid", "certain") == (ends.value, ends.sure)
    test = read_class_folders(folders.calibration)
    pixels, _ = decode_all(test.paths, Preprocess(16))
    logits = pixels.mean(axis=(1, 2)) / 255 @ WEIGHTS
    np.testing.assert_allclose(scorer(list(test.paths)).logits, logits, rtol=1e-4, atol=1e-4)


def test_scores_that_are_neither_are_said(
    foreign_network: Network, folders: IdFolders, attaching: Attaching
) -> None:
    """Weighted sigmoids are in [0, 1] and sum to nothing; what they share remains."""
    model = foreign_network(ending="sigmoid")
    each = numpy_helper.from_array(np.array([1, 0.9, 0.8], np.float32), "each")
    model.graph.initializer.append(each)
    model.graph.node[-1].output[0] = "plain"
    model.graph.node.append(helper.make_node("Mul", ["plain", "each"], ["output"]))

    scorer = attaching(model, folders)

    assert "'output' holds scores in [0, 1]; divided by their sum, they are" in attaching.notes[0]
    assert "scores in [0, 1]" == attaching.rows["ends in"].value
    assert {"gen", "msp"} == set(scorer.heads)
    test = read_class_folders(folders.calibration)
    pixels, _ = decode_all(test.paths, Preprocess(16))
    scores = np.array([1, 0.9, 0.8]) / (1 + np.exp(-pixels.mean(axis=(1, 2)) / 255 @ WEIGHTS))
    expected = 1 - scores.max(axis=1) / scores.sum(axis=1)
    np.testing.assert_allclose(scorer(list(test.paths)).scores["msp"], expected, rtol=1e-3)


def test_names_in_the_file_give_the_order_of_the_outputs(
    foreign_network: Network, folders: IdFolders, attaching: Attaching
) -> None:
    """The sorted class folders would be another one."""
    model = foreign_network(weights=WEIGHTS[:, ::-1])
    classes = read_class_folders(folders.calibration).classes
    helper.set_model_props(model, {"names": str(dict(enumerate(classes[::-1])))})

    scorer = attaching(model, folders)

    assert classes[::-1] == scorer.metadata.classes
    row = attaching.rows["classes"]
    assert ("certain", "names in the file") == (row.sure, row.evidence)
    assert [row] == [
        each for each in inferred_from(scorer.metadata.provenance) if each.what == "classes"
    ]


def test_the_labels_of_a_converter_are_the_class_names(
    foreign_network: Network, folders: IdFolders, attaching: Attaching
) -> None:
    """Label and map of probabilities, as scikit-learn's and Core ML's converters end."""
    model = foreign_network(weights=WEIGHTS[:, ::-1], ending="softmax")
    classes = read_class_folders(folders.calibration).classes
    reversed_ = list(classes[::-1])
    labels = numpy_helper.from_array(np.array(reversed_, object), "labels")
    model.graph.initializer.append(labels)
    ml = {"domain": "ai.onnx.ml"}
    model.graph.node.extend(
        [
            helper.make_node("ArgMax", ["output"], ["best"], axis=1, keepdims=0),
            helper.make_node("ArrayFeatureExtractor", ["labels", "best"], ["label"], **ml),
            helper.make_node("ZipMap", ["output"], ["map"], classlabels_strings=reversed_, **ml),
        ]
    )
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    number = helper.make_map_type_proto(
        onnx.TensorProto.STRING, helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [])
    )
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("label", onnx.TensorProto.STRING, [1, None])
    )
    model.graph.output.append(
        helper.make_value_info("map", helper.make_sequence_type_proto(number))
    )

    scorer = attaching(model, folders)

    assert tuple(reversed_) == scorer.metadata.classes
    assert ("softmax", "certain") == (
        attaching.rows["ends in"].value,
        attaching.rows["ends in"].sure,
    )
    test = read_class_folders(folders.calibration)
    pixels, _ = decode_all(test.paths, Preprocess(16))
    logits = pixels.mean(axis=(1, 2)) / 255 @ WEIGHTS[:, ::-1]
    np.testing.assert_allclose(scorer(list(test.paths)).logits, logits, rtol=1e-4, atol=1e-4)
