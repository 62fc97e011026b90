"""`edge-ood drift`: windows of a finished score table, tested for a change."""

import json
from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import ArtifactArgument, ForceOption
from edge_ood.cli._say import say

__all__ = ["drift"]


def drift(
    artifact: ArtifactArgument,
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE", help="What 'score' or 'watch' wrote, its .run.json beside it."
        ),
    ],
    *,
    window: Annotated[int, typer.Option(min=2, help="Images that are tested together.")] = 200,
    level: Annotated[
        float, typer.Option(help="Share of windows that raise an alarm though nothing changed.")
    ] = 0.001,
    figure: Annotated[
        Path | None,
        typer.Option(help="Write the share flagged and the p-values over time: .png or .svg."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON record for each window.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Find where in a score table the images changed.

    That is, where they stopped being like the calibration images. Rows are taken in their order,
    windows do not overlap, and the p-values of each are tested against those of the calibration
    images. Each window has its level; nothing is claimed of all together.

    Example: edge-ood drift exported/oe.onnx rows.jsonl --figure drift.png
    """
    from edge_ood.calibration.drift import Windows
    from edge_ood.files.output import atomic_output, check_output
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.runtime.watch import calibration_images
    from edge_ood.tables.run_record import check_made_by, read_record
    from edge_ood.tables.unfinished_table import record_path
    from edge_ood.tables.writer import open_table

    if figure is not None:
        check_output(figure, force=force)
    scorer = Scorer(artifact, provider="cpu")
    record = read_record(record_path(table))
    check_made_by(record, scorer.file.sha256, table)
    windows = Windows(window, level, calibration_images(scorer))
    classes, found, rows = scorer.metadata.classes, [], 0
    for row in open_table(table, record).saved():
        rows += 1
        index = row.number("label_index")
        label = classes[int(index)] if 0 <= index < len(classes) else ""
        done = windows.add(row.number("pvalue"), label, is_ood=row.is_ood)
        if done is not None:
            found.append(done)
            if as_json:
                say(json.dumps(done.to_json(), ensure_ascii=False))
            elif done.is_alarm:
                say(f"drift: {done}")
    alarms = sum(each.is_alarm for each in found)
    say(
        f"{rows} rows, {len(found)} windows of {window} images: {alarms} alarms,"
        f" {level * len(found):.2g} expected if nothing changed",
        err=as_json,
    )
    if figure is not None:
        from edge_ood.report.drift_figure import drift_figure

        with atomic_output(figure) as temporary:
            drift_figure(found, scorer.metadata.calibration.alpha, level, temporary, figure.suffix)
        say(f"'{figure}': the share flagged and the windows' p-values", err=True)
