"""Temporary files beside outputs, whose names say whose they are, so that none stays for ever.

A command that is killed leaves its temporary files; the next one that writes into the folder
removes them. It must not take those of a command that is still at work, maybe on another host that
shares the folder. A name therefore has a hash of host, boot and process namespace, within which a
process is known by its number and start; whatever comes from elsewhere goes after a week. Locks
would not do: not all network file systems pass them on, and some then refuse other writers.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["is_unfinished", "remove_leftovers", "temporary_folder", "temporary_name"]

_PREFIX, _SUFFIX = ".edge-ood-", ".part"
_OWNED = re.compile(r"\.edge-ood-([0-9a-f]{12})-([0-9]{1,7})-([0-9]+)-[0-9a-f]+\.part")
_ABANDONED_S = 7 * 24 * 3600.0
_STATE, _START = 0, 19  # fields of /proc/PID/stat behind the name
_PRIVATE, _OPEN = 0o700, 0o777


def temporary_name(target: Path) -> Path:
    """A new name beside the target, which `is_unfinished` knows."""
    place, process = _place(), os.getpid()
    owner = f"{place}-{process}-{_started(process)}-" if place else ""
    return target.with_name(f"{_PREFIX}{owner}{secrets.token_hex(4)}{_SUFFIX}")


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is an output in the making, or left by a killed process."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def remove_leftovers(just_made: Path) -> None:
    """Remove what killed processes left beside a temporary file or folder that was just made.

    What cannot be removed stays, without a word: it is somebody else's.

    Args:
        just_made: Tells the time on the file system, whose clock may be another host's.
    """
    with contextlib.suppress(OSError):
        now = just_made.stat().st_mtime
        with os.scandir(just_made.parent) as entries:
            unfinished = [entry for entry in entries if is_unfinished(entry.name)]
        for entry in unfinished:
            with contextlib.suppress(OSError):
                if _is_left(entry, now):
                    _remove(entry)


@contextlib.contextmanager
def temporary_folder(target: Path, *, private: bool) -> Iterator[Path]:
    """A new folder beside the target, which is gone after the block, if it was not renamed in it.

    Args:
        target: What it is for.
        private: Let nobody but the owner look into it.

    Raises:
        OSError: If it cannot be made.
    """
    made = temporary_name(target)
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        made.mkdir(mode=_PRIVATE if private else _OPEN)
        remove_leftovers(made)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _is_left(entry: "os.DirEntry[str]", now: float) -> bool:
    owner = _OWNED.fullmatch(entry.name)
    if owner is not None and owner[1] == _place():
        return _started(int(owner[2])) not in (owner[3], None)
    return now - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_S


def _remove(entry: "os.DirEntry[str]") -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        os.unlink(entry.path)  # noqa: PTH108  # an entry is no Path


def _place() -> str:
    """Where a process number means one process, as 12 letters; empty where that is not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
    place = f"{os.uname().nodename} {boot} {namespace}"
    return hashlib.sha256(place.encode()).hexdigest()[:12]


def _started(process: int) -> str | None:
    """When a process started, in ticks since boot; empty if there is none, None if it is hidden."""
    try:
        os.kill(process, 0)
        fields = Path(f"/proc/{process}/stat").read_text("ascii", "replace").rpartition(")")[2]
    except ProcessLookupError:
        return ""
    except OSError:
        return None
    ended = fields.split()[_STATE] in ("Z", "X")
    return "" if ended else fields.split()[_START]
