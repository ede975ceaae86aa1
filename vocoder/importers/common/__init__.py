"""Shared by all importers: reading weights and settings, and loading weights into our networks."""
