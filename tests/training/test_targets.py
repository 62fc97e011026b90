"""Targets of a step against torch's label smoothing, scikit-learn's weights, and mixing by hand."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from edge_ood.objectives import Batch, classification_loss
from edge_ood.registry import Spec
from edge_ood.training.batches import Share
from edge_ood.training.settings import Settings
from edge_ood.training.targets import target_rows, with_targets

ALL_LABELS = torch.tensor([0] * 9 + [1] * 4 + [2] * 2)  # of all training images
PRIOR = ALL_LABELS.bincount() / len(ALL_LABELS)
LABELS = torch.tensor([2, 0, 0, 1])
EXACT = 1e-6  # float32 sums of a few terms of order 1


def session(**options: Any) -> Any:
    """As much of one as targets need."""
    settings = Settings(Spec("wrn-10-1"), Spec("cross-entropy"), **options)
    return SimpleNamespace(batches=SimpleNamespace(settings=settings, share=Share()))


def batch() -> Batch:
    """Four images that differ in every pixel."""
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.randn(4, 3, 2, 2, generator=generator), LABELS, prior=PRIOR)


def logits(heads: int = 1) -> torch.Tensor:
    return torch.randn(4, heads, 3, generator=torch.Generator().manual_seed(1))


def test_by_default_a_batch_stays_as_it_is() -> None:
    """No targets are made, and sampling in balance makes none."""
    plain = batch()

    assert plain is with_targets(session(), plain, 0)
    assert plain is with_targets(session(balance="sampling"), plain, 0)


@pytest.mark.parametrize("heads", [1, 2])
def test_smoothing_is_that_of_torch(heads: int) -> None:
    """The loss is torch's own with `label_smoothing`; with two heads the mean of their own."""
    found = with_targets(session(label_smoothing=0.1), batch(), 0)

    rows = LABELS.repeat_interleave(heads)
    flat = logits(heads).flatten(0, 1)
    expected = functional.cross_entropy(flat, rows, label_smoothing=0.1)
    assert expected.item() == pytest.approx(
        classification_loss(logits(heads), found).item(), rel=EXACT
    )


def test_weights_are_those_of_scikit_learn() -> None:
    """An image counts as its class does in the mode `balanced`; their mean over all images is 1."""
    weights = compute_class_weight("balanced", classes=np.arange(3), y=ALL_LABELS.numpy())

    found = with_targets(session(balance="loss"), batch(), 0)

    costs = functional.cross_entropy(logits().squeeze(1), LABELS, reduction="none")
    expected = (torch.from_numpy(weights)[LABELS] * costs).mean()
    assert expected.item() == pytest.approx(classification_loss(logits(), found).item(), rel=EXACT)
    settings = session(balance="loss").batches.settings
    assert 1 == pytest.approx(target_rows(ALL_LABELS, PRIOR, settings).sum(1).mean().item())


def test_mixed_images_by_hand() -> None:
    """Image and target of each meet those of the one before, in the same share, smoothed first."""
    options = {"mixup": 0.4, "label_smoothing": 0.3}
    plain = batch()

    found = with_targets(session(**options), plain, 5)

    assert found.targets is not None
    before = [3, 0, 1, 2]
    images = plain.images.double().numpy()
    targets = 0.7 * np.eye(3)[LABELS] + 0.3 / 3
    changes = images[before] - images
    share = 1 - ((found.images.double().numpy() - images) / changes).mean()
    mixed_images = share * images + (1 - share) * images[before]
    mixed_targets = share * targets + (1 - share) * targets[before]
    np.testing.assert_allclose(found.images, mixed_images, atol=1e-5)
    np.testing.assert_allclose(found.targets, mixed_targets, atol=1e-5)
    assert LABELS is found.labels


def test_shares_are_drawn_for_each_step_from_the_beta_distribution() -> None:
    """400 steps pass SciPy's test for Beta(0.5, 0.5), and a step has its share again."""
    plain = replace(batch(), labels=torch.tensor([0, 1, 0, 1]))
    made = session(mixup=0.5)

    found = [with_targets(made, plain, step).targets for step in range(400)]

    shares = [targets[0, 0].item() for targets in found if targets is not None]
    assert kstest(shares, beta(0.5, 0.5).cdf).pvalue > 0.01
    again = with_targets(session(mixup=0.5), plain, 7).targets
    other = with_targets(session(mixup=0.5, seed=1), plain, 7).targets
    assert again is not None
    assert shares[7] == again[0, 0].item()
    assert other is not None
    assert shares[7] != other[0, 0].item()


def test_torchs_generator_stays_where_it_was() -> None:
    """Dropout, and what an objective draws, are the same with and without."""
    state = torch.get_rng_state()

    with_targets(session(mixup=0.5, label_smoothing=0.1, balance="loss"), batch(), 0)

    assert torch.equal(state, torch.get_rng_state())


def test_processes_mix_the_joined_batch() -> None:
    """The first image of a process meets the last of the one before, and of the last one."""
    whole = with_targets(session(mixup=0.5), batch(), 3)
    plain, parts = batch(), []
    gathered = {
        plain.images.shape[1:]: plain.images[[1, 3]],
        torch.Size((3,)): functional.one_hot(LABELS, 3).float()[[1, 3]],
    }
    for rank in (0, 1):
        made = session(mixup=0.5)
        made.batches.share = Share(rank, 2)
        made.fabric = SimpleNamespace(all_reduce=lambda last, reduce_op: gathered[last.shape[1:]])
        share = made.batches.share
        part = replace(plain, images=share.of(plain.images), labels=share.of(plain.labels))
        parts.append(with_targets(made, part, 3))

    for name in ("images", "targets"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(p, name) for p in parts]))
