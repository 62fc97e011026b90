"""The page's resizing in JavaScript: Pillow's, to the bit."""

import io
import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_ood.images.preprocess import Preprocess

NODE = shutil.which("node")
SCRIPT = """
const { fit } = require(process.argv[1]);
const cases = JSON.parse(require("fs").readFileSync(process.argv[2]));
const fitted = cases.map(({ width, height, data, rules, isJpeg }) =>
  Buffer.from(fit({ width, height, data: Uint8ClampedArray.from(data) }, rules, isJpeg).data));
process.stdout.write(Buffer.concat(fitted));
"""

pytestmark = pytest.mark.skipif(NODE is None, reason="no node here")


def fitted_in_javascript(
    images: list[np.ndarray], rules: list[Preprocess], folder: Path, *, is_jpeg: bool = False
) -> list[np.ndarray]:
    cases = [
        {
            "width": image.shape[1],
            "height": image.shape[0],
            "data": image.ravel().tolist(),
            "rules": rule.to_json(),
            "isJpeg": is_jpeg,
        }
        for image, rule in zip(images, rules, strict=True)
    ]
    (folder / "cases.json").write_text(json.dumps(cases))
    with resources.as_file(resources.files("edge_ood.web").joinpath("page/preprocess.js")) as path:
        command = [NODE, "-e", SCRIPT, str(path), str(folder / "cases.json")]
        done = subprocess.run(command, capture_output=True, check=True)
    pixels, found, start = np.frombuffer(done.stdout, np.uint8), [], 0
    for rule in rules:
        side = rule.resized_px
        found.append(pixels[start : start + 3 * side * side].reshape(side, side, 3))
        start += 3 * side * side
    assert start == len(pixels)
    return found


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("resize", "crop"), [("center-crop", 1.0), ("center-crop", 0.875), ("stretch", 1.0)]
)
def test_resizing_is_pillows(tmp_path: Path, interpolation: str, resize: str, crop: float) -> None:
    """Of sides from 1 px on, wider and taller, enlarged and reduced, and at the right size."""
    generator = np.random.default_rng(3)
    sides = [(1, 1), (32, 32), (1, 90), (90, 1), (300, 9), (9, 300), (33, 31), (64, 32)]
    sides += [tuple(generator.integers(1, 200, 2)) for _ in range(24)]
    images = [generator.integers(0, 256, (h, w, 3), np.uint8) for h, w in sides]
    rule = Preprocess(32, resize=resize, crop=crop, interpolation=interpolation)

    found = fitted_in_javascript(images, [rule] * len(images), tmp_path)

    for image, fitted in zip(images, found, strict=True):
        np.testing.assert_array_equal(fitted, rule.fit(image), err_msg=str(image.shape))


@pytest.mark.parametrize("side", [8, 16, 30])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_large_jpegs_are_reduced_as_libjpeg_does(
    tmp_path: Path, side: int, subsampling: int
) -> None:
    """From the whole picture, which is what a browser gives: a level or so apart."""
    rule = Preprocess(side)
    coarse = np.random.default_rng(7).integers(0, 256, (6, 7, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((151, 140), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92, subsampling=subsampling)
    whole = np.asarray(Image.open(file).convert("RGB"))
    expected = rule.decode(file.getvalue())

    (reduced,) = fitted_in_javascript([whole], [rule], tmp_path, is_jpeg=True)

    assert (rule.fit(whole) != expected).any()  # otherwise nothing is reduced
    difference = np.abs(reduced.astype(int) - expected)
    assert difference.max() <= 3
    assert difference.mean() < 0.6
