"""Pages for people: HTML that works offline, and the figures in it; no torch."""
