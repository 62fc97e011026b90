"""`Evaluation`: the typed result of measuring artefacts, whole."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from edge_ood.artifact.positions import is_number, position_of
from edge_ood.errors import InputError, UnknownNameError
from edge_ood.evaluation.csv_table import table_rows
from edge_ood.evaluation.html import evaluation_html
from edge_ood.evaluation.results import ArtifactResult, Bootstrap, Recommendation
from edge_ood.evaluation.text import evaluation_text
from edge_ood.files.document import plain_values
from edge_ood.files.plain_table import data_frame

__all__ = ["Evaluation"]

_FORMAT = 1


@dataclass(frozen=True)
class Evaluation:
    """Artefacts on one ID set and any number of OOD sets; `print` shows what the command shows.

    It is a sequence of its artefacts, which also have names: `evaluation["oe"]`, `evaluation[0]`.

    Attributes:
        version: edge-ood that measured.
        id_folder: The folder of ID images, as it was given.
        models: One artefact or more, in the order given.
        bootstrap: How intervals were made.
        recommendation: None without an OOD set.
        allowed_seen: Whether images that an artefact was made from were let in on demand.
    """

    version: str
    id_folder: str
    models: tuple[ArtifactResult, ...]
    bootstrap: Bootstrap
    recommendation: Recommendation | None
    allowed_seen: bool

    def to_json(self) -> dict[str, Any]:
        """A document of plain values, the fields of the dataclasses; NaN becomes None."""
        fields: dict[str, Any] = plain_values(asdict(self))
        return {"format": _FORMAT, **fields}

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[ArtifactResult]:
        return iter(self.models)

    def __contains__(self, wanted: object) -> bool:
        return any(wanted in (model, model.name) for model in self.models)

    def __getitem__(self, wanted: str | int) -> ArtifactResult:
        if is_number(wanted):
            return self.models[position_of(int(wanted), len(self), "artefact")]
        by_name = {model.name: model for model in self.models}
        if not isinstance(wanted, str):
            raise InputError(
                f"an artefact chosen by {wanted!r}, expected a name or a number",
                hint=f"one of {', '.join(by_name)}; evaluation.models is a tuple of them",
            )
        if wanted not in by_name:
            raise UnknownNameError("artefact of this evaluation", wanted, by_name)
        return by_name[wanted]

    def __repr__(self) -> str:
        models = ", ".join(map(repr, self.models))
        return f"Evaluation(id_folder={self.id_folder!r}, models=({models}))"

    def __str__(self) -> str:
        return evaluation_text(self)

    def _repr_html_(self) -> str:
        return evaluation_html(self)

    def to_dict(self) -> dict[str, Any]:
        """The same document as `to_json`."""
        return self.to_json()

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each artefact, set and head, as `--csv` has it.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        return data_frame(list(table_rows(self)))
