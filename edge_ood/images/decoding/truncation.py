"""Truncated images fail, whatever the process they are decoded in has asked of Pillow."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ImageFile

__all__ = ["refusing_truncated"]

_lock = threading.Lock()
_under_way = 0
_wanted_by_process = False


@contextmanager
def refusing_truncated() -> Iterator[None]:
    """Inside the block, in any number of threads, `ImageFile.LOAD_TRUNCATED_IMAGES` is off.

    Other libraries switch it on as they are imported; then the missing part of an image is grey.
    The last block that ends restores it.
    """
    global _under_way, _wanted_by_process  # they guard a global of Pillow
    with _lock:
        if not _under_way:
            _wanted_by_process = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        _under_way += 1
    try:
        yield
    finally:
        with _lock:
            _under_way -= 1
            if not _under_way:
                ImageFile.LOAD_TRUNCATED_IMAGES = _wanted_by_process
