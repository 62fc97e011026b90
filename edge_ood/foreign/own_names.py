"""Class names that somebody else's file has in it: as labels of its ending, or in its metadata."""

import ast
import re
from collections.abc import Iterator, Sequence

import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edge_ood.images.class_names import same_form

__all__ = ["own_names"]

_ML_DOMAIN = "ai.onnx.ml"
_KEY = "names"
"""Under which ultralytics writes a Python dict, `{0: 'tench', 1: 'goldfish'}`, as text."""

_LARGEST_TEXT = 1 << 20
_LONGEST_NAME = 200
_FEWEST = 2

_STRING = r"""(?:'(?:[^'\\\n]|\\[^\n])*+'|"(?:[^"\\\n]|\\[^\n])*+")"""
_FLAT_DICT = re.compile(
    rf"""\{{(?:\s*['"]?\d{{1,9}}['"]?\s*:\s*{_STRING}\s*(?:,|(?=\}})))*+\s*\}}"""
)
"""Nothing nested: what Python's parser is given cannot exhaust it."""


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
