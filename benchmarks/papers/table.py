"""Write the tables of the rows into README.md beside this file, from results.jsonl.

python benchmarks/papers/table.py
"""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from image_sets import CIFAR10
from ranking import GROUPS as RANKING_SETS
from ranking import RANKED, correlations, draw, ranked, ranking_table
from rows import GROUPS, MEASURES, PUBLISHED, ROWS, STAGES, images_of, network_of, sets_of

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables: made by table.py -->", "<!-- end of tables -->"
SHORT = ("auroc", "fpr95_id_positive", "fpr95_ood_positive")
"""Measures that stand for all of a network's scores."""

SHOWN = ("msp", "energy", "gen", "mahalanobis", "knn", "combined", "mcd_l1")
"""Scores in a column of their own; results.jsonl has all."""

OF_ODIN = {
    ("densenet-bc-100-12", "uniform"): (23.5, 0.0),
    ("densenet-bc-100-12", "gaussian"): (12.3, 0.0),
}
"""FPR95 of `msp` and of `odin` in its authors' code, from the same weights."""

Result = Mapping[str, Any]
ByRow = Mapping[str, Sequence[Result]]


def tables(results: Sequence[Result]) -> str:
    """All tables as Markdown, by group; rows without results are left out."""
    found = {row: [r for r in results if r["row"] == row] for row in ROWS}
    blocks: list[str] = []
    for group, title in GROUPS.items():
        by_row = {row: found[row] for row in ROWS if STAGES[row].group == group and found[row]}
        if not by_row:
            continue
        blocks.append(f"### {title}")
        if not any(STAGES[row].recipe for row in by_row):
            blocks += _published(by_row)
        else:
            starts = {s: found[s] for s in map(network_of, by_row) if s and found[s]}
            blocks += _trained({**starts, **by_row})
    return "\n\n".join(blocks)


def replace_tables(page: str, made: str) -> str:
    """The page with what stands between the two marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def read_results(path: Path) -> list[Result]:
    """The results file's lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _published(by_row: ByRow) -> Iterator[str]:
    """Per network a table of all scores on all sets."""
    first = next(iter(by_row.values()))[0]
    yield _images_of(first, by_row)
    yield _table(
        ["network", "ID error", "published", "attached to as ONNX, points apart"],
        [
            [row, f"{of[0]['results']['id_error']:.2f}", f"{PUBLISHED[row].error:.2f}",
             f"{of[0]['reproduced']:.2f}"]
            for row, of in by_row.items()
        ],
    )  # fmt: skip
    odin = [
        [row, name, f"{theirs[0]:.1f} -> {theirs[1]:.1f}",
         " -> ".join(f"{_mean(s, 'fpr95_id_positive', [name])(by_row[row][0]):.1f}"
                     for s in ("msp", "odin"))]
        for (row, name), theirs in OF_ODIN.items()
        if row in by_row
    ]  # fmt: skip
    if odin:
        yield "FPR95 of `msp` -> `odin` (T = 1000, eps 0.0014), as published and here:"
        yield _table(["network", "set", "published", "here"], odin)
    if all(images_of(row) is CIFAR10 for row in by_row):
        yield from _ranking([result for of in by_row.values() for result in of])
    for row, (result, *_) in by_row.items():
        yield f"#### {row}"
        yield (
            "AUROC, and below it FPR95 with ID / with OOD images as the positives. Scores by the"
            " mean AUROC of near and far sets; Tiny ImageNet does not count. At the end, where"
            " there are any, the largest half of a 95 % interval in a column, by 200 bootstrap"
            " replicates."
        )
        yield _of_network(row, result)


def _ranking(results: Sequence[Result]) -> Iterator[str]:
    """The figure, the correlations and the table behind them."""
    found = ranked(results)
    yield (
        "#### The order of scores, beside OpenOOD's leaderboard\n\n![Ranks](ranking.svg)\n\n"
        "AUROC and rank beside OpenOOD v1.5 (CIFAR-10, ResNet-18), means over these networks and"
        f" over the sets that are its own or stand in for them: {_listed(RANKING_SETS)}."
        " Spearman's rank correlation: "
        + ", ".join(f"{group} {value:.2f}" for group, value in correlations(found).items())
        + "."
    )
    yield _table(
        ["score", "near here", "rank", "there", "rank", "far here", "rank", "there", "rank"],
        ranking_table(found),
    )


