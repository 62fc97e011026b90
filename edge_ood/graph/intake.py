"""Somebody else's ONNX file in one normal form: nothing outside it, our opset, the batch open.

The file is untrusted: weights beside it are read from its own folder only, and whatever onnxruntime
could not run everywhere is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import (
    TensorProto,
    ValueInfoProto,
    helper,
    inliner,
    version_converter,
)

from edge_ood.artifact.metadata import METADATA_KEY
from edge_ood.errors import ArtifactError, ExportError, InputError
from edge_ood.graph.array import OPSET
from edge_ood.graph.branches import decide_branches
from edge_ood.graph.draft import finish, start
from edge_ood.graph.external import read_external_data
from edge_ood.graph.loading import has_valid_texts
from edge_ood.graph.open_batch import open_batch
from edge_ood.graph.order import sort_nodes
from edge_ood.graph.own_part import own_part
from edge_ood.graph.sanity import first_absurdity, shortened
from edge_ood.graph.shapes import PROBED_BATCHES
from edge_ood.graph.versions import check_versions, lower_ir_version, opset_version
from edge_ood.images.preprocess import LARGEST_SIZE_PX
from edge_ood.onnx_session import check_model_file

__all__ = ["LAYOUTS", "ImageInput", "image_input", "normal_form", "read_model"]

LAYOUTS = ("nchw", "nhwc")

_CHANNELS = (1, 3)
_ELEMENT_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8)
_BATCH = "N"
_LARGEST_BATCH = 4096
"""Images at a time that a model may be fixed to: as many are made to try it."""
_IMAGES = "images (N, 3, S, S) or (N, S, S, 3)"


@dataclass(frozen=True)
class ImageInput:
    """The one input of an image classifier.

    Attributes:
        name: Of the input.
        elem_type: `TensorProto.DataType`: a float type, or uint8.
        layout: `nchw` or `nhwc`.
        channels: 3, or 1 for grey.
        size_px: Side of the square image.
        batch: The number of images that it is fixed to, or None.
    """

    name: str
    elem_type: int
    layout: str
    channels: int
    size_px: int
    batch: int | None

    def described(self) -> str:
        """Element type and shape, such as `float32 (N, 3, 224, 224)`."""
        name = helper.tensor_dtype_to_np_dtype(self.elem_type).name
        return f"{name} ({', '.join(map(str, self.shape(self.batch or _BATCH)))})"

    def shape(self, batch: int | str) -> list[int | str]:
        """Sizes for some number of images."""
        plane: list[int | str] = [self.size_px, self.size_px]
        if self.layout == "nchw":
            return [batch, self.channels, *plane]
        return [batch, *plane, self.channels]


def read_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX file with the weights beside it, local functions put in place.

    Args:
        path: Untrusted; weights are read from files in its own folder only.

    Raises:
        ArtifactError: If it is missing, no valid ONNX model, or an artefact, or weights of it lie
            elsewhere.
        ExportError: If it has sparse weights.
    """
    check_model_file(path)
    try:
        model = _checked(path)
    except DecodeError as error:
        raise _invalid(path, "it cannot be parsed") from error
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise _invalid(path, shortened(str(error))) from error
    except OSError as error:
        where = f": '{error.filename}'" if error.filename else ""
        raise _invalid(path, f"{error.strerror or error}{where}") from error
    if model.graph.sparse_initializer:
        raise ExportError(
            f"'{path}' has sparse weights, expected dense ones", hint="export it with dense weights"
        )
    if model.functions:
        model = inliner.inline_local_functions(model)
    lower_ir_version(model)
    return model


