"""How well every score head detects, beside pytorch-ood's detectors, on published networks.

Run `python benchmarks/detectors.py DATA -o OUT`, with folders of images in DATA as `SETS` names
them (`cifar10_train/<class>/<file>`, ...) and weights in `DATA/weights`. `--network` and `--part`
choose. What a network says about a set is kept in OUT, so that a killed run goes on.

rank    near and far AUROC and FPR95 of every head and of combinations. Heads are fitted on training
        images as `edge-ood export` fits them, on the ONNX file that it makes; every tenth ID
        test image calibrates combinations, the others test. Nothing is tuned, on nothing.
agree   Spearman's rank correlation of each head with pytorch-ood's detector, where it has one, on
        the same features and logits.
speed   seconds per 1,000 images, fitted and scored, batches of 32: the PyTorch network and
        pytorch-ood's detector, against onnxruntime with the head inside the graph; peak memory.

`OUT/*.json` hold what is printed; detectors.md shows a run.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent / "published"))

import detectors_peer
from detectors_sets import NETWORKS, Answers, Network, opened
from machine import machine
from promises import Promise

from edge_ood.calibration.combination import fit_combination
from edge_ood.errors import EdgeOodError
from edge_ood.metrics.detection import misclassification, pair_metrics
from edge_ood.scores import DEFAULT_COMBINED, HEADS, BoundHead, bind_head

PARTS = ("rank", "agree", "speed")
CALIBRATES = 10
"""Every so many ID test images fix surprises."""

BATCH = 500
COMBINATIONS = {
    "combined (default)": (DEFAULT_COMBINED, "sum"),
    "the same, largest": (DEFAULT_COMBINED, "largest"),
    "gen+mahalanobis": (("gen", "mahalanobis"), "sum"),
    "gen+nci": (("gen", "nci"), "sum"),
    "gen+mahalanobis+rmd": (("gen", "mahalanobis", "rmd"), "sum"),
    "gen+mahalanobis+fdbd": (("gen", "mahalanobis", "fdbd"), "sum"),
    "gen+nci+knn": (("gen", "nci", "knn"), "sum"),
    "gen+mahalanobis+nci+knn": (("gen", "mahalanobis", "nci", "knn"), "sum"),
    "before: four, largest": (("msp", "energy", "uniform_ce", "mahalanobis_plain"), "largest"),
    "before: four, sum": (("msp", "energy", "uniform_ce", "mahalanobis_plain"), "sum"),
}
PLAIN = ("mahalanobis_plain", "mahalanobis:normalize=false")
ALIKE = 0.999
WITHIN = 0.01
"""AUROC that the default may be below the best single head."""

Scores = dict[str, NDArray[np.float64]]


@dataclass
class Row:
    """One head or combination on one network; means over sets."""

    name: str
    near: float = float("nan")
    near_fpr: float = float("nan")
    far: float = float("nan")
    far_fpr: float = float("nan")
    wrong: float = float("nan")
    sets: dict[str, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Of near and far, as far as there are both."""
        return float(np.nanmean([self.near, self.far]))


def fitted(answers: Answers) -> tuple[dict[str, BoundHead], dict[str, str]]:
    """Every head that neither perturbs nor reads a second head, and why others cannot be had."""
    heads, refused = {}, {}
    specs = {name: name for name in HEADS.names()} | {PLAIN[0]: PLAIN[1]}
    for name, spec in specs.items():
        head = bind_head(spec)
        if head.epsilon or "logits_pair" in head.inputs:
            continue
        try:
            heads[name] = with_statistics(head, answers)
        except EdgeOodError as error:
            refused[name] = str(error)
    return heads, refused


def with_statistics(head: BoundHead, answers: Answers) -> BoundHead:
    """Fitted in batches, as from a stream; refused where `attach` would leave it out."""
    train = answers.train
    counts = np.bincount(train.labels, minlength=answers.num_classes).tolist()
    if why := head.too_few(counts, {"penultimate": train.features.shape[1]}):
        raise EdgeOodError(why)
    accumulator = head.accumulator(answers.num_classes, answers.linear)
    if accumulator is None:
        return head
    for at in range(0, len(train.labels), BATCH):
        accumulator.update(train.outputs(slice(at, at + BATCH)), train.labels[at : at + BATCH])
    return BoundHead(head.head, head.parameters, accumulator.finish())


def scores_of(heads: Mapping[str, BoundHead], answers: Answers, name: str) -> Scores:
    """By head, of every image of a set."""
    said = answers.sets[name]
    parts = [slice(at, at + BATCH) for at in range(0, len(said.logits), BATCH)]
    return {
        head: np.concatenate([bound.score(np, said.outputs(part)) for part in parts])
        for head, bound in heads.items()
    }


