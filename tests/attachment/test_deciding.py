"""What decides where a user chose nothing, something, or everything."""

import pytest

from edge_ood.attachment.deciding import with_primary
from edge_ood.attachment.request import Options
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.registry import parse_specs

ALL = ("gen", "mahalanobis", "msp", "nci")


@pytest.mark.parametrize(
    ("names", "images", "primary", "of", "why"),
    [
        (ALL, 38, "combined", ("gen", "mahalanobis", "nci"), ""),
        (ALL, 37, "gen", (), "'gen' decides alone: with 38 calibration images, not 37, gen and"),
        (("gen", "msp", "nci"), 38, "combined", ("gen", "nci"), ""),
        (("gen", "msp"), 500, "gen", (), "'gen' decides"),
        (("msp",), 500, "msp", (), "'msp' decides"),
    ],
)
@pytest.mark.parametrize("asked", [None, "auto"])
def test_where_nobody_chose_the_default_members_decide(
    names: tuple[str, ...],
    images: int,
    primary: str,
    of: tuple[str, ...],
    why: str,
    asked: str | None,
) -> None:
    """Together where there are two and images for both halves, else the first of them alone."""
    options, found = with_primary(Options(primary=asked), names, images)

    assert (primary, of) == (options.primary, options.guarantee.combined_of)
    assert bool(of) == options.guarantee.combined
    assert found.startswith(why)
    assert bool(why) == bool(found)


@pytest.mark.parametrize(
    ("scores", "guarantee", "primary", "expected"),
    [
        ("energy,msp", Guarantee(), None, "energy"),
        ("energy,gen", Guarantee(), None, "gen"),
        ("energy,gen", Guarantee(combined=True), None, "combined"),
        ("energy,gen", Guarantee(combined=True), "energy", "energy"),
        ("energy,msp", Guarantee(), "auto", "energy"),
    ],
)
def test_of_chosen_scores_one_decides(
    scores: str, guarantee: Guarantee, primary: str | None, expected: str
) -> None:
    """The one that was asked for; nothing is combined that nobody asked for."""
    heads = parse_specs(scores)

    options, why = with_primary(
        Options(heads, primary, guarantee), [spec.name for spec in heads], 500
    )

    assert (expected, "") == (options.primary, why)
    assert guarantee == options.guarantee


def test_combined_alone_is_that_of_the_default_members() -> None:
    """`--scores combined`, or `--primary combined`, is the default where there are images."""
    asked = Options(guarantee=Guarantee(combined=True))

    options, _ = with_primary(asked, ALL, 20)

    assert ("combined", ("gen", "mahalanobis", "nci")) == (
        options.primary,
        options.guarantee.combined_of,
    )
