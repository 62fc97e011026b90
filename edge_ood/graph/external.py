"""Weights that a classifier keeps in other files, which lie where the classifier lies.

The file is untrusted, and could name any file of this machine: what it names has to lie below the
file's own folder. The caches of model hubs have links there, to blobs of the same cache; those are
followed, and no others.

Source: `huggingface_hub`, "Understand caching" (`blobs` and `snapshots` of one cache folder).
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from onnx import ModelProto, TensorProto
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from edge_ood.errors import ArtifactError
from edge_ood.files.paths import is_file
from edge_ood.graph.sanity import all_nodes

__all__ = ["read_external_data"]

_NAMES, _CONTENTS = "snapshots", "blobs"
"""The two folders of a hub's cache: links by their names, and the files that they lead to."""

_LONGEST_SHOWN = 200


def read_external_data(model: ModelProto, path: Path) -> None:
    """Put the weights that lie in other files into a model, in place.

    Args:
        model: As it was read, its names checked.
        path: The file that it was read from.

    Raises:
        ArtifactError: If a file of weights is none beside the model, or is missing.
        ValueError: As onnx raises it, if such a file is too short or described by no numbers.
        OSError: If it cannot be read.
    """
    for tensor in _tensors(model):
        if uses_external_data(tensor):
            target = _target(_location(tensor), path)
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = target.name
            load_external_data_for_tensor(tensor, str(target.parent))


def _target(location: str, path: Path) -> Path:
    """The file of weights itself, reached through links or not."""
    parts = PurePosixPath(location).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise _refused(path, location, "which is no place beside it")
    folder = Path(os.path.realpath(path.parent))
    named = folder / location
    target = Path(os.path.realpath(named))
    if target != named and not _is_blob(target, folder):
        raise _refused(path, location, f"a link to '{target}'")
    if not is_file(target):
        raise _refused(path, location, "where there is no regular file")
    return target


def _is_blob(target: Path, folder: Path) -> bool:
    """Whether a file is the content of some name in the same cache of a model hub as a folder."""
    names = (inner for inner in (folder, *folder.parents) if inner.name == _NAMES)
    return any(target.is_relative_to(inner.parent / _CONTENTS) for inner in names)


def _location(tensor: TensorProto) -> str:
    # Of several, onnx takes the last.
    return next((str(e.value) for e in reversed(tensor.external_data) if e.key == "location"), "")


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """All constants of a model, those inside nodes and functions included."""
    yield from model.graph.initializer
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in all_nodes(nodes):
            for part in node.attribute:
                yield from [part.t] if part.HasField("t") else part.tensors
                for graph in [part.g] if part.HasField("g") else part.graphs:
                    yield from graph.initializer


def _refused(path: Path, location: str, what: str) -> ArtifactError:
    return ArtifactError(
        f"'{path}' has weights in {location[:_LONGEST_SHOWN]!r}, {what}",
        hint="copy both files, not links to them, into one folder",
    )
