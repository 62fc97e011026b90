"""Trained weights of any origin: their file or publisher, the pixels they expect, what they fit."""
