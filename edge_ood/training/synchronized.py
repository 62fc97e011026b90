"""Batch normalisation over the joined batch of all processes, on any device.

torch's own `SyncBatchNorm` needs GPUs. This one is made of differentiable sums over processes, so
that two processes train as one does, on processors as well; it costs two of these sums a layer.
"""

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from edge_ood.errors import InputError

__all__ = ["synchronize"]

_Plain = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Synchronized(nn.modules.batchnorm._BatchNorm):
    """The same weights and averages as the layer that it replaces."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        """As torch's, where all processes give as many images (N, C, ...)."""
        if not self.training:
            return super().forward(input)
        processes = torch.distributed.get_world_size()
        own, rest = [1, -1] + [1] * (input.dim() - 2), [0, *range(2, input.dim())]
        values = input.float()
        mean = _summed(values.mean(rest)) / processes
        centred = values - mean.reshape(own)
        variance = _summed((centred * centred).mean(rest)) / processes
        self._follow(mean.detach(), variance.detach(), processes * input.numel() // len(mean))
        scale = torch.rsqrt(variance + self.eps)
        scale = scale if self.weight is None else scale * self.weight
        scaled = centred * scale.reshape(own)
        shifted = scaled if self.bias is None else scaled + self.bias.reshape(own)
        result: Tensor = shifted.to(input.dtype)
        return result

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Let the averages follow, that of the variance unbiased, as torch's do."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None  # beside the averages
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), share)


def synchronize(network: nn.Module) -> None:
    """Replace every layer of batch normalisation inside a network, in place, if processes share it.

    Args:
        network: On any device; its weights and averages stay.

    Raises:
        InputError: If a layer does more than normalise, as those of some networks of timm.
    """
    if not (torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1):
        return
    for name, child in network.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):  # its one base class
            if type(child) not in _PLAIN:
                raise InputError(
                    f"layers {type(child).__name__} of this network cannot be synchronized",
                    hint="--batch-norm learned, where each process normalises its own images",
                )
            setattr(network, name, _of(child))
        else:
            synchronize(child)


def _summed(values: Tensor) -> Tensor:
    """Over processes; its gradient is summed over them as well."""
    total: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return total


def _of(layer: nn.modules.batchnorm._BatchNorm) -> _Synchronized:
    made = _Synchronized(
        layer.num_features,
        layer.eps,
        layer.momentum,
        layer.affine,
        layer.track_running_stats,
    )
    made.load_state_dict(layer.state_dict())
    return made.train(layer.training)
