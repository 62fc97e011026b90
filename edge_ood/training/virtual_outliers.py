"""Virtual outliers (ASCOOD): training images without what makes them members of their class.

The pixels on which the logit of the true class depends most change places with each other: colours
and the rest of the image stay, what showed the class is gone.

Source: Regmi 2024, arXiv:2411.10794, outliers of the type `shuffle` in its code, where a pixel may
stay in its place by chance.
"""

import torch
from torch import Tensor

from edge_ood.objectives import Batch
from edge_ood.training.session import Session

__all__ = ["shuffled", "virtual_outliers"]

_FEWEST = 2  # pixels that can change places


def virtual_outliers(session: Session, batch: Batch) -> Tensor:
    """One outlier for each training image of a batch, float32 (N, 3, S, S).

    A pixel counts as the sum over its channels of `exp(dz_y / dx)`, x being the normalised image.
    That takes a pass forward and back in evaluation mode, which leaves no trace in the network.
    Which pixels change places with which is drawn from torch's generator, as dropout is.
    """
    images = batch.images.detach().clone().requires_grad_()
    with session.evaluating(averaged=False) as classifier:
        with session.fabric.autocast():
            logits = classifier(images).logits
        chosen = logits.gather(1, batch.labels.unsqueeze(1)).sum()
        (gradient,) = torch.autograd.grad(chosen, images)
    share = session.batches.settings.shuffled_share
    return shuffled(batch.images, gradient.logsumexp(1), share)  # in the same order as the sum


def shuffled(images: Tensor, relevance: Tensor, share: float) -> Tensor:
    """The images with their most relevant pixels shuffled among themselves, all channels alike.

    Args:
        images: (N, C, S, S).
        relevance: (N, S, S), of each pixel.
        share: Of the pixels of an image, in (0, 1]; at least two are shuffled.
    """
    count = max(_FEWEST, int(share * relevance[0].numel()))
    places = relevance.flatten(1).topk(count).indices
    order = torch.rand(places.shape, device=places.device).argsort(1)
    to, source = (  # around one random ring, so that each moves
        places.gather(1, turned).unsqueeze(1).expand(-1, images.shape[1], -1)
        for turned in (order, order.roll(1, dims=1))
    )
    pixels = images.flatten(2)
    mixed = pixels.scatter(2, to, pixels.gather(2, source)).view(images.shape)
    return mixed.contiguous(memory_format=torch.channels_last)
