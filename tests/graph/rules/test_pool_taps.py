"""Which form the gradient of max-pooling takes; `cases/max_pool.py` checks what it is."""

import pytest
from onnx import parser

from edge_ood.graph.gradient import with_gradient


def operators(before: str, channels: int, attributes: str) -> set[str]:
    """What the gradient of a pooling is made of."""
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[N, {channels}, 8, 9] x) => (float[N, {channels}, A, B] y) {{
            r = {before}(x)
            y = MaxPool <{attributes}> (r)
        }}"""
    )
    nodes = with_gradient(model, of="y", wrt="x").graph.node
    return {node.op_type for node in nodes[2:]}


RESNET = "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]"


def test_behind_a_relu_nothing_is_put_at_computed_positions() -> None:
    """The form that stays in the blocked layout is taken where that layout is."""
    found = operators("Relu", 16, RESNET)

    assert not found & {"ScatterElements", "MaxPool"}
    assert "HardSigmoid" in found


@pytest.mark.parametrize(
    ("before", "channels", "attributes"),
    [
        ("Exp", 16, RESNET),
        ("Relu", 6, RESNET),
        ("Relu", 16, "kernel_shape = [3, 3], strides = [1, 1]"),
        ("Relu", 16, "kernel_shape = [2, 2], strides = [2, 2], dilations = [2, 2]"),
    ],
)
def test_elsewhere_positions_are_computed(before: str, channels: int, attributes: str) -> None:
    """Padding could win, or there is no blocked layout, or there is nothing to split."""
    assert "ScatterElements" in operators(before, channels, attributes)
