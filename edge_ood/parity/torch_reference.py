"""The torch side of parity: a classifier in float64 and float32, perturbed by autograd."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import torch
from array_api_compat import torch as xp
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.limits import Pass, Reference
from edge_ood.parity.runtime_evaluator import RuntimeEvaluator
from edge_ood.scores import BoundHead, Outputs, Step

__all__ = ["TorchEvaluator", "torch_reference"]


class TorchEvaluator:
    """A classifier on the CPU in one precision, NumPy arrays in and out.

    Args:
        classifier: Maps (N, 3, S, S) to `Outputs`; it is copied.
        dtype: `torch.float64` or `torch.float32`.
    """

    def __init__(self, classifier: nn.Module, dtype: torch.dtype) -> None:
        self._classifier = copy.deepcopy(classifier).cpu().to(dtype).eval()
        self._dtype = dtype

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """Outputs of network input (N, 3, S, S)."""
        with torch.inference_mode():
            return _to_numpy(self._classifier(self._tensor(images)))

    def second_pass(self, head: BoundHead, preprocess: Preprocess) -> Pass:
        """Outputs with those that the head perturbs replaced, by autograd.

        Args:
            head: Declares losses and `epsilon`.
            preprocess: Of the input; turns pixel units into its own.
        """
        return lambda images: self._perturbed(head, images, preprocess)

    def _perturbed(self, head: BoundHead, images: NDArray[Any], preprocess: Preprocess) -> Outputs:
        inputs = self._tensor(images).requires_grad_()
        outputs: Outputs = self._classifier(inputs)
        statistics: dict[str, Any] = {
            name: self._tensor(array) for name, array in head.statistics.items()
        }
        bound: BoundHead = replace(head, statistics=statistics)
        unit = np.ones(3) if head.step.normalised else np.array(preprocess.std)
        length = self._per_channel(head.step.length / unit)
        moved_outputs = {}
        for name, loss in bound.losses(xp, outputs).items():
            (gradient,) = torch.autograd.grad(loss.sum(), inputs, retain_graph=True)
            moved = inputs.detach() - length * _signs(gradient, head.step)
            if head.step.clip:
                moved = self._clipped(moved, preprocess)
            with torch.inference_mode():
                moved_outputs[name] = self._classifier(moved).named()[name]
        return _to_numpy(Outputs.from_named({**outputs.named(), **moved_outputs}))

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._dtype)

    def _per_channel(self, values: NDArray[Any]) -> Tensor:
        return self._tensor(values).reshape(1, 3, 1, 1)

    def _clipped(self, moved: Tensor, preprocess: Preprocess) -> Tensor:
        mean, std = np.array(preprocess.mean), np.array(preprocess.std)
        lowest, highest = self._per_channel((0 - mean) / std), self._per_channel((1 - mean) / std)
        return torch.minimum(torch.maximum(moved, lowest), highest)


def _signs(gradient: Tensor, step: Step) -> Tensor:
    """Where values move, and to which side: -1, 0 or 1, of the shape of the gradient."""
    # Zero counts as positive, in ODIN's code and in the graph; torch.sign(0) is 0.
    signs = torch.where(gradient >= 0, 1.0, -1.0).to(gradient.dtype)
    sizes, flattest = gradient.abs().flatten(1), step.flattest_of(gradient[0].numel())
    if flattest:
        signs, places = gradient.sign(), sizes.argsort(dim=1)[:, :flattest]
    elif step.alone:
        places = sizes.argmax(dim=1, keepdim=True)
    else:
        return signs
    chosen = torch.zeros_like(sizes).scatter(1, places, 1.0)
    return signs * chosen.reshape(gradient.shape)


def torch_reference(classifier: nn.Module, traced: onnx.ModelProto) -> Reference:
    """The reference that the parity gate holds an exported classifier against.

    Args:
        classifier: Maps (N, 3, S, S) to `Outputs`.
        traced: The same in ONNX, for what its sums cost in onnxruntime.
    """
    exact, plain = (TorchEvaluator(classifier, t) for t in (torch.float64, torch.float32))
    return Reference(exact, (plain, RuntimeEvaluator(traced)), source="torch")


def _to_numpy(outputs: Outputs) -> Outputs:
    return Outputs.from_named(
        {name: value.detach().numpy() for name, value in outputs.named().items()}
    )
