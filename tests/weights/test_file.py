"""Files of weights: what is read, what is taken off, and what is refused without being run."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from edge_ood.errors import ArtifactError
from edge_ood.weights.file import load_into, read_weights, unwrapped


def small(classes: int = 3, width: int = 4) -> nn.Sequential:
    """A network with batch statistics."""
    return nn.Sequential(
        nn.Conv2d(3, width, 1), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width, classes)
    )


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Trained weights: numbers that no initialisation draws."""
    torch.manual_seed(0)
    return {name: torch.rand_like(a.float()) + 2 for name, a in small().state_dict().items()}


class Damaging:
    """What a file must not be able to do: run a command while it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
def test_weights_come_back_to_the_bit(
    state: dict[str, Tensor], tmp_path: Path, suffix: str
) -> None:
    """Both formats fill a network with exactly what was saved."""
    path, network = tmp_path / f"w{suffix}", small()
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save(state, path)

    load_into(network, read_weights(path), 3)

    for name, array in network.state_dict().items():
        assert torch.equal(state[name].to(array.dtype), array), name


PREFIXES = ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_common_wrappers_are_taken_off_and_said(
    state: dict[str, Tensor], tmp_path: Path, wrapper: str, prefix: str
) -> None:
    """Weights one level deep and prefixes that all names share go, each with a note."""
    wrapped = {prefix + name: array for name, array in state.items()}
    torch.save({wrapper: wrapped, "epoch": 3}, tmp_path / "w.pth")

    weights = read_weights(tmp_path / "w.pth")

    assert list(state) == list(weights.arrays)
    assert wrapper in weights.notes[0]
    assert 1 + prefix.count(".") == len(weights.notes)


@pytest.mark.parametrize("prefix", ["model.", "net.", "module.backbone.", "a.b.c."])
def test_any_wrappers_prefix_goes_where_no_name_fits(
    state: dict[str, Tensor], tmp_path: Path, prefix: str
) -> None:
    """Whatever a trainer called the network that it held, the notes say what was taken off."""
    torch.save({prefix + name: array for name, array in state.items()}, tmp_path / "w.pth")

    weights = unwrapped(read_weights(tmp_path / "w.pth"), state)

    assert list(state) == list(weights.arrays)
    assert [f"'{part}.'" for part in prefix[:-1].split(".")] == [
        note.partition(" ")[0] for note in weights.notes
    ]


def test_a_network_whose_own_names_begin_alike_keeps_them(tmp_path: Path) -> None:
    """`model.` is no wrapper where the network has it, too; nor are names of another network's."""
    own = {"model.a": torch.ones(1), "model.b": torch.ones(1)}
    torch.save(own, tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth")

    assert list(own) == list(unwrapped(weights, own).arrays)
    assert ["a", "b"] == list(unwrapped(weights, ["x", "y"]).arrays)


def test_a_prefix_of_some_names_stays(tmp_path: Path) -> None:
    """Only what every name begins with is a wrapper."""
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "w.pth")

    assert ["module.a", "b"] == list(read_weights(tmp_path / "w.pth").arrays)


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("zip", r"it holds 'posix\.mkdir'"),
        ("legacy", r"it holds 'posix\.mkdir'"),
        ("pickle", "it cannot be read as a state dict"),
    ],
)
def test_a_pickle_is_refused_and_does_not_run(tmp_path: Path, form: str, found: str) -> None:
    """An object that would run a command is named in the error and leaves no trace."""
    path, mark = tmp_path / "w.pth", tmp_path / "mark"
    hidden = {"weight": Damaging(mark)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(hidden))
    else:
        torch.save(hidden, path, _use_new_zipfile_serialization=form == "zip")

    with pytest.raises(ArtifactError, match=f"{found}, and nothing in it was run"):
        read_weights(path)

    assert not mark.exists()
    pickle.loads(pickle.dumps(Damaging(mark)))
    assert mark.exists()  # it would have worked


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("kept", [0, 1, 9, 300, -1])
def test_damage_is_one_line(state: dict[str, Tensor], tmp_path: Path, name: str, kept: int) -> None:
    """A file cut off anywhere is an error of ours that names it."""
    path = tmp_path / name
    torch.save(state, path) if name == "w.pth" else safetensors.torch.save_file(state, path)
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(
        ArtifactError, match=r"w\.(pth|safetensors)' is (damaged|no file)"
    ) as caught:
        read_weights(path)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([1, 2], "holds a value of type 'list'"),
        ({"epoch": 3}, "has 'int' under 'epoch'"),
        ({"state_dict": {"a": "b"}}, "has 'str' under 'a'"),
        ({3: torch.ones(1)}, "has 'Tensor' under 3"),
        ({}, "holds no weights"),
    ],
)
def test_anything_but_tensors_by_name_is_refused(
    tmp_path: Path, document: Any, message: str
) -> None:
    """The error says what is there instead."""
    torch.save(document, tmp_path / "w.pth")

    with pytest.raises(ArtifactError, match=message):
        read_weights(tmp_path / "w.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere is an error of ours."""
    with pytest.raises(ArtifactError, match=r"cannot read .*nothing\.pth': No such file"):
        read_weights(tmp_path / "nothing.pth")


def saved(state: dict[str, Tensor], path: Path) -> Path:
    torch.save(state, path)
    return path


def test_missing_and_unexpected_weights_are_counted(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    """Both numbers, of how many, and the first name of each."""
    state["head.weight"] = state.pop("3.weight")
    state["head.bias"] = state.pop("3.bias")
    path = saved(state, tmp_path / "w.pth")

    with pytest.raises(
        ArtifactError,
        match=r"2 of 9 weights missing, such as '3\.weight', 2 of 9 weights unexpected, such as",
    ):
        load_into(small(), read_weights(path), 3)


def test_weights_that_are_too_many_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    """A file that also fills the network belongs to a larger one all the same."""
    state["4.weight"] = torch.ones(1)
    path = saved(state, tmp_path / "w.pth")

    with pytest.raises(ArtifactError, match=r"network: 1 of 10 weights unexpected, such as '4\.w"):
        load_into(small(), read_weights(path), 3)


def test_weights_for_other_classes_name_both_numbers(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    """Where only the number of rows differs, it is the number of classes."""
    path = saved(state, tmp_path / "w.pth")

    with pytest.raises(ArtifactError, match="was trained on 3 classes, got 5"):
        load_into(small(5), read_weights(path), 5)


def test_weights_of_another_width_name_a_shape(state: dict[str, Tensor], tmp_path: Path) -> None:
    """Other differences are shown by the first, with both shapes."""
    path = saved(state, tmp_path / "w.pth")

    with pytest.raises(
        ArtifactError, match=r"7 of 9 weights differ in shape, such as '0\.weight' \(4, 3, 1, 1\)"
    ):
        load_into(small(width=5), read_weights(path), 3)


def test_counts_of_training_steps_may_be_missing(state: dict[str, Tensor], tmp_path: Path) -> None:
    """Files of older versions lack a number that only training reads."""
    del state["1.num_batches_tracked"]
    path = saved(state, tmp_path / "w.pth")

    load_into(small(), read_weights(path), 3)


def test_what_the_file_says_of_versions_reaches_the_modules(tmp_path: Path) -> None:
    """A module that translates its older weights is told their version, behind any prefix."""
    seen = []

    class Versioned(nn.Linear):
        def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
            seen.append((prefix, metadata.get("version")))
            super()._load_from_state_dict(state, prefix, metadata, *rest)

    network = nn.Sequential(Versioned(2, 2))
    state = OrderedDict(nn.DataParallel(network).state_dict())
    state._metadata = OrderedDict({"module.0": {"version": 7}})  # type: ignore[attr-defined]  # as torch stores it
    path = saved(state, tmp_path / "w.pth")

    load_into(network, read_weights(path), 2)

    assert [("0.", 7)] == seen
