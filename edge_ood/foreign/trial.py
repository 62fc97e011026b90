"""Somebody else's network tried out on images before anything is changed in it.

A network that gets blue for red, or 0 to 255 for 0 to 1, raises no error: it is just wrong more
often. Labelled images tell.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import ArtifactError, DataError
from edge_ood.files.stored import AnyImage
from edge_ood.foreign.conventions import PIXELS, Convention, ForeignNetwork
from edge_ood.foreign.geometry import Comparison, LabelledRounds, choose_geometry
from edge_ood.foreign.id_images import IdImages
from edge_ood.foreign.mcnemar import DEVIATIONS, PROMISING, is_better, lead
from edge_ood.foreign.output_kind import kind_of, predicted
from edge_ood.foreign.pixel_choice import FIRST, choose_pixels, known_images
from edge_ood.foreign.remembered import Remembered
from edge_ood.foreign.steadiness import check_steady
from edge_ood.graph.intake import LAYOUTS
from edge_ood.images.folders import ImageSet
from edge_ood.images.reading import decode_all
from edge_ood.images.splits import evenly_spread
from edge_ood.metrics.classification import chance_level

__all__ = ["Trial", "check_convention", "try_network"]

_TRIED_IMAGES = 128
_HALF = 0.5
_SURE_OF_ORDER = 0.6
"""Share of images that a network must tell apart consistently before the order is suspected."""


@dataclass(frozen=True)
class Trial:
    """What trying a network on images gave.

    Attributes:
        convention: As described, or chosen.
        rows: Its own output (N, K) for `pixels`.
        pixels: uint8 (N, S, S, 3).
        accuracy: Share in [0, 1] of labelled images that it knows, or None without labels.
        gives: `logits`, `probabilities`, `log-probabilities` or `scores in [0, 1]`.
        pixels_by: What singled the normalisation out, in words, where it was not described.
        known: How much it knows, in words; empty without labels.
        geometry: How crop share and interpolation were chosen, where they were.
        chosen_by: Images by which a convention was chosen from several.
    """

    convention: Convention
    rows: NDArray[np.float64]
    pixels: NDArray[np.uint8]
    accuracy: float | None
    gives: str
    pixels_by: str = ""
    known: str = ""
    geometry: tuple[Comparison, ...] = ()
    chosen_by: frozenset[AnyImage] = frozenset()


def try_network(
    network: ForeignNetwork,
    conventions: Sequence[Convention],
    images: IdImages,
    *,
    activation: str,
    open_geometry: Sequence[str] = (),
    on_note: Callable[[str], None],
) -> Trial:
    """Run a network as it is on some images; refuse a description that does not fit it.

    Args:
        network: The classifier.
        conventions: The one that was described, or several to choose from by their pixels.
        images: At most 128 of its deciding images are used, fewer where those tell clearly.
        activation: What the graph ends in; empty where that is to be told from numbers.
        open_geometry: `crop`, `interpolation`: what the conventions leave to the images.
        on_note: Called with sentences that the user should read.

    Raises:
        InputError: If there are several conventions and no labels, or they do not tell; or an
            answer is not finite, or not about its image alone.
        DataError: If the network does not know the images.
    """
    chosen = _first_spread(evenly_spread(images.deciding, _TRIED_IMAGES))
    pixels, _ = decode_all(chosen.paths, conventions[0].preprocess)
    check_steady(network, conventions, pixels)
    network = Remembered(network)
    convention, accuracy = conventions[0], None
    pixels_by, known = "", ""
    compared: Sequence[Comparison] = ()
    deciders: set[AnyImage] = set()
    if len(conventions) > 1:
        convention, pixels_by = choose_pixels(network, conventions, pixels, chosen.labels)
        deciders.update(chosen.paths)
    if chosen.labels is None:
        on_note("no labels, so it is not checked whether the network knows these images")
    else:
        rounds = LabelledRounds(network, chosen, images.deciding)
        convention, compared = choose_geometry(rounds, convention, open_geometry)
        if convention.preprocess != conventions[0].preprocess:
            pixels, _ = decode_all(chosen.paths, convention.preprocess)
        deciders.update(rounds.used)
        accuracy, known, doubt = check_convention(
            network, convention, pixels, chosen.labels, images.classes
        )
        if doubt:
            on_note(f"{known}; {doubt}")
    rows = network(pixels, convention)
    gives = "logits" if activation else kind_of(rows)
    return Trial(
        convention,
        rows,
        pixels,
        accuracy,
        gives,
        pixels_by,
        known,
        tuple(compared),
        frozenset(deciders),
    )


def check_convention(
    network: ForeignNetwork,
    convention: Convention,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classes: Sequence[str],
) -> tuple[float, str, str]:
    """How much a network knows of labelled images, taken as described.

    Args:
        network: The classifier.
        convention: As its owner describes it.
        pixels: uint8 (N, S, S, 3).
        labels: (N,).
        classes: K class names.

    Returns:
        The share in [0, 1] that it classifies correctly, that in words, and what else would be
        better; empty if nothing would.

    Raises:
        DataError: If it is no better than chance, or less than half of what another order of
            channels, layout or normalisation gives; the hint names the suspected cause.
    """
    found = predicted(network(pixels, convention))
    right = found == labels
    accuracy = float(right.mean())
    chance = chance_level(labels)
    noise = DEVIATIONS * float(np.sqrt(chance * (1 - chance) / len(labels)))
    is_by_chance = accuracy <= chance + noise
    # Nothing is twice as good as a half, but a network may know much in spite of swapped colours.
    thorough = is_by_chance or accuracy < _HALF
    others = {}
    for other in _alternatives(network, convention, pixels, thorough=thorough):
        some = known_images(network, other, pixels[:FIRST], labels[:FIRST])
        if lead(some, right[:FIRST]) >= PROMISING:
            others[other] = known_images(network, other, pixels, labels)
    known = f"{accuracy:.1%} of {len(labels)} labelled images are classified correctly"
    doubt = ""
    best = max(others, key=lambda other: float(others[other].mean()), default=convention)
    better = float(others[best].mean()) if others else 0.0
    if better > chance + noise and is_better(others[best], than=right):
        options = best.difference(convention)
        doubt = f"as {options} it would be {better:.1%}"
        if is_by_chance or accuracy < _HALF * better:
            raise DataError(f"{known}; {doubt}", hint=options)
    elif is_by_chance:
        raise DataError(
            f"{known}, no better than chance ({chance:.1%})",
            hint=_other_order(found, labels, classes)
            or "check --classes or the class folders, which sorted must be in the order of the "
            "outputs; --mean, --std, --channels and --image-size, too",
        )
    return accuracy, known, doubt


def _alternatives(
    network: ForeignNetwork,
    convention: Convention,
    pixels: NDArray[np.uint8],
    *,
    thorough: bool,
) -> Iterator[Convention]:
    """Other conventions that the network can run with; if not `thorough`, other channels only."""
    all_channels = ("rgb", "bgr") if convention.entry.channels == 3 else (convention.channels,)
    layouts = LAYOUTS if thorough else (convention.entry.layout,)
    names = (convention.pixels, *PIXELS) if thorough else (convention.pixels,)
    for channels, layout, name in product(all_channels, layouts, names):
        entry = replace(convention.entry, layout=layout)
        other = replace(convention, channels=channels, entry=entry)
        if name != convention.pixels:
            other = other.with_pixels(name)
        if other != convention and _runs(network, other, pixels[:1]):
            yield other


def _runs(network: ForeignNetwork, convention: Convention, image: NDArray[np.uint8]) -> bool:
    try:
        network(image, convention)
    except ArtifactError:
        return False
    return True


def _first_spread(images: ImageSet) -> ImageSet:
    """The same images in another order: the first few are evenly spread, too."""
    step = max(1, len(images) // FIRST)
    return images.subset(np.argsort(np.arange(len(images)) % step, kind="stable"))


def _other_order(
    found: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str]
) -> str | None:
    """What the outputs seem to mean, where each stands for one class, but for another one."""
    table = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(table, (found, labels), 1)
    meant = table.argmax(axis=1)
    used = np.flatnonzero(table.sum(axis=1))
    if table.max(axis=1).sum() < _SURE_OF_ORDER * len(labels) or len(set(meant[used])) < len(used):
        return None
    shown = ", ".join(f"output {k} is mostly {classes[meant[k]]!r}" for k in used[:3])
    return f"the classes seem to be in another order: {shown}; --classes FILE gives the right one"
