"""Adversarial versions of known images, as an out-of-distribution set to evaluate on."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.graph.adversary import ADVERSARIAL, adversary_of
from edge_ood.graph.loading import load_model_file
from edge_ood.images import ImageSet, decode_stream
from edge_ood.runtime import Scorer
from edge_ood.session import open_session, translated_errors

__all__ = ["AdversarialImages"]


class AdversarialImages:
    """Images that an artefact's own gradient leads its classifier away from, made batch by batch.

    Args:
        scorer: The artefact.
        images: Known images.

    Raises:
        ArtifactError: If the file is damaged.
        ExportError: If an operator of the network has no gradient rule; it is named.

    Source: fast gradient sign, Goodfellow, Shlens & Szegedy 2015, with steps of 0.05 of the pixel
    range, from the prediction; as outliers in Lee et al. 2018, section 2.2.
    """

    def __init__(self, scorer: Scorer, images: ImageSet) -> None:
        self.paths = images.paths
        self._preprocess = scorer.metadata.preprocess
        artefact = load_model_file(scorer.path)
        adversary = adversary_of(artefact, self._preprocess).SerializeToString()
        self._session = open_session(adversary, provider=scorer.provider)
        self._source = scorer.path

    def __len__(self) -> int:
        return len(self.paths)

    def batches(
        self, size: int, on_image: Callable[[], None] = lambda: None
    ) -> Iterator[NDArray[np.uint8]]:
        """Images uint8 (at most `size`, S, S, 3), in the order of the files.

        Raises:
            DataError: At the first file that is no readable image.
        """
        decoded = decode_stream(self.paths, self._preprocess)
        while chunk := list(islice(decoded, size)):
            frames = []
            for item in chunk:
                if isinstance(item, DataError):
                    raise item
                frames.append(item.pixels)
                on_image()
            with translated_errors(f"'{self._source}' cannot run"):
                (moved,) = self._session.run([ADVERSARIAL], {"images": np.stack(frames)})
            yield moved
