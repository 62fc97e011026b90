"""Text that users wrote, on any system and in any editor, as lines."""

import codecs
import re

from edge_ood.errors import DataError

__all__ = ["ends_names_with_nul", "text_lines"]

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32-LE"),  # begins with the next one
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF32_BE, "UTF-32-BE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
)
_MARK = "\ufeff"  # a byte order mark, once it is decoded


def text_lines(content: bytes, source: str, *, stray_bytes: bool = False) -> list[str]:
    r"""The lines of a text, without byte order marks and line ends.

    Lines end in LF or CRLF, or in CR where there is no LF. The text is UTF-8, with or without a
    byte order mark; UTF-16 or UTF-32 with one; or UTF-16 that shows by its NULs, without.

    Args:
        content: The text.
        source: What messages call it, such as `'classes.txt'`.
        stray_bytes: Keep bytes outside UTF-8 as names of files have them, see `os.fsencode`.

    Raises:
        DataError: If it is no text, naming the source and the first byte that is wrong.
    """
    mark, encoding = _encoding(content)
    errors = "surrogateescape" if stray_bytes and encoding == "UTF-8" else "strict"
    try:
        text = content[len(mark) :].decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise _no_text(source, encoding, len(mark) + error.start, error.reason) from error
    if "\0" in text:
        before = text[: text.index("\0")].encode(encoding, errors)
        raise _no_text(source, encoding, len(mark) + len(before), "a NUL")
    lines = re.split(r"\r?\n" if "\n" in text else r"\r", text)
    # Lists that were put together have a mark where each of them begins.
    unmarked = [line.removeprefix(_MARK) for line in lines]
    return unmarked if unmarked[-1] else unmarked[:-1]


def ends_names_with_nul(content: bytes) -> bool:
    """Whether NULs end names, as `find -print0` writes them, and are no halves of characters.

    In UTF-16, line ends stand alone between NULs, and so do dots and slashes between letters. No
    file is called so, and the folders `.` and `/` are seldom listed beside names of one letter.
    """
    pieces = set(content.split(b"\0")) - {b""}
    if b"\0" not in content or _encoding(content)[0] or pieces & {b"\n", b"\r"}:
        return False
    is_spaced = len(pieces) > 1 and all(len(piece) == 1 for piece in pieces)
    return not (is_spaced and pieces & {b".", b"/", b"\\"})


def _encoding(content: bytes) -> tuple[bytes, str]:
    """The byte order mark, perhaps empty, and the encoding."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return mark, encoding
    if b"\0" not in content:
        return b"", "UTF-8"
    is_little = content[1::2].count(0) >= content[::2].count(0)
    return b"", "UTF-16-LE" if is_little else "UTF-16-BE"


def _no_text(source: str, encoding: str, position: int, reason: str) -> DataError:
    return DataError(
        f"cannot read {source} as {encoding} text: {reason} at byte {position}",
        hint="save it as UTF-8",
    )
