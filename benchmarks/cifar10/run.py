"""Train, export and evaluate rows of the CIFAR-10 table, and append them to its results file.

    python benchmarks/cifar10/prepare.py --scale small           # once
    python benchmarks/cifar10/run.py oe-tuned --scale small
    python benchmarks/cifar10/run.py all --scale full --seed 0 1 2 --budget-s 540

Every `edge-ood` command is printed before it runs. A row that the results file has is skipped. A
row that starts from another trains that one first. Killed, or stopped by `--budget-s` (exit code
75), the same command goes on where it was. A row counts only if its run, exported and evaluated a
second time, gives the same numbers again.
"""

import argparse
import json
import math
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rows import (
    ROWS,
    SCALES,
    Folders,
    evaluate_command,
    export_command,
    planned_stages,
    train_command,
)

from edge_ood.training.run_directory import Run, read_metrics, read_run

RESULTS = Path(__file__).with_name("results.jsonl")
OUT_OF_TIME = 75  # EX_TEMPFAIL of sysexits.h: try again
DECIMALS = 2
MEASURES = (
    "auroc",
    "aupr_in",
    "aupr_out",
    "fpr95_id_positive",
    "fpr95_ood_positive",
    "detection_error",
)


class OutOfTimeError(Exception):
    """The time budget ended; what was done so far is kept."""


def measure_row(row: str, scale: str, seed: int, folders: Folders, deadline: float) -> Any:
    """Train, export twice, evaluate twice, and describe the row.

    Raises:
        OutOfTimeError: If the deadline, by the monotonic clock, passes.
    """
    sets = json.loads((folders.data / "sets.json").read_text("utf-8"))
    stages = planned_stages(row)
    for stage in stages:
        edge_ood(train_command(stage, scale, seed, folders), deadline)
    run = read_run(folders.run(row, seed))
    documents = []
    for turn in ("first", "again"):
        artefact = folders.run(row, seed).with_name(f"{row}-{turn}.onnx")
        document = artefact.with_suffix(".json")
        if not is_newer(document, run.weights_path):
            edge_ood(export_command(run.path, artefact, run.config.settings.heads), deadline)
            edge_ood(evaluate_command(artefact, folders.data, document), deadline)
        documents.append(results(json.loads(document.read_text("utf-8"))))
    if documents[0] != documents[1]:
        raise SystemExit(f"{row}: exported again, the run gives other numbers; see {run.path}")
    return {
        "row": row,
        "scale": scale,
        "seed": seed,
        "results": documents[0],
        "reproduced": True,
        "training": {s: training(read_run(folders.run(s, seed))) for s in stages},
        "images": sets,
        "hardware": hardware(run.config.environment),
    }


def results(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What the table needs of `edge-ood evaluate --json`, in percent.

    Returns:
        ID error, the images of every set, and by score the realised TPR, what was promised, and all
        measures by OOD set.
    """
    (model,) = evaluation["models"]
    id_set = model["id"]
    return {
        "id_error": _percent(1 - id_set["accuracy"]),
        "n": {"id": id_set["n"], **{name: found["n"] for name, found in model["ood"].items()}},
        "promised_tpr": _percent(1 - model["alpha"]),
        "scores": {
            score: {
                "realised_tpr": _percent(id_set["heads"][score]["realised_tpr"]),
                "ood": {
                    name: {key: _percent(found["metrics"][score][key]) for key in MEASURES}
                    for name, found in model["ood"].items()
                },
            }
            for score in model["heads"]
        },
    }


def training(run: Run) -> dict[str, Any]:
    """Configuration, time and last epoch of a finished run; nothing that names its place."""
    config = run.config.to_json()
    epochs = read_metrics(run.path)
    last = asdict(epochs[-1])
    return {
        "settings": config["settings"],
        "objective_parameters": run.config.objective_parameters,
        "preprocess": config["preprocess"],
        "environment": config["environment"],
        "seconds": round(sum(epoch.seconds for epoch in epochs), 1),
        "last_epoch": {
            key: round(value, 6) for key, value in last.items() if not math.isnan(value)
        },
    }


def hardware(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What computed the row."""
    found: dict[str, Any] = {"processor": _processor(), "cores": os.cpu_count()}
    if environment["device"] == "cuda":
        import torch

        found["accelerator"] = torch.cuda.get_device_name(0)
    return found


def edge_ood(arguments: Sequence[str], deadline: float) -> None:
    """Print and run one command; stop it when the time is up."""
    print(f"\n$ {shlex.join(['edge-ood', *arguments])}", flush=True)
    program = Path(sys.executable).with_name("edge-ood")
    with subprocess.Popen([program, *arguments]) as process:
        try:
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            raise OutOfTimeError from None
        except BaseException:
            process.kill()
            raise
    if code:
        raise SystemExit(code)


def is_newer(made: Path, source: Path) -> bool:
    """Whether a file exists and was made from what the source is now."""
    return made.exists() and made.stat().st_mtime_ns > source.stat().st_mtime_ns


def is_there(lines: Sequence[str], row: str, scale: str, seed: int) -> bool:
    """Whether a results file has a row already."""
    found = [json.loads(line) for line in lines]
    return any((f["row"], f["scale"], f["seed"]) == (row, scale, seed) for f in found)


def _percent(rate: float) -> float:
    return round(100 * rate, DECIMALS)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Bring the results file up to the rows that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", nargs="+", choices=(*ROWS, "all"))
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/cifar10"), metavar="DIR")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--budget-s", type=float, default=float("inf"), metavar="SECONDS")
    args = parser.parse_args()
    deadline = time.monotonic() + args.budget_s
    folders = Folders(args.folder / args.scale)
    if not (folders.data / "sets.json").is_file():
        raise SystemExit(f"no images in '{folders.data}'; run prepare.py --scale {args.scale}")
    rows = ROWS if "all" in args.row else args.row
    for seed in args.seed:
        for row in rows:
            lines = args.results.read_text("utf-8").splitlines() if args.results.exists() else []
            if is_there(lines, row, args.scale, seed):
                print(f"{row}, {args.scale} scale, seed {seed}: already in '{args.results}'")
                continue
            try:
                found = measure_row(row, args.scale, seed, folders, deadline)
            except OutOfTimeError:
                print("\nout of time; the same command goes on from here")
                raise SystemExit(OUT_OF_TIME) from None
            with args.results.open("a", encoding="utf-8") as results_file:
                results_file.write(json.dumps(found) + "\n")
            print(f"\n{row}, {args.scale} scale, seed {seed}: appended to '{args.results}'")


if __name__ == "__main__":
    main()
