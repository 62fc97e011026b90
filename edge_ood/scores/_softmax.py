"""Softmax and log-sum-exp on any array namespace, written so that nothing overflows.

The largest logit is subtracted before an exponential is taken. That is done here and not left to
an operator, because ONNX's ReduceLogSumExp guarantees no stability.
"""

from typing import Any

__all__ = ["below_peak", "log_total", "logsumexp", "softmax"]


def below_peak(xp: Any, logits: Any, *, axis: int = 1) -> Any:
    """Logits minus the largest along an axis, <= 0; softmax is the same of both."""
    return logits - xp.max(logits, axis=axis, keepdims=True)


def log_total(xp: Any, below: Any) -> Any:
    """`log sum_k exp(b_k)` (N,), in [0, log K], of logits (N, K) that `below_peak` shifted.

    That is the loss of the predicted class, `-log max_k p_k`, in nats.
    """
    return xp.log(xp.sum(xp.exp(below), axis=1))


def logsumexp(xp: Any, logits: Any) -> Any:
    """`log sum_k exp(z_k)` (N,) of logits (N, K)."""
    peak = xp.max(logits, axis=1, keepdims=True)
    return peak[:, 0] + log_total(xp, logits - peak)


def softmax(xp: Any, logits: Any, *, axis: int) -> Any:
    """Probabilities, of the shape of the logits; they sum to 1 along the axis."""
    ratio = xp.exp(below_peak(xp, logits, axis=axis))
    return ratio / xp.sum(ratio, axis=axis, keepdims=True)
