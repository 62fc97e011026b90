"""`edge-ood merge`: the shards of a run become one table."""

from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import ForceOption
from edge_ood.cli._say import say

__all__ = ["merge"]


def merge(
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="TABLES...",
            help="What 'score --shard' wrote, in any order: files, or URLs such as "
            "s3://bucket/scores/*.parquet.",
        ),
    ],
    *,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|URL",
            help="The table of the whole run, in their format.",
        ),
    ],
    force: ForceOption = False,
) -> None:
    """Put the shards of a run together into the table that the single run would have written.

    All of them must be there, finished, and of the same run: their .run.json files, which lie
    beside them, say so.

    Example: edge-ood merge part1.csv part2.csv part3.csv -o scores.csv
    """
    from edge_ood.tables.formats import FORMATS
    from edge_ood.tables.merge import Shards
    from edge_ood.tables.stored_output import local_tables, score_output

    with local_tables(tables) as paths:
        shards = Shards(paths)
        ending = Path(output).suffix.lower()
        meant = {name for name, endings in FORMATS.items() if ending in endings}
        if meant - {shards.record.table}:
            raise typer.BadParameter(f"the shards are {shards.record.table}, '{output}' is not")
        target = score_output(output, shards.record.table)
        target.check(resume=False, force=force)
        shards.check()
        rows = shards.write(target)
    say(f"{rows} rows in '{output}'", err=True)