def image_input(
    model: onnx.ModelProto, *, layout: str | None = None, size_px: int | None = None
) -> ImageInput:
    """The one input of a model, which takes square images.

    Args:
        model: As `read_model` gives it.
        layout: `nchw` or `nhwc`; None for what the sizes say.
        size_px: Side of the image where the model leaves it open.

    Raises:
        InputError: If there are several inputs, the one is no image, or the options and the model
            contradict each other.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(repr(value.name) for value in inputs) or "none"
        raise InputError(
            f"the model has {len(inputs)} inputs ({names}), expected one that takes images",
            hint="export the image classifier alone",
        )
    (value,) = inputs
    sizes = _sizes(value)
    elem_type = int(value.type.tensor_type.elem_type)
    if sizes is None or len(sizes) != 4 or elem_type not in _ELEMENT_TYPES:
        raise InputError(
            f"input {value.name!r} is {_described(value)}, expected {_IMAGES}",
            hint="edge-ood attaches to image classifiers",
        )
    found = layout or _layout(value, sizes)
    channels, height, width = (sizes[i] for i in ((1, 2, 3) if found == "nchw" else (3, 1, 2)))
    if channels not in (None, *_CHANNELS):
        raise InputError(
            f"input {value.name!r} is {_described(value)}, expected 1 or 3 channels in {found}",
            hint=f"--layout {LAYOUTS[found == LAYOUTS[0]]}",
        )
    side = _side(value, height, width, size_px)
    if side > LARGEST_SIZE_PX or (sizes[0] or 1) > _LARGEST_BATCH:
        raise InputError(
            f"input {value.name!r} is {_described(value)}, expected at most {_LARGEST_BATCH} "
            f"images of {LARGEST_SIZE_PX} px",
            hint="export it with a dynamic batch and the size it was trained at",
        )
    return ImageInput(value.name, elem_type, found, channels or 3, side, sizes[0])


def normal_form(
    model: onnx.ModelProto, entry: ImageInput, *, logits: str | None = None
) -> onnx.ModelProto:
    """The same classifier in opset 18 or newer, with any number of images at a time.

    Branches that are the same for every image are decided, and nothing is left of what needs
    operators of other domains; see `own_part`.

    Args:
        model: As `read_model` gives it; stays as it is.
        entry: Its input.
        logits: The tensor that is its answer, where somebody named it.

    Raises:
        ExportError: If onnx cannot convert it, its batch cannot be opened, or its answer needs
            operators that onnxruntime does not have everywhere.
    """
    model = own_part(model, logits=logits)
    version = opset_version(model)
    if version < OPSET:
        try:
            model = version_converter.convert_version(model, OPSET)
        except (version_converter.ConvertError, RuntimeError) as error:
            reason = shortened(str(error))
            raise ExportError(
                f"onnx cannot convert the model from opset {version} to {OPSET}: {reason}",
                hint=f"export it with opset {OPSET}",
            ) from error
    draft = start(model)
    draft.inputs = {entry.name: _declared(entry, entry.batch or _BATCH)}
    decide_branches(draft)
    draft.inputs = {entry.name: _declared(entry, _BATCH)}
    if entry.batch is not None:
        facts = open_batch(draft, entry.batch)
        if not any((facts.extents(name) or (0,))[0] == PROBED_BATCHES for name in draft.outputs):
            raise ExportError(
                f"the model is fixed to {entry.batch} image(s) at a time, and its outputs do not "
                "follow another number",
                hint="export it with a dynamic batch",
            )
    opened = finish(model, draft)
    del opened.graph.value_info[:]  # they know the old batch, as do the outputs
    for value in opened.graph.output:
        for size in value.type.tensor_type.shape.dim:
            size.Clear()
    del opened.opset_import[:]
    opened.opset_import.add(domain="", version=opset_version(model))
    return opened


def _checked(path: Path) -> onnx.ModelProto:
    """The model of a file, as long as nothing in it is odd; onnx's own errors are raw."""
    # A named format: onnx would infer another from an ending such as .json.
    model = onnx.load(path, format="protobuf", load_external_data=False)
    if not has_valid_texts(model):
        raise _invalid(path, "a name in it is no text")
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise ArtifactError(
            f"'{path}' is an edge-ood artefact already",
            hint="'edge-ood calibrate' gives it new thresholds; attach to the classifier",
        )
    if absurdity := first_absurdity(model):
        raise _invalid(path, absurdity)
    check_versions(model, path)
    if circle := sort_nodes(model):
        raise _invalid(path, circle)
    read_external_data(model, path)
    onnx.checker.check_model(model)
    return model


def _declared(entry: ImageInput, batch: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(entry.name, entry.elem_type, entry.shape(batch))


def _layout(value: ValueInfoProto, sizes: Sequence[int | None]) -> str:
    first, last = sizes[1] in _CHANNELS, sizes[3] in _CHANNELS
    if first == last:
        if not (first or sizes[1] is None or sizes[3] is None):
            raise InputError(
                f"input {value.name!r} is {_described(value)}, expected {_IMAGES}",
                hint="edge-ood attaches to classifiers of RGB or grey images",
            )
        raise InputError(
            f"input {value.name!r} is {_described(value)}, which does not say where the channels "
            "are",
            hint="--layout nchw (PyTorch) or --layout nhwc (Keras)",
        )
    return "nchw" if first else "nhwc"


def _side(value: ValueInfoProto, height: int | None, width: int | None, size_px: int | None) -> int:
    fixed = {size for size in (height, width) if size is not None}
    if len(fixed) > 1:
        raise InputError(
            f"input {value.name!r} is {_described(value)}, expected square images",
            hint="export the classifier for S x S px",
        )
    if not fixed and size_px is None:
        raise InputError(
            f"input {value.name!r} is {_described(value)}, which leaves the image size open",
            hint="--image-size as in its training, such as 224",
        )
    if fixed and size_px not in (None, *fixed):
        raise InputError(
            f"input {value.name!r} is {_described(value)}, got --image-size {size_px}",
            hint="leave --image-size out: the model fixes it",
        )
    return fixed.pop() if fixed else int(size_px or 0)


def _sizes(value: ValueInfoProto) -> list[int | None] | None:
    """Sizes of a tensor, None for one that is open; None if it is no tensor of known rank."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return [d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim]


def _described(value: ValueInfoProto) -> str:
    """Element type and shape for a message, such as `float32 (N, 3, 224, 224)`."""
    sizes = _sizes(value)
    if not value.type.HasField("tensor_type"):
        return "no tensor"
    name = TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    shown = {"float": "float32", "double": "float64"}.get(name, name)
    if sizes is None:
        return f"{shown} of unknown rank"
    return f"{shown} ({', '.join('?' if size is None else str(size) for size in sizes)})"


def _invalid(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(
        f"'{path}' is not a valid ONNX model: {reason}",
        hint="give an ONNX file, its weights beside it as files, not as links; export it again",
    )