def _listed(groups: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{group} {', '.join(sets)}" for group, sets in groups.items())


def _of_network(row: str, result: Result) -> str:
    sets = sets_of(row)
    means = {score: _near_and_far(row, result, score) for score in result["results"]["scores"]}
    lines = []
    for score in sorted(means, key=lambda score: -means[score]):
        of = result["results"]["scores"][score]["ood"]
        cells = [_three(*(of[name][key] for key in SHORT)) for name in sets]
        lines.append([f"`{score}`", f"{means[score]:.1f}", *cells])
    widths = [_widest(result, name) for name in sets]
    if all(widths):
        lines.append(["at most ±", "", *(_three(*each) for each in widths)])
    return _table(["score", "mean", *sets], lines)


def _three(auroc: float, id_positive: float, ood_positive: float) -> str:
    return f"{auroc:.1f}<br>{id_positive:.0f} / {ood_positive:.0f}"


def _widest(result: Result, name: str) -> list[float]:
    """Half of the widest interval of each measure on a set; empty if there are no intervals."""
    found = [of.get("intervals", {}).get(name) for of in result["results"]["scores"].values()]
    if not all(found):
        return []
    return [max((high - low) / 2 for low, high in (of[key] for of in found)) for key in SHORT]


def _near_and_far(row: str, result: Result, score: str) -> float:
    images = images_of(row)
    groups = [sets for sets in (images.near, images.far) if sets]
    return statistics.mean(_mean(score, "auroc", sets)(result) for sets in groups)


def _trained(by_row: ByRow) -> Iterator[str]:
    """What training did, by score, by set, and in all measures."""
    first = next(iter(by_row.values()))[0]
    there = {s for found in by_row.values() for r in found for s in r["results"]["scores"]}
    scores = [score for score in SHOWN if score in there]
    yield _images_of(first, by_row)
    yield (
        "FPR95 ID-positive / AUROC by score, means over the eight OOD sets; bold: the score that"
        " the row's paper detects with."
    )
    yield _table(
        ["row", "ID error", *(f"`{score}`" for score in scores)],
        [
            [row, _over_seeds(found, lambda r: r["results"]["id_error"])]
            + [_mean_cell(found, score, bold=score == STAGES[row].score) for score in scores]
            for row, found in by_row.items()
        ],
    )
    yield "FPR95 ID-positive / AUROC by OOD set, with that score."
    yield _table(
        ["row", *CIFAR10.ood],
        [
            [row, *(_cell(found, STAGES[row].score, [name]) for name in CIFAR10.ood)]
            for row, found in by_row.items()
        ],
    )
    yield (
        "All measures with that score, means over the eight sets; the ID images accepted by the"
        f" artefact's own threshold, of {first['results']['promised_tpr']:g} promised."
    )
    yield _table(
        ["row", "score", *MEASURES.values(), "accepted", "seeds", "training, min"],
        [_all_measures(row, found) for row, found in by_row.items()],
    )
    for row, found in by_row.items():
        if "second_head_accuracy" in found[0]["training"].get(row, {}).get("last_epoch", {}):
            yield f"Validation accuracy of the two heads of `{row}`: {_heads(row, found)}."


def _all_measures(row: str, found: Sequence[Result]) -> list[str]:
    score = STAGES[row].score
    seconds = [sum(stage["seconds"] for stage in r["training"].values()) for r in found]
    return [
        row,
        f"`{score}`",
        *(_over_seeds(found, _mean(score, key, CIFAR10.ood)) for key in MEASURES),
        _over_seeds(found, lambda r: r["results"]["scores"][score]["realised_tpr"]),
        str(len(found)),
        f"{statistics.mean(seconds) / 60:.0f}",
    ]


def _heads(row: str, found: Sequence[Result]) -> str:
    names = ("first_head_accuracy", "second_head_accuracy")
    shown = (_over_seeds(found, _last_epoch(row, name)) for name in names)
    return " and ".join(shown)


def _last_epoch(row: str, name: str) -> Callable[[Result], float]:
    def of(result: Result) -> float:
        rate: float = result["training"][row]["last_epoch"][name]
        return 100 * rate

    return of


def _mean_cell(found: Sequence[Result], score: str, *, bold: bool) -> str:
    if score not in found[0]["results"]["scores"]:
        return ""
    cell = _cell(found, score, CIFAR10.ood)
    return f"**{cell}**" if bold else cell


def _cell(found: Sequence[Result], score: str, sets: Sequence[str]) -> str:
    fpr95, auroc = (
        _over_seeds(found, _mean(score, key, sets)) for key in ("fpr95_id_positive", "auroc")
    )
    return f"{fpr95} / {auroc}"


def _mean(score: str, key: str, sets: Sequence[str]) -> Callable[[Result], float]:
    def of(result: Result) -> float:
        by_set = result["results"]["scores"][score]["ood"]
        return statistics.mean(by_set[name][key] for name in sets)

    return of


def _over_seeds(found: Sequence[Result], value: Callable[[Result], float]) -> str:
    values = [value(result) for result in found]
    shown = f"{statistics.mean(values):.2f}"
    return f"{shown} ± {statistics.stdev(values):.2f}" if len(values) > 1 else shown


def _images_of(first: Result, by_row: ByRow) -> str:
    counts = first["results"]["n"]
    exposed = any(STAGES[row].outliers for row in by_row)
    exposure = f" and {first['images']['exposure']['images']} exposure" if exposed else ""
    return (
        f"{first['images']['train']['images']} training{exposure} images; evaluated on"
        f" {counts['id']} ID images and, of each OOD set, on "
        + ", ".join(f"{count} ({name})" for name, count in counts.items() if name != "id")
        + f". {_hardware(by_row)}"
    )


def _hardware(by_row: ByRow) -> str:
    """What the rows were computed on, each once."""
    names = {
        result["hardware"].get("accelerator")
        or f"{result['hardware']['cores']} cores of {result['hardware']['processor']}"
        for found in by_row.values()
        for result in found
    }
    return f"On {'; '.join(sorted(names))}."


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [headings, rule, *rows])


def main() -> None:
    """Bring README.md up to the results file."""
    page, results = HERE / "README.md", read_results(HERE / "results.jsonl")
    made = tables(results)
    if any(result["row"] in RANKED for result in results):
        draw(ranked(results), HERE / "ranking.svg")
    page.write_text(replace_tables(page.read_text("utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main()
