"""A cache of decoded images, which later runs read instead of decoding them; without torch.

It is a folder of entries. `KEY/pixels.npy` are all images of one folder as decoded, and
`KEY/index.json` their content hashes, none for an image that could not be decoded. The key stands
for the files, by name, size and time of their last change, and for the rules of decoding. An entry
appears as a whole, by a new name for a finished folder; whoever wants one that is being made waits
for it, as long as the file system has locks. Everything that an entry says is checked.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from edge_ood.errors import ArtifactError, InputError
from edge_ood.files.cache import cache_folder
from edge_ood.files.document import Document, read_document
from edge_ood.files.output import publish
from edge_ood.files.regular import open_regular
from edge_ood.files.temporary import temporary_folder
from edge_ood.images.preprocess import Preprocess

__all__ = ["Cache", "Decode", "cached", "default_cache", "shown_size"]

Decode = Callable[[NDArray[np.uint8]], tuple[str, ...]]
"""Fills an array with images; returns their content hashes, empty for a broken one."""

_PIXELS, _INDEX = "pixels.npy", "index.json"
_FORMAT = 1
_DECODING = 1
"""Raised whenever the same file becomes other pixels by the same `Preprocess`."""

_LARGE_BYTES = 1 << 29
"""Less is decoded anew by each run: it takes a minute or two."""

_KEY_DIGITS = 32
_HASH_OR_NONE = re.compile("([0-9a-f]{64})?")


@dataclass(frozen=True)
class Cache:
    """Where decoded images are kept for later runs.

    Attributes:
        folder: Made when it is first needed.
        least_bytes: Less is kept in memory.
        is_chosen: Whether the user named it, and is to hear that it cannot be used.
    """

    folder: Path
    least_bytes: int = 0
    is_chosen: bool = True


def default_cache() -> Cache | None:
    """The user's own, for many images alone; None for a user without a home."""
    folder = cache_folder()
    return None if folder is None else Cache(folder, _LARGE_BYTES, is_chosen=False)


def cached(
    folder: Path,
    paths: Sequence[Path],
    preprocess: Preprocess,
    decode: Decode,
    on_note: Callable[[str], None],
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The images of files, from an entry of a cache, which is made if it is not there or damaged.

    Args:
        folder: The cache.
        paths: N files, at least one.
        preprocess: Decode rules and the side R.
        decode: What makes them, where there is no entry.
        on_note: Called with sentences that the user should read.

    Returns:
        The array uint8 (N, R, R, 3), in which a row may be changed and the entry is not; and the
        content hash of each image, empty for a broken one.

    Raises:
        OSError: If the entry can neither be read nor written; nothing is left then.
    """
    entry = _Entry(folder / _key(paths, preprocess), paths, preprocess.resized_px)
    found = _read_or_note(entry, on_note)
    waiting = f"another process is decoding these images into '{entry.folder}': waiting for it"
    if found is None:
        with entry.locked(lambda: on_note(waiting)):
            found = _read_or_note(entry, lambda note: None)
            if found is None:
                size = shown_size(int(np.prod(entry.shape)))
                on_note(
                    f"decoding {len(paths)} images, once: {size} in '{entry.folder}', which later"
                    " runs use and which may be removed; --cache none keeps nothing"
                )
                return entry.write(decode)
    on_note(f"using the decoded images in '{entry.folder}'")
    return found


@dataclass(frozen=True)
class _Entry:
    """One folder of a cache."""

    folder: Path
    paths: Sequence[Path]
    side: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.paths), self.side, self.side, 3

    @contextlib.contextmanager
    def locked(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Wait until no other process makes this entry; its end, of whatever kind, unlocks it."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW
        descriptor = os.open(self.folder.with_name(f"{self.folder.name}.lock"), flags, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:
                pass  # without locks both make it, and one of them is kept
            yield
        finally:
            os.close(descriptor)

    def read(self) -> tuple[NDArray[np.uint8], tuple[str, ...]] | None:
        """What is there, or None.

        Raises:
            ArtifactError: If it is damaged.
        """
        index = self.folder / _INDEX
        hashes = read_document(index, self._hashes, newest=_FORMAT, hint="it is made again")
        if hashes is None:
            return None
        try:
            return self._mapped(self.folder / _PIXELS), hashes
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ArtifactError(f"'{self.folder / _PIXELS}' is damaged: {error}") from error

    def write(self, decode: Decode) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        """Make the entry; raises `OSError` if the disk is too full, and leaves nothing then."""
        with temporary_folder(self.folder, private=False) as made:
            path = made / _PIXELS
            array = np.lib.format.open_memmap(path, "w+", np.uint8, self.shape)
            with path.open("r+b") as file:
                # Reserved now: writing to a hole on a full disk would kill the process (SIGBUS).
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
                hashes = decode(array)
                array.flush()
                os.fsync(file.fileno())
            with (made / _INDEX).open("w", encoding="utf-8") as index:
                json.dump({"format": _FORMAT, "hashes": hashes}, index)
                index.flush()
                os.fsync(index.fileno())
            mapped = self._mapped(path)  # now: somebody may remove the entry at once
            publish(made, self.folder)
        return mapped, hashes

    def _hashes(self, document: Document) -> tuple[str, ...]:
        hashes = tuple(document.each("hashes", str))
        if len(hashes) != len(self.paths):
            raise InputError(f"{len(hashes)} images, expected {len(self.paths)}")
        for digits in hashes:
            if not _HASH_OR_NONE.fullmatch(digits):
                raise InputError(f"{digits[:64]!r} is no content hash")
        return hashes

    def _mapped(self, path: Path) -> NDArray[np.uint8]:
        """The pixels, in memory only as far as they are looked at; nothing reaches the file."""
        header = io.BytesIO()
        array = {"descr": "|u1", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(header, array)
        offset = header.tell()
        with open_regular(path) as file:
            if file.read(offset) != header.getvalue():
                raise ValueError(f"it is no array of uint8 {self.shape}")
            size, wanted = os.fstat(file.fileno()).st_size, offset + int(np.prod(self.shape))
            if size != wanted:
                raise ValueError(f"it has {size} bytes, expected {wanted}")
            return np.memmap(file, np.uint8, "c", offset, self.shape)


def _read_or_note(
    entry: _Entry, on_note: Callable[[str], None]
) -> tuple[NDArray[np.uint8], tuple[str, ...]] | None:
    try:
        return entry.read()
    except ArtifactError as error:
        on_note(f"{error}; it is made again")
        return None


def _key(paths: Sequence[Path], preprocess: Preprocess) -> str:
    """A name for files and what becomes of them; copies of a folder share it with their times."""
    root = os.path.commonpath([path.parent for path in paths])
    rules = preprocess.to_json()
    del rules["mean"], rules["std"]
    document: dict[str, Any] = {
        "decoding": [_DECODING, PIL.__version__],
        "preprocess": rules,
        "files": [[os.path.relpath(path, root), *_stamp(path)] for path in paths],
    }
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:_KEY_DIGITS]


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of the last change, as far as there is a file."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def shown_size(nbytes: int) -> str:
    """A size for people, in a million or a thousand million bytes."""
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e8 else f"{nbytes / 1e6:.1f} MB"
