"""A table with a row for each epoch, which every run has: `metrics.csv` in its directory."""

from edge_ood.training.loggers import Logger
from edge_ood.training.run_directory import Run


def _note(run: Run) -> str:
    return f"'{run.path / 'metrics.csv'}' has a row for each epoch, with and without --log csv"


LOGGER = Logger("csv", note=_note)
