"""`edge-ood merge`: the shards of a run become one table."""

from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import ForceOption
from edge_ood.cli._say import say

__all__ = ["merge"]


def merge(
    tables: Annotated[
        list[Path],
        typer.Argument(metavar="TABLES...", help="What 'score --shard' wrote, in any order."),
    ],
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The table of the whole run, in their format.")
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
    from edge_ood.tables.score_output import ScoreOutput

    shards = Shards(tables)
    meant = {name for name, endings in FORMATS.items() if output.suffix.lower() in endings}
    if meant - {shards.record.table}:
        raise typer.BadParameter(f"the shards are {shards.record.table}, '{output}' is not")
    target = ScoreOutput(output, shards.record.table)
    target.check(resume=False, force=force)
    shards.check()
    rows = shards.write(target)
    say(f"{rows} rows in '{output}'", err=True)
