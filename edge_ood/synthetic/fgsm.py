"""ID images that an artefact's own gradient leads its classifier away from."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.errors import InputError
from edge_ood.graph.adversary import ADVERSARIAL, FGSM_EPSILON, adversary_of
from edge_ood.graph.loading import model_of
from edge_ood.onnx_session import open_session, translated_errors
from edge_ood.registry import NonNegative
from edge_ood.runtime.scorer import Scorer
from edge_ood.synthetic import Synthetic

_WHITE = 255


def fgsm(
    scorer: Scorer, *, epsilon: NonNegative = FGSM_EPSILON
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """What moves every value of an ID image by one step against the predicted class.

    Args:
        scorer: The artefact.
        epsilon: Length of the step in [0, 1] pixel units, rounded to whole grey levels.

    Returns:
        A function from an image, float64 (S, S, 3) of whole multiples of 1/255 in [0, 1], to
        another. It runs the network on one image at a time: in a batch of another size the last
        bits of a gradient, and with them its sign, could be others.

    Raises:
        ArtifactError: If the file is damaged.
        ExportError: If an operator of the network has no gradient rule; it is named.
        InputError: If the network computes in int8, which has no gradient.

    Source: fast gradient sign, Goodfellow, Shlens & Szegedy 2015, arXiv:1412.6572, from the
    prediction; as outliers in Lee et al. 2018, arXiv:1807.03888, section 2.2.
    """
    if scorer.metadata.precision == "int8":
        raise InputError(
            f"'{scorer.path}' computes in int8, which has no gradient to make 'fgsm' images with",
            hint="leave 'fgsm' out, or evaluate the file in fp32 or fp16",
        )
    preprocess = scorer.metadata.preprocess
    adversary = adversary_of(model_of(scorer.file), preprocess, epsilon=epsilon)
    session = open_session(adversary.SerializeToString(), provider=scorer.provider)

    def lead_away(image: NDArray[np.float64]) -> NDArray[np.float64]:
        pixels = np.rint(image[None] * _WHITE).astype(np.uint8)
        with translated_errors(f"'{scorer.path}' cannot run"):
            (moved,) = session.run([ADVERSARIAL], {INPUT_NAME: pixels})
        return np.asarray(moved[0], np.float64) / _WHITE

    return lead_away


SYNTHETIC = Synthetic(
    "fgsm",
    fgsm,
    n_sources=1,
    kind="adversarial",
    source="Goodfellow et al. 2015, 0.05 of the range",
)
