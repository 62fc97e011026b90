"""Class names that somebody else's file has in it, or a file beside it.

In it they are labels of its ending, or in its metadata; beside it, in Hugging Face's `config.json`.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edge_ood.errors import InputError
from edge_ood.files.document import parse_json
from edge_ood.files.regular import read_regular
from edge_ood.images.class_names import same_form

__all__ = ["OwnNames", "found_names", "own_names"]

_ML_DOMAIN = "ai.onnx.ml"
_KEY = "names"
"""Under which ultralytics writes a Python dict, `{0: 'tench', 1: 'goldfish'}`, as text."""

_CONFIG, _LABELS = "config.json", "id2label"
_WEIGHTS_FOLDER = "onnx"
"""Where repositories of models keep ONNX files, a level below `config.json`."""

_NO_NAME = re.compile(r"LABEL_\d+")
"""What transformers calls a class that nobody named."""

_LARGEST_CONFIG = 1 << 22
_LARGEST_TEXT = 1 << 20
_LONGEST_NAME = 200
_FEWEST = 2

_STRING = r"""(?:'(?:[^'\\\n]|\\[^\n])*+'|"(?:[^"\\\n]|\\[^\n])*+")"""
_FLAT_DICT = re.compile(
    rf"""\{{(?:\s*['"]?\d{{1,9}}['"]?\s*:\s*{_STRING}\s*(?:,|(?=\}})))*+\s*\}}"""
)
"""Nothing nested: what Python's parser is given cannot exhaust it."""


class OwnNames(NamedTuple):
    """What a file tells of its classes.

    Attributes:
        names: In the order of the outputs; empty if it does not tell.
        place: Where they stand, for the user.
    """

    names: tuple[str, ...] = ()
    place: str = ""


def found_names(model: onnx.ModelProto, path: Path) -> OwnNames:
    """The names of the classes: those in the file, else those that `config.json` beside it has.

    Args:
        model: As `edge_ood.graph.intake.read_model` gives it: untrusted, as is the other file.
            Whose number no output has are none of this model.
        path: Where the model lies.
    """
    if names := own_names(model):
        return OwnNames(names, "names in the file")
    folder = path.absolute().parent
    places = [_CONFIG, f"../{_CONFIG}"] if folder.name == _WEIGHTS_FOLDER else [_CONFIG]
    shapes = [value.type.tensor_type.shape.dim for value in model.graph.output]
    widths = {sizes[-1].dim_value for sizes in shapes if sizes}
    for place in places:
        found = _of_config(folder / place)
        if _are_names(found) and len(found) in widths and not all(map(_NO_NAME.fullmatch, found)):
            return OwnNames(tuple(found), f"{_LABELS!r} in '{place}' beside it")
    return OwnNames()


def _of_config(path: Path) -> Sequence[str]:
    """Names by number, as transformers writes them; empty if there are none, whatever is there."""
    try:
        found = parse_json(read_regular(path)) if path.stat().st_size <= _LARGEST_CONFIG else {}
    except (OSError, InputError):
        return []
    labels = found.get(_LABELS) if isinstance(found, Mapping) else None
    if not isinstance(labels, Mapping):
        return []
    names = [name for i in range(len(labels)) if isinstance(name := labels.get(str(i)), str)]
    return names if len(names) == len(labels) else []


def own_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """The names of the classes in the order of the outputs; empty if the file does not tell.

    Args:
        model: As `edge_ood.graph.intake.read_model` gives it: untrusted. Names that are not all
            different, empty, or longer than 200 characters count as none.
    """
    texts = [entry.value for entry in model.metadata_props if entry.key == _KEY]
    candidates = [*map(_of_text, texts), *map(list, _of_nodes(model.graph))]
    return next((tuple(names) for names in candidates if _are_names(names)), ())


def _are_names(names: Sequence[str]) -> bool:
    distinct = {same_form(name).strip() for name in names}
    sound = all(0 < len(name.strip()) <= _LONGEST_NAME for name in names)
    return sound and len(distinct) == len(names) >= _FEWEST


def _of_text(text: str) -> list[str]:
    """Names from a dict by number, as Python or JSON writes it."""
    if len(text) > _LARGEST_TEXT or not _FLAT_DICT.fullmatch(text.strip()):
        return []
    try:
        found = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError):  # such as an unfinished escape
        return []
    by_number = {int(key): name for key, name in found.items()}
    return [by_number[i] for i in range(len(by_number))] if _counts_up(by_number) else []


def _counts_up(numbers: dict[int, str]) -> bool:
    return sorted(numbers) == list(range(len(numbers)))


def _of_nodes(graph: onnx.GraphProto) -> Iterator[Sequence[str]]:
    """Labels of the operators of `ai.onnx.ml` that name classes, the plainest first."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.domain == _ML_DOMAIN]
    for node in (node for node in nodes if node.op_type == "ZipMap"):
        yield _listed(node, "classlabels_strings") or _listed(node, "classlabels_int64s")
    for node in (node for node in nodes if node.op_type == "LinearClassifier"):
        yield _listed(node, "classlabels_strings") or _listed(node, "classlabels_ints")
    for node in (node for node in nodes if node.op_type == "ArrayFeatureExtractor"):
        if node.input[0] in weights:
            yield _values(weights[node.input[0]])
    for node in (node for node in nodes if node.op_type == "LabelEncoder"):
        keys, names = _listed(node, "keys_int64s"), _listed(node, "values_strings")
        by_number = {int(key): name for key, name in zip(keys, names, strict=False)}
        if len(keys) == len(names) and _counts_up(by_number):
            yield [by_number[i] for i in range(len(by_number))]


def _listed(node: NodeProto, name: str) -> list[str]:
    found = [helper.get_attribute_value(a) for a in node.attribute if a.name == name]
    return [_text(value) for value in found[0]] if found else []


def _values(tensor: TensorProto) -> list[str]:
    if tensor.data_type == TensorProto.STRING:
        return [_text(value) for value in tensor.string_data]
    if tensor.data_type in (TensorProto.INT32, TensorProto.INT64):
        return [_text(value) for value in numpy_helper.to_array(tensor).ravel()]
    return []


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
