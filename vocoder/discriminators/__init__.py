"""Discriminators: networks that score one signal, one file per view of it."""
