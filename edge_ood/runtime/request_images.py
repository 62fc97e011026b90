"""The images of an HTTP request, of which no more is read than is allowed."""

from typing import Any

from edge_ood.files.stored import StoredImage

__all__ = ["TooLargeError", "images_of"]

_NAMED = "image"
_MOST_FILES = 64


class TooLargeError(Exception):
    """A body that is longer than allowed."""


async def images_of(request: Any, most: int) -> list[StoredImage]:
    """The body as one image, or the files of a form.

    Args:
        request: Of Starlette.
        most: Bytes of the body that are read.

    Raises:
        TooLargeError: If it has more.
        ValueError: If there is none.
    """
    body = await _body(request, most)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        if not body:
            raise ValueError("an empty body, expected an image, or a form of images")
        return [_image(request.headers.get("x-name", _NAMED), body)]
    request._body = body  # read once, with a limit; the form is parsed from it
    async with request.form(max_files=_MOST_FILES, max_fields=_MOST_FILES) as form:
        files = [each for _, each in form.multi_items() if hasattr(each, "read")]
        found = [_image(each.filename or _NAMED, await each.read()) for each in files]
    if not found:
        raise ValueError("a form without files, expected images")
    return found


async def _body(request: Any, most: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise TooLargeError(f"{declared} bytes, at most {most} are read")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLargeError(f"more than {most} bytes, which is all that is read")
        parts.append(part)
    return b"".join(parts)


def _image(name: str, content: bytes) -> StoredImage:
    return StoredImage.of_bytes(name.replace("\0", ""), content)
