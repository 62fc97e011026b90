"""Artefacts for their page: as they are written, and with metadata that nobody should choose."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from edge_ood.artifact.metadata import store_metadata
from edge_ood.artifact.reader import read_metadata
from edge_ood.attachment.request import Options
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.files.output import report_path
from edge_ood.foreign.attach_foreign import attach_foreign
from edge_ood.foreign.conventions import ForeignClassifier
from edge_ood.foreign.id_images import IdFolders
from edge_ood.registry import parse_specs
from report_pages.hostile import HOSTILE

_COMPARISON = {
    **{"images": 512, "label_flips": 3, "logits_error": 0.0123},
    **{"size_bytes": 123456, "float32_bytes": 654321, "speed": 1.375},
    "heads": [
        {"head": "<b>", "rank_correlation": 0.98765, "flips_before": 0.02, "flips_after": 0.01}
    ],
}


def export(network: onnx.ModelProto, colours: Path, folder: Path) -> Path:
    """Write an artefact of four scores, with all that is chosen, and its report."""
    onnx.save(network, folder / "network.onnx")
    source = ForeignClassifier(
        folder / "network.onnx", pixels="unit", features=("pooled", "features")
    )
    options = Options(
        heads=parse_specs("odin,energy,mahalanobis:rank=2"),
        guarantee=Guarantee(alpha=0.1, combined=True),
        epsilon="fgsm",
        provider="cpu",
    )
    folders = IdFolders(colours / "calibration", colours / "train")
    attach_foreign(source, folders, folder / "file.onnx", options)
    return folder / "file.onnx"


def change(path: Path, folder: Path, **changes: Any) -> Path:
    """Copy an artefact and its report into a folder, with other metadata."""
    copy = folder / path.name
    model = onnx.load(path)
    properties = {item.key: item.value for item in model.metadata_props}
    store_metadata(model, replace(read_metadata(properties, source="x"), **changes))
    onnx.save(model, copy)
    if report_path(path).exists():
        report_path(copy).write_bytes(report_path(path).read_bytes())
    return copy


def make_hostile(path: Path, change_artefact: Callable[..., Path]) -> Path:
    """Copy an artefact, with classes, origin and comparison as nobody should choose them."""
    origin = {name: {name: name} for name in HOSTILE if name.isprintable()}
    choices = {
        "<b>": {
            "epsilon": {"epsilon": 0.5, "criterion": "<i>", "curve": {"0.5": 1}, "at_end": True},
            "weights": {"source": "<i>", "by_layer": dict.fromkeys(origin, 2.5)},
            "rank": {"rank": 7, "explained": {"</title>": 0.25}},
            "primary": {
                "why": "<i> decides",
                "auroc": {name: {"<b>": 0.25, "far": 1} for name in ("<i>", "</title>")},
            },
        }
    }
    return change_artefact(
        path,
        classes=("</script>", "<b>", "\x1b\u202e"),
        provenance={**origin, "choices": choices},
        comparison=_COMPARISON,
        precision="int8",
    )
