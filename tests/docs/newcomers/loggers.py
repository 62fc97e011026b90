"""A logger of one's own, which says that it hears."""

from edge_ood.training.loggers import Logger

LOGGER = Logger("a-newcomer", note=lambda run: f"'{run.path}' is heard of")
