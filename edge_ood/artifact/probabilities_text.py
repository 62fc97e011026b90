"""Where the class probabilities of an artefact are from, as commands and pages say it."""

import math
from typing import Any

from edge_ood.artifact.metadata import Metadata
from edge_ood.errors import InputError
from edge_ood.files.document import Document
from edge_ood.files.text import printable

__all__ = ["probabilities_record", "probabilities_text"]

_CHOSEN_ON = {
    "validation": "validation images",
    "calibration": "calibration images that set no threshold",
}
_NO_IMAGES = "no labelled images but those that trained the network or set thresholds"


def probabilities_record(metadata: Metadata) -> dict[str, Any]:
    """What the file says of how its temperature was found, with the temperature itself.

    Returns:
        `temperature`; `chosen_on`: `validation`, `calibration`, or empty; `asked_for`; and where it
        was chosen on images `images`, `why` (it is 1 all the same, or empty), `ece_before` and
        `ece_after` (in [0, 1]). Nothing but the temperature of what edge-ood did not write.
    """
    bare = {"temperature": metadata.temperature, "chosen_on": "", "asked_for": False}
    try:
        record = Document(dict(metadata.provenance)).document("temperature")
        chosen_on = record.get("chosen_on", str)
        found = {**bare, "asked_for": record.get("asked_for", bool)}
        if chosen_on not in _CHOSEN_ON:
            return found
        errors = {name: record.get(name, float) for name in ("ece_before", "ece_after")}
        found |= {"chosen_on": chosen_on, "images": record.get("images", int), **errors}
        found["why"] = record.get("why", str)
    except InputError:
        return bare
    return found if all(map(math.isfinite, errors.values())) else bare


def probabilities_text(metadata: Metadata) -> str:
    """One line."""
    record = probabilities_record(metadata)
    at = f"class probabilities at temperature {metadata.temperature:.4g}"
    if record["asked_for"]:
        return f"{at}, as asked for"
    if "temperature" not in metadata.provenance:
        return at
    if not record["chosen_on"]:
        return f"{at}: {_NO_IMAGES}"
    images = f"{record['images']} {_CHOSEN_ON[record['chosen_on']]}"
    if record["why"]:
        return f"{at}: of {images}, {printable(record['why'])}"
    before, after = (f"{100 * record[name]:.2f} %" for name in ("ece_before", "ece_after"))
    return f"{at}, from {images}: calibration error (ECE) {before} before, {after} after"
