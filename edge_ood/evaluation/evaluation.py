"""`Evaluation`: the typed result of measuring artefacts, whole."""

from dataclasses import asdict, dataclass
from typing import Any

from edge_ood.evaluation.csv_table import table_rows
from edge_ood.evaluation.results import ArtifactResult, Bootstrap, Recommendation
from edge_ood.evaluation.text import evaluation_text
from edge_ood.files.document import plain_values
from edge_ood.files.plain_table import data_frame

__all__ = ["Evaluation"]

_FORMAT = 1


@dataclass(frozen=True)
class Evaluation:
    """Artefacts on one ID set and any number of OOD sets; `print` shows what the command shows.

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

    def __str__(self) -> str:
        return evaluation_text(self)

    def to_dict(self) -> dict[str, Any]:
        """The same document as `to_json`."""
        return self.to_json()

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each artefact, set and head, as `--csv` has it.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        return data_frame(list(table_rows(self)))
