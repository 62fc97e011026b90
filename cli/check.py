"""`edge-ood check`: does this device reproduce the artefact's numbers?"""

import typer

from edge_ood.cli._options import Artefact, ProviderOption
from edge_ood.cli._table import format_table

__all__ = ["check"]


def check(artefact: Artefact, *, provider: ProviderOption = "auto") -> None:
    """Tell whether this device reproduces the recorded scores.

    Fails if this device does not reproduce them, and names the heads that are off.

    Example: edge-ood check exported/oe.onnx
    """
    from edge_ood.errors import ArtifactError
    from edge_ood.probe import run_probe
    from edge_ood.runtime import Scorer

    result = run_probe(Scorer(artefact, provider=provider))
    rows = [
        (head, f"{difference:.1e}", f"{result.tolerances[head]:.1e}", verdict)
        for head, difference in result.differences.items()
        for verdict in ["off" if head in result.failed_heads else "ok"]
    ]
    typer.echo(format_table(("head", "difference", "allowed", "verdict"), rows))
    if not result.passed:
        wrong = ", ".join(result.failed_heads) or f"{result.wrong_labels} labels"
        raise ArtifactError(
            f"this device ({result.provider}) does not reproduce '{artefact}': {wrong}",
            hint=f"edge-ood calibrate {artefact} ID_IMAGES sets thresholds that hold here",
        )
    typer.echo(f"{artefact}: reproduced on this device ({result.provider})")
