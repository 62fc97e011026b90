"""An artefact as an ONNX model, to be rewritten or measured."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, Message

from edge_ood.artifact.model_file import ModelFile
from edge_ood.errors import ArtifactError
from edge_ood.onnx_session import check_model_file

__all__ = ["has_valid_texts", "load_model_file", "model_of"]


def load_model_file(path: Path) -> onnx.ModelProto:
    """Read an ONNX file whose every text is valid.

    onnxruntime opens files with stray bytes in their names, and onnx fails on them wherever such a
    name is written anew.

    Args:
        path: The file. Constants that lie in other files stay there: no artefact has any.

    Raises:
        ArtifactError: If the file is missing or damaged.
    """
    check_model_file(path)
    try:
        # A named format: onnx would infer another from an ending such as .json.
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except DecodeError as error:
        raise _damaged(path, "it is cut off or overwritten") from error
    if not has_valid_texts(model):
        raise _damaged(path, "a name in it is no text")
    return model


def model_of(file: ModelFile) -> onnx.ModelProto:
    """The model of a file that was read before.

    Raises:
        ArtifactError: If it is no longer the same, or a name in it is no text.
    """
    model = onnx.load_from_string(file.content())
    if not has_valid_texts(model):
        raise _damaged(file.path, "a name in it is no text")
    return model


def has_valid_texts(message: Message) -> bool:
    """Whether no text in it is bytes, as which protobuf hands over what it cannot decode."""
    for field, value in message.ListFields():
        values = [value] if isinstance(value, Message | str | bytes) else value
        if field.type == field.TYPE_MESSAGE and not all(map(has_valid_texts, values)):
            return False
        if field.type == field.TYPE_STRING and any(isinstance(text, bytes) for text in values):
            return False
    return True


def _damaged(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(f"'{path}' is damaged: {reason}", hint="export it again")
