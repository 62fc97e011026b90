"""Score heads: one formula per file, larger = more out-of-distribution, no exception.

A formula is written once, on the Python array API (`xp.max`, `xp.sum`, `xp.exp`, ...). The same
lines run on NumPy in float64 (the oracle), on torch tensors and on `edge_ood.graph.array`, which
records them as ONNX nodes.

A head's file declares all that others need to know about it; nobody else knows one by name. Its
names and defaults are here without NumPy, so that `--help` can have them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edge_ood.errors import InputError
from edge_ood.registry import Registry, Spec, bind_parameters, parse_spec
from edge_ood.scores._fitting import Accumulator, LinearLayer
from edge_ood.scores._outputs import FEATURES_PREFIX, Outputs
from edge_ood.scores._step import EPSILON, Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "DEFAULT_COMBINED",
    "DEFAULT_HEADS",
    "DEFAULT_PRIMARY",
    "FEATURES_PREFIX",
    "HEADS",
    "NO_LAST_LAYER",
    "PENULTIMATE",
    "Accumulator",
    "BoundHead",
    "LinearLayer",
    "Outputs",
    "ScoreHead",
    "Statistics",
    "Step",
    "bind_head",
    "fitting_heads",
    "heads_where",
    "perturbs",
]

DEFAULT_HEADS = ("gen", "mahalanobis", "mcd_l1", "msp", "nci")
"""What a file has where nobody chose, as far as its classifier gives what they read. None of them
needs a gradient. A list, so that a new head changes nobody's files."""

DEFAULT_COMBINED = ("gen", "mahalanobis", "nci")
"""What decides together where nobody chose: class probabilities, all directions of the features,
and how both agree. None of them ranks upside down on a network that was measured."""

DEFAULT_PRIMARY = "gen"
"""The head that decides where nobody chose and fewer than two can be combined."""

NO_LAST_LAYER = (
    "it reads the last linear layer, and the logits of this classifier do not come from one that "
    "reads its features"
)
"""Why a head that `reads_linear` cannot be had."""

PENULTIMATE = "penultimate"
"""The layer that the linear heads read; always the last feature."""

Statistics = Mapping[str, "NDArray[np.floating[Any]]"]

_TEMPERATURE = "temperature"


@dataclass(frozen=True)
class ScoreHead:
    """One OOD score, and all that others need to know about it.

    Attributes:
        name: That of its file.
        inputs: Which fields of `Outputs` the formula reads.
        score: `score(xp, outputs, statistics, **parameters) -> (N,)`, larger = more OOD.
        source: Paper and equation.
        fit: `fit(num_classes, **parameters)` gives an `Accumulator`; None where nothing is fitted.
            It is also given `linear`, a `LinearLayer`, if the head `reads_linear`.
        summary: `summary(statistics, **parameters)` gives what the metadata tell of the fitted
            statistics, by topic; None where there is nothing to tell.
        perturbation: `perturbation(xp, outputs, statistics, **parameters)` gives losses (N,) by
            output name: the score reads each such output of the image moved by `epsilon` against
            the sign of that loss's gradient. None for heads that never perturb. A head that has
            one has a parameter `epsilon`, the length of the step; 0 switches it off.
        step: `step(**parameters)` gives the `Step`; by default `epsilon` is in raw [0, 1] pixel
            units, and there may be parameters `clip` and `pixels`. In a head that never perturbs
            no parameter bears one of these names.
        fits_moved: Whether statistics are of moved images, `Outputs.still` being those before the
            step: of 1,000 images at most, by losses that read no statistics.
        layer_weights: Name of the parameter that says what weights of layers are chosen by:
            `uniform`, `outliers` or `fgsm`. The score of several layers is then the sum of those
            of each layer alone, each times `statistics["<layer>/weight"]`, 1 where it is missing.
            None where layers have no weights.
        too_few: `too_few(counts, widths, **parameters)`, of images by class and of the widths of
            features by layer, says why so many images give no statistics worth having; empty if
            they do. None where any number does.
        nearest_class: Whether it is a distance to the nearest class, found by `argmin` by layer.
        reads_probabilities: Whether class probabilities, rounded to float32, are enough: their
            logarithms stand for the logits, and what rounds to zero for the least. Other scores
            tell images apart by what a softmax loses.
        is_probability: Whether it is made of class probabilities that users read, so that its
            parameter `temperature` is that of the artefact unless they set it.
        reads_linear: Whether it needs the classifier's last linear layer to be fitted.
        not_recommended: Why a head that is there for comparison should not decide; empty for the
            others.
    """

    name: str
    inputs: tuple[str, ...]
    score: Callable[..., Any]
    source: str
    fit: Callable[..., Accumulator] | None = None
    summary: Callable[..., Mapping[str, Any]] | None = None
    perturbation: Callable[..., Any] | None = None
    step: Callable[..., Step] = Step.of
    fits_moved: bool = False
    layer_weights: str | None = None
    too_few: Callable[..., str] | None = None
    nearest_class: bool = False
    reads_probabilities: bool = False
    is_probability: bool = False
    reads_linear: bool = False
    not_recommended: str = ""