def rank(network: Network, answers: Answers) -> tuple[list[Row], dict[str, str]]:
    """All heads and combinations, the best mean AUROC first."""
    heads, refused = fitted(answers)
    known = answers.sets[network.known]
    everything = {name: scores_of(heads, answers, name) for name in answers.sets}
    fixes = np.arange(len(known.logits)) % CALIBRATES == 0
    surprises = {head: values[fixes] for head, values in everything[network.known].items()}
    for title, (members, rule) in COMBINATIONS.items():
        there = [member for member in members if member in heads]
        if len(there) < 2 or (there != list(members) and title != "combined (default)"):
            continue
        combination = fit_combination({m: surprises[m].astype(np.float32) for m in there}, rule)
        for scores in everything.values():
            scores[title] = combination.score(
                {m: scores[m].astype(np.float32) for m in there}
            ).astype(np.float64)
    right = known.logits.argmax(axis=1)[~fixes] == known.labels[~fixes]
    rows = []
    for name in everything[network.known]:
        of_known = everything[network.known][name][~fixes]
        row = Row(name, wrong=misclassification(of_known, right).auroc)
        for group, sets in (("near", network.near), ("far", network.far)):
            pairs = [pair_metrics(of_known, everything[each][name]) for each in sets]
            row.sets |= {each: pair.auroc for each, pair in zip(sets, pairs, strict=True)}
            if pairs:
                setattr(row, group, float(np.mean([pair.auroc for pair in pairs])))
                fprs = [pair.fpr95_id_positive for pair in pairs]
                setattr(row, f"{group}_fpr", float(np.mean(fprs)))
        rows.append(row)
    return sorted(rows, key=lambda row: -row.mean), refused


def ranked(network: Network, rows: Sequence[Row]) -> Iterator[Promise]:
    """The default against the best single head, and against pytorch-ood's."""
    by_name = {row.name: row for row in rows}
    default = by_name.get("combined (default)", by_name["gen"])
    single = [row for row in rows if row.name not in COMBINATIONS and row.name != PLAIN[0]]
    for group in ("near", "far", "mean"):
        own = getattr(default, group)
        if np.isnan(own):
            continue
        best = max(single, key=lambda row: getattr(row, group))
        ahead = sum(getattr(row, group) > own for row in single)
        yield Promise(
            f"{network.name}, {group}: the default is {1 + ahead}. of {1 + len(single)}, "
            f"{100 * own:.1f} against {100 * getattr(best, group):.1f} of {best.name}; "
            f"energy {100 * getattr(by_name['energy'], group):.1f};",
            f"{100 * (own - getattr(best, group)):+.2f}",
            f">={-100 * WITHIN:.0f}",
            own >= getattr(best, group) - WITHIN,
        )


def shown(rows: Sequence[Row]) -> Iterator[str]:
    """A table in Markdown."""
    yield "| score | near AUROC | FPR95 | far AUROC | FPR95 | mean AUROC | own mistakes |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in rows:
        numbers = (row.near, row.near_fpr, row.far, row.far_fpr, row.mean, row.wrong)
        cells = ["-" if np.isnan(n) else f"{100 * n:.1f}" for n in numbers]
        yield f"| {row.name} | {' | '.join(cells)} |"


def agreement(answers: Answers, network: Network) -> Iterator[tuple[str, float]]:
    """Rank correlation with pytorch-ood, on ID and OOD images alike."""
    from scipy.stats import spearmanr

    mixed = answers.mixed(network)
    for spec, theirs in detectors_peer.scores(answers, mixed):
        try:
            head = with_statistics(bind_head(spec), answers)
        except EdgeOodError as error:
            print(f"  {spec}: {error}")
            continue
        own = head.score(np, mixed.outputs(slice(None)))
        yield spec, float(spearmanr(own, theirs).statistic)


def main() -> None:
    """Print tables, then one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--network", choices=list(NETWORKS), action="append")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--limit", type=int, help="most images of a set")
    chosen = parser.parse_args()
    print(machine("one run"))
    goals: list[Promise] = []
    parts = chosen.part or PARTS
    for name in chosen.network or NETWORKS:
        network = NETWORKS[name]
        answers = opened(network, chosen.data, chosen.out, chosen.limit)
        error = answers.error(network)
        print(f"\n## {name}\n\nID error {100 * error:.2f} % (published {network.published})")
        if "rank" in parts:
            rows, refused = rank(network, answers)
            print("\n" + "\n".join(shown(rows)) + "\n")
            for head, why in refused.items():
                print(f"- {head}: {why}")
            (chosen.out / f"{name}.json").write_text(
                json.dumps([vars(row) for row in rows], indent=1), "utf-8"
            )
            goals += ranked(network, rows)
        if "agree" in parts:
            print("\n| head | Spearman with pytorch-ood |\n| --- | ---: |")
            for spec, correlation in agreement(answers, network):
                print(f"| {spec} | {correlation:.5f} |")
                goals.append(
                    Promise(
                        f"{name}, {spec}: rank correlation",
                        f"{correlation:.5f}",
                        f">={ALIKE}",
                        correlation >= ALIKE,
                    )
                )
        if "speed" in parts:
            goals += detectors_peer.speed(network, chosen.data, answers)
    print()
    for goal in goals:
        print(goal)


if __name__ == "__main__":
    main()
