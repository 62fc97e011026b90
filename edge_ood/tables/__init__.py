"""Score tables: formats, and writing them so that a run survives whatever stops it."""
