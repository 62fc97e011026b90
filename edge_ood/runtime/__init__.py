"""Running an artefact: scoring, calibrating, probing and timing it, without torch."""
