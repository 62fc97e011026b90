"""The page about one image: its pictures, and what it says without a gradient."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("jinja2")

from edge_ood.report.explanation_page import explanation_page, overlay
from edge_ood.runtime.explain import explain_image
from edge_ood.runtime.scorer import Scorer
from report_pages.explanations import make_explanation

VERMILION, BLUE = (181, 64, 11), (0, 114, 178)


def pictures(page: str) -> dict[str, Image.Image]:
    """The pictures of a page, by what they are called."""
    found = re.findall(r'<img src="data:image/\w+;base64,([^"]+)" alt="([^"]+)">', page)
    return {name: Image.open(io.BytesIO(base64.b64decode(data))) for data, name in found}


def test_an_overlay_is_vermilion_where_a_patch_raises_the_score() -> None:
    """And blue where it lowers it, grey where nothing changes; a colour is nearest to its own."""
    values = np.zeros((8, 8))
    values[0, 0], values[7, 7] = 2, -2

    pixels = overlay(np.full((16, 16, 3), 128, np.uint8), values).astype(float)

    def distance(pixel: np.ndarray, colour: tuple[int, int, int]) -> float:
        return float(np.abs(pixel - np.array(colour)).sum())

    assert (320, 320, 3) == pixels.shape
    assert distance(pixels[0, 0], VERMILION) < distance(pixels[0, 0], BLUE) / 2
    assert distance(pixels[-1, -1], BLUE) < distance(pixels[-1, -1], VERMILION) / 2
    assert 0 == np.ptp(pixels[160, 160])


def test_an_overlay_of_nothing_is_grey() -> None:
    """A map of zeros divides by nothing."""
    pixels = overlay(np.full((4, 4, 3), (255, 0, 0), np.uint8), np.zeros((2, 2)))

    assert 0 == np.ptp(pixels)


def test_what_the_network_did_not_see_is_pale() -> None:
    """The image is 320 px wide, and its middle half was seen."""
    black = np.zeros((160, 320, 3), np.uint8)

    picture = np.asarray(
        pictures(explanation_page(make_explanation(picture=black)))["the whole image"]
    )

    assert picture[80, 160].max() < 10
    assert min(picture[80, 20].min(), picture[80, 300].min()) > 100


def test_the_picture_of_an_uncut_image_speaks_of_no_cut() -> None:
    """The caption is that of what is there."""
    whole = explanation_page(make_explanation(seen_box=(0.0, 0.0, 40.0, 20.0)))

    assert "cut off" in explanation_page(make_explanation())
    assert "cut off" not in whole


def test_a_gradient_is_drawn_where_it_is_largest() -> None:
    """Its blur is small beside the picture."""
    gradient = np.zeros((64, 64))
    gradient[48, 16] = 1
    found = make_explanation(
        gradient=gradient, gradient_head="odin", seen=np.full((64, 64, 3), 128, np.uint8)
    )

    picture = np.asarray(pictures(explanation_page(found))["gradient of odin"], float)

    row, column = np.unravel_index(np.argmax(picture[..., 0] - picture[..., 2]), (320, 320))
    assert abs(row - 242) <= 10
    assert abs(column - 82) <= 10


def test_a_page_without_a_gradient_says_how_to_get_one() -> None:
    """And one with it does not."""
    hint = "edge-ood export RUN --scores odin:epsilon=0.001"
    shown = make_explanation(gradient=np.eye(16), gradient_head="odin")

    assert hint in explanation_page(make_explanation())
    assert hint not in explanation_page(shown)


def test_the_row_of_the_deciding_score_stands_out() -> None:
    """It is not the first where another is more suspicious."""
    page = explanation_page(make_explanation())

    (row,) = re.findall(r'<tr class="marked">\s*<th scope="row"><span>(\w+)</span>', page)
    assert "energy" == row


def test_an_exported_file_is_explained(exported: Path, colours: Path) -> None:
    """By distances of its own, of which the smallest is the score; on a page with its name."""
    image = min((colours / "test" / "red apple").iterdir())

    found = explain_image(Scorer(exported, provider="cpu"), image)

    (score,) = (head.score for head in found.heads if head.name == "mahalanobis")
    distances = [answer.distance for answer in found.nearest]
    assert ("red apple", "mahalanobis") == (found.nearest[0].name, found.nearest_head)
    assert sorted(distances) == distances
    assert score == pytest.approx(distances[0], rel=1e-5)
    assert image.name in explanation_page(found)
