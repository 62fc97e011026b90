"""`edge-ood demo`: the whole job on real photographs that a dependency ships."""

import csv
import importlib.util
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import ForceOption
from edge_ood.cli._pictures import side_by_side
from edge_ood.cli._say import say

__all__ = ["demo"]

_PAGES = {
    "evaluation.html": "how good it is, with the images to look at",
    "surfaces.report.html": "what its thresholds mean",
    "run/report.html": "how it learned",
}
_MADE = ("images", "run", "surfaces.onnx", "surfaces.parity.json", "scores.csv", *_PAGES)


def demo(
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for images, run, artefact and scores.")
    ] = Path("demo"),
    force: ForceOption = False,
) -> None:
    """Run the whole job on photographs, in about a minute.

    Trains, exports, scores and evaluates. Patches of brick, grass and gravel are ID, of other
    surfaces near-OOD, of things far-OOD. Every command that runs is printed first, so that
    you can repeat it on images of your own.

    Example: edge-ood demo -o demo
    """
    from edge_ood.images.demo import write_images

    started = time.monotonic()
    _make_room(output, force=force)
    counts = write_images(output / "images")
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    say(f"wrote {output / 'images'}: {listed}")
    for command in _commands(output):
        say(f"\n$ edge-ood {shlex.join(command)}")
        sys.stdout.flush()
        _run(command)
    _show_two(output)
    say(f"\nDone in {time.monotonic() - started:.0f} s. To look at:")
    for name, about in _PAGES.items():
        if (output / name).exists():  # pages need an extra
            say(f"  {output / name}: {about}")
    say("On your own images, a folder for each class, from a network that has seen a million:")
    say("  edge-ood train FOLDER --model mobilenet_v3_small --weights pretrained -o run")
    say("  edge-ood export run -o classifier.onnx")


def _commands(output: Path) -> list[list[str]]:
    images, run = output / "images", str(output / "run")
    artifact, scores = str(output / "surfaces.onnx"), str(output / "scores.csv")
    return [
        [
            *("train", str(images / "train"), "--calibration", str(images / "calibration")),
            *("--outliers", str(images / "outliers")),
            *shlex.split(
                "--objective outlier-exposure --heads 2 --model wrn-10-1:dropout=0 --image-size 32 "
                "--augmentation crop,flip --epochs 10 --batch-size 64 --outlier-batch-size 64 "
                "--lr 0.1"
            ),
            *("-o", run),
        ],
        ["export", run, "-o", artifact],
        ["score", artifact, str(images / "mixed"), "-o", scores],
        [
            *("evaluate", artifact, "--id", str(images / "test")),
            *("--near", str(images / "near"), "--far", str(images / "far"), "--brief"),
            *(["--report", str(output / "evaluation.html")] if _has_pages() else []),
        ],
    ]


def _show_two(output: Path) -> None:
    """The most trusted image and the most suspicious near one of the mixed ones, side by side."""
    with (output / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["pvalue"]))
    near = [row for row in rows if "/near_" in row["path"]]
    shown = {"accepted": rows[-1], "refused": near[0]}
    paths = [output / "images" / "mixed" / Path(row["path"]).name for row in shown.values()]
    say("")
    if picture := side_by_side(paths):
        typer.echo(picture)
    for path, (verdict, row) in zip(paths, shown.items(), strict=True):
        say(f"{verdict} as {row['label']}, p {float(row['pvalue']):.3f}: {path}")


def _has_pages() -> bool:
    from edge_ood.report.leave import PAGE_LIBRARIES

    return all(importlib.util.find_spec(name) for name in PAGE_LIBRARIES)


def _run(arguments: list[str]) -> None:
    from edge_ood.cli.app import app

    code = typer.main.get_command(app).main(arguments, prog_name="edge-ood", standalone_mode=False)
    if code:
        raise typer.Exit(code)


def _make_room(output: Path, *, force: bool) -> None:
    from edge_ood.files.output import check_output

    for name in (*_MADE, "scores.csv.run.json", "scores.csv.part"):
        path = output / name
        if path.exists() and force:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        check_output(path, force=False)
