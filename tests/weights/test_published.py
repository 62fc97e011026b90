"""Weights that publishers trained: from their caches, or one line that says how to get them."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision

from edge_ood.errors import ArtifactError, InputError, UnknownNameError
from edge_ood.models import bind_model, build_trunk
from edge_ood.weights.published import published_weights


@pytest.fixture(name="cache")
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, and no network."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))

    def no_network(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.urlopen", no_network)
    return tmp_path / "checkpoints"


def test_torchvisions_weights_come_from_its_own_cache(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the name that torchvision looks for is enough."""
    weights = torchvision.models.get_model_weights("resnet18").DEFAULT
    cache.mkdir()
    state = torchvision.models.resnet18().state_dict()
    torch.save(state, cache / weights.url.rpartition("/")[2])
    monkeypatch.setattr("torch.hub.HASH_REGEX", None, raising=False)

    found = published_weights(bind_model("resnet18"))

    assert "what torchvision publishes of 'resnet18'" == found.called
    assert state.keys() == found.arrays.keys()
    assert torch.equal(state["fc.weight"], found.arrays["fc.weight"])
    assert 64 == len(found.sha256)


def test_without_network_the_error_names_file_and_folder(cache: Path) -> None:
    """One line with where torchvision looks, and the file to put there."""
    with pytest.raises(ArtifactError, match=f"are not in '{cache}'") as caught:
        published_weights(bind_model("mobilenet_v3_small"))

    assert "put the file 'mobilenet_v3_small-047dcff4.pth' into that folder" in str(
        caught.value.hint
    )


def test_timms_weights_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What timm.create_model(pretrained=True) has."""
    trained = timm.create_model("resnet18", pretrained=False)
    real = timm.create_model

    def cached(name: str, *, pretrained: bool, **arguments: object) -> torch.nn.Module:
        made: torch.nn.Module = trained if pretrained else real(name, **arguments)
        return made

    monkeypatch.setattr(timm, "create_model", cached)

    found = published_weights(bind_model("timm/resnet18"))

    assert torch.equal(trained.state_dict()["fc.weight"], found.arrays["fc.weight"])


def test_timm_without_network_says_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, without what its client logs of every attempt."""
    real = timm.create_model

    def offline(name: str, *, pretrained: bool, **arguments: object) -> torch.nn.Module:
        if pretrained:
            raise FileNotFoundError("no connection")
        made: torch.nn.Module = real(name, **arguments)
        return made

    monkeypatch.setattr(timm, "create_model", offline)

    with pytest.raises(ArtifactError, match=r"huggingface\.co/timm/efficientnet_lite0") as caught:
        published_weights(bind_model("timm/efficientnet_lite0"))

    assert "--weights FILE" in str(caught.value.hint)


def test_networks_that_nobody_publishes_are_said_so() -> None:
    """Our own families have runs, not published weights."""
    with pytest.raises(InputError, match="nobody publishes weights of 'wrn-10-1'") as caught:
        published_weights(bind_model("wrn-10-1"))

    assert "--weights FILE" in str(caught.value.hint)


def test_a_misspelt_name_of_timm_gets_the_closest() -> None:
    """Among a thousand of timm's own."""
    with pytest.raises(UnknownNameError) as caught:
        build_trunk("timm/efficientnet_lit0")

    assert "timm/efficientnet_lite0" == caught.value.closest


def test_a_tag_that_timm_does_not_have_is_one_line() -> None:
    """What stands behind the dot names a training of the network."""
    with pytest.raises(InputError, match=r"'timm/resnet18.nobody': Invalid pretrained tag"):
        build_trunk("timm/resnet18.nobody")
