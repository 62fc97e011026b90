"""`edge-ood score`: one row per file, whatever is in it, without torch."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_ood.cli._options import Artefact, BatchSizeOption, ForceOption, ProviderOption
from edge_ood.errors import DataError

if TYPE_CHECKING:
    from edge_ood.runtime import Row, Scorer

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
    batch_size: BatchSizeOption = 32,
    provider: ProviderOption = "auto",
    fail_on_ood: Annotated[
        bool, typer.Option("--fail-on-ood", help="Exit with 3 if any image was flagged.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Label, score and decide every file below PATHS, one row each.

    Example: edge-ood score exported/oe.onnx images -o scores.csv
    """
    from edge_ood.output import check_output
    from edge_ood.runtime import Scorer
    from edge_ood.tables import format_of

    chosen = format_of(output or Path("stdout.jsonl"), table_format)
    if output is not None:
        check_output(output, force=force)
    files = _Files(paths)
    scorer = Scorer(artefact, provider=provider)
    _warn_about_device(scorer)
    tally = _Tally()
    rows = tally.watch(scorer.stream(files, batch_size=batch_size))
    if output is not None:
        _to_file(rows, scorer, output, chosen, total=len(files))
    elif sys.stdout.isatty() and table_format is None:
        _to_terminal(rows, scorer)
    else:
        _to_stdout(rows, scorer, chosen)
    typer.echo(tally.summary(), err=True)
    if fail_on_ood and tally.flagged:
        raise typer.Exit(_FLAGGED)


class _Files:
    """The input files in a stable order, without holding a large folder's names in memory."""

    def __init__(self, paths: Sequence[str]) -> None:
        listed = [line.rstrip("\n") for line in sys.stdin] if "-" in paths else []
        self._roots = [Path(name) for name in paths if name != "-"]
        self._roots += [Path(name) for name in listed if name]
        missing = [name for name in paths if name != "-" and not os.path.lexists(name)]
        if missing:
            raise DataError(f"no file or folder '{missing[0]}'", hint="check the path")

    def __iter__(self) -> Iterator[Path]:
        for root in self._roots:
            if not root.is_dir():
                yield root
                continue
            for folder, folders, names in os.walk(root):
                folders.sort()
                yield from (Path(folder, name) for name in sorted(names))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Tally:
    """Counts what went by."""

    def __init__(self) -> None:
        self.flagged = 0
        self._statuses: Counter[str] = Counter()
        self._started = time.monotonic()

    def watch(self, rows: "Iterable[Row]") -> "Iterator[Row]":
        for row in rows:
            self._statuses[row.status] += 1
            self.flagged += bool(row.values.get("is_ood"))
            yield row

    def summary(self) -> str:
        """One line: how many, how they fared, how fast."""
        total = sum(self._statuses.values())
        seconds = time.monotonic() - self._started
        others = {s: n for s, n in sorted(self._statuses.items()) if s != "ok"}
        problems = "".join(f", {n} {status}" for status, n in others.items())
        return (
            f"{total} files in {seconds:.1f} s ({total / max(seconds, 1e-9):.0f}/s): "
            f"{self.flagged} flagged as out-of-distribution{problems}"
        )


def _warn_about_device(scorer: "Scorer") -> None:
    from edge_ood.probe import run_probe_once

    result = run_probe_once(scorer)
    if result is not None and not result.passed:
        wrong = ", ".join(result.failed_heads) or "labels"
        typer.echo(
            f"warning: this device does not reproduce the artefact's {wrong}; "
            "'edge-ood check' shows by how much, 'edge-ood calibrate' sets thresholds that hold",
            err=True,
        )


def _to_file(
    rows: "Iterable[Row]", scorer: "Scorer", output: Path, table_format: str, *, total: int
) -> None:
    from edge_ood.tables import open_table

    with (
        open_table(output, table_format, scorer.heads) as write,
        typer.progressbar(
            rows, length=total, label="scoring", show_pos=True, file=sys.stderr
        ) as progress,
    ):
        for row in progress:
            write(row)


def _to_stdout(rows: "Iterable[Row]", scorer: "Scorer", table_format: str) -> None:
    from edge_ood.tables import write_to

    write = write_to(sys.stdout, table_format, scorer.heads)
    for row in rows:
        write(row)
    sys.stdout.flush()


def _to_terminal(rows: "Iterable[Row]", scorer: "Scorer") -> None:
    from edge_ood.tables import shown_path

    primary = scorer.metadata.primary
    typer.echo(f"{'path':<{_PATH_COLUMNS}}  {'decision':<12}  {'p':>7}  {primary:>10}  label")
    for row in rows:
        path = shown_path(row.path)
        if len(path) > _PATH_COLUMNS:
            path = "..." + path[-(_PATH_COLUMNS - 3) :]
        if not row.values:
            typer.echo(f"{path:<{_PATH_COLUMNS}}  {row.status:<12}  {row.error}")
            continue
        decision = "OOD" if row.values["is_ood"] else "known"
        typer.echo(
            f"{path:<{_PATH_COLUMNS}}  {decision:<12}  {row.values['pvalue']:7.4f}  "
            f"{row.values[primary]:10.4g}  {row.values['label']}"
        )
