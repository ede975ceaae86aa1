"""Streaming rules: how each operation runs on signals that arrive in chunks."""
