"""From image folders to a run directory."""
