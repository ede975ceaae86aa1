"""Nodes of a compiled generator."""
