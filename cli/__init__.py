"""The command line of edge-ood, imported as `edge_ood.cli`."""

from edge_ood.cli.app import main

__all__ = ["main"]