@dataclass(frozen=True)
class BoundHead:
    """A head with its parameters and fitted statistics: a function of outputs alone."""

    head: ScoreHead
    parameters: Mapping[str, Any]
    statistics: Statistics = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The head's registry name, which is also its output's name in the artefact."""
        return self.head.name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Which fields of `Outputs` it reads."""
        return self.head.inputs

    @property
    def epsilon(self) -> float:
        """Length of the perturbation; 0 where there is none."""
        return self.step.length

    @property
    def is_tunable(self) -> bool:
        """Whether another length is to be had without fitting its statistics anew."""
        return self.epsilon > 0 and not self.head.fits_moved

    @property
    def step(self) -> Step:
        """How an image is perturbed; of length 0 where it is not."""
        return self.head.step(**self.parameters) if self.head.perturbation else Step(0.0)

    @property
    def weights_source(self) -> str | None:
        """What weights of layers are chosen by; None where layers have no weights."""
        declared = self.head.layer_weights
        return None if declared is None else str(self.parameters[declared])

    @property
    def summary(self) -> Mapping[str, Any]:
        """What the metadata tell of the fitted statistics, by topic."""
        tell = self.head.summary
        return {} if tell is None else tell(self.statistics, **self.parameters)

    def with_epsilon(self, epsilon: float) -> "BoundHead":
        """The same with a perturbation of another length."""
        return replace(self, parameters={**self.parameters, EPSILON: epsilon})

    def with_temperature(self, temperature: float, asked_for: Spec | None = None) -> "BoundHead":
        """The same at the temperature of the artefact's probabilities, if it is made of these.

        Args:
            temperature: Of the artefact.
            asked_for: The head as a user named it: a temperature that is given there stays.
        """
        is_given = asked_for is not None and _TEMPERATURE in asked_for.parameters
        if not self.head.is_probability or is_given:
            return self
        return replace(self, parameters={**self.parameters, _TEMPERATURE: temperature})

    def with_weights(self, weights: "Mapping[str, NDArray[np.float64]]") -> "BoundHead":
        """The same with a weight () for each layer."""
        added = {_weight_of(layer): weight for layer, weight in weights.items()}
        return replace(self, statistics={**self.statistics, **added})

    def of_layer(self, layer: str) -> "BoundHead":
        """The head on one layer alone, without a weight, perturbed by that layer's own loss."""
        whole = self.head

        def score(xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any) -> Any:
            return whole.score(xp, _only(outputs, layer), statistics, **parameters)

        def loss(xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any) -> Any:
            assert whole.perturbation is not None  # else this is not declared
            return whole.perturbation(xp, _only(outputs, layer), statistics, **parameters)

        part = replace(
            whole,
            name=f"{whole.name}/{layer}",
            score=score,
            perturbation=loss if whole.perturbation else None,
        )
        unweighted = {n: a for n, a in self.statistics.items() if n != _weight_of(layer)}
        return BoundHead(part, self.parameters, unweighted)

    def accumulator(
        self, num_classes: int, linear: LinearLayer | None = None
    ) -> Accumulator | None:
        """What fits its statistics, for K classes; None where nothing is fitted.

        Raises:
            InputError: If it needs a last linear layer, and there is none.
        """
        fit = self.head.fit
        if fit is None:
            return None
        if not self.head.reads_linear:
            return fit(num_classes, **self.parameters)
        if linear is None:
            raise InputError(
                f"score head {self.name!r} cannot be had: {NO_LAST_LAYER}",
                hint=f"leave {self.name!r} out of --scores",
            )
        return fit(num_classes, linear=linear, **self.parameters)

    def too_few(self, counts: Sequence[int], widths: Mapping[str, int]) -> str:
        """Why so many images by class are too few for features this wide; empty if they are not."""
        judge = self.head.too_few
        return "" if judge is None else judge(counts, widths, **self.parameters)

    def score(self, xp: Any, outputs: Outputs) -> Any:
        """Scores (N,) of one batch of outputs; larger is more out-of-distribution."""
        return self.head.score(xp, outputs, self.statistics, **self.parameters)

    def losses(self, xp: Any, outputs: Outputs) -> dict[str, Any]:
        """Losses (N,) to descend, by the name of the output that is read after the step."""
        assert self.head.perturbation is not None, self.name
        losses: dict[str, Any] = self.head.perturbation(
            xp, outputs, self.statistics, **self.parameters
        )
        return losses


HEADS = Registry(
    "edge_ood.scores", kind="score head", attribute="HEAD", listing="'edge-ood heads' lists them"
)


def bind_head(head: str | Spec) -> BoundHead:
    """A head with all its parameters, given or default, and no statistics yet.

    Args:
        head: For example `energy:temperature=2`, or the same already parsed.

    Raises:
        UnknownNameError: If the head or a parameter does not exist; the hint has the closest.
        InputError: If a parameter has the wrong type.
    """
    spec = parse_spec(head) if isinstance(head, str) else head
    found: ScoreHead = HEADS.get(spec.name)
    parameters = bind_parameters(found.score, spec.parameters, owner=f"score head {found.name!r}")
    return BoundHead(found, parameters)


def fitting_heads(names: Iterable[str], given: Iterable[str]) -> list[Spec]:
    """Those heads that a classifier has inputs for, in their order.

    Args:
        names: Of heads.
        given: What it gives: fields of `Outputs`, or names of outputs of `classifier.onnx`.
    """
    fields = {name.partition("/")[0] for name in given}
    return [Spec(name) for name in names if set(HEADS.get(name).inputs) <= fields]


def heads_where(holds: Callable[[BoundHead], Any]) -> list[str]:
    """Names of the heads of which, with default parameters, something holds; for hints."""
    return [name for name in HEADS.names() if holds(bind_head(name))]


def perturbs(parameters: Mapping[str, Any]) -> bool:
    """Whether a head reads perturbed images, by its parameters as the metadata have them."""
    return bool(parameters.get(EPSILON))


def _only(outputs: Outputs, layer: str) -> Outputs:
    return replace(outputs, features={layer: outputs.features[layer]})


def _weight_of(layer: str) -> str:
    return f"{layer}/weight"
