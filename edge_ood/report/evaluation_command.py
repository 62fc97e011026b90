"""The command that repeats an evaluation."""

import shlex

from edge_ood.evaluation.evaluation import Evaluation

__all__ = ["evaluation_command"]


def evaluation_command(evaluation: Evaluation) -> str:
    """What to type to get the same numbers, an option a line, where the files are as they were."""
    first = evaluation.models[0]
    options = [["--id", evaluation.id_folder]]
    for name, result in first.ood.items():
        options.append([f"--{result.group or 'ood'}", f"{name}={result.source}"])
    options += [["--shifted", f"{name}={r.source}"] for name, r in first.shifted.items()]
    if first.corruptions:
        corrupted = (f"{c.name}:count={c.strengths[0].n}" for c in first.corruptions)
        options.append(["--corrupted", ",".join(corrupted)])
    options.append(["--bootstrap", str(evaluation.bootstrap.replicates)])
    options += [["--allow-seen"]] if evaluation.allowed_seen else []
    start = ["edge-ood", "evaluate", *(artifact.path for artifact in evaluation.models)]
    return " \\\n  ".join(map(shlex.join, [start, *options]))
