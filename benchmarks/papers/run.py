"""Train, export and evaluate rows of the tables, and append them to the results file.

    python benchmarks/papers/prepare.py                         # once
    python benchmarks/papers/run.py resnet20 resnet20-oe
    python benchmarks/papers/run.py tuned --seed 0 1 2 --budget-s 540

Names are those of rows, or of groups of them. Every `edge-ood` command is printed before it runs. A
row that the results file has is skipped. A row that starts from another trains that one first.
Killed, or stopped by `--budget-s` (exit code 75), the same command goes on where it was: training
in its run, evaluation at the OOD set that it had come to.

A row counts only if it comes out again: a trained network is exported a second time and has to give
the same numbers, a published one is attached to as a plain ONNX file and has to give numbers within
0.1 points. Two OOD sets are measured for that.
"""

import argparse
import importlib
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
from importlib import metadata
from pathlib import Path
from typing import Any

from rows import (
    CHECKED,
    GROUPS,
    MEASURES,
    NETWORKS,
    PUBLISHED,
    ROWS,
    STAGES,
    Folders,
    attach_command,
    environment,
    evaluate_command,
    export_command,
    images_of,
    network_of,
    planned_stages,
    program,
    sets_of,
    train_command,
)

from edge_ood.training.run_directory import Run, read_metrics, read_run

RESULTS = Path(__file__).with_name("results.jsonl")
OUT_OF_TIME = 75  # EX_TEMPFAIL of sysexits.h: try again
DECIMALS = 2
SAME_POINTS, ATTACHED_POINTS = 0.0, 0.1
"""Between numbers of a row and of the same network once more."""


class OutOfTimeError(Exception):
    """The time budget ended; what was done so far is kept."""


def measure_row(row: str, seed: int, folders: Folders, deadline: float) -> Any:
    """Train, export, evaluate, and once more from the network on, and describe the row.

    Raises:
        OutOfTimeError: If the deadline, by the monotonic clock, passes.
    """
    sets = json.loads((folders.data / "sets.json").read_text("utf-8"))
    stages = planned_stages(row)
    for stage in stages:
        edge_ood(train_command(stage, seed, folders), deadline)
    origin = read_run(folders.run(row, seed)).weights_path if stages else None
    folder = folders.run(row, seed).with_name(f"{row}-scores")
    folder.mkdir(parents=True, exist_ok=True)
    artefact, again = folder / "first.onnx", folder / "again.onnx"
    if not is_newer(artefact, origin):
        edge_ood(export_command(row, seed, artefact, folders), deadline)
    measured = evaluated(artefact, (*sets_of(row), *folders.images.held_out), folders, deadline)
    if not is_newer(again, artefact):
        edge_ood(again_command(row, seed, again, folders), deadline)
    differ = difference(evaluated(again, CHECKED, folders, deadline), measured)
    if differ > (SAME_POINTS if stages else ATTACHED_POINTS):
        raise SystemExit(f"{row}: once more, numbers differ by {differ:g} points; see '{folder}'")
    return {
        "row": row,
        "seed": seed,
        "results": joined(measured, sets, folders.images.held_out),
        "reproduced": differ,
        "training": {s: training(read_run(folders.run(s, seed))) for s in stages},
        "images": sets,
        "hardware": hardware(),
        "versions": versions(),
    }


def again_command(row: str, seed: int, again: Path, folders: Folders) -> list[str]:
    """The command that makes an artefact of a row's network for a second time."""
    if planned_stages(row):
        return export_command(row, seed, again, folders)
    plain = again.with_name("plain.onnx")
    write_plain(network_of(row), plain, folders)
    return attach_command(row, plain, again, folders)


def write_plain(name: str, plain: Path, folders: Folders) -> None:
    """A published network as torch exports it, with nothing of edge-ood."""
    import torch
    from safetensors.torch import load_file

    sys.path.insert(0, NETWORKS)
    networks = importlib.import_module("networks")
    network = getattr(networks, PUBLISHED[name].factory)(folders.images.num_classes)
    file = folders.weights(name)
    state = load_file(file) if file.suffix == ".safetensors" else torch.load(file)
    network.load_state_dict(state)
    batch = {0: torch.export.Dim("N")}
    example = (torch.zeros(2, 3, folders.images.size_px, folders.images.size_px),)
    exported = torch.onnx.export(
        network.eval(), example, dynamo=True, dynamic_shapes=(batch,), verbose=False
    )
    assert exported is not None
    exported.save(plain)


def evaluated(
    artefact: Path, names: Sequence[str], folders: Folders, deadline: float
) -> dict[str, Any]:
    """What `edge-ood evaluate` says, by OOD set or part of the ID images; what is there stays."""
    documents = {}
    for name in names:
        document = artefact.with_name(f"{artefact.stem}-{name}.json")
        if not is_newer(document, artefact):
            edge_ood(evaluate_command(artefact, name, document, folders), deadline)
        documents[name] = results(json.loads(document.read_text("utf-8")))
    return documents


