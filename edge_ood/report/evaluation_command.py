"""The command that repeats an evaluation."""

import shlex

from edge_ood.evaluation.results import Evaluation

__all__ = ["evaluation_command"]


def evaluation_command(evaluation: Evaluation) -> str:
    """What to type to get the same numbers, where the files are as they were."""
    first = evaluation.models[0]
    words = ["edge-ood", "evaluate", *(model.path for model in evaluation.models)]
    words += ["--id", evaluation.id_folder]
    for name, result in first.ood.items():
        words += [f"--{result.group or 'ood'}", f"{name}={result.source}"]
    if first.corruptions:
        spoilt = (f"{c.name}:count={c.strengths[0].n}" for c in first.corruptions)
        words += ["--corrupted", ",".join(spoilt)]
    if evaluation.bootstrap.replicates:
        words += ["--bootstrap", str(evaluation.bootstrap.replicates)]
    words += ["--allow-seen"] if evaluation.allowed_seen else []
    return shlex.join(words)
