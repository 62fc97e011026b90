"""`python -m edge_ood`, where the command of the same name is not on the path."""

from edge_ood.cli import main

main()
