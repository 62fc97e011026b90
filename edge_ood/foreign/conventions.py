"""What somebody else's network takes for an image, and the network as it came.

The file itself runs on arrays made with NumPy: nothing in it is changed yet.
"""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edge_ood.errors import ArtifactError, InputError
from edge_ood.graph.adopt import CHANNELS, channel_matrix
from edge_ood.graph.intake import LAYOUTS, ImageInput
from edge_ood.graph.own_part import cut_to
from edge_ood.images.preprocess import Preprocess
from edge_ood.onnx_session import open_session, translated_errors
from edge_ood.threads import Meter, image_batch, slices

__all__ = [
    "PIXELS",
    "Convention",
    "ForeignClassifier",
    "ForeignNetwork",
    "conventions_of",
]

RGB = tuple[float, float, float]

PIXELS: Mapping[str, tuple[RGB, RGB]] = {
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "byte": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    "signed": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and std by name: pixels become [0, 1], [0, 255], [-1, 1], or what ImageNet networks take."""

_NO_KERNEL = re.compile(r"implementation for (?P<operator>\w+).* node with name '(?P<node>.*)'")
_ODD_TYPES = {TensorProto.DOUBLE: "float64", TensorProto.BFLOAT16: "bfloat16"}

_GIVEN = "given"


@dataclass(frozen=True)
class ForeignClassifier:
    """An ONNX classifier as its owner describes it.

    Attributes:
        path: The file.
        channels: What it takes: `rgb`, `bgr` or `gray`; None for gray where it has one channel.
        layout: `nchw` or `nhwc`; None for what its input's sizes say.
        pixels: A name in `PIXELS`; None to let labelled images tell.
        mean: Per RGB channel, in units of [0, 1] pixel values, in place of `pixels`.
        std: Per RGB channel, in the same units.
        size_px: Side of its input, where the file leaves it open.
        resize: `center-crop` or `stretch`.
        crop: Share of the resized side that it sees; None to let labelled images tell, else 1.
        interpolation: `bilinear` or `bicubic`; None to let labelled images tell, else the first.
        logits: Name of the tensor to take for its output; None to search.
        features: Names of tensors to take for features; empty to search.

    Raises:
        InputError: If an option has no such value, or two contradict each other.
    """

    path: Path
    channels: str | None = None
    layout: str | None = None
    pixels: str | None = None
    mean: RGB | None = None
    std: RGB | None = None
    size_px: int | None = None
    resize: str = "center-crop"
    crop: float | None = None
    interpolation: str | None = None
    logits: str | None = None
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value, known in (
            ("channels", self.channels, CHANNELS),
            ("layout", self.layout, LAYOUTS),
            ("pixels", self.pixels, tuple(PIXELS)),
        ):
            if value not in (None, *known):
                raise InputError(f"{name} {value!r}, expected one of {', '.join(known)}")
        if (self.mean is None) != (self.std is None) or (self.mean and self.pixels):
            raise InputError(
                "mean and std belong together, and stand in place of pixels",
                hint="give --mean and --std, or --pixels",
            )
        if self.channels == "gray" and len({*(self.mean or (0,))}) + len({*(self.std or (1,))}) > 2:
            raise InputError(
                f"mean {self.mean} and std {self.std} of grey pixels, expected one number each",
                hint="--mean 0.5 --std 0.5",
            )
        self.preprocess(self.size_px or 1)

    @property
    def open_geometry(self) -> tuple[str, ...]:
        """What is left open of how images are resized: `crop`, `interpolation`."""
        return tuple(n for n in ("crop", "interpolation") if getattr(self, n) is None)

    def preprocess(self, size_px: int) -> Preprocess:
        """As far as it is described, with the plain choice for the rest."""
        return Preprocess(
            size_px,
            self.mean or (0, 0, 0),
            self.std or (1, 1, 1),
            self.resize,
            crop=Preprocess.crop if self.crop is None else self.crop,
            interpolation=self.interpolation or Preprocess.interpolation,
        )


@dataclass(frozen=True)
class Convention:
    """How a network takes its images.

    Attributes:
        preprocess: Size, resizing, and mean and std in RGB order.
        channels: `rgb`, `bgr` or `gray`.
        entry: Name, type and layout of its input.
        pixels: A name in `PIXELS`, or `given` for a mean and std of the user's own.
    """

    preprocess: Preprocess
    channels: str
    entry: ImageInput
    pixels: str = _GIVEN

    def with_pixels(self, name: str) -> "Convention":
        """The same with another mean and std."""
        mean, std = PIXELS[name]
        return replace(self, preprocess=replace(self.preprocess, mean=mean, std=std), pixels=name)

    def array(self, pixels: NDArray[np.uint8]) -> NDArray[np.generic]:
        """What the network takes, of uint8 images (N, S, S, 3) in RGB."""
        planes = self.preprocess.normalise(pixels)
        matrix = channel_matrix(self.channels, self.entry.channels)
        mixed = np.einsum("kc,nchw->nkhw", matrix, planes)
        laid = mixed if self.entry.layout == "nchw" else mixed.transpose(0, 2, 3, 1)
        dtype = helper.tensor_dtype_to_np_dtype(self.entry.elem_type)
        rounded = np.rint(laid) if self.entry.elem_type == TensorProto.UINT8 else laid
        return np.ascontiguousarray(rounded, dtype)

    def difference(self, other: "Convention") -> str:
        """The options that lead from `other` to this one."""
        options = {
            "--channels": (self.channels, other.channels),
            "--layout": (self.entry.layout, other.entry.layout),
            "--pixels": (self.pixels, other.pixels),
        }
        return " ".join(f"{name} {own}" for name, (own, theirs) in options.items() if own != theirs)


def conventions_of(source: ForeignClassifier, entry: ImageInput) -> list[Convention]:
    """The convention that was described, or one for each way to normalise pixels.

    Raises:
        InputError: If the channels do not fit the input.
    """
    channels = source.channels or ("gray" if entry.channels == 1 else "rgb")
    if channels != "gray" and entry.channels == 1:
        raise InputError(
            f"input {entry.name!r} takes one channel, got --channels {channels}",
            hint="--channels gray",
        )
    pixels = source.pixels
    if entry.elem_type == TensorProto.UINT8 and not source.mean:
        pixels = pixels or "byte"
    if channels == "gray" and pixels == "imagenet":
        raise InputError(
            "--pixels imagenet has one mean for each colour, got --channels gray",
            hint="--mean 0.45 --std 0.226, or as in its training",
        )
    base = Convention(source.preprocess(entry.size_px), channels, entry)
    if source.mean and source.std:
        return [base]
    names = [pixels] if pixels else [n for n in PIXELS if channels != "gray" or n != "imagenet"]
    return [base.with_pixels(name) for name in names]


class ForeignNetwork:
    """A classifier as its file has it, in onnxruntime.

    Args:
        model: With all its weights.
        output: Name of the tensor to read, one row an image.
        batch: The number of images that it is fixed to, or None.
        provider: `auto`, `cpu` or `cuda`.
        on_progress: Called in each call with how many images are done, and of how many.

    Raises:
        ArtifactError: If onnxruntime cannot load it.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        output: str,
        batch: int | None,
        provider: str,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.provider = provider
        self._model, self._output = model, output
        self._session = self._open()
        self._batch = batch
        self._on_progress = on_progress

    def __call__(self, pixels: NDArray[np.uint8], convention: Convention) -> NDArray[np.float64]:
        """Rows (N, K) of uint8 images (N, S, S, 3).

        Raises:
            ArtifactError: If it cannot run.
        """
        size = self._batch or image_batch(pixels.shape[1])
        meter = Meter(len(pixels), self._on_progress)
        parts = []
        for part in slices(len(pixels), size):
            parts.append(self._run(convention.array(pixels[part]), convention.entry.name))
            meter.advance(len(parts[-1]))
        return np.concatenate(parts)

    def node_by_node(self) -> "ForeignNetwork":
        """The same without the rewriting that a session does."""
        plain = copy.copy(self)
        plain._session = self._open(optimised=False)
        return plain

    def _open(self, *, optimised: bool = True) -> Any:  # of onnxruntime, which is loaded late
        used = cut_to(self._model, [self._output])
        content = used.SerializeToString()
        try:
            return open_session(content, provider=self.provider, optimised=optimised)
        except ArtifactError as error:
            raise _cannot_run(error, used) from error

    def _run(self, images: NDArray[np.generic], entry: str) -> NDArray[np.float64]:
        count = len(images)
        if self._batch:
            images = images[np.arange(self._batch) % count]  # repeated to fill the batch
        with translated_errors("the model cannot run on these images"):
            (found,) = self._session.run([self._output], {entry: images})
        rows: NDArray[np.float64] = np.asarray(found, np.float64).reshape(len(images), -1)[:count]
        return rows


def _cannot_run(error: ArtifactError, model: onnx.ModelProto) -> ArtifactError:
    """The error, or what is missing in onnxruntime where that is what it is about."""
    missing = _NO_KERNEL.search(str(error))
    if missing is None:
        return error
    kinds = {tensor.data_type for tensor in model.graph.initializer} & _ODD_TYPES.keys()
    found = "".join(f" for {_ODD_TYPES[kind]}" for kind in sorted(kinds))
    node = f" (node {missing['node']!r})" if missing["node"] else ""
    return ArtifactError(
        f"onnxruntime has no {missing['operator']}{found}{node}",
        hint="export the classifier in float32",
    )
