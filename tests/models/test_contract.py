"""What every model family keeps, found through the registry."""

import functools
import inspect

import pytest
import torch

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.models import (
    PENULTIMATE,
    Classifier,
    IndependentHeads,
    MergedHeads,
    ModelFamily,
    bind_model,
    build_classifier,
    check_input,
    model_families,
)
from edge_ood.registry import Spec, parse_spec

CLASSES = 5
SIDE_PX = 32
# Logits are of order 1; the same sum in another order differs by a few units in the last place.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}

families = pytest.mark.parametrize("family", model_families(), ids=lambda f: f.pattern)


def random_images(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, SIDE_PX, SIDE_PX, generator=generator)


def example(family: ModelFamily) -> str:
    """The family's first name, built for small images where it is built for one size."""
    sized = "image_size" in inspect.signature(family.trunk).parameters
    return family.examples[0] + (f":image_size={SIDE_PX}" if sized else "")


@functools.cache
def _trunk_and_heads(family: ModelFamily) -> Classifier:
    torch.manual_seed(0)
    classifier = build_classifier(example(family), CLASSES, heads=2)
    for module in classifier.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    classifier(random_images(8))
    return classifier.eval()


def trained_looking(family: ModelFamily, heads: int) -> Classifier:
    """The family's example in evaluation mode, with batch statistics that keep signals up."""
    made = _trunk_and_heads(family)
    if heads == 2:
        return made
    torch.manual_seed(1)
    return Classifier(made.trunk, IndependentHeads(made.trunk.num_features, CLASSES, 1)).eval()


@families
def test_outputs_have_the_promised_shapes(family: ModelFamily) -> None:
    """Two heads give logits (N, K), logits_pair (N, 2, K) and penultimate features (N, D) last."""
    classifier = trained_looking(family, heads=2)

    outputs = classifier(random_images())

    assert (3, CLASSES) == outputs.logits.shape
    assert (3, 2, CLASSES) == outputs.logits_pair.shape
    assert PENULTIMATE == list(outputs.features)[-1]
    assert (3, classifier.trunk.num_features) == outputs.features[PENULTIMATE].shape


@families
def test_one_head_has_no_pair(family: ModelFamily) -> None:
    """A classifier with one head gives no logits_pair."""
    assert trained_looking(family, heads=1)(random_images()).logits_pair is None


@families
def test_the_logits_are_the_mean_over_the_heads(family: ModelFamily) -> None:
    """The combined logits are the average of the two heads' own logits."""
    outputs = trained_looking(family, heads=2)(random_images())

    torch.testing.assert_close(outputs.logits_pair.mean(1), outputs.logits, **ROUNDING)


@families
def test_an_image_is_classified_alone_as_in_a_batch(family: ModelFamily) -> None:
    """In evaluation mode an image's outputs do not depend on its neighbours."""
    classifier, images = trained_looking(family, heads=1), random_images()

    alone = torch.cat([classifier(image[None]).logits for image in images])

    torch.testing.assert_close(alone, classifier(images).logits, **ROUNDING)


@families
def test_merged_heads_change_nothing(family: ModelFamily) -> None:
    """The heads in their exported form give the same logits as in training."""
    classifier, images = trained_looking(family, heads=2), random_images()
    assert isinstance(classifier.heads, IndependentHeads)

    merged = Classifier(classifier.trunk, MergedHeads(classifier.heads)).eval()

    expected, actual = classifier(images), merged(images)
    torch.testing.assert_close(expected.logits, actual.logits, **ROUNDING)
    torch.testing.assert_close(expected.logits_pair, actual.logits_pair, **ROUNDING)


@families
def test_the_heads_start_apart(family: ModelFamily) -> None:
    """Each head draws its own weights, so that two heads can disagree."""
    pair = trained_looking(family, heads=2)(random_images()).logits_pair

    assert not torch.allclose(pair[:, 0], pair[:, 1])


@families
def test_the_smallest_image_is_accepted(family: ModelFamily) -> None:
    """An image as small as the family allows, and its layers take, gives finite logits."""
    model = parse_spec(example(family))
    side = SIDE_PX if model.parameters else max(family.smallest_px, 2)

    check_input(model, side, 2)

    assert trained_looking(family, heads=1)(torch.zeros(1, 3, side, side)).logits.isfinite().all()


@pytest.mark.parametrize(
    ("name", "side", "smallest"),
    [
        ("wrn-10-1", 3, 4),
        ("densenet-bc-10-12", 2, 4),
        ("alexnet", 62, 63),
        pytest.param("maxvit_t", 96, 224, marks=pytest.mark.slow),
    ],
)
def test_too_small_an_image_is_refused(name: str, side: int, smallest: int) -> None:
    """The error names the size that arrived, and the hint is the next one that works."""
    with pytest.raises(InputError, match=f"{side} px, expected {smallest} or more") as caught:
        check_input(Spec(name), side, 2)

    assert f"--image-size {smallest}" == caught.value.hint
    check_input(Spec(name), smallest, 2)


@pytest.mark.parametrize(("name", "side"), [("wrn-10-1", 4), ("resnet18", 32)])
def test_a_single_value_per_channel_cannot_be_normalised(name: str, side: int) -> None:
    """One image whose last map is one pixel is refused before training, with a hint."""
    with pytest.raises(InputError, match="more than 1 image") as caught:
        check_input(Spec(name), side, 1)

    assert "--batch-size 2" in str(caught.value.hint)


@families
def test_a_name_belongs_to_one_family(family: ModelFamily) -> None:
    """Every example is answered by its own family alone."""
    for name in family.examples:
        answering = [other.pattern for other in model_families() if other.answers(name)]
        assert [family.pattern] == answering


@families
def test_the_trunk_names_its_source(family: ModelFamily) -> None:
    """The function that builds the trunk says where the network comes from."""
    assert "Source:" in str(inspect.getdoc(family.trunk))


def test_a_misspelt_model_gets_the_closest() -> None:
    """An unknown model is an error with the nearest known name."""
    with pytest.raises(UnknownNameError, match="unknown model 'resnet81'") as caught:
        build_classifier("resnet81", CLASSES)

    assert "resnet18" == caught.value.closest


def test_a_name_like_no_other_gets_a_few_examples() -> None:
    """The hint of a hopeless name is one name of each family, not a hundred."""
    with pytest.raises(UnknownNameError) as caught:
        build_classifier("zzzzzz", CLASSES)

    examples = sorted(family.examples[0] for family in model_families())
    assert f"one of {', '.join(examples)}" == caught.value.hint


def test_an_unknown_parameter_gets_the_closest() -> None:
    """A misspelt parameter is an error with the nearest one of that model."""
    with pytest.raises(UnknownNameError, match="parameter of wrn-10-1 'dropuot'") as caught:
        bind_model("wrn-10-1:dropuot=0.1")

    assert "dropout" == caught.value.closest


@pytest.mark.parametrize(("classes", "heads"), [(1, 1), (CLASSES, 0), (CLASSES, 3)])
def test_impossible_heads_are_refused(classes: int, heads: int) -> None:
    """Fewer than two classes, or a number of heads other than 1 and 2, is an error."""
    with pytest.raises(InputError, match="expected 1 or 2 heads over 2 or more"):
        build_classifier("wrn-10-1", classes, heads=heads)
