"""A classifier as it came, in onnxruntime on the CPU, node by node: a float32 program of its own.

It adds up in the order in which the file's kernels do, so it knows what long sums cost. None of
the rewriting takes part in it that a session does, or edge-ood.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_ood.images.preprocess import Preprocess
from edge_ood.onnx_session import open_session, translated_errors
from edge_ood.parity.batches import run_in_batches
from edge_ood.parity.second_pass import output_names, with_second_pass
from edge_ood.scores import BoundHead, Outputs
from edge_ood.threads import image_batch

__all__ = ["RuntimeEvaluator"]


class RuntimeEvaluator:
    """NumPy arrays in and out, float32.

    Args:
        classifier: As `edge_ood.graph.assemble` describes it.
    """

    def __init__(self, classifier: onnx.ModelProto) -> None:
        self._classifier = classifier
        self._sessions: dict[str, Any] = {}

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """Outputs of network input (N, 3, S, S)."""
        if "" not in self._sessions:
            self._sessions[""] = _session(self._classifier)
        return self._run(self._sessions[""], images)

    def perturbed(self, head: BoundHead, images: NDArray[Any], preprocess: Preprocess) -> Outputs:
        """Outputs with those that the head perturbs replaced, by the gradient as ONNX nodes."""
        if head.name not in self._sessions:
            model = with_second_pass(self._classifier, head, preprocess)
            self._sessions[head.name] = _session(model)
        return self._run(self._sessions[head.name], images)

    def _run(self, session: Any, images: NDArray[Any]) -> Outputs:
        size = image_batch(images.shape[-1])
        with translated_errors("the classifier as it came cannot run"):
            found = run_in_batches(session, images.astype(np.float32, copy=False), size)
        arrays: Iterator[NDArray[Any]] = iter(found.values())
        return Outputs.from_named(dict(zip(output_names(self._classifier), arrays, strict=True)))


def _session(model: onnx.ModelProto) -> Any:
    return open_session(model.SerializeToString(), provider="cpu", optimised=False)
