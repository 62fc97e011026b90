"""A model repository for NVIDIA's Triton Inference Server, whose onnxruntime backend runs the file.

Layout: https://docs.nvidia.com/deeplearning/triton-inference-server, "Model Repository" and "Model
Configuration". Frames of one size are put together into batches; those of another size wait for
others like them.
"""

import json
import re
from pathlib import Path

from edge_ood.errors import InputError
from edge_ood.files.output import publish
from edge_ood.files.regular import read_regular
from edge_ood.files.temporary import temporary_folder
from edge_ood.onnx_session import open_session
from edge_ood.runtime.scorer import BATCH, Scorer

__all__ = ["write_triton_repository"]

_TYPES = {
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(int64)": "TYPE_INT64",
    "tensor(bool)": "TYPE_BOOL",
    "tensor(float)": "TYPE_FP32",
}
_QUEUE_US = 2000
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


def write_triton_repository(artifact: Path, folder: Path, *, force: bool = False) -> Path:
    """Write `folder/NAME` with `config.pbtxt`, `labels.txt` and `1/model.onnx`.

    Args:
        artifact: A calibrated artefact.
        folder: The repository, which may hold other models.
        force: Replace a model of this name.

    Returns:
        The folder of the model, named after the file.

    Raises:
        ArtifactError: If the file is no artefact, damaged or was never calibrated.
        InputError: If a model of this name is there.
    """
    scorer = Scorer(artifact, provider="cpu")
    model = folder / _UNSAFE.sub("_", artifact.stem)
    if model.exists() and not force:
        raise InputError(f"'{model}' exists", hint="choose another folder, or pass --force")
    content = read_regular(artifact)
    with temporary_folder(model.absolute(), private=False) as made:
        (made / "1").mkdir()
        (made / "1" / "model.onnx").write_bytes(content)
        (made / "config.pbtxt").write_text(_config(model.name, content), "utf-8")
        classes = [name.replace("\n", " ") for name in scorer.metadata.classes]
        (made / "labels.txt").write_text("".join(f"{name}\n" for name in classes), "utf-8")
        publish(made, model.absolute())
    return model


def _config(name: str, content: bytes) -> str:
    """What Triton needs to know, in protobuf's text format."""
    session = open_session(content, provider="cpu")
    lines = [
        f"name: {json.dumps(name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {BATCH}",
        *(_tensor("input", each.name, each.type, each.shape) for each in session.get_inputs()),
        *(_tensor("output", each.name, each.type, each.shape) for each in session.get_outputs()),
        f"dynamic_batching {{ max_queue_delay_microseconds: {_QUEUE_US} }}",
    ]
    return "\n".join([*lines, ""])


def _tensor(role: str, name: str, kind: str, shape: list[int | str]) -> str:
    """One input or output; the first axis is the batch, which the configuration leaves out."""
    dims = [side if isinstance(side, int) else -1 for side in shape[1:]]
    shown = ", ".join(map(str, dims or [1]))
    fields = [f"name: {json.dumps(name)}", f"data_type: {_TYPES[kind]}", f"dims: [ {shown} ]"]
    if not dims:
        fields.append("reshape { shape: [ ] }")  # one number an image
    if name == "logits":
        fields.append('label_filename: "labels.txt"')
    return f"{role} {{ {' '.join(fields)} }}"
