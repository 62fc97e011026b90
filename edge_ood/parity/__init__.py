"""The parity gate: an artefact against references that are not it."""
