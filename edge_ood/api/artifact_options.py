"""What everybody who makes an artefact may choose, whatever classifier goes into it."""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from edge_ood.api.plain import specs
from edge_ood.attachment.deciding import combining
from edge_ood.attachment.request import Options
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.errors import InputError
from edge_ood.registry import Spec
from edge_ood.runtime.ray_workers import Cluster
from edge_ood.scores import HEADS

__all__ = ["ArtifactOptions", "artifact_options"]

_GUARANTEED = ("scores", "alpha", "confidence", "per_class")
"""What becomes heads and guarantee; the others are fields of `Options`."""

_AUTO = "auto"


class ArtifactOptions(TypedDict, total=False):
    """Options of `edge_ood.export` and `edge_ood.attach`.

    Attributes:
        scores: Heads with parameters, such as `"energy,odin:epsilon=0.002"`, also of your own as
            `"package.module:HEAD"`, and `combined` for one
            decision over all of them, or over some: `"combined:of=gen+knn"`; the default heads that
            fit by default.
        primary: The head behind `is_ood` and `pvalue`; if None, `combined` where scores name it or
            nobody chose scores and two of them can be combined, else the first; `auto` for another
            where evidence from the training side is clearly for it.
        alpha: False-alarm rate on ID images, in (0, 1); 0.05 needs 19 calibration images.
        confidence: Share of calibration sets for which the rate is held, in [0, 1); on average over
            them by default.
        per_class: Whether the rate is held within each predicted class.
        temperature: Of the class probabilities; chosen on labelled images that trained nothing and
            set no threshold, where there are any, if `"auto"`.
        epsilon: Step of heads that perturb: `declared`, or chosen on training images by `auto`,
            `outliers`, `fgsm` or `id-only`.
        precision: What the network computes in: `fp32`, `fp16` or `int8`.
        int8_target: Processor of the device: `vnni`, `avx2` or `arm`.
        max_label_flips: Largest share of labels that a conversion may change, in [0, 1].
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        cluster: Where statistics and thresholds are computed, if not here: an
            `edge_ood.runtime.on_ray.Cluster`.
    """

    scores: str | Sequence[str | Spec] | None
    primary: str | None
    alpha: float
    confidence: float | None
    per_class: bool | None
    temperature: float | str
    epsilon: str
    precision: str
    int8_target: str | None
    max_label_flips: float | None
    provider: str
    cluster: Cluster | None


def artifact_options(
    *, statistics: str = "training", layers: tuple[str, ...] = (), **given: Unpack[ArtifactOptions]
) -> Options:
    """The options as the pipeline takes them; what is not given keeps its default there.

    Raises:
        InputError: If a value is unknown or out of range, or two contradict each other.
    """
    heads, combined = combining(
        [HEADS.take_in(head) for head in specs(given.get("scores"))], given.get("primary")
    )
    guarantee = Guarantee(
        given.get("alpha", Guarantee.alpha),
        given.get("confidence") or 0.0,
        given.get("per_class") or False,
        **combined,
    )
    others: dict[str, Any] = {name: v for name, v in given.items() if name not in _GUARANTEED}
    others["temperature"] = _temperature(others.get("temperature", _AUTO))
    return Options(heads=heads, guarantee=guarantee, statistics=statistics, layers=layers, **others)


def _temperature(given: float | str) -> float | None:
    """None where it is to be chosen."""
    if given == _AUTO:
        return None
    try:
        return float(given)
    except ValueError:
        raise InputError(
            f"temperature {given!r}, expected auto or a number", hint="--temperature 1.5"
        ) from None
