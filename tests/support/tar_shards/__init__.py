"""Tar files, as WebDataset's shards are."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["write_tar"]


def write_tar(path: Path | str, members: Mapping[str, bytes]) -> None:
    """Write members in the order given."""
    with tarfile.open(path, "w") as shard:
        for name, payload in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(payload)
            shard.addfile(info, io.BytesIO(payload))
