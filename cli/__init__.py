"""The command line of edge-ood, imported as `edge_ood.cli`."""
