"""Numbers and hashes as JSON holds them: base64 that is checked when it is taken apart."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import InputError

__all__ = ["Manifest", "PackedArray", "unpack_numbers"]

_HASH_BYTES = 6
_MOST_HASHES = 50_000


@dataclass(frozen=True)
class Manifest:
    """Which images played one role: their number, and the first 6 bytes of content hashes.

    At most 50,000 hashes are kept, those with the smallest value.
    """

    count: int = 0
    hashes: str = ""

    def __post_init__(self) -> None:
        if self.count < 0 or len(_decoded(self.hashes)) % _HASH_BYTES:
            raise InputError("a manifest of image hashes is cut off")

    @classmethod
    def of(cls, content_hashes: Sequence[str]) -> "Manifest":
        """The manifest of images with these hexadecimal hashes."""
        kept = sorted({h[: 2 * _HASH_BYTES] for h in content_hashes})[:_MOST_HASHES]
        packed = base64.b64encode(bytes.fromhex("".join(kept))).decode()
        return cls(len(content_hashes), packed)

    def overlap(self, content_hashes: Sequence[str]) -> NDArray[np.bool_]:
        """Mask (N,) of the images whose hash is in the manifest."""
        packed = _decoded(self.hashes)
        known = {packed[i : i + _HASH_BYTES].hex() for i in range(0, len(packed), _HASH_BYTES)}
        return np.array([h[: 2 * _HASH_BYTES] in known for h in content_hashes], np.bool_)


@dataclass(frozen=True)
class PackedArray:
    """A float32 array as JSON: its shape, and base64 of its values."""

    shape: tuple[int, ...]
    values: str

    @classmethod
    def of(cls, array: NDArray[Any]) -> "PackedArray":
        """Pack an array of numbers that are float32 or small integers."""
        return cls(array.shape, base64.b64encode(array.astype("<f4").tobytes()).decode())

    def unpacked(self) -> NDArray[np.float32]:
        """The array, to the bit.

        Raises:
            InputError: If the values do not fill the shape.
        """
        numbers = unpack_numbers(self.values)
        if min(self.shape, default=0) < 1 or len(numbers) != math.prod(self.shape):
            raise InputError(f"{len(numbers)} numbers do not fill an array of {self.shape}")
        return numbers.reshape(self.shape)


def unpack_numbers(text: str) -> NDArray[np.float32]:
    """Float32 numbers from base64.

    Raises:
        InputError: If the text is damaged.
    """
    packed = _decoded(text)
    if len(packed) % np.dtype(np.float32).itemsize:
        raise InputError("an array of numbers is cut off")
    return np.frombuffer(packed, "<f4").astype(np.float32)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InputError(f"base64 is damaged: {error}") from error
