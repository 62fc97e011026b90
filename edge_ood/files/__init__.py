"""Files and folders: walking, naming, and writing whole or not at all."""
