"""`edge-ood bench`: what an artefact costs on this device, and the settings that suit it."""

import json
import shlex
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from edge_ood.cli._options import ArtifactArgument, ProviderOption
from edge_ood.cli._say import say
from edge_ood.cli._streams import expect_standard_output
from edge_ood.files.plain_table import format_table
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.runtime.benchmark import Report

__all__ = ["bench"]


def bench(
    artifact: ArtifactArgument,
    images: Annotated[
        Path | None,
        typer.Argument(help="Files such as are to be scored; built-in pictures by default."),
    ] = None,
    *,
    json_output: Annotated[
        bool, typer.Option("--json", help="Write JSON in place of tables.")
    ] = False,
    provider: ProviderOption = "auto",
) -> None:
    """Measure an artefact on this device, and suggest settings for 'edge-ood score'.

    Each score is timed alone, against the network without any. It takes about half a minute, in
    which nothing else should keep the processor busy.

    Example: edge-ood bench exported/oe.onnx images
    """
    from edge_ood.files.input_files import InputFiles
    from edge_ood.runtime.benchmark import benchmark

    expect_standard_output()
    files = () if images is None else InputFiles([images])
    report = benchmark(
        artifact,
        files,
        provider=provider,
        on_step=lambda step: say(f"measuring {step} ...", err=True),
    )
    if json_output:
        json.dump(report.to_json(), sys.stdout, indent=2)
        typer.echo()
    else:
        say(_tables(report, printable(shlex.join([str(artifact), str(images or "IMAGES")]))))


def _tables(report: "Report", arguments: str) -> str:
    fastest, soonest = report.fastest, report.soonest
    options = f"--batch-size {fastest.batch_size} --threads {fastest.threads}"
    blocks = [
        printable(str(report.device)),
        f"decoding {report.decode_ms:.2f} ms an image on one core ({report.files})",
        _rates(report),
        _latencies(report),
        _scores(report),
        f"suggested for folders, about {fastest.images_per_second:.0f} images/s:\n"
        f"  edge-ood score {arguments} {options}\n"
        f"suggested for single images, about {1e3 / soonest.images_per_second:.1f} ms each:\n"
        f"  edge-ood score {arguments} --batch-size 1 --threads {soonest.threads}",
    ]
    return "\n\n".join(block for block in blocks if block)


def _rates(report: "Report") -> str:
    """Batch sizes down, threads across."""
    counts = sorted({rate.threads for rate in report.rates})
    sizes = sorted({rate.batch_size for rate in report.rates})
    found = {(rate.batch_size, rate.threads): rate.images_per_second for rate in report.rates}
    rows = [(str(size), *(f"{found[size, count]:.1f}" for count in counts)) for size in sizes]
    headings = ("batch size", *(f"{count} at once" for count in counts))
    return "inference, images/s, each batch on one thread\n" + format_table(headings, rows)


def _latencies(report: "Report") -> str:
    rows = [(str(count), f"{value:.2f} ms") for count, value in report.latency_ms.items()]
    return "inference of one image\n" + format_table(("threads", "median"), rows)


def _scores(report: "Report") -> str:
    """What each costs, without what it shares with others, and what all do."""
    sizes = sorted({added.batch_size for added in report.added})
    found = {(added.scores, added.batch_size): added for added in report.added}
    names = list(dict.fromkeys(added.scores for added in report.added))
    rows = [
        (
            each[0] if len(each) == 1 else "all together",
            *(f"{found[each, size].added_us:.1f}" for size in sizes),
        )
        for each in names
    ]
    alone = [[a.network_us for a in report.added if a.batch_size == size] for size in sizes]
    rows.insert(0, ("(network alone)", *(f"{median(times):.1f}" for times in alone)))
    table = format_table(("score", *(f"batch of {size}" for size in sizes)), rows)
    return f"what each score alone adds to label and logits, microseconds an image\n{table}"
