"""What every registered head costs on this device, beside a synthetic last layer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import onnx

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.graph.example import assemble_example, example_rows
from edge_ood.graph.head_costs import added_bytes, variants
from edge_ood.onnx_session import open_session
from edge_ood.runtime.timing import time_added
from edge_ood.scores import HEADS, BoundHead, bind_head
from edge_ood.scores._example import ExampleLayer, fit_to_example, passes

__all__ = ["BATCH_SIZES", "HeadCost", "registered_costs"]

BATCH_SIZES = (1, 32)
_SECONDS = 0.25  # for each head and batch size


@dataclass(frozen=True)
class HeadCost:
    """What one head with its default parameters adds to a network.

    Attributes:
        head: Its name.
        size_bytes: In the file; 0 where nothing was measured.
        added_us: Microseconds an image, by batch size, on one thread of the CPU.
        unmeasured: Why there are no figures; empty where there are.
    """

    head: str
    size_bytes: int = 0
    added_us: dict[int, float] = field(default_factory=dict)
    unmeasured: str = ""


def registered_costs(
    layer: ExampleLayer, *, on_step: Callable[[str], None] = lambda _: None
) -> Iterator[HeadCost]:
    """Measure all heads, each alone, in the order of their names.

    Args:
        layer: Gives features, statistics and the sizes.
        on_step: Told what comes next.

    Raises:
        MissingDependencyError: If no onnxruntime is installed.
    """
    heads = [bind_head(name) for name in HEADS.names()]
    on_step(f"statistics of {layer.num_rows} rows")
    fitted, refused = fit_to_example(heads, layer)
    by_name = {head.name: head for head in fitted}
    on_step("each head alone")
    for name in HEADS.names():
        if name in refused:
            yield HeadCost(name, unmeasured=refused[name])
        elif (times := passes(by_name[name], layer)) > 1:
            yield HeadCost(name, unmeasured=_of_network(times - 1))
        else:
            yield _measured(by_name[name], layer)


def _of_network(more: int) -> str:
    each = "a gradient" if more == 1 else f"{more} gradients"
    return f"{each} through the network and {more} more pass{'es' * (more > 1)} of it"


def _measured(head: BoundHead, layer: ExampleLayer) -> HeadCost:
    model = assemble_example(layer, [head])
    (_, bare), (names, whole) = variants(model, [head.name])
    sessions = [_session(each) for each in (bare, whole)]
    added_us = {}
    for size in BATCH_SIZES:
        feed = {INPUT_NAME: example_rows(layer.outputs(0, size)[0])}
        bare_run, whole_run = (partial(each.run, None, feed) for each in sessions)
        added_us[size] = 1e6 * time_added(bare_run, whole_run, _SECONDS).added / size
    return HeadCost(head.name, added_bytes(model, names)[names], added_us)


def _session(model: onnx.ModelProto) -> Any:
    return open_session(model.SerializeToString(), provider="cpu", threads=1)
