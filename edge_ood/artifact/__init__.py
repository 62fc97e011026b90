"""What an artefact holds besides its graph: metadata, outputs, devices, and what it guarantees."""
