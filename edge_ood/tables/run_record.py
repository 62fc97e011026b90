"""What made a score table: the record that lies beside it as `TABLE.run.json`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_ood.errors import ArtifactError, InputError
from edge_ood.files.document import Document, read_document
from edge_ood.files.output import replacing
from edge_ood.tables.formats import FORMATS
from edge_ood.tables.shards import BY_ARCHIVE, BY_BATCH, Shard

__all__ = ["Finished", "RunRecord", "check_made_by", "read_record", "write_record"]

_FORMAT = 1
_SHOWN_HASH = 12
_KEYS = {"artifact": "artefact"}
"""Of fields that the file knows by another name."""


@dataclass(frozen=True)
class Finished:
    """What is known when the last row is written.

    Attributes:
        rows: Rows in the table.
        files: Files of the whole run, of all shards together; archives, if these were dealt out.
        files_hash: Hash of their paths, in order.
    """

    rows: int
    files: int
    files_hash: str


@dataclass(frozen=True)
class RunRecord:
    """Everything that decides which rows a run writes; runs that differ in it cannot be mixed.

    Attributes:
        version: Version of edge-ood.
        artifact: Hash of the artefact's bytes.
        provider: Where it ran, such as `cpu`.
        table: A key of `tables.FORMATS`.
        scores: Names of the score heads, in the table's order.
        batch_size: Images per inference.
        paths: What was to be scored, as it was given.
        listed: Hash of the list on standard input; empty without one.
        shard: Which share of the files.
        dealt: By what files were dealt out to shards: one of `BY_BATCH` and `BY_ARCHIVE`.
        finished: None until the last row is written.
    """

    version: str
    artifact: str
    provider: str
    table: str
    scores: tuple[str, ...]
    batch_size: int
    paths: tuple[str, ...]
    listed: str
    shard: Shard
    dealt: str = BY_BATCH
    finished: Finished | None = None

    def check_same(self, now: "RunRecord", *, subject: str, hint: str) -> None:
        """Refuse to go on with, or put together, what other options made.

        Raises:
            InputError: Naming everything that differs, with both values; `subject` opens the
                message, such as "cannot resume 'scores.csv'".
        """
        before, after = self._shown_options(), now._shown_options()
        changed = [
            f"{name} was {before[name]} and is {after[name]}"
            for name in before
            if before[name] != after[name]
        ]
        if changed:
            raise InputError(f"{subject}: {'; '.join(changed)}", hint=hint)

    def _shown_options(self) -> dict[str, str]:
        return {
            "edge-ood": self.version,
            "the artefact": self.artifact[:_SHOWN_HASH],
            "--provider": self.provider,
            "--format": self.table,
            "--scores": ",".join(self.scores),
            "--batch-size": str(self.batch_size),
            "the paths": repr(list(self.paths)),
            "the list": self.listed[:_SHOWN_HASH] or "none",
            "--shard": str(self.shard),
        }


def check_made_by(record: RunRecord, artifact: str, table: Path) -> None:
    """Refuse a table that another artefact made.

    Args:
        record: Of the table.
        artifact: Hash of the artefact's bytes.
        table: As messages call it.

    Raises:
        InputError: If it is another one.
    """
    if record.artifact != artifact:
        raise InputError(
            f"'{table}' was made by the artefact {record.artifact[:_SHOWN_HASH]}, this is"
            f" {artifact[:_SHOWN_HASH]}",
            hint="give the file that scored it",
        )


def write_record(path: Path, record: RunRecord) -> None:
    """Write the record as JSON, at once; for an `OSError` the caller has better words."""
    said = {k: v for k, v in asdict(record).items() if (k, v) != ("dealt", BY_BATCH)}
    fields = {_KEYS.get(k, k): value for k, value in said.items() if value is not None}
    document = {"format": _FORMAT, **fields}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_record(path: Path) -> RunRecord:
    """Read and check a record.

    Raises:
        ArtifactError: If it is missing, damaged, or of a newer edge-ood.
    """
    record = read_document(path, _record, newest=_FORMAT, hint="score again with --force")
    if record is None:
        raise ArtifactError(
            f"no file '{path}', which says what made the table",
            hint="keep the .run.json of a table beside it",
        )
    return record


def _record(document: Document) -> RunRecord:
    if document.get("table", str) not in FORMATS:
        raise InputError(f"unknown format {document.get('table', str)!r}")
    shard = document.document("shard")
    finished = document.get("finished", dict, {})
    return RunRecord(
        version=document.get("version", str),
        artifact=document.get("artefact", str),
        provider=document.get("provider", str),
        table=document.get("table", str),
        scores=tuple(document.each("scores", str)),
        batch_size=_positive(document, "batch_size"),
        paths=tuple(document.each("paths", str)),
        listed=document.get("listed", str),
        shard=Shard(shard.get("index", int), shard.get("count", int)),
        dealt=_dealt(document.get("dealt", str, BY_BATCH)),
        finished=_finished(Document(finished)) if finished else None,
    )


def _finished(document: Document) -> Finished:
    return Finished(
        document.get("rows", int), document.get("files", int), document.get("files_hash", str)
    )


def _positive(document: Document, name: str) -> int:
    value = document.get(name, int)
    if value < 1:
        raise InputError(f"{name!r} is {value}, expected 1 or more")
    return value


def _dealt(word: str) -> str:
    if word not in (BY_BATCH, BY_ARCHIVE):
        raise InputError(f"dealt by {word!r}, expected {BY_BATCH} or {BY_ARCHIVE}")
    return word
