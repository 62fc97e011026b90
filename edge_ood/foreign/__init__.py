"""Classifiers that somebody else exported: read, tried out and attached to."""
