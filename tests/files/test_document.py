"""Untrusted JSON: taken out by type, or refused with one kind of error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ood.errors import InputError
from edge_ood.files.document import Document, parse_json

VALUES = {
    dict: {"a": 1},
    list: [1],
    str: "text",
    bool: True,
    int: 3,
    float: 0.5,
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("given_kind", VALUES)
def test_a_field_is_taken_out_by_its_exact_type(kind: type, given_kind: type) -> None:
    """Every other type is refused, True among the numbers too; only an int passes as a float."""
    document = Document({"field": VALUES[given_kind]})

    if kind is given_kind or (kind, given_kind) == (float, int):
        found: Any = document.get("field", kind)
        assert VALUES[given_kind] == found
        assert kind is type(found)
    else:
        with pytest.raises(InputError, match=f"'field' should be a {kind.__name__}"):
            document.get("field", kind)


def test_an_optional_field_may_be_null_or_missing() -> None:
    """Both are None; a value of another type is refused as ever."""
    document = Document({"null": None, "there": 3})

    assert (None, None, 3) == tuple(document.optional(k, int) for k in ("null", "gone", "there"))
    with pytest.raises(InputError, match="'there' should be a str"):
        document.optional("there", str)


def test_a_missing_field_is_named() -> None:
    """The message says that there is nothing, and what was expected."""
    with pytest.raises(InputError, match="'alpha' should be a float, got nothing"):
        Document({}).get("alpha", float)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": [-1e999]}',
        '{"a": "\\ud800"}',
        '{"\\udfff": 1}',
        '{"a": ' + "[" * 40 + "]" * 40 + "}",
        '{"a": ' * 100_000 + "1" + "}" * 100_000,
        '{"a": ' + "9" * 5000 + "}",
    ],
    ids=lambda text: text[:20],
)
def test_text_that_is_no_sound_document_is_refused(text: str) -> None:
    """Syntax, infinities, lone surrogates, deep nesting and endless digits are one error."""
    with pytest.raises(InputError):
        Document.parse(text)


def test_an_integer_beyond_any_float_is_refused() -> None:
    """JSON integers have no limit; floats do, and whoever computes with one would fail on it."""
    with pytest.raises(InputError, match=r"^10000000000000000000\.\.\. is not a finite number$"):
        Document.parse(f'{{"alpha": {10**400}}}')


@pytest.mark.parametrize("text", ["1e999", "9" * 309, "[" * 33 + "]" * 33, "NaN", "9" * 5000])
def test_plain_json_has_limits(text: str) -> None:
    """Numbers are those of float64 and lists moderately nested, whatever the document is."""
    with pytest.raises(InputError):
        parse_json(text)


def test_plain_json_has_any_text() -> None:
    """A path on disk may hold bytes that are no text, which JSON writes as lone surrogates."""
    assert {"root": "\udcff"} == parse_json(b'{"root": "\\udcff"}')


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_any_json_is_read_back_or_refused(value: Any) -> None:
    """Whatever JSON holds, `parse` returns the same values or raises an `InputError`."""
    try:
        document = Document.parse(json.dumps({"value": value}))
    except InputError:
        return
    assert value == document._fields["value"]
