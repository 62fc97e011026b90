"""Write the tables of the CIFAR-10 rows into README.md beside this file, from results.jsonl.

python benchmarks/cifar10/table.py
"""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rows import OOD_SETS, ROWS, SCALES, STAGES

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables: made by table.py -->", "<!-- end of tables -->"
MEASURES = {
    "AUROC": "auroc",
    "AUPR-In": "aupr_in",
    "AUPR-Out": "aupr_out",
    "FPR95 ID-positive": "fpr95_id_positive",
    "FPR95 OOD-positive": "fpr95_ood_positive",
    "detection error": "detection_error",
}

Result = Mapping[str, Any]


def tables(results: Sequence[Result]) -> str:
    """All tables as Markdown, by scale; rows without results are left out."""
    blocks = []
    for scale in SCALES:
        found = [result for result in results if result["scale"] == scale]
        by_row = {row: [r for r in found if r["row"] == row] for row in ROWS}
        by_row = {row: of_row for row, of_row in by_row.items() if of_row}
        if by_row:
            blocks += [f"### {scale.capitalize()} scale", *_scale(scale, by_row)]
    return "\n\n".join(blocks)


def replace_tables(page: str, made: str) -> str:
    """The page with what stands between the two marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def read_results(path: Path) -> list[Result]:
    """The results file's lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _scale(scale: str, by_row: Mapping[str, Sequence[Result]]) -> Iterator[str]:
    first = next(iter(by_row.values()))[0]
    scores = sorted({s for found in by_row.values() for r in found for s in r["results"]["scores"]})
    counts = first["results"]["n"]
    yield SCALES[scale].remark
    yield (
        f"{_images(first, 'train')} training and {_images(first, 'exposure')} exposure images;"
        f" evaluated on {counts['id']} ID images and, of each OOD set, on "
        + ", ".join(f"{counts[name]} ({name})" for name in OOD_SETS)
        + f". {_hardware(by_row)}"
    )
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
    yield "FPR95 ID-positive / AUROC by OOD set, with the paper's score."
    yield _table(
        ["row", *OOD_SETS],
        [
            [row, *(_cell(found, STAGES[row].score, [name]) for name in OOD_SETS)]
            for row, found in by_row.items()
        ],
    )
    yield (
        "All measures with the paper's score, means over the eight sets; the ID images accepted"
        f" by the artefact's own threshold, of {first['results']['promised_tpr']:g} promised."
    )
    yield _table(
        ["row", "score", *MEASURES, "accepted", "seeds", "training, s"],
        [_all_measures(row, found) for row, found in by_row.items()],
    )
    for row, found in by_row.items():
        if "second_head_accuracy" in found[0]["training"][row]["last_epoch"]:
            yield f"Validation accuracy of the two heads of `{row}`: {_heads(row, found)}."


def _all_measures(row: str, found: Sequence[Result]) -> list[str]:
    score = STAGES[row].score
    return [
        row,
        f"`{score}`",
        *(_over_seeds(found, _mean(score, key, OOD_SETS)) for key in MEASURES.values()),
        _over_seeds(found, lambda r: r["results"]["scores"][score]["realised_tpr"]),
        str(len(found)),
        f"{statistics.mean(r['training'][row]['seconds'] for r in found):.0f}",
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
    cell = _cell(found, score, OOD_SETS)
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


def _images(result: Result, name: str) -> int:
    count: int = result["images"][name]["images"]
    return count


def _hardware(by_row: Mapping[str, Sequence[Result]]) -> str:
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
    page = HERE / "README.md"
    made = tables(read_results(HERE / "results.jsonl"))
    page.write_text(replace_tables(page.read_text("utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main()
