"""Parquet tables with images: a column of bytes, or Hugging Face's struct of bytes and path."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from edge_ood.errors import DataError, MissingDependencyError
from edge_ood.files.stored import StoredImage
from edge_ood.files.text import valid_text
from edge_ood.sources._archive import Archive, unreadable

_ROWS = 64  # that are in memory at a time
_USUAL = ("image", "img", "jpg", "png", "jpeg", "webp", "bytes")
_LABELS = ("label", "class", "cls")


def table_images(file: IO[bytes], name: str) -> Iterator[StoredImage]:
    """Rows in order, a few in memory at a time.

    An image's label is what the column `label`, `class` or `cls` has, by its name where Hugging
    Face's description of the table names the classes.

    Args:
        file: Open for reading, and seeks.
        name: What rows call it.

    Raises:
        MissingDependencyError: If pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    row = 0
    try:
        with parquet.ParquetFile(file) as table:
            columns, names = _columns(table.schema_arrow, name), _class_names(table.schema_arrow)
            places = _places(table.metadata)
            for batch in table.iter_batches(_ROWS, columns=columns):
                found = [batch.column(column).to_pylist() for column in columns]
                for value, *label in zip(*found, strict=True):
                    shown, text = f"{name}#{row}", _label(label, names)
                    yield _image(value, shown, name, label=text, position=next(places))
                    row += 1
    except DataError as error:
        yield unreadable(name, name, error)
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = f"cannot read '{name}' to its end, after {row} rows: {error}"
        yield unreadable(name, name, DataError(reason, hint="write the table again"))
    else:
        if not row:
            yield unreadable(name, name, DataError(f"'{name}' has no row", hint="check the table"))


def group_bytes(file: IO[bytes], place: int) -> list[bytes]:
    """The bytes of all images of a row group."""
    arrow, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(file) as table:
            column = _columns(table.schema_arrow, "the table")[0]
            values = table.read_row_group(place, columns=[column]).column(0).to_pylist()
    except arrow.ArrowException as error:
        raise OSError(str(error)) from error
    return [_payload(value) or b"" for value in values]


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as arrow  # noqa: PLC0415  # optional
        import pyarrow.parquet as parquet  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("reading Parquet", "pyarrow", "parquet") from error
    return arrow, parquet


def _places(metadata: Any) -> Iterator[tuple[int, int]]:
    """The row group of each row, and where in it the row is."""
    for group in range(metadata.num_row_groups):
        for row in range(metadata.row_group(group).num_rows):
            yield group, row


def _columns(schema: Any, name: str) -> list[str]:
    """The column of images, and that of labels if there is one."""
    labels = [column for column in _LABELS if column in schema.names]
    image = _image_column(schema, name)
    return [image, *(column for column in labels[:1] if column != image)]


def _image_column(schema: Any, name: str) -> str:
    """The column of images: one of the usual name, or the only one that may hold any."""
    fitting = [field.name for field in schema if _may_hold_images(field.type)]
    usual = [column for column in _USUAL if column in fitting]
    if usual:
        return usual[0]
    if len(fitting) != 1:
        found = f"{len(fitting)} columns of bytes" if fitting else "no column of bytes"
        raise DataError(
            f"'{name}' has {found}, expected one of images",
            hint=f"call it {_USUAL[0]!r}: bytes, or a struct of bytes and path",
        )
    return str(fitting[0])


def _may_hold_images(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415  # optional

    if types.is_struct(kind):
        inner = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        kind = inner.get("bytes")
    return kind is not None and (types.is_binary(kind) or types.is_large_binary(kind))


def _class_names(schema: Any) -> Sequence[str]:
    """As Hugging Face's `ClassLabel` has them; empty where nothing says so."""
    described = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(described)["info"]["features"]
        column = next(features[name] for name in _LABELS if name in features)
        return [str(name) for name in column["names"]]
    except (ValueError, LookupError, TypeError, StopIteration):
        return ()


def _label(found: Sequence[Any], names: Sequence[str]) -> str:
    """The text of a label, if the row has one."""
    if not found or found[0] is None:
        return ""
    (label,) = found
    is_named = isinstance(label, int) and 0 <= label < len(names)
    return valid_text(names[label] if is_named else str(label))


def _image(value: Any, shown: str, name: str, **more: Any) -> StoredImage:
    payload = _payload(value)
    if payload is None:
        error = DataError(f"'{shown}' holds no bytes", hint="embed the images in the table")
        return unreadable(shown, name, error)
    return StoredImage.of_bytes(shown, payload, name, **more)


def _payload(value: Any) -> bytes | None:
    return value.get("bytes") if isinstance(value, Mapping) else value


ARCHIVE = Archive("parquet", (".parquet",), seeks=True, images=table_images, again=group_bytes)
