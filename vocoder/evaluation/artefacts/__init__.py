"""Artefacts in generated audio: `catalogue` has the detectors by name and runs them."""
