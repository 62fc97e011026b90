"""Matrix product of matrices with a scaled bias."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import sum_to
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape

_FLAGS = (("transA", "transB"), ("transB", "transA"))


def gemm(tape: Tape, node: NodeProto, index: int) -> str:
    """Products alpha g B^T for A and alpha A^T g for B, as they are stored; beta g for the bias."""
    gradient = tape.gradient(node)
    alpha, beta = attribute(node, "alpha", 1.0), attribute(node, "beta", 1.0)
    if index == 2:
        scaled = tape.emit("Mul", gradient, tape.number(beta, node.output[0]))
        return sum_to(tape, scaled, node.output[0], node.input[2])
    own_turned, other_turned = (attribute(node, n, 0) for n in _FLAGS[index])
    # The gradient of A stands left of B, that of B right of A; a stored transpose swaps the sides.
    other = node.input[1 - index]
    other_flag = int(bool(other_turned) == bool(own_turned))
    if (index == 0) != bool(own_turned):
        return tape.emit("Gemm", gradient, other, alpha=alpha, transA=own_turned, transB=other_flag)
    return tape.emit("Gemm", other, gradient, alpha=alpha, transA=other_flag, transB=own_turned)


RULE = Rule(("Gemm",), gemm)
