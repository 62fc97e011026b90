"""How well artefacts tell known images from foreign ones: what is measured, and how."""
