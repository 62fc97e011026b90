"""What `edge-ood score` is to score: files and folders, a list of them, or what stores hold."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ood.cli._streams import expect_standard_input
from edge_ood.errors import DataError
from edge_ood.files.text import valid_text

if TYPE_CHECKING:
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.tables.run_record import RunRecord
    from edge_ood.tables.shards import Shard, ShardArchives, ShardFiles

__all__ = ["ScoreInputs", "run_record"]

_LIST = "-"


class ScoreInputs:
    """The arguments of the command line, looked at.

    Args:
        names: Files and folders, with `-` for a list on standard input; or URLs and archives.
        skip: Files and folders that are written meanwhile, and so are no input.

    Attributes:
        listed: Hash of the list on standard input; empty without one.
        is_single: Whether it is one file.

    Raises:
        DataError: If there is nothing to score.
        InputError: If files and URLs are mixed.
    """

    def __init__(self, names: Sequence[str], *, skip: Sequence[Path] = ()) -> None:
        from edge_ood.files.input_files import InputFiles
        from edge_ood.files.paths import is_folder
        from edge_ood.sources import StoredImages, is_stored

        self._names, self.listed, self.is_single = tuple(names), "", False
        self._everything: Any
        if any(map(is_stored, names)):
            self._everything = StoredImages(names)
            return
        roots, self.listed = _roots(names)
        self._everything = InputFiles(roots, skip=skip)
        self.is_single = len(roots) == 1 and not is_folder(roots[0])

    def of_shard(self, shard: "Shard", batch_size: int) -> "ShardFiles | ShardArchives":
        """The images of one share of the run."""
        from edge_ood.tables.shards import ShardArchives, ShardFiles

        if getattr(self._everything, "are_archives", False):
            return ShardArchives(self._everything, shard, batch_size)
        return ShardFiles(self._everything, shard, batch_size)

    def record(
        self, scorer: "Scorer", files: "ShardFiles | ShardArchives", table_format: str
    ) -> "RunRecord":
        """What makes the rows."""
        made = run_record(scorer, self._names, table_format, batch_size=files.batch_size)
        return replace(made, listed=self.listed, shard=files.shard, dealt=files.dealt)


def run_record(
    scorer: "Scorer", names: Sequence[str], table_format: str, *, batch_size: int
) -> "RunRecord":
    """What makes the rows of a whole run of files that are named."""
    from edge_ood.tables.run_record import RunRecord
    from edge_ood.tables.shards import Shard

    return RunRecord(
        version=metadata.version("edge-ood"),
        artifact=scorer.file.sha256,
        provider=scorer.provider,
        table=table_format,
        scores=tuple(scorer.heads),
        batch_size=batch_size,
        paths=tuple(map(valid_text, names)),
        listed="",
        shard=Shard(),
    )


def _roots(names: Sequence[str]) -> tuple[list[Path], str]:
    """What is to be scored, and a hash of the list on standard input, if there is one.

    A name on the command line that does not exist is a slip.
    """
    from edge_ood.files.input_files import read_list

    given = [name for name in names if name != _LIST]
    for name in given:
        if not os.path.lexists(name):
            raise DataError(f"no file or folder '{name}'", hint="check the path")
    if _LIST not in names:
        return list(map(Path, given)), ""
    expect_standard_input()
    content = sys.stdin.buffer.read()
    return [*map(Path, given), *read_list(content)], hashlib.sha256(content).hexdigest()
