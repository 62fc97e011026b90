"""A frozen trunk, and heads that learn faster."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from edge_ood.errors import ChanceLevelError, InputError
from edge_ood.models import build_classifier
from edge_ood.training.freezing import as_it_was
from edge_ood.training.optimisation import make_optimizer, set_rate
from edge_ood.training.run_directory import read_run
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders


def weights_of(run: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(run / "model.safetensors")


@pytest.fixture
def tuned(
    finished: Path, tiny_settings: Settings, tiny_images: Path, tmp_path: Path
) -> Callable[..., dict[str, Tensor]]:
    """The weights of a fine-tuning of the finished run, with other settings."""

    def tune(**changed: Any) -> dict[str, Tensor]:
        run = read_run(finished)
        folders = Folders(
            tiny_images / "train",
            calibration=tiny_images / "calibration",
            validation=tiny_images / "validation",
            start=finished,
        )
        settings = replace(tiny_settings, learning_rate=0.05, **changed)
        output = tmp_path / "-".join(map(str, changed.values()))
        with suppress(ChanceLevelError):
            train(folders, settings, run.config.preprocess, output)
        return weights_of(output)

    return tune


def same(first: dict[str, Tensor], second: dict[str, Tensor], part: str) -> bool:
    names = [name for name in first if name.startswith(part)]
    return all(torch.equal(first[name], second[name]) for name in names)


def test_a_frozen_trunk_keeps_weights_and_statistics(
    finished: Path, tuned: Callable[..., dict[str, Tensor]]
) -> None:
    """To the bit, running means included; the heads learn."""
    before, after = weights_of(finished), tuned(freeze="all")

    assert same(before, after, "trunk.")
    assert not same(before, after, "heads.")


def test_a_trunk_learns_after_the_frozen_epochs(
    finished: Path, tuned: Callable[..., dict[str, Tensor]]
) -> None:
    """Frozen for one of two epochs, it ends elsewhere than where it began, and than unfrozen."""
    before, after = weights_of(finished), tuned(freeze="1")

    assert not same(before, after, "trunk.")
    assert not same(tuned(freeze="0"), after, "trunk.")


def test_statistics_alone_can_be_kept(
    finished: Path, tuned: Callable[..., dict[str, Tensor]]
) -> None:
    """Weights of batch normalisation learn; its running means and variances do not."""
    before, after = weights_of(finished), tuned(batch_norm="frozen")

    statistics = [name for name in before if "running_" in name]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert not same(before, after, "trunk.")
    assert not same(tuned(batch_norm="learned"), after, "trunk.")


def test_a_frozen_run_is_resumed_to_the_bit(
    tiny_settings: Settings, finished: Path, tiny_images: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Stopped within the frozen epoch, it goes on with the same weights."""
    settings = replace(tiny_settings, freeze="1", learning_rate=0.05)
    folders = Folders(
        tiny_images / "train",
        calibration=tiny_images / "calibration",
        validation=tiny_images / "validation",
        start=finished,
    )
    preprocess = read_run(finished).config.preprocess
    with suppress(ChanceLevelError):
        train(folders, settings, preprocess, tmp_path / "whole")
    steps = iter(range(2))
    real = torch.manual_seed

    def stops(seed: int) -> Any:
        if seed > 2**20 and next(steps, None) is None:
            raise KeyboardInterrupt
        return real(seed)

    monkeypatch.setattr(torch, "manual_seed", stops)
    with pytest.raises(KeyboardInterrupt):
        train(folders, settings, preprocess, tmp_path / "cut", launch=Launch(checkpoint_s=0))
    monkeypatch.undo()
    with suppress(ChanceLevelError):
        train(folders, settings, preprocess, tmp_path / "cut", launch=Launch(resume=True))

    assert same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut"), "")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_heads_learn_at_a_multiple_of_the_rate(tiny_settings: Settings, optimizer: str) -> None:
    """The first step of plain SGD is the rate times the gradient, of AdamW the rate."""
    settings = replace(
        tiny_settings, optimizer=optimizer, momentum=0.0, weight_decay=0.0, head_rate=5.0
    )
    classifier = build_classifier("wrn-10-1", 3)
    before = {name: w.detach().clone() for name, w in classifier.named_parameters()}
    made = make_optimizer(classifier, settings, torch.device("cpu"))
    for weight in classifier.parameters():
        weight.grad = torch.ones_like(weight)

    set_rate(made, 0.01)
    made.step()

    for name, weight in classifier.named_parameters():
        step = float((before[name] - weight.detach()).mean())
        np.testing.assert_allclose(step, 0.05 if name.startswith("heads.") else 0.01, rtol=1e-3)


def test_modes_come_back_as_they_were() -> None:
    """Looking at a network in between does not thaw its trunk."""
    classifier = build_classifier("wrn-10-1", 3).train()
    classifier.trunk.eval()

    with as_it_was(classifier):
        classifier.eval()

    assert (False, True) == (classifier.trunk.training, classifier.heads.training)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"freeze": "some"}, "freeze is 'some', expected a number of epochs or all"),
        ({"freeze": "-1"}, "freeze is '-1'"),
        ({"batch_norm": "off"}, "batch_norm is 'off', expected one of learned, frozen"),
        ({"head_rate": 0.0}, "head_rate is 0.0, expected more than 0"),
        ({"head_rate": float("nan")}, "head_rate is nan"),
    ],
)
def test_settings_out_of_range_are_refused(
    tiny_settings: Settings, change: dict[str, Any], message: str
) -> None:
    """One line with what arrived."""
    with pytest.raises(InputError, match=message):
        replace(tiny_settings, **change)
