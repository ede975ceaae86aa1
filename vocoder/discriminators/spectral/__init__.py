"""Discriminators of short-time and constant-Q spectra."""
