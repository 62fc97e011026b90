"""How fast running statistics follow the batches, in networks that were made for long training.

A layer of batch normalisation that takes 1 % of each batch, as EfficientNets and MobileNets do,
still has statistics of long ago after the few hundred steps in which some photographs are learnt:
what is validated and exported then is another network than the one that was trained.

Source: Kornblith et al. 2019, arXiv:1805.08974, appendix A.3: for s steps an epoch the average
keeps max(1 - 10 / s, 0.9) of itself. Here no layer is slowed down.
"""

from torch import nn

__all__ = ["let_statistics_follow"]

_MOST_OF_A_BATCH = 0.1
_STEPS = 10


def let_statistics_follow(network: nn.Module, steps_per_epoch: int) -> None:
    """Raise the share of each batch in running statistics to min(10 / s, 0.1), where it is less.

    Args:
        network: Its weights and present statistics stay.
        steps_per_epoch: s.
    """
    share = min(_STEPS / steps_per_epoch, _MOST_OF_A_BATCH)
    for module in network.modules():
        # Their one base class; None averages over all batches alike.
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum is not None:
            module.momentum = max(module.momentum, share)
