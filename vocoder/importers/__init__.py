"""Checkpoints of other projects, one file per project."""
