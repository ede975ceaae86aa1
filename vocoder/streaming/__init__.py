"""Exact live streams of any network, by rules for the operations in its traced graph."""
