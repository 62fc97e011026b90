"""Evaluations with a different number in every field."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.results import (
    ArtifactResult,
    CorruptedResult,
    CorruptionResult,
    FullSpectrum,
    GroupResult,
    HeadOnId,
    HeadOnShifted,
    IdResult,
    OodResult,
    Recommendation,
    ShiftedResult,
)
from edge_ood.evaluation.values import (
    Bootstrap,
    ClassAlarms,
    ClassQuality,
    Example,
    GroupMetrics,
    Histogram,
    Interval,
    OperatingPoint,
    PValueCurve,
    Reliability,
    Rival,
    ThresholdCurve,
)
from edge_ood.metrics.detection import Misclassification, PairMetrics

OOD_SETS = {"cats": "near", "noise": "far"}
PAIR_METRICS = (
    *("auroc", "aupr_in", "aupr_out", "fpr95_id_positive", "fpr95_ood_positive"),
    *("detection_error", "flagged"),
)


class EvaluationMaker:
    """Draws the values of an evaluation; the same seed gives the same one."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def rate(self) -> float:
        """A rate with more digits than any page shows."""
        return float(self.random.uniform(0.01, 0.99))

    def rising(self, n: int) -> tuple[float, ...]:
        """Rates from 0 to 1."""
        return tuple(np.linspace(0, 1, n) ** self.random.uniform(0.2, 3))

    def interval(self) -> Interval:
        """An interval."""
        return Interval(*sorted((self.rate(), self.rate())))

    def examples(self, folder: str) -> tuple[Example, ...]:
        """Two images."""
        return tuple(
            Example(f"{folder}/{i}.png", self.rate() * 9, self.rate(), "bee", bool(i), "ant")
            for i in range(2)
        )

    def density(self) -> tuple[float, ...]:
        """Fractions of 60 bins."""
        shares = self.random.exponential(size=60)
        return tuple(shares / shares.sum())

    def head_on_id(self, classes: Sequence[str]) -> HeadOnId:
        """A head on ID images."""
        return HeadOnId(
            realised_tpr=self.rate(),
            accepted_accuracy=self.rate(),
            misclassification=Misclassification(80, 20, self.rate(), self.rate(), self.rate()),
            thresholds=tuple(self.rate() + k for k, _ in enumerate(classes)),
            classes=tuple(
                ClassAlarms(name, 30 + k, self.rate(), 40 + k, self.rate())
                for k, name in enumerate(classes)
            ),
            pvalues=PValueCurve(tuple(np.linspace(0, 1, 201)), self.rising(201)),
            intervals={"realised_tpr": self.interval(), "accepted_accuracy": self.interval()},
            suspicious=self.examples("id"),
        )

    def on_id(self, heads: Sequence[str], classes: Sequence[str], *, is_labelled: bool) -> IdResult:
        """ID images."""
        rates = [self.rate() if is_labelled else math.nan for _ in range(5)]
        bins = tuple(np.linspace(0.1, 0.9, 15))
        return IdResult(
            n=1234,
            is_labelled=is_labelled,
            seen={},
            accuracy=rates[0],
            mean_max_probability=self.rate(),
            mean_max_probability_right=rates[1],
            mean_max_probability_wrong=rates[2],
            expected_calibration_error=rates[3],
            rms_calibration_error=rates[4],
            reliability=Reliability(bins, bins, tuple(range(15))) if is_labelled else Reliability(),
            intervals={"accuracy": self.interval()} if is_labelled else {},
            heads={head: self.head_on_id(classes) for head in heads},
            classes=tuple(
                ClassQuality(name, 50 + k, 60 + k, self.rate(), self.rate())
                for k, name in enumerate(classes)
            )
            if is_labelled
            else (),
            confusion=tuple(
                tuple(100 * (k + 1) + j for j, _ in enumerate(classes))
                for k, _ in enumerate(classes)
            )
            if is_labelled
            else (),
        )

    def operating_points(
        self, heads: Sequence[str], sets: Sequence[str]
    ) -> tuple[OperatingPoint, ...]:
        """Two rates."""
        return tuple(
            OperatingPoint(
                alpha,
                {head: self.rate() for head in heads},
                {name: {head: self.rate() for head in heads} for name in sets},
            )
            for alpha in (0.01, 0.2)
        )

    def ood(self, heads: Sequence[str], group: str) -> OodResult:
        """An OOD set."""
        return OodResult(
            n=int(self.random.integers(1000, 9999)),
            group=group,
            kind="files",
            seen={},
            mean_max_probability=self.rate(),
            flagged={head: self.rate() for head in heads},
            metrics={head: self.pair() for head in heads},
            intervals={head: {name: self.interval() for name in PAIR_METRICS} for head in heads},
            curves={
                head: ThresholdCurve(self.rising(201), self.rising(201), self.rising(201))
                for head in heads
            },
            histograms={
                head: Histogram(
                    tuple(np.linspace(0, 5, 61)),
                    self.density(),
                    self.density(),
                )
                for head in heads
            },
            trusted={head: self.examples(group) for head in heads},
        )

    def pair(self) -> PairMetrics:
        """A head on an OOD set."""
        return PairMetrics(1234, 777, *(self.rate() for _ in PAIR_METRICS[:-1]))

    def shifted(
        self, heads: Sequence[str], sets: Sequence[str], *, is_labelled: bool
    ) -> ShiftedResult:
        """A shifted set."""
        accuracy, error = (self.rate(), self.rate()) if is_labelled else (math.nan, math.nan)
        flagged = ("flagged", "accepted_accuracy") if is_labelled else ("flagged",)
        return ShiftedResult(
            n=int(self.random.integers(1000, 9999)),
            is_labelled=is_labelled,
            seen={},
            accuracy=accuracy,
            mean_max_probability=self.rate(),
            expected_calibration_error=error,
            heads={
                head: HeadOnShifted(
                    flagged=self.rate(),
                    accepted_accuracy=self.rate() if is_labelled else math.nan,
                    intervals={name: self.interval() for name in flagged},
                    suspicious=self.examples("shifted"),
                )
                for head in heads
            },
            full_spectrum={
                name: FullSpectrum(
                    {head: self.pair() for head in heads},
                    {head: {r: self.interval() for r in PAIR_METRICS[:-1]} for head in heads},
                )
                for name in sets
            },
            intervals={"mean_max_probability": self.interval()},
            source="data/shifted",
        )

    def group(self, heads: Sequence[str], sets: Sequence[str]) -> GroupResult:
        """Means over sets."""
        return GroupResult(
            sets=tuple(sets),
            weights=(1 / len(sets),) * len(sets),
            metrics={
                # More than half is flagged, so that no remark depends on chance.
                head: GroupMetrics(*(self.rate() for _ in PAIR_METRICS[:-1]), 0.5 + self.rate() / 2)
                for head in heads
            },
            intervals={head: {name: self.interval() for name in PAIR_METRICS} for head in heads},
        )

    def corruption(self, name: str, heads: Sequence[str]) -> CorruptionResult:
        """One corruption."""
        return CorruptionResult(
            name,
            tuple(
                CorruptedResult(
                    strength=strength,
                    n=1234,
                    accuracy=self.rate(),
                    mean_max_probability=self.rate(),
                    expected_calibration_error=self.rate(),
                    flagged={head: self.rate() for head in heads},
                    auroc={head: self.rate() for head in heads},
                )
                for strength in range(1, 6)
            ),
        )

    def model(
        self,
        name: str,
        heads: Sequence[str],
        sets: Mapping[str, str],
        *,
        shifted: Sequence[str],
        is_labelled: bool,
        classes: Sequence[str],
    ) -> ArtifactResult:
        """One artefact."""
        groups = {g: [s for s, of in sets.items() if of == g] for g in ("near", "far")}
        groups["all"] = list(sets)
        return ArtifactResult(
            name=name,
            path=f"exported/{name}.onnx",
            sha256=self.random.bytes(32).hex(),
            n_bytes=int(self.random.integers(10**6, 10**8)),
            precision="fp32",
            heads=tuple(heads),
            primary=heads[0],
            alpha=0.9912,  # no interval is below such a promise
            objective="outlier-exposure:weight=0.5",
            id=self.on_id(heads, classes, is_labelled=is_labelled),
            ood={set_name: self.ood(heads, group) for set_name, group in sets.items()},
            groups={g: self.group(heads, names) for g, names in groups.items() if names},
            corruptions=(self.corruption("blur", heads),),
            shifted={
                one: self.shifted(heads, list(sets), is_labelled=is_labelled) for one in shifted
            },
            operating_points=self.operating_points(heads, list(sets)),
            verdict=f"Of 100 ID images {100 * self.rate():.0f} pass.",
        )


def make_evaluation(
    *,
    seed: int = 0,
    models: Sequence[str] = ("digits",),
    heads: Sequence[str] = ("energy", "msp"),
    sets: Mapping[str, str] = OOD_SETS,
    shifted: Sequence[str] = (),
    is_labelled: bool = True,
    classes: Sequence[str] = ("ant", "bee", "cow"),
) -> Evaluation:
    """An evaluation; the OOD sets are by name, with their group."""
    maker = EvaluationMaker(seed)
    results = [
        maker.model(name, heads, sets, shifted=shifted, is_labelled=is_labelled, classes=classes)
        for name in models
    ]
    ranked = [(name, head) for name in models for head in reversed(heads)]
    rivals = [Rival(*pair, maker.rate(), maker.interval()) for pair in ranked[1:]]
    return Evaluation(
        version="0.1.0",
        id_folder="data/test",
        models=tuple(results),
        bootstrap=Bootstrap(1000, 0.95, 0),
        recommendation=Recommendation(
            *ranked[0],
            maker.rate(),
            maker.interval(),
            tuple(rivals),
            (f"Take {ranked[0][1]}.", f"It is best by {maker.rate():.3f}."),
        )
        if sets
        else None,
        allowed_seen=False,
    )
