"""`edge-ood score`: one row per file, whatever is in it, without torch."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_ood.cli._bundles import with_bundles
from edge_ood.cli._errors import sigterm_interrupts
from edge_ood.cli._gallery import GalleryPage
from edge_ood.cli._options import ArtifactArgument, ForceOption, ProviderOption, ThreadsOption
from edge_ood.cli._say import say
from edge_ood.cli._score_inputs import ScoreInputs
from edge_ood.cli._score_on_ray import ClusterRun, ShardingEngine
from edge_ood.cli._streams import expect_standard_output
from edge_ood.cli._tally import Tally
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.artifact.outputs import Row
    from edge_ood.files.stored import AnyImage
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.tables.run_record import RunRecord
    from edge_ood.tables.score_output import ScoreOutput
    from edge_ood.tables.shards import ShardArchives, ShardFiles

    Stream = Callable[[Iterable[AnyImage]], Iterator[Row]]

__all__ = ["score"]

_FLAGGED = 3
_PATH_COLUMNS, _FEWEST_COLUMNS, _OTHER_COLUMNS = 48, 12, 43


@with_bundles
def score(
    artifact: ArtifactArgument,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATHS...",
            help="Files and folders; - reads a list of them, one a line. Or URLs (s3://, gs://, "
            "abfs://), tar shards (train-{000..127}.tar) and Parquet tables with images.",
        ),
    ],
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|URL",
            help="A .csv or .jsonl file, or a .parquet folder; or a URL of one; else stdout.",
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
    engine: ShardingEngine,
) -> None:
    """Label, score and decide every file below PATHS, one row each.

    A table is finished when it bears its name: until then its rows lie in OUTPUT.part, and the
    same command with --resume goes on with them. A SIGKILL or a power cut costs the work of a few
    seconds. OUTPUT.run.json says what made the table.

    Example: edge-ood score exported/oe.onnx images -o scores.csv --resume
    """
    from edge_ood.runtime.latency import Latencies
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.tables.formats import format_of
    from edge_ood.tables.shards import Shard
    from edge_ood.tables.stored_output import score_output

    if engine.runs_elsewhere:
        unsupported = {"--shard": shard != "1/1", "--gallery": gallery, "--threads": threads}
        asked = ClusterRun(artifact, paths, output, table_format, scores, batch_size, provider)
        flagged = asked.score(engine, resume=resume, force=force, unsupported=unsupported)
        raise typer.Exit(_FLAGGED if fail_on_ood and flagged else 0)
    if resume and output is None:
        raise typer.BadParameter("--resume needs a table to go on with: -o FILE")
    if output is None:
        expect_standard_output()
    chosen = format_of(None if output is None else Path(output), table_format)
    target = None if output is None else score_output(output, chosen)
    if target is not None:
        target.check(resume=resume, force=force)
    own_files = target.own_files if target else ()
    page = GalleryPage(gallery, gallery_size)
    page.check((artifact, *own_files), force=force, resume=resume)
    inputs = ScoreInputs(paths, skip=(*own_files, *page.own_files))
    heads = None if scores is None else [name.strip() for name in scores.split(",")]
    # One at a time, images want all threads for themselves.
    is_single = batch_size == 1 or inputs.is_single
    scorer = Scorer(artifact, provider=provider, heads=heads, threads=threads if is_single else 1)
    _warn_about_device(scorer)
    files = inputs.of_shard(Shard.parse(shard), batch_size)
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
        record = inputs.record(scorer, files, chosen)
        _to_table(stream, files, tally, target, record=record, resume=resume)
    said = (tally.summary(), latencies.summary() if batch_size == 1 and latencies else "")
    say("\n".join(filter(None, said)), err=True)
    page.finish(artifact)
    tally.check_images(files.shard)
    raise typer.Exit(_FLAGGED if fail_on_ood and tally.flagged else 0)


def _to_table(
    stream: "Stream",
    files: "ShardFiles | ShardArchives",
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
    total = files.count()
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
        of_all = f" of {total}" if total else ""
        done = f"{table.saved_rows}{of_all} files are done, and --resume goes on with the rest"
        raise type(stop)(done) from None


def _to_stdout(
    stream: "Stream",
    files: "ShardFiles | ShardArchives",
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
    with (
        nullcontext(rows) if sys.stdout.isatty() else tally.progress(rows, files.count()) as passing
    ):
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
