"""`edge-ood score`: one row per file, whatever is in it, without torch."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_ood.cli._errors import sigterm_interrupts
from edge_ood.cli._gallery import GalleryPage
from edge_ood.cli._options import ArtifactArgument, ForceOption, ProviderOption, ThreadsOption
from edge_ood.cli._say import say
from edge_ood.cli._streams import expect_standard_input, expect_standard_output
from edge_ood.cli._tally import Tally
from edge_ood.errors import DataError
from edge_ood.files.text import printable, valid_text

if TYPE_CHECKING:
    from edge_ood.artifact.outputs import Row
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.tables.run_record import RunRecord
    from edge_ood.tables.score_output import ScoreOutput
    from edge_ood.tables.shards import ShardFiles

    Stream = Callable[[Iterable[Path]], Iterator[Row]]

__all__ = ["score"]

_FLAGGED = 3
_PATH_COLUMNS, _FEWEST_COLUMNS, _OTHER_COLUMNS = 48, 12, 43


def score(
    artifact: ArtifactArgument,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATHS...", help="Files and folders; - reads a list of them, one a line."
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A .csv or .jsonl file, or a .parquet folder; else stdout.",
        ),
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
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help="Score only the I-th of N shares, on any machine; 'edge-ood merge' joins them.",
        ),
    ] = "1/1",
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where a killed or interrupted run stopped; with nothing there, begin.",
        ),
    ] = False,
    gallery: Annotated[
        Path | None,
        typer.Option(
            help="A page to write, FILE.html, with the most suspicious images as thumbnails; with "
            "--resume also of a table that is finished or merged.",
        ),
    ] = None,
    gallery_size: Annotated[
        int, typer.Option(min=1, help="How many images the gallery shows at most.")
    ] = 200,
    force: ForceOption = False,
) -> None:
    """Label, score and decide every file below PATHS, one row each.

    A table is finished when it bears its name: until then its rows lie in OUTPUT.part, and the
    same command with --resume goes on with them. A SIGKILL or a power cut costs the work of a few
    seconds. OUTPUT.run.json says what made the table.

    Example: edge-ood score exported/oe.onnx images -o scores.csv --resume
    """
    from edge_ood.files.input_files import InputFiles
    from edge_ood.files.paths import is_folder
    from edge_ood.runtime.latency import Latencies
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.tables.formats import format_of
    from edge_ood.tables.score_output import ScoreOutput
    from edge_ood.tables.shards import Shard, ShardFiles

    if resume and output is None:
        raise typer.BadParameter("--resume needs a table to go on with: -o FILE")
    if output is None:
        expect_standard_output()
    chosen = format_of(output, table_format)
    target = None if output is None else ScoreOutput(output, chosen)
    if target is not None:
        target.check(resume=resume, force=force)
    own_files = target.own_files if target else ()
    page = GalleryPage(gallery, gallery_size)
    page.check((artifact, *own_files), force=force, resume=resume)
    roots, listed = _roots(paths)
    everything = InputFiles(roots, skip=(*own_files, *page.own_files))
    heads = None if scores is None else [name.strip() for name in scores.split(",")]
    # One at a time, images want all threads for themselves.
    is_single = batch_size == 1 or (len(roots) == 1 and not is_folder(roots[0]))
    scorer = Scorer(artifact, provider=provider, heads=heads, threads=threads if is_single else 1)
    _warn_about_device(scorer)
    files = ShardFiles(everything, Shard.parse(shard), batch_size)
    tally, latencies = Tally(page.begin(scorer.metadata)), Latencies()
    stream = partial(
        scorer.stream,
        batch_size=batch_size,
        threads=1 if is_single else threads,
        on_batch=latencies.add,
    )
    if target is None:
        _to_stdout(stream, files, tally, scorer, chosen if table_format else None)
    else:
        record = _record(scorer, files, table_format=chosen, paths=paths, listed=listed)
        _to_table(stream, files, tally, target, record=record, resume=resume)
    say(tally.summary(), err=True)
    if batch_size == 1 and latencies:
        say(latencies.summary(), err=True)
    page.finish(artifact)
    tally.check_images(files.shard)
    if fail_on_ood and tally.flagged:
        raise typer.Exit(_FLAGGED)


def _roots(names: list[str]) -> tuple[list[Path], str]:
    """What is to be scored, and a hash of the list on standard input, if there is one.

    A name on the command line that does not exist is a slip.
    """
    from edge_ood.files.input_files import read_list

    given = [name for name in names if name != "-"]
    for name in given:
        if not os.path.lexists(name):
            raise DataError(f"no file or folder '{name}'", hint="check the path")
    if "-" not in names:
        return list(map(Path, given)), ""
    expect_standard_input()
    content = sys.stdin.buffer.read()
    return [*map(Path, given), *read_list(content)], hashlib.sha256(content).hexdigest()


def _record(
    scorer: "Scorer",
    files: "ShardFiles",
    *,
    table_format: str,
    paths: list[str],
    listed: str,
) -> "RunRecord":
    """What makes the rows."""
    from importlib import metadata

    from edge_ood.tables.run_record import RunRecord

    return RunRecord(
        version=metadata.version("edge-ood"),
        artifact=scorer.file.sha256,
        provider=scorer.provider,
        table=table_format,
        scores=tuple(scorer.heads),
        batch_size=files.batch_size,
        paths=tuple(map(valid_text, paths)),
        listed=listed,
        shard=files.shard,
    )


def _to_table(
    stream: "Stream",
    files: "ShardFiles",
    tally: Tally,
    target: "ScoreOutput",
    *,
    record: "RunRecord",
    resume: bool,
) -> None:
    """Write a file or folder, or what is left of it to write."""
    finished = target.finished_rows(record) if resume else None
    if finished is not None:
        tally.take_over(finished)
        return
    total = len(files)
    table = None
    try:
        with sigterm_interrupts(), target.open(record, resume=resume) as table:
            paths = table.rest(files, tally.take_over_row)
            if not table.has_same_files:
                say("note: files came or went since; new ones follow at the end", err=True)
            rows = tally.watch(stream(paths))
            with tally.progress(rows, total) as passing:
                for row in passing:
                    table.write(row)
            table.finish(files.total, files.digest)
    except KeyboardInterrupt as stop:
        if table is None or not table.saved_rows:
            raise
        done = f"{table.saved_rows} of {total} files are done, and --resume goes on with the rest"
        raise type(stop)(done) from None


def _to_stdout(
    stream: "Stream",
    files: "ShardFiles",
    tally: Tally,
    scorer: "Scorer",
    table_format: str | None,
) -> None:
    """A table for eyes on a terminal; JSON Lines elsewhere, or the format asked for."""
    from edge_ood.tables.formats import write_to

    rows = tally.watch(stream(files))
    if sys.stdout.isatty() and table_format is None:
        _show(rows, scorer.metadata.primary)
        return
    # Class names may be in any language, whatever the terminal's encoding is.
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]  # a TextIOWrapper
    write = write_to(sys.stdout, table_format or "jsonl", scorer.heads)
    with nullcontext(rows) if sys.stdout.isatty() else tally.progress(rows, len(files)) as passing:
        for row in passing:
            write(row)
    sys.stdout.flush()


def _warn_about_device(scorer: "Scorer") -> None:
    from edge_ood.runtime.probe import run_probe_once

    result = run_probe_once(scorer)
    if result is not None and not result.passed:
        say(
            printable(
                f"warning: this device does not reproduce the artefact's {result.wrong}: "
                f"{result.cause}; 'edge-ood check' shows by how much; "
                f"{result.remedy(scorer.path)}"
            ),
            err=True,
        )


def _show(rows: "Iterable[Row]", primary: str) -> None:
    """A table for eyes, row by row."""
    from edge_ood.files.paths import shown_path
    from edge_ood.files.plain_table import WIDTH

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper
    columns = int(min(_PATH_COLUMNS, max(_FEWEST_COLUMNS, WIDTH.get() - _OTHER_COLUMNS)))
    say(f"{'path':<{columns}}  {'decision':<12}  {'p':>7}  {primary:>10}  label")
    for row in rows:
        path = printable(shown_path(row.path))
        if len(path) > columns:
            path = "..." + path[-(columns - 3) :]
        decision = row.status
        rest = printable(row.error)
        if row.values:
            decision = "OOD" if row.values["is_ood"] else "ID"
            numbers = f"{row.values['pvalue']:7.4f}  {row.values[primary]:10.4g}"
            rest = f"{numbers}  {printable(row.values['label'])}"
        say(f"{path:<{columns}}  {decision:<12}  {rest}")
