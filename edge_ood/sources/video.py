"""Videos: every frame is an image, upright, as the file's rotation has it."""

import io
from collections.abc import Iterator
from typing import IO, Any

from edge_ood.errors import DataError, MissingDependencyError
from edge_ood.files.stored import StoredImage
from edge_ood.sources._archive import Archive, unreadable

__all__ = ["frame_image", "frame_name", "pyav"]

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


def video_frames(file: IO[bytes], name: str) -> Iterator[StoredImage]:
    """Frames in order, one in memory at a time.

    Where the file ends before its time, what was read so far stands, and one more row says so.

    Args:
        file: Open for reading, and seeks.
        name: What rows call it.

    Raises:
        MissingDependencyError: If PyAV is not installed.
    """
    av = pyav()
    count = 0
    try:
        with av.open(file) as container:
            if not container.streams.video:
                raise DataError(f"'{name}' holds no picture", hint="a file with a video track")
            for frame in container.decode(video=0):
                yield frame_image(frame, frame_name(name, count, frame.time), name)
                count += 1
    except DataError as error:
        yield unreadable(name, name, error)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = f"cannot read '{name}' to its end, after {count} frames: {error}"
        yield unreadable(name, name, DataError(reason, hint="play it, to see whether it is whole"))
    else:
        if not count:
            yield unreadable(name, name, DataError(f"'{name}' has no frame", hint="record again"))


def frame_name(source: str, number: int, seconds: float | None) -> str:
    """What rows call a frame: its number from 0, and when it is shown."""
    return f"{source}#{number}" + ("" if seconds is None else f"@{seconds:.3f}s")


def frame_image(frame: Any, name: str, archive: str) -> StoredImage:
    """A frame of PyAV as an image that is not compressed, so that it decodes in no time."""
    picture = frame.to_image()
    if turned := int(getattr(frame, "rotation", 0)) % 360:
        picture = picture.rotate(turned, expand=True)
    content = io.BytesIO()
    picture.save(content, "BMP")
    return StoredImage.of_bytes(name, content.getvalue(), archive)


def pyav() -> Any:
    """The library.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        import av  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("reading videos", "av", "video") from error
    av.logging.set_level(av.logging.PANIC)  # errors are exceptions
    return av


ARCHIVE = Archive("video", SUFFIXES, seeks=True, images=video_frames)
