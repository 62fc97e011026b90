"""Whether an adopted classifier still says what its file says."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.errors import ExportError
from edge_ood.foreign.conventions import ForeignNetwork
from edge_ood.foreign.output_kind import BOUNDED
from edge_ood.foreign.trial import Trial
from edge_ood.graph.activations import Step, applied
from edge_ood.graph.assemble import assemble_reader
from edge_ood.graph.endings import Ending
from edge_ood.onnx_session import open_session, translated_errors
from edge_ood.parity.rounded import check_own_runs

__all__ = ["check_adopted"]

_COMPARED_IMAGES = 7
"""More than one batch of a model that is fixed to few images, and no multiple of one."""

_OF_LARGEST = 1e-3
"""How far outputs may be from the file's own, of the largest: a wrong graph is much farther."""

_TIMES_OWN = 2
"""The same, of what runs of the file itself differ by where it rounds inside to a few levels."""


def check_adopted(
    classifier: onnx.ModelProto, tried: Trial, ending: Ending, network: ForeignNetwork
) -> None:
    """Hold the adopted classifier against the file as it came, on the same images.

    Args:
        classifier: As `edge_ood.graph.assemble` describes it.
        tried: What came of trying the file on them.
        ending: How the file ends.
        network: The file.

    Raises:
        ArtifactError: If one of the two cannot run.
        ExportError: If they differ by more than the file's own runs explain; or if those differ
            so much that nothing can be told.
    """
    is_normalised = tried.gives in ("probabilities", BOUNDED)
    steps = (Step("softmax"),) if is_normalised else ending.steps

    def comparable(rows: NDArray[Any]) -> NDArray[Any]:
        whole = is_normalised and rows.shape[1] > 1
        return rows / rows.sum(axis=1, keepdims=True) if whole else rows

    pixels = tried.pixels[:_COMPARED_IMAGES]
    logits = _logits(classifier, tried, pixels, network.provider)
    found = applied(steps, logits.astype(np.float64))[:, -tried.rows.shape[1] :]
    expected = comparable(tried.rows[:_COMPARED_IMAGES])
    error = float(np.abs(found - expected).max())
    allowed = _OF_LARGEST * float(np.abs(expected).max())
    if error <= allowed:
        return
    own = [comparable(rows) for rows in _own_runs(network, tried, pixels)]
    check_own_runs(ending.output, expected, own, float(comparable(tried.rows).std()))
    allowed = max(allowed, *(_TIMES_OWN * float(np.abs(rows - expected).max()) for rows in own))
    if not error <= allowed:
        raise ExportError(
            f"adopted, the classifier gives {ending.output!r} with an error of {error:.1e} "
            f"(allowed {allowed:.1e})",
            hint="export it with opset 18 and a dynamic batch; report the model if that is so",
        )


def _logits(
    classifier: onnx.ModelProto, tried: Trial, pixels: NDArray[np.uint8], provider: str
) -> NDArray[Any]:
    reader = assemble_reader(classifier, tried.convention.preprocess)
    session = open_session(reader.SerializeToString(), provider=provider)
    with translated_errors("the adopted classifier cannot run"):
        (logits,) = session.run(["logits"], {INPUT_NAME: pixels})
    return np.asarray(logits)


def _own_runs(
    network: ForeignNetwork, tried: Trial, pixels: NDArray[np.uint8]
) -> Iterator[NDArray[np.float64]]:
    """Rows that are as sound as those of the trial: other company, alone, and node by node."""
    yield network(pixels, tried.convention)
    yield np.concatenate([network(image[None], tried.convention) for image in pixels])
    yield network.node_by_node()(pixels, tried.convention)
