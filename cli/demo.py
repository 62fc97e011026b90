"""`edge-ood demo`: the whole job on real images that a dependency ships."""

import importlib.util
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import ForceOption
from edge_ood.cli._say import say

__all__ = ["demo"]

_MADE = (
    *("images", "run", "run/report.html"),
    *("digits.onnx", "digits.parity.json", "digits.report.html", "scores.csv", "evaluation.html"),
)


def demo(
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for images, run, artefact and scores.")
    ] = Path("demo"),
    force: ForceOption = False,
) -> None:
    """Run the whole job on handwritten digits, in about a minute.

    Trains, exports, scores and evaluates. Digits 0 to 7 are ID, 8 and 9 near-OOD, patches
    of a photograph far-OOD. Every command that runs is printed first, so that you can repeat it on
    images of your own.

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
    say(f"\nDone in {time.monotonic() - started:.0f} s. Everything is left to explore:")
    for name in _MADE:
        if (output / name).exists():  # pages need an extra
            say(f"  {output / name}")
    say(f"Next: edge-ood inspect {shlex.quote(str(output / 'digits.onnx'))}")


def _commands(output: Path) -> list[list[str]]:
    images, run = output / "images", str(output / "run")
    artifact, scores = str(output / "digits.onnx"), str(output / "scores.csv")
    train = f"train {shlex.quote(str(images / 'train'))} --outliers"
    return [
        [
            *shlex.split(train),
            str(images / "outliers"),
            *shlex.split(
                "--objective outlier-exposure --heads 2 --model wrn-10-1:dropout=0 --image-size 8 "
                "--augmentation crop --epochs 20 --batch-size 64 --outlier-batch-size 64 --lr 0.1"
            ),
            "-o",
            run,
        ],
        ["export", run, "-o", artifact],
        ["score", artifact, str(images / "mixed"), "-o", scores],
        [
            "evaluate",
            artifact,
            "--id",
            str(images / "test"),
            "--near",
            str(images / "near"),
            "--far",
            str(images / "far"),
            *(["--report", str(output / "evaluation.html")] if _has_pages() else []),
        ],
    ]


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
