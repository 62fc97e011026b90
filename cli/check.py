"""`edge-ood check`: does this device reproduce the artefact's numbers?"""

from typing import TYPE_CHECKING

from edge_ood.cli._options import ArtifactArgument, ProviderOption
from edge_ood.cli._say import say
from edge_ood.files.plain_table import format_table
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.runtime.probe_result import ProbeResult

__all__ = ["check"]


def check(artifact: ArtifactArgument, *, provider: ProviderOption = "auto") -> None:
    """Tell whether this device reproduces the recorded scores and decisions.

    Shows which device recorded them and which one this is. Fails if a score, label, p-value or
    decision is off, and names the likely cause.

    Example: edge-ood check exported/oe.onnx
    """
    from edge_ood.errors import ArtifactError
    from edge_ood.runtime.probe import run_probe
    from edge_ood.runtime.scorer import Scorer

    result = run_probe(Scorer(artifact, provider=provider))
    say(f"{_devices(result)}\n\n{_outcome(result)}\n")
    if not result.passed:
        raise ArtifactError(
            f"this device does not reproduce {result.wrong} of '{artifact}': {result.cause}",
            hint=result.remedy(artifact),
        )
    say(f"{printable(str(artifact))}: reproduced on this device ({result.here.provider})")


def _devices(result: "ProbeResult") -> str:
    recorded, here = result.recorded, result.here
    lines = {
        "precision": result.precision,
        "recorded on": str(recorded),
        "this device": "the same" if here == recorded else str(here),
    }
    if recorded.instructions:
        lines["only there"] = " ".join(
            i for i in recorded.instructions if i not in here.instructions
        )
        lines["only here"] = " ".join(
            i for i in here.instructions if i not in recorded.instructions
        )
    width = max(map(len, lines))
    return "\n".join(f"{n:<{width}}  {printable(text)}" for n, text in lines.items() if text)


def _outcome(result: "ProbeResult") -> str:
    rows = [
        (head, f"{difference:.1e}", f"{result.tolerances[head]:.1e}", verdict)
        for head, difference in result.differences.items()
        for verdict in ["off" if head in result.failed_heads else "ok"]
    ]
    counts = {
        "label": result.wrong_labels,
        "p-values": sum(result.wrong_pvalues.values()),
        "decisions": sum(result.wrong_decisions.values()),
    }
    rows += [(name, str(n), "0", "off" if n else "ok") for name, n in counts.items()]
    return format_table(("output", "difference", "allowed", "verdict"), rows)
