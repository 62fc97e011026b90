"""Image classifiers, one family per file."""
