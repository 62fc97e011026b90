"""What the maker of a file always does, by its metadata, which nobody has to believe."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from edge_ood.foreign.conventions import ForeignClassifier
from edge_ood.foreign.publishers import as_published

Network = Callable[..., onnx.ModelProto]
CLASSIFIER = {"author": "Ultralytics", "task": "classify"}


def told(model: onnx.ModelProto, properties: dict[str, str]) -> onnx.ModelProto:
    onnx.helper.set_model_props(model, properties)
    return model


def test_ultralytics_takes_whole_squares_of_unit_pixels(foreign_network: Network) -> None:
    """As its `classify_transforms`: short side to S, centre, no mean and std."""
    model = told(foreign_network(), CLASSIFIER)

    found, note = as_published(ForeignClassifier(Path("x.onnx")), model)

    assert (1.0, "bilinear", "unit") == (found.crop, found.interpolation, found.pixels)
    assert (
        "--crop 1 --interpolation bilinear --pixels unit, as ultralytics exports classifiers"
        == note
    )
    assert () == found.open_geometry


def test_what_is_given_goes_first(foreign_network: Network) -> None:
    """The owner knows better, and nothing is said where nothing is added."""
    half = (0.5, 0.5, 0.5)
    given = ForeignClassifier(
        Path("x.onnx"), crop=0.5, interpolation="bicubic", mean=half, std=half
    )

    assert (given, "") == as_published(given, told(foreign_network(), CLASSIFIER))


@pytest.mark.parametrize(
    "properties", [{}, {"author": "Ultralytics"}, {"author": "Ultralytics", "task": "detect"}]
)
def test_others_are_left_open(foreign_network: Network, properties: dict[str, str]) -> None:
    """Nothing is assumed of files of other makers, or of other tasks."""
    source = ForeignClassifier(Path("x.onnx"))

    assert (source, "") == as_published(source, told(foreign_network(), properties))