def results(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What the tables need of `edge-ood evaluate --json` on one OOD set, in percent.

    Returns:
        ID error, images, what was promised, and by score the realised TPR and all measures, with
        the ends of their intervals, where there are any.
    """
    (model,) = evaluation["models"]
    (other,) = model["ood"].values()
    return {
        "id_error": _percent(1 - model["id"]["accuracy"]),
        "n": {"id": model["id"]["n"], "ood": other["n"]},
        "promised_tpr": _percent(1 - model["alpha"]),
        "scores": {
            score: {
                "realised_tpr": _percent(model["id"]["heads"][score]["realised_tpr"]),
                "measures": {key: _percent(other["metrics"][score][key]) for key in MEASURES},
                "intervals": {
                    key: [_percent(end) for end in (found[key]["low"], found[key]["high"])]
                    for found in [other.get("intervals", {}).get(score, {})]
                    for key in MEASURES
                    if key in found
                },
            }
            for score in model["heads"]
        },
    }


def joined(
    measured: Mapping[str, Any], sets: Mapping[str, Any], held_out: Sequence[str]
) -> dict[str, Any]:
    """The documents of one artefact as one, with the error on all ID images that count."""
    parts = ("test", *held_out)
    shown = {name: found for name, found in measured.items() if name not in held_out}
    first = next(iter(shown.values()))
    errors = {"test": first["id_error"]} | {n: measured[n]["id_error"] for n in held_out}
    images = {name: sets[name]["images"] for name in parts}
    return {
        "id_error": round(
            sum(errors[n] * images[n] for n in parts) / sum(images.values()), DECIMALS
        ),
        "n": {"id": first["n"]["id"]} | {name: found["n"]["ood"] for name, found in shown.items()},
        "promised_tpr": first["promised_tpr"],
        "scores": {
            score: {
                "realised_tpr": found["realised_tpr"],
                "ood": {name: shown[name]["scores"][score]["measures"] for name in shown},
                "intervals": {name: shown[name]["scores"][score]["intervals"] for name in shown},
            }
            for score, found in first["scores"].items()
        },
    }


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The most that a measure of the same score on the same set differs by, in points."""
    return max(
        abs(value - other[name]["scores"][score]["measures"][key])
        for name, found in one.items()
        for score, of_score in found["scores"].items()
        for key, value in of_score["measures"].items()
    )


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


def hardware() -> dict[str, Any]:
    """What computes the rows."""
    import torch

    found: dict[str, Any] = {"processor": _processor(), "cores": os.cpu_count()}
    if torch.cuda.is_available():
        found["accelerator"] = torch.cuda.get_device_name(0)
    return found


def versions() -> dict[str, str]:
    """Of what computes them."""
    return {name: metadata.version(name) for name in ("edge-ood", "onnxruntime", "torch")}


def edge_ood(arguments: Sequence[str], deadline: float) -> None:
    """Print and run one command; stop it when the time is up."""
    print(f"\n$ {shlex.join(['edge-ood', *arguments])}", flush=True)
    with subprocess.Popen(program(arguments), env=environment()) as process:
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


def is_newer(made: Path, source: Path | None) -> bool:
    """Whether a file exists and was made from what the source is now."""
    if source is None or not made.exists():
        return made.exists()
    return made.stat().st_mtime_ns > source.stat().st_mtime_ns


def is_there(lines: Sequence[str], row: str, seed: int) -> bool:
    """Whether a results file has a row already."""
    found = [json.loads(line) for line in lines]
    return any((f["row"], f["seed"]) == (row, seed) for f in found)


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
    parser.add_argument("row", nargs="+", choices=(*ROWS, *GROUPS))
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/papers"), metavar="DIR")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--budget-s", type=float, default=float("inf"), metavar="SECONDS")
    args = parser.parse_args()
    deadline = time.monotonic() + args.budget_s
    for seed in args.seed:
        for row in (row for row in ROWS if {row, STAGES[row].group} & set(args.row)):
            folders = Folders(args.folder, images_of(row))
            if not (folders.data / "sets.json").is_file():
                raise SystemExit(
                    f"no images in '{folders.data}'; run prepare.py, which unpacks them"
                )
            lines = args.results.read_text("utf-8").splitlines() if args.results.exists() else []
            if is_there(lines, row, seed):
                print(f"{row}, seed {seed}: already in '{args.results}'")
                continue
            try:
                found = measure_row(row, seed, folders, deadline)
            except OutOfTimeError:
                print("\nout of time; the same command goes on from here")
                raise SystemExit(OUT_OF_TIME) from None
            with args.results.open("a", encoding="utf-8") as results_file:
                results_file.write(json.dumps(found) + "\n")
            print(f"\n{row}, seed {seed}: appended to '{args.results}'")


if __name__ == "__main__":
    main()
