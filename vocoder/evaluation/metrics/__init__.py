"""Scores of an estimate against its reference, one file each; `catalogue` has them by name."""
