"""WebDataset shards: tar files, whose members with the ending of an image are images."""

import tarfile
from collections.abc import Iterator
from typing import IO

from edge_ood.errors import DataError
from edge_ood.files.stored import StoredImage
from edge_ood.images.folders import IMAGE_SUFFIXES
from edge_ood.sources._archive import Archive, unreadable

_MOST_BYTES = 2**30
_DAMAGED = (tarfile.TarError, EOFError, OSError, ValueError)


class _Member(tarfile.TarInfo):
    """As the library has it, which takes an archive that is cut within a header for a whole one."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Member":
        try:
            return super().fromtarfile(archive)
        except tarfile.TruncatedHeaderError as error:  # type: ignore[attr-defined]  # it is there
            raise EOFError("it ends within a header") from error


def tar_images(file: IO[bytes], name: str) -> Iterator[StoredImage]:
    """Members in order, by one pass over the file; their bytes are read as they go by.

    Labels, captions and other members are passed over, as are folders and links. Where the archive
    ends before its time, what was read so far stands, and one more row says so.

    Args:
        file: Open for reading; need not seek.
        name: What rows call it.
    """
    count = 0
    try:
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_Member) as shard:
            for member in shard:
                if not (member.isfile() and member.name.lower().endswith(IMAGE_SUFFIXES)):
                    continue
                shown = f"{name}!{member.name}"
                if member.size > _MOST_BYTES:
                    reason = f"'{shown}' is too large: {member.size} bytes"
                    error = DataError(reason, hint="scale it down", status="too-large")
                    yield unreadable(shown, name, error)
                    count += 1
                    continue
                opened = shard.extractfile(member)
                assert opened is not None  # it is a file
                payload = opened.read()
                if len(payload) < member.size:
                    raise EOFError(f"the archive ends inside {member.name!r}")
                yield StoredImage.of_bytes(shown, payload, name)
                count += 1
    except _DAMAGED as error:
        reason = f"cannot read '{name}' to its end, after {count} images: {error}"
        yield unreadable(name, name, DataError(reason, hint="write the shard again"))
        return
    if not count:
        hint = f"members that end in {', '.join(IMAGE_SUFFIXES)}"
        yield unreadable(name, name, DataError(f"'{name}' holds no image", hint=hint))


ARCHIVE = Archive("tar", (".tar",), seeks=False, images=tar_images)
