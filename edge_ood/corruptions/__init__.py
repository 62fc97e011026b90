"""Damage to known images at five strengths: one kind per file."""
