"""Vocoders driven by a source signal with a fundamental frequency (F0)."""
