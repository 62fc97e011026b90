"""WebDataset shards: tar files, whose members with the ending of an image are images."""

import tarfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import IO

from edge_ood.errors import DataError
from edge_ood.files.stored import StoredImage
from edge_ood.files.text import valid_text
from edge_ood.images.folders import IMAGE_SUFFIXES
from edge_ood.sources._archive import Archive, unreadable

_MOST_BYTES = 2**30
_LONGEST_LABEL = 1 << 12
_LABEL = ".cls"
_DAMAGED = (tarfile.TarError, EOFError, OSError, ValueError)


class _Member(tarfile.TarInfo):
    """As the library has it, which takes an archive that is cut between members for a whole one."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Member":
        try:
            return super().fromtarfile(archive)
        except tarfile.TruncatedHeaderError as error:  # type: ignore[attr-defined]  # it is there
            raise EOFError("it ends within a header") from error
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]  # it is there
            if not archive.offset:
                raise
            raise EOFError("it ends without the two blocks that end a tar") from error


def tar_images(file: IO[bytes], name: str) -> Iterator[StoredImage]:
    """Members in order, by one pass over the file; their bytes are read as they go by.

    An image's label is the text of the `.cls` member of its sample, else the first folder of its
    name. Captions and other members are passed over, as are folders and links. Where the archive
    ends before its time, what was read so far stands, and one more row says so.

    Args:
        file: Open for reading; need not seek.
        name: What rows call it.
    """
    count, end = 0, None
    shard = _Shard(file, name)
    for _, sample in groupby(shard, key=_sample):
        for image in _labelled(list(sample), name):
            count += 1
            yield image
    if shard.damage:
        reason = f"cannot read '{name}' to its end, after {count} images: {shard.damage}"
        end = DataError(reason, hint="write the shard again")
    elif not count:
        hint = f"members that end in {', '.join(IMAGE_SUFFIXES)}"
        end = DataError(f"'{name}' holds no image", hint=hint)
    if end is not None:
        yield unreadable(name, name, end)


def member_bytes(file: IO[bytes], place: int) -> list[bytes]:
    """The bytes of the member whose header is at a place of a file that seeks."""
    file.seek(place)
    with tarfile.open(fileobj=file, mode="r|", tarinfo=_Member) as shard:
        member = shard.next()
        opened = member and shard.extractfile(member)
        return [opened.read() if opened else b""]


class _Shard:
    """Images and labels of an archive, as they go by; `damage` says what ended it too early."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name, self.damage = file, name, ""

    def __iter__(self) -> Iterator[StoredImage]:
        try:
            with tarfile.open(fileobj=self._file, mode="r|*", tarinfo=_Member) as shard:
                for member in shard:
                    if member.isfile() and member.name.lower().endswith((*IMAGE_SUFFIXES, _LABEL)):
                        yield self._read(shard, member)
        except _DAMAGED as error:
            self.damage = str(error) or type(error).__name__

    def _read(self, shard: tarfile.TarFile, member: tarfile.TarInfo) -> StoredImage:
        shown = f"{self._name}!{member.name}"
        is_label = member.name.lower().endswith(_LABEL)
        if member.size > (_LONGEST_LABEL if is_label else _MOST_BYTES):
            reason = f"'{shown}' is too large: {member.size} bytes"
            error = DataError(reason, hint="scale it down", status="too-large")
            return unreadable(shown, self._name, error)
        opened = shard.extractfile(member)
        assert opened is not None  # it is a file
        payload = opened.read()
        if len(payload) < member.size:
            raise EOFError(f"the archive ends inside {member.name!r}")
        return StoredImage.of_bytes(shown, payload, self._name, position=(member.offset, 0))


def _sample(image: StoredImage) -> str:
    """What WebDataset calls the key: the name up to the first dot of its last part."""
    folder, slash, last = image.name.removeprefix(f"{image.archive}!").rpartition("/")
    return folder + slash + last.partition(".")[0]


def _labelled(sample: list[StoredImage], name: str) -> Iterator[StoredImage]:
    labels = [image for image in sample if image.name.lower().endswith(_LABEL)]
    folder, slash, _ = sample[0].name.removeprefix(f"{name}!").partition("/")
    label = folder if slash else ""
    if labels and labels[0].size:
        label = valid_text(labels[0].read().decode(errors="surrogateescape").strip())
    for image in sample:
        if image not in labels:
            yield replace(image, label=label)


ARCHIVE = Archive("tar", (".tar",), seeks=False, images=tar_images, again=member_bytes)
