"""`edge-ood heads`: the score heads that exist, what they need and what they cost."""

from typing import TYPE_CHECKING, Annotated

import typer

from edge_ood.cli._say import say
from edge_ood.cli._streams import expect_standard_output
from edge_ood.errors import MissingDependencyError, UsageError
from edge_ood.files.plain_table import format_table

if TYPE_CHECKING:
    from edge_ood.scores import BoundHead
    from edge_ood.scores._example import ExampleLayer

__all__ = ["heads"]

_LARGEST = 4096


def heads(
    *,
    costs: Annotated[
        bool,
        typer.Option(
            "--costs",
            help="Measure what each adds to a file and to the time of an image, here, beside a "
            "synthetic last layer in place of a network.",
        ),
    ] = False,
    classes: Annotated[
        int | None,
        typer.Option(min=2, max=_LARGEST, help="Of that layer, with --costs; 10 by default."),
    ] = None,
    features: Annotated[
        int | None,
        typer.Option(min=1, max=_LARGEST, help="Of that layer, with --costs; 512 by default."),
    ] = None,
) -> None:
    """List the score heads: what they read and need, their parameters and sources.

    Example: edge-ood heads --costs --classes 1000
    """
    expect_standard_output()
    given = {"num_classes": classes, "width": features}
    sizes = {name: size for name, size in given.items() if size is not None}
    if sizes and not costs:
        raise UsageError(
            "--classes and --features are sizes of a layer that is measured with --costs alone",
            hint="add --costs",
        )
    from edge_ood.scores._example import ExampleLayer

    if costs:
        say(_costs(ExampleLayer(**sizes)))
        return
    say(_listing())
    say("combined: the sum of what the p-values of other scores say; combined:of=gen+knn chooses.")
    say("Larger scores are more out-of-distribution, without exception.")


def _listing() -> str:
    """All heads, then those that are there for comparison with the reason."""
    from edge_ood.scores import HEADS, bind_head

    bound = [bind_head(name) for name in HEADS.names()]
    headings = ("head", "reads", "fitted on", "passes", "parameters", "source")
    compared = [f"  {h.name}: {h.head.not_recommended}." for h in bound if h.head.not_recommended]
    return "\n".join(
        [
            format_table(headings, [_row(head) for head in bound]),
            "A pass is one run of the network. With an epsilon above 0 a head takes a gradient and "
            "a pass more\nfor each output that it reads of the moved image.",
            "Not recommended, and there for comparison:",
            *compared,
        ]
    )


def _row(head: "BoundHead") -> tuple[str, ...]:
    from edge_ood.scores._example import passes

    declared = head.head
    parameters = ",".join(f"{key}={value}" for key, value in head.parameters.items())
    return (
        head.name,
        ", ".join([*head.inputs, *["last layer"] * declared.reads_linear]),
        "training images" if declared.fit else "-",
        f"{passes(head)}, gradient" if head.epsilon else "1",
        parameters or "-",
        declared.source,
    )


def _costs(layer: "ExampleLayer") -> str:
    """Bytes and microseconds of all heads, then those without figures with the reason."""
    try:
        from edge_ood.runtime.registered_costs import BATCH_SIZES, registered_costs
    except ModuleNotFoundError as error:
        raise MissingDependencyError("measuring heads", error.name or "onnx", "cpu") from error
    from edge_ood.artifact.device import this_device

    found = list(
        registered_costs(layer, on_step=lambda step: say(f"measuring {step} ...", err=True))
    )
    rows = [
        (cost.head, str(cost.size_bytes), *(f"{cost.added_us[size]:.1f}" for size in BATCH_SIZES))
        for cost in found
        if not cost.unmeasured
    ]
    headings = ("head", "file bytes", *(f"us an image,\nbatch of {size}" for size in BATCH_SIZES))
    others = [f"  {cost.head}: {cost.unmeasured}." for cost in found if cost.unmeasured]
    return "\n".join(
        [
            f"{this_device('cpu')}, one thread",
            f"added to a network with {layer.width} features and {layer.num_classes} classes by "
            "each score alone, p-value and decision included\n",
            format_table(headings, rows),
            *(["\nNot measured:", *others] if others else []),
        ]
    )
