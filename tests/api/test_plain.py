"""Options as people give them: what is read, and what is refused before it does harm."""

import pytest

from edge_ood.api.plain import rgb
from edge_ood.errors import InputError


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("--mean", "0.485,0.456,0.406", (0.485, 0.456, 0.406)),
        ("--mean", 0, (0, 0, 0)),
        ("--mean", [1, 0.5, 0], (1, 0.5, 0)),
        ("--std", 1 / 255, (1 / 255,) * 3),
        ("--std", "1", (1, 1, 1)),
    ],
)
def test_numbers_of_pixels_in_the_unit_range_are_read(
    name: str, given: object, expected: tuple[float, float, float]
) -> None:
    """One stands for three; dividing by 1/255 gives a network its bytes."""
    assert expected == rgb(name, given)  # type: ignore[arg-type]  # any of them


@pytest.mark.parametrize(
    ("name", "given", "shown", "hint"),
    [
        ("--mean", "123.68,116.779,103.939", "123.68,116.779,103.939", "--mean 0.485,0.458,0.408"),
        ("--mean", 128, "128,128,128", "--mean 0.502,0.502,0.502"),
        ("--mean", "0.485,0.456,103.5", "0.485,0.456,103.5", "in [0, 255]?"),
        ("--mean", -0.5, "-0.5,-0.5,-0.5", "--mean 0"),
        ("--std", "58.393,57.12,57.375", "58.393,57.12,57.375", "--std 0.229,0.224,0.225"),
        ("--std", "0.000898,0.000878,0.000882", "0.000898", "--std 0.229,0.224,0.225"),
        ("--std", 0, "0,0,0", "positive"),
    ],
)
def test_numbers_of_pixels_in_other_units_are_refused(
    name: str, given: object, shown: str, hint: str
) -> None:
    """The hint has them in the right unit: 123.68 / 255 = 0.485."""
    with pytest.raises(InputError, match=f"^{name} is {shown}.*pixels in ") as caught:
        rgb(name, given)  # type: ignore[arg-type]  # as above

    assert hint in str(caught.value.hint)
