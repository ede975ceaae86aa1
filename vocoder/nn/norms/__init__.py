"""Normalisations of weights."""
