"""A file that one process at a time may write."""

import contextlib
import fcntl
from collections.abc import Iterator
from typing import IO, Any

from edge_ood.errors import InputError

__all__ = ["exclusive"]


@contextlib.contextmanager
def exclusive(stream: IO[Any], shown: object) -> Iterator[None]:
    """Keep other processes out; the kernel ends it with this process, however that ends.

    Args:
        stream: Open for writing, because network file systems lock no other files.
        shown: What messages call it.

    Raises:
        InputError: If another process has it.
    """
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"another process is writing '{shown}'", hint="wait for it, or stop it"
        ) from error
    except OSError:
        pass  # a network file system without locks
    yield
