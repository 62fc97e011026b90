"""How well artefacts tell OOD images from ID images: what is measured, and how."""
