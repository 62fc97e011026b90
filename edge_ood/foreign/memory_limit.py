"""A ceiling on memory while somebody else's network runs for the first time.

How much a network takes may follow from the pixels it is given, so that nothing tells before it
runs. Linux grants more memory than there is and ends whole processes when it is used; with a
ceiling, the one allocation fails.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from edge_ood.errors import ArtifactError
from edge_ood.images.decoding.memory import available_memory, data_memory, free_memory

__all__ = ["within_memory"]


@contextmanager
def within_memory(message: str) -> Iterator[None]:
    """Let this process take what memory is free now inside the block, and no more.

    Args:
        message: What could not be done where that is too little.

    Raises:
        ArtifactError: If an allocation of Python's fails; onnxruntime says itself that one did.
    """
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = data_memory() + min(free_memory(), available_memory())
    for ceiling in (before, hard):
        most = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    except MemoryError as error:
        raise ArtifactError(
            f"{message}: it takes more memory than there is",
            hint="check what it makes, or use a machine with more memory",
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))
