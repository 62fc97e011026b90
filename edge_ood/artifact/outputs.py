"""What an artefact says about images: the typed result, and the rows of a table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.artifact.contract import contract_outputs, decision_of, pvalue_of
from edge_ood.artifact.positions import is_number, position_of, positions_of
from edge_ood.artifact.shown import scores_html, scores_line, scores_sheet, scores_text
from edge_ood.artifact.verdict import Verdict
from edge_ood.errors import ArtifactError
from edge_ood.files.plain_table import data_frame
from edge_ood.files.stored import AnyImage

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Row", "Scores", "check_labels"]

_NOT_FINITE = "a score or logit is not a finite number"


@dataclass(frozen=True)
class Scores:
    """What the artefact says about N images, and a sequence of what it says about each.

        for verdict in scores:
            print(verdict.label, verdict.is_ood, verdict.pvalue)
        scores[scores.is_ood].show()

    A whole number gives the `Verdict` of one image; a slice, a mask (N,) or an array of whole
    numbers the `Scores` of several, in that order.

    Attributes:
        classes: K class names.
        label_index: int64 (N,), the predicted class.
        is_ood: bool (N,), the decision of the primary head.
        pvalue: float32 (N,), of the primary head, in (0, 1]; compare with an alpha of your own
            in float32.
        logits: float32 (N, K).
        scores: float32 (N,) by head; larger is more out-of-distribution.
        pvalues: float32 (N,) by head.
        decisions: bool (N,) by head.
        hashes: Content hashes of the N files; empty for arrays.
        paths: The N files; empty for arrays.
        images: uint8 (H, W, 3) each, for `show`: what was scored where it was no files, in the
            memory in which it was given; empty for files, and not pickled.
    """

    classes: tuple[str, ...]
    label_index: NDArray[np.int64]
    is_ood: NDArray[np.bool_]
    pvalue: NDArray[np.float32]
    logits: NDArray[np.float32]
    scores: Mapping[str, NDArray[np.float32]]
    pvalues: Mapping[str, NDArray[np.float32]]
    decisions: Mapping[str, NDArray[np.bool_]]
    hashes: tuple[str, ...] = ()
    paths: tuple[AnyImage, ...] = ()
    images: tuple[NDArray[np.uint8], ...] = field(default=(), compare=False)

    @classmethod
    def of_outputs(
        cls, classes: tuple[str, ...], heads: Sequence[str], outputs: Sequence[NDArray[Any]]
    ) -> "Scores":
        """The result of one inference, whose outputs stand in the contract's order."""
        found = dict(zip(contract_outputs(heads), outputs, strict=True))
        return cls(
            classes=classes,
            label_index=found["label"],
            is_ood=found["is_ood"],
            pvalue=found["pvalue"],
            logits=found["logits"],
            scores={head: found[head] for head in heads},
            pvalues={head: found[pvalue_of(head)] for head in heads},
            decisions={head: found[decision_of(head)] for head in heads},
        )

    @classmethod
    def joined(
        cls,
        parts: "Sequence[Scores]",
        hashes: Sequence[str] = (),
        images: Iterable[NDArray[np.uint8]] = (),
    ) -> "Scores":
        """The results of one or more inferences, one after the other, with what is kept of all."""

        def by_head(arrays: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
            return {head: np.concatenate([a[head] for a in arrays]) for head in arrays[0]}

        return cls(
            classes=parts[0].classes,
            label_index=np.concatenate([part.label_index for part in parts]),
            is_ood=np.concatenate([part.is_ood for part in parts]),
            pvalue=np.concatenate([part.pvalue for part in parts]),
            logits=np.concatenate([part.logits for part in parts]),
            scores=by_head([part.scores for part in parts]),
            pvalues=by_head([part.pvalues for part in parts]),
            decisions=by_head([part.decisions for part in parts]),
            hashes=tuple(hashes),
            images=tuple(images),
        )

    def __len__(self) -> int:
        return len(self.label_index)

    def __iter__(self) -> Iterator[Verdict]:
        return map(self._verdict, range(len(self)))

    @overload
    def __getitem__(self, wanted: int) -> Verdict: ...

    @overload
    def __getitem__(self, wanted: slice | ArrayLike) -> "Scores": ...

    def __getitem__(self, wanted: Any) -> "Verdict | Scores":
        if is_number(wanted):
            return self._verdict(position_of(wanted, len(self), "image"))
        chosen = positions_of(wanted, len(self))

        def of(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return {head: values[chosen] for head, values in arrays.items()}

        def each(items: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(items[i] for i in chosen) if items else ()

        return Scores(
            classes=self.classes,
            label_index=self.label_index[chosen],
            is_ood=self.is_ood[chosen],
            pvalue=self.pvalue[chosen],
            logits=self.logits[chosen],
            scores=of(self.scores),
            pvalues=of(self.pvalues),
            decisions=of(self.decisions),
            hashes=each(self.hashes),
            paths=each(self.paths),
            images=each(self.images),
        )

    def _verdict(self, position: int) -> Verdict:
        return Verdict(
            label=self.classes[self.label_index[position]],
            is_ood=bool(self.is_ood[position]),
            pvalue=self.pvalue[position],
            scores={head: values[position] for head, values in self.scores.items()},
            pvalues={head: values[position] for head, values in self.pvalues.items()},
            decisions={head: bool(values[position]) for head, values in self.decisions.items()},
            path=self.paths[position] if self.paths else None,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "images": ()}

    @property
    def label(self) -> list[str]:
        """Predicted class names."""
        return [self.classes[i] for i in self.label_index]

    @property
    def is_finite(self) -> NDArray[np.bool_]:
        """Mask (N,) of the images all of whose logits and scores are finite numbers."""
        values = np.column_stack([self.logits, *self.scores.values()])
        return np.asarray(np.isfinite(values).all(axis=1))

    def __str__(self) -> str:
        return scores_text(self)

    def __repr__(self) -> str:
        return scores_line(self)

    def _repr_html_(self) -> str:
        return scores_html(self)

    def show(self, most: int = 24) -> "Image.Image":
        """The first images with label, decision and p-value, as one picture.

        Notebooks display it when it is the last value of a cell; `.save(path)` writes it. Flagged
        images have a frame of another colour.

        Args:
            most: Images to draw at most, 1 or more.

        Raises:
            InputError: If `most` is less than 1, or the images are not kept: results of
                `score_arrays`, and those that were pickled, have none.
        """
        return scores_sheet(self, most)

    def to_dict(self) -> dict[str, list[Any]]:
        """The columns of a score table, as lists of N plain values; paths where there are any."""
        paths = {"path": [str(path) for path in self.paths]} if self.paths else {}
        columns = {name: np.asarray(values).tolist() for name, values in self._columns().items()}
        return {**paths, **columns}

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each image and the columns of a score table.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        columns = self.to_dict()
        rows = zip(*columns.values(), strict=True)
        return data_frame([dict(zip(columns, row, strict=True)) for row in rows], list(columns))

    def _columns(self) -> dict[str, Iterable[Any]]:
        by_column: dict[str, Iterable[Any]] = {
            "label": self.label,
            "label_index": self.label_index.tolist(),
            "is_ood": self.is_ood.tolist(),
            "pvalue": self.pvalue,
        }
        for head, scores in self.scores.items():
            by_column[head] = scores
            by_column[pvalue_of(head)] = self.pvalues[head]
            by_column[decision_of(head)] = self.decisions[head].tolist()
        return by_column

    def rows(self, paths: Sequence[AnyImage]) -> "Iterator[Row]":
        """Table rows of the N files that these are the results of."""
        by_column = self._columns()
        cells = zip(*by_column.values(), strict=True)
        for path, finite, row in zip(paths, self.is_finite, cells, strict=True):
            values = dict(zip(by_column, row, strict=True))
            status, error = ("ok", "") if finite else ("not-finite", _NOT_FINITE)
            yield Row(path, status, error, values)


@dataclass(frozen=True)
class Row:
    """One input file's line in a score table.

    Attributes:
        path: The file.
        status: `ok`, `not-finite`, or why there is no score: `unreadable`, `not-an-image`,
            `unsupported`, `too-large`.
        error: What was wrong; empty when nothing was.
        values: The other columns, empty when there is no score.
    """

    path: AnyImage
    status: str
    error: str
    values: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The cells by column, as plain values."""
        values = {name: np.asarray(value).tolist() for name, value in self.values.items()}
        return {"path": str(self.path), "status": self.status, "error": self.error, **values}


def check_labels(labels: NDArray[np.int64], classes: Sequence[str], source: Path) -> None:
    """Refuse predicted classes (N,) that have no name: Python counts negative ones from the end.

    Raises:
        ArtifactError: Naming the file `source` and the first of them.
    """
    outside = labels[(labels < 0) | (labels >= len(classes))]
    if len(outside):
        raise ArtifactError(
            f"'{source}' gave label {outside[0]}, expected 0 to {len(classes) - 1}, "
            f"as it has {len(classes)} class names",
            hint="export it again",
        )
