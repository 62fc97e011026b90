"""Trained weights: tensors by name, and nothing that would have to be run.

`*.safetensors` is read as such; anything else as a state dict that `torch.save` wrote, by torch's
restricted reader, which refuses every object but tensors and plain containers.
"""

import hashlib
import io
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from edge_ood.errors import ArtifactError
from edge_ood.files.regular import read_regular

__all__ = ["UNUSED", "Weights", "load_into", "read_weights", "unwrapped"]

_SAVE = "save the weights alone: torch.save(network.state_dict(), FILE)"
_WRAPPERS = ("state_dict", "model_state_dict", "model", "ema")
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel, of torch.compile
UNUSED = ".num_batches_tracked"  # counts training steps; old files lack it
# What torch's reader raises on damage, depending on the format and the place.
_DAMAGE = (
    AttributeError,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")


@dataclass(frozen=True)
class Weights:
    """Tensors by name, as a file holds them.

    Attributes:
        called: What messages call them, such as the file.
        sha256: Of the file's bytes, or of the values where there is no file, hexadecimal.
        arrays: The tensors, without wrappers.
        versions: torch's record of the modules' versions, where the file has it.
        notes: What was unwrapped, one sentence each.
    """

    called: str
    sha256: str
    arrays: Mapping[str, Tensor]
    versions: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def read_weights(path: Path) -> Weights:
    """Read a file of weights; no code in it is run.

    A state dict may lie under `state_dict`, `model_state_dict`, `model` or `ema`, the first of them
    that there is, and again below that; all its names may begin with `module.` and `_orig_mod.`:
    both are taken off. See `unwrapped` for other prefixes.

    Raises:
        ArtifactError: If the file cannot be read, is damaged, or holds anything but tensors.
    """
    try:
        payload = read_regular(path)
    except OSError as error:
        raise ArtifactError(
            f"cannot read '{path}': {error.strerror}", hint="check the path"
        ) from error
    document = _document(path, payload)
    notes = []
    while wrappers := [key for key in _WRAPPERS if isinstance(document.get(key), Mapping)]:
        notes.append(f"'{path}' holds more than weights; those under {wrappers[0]!r} are taken")
        document = document[wrappers[0]]
    for name, value in document.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ArtifactError(
                f"'{path}' has {type(value).__name__!r} under {name!r}, expected tensors by name",
                hint=_SAVE,
            )
    if not document:
        raise ArtifactError(f"'{path}' holds no weights", hint="check the path")
    versions = getattr(document, "_metadata", None)
    found = Weights(
        f"'{path}'", hashlib.sha256(payload).hexdigest(), document, versions, tuple(notes)
    )
    return _without_prefixes(found)


def load_into(network: nn.Module, weights: Weights, classes: int) -> None:
    """Fill a network with weights, all of them or none.

    Args:
        network: Untrained, for K classes.
        weights: Under the network's own names.
        classes: K, the number of class folders.

    Raises:
        ArtifactError: If a weight is missing, unexpected or of another shape; where that is the
            number of classes, the error says so.
    """
    wanted = network.state_dict()
    shapes = {
        name: (tuple(array.shape), tuple(wanted[name].shape))
        for name, array in weights.arrays.items()
        if name in wanted and array.shape != wanted[name].shape
    }
    if shapes:
        raise _other_shapes(weights, shapes, classes)
    state = OrderedDict(weights.arrays)
    # Modules translate what older versions of themselves wrote, if they are told the version.
    state._metadata = weights.versions or wanted._metadata  # type: ignore[attr-defined]
    try:
        result = network.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{weights.called} does not fit: {reason}") from error
    missing = [name for name in result.missing_keys if not name.endswith(UNUSED)]
    if missing or result.unexpected_keys:
        found = ", ".join(
            f"{len(names)} of {total} weights {word}, such as {names[0]!r}"
            for word, names, total in (
                ("missing", missing, len(wanted)),
                ("unexpected", result.unexpected_keys, len(weights.arrays)),
            )
            if names
        )
        raise ArtifactError(
            f"{weights.called} belongs to another network: {found}",
            hint="give the --model, with its parameters, that the weights were trained in",
        )


def _document(path: Path, payload: bytes) -> Mapping[Any, Any]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(payload)
        with warnings.catch_warnings(action="ignore"):  # of rare, but sound ways to write a file
            document = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = _REFUSED.search(str(error))
        found = f"it holds {refused[1]!r}" if refused else "it cannot be read as a state dict"
        raise ArtifactError(
            f"'{path}' is no file of weights alone: {found}, and nothing in it was run", hint=_SAVE
        ) from error
    except (*_DAMAGE, safetensors.SafetensorError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ArtifactError(
            f"'{path}' is damaged: {reason}", hint="save or copy it again"
        ) from error
    if not isinstance(document, Mapping):
        raise ArtifactError(
            f"'{path}' holds a value of type {type(document).__name__!r}, expected weights by name",
            hint=_SAVE,
        )
    return document


def unwrapped(weights: Weights, wanted: Collection[str]) -> Weights:
    """The weights without the names of modules that were put around the network.

    A prefix that all names share is taken off, again and again, as long as no name is one of the
    network's: `model.`, `net.` or `module.backbone.` alike. A network whose own names begin so
    keeps them.

    Args:
        weights: As they were read.
        wanted: The network's own names.
    """
    while not any(name in wanted for name in weights.arrays):
        prefixes = {name.partition(".")[0] for name in weights.arrays}
        if len(prefixes) > 1 or not all("." in name for name in weights.arrays):
            break
        weights = _without(weights, f"{prefixes.pop()}.")
    return weights


def _without_prefixes(weights: Weights) -> Weights:
    """Without the prefixes that torch itself puts before names, in whatever order they stand."""
    shared = [p for p in _PREFIXES if all(name.startswith(p) for name in weights.arrays)]
    return _without_prefixes(_without(weights, shared[0])) if shared else weights


def _without(weights: Weights, prefix: str) -> Weights:
    versions = weights.versions and {
        name.removeprefix(prefix): value
        for name, value in weights.versions.items()
        if f"{name}." != prefix
    }
    return replace(
        weights,
        arrays={name.removeprefix(prefix): a for name, a in weights.arrays.items()},
        versions=versions,
        notes=(*weights.notes, f"{prefix!r} is taken off the names in {weights.called}"),
    )


def _other_shapes(
    weights: Weights, shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], classes: int
) -> ArtifactError:
    """One error for weights of other shapes; a last layer for other classes is told by all rows."""
    rows = {(have[:1], want[:1]) for have, want in shapes.values() if have[1:] == want[1:]}
    same_rest = all(have[1:] == want[1:] for have, want in shapes.values())
    if same_rest and len(rows) == 1 and next(iter(rows))[1] == (classes,):
        trained = next(iter(rows))[0][0]
        return ArtifactError(
            f"{weights.called} was trained on {trained} classes, got {classes}",
            hint=f"--train needs the {trained} folders, in the order of the outputs when sorted;"
            " --classes FILE names those that have none",
        )
    name, (have, want) = next(iter(shapes.items()))
    return ArtifactError(
        f"{weights.called} belongs to another network: {len(shapes)} of {len(weights.arrays)} "
        f"weights differ in shape, such as {name!r} {have}, expected {want}",
        hint="give the --model, with its parameters, that the weights were trained in",
    )
