"""Training objectives: generators of losses, one per file."""
