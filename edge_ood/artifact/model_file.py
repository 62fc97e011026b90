"""An artefact's file: read once, known by its hash, and looked into before anything runs it.

An artefact is one file: its weights are inside, its operators are ONNX's own, and it has no loop
and no function. onnxruntime would follow external data out of the folder, differently in each
version, so what the contract does not have is refused before a session opens. Only the structure is
visited; a tensor of any size costs one step.

Sources: protobuf's encoding guide (wire types); onnx.proto (field numbers).
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_ood.errors import ArtifactError
from edge_ood.files.regular import read_regular
from edge_ood.onnx_session import check_model_file

__all__ = ["ModelFile", "check_model_bytes"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT_BYTES, _LAST_BYTE = 10, 0x80
_DEEPEST = 100
"""Messages within messages, as protobuf's own readers allow."""

_HOLDS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "opset": {},
}
"""By message, the fields that hold messages."""

_OPERATOR, _NODE_DOMAIN, _OPSET_DOMAIN, _EXTERNAL_DATA, _DATA_LOCATION = 4, 7, 1, 13, 14
_OWN_DOMAINS = ("", "ai.onnx")
_LOOPS = ("Loop", "Scan")
_NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@dataclass(frozen=True)
class ModelFile:
    """A file as it was when it was read; what is done with it later is done with the same bytes.

    Attributes:
        path: Where it lies.
        sha256: Of its bytes, hexadecimal.
        n_bytes: Their number.
    """

    path: Path
    sha256: str
    n_bytes: int

    @classmethod
    def read(cls, path: Path) -> "tuple[ModelFile, bytes]":
        """The file and its bytes, which hold nothing that an artefact has not.

        Raises:
            ArtifactError: If it is missing, cannot be read, or `check_model_bytes` refuses it.
        """
        content = _read(path)
        check_model_bytes(content, str(path))
        return cls(path, hashlib.sha256(content).hexdigest(), len(content)), content

    def content(self) -> bytes:
        """Its bytes, read again.

        Raises:
            ArtifactError: If the file is gone, or no longer the one that was read.
        """
        content = _read(self.path)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise ArtifactError(
                f"'{self.path}' was replaced meanwhile: it is no longer the file that was read",
                hint="run the command again, on the file as it is now",
            )
        return content


def check_model_bytes(content: bytes, source: str) -> None:
    """Refuse an ONNX model that is more than one file of ONNX's own operators.

    Args:
        content: The model, as it lies on the disk.
        source: What messages call it.

    Raises:
        ArtifactError: If a tensor lies in another file or elsewhere in memory, an operator is a
            loop or of another domain, there are functions, or the bytes are no model at all.
    """
    try:
        _check(memoryview(content), "model", source, _DEEPEST)
    except (IndexError, ValueError) as error:
        raise ArtifactError(
            f"'{source}' is not a valid ONNX model: it is cut off or overwritten",
            hint="check the file, or export it again",
        ) from error


def _check(content: memoryview, kind: str, source: str, depth: int) -> None:
    if not depth:
        raise ValueError("messages within messages without end")
    holds = _HOLDS[kind]
    for number, value in _fields(content):
        inner = holds.get(number)
        if inner in ("function", "training"):
            raise _refused(source, f"it holds a {inner} of its own")
        if inner is not None:
            _check(_as_message(value), inner, source, depth - 1)
        elif kind == "node":
            _check_node(number, value, source)
        elif kind == "opset" and number == _OPSET_DOMAIN and _text(value) not in _OWN_DOMAINS:
            raise _refused(source, f"operators of the domain {_text(value)!r}")
        elif kind == "tensor":
            _check_tensor(number, value, source)


def _check_tensor(number: int, value: memoryview | int, source: str) -> None:
    if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value):
        raise _refused(source, "weights that lie outside the file")


def _check_node(number: int, value: memoryview | int, source: str) -> None:
    if number == _OPERATOR and _text(value) in _LOOPS:
        raise _refused(source, f"the operator {_text(value)!r}")
    if number == _NODE_DOMAIN and _text(value) not in _OWN_DOMAINS:
        raise _refused(source, f"an operator of the domain {_text(value)!r}")


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Numbers and values of a message's fields; ValueError or IndexError where it is none."""
    position, end = 0, len(content)
    while position < end:
        key, position = _varint(content, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(content, position)
            yield number, value
            continue
        if wire == _BYTES:
            width, position = _varint(content, position)
        elif wire in _WIDTHS:
            width = _WIDTHS[wire]
        else:
            raise ValueError(f"wire type {wire}")
        if width > end - position:
            raise ValueError("a field beyond the end")
        yield number, content[position : position + width]
        position += width


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    """A number, and where it ends."""
    if content[position] < _LAST_BYTE:  # as nearly all are
        return content[position], position + 1
    value = 0
    for place in range(_LONGEST_VARINT_BYTES):
        byte = content[position + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < _LAST_BYTE:
            return value, position + place + 1
    raise ValueError("a number without end")


def _as_message(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number in place of bytes")
    return value


def _text(value: memoryview | int) -> str:
    return str(_as_message(value), "utf-8", "backslashreplace")


def _refused(source: str, what: str) -> ArtifactError:
    return ArtifactError(
        f"'{source}' has {what}, which no artefact of edge-ood has",
        hint="export it again, or 'edge-ood attach' the classifier that it was made of",
    )


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        if isinstance(error, _NO_FILE):
            check_model_file(path)
        raise ArtifactError(
            f"cannot read '{path}': {error.strerror}", hint="check the path and its permissions"
        ) from error
