"""`edge-ood score`: one row per file, whatever is in it, without torch."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_ood.cli._options import (
    Artefact,
    ForceOption,
    ProviderOption,
    ThreadsOption,
)
from edge_ood.errors import DataError
from edge_ood.text import printable

if TYPE_CHECKING:
    from edge_ood.results import Row
    from edge_ood.runtime import Scorer
    from edge_ood.tables import WriteRow

__all__ = ["score"]

_FLAGGED = 3
_PATH_COLUMNS = 48


def score(
    artefact: Artefact,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATHS...", help="Files and folders; - reads a list of them, one a line."
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .csv, .jsonl or .parquet file; else stdout."),
    ] = None,
    table_format: Annotated[
        str | None, typer.Option("--format", help="csv, jsonl or parquet; by ending by default.")
    ] = None,
    scores: Annotated[
        str | None,
        typer.Option(
            metavar="HEAD,HEAD",
            help="Compute only these of the artefact's scores; heads that need no gradient are "
            "several times as fast alone.",
        ),
    ] = None,
    batch_size: Annotated[
        int,
        typer.Option(
            min=1,
            help="Images per inference; 1 takes one image at a time, all threads on it, and "
            "reports the latency.",
        ),
    ] = 8,
    threads: ThreadsOption = None,
    provider: ProviderOption = "auto",
    fail_on_ood: Annotated[
        bool, typer.Option("--fail-on-ood", help="Exit with 3 if any image was flagged.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Label, score and decide every file below PATHS, one row each.

    Example: edge-ood score exported/oe.onnx images -o scores.csv
    """
    from edge_ood.input_files import InputFiles
    from edge_ood.latency import Latencies
    from edge_ood.output import check_output
    from edge_ood.runtime import Scorer
    from edge_ood.tables import format_of

    chosen = format_of(output, table_format)
    if output is not None:
        check_output(output, force=force)
    files = InputFiles(_roots(paths), skip=output)
    heads = None if scores is None else [name.strip() for name in scores.split(",")]
    scorer = Scorer(
        artefact, provider=provider, heads=heads, threads=threads if batch_size == 1 else 1
    )
    _warn_about_device(scorer)
    tally = _Tally()
    latencies = Latencies()
    at_once = 1 if batch_size == 1 else threads
    stream = scorer.stream(files, batch_size=batch_size, threads=at_once, on_batch=latencies.add)
    rows = tally.watch(stream)
    if output is None and table_format is None and sys.stdout.isatty():
        _show(rows, scorer.metadata.primary)
    else:
        is_shown = output is None and sys.stdout.isatty()
        bar = nullcontext(rows) if is_shown else tally.progress(rows, len(files))
        with _table(output, chosen, scorer) as write, bar as passing:
            for row in passing:
                write(row)
    typer.echo(tally.summary(), err=True)
    if batch_size == 1 and latencies:
        typer.echo(latencies.summary(), err=True)
    if fail_on_ood and tally.flagged:
        raise typer.Exit(_FLAGGED)


def _roots(names: list[str]) -> list[Path]:
    """What is to be scored; a name on the command line that does not exist is a slip."""
    from edge_ood.input_files import read_list

    given = [name for name in names if name != "-"]
    for name in given:
        if not os.path.lexists(name):
            raise DataError(f"no file or folder '{name}'", hint="check the path")
    listed = read_list(sys.stdin.buffer.read()) if "-" in names else []
    return [*map(Path, given), *listed]


class _Tally:
    """Counts what goes by."""

    def __init__(self) -> None:
        self.flagged = 0
        self._statuses: Counter[str] = Counter()
        self._started = time.monotonic()

    def watch(self, rows: "Iterable[Row]") -> "Iterator[Row]":
        for row in rows:
            self._statuses[row.status] += 1
            self.flagged += bool(row.values.get("is_ood"))
            yield row

    def progress(
        self, rows: "Iterator[Row]", total: int
    ) -> "AbstractContextManager[Iterable[Row]]":
        """Pass the rows on under a progress bar with rate and time left."""
        return typer.progressbar(
            rows,
            length=total,
            label="scoring",
            show_pos=True,
            item_show_func=lambda row: self._rate() if row else None,
            file=sys.stderr,
        )

    def summary(self) -> str:
        """One line: how many, how they fared, how fast."""
        others = {s: n for s, n in sorted(self._statuses.items()) if s != "ok"}
        problems = "".join(f", {n} {status}" for status, n in others.items())
        seconds = time.monotonic() - self._started
        return (
            f"{self._statuses.total()} files in {seconds:.1f} s ({self._rate()}): "
            f"{self.flagged} flagged as out-of-distribution{problems}"
        )

    def _rate(self) -> str:
        return f"{self._statuses.total() / max(time.monotonic() - self._started, 1e-9):.0f}/s"


def _warn_about_device(scorer: "Scorer") -> None:
    from edge_ood.probe import run_probe_once

    result = run_probe_once(scorer)
    if result is not None and not result.passed:
        typer.echo(
            printable(
                f"warning: this device does not reproduce the artefact's {result.wrong}: "
                f"{result.cause}; 'edge-ood check' shows by how much; "
                f"{result.remedy(scorer.path)}"
            ),
            err=True,
        )


@contextmanager
def _table(output: Path | None, table_format: str, scorer: "Scorer") -> "Iterator[WriteRow]":
    from edge_ood.tables import open_table, write_to

    if output is not None:
        with open_table(output, table_format, scorer.heads) as write:
            yield write
        return
    # Class names may be in any language, whatever the terminal's encoding is.
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]  # a TextIOWrapper
    yield write_to(sys.stdout, table_format, scorer.heads)
    sys.stdout.flush()


def _show(rows: "Iterable[Row]", primary: str) -> None:
    """A table for eyes, row by row."""
    from edge_ood.tables import shown_path

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper
    typer.echo(f"{'path':<{_PATH_COLUMNS}}  {'decision':<12}  {'p':>7}  {primary:>10}  label")
    for row in rows:
        path = printable(shown_path(row.path))
        if len(path) > _PATH_COLUMNS:
            path = "..." + path[-(_PATH_COLUMNS - 3) :]
        decision = row.status
        rest = printable(row.error)
        if row.values:
            decision = "OOD" if row.values["is_ood"] else "known"
            numbers = f"{row.values['pvalue']:7.4f}  {row.values[primary]:10.4g}"
            rest = f"{numbers}  {printable(row.values['label'])}"
        typer.echo(f"{path:<{_PATH_COLUMNS}}  {decision:<12}  {rest}")
