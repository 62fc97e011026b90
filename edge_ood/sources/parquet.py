"""Parquet tables with images: a column of bytes, or Hugging Face's struct of bytes and path."""

from collections.abc import Iterator, Mapping
from typing import IO, Any

from edge_ood.errors import DataError, MissingDependencyError
from edge_ood.files.stored import StoredImage
from edge_ood.sources._archive import Archive, unreadable

_ROWS = 64  # that are in memory at a time
_USUAL = ("image", "img", "jpg", "png", "jpeg", "webp", "bytes")


def table_images(file: IO[bytes], name: str) -> Iterator[StoredImage]:
    """Rows in order, a few in memory at a time.

    Args:
        file: Open for reading, and seeks.
        name: What rows call it.

    Raises:
        MissingDependencyError: If pyarrow is not installed.
    """
    try:
        import pyarrow as arrow  # noqa: PLC0415  # optional
        import pyarrow.parquet as parquet  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("reading Parquet", "pyarrow", "parquet") from error
    row = 0
    try:
        with parquet.ParquetFile(file) as table:
            column = _image_column(table.schema_arrow, name)
            for batch in table.iter_batches(_ROWS, columns=[column]):
                for value in batch.column(0).to_pylist():
                    yield _image(value, f"{name}#{row}", name)
                    row += 1
    except DataError as error:
        yield unreadable(name, name, error)
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = f"cannot read '{name}' to its end, after {row} rows: {error}"
        yield unreadable(name, name, DataError(reason, hint="write the table again"))
    else:
        if not row:
            yield unreadable(name, name, DataError(f"'{name}' has no row", hint="check the table"))


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


def _image(value: Any, shown: str, name: str) -> StoredImage:
    payload = value.get("bytes") if isinstance(value, Mapping) else value
    if payload is None:
        error = DataError(f"'{shown}' holds no bytes", hint="embed the images in the table")
        return unreadable(shown, name, error)
    return StoredImage.of_bytes(shown, payload, name)


ARCHIVE = Archive("parquet", (".parquet",), seeks=True, images=table_images)
