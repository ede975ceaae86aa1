"""Detectors of artefacts, one file each."""
