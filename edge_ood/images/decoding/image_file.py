"""Reading one file that may be anything: a video, a pipe, a link to itself, a terabyte of zeros."""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edge_ood.errors import DataError
from edge_ood.files.regular import open_regular
from edge_ood.files.stored import AnyImage, StoredImage
from edge_ood.images.decoding.memory import FILES
from edge_ood.images.decoding.signatures import SIGNATURE_BYTES, check_is_decoded

__all__ = ["image_payload", "read_image_file"]

_MOST_BYTES = 2**30


@contextmanager
def image_payload(path: AnyImage) -> Iterator[bytes]:
    """As `read_image_file`, with the bytes counted as memory in use as long as the block runs."""
    if isinstance(path, StoredImage):
        with _stored_payload(path) as payload:
            yield payload
        return
    with ExitStack() as held:
        with _refusals(path):
            _check_no_folder(path)
            stream = held.enter_context(open_regular(path))
            check_is_decoded(stream.read(SIGNATURE_BYTES) or b"", f"'{path}'")
            size = os.fstat(stream.fileno()).st_size
            if size > _MOST_BYTES:
                raise _too_large(path, f"{size} bytes, at most {_MOST_BYTES} are read")
            held.enter_context(FILES.reserved(size))
            stream.seek(0)
            # As long as it was: what is written to it meanwhile may never end.
            payload = stream.read(size) or b""
        yield payload


@contextmanager
def _stored_payload(image: StoredImage) -> Iterator[bytes]:
    with ExitStack() as held:
        with _refusals(image):
            if image.size > _MOST_BYTES:
                raise _too_large(image, f"{image.size} bytes, at most {_MOST_BYTES} are read")
            held.enter_context(FILES.reserved(image.size))
            payload = image.read()
            check_is_decoded(payload[:SIGNATURE_BYTES], f"'{image}'")
        yield payload


def read_image_file(path: AnyImage) -> bytes:
    """The bytes of an image file; of what is no image only the beginning is read.

    Raises:
        DataError: If the file cannot be read, is none that is decoded, or is too large to be one;
            its `status` is the word for a score table.
    """
    with image_payload(path) as payload:
        return payload


@contextmanager
def _refusals(path: AnyImage) -> Iterator[None]:
    """Turn what the system says about a file, or about memory for it, into a `DataError`."""
    try:
        yield
    except MemoryError as error:
        raise _too_large(path, str(error) or "there is not enough memory") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot read '{path}': {reason}", hint="check the file") from error


def _check_no_folder(path: Path) -> None:
    """Say of a folder why it stands for itself; see `edge_ood.files.walk`."""
    if stat.S_ISDIR(path.stat().st_mode):
        os.scandir(path).close()  # its error is the reason, if it is closed
        kind = "a link to a folder that it lies in" if path.is_symlink() else "a folder"
        raise DataError(f"cannot read '{path}': {kind}", hint="check the file")


def _too_large(path: AnyImage, reason: str) -> DataError:
    return DataError(f"'{path}' is too large: {reason}", hint="scale it down", status="too-large")
