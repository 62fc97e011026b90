"""The error tree, and the messages that a user reads."""

import inspect
import io
import pickle
import re

import numpy as np
import pytest
from PIL import Image

from edge_ood import errors
from edge_ood.calibration.gaussian import ClassGaussian
from edge_ood.calibration.threshold import fit_knots
from edge_ood.corruptions import CORRUPTIONS
from edge_ood.errors import (
    DataError,
    EdgeOodError,
    MissingDependencyError,
    UnknownNameError,
    UsageError,
)
from edge_ood.images.folders import find_images
from edge_ood.images.preprocess import Preprocess
from edge_ood.scores import HEADS

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_docstring_draws_the_tree():
    """Every class stands in the module's drawing, below its parent and with its other base."""
    drawn = []
    for line in errors.__doc__.splitlines():
        match = re.match(r"^((?:[| `]  ?)*(?:[|`]- )?)(\w+Error)(?: \((\w+)\))? ", line)
        if match:
            drawn.append((len(match[1]) // 3, match[2], match[3]))
    expected = {}
    ancestors = []
    for depth, name, other in drawn:
        ancestors[depth:] = [name]
        expected[name] = {parent for parent in (*ancestors[:-1][-1:], other) if parent}

    actual = {kind.__name__: {base.__name__ for base in kind.__bases__} for kind in CLASSES}

    assert {**actual, "EdgeOodError": set()} == expected


def test_public_names_are_the_classes():
    """`__all__` is sorted and names every error of the module."""
    defined = [
        n for n, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__
    ]

    assert sorted(defined) == errors.__all__


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_exits_with_one_but_that_of_usage(kind):
    """Any refusal ends a command with the exit code 1; 2 says that the command line is at fault."""
    assert issubclass(kind, EdgeOodError)
    assert kind.exit_code == (2 if kind is UsageError else 1)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_says_when_it_happens(kind):
    """A class has a docstring of its own."""
    assert kind.__doc__ not in (None, kind.__base__.__doc__)


def test_hint_is_not_part_of_the_message():
    """Message and hint are two lines."""
    error = EdgeOodError("what arrived", hint="what to do")

    assert ("what arrived", "what to do") == (str(error), error.hint)


def test_damaged_images_carry_their_status():
    """The word for a score table travels with the error."""
    assert "unreadable" == DataError("x").status
    assert "too-large" == DataError("x", status="too-large").status


def test_far_names_list_what_there_is():
    """Where nothing is near, the hint lists all names, sorted."""
    error = UnknownNameError("model", "transformer", ["wrn", "resnet18"])

    assert error.closest is None
    assert "one of resnet18, wrn" in error.hint


@pytest.mark.parametrize(
    "error",
    [
        DataError("message", hint="hint", status="too-large"),
        UnknownNameError("model", "wnr", ["wrn"]),
        MissingDependencyError("training", "torch", "train"),
    ],
)
def test_errors_travel_between_processes(error):
    """A worker's error arrives as it was raised."""
    arrived = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error), vars(error)) == (type(arrived), str(arrived), vars(arrived))


def unknown_head(tmp_path):
    HEADS.get("enrgy")


def strange_corruption(tmp_path):
    CORRUPTIONS.get("xyzzy")


def other_features(tmp_path):
    gaussian = ClassGaussian(1)
    gaussian.update(np.zeros((2, 512)), [0, 0])
    gaussian.update(np.zeros((2, 384)), [0, 0])


def small_split(tmp_path):
    fit_knots(np.arange(18), 0.05)


def empty_folder(tmp_path):
    find_images(tmp_path)


def bad_image(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    Preprocess(8).decode(buffer.getvalue()[:60], "'a/b.png'")


def missing_extra(tmp_path):
    raise MissingDependencyError("training", "torch", "train")


@pytest.mark.parametrize(
    ("situation", "message", "hint"),
    [
        (
            unknown_head,
            "unknown score head 'enrgy'",
            "did you mean 'energy'? 'edge-ood heads' lists them",
        ),
        (
            strange_corruption,
            "unknown corruption 'xyzzy'",
            f"one of {', '.join(CORRUPTIONS.names())}; 'edge-ood evaluate --help' lists them",
        ),
        (other_features, "features have 384 columns but earlier ones 512", None),
        (
            small_split,
            "18 calibration scores cannot give a 5% false-alarm threshold",
            "use at least 19, or --alpha 0.06",
        ),
        (
            empty_folder,
            "no images under '{}' (looked for .bmp .gif .jfif .jpe .jpeg .jpg .mpo .pbm .pgm .png "
            ".pnm .ppm .tif .tiff .webp)",
            "check the path",
        ),
        (bad_image, "cannot decode 'a/b.png': ", "remove or repair it"),
        (
            missing_extra,
            "training needs torch, which is not installed",
            "pip install 'edge-ood[train]'",
        ),
    ],
)
def test_messages_say_what_arrived_and_what_to_do(situation, message, hint, tmp_path):
    """What arrived, what was expected and what to do, word for word."""
    with pytest.raises(EdgeOodError, match=re.escape(message.format(tmp_path))) as caught:
        situation(tmp_path)

    assert hint == caught.value.hint
