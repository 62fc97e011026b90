"""Typed results print well, convert to plain values and data frames, and survive pickling."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_ood

# The classifier of these colours makes no mistake, so none can be detected.
pytestmark = pytest.mark.filterwarnings("ignore::edge_ood.metrics.detection.UndefinedMetricWarning")
RESULTS = ("scores", "attached", "calibrated", "evaluated", "trained")


@pytest.fixture(scope="module")
def made(
    colour_artifact: Path,
    colours: Path,
    foreign_network: Callable[..., Any],
    tiny_images: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """One result of each kind."""
    import onnx

    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("results")
    onnx.save(foreign_network(), folder / "foreign.onnx")
    copy = shutil.copy(colour_artifact, folder / "copy.onnx")
    images = sorted((colours / "test").rglob("*.png"))
    return {
        "scores": edge_ood.Scorer(colour_artifact, provider="cpu")(images),
        "attached": edge_ood.attach(
            folder / "foreign.onnx",
            folder / "x.onnx",
            calibration=colours / "calibration",
            id=colours / "train",
            pixels="unit",
            scores="energy,msp",
            provider="cpu",
        ),
        "calibrated": edge_ood.calibrate(copy, colours / "calibration", alpha=0.1, provider="cpu"),
        "evaluated": edge_ood.evaluate(
            colour_artifact,
            id=colours / "test",
            far="gaussian:count=5",
            bootstrap=0,
            provider="cpu",
        ),
        "trained": edge_ood.train(
            tiny_images / "train",
            folder / "run",
            model="wrn-10-1",
            image_size=8,
            epochs=2,
            batch_size=14,
            validation=tiny_images / "validation",
            device="cpu",
        ),
    }


@pytest.mark.parametrize("kind", RESULTS)
def test_a_result_is_pickled(kind: str, made: dict[str, Any]) -> None:
    """As results come back from other processes."""
    again = pickle.loads(pickle.dumps(made[kind]))

    assert str(made[kind]) == str(again)
    assert made[kind].to_dict() == again.to_dict()


@pytest.mark.parametrize("kind", RESULTS)
def test_a_result_is_plain_values(kind: str, made: dict[str, Any]) -> None:
    """JSON takes them, without NaN."""
    document = made[kind].to_dict()

    assert document == json.loads(json.dumps(document, allow_nan=False))


@pytest.mark.parametrize(
    ("kind", "rows", "columns"),
    [
        ("scores", 18, ["path", "label", "is_ood", "pvalue", "energy", "msp_is_ood"]),
        ("attached", 2, ["head", "threshold", "parity_error", "parity_allowed"]),
        ("calibrated", 3, ["head", "threshold_before", "threshold"]),
        ("evaluated", 12, ["model", "kind", "set", "head", "auroc", "fpr95_id_positive"]),
        ("trained", 2, ["epoch", "training_loss", "validation_accuracy"]),
    ],
)
def test_a_result_is_a_data_frame(
    kind: str, rows: int, columns: list[str], made: dict[str, Any]
) -> None:
    """With a row for each image, head, set and head, or epoch."""
    pytest.importorskip("pandas")

    frame = made[kind].to_pandas()

    assert rows == len(frame)
    assert set(columns) <= set(frame.columns)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("scores", ["label", "flagged as out-of-distribution", "8 more"]),
        ("attached", ["threshold", "parity checked on", "at most 5 % of"]),
        ("calibrated", ["threshold before", "calibrated on 60 images", "at most 10 % of"]),
        ("evaluated", ["AUROC", "gaussian", "energy *"]),
        ("trained", ["wrote '", "validation accuracy"]),
    ],
)
def test_a_result_prints_what_matters(kind: str, words: list[str], made: dict[str, Any]) -> None:
    """Not a dataclass with everything in it."""
    text = str(made[kind])

    assert words == [word for word in words if word in text]
    assert "Report(" not in text


def test_scores_of_files_know_their_files(made: dict[str, Any], colours: Path) -> None:
    """In the order in which they were given; arrays have none."""
    paths = sorted((colours / "test").rglob("*.png"))

    assert tuple(paths) == made["scores"].paths
    assert [str(path) for path in paths] == made["scores"].to_dict()["path"]


def test_a_data_frame_without_pandas_is_one_error(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the extra."""
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)

    with pytest.raises(edge_ood.EdgeOodError, match="a data frame needs pandas") as refused:
        made["scores"].to_pandas()

    assert "edge-ood[pandas]" in str(refused.value.hint)


def test_a_scorer_is_pickled_with_its_options(colour_artifact: Path, colours: Path) -> None:
    """It opens its file again, with the same heads and threads, and says the same."""
    image = min((colours / "test").rglob("*.png"))
    scorer = edge_ood.Scorer(
        str(colour_artifact), provider="cpu", threads=1, heads=["energy", "msp"]
    )

    again = pickle.loads(pickle.dumps(scorer))

    assert (("energy", "msp"), 1, "cpu") == (again.heads, again.threads, again.provider)
    assert scorer(image).to_dict() == again(image).to_dict()


def test_a_row_is_plain_values(colour_artifact: Path, colours: Path) -> None:
    """The cells of a score table by column."""
    image = min((colours / "test").rglob("*.png"))
    (row,) = edge_ood.Scorer(colour_artifact, provider="cpu").stream([image])

    cells = row.to_dict()

    assert (str(image), "ok", "") == (cells["path"], cells["status"], cells["error"])
    assert cells == json.loads(json.dumps(cells))


class Tensor:
    """As torch has it: an array, if it is in memory and has no gradient."""

    def __init__(self, pixels: np.ndarray, *, device: str = "cpu") -> None:
        self.pixels, self.device = pixels, device

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.device != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self.pixels


def test_images_in_memory_are_scored_as_their_files(colour_artifact: Path, colours: Path) -> None:
    """A Pillow image, several, an array and a tensor say what the file says."""
    from PIL import Image

    scorer = edge_ood.Scorer(colour_artifact, provider="cpu")
    path = min((colours / "test").rglob("*.png"))
    with Image.open(path) as image:
        pixels = np.asarray(image)
        found = [scorer(given) for given in (image, [image], pixels, Tensor(pixels[None]))]

    expected = scorer(path).scores["energy"]
    assert [expected.tolist()] * 4 == [scores.scores["energy"].tolist() for scores in found]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "cannot score a NoneType"),
        (b"\x89PNG", "cannot score a bytes"),
        (7, "cannot score a int"),
        ({"a": "b"}, "cannot score a dict"),
        ([None], "cannot score a NoneType"),
        ([7, "a.png"], "cannot score a int"),
        (Tensor(np.zeros((4, 4, 3), np.uint8), device="cuda"), "cannot score this Tensor: can't"),
        (np.zeros((4, 4), np.uint8), r"images are uint8 \(4, 4\)"),
        (np.full((4, 4, 3), 255.0), r"pixels are float64 from 255 to 255, expected \[0, 1\]"),
    ],
    ids=["none", "bytes", "number", "dict", "list", "mixed", "gpu", "grey", "float"],
)
def test_anything_else_is_an_input_error(images: Any, message: str, colour_artifact: Path) -> None:
    """Never a TypeError from inside."""
    with pytest.raises(edge_ood.EdgeOodError, match=message):
        edge_ood.Scorer(colour_artifact, provider="cpu")(images)
