"""Where stored images are: URLs and patterns of archives, opened through pyarrow's file systems."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from edge_ood.errors import DataError, InputError, MissingDependencyError
from edge_ood.files.regular import open_regular
from edge_ood.sources._archive import ARCHIVES, Archive

__all__ = [
    "Location",
    "archive_for",
    "is_stored",
    "is_url",
    "locations",
    "place_in_store",
    "store_errors",
]

_URL = re.compile(r"[a-z][a-z0-9+]*://")
_SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "file")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")
_WILD = re.compile(r"[*?\[]")
_MOST_NAMES = 1_000_000
_ATTEMPTS, _CONNECT_S, _REQUEST_S = 6, 10.0, 60.0


@dataclass(frozen=True)
class Location:
    """A place in a store.

    Attributes:
        store: A pyarrow file system; None for this machine's, which needs no library.
        path: Within it.
        shown: As rows name it.
    """

    store: Any
    path: str
    shown: str

    def at(self, path: str) -> "Location":
        """Another path of the same store, below this one."""
        rest = path.removeprefix(self.path).lstrip("/")
        shown = f"{self.shown.rstrip('/')}/{rest}" if rest else self.shown
        return Location(self.store, path, shown)

    def opened(self, *, seeks: bool) -> AbstractContextManager[IO[bytes]]:
        """The object, open for reading."""
        if self.store is None:
            return open_regular(Path(self.path))
        if seeks:
            return self.store.open_input_file(self.path)  # type: ignore[no-any-return]
        return self.store.open_input_stream(self.path)  # type: ignore[no-any-return]


def is_url(name: str) -> bool:
    """Whether a name is a URL."""
    return bool(_URL.match(name))


def is_stored(name: str) -> bool:
    """Whether an argument names a URL, or archives, rather than files and folders."""
    return is_url(name) or archive_for(name) is not None


def archive_for(name: str) -> Archive | None:
    """What opens a file of this name."""
    for known in ARCHIVES.names():
        archive: Archive = ARCHIVES.get(known)
        if name.lower().endswith(archive.suffixes):
            return archive
    return None


def locations(name: str, *, folders: bool = False) -> Iterator[Location]:
    """The places that a URL or a pattern names, in order; none of them need exist.

    Args:
        name: With `{000..127}` and `{a,b}` anywhere, and `*`, `?` and `[...]` in the last part.
        folders: Whether these match as well as files do.

    Raises:
        DataError: If nothing matches a pattern, or the store says no.
        InputError: If the scheme is unknown, or a pattern stands for more than a million names.
        MissingDependencyError: If pyarrow is not installed, and the name is a URL.
    """
    for written in _expanded(name):
        location = _location(written)
        folder, _, last = location.path.rpartition("/")
        if not _WILD.search(last):
            yield location
            continue
        above = Location(location.store, folder, written.rpartition("/")[0])
        matching = sorted(
            each for each in _names_in(above, folders=folders) if fnmatchcase(each, last)
        )
        if not matching:
            raise DataError(f"nothing matches '{written}'", hint="check the pattern")
        for each in matching:
            path = f"{folder}/{each}" if folder or location.path.startswith("/") else each
            shown = f"{above.shown}/{each}" if above.shown else each
            yield Location(location.store, path, shown)


def place_in_store(url: str) -> Location:
    """The place that a URL names, which need not exist; nothing in it is a pattern.

    Raises:
        InputError: If the scheme is unknown.
        MissingDependencyError: If pyarrow is not installed.
    """
    return _location(url)


@contextmanager
def store_errors(shown: str, *, verb: str = "read") -> Iterator[None]:
    """Say in one line what a store has against reading or writing a place.

    Raises:
        DataError: In place of `OSError`.
    """
    try:
        yield
    except OSError as error:
        text = " ".join(str(error.strerror or error).split())
        hint = "check the path"
        if isinstance(error, PermissionError) or "ACCESS_DENIED" in text or "403" in text:
            hint = "check the credentials: they come from the store's usual variables"
        raise DataError(f"cannot {verb} '{shown}': {text}", hint=hint) from error


def _location(written: str) -> Location:
    if not is_url(written):
        return Location(None, written, written)
    parts = urlsplit(written)
    if parts.scheme not in _SCHEMES:
        raise InputError(
            f"cannot read '{written}'", hint=f"{', '.join(f'{s}://' for s in _SCHEMES)} are known"
        )
    if parts.scheme == "file":
        return Location(None, parts.path, written)
    store = _store(parts.scheme, parts.netloc)
    return Location(store, (parts.netloc + parts.path).rstrip("/"), written.rstrip("/"))


def _store(scheme: str, account: str) -> Any:
    """A pyarrow file system, made of what the environment says."""
    try:
        from pyarrow import fs  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("reading object stores", "pyarrow", "parquet") from error
    if scheme in ("gs", "gcs"):
        return fs.GcsFileSystem()
    if scheme in ("abfs", "abfss"):
        return fs.AzureFileSystem(account_name=os.environ.get("AZURE_STORAGE_ACCOUNT", account))
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return fs.S3FileSystem(
        endpoint_override=endpoint,
        region=region,
        connect_timeout=_CONNECT_S,
        request_timeout=_REQUEST_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )


def _names_in(folder: Location, *, folders: bool) -> list[str]:
    """Names of the files of one folder, and of the folders in it if they are asked for."""
    with store_errors(folder.shown):
        if folder.store is None:
            return [e.name for e in os.scandir(folder.path or ".") if folders or e.is_file()]
        from pyarrow import fs  # noqa: PLC0415  # it is installed: there is a store

        found = folder.store.get_file_info(fs.FileSelector(folder.path))
        return [each.base_name for each in found if folders or each.type == fs.FileType.File]


def _expanded(name: str) -> Iterator[str]:
    """Every name that braces stand for, the last pair counting fastest."""
    parts: list[Sequence[str]] = []
    rest, total = name, 1
    while match := min(
        filter(None, (_RANGE.search(rest), _CHOICE.search(rest))), key=_start, default=None
    ):
        parts += [(rest[: match.start()],), _choices(match)]
        total *= len(parts[-1])
        rest = rest[match.end() :]
    if total > _MOST_NAMES:
        raise InputError(f"'{name}' stands for {total} names", hint=f"at most {_MOST_NAMES}")
    yield from map("".join, product(*parts, (rest,)))


def _start(match: re.Match[str]) -> int:
    return match.start()


def _choices(match: re.Match[str]) -> Sequence[str]:
    if match.re is _CHOICE:
        return match[1].split(",")
    first, last, digits = int(match[1]), int(match[2]), len(match[1])
    if last - first >= _MOST_NAMES:
        raise InputError(f"'{match[0]}' is more than {_MOST_NAMES} names", hint="use fewer")
    return [f"{number:0{digits}}" for number in range(first, last + 1)]
