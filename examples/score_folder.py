"""Score pictures with an artefact and without edge-ood: onnxruntime, Pillow and NumPy will do.

    python score_folder.py oe.onnx pictures/*.jpg

One line of JSON for each picture. The file itself resizes frames of any size, so no rule of
preprocessing is needed here but three: upright, RGB, transparent parts on white.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def pixels_of(path: Path) -> np.ndarray:
    """One picture as uint8 (1, height, width, 3)."""
    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture)
        return np.asarray(picture.convert("RGB"))[None]


def main(artefact: str, *pictures: str) -> None:
    """Print what the artefact says of each picture."""
    session = onnxruntime.InferenceSession(artefact, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["edge_ood"])
    for path in map(Path, pictures):
        outputs = ["label", "is_ood", "pvalue"]
        label, is_ood, pvalue = session.run(outputs, {"images": pixels_of(path)})
        row = {
            "path": str(path),
            "label_index": int(label[0]),
            "label": about["classes"][label[0]],
            "is_ood": bool(is_ood[0]),
            "pvalue": float(pvalue[0]),
        }
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
