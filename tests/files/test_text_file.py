"""Text of users: every encoding and line end that editors write gives the same lines."""

import codecs

import pytest

from edge_ood.errors import DataError
from edge_ood.files.text_file import ends_names_with_nul, text_lines

NAMES = ["one.png", "dir/café.png", "照片/一.png", "𝄞 two.png"]


def spaced(end: str) -> str:
    """The names as a text with a line end after each."""
    return "".join(name + end for name in NAMES)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
    ],
)
def test_every_encoding_and_line_end_gives_the_same_lines(
    mark: bytes, encoding: str, end: str
) -> None:
    """With and without a byte order mark, and with and without an end of the last line."""
    text = spaced(end)

    assert NAMES == text_lines(mark + text.encode(encoding), "x")
    assert NAMES == text_lines(mark + text.removesuffix(end).encode(encoding), "x")


def test_no_text_has_no_lines() -> None:
    """An empty file, and one that holds a byte order mark alone."""
    assert [] == text_lines(b"", "x") == text_lines(codecs.BOM_UTF8, "x")


def test_texts_put_together_have_a_mark_each() -> None:
    """`cat` leaves the mark of the second text in the middle of the whole."""
    content = codecs.BOM_UTF8 + b"a\r\n" + codecs.BOM_UTF8 + b"b\r\n"

    assert ["a", "b"] == text_lines(content, "x")


def test_a_carriage_return_within_a_line_stays() -> None:
    """Where lines end in LF, it is a part of a name, and so are signs that only look like ends."""
    assert ["a\rb", "c\x0bd", "e\u2028f"] == text_lines("a\rb\nc\x0bd\ne\u2028f".encode(), "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"caf\xe9\n", "cannot read 'x' as UTF-8 text: invalid continuation byte at byte 3"),
        (codecs.BOM_UTF8 + b"\xff", "cannot read 'x' as UTF-8 text: invalid start byte at byte 3"),
        (b"\xff\xfea", "cannot read 'x' as UTF-16-LE text: truncated data at byte 2"),
        (b"a\0\0\0b\0", "cannot read 'x' as UTF-16-LE text: a NUL at byte 2"),
    ],
)
def test_what_is_no_text_is_an_error(content: bytes, message: str) -> None:
    """It names the source, the encoding and the first byte that is wrong."""
    with pytest.raises(DataError) as caught:
        text_lines(content, "'x'")

    assert (message, "save it as UTF-8") == (str(caught.value), caught.value.hint)


def test_stray_bytes_stay_where_they_are_wanted() -> None:
    """A file's name is any bytes."""
    assert ["caf\udce9"] == text_lines(b"caf\xe9\r\n", "x", stray_bytes=True)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", False),
        (b"a.png\nb.png\n", False),
        (b"./a\0./b\0", True),
        (b"a.png\0", True),
        (b"line\nbreak\0", True),
        (b"0\x001\x002\0", True),
        (b".\0", True),
        ("a.png".encode("utf-16-le"), False),
        ("a.png\n".encode("utf-16-be"), False),
        ("猫.png\n".encode("utf-16-le"), False),
        ("1\n2\n".encode("utf-16-le"), False),
        ("a.png".encode("utf-16"), False),
        ("a.png".encode("utf-32"), False),
    ],
)
def test_nuls_end_names_unless_they_are_halves_of_letters(content: bytes, expected: bool) -> None:
    """UTF-16 is told from `find -print0`, even if names have a single letter."""
    assert expected == ends_names_with_nul(content)
