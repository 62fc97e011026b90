"""Models that give what an artefact computes on its way to a score, made in memory.

Nothing is stored for them: they are the file's own nodes, with other inputs and outputs.
"""

from collections.abc import Callable, Iterable, Mapping

import onnx
from onnx import NodeProto, TensorProto, helper

from edge_ood.graph.draft import Draft, drop_unused, finish, start
from edge_ood.graph.network import CLASSIFIER_PREFIX, PREPROCESSED

__all__ = ["CLASS_INDEX", "with_chosen_class", "with_gradients"]

CLASS_INDEX = "class_index"
"""Input of `with_chosen_class`: int64 (K,), the classes to measure the distance to."""

_GRADIENT_PREFIX = f"{PREPROCESSED}/gradient_"


def with_chosen_class(model: onnx.ModelProto, head: str) -> onnx.ModelProto | None:
    """The score of a head for classes of the caller's choice, in place of the nearest one.

    The head finds its nearest class by an ArgMin, one for each layer, and measures the distance to
    it. Here the class comes from outside; of one image, K classes give K distances.

    Args:
        model: An artefact; stays as it is.
        head: A score that is a distance to the nearest class, such as `mahalanobis`.

    Returns:
        A model with the inputs of the artefact and `CLASS_INDEX`, and the output `head` (K,); None
        if the score does not come about like that.
    """
    made_by = _made_by(model.graph.node)
    nearest = [
        name
        for name in _before([head], made_by, lambda name: _is_of_a_pass(name, head))
        if name in made_by and made_by[name].op_type == "ArgMin"
    ]
    if not nearest:
        return None
    draft = start(model)
    draft.rename(dict.fromkeys(nearest, CLASS_INDEX))
    draft.inputs[CLASS_INDEX] = helper.make_tensor_value_info(CLASS_INDEX, TensorProto.INT64, ["K"])
    return _finished(model, draft, {head: ["K"]})


def with_gradients(model: onnx.ModelProto, head: str) -> onnx.ModelProto | None:
    """The gradients by the network's input that a head moves an image against.

    Args:
        model: An artefact; stays as it is.
        head: A score.

    Returns:
        A model with the inputs of the artefact and one output or several, each float32
        (N, 3, S, S); None if the head moves no image.
    """
    made_by = _made_by(model.graph.node)
    prefix = f"{head}/"
    second_pass = [n for n in model.graph.node if any(o.startswith(prefix) for o in n.output)]
    entries = {name for node in second_pass for name in node.input if not name.startswith(prefix)}

    def is_end(name: str) -> bool:
        return name.startswith((_GRADIENT_PREFIX, CLASSIFIER_PREFIX)) or name == PREPROCESSED

    before = _before(sorted(entries), made_by, is_end)
    found = [name for name in before if name.startswith(_GRADIENT_PREFIX)]
    return _finished(model, start(model), {n: ["N", 3, "S", "S"] for n in found}) if found else None


def _is_of_a_pass(name: str, head: str) -> bool:
    """Whether the network computes it, of the image or of the one that the head moved."""
    return name.startswith((CLASSIFIER_PREFIX, f"{head}/"))


def _made_by(nodes: Iterable[NodeProto]) -> dict[str, NodeProto]:
    return {name: node for node in nodes for name in node.output}


def _before(
    names: Iterable[str], made_by: Mapping[str, NodeProto], is_end: Callable[[str], bool]
) -> list[str]:
    """Tensors that these need, themselves included; what an end needs is left out."""
    pending, found = list(names), dict[str, None]()
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found[name] = None
        if name in made_by and not is_end(name):
            pending.extend(filter(None, made_by[name].input))
    return list(found)


def _finished(
    model: onnx.ModelProto, draft: Draft, outputs: Mapping[str, list[int | str]]
) -> onnx.ModelProto:
    """The draft with these float32 outputs alone; sizes in between are no longer declared."""
    draft.outputs = list(outputs)
    drop_unused(draft)
    result = finish(model, draft)
    del result.graph.output[:]
    del result.graph.value_info[:]
    result.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in outputs.items()
    )
    return result
