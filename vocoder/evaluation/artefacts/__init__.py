"""Detectors of artefacts in generated audio, one file each; `catalogue` has them by name."""
