"""Foreign networks on labelled images: what is wrong with a description shows, and is named."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_ood.errors import DataError, EdgeOodError, InputError
from edge_ood.foreign.conventions import (
    PIXELS,
    Convention,
    ForeignClassifier,
    ForeignNetwork,
    conventions_of,
)
from edge_ood.foreign.output_kind import kind_of
from edge_ood.foreign.pixel_choice import choose_pixels
from edge_ood.foreign.trial import check_convention
from edge_ood.graph.intake import image_input
from edge_ood.images.folders import read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all

Network = Callable[..., onnx.ModelProto]
BLUE = 2
CLASSES = ("green", "red", "blue")


@pytest.fixture(scope="module")
def labelled(colours: Path) -> tuple[np.ndarray, np.ndarray]:
    """60 images of three colours, and their classes."""
    images = read_class_folders(colours / "train")
    assert images.labels is not None
    return decode_all(images.paths, Preprocess(16))[0], images.labels


def needing_bytes(build: Network) -> onnx.ModelProto:
    """A network that takes everything for blue if pixels are not in [0, 255]."""
    weights = 8 / 255 * np.eye(3)[:, [1, 0, 2]] + np.array([16, 16, 0]) / 255
    return build(weights=weights, bias=np.array([-16.0, -16.0, 0.0]))


def described(model: onnx.ModelProto, **options: object) -> list[Convention]:
    source = ForeignClassifier(Path("x.onnx"), **options)  # type: ignore[arg-type]  # any of them
    return conventions_of(source, image_input(model))


def loaded(model: onnx.ModelProto) -> ForeignNetwork:
    batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    return ForeignNetwork(model, "output", batch or None, "cpu")


def test_a_network_that_knows_its_images_passes(
    foreign_network: Network, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    """All of them, and the sentence says so."""
    model = foreign_network()
    (convention,) = described(model, pixels="unit")

    accuracy, known, doubt = check_convention(loaded(model), convention, *labelled, CLASSES)

    assert 1.0 == accuracy
    assert "100.0% of 60 labelled images are classified correctly" == known
    assert "" == doubt


@pytest.mark.parametrize(
    ("truth", "stated"),
    [({"channels": "bgr"}, {"channels": "rgb"}), ({"channels": "rgb"}, {"channels": "bgr"})],
)
def test_swapped_colours_are_named(
    truth: dict[str, str],
    stated: dict[str, str],
    foreign_network: Network,
    labelled: tuple[np.ndarray, np.ndarray],
) -> None:
    """One class in three is right; the hint is the option that makes it three."""
    rows = np.eye(3)[:, [1, 0, 2]]
    weights = 8 * (rows[::-1] if truth["channels"] == "bgr" else rows)
    model = foreign_network(weights=weights)
    (convention,) = described(model, pixels="unit", **stated)

    with pytest.raises(
        DataError, match=r"33\.3% of 60 .* as --channels \w+ it would be 100\.0%"
    ) as c:
        check_convention(loaded(model), convention, *labelled, CLASSES)

    assert f"--channels {truth['channels']}" == c.value.hint


def test_another_normalisation_is_named(
    foreign_network: Network, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    """0 to 1 in place of 0 to 255."""
    model = needing_bytes(foreign_network)
    (convention,) = described(model, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

    with pytest.raises(DataError, match=r"as --pixels byte it would be 100\.0%"):
        check_convention(loaded(model), convention, *labelled, CLASSES)


def test_another_layout_is_named(
    foreign_network: Network, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    """A network that can run on either layout, but knows images in one only."""
    model = foreign_network(layout="nhwc")
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    for size, name in zip(sizes, "NABC", strict=True):
        size.dim_param = name
    pool = next(node for node in model.graph.node if node.op_type == "GlobalAveragePool")
    flat = onnx.helper.make_node("ReduceMean", [pool.input[0], "space"], ["pooled"], keepdims=1)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 3]), "space"))
    nodes = [flat if node is pool else node for node in model.graph.node]
    reshape = next(node for node in nodes if node.op_type == "Reshape")
    cut = onnx.helper.make_node("Slice", ["pooled", "from", "to", "axis"], ["three"])
    for name, value in (("from", 0), ("to", 3), ("axis", 1)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value]), name))
    reshape.input[0] = "three"
    nodes.insert(nodes.index(reshape), cut)
    graph = onnx.helper.make_graph(
        nodes, "either", model.graph.input, model.graph.output, model.graph.initializer
    )
    either = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)
    entry = image_input(either, layout="nchw", size_px=16)
    source = ForeignClassifier(Path("x.onnx"), layout="nchw", pixels="unit", size_px=16)
    (convention,) = conventions_of(source, entry)

    with pytest.raises(DataError, match=r"as --layout nhwc it would be 100\.0%"):
        check_convention(loaded(either), convention, *labelled, CLASSES)


class Knowing(ForeignNetwork):
    """A network that knows all images in BGR, and the first few of each ten in RGB."""

    def __init__(self, labels: np.ndarray, in_rgb: int) -> None:
        self.labels = labels
        self.in_rgb = in_rgb

    def __call__(self, pixels: np.ndarray, convention: Convention) -> np.ndarray:
        """Rows (N, 10) that are one for the class it sees."""
        labels = self.labels[: len(pixels)]
        knows = np.arange(len(labels)) % 10 < self.in_rgb
        right = np.where(knows | (convention.channels == "bgr"), labels, (labels + 1) % 10)
        rows: np.ndarray = np.eye(10)[right]
        return rows


@pytest.mark.parametrize(("in_rgb", "stops"), [(4, True), (6, False)])
def test_a_better_convention_stops_or_is_mentioned(
    in_rgb: int, stops: bool, foreign_network: Network
) -> None:
    """Less than half as good is an error; clearly less good, far above chance, is said."""
    labels = np.arange(100) // 10
    pixels = np.zeros((100, 16, 16, 3), np.uint8)
    (convention,) = described(foreign_network(), pixels="unit")
    network, names = Knowing(labels, in_rgb), tuple("abcdefghij")
    known = f"{in_rgb}0.0% of 100 labelled images are classified correctly"
    doubt = "as --channels bgr it would be 100.0%"

    if stops:
        with pytest.raises(DataError, match=f"{known}; {doubt}"):
            check_convention(network, convention, pixels, labels, names)
    else:
        found = check_convention(network, convention, pixels, labels, names)
        assert (in_rgb / 10, known, doubt) == found


def test_classes_in_another_order_are_suspected(
    foreign_network: Network, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    """Each output stands for one class, but not for its own."""
    model = foreign_network()
    (convention,) = described(model, pixels="unit")
    pixels, labels = labelled

    with pytest.raises(DataError, match=r"0\.0% of 60 .* no better than chance") as caught:
        check_convention(loaded(model), convention, pixels, (labels + 1) % 3, CLASSES)

    assert "output 0 is mostly 'red'" in str(caught.value.hint)
    assert "--classes FILE" in str(caught.value.hint)


def test_a_network_that_knows_nothing_is_refused(
    foreign_network: Network, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    """Without a better convention the hint lists what to check."""
    model = foreign_network(weights=np.zeros((3, 3)))
    (convention,) = described(model, pixels="unit")

    with pytest.raises(DataError, match=r"33\.3% of 60 .* no better than chance \(33\.3%\)") as c:
        check_convention(loaded(model), convention, *labelled, CLASSES)

    assert "in the order of the outputs" in str(c.value.hint)


def test_labelled_images_single_out_the_normalisation(
    foreign_network: Network, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    """The shares of all candidates are in the sentence; where they are clear, 32 images do."""
    model = needing_bytes(foreign_network)
    order = np.random.default_rng(0).permutation(len(labelled[1]))
    pixels, labels = (array[order] for array in labelled)

    convention, said = choose_pixels(loaded(model), described(model), pixels, labels)

    assert ("byte", *PIXELS["byte"]) == (
        convention.pixels,
        convention.preprocess.mean,
        convention.preprocess.std,
    )
    assert "byte 100.0%" in said
    assert re.fullmatch(r"32 labelled .* unit [23]\d\.\d%, .*", said)


@pytest.mark.parametrize("with_labels", [True, False])
def test_a_normalisation_that_nothing_tells_is_asked_for(
    with_labels: bool, foreign_network: Network, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    """A network that is right with several is not guessed at."""
    model = foreign_network()
    pixels, labels = labelled

    with pytest.raises(InputError, match="how the network normalises pixels is not given") as c:
        choose_pixels(loaded(model), described(model), pixels, labels if with_labels else None)

    assert "--pixels" in str(c.value.hint)


def test_a_fixed_batch_runs_any_number_of_images(
    foreign_network: Network, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    """The last images are filled up, and what is filled in does not come out."""
    pixels = labelled[0][:7]
    rows = []
    for batch in ("N", 1, 4):
        model = foreign_network(batch=batch)
        (convention,) = described(model, pixels="unit")
        rows.append(loaded(model)(pixels, convention))

    expected = pixels.mean(axis=(1, 2)) / 255 @ (8 * np.eye(3)[:, [1, 0, 2]])
    for found in rows:
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([[0.2, 0.8], [0.9, 0.1]], "probabilities"),
        ([[0.2, 0.7], [0.9, 0.1]], "scores in [0, 1]"),
        ([[0.2, 1.7], [0.9, 0.1]], "logits"),
        ([[20.0, 80.0], [90.0, 10.0]] * 4, "probabilities"),
        ([[20.0, 80.0]] * 2, "logits"),
        ([[0.03, 0.97], [0.93, 0.07]] * 4, "probabilities"),
        ([[-0.2, 1.2]], "logits"),
        ([[0.2], [0.9]], "probabilities"),
        ([[0.2], [1.9]], "logits"),
        (np.log([[0.2, 0.8], [0.9, 0.1]]), "log-probabilities"),
        ([[-1.0, -2.0]], "logits"),
    ],
)
def test_rows_that_sum_to_one_are_probabilities(rows: list[list[float]], kind: str) -> None:
    """Numbers tell where the graph does not."""
    assert kind == kind_of(np.array(rows))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": "grb"}, "channels 'grb', expected one of rgb, bgr, gray"),
        ({"layout": "hwc"}, "layout 'hwc'"),
        ({"pixels": "float"}, "pixels 'float', expected one of unit, byte, signed, imagenet"),
        ({"mean": (0, 0, 0)}, "mean and std belong together"),
        ({"mean": (0, 0, 0), "std": (1, 1, 1), "pixels": "unit"}, "in place of pixels"),
        ({"mean": (0, 0.1, 0), "std": (1, 1, 1), "channels": "gray"}, "one number each"),
        ({"mean": (0, 0, 0), "std": (1, 0, 1)}, "expected three numbers > 0"),
        ({"resize": "crop"}, "resize policy 'crop'"),
        ({"pixels": "imagenet", "channels": "gray"}, "one mean for each colour"),
    ],
)
def test_contradictions_are_refused(
    options: dict[str, object], message: str, foreign_network: Network
) -> None:
    """Before any file is read."""
    with pytest.raises(EdgeOodError, match=message):
        described(foreign_network(), **options)


def test_a_network_of_one_channel_takes_gray(foreign_network: Network) -> None:
    """It cannot take anything else, and a contradiction is an error."""
    model = foreign_network(weights=np.ones((1, 3)))

    assert {"gray"} == {each.channels for each in described(model)}
    assert {"unit", "byte", "signed"} == {each.pixels for each in described(model)}
    with pytest.raises(InputError, match="takes one channel, got --channels bgr"):
        described(model, channels="bgr")
