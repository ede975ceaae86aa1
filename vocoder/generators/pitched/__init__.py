"""Vocoders that are driven by a source signal with a fundamental frequency."""
