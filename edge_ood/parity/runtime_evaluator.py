"""A classifier as it came, in onnxruntime on the CPU, node by node: a float32 program of its own.

It adds up in the order in which the file's kernels do, so it knows what long sums cost. None of
the rewriting takes part in it that a session does, or edge-ood.

What rounds to a few levels inside is another matter: two sound runs of the same file may differ by
whole levels. `other_runs` are such, and show by how much.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_ood.images.preprocess import Preprocess
from edge_ood.onnx_session import open_session, translated_errors
from edge_ood.parity.batches import run_in_batches
from edge_ood.parity.limits import Evaluator, Pass
from edge_ood.parity.second_pass import output_names, with_second_pass
from edge_ood.scores import BoundHead, Outputs
from edge_ood.threads import image_batch

__all__ = ["RuntimeEvaluator", "other_runs"]

_UNIT = float(np.finfo(np.float32).eps)


class RuntimeEvaluator:
    """NumPy arrays in and out, float32.

    Args:
        classifier: As `edge_ood.graph.assemble` describes it.
        optimised: Whether onnxruntime may rewrite it.
        batch: Images at a time; as many as fit, where it is None.
    """

    def __init__(
        self, classifier: onnx.ModelProto, *, optimised: bool = False, batch: int | None = None
    ) -> None:
        self._classifier = classifier
        self._optimised, self._batch = optimised, batch
        self._session: Any = None

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """Outputs of network input (N, 3, S, S)."""
        if self._session is None:
            self._session = self._opened(self._classifier)
        return self._run(self._session, images)

    def second_pass(self, head: BoundHead, preprocess: Preprocess) -> Pass:
        """Outputs with those that the head perturbs replaced, by the gradient as ONNX nodes."""
        again = self._opened(with_second_pass(self._classifier, head, preprocess))
        return lambda images: self._run(again, images, gradient=True)

    def _run(self, session: Any, images: NDArray[Any], *, gradient: bool = False) -> Outputs:
        size = self._batch or image_batch(images.shape[-1], gradient=gradient)
        with translated_errors("the classifier as it came cannot run"):
            found = run_in_batches(session, images.astype(np.float32, copy=False), size)
        arrays: Iterator[NDArray[Any]] = iter(found.values())
        return Outputs.from_named(dict(zip(output_names(self._classifier), arrays, strict=True)))

    def _opened(self, model: onnx.ModelProto) -> Any:
        serialised = model.SerializeToString()
        return open_session(serialised, provider="cpu", optimised=self._optimised)


@dataclass(frozen=True)
class _Nudged:
    """An evaluator that gets its images a little brighter, or darker.

    Attributes:
        evaluator: Does the work.
        by: Of the largest number in them.
    """

    evaluator: RuntimeEvaluator
    by: float

    def __call__(self, images: NDArray[Any]) -> Outputs:
        return self.evaluator(self._nudged(images))

    def second_pass(self, head: BoundHead, preprocess: Preprocess) -> Pass:
        again = self.evaluator.second_pass(head, preprocess)
        return lambda images: again(self._nudged(images))

    def _nudged(self, images: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(images + images.dtype.type(self.by * np.abs(images).max()))


def other_runs(classifier: onnx.ModelProto, program: RuntimeEvaluator) -> tuple[Evaluator, ...]:
    """Runs of a classifier as sound as a program of it.

    Rewritten by onnxruntime for one image at a time, which lets it join as many nodes as it does
    where a simpler graph leaves it less to know; and the program itself on images that are off by
    float32's unit, all pixels to the same side: what is the same everywhere, as blank images are,
    is rounded the same way everywhere.
    """
    rewritten = RuntimeEvaluator(_of_one_image(classifier), optimised=True, batch=1)
    return (rewritten, _Nudged(program, _UNIT), _Nudged(program, -_UNIT))


def _of_one_image(classifier: onnx.ModelProto) -> onnx.ModelProto:
    """The same classifier, declared for a single image."""
    alone = onnx.ModelProto()
    alone.CopyFrom(classifier)
    for value in (*alone.graph.input, *alone.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return alone
