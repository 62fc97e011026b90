"""Images that are made up, as out-of-distribution sets: one kind per file."""
