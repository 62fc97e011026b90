"""`edge-ood heads`: the score heads that exist."""

from edge_ood.cli._say import say
from edge_ood.cli._streams import expect_standard_output
from edge_ood.files.plain_table import format_table

__all__ = ["heads"]


def heads() -> None:
    """List the score heads, their parameters and sources.

    Example: edge-ood heads
    """
    from edge_ood.registry import bind_parameters
    from edge_ood.scores import HEADS

    expect_standard_output()
    rows, compared = [], []
    for name in HEADS.names():
        head = HEADS.get(name)
        parameters = bind_parameters(head.score, {}, owner=name)
        shown = ",".join(f"{key}={value}" for key, value in parameters.items()) or "-"
        fitted = "training images" if head.fit else "-"
        read = [*head.inputs, *["last layer"] * head.reads_linear]
        rows.append((name, ", ".join(read), fitted, shown, head.source))
        if head.not_recommended:
            compared.append(f"{name}: {head.not_recommended}.")
    say(format_table(("head", "reads", "fitted on", "parameters", "source"), rows))
    say("Not recommended, and there for comparison:")
    for sentence in compared:
        say(f"  {sentence}")
    say("combined: the sum of what the p-values of other scores say; combined:of=gen+knn chooses.")
    say("Larger scores are more out-of-distribution, without exception.")
